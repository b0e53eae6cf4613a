//! The fold of commands and their events into today's history. It needs no engine, so it can be driven by hand.

use std::collections::BTreeMap;
use std::iter::Peekable;

use engine::{
    AccountId, Alert, Cause, Command, Event, Fill, Money, NewOrder, OrderAccepted, OrderCancelled,
    OrderModified, OrderRejected, PositionChanged, PositionId, Reached, Seq, Sequenced, StrategyId, Text,
    Timestamp, TradingStateChanged,
};

use crate::alerts::{AlertRecord, AlertSubject, Alerts};
use crate::counters::DayCounters;
use crate::fills::FillRecord;
use crate::foreseen::Foreseen;
use crate::kills::{ActiveKill, Kills};
use crate::limits::{FILLS_KEPT, FINISHED_ORDERS_KEPT};
use crate::log::Log;
use crate::orders::{Order, Orders};
use crate::positions::Positions;
use crate::stories::{Explanation, Stories};

/// The first time that this fold disagreed with the sequencer's state hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Divergence {
    pub seq: Seq,
    pub at: Timestamp,
    pub expected: u64,
    pub found: u64,
}

/// What happened today, as traders and reports see it.
///
/// Feed it each command in order: [`History::begin`] once, then [`History::absorb`] with each run of its events.
/// It starts over at the first command of a new trading day (IST), but for what is still open.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct History {
    orders: Orders,
    fills: Log<FillRecord>,
    stories: Stories,
    positions: Positions,
    alerts: Alerts,
    kills: Kills,
    counters: BTreeMap<AccountId, DayCounters>,
    strategies: BTreeMap<(AccountId, StrategyId), Text<100>>,
    divergence: Option<Divergence>,
    day: u32,
    foreseen: Foreseen,
    /// The condition that fired last in this command.
    reached: Option<(PositionId, Reached)>,
}

impl History {
    pub fn new() -> History {
        History {
            orders: Orders::new(FINISHED_ORDERS_KEPT),
            fills: Log::new(FILLS_KEPT),
            stories: Stories::default(),
            positions: Positions::new(),
            alerts: Alerts::default(),
            kills: Kills::default(),
            counters: BTreeMap::new(),
            strategies: BTreeMap::new(),
            divergence: None,
            day: 0,
            foreseen: Foreseen::default(),
            reached: None,
        }
    }

    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    pub fn positions(&self) -> &Positions {
        &self.positions
    }

    /// Today's fills with keys below `before`, the largest first, with their keys (paging cursors). `None` for the
    /// account means all.
    pub fn fills_newest_first(
        &self,
        account: Option<AccountId>,
        before: Option<u64>,
    ) -> impl Iterator<Item = (u64, &FillRecord)> {
        // Trades are numbered as they happen; of the two sides of a trade either may come first.
        let end = before.map(|before| self.fills.partition_point(|fill| fill.key() / 2 <= before / 2));
        let fills = self.fills.newest_first(account, end);
        let keyed = fills.map(|(_, fill)| (fill.key(), fill));
        SidesInOrder(keyed.peekable()).filter(move |(key, _)| before.is_none_or(|before| *key < before))
    }

    /// The oldest fill that is kept, where earlier ones of today were forgotten for others.
    pub fn fills_kept_from(&self) -> Option<&FillRecord> {
        self.fills.kept_from().map(|(_, fill)| fill)
    }

    /// How a position came to its numbers, by today's fills. `None` where it was never filled.
    pub fn explanation(&self, position: PositionId) -> Option<Explanation<'_>> {
        self.stories.explain(position, |number| self.fills.entry(number))
    }

    /// The last `count` alerts that concern the account (its own and the engine's), oldest first. `None` means every
    /// account's. They outlive the day.
    pub fn last_alerts(&self, account: Option<AccountId>, count: usize) -> Vec<&AlertRecord> {
        self.alerts.last(account, count)
    }

    /// Kill switches that are on, of every scope.
    pub fn active_kills(&self) -> &[ActiveKill] {
        self.kills.active()
    }

    /// The strictest kill switch that stops the whole account.
    pub fn kill_of(&self, account: AccountId) -> Option<&ActiveKill> {
        self.kills
            .active()
            .iter()
            .filter(|kill| kill.covers(account))
            .max_by_key(|kill| kill.state)
    }

    pub fn counters(&self, account: AccountId) -> DayCounters {
        self.counters.get(&account).copied().unwrap_or_default()
    }

    /// The name that the account gave the strategy.
    pub fn strategy_name(&self, account: AccountId, strategy: StrategyId) -> Option<&str> {
        self.strategies.get(&(account, strategy)).map(Text::as_str)
    }

    pub fn divergence(&self) -> Option<Divergence> {
        self.divergence
    }

    /// A command is about to be applied.
    pub fn begin(&mut self, command: &Sequenced<Command>, foreseen: Foreseen) {
        self.foreseen = foreseen;
        self.reached = None;
        let day = command.time.trading_day();
        if day != self.day {
            self.day = day;
            self.orders.roll_day();
            self.fills.clear();
            self.stories.roll_day(command.time);
            self.positions.roll_day();
            self.counters.clear();
        }
    }

    /// A run of the command's events, in order.
    pub fn absorb(&mut self, command: &Sequenced<Command>, events: &[Event]) {
        for event in events {
            self.fold(command, event);
        }
    }

    fn fold(&mut self, command: &Sequenced<Command>, event: &Event) {
        let now = command.time;
        match event {
            Event::OrderAccepted(event) => self.accepted(command, event),
            Event::OrderRejected(event) => self.rejected(command, event),
            Event::Fill(event) => self.filled(event, now),
            Event::OrderCancelled(event) => self.cancelled(event, now),
            Event::OrderModified(event) => self.modified(event, now),
            Event::OrderTriggered(event) => {
                self.orders.trigger(event, now);
            }
            Event::PositionChanged(event) => self.position_changed(event, now),
            Event::ConditionsChanged(event) => {
                self.positions.edit(event, now);
                self.reached = event.fired.map(|reached| (event.position, reached));
            }
            Event::Alert(alert) => self.alerted(command, alert),
            Event::TradingStateChanged(event) => self.trading_state_changed(command, event),
            Event::StrategyDefined(account, strategy) => {
                if let Command::DefineStrategy(definition) = &command.command {
                    self.strategies.insert((*account, *strategy), definition.name);
                }
            }
            Event::HashMismatch { expected, found } => {
                self.diverged(command.seq, command.time, *expected, *found);
            }
            // Marks and money are read from the engine itself, and the rest is not history.
            Event::Trade(_)
            | Event::PositionMarked(_)
            | Event::AccountChanged(_)
            | Event::TopOfBook(_)
            | Event::MassCancelled(_)
            | Event::PositionClosing { .. }
            | Event::CloseRepeated { .. }
            | Event::OrderRepeated(_)
            | Event::PhaseChanged { .. }
            | Event::HeartbeatSet { .. }
            | Event::Refused(_)
            | Event::InstrumentDefined(_)
            | Event::AccountDefined(_)
            | Event::LimitsSet(..) => {}
        }
    }

    fn accepted(&mut self, command: &Sequenced<Command>, event: &OrderAccepted) {
        let sent = sent_order(command).filter(|_| event.cause.is_none());
        let mut order = Order::accepted(event, sent, &self.foreseen, command.time);
        // The exits that a condition became follow it in the same command.
        let of_condition = order.cause.is_some_and(Cause::is_condition);
        let reached = self
            .reached
            .filter(|(position, _)| of_condition && *position == event.position);
        order.reached = reached.map(|(_, reached)| reached);
        self.orders.insert(order);
        self.count_order(event.account);
    }

    fn rejected(&mut self, command: &Sequenced<Command>, event: &OrderRejected) {
        let Some(sent) = sent_order(command) else {
            debug_assert!(false, "{event:?} of a command that is no order");
            return;
        };
        let order = Order::rejected(event, sent, &self.foreseen, command.time);
        self.count_order(event.account);
        self.counters_of(event.account).finished(order.status);
        self.orders.insert(order);
    }

    fn filled(&mut self, fill: &Fill, now: Timestamp) {
        let Some(order) = self.orders.fill(fill, now) else {
            return;
        };
        let record = FillRecord {
            trade: fill.trade,
            order: fill.order,
            position: fill.position,
            account: fill.account,
            strategy: order.strategy,
            instrument: fill.instrument,
            side: fill.side,
            product: order.product,
            quantity: fill.last_quantity,
            price: fill.last_price,
            charges: fill.charges,
            executed: now,
        };
        let (number, forgotten) = self.fills.push(fill.account, record);
        self.stories.filled(number, &record);
        if let Some((number, fill)) = forgotten {
            self.stories.forgotten(number, &fill);
        }
        let counters = self.counters_of(fill.account);
        counters.traded(record.side, record.gross(), record.charges.total());
        counters.finished(fill.status);
    }

    fn cancelled(&mut self, event: &OrderCancelled, now: Timestamp) {
        self.orders.cancel(event, now);
        self.counters_of(event.account).finished(event.status);
    }

    fn modified(&mut self, event: &OrderModified, now: Timestamp) {
        self.orders.modify(event, now);
        self.counters_of(event.account).finished(event.status);
    }

    fn position_changed(&mut self, event: &PositionChanged, now: Timestamp) {
        if let Some(closed) = self.positions.change(event, now) {
            self.counters_of(closed.account).closed(closed.net());
        }
    }

    fn alerted(&mut self, command: &Sequenced<Command>, alert: &Alert) {
        let (reason, author) = kill_texts(&command.command);
        let position = alert.position.and_then(|id| self.positions.open_position(id));
        let subject = AlertSubject {
            alert: *alert,
            reason: reason.into(),
            author: author.into(),
            quantity: position.map_or(0, |position| position.quantity),
            cost: position.map_or(Money::ZERO, |position| position.cost),
        };
        self.alerts.raise(alert.account, subject, command.time);
    }

    fn trading_state_changed(&mut self, command: &Sequenced<Command>, event: &TradingStateChanged) {
        let (reason, author) = kill_texts(&command.command);
        self.kills
            .change(event, Text::cut(reason), Text::cut(author), command.time);
    }

    /// The fold is not what the sequencer has. Only the first time is kept.
    pub(crate) fn diverged(&mut self, seq: Seq, at: Timestamp, expected: u64, found: u64) {
        self.divergence.get_or_insert(Divergence {
            seq,
            at,
            expected,
            found,
        });
    }

    fn count_order(&mut self, account: AccountId) {
        let counters = self.counters_of(account);
        counters.orders = counters.orders.saturating_add(1);
    }

    fn counters_of(&mut self, account: AccountId) -> &mut DayCounters {
        self.counters.entry(account).or_default()
    }
}

impl Default for History {
    fn default() -> History {
        History::new()
    }
}

/// Fills, the newest first, with the two sides of a trade by their keys.
struct SidesInOrder<'a, I: Iterator<Item = (u64, &'a FillRecord)>>(Peekable<I>);

impl<'a, I: Iterator<Item = (u64, &'a FillRecord)>> Iterator for SidesInOrder<'a, I> {
    type Item = (u64, &'a FillRecord);

    fn next(&mut self) -> Option<Self::Item> {
        let first = self.0.next()?;
        let other = self
            .0
            .peek_mut()
            .filter(|other| other.0 == first.0 ^ 1 && other.0 > first.0);
        Some(match other {
            Some(other) => std::mem::replace(other, first),
            None => first,
        })
    }
}

fn sent_order(command: &Sequenced<Command>) -> Option<&NewOrder> {
    match &command.command {
        Command::NewOrder(order) => Some(order),
        _ => None,
    }
}

/// Reason and author of a kill or rearm command; empty for any other.
fn kill_texts(command: &Command) -> (&str, &str) {
    match command {
        Command::KillSwitch(kill) => (kill.reason.as_str(), kill.triggered_by.as_str()),
        Command::Rearm(rearm) => ("", rearm.deactivated_by.as_str()),
        Command::Notice(notice) => (notice.reason.as_str(), ""),
        _ => ("", ""),
    }
}
