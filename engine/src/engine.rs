//! The engine: a fold of commands into state and events.
//!
//! [`Engine::apply`] has `express` carry out what most commands are and dispatches the others to one file per kind of
//! work: `entry` (new orders), `matching`, `settlement` (fills to positions), `modify`, `cancel`, `sweep` (mass cancels),
//! `closing`, `kill`, `monitor` (marks and limits), `clock` and `definition`. Work that may be long is a [`Task`] that
//! the run loop advances in steps of bounded size, so that a call never emits more than
//! [`EVENTS_PER_CALL`](crate::limits::EVENTS_PER_CALL) events.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::account::Account;
use crate::account_names::AccountNames;
use crate::agenda::Agenda;
use crate::alert::Alert;
use crate::arena::{NIL, Slots, index, slot_of};
use crate::book::ladder::Nodes;
use crate::charges::Tariff;
use crate::closing::Closing;
use crate::command::{Command, NewOrder, Sequenced};
use crate::deadlines::Deadlines;
use crate::entry::Remembering;
use crate::event::{Event, EventBuffer};
use crate::feed::FeedWatch;
use crate::idempotency::ClientOrderIds;
use crate::ids::{AccountId, InstrumentId, OrderId, Seq, StrategyId};
use crate::instrument::Instrument;
use crate::kill::Rearming;
use crate::lane::Verdict;
use crate::limits::{
    ACCOUNT_INSTRUMENTS_MAX, ACCOUNTS_MAX, CLIENT_ORDER_IDS_MAX, INSTRUMENTS_MAX, OPEN_ORDERS_MAX,
    POSITION_KEYS_MAX, STRATEGY_LIMITS_MAX, STRATEGY_STATES_MAX, TRIGGERS_PER_CALL,
};
use crate::order::Orders;
use crate::position::Positions;
use crate::rejection::Refusal;
use crate::risk::ExplainedCheck;
use crate::session::Session;
use crate::state_hash::{Digest, DigestSum};
use crate::strategy_limits::StrategyLimits;
use crate::sweep::Sweep;
use crate::terms::TradingState;
use crate::triggers::Triggers;
use crate::units::Timestamp;

/// Sizes of the pools. They decide what is refused, so a journal begins with them ([`Command::SetCapacity`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Capacity {
    pub accounts: u32,
    pub instruments: u32,
    /// Orders open at once.
    pub orders: u32,
    /// Position keys: those that were ever filled or have orders; others give way to new ones.
    pub positions: u32,
    /// `client_order_id`s remembered for one trading day; orders with one are refused beyond, exits of other accounts last.
    pub client_order_ids: u32,
}

impl Default for Capacity {
    fn default() -> Capacity {
        Capacity {
            accounts: 1_024,
            instruments: 1_024,
            orders: 1 << 18,
            positions: 1 << 16,
            client_order_ids: 1 << 22,
        }
    }
}

impl Capacity {
    /// Whether an engine can be built with it.
    pub fn is_within_bounds(&self) -> bool {
        let keys = u64::from(self.accounts).saturating_mul(u64::from(self.instruments));
        self.accounts <= ACCOUNTS_MAX
            && self.instruments <= INSTRUMENTS_MAX
            && self.orders <= OPEN_ORDERS_MAX
            && self.positions <= POSITION_KEYS_MAX
            && self.client_order_ids <= CLIENT_ORDER_IDS_MAX
            && keys <= ACCOUNT_INSTRUMENTS_MAX
    }
}

/// Whether a call finished its command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "a command with more work must be resumed before the next one"]
pub enum Work {
    Done,
    More,
}

/// Work that goes on in steps. At most one is active; the others wait their turn within the same command.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Task {
    /// Match the order in this slot, then rest it or drop its remainder.
    Match(u32),
    Sweep(Sweep),
    Close(Closing),
    /// Publish the marks that have waited for their interval, from this position on.
    PublishMarks(u32),
    /// Look for instruments without a fresh price.
    WatchFeed(FeedWatch),
    /// Roll to the next trading day: the account to begin with.
    RollDay(u32),
    /// Back to normal, scope by scope.
    Rearm(Rearming),
    /// Move a book to its instrument's new price grid.
    Regrid(InstrumentId),
}

/// Tasks that may wait behind the active one. A command queues at most a few of each kind.
const TASKS_MAX: usize = 64;

/// The state hash, by kind of entity.
#[derive(Debug, Clone)]
pub(crate) struct Digests {
    pub(crate) orders: DigestSum,
    pub(crate) positions: DigestSum,
    pub(crate) accounts: DigestSum,
    pub(crate) instruments: DigestSum,
}

impl Digests {
    fn new() -> Digests {
        Digests {
            orders: DigestSum::new(),
            positions: DigestSum::new(),
            accounts: DigestSum::new(),
            instruments: DigestSum::new(),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) capacity: Capacity,
    pub(crate) seq: Seq,
    pub(crate) time: Timestamp,
    /// Trading day (IST) of the last roll.
    pub(crate) day: u32,
    pub(crate) orders: Orders,
    pub(crate) nodes: Nodes,
    pub(crate) positions: Positions,
    pub(crate) accounts: Vec<Account>,
    pub(crate) account_names: AccountNames,
    pub(crate) instruments: Vec<Instrument>,
    pub(crate) client_order_ids: ClientOrderIds,
    pub(crate) tariff: Tariff,
    pub(crate) session: Session,
    /// The strictest account's limit on the age of the last price, in milliseconds, and when prices are next looked at.
    pub(crate) feed_age_ms: Option<u32>,
    pub(crate) feed_due: Option<Timestamp>,
    /// The kill switch of the whole engine.
    pub(crate) state: TradingState,
    /// Strategies outside the normal state.
    pub(crate) strategy_states: Vec<(AccountId, StrategyId, TradingState)>,
    /// Strategies with limits of their own, in order of account and strategy.
    pub(crate) strategy_limits: Vec<StrategyLimits>,
    pub(crate) next_trade: u64,
    pub(crate) good_till: Deadlines<OrderId>,
    /// Accounts whose heartbeat is waited for.
    pub(crate) heartbeats: Deadlines<AccountId>,
    /// Pending stop orders and conditions; each instrument has its trees in it.
    pub(crate) triggers: Triggers,
    /// Places of the accounts, and behind them of the legs, in the lists of lower and of upper ends of bands.
    pub(crate) band_nodes: [Nodes; 2],
    /// Instruments whose positions' marks wait to be published, and when the first of them is due.
    pub(crate) marks_pending: Vec<u32>,
    pub(crate) marks_due: Option<Timestamp>,
    /// Positions that are to be got out of as soon as there is room for their exits, whoever has waited longest first.
    pub(crate) leaving: VecDeque<u32>,
    pub(crate) digests: Digests,

    /// Usual commands are carried out in one pass.
    pub(crate) takes_express: bool,

    // The rest is empty between commands.
    pub(crate) active: Option<Task>,
    pub(crate) waiting: VecDeque<Task>,
    /// A tick is under way, and more may be due.
    pub(crate) ticking: bool,
    /// Positions that shrank below their resting exits.
    pub(crate) excess_exits: Vec<u32>,
    /// Instruments that this command touched.
    pub(crate) touched: Vec<u32>,
    /// Instruments whose last price is newer than their positions' marks.
    pub(crate) unmarked: Vec<u32>,
    /// Instruments whose prints reached a trigger, and how many triggers this call has collected.
    pub(crate) printed: Vec<u32>,
    pub(crate) collected: u32,
    /// Positions whose conditions are to be armed, and whether they are in order (the lowest last).
    pub(crate) arming: Vec<u32>,
    pub(crate) arming_sorted: bool,
    /// Positions for the monitor to look at.
    pub(crate) watches: Agenda,
    /// Accounts for the monitor to look at.
    pub(crate) reviews: Agenda,
    /// Positions that may have lost what stops their losses.
    pub(crate) doubts: Agenda,
    /// The account whose message this command was, where it was accepted.
    pub(crate) message_of: Option<AccountId>,
    /// The order whose outcome will be remembered under its `client_order_id`.
    pub(crate) remembering: Option<Remembering>,
}

impl Engine {
    /// Reserves everything the engine will ever use.
    ///
    /// # Panics
    /// Where a capacity is above its bound in [`crate::limits`].
    pub fn new(capacity: Capacity) -> Engine {
        assert!(capacity.is_within_bounds(), "capacity above the bounds");
        Engine {
            capacity,
            seq: Seq::default(),
            time: Timestamp::ZERO,
            day: 0,
            orders: Orders::new(capacity.orders),
            nodes: Nodes::new(capacity.orders),
            positions: Positions::new(capacity.positions, capacity.accounts, capacity.instruments),
            accounts: Vec::with_capacity(index(capacity.accounts)),
            account_names: AccountNames::new(capacity.accounts),
            instruments: Vec::with_capacity(index(capacity.instruments)),
            client_order_ids: ClientOrderIds::new(capacity.client_order_ids, capacity.accounts),
            tariff: Tariff::new(),
            session: Session::default(),
            feed_age_ms: None,
            feed_due: None,
            state: TradingState::Normal,
            strategy_states: Vec::with_capacity(STRATEGY_STATES_MAX),
            strategy_limits: Vec::with_capacity(STRATEGY_LIMITS_MAX),
            next_trade: 1,
            good_till: Deadlines::new(capacity.orders),
            triggers: Triggers::new(capacity.orders, capacity.positions),
            heartbeats: Deadlines::new(capacity.accounts),
            band_nodes: [(); 2].map(|()| Nodes::new(capacity.accounts.saturating_add(capacity.positions))),
            marks_pending: Vec::with_capacity(index(capacity.instruments)),
            marks_due: None,
            leaving: VecDeque::with_capacity(index(capacity.positions)),
            digests: Digests::new(),
            takes_express: true,
            active: None,
            waiting: VecDeque::with_capacity(TASKS_MAX),
            ticking: false,
            excess_exits: Vec::with_capacity(TASKS_MAX),
            touched: Vec::with_capacity(index(capacity.instruments)),
            unmarked: Vec::with_capacity(index(capacity.instruments)),
            printed: Vec::with_capacity(index(capacity.instruments)),
            collected: 0,
            arming: Vec::with_capacity(index(capacity.positions)),
            arming_sorted: true,
            watches: Agenda::new(capacity.positions),
            reviews: Agenda::new(capacity.accounts),
            doubts: Agenda::new(capacity.positions),
            message_of: None,
            remembering: None,
        }
    }

    /// Folds one command. Emits at most [`EVENTS_PER_CALL`](crate::limits::EVENTS_PER_CALL) events into `out`, which
    /// it does not clear. After [`Work::More`] the caller publishes `out`, clears it and calls [`Engine::resume`] until
    /// it is done.
    ///
    /// The caller sequences a [`Command::Tick`] before any other command once [`Engine::next_deadline`] has passed.
    ///
    /// # Panics
    /// Where the sequence number does not follow the last one or time runs backwards: a broken sequencer.
    pub fn apply(&mut self, command: &Sequenced<Command>, out: &mut EventBuffer) -> Work {
        assert!(
            command.seq.get() == self.seq.get().wrapping_add(1),
            "commands are applied in sequence"
        );
        assert!(command.time >= self.time, "time never runs backwards");
        debug_assert!(
            self.active.is_none(),
            "the previous command must be resumed to its end"
        );
        self.seq = command.seq;
        self.time = command.time;
        if self.day == 0 {
            self.day = command.time.trading_day();
        }
        if self.takes_express && self.express(&command.command, out).is_some() {
            self.trim();
            return Work::Done;
        }
        self.apply_in_steps(&command.command, out)
    }

    #[inline(never)]
    fn apply_in_steps(&mut self, command: &Command, out: &mut EventBuffer) -> Work {
        match self.dispatch(command, out) {
            Ok(()) => {}
            Err(refusal) => out.push(Event::Refused(refusal)),
        }
        self.run_and_trim(out)
    }

    /// Has every command go through the steps of the run loop, also those that [`Engine::apply`] carries out in one pass: it
    /// decides the same, only slower. For comparisons.
    pub fn without_express(mut self) -> Engine {
        self.takes_express = false;
        self
    }

    /// Goes on with the command that last answered [`Work::More`].
    pub fn resume(&mut self, out: &mut EventBuffer) -> Work {
        self.run_and_trim(out)
    }

    #[inline]
    fn run_and_trim(&mut self, out: &mut EventBuffer) -> Work {
        let work = self.run(out);
        self.trim();
        work
    }

    #[inline(always)]
    fn trim(&mut self) {
        self.digests.orders.trim(self.orders.slots_mut());
        self.digests.positions.trim(self.positions.keys_mut());
        self.digests.accounts.trim(&mut self.accounts);
        self.digests.instruments.trim(&mut self.instruments);
    }

    /// Evaluates an order exactly as [`Engine::apply`] would, at time `now`, without changing anything.
    pub fn check(&self, order: &NewOrder, now: Timestamp) -> Verdict {
        self.verdict(order, now)
    }

    /// Reports every check of the risk pass on its own, in order, as [`Engine::check`] would evaluate them.
    pub fn explain(&self, order: &NewOrder, now: Timestamp, report: impl FnMut(ExplainedCheck)) {
        self.explanation(order, now, report);
    }

    /// A hash of the whole state, kept incrementally.
    pub fn state_hash(&self) -> u64 {
        self.digests
            .orders
            .value(self.orders.slots())
            .wrapping_add(self.digests.positions.value(self.positions.keys()))
            .wrapping_add(self.digests.accounts.value(&self.accounts))
            .wrapping_add(self.digests.instruments.value(&self.instruments))
            .wrapping_add(self.totals_digest())
    }

    /// Digest of what belongs to no single entity.
    pub(crate) fn totals_digest(&self) -> u64 {
        let totals = Digest::new(7)
            .word(self.orders.next_id())
            .word(self.next_trade)
            .word(self.tariff.digest())
            .word(self.triggers.next_sequence())
            .pair(self.day, self.positions.len())
            .pair(self.positions.vacant().0, self.positions.vacant().1)
            .pair(
                slot_of(self.leaving.len()),
                self.leaving.front().copied().unwrap_or(NIL),
            )
            .pair(
                u32::from(self.state >= TradingState::Reducing),
                u32::from(self.state == TradingState::Halted),
            )
            .word(self.session.digest())
            .word(self.strategy_limits_digest());
        totals.finish()
    }

    /// The last command applied.
    pub fn last_seq(&self) -> Seq {
        self.seq
    }

    /// The time of the last command applied.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    fn dispatch(&mut self, command: &Command, out: &mut EventBuffer) -> Result<(), Refusal> {
        match command {
            Command::NewOrder(order) => self.new_order(order, out),
            Command::ModifyOrder(modify) => self.modify_order(modify, out),
            Command::CancelOrder(cancel) => self.cancel_order(cancel, out),
            Command::CancelAll(cancel) => self.cancel_all(cancel),
            Command::ClosePosition(close) => self.close_position(close, out),
            Command::EditConditions(edit) => self.edit_conditions(edit, out),
            Command::MarketPrice(price) => self.market_price(price),
            Command::Tick => {
                self.ticking = true;
                Ok(())
            }
            Command::KillSwitch(kill) => self.kill_switch(kill, out),
            Command::Rearm(rearm) => self.rearm(rearm),
            Command::Heartbeat(heartbeat) => self.heartbeat(heartbeat, out),
            Command::Notice(notice) => {
                out.push(Event::Alert(Alert::bare(notice.kind.alert())));
                Ok(())
            }
            Command::AdjustCash(cash) => self.adjust_cash(cash, out),
            Command::DefineInstrument(definition) => self.define_instrument(definition, out),
            Command::DefineAccount(definition) => self.define_account(definition, out),
            Command::DefineStrategy(definition) => self.define_strategy(definition, out),
            Command::SetLimits(limits) => self.set_limits(limits, out),
            Command::DefineCharges(rates) => self.define_charges(rates),
            Command::SetSession(calendar) => self.set_session(calendar, out),
            Command::SetCapacity(capacity) => self.set_capacity(*capacity),
            Command::HashCheck(expected) => {
                let found = self.state_hash();
                if found != *expected {
                    out.push(Event::HashMismatch {
                        expected: *expected,
                        found,
                    });
                }
                Ok(())
            }
        }
    }

    /// Advances whatever there is to do until all is done or the buffer is full. The order is the ruling of RISK.md:
    /// fills and positions first, then marks and limits, then what those set off, then triggers one after the other.
    fn run(&mut self, out: &mut EventBuffer) -> Work {
        self.collected = 0;
        self.start_matching(out);
        while !self.is_idle() {
            if !out.has_room_for_a_step() || self.collected >= TRIGGERS_PER_CALL {
                return Work::More;
            }
            if let Some(&position) = self.excess_exits.last() {
                self.trim_one_exit(position, out);
            } else if let Some(Task::Match(_)) = self.active {
                // Without moving it out and back.
                self.start_matching(out);
            } else if self.active.is_some() {
                self.active = self.active.take().and_then(|task| self.advance(task, out));
            } else if let Some(&instrument) = self.unmarked.last() {
                self.mark_instrument(instrument);
            } else if !self.watches.is_empty() || !self.reviews.is_empty() {
                self.watch_and_review(out);
            } else if let Some(&instrument) = self.printed.last() {
                self.collect_triggers(instrument);
            } else if !self.arming.is_empty() {
                self.arm_next();
            } else if !self.waiting.is_empty() {
                self.active = self.waiting.pop_front();
            } else if self.can_leave() {
                self.leave_next();
            } else if self.triggers.has_fired() {
                self.fire_next(out);
            } else if let Some(position) = self.doubts.take_first() {
                self.resolve_doubt(position, out);
            } else {
                self.next_due(out);
            }
        }
        self.conclude(out)
    }

    /// What the monitor has to look at comes in a row, without a look at all the others in between: nothing that it does comes
    /// before the rest of it.
    #[inline(always)]
    fn watch_and_review(&mut self, out: &mut EventBuffer) {
        while out.has_room_for_a_step() {
            if let Some(position) = self.watches.take_first() {
                self.watch_position(position, out);
            } else if let Some(account) = self.reviews.take_first() {
                self.review_account(account, out);
            } else {
                return;
            }
        }
    }

    /// The usual task first, without a look at all the others.
    #[inline(always)]
    fn start_matching(&mut self, out: &mut EventBuffer) {
        if let Some(Task::Match(slot)) = self.active
            && self.excess_exits.is_empty()
            && self.match_order(slot, out) == Work::Done
        {
            self.active = None;
        }
    }

    /// Whether everything that the command led to is done.
    #[inline(always)]
    fn is_idle(&self) -> bool {
        self.active.is_none()
            & self.excess_exits.is_empty()
            & self.unmarked.is_empty()
            & self.watches.is_empty()
            & self.reviews.is_empty()
            & self.doubts.is_empty()
            & self.printed.is_empty()
            & self.arming.is_empty()
            & self.waiting.is_empty()
            & !self.triggers.has_fired()
            & !self.ticking
            & !self.can_leave()
    }

    /// What comes once at the end of a command: the sender's message counts, outcomes are kept, tops are published.
    #[inline]
    fn conclude(&mut self, out: &mut EventBuffer) -> Work {
        if let Some(account) = self.message_of {
            if !out.has_room_for_a_step() {
                return Work::More;
            }
            self.message_of = None;
            self.watch_messages(account, out);
            debug_assert!(self.is_idle(), "counting a message sets nothing off");
        }
        if self.remembering.is_some() {
            self.remember_outcome();
        }
        self.publish_tops(out)
    }

    /// Out of line: inside the loop, what its tasks hold on the stack would be saved by every command that has none.
    #[inline(never)]
    fn advance(&mut self, task: Task, out: &mut EventBuffer) -> Option<Task> {
        match task {
            Task::Match(slot) => match self.match_order(slot, out) {
                Work::Done => None,
                Work::More => Some(Task::Match(slot)),
            },
            Task::Sweep(sweep) => self.sweep(sweep, out),
            Task::Close(closing) => self.close_next(closing, out),
            Task::PublishMarks(position) => self.publish_next_mark(position, out),
            Task::WatchFeed(watch) => self.watch_feed(watch, out),
            Task::RollDay(account) => self.roll_account(account, out),
            Task::Rearm(rearming) => self.rearm_next(rearming, out),
            Task::Regrid(instrument) => {
                self.regrid(instrument);
                None
            }
        }
    }

    pub(crate) fn later(&mut self, task: Task) {
        debug_assert!(
            self.waiting.len() < TASKS_MAX,
            "more waiting tasks than a command can queue"
        );
        self.waiting.push_back(task);
    }

    /// Emits the top of each touched book that differs from the one last published.
    fn publish_tops(&mut self, out: &mut EventBuffer) -> Work {
        while let Some(&slot) = self.touched.last() {
            if !out.has_room_for_a_step() {
                return Work::More;
            }
            self.touched.pop();
            let instrument = self.instruments.as_mut_slice().at_mut(slot);
            instrument.touched = false;
            instrument.publish_top(&self.nodes, InstrumentId::new(slot), out);
        }
        Work::Done
    }

    // Access to state by id. Ids in commands are checked where they enter; inside, they are known to exist.

    #[inline(always)]
    pub(crate) fn account_of(&self, id: AccountId) -> &Account {
        self.accounts.as_slice().at(id.get())
    }

    #[inline(always)]
    pub(crate) fn account_mut(&mut self, id: AccountId) -> &mut Account {
        self.accounts.as_mut_slice().at_mut(id.get())
    }

    #[inline(always)]
    pub(crate) fn instrument_of(&self, id: InstrumentId) -> &Instrument {
        self.instruments.as_slice().at(id.get())
    }

    #[inline(always)]
    pub(crate) fn instrument_mut(&mut self, id: InstrumentId) -> &mut Instrument {
        self.instruments.as_mut_slice().at_mut(id.get())
    }

    pub(crate) fn known_account(&self, id: AccountId) -> Result<&Account, Refusal> {
        self.accounts.get(index(id.get())).ok_or(Refusal::UnknownAccount)
    }

    pub(crate) fn known_instrument(&self, id: InstrumentId) -> Result<&Instrument, Refusal> {
        self.instruments
            .get(index(id.get()))
            .ok_or(Refusal::UnknownInstrument)
    }

    /// Notes that an instrument's book or last price may have changed.
    #[inline]
    pub(crate) fn touch(&mut self, id: InstrumentId) {
        let instrument = self.instruments.as_mut_slice().at_mut(id.get());
        if !instrument.touched {
            instrument.touched = true;
            self.touched.push(id.get());
            self.rehash_instrument(id);
        }
    }

    #[inline]
    pub(crate) fn rehash_order(&mut self, slot: u32) {
        self.digests.orders.note(self.orders.slots_mut(), slot);
    }

    #[inline]
    pub(crate) fn rehash_position(&mut self, slot: u32) {
        self.digests.positions.note(self.positions.keys_mut(), slot);
    }

    #[inline]
    pub(crate) fn rehash_account(&mut self, id: AccountId) {
        self.digests.accounts.note(&mut self.accounts, id.get());
    }

    #[inline]
    pub(crate) fn rehash_instrument(&mut self, id: InstrumentId) {
        self.digests.instruments.note(&mut self.instruments, id.get());
    }

    /// The strictest state that covers a strategy of an account.
    #[inline]
    pub(crate) fn state_for(&self, account: AccountId, strategy: StrategyId) -> TradingState {
        let holder = self.account_of(account);
        let state = self.state.max(holder.state);
        if holder.strategy_killed {
            state.max(self.strategy_state(account, strategy))
        } else {
            state
        }
    }

    pub(crate) fn strategy_state(&self, account: AccountId, strategy: StrategyId) -> TradingState {
        let of = |entry: &&(AccountId, StrategyId, TradingState)| entry.0 == account && entry.1 == strategy;
        self.strategy_states
            .iter()
            .find(of)
            .map_or(TradingState::Normal, |entry| entry.2)
    }
}
