//! The checks of RISK.md, in its order: Layer A, then Layer B (`layer_b`), then what the book refuses. The first that
//! fails is the answer.

use engine::{
    AccountId, Cause, NewOrder, OrderType, PositionId, Price, Product, Ratio, RejectCode, Rejection,
    RiskLimits, Side, TimeInForce, TradingState,
};

use super::Oracle;
use super::state::{Paise, Shares};

const MILLION: i128 = 1_000_000;

/// An order as the checks see it.
pub struct Candidate {
    /// With stop and target on the tick grid.
    pub order: NewOrder,
    /// As it was sent.
    pub asked: NewOrder,
    /// The limit, or the protected price of a market order.
    pub price: Price,
    pub exit: Shares,
    pub entry: Shares,
    /// An open order's new form, which is no further order of the day.
    pub modifies: Option<Modified>,
    /// Why the engine places it by itself.
    pub cause: Option<Cause>,
}

/// What is special about an open order's new form.
#[derive(Clone, Copy)]
pub struct Modified {
    pub filled: Shares,
    /// Price and trigger stay: what is added, and how much of that as an order of its own would be no exit.
    pub increase: Option<(Shares, Shares)>,
}

pub fn rejection(code: RejectCode, observed: i128, limit: i128) -> Rejection {
    Rejection::new(code, narrow(observed), narrow(limit))
}

pub(super) fn detailed(
    code: RejectCode,
    observed: i128,
    limit: i128,
    basis: i128,
    ratio: Ratio,
) -> Rejection {
    Rejection {
        basis: narrow(basis),
        ratio,
        ..rejection(code, observed, limit)
    }
}

fn narrow(value: i128) -> i64 {
    i64::try_from(value).expect("a value of the tests' size")
}

impl Candidate {
    pub(super) fn price(&self) -> Paise {
        i128::from(self.price.paise())
    }

    pub(super) fn quantity(&self) -> Shares {
        self.exit + self.entry
    }

    /// With what is filled.
    pub(super) fn total(&self) -> Shares {
        self.quantity() + self.modifies.map_or(0, |modified| modified.filled)
    }

    /// What limits on one order measure: the order, or what an increase adds to it, and the part that is no exit.
    pub(super) fn measured(&self) -> (Shares, Shares) {
        let increase = self.modifies.and_then(|modified| modified.increase);
        increase.unwrap_or((self.quantity(), self.entry))
    }

    /// Pure exits are exempt from the checks that RISK.md marks with a star, and increases by one too.
    pub(super) fn enters(&self) -> bool {
        let (_, entry) = self.measured();
        entry > 0
    }
}

impl Oracle {
    /// Everything that can refuse an order, in order. The candidate's instrument and account exist.
    pub(super) fn refuse(&self, candidate: &Candidate) -> Option<Rejection> {
        self.refuse_by_risk(candidate)
            .or_else(|| self.check_attributes(candidate))
    }

    /// What can refuse an order that rested already, on the state without it.
    pub(super) fn refuse_modified(&self, candidate: &Candidate) -> Option<Rejection> {
        self.refuse_by_risk(candidate)
            .or_else(|| self.check_crossed(candidate))
            .or_else(|| self.check_post_only(candidate))
    }

    fn refuse_by_risk(&self, candidate: &Candidate) -> Option<Rejection> {
        if self.account(candidate.order.account).venue {
            self.check_session(candidate)
                .or_else(|| self.check_grid(candidate))
                .or_else(|| self.check_representable(candidate))
        } else {
            self.check_layer_a(candidate)
                .or_else(|| self.check_layer_b(candidate))
        }
    }

    /// Those that the candidate's strategy faces.
    pub(super) fn limits(&self, c: &Candidate) -> RiskLimits {
        self.limits_of(c.order.account, c.order.strategy)
    }

    fn check_layer_a(&self, c: &Candidate) -> Option<Rejection> {
        type Check = fn(&Oracle, &Candidate) -> Option<Rejection>;
        let checks: [(bool, Check); 10] = [
            (true, Oracle::check_balance),
            (true, Oracle::check_positions),
            (true, Oracle::check_risk_per_trade),
            (true, Oracle::check_daily_loss),
            (false, Oracle::check_stop_loss),
            (true, Oracle::check_reward),
            (true, Oracle::check_price_sanity),
            (false, Oracle::check_quantity),
            (true, Oracle::check_order_ratio),
            (false, Oracle::check_circuit),
        ];
        checks
            .iter()
            .filter(|(entries_only, _)| c.enters() || !entries_only)
            .find_map(|(_, check)| check(self, c))
    }

    /// Both sides times the leverage, so that nothing is rounded before it is compared.
    fn check_balance(&self, c: &Candidate) -> Option<Rejection> {
        let limits = &self.account(c.order.account).limits;
        let leverage = i128::from(limits.mis_leverage.max(1));
        let required = self.leveraged(c.order.account, c.order.product, c.price() * c.entry);
        let available = self.leveraged_funds(c.order.account);
        (limits.balance_check && required > available).then(|| {
            rejection(
                RejectCode::InsufficientBalance,
                divide_up(required, leverage),
                available.div_euclid(leverage),
            )
        })
    }

    /// Funds for a new entry (RISK.md, Funds).
    pub(super) fn available(&self, id: AccountId) -> Paise {
        let leverage = i128::from(self.account(id).limits.mis_leverage.max(1));
        self.leveraged_funds(id).div_euclid(leverage)
    }

    fn leveraged_funds(&self, id: AccountId) -> Paise {
        let leverage = i128::from(self.account(id).limits.mis_leverage.max(1));
        self.cash(id) * leverage - self.leveraged_margins(id).0
    }

    /// What there would be to trade with if nothing were held.
    pub(super) fn cash(&self, id: AccountId) -> Paise {
        let account = self.account(id);
        account.balance + account.realised - account.charges + self.account_unrealised(id).min(0)
    }

    /// Margin of positions and open entries × leverage, and the leverage.
    pub(super) fn leveraged_margins(&self, id: AccountId) -> (Paise, Paise) {
        let leverage = i128::from(self.account(id).limits.mis_leverage.max(1));
        let held = self.leveraged_position_margin(id) + self.leveraged_order_margin(id);
        (held, leverage)
    }

    /// Margin × leverage.
    fn leveraged(&self, id: AccountId, product: Product, notional: Paise) -> Paise {
        match product {
            Product::Mis => notional,
            Product::Cnc => notional * i128::from(self.account(id).limits.mis_leverage.max(1)),
        }
    }

    fn leveraged_position_margin(&self, id: AccountId) -> Paise {
        self.positions_of(id)
            .map(|(_, p)| self.leveraged(id, p.product, p.cost.abs()))
            .sum()
    }

    fn leveraged_order_margin(&self, id: AccountId) -> Paise {
        self.open_orders(id)
            .map(|(_, o)| {
                self.leveraged(
                    id,
                    o.request.product,
                    o.entry_leaves() * i128::from(o.limit.paise()),
                )
            })
            .sum()
    }

    /// Margins of positions and of open entries, rounded up to the paisa.
    pub(super) fn margins(&self, id: AccountId) -> (Paise, Paise) {
        let leverage = i128::from(self.account(id).limits.mis_leverage.max(1));
        (
            divide_up(self.leveraged_position_margin(id), leverage),
            divide_up(self.leveraged_order_margin(id), leverage),
        )
    }

    fn check_positions(&self, c: &Candidate) -> Option<Rejection> {
        let limit = i128::from(self.limits(c).positions_max?);
        let slots = self.position_slots(c.order.account);
        let key = self.position_key(&c.order);
        let opens = !key.is_some_and(|key| slots.contains(&key));
        let count = slots.len() as i128;
        (opens && count >= limit).then(|| rejection(RejectCode::PositionLimit, count, limit))
    }

    /// Positions that are open or have an entry waiting.
    fn position_slots(&self, account: AccountId) -> Vec<PositionId> {
        self.positions_of(account)
            .filter(|(id, position)| {
                let waits = || {
                    self.open_orders(account)
                        .any(|(_, o)| o.position == *id && o.entry_leaves() > 0)
                };
                position.quantity != 0 || waits()
            })
            .map(|(id, _)| id)
            .collect()
    }

    fn check_risk_per_trade(&self, c: &Candidate) -> Option<Rejection> {
        let account = self.account(c.order.account);
        let ratio = self.limits(c).risk_per_trade_max?;
        let stop = i128::from(c.order.stop_loss?.paise());
        let (_, entry) = c.measured();
        let risk = (c.price() - stop).abs() * entry;
        let most = account.balance * i128::from(ratio.ppm());
        (risk * MILLION > most).then(|| {
            let limit = most.div_euclid(MILLION);
            detailed(RejectCode::RiskPerTrade, risk, limit, account.balance, ratio)
        })
    }

    fn check_daily_loss(&self, c: &Candidate) -> Option<Rejection> {
        let account = self.account(c.order.account);
        let ratio = self.limits(c).daily_loss_max?;
        let loss = self.loss_today(c.order.account);
        let most = account.balance * i128::from(ratio.ppm());
        (loss * MILLION > most).then(|| {
            let limit = most.div_euclid(MILLION);
            detailed(RejectCode::DailyLossLimit, loss, limit, account.balance, ratio)
        })
    }

    fn check_stop_loss(&self, c: &Candidate) -> Option<Rejection> {
        if !self.limits(c).stop_loss_required {
            return None;
        }
        let Some(stop) = c.order.stop_loss else {
            return c.enters().then(|| Rejection::bare(RejectCode::StopLossMissing));
        };
        let stop = i128::from(stop.paise());
        match c.order.side {
            Side::Buy if stop >= c.price() => {
                Some(rejection(RejectCode::StopLossNotBelowEntry, stop, c.price()))
            }
            Side::Sell if stop <= c.price() => {
                Some(rejection(RejectCode::StopLossNotAboveEntry, stop, c.price()))
            }
            _ => None,
        }
    }

    fn check_reward(&self, c: &Candidate) -> Option<Rejection> {
        let ratio = self.limits(c).risk_reward_min?;
        let stop = i128::from(c.order.stop_loss?.paise());
        let target = i128::from(c.order.take_profit?.paise());
        let risk = (c.price() - stop).abs();
        let reward = (target - c.price()).abs();
        if risk == 0 {
            return Some(Rejection::bare(RejectCode::RiskZero));
        }
        let limit = (risk * i128::from(ratio.ppm())).div_euclid(MILLION);
        (reward * MILLION < risk * i128::from(ratio.ppm()))
            .then(|| detailed(RejectCode::RiskRewardRatio, reward, limit, risk, ratio))
    }

    fn check_price_sanity(&self, c: &Candidate) -> Option<Rejection> {
        let ratio = self.limits(c).price_sanity_max?;
        let last = i128::from(self.instrument(c.order.instrument).last_price?.paise());
        let limit = (last * i128::from(ratio.ppm())).div_euclid(MILLION);
        ((c.price() - last).abs() * MILLION > last * i128::from(ratio.ppm()))
            .then(|| detailed(RejectCode::PriceSanity, c.price(), limit, last, ratio))
    }

    fn check_quantity(&self, c: &Candidate) -> Option<Rejection> {
        let limit = i128::from(self.limits(c).order_quantity_max?);
        let (quantity, _) = c.measured();
        (c.enters() && quantity > limit).then(|| rejection(RejectCode::QuantityAboveLimit, quantity, limit))
    }

    fn check_order_ratio(&self, c: &Candidate) -> Option<Rejection> {
        let account = c.order.account;
        let per_position = i128::from(self.limits(c).orders_per_position_max?);
        let orders = self
            .open_orders(account)
            .filter(|(_, o)| o.entry_leaves() > 0)
            .count() as i128;
        let positions = self
            .positions_of(account)
            .filter(|(_, p)| p.quantity != 0)
            .count() as i128;
        (orders >= per_position * positions.max(1)).then(|| {
            detailed(
                RejectCode::OrderToPositionRatio,
                orders,
                per_position,
                positions,
                Ratio::ZERO,
            )
        })
    }

    fn check_circuit(&self, c: &Candidate) -> Option<Rejection> {
        let blocked = match self.state_of(c.order.account, c.order.strategy) {
            TradingState::Normal => false,
            TradingState::Reducing => c.enters(),
            TradingState::Halted => true,
        };
        blocked.then(|| Rejection::bare(RejectCode::CircuitBreaker))
    }

    /// What the book refuses whoever sends it.
    fn check_attributes(&self, c: &Candidate) -> Option<Rejection> {
        let order = &c.order;
        let immediate = matches!(order.time_in_force, TimeInForce::Ioc | TimeInForce::Fok);
        let market = order.order_type == OrderType::Market;
        let stop = order.order_type.trigger().is_some();
        let fok = order.time_in_force == TimeInForce::Fok;
        let contradicts = order.post_only && (immediate || market || order.minimum.is_some())
            || order.disclosed.is_some() && immediate
            || stop && (order.post_only || order.minimum.is_some() || fok);
        if contradicts {
            return Some(Rejection::bare(RejectCode::Incompatible));
        }
        if let Some(disclosed) = order.disclosed {
            let disclosed = i128::from(disclosed.shares());
            if disclosed < 1 || disclosed > c.quantity() {
                return Some(rejection(RejectCode::DisclosedQuantity, disclosed, c.quantity()));
            }
        }
        if let Some(minimum) = order.minimum {
            let minimum = i128::from(minimum.shares());
            if minimum < 1 || minimum > c.quantity() {
                return Some(rejection(RejectCode::MinimumQuantity, minimum, c.quantity()));
            }
        }
        match order.time_in_force {
            TimeInForce::Gtd(until) if until <= self.time => {
                Some(Rejection::bare(RejectCode::GoodTillInPast))
            }
            _ => self
                .check_order_capacity(c)
                .or_else(|| self.check_position_capacity(c))
                .or_else(|| self.check_against_book(c)),
        }
    }

    /// An entry's trigger that is crossed already.
    fn check_crossed(&self, c: &Candidate) -> Option<Rejection> {
        let (trigger, last) = self.crossed(&c.order)?;
        let paise = |price: Price| i128::from(price.paise());
        (c.entry > 0).then(|| rejection(RejectCode::TriggerCrossed, paise(trigger), paise(last)))
    }

    /// The limit of LIMIT and SL; the protected price of MARKET and SL-M, which need a last price.
    pub(super) fn check_price(
        &self,
        instrument: engine::InstrumentId,
        side: Side,
        order_type: OrderType,
    ) -> Option<Price> {
        match order_type {
            OrderType::Limit(price) | OrderType::Stop { limit: price, .. } => Some(price),
            OrderType::Market => self.protected_price(instrument, side),
            OrderType::StopMarket { trigger } => {
                self.instrument(instrument).last_price?;
                Some(self.protection(instrument, side, trigger))
            }
        }
    }

    fn check_post_only(&self, c: &Candidate) -> Option<Rejection> {
        let best = self.would_cross(c.order.instrument, c.order.side, c.price)?;
        (c.order.post_only).then(|| {
            rejection(
                RejectCode::PostOnlyWouldCross,
                c.price(),
                i128::from(best.paise()),
            )
        })
    }

    fn check_against_book(&self, c: &Candidate) -> Option<Rejection> {
        let order = &c.order;
        let refused = self.check_crossed(c).or_else(|| self.check_post_only(c));
        if let Some(refused) = refused {
            return Some(refused);
        }
        if order.time_in_force != TimeInForce::Fok && order.minimum.is_none() {
            return None;
        }
        let tradable = self.tradable(order, c.price);
        let (wanted, code) = match (order.time_in_force, order.minimum) {
            (TimeInForce::Fok, _) | (_, None) => (c.quantity(), RejectCode::FillOrKill),
            (_, Some(minimum)) => (i128::from(minimum.shares()), RejectCode::MinimumQuantity),
        };
        (tradable < wanted).then(|| rejection(code, wanted, tradable))
    }

    /// The limit that a market order works at: some way through the last traded price, on the tick grid towards it,
    /// inside the band (RISK.md, `market_protection`).
    pub(super) fn protected_price(&self, instrument: engine::InstrumentId, side: Side) -> Option<Price> {
        let last = self.instrument(instrument).last_price?;
        Some(self.protection(instrument, side, last))
    }

    /// The same way through another price.
    fn protection(&self, instrument: engine::InstrumentId, side: Side, from: Price) -> Price {
        let instrument = self.instrument(instrument);
        let last = i128::from(from.paise());
        let share = match last {
            ..10_000 => 20_000,
            10_000..=50_000 => 10_000,
            _ => 5_000,
        };
        let grid = instrument.tick() * MILLION;
        let through = match side {
            Side::Buy => (last * (MILLION + share)).div_euclid(grid) * instrument.tick(),
            Side::Sell => divide_up(last * (MILLION - share), grid) * instrument.tick(),
        };
        let (low, high) = instrument.band();
        let price = through.max(low).min(high);
        Price::from_paise_clamped(narrow(price))
    }

    /// How much of an order would only reduce the open position, given the exits that already rest.
    pub(super) fn exit_part(&self, order: &NewOrder) -> Shares {
        let Some(id) = self.position_key(order) else {
            return 0;
        };
        let held = self.position(id).quantity;
        if held.signum() != -i128::from(order.side.sign()) {
            return 0;
        }
        (held.abs() - self.resting_exits(id)).clamp(0, i128::from(order.quantity.shares()))
    }

    pub(super) fn resting_exits(&self, id: PositionId) -> Shares {
        self.open()
            .filter(|(_, o)| o.position == id)
            .map(|(_, o)| o.exit_leaves)
            .sum()
    }
}

/// Division rounded up, for a positive divisor.
fn divide_up(dividend: i128, divisor: i128) -> i128 {
    -(-dividend).div_euclid(divisor)
}
