//! Stop orders and conditions of positions: they wait, are reached by the range of an aggressor's prints, and go one after
//! the other.

use engine::{
    Cause, ConditionsChanged, Edit, EditConditions, Event, InstrumentId, OrderId, OrderTriggered, OrderType,
    PositionId, Price, Ratio, Reached, Refusal, RejectCode, Rejection, Side, TradeId, TradingState, Trailing,
};

use super::Oracle;
use super::risk::rejection;
use super::state::{Armed, Condition, Range, Shares, State};

/// What a trigger belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Order(OrderId),
    Condition(PositionId, Condition),
}

/// A trigger that waits: its price, what trails after what does not and by distance, its place in the sequence.
struct Waiting {
    price: Price,
    rank: (u8, u32),
    sequence: u64,
    what: What,
}

/// Something whose trigger was reached, and by which print.
#[derive(Clone)]
pub struct Fired {
    what: What,
    sequence: u64,
    price: Price,
    print: (Price, Option<TradeId>),
}

impl Oracle {
    /// Lets an accepted stop order wait, at the end of the sequence of triggers.
    pub(super) fn wait_for_trigger(&mut self, id: OrderId) {
        self.next_sequence += 1;
        let sequence = self.next_sequence;
        let order = self.orders.get_mut(&id).expect("a known order");
        order.status = engine::OrderStatus::Open;
        order.pending = Some(sequence);
        self.relist(id);
        let order = &self.orders[&id];
        let (request, trigger) = (&order.request, order.order_type.trigger().expect("a stop order"));
        let (instrument, side) = (request.instrument, request.side);
        self.resting.insert(id);
        let last = self.instrument(instrument).last_price;
        if let Some(last) = last.filter(|last| reaches(side == Side::Buy, *last, trigger)) {
            self.fired.push_back(Fired {
                what: What::Order(id),
                sequence,
                price: trigger,
                print: (last, None),
            });
        }
    }

    /// The trigger and the last price that is past it.
    pub(super) fn crossed(&self, order: &engine::NewOrder) -> Option<(Price, Price)> {
        let (trigger, last) = (
            order.order_type.trigger()?,
            self.instrument(order.instrument).last_price?,
        );
        reaches(order.side == Side::Buy, last, trigger).then_some((trigger, last))
    }

    /// Queues what the last aggressor's prints reached: what a rise reaches by ascending, then what a fall reaches by
    /// descending trigger, then sequence. Trailing stops follow the first print before and the last one after that.
    pub(super) fn collect(&mut self) {
        for index in 0..self.instruments.len() {
            let Some(range) = self.instruments[index].prints.take() else {
                continue;
            };
            let id = InstrumentId::new(index as u32);
            self.follow(id, range.first);
            for rise in [true, false] {
                self.collect_one_way(id, rise, &range);
            }
            self.follow(id, range.last);
        }
    }

    /// Moves the extremes of trailing stops that wait.
    fn follow(&mut self, id: InstrumentId, print: Price) {
        for position in &mut self.positions {
            let waits = position.armed[Condition::Trailing as usize].state == State::Waiting;
            if position.instrument == id && position.trailing.is_some() && waits {
                let extreme = position.extreme.expect("it waits");
                position.extreme = Some(if position.quantity > 0 {
                    extreme.max(print)
                } else {
                    extreme.min(print)
                });
            }
        }
    }

    fn collect_one_way(&mut self, id: InstrumentId, rise: bool, range: &Range) {
        let print = if rise { range.high } else { range.low };
        let mut reached: Vec<Waiting> = self
            .waiting(id, rise)
            .into_iter()
            .filter(|waiting| reaches(rise, print.0, waiting.price))
            .collect();
        reached.sort_by_key(|waiting| {
            let paise = i64::from(waiting.price.paise());
            let along = if rise { paise } else { -paise };
            (along, waiting.rank, waiting.sequence)
        });
        for waiting in reached {
            if let What::Condition(position, condition) = waiting.what {
                self.position_mut(position).armed[condition as usize].state = State::Queued;
            }
            self.fired.push_back(Fired {
                what: waiting.what,
                sequence: waiting.sequence,
                price: waiting.price,
                print,
            });
        }
    }

    /// Every trigger of an instrument that a rise (or a fall) reaches and that is not queued yet.
    fn waiting(&self, id: InstrumentId, rise: bool) -> Vec<Waiting> {
        let queued = |sequence| self.fired.iter().any(|fired| fired.sequence == sequence);
        let orders = self.open().filter_map(|(order, of)| {
            let sequence = of.pending.filter(|sequence| !queued(*sequence))?;
            let here = of.request.instrument == id && (of.request.side == Side::Buy) == rise;
            here.then_some(Waiting {
                price: of.order_type.trigger()?,
                rank: (0, 0),
                sequence,
                what: What::Order(order),
            })
        });
        let mut waiting: Vec<_> = orders.collect();
        for (position, number) in self.positions.iter().zip(1_u32..) {
            for condition in Condition::ALL {
                let armed = position.armed[condition as usize];
                let here = position.instrument == id && armed.state == State::Waiting;
                let Some((price, of_rise)) = position.trigger(condition).filter(|_| here) else {
                    continue;
                };
                if of_rise == rise {
                    waiting.push(Waiting {
                        price,
                        rank: rank(condition, position.trailing),
                        sequence: armed.sequence,
                        what: What::Condition(PositionId::new(number), condition),
                    });
                }
            }
        }
        waiting
    }

    /// Arms what is new, and what was reached while there was nothing to exit and now there is.
    pub(super) fn arm(&mut self) {
        for id in (1..=self.positions.len() as u32).map(PositionId::new) {
            for condition in Condition::ALL {
                let position = self.position(id);
                let venue = self.account(position.account).venue;
                if position.quantity == 0 || venue || position.value(condition).is_none() {
                    continue;
                }
                let state = position.armed[condition as usize].state;
                if state == State::New || state == State::Blocked && self.may_exit(id, condition) {
                    self.arm_one(id, condition);
                }
            }
        }
    }

    fn arm_one(&mut self, id: PositionId, condition: Condition) {
        let instrument = self.position(id).instrument;
        let last = self.instrument(instrument).last_price.expect("it was traded");
        if self.position(id).armed[condition as usize].state == State::New {
            self.next_sequence += 1;
            let sequence = self.next_sequence;
            self.position_mut(id).armed[condition as usize].sequence = sequence;
            if condition == Condition::Trailing {
                self.position_mut(id).extreme = Some(last);
            }
        }
        let position = self.position(id);
        let sequence = position.armed[condition as usize].sequence;
        let (price, rise) = position.trigger(condition).expect("it is set");
        let state = match (reaches(rise, last, price), self.may_exit(id, condition)) {
            (false, _) => State::Waiting,
            (true, false) => State::Blocked,
            (true, true) => {
                self.fired.push_back(Fired {
                    what: What::Condition(id, condition),
                    sequence,
                    price,
                    print: (last, None),
                });
                State::Queued
            }
        };
        self.position_mut(id).armed[condition as usize].state = state;
    }

    fn may_exit(&self, id: PositionId, condition: Condition) -> bool {
        let position = self.position(id);
        self.wanted(id, condition) > 0
            && self.is_continuous(position.instrument)
            && self.state_of(position.account, position.strategy) != TradingState::Halted
    }

    /// What a condition's exit is for: a stop's for all that is open, a target's for what no other exit works on.
    fn wanted(&self, id: PositionId, condition: Condition) -> Shares {
        let open = self.position(id).quantity.abs();
        match condition {
            Condition::TakeProfit => open - self.working_exits(id),
            Condition::StopLoss | Condition::Trailing => open,
        }
    }

    /// Sets off one of the queue, if it still waits.
    pub(super) fn fire(&mut self, fired: &Fired) {
        match fired.what {
            What::Order(order) => self.fire_order(order, fired),
            What::Condition(position, condition) => self.fire_condition(position, condition, fired),
        }
    }

    fn fire_order(&mut self, id: OrderId, fired: &Fired) {
        let order = &self.orders[&id];
        if order.pending != Some(fired.sequence) || !self.resting.contains(&id) {
            return;
        }
        let (instrument, side) = (order.request.instrument, order.request.side);
        let protected = match order.order_type {
            OrderType::StopMarket { .. } => self.protected_price(instrument, side),
            _ => None,
        };
        self.resting.remove(&id);
        let order = self.orders.get_mut(&id).expect("a known order");
        order.pending = None;
        order.limit = protected.unwrap_or(order.limit);
        self.relist(id);
        let order = &self.orders[&id];
        let event = OrderTriggered {
            order: id,
            account: order.request.account,
            instrument,
            limit: order.limit,
            trigger_price: order.order_type.trigger().expect("a stop order"),
            print_price: fired.print.0,
            trade: fired.print.1,
        };
        if !self.account(event.account).venue {
            self.events.push(Event::OrderTriggered(event));
        }
        self.enter(id);
    }

    fn fire_condition(&mut self, id: PositionId, condition: Condition, fired: &Fired) {
        let armed = self.position(id).armed[condition as usize];
        if armed.state != State::Queued || armed.sequence != fired.sequence {
            return;
        }
        if !self.may_exit(id, condition) {
            self.position_mut(id).armed[condition as usize].state = State::Blocked;
            return;
        }
        let reached = Reached {
            trigger_price: fired.price,
            print_price: fired.print.0,
            trade: fired.print.1,
        };
        let (cause, limit) = match condition {
            Condition::StopLoss => (Cause::StopLoss, None),
            Condition::TakeProfit => (Cause::TakeProfit, Some(fired.price)),
            Condition::Trailing => (Cause::TrailingStop, None),
        };
        let wanted = self.wanted(id, condition);
        self.position_mut(id).forget_conditions();
        self.say_conditions(id, false, Some(reached));
        self.place_exits(id, wanted, cause, limit, false);
    }

    /// A target on the grid and inside the band, moved to where it trades rather earlier.
    pub(super) fn target_limit(&self, instrument: InstrumentId, is_long: bool, target: Price) -> Price {
        let instrument = self.instrument(instrument);
        let (paise, tick) = (i128::from(target.paise()), instrument.tick());
        let on_grid = if is_long {
            paise.div_euclid(tick) * tick
        } else {
            -(-paise).div_euclid(tick) * tick
        };
        let (low, high) = instrument.band();
        Price::from_paise_clamped(on_grid.max(low).min(high) as i64)
    }

    pub(super) fn edit_conditions(&mut self, edit: &EditConditions) {
        if let Err(refusal) = self.edit(edit) {
            self.refuse_command(refusal);
        }
    }

    fn edit(&mut self, edit: &EditConditions) -> Result<(), Refusal> {
        if !(1..=self.positions.len() as u32).contains(&edit.position.get()) {
            return Err(Refusal::UnknownPosition);
        }
        let position = self.position(edit.position).clone();
        let venue = self.account(position.account).venue;
        if venue || !edit.actor.admin && position.account != edit.actor.account {
            return Err(Refusal::UnknownPosition);
        }
        if position.quantity == 0 {
            return Err(Refusal::PositionClosed);
        }
        let is_long = position.quantity > 0;
        let tick = self.instrument(position.instrument).tick() as i64;
        let rounded = |price: Price, up: bool| {
            let paise = i64::from(price.paise());
            let ticks = if up {
                (paise + tick - 1) / tick
            } else {
                paise / tick
            };
            Price::from_paise_clamped(ticks * tick)
        };
        let asked = (
            over(edit.stop_loss, position.stop_loss),
            over(edit.take_profit, position.take_profit),
            over(edit.trailing, position.trailing),
        );
        let stop_loss = asked.0.map(|price| rounded(price, is_long));
        let take_profit = asked.1.map(|price| rounded(price, !is_long));
        let trailing = match asked.2 {
            Some(Trailing::Percent(share)) if share <= Ratio::ZERO || share >= Ratio::ONE => {
                return Err(Refusal::Rejected(Rejection::bare(RejectCode::TrailingShare)));
            }
            Some(Trailing::Distance(distance)) => {
                let least = Price::from_paise_clamped(tick);
                Some(Trailing::Distance(rounded(distance, false).max(least)))
            }
            other => other,
        };
        if let (Some(stop), Some(target)) = (stop_loss, take_profit) {
            let beyond = if is_long { stop >= target } else { stop <= target };
            if beyond {
                let (stop, target) = (i128::from(stop.paise()), i128::from(target.paise()));
                let rejection = rejection(RejectCode::StopBeyondTarget, stop, target);
                return Err(Refusal::Rejected(rejection));
            }
        }
        let held = self.position_mut(edit.position);
        held.set_stop_loss(stop_loss);
        held.set_take_profit(take_profit);
        held.warned_stop &= stop_loss.is_none() && trailing.is_none();
        if held.trailing != trailing {
            held.trailing = trailing;
            held.extreme = None;
            held.armed[Condition::Trailing as usize] = Armed::default();
        }
        let off_grid = asked != (stop_loss, take_profit, trailing);
        self.say_conditions(edit.position, off_grid, None);
        let alert = self.warn_missing_stop(edit.position);
        self.events.extend(alert);
        Ok(())
    }

    fn say_conditions(&mut self, id: PositionId, rounded: bool, fired: Option<Reached>) {
        let position = self.position(id);
        let event = ConditionsChanged {
            position: id,
            account: position.account,
            instrument: position.instrument,
            stop_loss: position.stop_loss,
            take_profit: position.take_profit,
            trailing: position.trailing,
            trailing_stop: self.trailing_stop(id),
            rounded,
            fired,
        };
        self.events.push(Event::ConditionsChanged(event));
    }

    /// Where a trailing stop stands; one that was just set, as if at the last price.
    pub fn trailing_stop(&self, id: PositionId) -> Option<Price> {
        let mut position = self.position(id).clone();
        position.trailing?;
        let last = self.instrument(position.instrument).last_price;
        position.extreme = position.extreme.or(last);
        position.trigger(Condition::Trailing).map(|(price, _)| price)
    }
}

fn over<T>(edit: Edit<T>, before: Option<T>) -> Option<T> {
    match edit {
        Edit::Keep => before,
        Edit::Remove => None,
        Edit::Set(value) => Some(value),
    }
}

fn rank(condition: Condition, trailing: Option<Trailing>) -> (u8, u32) {
    match trailing.filter(|_| condition == Condition::Trailing) {
        None => (0, 0),
        Some(Trailing::Distance(distance)) => (1, distance.paise()),
        Some(Trailing::Percent(share)) => (2, share.ppm()),
    }
}

fn reaches(rise: bool, print: Price, trigger: Price) -> bool {
    if rise { print >= trigger } else { print <= trigger }
}
