//! Closing positions: the engine's own exits, as protected market orders sliced to the freeze quantity.
//!
//! A request to close is idempotent while one works: it is answered with the exits that the first placed. Only a request to
//! close all of a position of which a part is being closed, or was filled anew, places exits for what none covers yet.

use crate::arena::{NIL, Slots};
use crate::cause::Cause;
use crate::command::{ClosePosition, KillScope, NewOrder};
use crate::engine::{Engine, Task};
use crate::entry::order_capacity;
use crate::event::{Event, EventBuffer};
use crate::ids::{AccountId, InstrumentId, OrderId, StrategyId};
use crate::order::Lookup;
use crate::position::{Position, Positions};
use crate::rejection::{Refusal, RejectCode, Rejection};
use crate::risk::{self, Plan};
use crate::session::Gate;
use crate::terms::{OrderType, Side, TimeInForce, TradingState};
use crate::text::ClientOrderId;
use crate::units::{Price, Quantity};

/// Positions still to be closed, and how far that has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closing {
    scope: Scope,
    /// The position under way; [`NIL`] before the first.
    position: u32,
    /// Shares of it that still need an exit.
    remaining: u32,
    /// Shares of it that got one.
    placed: u32,
    /// Its first and its newest exit.
    first: OrderId,
    last: OrderId,
    /// Why, as its exits say.
    cause: Cause,
    /// A limit for its exits; without one they are protected market orders.
    limit: Option<Price>,
}

/// A close that was asked for, by the range of its exits' ids.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Requested {
    pub(crate) first: OrderId,
    last: OrderId,
    /// The first of them that was open when somebody last asked.
    open: OrderId,
    /// Shares that got an exit.
    pub(crate) quantity: u32,
}

impl Requested {
    pub(crate) fn slices(&self) -> u32 {
        let ids = self.last.get().saturating_sub(self.first.get());
        u32::try_from(ids.saturating_add(1)).unwrap_or(u32::MAX)
    }
}

#[derive(Clone, Copy, Debug)]
enum Scope {
    One,
    /// Every intraday position in instruments with, or without, derivatives but those that are halted.
    SquareOff {
        derivatives: bool,
    },
    /// Every open position under a kill switch but those that are halted; `by_profile`: of the accounts whose profile
    /// wants it.
    All {
        scope: KillScope,
        by_profile: bool,
    },
}

impl Closing {
    pub(crate) fn flatten(scope: KillScope, by_profile: bool) -> Closing {
        Closing::every(Scope::All { scope, by_profile }, Cause::Flatten)
    }

    pub(crate) fn square_off(derivatives: bool) -> Closing {
        Closing::every(Scope::SquareOff { derivatives }, Cause::SquareOff)
    }

    fn every(scope: Scope, cause: Cause) -> Closing {
        Closing {
            scope,
            position: NIL,
            remaining: 0,
            placed: 0,
            first: OrderId::default(),
            last: OrderId::default(),
            cause,
            limit: None,
        }
    }

    /// Exits for `remaining` shares of a position whose condition was reached.
    pub(crate) fn of_condition(position: u32, remaining: u32, cause: Cause, limit: Option<Price>) -> Closing {
        Closing {
            scope: Scope::One,
            position,
            remaining,
            placed: 0,
            first: OrderId::default(),
            last: OrderId::default(),
            cause,
            limit,
        }
    }
}

impl Engine {
    pub(crate) fn close_position(
        &mut self,
        close: &ClosePosition,
        out: &mut EventBuffer,
    ) -> Result<(), Refusal> {
        let slot = self
            .positions
            .slot(close.position)
            .ok_or(Refusal::UnknownPosition)?;
        let position = self.positions.at(slot);
        if position.venue || !close.actor.admin && position.account != close.actor.account {
            return Err(Refusal::UnknownPosition);
        }
        position.closing_side().ok_or(Refusal::PositionClosed)?;
        if self.state_for(position.account, position.strategy) == TradingState::Halted {
            return Err(Refusal::Rejected(Rejection::bare(RejectCode::CircuitBreaker)));
        }
        if let Some(rejection) = self.gate_of(position.instrument).refuses(false) {
            return Err(Refusal::Rejected(rejection));
        }
        let open = position.quantity.saturating_abs();
        let closable = self.closable_now(slot);
        if (close.quantity.is_some() || closable == 0)
            && let Some(working) = self.working_close(slot)
        {
            out.push(Event::CloseRepeated {
                position: close.position,
                order: working.first,
                quantity: Quantity::clamped(i64::from(working.quantity)),
            });
            return Ok(());
        }
        let wanted = close
            .quantity
            .map_or(open, |quantity| i64::from(quantity.shares()));
        if wanted > open || wanted == 0 {
            return Err(Refusal::AboveOpenQuantity(Quantity::clamped(open)));
        }
        let remaining = u32::try_from(wanted.min(closable)).unwrap_or(0);
        if remaining == 0 {
            let covering = self.newest_exit(slot);
            let covering = covering.map_or(OrderId::default(), |exit| self.orders.at(exit).id);
            return Err(Refusal::AlreadyClosing(covering));
        }
        if !self.orders.has_room() {
            return Err(Refusal::Rejected(order_capacity(self.orders.capacity())));
        }
        let closing = Closing {
            scope: Scope::One,
            position: slot,
            remaining,
            placed: 0,
            first: OrderId::default(),
            last: OrderId::default(),
            cause: Cause::Close,
            limit: None,
        };
        self.active = Some(Task::Close(closing));
        Ok(())
    }

    /// The close that was asked for last, while one of its exits is open. Those that were found finished are not looked at
    /// again.
    fn working_close(&mut self, position: u32) -> Option<Requested> {
        let mut close = self.positions.at(position).closing?;
        while close.open <= close.last {
            let at = self.orders.find(close.open);
            if matches!(at, Lookup::Open(slot) if self.orders.at(slot).position == position) {
                break;
            }
            close.open = OrderId::new(close.open.get().wrapping_add(1));
        }
        self.positions.at_mut(position).closing = Some(close);
        (close.open <= close.last).then_some(close)
    }

    /// Shares of a position that an exit could close now.
    pub(crate) fn closable_now(&self, slot: u32) -> i64 {
        let position = self.positions.at(slot);
        let closable = position
            .closing_side()
            .map_or(0, |side| position.closable_by(side));
        closable.saturating_add(position.pending_exits)
    }

    /// Takes what a closing lacks off the newest exit that makes way for it; `false` where there is none. Exits that wait for
    /// their trigger make way for every closing; for a stop those that rest do too, because a limit far away must not keep
    /// it from protecting the position.
    fn make_way(&mut self, closing: &Closing, lacking: u32, out: &mut EventBuffer) -> bool {
        let pending = self.positions.at(closing.position).lists.pending_exits.newest;
        let giving_up = if closing.cause.is_stop() && closing.placed == 0 {
            self.newest_exit(closing.position)
        } else {
            (pending != NIL).then_some(pending)
        };
        let Some(slot) = giving_up else {
            return false;
        };
        let exit = self.orders.at(slot).exit_leaves.min(lacking);
        self.cancel_exit(slot, exit, out);
        true
    }

    /// Places the next exit and has it matched, or reports a position as done and moves on.
    pub(crate) fn close_next(&mut self, mut closing: Closing, out: &mut EventBuffer) -> Option<Task> {
        // A fill of an earlier slice may have shrunk the position or freed nothing: look at it as it is now.
        let closable = self.closable(closing.position);
        let lacking = closing.remaining.saturating_sub(closable);
        if lacking > 0 && closing.position != NIL && self.make_way(&closing, lacking, out) {
            return Some(Task::Close(closing));
        }
        let slice = closing.remaining.min(closable);
        if slice > 0 {
            let placed = self.place_exit(&closing, slice, out);
            let order = self.orders.at(placed);
            closing.first = if closing.placed == 0 {
                order.id
            } else {
                closing.first
            };
            closing.last = order.id;
            closing.remaining = closing.remaining.saturating_sub(order.quantity);
            closing.placed = closing.placed.saturating_add(order.quantity);
            // Match this slice before the next is placed: first the active task, then the rest of the closing.
            self.waiting.push_front(Task::Close(closing));
            return Some(Task::Match(placed));
        }
        if closing.placed > 0 && closing.cause == Cause::Close {
            self.positions.at_mut(closing.position).closing = Some(Requested {
                first: closing.first,
                last: closing.last,
                open: closing.first,
                quantity: closing.placed,
            });
            self.rehash_position(closing.position);
        }
        if closing.placed > 0 && !self.positions.at(closing.position).venue {
            out.push(Event::PositionClosing {
                position: Positions::id(closing.position),
                order: closing.first,
                quantity: Quantity::clamped(i64::from(closing.placed)),
            });
        }
        self.next_to_close(closing).map(Task::Close)
    }

    fn closable(&self, position: u32) -> u32 {
        if position == NIL || !self.orders.has_room() {
            return 0;
        }
        let position = self.positions.at(position);
        let closable = position
            .closing_side()
            .map_or(0, |side| position.closable_by(side));
        u32::try_from(closable).unwrap_or(u32::MAX)
    }

    fn next_to_close(&self, closing: Closing) -> Option<Closing> {
        if matches!(closing.scope, Scope::One) {
            return None;
        }
        let account = match closing.scope {
            Scope::All {
                scope: KillScope::Account(account) | KillScope::Strategy(account, _),
                ..
            } => Some(account),
            _ => None,
        };
        // Those of one account are in a list, by age.
        let after = |slot: u32| match account {
            Some(account) if slot == NIL => self.account_of(account).first_position,
            Some(_) => self.positions.at(slot).next_of_account,
            None => slot.wrapping_add(1),
        };
        let mut slot = after(closing.position);
        while slot < self.positions.len() {
            let position = self.positions.at(slot);
            if self.is_to_close(position, closing.scope) {
                let remaining = u32::try_from(position.quantity.unsigned_abs()).unwrap_or(u32::MAX);
                return Some(Closing {
                    position: slot,
                    remaining,
                    placed: 0,
                    ..closing
                });
            }
            slot = after(slot);
        }
        None
    }

    /// Whether a position is one that a scope closes, and that can be closed now.
    fn is_to_close(&self, position: &Position, scope: Scope) -> bool {
        let wanted = match scope {
            Scope::One => false,
            Scope::SquareOff { derivatives } => self.is_intraday_of(position, derivatives),
            Scope::All { scope, by_profile } => {
                covers(scope, position.account, position.strategy)
                    && (!by_profile || self.account_of(position.account).limits.flatten_on_kill)
            }
        };
        wanted
            && position.quantity != 0
            && !position.venue
            && self.is_continuous(position.instrument)
            && self.state_for(position.account, position.strategy) != TradingState::Halted
    }

    /// What an instrument's session says of orders.
    #[inline]
    pub(crate) fn gate_of(&self, instrument: InstrumentId) -> Gate {
        self.session
            .gate(self.instrument_of(instrument).definition.derivatives)
    }

    /// Whether an instrument's session is in its continuous phase.
    pub(crate) fn is_continuous(&self, instrument: InstrumentId) -> bool {
        let derivatives = self.instrument_of(instrument).definition.derivatives;
        self.session.is_continuous(derivatives)
    }

    /// One exit of at most the freeze quantity, at its limit, else at the protected price or, without a last price, the
    /// band's edge.
    fn place_exit(&mut self, closing: &Closing, shares: u32, out: &mut EventBuffer) -> u32 {
        let position = self.positions.at(closing.position);
        let side = position.closing_side().unwrap_or(Side::Sell);
        let instrument = self.instruments.as_slice().at(position.instrument.get());
        let quantity = shares.min(instrument.definition.freeze_quantity.shares().max(1));
        let limits = &self.account_of(position.account).limits;
        let (domain, paise) = (instrument.sides.domain(), |price: Price| i64::from(price.paise()));
        let (order_type, limit) = match (closing.limit, side) {
            // A target that is off the grid or outside the band by now moves to where it still trades.
            (Some(target), Side::Sell) => limit_at(domain.floor(paise(target))),
            (Some(target), Side::Buy) => limit_at(domain.ceil(paise(target))),
            (None, _) => {
                let protected = instrument
                    .protected_price(side)
                    .filter(|_| risk::is_fresh(limits, instrument, self.time));
                let limit = protected.unwrap_or_else(|| instrument.band_edge(side));
                (OrderType::Market, limit)
            }
        };
        let order = NewOrder {
            account: position.account,
            strategy: position.strategy,
            instrument: position.instrument,
            side,
            product: position.product,
            order_type,
            time_in_force: TimeInForce::Day,
            quantity: Quantity::clamped(i64::from(quantity)),
            post_only: false,
            disclosed: None,
            minimum: None,
            stop_loss: None,
            take_profit: None,
            client_order_id: ClientOrderId::EMPTY,
            metadata: None,
        };
        let plan = Plan {
            limit,
            tick: self.instrument_of(order.instrument).sides.domain().tick_of(limit),
            exit_quantity: quantity,
            stop_loss: None,
            take_profit: None,
            cause: Some(closing.cause),
        };
        self.accept(&order, plan, out)
    }
}

fn limit_at(price: Price) -> (OrderType, Price) {
    (OrderType::Limit(price), price)
}

/// Whether a kill scope covers a strategy of an account.
pub(crate) fn covers(scope: KillScope, account: AccountId, strategy: StrategyId) -> bool {
    match scope {
        KillScope::Engine => true,
        KillScope::Account(killed) => killed == account,
        KillScope::Strategy(killed, killed_strategy) => killed == account && killed_strategy == strategy,
    }
}
