//! Order-lane requests decoded into the engine's input. HTTP and WebSocket share this: only the envelope differs.

use engine::lane::Input;
use engine::{
    AccountId, AccountName, CancelAll, CancelOrder, ClosePosition, Command, Edit, EditConditions, KillScope,
    KillSwitch, ModifyOrder, OrderId, OrderRef, PositionId, Price, Ratio, Rearm, RejectCode, Rejection,
    Symbol, Text, TradingState, Trailing,
};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::administration;
use super::answer::Answer;
use super::directory::Directory;
use super::fields::{self, Invalid, Raw};
use super::heartbeat;
use super::order_body::{
    OrderError, by_name, find_instrument, parse_object, parse_order, parse_own_id, parse_strategy,
    parse_symbol,
};
use super::replies::Action;
use super::router::{OrderName, OrderRoute};
use crate::auth::{Principal, Role};
use crate::wire::{Object, alert_safe, rejection_fields};

/// What goes to the engine, and what its outcome will be told as.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) input: Input,
    pub(crate) action: Action,
}

/// Decodes one request. `Err` is its final answer.
pub(crate) fn decode(
    route: OrderRoute,
    body: &[u8],
    idempotency_key: Option<&str>,
    who: &Principal,
    directory: &Directory,
) -> Result<Decoded, Answer> {
    if route != OrderRoute::Validate && who.role < Role::Trader {
        return Err(Answer::error(403, "This account may read only"));
    }
    let Ok(json) = core::str::from_utf8(body) else {
        let details = "The body is not UTF-8".to_owned();
        return Err(match route {
            OrderRoute::Place | OrderRoute::Validate | OrderRoute::Modify(_) => invalid_order(details),
            _ => invalid_request(details),
        });
    };
    match route {
        OrderRoute::Place => place(json, idempotency_key, who, directory),
        OrderRoute::Validate => validate(json, who, directory),
        OrderRoute::Modify(name) => modify(json, name, who),
        OrderRoute::Cancel(name) => cancel(json, name, who),
        OrderRoute::CancelAll => cancel_all(or_empty(json), who, directory),
        OrderRoute::ClosePosition(position) => close_by_id(or_empty(json), position, who, directory),
        OrderRoute::ClosePositionBySymbol => close_by_symbol(json, who, directory),
        OrderRoute::EditConditions(position) => edit_conditions(json, position, who, directory),
        OrderRoute::KillSwitch => kill(or_empty(json), who, directory),
        OrderRoute::Rearm => rearm(or_empty(json), who),
        OrderRoute::SetLimits => administration::set_limits(json, who, directory),
        OrderRoute::AdjustCash => administration::adjust_cash(json, who, directory),
        OrderRoute::Heartbeat => heartbeat::heartbeat(or_empty(json), who),
    }
}

/// A body that may be left out. Blanks are no body, and no JSON either.
fn or_empty(json: &str) -> &str {
    if json.is_empty() { "{}" } else { json }
}

fn invalid_order(details: Invalid) -> Answer {
    Answer::invalid("Invalid order data", &details)
}

pub(super) fn invalid_request(details: Invalid) -> Answer {
    Answer::invalid("Invalid request", &details)
}

fn place(json: &str, key: Option<&str>, who: &Principal, directory: &Directory) -> Result<Decoded, Answer> {
    match parse_order(json, who.account, by_name(directory), key) {
        Ok(order) => Ok(Decoded {
            input: Input::Command(Command::NewOrder(order)),
            action: Action::Place,
        }),
        Err(OrderError::Invalid(details)) => Err(invalid_order(details)),
        Err(OrderError::UnknownSymbol(symbol)) => Err(unknown_symbol(symbol)),
    }
}

fn validate(json: &str, who: &Principal, directory: &Directory) -> Result<Decoded, Answer> {
    match parse_order(json, who.account, by_name(directory), None) {
        Ok(order) => Ok(Decoded {
            input: Input::Validate {
                order,
                explain: false,
            },
            action: Action::Validate,
        }),
        Err(OrderError::Invalid(details)) => Err(invalid_order(details)),
        Err(OrderError::UnknownSymbol(_)) => {
            let mut body = Vec::new();
            let mut object = Object::begin(&mut body);
            object.boolean("is_valid", false);
            rejection_fields(&mut object, &Rejection::bare(RejectCode::UnknownInstrument));
            object.array("warnings", |_| ());
            drop(object);
            Err(Answer {
                status: 200,
                body,
                allow: None,
            })
        }
    }
}

/// Like a rejection by the engine, but nothing is recorded: there is no instrument to record it under.
fn unknown_symbol(symbol: Symbol) -> Answer {
    let mut body = Vec::new();
    let mut object = Object::begin(&mut body);
    object.string("error", "Order rejected");
    rejection_fields(&mut object, &Rejection::bare(RejectCode::UnknownInstrument));
    object.string("symbol", symbol.as_str()).null("order_id");
    drop(object);
    Answer {
        status: 400,
        body,
        allow: None,
    }
}

#[derive(Deserialize)]
struct OneOrder<'b> {
    #[serde(borrow)]
    order_id: Raw<'b>,
    client_order_id: Raw<'b>,
    quantity: Raw<'b>,
    price: Raw<'b>,
    trigger_price: Raw<'b>,
}

impl OneOrder<'_> {
    /// The order, and its id where it was named by id.
    fn order(&self, name: OrderName) -> Result<(OrderRef, Option<u64>), Invalid> {
        if let OrderName::Path(order) = name {
            return Ok((OrderRef::Id(OrderId::new(order)), Some(order)));
        }
        let id = fields::integer("order_id", self.order_id)?;
        match (id, parse_own_id(self.client_order_id)?) {
            (Some(id), None) => {
                // No order has a negative id: 0 is as unknown as that.
                let id = u64::try_from(id).unwrap_or(0);
                Ok((OrderRef::Id(OrderId::new(id)), Some(id)))
            }
            (None, Some(own)) => Ok((OrderRef::Client(own), None)),
            _ => Err("order_id or client_order_id is required, and only one of them".to_owned()),
        }
    }
}

/// `{quantity?, price?, trigger_price?}`; what is absent, null or 0 stays as it is.
fn modify(json: &str, name: OrderName, who: &Principal) -> Result<Decoded, Answer> {
    let body: OneOrder<'_> = parse_object(json).map_err(invalid_order)?;
    let (order, id) = body.order(name).map_err(invalid_order)?;
    let command = ModifyOrder {
        actor: who.actor(),
        order,
        quantity: fields::optional_quantity("quantity", body.quantity).map_err(invalid_order)?,
        price: fields::optional_price("price", body.price).map_err(invalid_order)?,
        trigger: fields::optional_price("trigger_price", body.trigger_price).map_err(invalid_order)?,
    };
    Ok(Decoded {
        input: Input::Command(Command::ModifyOrder(command)),
        action: Action::Modify { order: id },
    })
}

/// A body is looked at only where it has to name the order.
fn cancel(json: &str, name: OrderName, who: &Principal) -> Result<Decoded, Answer> {
    let json = if name == OrderName::Body { json } else { "{}" };
    let body: OneOrder<'_> = parse_object(json).map_err(invalid_request)?;
    let (order, id) = body.order(name).map_err(invalid_request)?;
    let command = CancelOrder {
        actor: who.actor(),
        order,
    };
    Ok(Decoded {
        input: Input::Command(Command::CancelOrder(command)),
        action: Action::Cancel { order: id },
    })
}

#[derive(Deserialize)]
struct Scope<'b> {
    #[serde(borrow)]
    account: Raw<'b>,
    symbol: Raw<'b>,
    exchange: Raw<'b>,
    strategy_id: Raw<'b>,
    side: Raw<'b>,
    product: Raw<'b>,
    quantity: Raw<'b>,
}

/// The account that a request is about: the caller's own unless an admin names another.
pub(super) fn account_of(raw: Raw<'_>, who: &Principal, directory: &Directory) -> Result<AccountId, Answer> {
    let Some(name) = fields::string("account", raw).map_err(invalid_request)? else {
        return Ok(who.account);
    };
    if name == who.name.as_str() {
        return Ok(who.account);
    }
    if who.role < Role::Admin {
        return Err(Answer::error(403, "Only an admin may name another account"));
    }
    AccountName::new(&name)
        .and_then(|name| directory.account(&name))
        .ok_or_else(|| Answer::error(404, "Account not found"))
}

fn unknown_instrument(error: OrderError) -> Answer {
    match error {
        OrderError::Invalid(details) => invalid_request(details),
        OrderError::UnknownSymbol(_) => Answer::error(404, "Symbol not found"),
    }
}

/// `{account?, symbol?, exchange?, strategy_id?, side?}`: all given fields must match. `account` is the caller's own;
/// an admin may name another, or `*` for every account.
fn cancel_all(json: &str, who: &Principal, directory: &Directory) -> Result<Decoded, Answer> {
    let body: Scope<'_> = parse_object(json).map_err(invalid_request)?;
    let everyone = fields::string("account", body.account)
        .map_err(invalid_request)?
        .as_deref()
        == Some("*");
    if everyone && who.role < Role::Admin {
        return Err(Answer::error(
            403,
            "Only an admin may cancel the orders of every account",
        ));
    }
    let account = match everyone {
        true => None,
        false => Some(account_of(body.account, who, directory)?),
    };
    let instrument = match parse_symbol(body.symbol).map_err(invalid_request)? {
        Some(symbol) => {
            Some(find_instrument(by_name(directory), symbol, body.exchange).map_err(unknown_instrument)?)
        }
        None => None,
    };
    let sides = [("BUY", engine::Side::Buy), ("SELL", engine::Side::Sell)];
    let command = CancelAll {
        actor: who.actor(),
        account,
        strategy: parse_strategy(body.strategy_id).map_err(invalid_request)?,
        instrument,
        side: fields::word("side", "OrderSide", body.side, &sides).map_err(invalid_request)?,
    };
    Ok(Decoded {
        input: Input::Command(Command::CancelAll(command)),
        action: Action::CancelAll,
    })
}

/// All of the position without a quantity. A quantity of 0 is a mistake of the caller's, which must not close everything.
fn close(position: PositionId, quantity: Raw<'_>, who: &Principal) -> Result<Decoded, Answer> {
    let quantity = match quantity {
        None => None,
        some => Some(fields::quantity("quantity", some).map_err(invalid_request)?),
    };
    let command = ClosePosition {
        actor: who.actor(),
        position,
        quantity,
    };
    Ok(Decoded {
        input: Input::Command(Command::ClosePosition(command)),
        action: Action::Close,
    })
}

/// A field that says something different when it is `null` from when it is absent.
fn present<'de: 'b, 'b, D: Deserializer<'de>>(deserializer: D) -> Result<Raw<'b>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
struct Conditions<'b> {
    #[serde(borrow, default, deserialize_with = "present")]
    stop_loss: Raw<'b>,
    #[serde(borrow, default, deserialize_with = "present")]
    take_profit: Raw<'b>,
    #[serde(borrow, default, deserialize_with = "present")]
    trailing: Raw<'b>,
}

#[derive(Deserialize)]
struct Distance<'b> {
    #[serde(borrow)]
    distance: Raw<'b>,
    percent: Raw<'b>,
}

/// `{stop_loss?, take_profit?, trailing?}`: what is absent stays, `null` removes. `trailing` is `{"distance": price}` or
/// `{"percent": p}` with at most two decimals.
fn edit_conditions(
    json: &str,
    position: u64,
    who: &Principal,
    directory: &Directory,
) -> Result<Decoded, Answer> {
    let body: Conditions<'_> = parse_object(json).map_err(invalid_request)?;
    let position = u32::try_from(position)
        .map(PositionId::new)
        .ok()
        .filter(|&position| directory.position(position).is_some())
        .ok_or_else(|| Answer::error(404, "Position not found"))?;
    let command = EditConditions {
        actor: who.actor(),
        position,
        stop_loss: edit_price("stop_loss", body.stop_loss).map_err(invalid_request)?,
        take_profit: edit_price("take_profit", body.take_profit).map_err(invalid_request)?,
        trailing: edit_trailing(body.trailing).map_err(invalid_request)?,
    };
    Ok(Decoded {
        input: Input::Command(Command::EditConditions(command)),
        action: Action::EditConditions,
    })
}

fn edit_price(name: &str, raw: Raw<'_>) -> Result<Edit<Price>, Invalid> {
    match raw {
        None => Ok(Edit::Keep),
        Some(raw) if raw.get() == "null" => Ok(Edit::Remove),
        raw => Ok(fields::optional_price(name, raw)?.map_or(Edit::Remove, Edit::Set)),
    }
}

fn edit_trailing(raw: Raw<'_>) -> Result<Edit<Trailing>, Invalid> {
    let Some(raw) = raw else { return Ok(Edit::Keep) };
    if raw.get() == "null" {
        return Ok(Edit::Remove);
    }
    let body: Distance<'_> = parse_object(raw.get()).map_err(|_| "trailing must be an object".to_owned())?;
    let distance = fields::optional_price("distance", body.distance)?;
    let percent = fields::optional_price("percent", body.percent)?;
    match (distance, percent) {
        (Some(distance), None) => Ok(Edit::Set(Trailing::Distance(distance))),
        // A hundredth of a percent is a hundred parts per million.
        (None, Some(percent)) if percent.paise() < 10_000 => Ok(Edit::Set(Trailing::Percent(
            Ratio::from_ppm(percent.paise() * 100),
        ))),
        (None, Some(_)) => Err("percent must be below 100".to_owned()),
        _ => Err("trailing needs either distance or percent".to_owned()),
    }
}

/// `{quantity?}`. Only what clients were told of can be closed: not a venue account's positions, whatever an admin
/// guesses.
fn close_by_id(json: &str, position: u64, who: &Principal, directory: &Directory) -> Result<Decoded, Answer> {
    let body: Scope<'_> = parse_object(json).map_err(invalid_request)?;
    let position = u32::try_from(position)
        .map(PositionId::new)
        .ok()
        .filter(|&position| directory.position(position).is_some())
        .ok_or_else(|| Answer::error(404, "Position not found"))?;
    close(position, body.quantity, who)
}

/// `{symbol, exchange?, strategy_id?, product?, quantity?, account?}`: must name exactly one open position.
fn close_by_symbol(json: &str, who: &Principal, directory: &Directory) -> Result<Decoded, Answer> {
    let body: Scope<'_> = parse_object(json).map_err(invalid_request)?;
    let symbol = parse_symbol(body.symbol)
        .and_then(|symbol| symbol.ok_or_else(|| "symbol is required".to_owned()))
        .map_err(invalid_request)?;
    let instrument =
        find_instrument(by_name(directory), symbol, body.exchange).map_err(unknown_instrument)?;
    let strategy = parse_strategy(body.strategy_id).map_err(invalid_request)?;
    let products = [("MIS", engine::Product::Mis), ("CNC", engine::Product::Cnc)];
    let product = fields::word("product", "ProductType", body.product, &products).map_err(invalid_request)?;
    let account = account_of(body.account, who, directory)?;
    let mut matching = directory
        .open_positions(account, instrument)
        .filter(|(_, position)| {
            strategy.is_none_or(|strategy| strategy == position.strategy)
                && product.is_none_or(|product| product == position.product)
        });
    match (matching.next(), matching.next()) {
        (Some((position, _)), None) => close(position, body.quantity, who),
        (None, _) => Err(Answer::error(404, &format!("No open position in {symbol}"))),
        (Some(_), Some(_)) => Err(Answer::error(
            409,
            &format!("More than one open position in {symbol}: name strategy_id and product"),
        )),
    }
}

#[derive(Deserialize)]
struct Kill<'b> {
    #[serde(borrow)]
    reason: Raw<'b>,
    triggered_by: Raw<'b>,
    flatten: Raw<'b>,
    scope: Raw<'b>,
    state: Raw<'b>,
    account: Raw<'b>,
    strategy_id: Raw<'b>,
    deactivated_by: Raw<'b>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Engine,
    Account,
    Strategy,
}

/// `{reason?, triggered_by?, flatten?, scope?, account?, strategy_id?, state?}` (RISK.md, kill switch). Without a
/// scope: the strategy or the account where one is named, else the engine for an admin and the caller's account for
/// anyone else. `state` is REDUCING unless an admin says HALTED.
fn kill(json: &str, who: &Principal, directory: &Directory) -> Result<Decoded, Answer> {
    let body: Kill<'_> = parse_object(json).map_err(invalid_request)?;
    let reaches = [
        ("ENGINE", Reach::Engine),
        ("ACCOUNT", Reach::Account),
        ("STRATEGY", Reach::Strategy),
    ];
    let states = [
        ("REDUCING", TradingState::Reducing),
        ("HALTED", TradingState::Halted),
    ];
    let reach = fields::word("scope", "Scope", body.scope, &reaches).map_err(invalid_request)?;
    let state = fields::word("state", "TradingState", body.state, &states).map_err(invalid_request)?;
    let strategy = parse_strategy(body.strategy_id).map_err(invalid_request)?;
    let admin = who.role == Role::Admin;
    let reach = reach.unwrap_or(match (strategy, body.account) {
        (Some(_), _) => Reach::Strategy,
        (None, None) if admin => Reach::Engine,
        (None, _) => Reach::Account,
    });
    let state = state.unwrap_or(TradingState::Reducing);
    if !admin && (reach == Reach::Engine || state == TradingState::Halted) {
        return Err(Answer::error(
            403,
            "Only an admin may stop the whole engine or halt an account",
        ));
    }
    fields::string("account", body.account).map_err(invalid_request)?;
    let scope = match reach {
        Reach::Engine => KillScope::Engine,
        Reach::Account => KillScope::Account(account_of(body.account, who, directory)?),
        Reach::Strategy => {
            let strategy = strategy.ok_or_else(|| invalid_request("strategy_id is required".to_owned()))?;
            KillScope::Strategy(account_of(body.account, who, directory)?, strategy)
        }
    };
    let reason = person_text("reason", body.reason, "Manual kill switch")?;
    let author = person_text("triggered_by", body.triggered_by, who.name.as_str())?;
    let command = KillSwitch {
        actor: who.actor(),
        scope,
        state,
        flatten: fields::boolean("flatten", body.flatten).map_err(invalid_request)?,
        reason: Text::cut(&reason),
        triggered_by: Text::cut(&author),
    };
    Ok(Decoded {
        action: Action::Kill {
            scope,
            state,
            reason: command.reason,
            author: command.triggered_by,
        },
        input: Input::Command(Command::KillSwitch(command)),
    })
}

/// `{deactivated_by?}`: the caller's name where it is absent (the contract's default is "admin").
fn rearm(json: &str, who: &Principal) -> Result<Decoded, Answer> {
    let body: Kill<'_> = parse_object(json).map_err(invalid_request)?;
    let default = if who.role == Role::Admin {
        "admin"
    } else {
        who.name.as_str()
    };
    let author = Text::cut(&person_text("deactivated_by", body.deactivated_by, default)?);
    let command = Rearm {
        actor: who.actor(),
        deactivated_by: author,
    };
    Ok(Decoded {
        input: Input::Command(Command::Rearm(command)),
        action: Action::Rearm { author },
    })
}

/// Free text that ends up inside an alert; `default` where nothing of it is left.
pub(super) fn person_text(name: &str, raw: Raw<'_>, default: &str) -> Result<String, Answer> {
    let text = fields::string(name, raw).map_err(invalid_request)?;
    let safe = alert_safe(text.as_deref().unwrap_or_default().trim());
    Ok(if safe.is_empty() { default.to_owned() } else { safe })
}

#[cfg(test)]
mod tests;
