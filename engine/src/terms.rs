//! The closed vocabularies of an order.

use core::fmt;

use crate::units::{Price, Ratio, Timestamp};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum Side {
    Buy = 0,
    Sell = 1,
}

impl Side {
    pub const fn opposite(self) -> Side {
        match self {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        }
    }

    /// +1 for a buy, −1 for a sell: the sign of its effect on a position.
    pub const fn sign(self) -> i64 {
        match self {
            Side::Buy => 1,
            Side::Sell => -1,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Side::Buy => "BUY",
            Side::Sell => "SELL",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// MIS is intraday on margin, CNC is delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum Product {
    Mis = 0,
    Cnc = 1,
}

impl Product {
    pub const fn as_str(self) -> &'static str {
        match self {
            Product::Mis => "MIS",
            Product::Cnc => "CNC",
        }
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum OrderType {
    /// Becomes a limit at the protected price when it is accepted (RISK.md, `market_protection`).
    Market,
    Limit(Price),
    /// SL: waits for the last traded price to reach `trigger`, then a limit order.
    Stop {
        limit: Price,
        trigger: Price,
    },
    /// SL-M: waits for the last traded price to reach `trigger`, then a protected market order.
    StopMarket {
        trigger: Price,
    },
}

impl OrderType {
    pub const fn as_str(self) -> &'static str {
        match self {
            OrderType::Market => "MARKET",
            OrderType::Limit(_) => "LIMIT",
            OrderType::Stop { .. } => "SL",
            OrderType::StopMarket { .. } => "SL-M",
        }
    }

    /// The price that the sender named, if any.
    pub const fn price(self) -> Option<Price> {
        match self {
            OrderType::Market | OrderType::StopMarket { .. } => None,
            OrderType::Limit(price) | OrderType::Stop { limit: price, .. } => Some(price),
        }
    }

    /// The price that it waits or waited for, if any.
    pub const fn trigger(self) -> Option<Price> {
        match self {
            OrderType::Market | OrderType::Limit(_) => None,
            OrderType::Stop { trigger, .. } | OrderType::StopMarket { trigger } => Some(trigger),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum TimeInForce {
    /// Until the end of the trading day (IST).
    Day,
    /// What does not trade at once is cancelled.
    Ioc,
    /// All at once or nothing.
    Fok,
    /// Until the instant named.
    Gtd(Timestamp),
}

impl TimeInForce {
    pub const fn as_str(self) -> &'static str {
        match self {
            TimeInForce::Day => "DAY",
            TimeInForce::Ioc => "IOC",
            TimeInForce::Fok => "FOK",
            TimeInForce::Gtd(_) => "GTD",
        }
    }
}

/// How far behind the best last traded price a trailing stop follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum Trailing {
    /// So much of a price.
    Distance(Price),
    /// A share of the best price; above 0 and below 1.
    Percent(Ratio),
}

/// An order's state as tables and clients see it. A partly filled order is [`OrderStatus::Open`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum OrderStatus {
    Pending = 0,
    Submitted = 1,
    Open = 2,
    Filled = 3,
    Cancelled = 4,
    Rejected = 5,
    Failed = 6,
}

impl OrderStatus {
    pub const ALL: [OrderStatus; 7] = [
        OrderStatus::Pending,
        OrderStatus::Submitted,
        OrderStatus::Open,
        OrderStatus::Filled,
        OrderStatus::Cancelled,
        OrderStatus::Rejected,
        OrderStatus::Failed,
    ];

    pub const fn is_active(self) -> bool {
        matches!(
            self,
            OrderStatus::Pending | OrderStatus::Submitted | OrderStatus::Open
        )
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            OrderStatus::Pending => "PENDING",
            OrderStatus::Submitted => "SUBMITTED",
            OrderStatus::Open => "OPEN",
            OrderStatus::Filled => "FILLED",
            OrderStatus::Cancelled => "CANCELLED",
            OrderStatus::Rejected => "REJECTED",
            OrderStatus::Failed => "FAILED",
        }
    }
}

impl fmt::Display for OrderStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What happens when an order would trade with another of the same account (RISK.md, `self_trade`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum SelfTrade {
    /// Cancel the resting order and go on (the default; also NSE's rule).
    CancelResting = 0,
    /// Cancel what is left of the incoming order; its earlier fills stand.
    CancelIncoming = 1,
    CancelBoth = 2,
    /// Take the smaller quantity off both without a trade.
    Decrement = 3,
    Off = 4,
}

impl SelfTrade {
    pub const ALL: [SelfTrade; 5] = [
        SelfTrade::CancelResting,
        SelfTrade::CancelIncoming,
        SelfTrade::CancelBoth,
        SelfTrade::Decrement,
        SelfTrade::Off,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            SelfTrade::CancelResting => "cancel-resting",
            SelfTrade::CancelIncoming => "cancel-incoming",
            SelfTrade::CancelBoth => "cancel-both",
            SelfTrade::Decrement => "decrement",
            SelfTrade::Off => "off",
        }
    }
}

/// How much trading a scope still allows (RISK.md, kill switch). Ordered: a later state is stricter.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, serde::Serialize, serde::Deserialize,
)]
#[repr(u8)]
pub enum TradingState {
    #[default]
    Normal = 0,
    /// Entries are refused; exits and cancels pass.
    Reducing = 1,
    /// Only cancels pass.
    Halted = 2,
}

impl TradingState {
    pub const fn as_str(self) -> &'static str {
        match self {
            TradingState::Normal => "NORMAL",
            TradingState::Reducing => "REDUCING",
            TradingState::Halted => "HALTED",
        }
    }
}
