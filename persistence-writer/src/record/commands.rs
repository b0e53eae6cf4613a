//! The fields of each kind of command that has more than a few.

use engine::{
    AccountDefinition, AccountId, Actor, CancelAll, Capacity, Edit, EditConditions, InstrumentDefinition,
    InstrumentId, KillScope, KillSwitch, ModifyOrder, NewOrder, OrderId, OrderRef, OrderType, PositionId,
    Price, Ratio, StrategyId, TimeInForce, Timestamp, Trailing,
};

use super::codes::{product, product_code, side, side_code, trading_state, trading_state_code};
use super::fields::{Decoder, Encoder, Put};
use super::limits_layout::{put_limits, take_limits};
use super::{Kind, RecordError};

const MARKET: u8 = 0;
const LIMIT: u8 = 1;
const STOP: u8 = 2;
const STOP_MARKET: u8 = 3;

const DAY: u8 = 0;
const IOC: u8 = 1;
const FOK: u8 = 2;
const GTD: u8 = 3;

const POST_ONLY: u8 = 1;
const HAS_METADATA: u8 = 2;

pub(super) fn put_new_order(e: &mut Encoder<'_>, order: &NewOrder) {
    let NewOrder {
        account,
        strategy,
        instrument,
        side,
        product,
        order_type,
        time_in_force,
        quantity,
        post_only,
        disclosed,
        minimum,
        stop_loss,
        take_profit,
        client_order_id,
        metadata,
    } = order;
    let metadata_len = metadata.as_ref().map_or(0, |text| text.len());
    assert!(
        metadata_len <= engine::limits::METADATA_LEN_MAX,
        "metadata of {metadata_len} bytes"
    );
    let type_code = match order_type {
        OrderType::Market => MARKET,
        OrderType::Limit(_) => LIMIT,
        OrderType::Stop { .. } => STOP,
        OrderType::StopMarket { .. } => STOP_MARKET,
    };
    let (force_code, good_till) = match time_in_force {
        TimeInForce::Day => (DAY, Timestamp::ZERO),
        TimeInForce::Ioc => (IOC, Timestamp::ZERO),
        TimeInForce::Fok => (FOK, Timestamp::ZERO),
        TimeInForce::Gtd(until) => (GTD, *until),
    };
    let mut f = e.fields::<{ Kind::NewOrder.fixed_bytes() }>();
    f.u32(account.get());
    f.u32(strategy.get());
    f.u32(instrument.get());
    f.quantity(*quantity);
    f.optional_price(order_type.price());
    f.optional_price(order_type.trigger());
    f.optional_quantity(*disclosed);
    f.optional_quantity(*minimum);
    f.optional_price(*stop_loss);
    f.optional_price(*take_profit);
    f.u64(good_till.nanos());
    f.u8(side_code(*side));
    f.u8(product_code(*product));
    f.u8(type_code);
    f.u8(force_code);
    f.u8(u8::from(*post_only) * POST_ONLY + u8::from(metadata.is_some()) * HAS_METADATA);
    f.text_len(client_order_id);
    f.u16(u16::try_from(metadata_len).expect("METADATA_LEN_MAX fits in 16 bits"));
    f.finish();
    e.text(client_order_id);
    e.bytes(metadata.as_deref().unwrap_or("").as_bytes());
}

#[inline]
pub(super) fn take_new_order(tail: &mut Decoder<'_>) -> Result<NewOrder, RecordError> {
    let mut d = tail.fields::<{ Kind::NewOrder.fixed_bytes() }>()?;
    let account = AccountId::new(d.u32()?);
    let strategy = StrategyId::new(d.u32()?);
    let instrument = InstrumentId::new(d.u32()?);
    let quantity = d.quantity("quantity")?;
    let prices = (d.optional_price()?, d.optional_price()?);
    let disclosed = d.optional_quantity("disclosed")?;
    let minimum = d.optional_quantity("minimum")?;
    let stop_loss = d.optional_price()?;
    let take_profit = d.optional_price()?;
    let good_till = Timestamp::from_nanos(d.u64()?);
    let side = side(d.u8()?)?;
    let product = product(d.u8()?)?;
    let order_type = order_type(d.u8()?, prices)?;
    let time_in_force = match (d.u8()?, good_till) {
        (GTD, until) => TimeInForce::Gtd(until),
        (DAY, Timestamp::ZERO) => TimeInForce::Day,
        (IOC, Timestamp::ZERO) => TimeInForce::Ioc,
        (FOK, Timestamp::ZERO) => TimeInForce::Fok,
        (DAY | IOC | FOK, _) => return Err(RecordError::NotCanonical { field: "good_till" }),
        (code, _) => {
            return Err(RecordError::UnknownCode {
                field: "time_in_force",
                code,
            });
        }
    };
    let flags = d.u8()?;
    if flags & !(POST_ONLY | HAS_METADATA) != 0 {
        return Err(RecordError::UnknownCode {
            field: "flags",
            code: flags,
        });
    }
    let client_len = d.u8()?;
    let metadata_len = usize::from(d.u16()?);
    if metadata_len > engine::limits::METADATA_LEN_MAX {
        return Err(RecordError::OutOfRange { field: "metadata" });
    }
    let client_order_id = tail.text(client_len, "client_order_id")?;
    let metadata = tail.str(metadata_len, "metadata")?;
    if flags & HAS_METADATA == 0 && !metadata.is_empty() {
        return Err(RecordError::NotCanonical { field: "metadata" });
    }
    Ok(NewOrder {
        account,
        strategy,
        instrument,
        side,
        product,
        order_type,
        time_in_force,
        quantity,
        post_only: flags & POST_ONLY != 0,
        disclosed,
        minimum,
        stop_loss,
        take_profit,
        client_order_id,
        metadata: (flags & HAS_METADATA != 0).then(|| metadata.into()),
    })
}

/// The type of a code, with the limit and trigger prices that it has.
fn order_type(code: u8, prices: (Option<Price>, Option<Price>)) -> Result<OrderType, RecordError> {
    let needs = |field| Err(RecordError::OutOfRange { field });
    let has_no = |field| Err(RecordError::NotCanonical { field });
    match (code, prices) {
        (MARKET, (None, None)) => Ok(OrderType::Market),
        (LIMIT, (Some(limit), None)) => Ok(OrderType::Limit(limit)),
        (STOP, (Some(limit), Some(trigger))) => Ok(OrderType::Stop { limit, trigger }),
        (STOP_MARKET, (None, Some(trigger))) => Ok(OrderType::StopMarket { trigger }),
        (MARKET | STOP_MARKET, (Some(_), _)) => has_no("price"),
        (LIMIT | STOP, (None, _)) => needs("price"),
        (MARKET | LIMIT, (_, Some(_))) => has_no("trigger"),
        (STOP | STOP_MARKET, (_, None)) => needs("trigger"),
        _ => Err(RecordError::UnknownCode {
            field: "order_type",
            code,
        }),
    }
}

pub(super) fn put_modify_order(e: &mut Encoder<'_>, modify: &ModifyOrder) {
    let ModifyOrder {
        actor,
        order,
        quantity,
        price,
        trigger,
    } = modify;
    let mut f = e.fields::<{ Kind::ModifyOrder.fixed_bytes() }>();
    put_actor(&mut f, actor);
    put_order_ref(&mut f, order);
    f.optional_quantity(*quantity);
    f.optional_price(*price);
    f.optional_price(*trigger);
    f.finish();
    put_order_ref_tail(e, order);
}

pub(super) fn take_modify_order(d: &mut Decoder<'_>) -> Result<ModifyOrder, RecordError> {
    let actor = take_actor(d)?;
    let named = take_order_ref(d)?;
    Ok(ModifyOrder {
        actor,
        quantity: d.optional_quantity("quantity")?,
        price: d.optional_price()?,
        trigger: d.optional_price()?,
        order: take_order_ref_tail(d, named)?,
    })
}

const KEEP: u8 = 0;
const REMOVE: u8 = 1;
const SET: u8 = 2;
/// A trailing distance in parts per million instead of paise.
const SET_SHARE: u8 = 3;

pub(super) fn put_edit_conditions(e: &mut Encoder<'_>, edit: &EditConditions) {
    let EditConditions {
        actor,
        position,
        stop_loss,
        take_profit,
        trailing,
    } = edit;
    put_actor(e, actor);
    e.u32(position.get());
    for price in [stop_loss, take_profit] {
        let (code, value) = match price {
            Edit::Keep => (KEEP, 0),
            Edit::Remove => (REMOVE, 0),
            Edit::Set(price) => (SET, price.paise()),
        };
        e.u8(code);
        e.u32(value);
    }
    let (code, value) = match trailing {
        Edit::Keep => (KEEP, 0),
        Edit::Remove => (REMOVE, 0),
        Edit::Set(Trailing::Distance(distance)) => (SET, distance.paise()),
        Edit::Set(Trailing::Percent(share)) => (SET_SHARE, share.ppm()),
    };
    e.u8(code);
    e.u32(value);
}

pub(super) fn take_edit_conditions(d: &mut Decoder<'_>) -> Result<EditConditions, RecordError> {
    Ok(EditConditions {
        actor: take_actor(d)?,
        position: PositionId::new(d.u32()?),
        stop_loss: take_edit(d, "stop_loss")?,
        take_profit: take_edit(d, "take_profit")?,
        trailing: match (d.u8()?, d.u32()?) {
            (KEEP, 0) => Edit::Keep,
            (REMOVE, 0) => Edit::Remove,
            (SET, paise) => Edit::Set(Trailing::Distance(
                Price::from_paise(paise).ok_or(RecordError::OutOfRange { field: "trailing" })?,
            )),
            (SET_SHARE, ppm) => Edit::Set(Trailing::Percent(Ratio::from_ppm(ppm))),
            (KEEP | REMOVE, _) => return Err(RecordError::NotCanonical { field: "trailing" }),
            (code, _) => {
                return Err(RecordError::UnknownCode {
                    field: "trailing",
                    code,
                });
            }
        },
    })
}

fn take_edit(d: &mut Decoder<'_>, field: &'static str) -> Result<Edit<Price>, RecordError> {
    match (d.u8()?, d.u32()?) {
        (KEEP, 0) => Ok(Edit::Keep),
        (REMOVE, 0) => Ok(Edit::Remove),
        (SET, paise) => Price::from_paise(paise)
            .map(Edit::Set)
            .ok_or(RecordError::OutOfRange { field }),
        (KEEP | REMOVE, _) => Err(RecordError::NotCanonical { field }),
        (code, _) => Err(RecordError::UnknownCode { field, code }),
    }
}

const ANY: u8 = 0;
const CANCEL_ACCOUNT: u8 = 1;
const CANCEL_STRATEGY: u8 = 2;
const CANCEL_INSTRUMENT: u8 = 4;

pub(super) fn put_cancel_all(e: &mut Encoder<'_>, cancel: &CancelAll) {
    let CancelAll {
        actor,
        account,
        strategy,
        instrument,
        side,
    } = cancel;
    put_actor(e, actor);
    e.u8(u8::from(account.is_some()) * CANCEL_ACCOUNT
        + u8::from(strategy.is_some()) * CANCEL_STRATEGY
        + u8::from(instrument.is_some()) * CANCEL_INSTRUMENT);
    e.u32(account.map_or(0, AccountId::get));
    e.u32(strategy.map_or(0, StrategyId::get));
    e.u32(instrument.map_or(0, InstrumentId::get));
    e.u8(side.map_or(ANY, |side| 1 + side_code(side)));
}

pub(super) fn take_cancel_all(d: &mut Decoder<'_>) -> Result<CancelAll, RecordError> {
    let actor = take_actor(d)?;
    let present = d.u8()?;
    if present & !(CANCEL_ACCOUNT | CANCEL_STRATEGY | CANCEL_INSTRUMENT) != 0 {
        return Err(RecordError::UnknownCode {
            field: "present",
            code: present,
        });
    }
    let mut field = |bit: u8, field: &'static str| match (present & bit != 0, d.u32()?) {
        (true, value) => Ok(Some(value)),
        (false, 0) => Ok(None),
        (false, _) => Err(RecordError::NotCanonical { field }),
    };
    Ok(CancelAll {
        actor,
        account: field(CANCEL_ACCOUNT, "account")?.map(AccountId::new),
        strategy: field(CANCEL_STRATEGY, "strategy")?.map(StrategyId::new),
        instrument: field(CANCEL_INSTRUMENT, "instrument")?.map(InstrumentId::new),
        side: match d.u8()? {
            ANY => None,
            code => Some(side(code - 1)?),
        },
    })
}

const SCOPE_ENGINE: u8 = 0;
const SCOPE_ACCOUNT: u8 = 1;
const SCOPE_STRATEGY: u8 = 2;

const FLATTEN_BY_PROFILE: u8 = 0;
const FLATTEN_NO: u8 = 1;
const FLATTEN_YES: u8 = 2;

pub(super) fn put_kill_switch(e: &mut Encoder<'_>, kill: &KillSwitch) {
    let KillSwitch {
        actor,
        scope,
        state,
        flatten,
        reason,
        triggered_by,
    } = kill;
    let (scope_code, account, strategy) = match scope {
        KillScope::Engine => (SCOPE_ENGINE, 0, 0),
        KillScope::Account(account) => (SCOPE_ACCOUNT, account.get(), 0),
        KillScope::Strategy(account, strategy) => (SCOPE_STRATEGY, account.get(), strategy.get()),
    };
    put_actor(e, actor);
    e.u8(scope_code);
    e.u32(account);
    e.u32(strategy);
    e.u8(trading_state_code(*state));
    e.u8(match flatten {
        None => FLATTEN_BY_PROFILE,
        Some(false) => FLATTEN_NO,
        Some(true) => FLATTEN_YES,
    });
    e.text_len(reason);
    e.text_len(triggered_by);
    e.text(reason);
    e.text(triggered_by);
}

pub(super) fn take_kill_switch(d: &mut Decoder<'_>) -> Result<KillSwitch, RecordError> {
    let actor = take_actor(d)?;
    let scope = match (d.u8()?, d.u32()?, d.u32()?) {
        (SCOPE_ENGINE, 0, 0) => KillScope::Engine,
        (SCOPE_ACCOUNT, account, 0) => KillScope::Account(AccountId::new(account)),
        (SCOPE_STRATEGY, account, strategy) => {
            KillScope::Strategy(AccountId::new(account), StrategyId::new(strategy))
        }
        (SCOPE_ENGINE | SCOPE_ACCOUNT, _, _) => return Err(RecordError::NotCanonical { field: "scope" }),
        (code, _, _) => return Err(RecordError::UnknownCode { field: "scope", code }),
    };
    let state = trading_state(d.u8()?)?;
    let flatten = match d.u8()? {
        FLATTEN_BY_PROFILE => None,
        FLATTEN_NO => Some(false),
        FLATTEN_YES => Some(true),
        code => {
            return Err(RecordError::UnknownCode {
                field: "flatten",
                code,
            });
        }
    };
    let (reason_len, by_len) = (d.u8()?, d.u8()?);
    Ok(KillSwitch {
        actor,
        scope,
        state,
        flatten,
        reason: d.text(reason_len, "reason")?,
        triggered_by: d.text(by_len, "triggered_by")?,
    })
}

pub(super) fn put_instrument(e: &mut Encoder<'_>, definition: &InstrumentDefinition) {
    let InstrumentDefinition {
        symbol,
        exchange,
        tick_size,
        lot_size,
        freeze_quantity,
        reference_price,
        price_band,
        mis_allowed,
        banned,
        derivatives,
    } = definition;
    e.price(*tick_size);
    e.quantity(*lot_size);
    e.quantity(*freeze_quantity);
    e.price(*reference_price);
    e.ratio(*price_band);
    e.bool(*mis_allowed);
    e.bool(*banned);
    e.bool(*derivatives);
    e.text_len(symbol);
    e.text_len(exchange);
    e.text(symbol);
    e.text(exchange);
}

pub(super) fn take_instrument(d: &mut Decoder<'_>) -> Result<InstrumentDefinition, RecordError> {
    let tick_size = d.price("tick_size")?;
    let lot_size = d.quantity("lot_size")?;
    let freeze_quantity = d.quantity("freeze_quantity")?;
    let reference_price = d.price("reference_price")?;
    let price_band = d.ratio()?;
    let mis_allowed = d.bool("mis_allowed")?;
    let banned = d.bool("banned")?;
    let derivatives = d.bool("derivatives")?;
    let (symbol_len, exchange_len) = (d.u8()?, d.u8()?);
    Ok(InstrumentDefinition {
        symbol: d.text(symbol_len, "symbol")?,
        exchange: d.text(exchange_len, "exchange")?,
        tick_size,
        lot_size,
        freeze_quantity,
        reference_price,
        price_band,
        mis_allowed,
        banned,
        derivatives,
    })
}

pub(super) fn put_account(e: &mut Encoder<'_>, definition: &AccountDefinition) {
    let AccountDefinition {
        name,
        opening_balance,
        limits,
        profile,
        venue,
    } = definition;
    e.money(*opening_balance);
    put_limits(e, limits);
    e.bool(*venue);
    e.text_len(name);
    e.text_len(profile);
    e.text(name);
    e.text(profile);
}

pub(super) fn take_account(d: &mut Decoder<'_>) -> Result<AccountDefinition, RecordError> {
    let opening_balance = d.money()?;
    let limits = take_limits(d)?;
    let venue = d.bool("venue")?;
    let (name_len, profile_len) = (d.u8()?, d.u8()?);
    Ok(AccountDefinition {
        name: d.text(name_len, "name")?,
        profile: d.text(profile_len, "profile")?,
        opening_balance,
        limits,
        venue,
    })
}

pub(super) fn put_capacity(e: &mut Encoder<'_>, capacity: &Capacity) {
    let Capacity {
        accounts,
        instruments,
        orders,
        positions,
        client_order_ids,
    } = capacity;
    e.u32(*accounts);
    e.u32(*instruments);
    e.u32(*orders);
    e.u32(*positions);
    e.u32(*client_order_ids);
}

pub(super) fn take_capacity(d: &mut Decoder<'_>) -> Result<Capacity, RecordError> {
    Ok(Capacity {
        accounts: d.u32()?,
        instruments: d.u32()?,
        orders: d.u32()?,
        positions: d.u32()?,
        client_order_ids: d.u32()?,
    })
}

#[inline(always)]
pub(super) fn put_actor(e: &mut impl Put, actor: &Actor) {
    let Actor { account, admin } = actor;
    e.u32(account.get());
    e.bool(*admin);
}

pub(super) fn take_actor(d: &mut Decoder<'_>) -> Result<Actor, RecordError> {
    Ok(Actor {
        account: AccountId::new(d.u32()?),
        admin: d.bool("admin")?,
    })
}

const BY_ID: u8 = 0;
const BY_CLIENT_ID: u8 = 1;

/// The fixed part of an order's name: code, id (0 for a client id), length of the client id (0 for an id).
pub(super) enum OrderName {
    Id(u64),
    Client { len: u8 },
}

#[inline(always)]
pub(super) fn put_order_ref(e: &mut impl Put, order: &OrderRef) {
    match order {
        OrderRef::Id(id) => {
            e.u8(BY_ID);
            e.u64(id.get());
            e.u8(0);
        }
        OrderRef::Client(id) => {
            e.u8(BY_CLIENT_ID);
            e.u64(0);
            e.text_len(id);
        }
    }
}

pub(super) fn put_order_ref_tail(e: &mut Encoder<'_>, order: &OrderRef) {
    if let OrderRef::Client(id) = order {
        e.text(id);
    }
}

pub(super) fn take_order_ref(d: &mut Decoder<'_>) -> Result<OrderName, RecordError> {
    match (d.u8()?, d.u64()?, d.u8()?) {
        (BY_ID, id, 0) => Ok(OrderName::Id(id)),
        (BY_CLIENT_ID, 0, len) => Ok(OrderName::Client { len }),
        (BY_ID | BY_CLIENT_ID, _, _) => Err(RecordError::NotCanonical { field: "order" }),
        (code, _, _) => Err(RecordError::UnknownCode { field: "order", code }),
    }
}

pub(super) fn take_order_ref_tail(d: &mut Decoder<'_>, name: OrderName) -> Result<OrderRef, RecordError> {
    Ok(match name {
        OrderName::Id(id) => OrderRef::Id(OrderId::new(id)),
        OrderName::Client { len } => OrderRef::Client(d.text(len, "client_order_id")?),
    })
}
