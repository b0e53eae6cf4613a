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

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn words_are_those_of_tables_and_clients() {
        let at = Price::MIN;
        let sides = [Side::Buy, Side::Sell];
        assert_eq!(sides.map(Side::as_str), ["BUY", "SELL"]);
        assert_eq!(sides.map(|side| side.to_string()), ["BUY", "SELL"]);
        let products = [Product::Mis, Product::Cnc];
        assert_eq!(products.map(Product::as_str), ["MIS", "CNC"]);
        assert_eq!(products.map(|product| product.to_string()), ["MIS", "CNC"]);
        let types = [
            OrderType::Market,
            OrderType::Limit(at),
            OrderType::Stop {
                limit: at,
                trigger: at,
            },
            OrderType::StopMarket { trigger: at },
        ];
        assert_eq!(types.map(OrderType::as_str), ["MARKET", "LIMIT", "SL", "SL-M"]);
        let validities = [
            TimeInForce::Day,
            TimeInForce::Ioc,
            TimeInForce::Fok,
            TimeInForce::Gtd(Timestamp::ZERO),
        ];
        assert_eq!(validities.map(TimeInForce::as_str), ["DAY", "IOC", "FOK", "GTD"]);
        let states = [TradingState::Normal, TradingState::Reducing, TradingState::Halted];
        assert_eq!(states.map(TradingState::as_str), ["NORMAL", "REDUCING", "HALTED"]);
        assert_eq!(
            SelfTrade::ALL.map(SelfTrade::as_str),
            [
                "cancel-resting",
                "cancel-incoming",
                "cancel-both",
                "decrement",
                "off"
            ]
        );
    }

    #[test]
    fn an_order_is_active_until_it_is_finished() {
        let words = [
            "PENDING",
            "SUBMITTED",
            "OPEN",
            "FILLED",
            "CANCELLED",
            "REJECTED",
            "FAILED",
        ];
        assert_eq!(OrderStatus::ALL.map(OrderStatus::as_str), words);
        assert_eq!(OrderStatus::ALL.map(|status| status.to_string()), words);
        let active = [true, true, true, false, false, false, false];
        assert_eq!(OrderStatus::ALL.map(OrderStatus::is_active), active);
    }

    #[test]
    fn a_type_names_its_prices() {
        let [limit, trigger] = [7, 9].map(Price::from_paise);
        let (at, waits_for) = (limit.unwrap_or(Price::MIN), trigger.unwrap_or(Price::MIN));
        let types = [
            (OrderType::Market, (None, None)),
            (OrderType::Limit(at), (limit, None)),
            (
                OrderType::Stop {
                    limit: at,
                    trigger: waits_for,
                },
                (limit, trigger),
            ),
            (OrderType::StopMarket { trigger: waits_for }, (None, trigger)),
        ];
        for (order_type, prices) in types {
            assert_eq!(
                (order_type.price(), order_type.trigger()),
                prices,
                "{order_type:?}"
            );
        }
        for (side, other, sign) in [(Side::Buy, Side::Sell, 1), (Side::Sell, Side::Buy, -1)] {
            assert_eq!((side.opposite(), side.sign()), (other, sign));
        }
    }
}
