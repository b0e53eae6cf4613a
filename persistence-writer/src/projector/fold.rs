//! The fold: commands to rows, through the same engine and the same history as every other reader of the journal.

use std::collections::{BTreeMap, BTreeSet};

use engine::{
    AccountId, Capacity, Cause, Command, Engine, Event, EventBuffer, Fill, Money, OrderId, PositionChange,
    PositionChanged, PositionId, Price, Refusal, Seq, Sequenced, StrategyId, Timestamp, TradingStateChanged,
    Work,
};
use read_model::{Foreseen, History};
use serde::{Deserialize, Serialize};

use super::administration::{Ledger, Place, alert_row, audit_row};
use super::batch::Batch;
use super::day_stats::Days;
use super::held::Held;
use super::kill_events::{KillEvent, KillEvents};
use super::limits::{LIVE_ROWS, ROWS_PER_YIELD};
use super::names::Names;
use super::order_rows::{order_row, trade_row, trade_row_id};
use super::position_life::PositionLives;
use super::reconcile::Volume;
use super::table::{Row, TableId, Value};
pub use saved::FoldRestoreError;

mod saved;

/// The strategy that every account has from the beginning (CONTRACT.md section 6).
const MANUAL_TRADING: StrategyId = StrategyId::new(1);

/// What a strategy did since the journal began.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct StrategyTotals {
    trades: u64,
    winning: u64,
    losing: u64,
    pnl: Money,
    created: Timestamp,
    updated: Timestamp,
}

/// Rows whose content has changed and which are made when the batch is taken; each with the command that changed it.
#[derive(Debug, Default)]
struct Dirty {
    strategies: BTreeMap<(AccountId, StrategyId), u64>,
    positions: BTreeMap<PositionId, u64>,
    orders: BTreeMap<OrderId, u64>,
    days: BTreeMap<AccountId, u64>,
}

impl Dirty {
    fn len(&self) -> usize {
        self.strategies.len() + self.positions.len() + self.orders.len() + self.days.len()
    }
}

/// An engine and today's history, with what the tables need besides, and the rows that are still to be written.
#[derive(Debug)]
pub struct Fold {
    engine: Engine,
    history: History,
    events: EventBuffer,
    names: Names,
    positions: PositionLives,
    strategies: BTreeMap<(AccountId, StrategyId), StrategyTotals>,
    days: Days,
    kills: KillEvents,
    ledger: Ledger,
    day: u32,
    dirty: Dirty,
    batch: Batch,
    /// Rows are made of the commands after this one; those before are in the tables.
    written_to: u64,
    held: Held,
    volume: Volume,
    /// Since the journal began: what the history numbers them by.
    round_trips: u64,
    /// Of the present command:
    ordinal: u32,
    /// The order that last filled into each position: both sides of a trade come before what they changed.
    last_fills: BTreeMap<PositionId, OrderId>,
    refusal: Option<Refusal>,
    touched: BTreeSet<AccountId>,
}

impl Fold {
    /// Before the first command, for tables that hold everything up to `written_to`.
    pub fn new(written_to: u64) -> Fold {
        Fold {
            engine: Engine::new(Capacity::default()),
            history: History::new(),
            events: EventBuffer::new(),
            names: Names::default(),
            positions: PositionLives::default(),
            strategies: BTreeMap::new(),
            days: Days::default(),
            kills: KillEvents::default(),
            ledger: Ledger::default(),
            day: 0,
            dirty: Dirty::default(),
            batch: Batch::starting_after(written_to),
            written_to,
            held: Held::default(),
            volume: Volume::default(),
            round_trips: 0,
            ordinal: 0,
            last_fills: BTreeMap::new(),
            refusal: None,
            touched: BTreeSet::new(),
        }
    }

    /// The last command folded.
    pub fn seq(&self) -> u64 {
        self.engine.last_seq().get()
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    pub fn history(&self) -> &History {
        &self.history
    }

    /// Orders and trades since the journal began.
    pub fn volume(&self) -> Volume {
        self.volume
    }

    /// What the tables hold when they hold the rows made so far, and those left out because they are there.
    pub fn held(&self) -> Held {
        self.held
    }

    /// Rows that wait to be taken, about.
    pub fn pending_rows(&self) -> usize {
        self.batch.len() + self.dirty.len()
    }

    /// Commands since the last batch was taken.
    pub fn pending_commands(&self) -> u64 {
        self.seq().saturating_sub(self.batch.after)
    }

    /// Time of the first command since the last batch.
    pub fn pending_since(&self) -> Option<Timestamp> {
        (self.batch.to > self.batch.after).then_some(self.batch.first_time)
    }

    /// The rows of everything folded since the last call.
    pub fn take_batch(&mut self) -> Batch {
        self.make_dirty_rows();
        self.batch.held = self.held;
        let next = Batch::starting_after(self.seq().max(self.batch.after));
        std::mem::replace(&mut self.batch, next)
    }

    /// Folds the next command.
    ///
    /// # Panics
    /// Where the command is not the next one.
    pub fn apply(&mut self, command: &Sequenced<Command>) {
        let day = command.time.trading_day();
        if day != self.day {
            // The history is about to forget what finished, and the engine to roll the day's totals.
            self.make_dirty_rows();
            self.days.clear();
            self.day = day;
        }
        self.history.begin(command, Foreseen::of(&self.engine, command));
        self.begin(command);
        self.events.clear();
        let mut work = self.engine.apply(command, &mut self.events);
        self.absorb(command);
        while work == Work::More {
            self.events.clear();
            work = self.engine.resume(&mut self.events);
            self.absorb(command);
        }
        self.finish(command);
    }

    fn begin(&mut self, command: &Sequenced<Command>) {
        self.ordinal = 0;
        self.last_fills.clear();
        self.refusal = None;
        self.kills.begin_command();
        let seq = command.seq.get();
        if seq > self.written_to {
            if self.batch.to == self.batch.after {
                self.batch.first_time = command.time;
            }
            self.batch.to = seq;
            self.batch.time = command.time;
        }
    }

    /// A run of the command's events.
    fn absorb(&mut self, command: &Sequenced<Command>) {
        self.history.absorb(command, &self.events);
        for index in 0..self.events.len() {
            let event = self.events[index];
            self.event(command, &event);
        }
    }

    fn event(&mut self, command: &Sequenced<Command>, event: &Event) {
        let (now, seq) = (command.time, command.seq);
        match event {
            Event::OrderAccepted(event) => {
                if event.cause == Some(Cause::Flatten) {
                    self.kills.flattening(event.order);
                }
                self.order_came(event.order, seq, now);
            }
            Event::OrderRejected(event) => self.order_came(event.order, seq, now),
            Event::Fill(fill) => self.filled(fill, seq, now),
            Event::OrderCancelled(event) => self.order_changed(event.order, event.account, seq, now),
            Event::OrderModified(event) => self.order_changed(event.order, event.account, seq, now),
            Event::OrderTriggered(event) => self.order_changed(event.order, event.account, seq, now),
            Event::PositionChanged(event) => self.position_changed(event, seq, now),
            Event::ConditionsChanged(event) => {
                self.positions.edit(event);
                if self.making(seq) {
                    self.dirty.positions.insert(event.position, seq.get());
                }
            }
            Event::PositionMarked(event) => {
                self.positions.mark(event, now);
                self.touched.insert(event.account);
                if self.making(seq) {
                    self.dirty.positions.insert(event.position, seq.get());
                }
            }
            Event::AccountChanged(event) => self.balance_changed(command, event.account, event.balance),
            Event::AccountDefined(account) => self.account_defined(command, *account),
            Event::InstrumentDefined(instrument) => {
                self.names.learn_instrument(*instrument, &self.engine);
            }
            Event::StrategyDefined(account, strategy) => self.strategy_of(*account, *strategy, seq, now),
            Event::TradingStateChanged(event) => self.trading_state_changed(command, event),
            Event::PositionClosing {
                position,
                order,
                quantity,
            } => {
                if let Some(view) = self.engine.position(*position) {
                    self.kills.closing(&view, *order, *quantity, now);
                }
            }
            Event::Alert(alert) => {
                let place = self.place(command);
                let row = alert_row(alert, &command.command, &self.names, place);
                self.put_placed(TableId::Alerts, place, row);
            }
            Event::Refused(refusal) => self.refusal = Some(*refusal),
            Event::OrderRepeated(_)
            | Event::CloseRepeated { .. }
            | Event::PhaseChanged { .. }
            | Event::HeartbeatSet { .. }
            | Event::Trade(_)
            | Event::TopOfBook(_)
            | Event::MassCancelled(_)
            // The history notes it, and the projector has it told.
            | Event::HashMismatch { .. }
            | Event::LimitsSet(..) => {}
        }
    }

    fn finish(&mut self, command: &Sequenced<Command>) {
        for kill in self.kills.finish_command(&self.engine, &self.names) {
            self.put_kill(&kill, command.seq);
        }
        while let Some(account) = self.touched.pop_first() {
            if let Some(view) = self.engine.account(account) {
                self.days.drawn_down(account, view.drawdown());
            }
        }
        let place = self.place(command);
        if let Some(row) = audit_row(&command.command, self.refusal, &self.names, place) {
            self.put_placed(TableId::Audit, place, row);
        }
    }

    fn order_came(&mut self, order: OrderId, seq: Seq, now: Timestamp) {
        self.volume.orders += 1;
        if let Some(order) = self.history.orders().order(order) {
            let (id, account, strategy) = (order.id, order.account, order.strategy);
            self.held.add(TableId::Orders, [id.get(), 0]);
            if !self.strategies.contains_key(&(account, strategy)) {
                self.strategy_of(account, strategy, seq, now);
            }
            self.order_changed(id, account, seq, now);
        }
    }

    fn order_changed(&mut self, order: OrderId, account: AccountId, seq: Seq, now: Timestamp) {
        if self.making(seq) {
            self.dirty.orders.insert(order, seq.get());
        }
        self.touch_day(account, seq, now);
    }

    fn filled(&mut self, fill: &Fill, seq: Seq, now: Timestamp) {
        self.last_fills.insert(fill.position, fill.order);
        self.volume.trades += 1;
        self.volume.quantity += u64::from(fill.last_quantity.shares());
        self.order_changed(fill.order, fill.account, seq, now);
        self.days.traded(fill.account, fill.instrument);
        self.touched.insert(fill.account);
        let Some(order) = self.history.orders().order(fill.order) else {
            debug_assert!(false, "{fill:?} of an order that the history does not know");
            return;
        };
        let strategy = (fill.account, order.strategy);
        self.held.add(TableId::Trades, [trade_row_id(fill), 0]);
        if self.making(seq) {
            let row = trade_row(fill, order, &self.names, now, seq.get());
            self.batch.put(TableId::Trades, [trade_row_id(fill), 0], row);
            self.dirty.strategies.insert(strategy, seq.get());
        }
        if let Some(totals) = self.strategies.get_mut(&strategy) {
            totals.trades += 1;
            totals.updated = now;
        }
    }

    fn position_changed(&mut self, event: &PositionChanged, seq: Seq, now: Timestamp) {
        let order = self.last_fills.get(&event.position).copied();
        let opened = self.positions.change(event, order, now);
        self.touch_day(event.account, seq, now);
        self.touched.insert(event.account);
        if self.making(seq) {
            self.dirty.positions.insert(event.position, seq.get());
        }
        if event.change == PositionChange::Closed {
            self.position_closed(event, opened, seq, now);
        }
    }

    fn position_closed(&mut self, event: &PositionChanged, opened: Timestamp, seq: Seq, now: Timestamp) {
        let net = event.realised.saturating_sub(event.charges);
        if let Some(totals) = self.strategies.get_mut(&(event.account, event.strategy)) {
            let counter = if net > Money::ZERO {
                &mut totals.winning
            } else {
                &mut totals.losing
            };
            *counter += 1;
            totals.pnl = totals.pnl.saturating_add(net);
            totals.updated = now;
        }
        self.round_trips += 1;
        if !self.making(seq) {
            let ordinal = self.next_ordinal();
            self.held.add(TableId::RoundTrips, [seq.get(), ordinal.into()]);
            return;
        }
        self.dirty
            .strategies
            .insert((event.account, event.strategy), seq.get());
        let place = Place {
            seq: seq.get(),
            ordinal: self.next_ordinal(),
            time: now,
        };
        let closed = self.history.positions().closed(self.round_trips);
        debug_assert!(
            closed.is_some_and(|closed| closed.position == event.position),
            "round trip {} is another in the history",
            self.round_trips
        );
        let price = |price: Option<Price>| Value::optional(price, |price| Value::money(price.money()));
        let row = vec![
            Value::id(place.seq),
            Value::id(place.ordinal),
            Value::id(event.position.get()),
            self.names.account(event.account),
            Value::id(event.strategy.get()),
            self.names.symbol(event.instrument),
            self.names.exchange(event.instrument),
            Value::name(event.product.as_str()),
            Value::optional(closed, |closed| {
                Value::name(if closed.was_long { "LONG" } else { "SHORT" })
            }),
            Value::money(net),
            Value::money(event.charges),
            Value::Time(opened),
            Value::Time(now),
            Value::id(self.round_trips),
            price(closed.and_then(|closed| closed.stop_loss)),
            price(closed.and_then(|closed| closed.take_profit)),
        ];
        self.put_placed(TableId::RoundTrips, place, row);
    }

    fn account_defined(&mut self, command: &Sequenced<Command>, account: AccountId) {
        self.names.learn_account(account, &self.engine);
        if self.names.is_venue(account) {
            return;
        }
        if !self.strategies.contains_key(&(account, MANUAL_TRADING)) {
            self.strategy_of(account, MANUAL_TRADING, command.seq, command.time);
        }
        if let Some(balance) = self.engine.account(account).map(|view| view.balance) {
            self.balance_changed(command, account, balance);
        }
    }

    fn balance_changed(&mut self, command: &Sequenced<Command>, account: AccountId, balance: Money) {
        self.touch_day(account, command.seq, command.time);
        let place = self.place(command);
        let row = self
            .ledger
            .change(account, balance, &command.command, &self.names, place);
        if let Some(row) = row {
            self.put_placed(TableId::AccountLedger, place, row);
        }
    }

    /// A strategy that exists from now on, because it was named or used.
    fn strategy_of(&mut self, account: AccountId, strategy: StrategyId, seq: Seq, now: Timestamp) {
        if self.names.is_venue(account) {
            return;
        }
        let fresh = StrategyTotals {
            trades: 0,
            winning: 0,
            losing: 0,
            pnl: Money::ZERO,
            created: now,
            updated: now,
        };
        self.strategies.entry((account, strategy)).or_insert(fresh);
        if self.making(seq) {
            self.dirty.strategies.insert((account, strategy), seq.get());
        }
    }

    fn trading_state_changed(&mut self, command: &Sequenced<Command>, event: &TradingStateChanged) {
        let accounts: Vec<AccountId> = match event.scope {
            engine::KillScope::Engine => self.names.traders().collect(),
            engine::KillScope::Account(account) | engine::KillScope::Strategy(account, _) => vec![account],
        };
        let open = accounts.iter().map(|&account| self.positions.open(account)).sum();
        if event.state > engine::TradingState::Normal {
            for account in accounts {
                self.touch_day(account, command.seq, command.time);
                self.days.killed(account);
            }
        }
        let changed = self.kills.change(&command.command, event, open, command.time);
        if let Some(kill) = changed {
            self.put_kill(&kill, command.seq);
        }
    }

    fn put_kill(&mut self, kill: &KillEvent, seq: Seq) {
        self.held.add(TableId::KillSwitchEvents, [kill.id, 0]);
        if self.making(seq) {
            let row = kill.row(&self.names, seq.get());
            self.batch.put(TableId::KillSwitchEvents, [kill.id, 0], row);
        }
    }

    fn touch_day(&mut self, account: AccountId, seq: Seq, now: Timestamp) {
        if self.names.is_venue(account) {
            return;
        }
        let peak = self.engine.account(account).map_or(Money::ZERO, |view| view.peak);
        self.days.touch(account, self.positions.open(account), peak, now);
        if self.making(seq) {
            self.dirty.days.insert(account, seq.get());
        }
    }

    /// Whether rows of this command are still to be written.
    fn making(&self, seq: Seq) -> bool {
        seq.get() > self.written_to
    }

    fn next_ordinal(&mut self) -> u32 {
        self.ordinal += 1;
        self.ordinal
    }

    fn place(&mut self, command: &Sequenced<Command>) -> Place {
        Place {
            seq: command.seq.get(),
            ordinal: self.next_ordinal(),
            time: command.time,
        }
    }

    fn put_placed(&mut self, table: TableId, place: Place, row: Row) {
        let key = [place.seq, place.ordinal.into()];
        self.held.add(table, key);
        if place.seq > self.written_to {
            self.batch.put(table, key, row);
        }
    }

    /// Makes the rows of everything that has changed, as it stands now.
    fn make_dirty_rows(&mut self) {
        let dirty = std::mem::take(&mut self.dirty);
        for ((account, strategy), seq) in dirty.strategies {
            let key = [account.get().into(), strategy.get().into()];
            let row = self.strategy_row(account, strategy, seq);
            self.put_some(TableId::Strategies, key, row);
        }
        for (position, seq) in dirty.positions {
            let life = self.positions.get(position);
            let row = life.map(|life| life.row(position, &self.names, seq));
            self.put_some(TableId::Positions, [position.get().into(), 0], row);
        }
        let live = dirty.orders.len() <= LIVE_ROWS;
        for (at, (order, seq)) in dirty.orders.into_iter().enumerate() {
            if live && at % ROWS_PER_YIELD == ROWS_PER_YIELD - 1 {
                std::thread::yield_now();
            }
            let known = self.history.orders().order(order);
            let row = known.map(|known| order_row(known, &self.names, seq));
            self.put_some(TableId::Orders, [order.get(), 0], row);
        }
        for (account, seq) in dirty.days {
            let counters = self.history.counters(account);
            let view = self.engine.account(account);
            let row = view.and_then(|view| self.days.row(&view, &counters, self.day, &self.names, seq));
            self.put_some(TableId::DailyStats, [account.get().into(), self.day.into()], row);
        }
    }

    fn put_some(&mut self, table: TableId, key: [u64; 2], row: Option<Row>) {
        debug_assert!(row.is_some(), "{table:?} {key:?} has changed and is not there");
        if let Some(row) = row {
            self.batch.put(table, key, row);
        }
    }

    fn strategy_row(&self, account: AccountId, strategy: StrategyId, seq: u64) -> Option<Row> {
        let totals = self.strategies.get(&(account, strategy))?;
        let name = match self.history.strategy_name(account, strategy) {
            Some(name) => Value::text(name),
            None if strategy == MANUAL_TRADING => Value::name("Manual Trading"),
            None => Value::text(&format!("Strategy {strategy}")),
        };
        let kind = if strategy == MANUAL_TRADING {
            "MANUAL"
        } else {
            "ALGO"
        };
        Some(vec![
            self.names.account(account),
            Value::id(strategy.get()),
            name,
            Value::name(kind),
            Value::Json("{}".into()),
            Value::name("ACTIVE"),
            Value::name("PAPER"),
            Value::id(totals.trades),
            Value::id(totals.winning),
            Value::id(totals.losing),
            Value::money(totals.pnl),
            Value::Time(totals.created),
            Value::Time(totals.updated),
            Value::id(seq),
        ])
    }
}
