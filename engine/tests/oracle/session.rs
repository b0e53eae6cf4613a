//! Sessions, square-off, silent feeds and lost heartbeats, from the calendar's plain data.

use engine::{
    AccountId, Alert, AlertKind, CancelReason, Cause, DeadMan, Event, Heartbeat, InstrumentId, MassCancelled,
    Money, OrderType, PositionId, Price, Product, Ratio, Refusal, RejectCode, Rejection, SessionCalendar,
    SessionPhase, Timestamp, TradeId,
};

use super::risk::{Candidate, detailed, rejection};
use super::{Later, Oracle};

const SECOND_NS: u64 = 1_000_000_000;
const MS_NS: u64 = 1_000_000;
const CLASSES: [bool; 2] = [false, true];

/// Where the venue is in its calendar; the first of each pair is for instruments without derivatives.
#[derive(Clone, Default)]
pub struct Session {
    calendar: SessionCalendar,
    phases: [SessionPhase; 2],
    since: [Timestamp; 2],
    pub squared_off: [bool; 2],
    /// Instants up to here have been dealt with.
    done: Timestamp,
    pub feed_due: Option<Timestamp>,
    feed_limit: Option<u32>,
}

impl Session {
    fn trades_on(&self, day: u32) -> bool {
        // Day 3 was the first Sunday, day 2 the first Saturday.
        let weekend = day % 7 == 3 || day % 7 == 2;
        self.calendar.timetables.is_none() || (!weekend && !self.calendar.holidays.contains(&day))
    }

    fn begins(&self, class: usize) -> Vec<(u32, SessionPhase)> {
        let Some(timetables) = &self.calendar.timetables else {
            return Vec::new();
        };
        let times = if class == 0 {
            timetables.cash
        } else {
            timetables.derivatives
        };
        vec![
            (times.pre_open, SessionPhase::PreOpen),
            (times.continuous, SessionPhase::Continuous),
            (times.closing, SessionPhase::Closing),
            (times.closed, SessionPhase::Closed),
        ]
    }

    fn square_off(&self, class: usize) -> Option<u32> {
        [
            self.calendar.square_off.cash,
            self.calendar.square_off.derivatives,
        ][class]
    }

    fn phase_at(&self, class: usize, at: Timestamp) -> SessionPhase {
        if self.calendar.timetables.is_none() {
            return SessionPhase::Continuous;
        }
        let mut phase = SessionPhase::Closed;
        for (begin, next) in self.begins(class) {
            if self.trades_on(at.trading_day()) && in_day(at.trading_day(), begin) <= at {
                phase = next;
            }
        }
        phase
    }

    /// The first instant after `done`.
    pub fn due(&self) -> Option<Timestamp> {
        let mut seconds: Vec<u32> = self
            .begins(0)
            .iter()
            .chain(&self.begins(1))
            .map(|row| row.0)
            .collect();
        seconds.extend(self.square_off(0));
        seconds.extend(self.square_off(1));
        if seconds.is_empty() {
            return None;
        }
        let today = self.done.trading_day();
        let days = (today..=today + engine::limits::CALENDAR_DAYS_MAX).filter(|day| self.trades_on(*day));
        let instants = days.flat_map(|day| {
            let mut instants: Vec<_> = seconds.iter().map(|second| in_day(day, *second)).collect();
            instants.sort();
            instants
        });
        instants.into_iter().find(|at| *at > self.done)
    }
}

fn in_day(day: u32, second: u32) -> Timestamp {
    let midnight = Timestamp::start_of_trading_day(day);
    midnight.saturating_add_nanos(u64::from(second) * SECOND_NS)
}

fn after_ms(at: Timestamp, ms: u32) -> Timestamp {
    at.saturating_add_nanos(u64::from(ms) * MS_NS)
}

impl Oracle {
    pub(super) fn set_session(&mut self, calendar: &SessionCalendar) {
        if let Err(why) = calendar.check() {
            self.refuse_command(Refusal::InvalidDefinition(why));
            return;
        }
        let now = self.time;
        let session = &mut self.session;
        session.calendar = calendar.clone();
        session.done = now;
        for class in 0..2 {
            let passed = |second| in_day(now.trading_day(), second) <= now;
            session.squared_off[class] =
                session.trades_on(now.trading_day()) && session.square_off(class).is_some_and(passed);
        }
        self.enter_phases(now);
    }

    fn enter_phases(&mut self, at: Timestamp) {
        for (class, derivatives) in CLASSES.into_iter().enumerate() {
            let phase = self.session.phase_at(class, at);
            if self.session.phases[class] != phase {
                self.session.phases[class] = phase;
                self.session.since[class] = at;
                self.events.push(Event::PhaseChanged { derivatives, phase });
                self.watch_feed_from(at);
                for id in (0..self.instruments.len() as u32).map(InstrumentId::new) {
                    if self.class_of(id) == class {
                        self.look_at_last_price(id);
                        self.leave_all_of(id);
                    }
                }
            }
        }
    }

    /// An instant of the calendar: phases, then what has to be squared off.
    pub(super) fn turn_session(&mut self, due: Timestamp) {
        self.enter_phases(due);
        for class in 0..2 {
            let second = self.session.square_off(class);
            if second.is_some_and(|second| in_day(due.trading_day(), second) == due) {
                self.session.squared_off[class] = true;
                self.later.push_back(Later::CancelIntraday(class));
                self.later.push_back(Later::SquareOff(class));
            }
        }
        self.session.done = due;
    }

    fn class_of(&self, instrument: InstrumentId) -> usize {
        usize::from(self.instrument(instrument).definition.derivatives)
    }

    fn phase_of(&self, instrument: InstrumentId) -> SessionPhase {
        self.session.phases[self.class_of(instrument)]
    }

    pub(super) fn is_continuous(&self, instrument: InstrumentId) -> bool {
        self.phase_of(instrument) == SessionPhase::Continuous
    }

    pub(super) fn cancel_intraday(&mut self, class: usize) {
        let orders = self.matching_orders(None, |order| {
            order.request.product == Product::Mis
                && self.class_of(order.request.instrument) == class
                && !self.account(order.request.account).venue
        });
        for id in orders {
            self.cancel(id, CancelReason::SquareOff);
        }
    }

    pub(super) fn square_off(&mut self, class: usize) {
        for id in (1..=self.positions.len() as u32).map(PositionId::new) {
            let position = self.position(id);
            let wanted = position.product == Product::Mis
                && position.quantity != 0
                && self.class_of(position.instrument) == class
                && !self.account(position.account).venue;
            if !wanted {
                continue;
            }
            self.position_mut(id).leaving.square_off = true;
            if self.may_leave(id) {
                self.place_exits(id, self.uncovered(id), Cause::SquareOff, None, false);
            }
        }
    }

    /// `session`, for an order or (`None`) a close.
    pub(super) fn session_refuses(
        &self,
        instrument: InstrumentId,
        c: Option<&Candidate>,
    ) -> Option<Rejection> {
        let phase = self.phase_of(instrument);
        if phase != SessionPhase::Continuous {
            return Some(rejection(RejectCode::Session, phase as i128, 2));
        }
        let intraday = c.is_some_and(|c| {
            c.order.product == Product::Mis && c.enters() && !self.account(c.order.account).venue
        });
        let ended = self.session.squared_off[self.class_of(instrument)];
        (intraday && ended).then(|| Rejection::bare(RejectCode::IntradayEnded))
    }

    pub(super) fn check_session(&self, c: &Candidate) -> Option<Rejection> {
        self.session_refuses(c.order.instrument, Some(c))
    }

    pub(super) fn check_protection_age(&self, c: &Candidate) -> Option<Rejection> {
        match c.order.order_type {
            OrderType::Market | OrderType::StopMarket { .. } => {
                self.check_age(c, RejectCode::StaleProtection)
            }
            _ => None,
        }
    }

    pub(super) fn check_reference_age(&self, c: &Candidate) -> Option<Rejection> {
        self.check_age(c, RejectCode::StaleReference)
    }

    fn check_age(&self, c: &Candidate, code: RejectCode) -> Option<Rejection> {
        let limit = self.limits(c).reference_age_ms_max?;
        if self.is_young(limit, c.order.instrument) {
            return None;
        }
        let instrument = self.instrument(c.order.instrument);
        let age = match instrument.last_price {
            Some(_) => self.time.saturating_since(instrument.last_price_at),
            None => u64::MAX,
        };
        let last = instrument.last_price.map_or(0, |price| i128::from(price.paise()));
        let age_ms = (i128::from(age) + 999_999) / 1_000_000;
        Some(detailed(code, age_ms, i128::from(limit), last, Ratio::ZERO))
    }

    /// Whether the last price is no older than the account's limit.
    pub(super) fn is_fresh(&self, account: AccountId, instrument: InstrumentId) -> bool {
        let limit = self.account(account).limits.reference_age_ms_max;
        limit.is_none_or(|limit| self.is_young(limit, instrument))
    }

    fn is_young(&self, limit: u32, instrument: InstrumentId) -> bool {
        let instrument = self.instrument(instrument);
        instrument.last_price.is_some() && self.time <= after_ms(instrument.last_price_at, limit)
    }

    /// Limits changed: every price is looked at now where they watch the feed in another way.
    pub(super) fn follow_feed_limits(&mut self) {
        let traders = self.accounts.iter().filter(|account| !account.venue);
        let strictest = traders
            .filter_map(|account| account.limits.reference_age_ms_max)
            .chain(
                self.limited
                    .values()
                    .filter_map(|own| own.limits.reference_age_ms_max),
            )
            .min();
        if self.session.feed_limit != strictest {
            self.session.feed_limit = strictest;
            self.session.feed_due = strictest.map(|_| self.time);
        }
    }

    /// A print, or a price from outside.
    pub(super) fn print(&mut self, id: InstrumentId, price: Price, trade: Option<TradeId>) {
        let now = self.time;
        self.instrument_mut(id).print(price, now);
        if self.is_continuous(id) {
            self.instrument_mut(id).widen(price, trade);
        }
        self.watch_feed_from(now);
    }

    /// Stops and conditions wait outside continuous trading; when it begins, the last price is looked at.
    pub(super) fn look_at_last_price(&mut self, id: InstrumentId) {
        if let Some(last) = self.instrument(id).last_price.filter(|_| self.is_continuous(id)) {
            self.instrument_mut(id).widen(last, None);
        }
    }

    /// The timer is set by what comes first after it rang.
    pub(super) fn watch_feed_from(&mut self, at: Timestamp) {
        if let Some(limit) = self.session.feed_limit {
            self.session.feed_due.get_or_insert(after_ms(at, limit));
        }
    }

    /// `stale_feed` for each instrument that trades without a fresh price.
    pub(super) fn watch_feed(&mut self, at: Timestamp) {
        self.session.feed_due = None;
        let Some(limit) = self.session.feed_limit else {
            return;
        };
        let mut next = Vec::new();
        for id in (0..self.instruments.len() as u32).map(InstrumentId::new) {
            let instrument = self.instrument(id);
            if instrument.feed_alerted || instrument.last_price.is_none() || !self.is_continuous(id) {
                continue;
            }
            let since = instrument
                .last_price_at
                .max(self.session.since[self.class_of(id)]);
            if after_ms(since, limit) > at {
                next.push(after_ms(since, limit));
                continue;
            }
            self.instrument_mut(id).feed_alerted = true;
            let alert = bare_alert(AlertKind::StaleFeed, limit);
            self.events.push(Event::Alert(Alert {
                instrument: Some(id),
                ..alert
            }));
        }
        self.session.feed_due = next.into_iter().min();
    }

    pub(super) fn heartbeat(&mut self, beat: &Heartbeat) {
        if !self.knows_account(beat.account) || self.account(beat.account).venue {
            self.refuse_command(Refusal::UnknownAccount);
            return;
        }
        if beat.timeout_ms != 0 && !(100..=3_600_000).contains(&beat.timeout_ms) {
            self.refuse_command(Refusal::InvalidDefinition(
                "timeout_ms must be 0 or from 100 to 3600000",
            ));
            return;
        }
        let dead_man = (beat.timeout_ms > 0).then(|| DeadMan {
            timeout_ms: beat.timeout_ms,
            deadline: after_ms(self.time, beat.timeout_ms),
        });
        self.wait_for_heartbeat(beat.account, dead_man);
    }

    fn wait_for_heartbeat(&mut self, account: AccountId, dead_man: Option<DeadMan>) {
        self.account_mut(account).dead_man = dead_man;
        self.events.push(Event::HeartbeatSet { account, dead_man });
    }

    /// The account whose heartbeat is lost next, and when.
    pub(super) fn next_heartbeat(&self) -> Option<(Timestamp, AccountId)> {
        let waits = |(account, id): (&super::state::Account, u32)| {
            account
                .dead_man
                .map(|dead_man| (dead_man.deadline, AccountId::new(id)))
        };
        self.accounts.iter().zip(0..).filter_map(waits).min()
    }

    pub(super) fn lose_heartbeat(&mut self, account: AccountId) {
        let timeout = self
            .account(account)
            .dead_man
            .map_or(0, |dead_man| dead_man.timeout_ms);
        let alert = bare_alert(AlertKind::DeadMan, timeout);
        self.events.push(Event::Alert(Alert {
            account: Some(account),
            ..alert
        }));
        self.wait_for_heartbeat(account, None);
        self.later.push_back(Later::CancelSent(account));
    }

    pub(super) fn cancel_sent(&mut self, account: AccountId) {
        let sent = self.matching_orders(Some(account), |order| !order.protective);
        let count = sent.len() as u32;
        for id in sent {
            self.cancel(id, CancelReason::DeadMan);
        }
        self.events.push(Event::MassCancelled(MassCancelled {
            account: Some(account),
            orders: count,
        }));
    }
}

fn bare_alert(kind: AlertKind, amount: u32) -> Alert {
    Alert {
        kind,
        account: None,
        position: None,
        instrument: None,
        amount: Money::from_paise(i64::from(amount)),
        basis: Money::ZERO,
        realised: Money::ZERO,
        unrealised: Money::ZERO,
        limit: Ratio::ZERO,
    }
}
