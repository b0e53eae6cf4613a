//! Read-only views of the engine's state, for read models and reports. None of them is on the path of an order.

use alloc::vec::Vec;

use crate::account::{Account, ByProduct};
use crate::arena::{index, slot_of};
use crate::command::InstrumentDefinition;
use crate::dead_man::DeadMan;
use crate::engine::{Capacity, Engine};
use crate::ids::{AccountId, InstrumentId, PositionId, StrategyId};
use crate::instrument::Instrument;
use crate::position::Positions;
use crate::risk_limits::RiskLimits;
use crate::session::{SessionCalendar, SessionPhase};
use crate::terms::{Product, Side, TradingState, Trailing};
use crate::text::{AccountName, Text};
use crate::units::{Money, Price};

/// The limits of a strategy that has its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StrategyLimitsView<'a> {
    pub account: AccountId,
    pub strategy: StrategyId,
    /// What was set for it; what is off is as the account has it.
    pub own: &'a RiskLimits,
    /// What its orders face: the stricter of the account's and its own.
    pub in_force: &'a RiskLimits,
}

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
    /// The heartbeat that is waited for.
    pub dead_man: Option<DeadMan>,
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
    pub trailing: Option<Trailing>,
    /// Where the trailing stop stands now.
    pub trailing_stop: Option<Price>,
    /// The best last price since it was set, which it follows.
    pub trailing_from: Option<Price>,
    /// Of a delivery position, the shares bought before the present trading day: what it holds settled.
    pub settled: i64,
    /// Open quantity of the orders that will close (part of) it.
    pub closing: i64,
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

impl Engine {
    pub fn instrument(&self, instrument: InstrumentId) -> Option<InstrumentView<'_>> {
        self.instruments
            .get(index(instrument.get()))
            .map(|of| view_instrument(instrument, of))
    }

    pub fn instruments(&self) -> impl Iterator<Item = InstrumentView<'_>> {
        (0..slot_of(self.instruments.len())).filter_map(|slot| self.instrument(InstrumentId::new(slot)))
    }

    pub fn account(&self, account: AccountId) -> Option<AccountView<'_>> {
        self.accounts
            .get(index(account.get()))
            .map(|of| self.view_account(account, of))
    }

    /// Whether the account is a trader's: defined, and not one that the venue trades with.
    pub fn is_trader(&self, account: AccountId) -> bool {
        self.accounts
            .get(index(account.get()))
            .is_some_and(|of| !of.venue)
    }

    pub fn accounts(&self) -> impl Iterator<Item = AccountView<'_>> {
        (0..slot_of(self.accounts.len())).filter_map(|slot| self.account(AccountId::new(slot)))
    }

    pub fn position(&self, position: PositionId) -> Option<PositionView> {
        let of = self.positions.at(self.positions.slot(position)?);
        let (trailing_stop, trailing_from) = self.trailing_stop(of).unzip();
        Some(PositionView {
            position,
            account: of.account,
            strategy: of.strategy,
            instrument: of.instrument,
            product: of.product,
            quantity: of.quantity,
            cost: of.cost,
            realised: of.realised,
            charges: of.charges,
            unrealised: self.unrealised_of(of),
            stop_loss: of.stop_loss,
            take_profit: of.take_profit,
            trailing: of.trailing,
            trailing_stop,
            trailing_from,
            settled: of.settled(self.day),
            closing: of.exits,
        })
    }

    /// Every position key ever used, flat ones included, by id.
    pub fn positions(&self) -> impl Iterator<Item = PositionView> {
        (0..self.positions.len()).filter_map(|slot| self.position(Positions::id(slot)))
    }

    /// The best `levels` price levels of one side of a book, best first.
    pub fn depth(&self, instrument: InstrumentId, side: Side, levels: usize) -> Vec<DepthLevel> {
        let Some(instrument) = self.instruments.get(index(instrument.get())) else {
            return Vec::new();
        };
        let level = |(price, quantity, orders)| DepthLevel {
            price,
            quantity,
            orders,
        };
        instrument
            .sides
            .levels(&self.nodes, side)
            .take(levels)
            .map(level)
            .collect()
    }

    /// What the journal began with.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// Orders open now, venue accounts' included.
    pub fn open_orders(&self) -> u32 {
        self.orders.open()
    }

    /// The venue's calendar.
    pub fn session_calendar(&self) -> &SessionCalendar {
        &self.session.calendar
    }

    /// The phase that instruments with, or without, derivatives are in.
    pub fn session_phase(&self, derivatives: bool) -> SessionPhase {
        *self.session.phases.of(derivatives)
    }

    /// The kill switch of the whole engine.
    pub fn trading_state(&self) -> TradingState {
        self.state
    }

    /// Strategies with limits of their own, by account and strategy.
    pub fn strategy_limits(&self) -> impl Iterator<Item = StrategyLimitsView<'_>> {
        self.strategy_limits.iter().map(|of| StrategyLimitsView {
            account: of.account,
            strategy: of.strategy,
            own: &of.own,
            in_force: &of.in_force,
        })
    }

    fn view_account<'a>(&'a self, id: AccountId, of: &'a Account) -> AccountView<'a> {
        let leverage = of.limits.mis_leverage.max(1);
        let unrealised = self.marks_of(of).unrealised;
        let margin = |held: &ByProduct| {
            let rounded_up = held
                .leveraged(leverage)
                .wrapping_add(i128::from(leverage))
                .wrapping_sub(1);
            Money::from_wide(rounded_up.div_euclid(i128::from(leverage)))
        };
        AccountView {
            account: id,
            name: of.name,
            profile: of.profile,
            venue: of.venue,
            balance: of.balance,
            realised: of.realised,
            charges: of.charges,
            unrealised,
            peak: self.peak_of(of),
            position_margin: margin(&of.position_cost),
            order_margin: margin(&of.entry_value),
            available: Money::from_wide(
                of.available_leveraged(unrealised)
                    .div_euclid(i128::from(leverage)),
            ),
            open_positions: of.open_positions,
            open_orders: of.open_orders,
            dead_man: of.dead_man,
            state: self.state.max(of.state),
            limits: &of.limits,
        }
    }
}

fn view_instrument(id: InstrumentId, of: &Instrument) -> InstrumentView<'_> {
    InstrumentView {
        instrument: id,
        definition: &of.definition,
        band_low: of.sides.domain().low(),
        band_high: of.sides.domain().high(),
        last_price: of.last_price,
        open: of.day.open,
        high: of.day.high,
        low: of.day.low,
        volume: of.day.volume,
        turnover: of.day.turnover,
        trades: of.day.trades,
    }
}
