//! `POST /charges`: what orders would be charged, before any of them is placed.

use engine::{Money, NewOrder, Price, RejectCode, Rejection, Side};
use read_model::{ChargeSums, ReadModel};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::Answer;
use super::explain::{charge_fields, charge_sum_fields};
use super::limits::QUOTES_MAX;
use super::orders::instrument_fields;
use super::request::Caller;
use crate::gateway::{OrderError, parse_object, parse_order};
use crate::wire::{Object, TradingDate, rejection_fields};

#[derive(Deserialize)]
struct Body<'b> {
    #[serde(borrow)]
    orders: Option<Vec<&'b RawValue>>,
}

/// An order with the price that it is quoted at.
struct Quoted {
    order: NewOrder,
    price: Price,
    value: Money,
    charges: engine::Charges,
}

/// An order as for `POST /orders`, or `{"orders": [...]}`. Each order is charged as one, filled whole at its limit, or
/// at the last price where it has none.
pub(super) fn quote(caller: &Caller, json: &[u8], model: &ReadModel) -> Result<Answer, Answer> {
    let invalid = |details: &str| {
        Answer::json(400, |body| {
            body.string("error", "Invalid order data")
                .string("details", details);
        })
    };
    let json = core::str::from_utf8(json).map_err(|_| invalid("The body is not UTF-8"))?;
    let body: Body<'_> = parse_object(json).map_err(|details| invalid(&details))?;
    let rates = model.engine().charge_rates();
    let effective_from = TradingDate(rates.effective_from);
    let Some(orders) = body.orders else {
        let quoted = quote_one(caller, json, model).map_err(|refused| refused.answer(""))?;
        return Ok(Answer::object(|row| {
            quoted_fields(row, &quoted, model);
            row.text("rates_effective_from", effective_from);
        }));
    };
    if orders.is_empty() || orders.len() > QUOTES_MAX {
        return Err(invalid(&format!("orders must hold 1 to {QUOTES_MAX} orders")));
    }
    let quoted = orders
        .iter()
        .enumerate()
        .map(|(at, order)| {
            quote_one(caller, order.get(), model)
                .map_err(|refused| refused.answer(&format!("orders[{at}]: ")))
        })
        .collect::<Result<Vec<Quoted>, Answer>>()?;
    Ok(Answer::object(|body| {
        body.array("orders", |list| {
            for quoted in &quoted {
                list.object(|row| quoted_fields(row, quoted, model));
            }
        })
        .number("count", quoted.len())
        .object("total", |row| total_fields(row, &quoted))
        .text("rates_effective_from", effective_from);
    }))
}

enum Refused {
    Invalid(String),
    UnknownSymbol(engine::Symbol),
}

impl Refused {
    /// As `POST /orders` says it; `place` names the order in a list.
    fn answer(self, place: &str) -> Answer {
        match self {
            Refused::Invalid(details) => Answer::json(400, |body| {
                body.string("error", "Invalid order data")
                    .text("details", format_args!("{place}{details}"));
            }),
            Refused::UnknownSymbol(symbol) => Answer::json(400, |body| {
                body.string("error", "Order rejected");
                rejection_fields(body, &Rejection::bare(RejectCode::UnknownInstrument));
                body.string("symbol", symbol.as_str());
            }),
        }
    }
}

fn quote_one(caller: &Caller, json: &str, model: &ReadModel) -> Result<Quoted, Refused> {
    let find = |symbol: engine::Symbol, exchange: engine::Text<10>| {
        model.instrument_by_symbol(symbol.as_str(), Some(exchange.as_str()))
    };
    let order = parse_order(json, caller.account, find, None).map_err(|error| match error {
        OrderError::Invalid(details) => Refused::Invalid(details),
        OrderError::UnknownSymbol(symbol) => Refused::UnknownSymbol(symbol),
    })?;
    let last_price = || model.engine().instrument(order.instrument)?.last_price;
    let price =
        order.order_type.price().or_else(last_price).ok_or_else(|| {
            Refused::Invalid("there is no last price to quote a market order at".to_owned())
        })?;
    let value = price.notional(order.quantity);
    Ok(Quoted {
        charges: model.engine().charges_on(value, order.side, order.product),
        order,
        price,
        value,
    })
}

fn quoted_fields(row: &mut Object<'_>, quoted: &Quoted, model: &ReadModel) {
    let order = &quoted.order;
    let source = match order.order_type.price() {
        Some(_) => "limit",
        None => "last_price",
    };
    let charged = quoted.charges.total();
    let net = match order.side {
        Side::Buy => quoted.value.saturating_add(charged),
        Side::Sell => quoted.value.saturating_sub(charged),
    };
    instrument_fields(row, model.engine().instrument(order.instrument));
    row.string("side", order.side.as_str())
        .number("quantity", order.quantity)
        .string("product", order.product.as_str())
        .string("order_type", order.order_type.as_str())
        .number("price", quoted.price)
        .string("price_source", source)
        .number("gross_value", quoted.value)
        .object("charges", |charges| charge_fields(charges, &quoted.charges))
        .number("net_value", net);
}

/// `net_cash` is what the account would have more afterwards: sales less purchases less charges.
fn total_fields(row: &mut Object<'_>, quoted: &[Quoted]) {
    let value_of = |side: Side| {
        let of_side = quoted.iter().filter(|quoted| quoted.order.side == side);
        of_side.fold(Money::ZERO, |sum, quoted| sum.saturating_add(quoted.value))
    };
    let mut sums = ChargeSums::default();
    for quoted in quoted {
        sums.add(&quoted.charges);
    }
    let (bought, sold) = (value_of(Side::Buy), value_of(Side::Sell));
    row.number("bought_value", bought)
        .number("sold_value", sold)
        .object("charges", |charges| charge_sum_fields(charges, &sums))
        .number(
            "net_cash",
            sold.saturating_sub(bought).saturating_sub(sums.total()),
        );
}
