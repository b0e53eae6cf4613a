//! Fills as the history keeps them.

use engine::{
    AccountId, Charges, InstrumentId, Money, OrderId, PositionId, Price, Product, Quantity, Side, StrategyId,
    Timestamp, TradeId,
};

/// One side of a trade: a row of `trades`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct FillRecord {
    pub trade: TradeId,
    pub order: OrderId,
    pub position: PositionId,
    pub account: AccountId,
    pub strategy: StrategyId,
    pub instrument: InstrumentId,
    pub side: Side,
    pub product: Product,
    pub quantity: Quantity,
    pub price: Price,
    pub charges: Charges,
    pub executed: Timestamp,
}

impl FillRecord {
    /// The fill's number among all sides of all trades, which is its row's in `trades`: the buy has twice the trade's
    /// number, the sale one more. It grows with time.
    pub fn key(&self) -> u64 {
        let sale = u64::from(self.side == Side::Sell);
        self.trade.get().saturating_mul(2).saturating_add(sale)
    }

    /// Price × quantity.
    pub fn gross(&self) -> Money {
        self.price.notional(self.quantity)
    }

    /// What the fill moved: gross + charges for a buy, gross − charges for a sell (CONTRACT.md section 6).
    pub fn net(&self) -> Money {
        match self.side {
            Side::Buy => self.gross().saturating_add(self.charges.total()),
            Side::Sell => self.gross().saturating_sub(self.charges.total()),
        }
    }
}
