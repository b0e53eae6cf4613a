//! Pinion's matching and pre-trade risk engine.
//!
//! [`Engine::apply`] folds sequenced [`Command`]s into state and [`Event`]s. It is deterministic: the same commands
//! give the same events and the same [`Engine::state_hash`] on any machine. There is no I/O here, no clock, no thread,
//! no float and no hash map; time arrives in the command.

#![no_std]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        reason = "tests may stop on overflow"
    )
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod account;
mod account_names;
mod agenda;
mod alert;
mod arena;
mod audit;
mod average;
mod bands;
pub mod book;
mod cancel;
mod cause;
mod charge_rates;
mod charges;
mod clock;
mod closing;
mod command;
mod conditions;
mod dead_man;
mod deadlines;
mod definition;
mod engine;
mod entry;
mod event;
mod express;
mod extremes;
mod feed;
mod idempotency;
mod ids;
mod instrument;
mod key_tree;
mod kill;
pub mod lane;
mod leaving;
mod legs;
pub mod limits;
mod lists;
mod marking;
mod matching;
mod modify;
mod monitor;
mod order;
mod position;
mod reducing;
mod rejection;
mod reservation;
mod risk;
mod risk_limits;
mod session;
mod settlement;
mod snapshot;
mod state_hash;
mod stops;
mod strategy_limits;
mod sweep;
mod terms;
mod text;
mod trails;
mod triggers;
mod units;
mod view;

/// Version of the rules by which commands become events. Raised with every released change that makes the same commands
/// give other events or another state; a journal names the version that it was written under.
pub const SEMANTICS_VERSION: u32 = 1;

pub use alert::{Alert, AlertKind, Severity};
pub use average::AveragePrice;
pub use cause::{Cause, Reached};
pub use charge_rates::{ChargeRate, ChargeRates, ProductRates};
pub use command::{
    AccountDefinition, Actor, AdjustCash, CancelAll, CancelOrder, ClosePosition, Command, Edit,
    EditConditions, Heartbeat, InstrumentDefinition, KillScope, KillSwitch, MarketPrice, ModifyOrder,
    NewOrder, Notice, NoticeKind, OrderRef, Rearm, Sequenced, SetLimits, StrategyDefinition,
};
pub use dead_man::DeadMan;
pub use engine::{Capacity, Engine, Work};
pub use event::{
    AccountChanged, CancelReason, Charges, ConditionsChanged, Event, EventBuffer, Fill, KillCause,
    MassCancelled, OrderAccepted, OrderCancelled, OrderModified, OrderRejected, OrderRepeated,
    OrderTriggered, PositionChange, PositionChanged, PositionMarked, TopOfBook, Trade, TradingStateChanged,
};
pub use ids::{AccountId, InstrumentId, OrderId, PositionId, Seq, StrategyId, TradeId};
pub use rejection::{Percent, Refusal, RejectCode, Rejection, Rupees};
pub use risk::{CheckOutcome, ExplainedCheck};
pub use risk_limits::{LimitFields, RiskLimits};
pub use session::{ByClass, SessionCalendar, SessionPhase, Timetable};
pub use snapshot::RestoreError;
pub use terms::{OrderStatus, OrderType, Product, SelfTrade, Side, TimeInForce, TradingState, Trailing};
pub use text::{AccountName, ClientOrderId, Symbol, Text};
pub use units::{Money, ParseDecimalError, Price, Quantity, Ratio, Timestamp};
pub use view::{AccountView, DepthLevel, InstrumentView, PositionView, StrategyLimitsView};
