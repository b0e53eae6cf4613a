//! Why the engine placed an order by itself.

use crate::ids::TradeId;
use crate::units::Price;

/// A trigger that the last traded price reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, serde::Serialize, serde::Deserialize)]
pub struct Reached {
    pub trigger_price: Price,
    /// The furthest print of the sweep that reached it.
    pub print_price: Price,
    /// `None` where the price came from outside, or had crossed the trigger before it was set.
    pub trade: Option<TradeId>,
}

/// What set off an exit that nobody sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum Cause {
    /// A request to close the position, or a part of it.
    Close = 0,
    /// A kill switch that also closes positions.
    Flatten = 1,
    /// The time of day at which intraday positions are closed.
    SquareOff = 2,
    /// A condition of the position was reached.
    StopLoss = 3,
    TakeProfit = 4,
    TrailingStop = 5,
}

impl Cause {
    /// A condition of the position set it off.
    pub const fn is_condition(self) -> bool {
        matches!(self, Cause::StopLoss | Cause::TakeProfit | Cause::TrailingStop)
    }

    /// As clients and tables see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Cause::Close => "close",
            Cause::Flatten => "flatten",
            Cause::SquareOff => "square_off",
            Cause::StopLoss => "stop_loss",
            Cause::TakeProfit => "take_profit",
            Cause::TrailingStop => "trailing_stop",
        }
    }
}
