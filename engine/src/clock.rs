//! Work that time sets off: GTD expiry, waiting marks, session phases, square-off, and the roll to the next trading day.

use crate::arena::{NIL, slot_of};
use crate::closing::Closing;
use crate::engine::{Engine, Task};
use crate::event::{CancelReason, Event, EventBuffer};
use crate::feed::FeedWatch;
use crate::ids::{AccountId, InstrumentId};
use crate::instrument::DayStatistics;
use crate::rejection::Refusal;
use crate::session::{ByClass, SessionCalendar, SessionPhase};
use crate::sweep::{Filter, Sweep};
use crate::units::{Money, Timestamp};

impl Engine {
    /// When the next [`crate::Command::Tick`] is due.
    ///
    /// A chain of minima rather than one over a list: every command asks, and a list would be read back while it is being
    /// written (tuning.md).
    #[inline]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let at = |due: Option<Timestamp>| due.unwrap_or(Timestamp::MAX);
        let roll = match self.day {
            0 => Timestamp::MAX,
            day => Timestamp::start_of_trading_day(day.saturating_add(1)),
        };
        let first = roll
            .min(at(self.good_till.first().map(|(at, _)| at)))
            .min(at(self.heartbeats.first().map(|(at, _)| at)))
            .min(at(self.marks_due))
            .min(at(self.session.due))
            .min(at(self.feed_due));
        (first < Timestamp::MAX).then_some(first)
    }

    /// Sets off the next thing that is due, in order of its time; the run loop comes back for the one after it when
    /// everything that it led to is done. At one time: expiries, marks, the session, silent feeds, lost heartbeats, the
    /// day roll.
    pub(crate) fn next_due(&mut self, out: &mut EventBuffer) {
        let now = self.time;
        let Some(due) = self.next_deadline().filter(|&at| at <= now) else {
            self.ticking = false;
            return;
        };
        if let Some((_, slot)) = self.good_till.first().filter(|&(at, _)| at == due) {
            self.cancel_open(slot, CancelReason::Expired, out);
        } else if self.marks_due == Some(due) {
            self.marks_due = None;
            self.active = Some(Task::PublishMarks(NIL));
        } else if self.session.due == Some(due) {
            self.turn_session(due, out);
        } else if self.feed_due == Some(due) {
            self.feed_due = None;
            self.active = Some(Task::WatchFeed(FeedWatch::at(due)));
        } else if let Some((_, slot)) = self.heartbeats.first().filter(|&(at, _)| at == due) {
            self.lose_heartbeat(AccountId::new(slot), out);
        } else {
            let day_orders = Filter {
                day_only: true,
                ..Filter::default()
            };
            self.active = Some(Task::Sweep(Sweep::new(day_orders, CancelReason::Expired, false)));
            self.later(Task::RollDay(0));
        }
    }

    pub(crate) fn set_session(
        &mut self,
        calendar: &SessionCalendar,
        out: &mut EventBuffer,
    ) -> Result<(), Refusal> {
        calendar.check().map_err(Refusal::InvalidDefinition)?;
        let now = self.time;
        self.session.follow(calendar.clone(), now);
        for derivatives in [false, true] {
            self.enter_phase(derivatives, now, out);
        }
        Ok(())
    }

    /// An instant of the calendar: phases first, then square-offs, one class of instruments after the other.
    fn turn_session(&mut self, due: Timestamp, out: &mut EventBuffer) {
        for derivatives in [false, true] {
            self.enter_phase(derivatives, due, out);
        }
        for derivatives in [false, true] {
            if self.session.calendar.squares_off_at(derivatives, due) {
                self.square_off(derivatives);
            }
        }
        self.session.advance();
    }

    fn enter_phase(&mut self, derivatives: bool, at: Timestamp, out: &mut EventBuffer) {
        if let Some(phase) = self.session.enter(derivatives, at) {
            out.push(Event::PhaseChanged { derivatives, phase });
            self.feed_watched_from(at);
            if phase == SessionPhase::Continuous {
                self.look_at_last_prices(derivatives);
            }
        }
    }

    fn look_at_last_prices(&mut self, derivatives: bool) {
        for slot in 0..slot_of(self.instruments.len()) {
            let id = InstrumentId::new(slot);
            if self.instrument_of(id).definition.derivatives == derivatives {
                self.look_at_last_price(id);
            }
        }
    }

    /// Ends intraday trading for the day: MIS entries are refused from now on, MIS orders are cancelled, and MIS
    /// positions closed with protected exits.
    fn square_off(&mut self, derivatives: bool) {
        *self.session.squared_off.of_mut(derivatives) = true;
        let intraday = Filter {
            intraday_of: Some(derivatives),
            ..Filter::default()
        };
        self.later(Task::Sweep(Sweep::new(intraday, CancelReason::SquareOff, false)));
        self.later(Task::Close(Closing::square_off(derivatives)));
    }

    /// The new trading day, account by account: realised net becomes balance, carried P&L becomes the loss base,
    /// counters start over.
    pub(crate) fn roll_account(&mut self, slot: u32, out: &mut EventBuffer) -> Option<Task> {
        if slot >= slot_of(self.accounts.len()) {
            self.roll_rest();
            return None;
        }
        let id = AccountId::new(slot);
        self.refresh(id);
        let account = self.account_mut(id);
        account.balance = account
            .balance
            .saturating_add(account.realised)
            .saturating_sub(account.charges);
        account.realised = Money::ZERO;
        account.charges = Money::ZERO;
        account.loss_base = account.marks.unrealised;
        account.peak = account.current_value(account.marks.unrealised);
        account.daily_loss_alerted = false;
        account.drawdown_alerted = false;
        account.orders_today = 0;
        account.messages_today = 0;
        account.fills_today = 0;
        if !account.venue {
            out.push(Event::AccountChanged(account.changed(id)));
        }
        self.rehash_account(id);
        self.look_at_everything(id);
        Some(Task::RollDay(slot.wrapping_add(1)))
    }

    /// What belongs to no account: statistics, remembered ids, the day itself.
    fn roll_rest(&mut self) {
        self.day = self.day.saturating_add(1);
        self.tariff.choose(self.day);
        self.session.squared_off = ByClass::default();
        self.client_order_ids.roll_day();
        for instrument in &mut self.instruments {
            instrument.day = DayStatistics::default();
        }
        for slot in 0..slot_of(self.instruments.len()) {
            self.rehash_instrument(InstrumentId::new(slot));
        }
    }
}
