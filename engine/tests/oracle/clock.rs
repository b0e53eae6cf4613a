//! What time does by itself: GTD expiry, and the day roll at midnight in India.

use engine::{AccountId, CancelReason, OrderId, TimeInForce, Timestamp};

use super::Oracle;

impl Oracle {
    /// Fires everything that is due at the present time, in the order of its deadlines.
    pub(super) fn fire_deadlines(&mut self) {
        while let Some((deadline, order)) = self.next_expiry() {
            if deadline > self.time {
                break;
            }
            self.cancel(order, CancelReason::Expired);
        }
        let today = self.time.trading_day();
        if self.day.is_some_and(|day| day < today) {
            self.roll_day();
        }
        self.day = Some(today);
    }

    fn next_expiry(&self) -> Option<(Timestamp, OrderId)> {
        self.orders
            .iter()
            .filter(|(_, order)| order.rests())
            .filter_map(|(id, order)| Some((order.expires()?, *id)))
            .min()
    }

    /// DAY orders expire; the day's realised result goes into the balance and the counters start again.
    fn roll_day(&mut self) {
        let expired = self.matching_orders(None, |order| order.request.time_in_force == TimeInForce::Day);
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
            account.loss_base = 0;
            account.orders_today = 0;
            account.peak = account.balance + unrealised;
            self.report_account(id);
        }
    }
}
