//! Modification (VENUE.md): the quantity given is the new total; down in place keeps priority; a price change or an
//! increase is checked and goes to the tail. A failed modify changes nothing. A pending stop order keeps its place in the
//! sequence of triggers unless its trigger price changes.
//!
//! An increase at the same price and trigger is checked as an entry of the difference: limits on one order (its quantity, its
//! value, its risk) measure what is added. With another price or trigger they measure all that is open, because all of it
//! enters the market there; one share more would else carry any quantity past them. The exchange's own rules (lot, freeze
//! quantity, disclosed quantity, ₹10 crore) hold for the order's total.

use crate::arena::Slots;
use crate::command::{ModifyOrder, NewOrder};
use crate::engine::{Engine, Task};
use crate::entry::order_capacity;
use crate::event::{Event, EventBuffer, OrderModified};
use crate::instrument::Instrument;
use crate::limits::ORDER_VALUE_CAP;
use crate::lists::List;
use crate::order::Order;
use crate::rejection::{Refusal, RejectCode, Rejection};
use crate::reservation;
use crate::risk::{self, Ask, Released, Revised, Subject};
use crate::strategy_limits::StrategyLimits;
use crate::terms::{OrderStatus, OrderType};
use crate::text::ClientOrderId;
use crate::units::{Price, Quantity};

/// What a modify comes to.
pub(crate) struct Change {
    pub(crate) quantity: u32,
    pub(crate) limit: Price,
    pub(crate) tick: u32,
    pub(crate) order_type: OrderType,
}

impl Change {
    /// Whether price or trigger change.
    #[inline(always)]
    fn moves(&self, order: &Order) -> bool {
        let stop = self
            .order_type
            .trigger()
            .is_some_and(|_| self.order_type != order.order_type);
        self.limit != order.limit || stop
    }

    /// Whether the exchange surely takes an order of the total's size.
    #[inline(always)]
    pub(crate) fn total_fits(&self, instrument: &Instrument) -> bool {
        let total = Quantity::clamped(i64::from(self.quantity));
        total <= instrument.definition.freeze_quantity && self.limit.notional(total) <= ORDER_VALUE_CAP
    }
}

/// What an order holds that the checks of a modification leave out.
#[inline(always)]
pub(crate) fn released(order: &Order) -> Released {
    let entry = Quantity::clamped(i64::from(order.entry_leaves()));
    Released {
        entry_value: order.limit.notional(entry).paise(),
        open: i64::from(order.leaves),
        exits: i64::from(order.exit_leaves),
    }
}

impl Engine {
    pub(crate) fn modify_order(
        &mut self,
        modify: &ModifyOrder,
        out: &mut EventBuffer,
    ) -> Result<(), Refusal> {
        let slot = self.open_order(modify.actor, modify.order)?;
        let order = self.orders.at(slot);
        let quantity = modify.quantity.map_or(order.quantity, Quantity::shares);
        if quantity == 0 {
            return Err(Refusal::Rejected(Rejection::new(
                RejectCode::QuantityBelowOne,
                0,
                1,
            )));
        }
        if quantity < order.cum {
            return Err(Refusal::BelowFilled(order.filled_quantity()));
        }
        let (count, limit) = (
            order.modifications.saturating_add(1),
            self.modifications_max(order),
        );
        if count > limit {
            let rejection = Rejection::new(RejectCode::ModifyCap, i64::from(count), i64::from(limit));
            return Err(Refusal::Rejected(rejection));
        }
        let order_type = self.order_type_after(order, modify).map_err(Refusal::Rejected)?;
        let change = self.change(order, quantity, order_type)?;
        let leaves = quantity.wrapping_sub(order.cum);
        let requeues = change.moves(order) || leaves > order.leaves;
        if requeues && leaves > 0 {
            self.recheck(slot, &change, leaves)?;
        }
        self.message_of = Some(self.orders.at(slot).account);
        self.carry_out(slot, &change, leaves, requeues, out);
        Ok(())
    }

    /// `modify_cap` of whoever the order belongs to; the largest number where there is none.
    #[inline(always)]
    fn modifications_max(&self, order: &Order) -> u32 {
        let account = self.account_of(order.account);
        if !account.strategy_limited {
            return account.bounds.modifications;
        }
        let strategy = self.positions.at(order.position).strategy;
        let limits = self.limits_for(order.account, strategy);
        limits.modifications_max.unwrap_or(u32::MAX)
    }

    /// What kind of order it becomes: a pending stop order stays one, anything else a limit order.
    fn order_type_after(&self, order: &Order, modify: &ModifyOrder) -> Result<OrderType, Rejection> {
        match order.order_type {
            OrderType::Stop { limit, trigger } if order.is_pending() => Ok(OrderType::Stop {
                limit: modify.price.unwrap_or(limit),
                trigger: modify.trigger.unwrap_or(trigger),
            }),
            OrderType::StopMarket { trigger } if order.is_pending() => match modify.price {
                Some(_) => Err(Rejection::bare(RejectCode::Incompatible)),
                None => Ok(OrderType::StopMarket {
                    trigger: modify.trigger.unwrap_or(trigger),
                }),
            },
            _ if modify.trigger.is_some() => Err(Rejection::bare(RejectCode::NotPending)),
            _ => Ok(OrderType::Limit(modify.price.unwrap_or(order.limit))),
        }
    }

    fn change(&self, order: &Order, quantity: u32, order_type: OrderType) -> Result<Change, Refusal> {
        let instrument = self.instrument_of(order.instrument);
        let lot = instrument.definition.lot_size.shares();
        if quantity.checked_rem(lot) != Some(0) {
            let rejection = Rejection::new(RejectCode::LotSize, i64::from(quantity), i64::from(lot));
            return Err(Refusal::Rejected(rejection));
        }
        let disclosed = order.disclosed;
        if disclosed > quantity && quantity > order.cum {
            let rejection = Rejection::new(
                RejectCode::DisclosedQuantity,
                i64::from(disclosed),
                i64::from(quantity),
            );
            return Err(Refusal::Rejected(rejection));
        }
        let limit = match order_type {
            OrderType::StopMarket { trigger } => instrument.protection_from(trigger, order.side),
            other => other.price().unwrap_or(order.limit),
        };
        let tick = instrument.sides.domain().tick_of(limit);
        // A price outside the grid or band fails the risk pass with its own code; the tick is then not used.
        Ok(Change {
            quantity,
            limit,
            tick: tick.unwrap_or(0),
            order_type,
        })
    }

    /// The risk pass for what the order would become, on the state without it (see [`Revised`]).
    fn recheck(&mut self, slot: u32, change: &Change, leaves: u32) -> Result<(), Refusal> {
        let passes = self.surely_passes(slot, change, leaves);
        if passes && !cfg!(debug_assertions) {
            return Ok(());
        }
        let verdict = self.recheck_one_by_one(slot, change, leaves);
        debug_assert!(!passes || verdict.is_ok(), "the short way let through what fails");
        verdict
    }

    /// Whether the short way of the risk pass can tell that what the order would become passes. It compares all that is open
    /// with limits that measure what is added, and no less.
    #[inline(always)]
    fn surely_passes(&self, slot: u32, change: &Change, leaves: u32) -> bool {
        let order = self.orders.at(slot);
        let Some(ask) = Ask::after(order, change.order_type, leaves) else {
            return false;
        };
        let ground = self.ground(order.account, order.instrument, Some(order.position), self.time);
        ground.is_some_and(|ground| {
            risk::usual::plan(&ask, &ground, &released(order)).is_some()
                && (order.cum == 0 || change.total_fits(ground.instrument))
                && ground.instrument.sides.can_rest(order.side, change.tick)
        })
    }

    #[inline(never)]
    fn recheck_one_by_one(&mut self, slot: u32, change: &Change, leaves: u32) -> Result<(), Refusal> {
        let order = self.orders.at(slot);
        let (entry, exit, order_leaves) = (order.entry_leaves(), order.exit_leaves, order.leaves);
        let position = order.position;
        let request = NewOrder {
            account: order.account,
            strategy: self.positions.at(position).strategy,
            instrument: order.instrument,
            side: order.side,
            product: order.product,
            order_type: change.order_type,
            time_in_force: order.time_in_force,
            quantity: Quantity::clamped(i64::from(leaves)),
            post_only: order.post_only,
            disclosed: None,
            minimum: None,
            stop_loss: order.stop_loss,
            take_profit: order.take_profit,
            client_order_id: ClientOrderId::EMPTY,
            metadata: None,
        };
        let (open, open_entry) = if change.moves(order) {
            (0, 0)
        } else {
            (order_leaves, entry)
        };
        let revised = Revised {
            filled: order.cum,
            open,
            entry: open_entry,
        };
        self.release(slot, entry, exit);
        let subject = self.subject_of(&request, position, revised);
        let verdict = risk::evaluate(&subject)
            .0
            .and_then(|plan| self.book_checks(&request, &plan));
        let restored = self.orders.at_mut(slot);
        (restored.leaves, restored.exit_leaves) = (order_leaves, exit);
        self.reserve(slot, entry, exit);
        verdict.map_err(Refusal::Rejected)?;
        self.fits(&request, change)
    }

    /// Whether the book has a level for what the order would become.
    fn fits(&self, request: &NewOrder, change: &Change) -> Result<(), Refusal> {
        let sides = &self.instrument_of(request.instrument).sides;
        if sides.can_rest(request.side, change.tick) {
            Ok(())
        } else {
            Err(Refusal::Rejected(order_capacity(self.orders.capacity())))
        }
    }

    /// What the checks look at when an open order is modified into `request`.
    #[inline]
    fn subject_of<'a>(&'a self, request: &'a NewOrder, position: u32, revised: Revised) -> Subject<'a> {
        let account = self.account_of(request.account);
        let strategy = self.strategy_limits_of(request.account, request.strategy);
        let limits = strategy.map_or(&account.limits, |strategy| &strategy.in_force);
        Subject {
            order: request,
            account,
            limits,
            bucket: strategy.and_then(StrategyLimits::bucket),
            marks: self.marks_of(account),
            instrument: self.instrument_of(request.instrument),
            position: Some(self.positions.at(position)),
            revises: Some(revised),
            state: self.state_for(request.account, request.strategy),
            gate: self.gate_of(request.instrument),
            now: self.time,
            executions: account.executions_of(request.strategy, request.side, limits, self.time),
        }
    }

    fn carry_out(&mut self, slot: u32, change: &Change, leaves: u32, requeues: bool, out: &mut EventBuffer) {
        let order = self.orders.at(slot);
        let (before, trigger) = (order.leaves, order.order_type.trigger());
        let (pending, venue, account_id) = (order.is_pending(), order.venue, order.account);
        let becomes_limit = order.is_market() && !pending;
        let changes = requeues || leaves != before;
        if requeues {
            self.requeue(slot, change, leaves);
        } else if leaves < before {
            self.shrink(slot, before.wrapping_sub(leaves));
        }
        if changes && becomes_limit {
            self.become_limit(slot, change.order_type);
        }
        let order = self.orders.at_mut(slot);
        order.quantity = change.quantity;
        if changes {
            order.modifications = order.modifications.saturating_add(1);
            order.order_type = change.order_type;
            order.protective = false;
        }
        self.digests.orders.note_one(order, slot);
        if !venue {
            out.push(Event::OrderModified(OrderModified {
                order: order.id,
                account: account_id,
                instrument: order.instrument,
                quantity: Quantity::clamped(i64::from(change.quantity)),
                leaves_quantity: Quantity::clamped(i64::from(leaves)),
                limit: change.limit,
                order_type: order.order_type,
                side: order.side,
                status: if leaves == 0 {
                    OrderStatus::Filled
                } else {
                    OrderStatus::Open
                },
                kept_priority: !requeues,
            }));
        }
        if leaves == 0 {
            self.unlink_from_book(slot);
            self.finish(slot, OrderStatus::Filled);
        } else if changes && pending && change.order_type.trigger() != trigger {
            self.rearm_order(slot);
        } else if requeues && !pending {
            self.active = Some(Task::Match(slot));
        }
        self.rehash_account(account_id);
    }

    /// A market order that works becomes a limit order, which no longer stops its position's losses.
    #[cold]
    fn become_limit(&mut self, slot: u32, order_type: OrderType) {
        self.reclassify(slot, |engine| engine.orders.at_mut(slot).order_type = order_type);
        self.unblock_later(self.orders.at(slot).position);
    }

    /// Takes an order out of its queue, holds for it what it holds from now on, and takes a token.
    #[inline(always)]
    fn requeue(&mut self, slot: u32, change: &Change, leaves: u32) {
        self.unlink_from_book(slot);
        let now = self.time;
        let order = self.orders.at_mut(slot);
        let position_slot = order.position;
        let position = self.positions.at_mut(position_slot);
        let account = self.accounts.as_mut_slice().at_mut(order.account.get());
        let (entry, exit) = (order.entry_leaves(), order.exit_leaves);
        reservation::release(order, position, account, entry, exit);
        let closable = u32::try_from(position.closable_by(order.side)).unwrap_or(u32::MAX);
        order.leaves = leaves;
        order.exit_leaves = closable.min(leaves);
        (order.limit, order.tick) = (change.limit, change.tick);
        let entry = order.entry_leaves();
        reservation::reserve(order, position, account, entry, order.exit_leaves);
        account.take_token(now);
        let limited = account
            .strategy_limited
            .then_some((order.account, position.strategy));
        if let Some((account, strategy)) = limited {
            self.take_strategy_token(account, strategy);
        }
        if exit > 0 {
            self.unblock_later(position_slot);
        }
        if List::of(self.orders.at(slot)) != self.orders.at(slot).list {
            self.relist(slot);
        }
    }

    /// Takes quantity off an order where it stands: hidden quantity first, and the entry part first.
    fn shrink(&mut self, slot: u32, by: u32) {
        let entry = self.orders.at(slot).entry_leaves().min(by);
        self.release(slot, entry, by.wrapping_sub(entry));
        let order = self.orders.at(slot);
        if !order.resting {
            return;
        }
        let (instrument, side, leaves) = (order.instrument, order.side, order.leaves);
        let visible = self.nodes.at(slot).visible.min(leaves);
        let sides = &mut self.instruments.as_mut_slice().at_mut(instrument.get()).sides;
        sides.set_visible(&mut self.nodes, side, slot, visible);
        self.touch(instrument);
    }

    fn unlink_from_book(&mut self, slot: u32) {
        let order = self.orders.at_mut(slot);
        if !core::mem::replace(&mut order.resting, false) {
            return;
        }
        let (instrument, side) = (order.instrument, order.side);
        let sides = &mut self.instruments.as_mut_slice().at_mut(instrument.get()).sides;
        sides.unlink(&mut self.nodes, side, slot);
        self.touch(instrument);
    }
}
