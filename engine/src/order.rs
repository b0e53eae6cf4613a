//! Open orders, and the map from an order's id to its slot without hashing.

use alloc::vec;
use alloc::vec::Vec;

use crate::arena::{Arena, NIL, Slots, index, slot_of};
use crate::event::Charges;
use crate::ids::{AccountId, InstrumentId, OrderId};
use crate::limits::{EXIT_RESERVE_DIVISOR, OWN_EXIT_RESERVE_DIVISOR};
use crate::lists::List;
use crate::state_hash::{Digest, Digested, Entity};
use crate::terms::{OrderStatus, OrderType, Product, Side, TimeInForce};
use crate::units::{Money, Price, Quantity};

/// An order from acceptance until it is finished. The fields stand in the order of their use: the first cache line is what
/// matching and modifying touch, the last what only fills do.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[repr(C, align(64))]
pub(crate) struct Order {
    pub(crate) id: OrderId,
    pub(crate) account: AccountId,
    pub(crate) instrument: InstrumentId,
    /// Slot of its position key.
    pub(crate) position: u32,
    pub(crate) limit: Price,
    /// Number of `limit` in its book's price domain.
    pub(crate) tick: u32,
    pub(crate) quantity: u32,
    /// Filled quantity.
    pub(crate) cum: u32,
    /// Open quantity, shown or not.
    pub(crate) leaves: u32,
    /// The part of `leaves` that reduces the position: no margin is held for it.
    pub(crate) exit_leaves: u32,
    /// Iceberg slice; 0 shows everything.
    pub(crate) disclosed: u32,
    /// Its trigger's node while it is a pending stop order, else [`NIL`]. Built again from a snapshot.
    #[serde(skip, default = "no_trigger")]
    pub(crate) trigger: u32,
    pub(crate) modifications: u32,
    pub(crate) side: Side,
    pub(crate) product: Product,
    pub(crate) post_only: bool,
    pub(crate) venue: bool,
    /// The engine placed it by itself, to close the position, and nobody has modified it.
    pub(crate) protective: bool,
    /// In the book (rather than on its way into it).
    pub(crate) resting: bool,
    /// Which list of its position's open orders it is in, and its neighbours there.
    pub(crate) list: List,
    pub(crate) older: u32,
    pub(crate) newer: u32,
    #[serde(skip)]
    pub(crate) digested: Digested,
    pub(crate) order_type: OrderType,
    pub(crate) stop_loss: Option<Price>,
    pub(crate) take_profit: Option<Price>,
    pub(crate) time_in_force: TimeInForce,
    /// Generation of the rates that `charged` was computed by.
    pub(crate) charged_by: u32,
    pub(crate) cum_notional: Money,
    pub(crate) charged: Charges,
}

const fn no_trigger() -> u32 {
    NIL
}

impl Order {
    pub(crate) const fn entry_leaves(&self) -> u32 {
        self.leaves.wrapping_sub(self.exit_leaves)
    }

    /// The slice to show when it (re)joins the queue.
    pub(crate) fn slice(&self) -> u32 {
        if self.disclosed == 0 {
            self.leaves
        } else {
            self.leaves.min(self.disclosed)
        }
    }

    /// A stop order whose trigger has not been reached.
    pub(crate) const fn is_pending(&self) -> bool {
        self.trigger != NIL
    }

    /// Works (or will work, once it is triggered) at a protected price.
    pub(crate) const fn is_market(&self) -> bool {
        matches!(self.order_type, OrderType::Market | OrderType::StopMarket { .. })
    }
}

impl Entity for Order {
    fn compute_digest(&self) -> u64 {
        let digest = Digest::new(1)
            .word(self.id.get())
            .pair(self.account.get(), self.position)
            .pair(self.limit.paise(), self.leaves)
            .pair(self.quantity, self.exit_leaves)
            .pair(self.cum, self.modifications << 1 | u32::from(self.protective))
            .signed(self.cum_notional.paise());
        match self.order_type.trigger().filter(|_| self.is_pending()) {
            None => digest.finish(),
            Some(trigger) => digest.pair(trigger.paise(), 1).finish(),
        }
    }

    fn digested(&self) -> &Digested {
        &self.digested
    }

    fn digested_mut(&mut self) -> &mut Digested {
        &mut self.digested
    }
}

/// What is known of an order id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lookup {
    Open(u32),
    Finished {
        account: AccountId,
        status: OrderStatus,
    },
    /// Never used, or finished so long ago that its entry was used again.
    Unknown,
}

const FINISHED: u32 = 1 << 31;
const STATUS_SHIFT: u32 = 24;
const ACCOUNT_MASK: u32 = (1 << STATUS_SHIFT) - 1;

/// The order store as a snapshot keeps it: slots as they are, the window without its empty places.
#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct OrdersImage {
    next_id: u64,
    items: Vec<Order>,
    free: Vec<u32>,
    window: Vec<(u32, u32)>,
}

/// All open orders. Ids are counted up; a window over the most recent ids maps them to slots. An id whose place in
/// the window is held by an order still open is skipped.
#[derive(Clone, Debug)]
pub(crate) struct Orders {
    arena: Arena<Order>,
    /// By `id & mask`: slot + 1 of an open order, [`FINISHED`] with status and account, or 0.
    window: Vec<u32>,
    mask: u64,
    next_id: u64,
}

impl Orders {
    pub(crate) fn new(capacity: u32) -> Orders {
        let window = u64::from(capacity)
            .saturating_mul(4)
            .next_power_of_two()
            .max(1 << 16);
        let length = usize::try_from(window).unwrap_or(usize::MAX);
        Orders {
            arena: Arena::new(capacity),
            window: vec![0; length],
            mask: window.wrapping_sub(1),
            next_id: 1,
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        self.arena.has_room()
    }

    pub(crate) fn capacity(&self) -> u32 {
        self.arena.capacity()
    }

    /// Orders beyond which an exit, or an entry, that somebody sends is refused. The engine's own exits have all the room.
    pub(crate) fn bound(&self, is_exit: bool) -> u32 {
        let capacity = self.capacity();
        let kept = if is_exit {
            capacity.wrapping_div(OWN_EXIT_RESERVE_DIVISOR)
        } else {
            capacity.wrapping_div(EXIT_RESERVE_DIVISOR)
        };
        capacity.saturating_sub(kept)
    }

    pub(crate) fn open(&self) -> u32 {
        self.arena.len()
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.next_id
    }

    #[inline]
    fn place(&self, id: OrderId) -> u32 {
        u32::try_from(id.get() & self.mask).unwrap_or(0)
    }

    /// Takes the next id. The window is at least four times the capacity, so a free place is near.
    #[inline]
    pub(crate) fn take_id(&mut self) -> OrderId {
        loop {
            let id = OrderId::new(self.next_id);
            self.next_id = self.next_id.wrapping_add(1);
            let entry = *self.window.as_slice().at(self.place(id));
            if entry == 0 || entry & FINISHED != 0 {
                return id;
            }
        }
    }

    /// Stores an order under its id; the caller has checked [`Orders::has_room`].
    #[inline]
    pub(crate) fn insert(&mut self, order: Order) -> u32 {
        let place = self.place(order.id);
        let slot = self.arena.insert(order);
        *self.window.as_mut_slice().at_mut(place) = slot.wrapping_add(1);
        slot
    }

    /// Records how an order ended, so long as the window covers its id: else its place is the id's that was skipped for
    /// it, which nobody has.
    #[inline]
    pub(crate) fn record_finished(&mut self, id: OrderId, account: AccountId, status: OrderStatus) {
        let place = self.place(id);
        #[expect(clippy::as_conversions, reason = "the discriminant of a repr(u8) enum")]
        let status = u32::from(status as u8);
        let finished = FINISHED | (status << STATUS_SHIFT) | (account.get() & ACCOUNT_MASK);
        *self.window.as_mut_slice().at_mut(place) = if self.covers(id) { finished } else { 0 };
    }

    /// Whether no later id shares the place of this one.
    fn covers(&self, id: OrderId) -> bool {
        self.next_id.wrapping_sub(id.get()).wrapping_sub(1) <= self.mask
    }

    #[inline]
    pub(crate) fn remove(&mut self, slot: u32, status: OrderStatus) {
        let order = self.arena.at(slot);
        let (id, account) = (order.id, order.account);
        self.arena.remove(slot);
        self.record_finished(id, account, status);
    }

    #[inline]
    pub(crate) fn find(&self, id: OrderId) -> Lookup {
        let entry = *self.window.as_slice().at(self.place(id));
        // Open orders that are older than the window still hold their place. What finished is known while no later id could
        // have taken it.
        if entry & FINISHED == 0 || !self.covers(id) {
            return self.find_open(id).map_or(Lookup::Unknown, Lookup::Open);
        }
        let status = (entry >> STATUS_SHIFT) & 0x7f;
        let status = OrderStatus::ALL
            .get(index(status))
            .copied()
            .unwrap_or(OrderStatus::Failed);
        Lookup::Finished {
            account: AccountId::new(entry & ACCOUNT_MASK),
            status,
        }
    }

    /// The slot of an open order.
    #[inline(always)]
    pub(crate) fn find_open(&self, id: OrderId) -> Option<u32> {
        let entry = *self.window.as_slice().at(self.place(id));
        let slot = if entry & FINISHED == 0 {
            entry.checked_sub(1)?
        } else {
            return None;
        };
        (self.arena.at(slot).id == id).then_some(slot)
    }

    /// All that [`Orders::restore`] needs.
    pub(crate) fn image(&self) -> OrdersImage {
        let (items, free) = self.arena.parts();
        let places = self.window.iter().enumerate().filter(|&(_, &entry)| entry != 0);
        OrdersImage {
            next_id: self.next_id,
            items: items.to_vec(),
            free: free.to_vec(),
            window: places.map(|(place, &entry)| (slot_of(place), entry)).collect(),
        }
    }

    /// Fills an empty store; `false` where the image does not fit it.
    pub(crate) fn restore(&mut self, image: OrdersImage) -> bool {
        self.next_id = image.next_id;
        for (place, entry) in image.window {
            let Some(slot) = self.window.get_mut(index(place)) else {
                return false;
            };
            *slot = entry;
        }
        self.arena.refill(image.items, &image.free)
    }

    /// How many slots have ever been in use.
    pub(crate) fn ever_used(&self) -> u32 {
        slot_of(self.arena.parts().0.len())
    }

    /// Slots of the open orders, by slot.
    pub(crate) fn open_slots(&self) -> Vec<u32> {
        let mut slots: Vec<u32> = self
            .window
            .iter()
            .filter(|&&entry| entry & FINISHED == 0)
            .filter_map(|&entry| entry.checked_sub(1))
            .collect();
        slots.sort_unstable();
        slots
    }

    /// Every slot ever handed out.
    pub(crate) fn slots(&self) -> &[Order] {
        self.arena.parts().0
    }

    #[inline(always)]
    pub(crate) fn slots_mut(&mut self) -> &mut [Order] {
        self.arena.items_mut()
    }

    #[inline(always)]
    pub(crate) fn at(&self, slot: u32) -> &Order {
        self.arena.at(slot)
    }

    #[inline(always)]
    pub(crate) fn at_mut(&mut self, slot: u32) -> &mut Order {
        self.arena.at_mut(slot)
    }
}

impl Order {
    pub(crate) fn leaves_quantity(&self) -> Quantity {
        Quantity::clamped(i64::from(self.leaves))
    }

    pub(crate) fn filled_quantity(&self) -> Quantity {
        Quantity::clamped(i64::from(self.cum))
    }
}

const _: () = assert!(crate::limits::ACCOUNTS_MAX == 1 << STATUS_SHIFT);
const _: () = assert!(
    NIL & FINISHED != 0,
    "slot + 1 of a slot in use never looks finished"
);

#[cfg(test)]
mod tests {
    use super::*;

    /// An order of account 7 under the next id.
    fn open(orders: &mut Orders) -> (OrderId, u32) {
        let id = orders.take_id();
        let slot = orders.insert(Order {
            id,
            account: AccountId::new(7),
            instrument: InstrumentId::new(0),
            position: 0,
            limit: Price::MIN,
            tick: 0,
            quantity: 1,
            cum: 0,
            leaves: 1,
            exit_leaves: 0,
            disclosed: 0,
            trigger: NIL,
            modifications: 0,
            side: Side::Buy,
            product: Product::Mis,
            post_only: false,
            protective: false,
            venue: false,
            resting: false,
            list: List::Entries,
            older: NIL,
            newer: NIL,
            digested: Digested::default(),
            order_type: OrderType::Market,
            stop_loss: None,
            take_profit: None,
            time_in_force: TimeInForce::Day,
            charged_by: 0,
            cum_notional: Money::ZERO,
            charged: Charges::default(),
        });
        (id, slot)
    }

    fn finished(status: OrderStatus) -> Lookup {
        let account = AccountId::new(7);
        Lookup::Finished { account, status }
    }

    #[test]
    fn a_finished_order_is_known_as_long_as_the_window_and_an_open_one_for_ever() {
        let mut orders = Orders::new(4);
        let window = orders.mask + 1;
        assert_eq!(window, 1 << 16);
        let (old, slot) = open(&mut orders);
        assert_eq!(old.get(), 1);
        assert_eq!(orders.find(OrderId::new(0)), Lookup::Unknown);
        for expected in 2..=window {
            let id = orders.take_id();
            assert_eq!(id.get(), expected);
            assert_eq!(orders.find(id), Lookup::Unknown, "it has no fate yet");
            orders.record_finished(id, AccountId::new(7), OrderStatus::Filled);
        }
        let next = OrderId::new(window + 1);
        assert_eq!(orders.find(next), Lookup::Unknown, "its place holds another");
        assert_eq!(orders.find(OrderId::new(0)), Lookup::Unknown);
        assert_eq!(orders.find(OrderId::new(window + 2)), Lookup::Unknown);
        assert_eq!(orders.find(OrderId::new(2)), finished(OrderStatus::Filled));
        // The place of the open order is passed over.
        let (id, second) = open(&mut orders);
        assert_eq!(id.get(), window + 2);
        assert_eq!(orders.find(id), Lookup::Open(second));
        assert_eq!(orders.find(old), Lookup::Open(slot));
        assert_eq!(orders.find(OrderId::new(2)), Lookup::Unknown, "out of the window");
        assert_eq!(
            orders.find(OrderId::new(3)),
            finished(OrderStatus::Filled),
            "the oldest in it"
        );
        assert_eq!(orders.find(OrderId::new(window)), finished(OrderStatus::Filled));
        assert_eq!(orders.open(), 2);
        orders.remove(slot, OrderStatus::Cancelled);
        assert_eq!(
            orders.find(old),
            Lookup::Unknown,
            "finished, and out of the window"
        );
        orders.remove(second, OrderStatus::Cancelled);
        assert_eq!(orders.find(id), finished(OrderStatus::Cancelled));
        assert_eq!(orders.open(), 0);
    }
}
