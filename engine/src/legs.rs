//! Accounts that hold several instruments, each position of which is a *leg*.
//!
//! What such an account is worth depends on several prices, so no band of one price says when a limit may be crossed. Two
//! ways of marking it take turns:
//!
//! - **followed**: each leg is on its instrument's list of those that are marked on every print, and the account's sums are
//!   exact at every moment;
//! - **banded**: each leg waits in a band of its own. While all of them are inside, the account is worth something within
//!   its *reach*, the sum of the legs' worst and best values; no limit is crossed at the worst end, and the best does not
//!   surpass the peak, so nothing that the monitor watches can happen. A leg that leaves its band takes what room is left;
//!   where there is too little, every leg is marked, and the account is banded again or followed.
//!
//! Going from one to the other walks over the account's keys. It is only done for bands so wide that the prices have to move
//! in proportion to the number of legs before the next walk ([`WALK_SHIFT`]).

use crate::account::Account;
use crate::arena::{NIL, Slots};
use crate::bands::{Band, Spare, Worst, is_quiet, worst_between};
use crate::book::ladder::PriceDomain;
use crate::engine::Engine;
use crate::ids::{AccountId, InstrumentId};
use crate::marking::{Marks, Spread};
use crate::position::Position;
use crate::terms::Side;
use crate::units::{Money, Price};

/// Widths of a leg's band to one side, as right shifts of the price: 6 %, 1.5 %, 0.4 %, 0.1 %, 0.02 %.
const WIDTH_SHIFTS: [u32; 5] = [4, 6, 8, 10, 12];

/// Legs × 2^(shift of the width) up to 2^this may be put into bands: a walk over so many keys is paid by a move of one leg
/// by at least a 262,144th of its price for each of them. With less, accounts that are long under one strategy and short under another,
/// whose room is small beside what they hold, would be followed from ten instruments on.
const WALK_SHIFT: u32 = 18;

/// How long an account is followed where some leg did not fit into a band: one whose own limit is too near, or whose
/// price is beside the grid. A second.
const RETRY_AFTER_NS: u64 = 1_000_000_000;

/// The worst and the best that an account's legs are worth while each stays in its band.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Reach {
    pub(crate) worst: Money,
    pub(crate) best: Money,
}

impl Reach {
    #[inline]
    pub(crate) fn exchange(&mut self, before: &Reach, after: &Reach) {
        self.worst = self
            .worst
            .saturating_add(after.worst)
            .saturating_sub(before.worst);
        self.best = self.best.saturating_add(after.best).saturating_sub(before.best);
    }

    /// Further by what a leg may lose or gain.
    fn widened(&self, loss: Money, gain: Money) -> Reach {
        Reach {
            worst: self.worst.saturating_sub(loss),
            best: self.best.saturating_add(gain),
        }
    }
}

/// What a leg adds to the sums of its account.
pub(crate) struct Leg {
    marks: Marks,
    reach: Reach,
}

/// How far to either side of the price the bands of an account's legs may reach, as right shifts of it.
#[derive(Clone, Copy)]
struct Widths {
    loss: u32,
    gain: u32,
}

impl Engine {
    /// What a leg adds to its account's reach: what it is worth at the ends of its band, or at its mark outside of one.
    #[inline]
    pub(crate) fn reach_of(&self, position: &Position) -> Reach {
        let Some(band) = position.band else {
            let unrealised = Marks::of(position).unrealised;
            return Reach {
                worst: unrealised,
                best: unrealised,
            };
        };
        let domain = self.instrument_of(position.instrument).bands.domain();
        let at = |tick| position.gain_at(domain.price_of(tick));
        let (low, high) = (at(band.low), at(band.high));
        Reach {
            worst: low.min(high),
            best: low.max(high),
        }
    }

    /// What the bands of a banded account leave it in the worst case; `None` where something could happen in them.
    pub(crate) fn worst_of_legs(&self, account: &Account) -> Option<Worst> {
        let settled = account.loose_legs == 0 && account.current_value(account.reach.best) <= account.peak;
        let worst = || worst_between(account, account.reach.worst, account.reach.best);
        settled.then(worst).flatten()
    }

    /// Marks every leg of an account with its instrument's mark.
    pub(crate) fn mark_legs(&mut self, id: AccountId) {
        let mut slot = self.account_of(id).first_position;
        while slot != NIL {
            let next = self.positions.at(slot).next_of_account;
            self.mark_leg(slot);
            slot = next;
        }
    }

    /// Marks a position with its instrument's mark.
    pub(crate) fn mark_leg(&mut self, slot: u32) {
        let position = self.positions.at(slot);
        let mark = self.instrument_of(position.instrument).marked_price;
        if position.quantity == 0 || mark == position.mark || mark.is_none() {
            return;
        }
        let before = (Marks::of(position), self.reach_of(position));
        let (account, banded) = (position.account, position.band.is_some());
        self.positions.at_mut(slot).mark = mark;
        let position = self.positions.at(slot);
        // Within a band the reach stays what it is.
        let after = (
            Marks::of(position),
            if banded { before.1 } else { self.reach_of(position) },
        );
        let account = self.account_mut(account);
        account.marks.exchange(&before.0, &after.0);
        account.reach.exchange(&before.1, &after.1);
    }

    /// A position of an account of legs as its account's sums contain it; `None` where it is no leg.
    #[inline(always)]
    pub(crate) fn leg_of(&self, slot: u32) -> Option<Leg> {
        let position = self.positions.at(slot);
        let is_leg = self.account_of(position.account).spread == Spread::Several && !position.venue;
        is_leg.then(|| self.leg_as_it_is(position))
    }

    #[cold]
    fn leg_as_it_is(&self, position: &Position) -> Leg {
        Leg {
            marks: Marks::of(position),
            reach: self.reach_of(position),
        }
    }

    /// Brings the sums of its account up to date after a fill of a leg that was `before`.
    #[cold]
    pub(crate) fn carry_leg(&mut self, slot: u32, before: &Leg) {
        let position = self.positions.at(slot);
        let after = self.leg_as_it_is(position);
        let account = self.accounts.as_mut_slice().at_mut(position.account.get());
        account.marks.exchange(&before.marks, &after.marks);
        if account.banded {
            account.reach.exchange(&before.reach, &after.reach);
        }
    }

    /// What the legs of an account are worth at the last marks.
    pub(crate) fn marks_of_legs(&self, account: &Account) -> Marks {
        let mut sum = account.marks;
        if !account.banded {
            return sum;
        }
        let mut slot = account.first_position;
        while slot != NIL {
            let position = self.positions.at(slot);
            let mark = self.instrument_of(position.instrument).marked_price;
            if let (Some(mark), false) = (mark, position.venue || position.quantity == 0) {
                sum.exchange(&Marks::of(position), &Marks::at(position, mark));
            }
            slot = position.next_of_account;
        }
        sum
    }

    /// A mark is beyond the band of a leg: it is marked, and looked at before the command ends.
    pub(crate) fn leave_leg_band_at(&mut self, slot: u32) {
        self.loosen(slot);
        self.mark_leg(slot);
        self.watch_later(slot);
        self.review_later(self.positions.at(slot).account);
    }

    /// Takes a leg out of its band. Nobody marks it until it is in another one or on its instrument's list.
    fn loosen(&mut self, slot: u32) {
        let before = self.reach_of(self.positions.at(slot));
        self.unlink_leg(slot);
        let after = self.reach_of(self.positions.at(slot));
        let account = self.account_mut(self.positions.at(slot).account);
        account.reach.exchange(&before, &after);
        account.loose_legs = account.loose_legs.wrapping_add(1);
    }

    /// Takes a leg out of its band's lists.
    pub(crate) fn unlink_leg(&mut self, slot: u32) {
        let node = self.leg_node(slot);
        let position = self.positions.at_mut(slot);
        if position.band.take().is_some() {
            let bands = &mut self
                .instruments
                .as_mut_slice()
                .at_mut(position.instrument.get())
                .bands;
            let [low, high] = &mut self.band_nodes;
            bands.unlink(low, Side::Buy, node);
            bands.unlink(high, Side::Sell, node);
        }
    }

    /// Puts a leg that is in no band into this one.
    pub(crate) fn link_leg(&mut self, slot: u32, band: Band) {
        let node = self.leg_node(slot);
        let position = self.positions.at_mut(slot);
        let bands = &mut self
            .instruments
            .as_mut_slice()
            .at_mut(position.instrument.get())
            .bands;
        let [low, high] = &mut self.band_nodes;
        bands.rest(low, Side::Buy, node, band.low, 1);
        bands.rest(high, Side::Sell, node, band.high, 1);
        position.band = Some(band);
    }

    /// A leg's place among the nodes of bands, behind those of the accounts.
    fn leg_node(&self, slot: u32) -> u32 {
        self.capacity.accounts.wrapping_add(slot)
    }

    /// A position of a banded account was opened: it will be in a band before the command ends.
    pub(crate) fn open_loose(&mut self, id: AccountId) {
        let account = self.account_mut(id);
        account.loose_legs = account.loose_legs.wrapping_add(1);
    }

    /// A leg of a banded account was closed.
    pub(crate) fn close_leg(&mut self, slot: u32) {
        if self.positions.at(slot).band.is_some() {
            self.unlink_leg(slot);
        } else {
            let account = self.account_mut(self.positions.at(slot).account);
            account.loose_legs = account.loose_legs.wrapping_sub(1);
        }
    }

    /// After a look at a leg of a banded account: it keeps its band, or gets one of the room that the others leave.
    pub(crate) fn settle_leg(&mut self, slot: u32) {
        let position = self.positions.at(slot);
        let account = self.account_of(position.account);
        if !account.banded || position.quantity == 0 {
            return;
        }
        if let Some(band) = position.band {
            if self.is_quiet_within(position, band) {
                return;
            }
            self.loosen(slot);
        }
        self.mark_leg(slot);
        let position = self.positions.at(slot);
        let account = self.account_of(position.account);
        let reach = account.reach;
        // Half of what is left, so that the next leg finds some, too.
        let band = self.band_for(position, |loss, gain| {
            fits(account, &reach.widened(loss.doubled(), gain.doubled()))
        });
        if let Some(band) = band {
            self.settle_into(slot, band);
            let account = self.account_mut(self.positions.at(slot).account);
            account.loose_legs = account.loose_legs.wrapping_sub(1);
        }
    }

    /// Decides anew how an account is marked all of whose legs are marked now.
    pub(crate) fn settle_legs(&mut self, id: AccountId) {
        let account = self.account_of(id);
        let widths = if account.settles_from <= self.time {
            self.widths_for(account)
        } else {
            None
        };
        let settled = widths.map(|widths| self.put_into_bands(id, widths));
        if settled == Some(false) {
            self.account_mut(id).settles_from = self.time.saturating_add_nanos(RETRY_AFTER_NS);
        }
        if settled != Some(true) {
            self.follow(id);
        }
    }

    /// The widest bands in which nothing can happen; `None` where they would not be worth a walk.
    fn widths_for(&self, account: &Account) -> Option<Widths> {
        let legs = u64::from(account.open_positions);
        if legs == 0 {
            return None;
        }
        let worth_it = |shift: u32| {
            legs.checked_shl(shift)
                .is_some_and(|cost| cost <= 1 << WALK_SHIFT)
        };
        let room = |shift: u32| Money::from_paise(account.marks.gross.paise() >> shift);
        let here = Reach {
            worst: account.marks.unrealised,
            best: account.marks.unrealised,
        };
        let narrowest = WIDTH_SHIFTS.into_iter().rev().find(|&shift| worth_it(shift))?;
        let can_lose = |shift| fits(account, &here.widened(room(shift), Money::ZERO));
        let can_gain = |shift| fits(account, &here.widened(Money::ZERO, room(shift)));
        if !can_gain(narrowest) || !can_lose(narrowest) {
            return None;
        }
        Some(Widths {
            loss: WIDTH_SHIFTS.into_iter().find(|&shift| can_lose(shift))?,
            gain: WIDTH_SHIFTS.into_iter().find(|&shift| can_gain(shift))?,
        })
    }

    /// Puts every leg into a band of these widths; `false`, and some are in none, where one fits nowhere.
    fn put_into_bands(&mut self, id: AccountId, widths: Widths) -> bool {
        let account = self.account_mut(id);
        account.banded = true;
        account.loose_legs = 0;
        account.reach = Reach {
            worst: account.marks.unrealised,
            best: account.marks.unrealised,
        };
        let mut slot = account.first_position;
        while slot != NIL {
            let position = self.positions.at(slot);
            let next = position.next_of_account;
            if position.quantity != 0 {
                let value = Marks::of(position).gross.paise();
                let (most_loss, most_gain) = (value >> widths.loss, value >> widths.gain);
                self.unlist_spread(slot);
                self.unlink_leg(slot);
                let band = self.band_for(self.positions.at(slot), |loss, gain| {
                    loss.paise() <= most_loss && gain.paise() <= most_gain
                });
                let Some(band) = band else { return false };
                self.settle_into(slot, band);
            }
            slot = next;
        }
        true
    }

    fn settle_into(&mut self, slot: u32, band: Band) {
        let before = self.reach_of(self.positions.at(slot));
        self.link_leg(slot, band);
        let after = self.reach_of(self.positions.at(slot));
        let account = self.account_mut(self.positions.at(slot).account);
        account.reach.exchange(&before, &after);
    }

    /// Marks every leg of an account on every print from now on.
    pub(crate) fn follow(&mut self, id: AccountId) {
        let account = self.account_mut(id);
        if !core::mem::replace(&mut account.banded, false) {
            return;
        }
        account.loose_legs = 0;
        let mut slot = account.first_position;
        while slot != NIL {
            let position = self.positions.at(slot);
            let next = position.next_of_account;
            if position.quantity != 0 && !position.spread {
                self.unlink_leg(slot);
                self.list_spread(slot);
            }
            slot = next;
        }
    }

    /// The widest band around a leg's mark of which `may` allows what it could lose, and what it could gain, and which the
    /// position's own limit allows.
    fn band_for(&self, position: &Position, may: impl Fn(Money, Money) -> bool) -> Option<Band> {
        let account = self.account_of(position.account);
        let bands = &self.instrument_of(position.instrument).bands;
        let domain = bands.domain();
        let mark = position.mark?;
        let here = domain.tick_of(mark)?;
        let now = position.gain_at(mark);
        let end = |shift: u32, up: bool| {
            let width = here.wrapping_add(domain.first_tick()) >> shift;
            // Neighbours get different widths, so that a move of the market does not reach all of them at once.
            let width = width.saturating_sub((width >> 6).wrapping_mul(position.account.get() & 15));
            let tick = if up {
                here.saturating_add(width).min(domain.last_tick())
            } else {
                here.saturating_sub(width)
            };
            (width > 0).then_some(tick)
        };
        let gains_up = position.quantity > 0;
        let gain = WIDTH_SHIFTS.into_iter().find_map(|shift| {
            let tick = end(shift, gains_up)?;
            let price = domain.price_of(tick);
            let gain = position.gain_at(price).saturating_sub(now);
            (may(Money::ZERO, gain) && is_quiet(position, account, (price, price), Money::ZERO))
                .then_some(tick)
        })?;
        let loss = WIDTH_SHIFTS.into_iter().find_map(|shift| {
            let tick = end(shift, !gains_up)?;
            let price = domain.price_of(tick);
            let loss = now.saturating_sub(position.gain_at(price));
            (may(loss, Money::ZERO) && is_quiet(position, account, (price, price), Money::ZERO))
                .then_some(tick)
        })?;
        let band = Band {
            low: gain.min(loss),
            high: gain.max(loss),
        };
        let can_rest = bands.can_rest(Side::Buy, band.low) && bands.can_rest(Side::Sell, band.high);
        can_rest.then_some(band)
    }

    fn is_quiet_within(&self, position: &Position, band: Band) -> bool {
        let domain: &PriceDomain = self.instrument_of(position.instrument).bands.domain();
        let ends = (domain.price_of(band.low), domain.price_of(band.high));
        is_quiet(position, self.account_of(position.account), ends, Money::ZERO)
    }

    /// From now on an up-to-date account, whose open positions are all in one instrument, is one of legs. They are followed
    /// until its next review.
    pub(crate) fn split_into_legs(&mut self, id: AccountId, instrument: InstrumentId) {
        let account = self.account_mut(id);
        account.spread = Spread::Several;
        account.spare = Spare::NONE;
        account.banded = false;
        let mark = account.mark;
        let mut slot = self.positions.first_alike(id, instrument);
        while slot != NIL {
            if self.positions.at(slot).quantity != 0 {
                self.positions.at_mut(slot).mark = mark;
                self.list_spread(slot);
            }
            slot = self.positions.at(slot).next_alike;
        }
    }

    /// Marks the legs that are followed.
    pub(crate) fn mark_followed(&mut self, instrument: u32, price: Price) {
        let mut slot = self.instruments.as_slice().at(instrument).first_spread;
        while slot != NIL {
            let position = self.positions.at_mut(slot);
            let next = position.next_spread;
            if position.mark != Some(price) {
                let before = Marks::of(position);
                position.mark = Some(price);
                let (account, after) = (position.account, Marks::of(position));
                self.account_mut(account).marks.exchange(&before, &after);
                self.watch_later(slot);
                self.review_later(account);
            }
            slot = next;
        }
    }

    /// Puts a position on its instrument's list of those that are marked on every print.
    pub(crate) fn list_spread(&mut self, slot: u32) {
        let position = self.positions.at_mut(slot);
        let instrument = self.instruments.as_mut_slice().at_mut(position.instrument.get());
        let first = core::mem::replace(&mut instrument.first_spread, slot);
        position.spread = true;
        position.next_spread = first;
        position.previous_spread = NIL;
        if first != NIL {
            self.positions.at_mut(first).previous_spread = slot;
        }
    }

    /// Takes a position off that list, where it is on it.
    pub(crate) fn unlist_spread(&mut self, slot: u32) {
        let position = self.positions.at_mut(slot);
        if !core::mem::replace(&mut position.spread, false) {
            return;
        }
        let (previous, next, instrument) = (
            position.previous_spread,
            position.next_spread,
            position.instrument,
        );
        if previous == NIL {
            self.instrument_mut(instrument).first_spread = next;
        } else {
            self.positions.at_mut(previous).next_spread = next;
        }
        if next != NIL {
            self.positions.at_mut(next).previous_spread = previous;
        }
    }
}

/// Whether an account crosses no limit at the worst end of a reach and surpasses no peak at the best.
fn fits(account: &Account, reach: &Reach) -> bool {
    account.current_value(reach.best) <= account.peak
        && worst_between(account, reach.worst, reach.best).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{
        AccountDefinition, Command, InstrumentDefinition, MarketPrice, NewOrder, Sequenced,
    };
    use crate::engine::{Capacity, Work};
    use crate::event::EventBuffer;
    use crate::ids::Seq;
    use crate::risk_limits::RiskLimits;
    use crate::text::{Symbol, Text};
    use crate::units::{Quantity, Ratio, Timestamp};

    const HOLDERS: u32 = 200;
    const LEGS: u32 = 3;

    /// An engine whose account 0 has sold `LEGS` instruments to each of the holders.
    struct Holders(Engine, EventBuffer);

    impl Holders {
        fn new() -> Holders {
            let capacity = Capacity {
                accounts: HOLDERS + 1,
                instruments: LEGS,
                orders: 64,
                positions: 2 * HOLDERS * LEGS,
                client_order_ids: 16,
            };
            let mut holders = Holders(Engine::new(capacity), EventBuffer::new());
            for number in 0..LEGS {
                holders.apply(Command::DefineInstrument(alloc::boxed::Box::new(
                    InstrumentDefinition {
                        symbol: Symbol::cut(["A", "B", "C"][number as usize]),
                        exchange: Text::cut("NSE"),
                        tick_size: Price::from_paise(5).unwrap(),
                        lot_size: Quantity::clamped(1),
                        freeze_quantity: Quantity::clamped(1_000_000),
                        reference_price: Price::from_paise(100_000).unwrap(),
                        price_band: Ratio::from_ppm(900_000),
                        mis_allowed: true,
                        banned: false,
                        derivatives: false,
                    },
                )));
            }
            for number in 0..=HOLDERS {
                holders.apply(Command::DefineAccount(alloc::boxed::Box::new(
                    AccountDefinition {
                        name: Text::cut(&std::format!("account-{number}")),
                        opening_balance: Money::from_paise(1_000_000_000),
                        limits: RiskLimits::maker(),
                        profile: Text::cut("maker"),
                        venue: number == 0,
                    },
                )));
            }
            for instrument in 0..LEGS {
                holders.print(instrument, 100_000);
                for holder in 1..=HOLDERS {
                    holders.order(0, instrument, Side::Sell);
                    holders.order(holder, instrument, Side::Buy);
                }
            }
            holders
        }

        fn apply(&mut self, command: Command) {
            let seq = self.0.last_seq().get() + 1;
            let command = Sequenced {
                seq: Seq::new(seq),
                time: Timestamp::from_nanos(1_795_667_400_000_000_000 + seq * 1_000_000),
                command,
            };
            self.1.clear();
            let mut work = self.0.apply(&command, &mut self.1);
            while work == Work::More {
                self.1.clear();
                work = self.0.resume(&mut self.1);
            }
            assert_eq!(self.0.audit(), Ok(()));
        }

        fn print(&mut self, instrument: u32, paise: u32) {
            self.apply(Command::MarketPrice(MarketPrice {
                instrument: InstrumentId::new(instrument),
                price: Price::from_paise(paise).unwrap(),
            }));
        }

        fn order(&mut self, account: u32, instrument: u32, side: Side) {
            self.apply(Command::NewOrder(NewOrder::plain(
                AccountId::new(account),
                InstrumentId::new(instrument),
                side,
                Price::from_paise(100_000).unwrap(),
                Quantity::clamped(100),
            )));
        }

        fn banded(&self) -> usize {
            self.0.accounts.iter().filter(|account| account.banded).count()
        }

        /// Legs that have been marked at a price.
        fn marked_at(&self, paise: u32) -> usize {
            let price = Price::from_paise(paise);
            self.0
                .positions
                .keys()
                .iter()
                .filter(|leg| !leg.venue && leg.mark == price)
                .count()
        }
    }

    /// Who has paid charges is below his peak, so his legs wait in bands, and a print within them costs nothing.
    #[test]
    fn a_print_within_the_bands_looks_at_no_leg() {
        let mut holders = Holders::new();
        assert_eq!(holders.banded(), HOLDERS as usize);
        holders.print(1, 100_005);
        assert_eq!(holders.marked_at(100_005), 0);
        // A fall of 20 % passes every band.
        holders.print(1, 80_000);
        assert_eq!(holders.marked_at(80_000), HOLDERS as usize);
        assert_eq!(holders.banded(), HOLDERS as usize);
    }

    /// At its peak an account is followed, for every gain is a new one; after a fall it waits in bands again.
    #[test]
    fn an_account_at_its_peak_is_followed() {
        let mut holders = Holders::new();
        holders.print(1, 120_000);
        assert_eq!(holders.banded(), 0);
        holders.print(1, 120_100);
        assert_eq!(holders.marked_at(120_100), HOLDERS as usize);
        holders.print(1, 110_000);
        assert_eq!(holders.banded(), HOLDERS as usize);
    }
}
