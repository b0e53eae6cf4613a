//! Trading sessions: the calendar as data, and the phase that each class of instruments is in (VENUE.md, Sessions).
//!
//! The calendar is a command ([`crate::Command::SetSession`]); phases change at deadlines inside the engine, so that a
//! replay sees them change where the original did.

use alloc::vec::Vec;

use crate::limits::{CALENDAR_DAYS_MAX, HOLIDAYS_MAX};
use crate::rejection::{RejectCode, Rejection};
use crate::state_hash::Digest;
use crate::units::Timestamp;

/// Seconds of a day.
const DAY_SECONDS: u32 = 86_400;

/// What the venue does with orders.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum SessionPhase {
    /// New orders are refused.
    Closed = 0,
    /// The opening call auction, which is not held yet: new orders are refused.
    PreOpen = 1,
    #[default]
    Continuous = 2,
    /// The closing call auction, which is not held yet: new orders are refused.
    Closing = 3,
}

impl SessionPhase {
    pub const ALL: [SessionPhase; 4] = [
        SessionPhase::Closed,
        SessionPhase::PreOpen,
        SessionPhase::Continuous,
        SessionPhase::Closing,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            SessionPhase::Closed => "CLOSED",
            SessionPhase::PreOpen => "PRE_OPEN",
            SessionPhase::Continuous => "CONTINUOUS",
            SessionPhase::Closing => "CLOSING",
        }
    }

    /// The phase of a number that a rejection carries.
    pub(crate) fn from_code(code: i64) -> SessionPhase {
        let of = |phase: &SessionPhase| phase.code() == code;
        SessionPhase::ALL
            .into_iter()
            .find(of)
            .unwrap_or(SessionPhase::Closed)
    }

    /// The number that a rejection carries.
    pub(crate) const fn code(self) -> i64 {
        match self {
            SessionPhase::Closed => 0,
            SessionPhase::PreOpen => 1,
            SessionPhase::Continuous => 2,
            SessionPhase::Closing => 3,
        }
    }
}

/// A value for instruments without derivatives and one for those with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct ByClass<T> {
    pub cash: T,
    pub derivatives: T,
}

impl<T> ByClass<T> {
    pub const fn of(&self, derivatives: bool) -> &T {
        if derivatives {
            &self.derivatives
        } else {
            &self.cash
        }
    }

    pub(crate) const fn of_mut(&mut self, derivatives: bool) -> &mut T {
        if derivatives {
            &mut self.derivatives
        } else {
            &mut self.cash
        }
    }
}

/// When the phases of a trading day begin, in seconds since midnight in India, ascending; equal ones leave a phase out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Timetable {
    pub pre_open: u32,
    pub continuous: u32,
    pub closing: u32,
    pub closed: u32,
}

impl Timetable {
    fn begins(&self) -> [(u32, SessionPhase); 4] {
        [
            (self.pre_open, SessionPhase::PreOpen),
            (self.continuous, SessionPhase::Continuous),
            (self.closing, SessionPhase::Closing),
            (self.closed, SessionPhase::Closed),
        ]
    }

    fn phase(&self, second: u32) -> SessionPhase {
        let mut begun = self.begins().into_iter().filter(|&(begin, _)| begin <= second);
        begun.next_back().map_or(SessionPhase::Closed, |(_, phase)| phase)
    }
}

/// What the venue's days look like. The default trades around the clock and never squares off.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct SessionCalendar {
    /// `None`: continuous trading around the clock, every day.
    pub timetables: Option<ByClass<Timetable>>,
    /// When intraday (MIS) positions are closed and MIS entries end for the day, in seconds since midnight in India.
    /// `None`: never.
    pub square_off: ByClass<Option<u32>>,
    /// Trading days as [`Timestamp::trading_day`] counts them, without trading, besides Saturdays and Sundays.
    /// Ascending. They mean nothing where trading goes on around the clock.
    pub holidays: Vec<u32>,
}

impl SessionCalendar {
    /// Names the first thing that makes a calendar unusable.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.holidays.len() > HOLIDAYS_MAX {
            return Err("the calendar lists too many holidays");
        }
        if !self.holidays.is_sorted_by(|a, b| a < b) {
            return Err("holidays must be in ascending order, each once");
        }
        [false, true]
            .into_iter()
            .try_for_each(|class| self.check_class(class))
    }

    fn check_class(&self, derivatives: bool) -> Result<(), &'static str> {
        let square_off = *self.square_off.of(derivatives);
        if square_off.is_some_and(|at| at >= DAY_SECONDS) {
            return Err("square-off must be a time of the day");
        }
        let Some(timetables) = &self.timetables else {
            return Ok(());
        };
        let timetable = timetables.of(derivatives);
        if timetable.closed >= DAY_SECONDS || !timetable.begins().is_sorted_by_key(|&(begin, _)| begin) {
            return Err("session times must be in order within a day");
        }
        if square_off.is_some_and(|at| timetable.phase(at) != SessionPhase::Continuous) {
            return Err("square-off must be during continuous trading");
        }
        Ok(())
    }

    /// Whether a day has a session.
    pub fn is_trading_day(&self, day: u32) -> bool {
        // 1970-01-01 was a Thursday.
        let weekday = day.wrapping_add(4).wrapping_rem(7);
        let is_weekend = weekday == 0 || weekday == 6;
        self.timetables.is_none() || !is_weekend && self.holidays.binary_search(&day).is_err()
    }

    /// The phase of a class of instruments at an instant.
    pub fn phase(&self, derivatives: bool, at: Timestamp) -> SessionPhase {
        match &self.timetables {
            None => SessionPhase::Continuous,
            Some(_) if !self.is_trading_day(at.trading_day()) => SessionPhase::Closed,
            Some(timetables) => timetables.of(derivatives).phase(at.second_of_trading_day()),
        }
    }

    /// Whether the square-off of a class is over on the day of an instant.
    fn is_squared_off(&self, derivatives: bool, at: Timestamp) -> bool {
        let passed = |second| at.second_of_trading_day() >= second;
        self.is_trading_day(at.trading_day()) && self.square_off.of(derivatives).is_some_and(passed)
    }

    /// Whether the square-off of a class is at exactly this instant.
    pub(crate) fn squares_off_at(&self, derivatives: bool, at: Timestamp) -> bool {
        let day = at.trading_day();
        let is_it = |second| Timestamp::in_trading_day(day, second) == at;
        self.is_trading_day(day) && self.square_off.of(derivatives).is_some_and(is_it)
    }

    /// The first instant after another at which a phase begins or positions are squared off.
    fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let first = after.trading_day();
        let days = first..=first.saturating_add(CALENDAR_DAYS_MAX);
        days.filter(|&day| self.is_trading_day(day)).find_map(|day| {
            let seconds = self
                .seconds()
                .map(|second| Timestamp::in_trading_day(day, second));
            seconds.filter(|&at| at > after).min()
        })
    }

    /// The seconds of a trading day at which anything happens.
    fn seconds(&self) -> impl Iterator<Item = u32> {
        let begins = |timetables: ByClass<Timetable>| {
            let (cash, derivatives) = (timetables.cash.begins(), timetables.derivatives.begins());
            cash.into_iter().chain(derivatives).map(|(begin, _)| begin)
        };
        let square_off = [self.square_off.cash, self.square_off.derivatives];
        let begins = self.timetables.map(begins).into_iter().flatten();
        begins.chain(square_off.into_iter().flatten())
    }
}

/// Where the venue is in its calendar.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Session {
    pub(crate) calendar: SessionCalendar,
    pub(crate) phases: ByClass<SessionPhase>,
    /// When each class entered its phase.
    pub(crate) since: ByClass<Timestamp>,
    /// MIS entries have ended for the day.
    pub(crate) squared_off: ByClass<bool>,
    /// The next instant of the calendar.
    pub(crate) due: Option<Timestamp>,
}

/// Whether orders in an instrument may enter now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gate {
    phase: SessionPhase,
    intraday_ended: bool,
    /// The calendar has anything to say at all.
    pub(crate) is_scheduled: bool,
}

impl Gate {
    /// Why an order may not enter; `intraday`: it would open an MIS position.
    #[inline]
    pub(crate) fn refuses(self, intraday: bool) -> Option<Rejection> {
        if self.phase != SessionPhase::Continuous {
            return Some(self.measured());
        }
        (self.intraday_ended && intraday).then(|| Rejection::bare(RejectCode::IntradayEnded))
    }

    /// The phase and the one that orders need.
    #[inline]
    pub(crate) fn measured(self) -> Rejection {
        Rejection::new(
            RejectCode::Session,
            self.phase.code(),
            SessionPhase::Continuous.code(),
        )
    }
}

impl Session {
    /// Goes by another calendar from now on. A square-off that would have been earlier today is not made up for.
    pub(crate) fn follow(&mut self, calendar: SessionCalendar, now: Timestamp) {
        self.calendar = calendar;
        for class in [false, true] {
            *self.squared_off.of_mut(class) = self.calendar.is_squared_off(class, now);
        }
        self.due = self.calendar.next_after(now);
    }

    /// Enters the phase of a class at an instant; `None` where it is in it already.
    pub(crate) fn enter(&mut self, derivatives: bool, at: Timestamp) -> Option<SessionPhase> {
        let phase = self.calendar.phase(derivatives, at);
        if core::mem::replace(self.phases.of_mut(derivatives), phase) == phase {
            return None;
        }
        *self.since.of_mut(derivatives) = at;
        Some(phase)
    }

    /// Looks for the next instant after the one that was due.
    pub(crate) fn advance(&mut self) {
        self.due = self.due.and_then(|done| self.calendar.next_after(done));
    }

    /// Whether intraday entries in a class of instruments may come in.
    #[inline(always)]
    pub(crate) fn takes_intraday(&self, derivatives: bool) -> bool {
        self.is_continuous(derivatives) & !*self.squared_off.of(derivatives)
    }

    /// What the session says of orders in a class of instruments.
    #[inline]
    pub(crate) fn gate(&self, derivatives: bool) -> Gate {
        Gate {
            phase: *self.phases.of(derivatives),
            intraday_ended: *self.squared_off.of(derivatives),
            is_scheduled: self.calendar.timetables.is_some()
                || self.calendar.square_off.of(derivatives).is_some(),
        }
    }

    pub(crate) fn is_continuous(&self, derivatives: bool) -> bool {
        *self.phases.of(derivatives) == SessionPhase::Continuous
    }

    pub(crate) fn digest(&self) -> u64 {
        let flag = |set: bool| u32::from(set);
        let phase = |phase: &SessionPhase| u32::try_from(phase.code()).unwrap_or(0);
        Digest::new(9)
            .pair(phase(&self.phases.cash), phase(&self.phases.derivatives))
            .pair(flag(self.squared_off.cash), flag(self.squared_off.derivatives))
            .word(self.due.map_or(0, Timestamp::nanos))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u32 = 3_600;
    const MINUTE: u32 = 60;
    /// 2026-11-20, a Friday.
    const FRIDAY: u32 = 20_777;

    fn nse() -> SessionCalendar {
        let cash = Timetable {
            pre_open: 9 * HOUR,
            continuous: 9 * HOUR + 15 * MINUTE,
            closing: 15 * HOUR + 30 * MINUTE,
            closed: 15 * HOUR + 30 * MINUTE,
        };
        let derivatives = Timetable {
            closing: 15 * HOUR + 15 * MINUTE,
            ..cash
        };
        SessionCalendar {
            timetables: Some(ByClass { cash, derivatives }),
            square_off: ByClass {
                cash: Some(15 * HOUR + 20 * MINUTE),
                derivatives: Some(15 * HOUR + 10 * MINUTE),
            },
            holidays: std::vec![FRIDAY + 4],
        }
    }

    fn at(day: u32, hour: u32, minute: u32) -> Timestamp {
        Timestamp::in_trading_day(day, hour * HOUR + minute * MINUTE)
    }

    #[test]
    fn phases_follow_the_timetable_weekends_and_holidays() {
        let calendar = nse();
        assert_eq!(calendar.check(), Ok(()));
        let check = |day, hour, minute, cash, derivatives| {
            let at = at(day, hour, minute);
            assert_eq!(calendar.phase(false, at), cash, "{hour}:{minute}");
            assert_eq!(calendar.phase(true, at), derivatives, "{hour}:{minute}");
        };
        use SessionPhase::*;
        check(FRIDAY, 0, 0, Closed, Closed);
        check(FRIDAY, 8, 59, Closed, Closed);
        check(FRIDAY, 9, 0, PreOpen, PreOpen);
        check(FRIDAY, 9, 14, PreOpen, PreOpen);
        check(FRIDAY, 9, 15, Continuous, Continuous);
        check(FRIDAY, 15, 14, Continuous, Continuous);
        check(FRIDAY, 15, 15, Continuous, Closing);
        check(FRIDAY, 15, 30, Closed, Closed);
        for closed in [FRIDAY + 1, FRIDAY + 2, FRIDAY + 4] {
            check(closed, 12, 0, Closed, Closed);
        }
        check(FRIDAY + 3, 12, 0, Continuous, Continuous);
        check(FRIDAY + 5, 12, 0, Continuous, Continuous);
    }

    #[test]
    fn instants_come_one_after_the_other_over_days_without_trading() {
        let calendar = nse();
        let mut now = at(FRIDAY, 15, 0);
        for expected in [
            at(FRIDAY, 15, 10),
            at(FRIDAY, 15, 15),
            at(FRIDAY, 15, 20),
            at(FRIDAY, 15, 30),
            at(FRIDAY + 3, 9, 0),
            at(FRIDAY + 3, 9, 15),
        ] {
            now = calendar.next_after(now).unwrap();
            assert_eq!(now, expected);
        }
        assert_eq!(
            calendar.next_after(at(FRIDAY + 3, 15, 30)),
            Some(at(FRIDAY + 5, 9, 0))
        );
        assert_eq!(SessionCalendar::default().next_after(now), None);
    }

    #[test]
    fn around_the_clock_squares_off_every_day() {
        let calendar = SessionCalendar {
            timetables: None,
            ..nse()
        };
        assert_eq!(
            calendar.phase(false, at(FRIDAY + 1, 3, 0)),
            SessionPhase::Continuous
        );
        assert_eq!(
            calendar.next_after(at(FRIDAY, 16, 0)),
            Some(at(FRIDAY + 1, 15, 10))
        );
        assert!(calendar.squares_off_at(false, at(FRIDAY + 2, 15, 20)));
    }

    #[test]
    fn contradictions_are_named() {
        let check = |change: fn(&mut SessionCalendar), part: &str| {
            let mut calendar = nse();
            change(&mut calendar);
            let why = calendar.check().unwrap_err();
            assert!(why.contains(part), "{why}");
        };
        check(|calendar| calendar.holidays = std::vec![5, 4], "ascending");
        check(|calendar| calendar.holidays = std::vec![4, 4], "ascending");
        check(|calendar| calendar.holidays = (0..=1_000).collect(), "too many");
        check(
            |calendar| calendar.square_off.cash = Some(16 * HOUR),
            "continuous",
        );
        check(
            |calendar| {
                calendar.timetables = None;
                calendar.square_off.cash = Some(24 * HOUR);
            },
            "time of the day",
        );
        check(
            |calendar| {
                let timetables = calendar.timetables.as_mut().unwrap();
                timetables.cash.pre_open = 10 * HOUR;
            },
            "in order",
        );
    }
}
