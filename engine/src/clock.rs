//! Work that time sets off: GTD expiry, waiting marks, and the roll to the next trading day.

use crate::engine::{Engine, Task};
use crate::event::{CancelReason, EventBuffer};
use crate::ids::AccountId;
use crate::instrument::DayStatistics;
use crate::sweep::{Filter, Sweep};
use crate::units::{Money, Timestamp};

impl Engine {
    /// When the next [`crate::Command::Tick`] is due.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let roll = (self.day != 0).then(|| Timestamp::start_of_trading_day(self.day.saturating_add(1)));
        let good_till = self.good_till.first().map(|(at, _)| at);
        [roll, good_till, self.marks_due].into_iter().flatten().min()
    }

    /// Queues everything whose time has come, in order of its time.
    pub(crate) fn tick(&mut self) {
        let now = self.time;
        if self.marks_due.is_some_and(|due| due <= now) {
            self.marks_due = None;
            self.later(Task::PublishMarks);
        }
        if self.good_till.first().is_some_and(|(at, _)| at <= now) {
            self.later(Task::ExpireGoodTill);
        }
        if now.trading_day() > self.day {
            let day_orders = Filter {
                day_only: true,
                ..Filter::default()
            };
            self.later(Task::Sweep(Sweep::new(day_orders, CancelReason::Expired, false)));
            self.later(Task::RollDay);
        }
    }

    pub(crate) fn expire_next_good_till(&mut self, out: &mut EventBuffer) -> Option<Task> {
        let (_, slot) = self.good_till.first().filter(|&(at, _)| at <= self.time)?;
        self.cancel_open(slot, CancelReason::Expired, out);
        Some(Task::ExpireGoodTill)
    }

    /// The new trading day: realised net becomes balance, carried P&L becomes the loss base, counters start over.
    pub(crate) fn roll_day(&mut self) {
        self.day = self.time.trading_day();
        self.client_order_ids.roll_day();
        for instrument in &mut self.instruments {
            instrument.day = DayStatistics::default();
            let digest = instrument.compute_digest();
            self.hash.replace(&mut instrument.digest, digest);
        }
        for index in 0..self.accounts.len() {
            let id = AccountId::new(crate::arena::slot_of(index));
            let account = self.account_mut(id);
            account.balance = account
                .balance
                .saturating_add(account.realised)
                .saturating_sub(account.charges);
            account.realised = Money::ZERO;
            account.charges = Money::ZERO;
            account.loss_base = account.unrealised;
            account.peak = account.current_value();
            account.daily_loss_alerted = false;
            account.drawdown_alerted = false;
            account.orders_today = 0;
            self.rehash_account(id);
        }
    }
}
