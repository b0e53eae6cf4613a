//! The record: one sequenced command as bytes.
//!
//! A record is a prefix, the fixed fields of its kind, and a tail with the bytes of its texts, in the order of their
//! lengths in the fixed part. Everything is little-endian and packed. The sequence number is not in the record: the
//! frame around it has it.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | kind (see [`Kind`]; codes are append-only) |
//! | 1 | 1 | layout version of that kind, today always 1 |
//! | 2 | 8 | time, nanoseconds since the Unix epoch |
//! | 10 | | fixed fields, then tail |
//!
//! Encodings are canonical: a command has one encoding, and [`decode`] refuses any other bytes. Decoding is total:
//! any bytes give a command or a [`RecordError`].

mod charges_layout;
mod codes;
mod commands;
mod fields;
mod limits_layout;
mod session_layout;
#[cfg(test)]
mod tests;

use engine::{
    AccountId, AdjustCash, CancelOrder, ClosePosition, Command, Heartbeat, InstrumentId, LimitFields,
    MarketPrice, Notice, PositionId, Rearm, Seq, Sequenced, SetLimits, StrategyDefinition, StrategyId,
    Timestamp,
};

use charges_layout::{put_charge_rates, take_charge_rates};
use codes::{notice, notice_code};
use commands::{
    put_account, put_actor, put_cancel_all, put_capacity, put_edit_conditions, put_instrument,
    put_kill_switch, put_modify_order, put_new_order, put_order_ref, put_order_ref_tail, take_account,
    take_actor, take_cancel_all, take_capacity, take_edit_conditions, take_instrument, take_kill_switch,
    take_modify_order, take_new_order, take_order_ref, take_order_ref_tail,
};
use fields::{Decoder, Encoder, Put};
use limits_layout::{put_limits, take_limits};
use session_layout::{put_session, take_session};

/// Bytes of the prefix of every record.
pub const PREFIX_BYTES: usize = 10;

/// Why bytes are not a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordError {
    #[error("the record ends before its last field")]
    Truncated,
    #[error("{0} bytes follow the record's last field")]
    TrailingBytes(usize),
    #[error("record kind {0} is unknown to this version of Pinion; a newer one wrote it")]
    UnknownKind(u8),
    #[error(
        "layout version {version} of {kind:?} is unknown to this version of Pinion; a newer one wrote it"
    )]
    UnknownVersion { kind: Kind, version: u8 },
    #[error("{field} has the unknown code {code}")]
    UnknownCode { field: &'static str, code: u8 },
    #[error("{field} is out of range")]
    OutOfRange { field: &'static str },
    #[error("{field} is not UTF-8")]
    NotUtf8 { field: &'static str },
    #[error("{field} is present although its record says that it is not")]
    NotCanonical { field: &'static str },
}

/// What a record holds. The codes are part of the format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    NewOrder = 1,
    ModifyOrder = 2,
    CancelOrder = 3,
    CancelAll = 4,
    ClosePosition = 5,
    MarketPrice = 6,
    Tick = 7,
    KillSwitch = 8,
    Rearm = 9,
    AdjustCash = 10,
    DefineInstrument = 11,
    DefineAccount = 12,
    DefineStrategy = 13,
    SetLimits = 14,
    HashCheck = 15,
    SetCapacity = 16,
    DefineCharges = 17,
    SetSession = 18,
    Heartbeat = 19,
    EditConditions = 20,
    Notice = 21,
}

impl Kind {
    pub const ALL: [Kind; 21] = [
        Kind::NewOrder,
        Kind::ModifyOrder,
        Kind::CancelOrder,
        Kind::CancelAll,
        Kind::ClosePosition,
        Kind::MarketPrice,
        Kind::Tick,
        Kind::KillSwitch,
        Kind::Rearm,
        Kind::AdjustCash,
        Kind::DefineInstrument,
        Kind::DefineAccount,
        Kind::DefineStrategy,
        Kind::SetLimits,
        Kind::HashCheck,
        Kind::SetCapacity,
        Kind::DefineCharges,
        Kind::SetSession,
        Kind::Heartbeat,
        Kind::EditConditions,
        Kind::Notice,
    ];

    pub const fn of(command: &Command) -> Kind {
        match command {
            Command::NewOrder(_) => Kind::NewOrder,
            Command::ModifyOrder(_) => Kind::ModifyOrder,
            Command::CancelOrder(_) => Kind::CancelOrder,
            Command::CancelAll(_) => Kind::CancelAll,
            Command::ClosePosition(_) => Kind::ClosePosition,
            Command::EditConditions(_) => Kind::EditConditions,
            Command::MarketPrice(_) => Kind::MarketPrice,
            Command::Tick => Kind::Tick,
            Command::KillSwitch(_) => Kind::KillSwitch,
            Command::Rearm(_) => Kind::Rearm,
            Command::AdjustCash(_) => Kind::AdjustCash,
            Command::DefineInstrument(_) => Kind::DefineInstrument,
            Command::DefineAccount(_) => Kind::DefineAccount,
            Command::DefineStrategy(_) => Kind::DefineStrategy,
            Command::SetLimits(_) => Kind::SetLimits,
            Command::HashCheck(_) => Kind::HashCheck,
            Command::SetCapacity(_) => Kind::SetCapacity,
            Command::DefineCharges(_) => Kind::DefineCharges,
            Command::SetSession(_) => Kind::SetSession,
            Command::Heartbeat(_) => Kind::Heartbeat,
            Command::Notice(_) => Kind::Notice,
        }
    }

    /// `None` for a code that no version up to this one has used.
    pub fn from_code(code: u8) -> Option<Kind> {
        Kind::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }

    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Bytes of the fixed part, prefix excluded.
    pub const fn fixed_bytes(self) -> usize {
        match self {
            Kind::NewOrder => 56,
            Kind::ModifyOrder => 27,
            Kind::CancelOrder => 15,
            Kind::CancelAll => 19,
            Kind::ClosePosition => 13,
            Kind::EditConditions => 24,
            Kind::MarketPrice => 8,
            Kind::Tick => 0,
            Kind::KillSwitch => 18,
            Kind::Rearm => 6,
            Kind::AdjustCash => 18,
            Kind::DefineInstrument => 25,
            Kind::DefineAccount => 112,
            Kind::DefineStrategy => 110,
            Kind::SetLimits => 119,
            Kind::HashCheck => 8,
            Kind::SetCapacity => 20,
            Kind::DefineCharges => 64,
            Kind::SetSession => 43,
            Kind::Heartbeat => 8,
            Kind::Notice => 2,
        }
    }
}

/// The layout version that [`encode`] writes, of every kind.
const LAYOUT_VERSION: u8 = 1;

/// Appends a command's record to `out`.
///
/// # Panics
/// Where an order's metadata is longer than [`engine::limits::METADATA_LEN_MAX`], which the edges refuse.
pub fn encode(time: Timestamp, command: &Command, out: &mut Vec<u8>) {
    let mut e = Encoder(out);
    let mut prefix = e.fields::<PREFIX_BYTES>();
    prefix.u8(Kind::of(command).code());
    prefix.u8(LAYOUT_VERSION);
    prefix.u64(time.nanos());
    prefix.finish();
    match command {
        Command::NewOrder(order) => put_new_order(&mut e, order),
        Command::ModifyOrder(modify) => put_modify_order(&mut e, modify),
        Command::CancelOrder(CancelOrder { actor, order }) => {
            let mut f = e.fields::<{ Kind::CancelOrder.fixed_bytes() }>();
            put_actor(&mut f, actor);
            put_order_ref(&mut f, order);
            f.finish();
            put_order_ref_tail(&mut e, order);
        }
        Command::CancelAll(cancel) => put_cancel_all(&mut e, cancel),
        Command::ClosePosition(ClosePosition {
            actor,
            position,
            quantity,
        }) => {
            put_actor(&mut e, actor);
            e.u32(position.get());
            e.optional_quantity(*quantity);
        }
        Command::EditConditions(edit) => put_edit_conditions(&mut e, edit),
        Command::MarketPrice(MarketPrice { instrument, price }) => {
            e.u32(instrument.get());
            e.price(*price);
        }
        Command::Tick => {}
        Command::KillSwitch(kill) => put_kill_switch(&mut e, kill),
        Command::Rearm(Rearm {
            actor,
            deactivated_by,
        }) => {
            put_actor(&mut e, actor);
            e.text_len(deactivated_by);
            e.text(deactivated_by);
        }
        Command::AdjustCash(AdjustCash {
            actor,
            account,
            amount,
            reason,
        }) => {
            put_actor(&mut e, actor);
            e.u32(account.get());
            e.money(*amount);
            e.text_len(reason);
            e.text(reason);
        }
        Command::DefineInstrument(definition) => put_instrument(&mut e, definition),
        Command::DefineAccount(definition) => put_account(&mut e, definition),
        Command::DefineStrategy(definition) => {
            let StrategyDefinition {
                account,
                strategy,
                name,
                limits,
            } = &**definition;
            e.u32(account.get());
            e.u32(strategy.get());
            e.text_len(name);
            put_limits(&mut e, limits);
            e.text(name);
        }
        Command::SetLimits(set) => {
            let SetLimits {
                actor,
                account,
                strategy,
                fields,
                limits,
            } = &**set;
            put_actor(&mut e, actor);
            e.u32(account.get());
            e.bool(strategy.is_some());
            e.u32(strategy.map_or(0, StrategyId::get));
            e.u32(fields.bits());
            put_limits(&mut e, limits);
        }
        Command::HashCheck(hash) => e.u64(*hash),
        Command::SetCapacity(capacity) => put_capacity(&mut e, capacity),
        Command::DefineCharges(rates) => put_charge_rates(&mut e, rates),
        Command::SetSession(calendar) => put_session(&mut e, calendar),
        Command::Heartbeat(Heartbeat { account, timeout_ms }) => {
            e.u32(account.get());
            e.u32(*timeout_ms);
        }
        Command::Notice(notice) => {
            let Notice { kind, reason } = &**notice;
            e.u8(notice_code(*kind));
            e.text_len(reason);
            e.text(reason);
        }
    }
}

/// Reads one record, which must be the whole of `bytes`.
pub fn decode(seq: Seq, bytes: &[u8]) -> Result<Sequenced<Command>, RecordError> {
    let mut d = Decoder(bytes);
    let mut prefix = d.fields::<PREFIX_BYTES>()?;
    let code = prefix.u8()?;
    let kind = Kind::from_code(code).ok_or(RecordError::UnknownKind(code))?;
    let version = prefix.u8()?;
    if version != LAYOUT_VERSION {
        return Err(RecordError::UnknownVersion { kind, version });
    }
    let time = Timestamp::from_nanos(prefix.u64()?);
    let command = take_command(kind, &mut d)?;
    if !d.0.is_empty() {
        return Err(RecordError::TrailingBytes(d.0.len()));
    }
    Ok(Sequenced { seq, time, command })
}

fn take_command(kind: Kind, d: &mut Decoder<'_>) -> Result<Command, RecordError> {
    Ok(match kind {
        Kind::NewOrder => Command::NewOrder(take_new_order(d)?),
        Kind::ModifyOrder => Command::ModifyOrder(take_modify_order(d)?),
        Kind::CancelOrder => {
            let actor = take_actor(d)?;
            let named = take_order_ref(d)?;
            Command::CancelOrder(CancelOrder {
                actor,
                order: take_order_ref_tail(d, named)?,
            })
        }
        Kind::CancelAll => Command::CancelAll(take_cancel_all(d)?),
        Kind::ClosePosition => Command::ClosePosition(ClosePosition {
            actor: take_actor(d)?,
            position: PositionId::new(d.u32()?),
            quantity: d.optional_quantity("quantity")?,
        }),
        Kind::EditConditions => Command::EditConditions(take_edit_conditions(d)?),
        Kind::MarketPrice => Command::MarketPrice(MarketPrice {
            instrument: InstrumentId::new(d.u32()?),
            price: d.price("price")?,
        }),
        Kind::Tick => Command::Tick,
        Kind::KillSwitch => Command::KillSwitch(take_kill_switch(d)?),
        Kind::Rearm => {
            let actor = take_actor(d)?;
            let len = d.u8()?;
            Command::Rearm(Rearm {
                actor,
                deactivated_by: d.text(len, "deactivated_by")?,
            })
        }
        Kind::AdjustCash => {
            let actor = take_actor(d)?;
            let account = AccountId::new(d.u32()?);
            let amount = d.money()?;
            let len = d.u8()?;
            Command::AdjustCash(AdjustCash {
                actor,
                account,
                amount,
                reason: d.text(len, "reason")?,
            })
        }
        Kind::DefineInstrument => Command::DefineInstrument(Box::new(take_instrument(d)?)),
        Kind::DefineAccount => Command::DefineAccount(Box::new(take_account(d)?)),
        Kind::DefineStrategy => {
            let account = AccountId::new(d.u32()?);
            let strategy = StrategyId::new(d.u32()?);
            let len = d.u8()?;
            let limits = take_limits(d)?;
            Command::DefineStrategy(Box::new(StrategyDefinition {
                account,
                strategy,
                limits,
                name: d.text(len, "name")?,
            }))
        }
        Kind::SetLimits => Command::SetLimits(Box::new(SetLimits {
            actor: take_actor(d)?,
            account: AccountId::new(d.u32()?),
            strategy: take_strategy(d)?,
            fields: LimitFields::from_bits(d.u32()?).ok_or(RecordError::OutOfRange { field: "fields" })?,
            limits: take_limits(d)?,
        })),
        Kind::HashCheck => Command::HashCheck(d.u64()?),
        Kind::SetCapacity => Command::SetCapacity(take_capacity(d)?),
        Kind::DefineCharges => Command::DefineCharges(Box::new(take_charge_rates(d)?)),
        Kind::SetSession => Command::SetSession(Box::new(take_session(d)?)),
        Kind::Heartbeat => Command::Heartbeat(Heartbeat {
            account: AccountId::new(d.u32()?),
            timeout_ms: d.u32()?,
        }),
        Kind::Notice => {
            let kind = notice(d.u8()?)?;
            let len = d.u8()?;
            let reason = d.text(len, "reason")?;
            Command::Notice(Box::new(Notice { kind, reason }))
        }
    })
}

fn take_strategy(d: &mut Decoder<'_>) -> Result<Option<StrategyId>, RecordError> {
    match (d.bool("strategy")?, d.u32()?) {
        (true, strategy) => Ok(Some(StrategyId::new(strategy))),
        (false, 0) => Ok(None),
        (false, _) => Err(RecordError::NotCanonical { field: "strategy" }),
    }
}
