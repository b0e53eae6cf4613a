//! Price-time matching, one step at a time (VENUE.md, Matching rulings).

use engine::{
    AccountChanged, AccountId, CancelReason, Event, Fill, OrderCancelled, OrderId, OrderStatus,
    PositionChange, PositionChanged, PositionId, Price, SelfTrade, Side, TimeInForce, Trade,
};

use super::state::{ChargeTotals, Order, Paise, Shares};
use super::{Oracle, money, quantity};

/// How an incoming order's execution ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Filled, or nothing more crosses.
    Natural,
    /// Self-trade prevention took what was left.
    SelfTrade,
}

impl Oracle {
    /// Executes an incoming order against the book, then rests or cancels its remainder.
    pub(super) fn enter(&mut self, taker: OrderId) {
        let ending = self.execute(taker);
        let order = &self.orders[&taker];
        if order.leaves == 0 {
            return;
        }
        let immediate = matches!(order.request.time_in_force, TimeInForce::Ioc | TimeInForce::Fok);
        if ending == Ending::SelfTrade {
            self.cancel(taker, CancelReason::SelfTrade);
        } else if immediate {
            self.cancel(taker, CancelReason::ImmediateOrCancel);
        } else {
            self.rest(taker);
        }
    }

    fn execute(&mut self, taker: OrderId) -> Ending {
        while self.orders[&taker].leaves > 0 {
            let Some(maker) = self.next_maker(taker) else {
                break;
            };
            let account = self.orders[&taker].request.account;
            let policy = self.account(account).limits.self_trade;
            let own = self.orders[&maker].request.account == account;
            match policy {
                SelfTrade::CancelResting if own => self.cancel(maker, CancelReason::SelfTrade),
                SelfTrade::CancelIncoming if own => return Ending::SelfTrade,
                SelfTrade::CancelBoth if own => {
                    self.cancel(maker, CancelReason::SelfTrade);
                    return Ending::SelfTrade;
                }
                SelfTrade::Decrement if own => {
                    let order = &self.orders[&maker];
                    let both = order.visible.min(self.orders[&taker].leaves);
                    self.take_off(maker, both, CancelReason::SelfTrade);
                    self.take_off(taker, both, CancelReason::SelfTrade);
                }
                _ => self.trade(maker, taker),
            }
        }
        Ending::Natural
    }

    /// The resting order that an incoming one meets first, if prices cross.
    fn next_maker(&self, taker: OrderId) -> Option<OrderId> {
        let order = &self.orders[&taker];
        let instrument = self.instrument(order.request.instrument);
        let (price, queue) = instrument.levels(order.request.side.opposite()).next()?;
        crosses(order.request.side, order.limit, price).then(|| queue[0])
    }

    fn trade(&mut self, maker: OrderId, taker: OrderId) {
        let price = self.orders[&maker].limit;
        let traded = self.orders[&maker].visible.min(self.orders[&taker].leaves);
        let instrument = self.orders[&maker].request.instrument;
        self.next_trade += 1;
        let trade = engine::TradeId::new(self.next_trade);
        self.print(instrument, price, Some(trade));
        self.instrument_mut(instrument).trades.push((price, traded));
        self.events.push(Event::Trade(Trade {
            trade,
            instrument,
            price,
            quantity: quantity(traded),
            maker,
            taker,
            taker_side: self.orders[&taker].request.side,
        }));
        let mut fills = Vec::new();
        let mut positions = Vec::new();
        for id in [maker, taker] {
            let charges = self.fill_order(id, traded, price);
            let paid = charges.total().wide();
            let request = &self.orders[&id].request;
            self.note_execution(request.account, request.strategy, request.side);
            let mut changed = self.fill_position(id, traded, price, paid);
            let order = &self.orders[&id];
            let account = order.request.account;
            if self.account(account).venue {
                continue;
            }
            positions.append(&mut changed);
            fills.push(Event::Fill(Fill {
                trade,
                order: id,
                position: order.position,
                account,
                instrument,
                last_quantity: quantity(traded),
                last_price: price,
                cum_quantity: quantity(order.filled),
                leaves_quantity: quantity(order.leaves),
                cum_notional: money(order.cum_notional),
                charges,
                side: order.request.side,
                status: order.status,
            }));
        }
        self.events.append(&mut fills);
        self.events.append(&mut positions);
        self.settle_maker(maker);
        for id in [taker, maker] {
            self.trim_exits(self.orders[&id].position, taker);
        }
    }

    /// Moves a fill into the order and says what it was charged.
    fn fill_order(&mut self, id: OrderId, traded: Shares, price: Price) -> engine::Charges {
        let order = self.orders.get_mut(&id).expect("a known order");
        order.filled += traded;
        order.leaves -= traded;
        order.exit_leaves -= traded.min(order.exit_leaves);
        order.visible -= traded.min(order.visible);
        order.cum_notional += traded * i128::from(price.paise());
        order.status = if order.leaves == 0 {
            OrderStatus::Filled
        } else {
            OrderStatus::Open
        };
        let (account, product, side) = (order.request.account, order.request.product, order.request.side);
        let turnover = order.cum_notional;
        self.relist(id);
        if self.accounts[account.get() as usize].venue {
            return engine::Charges::default();
        }
        let rates = self.rates_in_force();
        let so_far = ChargeTotals::of(&rates, product, side, turnover);
        let before = turnover - traded * i128::from(price.paise());
        so_far.since(&ChargeTotals::of(&rates, product, side, before))
    }

    /// Moves a fill into the position and the account's money. A fill that turns a position over closes it first, and
    /// pays its charges there.
    fn fill_position(&mut self, id: OrderId, traded: Shares, price: Price, charges: Paise) -> Vec<Event> {
        let order = &self.orders[&id];
        let (position, sign) = (order.position, i128::from(order.request.side.sign()));
        let (stop_loss, take_profit) = (order.stop_loss, order.take_profit);
        let first = order.filled == traded;
        let before = self.position(position).quantity;
        let closed = if before.signum() == -sign {
            traded.min(before.abs())
        } else {
            0
        };
        self.account_mut(self.position(position).account).charges += charges;
        let mut events = Vec::new();
        if closed > 0 {
            events.push(self.reduce(position, closed, price, charges));
        }
        if traded > closed {
            let paid = if closed > 0 { 0 } else { charges };
            let opens = self.position(position).quantity == 0;
            let today = self.day.expect("the day of this command");
            let held = self.position_mut(position);
            if opens {
                held.warned_loss = false;
                held.warned_stop = false;
                held.realised = 0;
                held.charges = 0;
            }
            if opens || first {
                held.set_stop_loss(stop_loss.or(held.stop_loss));
                held.set_take_profit(take_profit.or(held.take_profit));
            }
            held.quantity += sign * (traded - closed);
            held.cost += sign * (traded - closed) * i128::from(price.paise());
            if sign > 0 {
                held.lots.push_back((today, traded - closed));
            }
            held.charges += paid;
            let change = if opens {
                PositionChange::Opened
            } else {
                PositionChange::Changed
            };
            events.push(self.position_changed(position, change));
            if opens {
                self.opened += 1;
                self.position_mut(position).opened = self.opened;
                events.extend(self.warn_missing_stop(position));
            }
        }
        let account = self.position(position).account;
        if !self.account(account).venue {
            let held = self.position_mut(position);
            (held.mark, held.published) = (Some(price), Some(price));
            self.reviews.insert(account);
            self.watches.insert(position);
        }
        events
    }

    /// Closes `shares`: their part of the cost is released, the difference to the proceeds realised.
    fn reduce(&mut self, id: PositionId, shares: Shares, price: Price, charges: Paise) -> Event {
        let position = self.position_mut(id);
        let (held, sign) = (position.quantity.abs(), position.quantity.signum());
        let released = if shares == held {
            position.cost
        } else {
            divide_half_away(position.cost * shares, held)
        };
        let realised = sign * shares * i128::from(price.paise()) - released;
        position.cost -= released;
        position.quantity -= sign * shares;
        if sign > 0 {
            position.deliver(shares);
        }
        position.realised += realised;
        position.charges += charges;
        let account = position.account;
        self.account_mut(account).realised += realised;
        if shares == held {
            self.position_mut(id).forget_conditions();
            self.position_mut(id).leaving = Default::default();
        }
        let change = if shares == held {
            PositionChange::Closed
        } else {
            PositionChange::Changed
        };
        self.position_changed(id, change)
    }

    fn position_changed(&self, id: PositionId, change: PositionChange) -> Event {
        let position = self.position(id);
        Event::PositionChanged(PositionChanged {
            position: id,
            account: position.account,
            strategy: position.strategy,
            instrument: position.instrument,
            quantity: i32::try_from(position.quantity).expect("a position within its bound"),
            cost: money(position.cost),
            realised: money(position.realised),
            charges: money(position.charges),
            unrealised: money(self.unrealised(id)),
            stop_loss: position.stop_loss,
            take_profit: position.take_profit,
            product: position.product,
            change,
        })
    }

    /// Tells the owner of an account that its money changed.
    pub(super) fn report_account(&mut self, id: AccountId) {
        let account = self.account(id);
        if account.venue {
            return;
        }
        let event = Event::AccountChanged(AccountChanged {
            account: id,
            balance: money(account.balance),
            realised: money(account.realised),
            charges: money(account.charges),
            unrealised: money(self.account_unrealised(id)),
        });
        self.events.push(event);
    }

    /// After a fill or a decrement: a finished maker leaves; an exhausted slice is refilled and joins the tail.
    fn settle_maker(&mut self, maker: OrderId) {
        let order = &self.orders[&maker];
        if order.leaves == 0 {
            self.unlink(maker);
        } else if order.visible == 0 {
            self.unlink(maker);
            self.rest(maker);
        }
    }

    /// Puts an order at the tail of its level, with a fresh slice on show.
    pub(super) fn rest(&mut self, id: OrderId) {
        let order = self.orders.get_mut(&id).expect("a known order");
        order.status = OrderStatus::Open;
        order.visible = match order.request.disclosed {
            Some(disclosed) => order.leaves.min(i128::from(disclosed.shares())),
            None => order.leaves,
        };
        let (instrument, side, limit) = (order.request.instrument, order.request.side, order.limit);
        self.resting.insert(id);
        self.instrument_mut(instrument)
            .side_mut(side)
            .entry(limit)
            .or_default()
            .push_back(id);
    }

    /// Takes an order off the book; it may not be there.
    pub(super) fn unlink(&mut self, id: OrderId) {
        let order = &self.orders[&id];
        let (instrument, side, limit) = (order.request.instrument, order.request.side, order.limit);
        self.resting.remove(&id);
        let levels = self.instrument_mut(instrument).side_mut(side);
        if let Some(queue) = levels.get_mut(&limit) {
            queue.retain(|resting| *resting != id);
            if queue.is_empty() {
                levels.remove(&limit);
            }
        }
    }

    /// Cancels all that is left of an order.
    pub(super) fn cancel(&mut self, id: OrderId, reason: CancelReason) {
        let (leaves, position) = (self.orders[&id].leaves, self.orders[&id].position);
        self.take_off(id, leaves, reason);
        self.leave_after(position, reason);
    }

    /// Takes `shares` off an order without a trade.
    pub(super) fn take_off(&mut self, id: OrderId, shares: Shares, reason: CancelReason) {
        let order = self.orders.get_mut(&id).expect("a known order");
        order.leaves -= shares;
        order.quantity -= shares;
        order.exit_leaves = match reason {
            CancelReason::ExcessExit => order.exit_leaves - shares,
            _ => order.exit_leaves - shares.min(order.exit_leaves),
        };
        order.visible = match reason {
            CancelReason::ExcessExit => order.visible.min(order.leaves),
            _ => order.visible - shares.min(order.visible),
        };
        order.status = if order.leaves == 0 {
            OrderStatus::Cancelled
        } else {
            OrderStatus::Open
        };
        let event = Event::OrderCancelled(OrderCancelled {
            order: id,
            account: order.request.account,
            instrument: order.request.instrument,
            cancelled_quantity: quantity(shares),
            leaves_quantity: quantity(order.leaves),
            cum_quantity: quantity(order.filled),
            side: order.request.side,
            status: order.status,
            reason,
        });
        let account = order.request.account;
        self.relist(id);
        if !self.account(account).venue {
            self.events.push(event);
        }
        if self.is_linked(id) {
            self.settle_maker(id);
        } else if self.orders[&id].leaves == 0 {
            self.resting.remove(&id);
        }
        if self.orders[&id].leaves == 0 {
            self.note_vacancy(id);
        }
    }

    /// In the book, not waiting for a trigger.
    fn is_linked(&self, id: OrderId) -> bool {
        self.resting.contains(&id) && self.orders[&id].pending.is_none()
    }

    /// What an order is sure to trade at once with other accounts, own resting orders considered: those that would be
    /// cancelled, or filled, are passed over, those that would stop the order end the count, and what icebergs of that level hide
    /// comes after them.
    pub(super) fn tradable(&self, taker: &engine::NewOrder, limit: Price) -> Shares {
        let policy = self.account(taker.account).limits.self_trade;
        let mut available = 0;
        for (price, queue) in self.instrument(taker.instrument).levels(taker.side.opposite()) {
            if !crosses(taker.side, limit, price) {
                break;
            }
            let own = |id: &OrderId| self.orders[id].request.account == taker.account;
            match policy {
                SelfTrade::Off | SelfTrade::CancelResting => {
                    let others = queue.iter().filter(|id| !own(id));
                    available += others.map(|id| self.sure(*id)).sum::<Shares>();
                }
                _ => match queue.iter().position(own) {
                    None => available += queue.iter().map(|id| self.sure(*id)).sum::<Shares>(),
                    Some(stop) => {
                        let before = queue.iter().take(stop);
                        let shown = before.map(|id| self.sure(*id).min(self.orders[id].visible));
                        return available + shown.sum::<Shares>();
                    }
                },
            }
        }
        available
    }

    /// What of a resting order is there whatever fills before it. Other orders of its position on its side that would
    /// open something take that much of the position away, and exits with it.
    fn sure(&self, id: OrderId) -> Shares {
        let order = &self.orders[&id];
        let others = self
            .open()
            .filter(|(other, _)| *other != id)
            .map(|(_, other)| other);
        let entries: Shares = others
            .filter(|other| other.position == order.position && other.request.side == order.request.side)
            .map(Order::entry_leaves)
            .sum();
        order.leaves - order.exit_leaves.min(entries)
    }

    /// The best price that an order on `side` would trade at.
    pub(super) fn would_cross(
        &self,
        instrument: engine::InstrumentId,
        side: Side,
        limit: Price,
    ) -> Option<Price> {
        let (best, _) = self.instrument(instrument).levels(side.opposite()).next()?;
        crosses(side, limit, best).then_some(best)
    }
}

fn crosses(side: Side, limit: Price, resting: Price) -> bool {
    match side {
        Side::Buy => resting <= limit,
        Side::Sell => resting >= limit,
    }
}

/// Rounds to the nearest integer, halves away from zero. `divisor` is positive.
fn divide_half_away(dividend: i128, divisor: i128) -> i128 {
    dividend.signum() * ((2 * dividend.abs() + divisor) / (2 * divisor))
}
