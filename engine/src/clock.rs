//! Work that time sets off: GTD expiry, waiting marks, and the roll to the next trading day.

use crate::arena::{NIL, slot_of};
use crate::engine::{Engine, Task};
use crate::event::{CancelReason, Event, EventBuffer};
use crate::ids::{AccountId, InstrumentId};
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

    /// Sets off the next thing that is due, in order of its time, and comes back for the one after it.
    pub(crate) fn next_due(&mut self, out: &mut EventBuffer) -> Option<Task> {
        let now = self.time;
        let due = self.next_deadline().filter(|&at| at <= now)?;
        if let Some((_, slot)) = self.good_till.first().filter(|&(at, _)| at == due) {
            self.cancel_open(slot, CancelReason::Expired, out);
            return Some(Task::Clock);
        }
        self.waiting.push_front(Task::Clock);
        if self.marks_due == Some(due) {
            self.marks_due = None;
            return Some(Task::PublishMarks(NIL));
        }
        let day_orders = Filter {
            day_only: true,
            ..Filter::default()
        };
        self.waiting.push_front(Task::RollDay(0));
        Some(Task::Sweep(Sweep::new(day_orders, CancelReason::Expired, false)))
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
        self.client_order_ids.roll_day();
        for instrument in &mut self.instruments {
            instrument.day = DayStatistics::default();
        }
        for slot in 0..slot_of(self.instruments.len()) {
            self.rehash_instrument(InstrumentId::new(slot));
        }
    }
}
