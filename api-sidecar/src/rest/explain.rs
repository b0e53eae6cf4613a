//! `/positions/<id>/explain`: the fills behind a position, and the arithmetic behind each of its numbers.

use engine::{Charges, Money, PositionId, PositionView, Trailing};
use read_model::{ChargeSums, Effect, Explanation, FillRecord, ReadModel, Running, Start};

use super::answer::Answer;
use super::limits::{PAGE_DEFAULT, PAGE_MAX};
use super::positions::{position_fields, visible};
use super::request::{Caller, Query, invalid};
use crate::wire::{Array, Iso8601, Object, average_price, net_pnl};

/// A fill with what it did and what the position was afterwards.
struct Step<'a> {
    number: usize,
    fill: &'a FillRecord,
    effect: Effect,
    after: Running,
}

/// The last `limit` fills of today before the `cursor`-th, oldest first, and what they add up to.
pub(super) fn explain(caller: &Caller, id: u64, query: &Query, model: &ReadModel) -> Result<Answer, Answer> {
    let limit = query.count("limit", PAGE_DEFAULT, PAGE_MAX)?;
    let cursor = query
        .cursor()?
        .map(|cursor| {
            usize::try_from(cursor).map_err(|_| invalid("cursor", "the next_cursor of a previous page"))
        })
        .transpose()?;
    let view = visible(caller, id, model)?;
    let explanation = explanation_of(view.position, model);
    let steps = steps(&explanation);
    let end = cursor.map_or(steps.len(), |cursor| steps.len().min(cursor.saturating_sub(1)));
    let first = end.saturating_sub(limit);
    let before = match first.checked_sub(1).and_then(|last| steps.get(last)) {
        Some(step) => step.after,
        None => explanation.base,
    };
    Ok(Answer::object(|body| {
        body.object("position", |row| position_fields(row, &view, model))
            .object("start", |start| start_fields(start, &explanation))
            .object("before", |row| running_fields(row, &before))
            .array("fills", |list| {
                for step in steps.get(first..end).unwrap_or_default() {
                    list.object(|row| step_fields(row, step));
                }
            })
            .number("count", end.saturating_sub(first))
            .optional_number("next_cursor", (first > 0).then(|| first.saturating_add(1)))
            .array("arithmetic", |list| {
                arithmetic(list, &view, &explanation.end, model);
            });
    }))
}

/// A position key that was never filled has no story: it is flat.
fn explanation_of(position: PositionId, model: &ReadModel) -> Explanation<'_> {
    let flat = || Explanation {
        start: Start::Flat,
        since: model.time(),
        base: Running::default(),
        end: Running::default(),
        fills: Vec::new(),
    };
    model.history().explanation(position).unwrap_or_else(flat)
}

fn steps<'a>(explanation: &Explanation<'a>) -> Vec<Step<'a>> {
    let mut running = explanation.base;
    let fills = explanation.fills.iter().copied().zip(1_usize..);
    let step = |(fill, number): (&'a FillRecord, usize)| {
        let effect = running.take(fill.side, fill.quantity, fill.price, &fill.charges);
        Step {
            number,
            fill,
            effect,
            after: running,
        }
    };
    fills.map(step).collect()
}

fn start_fields(start: &mut Object<'_>, explanation: &Explanation<'_>) {
    let reason = match explanation.start {
        Start::Flat => "flat: every fill of the position is below",
        Start::DayBegan => "carried in: fills of earlier days are in the table trades",
        Start::FillsForgotten => "older fills of today are in the table trades",
    };
    start
        .string("reason", reason)
        .text("at", Iso8601(explanation.since));
    running_fields(start, &explanation.base);
}

fn step_fields(row: &mut Object<'_>, step: &Step<'_>) {
    let Step {
        number,
        fill,
        effect,
        after,
    } = step;
    row.number("number", number)
        .number("trade_id", fill.trade)
        .number("order_id", fill.order)
        .text("executed_at", Iso8601(fill.executed))
        .string("side", fill.side.as_str())
        .number("quantity", fill.quantity)
        .number("price", fill.price)
        .number("gross_value", fill.gross())
        .object("charges", |charges| charge_fields(charges, &fill.charges))
        .number("closed_quantity", effect.closed)
        .number("opened_quantity", effect.opened)
        .number("released_cost", effect.released_cost)
        .number("realized", effect.realised);
    match &effect.ended {
        // What was closed bears the fill's charges, also where the fill went on to open the other side.
        Some(ended) => row.object("ended", |row| running_fields(row, ended)),
        None => row.null("ended"),
    };
    row.object("after", |row| running_fields(row, after));
}

/// The six charges in rupees and their total, under the names of the table `trades`.
pub(super) fn charge_fields(row: &mut Object<'_>, charges: &Charges) {
    let mut sums = ChargeSums::default();
    sums.add(charges);
    charge_sum_fields(row, &sums);
}

pub(super) fn charge_sum_fields(row: &mut Object<'_>, sums: &ChargeSums) {
    row.number("brokerage", sums.brokerage)
        .number("stt", sums.stt)
        .number("exchange_txn_charge", sums.exchange)
        .number("gst", sums.gst)
        .number("stamp_duty", sums.stamp_duty)
        .number("sebi_charges", sums.sebi)
        .number("total_charges", sums.total());
}

fn running_fields(row: &mut Object<'_>, running: &Running) {
    row.number("quantity", running.quantity)
        .number("cost", running.cost)
        .number("average_price", average_of(running))
        .number("realized", running.realised)
        .object("charges", |charges| charge_sum_fields(charges, &running.charges))
        .number("realized_pnl", net_pnl(running.realised, running.charges.total()));
}

fn average_of(running: &Running) -> Money {
    average_price(running.cost, running.quantity).unwrap_or(Money::ZERO)
}

/// Each number of the position as a formula over numbers that are in this answer.
fn arithmetic(list: &mut Array<'_>, view: &PositionView, end: &Running, model: &ReadModel) {
    let mark = model
        .engine()
        .instrument(view.instrument)
        .and_then(|instrument| instrument.last_price)
        .map_or(Money::ZERO, |price| price.money());
    let value = Money::from_wide(mark.wide() * i128::from(end.quantity));
    let unrealised = match end.quantity {
        0 => Money::ZERO,
        _ => value.saturating_sub(end.cost),
    };
    let charges = end.charges.total();
    let realised = net_pnl(end.realised, charges);
    let mut line = |name: &str, value: Money, formula: &str, terms: &[(&str, Money)]| {
        list.object(|row| {
            row.string("name", name)
                .number("value", value)
                .string("formula", formula)
                .object("terms", |row| {
                    row.number("quantity", end.quantity);
                    for (name, term) in terms {
                        row.number(name, term);
                    }
                });
        });
    };
    line(
        "average_price",
        average_of(end),
        "cost / quantity, to the nearest paisa; 0 where flat",
        &[("cost", end.cost)],
    );
    line(
        "charges",
        charges,
        "sum of the charges of the fills since the position was last flat",
        &[],
    );
    line(
        "realized_pnl",
        realised,
        "realized - charges",
        &[("realized", end.realised), ("charges", charges)],
    );
    line(
        "unrealized_pnl",
        unrealised,
        "quantity x current_price - cost",
        &[("current_price", mark), ("cost", end.cost)],
    );
    line(
        "total_pnl",
        realised.saturating_add(unrealised),
        "realized_pnl + unrealized_pnl",
        &[("realized_pnl", realised), ("unrealized_pnl", unrealised)],
    );
    if let (Some(trailing), Some(stop), Some(best)) = (view.trailing, view.trailing_stop, view.trailing_from)
    {
        let (stop, best) = (stop.money(), best.money());
        let (formula, distance) = match (trailing, view.quantity > 0) {
            (Trailing::Distance(_), true) => ("best_price - distance", best.saturating_sub(stop)),
            (Trailing::Distance(_), false) => ("best_price + distance", stop.saturating_sub(best)),
            (Trailing::Percent(_), true) => (
                "best_price - distance, which is that share of it, down to the paisa and not below one",
                best.saturating_sub(stop),
            ),
            (Trailing::Percent(_), false) => (
                "best_price + distance, which is that share of it, down to the paisa and not below one",
                stop.saturating_sub(best),
            ),
        };
        let terms = [("best_price", best), ("distance", distance)];
        line("trailing_stop", stop, formula, &terms);
    }
}
