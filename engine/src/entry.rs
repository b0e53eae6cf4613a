//! New orders: idempotency, the risk pass, the book's own conditions, reservation, and the way into matching.

use crate::arena::{NIL, Slots, index};
use crate::command::NewOrder;
use crate::engine::{Engine, Task};
use crate::event::{Event, EventBuffer, OrderAccepted, OrderRejected, OrderRepeated};
use crate::idempotency::{Remembered, payload_digest};
use crate::ids::{AccountId, InstrumentId, OrderId};
use crate::lane::{Verdict, Warnings};
use crate::lists::List;
use crate::order::{Lookup, Order};
use crate::position::Positions;
use crate::rejection::{Refusal, RejectCode, Rejection};
use crate::reservation;
use crate::risk::{self, Ask, ExplainedCheck, Ground, Plan, Released, Subject};
use crate::state_hash::Digested;
use crate::strategy_limits::StrategyLimits;
use crate::terms::{OrderStatus, OrderType, SelfTrade, Side, TimeInForce, TradingState};
use crate::text::ClientOrderId;
use crate::units::{Money, Price, Quantity, Timestamp};

/// An order of this command whose outcome is kept for repeats of its `client_order_id`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remembering {
    account: AccountId,
    client_order_id: ClientOrderId,
    order: OrderId,
    payload: u64,
}

/// `bound` orders are open.
pub(crate) fn order_capacity(bound: u32) -> Rejection {
    let limit = i64::from(bound);
    Rejection::new(RejectCode::OrderCapacity, limit.saturating_add(1), limit)
}

impl Engine {
    pub(crate) fn new_order(&mut self, order: &NewOrder, out: &mut EventBuffer) -> Result<(), Refusal> {
        self.known_account(order.account)?;
        self.known_instrument(order.instrument)?;
        if !order.client_order_id.is_empty() && self.repeat_outcome(order, out)? {
            return Ok(());
        }
        match self.assess(order, self.time).0 {
            Ok(plan) => {
                let slot = self.accept(order, plan, out);
                self.remember_later(order, self.orders.at(slot).id);
                if order.order_type.trigger().is_some() {
                    self.arm_order(slot);
                } else {
                    self.active = Some(Task::Match(slot));
                }
                self.message_of = Some(order.account);
            }
            Err(rejection) => self.reject(order, rejection, out),
        }
        Ok(())
    }

    /// Answers a repeated `client_order_id` as it was answered before; `false` where this is its first use.
    fn repeat_outcome(&self, order: &NewOrder, out: &mut EventBuffer) -> Result<bool, Refusal> {
        let Some(first) = self.client_order_ids.find(order.account, &order.client_order_id) else {
            return Ok(false);
        };
        if first.payload != payload_digest(order) {
            return Err(Refusal::Rejected(Rejection::bare(
                RejectCode::ClientOrderIdReused,
            )));
        }
        if !self.account_of(order.account).venue {
            out.push(Event::OrderRepeated(OrderRepeated {
                order: first.order,
                account: order.account,
                status: first.status,
                rejection: first.rejection,
            }));
        }
        Ok(true)
    }

    /// Everything that can refuse an order, in order, without changing anything.
    pub(crate) fn verdict(&self, order: &NewOrder, now: Timestamp) -> Verdict {
        if self.known_account(order.account).is_err() {
            return Verdict {
                rejection: Some(Rejection::bare(RejectCode::UnknownAccount)),
                ..Verdict::default()
            };
        }
        if self.known_instrument(order.instrument).is_err() {
            return Verdict {
                rejection: Some(Rejection::bare(RejectCode::UnknownInstrument)),
                ..Verdict::default()
            };
        }
        let (plan, warnings) = self.assess(order, now);
        Verdict {
            rejection: plan.err(),
            warnings,
        }
    }

    /// Every check of the risk pass on its own, in order; empty for an unknown account or instrument.
    pub(crate) fn explanation(
        &self,
        order: &NewOrder,
        now: Timestamp,
        mut report: impl FnMut(ExplainedCheck),
    ) {
        if self.known_account(order.account).is_ok() && self.known_instrument(order.instrument).is_ok() {
            risk::explain(&self.subject(order, now)).for_each(&mut report);
        }
    }

    fn subject<'a>(&'a self, order: &'a NewOrder, now: Timestamp) -> Subject<'a> {
        let position = self
            .positions
            .find(order.account, order.instrument, order.strategy, order.product);
        let account = self.account_of(order.account);
        let strategy = self.strategy_limits_of(order.account, order.strategy);
        let limits = strategy.map_or(&account.limits, |strategy| &strategy.in_force);
        Subject {
            order,
            account,
            limits,
            bucket: strategy.and_then(StrategyLimits::bucket),
            marks: self.marks_of(account),
            instrument: self.instrument_of(order.instrument),
            position: position.map(|slot| self.positions.at(slot)),
            revises: None,
            state: self.state_for(order.account, order.strategy),
            gate: self.gate_of(order.instrument),
            now,
            executions: account.executions_of(order.strategy, order.side, limits, now),
        }
    }

    #[inline]
    fn assess(&self, order: &NewOrder, now: Timestamp) -> (Result<Plan, Rejection>, Warnings) {
        let usual = self.assess_usual(order, now);
        debug_assert!(
            usual.is_none_or(|(plan, _)| self.assess_one_by_one(order, now) == (Ok(plan), Warnings::NONE)),
            "the short way let through what the checks do not"
        );
        match usual {
            Some((plan, _)) => (Ok(plan), Warnings::NONE),
            None => self.assess_one_by_one(order, now),
        }
    }

    /// The plan of a usual order that certainly passes, and its position key, if it has one yet.
    #[inline(always)]
    pub(crate) fn assess_usual(&self, order: &NewOrder, now: Timestamp) -> Option<(Plan, Option<u32>)> {
        let ask = Ask::of(order)?;
        self.instrument_of(order.instrument).last_price?;
        let position = self.key_of(order);
        let ground = self.ground(order.account, order.instrument, position, now)?;
        let plan = risk::usual::plan(&ask, &ground, &Released::default())?;
        let sides = &ground.instrument.sides;
        let fits = plan.tick.is_some_and(|tick| sides.can_rest(order.side, tick))
            && self.orders.open() < self.orders.bound(false)
            && (order.client_order_id.is_empty() || self.client_order_ids.has_room(order.account, false))
            && (position.is_some() || self.positions.has_room());
        fits.then_some((plan, position))
    }

    /// The slot of an order's position key: that of the account's last order of this side, or any other.
    #[inline(always)]
    fn key_of(&self, order: &NewOrder) -> Option<u32> {
        let [buy, sell] = self.account_of(order.account).last_keys;
        let last = match order.side {
            Side::Buy => buy,
            Side::Sell => sell,
        };
        let keys = self.positions.keys();
        if keys.get(index(last)).is_some_and(|key| key.is_of(order)) {
            return Some(last);
        }
        self.positions
            .find(order.account, order.instrument, order.strategy, order.product)
    }

    /// What the short way looks at; `None` where something is out of the ordinary for everyone or the account.
    #[inline(always)]
    pub(crate) fn ground(
        &self,
        account: AccountId,
        instrument: InstrumentId,
        position: Option<u32>,
        now: Timestamp,
    ) -> Option<Ground<'_>> {
        let holder = self.account_of(account);
        let normal = (self.state == TradingState::Normal)
            & (holder.state == TradingState::Normal)
            & !holder.strategy_killed
            & !holder.strategy_limited;
        let instrument = self.instrument_of(instrument);
        let is_open = self.session.takes_intraday(instrument.definition.derivatives);
        (normal & is_open).then(|| Ground {
            engine: self,
            account: holder,
            instrument,
            position: position.map(|slot| self.positions.at(slot)),
            now,
        })
    }

    #[inline(never)]
    fn assess_one_by_one(&self, order: &NewOrder, now: Timestamp) -> (Result<Plan, Rejection>, Warnings) {
        let subject = self.subject(order, now);
        let new_key = subject.position.is_none();
        let (plan, warnings) = risk::evaluate(&subject);
        let plan = plan.and_then(|plan| {
            self.attribute_checks(order, now)?;
            self.capacity_checks(order, &plan, new_key)?;
            self.book_checks(order, &plan)?;
            Ok(plan)
        });
        (plan, warnings)
    }

    /// Attributes that contradict each other or the quantity.
    fn attribute_checks(&self, order: &NewOrder, now: Timestamp) -> Result<(), Rejection> {
        let immediate = matches!(order.time_in_force, TimeInForce::Ioc | TimeInForce::Fok);
        let is_market = matches!(order.order_type, OrderType::Market);
        // What is decided against the book as it is cannot wait for a trigger.
        let is_stop = order.order_type.trigger().is_some();
        let at_once =
            order.post_only || order.minimum.is_some() || matches!(order.time_in_force, TimeInForce::Fok);
        let contradiction = order.post_only && (immediate || is_market || order.minimum.is_some())
            || order.disclosed.is_some() && immediate
            || is_stop && at_once;
        if contradiction {
            return Err(Rejection::bare(RejectCode::Incompatible));
        }
        let quantity = i64::from(order.quantity.shares());
        let within = |part: Quantity| !part.is_zero() && part <= order.quantity;
        if let Some(disclosed) = order.disclosed.filter(|&disclosed| !within(disclosed)) {
            let observed = i64::from(disclosed.shares());
            return Err(Rejection::new(RejectCode::DisclosedQuantity, observed, quantity));
        }
        if let Some(minimum) = order.minimum.filter(|&minimum| !within(minimum)) {
            return Err(Rejection::new(
                RejectCode::MinimumQuantity,
                i64::from(minimum.shares()),
                quantity,
            ));
        }
        match order.time_in_force {
            TimeInForce::Gtd(until) if until <= now => Err(Rejection::bare(RejectCode::GoodTillInPast)),
            _ => Ok(()),
        }
    }

    fn capacity_checks(&self, order: &NewOrder, plan: &Plan, new_key: bool) -> Result<(), Rejection> {
        let sides = &self.instrument_of(order.instrument).sides;
        let can_rest = plan.tick.is_some_and(|tick| sides.can_rest(order.side, tick));
        let is_exit = plan.exit_quantity == order.quantity.shares();
        let bound = self.orders.bound(is_exit);
        if self.orders.open() >= bound || !can_rest {
            return Err(order_capacity(bound));
        }
        let full = self.client_order_ids.full_at(order.account, is_exit);
        if let Some(limit) = full.filter(|_| !order.client_order_id.is_empty()) {
            let limit = i64::from(limit);
            return Err(Rejection::new(
                RejectCode::ClientOrderIdCapacity,
                limit.saturating_add(1),
                limit,
            ));
        }
        if new_key && !self.positions.has_room() {
            let limit = i64::from(self.positions.capacity());
            return Err(Rejection::new(
                RejectCode::PositionCapacity,
                limit.saturating_add(1),
                limit,
            ));
        }
        Ok(())
    }

    /// Trigger, post-only, fill-or-kill and minimum quantity, against the market as it is.
    pub(crate) fn book_checks(&self, order: &NewOrder, plan: &Plan) -> Result<(), Rejection> {
        let instrument = self.instrument_of(order.instrument);
        let exit = Quantity::clamped(i64::from(plan.exit_quantity));
        if let Some((trigger, last)) = Engine::crossed_trigger(instrument, order, exit) {
            let (trigger, last) = (i64::from(trigger.paise()), i64::from(last.paise()));
            return Err(Rejection::new(RejectCode::TriggerCrossed, trigger, last));
        }
        if order.post_only {
            let touch = instrument.sides.best_price(order.side.opposite());
            let crosses = |touch: Price| match order.side {
                Side::Buy => touch <= plan.limit,
                Side::Sell => touch >= plan.limit,
            };
            if let Some(touch) = touch.filter(|&touch| crosses(touch)) {
                let limit = i64::from(plan.limit.paise());
                return Err(Rejection::new(
                    RejectCode::PostOnlyWouldCross,
                    limit,
                    i64::from(touch.paise()),
                ));
            }
        }
        let (wanted, code) = match (order.time_in_force, order.minimum) {
            (TimeInForce::Fok, _) => (order.quantity.shares(), RejectCode::FillOrKill),
            (_, Some(minimum)) => (minimum.shares(), RejectCode::MinimumQuantity),
            _ => return Ok(()),
        };
        let available = self.tradable_at_once(order, plan.limit, wanted);
        if available < u64::from(wanted) {
            let available = i64::try_from(available).unwrap_or(i64::MAX);
            return Err(Rejection::new(code, i64::from(wanted), available));
        }
        Ok(())
    }

    /// Quantity of other accounts' orders that the order is sure to trade with, counted up to `wanted`. A policy that stops
    /// at the account's own order ends the count there: what others of that level hide comes behind it.
    fn tradable_at_once(&self, order: &NewOrder, limit: Price, wanted: u32) -> u64 {
        let instrument = self.instrument_of(order.instrument);
        let policy = self.account_of(order.account).limits.self_trade;
        let stops = !matches!(policy, SelfTrade::Off | SelfTrade::CancelResting);
        let (mut sum, mut hidden, mut level) = (0_u64, 0_u64, None);
        for slot in instrument.sides.queue(&self.nodes, order.side.opposite()) {
            let maker = self.orders.at(slot);
            let within = match order.side {
                Side::Buy => maker.limit <= limit,
                Side::Sell => maker.limit >= limit,
            };
            if level.replace(maker.tick) != Some(maker.tick) {
                sum = sum.saturating_add(core::mem::take(&mut hidden));
            }
            if !within || sum >= u64::from(wanted) {
                break;
            }
            if maker.account != order.account {
                let sure = self.untrimmed(maker);
                let at_once = if stops {
                    sure.min(self.nodes.at(slot).visible)
                } else {
                    sure
                };
                sum = sum.saturating_add(u64::from(at_once));
                hidden = hidden.saturating_add(u64::from(sure.saturating_sub(at_once)));
            } else if stops {
                return sum;
            }
        }
        sum.saturating_add(hidden)
    }

    /// What no other order's fill can take off a resting order: if entries on its side fill first they shrink the
    /// position, and its exit part is trimmed.
    fn untrimmed(&self, maker: &Order) -> u32 {
        if maker.exit_leaves == 0 {
            return maker.leaves;
        }
        let position = self.positions.at(maker.position);
        let open = match maker.side {
            Side::Buy => position.open_buy,
            Side::Sell => position.open_sell,
        };
        let entries = open.saturating_sub(position.exits);
        let of_others = entries.saturating_sub(i64::from(maker.entry_leaves()));
        let trimmed = u32::try_from(of_others)
            .unwrap_or(u32::MAX)
            .min(maker.exit_leaves);
        maker.leaves.saturating_sub(trimmed)
    }

    fn reject(&mut self, order: &NewOrder, rejection: Rejection, out: &mut EventBuffer) {
        let id = self.orders.take_id();
        self.orders
            .record_finished(id, order.account, OrderStatus::Rejected);
        // A throttled order may be sent again, so its outcome is not kept.
        let has_room = self.client_order_ids.has_room(order.account, false);
        if rejection.code != RejectCode::OrderRate && has_room {
            self.remember(order, id, OrderStatus::Rejected, Some(rejection));
        }
        if !self.account_of(order.account).venue {
            out.push(Event::OrderRejected(OrderRejected {
                order: id,
                account: order.account,
                instrument: order.instrument,
                rejection,
            }));
        }
    }

    /// Whether its `client_order_id` has been used.
    #[inline(never)]
    pub(crate) fn is_repeat(&self, order: &NewOrder) -> bool {
        self.client_order_ids
            .find(order.account, &order.client_order_id)
            .is_some()
    }

    #[inline(never)]
    pub(crate) fn remember(
        &mut self,
        order: &NewOrder,
        id: OrderId,
        status: OrderStatus,
        rejection: Option<Rejection>,
    ) {
        if !order.client_order_id.is_empty() {
            let payload = payload_digest(order);
            let outcome = Remembered {
                order: id,
                payload,
                status,
                rejection,
            };
            self.client_order_ids
                .remember(order.account, order.client_order_id, outcome);
        }
    }

    /// Keeps a place for the outcome now, and fills it in when the command is done.
    fn remember_later(&mut self, order: &NewOrder, id: OrderId) {
        if !order.client_order_id.is_empty() {
            self.remember(order, id, OrderStatus::Submitted, None);
            self.remembering = Some(Remembering {
                account: order.account,
                client_order_id: order.client_order_id,
                order: id,
                payload: payload_digest(order),
            });
        }
    }

    pub(crate) fn remember_outcome(&mut self) {
        let Some(Remembering {
            account,
            client_order_id,
            order,
            payload,
        }) = self.remembering.take()
        else {
            return;
        };
        let status = match self.orders.find(order) {
            Lookup::Open(_) => OrderStatus::Open,
            Lookup::Finished { status, .. } => status,
            Lookup::Unknown => OrderStatus::Failed,
        };
        self.client_order_ids.remember(
            account,
            client_order_id,
            Remembered {
                order,
                payload,
                status,
                rejection: None,
            },
        );
    }

    /// Makes an order that passed every check: position key, reservation, list, event. It is not in the book yet.
    pub(crate) fn accept(&mut self, order: &NewOrder, plan: Plan, out: &mut EventBuffer) -> u32 {
        let position_slot = self.key_of(order).unwrap_or_else(|| self.open_key(order));
        self.accept_at(position_slot, order, plan, out)
    }

    /// As [`Engine::accept`], where the position key is known.
    #[inline(always)]
    pub(crate) fn accept_at(
        &mut self,
        position_slot: u32,
        order: &NewOrder,
        plan: Plan,
        out: &mut EventBuffer,
    ) -> u32 {
        let quantity = order.quantity.shares();
        let id = self.orders.take_id();
        let position = self.positions.at_mut(position_slot);
        let account = self.accounts.as_mut_slice().at_mut(order.account.get());
        let venue = account.venue;
        let was_vacant = position.is_vacant();
        let list = if plan.exit_quantity > 0 {
            List::Exits
        } else {
            List::Entries
        };
        let slot = self.orders.insert(Order {
            id,
            account: order.account,
            instrument: order.instrument,
            position: position_slot,
            limit: plan.limit,
            tick: plan.tick.unwrap_or(0),
            quantity,
            cum: 0,
            leaves: quantity,
            exit_leaves: plan.exit_quantity,
            disclosed: order.disclosed.map_or(0, Quantity::shares),
            modifications: 0,
            cum_notional: Money::ZERO,
            charged: Default::default(),
            charged_by: 0,
            order_type: order.order_type,
            time_in_force: order.time_in_force,
            stop_loss: plan.stop_loss,
            take_profit: plan.take_profit,
            side: order.side,
            product: order.product,
            post_only: order.post_only,
            protective: plan.cause.is_some(),
            venue,
            resting: false,
            trigger: NIL,
            list,
            older: NIL,
            newer: NIL,
            digested: Digested::default(),
        });
        position.lists.link(&mut self.orders, slot);
        let accepted = self.orders.at_mut(slot);
        let entry = quantity.wrapping_sub(plan.exit_quantity);
        reservation::reserve(accepted, position, account, entry, plan.exit_quantity);
        self.digests.orders.note_one(accepted, slot);
        account.count_order();
        *account.last_key(order.side) = position_slot;
        // The engine's own closes skip rates (RISK.md): they leave them to whoever sends orders.
        let sent = plan.cause.is_none();
        if sent {
            account.count_rate(order, plan.limit, self.time);
        }
        let strategy_limited = sent && account.strategy_limited;
        if was_vacant {
            self.positions.occupy(position_slot);
        }
        if strategy_limited {
            self.take_strategy_token(order.account, order.strategy);
        }
        if let TimeInForce::Gtd(until) = order.time_in_force {
            self.good_till.insert(until, id, slot);
        }
        if !venue {
            out.push(Event::OrderAccepted(OrderAccepted {
                order: id,
                account: order.account,
                strategy: order.strategy,
                instrument: order.instrument,
                position: Positions::id(position_slot),
                quantity: order.quantity,
                limit: plan.limit,
                order_type: order.order_type,
                stop_loss: plan.stop_loss,
                take_profit: plan.take_profit,
                side: order.side,
                product: order.product,
                time_in_force: order.time_in_force,
                cause: plan.cause,
            }));
        }
        slot
    }

    fn open_key(&mut self, order: &NewOrder) -> u32 {
        let venue = self.account_of(order.account).venue;
        if let Some(slot) = self.positions.replaceable() {
            self.unlist_key(slot);
        }
        let last = self.account_of(order.account).last_position;
        let slot = self.positions.insert(
            order.account,
            order.instrument,
            order.strategy,
            order.product,
            venue,
            last,
        );
        let account = self.account_mut(order.account);
        account.last_position = slot;
        account.newest_key = NIL;
        if last == NIL {
            account.first_position = slot;
        } else {
            self.positions.at_mut(last).next_of_account = slot;
        }
        self.rehash_position(slot);
        slot
    }

    /// Takes a key off its account's list.
    fn unlist_key(&mut self, slot: u32) {
        let position = self.positions.at(slot);
        let (previous, next) = (position.previous_of_account, position.next_of_account);
        let id = position.account;
        self.account_mut(id).newest_key = NIL;
        if previous == NIL {
            self.account_mut(id).first_position = next;
        } else {
            self.positions.at_mut(previous).next_of_account = next;
        }
        if next == NIL {
            self.account_mut(id).last_position = previous;
        } else {
            self.positions.at_mut(next).previous_of_account = previous;
        }
    }
}
