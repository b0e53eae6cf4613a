//! Position keys: what makes one, which are vacant, and which gives way to a new one.

use engine::{AccountId, InstrumentId, NewOrder, OrderId, PositionId, RejectCode, Rejection, StrategyId};

use super::Oracle;
use super::risk::{Candidate, rejection};
use super::state::Position;

pub type Key = (AccountId, InstrumentId, StrategyId, u8);

fn key_of(order: &NewOrder) -> Key {
    let product = order.product as u8;
    (order.account, order.instrument, order.strategy, product)
}

impl Oracle {
    /// The position that an order of this description would go to, if it was ever used.
    pub(super) fn position_key(&self, order: &NewOrder) -> Option<PositionId> {
        self.keys.get(&key_of(order)).copied()
    }

    pub(super) fn check_position_capacity(&self, c: &Candidate) -> Option<Rejection> {
        let full = self.positions.len() >= self.positions_max && self.vacant.is_empty();
        let max = self.positions_max as i128;
        (full && self.position_key(&c.order).is_none())
            .then(|| rejection(RejectCode::PositionCapacity, max + 1, max))
    }

    /// The position of an accepted order; its key gets an id at first use, that of the longest vacant when all are given.
    pub(super) fn position_for(&mut self, request: &NewOrder) -> PositionId {
        if let Some(id) = self.position_key(request) {
            self.vacant.retain(|vacant| *vacant != id);
            return id;
        }
        self.made += 1;
        let position = Position::new(request, self.made);
        let id = if self.positions.len() < self.positions_max {
            self.positions.push(position);
            PositionId::new(self.positions.len() as u32)
        } else {
            let id = self.vacant.remove(0);
            self.keys.retain(|_, of| *of != id);
            *self.position_mut(id) = position;
            id
        };
        self.keys.insert(key_of(request), id);
        id
    }

    /// An order has gone without ever being filled.
    pub(super) fn note_vacancy(&mut self, order: OrderId) {
        let id = self.orders[&order].position;
        let mut working = std::mem::take(&mut self.position_mut(id).orders);
        working.retain(|order| self.orders[order].leaves > 0);
        let is_vacant = working.is_empty() && self.position(id).opened == 0;
        self.position_mut(id).orders = working;
        if is_vacant {
            self.vacant.push(id);
        }
    }
}
