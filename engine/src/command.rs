//! Commands: everything that can change a decision of the engine. The journal is a sequence of these, and every
//! piece of state is a fold of it.
//!
//! A command that carries a heap allocation (definitions, metadata) only ever moves through the engine thread: it is
//! made at the edge and freed by the journal writer.

use alloc::boxed::Box;

use crate::alert::AlertKind;
use crate::charge_rates::ChargeRates;
use crate::engine::Capacity;
use crate::ids::{AccountId, InstrumentId, OrderId, PositionId, Seq, StrategyId};
use crate::risk_limits::{LimitFields, RiskLimits};
use crate::session::SessionCalendar;
use crate::terms::{OrderType, Product, Side, TimeInForce, TradingState, Trailing};
use crate::text::{AccountName, ClientOrderId, Symbol, Text};
use crate::units::{Money, Price, Quantity, Ratio, Timestamp};

/// A command with its place in history. `seq` grows by one; `time` never runs backwards.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sequenced<C> {
    pub seq: Seq,
    pub time: Timestamp,
    pub command: C,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    NewOrder(NewOrder),
    ModifyOrder(ModifyOrder),
    CancelOrder(CancelOrder),
    CancelAll(CancelAll),
    ClosePosition(ClosePosition),
    EditConditions(EditConditions),
    MarketPrice(MarketPrice),
    /// Fires everything whose deadline has passed. Sequenced by the loop only when [`crate::Engine::next_deadline`]
    /// is due.
    Tick,
    KillSwitch(KillSwitch),
    Rearm(Rearm),
    AdjustCash(AdjustCash),
    Heartbeat(Heartbeat),
    /// Something outside of the engine is in trouble: it becomes an alert, and changes nothing.
    Notice(Box<Notice>),
    DefineInstrument(Box<InstrumentDefinition>),
    DefineAccount(Box<AccountDefinition>),
    DefineStrategy(Box<StrategyDefinition>),
    SetLimits(Box<SetLimits>),
    /// Charge rates from a trading day on; the same day again replaces them. What was charged stays as it is.
    DefineCharges(Box<ChargeRates>),
    /// What the venue's days look like from now on.
    SetSession(Box<SessionCalendar>),
    /// The first command of a journal: what the engine reserves. Later only the same value is accepted.
    SetCapacity(Capacity),
    /// The sequencer's own [`crate::Engine::state_hash`] after the previous command. Every fold compares.
    HashCheck(u64),
}

/// What the process has to tell its operators, by way of the journal, so that every consumer has it, once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    pub kind: NoticeKind,
    /// For a person; never holds a credential.
    pub reason: Text<200>,
}

/// What is in trouble. Raised once when it begins, and again only after it was over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoticeKind {
    /// The tables are far behind the journal, or are not written any more.
    DatabaseBehind,
    /// A fold of the journal disagrees with the sequencer's state hash, or breaks an invariant.
    StateDivergence,
    /// The journal's disk is nearly full.
    DiskLow,
    /// The database refused rows for what they hold.
    DeadLetter,
    /// Rows that never change stood in the tables with other content.
    TableConflict,
}

impl NoticeKind {
    pub const ALL: [NoticeKind; 5] = [
        NoticeKind::DatabaseBehind,
        NoticeKind::StateDivergence,
        NoticeKind::DiskLow,
        NoticeKind::DeadLetter,
        NoticeKind::TableConflict,
    ];

    /// The alert that it becomes.
    pub const fn alert(self) -> AlertKind {
        match self {
            NoticeKind::DatabaseBehind => AlertKind::DatabaseBehind,
            NoticeKind::StateDivergence => AlertKind::StateDivergence,
            NoticeKind::DiskLow => AlertKind::DiskLow,
            NoticeKind::DeadLetter => AlertKind::DeadLetter,
            NoticeKind::TableConflict => AlertKind::TableConflict,
        }
    }
}

/// On whose authority a command acts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Actor {
    pub account: AccountId,
    /// An admin may act on every account's orders.
    pub admin: bool,
}

impl Actor {
    /// The process itself, at a start after its journal failed: no client is it. Its kill switch raises
    /// [`crate::AlertKind::JournalError`].
    pub const PROCESS: Actor = Actor {
        account: AccountId::new(u32::MAX),
        admin: true,
    };
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewOrder {
    pub account: AccountId,
    pub strategy: StrategyId,
    pub instrument: InstrumentId,
    pub side: Side,
    pub product: Product,
    pub order_type: OrderType,
    pub time_in_force: TimeInForce,
    pub quantity: Quantity,
    /// Refuse instead of trading at once.
    pub post_only: bool,
    /// Iceberg: at most this much is shown at a time.
    pub disclosed: Option<Quantity>,
    /// Refuse unless at least this much trades at once.
    pub minimum: Option<Quantity>,
    pub stop_loss: Option<Price>,
    pub take_profit: Option<Price>,
    /// Empty means none. With one, the order is idempotent per account.
    pub client_order_id: ClientOrderId,
    /// JSON text, kept with the order and never read by the engine.
    pub metadata: Option<Box<str>>,
}

impl NewOrder {
    /// An intraday limit order for the day with nothing else to it, under strategy 1.
    pub const fn plain(
        account: AccountId,
        instrument: InstrumentId,
        side: Side,
        limit: Price,
        quantity: Quantity,
    ) -> NewOrder {
        NewOrder {
            account,
            strategy: StrategyId::new(1),
            instrument,
            side,
            product: Product::Mis,
            order_type: OrderType::Limit(limit),
            time_in_force: TimeInForce::Day,
            quantity,
            post_only: false,
            disclosed: None,
            minimum: None,
            stop_loss: None,
            take_profit: None,
            client_order_id: ClientOrderId::EMPTY,
            metadata: None,
        }
    }
}

/// An order named by its id or by its sender's id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OrderRef {
    Id(OrderId),
    /// Of the acting account.
    Client(ClientOrderId),
}

/// `None` leaves a field as it is. `quantity` is the new total, fills included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ModifyOrder {
    pub actor: Actor,
    pub order: OrderRef,
    pub quantity: Option<Quantity>,
    pub price: Option<Price>,
    /// Of a stop order that is still pending.
    pub trigger: Option<Price>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CancelOrder {
    pub actor: Actor,
    pub order: OrderRef,
}

/// Cancels every open order that matches all the given fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CancelAll {
    pub actor: Actor,
    /// `None`: every account (needs an admin).
    pub account: Option<AccountId>,
    pub strategy: Option<StrategyId>,
    pub instrument: Option<InstrumentId>,
    pub side: Option<Side>,
}

/// Closes a position, or `quantity` of it, with protected market exits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClosePosition {
    pub actor: Actor,
    pub position: PositionId,
    pub quantity: Option<Quantity>,
}

/// What to do with a value that may be set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Edit<T> {
    Keep,
    Remove,
    Set(T),
}

/// Changes the conditions of an open position. A stop or target off the tick grid is rounded toward triggering earlier, a
/// distance down; what is crossed when it is set fires at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EditConditions {
    pub actor: Actor,
    pub position: PositionId,
    pub stop_loss: Edit<Price>,
    pub take_profit: Edit<Price>,
    pub trailing: Edit<Trailing>,
}

/// A last traded price from outside (replay, live feed).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MarketPrice {
    pub instrument: InstrumentId,
    pub price: Price,
}

/// What a kill switch covers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum KillScope {
    Engine,
    Account(AccountId),
    Strategy(AccountId, StrategyId),
}

/// Makes a scope stricter. Asking for a state that is not stricter than the present one changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KillSwitch {
    pub actor: Actor,
    pub scope: KillScope,
    pub state: TradingState,
    /// `None`: as the account's profile says.
    pub flatten: Option<bool>,
    pub reason: Text<100>,
    pub triggered_by: Text<50>,
}

/// Back to normal, for every scope that the actor may clear: an admin all, else those of the own account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rearm {
    pub actor: Actor,
    pub deactivated_by: Text<50>,
}

/// A sign of life of an account's client. Without another one in time the account's entries are cancelled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heartbeat {
    pub account: AccountId,
    /// Milliseconds until the next one must have come ([`crate::limits::HEARTBEAT_MS_MIN`] to
    /// [`crate::limits::HEARTBEAT_MS_MAX`]); 0 waits for none any more.
    pub timeout_ms: u32,
}

/// Adds to (or takes from) an account's balance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AdjustCash {
    /// An admin.
    pub actor: Actor,
    pub account: AccountId,
    /// Negative takes.
    pub amount: Money,
    pub reason: Text<100>,
}

/// Defines the next instrument, or changes the one of the same symbol and exchange.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct InstrumentDefinition {
    pub symbol: Symbol,
    /// `NSE`.
    pub exchange: Text<10>,
    /// In paise.
    pub tick_size: Price,
    /// In shares.
    pub lot_size: Quantity,
    /// Orders above this many shares are refused.
    pub freeze_quantity: Quantity,
    /// Previous close; centre of the price band. Never the last traded price.
    pub reference_price: Price,
    /// Half-width of the price band as a share of the reference price.
    pub price_band: Ratio,
    pub mis_allowed: bool,
    /// Positions may only be reduced.
    pub banned: bool,
    /// Derivatives on it are traded, so that its session ends with a closing auction (VENUE.md, Sessions).
    pub derivatives: bool,
}

/// Defines the next account, or changes the one of the same name (not its balance: that takes [`AdjustCash`]).
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct AccountDefinition {
    pub name: AccountName,
    pub opening_balance: Money,
    pub limits: RiskLimits,
    /// The name of the profile that `limits` came from, for people.
    pub profile: Text<32>,
    /// A simulated market participant: no risk checks but capacity, no events, absent from tables and statistics.
    pub venue: bool,
}

/// Names a strategy of an account.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct StrategyDefinition {
    pub account: AccountId,
    pub strategy: StrategyId,
    pub name: Text<100>,
    /// What the configuration sets for it ([`LimitFields::OF_STRATEGIES`]), for later starts to compare with; they hold
    /// by [`SetLimits`].
    pub limits: RiskLimits,
}

/// Changes an account's limits, effective from this command on: `fields` of them, to what they are in `limits`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetLimits {
    pub actor: Actor,
    pub account: AccountId,
    /// The strategy whose own limits change; they can only tighten the account's. A limit that is off in `limits` is the
    /// account's again.
    pub strategy: Option<StrategyId>,
    pub fields: LimitFields,
    pub limits: RiskLimits,
}
