//! `/orders`, `/orders/active`, `/orders/<id>`.

use engine::{Cause, InstrumentView, OrderId, OrderStatus, Percent, StrategyId, TimeInForce, Timestamp};
use read_model::{Order, ReadModel};

use super::answer::{Answer, optional_text};
use super::earlier::{Asked, Page, Rendered};
use super::limits::{OPEN_LIST_MAX, PAGE_SCAN_MAX};
use super::request::{Caller, Query, invalid};
use crate::wire::{BrokerOrderId, Iso8601, Object, average_price, check_fields, rejection_fields};

/// Open orders, newest first: the list that the dashboard polls.
pub(super) fn active(caller: &Caller, query: &Query, model: &ReadModel) -> Result<Answer, Answer> {
    let scope = caller.scope(query, model)?;
    Ok(Answer::object(|body| {
        let mut count = 0_usize;
        body.array("orders", |list| {
            for order in model.history().orders().active(scope).take(OPEN_LIST_MAX) {
                count += 1;
                list.object(|row| summary_fields(row, order, model));
            }
        });
        body.number("count", count);
    }))
}

/// Whether memory has the order, whosever it is.
pub(super) fn is_remembered(id: i64, model: &ReadModel) -> bool {
    remembered(id, model).is_some()
}

/// Ids below zero are of the time before Pinion.
fn remembered(id: i64, model: &ReadModel) -> Option<&Order> {
    let id = u64::try_from(id).ok()?;
    model.history().orders().order(OrderId::new(id))
}

/// One order with everything that is known about it.
pub(super) fn one(caller: &Caller, id: i64, model: &ReadModel) -> Result<Answer, Answer> {
    match remembered(id, model) {
        Some(order) if caller.may_see(order.account) => {
            Ok(Answer::object(|body| order_fields(body, order, model)))
        }
        _ => Err(unknown(id)),
    }
}

/// A number below zero was no path of the old backend's.
pub(super) fn unknown(id: i64) -> Answer {
    match id {
        ..0 => Answer::not_found(),
        _ => Answer::error(404, format_args!("Order {id} not found")),
    }
}

/// Of memory: the next orders before the cursor that match the query's filters.
pub(super) fn page(asked: &Asked<'_>, model: &ReadModel) -> Result<Page, Answer> {
    let filter = Filter::parse(asked.query)?;
    let mut page = Page::default();
    let orders = model.history().orders();
    let cursor = asked.before().map(OrderId::new);
    for (looked_at, order) in orders.newest_first(asked.scope, cursor).enumerate() {
        if page.rows.len() == asked.limit || looked_at == PAGE_SCAN_MAX {
            // The page ends before this order: the next one starts with it.
            page.end_above(order.id.get());
            break;
        }
        if filter.matches(order, model) {
            let fill = |row: &mut Object<'_>| order_fields(row, order, model);
            page.rows.push(Rendered::remembered(order.id.get(), fill));
        }
    }
    Ok(page)
}

/// `?status=`.
pub(super) fn status(query: &Query) -> Result<Option<OrderStatus>, Answer> {
    let known = |text: &str| {
        OrderStatus::ALL
            .into_iter()
            .find(|status| status.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| invalid("status", "an order status such as OPEN or FILLED"))
    };
    query.text("status").map(known).transpose()
}

/// The filters of the order history; what is not given matches everything.
struct Filter<'a> {
    status: Option<OrderStatus>,
    symbol: Option<&'a str>,
    strategy: Option<StrategyId>,
    from: Option<Timestamp>,
    /// Exclusive.
    to: Option<Timestamp>,
}

impl Filter<'_> {
    fn parse(query: &Query) -> Result<Filter<'_>, Answer> {
        let strategy = query.parsed::<u32>("strategy", "a strategy's number")?;
        Ok(Filter {
            status: status(query)?,
            symbol: query.text("symbol"),
            strategy: strategy.map(StrategyId::new),
            from: query.instant("from", false)?,
            to: query.instant("to", true)?,
        })
    }

    fn matches(&self, order: &Order, model: &ReadModel) -> bool {
        self.status.is_none_or(|status| order.status == status)
            && self.strategy.is_none_or(|strategy| order.strategy == strategy)
            && self.from.is_none_or(|from| order.created >= from)
            && self.to.is_none_or(|to| order.created < to)
            && self.symbol.is_none_or(|symbol| {
                let instrument = model.engine().instrument(order.instrument);
                instrument.is_some_and(|view| view.definition.symbol.as_str() == symbol)
            })
    }
}

/// `symbol` and `exchange`.
pub(super) fn instrument_fields(row: &mut Object<'_>, instrument: Option<InstrumentView<'_>>) {
    row.string(
        "symbol",
        instrument
            .as_ref()
            .map_or("", |view| view.definition.symbol.as_str()),
    )
    .string(
        "exchange",
        instrument
            .as_ref()
            .map_or("", |view| view.definition.exchange.as_str()),
    );
}

/// `account`: its name.
pub(super) fn account_field(row: &mut Object<'_>, account: engine::AccountId, model: &ReadModel) {
    let view = model.engine().account(account);
    row.string("account", view.as_ref().map_or("", |view| view.name.as_str()));
}

/// The row of the active list (CONTRACT.md section 2, "Order").
fn summary_fields(row: &mut Object<'_>, order: &Order, model: &ReadModel) {
    row.number("id", order.id)
        .text("broker_order_id", BrokerOrderId(order.id));
    instrument_fields(row, model.engine().instrument(order.instrument));
    row.string("side", order.side.as_str())
        .number("quantity", order.quantity)
        .optional_number("price", order.order_type.price())
        .optional_number("trigger_price", order.order_type.trigger());
    triggered_field(row, order);
    row.string("status", order.status.as_str())
        .string("order_type", order.order_type.as_str())
        .number("filled_quantity", order.filled)
        .text("created_at", Iso8601(order.created))
        .string("product", order.product.as_str())
        .string("validity", order.time_in_force.as_str());
    optional_text(row, "client_order_id", order.client_order_id.as_deref());
    account_field(row, order.account, model);
}

/// The old backend's `Order.to_dict()` (CONTRACT.md section 2), and what orders carry besides.
pub(super) fn order_fields(row: &mut Object<'_>, order: &Order, model: &ReadModel) {
    row.number("id", order.id);
    optional_text(
        row,
        "broker_order_id",
        order.submitted.map(|_| BrokerOrderId(order.id)),
    );
    row.number("strategy_id", order.strategy);
    instrument_fields(row, model.engine().instrument(order.instrument));
    row.string("side", order.side.as_str())
        .number("quantity", order.quantity)
        .string("order_type", order.order_type.as_str())
        .optional_number("price", order.order_type.price())
        .optional_number("trigger_price", order.order_type.trigger());
    triggered_field(row, order);
    row.string("product", order.product.as_str())
        .string("validity", order.time_in_force.as_str());
    risk_fields(row, order);
    row.string("status", order.status.as_str());
    optional_text(row, "status_message", order.status_message());
    row.number("filled_quantity", order.filled).optional_number(
        "average_price",
        average_price(order.notional, order.filled.shares().into()),
    );
    time_fields(row, order);
    validation_fields(row, order);
    optional_text(row, "error_message", order.rejection.as_deref());
    match &order.metadata {
        Some(json) => row.raw("metadata", json.as_bytes()),
        None => row.object("metadata", |_| ()),
    };
    let filled = Percent::of(order.filled.shares().into(), order.quantity.shares().into());
    row.boolean("is_active", order.status.is_active())
        .boolean("is_filled", order.status == OrderStatus::Filled)
        .number("fill_percentage", filled);
    optional_text(row, "client_order_id", order.client_order_id.as_deref());
    account_field(row, order.account, model);
    row.optional_number("position_id", order.position)
        .optional_number("limit_price", order.limit)
        .number("charges", order.charges)
        .number("modifications", order.modifications)
        .boolean("engine_made", order.cause.is_some());
    match order.cause {
        None => {
            row.null("cause");
        }
        Some(cause) => {
            row.object("cause", |row| cause_fields(row, cause, order));
        }
    }
}

/// `triggered`, of stop orders alone: a pending one is OPEN and not in the book.
fn triggered_field(row: &mut Object<'_>, order: &Order) {
    if let Some(triggered) = order.triggered {
        row.boolean("triggered", triggered);
    }
}

/// Why the engine placed an exit: which position, and of a condition which print reached which price.
fn cause_fields(row: &mut Object<'_>, cause: Cause, order: &Order) {
    row.string("kind", cause.as_str())
        .optional_number("position_id", order.position)
        .optional_number(
            "trigger_price",
            order.reached.map(|reached| reached.trigger_price),
        )
        .optional_number("print_price", order.reached.map(|reached| reached.print_price))
        .optional_number("trade_id", order.reached.and_then(|reached| reached.trade));
}

fn risk_fields(row: &mut Object<'_>, order: &Order) {
    let ratio = order
        .reward_and_risk()
        .map(|(reward, risk)| Percent::hundredths(reward.wide(), risk.wide()));
    row.optional_number("stop_loss", order.stop_loss)
        .optional_number("take_profit", order.take_profit)
        .optional_number("risk_amount", order.risk_amount())
        .optional_number("risk_reward_ratio", ratio);
}

fn time_fields(row: &mut Object<'_>, order: &Order) {
    row.text("created_at", Iso8601(order.created))
        .text("updated_at", Iso8601(order.updated));
    optional_text(row, "submitted_at", order.submitted.map(Iso8601));
    optional_text(row, "filled_at", order.filled_at.map(Iso8601));
    optional_text(row, "cancelled_at", order.cancelled_at.map(Iso8601));
    if let TimeInForce::Gtd(until) = order.time_in_force {
        row.text("good_till", Iso8601(until));
    }
}

/// `validation_result`, in the shape of `POST /validate-order`, and `validation_warnings`.
fn validation_fields(row: &mut Object<'_>, order: &Order) {
    row.object("validation_result", |result| {
        result.boolean("is_valid", order.rejection.is_none());
        match &order.rejection {
            Some(rejection) => {
                rejection_fields(result, rejection);
                result.array("checks", |list| {
                    for check in order.checks.iter() {
                        list.object(|line| check_fields(line, &check));
                    }
                });
            }
            None => {
                result.string("reason", "").string("failed_check", "");
            }
        }
    })
    .array("validation_warnings", |warnings| {
        for sentence in order.warnings.sentences() {
            warnings.string(sentence);
        }
    });
}
