//! Positions: what each account holds of each instrument, by strategy and product, with its exact cost.

use alloc::vec;
use alloc::vec::Vec;

use crate::arena::{NIL, Slots, index, slot_of};
use crate::bands::Band;
use crate::closing::Requested;
use crate::command::NewOrder;
use crate::conditions::Armed;
use crate::ids::{AccountId, InstrumentId, PositionId, StrategyId};
use crate::key_tree::{Key, KeyTree};
use crate::leaving::Leaving;
use crate::lists::OrderLists;
use crate::order::Order;
use crate::state_hash::{Digest, Digested, Entity};
use crate::terms::{Product, Side, Trailing};
use crate::units::{Money, Price};

/// How a position counts against its account's position limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) enum Standing {
    /// Flat, and nothing is on its way.
    Flat,
    /// Flat, with entry orders working.
    Pending,
    Open,
}

/// A position key and what is held under it; its id is its slot + 1. A key that was ever filled stays for good, since its
/// id is in trades and tables. One whose orders all went unfilled is vacant: it stays too, until a new key finds the store full
/// and takes the place of the one that has been vacant longest. So nobody uses the store up with orders that come and go.
///
/// The fields stand in the order of their use: the first two cache lines are what every order touches, the third what fills do.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[repr(C, align(64))]
pub(crate) struct Position {
    pub(crate) account: AccountId,
    pub(crate) instrument: InstrumentId,
    pub(crate) strategy: StrategyId,
    /// Next key of the same account and instrument, from the newest to the oldest.
    pub(crate) next_alike: u32,
    pub(crate) product: Product,
    pub(crate) standing: Standing,
    pub(crate) venue: bool,
    /// `position_loss_limit` has been raised and the loss has not recovered.
    pub(crate) loss_alerted: bool,
    /// `missing_stop_loss` has been raised, and no stop has been set since.
    pub(crate) stop_missing: bool,
    /// On the list of positions that may have lost what covered them.
    pub(crate) doubted: bool,
    /// On the list of positions that this command filled.
    pub(crate) watched: bool,
    /// On the list of positions that are marked on every print.
    pub(crate) spread: bool,
    /// Signed: negative is short.
    pub(crate) quantity: i64,
    /// Open quantity of its orders by side (worst-case position).
    pub(crate) open_buy: i64,
    pub(crate) open_sell: i64,
    /// Σ `exit_leaves` of its orders; never above `|quantity|` between steps.
    pub(crate) exits: i64,
    /// Its open orders.
    pub(crate) lists: OrderLists,
    /// Orders with an entry part.
    pub(crate) entries: u32,
    #[serde(skip)]
    pub(crate) digested: Digested,
    /// Signed cost of the open quantity.
    pub(crate) cost: Money,
    /// Since it was last flat.
    pub(crate) realised: Money,
    pub(crate) charges: Money,
    /// Of a leg, the price that its account's sums contain it at; of others, that of its last fill (see [`crate::marking`]).
    pub(crate) mark: Option<Price>,
    /// The price that its P&L was last published at.
    pub(crate) published: Option<Price>,
    /// The prices between which nobody has to look at it, while its account is banded (see [`crate::legs`]).
    pub(crate) band: Option<Band>,
    pub(crate) stop_loss: Option<Price>,
    pub(crate) take_profit: Option<Price>,
    pub(crate) trailing: Option<Trailing>,
    /// Of `exits`, those that wait for their trigger, and those that work at a protected price.
    pub(crate) pending_exits: i64,
    pub(crate) market_exits: i64,
    /// The best last price since the trailing stop was set, while the stop is in no group, which would know it.
    pub(crate) extreme: Option<Price>,
    /// Where its stop, target and trailing stop are among the triggers.
    pub(crate) armed: [Armed; 3],
    /// On the list of positions whose conditions are to be armed.
    pub(crate) arming: bool,
    /// The last close that somebody asked for: while one of its exits works, further closes are answered with it.
    pub(crate) closing: Option<Requested>,
    /// What it is still to be got out of by.
    pub(crate) leaving: Leaving,
    /// Shares bought for delivery on `bought_on` and not sold since; older ones are settled. Sales take settled
    /// shares first.
    pub(crate) bought: i64,
    /// Trading day of the last purchase for delivery.
    pub(crate) bought_on: u32,
    /// The key of the same account and instrument that is newer.
    pub(crate) previous_alike: u32,
    /// Neighbours in the list of keys of the same account, the oldest first.
    pub(crate) previous_of_account: u32,
    pub(crate) next_of_account: u32,
    /// Neighbours in the list of open positions of its instrument; of a vacant key, in the list of vacant ones.
    pub(crate) previous_open: u32,
    pub(crate) next_open: u32,
    /// Neighbours in the list of those that are marked on every print.
    pub(crate) previous_spread: u32,
    pub(crate) next_spread: u32,
}

impl Position {
    /// A key in use for nothing yet, in no list.
    fn new(
        account: AccountId,
        instrument: InstrumentId,
        strategy: StrategyId,
        product: Product,
        venue: bool,
    ) -> Position {
        Position {
            account,
            instrument,
            strategy,
            product,
            standing: Standing::Flat,
            venue,
            loss_alerted: false,
            stop_missing: false,
            doubted: false,
            watched: false,
            spread: false,
            band: None,
            quantity: 0,
            cost: Money::ZERO,
            realised: Money::ZERO,
            charges: Money::ZERO,
            mark: None,
            published: None,
            stop_loss: None,
            take_profit: None,
            trailing: None,
            extreme: None,
            armed: [Armed::NONE; 3],
            arming: false,
            closing: None,
            leaving: Leaving::NONE,
            bought: 0,
            bought_on: 0,
            open_buy: 0,
            open_sell: 0,
            exits: 0,
            pending_exits: 0,
            market_exits: 0,
            entries: 0,
            lists: OrderLists::EMPTY,
            previous_alike: NIL,
            next_alike: NIL,
            previous_of_account: NIL,
            next_of_account: NIL,
            previous_open: NIL,
            next_open: NIL,
            previous_spread: NIL,
            next_spread: NIL,
            digested: Digested::default(),
        }
    }

    /// Whether it is the key of an order.
    #[inline(always)]
    pub(crate) fn is_of(&self, order: &NewOrder) -> bool {
        (self.account == order.account)
            & (self.instrument == order.instrument)
            & (self.strategy == order.strategy)
            & (self.product == order.product)
    }

    fn number(&self) -> Key {
        number_of(self.account, self.instrument, self.strategy, self.product)
    }

    /// Whatever fills a position marks it.
    #[inline(always)]
    pub(crate) fn was_never_filled(&self) -> bool {
        self.mark.is_none()
    }

    /// Never filled, and without an order: nothing but the key itself.
    #[inline(always)]
    pub(crate) fn is_vacant(&self) -> bool {
        self.lists.is_empty() && self.was_never_filled()
    }

    /// What an order of `side` could still close: the open quantity less other resting exits.
    pub(crate) fn closable_by(&self, side: Side) -> i64 {
        let closes = match side {
            Side::Sell => self.quantity > 0,
            Side::Buy => self.quantity < 0,
        };
        if closes {
            self.quantity.wrapping_abs().wrapping_sub(self.exits).max(0)
        } else {
            0
        }
    }

    /// Neither a stop-loss nor a trailing stop is set.
    pub(crate) const fn lacks_stop(&self) -> bool {
        self.stop_loss.is_none() && self.trailing.is_none()
    }

    /// Counts `shares` of the exit part of an order as it is now; negative ones are taken off.
    #[inline(always)]
    pub(crate) fn count_exit(&mut self, order: &Order, shares: i64) {
        self.exits = self.exits.wrapping_add(shares);
        if order.is_pending() {
            self.pending_exits = self.pending_exits.wrapping_add(shares);
        } else if order.is_market() {
            self.market_exits = self.market_exits.wrapping_add(shares);
        }
    }

    /// Counts shares bought for delivery on a trading day.
    pub(crate) fn note_bought(&mut self, shares: u32, day: u32) {
        if self.bought_on != day {
            (self.bought, self.bought_on) = (0, day);
        }
        self.bought = self.bought.saturating_add(i64::from(shares));
        self.clip_bought();
    }

    /// What was sold was settled first.
    pub(crate) fn clip_bought(&mut self) {
        self.bought = self.bought.min(self.quantity).max(0);
    }

    /// Shares held for delivery since before a trading day: the holding.
    pub(crate) fn settled(&self, day: u32) -> i64 {
        let bought = if self.bought_on == day { self.bought } else { 0 };
        match self.product {
            Product::Cnc => self.quantity.saturating_sub(bought).max(0),
            Product::Mis => 0,
        }
    }

    /// The largest absolute position if every open order of a side filled, with `more` of it added.
    pub(crate) fn worst_case(&self, side: Side, more: i64) -> i64 {
        match side {
            Side::Buy => self
                .quantity
                .saturating_add(self.open_buy)
                .saturating_add(more)
                .saturating_abs(),
            Side::Sell => self
                .quantity
                .saturating_sub(self.open_sell)
                .saturating_sub(more)
                .saturating_abs(),
        }
    }

    pub(crate) fn open_of(&mut self, side: Side) -> &mut i64 {
        match side {
            Side::Buy => &mut self.open_buy,
            Side::Sell => &mut self.open_sell,
        }
    }

    /// The side whose orders reduce it; `None` when it is flat.
    pub(crate) fn closing_side(&self) -> Option<Side> {
        match self.quantity {
            0 => None,
            quantity if quantity > 0 => Some(Side::Sell),
            _ => Some(Side::Buy),
        }
    }

    /// `quantity × mark`; below 2^62 paise by the bounds of [`crate::limits`].
    pub(crate) fn value_at(&self, mark: Price) -> Money {
        Money::from_paise(self.quantity.saturating_mul(i64::from(mark.paise())))
    }

    /// What it would gain if it were closed at a price.
    #[inline]
    pub(crate) fn gain_at(&self, price: Price) -> Money {
        self.value_at(price).saturating_sub(self.cost)
    }

    /// The cost that margin is held for. Delivery sells reduce holdings and hold none.
    pub(crate) fn held(&self) -> i64 {
        match self.product {
            Product::Cnc => self.cost.paise().max(0),
            Product::Mis => self.cost.paise().saturating_abs(),
        }
    }
}

impl Entity for Position {
    fn compute_digest(&self) -> u64 {
        let digest = Digest::new(2)
            .pair(self.account.get(), self.instrument.get())
            .pair(self.strategy.get(), u32::from(self.product == Product::Cnc))
            .signed(self.quantity)
            .signed(self.cost.paise())
            .signed(self.realised.paise())
            .signed(self.charges.paise())
            .pair(
                self.stop_loss.map_or(0, Price::paise),
                self.take_profit.map_or(0, Price::paise),
            )
            .signed(self.bought)
            .word(u64::from(self.bought_on));
        let digest = match self.closing {
            None => digest,
            Some(close) => digest
                .word(close.first.get())
                .word(close.last.get())
                .word(u64::from(close.quantity)),
        };
        let digest = self.leaving.digest(digest);
        match self.trailing {
            None => digest.finish(),
            Some(Trailing::Distance(distance)) => digest.pair(1, distance.paise()).finish(),
            Some(Trailing::Percent(share)) => digest.pair(2, share.ppm()).finish(),
        }
    }

    fn digested(&self) -> &Digested {
        &self.digested
    }

    fn digested_mut(&mut self) -> &mut Digested {
        &mut self.digested
    }
}

/// Keys of an account in one instrument that a look-up walks over, after the newest, before it goes to the tree.
const WALKED_MAX: u32 = 12;

/// Instruments per page of the account × instrument index.
const PAGE: u32 = 64;

fn entry_of(page: u32, instrument: InstrumentId) -> u32 {
    page.wrapping_mul(PAGE)
        .wrapping_add(instrument.get() & (PAGE - 1))
}

/// A key as one number, for the tree of all of them.
fn number_of(account: AccountId, instrument: InstrumentId, strategy: StrategyId, product: Product) -> Key {
    let named = [account.get(), instrument.get(), strategy.get()];
    let number = named
        .iter()
        .fold(0, |number: Key, &id| number << 32 | Key::from(id));
    number << 1 | Key::from(product == Product::Cnc)
}

/// All position keys, found by account and instrument through a two-level table, and further by a tree.
#[derive(Clone, Debug)]
pub(crate) struct Positions {
    items: Vec<Position>,
    capacity: u32,
    /// Ends of the list of vacant keys, by how long they have been so.
    first_vacant: u32,
    last_vacant: u32,
    /// `account × pages_per_account + instrument ÷ PAGE` → page + 1, or 0.
    directory: Vec<u32>,
    pages_per_account: u32,
    /// Page after page of first keys: slot + 1, or 0. A key opens at most one page.
    pages: Vec<u32>,
    /// Keys on each page, and the pages without any.
    keys_on_page: Vec<u32>,
    free_pages: Vec<u32>,
    tree: KeyTree,
}

impl Positions {
    pub(crate) fn new(capacity: u32, accounts: u32, instruments: u32) -> Positions {
        let pages_per_account = instruments.div_ceil(PAGE);
        let directory = index(accounts).saturating_mul(index(pages_per_account));
        let pages_max = directory.min(index(capacity));
        Positions {
            items: Vec::with_capacity(index(capacity)),
            capacity,
            first_vacant: NIL,
            last_vacant: NIL,
            directory: vec![0; directory],
            pages_per_account,
            pages: Vec::with_capacity(pages_max.saturating_mul(index(PAGE))),
            keys_on_page: Vec::with_capacity(pages_max),
            free_pages: Vec::with_capacity(pages_max),
            tree: KeyTree::new(capacity),
        }
    }

    /// Whether a new key finds a place.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.len() < self.capacity || self.first_vacant != NIL
    }

    pub(crate) fn capacity(&self) -> u32 {
        self.capacity
    }

    pub(crate) fn len(&self) -> u32 {
        slot_of(self.items.len())
    }

    /// Ends of the list of vacant keys, the longest vacant first.
    pub(crate) fn vacant(&self) -> (u32, u32) {
        (self.first_vacant, self.last_vacant)
    }

    fn directory_slot(&self, account: AccountId, instrument: InstrumentId) -> u32 {
        let row = account.get().wrapping_mul(self.pages_per_account);
        row.wrapping_add(instrument.get().wrapping_div(PAGE))
    }

    /// The first key of an account in an instrument.
    #[inline]
    pub(crate) fn first_alike(&self, account: AccountId, instrument: InstrumentId) -> u32 {
        let page = *self
            .directory
            .as_slice()
            .at(self.directory_slot(account, instrument));
        let Some(page) = page.checked_sub(1) else {
            return NIL;
        };
        self.pages
            .as_slice()
            .at(entry_of(page, instrument))
            .wrapping_sub(1)
    }

    #[inline]
    pub(crate) fn find(
        &self,
        account: AccountId,
        instrument: InstrumentId,
        strategy: StrategyId,
        product: Product,
    ) -> Option<u32> {
        let first = self.first_alike(account, instrument);
        if first == NIL {
            return None;
        }
        let newest = self.at(first);
        if newest.strategy == strategy && newest.product == product {
            return Some(first);
        }
        if newest.next_alike == NIL {
            return None;
        }
        self.find_among_several(newest.next_alike, (account, instrument, strategy, product))
    }

    /// The next few in their order; however many there are, as many steps as a key has bits, at most.
    #[inline(never)]
    fn find_among_several(
        &self,
        mut next: u32,
        (account, instrument, strategy, product): (AccountId, InstrumentId, StrategyId, Product),
    ) -> Option<u32> {
        for _ in 0..WALKED_MAX {
            if next == NIL {
                return None;
            }
            let position = self.at(next);
            if position.strategy == strategy && position.product == product {
                return Some(next);
            }
            next = position.next_alike;
        }
        let number = number_of(account, instrument, strategy, product);
        let slot = self.tree.candidate(number)?;
        (self.at(slot).number() == number).then_some(slot)
    }

    /// Enters the key in a slot into the tree.
    fn enter(&mut self, slot: u32) {
        let items = self.items.as_slice();
        let number = |slot| items.at(slot).number();
        self.tree.insert(number(slot), slot, number);
    }

    /// Adds a vacant key after `previous_of_account`, its account's last; the caller has checked that it is new and that there is
    /// room, and has had [`Positions::replaceable`] taken off its account's list.
    pub(crate) fn insert(
        &mut self,
        account: AccountId,
        instrument: InstrumentId,
        strategy: StrategyId,
        product: Product,
        venue: bool,
        previous_of_account: u32,
    ) -> u32 {
        let replaced = self.replaceable();
        let slot = replaced.unwrap_or_else(|| self.len());
        let digested = replaced.map_or(Digested::default(), |slot| {
            self.occupy(slot);
            self.unindex_key(slot);
            self.at(slot).digested
        });
        let next_alike = self.first_alike(account, instrument);
        let page = self.count_on_page(account, instrument);
        self.set_first_alike(page, instrument, slot);
        if next_alike != NIL {
            self.at_mut(next_alike).previous_alike = slot;
        }
        let position = Position {
            previous_of_account,
            next_alike,
            digested,
            ..Position::new(account, instrument, strategy, product, venue)
        };
        match replaced {
            Some(slot) => *self.at_mut(slot) = position,
            None => self.items.push(position),
        }
        self.enter(slot);
        self.vacate(slot);
        slot
    }

    /// The key whose place the next new one takes: in a full store the one that has been vacant longest.
    pub(crate) fn replaceable(&self) -> Option<u32> {
        (self.len() >= self.capacity && self.first_vacant != NIL).then_some(self.first_vacant)
    }

    /// A key is new, or its last order went and nothing was ever filled: it goes to the end of the vacant ones.
    #[inline(never)]
    pub(crate) fn vacate(&mut self, slot: u32) {
        let last = core::mem::replace(&mut self.last_vacant, slot);
        let position = self.at_mut(slot);
        position.previous_open = last;
        position.next_open = NIL;
        if last == NIL {
            self.first_vacant = slot;
        } else {
            self.at_mut(last).next_open = slot;
        }
    }

    /// Takes a key off the list of vacant ones.
    #[inline(never)]
    pub(crate) fn occupy(&mut self, slot: u32) {
        let position = self.at_mut(slot);
        let previous = core::mem::replace(&mut position.previous_open, NIL);
        let next = core::mem::replace(&mut position.next_open, NIL);
        if previous == NIL {
            self.first_vacant = next;
        } else {
            self.at_mut(previous).next_open = next;
        }
        if next == NIL {
            self.last_vacant = previous;
        } else {
            self.at_mut(next).previous_open = previous;
        }
    }

    /// Counts a key on its page, opened where there was none; returns the page.
    fn count_on_page(&mut self, account: AccountId, instrument: InstrumentId) -> u32 {
        let place = self.directory_slot(account, instrument);
        if *self.directory.as_slice().at(place) == 0 {
            let page = self.free_pages.pop().unwrap_or_else(|| {
                let page = slot_of(self.keys_on_page.len());
                self.pages.resize(self.pages.len().saturating_add(index(PAGE)), 0);
                self.keys_on_page.push(0);
                page
            });
            *self.directory.as_mut_slice().at_mut(place) = page.wrapping_add(1);
        }
        let page = self.directory.as_slice().at(place).wrapping_sub(1);
        let keys = self.keys_on_page.as_mut_slice().at_mut(page);
        *keys = keys.wrapping_add(1);
        page
    }

    /// Makes a key, or none, the first of an account in an instrument.
    fn set_first_alike(&mut self, page: u32, instrument: InstrumentId, slot: u32) {
        *self.pages.as_mut_slice().at_mut(entry_of(page, instrument)) = slot.wrapping_add(1);
    }

    /// Takes a key off the list of its account and instrument; a page without keys is given back.
    fn unindex_key(&mut self, slot: u32) {
        let Position {
            account,
            instrument,
            previous_alike,
            next_alike,
            ..
        } = *self.at(slot);
        let number = self.at(slot).number();
        self.tree.remove(number);
        let place = self.directory_slot(account, instrument);
        let page = self.directory.as_slice().at(place).wrapping_sub(1);
        if next_alike != NIL {
            self.at_mut(next_alike).previous_alike = previous_alike;
        }
        if previous_alike == NIL {
            self.set_first_alike(page, instrument, next_alike);
        } else {
            self.at_mut(previous_alike).next_alike = next_alike;
        }
        let keys = self.keys_on_page.as_mut_slice().at_mut(page);
        *keys = keys.wrapping_sub(1);
        if *keys == 0 {
            *self.directory.as_mut_slice().at_mut(place) = 0;
            self.free_pages.push(page);
        }
    }

    /// Every key, by slot.
    pub(crate) fn keys(&self) -> &[Position] {
        &self.items
    }

    #[inline(always)]
    pub(crate) fn keys_mut(&mut self) -> &mut [Position] {
        &mut self.items
    }

    /// Fills an empty store with the keys of another, in their order; `false` where they do not fit.
    pub(crate) fn restore(&mut self, keys: Vec<Position>, vacant: (u32, u32)) -> bool {
        let count = slot_of(keys.len());
        let known = |slot: u32| slot == NIL || slot < count;
        if count > self.capacity || !known(vacant.0) || !known(vacant.1) {
            return false;
        }
        (self.first_vacant, self.last_vacant) = vacant;
        for key in keys {
            let indexed = self.directory.len() > index(self.directory_slot(key.account, key.instrument));
            if !indexed || !known(key.previous_alike) || !known(key.next_alike) {
                return false;
            }
            let page = self.count_on_page(key.account, key.instrument);
            if key.previous_alike == NIL {
                self.set_first_alike(page, key.instrument, self.len());
            }
            let again = self.tree.candidate(key.number());
            if again.is_some_and(|slot| self.at(slot).number() == key.number()) {
                return false;
            }
            self.items.push(key);
            self.enter(self.len().wrapping_sub(1));
        }
        true
    }

    #[inline(always)]
    pub(crate) fn at(&self, slot: u32) -> &Position {
        self.items.as_slice().at(slot)
    }

    #[inline(always)]
    pub(crate) fn at_mut(&mut self, slot: u32) -> &mut Position {
        self.items.as_mut_slice().at_mut(slot)
    }

    pub(crate) fn id(slot: u32) -> PositionId {
        PositionId::new(slot.wrapping_add(1))
    }

    pub(crate) fn slot(&self, id: PositionId) -> Option<u32> {
        id.get().checked_sub(1).filter(|&slot| slot < self.len())
    }
}
