//! Marking: what open positions are worth at the last price.
//!
//! A print must not cost a walk over everybody who holds the instrument, and yet every limit has to be seen the moment
//! it is crossed. An account whose open positions are all in one instrument is worth a linear function of that
//! instrument's price. So it is marked only when somebody needs to know, and it waits in a *band* of prices (see
//! [`crate::bands`]) in which none of its limits can be crossed; a mark outside the band brings it up to date. Its peak
//! is exact because the instrument remembers the extremes of its marks ([`crate::extremes`]). An account that holds
//! several instruments is one of legs ([`crate::legs`]), until it is flat.

use crate::account::Account;
use crate::arena::{NIL, Slots};
use crate::bands::Spare;
use crate::engine::{Engine, Task};
use crate::event::{Event, EventBuffer, PositionMarked};
use crate::ids::{AccountId, InstrumentId, TradeId};
use crate::instrument::Instrument;
use crate::position::{Position, Positions};
use crate::units::{Money, Price};

/// A position whose mark moved is published at most this often: 2 s.
const MARK_INTERVAL_NS: u64 = 2_000_000_000;

/// What open positions are worth: Σ `quantity × mark − cost`, Σ `quantity × mark`, and the Σ of its absolute values.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Marks {
    pub(crate) unrealised: Money,
    pub(crate) net: Money,
    pub(crate) gross: Money,
}

impl Marks {
    /// What one position contributes to its account. Venue accounts are not marked.
    #[inline]
    pub(crate) fn of(position: &Position) -> Marks {
        match position.mark {
            Some(mark) if !position.venue => Marks::at(position, mark),
            _ => Marks::default(),
        }
    }

    /// The same at another price.
    #[inline]
    pub(crate) fn at(position: &Position, mark: Price) -> Marks {
        let net = position.value_at(mark);
        Marks {
            unrealised: net.saturating_sub(position.cost),
            net,
            gross: net.abs(),
        }
    }

    #[inline]
    pub(crate) fn exchange(&mut self, before: &Marks, after: &Marks) {
        let exchange =
            |sum: Money, before: Money, after: Money| sum.saturating_add(after).saturating_sub(before);
        self.unrealised = exchange(self.unrealised, before.unrealised, after.unrealised);
        self.net = exchange(self.net, before.net, after.net);
        self.gross = exchange(self.gross, before.gross, after.gross);
    }

    /// A position of one instrument, marked at `mark`, went from `before` to `after` shares, and its cost by `cost`.
    #[inline(always)]
    pub(crate) fn trade(&mut self, before: i64, after: i64, cost: Money, mark: Price) {
        let worth = |shares: i64| Money::from_paise(shares.saturating_mul(i64::from(mark.paise())));
        let net = worth(after.wrapping_sub(before));
        let gross = worth(after.wrapping_abs().wrapping_sub(before.wrapping_abs()));
        self.unrealised = self.unrealised.saturating_add(net).saturating_sub(cost);
        self.net = self.net.saturating_add(net);
        self.gross = self.gross.saturating_add(gross);
    }

    /// The same `held` positions of one instrument at a price that is `by` paise higher.
    #[inline]
    fn moved(&self, held: Held, by: i64) -> Marks {
        let worth = |quantity: i64| Money::from_paise(quantity.saturating_mul(by));
        Marks {
            unrealised: self.unrealised.saturating_add(worth(held.net)),
            net: self.net.saturating_add(worth(held.net)),
            gross: self.gross.saturating_add(worth(held.gross)),
        }
    }
}

/// Shares of an account's open positions: Σ quantity and Σ |quantity|. Only meaningful within one instrument.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Held {
    pub(crate) net: i64,
    pub(crate) gross: i64,
}

impl Held {
    #[inline]
    pub(crate) fn exchange(&mut self, before: i64, after: i64) {
        // Positions are bounded by 2^30 shares, and their number by 2^26.
        self.net = self.net.wrapping_add(after).wrapping_sub(before);
        self.gross = self
            .gross
            .wrapping_add(after.wrapping_abs())
            .wrapping_sub(before.wrapping_abs());
    }
}

/// Where an account's open positions are, which decides how they are marked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) enum Spread {
    /// It has never had any.
    #[default]
    None,
    /// Nowhere but in this instrument; it may be flat by now.
    One(InstrumentId),
    /// In several instruments since it was last flat.
    Several,
}

/// `later − earlier`, in paise.
#[inline]
pub(crate) fn paise_between(earlier: Price, later: Price) -> i64 {
    i64::from(later.paise()).saturating_sub(i64::from(earlier.paise()))
}

impl Engine {
    /// Sets the last traded price; positions are marked before the command ends.
    #[inline]
    pub(crate) fn set_last_price(&mut self, id: InstrumentId, price: Price, trade: Option<TradeId>) {
        let now = self.time;
        let instrument = self.instruments.as_mut_slice().at_mut(id.get());
        instrument.last_price = Some(price);
        instrument.last_price_at = now;
        instrument.feed_alerted = false;
        if !instrument.unmarked && instrument.marked_price != Some(price) {
            instrument.unmarked = true;
            self.unmarked.push(id.get());
        }
        let (rise_at, fall_at) = (instrument.rise_at, instrument.fall_at);
        if price.paise() >= rise_at || price.paise() <= fall_at {
            self.note_print(id, price, trade);
        }
        self.feed_watched_from(now);
    }

    /// Marks an instrument: whoever holds several instruments, and whoever's band ends here, is looked at.
    pub(crate) fn mark_instrument(&mut self, slot: u32) {
        self.unmarked.retain(|&waiting| waiting != slot);
        let instrument = self.instruments.as_mut_slice().at_mut(slot);
        instrument.unmarked = false;
        let Some(price) = instrument.last_price else {
            return;
        };
        instrument.marked_price = Some(price);
        instrument.marks = instrument.marks.wrapping_add(1);
        let mark = instrument.marks;
        if !instrument.extremes.note(mark, price) {
            self.refresh_holders(slot);
            let instrument = self.instruments.as_mut_slice().at_mut(slot);
            instrument.extremes.begin(mark, price);
        }
        self.publish_later(slot);
        self.mark_followed(slot, price);
        self.leave_bands(InstrumentId::new(slot), price);
    }

    /// Puts an instrument on the list of those whose positions' marks wait to be published.
    fn publish_later(&mut self, slot: u32) {
        let instrument = self.instruments.as_mut_slice().at_mut(slot);
        if instrument.first_open == NIL || core::mem::replace(&mut instrument.marks_waiting, true) {
            return;
        }
        self.marks_pending.push(slot);
        self.marks_due
            .get_or_insert(self.time.saturating_add_nanos(MARK_INTERVAL_NS));
    }

    /// Brings everyone who holds an instrument up to date.
    fn refresh_holders(&mut self, instrument: u32) {
        let mut slot = self.instruments.as_slice().at(instrument).first_open;
        while slot != NIL {
            let position = self.positions.at(slot);
            let (account, next) = (position.account, position.next_open);
            self.refresh_one(account);
            self.digests.accounts.trim(&mut self.accounts);
            slot = next;
        }
    }

    /// Brings an account's marks up to the last marks, and its peak up to the best since.
    pub(crate) fn refresh(&mut self, id: AccountId) {
        let account = self.account_of(id);
        if account.spread != Spread::Several {
            self.refresh_one(id);
        } else if account.banded {
            self.mark_legs(id);
        }
    }

    /// Brings an account's marks up to the last mark of its one instrument, and its peak up to the best mark since. Of an
    /// account of legs, those that are looked at are marked on their own.
    #[inline(always)]
    pub(crate) fn refresh_one(&mut self, id: AccountId) {
        let account = self.account_of(id);
        if let Spread::One(instrument) = account.spread
            && account.marked_at != self.instrument_of(instrument).marks
        {
            self.bring_up_to_date(id, instrument);
        }
    }

    #[inline(never)]
    fn bring_up_to_date(&mut self, id: AccountId, instrument_id: InstrumentId) {
        if self.account_of(id).newest_key == NIL {
            self.account_mut(id).newest_key = self.newest_key(id, instrument_id);
        }
        let instrument = self.instruments.as_slice().at(instrument_id.get());
        let account = self.accounts.as_mut_slice().at_mut(id.get());
        account.marks = marks_at(account, instrument);
        account.mark = instrument.marked_price;
        let best = best_value(account, instrument, &account.marks);
        account.marked_at = instrument.marks;
        if best > account.peak {
            account.peak = best;
            self.digests.accounts.note_one(account, id.get());
        }
    }

    /// The newest position key of an account in an instrument.
    #[inline(always)]
    pub(crate) fn newest_key(&self, id: AccountId, instrument: InstrumentId) -> u32 {
        let account = self.account_of(id);
        if account.newest_key != NIL && account.spread == Spread::One(instrument) {
            account.newest_key
        } else {
            self.positions.first_alike(id, instrument)
        }
    }

    /// What an account's positions are worth at the last marks.
    #[inline]
    pub(crate) fn marks_of(&self, account: &Account) -> Marks {
        let Spread::One(instrument) = account.spread else {
            return self.marks_of_legs(account);
        };
        marks_at(account, self.instrument_of(instrument))
    }

    /// The least that an account's positions may gain at the last marks: without a walk over its legs.
    #[inline]
    pub(crate) fn least_unrealised(&self, account: &Account) -> Money {
        match account.spread {
            Spread::One(_) => self.marks_of(account).unrealised,
            _ if account.banded => account.reach.worst,
            _ => account.marks.unrealised,
        }
    }

    /// An account's peak, the marks since it was last brought up to date included.
    pub(crate) fn peak_of(&self, account: &Account) -> Money {
        let Spread::One(instrument) = account.spread else {
            return account.peak;
        };
        let marks = self.marks_of(account);
        account
            .peak
            .max(best_value(account, self.instrument_of(instrument), &marks))
    }

    /// What a position would gain if it were closed at its last mark. Venue accounts' positions are not marked.
    pub(crate) fn unrealised_of(&self, position: &Position) -> Money {
        let mark = self.instrument_of(position.instrument).marked_price;
        match mark.filter(|_| !position.venue && position.quantity != 0) {
            Some(mark) => position.value_at(mark).saturating_sub(position.cost),
            None => Money::ZERO,
        }
    }

    /// Has the monitor look at an account and everything that it holds, for its balance or its limits changed.
    pub(crate) fn look_at_everything(&mut self, id: AccountId) {
        let mut slot = self.account_of(id).first_position;
        while slot != NIL {
            let next = self.positions.at(slot).next_of_account;
            if self.positions.at(slot).quantity != 0 {
                self.watch_later(slot);
            }
            slot = next;
        }
        self.review_later(id);
    }

    /// A position was opened: its instrument lists it, and its account may now hold several instruments.
    pub(crate) fn list_open(&mut self, slot: u32) {
        let position = self.positions.at_mut(slot);
        if position.venue {
            return;
        }
        let (account, instrument_id) = (position.account, position.instrument);
        let instrument = self.instruments.as_mut_slice().at_mut(instrument_id.get());
        let first = core::mem::replace(&mut instrument.first_open, slot);
        position.next_open = first;
        position.previous_open = NIL;
        if first != NIL {
            self.positions.at_mut(first).previous_open = slot;
        }
        self.spread_to(account, instrument_id);
        let holder = self.account_of(account);
        match (holder.spread, holder.banded) {
            (Spread::Several, true) => self.open_loose(account),
            (Spread::Several, false) => self.list_spread(slot),
            _ => {}
        }
    }

    /// Decides how an account is marked that opens a position in `instrument`.
    fn spread_to(&mut self, id: AccountId, instrument: InstrumentId) {
        let of = self.instrument_of(instrument);
        let (mark, marks) = (of.marked_price, of.marks);
        let account = self.account_of(id);
        let was_flat = account.open_positions == 0;
        match account.spread {
            Spread::One(held) if held == instrument => {}
            Spread::One(held) if !was_flat => {
                self.leave_band(id, held);
                self.split_into_legs(id, held);
            }
            Spread::Several if !was_flat => {}
            spread => {
                if let Spread::One(left) = spread {
                    self.leave_band(id, left);
                }
                let account = self.account_mut(id);
                account.spread = Spread::One(instrument);
                account.newest_key = NIL;
                account.spare = Spare::NONE;
                account.banded = false;
                (account.mark, account.marked_at) = (mark, marks);
            }
        }
    }

    /// Takes a position that was closed off its instrument's lists.
    pub(crate) fn unlist_open(&mut self, slot: u32) {
        let Position {
            venue,
            account,
            previous_open,
            next_open,
            instrument,
            ..
        } = *self.positions.at(slot);
        if venue {
            return;
        }
        if previous_open == NIL {
            self.instrument_mut(instrument).first_open = next_open;
        } else {
            self.positions.at_mut(previous_open).next_open = next_open;
        }
        if next_open != NIL {
            self.positions.at_mut(next_open).previous_open = previous_open;
        }
        if self.account_of(account).banded {
            self.close_leg(slot);
        } else {
            self.unlist_spread(slot);
        }
    }

    /// Publishes the marks that wait, one position a step: `slot` and those behind it, then the next instrument.
    pub(crate) fn publish_next_mark(&mut self, slot: u32, out: &mut EventBuffer) -> Option<Task> {
        if slot == NIL {
            let instrument = self.marks_pending.pop()?;
            let instrument = self.instruments.as_mut_slice().at_mut(instrument);
            instrument.marks_waiting = false;
            return Some(Task::PublishMarks(instrument.first_open));
        }
        let position = self.positions.at(slot);
        let mark = self.instrument_of(position.instrument).marked_price;
        let next = position.next_open;
        if position.published != mark {
            out.push(Event::PositionMarked(PositionMarked {
                position: Positions::id(slot),
                account: position.account,
                instrument: position.instrument,
                quantity: i32::try_from(position.quantity).unwrap_or(0),
                cost: position.cost,
                realised: position.realised,
                charges: position.charges,
                unrealised: self.unrealised_of(position),
            }));
            self.positions.at_mut(slot).published = mark;
        }
        Some(Task::PublishMarks(next))
    }
}

/// What the positions of an account that holds one instrument are worth at its last mark.
#[inline(always)]
fn marks_at(account: &Account, instrument: &Instrument) -> Marks {
    match (account.mark, instrument.marked_price) {
        (Some(then), Some(now)) => account.marks.moved(account.held, paise_between(then, now)),
        _ => account.marks,
    }
}

/// The best value that an account had at any mark since it was last brought up to date, from what it is worth now.
#[inline(always)]
fn best_value(account: &Account, instrument: &Instrument, now: &Marks) -> Money {
    let since = instrument.marks.wrapping_sub(account.marked_at);
    let best = match account.held.net {
        _ if since == 1 => None,
        0 => None,
        net if net > 0 => instrument.extremes.highest_after(account.marked_at),
        _ => instrument.extremes.lowest_after(account.marked_at),
    };
    let best = match (instrument.marked_price, best) {
        (Some(mark), Some(best)) => now.moved(account.held, paise_between(mark, best)),
        _ => *now,
    };
    account.current_value(best.unrealised)
}
