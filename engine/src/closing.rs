//! Closing positions: the engine's own exits, as protected market orders sliced to the freeze quantity.
//!
//! A request to close is idempotent while one works: it is answered with the exits that the first placed. Only a request to
//! close all of a position of which a part is being closed, or was filled anew, places exits for what none covers yet.
//!
//! Getting out is never blocked (RISK.md), and no share has two exits. So whatever rests at a limit to close the position, or
//! waits for its trigger, makes way for a close, a flatten and a square-off, as far as they need it: what rests first, the
//! newest of it first. What works at a protected price already gets out, and stays. Exits that find the order pool full are
//! owed ([`crate::leaving`]).

use crate::arena::{NIL, Slots};
use crate::cause::Cause;
use crate::command::{ClosePosition, KillScope, NewOrder};
use crate::engine::{Engine, Task};
use crate::entry::order_capacity;
use crate::event::{Event, EventBuffer};
use crate::ids::{AccountId, InstrumentId, OrderId, StrategyId};
use crate::order::Lookup;
use crate::position::Positions;
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
    /// The resting exit to look at next for one that makes way; `None` before the first.
    giving_way: Option<u32>,
    /// Goes on with a closing that found no room.
    resumed: bool,
}

/// A close that was asked for.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Requested {
    /// Its first exit, which whoever asks again is answered with.
    pub(crate) first: OrderId,
    /// The ids of its exits: the first that was open when somebody last asked, and the last. Where it had to wait for room,
    /// those that were placed last.
    open: OrderId,
    pub(crate) last: OrderId,
    /// Shares that got an exit.
    pub(crate) quantity: u32,
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
            giving_way: None,
            resumed: false,
        }
    }

    /// Exits for `remaining` shares of a position, because somebody asked for it or a condition was reached.
    pub(crate) fn of_one(position: u32, remaining: u32, cause: Cause, limit: Option<Price>) -> Closing {
        Closing {
            position,
            remaining,
            limit,
            ..Closing::every(Scope::One, cause)
        }
    }

    /// The same where it goes on after it found no room.
    pub(crate) fn resumed(position: u32, remaining: u32, cause: Cause, limit: Option<Price>) -> Closing {
        Closing {
            resumed: true,
            ..Closing::of_one(position, remaining, cause, limit)
        }
    }

    /// The position, why it is to be closed, and the limit.
    pub(crate) const fn owing(&self) -> (u32, Cause, Option<Price>) {
        (self.position, self.cause, self.limit)
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
        let owed = position.leaving.owed_to_close();
        let uncovered = self.uncovered(slot).saturating_sub(owed);
        if (close.quantity.is_some() || uncovered == 0)
            && let Some(working) = self.working_close(slot)
        {
            self.say_repeated(close, working.first, working.quantity, out);
            return Ok(());
        }
        let wanted = close
            .quantity
            .map_or(open, |quantity| i64::from(quantity.shares()));
        if wanted > open || wanted == 0 {
            return Err(Refusal::AboveOpenQuantity(Quantity::clamped(open)));
        }
        let remaining = u32::try_from(wanted).unwrap_or(u32::MAX).min(uncovered);
        if remaining == 0 {
            // Other exits get all of it out already: those of a condition, a flatten or a square-off, or the trader's own.
            let working = self.newest_exit(slot);
            let working = working.map_or(OrderId::default(), |exit| self.orders.at(exit).id);
            self.say_repeated(close, working, u32::try_from(open).unwrap_or(u32::MAX), out);
            return Ok(());
        }
        if !self.orders.has_room() {
            return Err(Refusal::Rejected(order_capacity(self.orders.capacity())));
        }
        self.active = Some(Task::Close(Closing::of_one(slot, remaining, Cause::Close, None)));
        Ok(())
    }

    fn say_repeated(&self, close: &ClosePosition, order: OrderId, shares: u32, out: &mut EventBuffer) {
        out.push(Event::CloseRepeated {
            position: close.position,
            order,
            quantity: Quantity::clamped(i64::from(shares)),
        });
    }

    /// The close that was asked for last, while one of its exits is open or waits for room. Those that were found finished are not looked at
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
        let held = self.positions.at_mut(position);
        held.closing = Some(close);
        let works = close.open <= close.last || held.leaving.owed_to_close() > 0;
        works.then_some(close)
    }

    /// Shares of a position that no exit at a protected price gets out.
    pub(crate) fn uncovered(&self, slot: u32) -> u32 {
        let position = self.positions.at(slot);
        let open = position.quantity.saturating_abs();
        u32::try_from(open.saturating_sub(position.market_exits)).unwrap_or(0)
    }

    /// Shares of a position that an exit could close now.
    pub(crate) fn closable_now(&self, slot: u32) -> i64 {
        let position = self.positions.at(slot);
        let closable = position
            .closing_side()
            .map_or(0, |side| position.closable_by(side));
        closable.saturating_add(position.pending_exits)
    }

    /// Takes what a closing lacks off the next exit that makes way for it, or looks at one that does not; `false` where there is
    /// none left. A target takes the place of exits that wait for their trigger; a close, a flatten and a square-off also of
    /// those that rest at a limit; a stop of all, because a price far away must not keep it from protecting the position.
    fn make_way(&mut self, closing: &mut Closing, lacking: u32, out: &mut EventBuffer) -> bool {
        let lists = self.positions.at(closing.position).lists;
        let giving_up = match closing.cause {
            Cause::StopLoss | Cause::TrailingStop => self.newest_exit(closing.position).unwrap_or(NIL),
            Cause::TakeProfit => lists.pending_exits.newest,
            Cause::Close | Cause::Flatten | Cause::SquareOff => {
                match closing.giving_way.unwrap_or(lists.exits.newest) {
                    NIL => {
                        closing.giving_way = Some(NIL);
                        lists.pending_exits.newest
                    }
                    resting => {
                        let exit = self.orders.at(resting);
                        closing.giving_way = Some(exit.older);
                        if exit.is_market() {
                            self.collected = self.collected.saturating_add(1);
                            return true;
                        }
                        resting
                    }
                }
            }
        };
        if giving_up == NIL {
            return false;
        }
        let exit = self.orders.at(giving_up).exit_leaves.min(lacking);
        self.cancel_exit(giving_up, exit, out);
        true
    }

    /// Places the next exit and has it matched, or reports a position as done and moves on.
    pub(crate) fn close_next(&mut self, mut closing: Closing, out: &mut EventBuffer) -> Option<Task> {
        // A fill of an earlier slice may have shrunk the position or freed nothing: look at it as it is now.
        let closable = self.closable(closing.position);
        let lacking = closing.remaining.saturating_sub(closable);
        if lacking > 0 && closing.placed == 0 && self.make_way(&mut closing, lacking, out) {
            return Some(Task::Close(closing));
        }
        let slice = closing.remaining.min(closable);
        if slice > 0 && self.orders.has_room() {
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
            self.note_requested(&closing);
        }
        if closing.placed > 0 && !self.positions.at(closing.position).venue {
            out.push(Event::PositionClosing {
                position: Positions::id(closing.position),
                order: closing.first,
                quantity: Quantity::clamped(i64::from(closing.placed)),
            });
        }
        if slice > 0 {
            self.owe(&closing, slice);
        }
        self.next_to_close(closing).map(Task::Close)
    }

    /// Keeps a close for whoever asks again.
    fn note_requested(&mut self, closing: &Closing) {
        let position = self.positions.at_mut(closing.position);
        let before = position.closing.filter(|_| closing.resumed);
        position.closing = Some(Requested {
            first: before.map_or(closing.first, |before| before.first),
            open: closing.first,
            last: closing.last,
            quantity: before
                .map_or(0, |before| before.quantity)
                .saturating_add(closing.placed),
        });
        self.rehash_position(closing.position);
    }

    /// Shares of a position that an exit could close without another making way.
    fn closable(&self, position: u32) -> u32 {
        if position == NIL {
            return 0;
        }
        let position = self.positions.at(position);
        let closable = position
            .closing_side()
            .map_or(0, |side| position.closable_by(side));
        u32::try_from(closable).unwrap_or(u32::MAX)
    }

    /// The next position that a scope wants gone. One that cannot be closed now is left to later.
    fn next_to_close(&mut self, closing: Closing) -> Option<Closing> {
        let account = match closing.scope {
            Scope::One => return None,
            Scope::All {
                scope: KillScope::Account(account) | KillScope::Strategy(account, _),
                ..
            } => Some(account),
            _ => None,
        };
        // Those of one account are in a list, by age.
        let after = |engine: &Engine, slot: u32| match account {
            Some(account) if slot == NIL => engine.account_of(account).first_position,
            Some(_) => engine.positions.at(slot).next_of_account,
            None => slot.wrapping_add(1),
        };
        let mut slot = after(self, closing.position);
        while slot < self.positions.len() && !self.wants_gone(slot, closing.scope) {
            slot = after(self, slot);
        }
        if slot >= self.positions.len() {
            return None;
        }
        let by = match closing.scope {
            Scope::All { scope, .. } => Some(scope),
            Scope::One | Scope::SquareOff { .. } => None,
        };
        self.want_gone(slot, by);
        self.collected = self.collected.saturating_add(1);
        let now = self.may_leave(self.positions.at(slot));
        Some(Closing {
            position: slot,
            remaining: if now { self.uncovered(slot) } else { 0 },
            placed: 0,
            giving_way: None,
            ..closing
        })
    }

    /// Whether a position is one that a scope closes. A kill switch leaves alone what is halted; square-off makes up for it.
    fn wants_gone(&self, slot: u32, scope: Scope) -> bool {
        let position = self.positions.at(slot);
        let wanted = match scope {
            Scope::One => false,
            Scope::SquareOff { derivatives } => self.is_intraday_of(position, derivatives),
            Scope::All { scope, by_profile } => {
                covers(scope, position.account, position.strategy)
                    && (!by_profile || self.account_of(position.account).limits.flatten_on_kill)
                    && self.state_for(position.account, position.strategy) != TradingState::Halted
            }
        };
        wanted && position.quantity != 0 && !position.venue
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
        self.accept_at(closing.position, &order, plan, out)
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
