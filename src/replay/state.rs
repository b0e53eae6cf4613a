//! The engine's state as rows: books, positions, accounts.

use engine::{AccountId, Engine, InstrumentId, Side};
use serde_json::Value;

use super::list;
use super::selection::Scope;
use crate::facts::{Facts, number};

/// Every price level, best first, bids before asks.
pub(super) fn book(engine: &Engine, scope: &Scope) -> Value {
    let instruments = engine
        .instruments()
        .filter(|instrument| scope.instrument.is_none_or(|only| only == instrument.instrument));
    list(instruments.flat_map(|instrument| {
        let symbol = instrument.definition.symbol;
        [Side::Buy, Side::Sell].into_iter().flat_map(move |side| {
            let levels = engine.depth(instrument.instrument, side, usize::MAX);
            levels.into_iter().map(move |level| {
                Facts::new()
                    .with("symbol", symbol.as_str())
                    .with("side", side.as_str())
                    .with("price", number(level.price))
                    .with("quantity", level.quantity)
                    .with("orders", level.orders)
            })
        })
    }))
}

/// Open positions. Money is exact; `cost` divided by `quantity` is the average price.
pub(super) fn positions(engine: &Engine, scope: &Scope) -> Value {
    let selected = engine.positions().filter(|position| {
        position.quantity != 0
            && scope.account.is_none_or(|only| only == position.account)
            && scope.instrument.is_none_or(|only| only == position.instrument)
    });
    list(selected.map(|position| {
        Facts::new()
            .with("position", position.position.get())
            .with("account", account_name(engine, position.account))
            .with("strategy", position.strategy.get())
            .with("symbol", symbol(engine, position.instrument))
            .with("product", position.product.as_str())
            .with("quantity", position.quantity)
            .with("cost", number(position.cost))
            .with("realised", number(position.realised))
            .with("unrealised", number(position.unrealised))
            .with("charges", number(position.charges))
            .with_some("stop_loss", position.stop_loss.map(number))
            .with_some("take_profit", position.take_profit.map(number))
    }))
}

pub(super) fn accounts(engine: &Engine, scope: &Scope) -> Value {
    let selected = engine
        .accounts()
        .filter(|account| scope.account.is_none_or(|only| only == account.account));
    list(selected.map(|account| {
        Facts::new()
            .with("account", account.name.as_str())
            .with("profile", account.profile.as_str())
            .with("venue", account.venue)
            .with("state", account.state.as_str())
            .with("balance", number(account.balance))
            .with("available", number(account.available))
            .with("realised", number(account.realised))
            .with("unrealised", number(account.unrealised))
            .with("charges", number(account.charges))
            .with("peak", number(account.peak))
            .with("position_margin", number(account.position_margin))
            .with("order_margin", number(account.order_margin))
            .with("open_positions", account.open_positions)
            .with("open_orders", account.open_orders)
    }))
}

/// The name of an account, or its number where the journal never defined it.
pub(super) fn account_name(engine: &Engine, account: AccountId) -> Value {
    engine
        .account(account)
        .map_or(Value::from(account.get()), |account| {
            Value::from(account.name.as_str())
        })
}

/// The symbol of an instrument, or its number where the journal never defined it.
pub(super) fn symbol(engine: &Engine, instrument: InstrumentId) -> Value {
    engine
        .instrument(instrument)
        .map_or(Value::from(instrument.get()), |instrument| {
            Value::from(instrument.definition.symbol.as_str())
        })
}
