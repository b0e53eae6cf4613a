//! Bands: the prices between which nothing that the monitor watches of an account can happen.
//!
//! An account that holds one instrument waits in that instrument's two lists of band ends. A mark beyond an end takes
//! it out, and after its review it gets a new band, the widest of a few in which even the worst price crosses no
//! threshold. Within a band everything that is compared is a monotone function of the price, so the two ends decide.
//! While an alert is up its recovery has to be seen as well: then the band ends where that could begin. Where no band fits it
//! is the one price that is marked now.

use crate::account::Account;
use crate::arena::{NIL, Slots};
use crate::engine::Engine;
use crate::ids::{AccountId, InstrumentId};
use crate::marking::Spread;
use crate::monitor::{WARN_PERCENT, exceeds, recovery};
use crate::position::Position;
use crate::terms::{Side, TradingState};
use crate::units::{Money, Price, Ratio};

/// Widths that are tried, as right shifts of the price: 6 %, 1.5 %, 0.4 %, 0.1 % to either side.
const WIDTH_SHIFTS: [u32; 4] = [4, 6, 8, 10];

/// Ends of a band, as ticks of the instrument's price grid, inclusive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Band {
    pub(crate) low: u32,
    pub(crate) high: u32,
}

/// The share of its balance, as a right shift, that what an account's fills may cost it at the ends of its band before its
/// limits are compared again: 0.8 %, half of what the usual limit on a day's loss leaves until its warning.
const SPARE_SHIFT: u32 = 7;

/// How much the fills of an account may still cost it, or bring it in, wherever the price is in its band, before a limit
/// could be crossed: until then a review only brings peak and margin up to date.
///
/// A fill changes what the account is worth at a price by the difference to the fill's price for each share, less its charges.
/// The largest of those changes, at the ends of the band, are taken off what is left; so what the account is worth at either
/// end stays within what was compared with the limits when this was set, and so does each position's own loss. Everything else
/// that could matter has the account reviewed, which ends it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Spare {
    pub(crate) left: Money,
    /// The ends of the band, in paise.
    low: u32,
    high: u32,
}

impl Spare {
    pub(crate) const NONE: Spare = Spare {
        left: Money::ZERO,
        low: 0,
        high: 0,
    };

    #[inline(always)]
    pub(crate) fn is_some(&self) -> bool {
        self.left > Money::ZERO
    }

    /// Takes off what a fill of `shares` at a price may change, and its charges.
    #[inline(always)]
    pub(crate) fn spend(&mut self, shares: u32, price: Price, charges: Money) {
        let price = price.paise();
        let reach = price.abs_diff(self.low).max(price.abs_diff(self.high));
        let change = Money::from_paise(i64::from(shares).wrapping_mul(i64::from(reach)));
        self.left = self.left.saturating_sub(change).saturating_sub(charges);
    }
}

/// What a band leaves an account in the worst case.
pub(crate) struct Worst {
    /// Funds × leverage × [`WARN_PERCENT`]: margin × leverage × 100 up to this raises no alert. [`NO_ROOM`] while it is up.
    margin_room: i128,
}

impl Engine {
    /// Takes everyone whose band ends before `price` out of it, to be looked at.
    pub(crate) fn leave_bands(&mut self, instrument: InstrumentId, price: Price) {
        while let Some(node) = self.first_beyond(instrument, price) {
            if let Some(leg) = node.checked_sub(self.capacity.accounts) {
                self.leave_leg_band_at(leg);
                continue;
            }
            let id = AccountId::new(node);
            self.leave_band(id, instrument);
            if self.account_of(id).held.gross == 0 {
                continue;
            }
            let mut slot = self.newest_key(id, instrument);
            while slot != NIL {
                let position = self.positions.at(slot);
                let (next, is_open) = (position.next_alike, position.quantity != 0);
                if is_open {
                    self.watch_later(slot);
                }
                slot = next;
            }
            self.review_later(id);
        }
    }

    fn first_beyond(&self, instrument: InstrumentId, price: Price) -> Option<u32> {
        let bands = &self.instrument_of(instrument).bands;
        let [low, high] = &self.band_nodes;
        // An end at the price itself is still inside; beside the grid, the ends next to it are not.
        let (below, above) = bands.domain().ticks_beside(price);
        let left_above = below.and_then(|tick| bands.head_within(high, Side::Sell, tick));
        let left_below = || above.and_then(|tick| bands.head_within(low, Side::Buy, tick));
        left_above.or_else(left_below).map(|head| head.slot)
    }

    pub(crate) fn leave_band(&mut self, id: AccountId, instrument: InstrumentId) {
        let account = self.account_mut(id);
        account.spare = Spare::NONE;
        if account.band.take().is_some() {
            let bands = &mut self.instruments.as_mut_slice().at_mut(instrument.get()).bands;
            let [low, high] = &mut self.band_nodes;
            bands.unlink(low, Side::Buy, id.get());
            bands.unlink(high, Side::Sell, id.get());
        }
    }

    /// Puts an account that is in no band into this one.
    pub(crate) fn enter_band(&mut self, id: AccountId, instrument: InstrumentId, band: Band) {
        let bands = &mut self.instruments.as_mut_slice().at_mut(instrument.get()).bands;
        let [low, high] = &mut self.band_nodes;
        bands.rest(low, Side::Buy, id.get(), band.low, 1);
        bands.rest(high, Side::Sell, id.get(), band.high, 1);
        self.account_mut(id).band = Some(band);
    }

    /// Whether an account that is up to date cannot cross anything where it is: then there is nothing to review.
    pub(crate) fn stays_quiet(&mut self, id: AccountId) -> bool {
        let account = self.account_of(id);
        let mut spare = account.spare;
        let worst = match (account.spread, account.band) {
            (Spread::Several, _) if account.banded => self.worst_of_legs(account),
            _ if account.held.gross == 0 => {
                let now = account.marks.unrealised;
                worst_between(account, now, now)
            }
            (Spread::One(_), Some(_)) if spare.is_some() && !account.margin_alerted => {
                let ends = worth_between(account, spare.low, spare.high);
                margin_between(account, ends.0, ends.1).or_else(|| {
                    spare = Spare::NONE;
                    None
                })
            }
            (Spread::One(instrument), Some(band)) => {
                let wanted = Money::from_paise(account.balance.paise() >> SPARE_SHIFT);
                let wide = has_use_for_spare(account, wanted)
                    .then(|| self.worst_within(id, instrument, band, wanted))
                    .flatten();
                spare = match wide {
                    Some(_) => self.spare_of(instrument, band, wanted),
                    None => Spare::NONE,
                };
                wide.or_else(|| self.worst_within(id, instrument, band, Money::ZERO))
            }
            _ => None,
        };
        let quiet = worst.is_some();
        let account = self.account_mut(id);
        account.spare = spare;
        account.margin_room = worst.map_or(NO_ROOM, |worst| worst.margin_room);
        quiet
    }

    fn spare_of(&self, instrument: InstrumentId, band: Band, left: Money) -> Spare {
        let domain = self.instrument_of(instrument).bands.domain();
        Spare {
            left,
            low: domain.price_of(band.low).paise(),
            high: domain.price_of(band.high).paise(),
        }
    }

    /// Gives an account the widest band in which it stays quiet, or the one price that is marked now.
    pub(crate) fn renew_band(&mut self, id: AccountId) {
        let account = self.account_of(id);
        let instrument = match account.spread {
            Spread::One(instrument) => instrument,
            Spread::Several => return self.settle_legs(id),
            Spread::None => return,
        };
        if account.held.gross == 0 {
            return;
        }
        let bands = &self.instrument_of(instrument).bands;
        let Some(mark) = account.mark else { return };
        let domain = bands.domain();
        // Beside the grid or outside it no band would end where the price is.
        let Some(here) = domain.tick_of(mark) else {
            self.leave_band(id, instrument);
            self.split_into_legs(id, instrument);
            return;
        };
        let around = |shift: u32| {
            let width = here.wrapping_add(domain.first_tick()) >> shift;
            // Neighbours get different widths, so that a move of the market does not reach all of them at once.
            let width = width.saturating_sub((width >> 6).wrapping_mul(id.get() & 15));
            Band {
                low: here.saturating_sub(width),
                high: here.saturating_add(width).min(domain.last_tick()),
            }
        };
        let fits = |shift| {
            let band = around(shift);
            let worst = self.worst_within(id, instrument, band, Money::ZERO)?;
            Some((band, worst.margin_room))
        };
        let point = Band {
            low: here,
            high: here,
        };
        // At the edge of an alert not even the narrowest fits.
        let narrowest = WIDTH_SHIFTS.last().and_then(|&shift| fits(shift));
        let widest = narrowest.and_then(|_| WIDTH_SHIFTS.into_iter().find_map(fits));
        let (band, room) = widest.unwrap_or((point, NO_ROOM));
        if account.band == Some(band) {
            let account = self.account_mut(id);
            account.spare = Spare::NONE;
            account.margin_room = room;
            return;
        }
        let can_rest = bands.can_rest(Side::Buy, band.low) && bands.can_rest(Side::Sell, band.high);
        self.leave_band(id, instrument);
        self.account_mut(id).margin_room = room;
        if can_rest {
            self.enter_band(id, instrument, band);
        } else {
            self.split_into_legs(id, instrument);
        }
    }

    /// An order's margin was given back, perhaps by somebody else's command: where that could end an alert, the account is
    /// looked at with the next mark.
    #[inline]
    pub(crate) fn ease_margin(&mut self, order: u32) {
        let id = self.orders.at(order).account;
        if self.account_of(id).margin_alerted && !self.stays_quiet(id) {
            self.refresh(id);
            self.renew_band(id);
        }
    }

    /// What a band leaves an account, its limits compared with `spare` in hand; `None` where something could happen.
    fn worst_within(
        &self,
        id: AccountId,
        instrument: InstrumentId,
        band: Band,
        spare: Money,
    ) -> Option<Worst> {
        let (worst, best) = self.limits_hold_within(id, instrument, band, spare)?;
        margin_between(self.account_of(id), worst, best)
    }

    /// The least and the most that an account's positions gain within a band, where it crosses no limit on losses there, even if
    /// it were worth `spare` more or less, and each of its positions less.
    pub(crate) fn limits_hold_within(
        &self,
        id: AccountId,
        instrument: InstrumentId,
        band: Band,
        spare: Money,
    ) -> Option<(Money, Money)> {
        let account = self.account_of(id);
        let domain = self.instrument_of(instrument).bands.domain();
        let ends = (domain.price_of(band.low), domain.price_of(band.high));
        let mut slot = self.newest_key(id, instrument);
        while slot != NIL {
            let position = self.positions.at(slot);
            if position.quantity != 0 && !is_quiet(position, account, ends, spare) {
                return None;
            }
            slot = position.next_alike;
        }
        let (worst, best) = worth_between(account, ends.0.paise(), ends.1.paise());
        keeps_its_limits(account, worst.saturating_sub(spare), best.saturating_add(spare))
            .then_some((worst, best))
    }
}

/// The least and the most that the positions of an account with one instrument gain between two prices, in paise.
#[inline(always)]
fn worth_between(account: &Account, low: u32, high: u32) -> (Money, Money) {
    let now = account.marks.unrealised;
    let at = |price: u32| match account.mark {
        Some(mark) => {
            let by = i64::from(price).wrapping_sub(i64::from(mark.paise()));
            now.saturating_add(Money::from_paise(account.held.net.saturating_mul(by)))
        }
        None => now,
    };
    let (low, high) = (at(low), at(high));
    (low.min(high), low.max(high))
}

/// Whether an account's limits can be compared with `spare` in hand: no alert waits for its recovery, a new position may lose
/// all of it, and a peak that rises brings no drawdown nearer than it was compared with.
fn has_use_for_spare(account: &Account, spare: Money) -> bool {
    let loses_all = |limit| !exceeds(spare, account.balance, limit, 100);
    spare > Money::ZERO
        && account.state == TradingState::Normal
        && !(account.daily_loss_alerted | account.drawdown_alerted | account.margin_alerted)
        && account.bounds.position_loss().is_none_or(loses_all)
        && account.bounds.drawdown().is_none_or(|limit| limit <= Ratio::ONE)
}

/// What is left of an account whose positions gain between `worst` and `best`; `None` where an alert could go up or come down.
pub(crate) fn worst_between(account: &Account, worst: Money, best: Money) -> Option<Worst> {
    keeps_its_limits(account, worst, best)
        .then(|| margin_between(account, worst, best))
        .flatten()
}

/// The same of the alert on the margin alone.
fn margin_between(account: &Account, worst: Money, best: Money) -> Option<Worst> {
    if !account.bounds.checks_funds {
        return Some(Worst {
            margin_room: i128::MAX,
        });
    }
    let leverage = account.bounds.leverage();
    let room = |unrealised, percent: i64| {
        let funds = account.funds(unrealised).max(Money::ZERO).wide();
        funds.wrapping_mul(i128::from(leverage.wrapping_mul(percent)))
    };
    let held = match account.held_hundredfold(0) {
        Some(held) => i128::from(held),
        None => account.held_leveraged().wrapping_mul(100),
    };
    if account.margin_alerted {
        // Orders may end it at any time, so every message is looked at.
        return (held > room(best, recovery(WARN_PERCENT))).then_some(Worst { margin_room: NO_ROOM });
    }
    let margin_room = room(worst, WARN_PERCENT);
    (held <= margin_room).then_some(Worst { margin_room })
}

/// No margin is so small that it would not have to be looked at.
pub(crate) const NO_ROOM: i128 = i128::MIN;

/// Daily loss and drawdown between the worst and the best unrealised P&L: no alert goes up, none that is up comes down, and
/// nothing trips the kill switch.
fn keeps_its_limits(account: &Account, worst: Money, best: Money) -> bool {
    if account.state != TradingState::Normal {
        return true;
    }
    let keeps = |raised: bool, most: Money, least: Money, basis: Money, limit: Ratio| {
        if raised {
            exceeds(least, basis, limit, recovery(WARN_PERCENT)) && !exceeds(most, basis, limit, 100)
        } else {
            !exceeds(most, basis, limit, WARN_PERCENT)
        }
    };
    let loss = |unrealised| account.counted_pnl(unrealised).negated();
    // A new peak would end a drawdown.
    let peak = account.peak.max(account.current_value(best));
    let fall = |unrealised| peak.saturating_sub(account.current_value(unrealised));
    let keeps_daily = |limit| {
        keeps(
            account.daily_loss_alerted,
            loss(worst),
            loss(best),
            account.balance,
            limit,
        )
    };
    let keeps_fall = |limit| keeps(account.drawdown_alerted, fall(worst), fall(best), peak, limit);
    account
        .bounds
        .daily_loss()
        .map_or(!account.daily_loss_alerted, keeps_daily)
        && account
            .bounds
            .drawdown()
            .map_or(!account.drawdown_alerted, keeps_fall)
}

/// Whether a position's own loss stays within its limit at both ends, also with `spare` more of it.
pub(crate) fn is_quiet(
    position: &Position,
    account: &Account,
    (low, high): (Price, Price),
    spare: Money,
) -> bool {
    let Some(limit) = account.bounds.position_loss() else {
        return true;
    };
    let loss = |worth: Money| {
        let unrealised = worth.saturating_sub(position.cost);
        let net = position.realised.saturating_sub(position.charges);
        net.saturating_add(unrealised).negated()
    };
    let (at_low, at_high) = (position.value_at(low), position.value_at(high));
    if position.loss_alerted {
        spare == Money::ZERO && exceeds(loss(at_low.max(at_high)), account.balance, limit, recovery(100))
    } else {
        let loss = loss(at_low.min(at_high)).saturating_add(spare);
        !exceeds(loss, account.balance, limit, 100)
    }
}
