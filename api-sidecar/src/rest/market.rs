//! `/instruments` and `/depth/<symbol>`.

use engine::{DepthLevel, InstrumentView, Side};
use read_model::ReadModel;

use super::answer::Answer;
use super::limits::{DEPTH_DEFAULT, DEPTH_MAX};
use super::orders::instrument_fields;
use super::request::Query;
use crate::wire::{Array, Iso8601, Object, average_price};

/// Every instrument with its rules and the day's statistics.
pub(super) fn instruments(model: &ReadModel) -> Answer {
    Answer::object(|body| {
        let mut count = 0_usize;
        body.array("instruments", |list| {
            for view in model.engine().instruments() {
                count += 1;
                list.object(|row| instrument_row(row, view));
            }
        });
        body.number("count", count);
    })
}

fn instrument_row(row: &mut Object<'_>, view: InstrumentView<'_>) {
    let rules = view.definition;
    instrument_fields(row, Some(view));
    let vwap = i64::try_from(view.volume)
        .ok()
        .and_then(|volume| average_price(engine::Money::from_wide(view.turnover), volume));
    row.number("tick_size", rules.tick_size)
        .number("lot_size", rules.lot_size)
        .number("freeze_quantity", rules.freeze_quantity)
        .number("reference_price", rules.reference_price)
        .number("band_low", view.band_low)
        .number("band_high", view.band_high)
        .boolean("mis_allowed", rules.mis_allowed)
        .boolean("derivatives", rules.derivatives)
        .optional_number("last_price", view.last_price)
        .optional_number("open", view.open)
        .optional_number("high", view.high)
        .optional_number("low", view.low)
        .optional_number("vwap", vwap)
        .number("volume", view.volume)
        .number("trade_count", view.trades);
}

/// The visible book, best price first on both sides.
pub(super) fn depth(symbol: &str, query: &Query, model: &ReadModel) -> Result<Answer, Answer> {
    let levels = query.count("levels", DEPTH_DEFAULT, DEPTH_MAX)?;
    let view = model
        .instrument_by_symbol(symbol, query.text("exchange"))
        .and_then(|instrument| model.engine().instrument(instrument))
        .ok_or_else(|| Answer::error(404, "Instrument not found"))?;
    let side = |side| model.engine().depth(view.instrument, side, levels);
    let (bids, asks) = (side(Side::Buy), side(Side::Sell));
    Ok(Answer::object(|body| {
        instrument_fields(body, Some(view));
        body.optional_number("last_price", view.last_price)
            .array("bids", |list| level_rows(list, &bids))
            .array("asks", |list| level_rows(list, &asks))
            .number("seq", model.seq())
            .text("timestamp", Iso8601(model.time()));
    }))
}

fn level_rows(list: &mut Array<'_>, levels: &[DepthLevel]) {
    for level in levels {
        list.object(|row| {
            row.number("price", level.price)
                .number("quantity", level.quantity)
                .number("orders", level.orders);
        });
    }
}
