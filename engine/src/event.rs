//! Events: everything the engine decided, in order. Together with the commands they are enough to fold any read model.
//!
//! Venue accounts produce none of the account's own events: of their orders only [`Trade`] and market data are seen.

use alloc::vec::Vec;

use crate::alert::Alert;
use crate::cause::{Cause, Reached};
use crate::command::KillScope;
use crate::dead_man::DeadMan;
use crate::ids::{AccountId, InstrumentId, OrderId, PositionId, StrategyId, TradeId};
use crate::limits::{EVENTS_PER_CALL, EVENTS_PER_STEP};
use crate::rejection::{Refusal, Rejection};
use crate::session::SessionPhase;
use crate::terms::{OrderStatus, OrderType, Product, Side, TimeInForce, TradingState, Trailing};
use crate::units::{Money, Price, Quantity};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    OrderAccepted(OrderAccepted),
    OrderRejected(OrderRejected),
    /// The outcome of an earlier order with the same `client_order_id`. Nothing changed.
    OrderRepeated(OrderRepeated),
    Fill(Fill),
    OrderCancelled(OrderCancelled),
    OrderModified(OrderModified),
    /// A stop order's price came. It goes into the book at once.
    OrderTriggered(OrderTriggered),
    Trade(Trade),
    PositionChanged(PositionChanged),
    /// The conditions of an open position changed otherwise than by a fill: somebody edited them, or one fired, which
    /// ends all of them.
    ConditionsChanged(ConditionsChanged),
    /// The mark moved without a trade of the position; at most one per position every two seconds.
    PositionMarked(PositionMarked),
    AccountChanged(AccountChanged),
    Alert(Alert),
    TradingStateChanged(TradingStateChanged),
    /// The best bid or ask, or its quantity, changed. At most one per instrument and call.
    TopOfBook(TopOfBook),
    /// Summary of a mass cancel, after the last of its cancellations.
    MassCancelled(MassCancelled),
    /// Exits were placed for a position; each has its own [`OrderAccepted`] before this. `order` is the first of them.
    PositionClosing {
        position: PositionId,
        order: OrderId,
        quantity: Quantity,
    },
    /// A request to close a position of which an earlier one still works: nothing was placed. `order` and `quantity` are as
    /// that one was answered.
    CloseRepeated {
        position: PositionId,
        order: OrderId,
        quantity: Quantity,
    },
    /// An account's heartbeat is waited for from now on, or (`None`) no longer.
    HeartbeatSet {
        account: AccountId,
        dead_man: Option<DeadMan>,
    },
    /// A command about an existing thing was refused; nothing changed.
    Refused(Refusal),
    InstrumentDefined(InstrumentId),
    /// Instruments with, or without, derivatives entered another phase of their session.
    PhaseChanged {
        derivatives: bool,
        phase: SessionPhase,
    },
    AccountDefined(AccountId),
    StrategyDefined(AccountId, StrategyId),
    /// The account's own, or those of one of its strategies.
    LimitsSet(AccountId, Option<StrategyId>),
    /// The fold disagrees with the sequencer's state hash: a bug or bad memory.
    HashMismatch {
        expected: u64,
        found: u64,
    },
}

/// An order passed every check. Its first fills, if any, follow at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OrderAccepted {
    pub order: OrderId,
    pub account: AccountId,
    pub strategy: StrategyId,
    pub instrument: InstrumentId,
    pub position: PositionId,
    pub quantity: Quantity,
    /// The limit it matches at: the sender's, or the protected price of a market order.
    pub limit: Price,
    pub order_type: OrderType,
    pub stop_loss: Option<Price>,
    pub take_profit: Option<Price>,
    pub side: Side,
    pub product: Product,
    pub time_in_force: TimeInForce,
    /// Why the engine placed it by itself; `None` for an order that somebody sent.
    pub cause: Option<Cause>,
}

/// The order is recorded as REJECTED; it has an id like any other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OrderRejected {
    pub order: OrderId,
    pub account: AccountId,
    pub instrument: InstrumentId,
    pub rejection: Rejection,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OrderRepeated {
    pub order: OrderId,
    pub account: AccountId,
    /// The status that the first request was answered with.
    pub status: OrderStatus,
    /// The reason, where that was a rejection.
    pub rejection: Option<Rejection>,
}

/// One side of a trade, for an account that is not a venue's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fill {
    pub trade: TradeId,
    pub order: OrderId,
    pub position: PositionId,
    pub account: AccountId,
    pub instrument: InstrumentId,
    pub last_quantity: Quantity,
    pub last_price: Price,
    pub cum_quantity: Quantity,
    pub leaves_quantity: Quantity,
    /// Σ price × quantity of the order's fills so far; divided by `cum_quantity` it is the average price.
    pub cum_notional: Money,
    /// Charges of this fill.
    pub charges: Charges,
    pub side: Side,
    pub status: OrderStatus,
}

/// The six charges of one fill in paise (RISK.md, Charges). One fill is at most ₹4.6 × 10^9 of notional in practice;
/// components saturate at ₹42,949,672.95, far above any rate's share of the ₹10 crore order cap.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Charges {
    pub brokerage: u32,
    pub stt: u32,
    pub exchange: u32,
    pub gst: u32,
    pub stamp_duty: u32,
    pub sebi: u32,
}

impl Charges {
    pub fn total(&self) -> Money {
        let parts = [
            self.brokerage,
            self.stt,
            self.exchange,
            self.gst,
            self.stamp_duty,
            self.sebi,
        ];
        Money::from_paise(
            parts
                .iter()
                .fold(0_i64, |sum, &part| sum.saturating_add(i64::from(part))),
        )
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum CancelReason {
    /// The owner (or an admin) asked.
    Requested = 0,
    /// Part of a mass cancel.
    MassCancel = 1,
    /// The remainder of an IOC order.
    ImmediateOrCancel = 2,
    SelfTrade = 3,
    /// DAY or GTD ran out.
    Expired = 4,
    /// A kill switch swept its scope.
    KillSwitch = 5,
    /// The position shrank below what its resting exits would close.
    ExcessExit = 6,
    /// The price band moved away from it.
    PriceBand = 7,
    /// Intraday orders end before intraday positions are closed.
    SquareOff = 8,
    /// The account's heartbeat was lost.
    DeadMan = 9,
}

impl CancelReason {
    pub const fn as_str(self) -> &'static str {
        match self {
            CancelReason::Requested => "Cancelled by user",
            CancelReason::MassCancel => "Cancelled by cancel-all",
            CancelReason::ImmediateOrCancel => "Unfilled IOC quantity cancelled",
            CancelReason::SelfTrade => "Cancelled by self-trade prevention",
            CancelReason::Expired => "Expired",
            CancelReason::KillSwitch => "Cancelled by kill switch",
            CancelReason::ExcessExit => "Exit exceeds the open position",
            CancelReason::PriceBand => "Outside the price band",
            CancelReason::SquareOff => "Cancelled by square-off",
            CancelReason::DeadMan => "Cancelled: heartbeat lost",
        }
    }
}

/// The order left the book, or (`leaves_quantity` > 0 afterwards) lost a part of its quantity: its total is then
/// `cum_quantity + leaves_quantity`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OrderCancelled {
    pub order: OrderId,
    pub account: AccountId,
    pub instrument: InstrumentId,
    pub cancelled_quantity: Quantity,
    pub leaves_quantity: Quantity,
    pub cum_quantity: Quantity,
    pub side: Side,
    pub status: OrderStatus,
    pub reason: CancelReason,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OrderModified {
    pub order: OrderId,
    pub account: AccountId,
    pub instrument: InstrumentId,
    /// New total, fills included.
    pub quantity: Quantity,
    pub leaves_quantity: Quantity,
    pub limit: Price,
    /// A protected market order becomes a limit order when it is modified.
    pub order_type: OrderType,
    pub side: Side,
    /// FILLED where the new total equals what was filled.
    pub status: OrderStatus,
    /// The order kept its place in the queue.
    pub kept_priority: bool,
}

/// The last traded price reached the trigger of a stop order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OrderTriggered {
    pub order: OrderId,
    pub account: AccountId,
    pub instrument: InstrumentId,
    /// What it matches at from now on: its own limit, or the protected price of an SL-M.
    pub limit: Price,
    pub trigger_price: Price,
    /// The furthest print of the sweep that reached the trigger.
    pub print_price: Price,
    /// `None` where the last price came from outside, or had crossed the trigger before the order came.
    pub trade: Option<TradeId>,
}

/// A print. `price` is the resting order's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trade {
    pub trade: TradeId,
    pub instrument: InstrumentId,
    pub price: Price,
    pub quantity: Quantity,
    pub maker: OrderId,
    pub taker: OrderId,
    pub taker_side: Side,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum PositionChange {
    Opened = 0,
    Changed = 1,
    Closed = 2,
}

/// A position after a fill.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PositionChanged {
    pub position: PositionId,
    pub account: AccountId,
    pub strategy: StrategyId,
    pub instrument: InstrumentId,
    /// Signed: negative is short. 0 where `change` is [`PositionChange::Closed`].
    pub quantity: i32,
    /// Signed cost of the open quantity; divided by `quantity` it is the average price.
    pub cost: Money,
    /// Since the position was last flat, before charges.
    pub realised: Money,
    /// Since the position was last flat.
    pub charges: Money,
    /// `quantity × mark − cost`.
    pub unrealised: Money,
    pub stop_loss: Option<Price>,
    pub take_profit: Option<Price>,
    pub product: Product,
    pub change: PositionChange,
}

/// The conditions of a position as they stand now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConditionsChanged {
    pub position: PositionId,
    pub account: AccountId,
    pub instrument: InstrumentId,
    pub stop_loss: Option<Price>,
    pub take_profit: Option<Price>,
    pub trailing: Option<Trailing>,
    /// Where the trailing stop stands now.
    pub trailing_stop: Option<Price>,
    /// Something was asked for that is off the tick grid.
    pub rounded: bool,
    /// What reached the condition that fired; the exits that it became follow.
    pub fired: Option<Reached>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PositionMarked {
    pub position: PositionId,
    pub account: AccountId,
    pub instrument: InstrumentId,
    pub quantity: i32,
    pub cost: Money,
    pub realised: Money,
    pub charges: Money,
    pub unrealised: Money,
}

/// An account's balance changed: by a cash adjustment or at the day roll. Realised and charges are today's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccountChanged {
    pub account: AccountId,
    pub balance: Money,
    pub realised: Money,
    pub charges: Money,
    pub unrealised: Money,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum KillCause {
    /// By command; its reason and author are in the command.
    Manual,
    /// Automatic; the alert that goes with it has the numbers.
    DailyLoss {
        loss: Money,
        balance: Money,
    },
    Drawdown {
        drawdown: Money,
        peak: Money,
    },
    /// Back to normal, by command.
    Rearmed,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TradingStateChanged {
    pub scope: KillScope,
    pub state: TradingState,
    pub cause: KillCause,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TopOfBook {
    pub instrument: InstrumentId,
    pub bid: Option<Price>,
    pub ask: Option<Price>,
    pub bid_quantity: u64,
    pub ask_quantity: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MassCancelled {
    pub account: Option<AccountId>,
    pub orders: u32,
}

const _: () = assert!(
    size_of::<Event>() <= 96,
    "an event fits in one and a half cache lines"
);

/// Where `apply` puts its events: a buffer allocated once, filled and emptied for ever.
#[derive(Debug)]
pub struct EventBuffer {
    events: Vec<Event>,
}

impl EventBuffer {
    /// With room for one full call.
    pub fn new() -> EventBuffer {
        EventBuffer {
            events: Vec::with_capacity(EVENTS_PER_CALL),
        }
    }

    pub fn as_slice(&self) -> &[Event] {
        &self.events
    }

    pub fn clear(&mut self) {
        self.events.clear();
    }

    /// Whether one more step of a call fits.
    pub(crate) fn has_room_for_a_step(&self) -> bool {
        self.events.len() <= EVENTS_PER_CALL.saturating_sub(EVENTS_PER_STEP)
    }

    pub(crate) fn push(&mut self, event: Event) {
        debug_assert!(
            self.events.len() < EVENTS_PER_CALL,
            "a step emitted more than EVENTS_PER_STEP"
        );
        self.events.push(event);
    }
}

impl Default for EventBuffer {
    fn default() -> EventBuffer {
        EventBuffer::new()
    }
}

impl core::ops::Deref for EventBuffer {
    type Target = [Event];

    fn deref(&self) -> &[Event] {
        &self.events
    }
}
