//! The audit: recomputes from scratch what the engine keeps incrementally, and compares.
//!
//! Its cost grows with the state, so it belongs to folds that have time: the replica at its check interval, a snapshot
//! on load, tests after every command.

use crate::account::Account;
use crate::arena::{NIL, Slots, index, slot_of};
use crate::conditions::Kind;
use crate::engine::Engine;
use crate::ids::{AccountId, InstrumentId};
use crate::instrument::Instrument;
use crate::legs::Reach;
use crate::lists::List;
use crate::marking::{Held, Marks, Spread};
use crate::position::{Position, Standing};
use crate::state_hash::Entity;
use crate::terms::{Product, Side};
use crate::triggers::{Direction, Owner};
use crate::units::{Money, Price, Quantity};

fn ensure(holds: bool, broken: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(broken) }
}

impl Engine {
    /// Names the first invariant that does not hold. Only meaningful between commands.
    ///
    /// Books are sound and not crossed; every open order is in its position's list and (once) in its book, or waits for
    /// its trigger; no trigger is behind the last price; sums of
    /// orders equal what positions and accounts hold; sums of positions equal what accounts carry; the incremental
    /// state hash equals the one recomputed.
    pub fn audit(&self) -> Result<(), &'static str> {
        let mut resting = 0_u32;
        for instrument in &self.instruments {
            instrument.sides.audit(&self.nodes)?;
            for side in [Side::Buy, Side::Sell] {
                for slot in instrument.sides.queue(&self.nodes, side) {
                    let order = self.orders.at(slot);
                    ensure(
                        order.resting && order.side == side,
                        "an order is in a queue that is not its own",
                    )?;
                    ensure(
                        self.nodes.at(slot).visible <= order.leaves,
                        "an order shows more than it has",
                    )?;
                    resting = resting.saturating_add(1);
                }
            }
        }
        self.audit_levels()?;
        let pending = self.audit_triggers()?;
        ensure(
            resting.saturating_add(pending) == self.orders.open(),
            "an open order is in no book",
        )?;
        self.audit_strategy_limits()?;
        self.audit_leaving()?;
        let mut totals = Totals::new(self.accounts.len());
        for slot in 0..self.positions.len() {
            self.audit_position(slot, &mut totals)?;
        }
        self.audit_keys()?;
        ensure(
            totals.orders == self.orders.open(),
            "an open order is in no position's list",
        )?;
        for (slot, expected) in totals.accounts.iter().enumerate() {
            let account = self.account_of(AccountId::new(slot_of(slot)));
            ensure(
                account.entry_value.mis == expected.entry_mis,
                "margin of MIS entries leaked",
            )?;
            ensure(
                account.entry_value.cnc == expected.entry_cnc,
                "margin of CNC entries leaked",
            )?;
            ensure(
                account.open_orders == expected.open_orders,
                "an account miscounts its open orders",
            )?;
            ensure(
                account.entry_orders == expected.entry_orders,
                "an account miscounts its entry orders",
            )?;
            ensure(
                account.open_positions == expected.open,
                "an account miscounts its open positions",
            )?;
            ensure(
                account.pending_positions == expected.pending,
                "an account miscounts its pending positions",
            )?;
            let held = account
                .position_cost
                .mis
                .saturating_add(account.position_cost.cnc);
            ensure(held == expected.held, "margin of positions leaked")?;
            ensure(account.marks == expected.marks, "an account's marks drifted")?;
            ensure(account.held == expected.shares, "an account miscounts its shares")?;
            let id = AccountId::new(slot_of(slot));
            self.audit_band(id, account)?;
            ensure(
                match account.spread {
                    Spread::One(instrument) if account.newest_key != NIL => {
                        account.newest_key == self.positions.first_alike(id, instrument)
                    }
                    _ => true,
                },
                "the newest key that an account remembers is another",
            )?;
            ensure(
                !account.banded || self.worst_of_legs(account).is_some(),
                "a banded account could cross a limit in its bands",
            )?;
            ensure(
                !account.banded || account.reach == expected.reach,
                "an account's reach drifted",
            )?;
        }
        ensure(
            self.recomputed_hash() == self.state_hash(),
            "the incremental state hash drifted",
        )
    }

    /// Every price level of a pool is one of a book's or a free one.
    fn audit_levels(&self) -> Result<(), &'static str> {
        let [low, high] = &self.band_nodes;
        let in_use = |count: fn(&Instrument) -> u32| {
            let counts = self.instruments.iter().map(count);
            counts.fold(0_u32, u32::saturating_add)
        };
        let of_books = |of: &Instrument| {
            let bids = of.sides.level_count(Side::Buy);
            bids.saturating_add(of.sides.level_count(Side::Sell))
        };
        ensure(
            in_use(of_books) == self.nodes.level_count()
                && in_use(|of| of.bands.level_count(Side::Buy)) == low.level_count()
                && in_use(|of| of.bands.level_count(Side::Sell)) == high.level_count(),
            "a price level leaked",
        )
    }

    /// Trees are sound; each trigger belongs to one pending order or one condition, waits at its price and has not been
    /// reached; the prices that prints are compared with are the nearest. Returns the number of pending orders.
    fn audit_triggers(&self) -> Result<u32, &'static str> {
        ensure(
            !self.triggers.has_fired() && self.printed.is_empty() && self.arming.is_empty(),
            "a trigger was reached and not set off",
        )?;
        let (mut pending, mut seen) = (0_u32, 0_u32);
        for (instrument, id) in self.instruments.iter().zip(0_u32..) {
            self.triggers.audit(&instrument.triggers)?;
            let nearest = self.nearest_triggers(&instrument.triggers);
            let mut sound =
                instrument.prints.is_none() && (instrument.rise_at, instrument.fall_at) == nearest;
            // Outside continuous trading what is reached waits.
            let last_price = instrument
                .last_price
                .filter(|_| self.is_continuous(InstrumentId::new(id)));
            for direction in [Direction::Rise, Direction::Fall] {
                let reached = |price| last_price.is_some_and(|last| direction.reaches(last, price));
                self.triggers
                    .in_order(&instrument.triggers, direction, &mut |owner, price, _, node| {
                        sound &= !reached(price) && self.owns(owner, node, price, direction, id);
                        pending = pending.saturating_add(u32::from(matches!(owner, Owner::Order(_))));
                        seen = seen.saturating_add(1);
                    });
            }
            ensure(sound, "a trigger disagrees with what it belongs to")?;
        }
        let positions = self.positions.keys();
        let trails = positions
            .iter()
            .filter(|position| position.armed(Kind::Trailing).node != NIL);
        // The trigger of a group is its leader's; each group has a node, and each of its members another.
        let hidden = trails.count().saturating_add(index(self.triggers.groups.len()));
        ensure(
            index(seen).saturating_add(hidden) == index(self.triggers.len()),
            "a trigger is in no tree",
        )?;
        Ok(pending)
    }

    /// Whether a trigger is that of its owner.
    fn owns(&self, owner: Owner, node: u32, price: Price, direction: Direction, instrument: u32) -> bool {
        let condition = |slot: u32, kind: Kind, price_set: Option<Price>| {
            let position = self.positions.at(slot);
            position.quantity != 0
                && position.instrument.get() == instrument
                && price_set == Some(price)
                && position.reached_by(kind) == direction
                && (kind == Kind::Trailing || position.armed(kind).node == node)
        };
        match owner {
            Owner::Order(slot) => {
                let order = self.orders.at(slot);
                order.trigger == node
                    && order.order_type.trigger() == Some(price)
                    && order.instrument.get() == instrument
                    && direction == Direction::of_stop(order.side)
                    && !order.resting
            }
            Owner::StopLoss(slot) => condition(slot, Kind::StopLoss, self.positions.at(slot).stop_loss),
            Owner::TakeProfit(slot) => condition(slot, Kind::TakeProfit, self.positions.at(slot).take_profit),
            Owner::Trailing(slot) => {
                let stop = self.trailing_stop(self.positions.at(slot));
                condition(slot, Kind::Trailing, stop.map(|(stop, _)| stop))
            }
            Owner::Group => false,
        }
    }

    /// Every key is found by what it stands for, and in its account's list; the list of vacant keys has all of them.
    fn audit_keys(&self) -> Result<(), &'static str> {
        let keys = self.positions.keys();
        for (position, slot) in keys.iter().zip(0_u32..) {
            let found = self.positions.find(
                position.account,
                position.instrument,
                position.strategy,
                position.product,
            );
            ensure(found == Some(slot), "a position is not found by its key")?;
        }
        let mut listed = 0_usize;
        for account in &self.accounts {
            let (mut previous, mut slot) = (NIL, account.first_position);
            while slot != NIL && listed <= keys.len() {
                let position = self.positions.at(slot);
                ensure(
                    position.previous_of_account == previous,
                    "an account's list of keys is broken",
                )?;
                listed = listed.saturating_add(1);
                (previous, slot) = (slot, position.next_of_account);
            }
            ensure(
                previous == account.last_position,
                "an account's list of keys is broken",
            )?;
        }
        ensure(listed == keys.len(), "a key is in no account's list")?;
        let mut vacant = keys.iter().filter(|position| position.is_vacant()).count();
        let (mut slot, last) = self.positions.vacant();
        let mut previous = NIL;
        while slot != NIL && vacant > 0 {
            let position = self.positions.at(slot);
            ensure(
                position.is_vacant() && position.previous_open == previous,
                "the list of vacant keys is broken",
            )?;
            vacant = vacant.wrapping_sub(1);
            (previous, slot) = (slot, position.next_open);
        }
        ensure(
            vacant == 0 && slot == NIL && previous == last,
            "the list of vacant keys is broken",
        )
    }

    /// Positions that wait to be got out of are in the queue once each, and wait only while there is no room.
    fn audit_leaving(&self) -> Result<(), &'static str> {
        let flagged = self
            .positions
            .keys()
            .iter()
            .filter(|position| position.leaving.is_queued());
        let queued = |slot: &u32| self.positions.at(*slot).leaving.is_queued();
        ensure(
            flagged.count() == self.leaving.len() && self.leaving.iter().all(queued),
            "the queue of positions to get out of is broken",
        )?;
        ensure(
            !self.can_leave(),
            "a position is not got out of though there is room",
        )
    }

    /// A flat position has no conditions; of an open one each condition is armed or blocked.
    fn audit_conditions(&self, position: &Position) -> Result<(), &'static str> {
        for kind in Kind::ALL {
            let armed = position.armed(kind);
            let expected = position.is_set(kind) && position.quantity != 0 && !position.venue;
            ensure(
                expected == ((armed.node != NIL) != armed.blocked),
                "a condition is neither armed nor blocked, or should not be there",
            )?;
            ensure(
                position.quantity != 0 || !position.is_set(kind),
                "a flat position has a condition",
            )?;
        }
        Ok(())
    }

    /// The lists of a position's orders are whole, and each order is in the one that it belongs to.
    fn audit_lists(&self, position: u32) -> Result<(), &'static str> {
        for (list, ends) in self.positions.at(position).lists.ends() {
            let (mut older, mut slot) = (NIL, ends.oldest);
            while slot != NIL {
                let order = self.orders.at(slot);
                ensure(
                    order.older == older
                        && order.position == position
                        && order.list == list
                        && List::of(order) == list,
                    "a position's list of orders is broken",
                )?;
                (older, slot) = (slot, order.newer);
            }
            ensure(older == ends.newest, "a position's list of orders is broken")?;
        }
        Ok(())
    }

    fn audit_position(&self, slot: u32, totals: &mut Totals) -> Result<(), &'static str> {
        let position = self.positions.at(slot);
        let (mut buy, mut sell, mut entries) = (0_i64, 0_i64, 0_u32);
        let (mut exits, mut pending_exits, mut market_exits) = (0_i64, 0_i64, 0_i64);
        self.audit_lists(slot)?;
        let mut order_slot = position.lists.first_after(None);
        while order_slot != NIL {
            let account = totals.of(position.account);
            let order = self.orders.at(order_slot);
            ensure(
                order.exit_leaves == 0 || position.closing_side() == Some(order.side),
                "an exit would add to its position",
            )?;
            match order.side {
                Side::Buy => buy = buy.saturating_add(i64::from(order.leaves)),
                Side::Sell => sell = sell.saturating_add(i64::from(order.leaves)),
            }
            let exit = i64::from(order.exit_leaves);
            exits = exits.saturating_add(exit);
            match (order.is_pending(), order.is_market()) {
                (true, _) => pending_exits = pending_exits.saturating_add(exit),
                (false, true) => market_exits = market_exits.saturating_add(exit),
                (false, false) => {}
            }
            if order.entry_leaves() > 0 {
                entries = entries.saturating_add(1);
                account.entry_orders = account.entry_orders.saturating_add(1);
            }
            let entry = Quantity::clamped(i64::from(order.entry_leaves()));
            let value = order.limit.notional(entry).paise();
            let held = if order.product == Product::Mis {
                &mut account.entry_mis
            } else {
                &mut account.entry_cnc
            };
            *held = held.saturating_add(value);
            account.open_orders = account.open_orders.saturating_add(1);
            order_slot = self.order_after(order_slot);
            totals.orders = totals.orders.saturating_add(1);
        }
        ensure(
            (buy, sell) == (position.open_buy, position.open_sell),
            "a position miscounts its open quantity",
        )?;
        ensure(
            (exits, pending_exits, market_exits)
                == (position.exits, position.pending_exits, position.market_exits),
            "a position miscounts its exits",
        )?;
        ensure(
            exits <= position.quantity.saturating_abs(),
            "resting exits exceed the position",
        )?;
        ensure(entries == position.entries, "a position miscounts its entries")?;
        ensure(
            position.quantity != 0 || position.cost == Money::ZERO,
            "a flat position has a cost",
        )?;
        self.audit_conditions(position)?;
        self.audit_leg(position)?;
        let marks = self.marks_within_account(position);
        totals.add_position(position, marks, self.reach_of(position));
        Ok(())
    }

    /// What its account's sums contain of a position.
    fn marks_within_account(&self, position: &Position) -> Marks {
        let account = self.account_of(position.account);
        match (account.spread, account.mark) {
            (Spread::Several, _) => Marks::of(position),
            (_, Some(mark)) if position.quantity != 0 && !position.venue => Marks::at(position, mark),
            _ => Marks::default(),
        }
    }

    /// A leg of an account in several instruments is followed, or waits in a band around its instrument's mark.
    fn audit_leg(&self, position: &Position) -> Result<(), &'static str> {
        let account = self.account_of(position.account);
        let is_leg = account.spread == Spread::Several && position.quantity != 0 && !position.venue;
        let instrument = self.instrument_of(position.instrument);
        ensure(
            position.spread == (is_leg && !account.banded),
            "a leg is not followed, or something else is",
        )?;
        ensure(
            !position.spread || position.mark == instrument.marked_price,
            "a leg that is followed has an old mark",
        )?;
        let (Some(band), Some(mark)) = (position.band, instrument.marked_price) else {
            return ensure(!(is_leg && account.banded), "a leg is in no band");
        };
        ensure(is_leg && account.banded, "what is no leg is in a band")?;
        let domain = instrument.bands.domain();
        let (_, orders) = instrument
            .bands
            .level_at(&self.band_nodes[0], Side::Buy, band.low);
        let (_, others) = instrument
            .bands
            .level_at(&self.band_nodes[1], Side::Sell, band.high);
        ensure(orders > 0 && others > 0, "the end of a leg's band is in no list")?;
        ensure(
            (domain.price_of(band.low)..=domain.price_of(band.high)).contains(&mark),
            "a mark is outside the band of a leg",
        )
    }

    /// Whoever holds one instrument waits in a band around its last mark.
    fn audit_band(&self, id: AccountId, account: &Account) -> Result<(), &'static str> {
        let Spread::One(instrument_id) = account.spread else {
            return ensure(
                account.band.is_none(),
                "an account without one instrument is in a band",
            );
        };
        let instrument = self.instrument_of(instrument_id);
        let (Some(band), Some(mark)) = (account.band, instrument.marked_price) else {
            return ensure(
                account.held.gross == 0,
                "an account that holds something is in no band",
            );
        };
        let spare = account.spare;
        ensure(
            !spare.is_some()
                || self
                    .limits_hold_within(id, instrument_id, band, spare.left)
                    .is_some(),
            "what an account's fills may cost is more than its limits leave",
        )?;
        let domain = instrument.bands.domain();
        let (below, above) = domain.ticks_beside(mark);
        let leaves =
            below.is_some_and(|tick| band.high <= tick) || above.is_some_and(|tick| band.low >= tick);
        let (_, orders) = instrument
            .bands
            .level_at(&self.band_nodes[0], Side::Buy, band.low);
        let (_, others) = instrument
            .bands
            .level_at(&self.band_nodes[1], Side::Sell, band.high);
        ensure(orders > 0 && others > 0, "a band's end is in no list")?;
        ensure(
            !leaves || domain.tick_of(mark).is_none() || account.held.gross == 0,
            "a mark is outside a band",
        )
    }

    /// [`Engine::state_hash`], recomputed from every entity.
    pub fn recomputed_hash(&self) -> u64 {
        let mut fresh = self.totals_digest();
        let mut add = |digest: u64| fresh = fresh.wrapping_add(digest);
        for slot in 0..self.positions.len() {
            let position = self.positions.at(slot);
            add(position.compute_digest());
            let mut order = position.lists.first_after(None);
            while order != NIL {
                add(self.orders.at(order).compute_digest());
                order = self.order_after(order);
            }
        }
        self.accounts
            .iter()
            .for_each(|account| add(account.compute_digest()));
        self.instruments
            .iter()
            .for_each(|instrument| add(instrument.compute_digest()));
        fresh
    }
}

/// What the positions and orders of an account add up to.
#[derive(Clone, Default)]
struct AccountTotals {
    entry_mis: i64,
    entry_cnc: i64,
    held: i64,
    marks: Marks,
    shares: Held,
    reach: Reach,
    open_orders: u32,
    entry_orders: u32,
    open: u32,
    pending: u32,
}

struct Totals {
    accounts: alloc::vec::Vec<AccountTotals>,
    orders: u32,
}

impl Totals {
    fn new(accounts: usize) -> Totals {
        Totals {
            accounts: alloc::vec![AccountTotals::default(); accounts],
            orders: 0,
        }
    }

    fn of(&mut self, account: AccountId) -> &mut AccountTotals {
        self.accounts.as_mut_slice().at_mut(account.get())
    }

    fn add_position(&mut self, position: &Position, marks: Marks, reach: Reach) {
        let account = self.of(position.account);
        account.held = account.held.saturating_add(position.held());
        if !position.venue {
            account.marks.exchange(&Marks::default(), &marks);
            account.shares.exchange(0, position.quantity);
            account.reach.exchange(&Reach::default(), &reach);
        }
        match position.standing {
            Standing::Flat => {}
            Standing::Pending => account.pending = account.pending.saturating_add(1),
            Standing::Open => account.open = account.open.saturating_add(1),
        }
    }
}
