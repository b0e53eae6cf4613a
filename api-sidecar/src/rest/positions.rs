//! `/positions` and `/positions/<id>`.

use engine::{InstrumentView, Money, PositionId, PositionView, StrategyId};
use read_model::{ClosedPosition, ReadModel};

use super::answer::{Answer, optional_text};
use super::earlier::{Asked, Page, Rendered};
use super::limits::{OPEN_LIST_MAX, PAGE_DEFAULT, PAGE_MAX, PAGE_SCAN_MAX};
use super::orders::{account_field, instrument_fields};
use super::request::{Caller, Query};
use crate::wire::{Iso8601, Object, average_price, net_pnl, trailing_fields};

/// Open positions, newest first.
pub(super) fn list(caller: &Caller, query: &Query, model: &ReadModel) -> Result<Answer, Answer> {
    let scope = caller.scope(query, model)?;
    let (symbol, strategy) = asked_for(query)?;
    let open = model.history().positions().open_newest_first(scope);
    let matches = |view: &PositionView| {
        strategy.is_none_or(|strategy| view.strategy == strategy)
            && symbol.is_none_or(|symbol| has_symbol(model.engine().instrument(view.instrument), symbol))
    };
    let views = open
        .iter()
        .filter_map(|position| model.engine().position(position.position))
        .filter(matches);
    Ok(Answer::object(|body| {
        let mut count = 0_usize;
        body.array("positions", |list| {
            for view in views.take(OPEN_LIST_MAX) {
                count += 1;
                list.object(|row| position_fields(row, &view, model));
            }
        });
        body.number("count", count);
    }))
}

/// The symbol and the strategy that the query names. What only pages of closed positions use has to be sound all the
/// same.
fn asked_for(query: &Query) -> Result<(Option<&str>, Option<StrategyId>), Answer> {
    query.count("limit", PAGE_DEFAULT, PAGE_MAX)?;
    query.cursor()?;
    query.instant("from", false)?;
    query.instant("to", true)?;
    let strategy = query.parsed::<u32>("strategy", "a strategy's number")?;
    Ok((query.text("symbol"), strategy.map(StrategyId::new)))
}

/// One position, open or flat.
pub(super) fn one(caller: &Caller, id: u64, model: &ReadModel) -> Result<Answer, Answer> {
    let view = visible(caller, id, model)?;
    Ok(Answer::object(|body| position_fields(body, &view, model)))
}

/// The position of that id, where the caller may see it.
pub(super) fn visible(caller: &Caller, id: u64, model: &ReadModel) -> Result<PositionView, Answer> {
    u32::try_from(id)
        .ok()
        .and_then(|id| model.engine().position(PositionId::new(id)))
        .filter(|view| caller.may_see(view.account) && model.engine().is_trader(view.account))
        .ok_or_else(|| Answer::error(404, format_args!("Position {id} not found")))
}

/// CONTRACT.md section 2, "Position", and what positions carry besides.
pub(super) fn position_fields(row: &mut Object<'_>, view: &PositionView, model: &ReadModel) {
    let instrument = model.engine().instrument(view.instrument);
    let open = model.history().positions().open_position(view.position);
    row.number("id", view.position);
    instrument_fields(row, instrument);
    row.number("quantity", view.quantity)
        .number(
            "average_price",
            average_price(view.cost, view.quantity).unwrap_or(Money::ZERO),
        )
        .optional_number("current_price", instrument.and_then(|view| view.last_price));
    let realised = net_pnl(view.realised, view.charges);
    pnl_fields(row, realised, view.unrealised, view.charges);
    row.optional_number("stop_loss", view.stop_loss)
        .optional_number("take_profit", view.take_profit);
    trailing_fields(row, view.trailing, view.trailing_stop);
    row.boolean("is_long", view.quantity > 0)
        .boolean("is_short", view.quantity < 0);
    optional_text(row, "entry_time", open.map(|open| Iso8601(open.opened)));
    optional_text(row, "updated_at", open.map(|open| Iso8601(open.updated)));
    row.null("closed_at")
        .string("product", view.product.as_str())
        .number("strategy_id", view.strategy);
    account_field(row, view.account, model);
}

fn pnl_fields(row: &mut Object<'_>, realised_net: Money, unrealised: Money, charges: Money) {
    row.number("unrealized_pnl", unrealised)
        .number("realized_pnl", realised_net)
        .number("total_pnl", realised_net.saturating_add(unrealised))
        .number("charges", charges);
}

/// Of memory: the next closed positions before the cursor that match the query.
pub(super) fn closed_page(asked: &Asked<'_>, model: &ReadModel) -> Result<Page, Answer> {
    let query = asked.query;
    let (symbol, strategy) = asked_for(query)?;
    let (from, to) = (query.instant("from", false)?, query.instant("to", true)?);
    let mut page = Page::default();
    let positions = model.history().positions();
    for (looked_at, (number, closed)) in positions
        .closed_newest_first(asked.scope, asked.before())
        .enumerate()
    {
        if page.rows.len() == asked.limit || looked_at == PAGE_SCAN_MAX {
            page.end_above(number);
            break;
        }
        let instrument = model.engine().instrument(closed.instrument);
        let matches = symbol.is_none_or(|symbol| has_symbol(instrument, symbol))
            && strategy.is_none_or(|strategy| closed.strategy == strategy)
            && from.is_none_or(|from| closed.closed >= from)
            && to.is_none_or(|to| closed.closed < to);
        if matches {
            let fill = |row: &mut Object<'_>| closed_fields(row, closed, instrument, model);
            page.rows.push(Rendered::remembered(number, fill));
        }
    }
    Ok(page)
}

pub(super) fn has_symbol(instrument: Option<InstrumentView<'_>>, symbol: &str) -> bool {
    instrument.is_some_and(|view| view.definition.symbol.as_str() == symbol)
}

/// The shape of an open position, with nothing open.
pub(super) fn closed_fields(
    row: &mut Object<'_>,
    closed: &ClosedPosition,
    instrument: Option<InstrumentView<'_>>,
    model: &ReadModel,
) {
    row.number("id", closed.position);
    instrument_fields(row, instrument);
    row.number("quantity", 0)
        .number("average_price", Money::ZERO)
        .optional_number("current_price", instrument.and_then(|view| view.last_price));
    pnl_fields(row, closed.net(), Money::ZERO, closed.charges);
    row.optional_number("stop_loss", closed.stop_loss)
        .optional_number("take_profit", closed.take_profit);
    trailing_fields(row, None, None);
    row.boolean("is_long", false)
        .boolean("is_short", false)
        .boolean("was_long", closed.was_long)
        .text("entry_time", Iso8601(closed.opened))
        .text("updated_at", Iso8601(closed.closed))
        .text("closed_at", Iso8601(closed.closed))
        .string("product", closed.product.as_str())
        .number("strategy_id", closed.strategy);
    account_field(row, closed.account, model);
}
