//! Accounts: balance, the day's P&L, what open orders and positions hold, and the trading state.

use crate::arena::NIL;
use crate::bands::{Band, NO_ROOM, Spare};
use crate::command::{AccountDefinition, NewOrder};
use crate::dead_man::DeadMan;
use crate::event::AccountChanged;
use crate::ids::{AccountId, StrategyId};
use crate::legs::Reach;
use crate::marking::{Held, Marks, Spread};
use crate::risk::{self, Bounds, Pace};
use crate::risk_limits::RiskLimits;
use crate::state_hash::{Digest, Digested, Entity};
use crate::terms::{Product, Side, TradingState};
use crate::text::{AccountName, Text};
use crate::units::{Money, Price, Timestamp};

/// Fills of a strategy and side are counted over this long: one minute.
const EXECUTION_WINDOW_NS: u64 = 60_000_000_000;

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

    pub(crate) fn total(&self) -> i64 {
        self.mis.saturating_add(self.cnc)
    }

    /// Margin × leverage: exact, where the margin itself need not be a whole number of paise.
    pub(crate) fn leveraged(&self, leverage: u32) -> i128 {
        i128::from(self.cnc)
            .wrapping_mul(i128::from(leverage))
            .wrapping_add(i128::from(self.mis))
    }
}

/// Orders that a burst is looked for in. The limit is meant for people, whose rate is below this a second.
pub(crate) const RECENT_ORDERS: usize = 16;

/// Strategies × sides whose fills are counted apart; any further ones of an account share the last counter.
pub(crate) const EXECUTION_KEYS: usize = 8;

/// Fills of one strategy and side since `since`. Above the limit it stays as it is until a re-arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Executions {
    strategy: StrategyId,
    is_sell: bool,
    since: Timestamp,
    count: u32,
    /// The strategy's limit as it was last set; the largest number without one.
    limit: u32,
}

/// The fields stand in the order of their use: what every order and fill touches fills the first [`HOT_BYTES`], the limits
/// that they compare follow, and what few commands need is behind.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[repr(C, align(64))]
pub(crate) struct Account {
    pub(crate) state: TradingState,
    pub(crate) venue: bool,
    /// Some strategy of the account is not in the normal state.
    pub(crate) strategy_killed: bool,
    /// Some strategy of the account has limits of its own.
    pub(crate) strategy_limited: bool,
    pub(crate) daily_loss_alerted: bool,
    pub(crate) margin_alerted: bool,
    pub(crate) rate_alerted: bool,
    pub(crate) ratio_alerted: bool,
    pub(crate) drawdown_alerted: bool,
    /// On the list of accounts whose P&L changed in this command.
    pub(crate) under_review: bool,
    /// It holds several instruments, and each leg waits in a band (see [`crate::legs`]).
    pub(crate) banded: bool,
    pub(crate) open_positions: u32,
    /// Flat keys with entry orders working.
    pub(crate) pending_positions: u32,
    pub(crate) open_orders: u32,
    pub(crate) entry_orders: u32,
    pub(crate) orders_today: u32,
    /// Orders, modifications and cancels of the day, and fills, for the order-to-trade ratio.
    pub(crate) messages_today: u32,
    pub(crate) fills_today: u32,
    /// Price and number (`marked_at`) of the mark of its one instrument that `marks` and `peak` include.
    pub(crate) mark: Option<Price>,
    pub(crate) spread: Spread,
    /// The newest of its position keys in its one instrument, once somebody has looked; [`NIL`] until then.
    #[serde(skip, default = "no_key")]
    pub(crate) newest_key: u32,
    /// Σ limit × entry quantity of open orders.
    pub(crate) entry_value: ByProduct,
    /// Σ |cost| of open positions.
    pub(crate) position_cost: ByProduct,
    /// Opening balance of the day.
    pub(crate) balance: Money,
    /// Today's, before charges.
    pub(crate) realised: Money,
    pub(crate) charges: Money,
    /// Day's P&L at the last re-arm or day roll; checks and monitor subtract it.
    pub(crate) loss_base: Money,
    /// Token bucket as its theoretical arrival time (GCRA), in nanoseconds.
    pub(crate) rate_horizon: Timestamp,
    /// Margin × leverage × 100 up to which no alert is due anywhere in the band.
    pub(crate) margin_room: i128,
    /// What fills may cost before its limits are compared again.
    #[serde(skip)]
    pub(crate) spare: Spare,
    #[serde(skip)]
    pub(crate) digested: Digested,
    /// Slots of the position keys of its last orders to buy and to sell: where the next one looks first.
    #[serde(skip, default = "no_keys")]
    pub(crate) last_keys: [u32; 2],
    /// What the limit on the rate means for the bucket. Worked out again from a snapshot.
    #[serde(skip, default = "unlimited")]
    pub(crate) pace: Pace,
    /// The limits as the short way of the risk pass compares them.
    #[serde(skip, default = "no_bounds")]
    pub(crate) bounds: Bounds,
    /// Σ over its positions, as of `mark` (see [`crate::marking`]).
    pub(crate) marks: Marks,
    pub(crate) held: Held,
    pub(crate) marked_at: u64,
    /// Highest balance + total P&L of the day (or since the last re-arm).
    pub(crate) peak: Money,
    /// The prices of its one instrument between which it needs no review.
    pub(crate) band: Option<Band>,
    pub(crate) limits: RiskLimits,
    /// Between what its legs are worth while it is banded; how many of them are in no band at this moment.
    pub(crate) reach: Reach,
    pub(crate) loose_legs: u32,
    /// Its legs did not fit into bands: when to try again.
    pub(crate) settles_from: Timestamp,
    /// Ends of the list of its position keys, the oldest first.
    pub(crate) first_position: u32,
    pub(crate) last_position: u32,
    /// Fills by strategy and side, for repeated executions.
    pub(crate) executions: [Executions; EXECUTION_KEYS],
    /// Digest and time of the last orders, newest at `recent_next` − 1, for duplicate bursts.
    pub(crate) recent_orders: [(u64, Timestamp); RECENT_ORDERS],
    pub(crate) recent_next: u8,
    /// The heartbeat that is waited for.
    pub(crate) dead_man: Option<DeadMan>,
    pub(crate) name: AccountName,
    pub(crate) profile: Text<32>,
}

/// Five cache lines, and a quarter of the sixth, where the limits begin.
const HOT_BYTES: usize = 336;
const _: () = assert!(core::mem::offset_of!(Account, limits) <= HOT_BYTES);

const fn no_key() -> u32 {
    NIL
}

const fn no_keys() -> [u32; 2] {
    [NIL; 2]
}

fn unlimited() -> Pace {
    Pace::new(None)
}

fn no_bounds() -> Bounds {
    Bounds::new(&RiskLimits::unlimited_paper())
}

impl Executions {
    fn is(&self, strategy: StrategyId, side: Side) -> bool {
        self.strategy == strategy && self.is_sell == (side == Side::Sell)
    }

    /// The count, or 0 once its minute is over without the limit having been crossed.
    fn current(&self, now: Timestamp) -> u32 {
        let over = now.saturating_since(self.since) >= EXECUTION_WINDOW_NS;
        if over && self.count <= self.limit {
            0
        } else {
            self.count
        }
    }
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
            strategy_limited: false,
            daily_loss_alerted: false,
            margin_alerted: false,
            rate_alerted: false,
            ratio_alerted: false,
            drawdown_alerted: false,
            under_review: false,
            banded: false,
            reach: Reach::default(),
            loose_legs: 0,
            settles_from: Timestamp::ZERO,
            balance: definition.opening_balance,
            realised: Money::ZERO,
            charges: Money::ZERO,
            marks: Marks::default(),
            held: Held::default(),
            spread: Spread::None,
            newest_key: NIL,
            last_keys: no_keys(),
            mark: None,
            marked_at: 0,
            band: None,
            margin_room: NO_ROOM,
            spare: Spare::NONE,
            peak: definition.opening_balance,
            loss_base: Money::ZERO,
            position_cost: ByProduct::default(),
            entry_value: ByProduct::default(),
            open_positions: 0,
            pending_positions: 0,
            open_orders: 0,
            entry_orders: 0,
            orders_today: 0,
            messages_today: 0,
            fills_today: 0,
            recent_orders: [(0, Timestamp::ZERO); RECENT_ORDERS],
            recent_next: 0,
            executions: [Executions::default(); EXECUTION_KEYS],
            rate_horizon: Timestamp::ZERO,
            pace: Pace::new(definition.limits.orders_per_second_max),
            bounds: Bounds::new(&definition.limits),
            dead_man: None,
            first_position: NIL,
            last_position: NIL,
            digested: Digested::default(),
        }
    }

    /// Goes by other limits from now on.
    pub(crate) fn follow(&mut self, limits: RiskLimits) {
        self.limits = limits;
        self.work_out();
    }

    /// What follows from the limits and is not kept in snapshots.
    pub(crate) fn work_out(&mut self) {
        self.pace = Pace::new(self.limits.orders_per_second_max);
        self.bounds = Bounds::new(&self.limits);
    }

    /// Today's realised + unrealised − charges. What is unrealised is the caller's to say: at the last marks
    /// ([`crate::Engine::marks_of`]), or at other prices.
    pub(crate) fn total_pnl(&self, unrealised: Money) -> Money {
        self.realised
            .saturating_add(unrealised)
            .saturating_sub(self.charges)
    }

    /// Today's P&L as the loss limits see it: since the last re-arm or day roll.
    pub(crate) fn counted_pnl(&self, unrealised: Money) -> Money {
        self.total_pnl(unrealised).saturating_sub(self.loss_base)
    }

    pub(crate) fn current_value(&self, unrealised: Money) -> Money {
        self.balance.saturating_add(self.total_pnl(unrealised))
    }

    /// The event for a changed balance of an account that is up to date.
    pub(crate) fn changed(&self, account: AccountId) -> AccountChanged {
        AccountChanged {
            account,
            balance: self.balance,
            realised: self.realised,
            charges: self.charges,
            unrealised: self.marks.unrealised,
        }
    }

    /// What there would be to trade with if nothing were held: balance + realised net + min(0, unrealised).
    pub(crate) fn funds(&self, unrealised: Money) -> Money {
        self.balance
            .saturating_add(self.realised)
            .saturating_sub(self.charges)
            .saturating_add(unrealised.min(Money::ZERO))
    }

    /// Available funds × leverage, exact: funds − margins.
    pub(crate) fn available_leveraged(&self, unrealised: Money) -> i128 {
        let leverage = self.limits.mis_leverage.max(1);
        self.funds(unrealised)
            .wide()
            .wrapping_mul(i128::from(leverage))
            .wrapping_sub(self.held_leveraged())
    }

    /// Margin of positions and open entries × leverage.
    pub(crate) fn held_leveraged(&self) -> i128 {
        let leverage = self.bounds.leverage;
        self.position_cost
            .leveraged(leverage)
            .wrapping_add(self.entry_value.leveraged(leverage))
    }

    /// Whether what is held stays below every margin at which an alert could be due, whatever the marks in its band.
    #[inline(always)]
    pub(crate) fn has_margin_room(&self) -> bool {
        match self.held_hundredfold(0) {
            Some(held) => i128::from(held) <= self.margin_room,
            None => self.held_leveraged().wrapping_mul(100) <= self.margin_room,
        }
    }

    /// Whether there is room for `value` more of intraday entries such that, whatever the marks in its band, no alert is due
    /// and neither funds nor the day's loss keep the order back: an alert comes at 80 % of what they would refuse. `false`
    /// may mean either.
    #[inline(always)]
    pub(crate) fn has_ample_room_for(&self, value: i64) -> bool {
        let held = self.held_hundredfold(value);
        held.is_some_and(|held| i128::from(held) <= self.margin_room) & (self.balance.paise() >= 0)
    }

    /// Whether the monitor has nothing to say of one more message, which leaves the order rate's horizon at `horizon`, but for
    /// the margin (see [`Account::has_ample_room_for`]). `false` may mean either.
    #[inline(always)]
    pub(crate) fn is_calm(&self, horizon: Timestamp, now: Timestamp) -> bool {
        !(self.bounds.counts_messages | self.rate_alerted) & self.pace.is_quiet(horizon, now)
    }

    /// Margin × leverage × 100 of what is held and of `more` intraday entries; `None` on numbers out of the ordinary.
    #[inline(always)]
    pub(crate) fn held_hundredfold(&self, more: i64) -> Option<i64> {
        let delivery = self.position_cost.cnc.checked_add(self.entry_value.cnc)?;
        let intraday = self.position_cost.mis.checked_add(self.entry_value.mis)?;
        let intraday = intraday.checked_add(more)?;
        delivery
            .checked_mul(self.bounds.leverage())?
            .checked_add(intraday)?
            .checked_mul(100)
    }

    /// Where the key of an order of a side may be.
    #[inline(always)]
    pub(crate) fn last_key(&mut self, side: Side) -> &mut u32 {
        let [buy, sell] = &mut self.last_keys;
        match side {
            Side::Buy => buy,
            Side::Sell => sell,
        }
    }

    /// Counts an accepted order: the day's orders and the open ones.
    #[inline(always)]
    pub(crate) fn count_order(&mut self) {
        self.orders_today = self.orders_today.wrapping_add(1);
        self.open_orders = self.open_orders.wrapping_add(1);
    }

    /// Counts an order that somebody sent: the rate, and those that look alike.
    #[inline(always)]
    pub(crate) fn count_rate(&mut self, order: &NewOrder, limit: Price, now: Timestamp) {
        if self.bounds.counts_bursts | self.strategy_limited {
            self.note_order(risk::likeness(order, limit), now);
        }
        self.take_token(now);
    }

    /// Takes one token from the order rate.
    #[inline(always)]
    pub(crate) fn take_token(&mut self, now: Timestamp) {
        if !self.venue {
            self.rate_horizon = self.pace.after_token(self.rate_horizon, now);
        }
    }

    /// Notes an accepted order for the duplicate check.
    fn note_order(&mut self, likeness: u64, now: Timestamp) {
        let place = usize::from(self.recent_next);
        if let Some(entry) = self.recent_orders.get_mut(place) {
            *entry = (likeness, now);
        }
        let next = place.wrapping_add(1).checked_rem(RECENT_ORDERS).unwrap_or(0);
        self.recent_next = u8::try_from(next).unwrap_or(0);
    }

    /// Fills of a strategy and side within the minute, or above their limit since it was crossed; 0 where `limits`, the
    /// strategy's, do not count them.
    pub(crate) fn executions_of(
        &self,
        strategy: StrategyId,
        side: Side,
        limits: &RiskLimits,
        now: Timestamp,
    ) -> u32 {
        if limits.repeated_executions_max.is_none() {
            return 0;
        }
        let of = |entry: &&Executions| entry.count > 0 && entry.is(strategy, side);
        let shared = || self.shared_counter(now);
        let entry = self.executions.iter().find(of).or_else(shared);
        entry.map_or(0, |entry| entry.current(now))
    }

    /// The last counter, where all the others are taken.
    fn shared_counter(&self, now: Timestamp) -> Option<&Executions> {
        let taken = |entry: &Executions| entry.current(now) > 0;
        self.executions
            .last()
            .filter(|_| self.executions.iter().all(taken))
    }

    /// Counts a fill of a strategy and side, of which `limit` are allowed in a minute.
    pub(crate) fn note_execution(&mut self, strategy: StrategyId, side: Side, limit: u32, now: Timestamp) {
        let own = self
            .executions
            .iter()
            .position(|entry| entry.count > 0 && entry.is(strategy, side));
        let free = || self.executions.iter().position(|entry| entry.current(now) == 0);
        let place = own.or_else(free).unwrap_or(EXECUTION_KEYS.saturating_sub(1));
        let Some(entry) = self.executions.get_mut(place) else {
            return;
        };
        if entry.current(now) == 0 {
            *entry = Executions {
                strategy,
                is_sell: side == Side::Sell,
                since: now,
                count: 0,
                limit,
            };
        }
        entry.count = entry.count.saturating_add(1);
    }

    /// Limits changed, for each strategy to what `limit_of` says. They do not look back at minutes that are over.
    pub(crate) fn limit_executions(&mut self, now: Timestamp, limit_of: impl Fn(StrategyId) -> Option<u32>) {
        for entry in &mut self.executions {
            if entry.current(now) == 0 {
                *entry = Executions::default();
            } else {
                entry.limit = limit_of(entry.strategy).unwrap_or(u32::MAX);
            }
        }
    }

    /// Lets every strategy go on after [`crate::RejectCode::RepeatedExecution`].
    pub(crate) fn forget_executions(&mut self) {
        self.executions = [Executions::default(); EXECUTION_KEYS];
    }
}

impl Entity for Account {
    fn compute_digest(&self) -> u64 {
        #[expect(clippy::as_conversions, reason = "the discriminant of a repr(u8) enum")]
        let state = u32::from(self.state as u8);
        Digest::new(3)
            .signed(self.balance.paise())
            .signed(self.realised.paise())
            .signed(self.charges.paise())
            .signed(self.peak.paise())
            .signed(self.loss_base.paise())
            .word(self.rate_horizon.nanos())
            .pair(self.orders_today, state)
            .pair(self.messages_today, self.fills_today)
            .pair(self.open_orders, self.entry_orders)
            .word(self.dead_man.map_or(0, |dead_man| dead_man.deadline.nanos()))
            .finish()
    }

    fn digested(&self) -> &Digested {
        &self.digested
    }

    fn digested_mut(&mut self) -> &mut Digested {
        &mut self.digested
    }
}
