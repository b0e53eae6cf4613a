//! Read-only views of the engine's state, for read models and reports. None of them is on the path of an order.

use crate::command::InstrumentDefinition;
use crate::ids::{AccountId, InstrumentId, PositionId, StrategyId};
use crate::risk_limits::RiskLimits;
use crate::terms::{Product, TradingState};
use crate::text::{AccountName, Text};
use crate::units::{Money, Price};

/// An account's money and limits. All P&L is today's; `realised` is before charges.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountView<'a> {
    pub account: AccountId,
    pub name: AccountName,
    pub profile: Text<32>,
    pub venue: bool,
    /// The day's opening balance.
    pub balance: Money,
    pub realised: Money,
    pub charges: Money,
    pub unrealised: Money,
    /// Highest `balance + total P&L` of the day.
    pub peak: Money,
    /// Margin of open positions at cost, rounded up to the paisa.
    pub position_margin: Money,
    /// Margin of open entry orders, rounded up to the paisa.
    pub order_margin: Money,
    /// What a new entry may use.
    pub available: Money,
    pub open_positions: u32,
    pub open_orders: u32,
    /// The stricter of the account's and the engine's state.
    pub state: TradingState,
    pub limits: &'a RiskLimits,
}

impl AccountView<'_> {
    /// Realised + unrealised − charges.
    pub fn total_pnl(&self) -> Money {
        self.realised
            .saturating_add(self.unrealised)
            .saturating_sub(self.charges)
    }

    pub fn current_value(&self) -> Money {
        self.balance.saturating_add(self.total_pnl())
    }

    /// How far the current value is below the day's peak.
    pub fn drawdown(&self) -> Money {
        self.peak.saturating_sub(self.current_value()).max(Money::ZERO)
    }
}

/// A position that has ever been opened. Flat ones have quantity 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PositionView {
    pub position: PositionId,
    pub account: AccountId,
    pub strategy: StrategyId,
    pub instrument: InstrumentId,
    pub product: Product,
    /// Signed: negative is short.
    pub quantity: i64,
    pub cost: Money,
    pub realised: Money,
    pub charges: Money,
    pub unrealised: Money,
    pub stop_loss: Option<Price>,
    pub take_profit: Option<Price>,
}

/// An instrument with its day's statistics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InstrumentView<'a> {
    pub instrument: InstrumentId,
    pub definition: &'a InstrumentDefinition,
    /// Ends of the price band, on the tick grid.
    pub band_low: Price,
    pub band_high: Price,
    pub last_price: Option<Price>,
    pub open: Option<Price>,
    pub high: Option<Price>,
    pub low: Option<Price>,
    pub volume: u64,
    /// Σ price × quantity of the day's trades, in paise; divided by `volume` it is the VWAP.
    pub turnover: i128,
    pub trades: u64,
}

/// One price level of a book.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DepthLevel {
    pub price: Price,
    /// Visible quantity.
    pub quantity: u64,
    pub orders: u32,
}
