//! `/trades`: today's fills.

use engine::{AccountId, Money, OrderId, Side, StrategyId};
use read_model::{FillRecord, ReadModel};

use super::answer::Answer;
use super::limits::{PAGE_DEFAULT, PAGE_MAX, PAGE_SCAN_MAX};
use super::orders::{account_field, instrument_fields};
use super::positions::has_symbol;
use super::request::{Caller, Query};
use crate::wire::{BrokerOrderId, Iso8601, Object};

/// Fills, newest first, filtered by symbol, strategy, order and time, paged by number.
pub(super) fn list(caller: &Caller, query: &Query, model: &ReadModel) -> Result<Answer, Answer> {
    let scope = caller.scope(query, model)?;
    let limit = query.count("limit", PAGE_DEFAULT, PAGE_MAX)?;
    let cursor = query.parsed::<u64>("cursor", "the next_cursor of a previous page")?;
    let (rows, next_cursor) = page(query, scope, model, cursor, limit)?;
    Ok(Answer::object(|body| {
        body.array("trades", |list| {
            for fill in &rows {
                list.object(|row| trade_fields(row, fill, model));
            }
        })
        .number("count", rows.len())
        .optional_number("next_cursor", next_cursor);
    }))
}

/// The next `limit` fills before `cursor` that match the query's filters, and the cursor of those after them.
pub(super) fn page<'m>(
    query: &Query,
    scope: Option<AccountId>,
    model: &'m ReadModel,
    cursor: Option<u64>,
    limit: usize,
) -> Result<(Vec<&'m FillRecord>, Option<u64>), Answer> {
    let symbol = query.text("symbol");
    let strategy = query
        .parsed::<u32>("strategy", "a strategy's number")?
        .map(StrategyId::new);
    let order = query
        .parsed::<u64>("order", "an order's number")?
        .map(OrderId::new);
    let (from, to) = (query.instant("from", false)?, query.instant("to", true)?);
    let matches = |fill: &FillRecord| {
        strategy.is_none_or(|strategy| fill.strategy == strategy)
            && order.is_none_or(|order| fill.order == order)
            && from.is_none_or(|from| fill.executed >= from)
            && to.is_none_or(|to| fill.executed < to)
            && symbol.is_none_or(|symbol| has_symbol(model.engine().instrument(fill.instrument), symbol))
    };

    let mut rows = Vec::new();
    let mut next_cursor = None;
    for (looked_at, (number, fill)) in model.history().fills_newest_first(scope, cursor).enumerate() {
        if rows.len() == limit || looked_at == PAGE_SCAN_MAX {
            next_cursor = Some(number.saturating_add(1));
            break;
        }
        if matches(fill) {
            rows.push(fill);
        }
    }
    Ok((rows, next_cursor))
}

/// A row of `trades` (CONTRACT.md section 6).
pub(super) fn trade_fields(row: &mut Object<'_>, fill: &FillRecord, model: &ReadModel) {
    // Each trade has two sides; the table's key tells them apart.
    let side_mark = match fill.side {
        Side::Buy => 'B',
        Side::Sell => 'S',
    };
    row.number("id", fill.trade)
        .text(
            "broker_trade_id",
            format_args!("PIN{:010}{side_mark}", fill.trade.get()),
        )
        .number("order_id", fill.order)
        .text("broker_order_id", BrokerOrderId(fill.order))
        .number("position_id", fill.position)
        .number("strategy_id", fill.strategy);
    instrument_fields(row, model.engine().instrument(fill.instrument));
    let charges = &fill.charges;
    let paise = |component: u32| Money::from_paise(i64::from(component));
    row.string("side", fill.side.as_str())
        .string("product", fill.product.as_str())
        .number("quantity", fill.quantity)
        .number("price", fill.price)
        .number("brokerage", paise(charges.brokerage))
        .number("stt", paise(charges.stt))
        .number("exchange_txn_charge", paise(charges.exchange))
        .number("gst", paise(charges.gst))
        .number("stamp_duty", paise(charges.stamp_duty))
        .number("sebi_charges", paise(charges.sebi))
        .number("total_charges", charges.total())
        .number("gross_value", fill.gross())
        .number("net_value", fill.net())
        .text("executed_at", Iso8601(fill.executed));
    account_field(row, fill.account, model);
}
