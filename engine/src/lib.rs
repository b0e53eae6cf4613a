//! Pinion's matching and pre-trade risk engine.
//!
//! [`Engine::apply`] folds sequenced [`Command`]s into state and [`Event`]s. It is deterministic: the same commands
//! give the same events and the same [`Engine::state_hash`] on any machine. There is no I/O here, no clock, no thread,
//! no float and no hash map; time arrives in the command.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod alert;
mod arena;
pub mod book;
mod command;
mod engine;
mod event;
mod ids;
pub mod lane;
pub mod limits;
mod rejection;
mod risk_limits;
mod terms;
mod text;
mod units;
mod view;

pub use alert::{Alert, AlertKind, Severity};
pub use command::{
    AccountDefinition, Actor, AdjustCash, CancelAll, CancelOrder, ClosePosition, Command,
    InstrumentDefinition, KillScope, KillSwitch, MarketPrice, ModifyOrder, NewOrder, OrderRef, Rearm,
    Sequenced, SetLimits, StrategyDefinition,
};
pub use engine::{Capacity, Engine, Work};
pub use event::{
    AccountChanged, CancelReason, Charges, Event, EventBuffer, Fill, KillCause, MassCancelled, OrderAccepted,
    OrderCancelled, OrderModified, OrderRejected, OrderRepeated, PositionChange, PositionChanged,
    PositionMarked, TopOfBook, Trade, TradingStateChanged,
};
pub use ids::{AccountId, InstrumentId, OrderId, PositionId, Seq, StrategyId, TradeId};
pub use rejection::{Percent, Refusal, RejectCode, Rejection, Rupees};
pub use risk_limits::RiskLimits;
pub use terms::{OrderStatus, OrderType, Product, SelfTrade, Side, TimeInForce, TradingState};
pub use text::{AccountName, ClientOrderId, Symbol, Text};
pub use units::{Money, ParseDecimalError, Price, Quantity, Ratio, Timestamp};
pub use view::{AccountView, DepthLevel, InstrumentView, PositionView};
