//! Outcomes by `client_order_id`: the same order sent twice is answered as it was the first time.
//!
//! Kept per account for the trading day it was used on and the day after. Nothing is looked up for orders without a
//! `client_order_id`, so the table costs the others nothing.

use alloc::vec;
use alloc::vec::Vec;

use crate::arena::{Slots, index, slot_of};
use crate::command::NewOrder;
use crate::ids::{AccountId, OrderId};
use crate::limits::{EXIT_RESERVE_DIVISOR, OTHER_ACCOUNTS_DIVISOR};
use crate::rejection::Rejection;
use crate::state_hash::Digest;
use crate::terms::{OrderStatus, OrderType, Product, Side, TimeInForce};
use crate::text::ClientOrderId;
use crate::units::{Price, Quantity};

/// The first outcome of a `client_order_id`.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Remembered {
    pub(crate) order: OrderId,
    /// Digest of everything that was asked for.
    pub(crate) payload: u64,
    pub(crate) status: OrderStatus,
    pub(crate) rejection: Option<Rejection>,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Entry {
    account: AccountId,
    id: ClientOrderId,
    outcome: Remembered,
}

/// A day with fewer entries than this part of its buckets is cleared entry by entry.
const FEW_DIVISOR: usize = 64;

/// One day's outcomes: open addressing with linear probing, at most half full.
#[derive(Clone, Debug)]
struct Day {
    buckets: Vec<u32>,
    entries: Vec<Entry>,
    /// How many of them are of each account.
    of_account: Vec<u32>,
    capacity: u32,
}

impl Day {
    fn new(capacity: u32, accounts: u32) -> Day {
        let buckets = capacity.saturating_mul(2).next_power_of_two().max(16);
        Day {
            buckets: vec![0; index(buckets)],
            entries: Vec::with_capacity(index(capacity)),
            of_account: vec![0; index(accounts)],
            capacity,
        }
    }

    fn clear(&mut self) {
        // The last one that came is in the way of none that came before it.
        let few = self.entries.len() < self.buckets.len() / FEW_DIVISOR;
        while let Some(entry) = self.entries.last().filter(|_| few) {
            let (bucket, _) = self.bucket(entry.account, &entry.id);
            *self.buckets.as_mut_slice().at_mut(bucket) = 0;
            self.entries.pop();
        }
        if !few {
            self.buckets.fill(0);
            self.entries.clear();
        }
        self.of_account.fill(0);
    }

    /// Adds an entry, or replaces the outcome of the one with the same id.
    fn put(&mut self, entry: Entry) {
        match self.bucket(entry.account, &entry.id) {
            (_, Some(known)) => self.entries.as_mut_slice().at_mut(known).outcome = entry.outcome,
            (bucket, None) => {
                if let Some(count) = self.of_account.get_mut(index(entry.account.get())) {
                    *count = count.wrapping_add(1);
                }
                self.entries.push(entry);
                *self.buckets.as_mut_slice().at_mut(bucket) = slot_of(self.entries.len());
            }
        }
    }

    /// The bucket of an id: its entry's, or the empty one where it belongs.
    fn bucket(&self, account: AccountId, id: &ClientOrderId) -> (u32, Option<u32>) {
        let mask = slot_of(self.buckets.len()).wrapping_sub(1);
        let mut digest = Digest::new(5).word(u64::from(account.get()));
        for chunk in id.as_str().as_bytes().chunks(8) {
            let mut word = [0_u8; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            digest = digest.word(u64::from_le_bytes(word));
        }
        let mut bucket = u32::try_from(digest.finish() >> 32).unwrap_or(0) & mask;
        loop {
            let Some(entry) = self.buckets.as_slice().at(bucket).checked_sub(1) else {
                return (bucket, None);
            };
            let found = self.entries.as_slice().at(entry);
            if found.account == account && found.id == *id {
                return (bucket, Some(entry));
            }
            bucket = bucket.wrapping_add(1) & mask;
        }
    }
}

/// Today's and yesterday's outcomes.
#[derive(Clone, Debug)]
pub(crate) struct ClientOrderIds {
    today: Day,
    yesterday: Day,
}

impl ClientOrderIds {
    pub(crate) fn new(capacity: u32, accounts: u32) -> ClientOrderIds {
        ClientOrderIds {
            today: Day::new(capacity, accounts),
            yesterday: Day::new(capacity, accounts),
        }
    }

    /// Whether another id of the account can be remembered today.
    #[inline]
    pub(crate) fn has_room(&self, account: AccountId, is_exit: bool) -> bool {
        self.full_at(account, is_exit).is_none()
    }

    /// How many ids may be remembered where there is no room for another one of the account: of all accounts, or of this
    /// one. Neither keeps an exit of another account from being placed.
    #[inline]
    pub(crate) fn full_at(&self, account: AccountId, is_exit: bool) -> Option<u32> {
        let Day {
            entries,
            of_account,
            capacity,
            ..
        } = &self.today;
        let kept = if is_exit {
            0
        } else {
            capacity.wrapping_div(EXIT_RESERVE_DIVISOR)
        };
        let bound = capacity.saturating_sub(kept);
        let share = capacity.saturating_sub(capacity.wrapping_div(OTHER_ACCOUNTS_DIVISOR));
        let own = of_account.get(index(account.get())).copied().unwrap_or(0);
        if slot_of(entries.len()) >= bound {
            Some(bound)
        } else {
            (own >= share).then_some(share)
        }
    }

    pub(crate) fn find(&self, account: AccountId, id: &ClientOrderId) -> Option<&Remembered> {
        for day in [&self.today, &self.yesterday] {
            if let (_, Some(entry)) = day.bucket(account, id) {
                return Some(&day.entries.as_slice().at(entry).outcome);
            }
        }
        None
    }

    /// Remembers an outcome, or replaces the one remembered today; the caller has checked [`Self::has_room`].
    pub(crate) fn remember(&mut self, account: AccountId, id: ClientOrderId, outcome: Remembered) {
        self.today.put(Entry { account, id, outcome });
    }

    /// Today's entries and yesterday's, each in order of first use.
    pub(crate) fn image(&self) -> [Vec<Entry>; 2] {
        [self.today.entries.clone(), self.yesterday.entries.clone()]
    }

    /// Fills an empty table; `false` where it is too small.
    pub(crate) fn restore(&mut self, [today, yesterday]: [Vec<Entry>; 2]) -> bool {
        let fits = |entries: &Vec<Entry>, day: &Day| slot_of(entries.len()) <= day.capacity;
        if !fits(&today, &self.today) || !fits(&yesterday, &self.yesterday) {
            return false;
        }
        for (day, entries) in [(&mut self.today, today), (&mut self.yesterday, yesterday)] {
            for entry in entries {
                day.put(entry);
            }
        }
        true
    }

    /// Yesterday's are forgotten, today's become yesterday's.
    pub(crate) fn roll_day(&mut self) {
        core::mem::swap(&mut self.today, &mut self.yesterday);
        self.today.clear();
    }
}

/// A digest of what an order asks for, its `client_order_id` aside.
pub(crate) fn payload_digest(order: &NewOrder) -> u64 {
    let price = |price: Option<Price>| price.map_or(0, Price::paise);
    let shares =
        |quantity: Option<Quantity>| quantity.map_or(0, |quantity| quantity.shares().wrapping_add(1));
    let order_type = match order.order_type {
        OrderType::Limit(_) => 0,
        OrderType::Market => 1,
        OrderType::Stop { .. } => 2,
        OrderType::StopMarket { .. } => 3,
    };
    let flags = u32::from(order.side == Side::Sell)
        | u32::from(order.product == Product::Cnc) << 1
        | u32::from(order.post_only) << 2
        | order_type << 3;
    let (validity, until) = match order.time_in_force {
        TimeInForce::Day => (0, 0),
        TimeInForce::Ioc => (1, 0),
        TimeInForce::Fok => (2, 0),
        TimeInForce::Gtd(until) => (3, until.nanos()),
    };
    let mut digest = Digest::new(6)
        .pair(order.strategy.get(), order.instrument.get())
        .pair(order.quantity.shares(), price(order.order_type.price()))
        .pair(price(order.stop_loss), price(order.take_profit))
        .pair(shares(order.disclosed), shares(order.minimum))
        .pair(flags, validity)
        .word(until)
        .word(u64::from(price(order.order_type.trigger())));
    for byte in order.metadata.iter().flat_map(|metadata| metadata.bytes()) {
        digest = digest.word(u64::from(byte));
    }
    digest.finish()
}
