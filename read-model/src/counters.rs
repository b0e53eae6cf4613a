//! What an account did today, counted. Exact however much of the history has been forgotten.

use engine::{Money, OrderStatus, Side};

/// Counters of one account since the start of the trading day (IST).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct DayCounters {
    /// Orders created, rejected ones included.
    pub orders: u64,
    pub filled: u64,
    pub cancelled: u64,
    pub rejected: u64,
    /// Fills.
    pub trades: u64,
    /// Σ price × quantity of the fills.
    pub bought: Money,
    pub sold: Money,
    /// Of the fills.
    pub charges: Money,
    /// Net of charges, of the positions that were closed.
    pub realised_of_closed: Money,
    /// Positions closed, and how many of them with a net profit.
    pub closed: u64,
    pub closed_with_profit: u64,
}

impl DayCounters {
    /// An order reached a final status.
    pub(crate) fn finished(&mut self, status: OrderStatus) {
        let counter = match status {
            OrderStatus::Filled => &mut self.filled,
            OrderStatus::Cancelled => &mut self.cancelled,
            OrderStatus::Rejected => &mut self.rejected,
            OrderStatus::Pending | OrderStatus::Submitted | OrderStatus::Open | OrderStatus::Failed => return,
        };
        *counter = counter.saturating_add(1);
    }

    pub(crate) fn traded(&mut self, side: Side, notional: Money, charges: Money) {
        self.trades = self.trades.saturating_add(1);
        let value = match side {
            Side::Buy => &mut self.bought,
            Side::Sell => &mut self.sold,
        };
        *value = value.saturating_add(notional);
        self.charges = self.charges.saturating_add(charges);
    }

    pub(crate) fn closed(&mut self, net: Money) {
        self.closed = self.closed.saturating_add(1);
        self.closed_with_profit = self
            .closed_with_profit
            .saturating_add(u64::from(net > Money::ZERO));
        self.realised_of_closed = self.realised_of_closed.saturating_add(net);
    }
}
