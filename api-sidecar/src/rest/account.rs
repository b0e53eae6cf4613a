//! `/account` and `/stats/today`.

use std::collections::BTreeMap;

use engine::{AccountId, AccountView, InstrumentId, Money, Percent, PositionView, Product};
use read_model::ReadModel;

use super::answer::Answer;
use super::orders::instrument_fields;
use super::request::{Caller, Query};
use crate::wire::{Object, average_price, heartbeat_fields, net_pnl};

/// The account's money; with `?account=*` every account's, as a list.
pub(super) fn account(caller: &Caller, query: &Query, model: &ReadModel) -> Result<Answer, Answer> {
    match caller.scope(query, model)? {
        Some(account) => {
            let view = model
                .engine()
                .account(account)
                .ok_or_else(|| Answer::error(404, "Account not found"))?;
            Ok(Answer::object(|body| account_fields(body, &view, model)))
        }
        None => Ok(Answer::object(|body| {
            let mut count = 0_usize;
            body.array("accounts", |list| {
                for view in model.engine().accounts().filter(|view| !view.venue) {
                    count += 1;
                    list.object(|row| account_fields(row, &view, model));
                }
            });
            body.number("count", count);
        })),
    }
}

fn account_fields(body: &mut Object<'_>, view: &AccountView<'_>, model: &ReadModel) {
    body.string("account", view.name.as_str())
        .string("profile", view.profile.as_str())
        .number("balance", view.balance)
        .number("current_value", view.current_value())
        .number("peak", view.peak)
        .number("available", view.available)
        .number("position_margin", view.position_margin)
        .number("order_margin", view.order_margin)
        .number("realized_pnl", net_pnl(view.realised, view.charges))
        .number("unrealized_pnl", view.unrealised)
        .number("total_pnl", view.total_pnl())
        .number("charges", view.charges)
        .number("drawdown", view.drawdown())
        .number("position_count", view.open_positions)
        .number("open_order_count", view.open_orders)
        .string("trading_state", view.state.as_str());
    match view.dead_man {
        Some(dead_man) => body.object("heartbeat", |heartbeat| {
            heartbeat_fields(heartbeat, Some(dead_man));
        }),
        None => body.null("heartbeat"),
    };
    body.array("holdings", |list| {
        for (instrument, holding) in holdings(view.account, model) {
            list.object(|row| holding_fields(row, instrument, &holding, model));
        }
    });
}

/// What an account holds of an instrument for delivery, over all its strategies.
#[derive(Default)]
struct Holding {
    quantity: i64,
    /// Bought before today.
    settled: i64,
    /// On sale by working orders.
    on_sale: i64,
    cost: Money,
    unrealised: Money,
}

impl Holding {
    fn add(&mut self, position: &PositionView) {
        self.quantity = self.quantity.saturating_add(position.quantity);
        self.settled = self.settled.saturating_add(position.settled);
        self.on_sale = self.on_sale.saturating_add(position.closing);
        self.cost = self.cost.saturating_add(position.cost);
        self.unrealised = self.unrealised.saturating_add(position.unrealised);
    }
}

fn holdings(account: AccountId, model: &ReadModel) -> BTreeMap<InstrumentId, Holding> {
    let open = model.history().positions().open_newest_first(Some(account));
    let views = open
        .iter()
        .filter_map(|open| model.engine().position(open.position));
    let mut holdings = BTreeMap::<InstrumentId, Holding>::new();
    for view in views.filter(|view| view.product == Product::Cnc && view.quantity > 0) {
        holdings.entry(view.instrument).or_default().add(&view);
    }
    holdings
}

fn holding_fields(row: &mut Object<'_>, id: InstrumentId, holding: &Holding, model: &ReadModel) {
    let instrument = model.engine().instrument(id);
    instrument_fields(row, instrument);
    row.number("quantity", holding.quantity)
        .number("settled_quantity", holding.settled)
        .number("bought_today", holding.quantity.saturating_sub(holding.settled))
        .number("on_sale", holding.on_sale)
        .number("sellable", holding.quantity.saturating_sub(holding.on_sale))
        .number(
            "average_price",
            average_price(holding.cost, holding.quantity).unwrap_or(Money::ZERO),
        )
        .optional_number("current_price", instrument.and_then(|view| view.last_price))
        .number("value", holding.cost.saturating_add(holding.unrealised))
        .number("unrealized_pnl", holding.unrealised);
}

/// What the account did today (CONTRACT.md section 2); `realized_pnl` is of the positions closed today, net of charges.
pub(super) fn stats_today(caller: &Caller, query: &Query, model: &ReadModel) -> Result<Answer, Answer> {
    let account = caller.one_account(query, model)?;
    let day = model.history().counters(account);
    let open = model.history().positions().open_count(Some(account));
    Ok(Answer::object(|body| {
        body.number("order_count", day.orders)
            .number("trade_count", day.trades)
            .number("realized_pnl", day.realised_of_closed)
            .number("position_count", open)
            .number("filled_orders", day.filled)
            .number("cancelled_orders", day.cancelled)
            .number("rejected_orders", day.rejected)
            .number("bought_value", day.bought)
            .number("sold_value", day.sold)
            .number("charges", day.charges)
            .number("closed_positions", day.closed)
            .number("winning_positions", day.closed_with_profit)
            .number(
                "order_to_trade_ratio",
                Percent::hundredths(i128::from(day.orders), i128::from(day.trades)),
            );
    }))
}
