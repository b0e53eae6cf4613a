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
use crate::marking::{Spread, paise_between};
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
        if self.account_mut(id).band.take().is_some() {
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
        let worst = match (account.spread, account.band) {
            (Spread::Several, _) if account.banded => self.worst_of_legs(account),
            _ if account.held.gross == 0 => {
                let now = account.marks.unrealised;
                worst_between(account, now, now)
            }
            (Spread::One(instrument), Some(band)) => self.worst_within(id, instrument, band),
            _ => None,
        };
        let quiet = worst.is_some();
        self.account_mut(id).margin_room = worst.map_or(NO_ROOM, |worst| worst.margin_room);
        quiet
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
            let worst = self.worst_within(id, instrument, band)?;
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
            self.account_mut(id).margin_room = room;
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

    fn worst_within(&self, id: AccountId, instrument: InstrumentId, band: Band) -> Option<Worst> {
        let account = self.account_of(id);
        let domain = self.instrument_of(instrument).bands.domain();
        let ends = (domain.price_of(band.low), domain.price_of(band.high));
        let mut slot = self.newest_key(id, instrument);
        while slot != NIL {
            let position = self.positions.at(slot);
            if position.quantity != 0 && !is_quiet(position, account, ends) {
                return None;
            }
            slot = position.next_alike;
        }
        let now = account.marks.unrealised;
        let at = |price: Price| match account.mark {
            Some(mark) => {
                let moved = account.held.net.saturating_mul(paise_between(mark, price));
                now.saturating_add(Money::from_paise(moved))
            }
            None => now,
        };
        let (low, high) = (at(ends.0), at(ends.1));
        worst_between(account, low.min(high), low.max(high))
    }
}

/// What is left of an account whose positions gain between `worst` and `best`; `None` where an alert could go up or come down.
pub(crate) fn worst_between(account: &Account, worst: Money, best: Money) -> Option<Worst> {
    if account.state == TradingState::Normal && !keeps_its_limits(account, worst, best) {
        return None;
    }
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

/// Whether a position's own loss stays within its limit at both ends.
pub(crate) fn is_quiet(position: &Position, account: &Account, (low, high): (Price, Price)) -> bool {
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
        exceeds(loss(at_low.max(at_high)), account.balance, limit, recovery(100))
    } else {
        !exceeds(loss(at_low.min(at_high)), account.balance, limit, 100)
    }
}
