//! Today's orders: every order of a trader's account that is open or was created or finished today.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use engine::lane::Warnings;
use engine::{
    AccountId, CancelReason, Cause, Fill, InstrumentId, Money, NewOrder, OrderAccepted, OrderCancelled,
    OrderId, OrderModified, OrderRejected, OrderStatus, OrderTriggered, OrderType, PositionId, Price,
    Product, Quantity, Reached, Rejection, Side, StrategyId, TimeInForce, Timestamp,
};

use crate::foreseen::{Checks, Foreseen};
use crate::limits::FINISHED_METADATA_KEPT;

/// An order with everything that happened to it.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Order {
    pub id: OrderId,
    pub account: AccountId,
    pub strategy: StrategyId,
    pub instrument: InstrumentId,
    /// `None` for an order that was rejected, or ended without a fill.
    pub position: Option<PositionId>,
    pub side: Side,
    pub product: Product,
    pub order_type: OrderType,
    pub time_in_force: TimeInForce,
    /// What it matches at: its own limit or the protected price of a market order. `None` for a rejected market order.
    pub limit: Option<Price>,
    /// A stop order: whether its trigger has been reached. `None` for the other types.
    pub triggered: Option<bool>,
    /// Total, fills included.
    pub quantity: Quantity,
    pub filled: Quantity,
    /// Σ price × quantity of the fills; divided by `filled` it is the average price.
    pub notional: Money,
    pub charges: Money,
    pub stop_loss: Option<Price>,
    pub take_profit: Option<Price>,
    pub status: OrderStatus,
    pub cancel_reason: Option<CancelReason>,
    pub rejection: Option<Box<Rejection>>,
    /// Of a rejected order.
    pub checks: Checks,
    pub warnings: Warnings,
    pub client_order_id: Option<Box<str>>,
    /// JSON text as the client sent it.
    pub metadata: Option<Box<str>>,
    /// Why the engine placed it by itself; `None` for a `NewOrder`.
    pub cause: Option<Cause>,
    /// What reached the condition that it is the exit of.
    pub reached: Option<Reached>,
    pub modifications: u32,
    pub created: Timestamp,
    pub submitted: Option<Timestamp>,
    pub updated: Timestamp,
    pub filled_at: Option<Timestamp>,
    pub cancelled_at: Option<Timestamp>,
}

impl Order {
    /// `|limit − stop| × quantity`; `None` without a limit or a stop.
    pub fn risk_amount(&self) -> Option<Money> {
        let per_share = self.limit?.distance(self.stop_loss?);
        Some(Money::from_wide(
            per_share
                .wide()
                .saturating_mul(i128::from(self.quantity.shares())),
        ))
    }

    /// Reward and risk per share, `|target − limit|` and `|limit − stop|`; `None` where either is not defined or the
    /// risk is zero.
    pub fn reward_and_risk(&self) -> Option<(Money, Money)> {
        let limit = self.limit?;
        let risk = limit.distance(self.stop_loss?);
        let reward = limit.distance(self.take_profit?);
        (risk > Money::ZERO).then_some((reward, risk))
    }

    fn metadata_bytes(&self) -> usize {
        self.metadata.as_ref().map_or(0, |metadata| metadata.len())
    }

    /// A sentence about the status, where there is something to say: why it was rejected or cancelled.
    pub fn status_message(&self) -> Option<impl fmt::Display + '_> {
        let message = match (&self.rejection, self.cancel_reason) {
            (Some(rejection), _) => StatusMessage::Rejected(rejection),
            (None, Some(reason)) => StatusMessage::Cancelled(reason),
            (None, None) => return None,
        };
        Some(message)
    }

    pub(crate) fn accepted(
        event: &OrderAccepted,
        sent: Option<&NewOrder>,
        foreseen: &Foreseen,
        now: Timestamp,
    ) -> Order {
        Order {
            id: event.order,
            account: event.account,
            strategy: event.strategy,
            instrument: event.instrument,
            position: Some(event.position),
            side: event.side,
            product: event.product,
            order_type: event.order_type,
            time_in_force: event.time_in_force,
            limit: Some(event.limit),
            triggered: event.order_type.trigger().map(|_| false),
            quantity: event.quantity,
            filled: Quantity::ZERO,
            notional: Money::ZERO,
            charges: Money::ZERO,
            stop_loss: event.stop_loss,
            take_profit: event.take_profit,
            status: OrderStatus::Open,
            cancel_reason: None,
            rejection: None,
            checks: Checks::default(),
            warnings: sent.map_or(Warnings::NONE, |_| foreseen.warnings),
            client_order_id: sent.and_then(client_order_id),
            metadata: sent.and_then(|sent| sent.metadata.clone()),
            cause: event.cause,
            reached: None,
            modifications: 0,
            created: now,
            submitted: Some(now),
            updated: now,
            filled_at: None,
            cancelled_at: None,
        }
    }

    pub(crate) fn rejected(
        event: &OrderRejected,
        sent: &NewOrder,
        foreseen: &Foreseen,
        now: Timestamp,
    ) -> Order {
        Order {
            id: event.order,
            account: event.account,
            strategy: sent.strategy,
            instrument: event.instrument,
            position: None,
            side: sent.side,
            product: sent.product,
            order_type: sent.order_type,
            time_in_force: sent.time_in_force,
            limit: sent.order_type.price(),
            triggered: sent.order_type.trigger().map(|_| false),
            quantity: sent.quantity,
            filled: Quantity::ZERO,
            notional: Money::ZERO,
            charges: Money::ZERO,
            stop_loss: sent.stop_loss,
            take_profit: sent.take_profit,
            status: OrderStatus::Rejected,
            cancel_reason: None,
            rejection: Some(Box::new(event.rejection)),
            checks: foreseen.checks.clone(),
            warnings: foreseen.warnings,
            client_order_id: client_order_id(sent),
            metadata: sent.metadata.clone(),
            cause: None,
            reached: None,
            modifications: 0,
            created: now,
            submitted: None,
            updated: now,
            filled_at: None,
            cancelled_at: None,
        }
    }

    fn apply_fill(&mut self, fill: &Fill, now: Timestamp) {
        self.filled = fill.cum_quantity;
        self.notional = fill.cum_notional;
        self.charges = self.charges.saturating_add(fill.charges.total());
        self.status = fill.status;
        self.updated = now;
        if fill.status == OrderStatus::Filled {
            self.filled_at = Some(now);
        }
    }

    fn apply_cancel(&mut self, event: &OrderCancelled, now: Timestamp) {
        self.status = event.status;
        self.updated = now;
        if event.status.is_active() {
            // Self-trade prevention took a part of it away: the order goes on with less.
            self.quantity = event.cum_quantity.saturating_add(event.leaves_quantity);
        } else {
            self.cancel_reason = Some(event.reason);
            self.cancelled_at = Some(now);
            // The engine may give the id of a key that was never filled to another.
            self.position = self
                .position
                .filter(|_| !self.filled.is_zero() || self.cause.is_some());
        }
    }

    fn apply_trigger(&mut self, event: &OrderTriggered, now: Timestamp) {
        self.limit = Some(event.limit);
        self.triggered = Some(true);
        self.updated = now;
    }

    fn apply_modify(&mut self, event: &OrderModified, now: Timestamp) {
        self.quantity = event.quantity;
        self.limit = Some(event.limit);
        self.order_type = event.order_type;
        self.status = event.status;
        self.modifications = self.modifications.saturating_add(1);
        self.updated = now;
        if event.status == OrderStatus::Filled {
            self.filled_at = Some(now);
        }
    }
}

fn client_order_id(sent: &NewOrder) -> Option<Box<str>> {
    (!sent.client_order_id.is_empty()).then(|| Box::from(sent.client_order_id.as_str()))
}

enum StatusMessage<'a> {
    Rejected(&'a Rejection),
    Cancelled(CancelReason),
}

impl fmt::Display for StatusMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StatusMessage::Rejected(rejection) => write!(f, "Validation failed: {rejection}"),
            StatusMessage::Cancelled(reason) => f.write_str(reason.as_str()),
        }
    }
}

#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
struct AccountOrders {
    all: BTreeSet<OrderId>,
    active: BTreeSet<OrderId>,
}

/// Orders by id, with the active ones of each account at hand.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Orders {
    by_id: BTreeMap<OrderId, Order>,
    of_account: BTreeMap<AccountId, AccountOrders>,
    active: BTreeSet<OrderId>,
    /// In order of finishing: what is forgotten first.
    finished: VecDeque<OrderId>,
    finished_max: usize,
    /// Bytes of the metadata that the finished ones were sent with.
    finished_metadata: usize,
    /// Whether orders of today were forgotten for others.
    forgot: bool,
}

impl Orders {
    /// Keeps at most `finished_max` orders that are not active.
    pub(crate) fn new(finished_max: usize) -> Orders {
        Orders {
            by_id: BTreeMap::new(),
            of_account: BTreeMap::new(),
            active: BTreeSet::new(),
            finished: VecDeque::new(),
            finished_max,
            finished_metadata: 0,
            forgot: false,
        }
    }

    pub fn order(&self, order: OrderId) -> Option<&Order> {
        self.by_id.get(&order)
    }

    /// Open orders, newest first. `None` for the account means all. Costs O(active).
    pub fn active(&self, account: Option<AccountId>) -> impl Iterator<Item = &Order> {
        let ids = match account {
            None => Some(&self.active),
            Some(account) => self.of_account.get(&account).map(|orders| &orders.active),
        };
        ids.into_iter()
            .flatten()
            .rev()
            .filter_map(|id| self.by_id.get(id))
    }

    /// When the first of the finished orders that are kept finished, where earlier ones of today were forgotten for
    /// others.
    pub fn finished_kept_from(&self) -> Option<Timestamp> {
        let first = self.finished.front().filter(|_| self.forgot)?;
        self.by_id.get(first).map(|order| order.updated)
    }

    /// Today's orders with ids below `before`, newest first. `None` for the account means all.
    pub fn newest_first(
        &self,
        account: Option<AccountId>,
        before: Option<OrderId>,
    ) -> Box<dyn Iterator<Item = &Order> + '_> {
        let before = before.unwrap_or(OrderId::new(u64::MAX));
        match account {
            None => Box::new(self.by_id.range(..before).rev().map(|(_, order)| order)),
            Some(account) => Box::new(
                self.of_account
                    .get(&account)
                    .into_iter()
                    .flat_map(move |orders| orders.all.range(..before).rev())
                    .filter_map(|id| self.by_id.get(id)),
            ),
        }
    }

    pub(crate) fn insert(&mut self, order: Order) {
        let of_account = self.of_account.entry(order.account).or_default();
        of_account.all.insert(order.id);
        let (id, active) = (order.id, order.status.is_active());
        if active {
            of_account.active.insert(id);
            self.active.insert(id);
        }
        self.by_id.insert(id, order);
        if !active {
            self.finish(id);
        }
    }

    /// The order after the fill.
    pub(crate) fn fill(&mut self, fill: &Fill, now: Timestamp) -> Option<&Order> {
        self.change(fill.order, |order| order.apply_fill(fill, now))
    }

    /// The order after the cancellation.
    pub(crate) fn cancel(&mut self, event: &OrderCancelled, now: Timestamp) -> Option<&Order> {
        self.change(event.order, |order| order.apply_cancel(event, now))
    }

    /// The order after its trigger was reached.
    pub(crate) fn trigger(&mut self, event: &OrderTriggered, now: Timestamp) -> Option<&Order> {
        self.change(event.order, |order| order.apply_trigger(event, now))
    }

    /// The order after the modification.
    pub(crate) fn modify(&mut self, event: &OrderModified, now: Timestamp) -> Option<&Order> {
        self.change(event.order, |order| order.apply_modify(event, now))
    }

    /// Forgets what finished before today.
    pub(crate) fn roll_day(&mut self) {
        while let Some(id) = self.finished.pop_front() {
            self.forget(id);
        }
        self.forgot = false;
        self.of_account.retain(|_, orders| !orders.all.is_empty());
    }

    fn change(&mut self, id: OrderId, change: impl FnOnce(&mut Order)) -> Option<&Order> {
        let order = self.by_id.get_mut(&id);
        debug_assert!(order.is_some(), "an event about {id:?}, which was never accepted");
        let order = order?;
        let was_active = order.status.is_active();
        change(order);
        if was_active && !order.status.is_active() {
            let account = order.account;
            self.active.remove(&id);
            if let Some(orders) = self.of_account.get_mut(&account) {
                orders.active.remove(&id);
            }
            self.finish(id);
        }
        self.by_id.get(&id)
    }

    fn finish(&mut self, id: OrderId) {
        let bytes = self.by_id.get(&id).map_or(0, Order::metadata_bytes);
        self.finished.push_back(id);
        self.finished_metadata = self.finished_metadata.saturating_add(bytes);
        while self.finished.len() > self.finished_max || self.finished_metadata > FINISHED_METADATA_KEPT {
            let Some(oldest) = self.finished.pop_front() else {
                break;
            };
            self.forget(oldest);
            self.forgot = true;
        }
    }

    /// One of those that finished.
    fn forget(&mut self, id: OrderId) {
        let Some(order) = self.by_id.remove(&id) else {
            return;
        };
        self.finished_metadata = self.finished_metadata.saturating_sub(order.metadata_bytes());
        if let Some(orders) = self.of_account.get_mut(&order.account) {
            orders.all.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: AccountId = AccountId::new(1);
    const B: AccountId = AccountId::new(2);

    fn order(id: u64, account: AccountId, status: OrderStatus) -> Order {
        let accepted = OrderAccepted {
            order: OrderId::new(id),
            account,
            strategy: StrategyId::new(1),
            instrument: InstrumentId::new(0),
            position: PositionId::new(1),
            quantity: Quantity::new(10).unwrap(),
            limit: Price::MIN,
            order_type: OrderType::Limit(Price::MIN),
            stop_loss: None,
            take_profit: None,
            side: Side::Buy,
            product: Product::Mis,
            time_in_force: TimeInForce::Day,
            cause: None,
        };
        Order {
            status,
            ..Order::accepted(&accepted, None, &Foreseen::default(), Timestamp::ZERO)
        }
    }

    fn ids<'a>(orders: impl Iterator<Item = &'a Order>) -> Vec<u64> {
        orders.map(|order| order.id.get()).collect()
    }

    #[test]
    fn long_metadata_is_forgotten_before_there_is_too_much_of_it() {
        let mut orders = Orders::new(100);
        let text: Box<str> = "x".repeat(FINISHED_METADATA_KEPT / 2).into();
        for id in 1..=2 {
            let mut long = order(id, A, OrderStatus::Rejected);
            long.metadata = Some(text.clone());
            orders.insert(long);
        }
        orders.insert(order(3, A, OrderStatus::Rejected));
        assert_eq!(ids(orders.newest_first(None, None)), [3, 2, 1]);
        assert_eq!(orders.finished_kept_from(), None);
        let mut last = order(4, B, OrderStatus::Rejected);
        last.metadata = Some("{}".into());
        orders.insert(last);
        assert_eq!(ids(orders.newest_first(None, None)), [4, 3, 2]);
        assert_eq!(orders.finished_kept_from(), Some(Timestamp::ZERO));
        orders.roll_day();
        assert_eq!(orders.finished_metadata, 0);
        assert_eq!(orders.finished_kept_from(), None);
    }

    #[test]
    fn what_finished_first_is_forgotten_first_and_open_orders_never() {
        use OrderStatus::{Open, Rejected};
        let mut orders = Orders::new(2);
        for (id, account, status) in [
            (1, A, Open),
            (2, A, Rejected),
            (3, B, Rejected),
            (4, A, Open),
            (5, A, Rejected),
        ] {
            orders.insert(order(id, account, status));
        }
        assert_eq!(ids(orders.newest_first(None, None)), [5, 4, 3, 1]);
        assert_eq!(ids(orders.newest_first(Some(A), None)), [5, 4, 1]);
        assert_eq!(
            ids(orders.newest_first(Some(A), Some(OrderId::new(5)))),
            [4, 1],
            "a cursor is exclusive"
        );
        assert_eq!(ids(orders.active(Some(A))), [4, 1]);
        assert_eq!(ids(orders.active(Some(B))), [0_u64; 0]);

        assert_eq!(orders.finished_kept_from(), Some(Timestamp::ZERO));
        orders.roll_day();
        assert_eq!(orders.finished_kept_from(), None);
        assert_eq!(ids(orders.newest_first(None, None)), [4, 1]);
        assert_eq!(ids(orders.active(None)), [4, 1]);
    }
}
