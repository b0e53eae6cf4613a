//! Accounts: balance, the day's P&L, what open orders and positions hold, and the trading state.

use crate::arena::NIL;
use crate::command::AccountDefinition;
use crate::event::AccountChanged;
use crate::ids::AccountId;
use crate::risk_limits::RiskLimits;
use crate::state_hash::Digest;
use crate::terms::{Product, TradingState};
use crate::text::{AccountName, Text};
use crate::units::{Money, Timestamp};

/// A sum for each product.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct ByProduct {
    pub(crate) mis: i64,
    pub(crate) cnc: i64,
}

impl ByProduct {
    pub(crate) fn of(&mut self, product: Product) -> &mut i64 {
        match product {
            Product::Mis => &mut self.mis,
            Product::Cnc => &mut self.cnc,
        }
    }

    /// Margin × leverage: exact, where the margin itself need not be a whole number of paise.
    pub(crate) fn leveraged(&self, leverage: u32) -> i128 {
        i128::from(self.cnc)
            .wrapping_mul(i128::from(leverage))
            .wrapping_add(i128::from(self.mis))
    }
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Account {
    pub(crate) name: AccountName,
    pub(crate) profile: Text<32>,
    pub(crate) limits: RiskLimits,
    pub(crate) venue: bool,
    pub(crate) state: TradingState,
    /// Some strategy of the account is not in the normal state.
    pub(crate) strategy_killed: bool,
    pub(crate) daily_loss_alerted: bool,
    pub(crate) drawdown_alerted: bool,
    /// On the list of accounts whose P&L changed in this command.
    pub(crate) under_review: bool,
    /// Opening balance of the day.
    pub(crate) balance: Money,
    /// Today's, before charges.
    pub(crate) realised: Money,
    pub(crate) charges: Money,
    /// Σ over its positions.
    pub(crate) unrealised: Money,
    /// Highest balance + total P&L of the day (or since the last re-arm).
    pub(crate) peak: Money,
    /// Day's P&L at the last re-arm or day roll; checks and monitor subtract it.
    pub(crate) loss_base: Money,
    /// Σ |cost| of open positions.
    pub(crate) position_cost: ByProduct,
    /// Σ limit × entry quantity of open orders.
    pub(crate) entry_value: ByProduct,
    pub(crate) open_positions: u32,
    /// Flat keys with entry orders working.
    pub(crate) pending_positions: u32,
    pub(crate) open_orders: u32,
    pub(crate) entry_orders: u32,
    pub(crate) orders_today: u32,
    /// Token bucket as its theoretical arrival time (GCRA), in nanoseconds.
    pub(crate) rate_horizon: Timestamp,
    /// Ends of the list of its position keys, by id.
    pub(crate) first_position: u32,
    pub(crate) last_position: u32,
    pub(crate) digest: u64,
}

impl Account {
    pub(crate) fn new(definition: &AccountDefinition) -> Account {
        Account {
            name: definition.name,
            profile: definition.profile,
            limits: definition.limits.clone(),
            venue: definition.venue,
            state: TradingState::Normal,
            strategy_killed: false,
            daily_loss_alerted: false,
            drawdown_alerted: false,
            under_review: false,
            balance: definition.opening_balance,
            realised: Money::ZERO,
            charges: Money::ZERO,
            unrealised: Money::ZERO,
            peak: definition.opening_balance,
            loss_base: Money::ZERO,
            position_cost: ByProduct::default(),
            entry_value: ByProduct::default(),
            open_positions: 0,
            pending_positions: 0,
            open_orders: 0,
            entry_orders: 0,
            orders_today: 0,
            rate_horizon: Timestamp::ZERO,
            first_position: NIL,
            last_position: NIL,
            digest: 0,
        }
    }

    /// Today's realised + unrealised − charges.
    pub(crate) fn total_pnl(&self) -> Money {
        self.realised
            .saturating_add(self.unrealised)
            .saturating_sub(self.charges)
    }

    /// Today's P&L as the loss limits see it: since the last re-arm or day roll.
    pub(crate) fn counted_pnl(&self) -> Money {
        self.total_pnl().saturating_sub(self.loss_base)
    }

    pub(crate) fn current_value(&self) -> Money {
        self.balance.saturating_add(self.total_pnl())
    }

    /// The event for a changed balance.
    pub(crate) fn changed(&self, account: AccountId) -> AccountChanged {
        AccountChanged {
            account,
            balance: self.balance,
            realised: self.realised,
            charges: self.charges,
            unrealised: self.unrealised,
        }
    }

    /// Available funds × leverage, exact: balance + realised net + min(0, unrealised) − margins.
    pub(crate) fn available_leveraged(&self) -> i128 {
        let leverage = self.limits.mis_leverage.max(1);
        let funds = self
            .balance
            .saturating_add(self.realised)
            .saturating_sub(self.charges);
        let funds = funds.saturating_add(self.unrealised.min(Money::ZERO));
        let held = self
            .position_cost
            .leveraged(leverage)
            .wrapping_add(self.entry_value.leveraged(leverage));
        funds.wide().wrapping_mul(i128::from(leverage)).wrapping_sub(held)
    }

    pub(crate) fn compute_digest(&self) -> u64 {
        #[expect(clippy::as_conversions, reason = "the discriminant of a repr(u8) enum")]
        let state = u32::from(self.state as u8);
        Digest::new(3)
            .signed(self.balance.paise())
            .signed(self.realised.paise())
            .signed(self.charges.paise())
            .signed(self.unrealised.paise())
            .signed(self.peak.paise())
            .signed(self.loss_base.paise())
            .word(self.rate_horizon.nanos())
            .pair(self.orders_today, state)
            .pair(self.open_orders, self.entry_orders)
            .finish()
    }
}
