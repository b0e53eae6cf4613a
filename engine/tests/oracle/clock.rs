//! What time does by itself: waiting marks, GTD expiry, the session (`session`), and the day roll at midnight in India.

use engine::{AccountId, CancelReason, OrderId, TimeInForce, Timestamp};

use super::Oracle;

impl Oracle {
    /// When the next tick is due.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let roll = self.day.map(|day| Timestamp::start_of_trading_day(day + 1));
        let expiry = self.next_expiry().map(|(at, _)| at);
        let heartbeat = self.next_heartbeat().map(|(at, _)| at);
        let session = [self.session.due(), self.session.feed_due];
        let others = [roll, expiry, heartbeat, self.marks_due];
        others.into_iter().chain(session).flatten().min()
    }

    /// Fires everything that is due, in the order of its time, each with all that follows from it. At one time orders
    /// expire first, then marks go out, then come the session, silent feeds, lost heartbeats and the day roll.
    pub(super) fn tick(&mut self) {
        while let Some(due) = self.next_deadline().filter(|due| *due <= self.time) {
            match (self.next_expiry(), self.next_heartbeat()) {
                (Some((at, order)), _) if at == due => self.cancel(order, CancelReason::Expired),
                _ if self.marks_due == Some(due) => self.publish_marks(),
                _ if self.session.due() == Some(due) => self.turn_session(due),
                _ if self.session.feed_due == Some(due) => self.watch_feed(due),
                (_, Some((at, account))) if at == due => self.lose_heartbeat(account),
                _ => self.roll_day(),
            }
            self.finish();
        }
    }

    fn next_expiry(&self) -> Option<(Timestamp, OrderId)> {
        self.open()
            .filter_map(|(id, order)| Some((order.expires()?, id)))
            .min()
    }

    /// DAY orders expire; the day's realised result goes into the balance and the counters start again.
    fn roll_day(&mut self) {
        let expired = self.matching_orders(None, |order| {
            !matches!(order.request.time_in_force, TimeInForce::Gtd(_))
        });
        for id in expired {
            self.cancel(id, CancelReason::Expired);
        }
        for index in 0..self.accounts.len() {
            let id = AccountId::new(index as u32);
            let unrealised = self.account_unrealised(id);
            let account = self.account_mut(id);
            account.balance += account.realised - account.charges;
            account.realised = 0;
            account.charges = 0;
            account.loss_base = unrealised;
            account.peak = account.balance + unrealised;
            account.warned_loss = false;
            account.warned_drawdown = false;
            account.orders_today = 0;
            account.messages_today = 0;
            account.fills_today = 0;
            account.client_ids.retain(|_, used| !used.yesterday);
            account
                .client_ids
                .values_mut()
                .for_each(|used| used.yesterday = true);
            self.report_account(id);
            self.look_at_everything(id);
        }
        self.day = self.day.map(|day| day + 1);
        self.session.squared_off = [false; 2];
        self.instruments
            .iter_mut()
            .for_each(|instrument| instrument.trades.clear());
        self.mark_and_review();
    }
}
