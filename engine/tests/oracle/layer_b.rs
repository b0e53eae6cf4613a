//! Layer B of RISK.md in the order of its table. An exit faces session, tick, lot, band, freeze and holdings only.

use engine::{AccountId, Product, Ratio, RejectCode, Rejection, Side, StrategyId};

use super::Oracle;
use super::risk::{Candidate, detailed, rejection};
use super::state::{Paise, Shares};

const MILLION: i128 = 1_000_000;
const SECOND: i128 = 1_000_000_000;
/// VENUE.md, Caps: ₹10 crore an order.
const VENUE_ORDER_VALUE_MAX: Paise = 10_000_000_000;
/// Orders that are remembered for bursts.
const RECENT_ORDERS: usize = 16;

impl Oracle {
    pub(super) fn check_layer_b(&self, c: &Candidate) -> Option<Rejection> {
        type Check = fn(&Oracle, &Candidate) -> Option<Rejection>;
        let checks: [(bool, Check); 17] = [
            (true, Oracle::check_banned),
            (true, Oracle::check_product),
            (false, Oracle::check_session),
            (false, Oracle::check_grid),
            (true, Oracle::check_protection_age),
            (true, Oracle::check_reference_age),
            (true, Oracle::check_order_value),
            (false, Oracle::check_freeze),
            (true, Oracle::check_open_order_value),
            (true, Oracle::check_gross_exposure),
            (true, Oracle::check_net_exposure),
            (true, Oracle::check_symbol_position),
            (false, Oracle::check_holdings),
            (true, Oracle::check_rate),
            (true, Oracle::check_daily_orders),
            (true, Oracle::check_burst),
            (true, Oracle::check_executions),
        ];
        checks
            .iter()
            .filter(|(entries_only, _)| c.enters() || !entries_only)
            .find_map(|(_, check)| check(self, c))
    }

    fn check_banned(&self, c: &Candidate) -> Option<Rejection> {
        let banned = self.instrument(c.order.instrument).definition.banned;
        banned.then(|| Rejection::bare(RejectCode::Banned))
    }

    fn check_product(&self, c: &Candidate) -> Option<Rejection> {
        let allowed = self.instrument(c.order.instrument).definition.mis_allowed;
        (c.order.product == Product::Mis && !allowed).then(|| Rejection::bare(RejectCode::MisNotAllowed))
    }

    /// Tick, lot and band.
    pub(super) fn check_grid(&self, c: &Candidate) -> Option<Rejection> {
        let instrument = self.instrument(c.order.instrument);
        let trigger = c
            .order
            .order_type
            .trigger()
            .map(|price| i128::from(price.paise()));
        let prices = || [c.price()].into_iter().chain(trigger);
        if let Some(off) = prices().find(|price| price % instrument.tick() != 0) {
            return Some(rejection(RejectCode::TickSize, off, instrument.tick()));
        }
        let lot = i128::from(instrument.definition.lot_size.shares());
        if c.total() % lot != 0 {
            return Some(rejection(RejectCode::LotSize, c.total(), lot));
        }
        prices().find_map(|price| self.check_band(c.order.instrument, price))
    }

    fn check_band(&self, instrument: engine::InstrumentId, price: Paise) -> Option<Rejection> {
        let (low, high) = self.instrument(instrument).band();
        (price < low || price > high).then(|| detailed(RejectCode::PriceBand, price, low, high, Ratio::ZERO))
    }

    fn check_order_value(&self, c: &Candidate) -> Option<Rejection> {
        let above = |entry: Shares, limit: Paise| {
            let value = c.price() * entry;
            (value > limit).then(|| rejection(RejectCode::OrderValue, value, limit))
        };
        let (_, entry) = c.measured();
        let profile = self.limits(c).order_value_max.map(|limit| limit.wide());
        profile
            .filter(|&limit| limit < VENUE_ORDER_VALUE_MAX)
            .and_then(|limit| above(entry, limit))
            .or_else(|| above(c.total() - c.exit, VENUE_ORDER_VALUE_MAX))
    }

    fn check_freeze(&self, c: &Candidate) -> Option<Rejection> {
        let freeze = self.instrument(c.order.instrument).definition.freeze_quantity;
        let freeze = i128::from(freeze.shares());
        (c.total() > freeze).then(|| rejection(RejectCode::FreezeQuantity, c.total(), freeze))
    }

    /// Σ limit × quantity of what would still open positions.
    fn open_entries(&self, account: AccountId) -> Paise {
        self.open_orders(account)
            .map(|(_, o)| o.entry_leaves() * i128::from(o.limit.paise()))
            .sum()
    }

    fn check_open_order_value(&self, c: &Candidate) -> Option<Rejection> {
        let limit = self.limits(c).open_order_value_max?.wide();
        let value = self.open_entries(c.order.account) + c.price() * c.entry;
        (value > limit).then(|| rejection(RejectCode::OpenOrderValue, value, limit))
    }

    /// What each position of an account is worth at the last price, shorts negative.
    fn exposures(&self, account: AccountId) -> Vec<Paise> {
        self.positions_of(account)
            .filter_map(|(_, position)| {
                let mark = self.instrument(position.instrument).last_price?;
                Some(position.quantity * i128::from(mark.paise()))
            })
            .collect()
    }

    fn check_gross_exposure(&self, c: &Candidate) -> Option<Rejection> {
        let account = c.order.account;
        let ratio = self.limits(c).gross_exposure_max?;
        let held: Paise = self.exposures(account).iter().map(|value| value.abs()).sum();
        let working = self.open_entries(account);
        self.check_exposure(
            c,
            RejectCode::GrossExposure,
            held + working + c.price() * c.entry,
            ratio,
        )
    }

    fn check_net_exposure(&self, c: &Candidate) -> Option<Rejection> {
        let account = c.order.account;
        let ratio = self.limits(c).net_exposure_max?;
        let held: Paise = self.exposures(account).iter().sum();
        let added = i128::from(c.order.side.sign()) * c.price() * c.entry;
        let working = self.open_entries(account);
        self.check_exposure(c, RejectCode::NetExposure, (held + added).abs() + working, ratio)
    }

    fn check_exposure(
        &self,
        c: &Candidate,
        code: RejectCode,
        value: Paise,
        ratio: Ratio,
    ) -> Option<Rejection> {
        let balance = self.account(c.order.account).balance;
        let most = balance * i128::from(ratio.ppm());
        (value * MILLION > most).then(|| detailed(code, value, most.div_euclid(MILLION), balance, ratio))
    }

    /// |position + open orders of the side + this one|.
    fn worst_position(&self, c: &Candidate) -> Shares {
        let position = self.position_key(&c.order);
        let held = position.map_or(0, |id| self.position(id).quantity);
        let resting: Shares = self
            .open_orders(c.order.account)
            .filter(|(_, o)| Some(o.position) == position && o.request.side == c.order.side)
            .map(|(_, o)| o.leaves)
            .sum();
        (held + i128::from(c.order.side.sign()) * (resting + c.quantity())).abs()
    }

    fn check_symbol_position(&self, c: &Candidate) -> Option<Rejection> {
        let own = self.limits(c).symbol_position_max;
        let most = i128::from(engine::limits::POSITION_QUANTITY_MAX);
        let limit = own.map_or(most, |own| most.min(i128::from(own)));
        let worst = self.worst_position(c);
        (worst > limit).then(|| rejection(RejectCode::SymbolPosition, worst, limit))
    }

    /// What a venue account faces too: a position that its exact cost can still represent.
    pub(super) fn check_representable(&self, c: &Candidate) -> Option<Rejection> {
        let limit = i128::from(engine::limits::POSITION_QUANTITY_MAX);
        let worst = self.worst_position(c);
        (worst > limit).then(|| rejection(RejectCode::SymbolPosition, worst, limit))
    }

    /// CNC sells never go short.
    fn check_holdings(&self, c: &Candidate) -> Option<Rejection> {
        (c.order.product == Product::Cnc && c.order.side == Side::Sell && c.entry > 0)
            .then(|| rejection(RejectCode::Holdings, c.quantity(), c.exit))
    }

    fn check_rate(&self, c: &Candidate) -> Option<Rejection> {
        let of_account = self.account(c.order.account).limits.orders_per_second_max;
        let missing = self.rate_missing(c.order.account);
        let full = |rate: u32, missing: i128| {
            let rate = i128::from(rate);
            let fits = missing + share(rate) <= rate * share(rate);
            (!fits).then(|| rejection(RejectCode::OrderRate, missing / share(rate) + 1, rate))
        };
        of_account.and_then(|rate| full(rate, missing)).or_else(|| {
            let own = self.own_limits(c.order.account, c.order.strategy)?;
            let elapsed = i128::from(self.time.saturating_since(own.rate_time));
            full(
                own.limits.orders_per_second_max?,
                (own.rate_missing - elapsed).max(0),
            )
        })
    }

    /// Whole orders that the bucket lacks, and how many it holds, where the account's rate is limited.
    pub(super) fn rate_taken(&self, account: AccountId) -> Option<(i128, i128)> {
        let rate = i128::from(self.account(account).limits.orders_per_second_max?);
        Some((self.rate_missing(account) / share(rate), rate))
    }

    fn check_daily_orders(&self, c: &Candidate) -> Option<Rejection> {
        let account = self.account(c.order.account);
        let limit = i128::from(self.limits(c).daily_orders_max?);
        (c.modifies.is_none() && account.orders_today >= limit)
            .then(|| rejection(RejectCode::DailyOrders, account.orders_today + 1, limit))
    }

    /// Identical orders of less than a second ago, this one included.
    fn check_burst(&self, c: &Candidate) -> Option<Rejection> {
        let account = self.account(c.order.account);
        let limit = i128::from(self.limits(c).duplicate_burst_max?);
        let like = |o: &&super::state::RecentOrder| {
            o.instrument == c.order.instrument
                && o.side == c.order.side
                && o.quantity == c.order.quantity
                && o.price == c.price
                && i128::from(self.time.saturating_since(o.at)) < SECOND
        };
        let remembered = account.recent.iter().rev().take(RECENT_ORDERS);
        let count = remembered.filter(like).count() as i128 + 1;
        (c.modifies.is_none() && count >= limit)
            .then(|| rejection(RejectCode::DuplicateBurst, count, limit - 1))
    }

    fn check_executions(&self, c: &Candidate) -> Option<Rejection> {
        let limit = self.limits(c).repeated_executions_max?;
        let count = self.executions(c.order.account, c.order.strategy, c.order.side);
        (count > limit).then(|| {
            rejection(
                RejectCode::RepeatedExecution,
                i128::from(count),
                i128::from(limit),
            )
        })
    }

    /// What the bucket lacks, in nanoseconds; each one that passes gives one back.
    fn rate_missing(&self, account: AccountId) -> i128 {
        let account = self.account(account);
        let elapsed = i128::from(self.time.saturating_since(account.rate_time));
        (account.rate_missing - elapsed).max(0)
    }

    /// An exit is never refused for its rate, but it counts.
    pub(super) fn take_rate_token(&mut self, account: AccountId, strategy: StrategyId) {
        let now = self.time;
        if let Some(own) = self.limited.get_mut(&(account, strategy))
            && let Some(rate) = own.limits.orders_per_second_max
        {
            let rate = i128::from(rate);
            let elapsed = i128::from(now.saturating_since(own.rate_time));
            let missing = (own.rate_missing - elapsed).max(0);
            own.rate_missing = (missing + share(rate)).min(rate * share(rate));
            own.rate_time = now;
        }
        let Some(rate) = self.account(account).limits.orders_per_second_max else {
            return;
        };
        let rate = i128::from(rate);
        let missing = (self.rate_missing(account) + share(rate)).min(rate * share(rate));
        let now = self.time;
        let account = self.account_mut(account);
        account.rate_missing = missing;
        account.rate_time = now;
    }
}

/// What an order takes of a second, in nanoseconds.
fn share(rate: i128) -> i128 {
    SECOND.checked_div(rate).unwrap_or(SECOND)
}
