//! Commands about orders.

use engine::{
    AccountId, Actor, CancelAll, CancelOrder, CancelReason, Cause, ClientOrderId, ClosePosition, Event,
    MassCancelled, ModifyOrder, NewOrder, OrderAccepted, OrderId, OrderModified, OrderRef, OrderRejected,
    OrderRepeated, OrderStatus, OrderType, PositionId, Price, Refusal, RejectCode, Rejection, Side,
    TimeInForce,
};

use super::risk::{Candidate, Modified, rejection};
use super::state::{ClientUse, List, Order, Shares, client_key};
use super::{Oracle, quantity};

impl Oracle {
    pub(super) fn new_order(&mut self, request: &NewOrder) {
        if !self.knows_account(request.account) {
            self.refuse_command(Refusal::UnknownAccount);
        } else if !self.knows_instrument(request.instrument) {
            self.refuse_command(Refusal::UnknownInstrument);
        } else if let Some(first) = self.earlier(request) {
            self.repeat(first, request);
        } else {
            self.decide(self.orders.next_id(), request);
        }
    }

    fn earlier(&self, request: &NewOrder) -> Option<OrderId> {
        if request.client_order_id.is_empty() {
            return None;
        }
        let ids = &self.account(request.account).client_ids;
        ids.get(&client_key(&request.client_order_id))
            .map(|first| first.order)
    }

    fn repeat(&mut self, first: OrderId, request: &NewOrder) {
        let order = &self.orders[&first];
        if order.request != *request {
            let reused = Rejection::bare(RejectCode::ClientOrderIdReused);
            self.refuse_command(Refusal::Rejected(reused));
            return;
        }
        let event = OrderRepeated {
            order: first,
            account: request.account,
            status: order.first_status,
            rejection: order.rejection,
        };
        if !self.account(request.account).venue {
            self.events.push(Event::OrderRepeated(event));
        }
    }

    /// Checks an order and, where it passes, lets it into the book.
    fn decide(&mut self, id: OrderId, request: &NewOrder) {
        if request.quantity.is_zero() {
            self.reject(id, request, rejection(RejectCode::QuantityBelowOne, 0, 1));
            return;
        }
        let Some(price) = self.check_price(request.instrument, request.side, request.order_type) else {
            self.reject(id, request, Rejection::bare(RejectCode::NoLastPrice));
            return;
        };
        let rounded = self.round_conditions(request);
        let exit = self.exit_part(&rounded);
        let candidate = Candidate {
            entry: i128::from(rounded.quantity.shares()) - exit,
            order: rounded,
            modifies: None,
            cause: None,
            asked: request.clone(),
            price,
            exit,
        };
        match self.refuse(&candidate) {
            Some(rejection) => self.reject(id, request, rejection),
            None => {
                self.message_of = Some(request.account);
                self.accept(id, candidate);
            }
        }
    }

    fn reject(&mut self, id: OrderId, request: &NewOrder, rejection: Rejection) {
        let price = request.order_type.price().unwrap_or(Price::MIN);
        let mut order = blank(request, price);
        order.status = OrderStatus::Rejected;
        order.rejection = Some(rejection);
        order.leaves = 0;
        self.orders.push(order);
        // A throttled order may be sent again, so its outcome is not kept.
        if rejection.code != RejectCode::OrderRate {
            self.remember(id);
        }
        if !self.account(request.account).venue {
            self.events.push(Event::OrderRejected(OrderRejected {
                order: id,
                account: request.account,
                instrument: request.instrument,
                rejection,
            }));
        }
    }

    /// Keeps the order for repeats of its `client_order_id`.
    fn remember(&mut self, id: OrderId) {
        let request = &self.orders[&id].request;
        let (account, client) = (request.account, request.client_order_id);
        if !client.is_empty() {
            let first = ClientUse {
                order: id,
                yesterday: false,
            };
            self.account_mut(account)
                .client_ids
                .insert(client_key(&client), first);
            self.answered = Some(id);
        }
    }

    pub(super) fn accept(&mut self, id: OrderId, candidate: Candidate) {
        // Only what somebody sent counts against rates.
        let sent = candidate.cause.is_none();
        if sent {
            self.note_order(&candidate);
        }
        let request = candidate.order;
        let position = self.position_for(&request);
        self.position_mut(position).orders.push(id);
        let mut order = blank(&request, candidate.price);
        order.request = candidate.asked;
        order.stop_loss = request.stop_loss;
        order.take_profit = request.take_profit;
        order.position = position;
        order.exit_leaves = candidate.exit;
        self.joinings += 1;
        order.listed = (order.list(), self.joinings);
        order.protective = candidate.cause.is_some();
        self.orders.push(order);
        self.account_mut(request.account).orders_today += 1;
        if sent {
            self.take_rate_token(request.account, request.strategy);
        }
        if !self.account(request.account).venue {
            self.events.push(Event::OrderAccepted(OrderAccepted {
                order: id,
                account: request.account,
                strategy: request.strategy,
                instrument: request.instrument,
                position,
                quantity: request.quantity,
                limit: candidate.price,
                order_type: request.order_type,
                stop_loss: request.stop_loss,
                take_profit: request.take_profit,
                side: request.side,
                product: request.product,
                time_in_force: request.time_in_force,
                cause: candidate.cause,
            }));
        }
        self.remember(id);
        if request.order_type.trigger().is_some() {
            self.wait_for_trigger(id);
        } else {
            self.enter(id);
        }
    }

    /// Stop and target on the tick grid, rounded so that they trigger earlier.
    fn round_conditions(&self, request: &NewOrder) -> NewOrder {
        let tick = self.instrument(request.instrument).definition.tick_size.paise();
        let down = |price: Price| Price::from_paise_clamped(i64::from(price.paise() / tick * tick));
        let up = |price: Price| {
            Price::from_paise_clamped(i64::from(price.paise().div_ceil(tick)) * i64::from(tick))
        };
        let mut rounded = request.clone();
        match request.side {
            Side::Buy => {
                rounded.stop_loss = request.stop_loss.map(up);
                rounded.take_profit = request.take_profit.map(down);
            }
            Side::Sell => {
                rounded.stop_loss = request.stop_loss.map(down);
                rounded.take_profit = request.take_profit.map(up);
            }
        }
        rounded
    }

    /// The order that an actor means, if the actor may touch it.
    fn find(&self, actor: Actor, order: &OrderRef) -> Option<OrderId> {
        let id = match order {
            OrderRef::Id(id) => *id,
            OrderRef::Client(client) => {
                let known = self.knows_account(actor.account);
                let ids = known.then(|| &self.account(actor.account).client_ids)?;
                ids.get(&client_key(client))?.order
            }
        };
        let owner = self.orders.get(&id)?.request.account;
        let may_touch = owner == actor.account || actor.admin && !self.account(owner).venue;
        may_touch.then_some(id)
    }

    fn find_open(&self, actor: Actor, order: &OrderRef) -> Result<OrderId, Refusal> {
        let id = self.find(actor, order).ok_or(Refusal::UnknownOrder)?;
        let status = self.orders[&id].status;
        if status == OrderStatus::Open {
            Ok(id)
        } else {
            Err(Refusal::OrderFinished(status))
        }
    }

    pub(super) fn cancel_order(&mut self, command: &CancelOrder) {
        match self.find_open(command.actor, &command.order) {
            Ok(id) => {
                self.message_of = Some(self.orders[&id].request.account);
                self.cancel(id, CancelReason::Requested);
            }
            Err(refusal) => self.refuse_command(refusal),
        }
    }

    pub(super) fn modify_order(&mut self, command: &ModifyOrder) {
        let done = self
            .find_open(command.actor, &command.order)
            .and_then(|id| self.modify(id, command));
        if let Err(refusal) = done {
            self.refuse_command(refusal);
        }
    }

    fn modify(&mut self, id: OrderId, command: &ModifyOrder) -> Result<(), Refusal> {
        let order = &self.orders[&id];
        let (old_total, old_limit, filled) = (order.quantity, order.limit, order.filled);
        let total = command.quantity.map_or(old_total, |q| i128::from(q.shares()));
        if total < 1 {
            return Err(Refusal::Rejected(rejection(
                RejectCode::QuantityBelowOne,
                total,
                1,
            )));
        }
        if total < filled {
            return Err(Refusal::BelowFilled(quantity(filled)));
        }
        self.check_cap(id).map_err(Refusal::Rejected)?;
        let order_type = self.modified_type(id, command).map_err(Refusal::Rejected)?;
        let request = &self.orders[&id].request;
        let limit = self
            .check_price(request.instrument, request.side, order_type)
            .expect("a last price");
        let order = &self.orders[&id];
        let (old_trigger, waits) = (order.order_type.trigger(), order.pending.is_some());
        let moved = waits && (order_type != order.order_type);
        let requeues = limit != old_limit || total > old_total || moved;
        self.check_modify(id, total, (limit, order_type), requeues)
            .map_err(Refusal::Rejected)?;
        let order = self.orders.get_mut(&id).expect("an open order");
        if limit != old_limit || total != old_total || moved {
            order.modifications += 1;
            order.order_type = order_type;
            order.protective = false;
        }
        if requeues {
            if waits {
                self.resting.remove(&id);
            } else {
                self.unlink(id);
            }
            let order = self.orders.get_mut(&id).expect("an open order");
            order.limit = limit;
            order.leaves = total - filled;
            order.quantity = total;
            order.exit_leaves = 0;
            order.status = match order.leaves {
                0 => OrderStatus::Filled,
                _ => OrderStatus::Open,
            };
            let exit = self.exit_part_of_modified(id);
            self.orders.get_mut(&id).expect("an open order").exit_leaves = exit;
        } else {
            self.shrink(id, total);
        }
        self.relist(id);
        self.message_of = Some(self.orders[&id].request.account);
        self.report_modified(id, !requeues);
        if requeues {
            let request = &self.orders[&id].request;
            let (account, strategy) = (request.account, request.strategy);
            self.take_rate_token(account, strategy);
        }
        if requeues && self.orders[&id].leaves > 0 {
            if !waits {
                self.enter(id);
            } else if order_type.trigger() != old_trigger {
                self.wait_for_trigger(id);
            } else {
                self.resting.insert(id);
            }
        }
        Ok(())
    }

    /// A stop order that waits stays one, everything else becomes a limit order.
    fn modified_type(&self, id: OrderId, command: &ModifyOrder) -> Result<OrderType, Rejection> {
        let order = &self.orders[&id];
        let waits = order.pending.is_some();
        match order.order_type {
            OrderType::Stop { limit, trigger } if waits => Ok(OrderType::Stop {
                limit: command.price.unwrap_or(limit),
                trigger: command.trigger.unwrap_or(trigger),
            }),
            OrderType::StopMarket { .. } if waits && command.price.is_some() => {
                Err(Rejection::bare(RejectCode::Incompatible))
            }
            OrderType::StopMarket { trigger } if waits => Ok(OrderType::StopMarket {
                trigger: command.trigger.unwrap_or(trigger),
            }),
            _ if command.trigger.is_some() => Err(Rejection::bare(RejectCode::NotPending)),
            _ => Ok(OrderType::Limit(command.price.unwrap_or(order.limit))),
        }
    }

    /// Modifications of one order.
    fn check_cap(&self, id: OrderId) -> Result<(), Rejection> {
        let order = &self.orders[&id];
        let most = self
            .limits_of(order.request.account, order.request.strategy)
            .modifications_max;
        let count = i128::from(order.modifications) + 1;
        match most.map(i128::from).filter(|most| count > *most) {
            Some(most) => Err(rejection(RejectCode::ModifyCap, count, most)),
            None => Ok(()),
        }
    }

    /// A smaller total in place: what is shown goes last.
    fn shrink(&mut self, id: OrderId, total: Shares) {
        let order = self.orders.get_mut(&id).expect("an open order");
        order.leaves = total - order.filled;
        order.quantity = total;
        order.visible = order.visible.min(order.leaves);
        order.exit_leaves = order.exit_leaves.min(order.leaves);
        if order.leaves == 0 {
            order.status = OrderStatus::Filled;
            self.unlink(id);
        }
    }

    /// The trigger of a stop order that waits.
    fn waits_for(&self, id: OrderId) -> Option<Price> {
        let order = &self.orders[&id];
        order.pending.as_ref().and_then(|_| order.order_type.trigger())
    }

    fn exit_part_of_modified(&self, id: OrderId) -> Shares {
        let order = &self.orders[&id];
        let mut as_new = order.request.clone();
        as_new.quantity = quantity(order.leaves);
        self.exit_part(&as_new)
    }

    fn report_modified(&mut self, id: OrderId, kept_priority: bool) {
        let order = &self.orders[&id];
        let event = OrderModified {
            order: id,
            account: order.request.account,
            instrument: order.request.instrument,
            quantity: quantity(order.quantity),
            leaves_quantity: quantity(order.leaves),
            limit: order.limit,
            order_type: order.order_type,
            side: order.request.side,
            status: order.status,
            kept_priority,
        };
        if !self.account(event.account).venue {
            self.events.push(Event::OrderModified(event));
        }
    }

    /// What can refuse a modification besides the cap: the lot, and for what goes to the tail everything that a new order of
    /// what will be open would meet, on the state without the old one; but an increase at its price meets limits on one order as
    /// an order of the difference would.
    fn check_modify(
        &mut self,
        id: OrderId,
        total: Shares,
        becomes: (Price, OrderType),
        requeues: bool,
    ) -> Result<(), Rejection> {
        let order = &self.orders[&id];
        let lot = self.instrument(order.request.instrument).definition.lot_size;
        let lot = i128::from(lot.shares());
        if total % lot != 0 {
            return Err(rejection(RejectCode::LotSize, total, lot));
        }
        let disclosed = order.request.disclosed.map_or(0, |q| i128::from(q.shares()));
        if disclosed > total && total > order.filled {
            return Err(rejection(RejectCode::DisclosedQuantity, disclosed, total));
        }
        if !requeues || total == order.filled {
            return Ok(());
        }
        let leaves = total - order.filled;
        self.check_requeue(id, leaves, becomes)
    }

    fn check_requeue(
        &mut self,
        id: OrderId,
        leaves: Shares,
        (limit, order_type): (Price, OrderType),
    ) -> Result<(), Rejection> {
        let order = &self.orders[&id];
        let mut as_new = order.request.clone();
        as_new.order_type = order_type;
        let stays = limit == order.limit && order_type.trigger() == self.waits_for(id);
        let increase = stays.then(|| {
            let added = leaves - order.leaves;
            as_new.quantity = quantity(added);
            (added, added - self.exit_part(&as_new))
        });
        as_new.quantity = quantity(leaves);
        as_new.stop_loss = order.stop_loss;
        as_new.take_profit = order.take_profit;
        let filled = order.filled;
        self.resting.remove(&id);
        let exit = self.exit_part(&as_new);
        let candidate = Candidate {
            modifies: Some(Modified { filled, increase }),
            cause: None,
            asked: as_new.clone(),
            order: as_new,
            price: limit,
            exit,
            entry: leaves - exit,
        };
        let refused = self.refuse_modified(&candidate);
        self.resting.insert(id);
        refused.map_or(Ok(()), Err)
    }

    pub(super) fn cancel_all(&mut self, command: &CancelAll) {
        let known = |account: AccountId| self.knows_account(account);
        if !command.account.is_none_or(known) {
            self.refuse_command(Refusal::UnknownAccount);
            return;
        }
        if !command.actor.admin && command.account != Some(command.actor.account) {
            self.refuse_command(Refusal::NotAuthorised);
            return;
        }
        let known = |instrument| self.knows_instrument(instrument);
        if !command.instrument.is_none_or(known) {
            self.refuse_command(Refusal::UnknownInstrument);
            return;
        }
        let orders = self.matching_orders(command.account, |order| {
            let request = &order.request;
            command
                .strategy
                .is_none_or(|strategy| request.strategy == strategy)
                && command
                    .instrument
                    .is_none_or(|instrument| request.instrument == instrument)
                && command.side.is_none_or(|side| request.side == side)
        });
        let count = orders.len() as u32;
        for id in orders {
            self.cancel(id, CancelReason::MassCancel);
        }
        if command.account.is_none_or(|account| !self.account(account).venue) {
            self.events.push(Event::MassCancelled(MassCancelled {
                account: command.account,
                orders: count,
            }));
        }
    }

    /// Open orders in the order of mass cancels: by account, position, list.
    pub(super) fn matching_orders(
        &self,
        account: Option<AccountId>,
        matches: impl Fn(&Order) -> bool,
    ) -> Vec<OrderId> {
        let mut found: Vec<_> = self
            .open()
            .filter(|(_, order)| account.is_none_or(|account| order.request.account == account))
            .filter(|(_, order)| matches(order))
            .map(|(id, order)| {
                let made = self.position(order.position).made;
                (order.request.account, made, order.listed, id)
            })
            .collect();
        found.sort();
        found.into_iter().map(|(_, _, _, id)| id).collect()
    }

    pub(super) fn close_position(&mut self, command: &ClosePosition) {
        if let Err(refusal) = self.close(command) {
            self.refuse_command(refusal);
        }
    }

    fn close(&mut self, command: &ClosePosition) -> Result<(), Refusal> {
        let known = (1..=self.positions.len() as u32).contains(&command.position.get());
        if !known {
            return Err(Refusal::UnknownPosition);
        }
        let position = self.position(command.position);
        let (account, strategy, held) = (position.account, position.strategy, position.quantity);
        let instrument = position.instrument;
        let venue = self.account(account).venue;
        if venue || !command.actor.admin && account != command.actor.account {
            return Err(Refusal::UnknownPosition);
        }
        if held == 0 {
            return Err(Refusal::PositionClosed);
        }
        if self.state_of(account, strategy) == engine::TradingState::Halted {
            return Err(Refusal::Rejected(Rejection::bare(RejectCode::CircuitBreaker)));
        }
        if let Some(rejection) = self.session_refuses(instrument, None) {
            return Err(Refusal::Rejected(rejection));
        }
        let owed = self.position(command.position).leaving.owed_to_close();
        let free = (self.uncovered(command.position) - owed).max(0);
        let repeated = |order, shares| Event::CloseRepeated {
            position: command.position,
            order,
            quantity: quantity(shares),
        };
        if command.quantity.is_some() || free == 0 {
            let works = |id: &OrderId| self.resting.contains(id);
            if let Some((first, exits, shares)) = &self.position(command.position).asked_close
                && (exits.iter().any(works) || owed > 0)
            {
                self.events.push(repeated(*first, *shares));
                return Ok(());
            }
        }
        let wanted = command.quantity.map_or(held.abs(), |q| i128::from(q.shares()));
        if wanted > held.abs() || wanted < 1 {
            return Err(Refusal::AboveOpenQuantity(quantity(held.abs())));
        }
        if free < 1 {
            let covering = self.exits_to_give_up(command.position).first().map(|exit| exit.0);
            let covering = covering.expect("the exits that cover the position");
            self.events.push(repeated(covering, held.abs()));
            return Ok(());
        }
        if !self.has_room() {
            let max = self.orders_max as i128;
            let full = rejection(RejectCode::OrderCapacity, max + 1, max);
            return Err(Refusal::Rejected(full));
        }
        self.place_exits(command.position, wanted.min(free), Cause::Close, None, false);
        Ok(())
    }

    /// Exits that do not wait for a trigger.
    pub(super) fn working_exits(&self, id: PositionId) -> Shares {
        let working = self
            .open()
            .filter(|(_, o)| o.position == id && o.pending.is_none());
        working.map(|(_, o)| o.exit_leaves).sum()
    }

    /// Exits give way to one of a cause for `wanted` shares: what rests, newest first, then what waits for a trigger.
    fn make_way(&mut self, id: PositionId, wanted: Shares, cause: Cause) {
        let mut lacking = wanted - (self.position(id).quantity.abs() - self.resting_exits(id));
        let mut giving_up = self.exits_to_give_up(id);
        giving_up.retain(|(order, _)| Oracle::makes_way(&self.orders[order], cause));
        for (order, exit) in giving_up {
            let cut = lacking.min(exit);
            if cut > 0 {
                lacking -= cut;
                self.take_off(order, cut, CancelReason::ExcessExit);
            }
        }
    }

    /// Protected market exits in slices of the freeze quantity; what finds no room is owed. `again`: it was owed before.
    pub(super) fn place_exits(
        &mut self,
        id: PositionId,
        wanted: Shares,
        cause: Cause,
        limit: Option<Price>,
        again: bool,
    ) {
        if wanted < 1 {
            return;
        }
        let position = self.position(id);
        let side = if position.quantity > 0 {
            Side::Sell
        } else {
            Side::Buy
        };
        let (account, strategy) = (position.account, position.strategy);
        let (instrument, product) = (position.instrument, position.product);
        let definition = &self.instrument(instrument).definition;
        let freeze = i128::from(definition.freeze_quantity.shares());
        let (low, high) = self.instrument(instrument).band();
        let edge = if side == Side::Buy { high } else { low };
        let edge = Price::from_paise_clamped(i64::try_from(edge).expect("a price"));
        self.make_way(id, wanted, cause);
        let first = self.orders.next_id();
        let mut placed = Vec::new();
        let mut left = wanted;
        let is_long = side == Side::Sell;
        let at = limit.map(|limit| self.target_limit(instrument, is_long, limit));
        while left > 0 && self.has_room() {
            let slice = left.min(freeze);
            left -= slice;
            let protected = || {
                self.protected_price(instrument, side)
                    .filter(|_| self.is_fresh(account, instrument))
                    .unwrap_or(edge)
            };
            let price = at.unwrap_or_else(protected);
            let order = NewOrder {
                account,
                strategy,
                instrument,
                side,
                product,
                order_type: at.map_or(OrderType::Market, OrderType::Limit),
                time_in_force: TimeInForce::Day,
                quantity: quantity(slice),
                post_only: false,
                disclosed: None,
                minimum: None,
                stop_loss: None,
                take_profit: None,
                client_order_id: ClientOrderId::EMPTY,
                metadata: None,
            };
            let next = self.orders.next_id();
            placed.push(next);
            self.accept(
                next,
                Candidate {
                    modifies: None,
                    cause: Some(cause),
                    asked: order.clone(),
                    order,
                    price,
                    exit: slice,
                    entry: 0,
                },
            );
            self.follow_up();
        }
        let done = wanted - left;
        if cause == Cause::Close && done > 0 {
            let before = self.position_mut(id).asked_close.take().filter(|_| again);
            let (first, shares) = before.map_or((first, 0), |before| (before.0, before.2));
            self.position_mut(id).asked_close = Some((first, placed, shares + done));
        }
        if !self.account(account).venue && done > 0 {
            self.events.push(Event::PositionClosing {
                position: id,
                order: first,
                quantity: quantity(done),
            });
        }
        let free = self.position(id).quantity.abs() - self.resting_exits(id);
        if left > 0 && free > 0 {
            self.owe(id, left.min(free), cause, limit);
        }
    }
}

fn blank(request: &NewOrder, limit: Price) -> Order {
    let shares = i128::from(request.quantity.shares());
    Order {
        request: request.clone(),
        position: PositionId::new(0),
        order_type: request.order_type,
        limit,
        quantity: shares,
        filled: 0,
        leaves: shares,
        exit_leaves: 0,
        visible: 0,
        cum_notional: 0,
        stop_loss: request.stop_loss,
        take_profit: request.take_profit,
        modifications: 0,
        status: OrderStatus::Submitted,
        first_status: OrderStatus::Submitted,
        rejection: None,
        listed: (List::Entries, 0),
        pending: None,
        protective: false,
    }
}
