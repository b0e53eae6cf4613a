//! `/trades`: fills.

use engine::{Money, OrderId, Side, StrategyId};
use read_model::{FillRecord, ReadModel};

use super::answer::Answer;
use super::earlier::{Asked, Page, Rendered};
use super::limits::PAGE_SCAN_MAX;
use super::orders::{account_field, instrument_fields};
use super::positions::has_symbol;
use crate::wire::{BrokerOrderId, Iso8601, Object};

/// Of memory: the next fills before the cursor that match the query's filters.
pub(super) fn page(asked: &Asked<'_>, model: &ReadModel) -> Result<Page, Answer> {
    let query = asked.query;
    let symbol = query.text("symbol");
    let strategy = query
        .parsed::<u32>("strategy", "a strategy's number")?
        .map(StrategyId::new);
    let order = query
        .integer("order", "an order's number")?
        // Those before Pinion have ids below zero, and no fills in memory.
        .map(|order| OrderId::new(u64::try_from(order).unwrap_or_default()));
    let (from, to) = (query.instant("from", false)?, query.instant("to", true)?);
    let matches = |fill: &FillRecord| {
        strategy.is_none_or(|strategy| fill.strategy == strategy)
            && order.is_none_or(|order| fill.order == order)
            && from.is_none_or(|from| fill.executed >= from)
            && to.is_none_or(|to| fill.executed < to)
            && symbol.is_none_or(|symbol| has_symbol(model.engine().instrument(fill.instrument), symbol))
    };
    let mut page = Page::default();
    let fills = model.history().fills_newest_first(asked.scope, asked.before());
    for (looked_at, (key, fill)) in fills.enumerate() {
        if page.rows.len() == asked.limit || looked_at == PAGE_SCAN_MAX {
            page.end_above(key);
            break;
        }
        if matches(fill) {
            page.rows
                .push(Rendered::remembered(key, |row| trade_fields(row, fill, model)));
        }
    }
    Ok(page)
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
