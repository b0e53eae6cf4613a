//! The body of a new order (CONTRACT.md section 2, Order body), parsed into the engine's command.

use engine::limits::{CLIENT_ORDER_ID_LEN_MAX, METADATA_LEN_MAX};
use engine::{
    AccountId, ClientOrderId, InstrumentId, NewOrder, OrderType, Product, Side, StrategyId, Symbol, Text,
    TimeInForce, Timestamp,
};
use serde::Deserialize;
use serde_json::Value;

use super::directory::Directory;
use super::fields::{self, Invalid, Raw};
use crate::limits::METADATA_DEPTH_MAX;
use crate::wire::{parse_date, parse_iso8601};

/// The fields as they stand. Others are ignored, as the old backend did; a field given twice is an error.
#[derive(Debug, Deserialize)]
struct Body<'b> {
    #[serde(borrow)]
    symbol: Raw<'b>,
    exchange: Raw<'b>,
    side: Raw<'b>,
    quantity: Raw<'b>,
    order_type: Raw<'b>,
    price: Raw<'b>,
    trigger_price: Raw<'b>,
    product: Raw<'b>,
    validity: Raw<'b>,
    good_till: Raw<'b>,
    strategy_id: Raw<'b>,
    stop_loss: Raw<'b>,
    take_profit: Raw<'b>,
    post_only: Raw<'b>,
    disclosed_quantity: Raw<'b>,
    min_quantity: Raw<'b>,
    client_order_id: Raw<'b>,
    metadata: Raw<'b>,
}

/// Why a body gives no command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum OrderError {
    /// 400 invalid.
    Invalid(Invalid),
    /// 400 rejected, check `unknown_symbol`: well-formed, but there is no such instrument to record it under.
    UnknownSymbol(Symbol),
}

impl From<Invalid> for OrderError {
    fn from(invalid: Invalid) -> OrderError {
        OrderError::Invalid(invalid)
    }
}

#[derive(Clone, Copy)]
enum Type {
    Market,
    Limit,
    Stop,
    StopMarket,
}

#[derive(Clone, Copy)]
enum Validity {
    Day,
    Ioc,
    Fok,
    Gtd,
}

/// `find` looks an instrument up by symbol and exchange. `idempotency_key` is the header of that name; a
/// `client_order_id` in the body wins.
pub(crate) fn parse_order(
    json: &str,
    account: AccountId,
    find: impl Fn(Symbol, Text<10>) -> Option<InstrumentId>,
    idempotency_key: Option<&str>,
) -> Result<NewOrder, OrderError> {
    let body: Body<'_> = parse_object(json)?;
    let symbol = parse_symbol(body.symbol)?.ok_or_else(|| "symbol is required".to_owned())?;
    let side = fields::word(
        "side",
        "OrderSide",
        body.side,
        &[("BUY", Side::Buy), ("SELL", Side::Sell)],
    )?
    .ok_or_else(|| "side is required".to_owned())?;
    let quantity = fields::quantity("quantity", body.quantity)?;
    let order_type = parse_order_type(&body)?;
    let product = fields::word(
        "product",
        "ProductType",
        body.product,
        &[("MIS", Product::Mis), ("CNC", Product::Cnc)],
    )?;
    let order = NewOrder {
        account,
        strategy: parse_strategy(body.strategy_id)?.unwrap_or(StrategyId::new(1)),
        // Found last, so that a malformed order is never answered as one for an unknown symbol.
        instrument: InstrumentId::default(),
        side,
        product: product.unwrap_or(Product::Mis),
        order_type,
        time_in_force: parse_time_in_force(&body)?,
        quantity,
        post_only: fields::boolean("post_only", body.post_only)?.unwrap_or(false),
        disclosed: fields::optional_quantity("disclosed_quantity", body.disclosed_quantity)?,
        minimum: fields::optional_quantity("min_quantity", body.min_quantity)?,
        stop_loss: fields::optional_price("stop_loss", body.stop_loss)?,
        take_profit: fields::optional_price("take_profit", body.take_profit)?,
        client_order_id: parse_client_order_id(body.client_order_id, idempotency_key)?,
        metadata: parse_metadata(body.metadata)?,
    };
    let instrument = find_instrument(find, symbol, body.exchange)?;
    Ok(NewOrder { instrument, ..order })
}

/// Any object of borrowed fields. Arrays, which serde would take for a struct, are refused.
pub(crate) fn parse_object<'b, T: Deserialize<'b>>(json: &'b str) -> Result<T, Invalid> {
    if !json.trim_start().starts_with('{') {
        return Err("The body must be a JSON object".to_owned());
    }
    serde_json::from_str(json).map_err(|error| format!("The body is not valid JSON: {error}"))
}

/// `Ok(None)` where it is absent.
pub(crate) fn parse_symbol(raw: Raw<'_>) -> Result<Option<Symbol>, Invalid> {
    let Some(text) = fields::string("symbol", raw)? else {
        return Ok(None);
    };
    Symbol::parse(&text)
        .map(Some)
        .ok_or_else(|| "symbol must be 1 to 20 characters of A-Z, 0-9, &, _ and -".to_owned())
}

/// 1 and up. `Ok(None)` where it is absent.
pub(crate) fn parse_strategy(raw: Raw<'_>) -> Result<Option<StrategyId>, Invalid> {
    let Some(number) = fields::integer("strategy_id", raw)? else {
        return Ok(None);
    };
    u32::try_from(number)
        .ok()
        .filter(|&number| number > 0)
        .map(|number| Some(StrategyId::new(number)))
        .ok_or_else(|| "strategy_id is out of range".to_owned())
}

/// Looks instruments up among those that the gateway knows.
pub(crate) fn by_name(directory: &Directory) -> impl Fn(Symbol, Text<10>) -> Option<InstrumentId> + '_ {
    |symbol, exchange| directory.instrument(symbol, exchange)
}

/// The instrument of a symbol; `exchange` is NSE where it is absent.
pub(crate) fn find_instrument(
    find: impl Fn(Symbol, Text<10>) -> Option<InstrumentId>,
    symbol: Symbol,
    exchange: Raw<'_>,
) -> Result<InstrumentId, OrderError> {
    let exchange = fields::string("exchange", exchange)?;
    Text::new(exchange.as_deref().unwrap_or("NSE"))
        .and_then(|exchange| find(symbol, exchange))
        .ok_or(OrderError::UnknownSymbol(symbol))
}

/// An order's id as its sender chose it. `Ok(None)` where it is absent.
pub(crate) fn parse_own_id(raw: Raw<'_>) -> Result<Option<ClientOrderId>, Invalid> {
    let text = fields::short_string("client_order_id", raw, CLIENT_ORDER_ID_LEN_MAX)?;
    Ok(text.and_then(|text| ClientOrderId::new(&text)))
}

fn parse_order_type(body: &Body<'_>) -> Result<OrderType, Invalid> {
    let words = [
        ("LIMIT", Type::Limit),
        ("MARKET", Type::Market),
        ("SL", Type::Stop),
        ("SL-M", Type::StopMarket),
    ];
    let order_type = fields::word("order_type", "OrderType", body.order_type, &words)?.unwrap_or(Type::Limit);
    let price = fields::optional_price("price", body.price)?;
    let trigger = fields::optional_price("trigger_price", body.trigger_price)?;
    match (order_type, price, trigger) {
        (Type::Market, _, None) => Ok(OrderType::Market),
        (Type::Limit, Some(price), None) => Ok(OrderType::Limit(price)),
        (Type::Limit, None, _) => Err("LIMIT orders require price".to_owned()),
        (Type::Stop, Some(limit), Some(trigger)) => Ok(OrderType::Stop { limit, trigger }),
        (Type::Stop, None, _) => Err("SL orders require price".to_owned()),
        (Type::Stop, _, None) => Err("SL orders require trigger_price".to_owned()),
        (Type::StopMarket, _, Some(trigger)) => Ok(OrderType::StopMarket { trigger }),
        (Type::StopMarket, _, None) => Err("SL-M orders require trigger_price".to_owned()),
        (Type::Market | Type::Limit, _, Some(_)) => {
            Err("trigger_price needs order_type SL or SL-M".to_owned())
        }
    }
}

fn parse_time_in_force(body: &Body<'_>) -> Result<TimeInForce, Invalid> {
    let words = [
        ("DAY", Validity::Day),
        ("IOC", Validity::Ioc),
        ("FOK", Validity::Fok),
        ("GTD", Validity::Gtd),
    ];
    let validity = fields::word("validity", "Validity", body.validity, &words)?.unwrap_or(Validity::Day);
    let good_till = fields::string("good_till", body.good_till)?;
    match (validity, good_till) {
        (Validity::Gtd, Some(text)) => parse_iso8601(&text)
            .or_else(|| parse_date(&text).map(|day| Timestamp::start_of_trading_day(day.saturating_add(1))))
            .map(TimeInForce::Gtd)
            .ok_or_else(|| {
                "good_till must be an ISO 8601 instant such as 2026-08-03T09:15:00Z, or a date, which means its end in India"
                    .to_owned()
            }),
        (Validity::Gtd, None) => Err("GTD orders require good_till".to_owned()),
        (_, Some(_)) => Err("good_till needs validity GTD".to_owned()),
        (Validity::Day, None) => Ok(TimeInForce::Day),
        (Validity::Ioc, None) => Ok(TimeInForce::Ioc),
        (Validity::Fok, None) => Ok(TimeInForce::Fok),
    }
}

fn parse_client_order_id(raw: Raw<'_>, idempotency_key: Option<&str>) -> Result<ClientOrderId, Invalid> {
    match (parse_own_id(raw)?, idempotency_key) {
        (Some(id), _) => Ok(id),
        (None, Some(key)) => ClientOrderId::new(key)
            .ok_or_else(|| format!("Idempotency-Key is longer than {CLIENT_ORDER_ID_LEN_MAX} bytes")),
        (None, None) => Ok(ClientOrderId::EMPTY),
    }
}

/// The JSON text of an object, with its keys in order and no white space: the same order under the same id stays the
/// same, however its sender writes it. Empty ones are not kept. What others could not read
/// back is refused: half a surrogate pair, deep nesting, and the NUL character, which PostgreSQL's jsonb has no room for.
fn parse_metadata(raw: Raw<'_>) -> Result<Option<Box<str>>, Invalid> {
    let Some(text) = raw.map(|raw| raw.get().trim()) else {
        return Ok(None);
    };
    let Some(inside) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        return Err("metadata must be an object".to_owned());
    };
    if inside.trim().is_empty() {
        return Ok(None);
    }
    if text.len() > METADATA_LEN_MAX {
        return Err(format!("metadata is longer than {METADATA_LEN_MAX} bytes"));
    }
    let mut value: Value =
        serde_json::from_str(text).map_err(|error| format!("metadata is not valid JSON: {error}"))?;
    if holds_nul(&value) {
        return Err("metadata contains a NUL character".to_owned());
    }
    if !numbers_are_doubles(&value) {
        return Err("metadata holds a number that is out of range".to_owned());
    }
    if depth(&value) > METADATA_DEPTH_MAX {
        return Err(format!(
            "metadata is nested deeper than {METADATA_DEPTH_MAX} levels"
        ));
    }
    value.sort_all_objects();
    Ok(Some(value.to_string().into()))
}

/// Whether every number is in the range of a double, as other readers have it: PostgreSQL's jsonb refuses 1e200000 and
/// 1e-20000, and JavaScript reads 1e999 as infinity.
fn numbers_are_doubles(value: &Value) -> bool {
    match value {
        Value::Number(number) => {
            let text = number.to_string();
            let zero = !text
                .split(['e', 'E'])
                .next()
                .unwrap_or_default()
                .contains(|c: char| ('1'..='9').contains(&c));
            let exponent = text
                .split(['e', 'E'])
                .nth(1)
                .map_or(Some(0), |digits| digits.parse::<i32>().ok());
            let sound = exponent.is_some_and(|exponent| exponent.unsigned_abs() <= 308);
            sound
                && text
                    .parse::<f64>()
                    .is_ok_and(|double| double.is_finite() && (zero || double != 0.0))
        }
        Value::Array(values) => values.iter().all(numbers_are_doubles),
        Value::Object(fields) => fields.values().all(numbers_are_doubles),
        _ => true,
    }
}

/// 1 for an object of scalars. Bounded by the parser that made the value.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// The depth is bounded by the parser that made the value.
fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(holds_nul),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| name.contains('\0') || holds_nul(value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{Price, Quantity};

    fn parse(json: &str, key: Option<&str>) -> Result<NewOrder, OrderError> {
        let mut directory = Directory::default();
        directory.add_instrument(InstrumentId::new(4), Text::cut("RELIANCE"), Text::cut("NSE"));
        parse_order(json, AccountId::new(2), by_name(&directory), key)
    }

    fn price(rupees: &str) -> Price {
        rupees.parse().unwrap()
    }

    #[test]
    fn the_sample_order_is_understood() {
        let order = parse(
            r#"{"symbol":"RELIANCE","side":"buy","quantity":"10","order_type":"limit","price":"2450.00",
                "product":"cnc","validity":"ioc","strategy_id":3,"stop_loss":2430,"take_profit":2491.0,
                "client_order_id":"a-1","metadata":{"note":"x"},"unknown":[1,{}],"post_only":false,
                "disclosed_quantity":5,"min_quantity":null}"#,
            Some("ignored"),
        );
        let expected = NewOrder {
            account: AccountId::new(2),
            strategy: StrategyId::new(3),
            instrument: InstrumentId::new(4),
            side: Side::Buy,
            product: Product::Cnc,
            order_type: OrderType::Limit(price("2450")),
            time_in_force: TimeInForce::Ioc,
            quantity: Quantity::clamped(10),
            post_only: false,
            disclosed: Some(Quantity::clamped(5)),
            minimum: None,
            stop_loss: Some(price("2430")),
            take_profit: Some(price("2491")),
            client_order_id: ClientOrderId::cut("a-1"),
            metadata: Some(r#"{"note":"x"}"#.into()),
        };
        assert_eq!(order, Ok(expected));
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let order = parse(
            r#"{"symbol":"RELIANCE","side":"SELL","quantity":1,"price":1,"metadata":{ }}"#,
            Some("k"),
        );
        let order = order.unwrap();
        assert_eq!(order.product, Product::Mis);
        assert_eq!(order.time_in_force, TimeInForce::Day);
        assert_eq!(order.strategy, StrategyId::new(1));
        assert_eq!(order.client_order_id, ClientOrderId::cut("k"));
        assert_eq!(
            (order.stop_loss, order.take_profit, order.metadata),
            (None, None, None)
        );
    }

    #[test]
    fn good_till_a_date_is_until_its_end_in_india() {
        let until = |good_till: &str| {
            let json = format!(
                r#"{{"symbol":"RELIANCE","side":"BUY","quantity":1,"price":1,"validity":"GTD","good_till":"{good_till}"}}"#
            );
            parse(&json, None).map(|order| order.time_in_force)
        };
        assert!(matches!(until("2026-08-05"), Ok(TimeInForce::Gtd(_))));
        assert_eq!(until("2026-08-05"), until("2026-08-05T18:30:00Z"));
        assert_eq!(until("2026-08-05"), until("2026-08-06T00:00:00+05:30"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let base = r#""symbol":"RELIANCE","side":"BUY","quantity":1,"price":2450"#;
        let with = |extra: &str| format!("{{{base},{extra}}}");
        let long = "x".repeat(METADATA_LEN_MAX);
        let nested = |depth: usize| {
            let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
            format!(r#""metadata":{{"a":{open}{close}}}"#)
        };
        assert!(
            parse(
                &format!(
                    r#"{{"symbol":"RELIANCE","side":"BUY","quantity":1,"price":1,{}}}"#,
                    nested(METADATA_DEPTH_MAX)
                ),
                None
            )
            .is_ok()
        );
        for (json, details) in [
            (String::new(), "The body must be a JSON object"),
            ("[]".to_owned(), "The body must be a JSON object"),
            ("{}".to_owned(), "symbol is required"),
            (
                r#"{"symbol":"reliance"}"#.to_owned(),
                "symbol must be 1 to 20 characters of A-Z, 0-9, &, _ and -",
            ),
            (
                r#"{"symbol":"A'B"}"#.to_owned(),
                "symbol must be 1 to 20 characters of A-Z, 0-9, &, _ and -",
            ),
            (r#"{"symbol":7}"#.to_owned(), "symbol must be a string"),
            (r#"{"symbol":"RELIANCE"}"#.to_owned(), "side is required"),
            (
                r#"{"symbol":"RELIANCE","side":"hold"}"#.to_owned(),
                "'HOLD' is not a valid OrderSide",
            ),
            (
                r#"{"symbol":"RELIANCE","side":"BUY","quantity":-5}"#.to_owned(),
                "Quantity must be positive",
            ),
            (
                r#"{"symbol":"RELIANCE","side":"BUY","quantity":5}"#.to_owned(),
                "LIMIT orders require price",
            ),
            (with(r#""order_type":"STOP""#), "'STOP' is not a valid OrderType"),
            (
                with(r#""order_type":"SL-M""#),
                "SL-M orders require trigger_price",
            ),
            (with(r#""product":"NRML""#), "'NRML' is not a valid ProductType"),
            (with(r#""validity":"GTC""#), "'GTC' is not a valid Validity"),
            (with(r#""validity":"GTD""#), "GTD orders require good_till"),
            (
                with(r#""good_till":"2026-08-03T09:15:00Z""#),
                "good_till needs validity GTD",
            ),
            (
                with(r#""validity":"GTD","good_till":"2026-02-30""#),
                "good_till must be an ISO 8601 instant such as 2026-08-03T09:15:00Z, or a date, which means its end in India",
            ),
            (with(r#""strategy_id":0"#), "strategy_id is out of range"),
            (with(r#""stop_loss":"low""#), "stop_loss is not a decimal number"),
            (with(r#""post_only":1"#), "post_only must be true or false"),
            (with(r#""metadata":[]"#), "metadata must be an object"),
            (
                with(&format!(r#""metadata":{{"a":"{long}"}}"#)),
                "metadata is longer than 2048 bytes",
            ),
            (
                with(r#""metadata":{"a":["\u0000",{}]}"#),
                "metadata contains a NUL character",
            ),
            (
                with(r#""metadata":{"a":[1e999]}"#),
                "metadata holds a number that is out of range",
            ),
            (
                with(r#""metadata":{"a":{"b":-1e-20000}}"#),
                "metadata holds a number that is out of range",
            ),
            (
                with(r#""metadata":{"a":0e99999999999}"#),
                "metadata holds a number that is out of range",
            ),
            (
                with(&nested(METADATA_DEPTH_MAX + 1)),
                "metadata is nested deeper than 64 levels",
            ),
            (
                with(&format!(r#""client_order_id":"{}""#, "x".repeat(65))),
                "client_order_id is longer than 64 bytes",
            ),
            (
                with(r#""client_order_id":"a\nb""#),
                "client_order_id contains a control character",
            ),
        ] {
            assert_eq!(
                parse(&json, None),
                Err(OrderError::Invalid(details.to_owned())),
                "{json:.100}"
            );
        }
        for json in [
            &with(r#""price":1"#),
            "{",
            "{\"symbol\":\"RELIANCE\"}}",
            "{\"symbol\":NaN}",
        ] {
            match parse(json, None) {
                Err(OrderError::Invalid(details)) => {
                    assert!(details.starts_with("The body is not valid JSON: "), "{details}");
                }
                other => panic!("{json}: {other:?}"),
            }
        }
    }

    #[test]
    fn an_unknown_symbol_is_a_rejection_and_only_for_a_sound_order() {
        let unknown = Err(OrderError::UnknownSymbol(Text::cut("NOSUCH")));
        assert_eq!(
            parse(r#"{"symbol":"NOSUCH","side":"BUY","quantity":1,"price":1}"#, None),
            unknown
        );
        assert!(matches!(
            parse(r#"{"symbol":"NOSUCH","side":"BUY","quantity":0,"price":1}"#, None),
            Err(OrderError::Invalid(_))
        ));
        let elsewhere = r#"{"symbol":"RELIANCE","exchange":"BSE","side":"BUY","quantity":1,"price":1}"#;
        assert_eq!(
            parse(elsewhere, None),
            Err(OrderError::UnknownSymbol(Text::cut("RELIANCE")))
        );
    }
}
