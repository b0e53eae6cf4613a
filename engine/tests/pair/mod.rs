//! The engine beside the oracle: one command at a time through both, and what the two must agree about.

use std::fmt::Write as _;

use engine::{
    AccountId, Capacity, Command, Engine, Event, EventBuffer, InstrumentId, NewOrder, OrderRejected,
    PositionId, Price, Rejection, Sequenced, Side, TimeInForce, Work,
};

use crate::oracle::Oracle;
use crate::streams::OpenOrder;

/// Position keys: more than any stream makes.
pub const POSITIONS: u32 = 256;

/// Orders: more than any stream leaves open.
pub const ORDERS: u32 = 1 << 14;

const CAPACITY: Capacity = Capacity {
    accounts: 16,
    instruments: 8,
    orders: ORDERS,
    positions: POSITIONS,
    client_order_ids: 1 << 10,
};

/// The engine and the oracle side by side.
pub struct Pair {
    engine: Engine,
    pub oracle: Oracle,
    buffer: EventBuffer,
    /// Calls of the engine so far.
    pub calls: usize,
}

impl Default for Pair {
    fn default() -> Pair {
        Pair::new(POSITIONS, ORDERS)
    }
}

impl Pair {
    /// With room for so many position keys and open orders.
    pub fn new(positions: u32, orders: u32) -> Pair {
        Pair {
            engine: Engine::new(Capacity {
                positions,
                orders,
                ..CAPACITY
            }),
            oracle: Oracle::new(positions as usize, orders as usize),
            buffer: EventBuffer::new(),
            calls: 0,
        }
    }

    /// One command: the same events, the same verdict before it, the same deadline after it.
    pub fn step(&mut self, command: &Sequenced<Command>) -> Result<(), String> {
        let verdict = match &command.command {
            Command::NewOrder(order) if order.client_order_id.is_empty() => {
                Some(self.engine.check(order, command.time).rejection)
            }
            _ => None,
        };
        let found = self.apply_to_engine(command);
        let expected = canonical(self.oracle.apply(command));
        if found != expected {
            return Err(difference(&expected, &found));
        }
        if let (Some(verdict), Command::NewOrder(order)) = (verdict, &command.command) {
            self.compare_verdict(order, verdict, &found)?;
        }
        equal(
            "next deadline",
            self.oracle.next_deadline(),
            self.engine.next_deadline(),
        )?;
        self.nothing_is_left()?;
        if let Command::NewOrder(order) = &command.command {
            promises_are_kept(order, &found)?;
        }
        exits_fit(&self.engine, &found, self.oracle.has_room())
    }

    /// A command that is done has left no work behind.
    fn nothing_is_left(&mut self) -> Result<(), String> {
        self.buffer.clear();
        let work = self.engine.resume(&mut self.buffer);
        if work == Work::Done && self.buffer.is_empty() {
            Ok(())
        } else {
            Err(format!("left behind: {:?}", self.buffer.as_slice()))
        }
    }

    /// All events of a command. Of a command that took several calls only the last top of each book counts.
    fn apply_to_engine(&mut self, command: &Sequenced<Command>) -> Vec<Event> {
        let mut events = Vec::new();
        self.buffer.clear();
        let mut work = self.engine.apply(command, &mut self.buffer);
        events.extend_from_slice(&self.buffer);
        self.calls += 1;
        while work == Work::More {
            self.buffer.clear();
            work = self.engine.resume(&mut self.buffer);
            self.calls += 1;
            let again: Vec<_> = self.buffer.iter().filter_map(top_instrument).collect();
            events.retain(|event| top_instrument(event).is_none_or(|top| !again.contains(&top)));
            events.extend_from_slice(&self.buffer);
        }
        canonical(events)
    }

    /// The same state, and nothing leaked.
    pub fn compare_state(&self) -> Result<(), String> {
        compare_books(&self.engine, &self.oracle)?;
        compare_state(&self.engine, &self.oracle)?;
        compare_statistics(&self.engine, &self.oracle)?;
        self.engine.audit().map_err(String::from)
    }

    /// `check` before a command says what `apply` then does. Of venue accounts no rejection is published, and orders
    /// that name nothing known are refused, not rejected.
    fn compare_verdict(
        &self,
        order: &NewOrder,
        verdict: Option<Rejection>,
        found: &[Event],
    ) -> Result<(), String> {
        let published = self
            .engine
            .account(order.account)
            .is_some_and(|account| !account.venue)
            && self.engine.instrument(order.instrument).is_some();
        let rejected = found.iter().find_map(|event| match event {
            Event::OrderRejected(OrderRejected { rejection, .. }) => Some(*rejection),
            _ => None,
        });
        if !published {
            return Ok(());
        }
        equal("apply (as oracle) and check (as engine)", rejected, verdict)
    }
}

/// What an order's attributes promise its sender, whatever the engine and the oracle agree about.
fn promises_are_kept(order: &NewOrder, events: &[Event]) -> Result<(), String> {
    let id = events.iter().find_map(|event| match event {
        Event::OrderAccepted(accepted) => Some(accepted.order).filter(|_| accepted.cause.is_none()),
        _ => None,
    });
    let Some(id) = id else { return Ok(()) };
    let fills = events.iter().filter_map(|event| match event {
        Event::Fill(fill) if fill.order == id => Some(fill),
        _ => None,
    });
    let filled = fills
        .clone()
        .next_back()
        .map_or(0, |fill| fill.cum_quantity.shares());
    let ended = events.iter().any(|event| match event {
        Event::Fill(fill) => fill.order == id && !fill.status.is_active(),
        Event::OrderCancelled(cancelled) => cancelled.order == id && !cancelled.status.is_active(),
        _ => false,
    });
    let minimum = order.minimum.map_or(0, engine::Quantity::shares);
    let taken_at_once = || {
        let taken = |event: &Event| matches!(event, Event::Trade(trade) if trade.taker == id);
        events.iter().any(taken)
    };
    let broken = match order.time_in_force {
        _ if order.order_type.trigger().is_some() => None,
        TimeInForce::Fok if filled != order.quantity.shares() => Some("fill-or-kill was filled in part"),
        TimeInForce::Ioc if !ended => Some("immediate-or-cancel is still open"),
        _ if filled < minimum => Some("less than the minimum quantity traded"),
        _ if order.post_only && taken_at_once() => Some("post-only took"),
        _ => None,
    };
    match broken {
        Some(promise) => Err(format!("{promise}: {order:?}\n{events:#?}")),
        None => Ok(()),
    }
}

/// The orders that a stream may refer to.
pub fn open_orders(oracle: &Oracle) -> Vec<OpenOrder> {
    let open = oracle.open_orders_of_all();
    open.map(|(id, account, instrument)| OpenOrder {
        id,
        account,
        instrument,
    })
    .collect()
}

/// Never two exits for one share, and what a condition that fired left uncovered is nothing; a flat position has no
/// conditions and no exits.
fn exits_fit(engine: &Engine, events: &[Event], has_room: bool) -> Result<(), String> {
    for position in engine.positions() {
        let conditions = (position.stop_loss, position.take_profit, position.trailing);
        let is_flat = position.quantity == 0;
        if position.closing > position.quantity.abs() || is_flat && conditions != (None, None, None) {
            return Err(format!("{position:?}"));
        }
    }
    let mut fired = events.iter().enumerate().filter_map(|(at, event)| match event {
        Event::ConditionsChanged(changed) if changed.fired.is_some() => Some((at, changed)),
        _ => None,
    });
    fired.try_for_each(|(at, changed)| {
        let conditions = (changed.stop_loss, changed.take_profit, changed.trailing);
        let after = events[at..].iter();
        let mut closing = after.filter_map(|event| match event {
            Event::PositionClosing {
                position, quantity, ..
            } if *position == changed.position => Some(*quantity),
            _ => None,
        });
        let exits = closing.next().is_some_and(|quantity| !quantity.is_zero());
        if conditions == (None, None, None) && (exits || !has_room) {
            Ok(())
        } else {
            Err(format!("{changed:?} led to no exit"))
        }
    })
}

/// Tops of several books come in no particular order at the end of a call.
fn canonical(mut events: Vec<Event>) -> Vec<Event> {
    let tops = events
        .iter()
        .rev()
        .take_while(|event| top_instrument(event).is_some());
    let start = events.len() - tops.count();
    events[start..].sort_by_key(top_instrument);
    events
}

fn top_instrument(event: &Event) -> Option<InstrumentId> {
    match event {
        Event::TopOfBook(top) => Some(top.instrument),
        _ => None,
    }
}

fn difference(expected: &[Event], found: &[Event]) -> String {
    let mut text = String::new();
    for index in 0..expected.len().max(found.len()) {
        let (expected, found) = (expected.get(index), found.get(index));
        let write = if expected == found {
            writeln!(text, "  both   {expected:?}")
        } else {
            writeln!(text, "  oracle {expected:?}\n  engine {found:?}")
        };
        write.expect("writing to a string");
    }
    text
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, expected: T, found: T) -> Result<(), String> {
    if expected == found {
        Ok(())
    } else {
        Err(format!("{what}: oracle {expected:?}, engine {found:?}"))
    }
}

fn compare_books(engine: &Engine, oracle: &Oracle) -> Result<(), String> {
    for index in 0..oracle.all_instruments().len() as u32 {
        let id = InstrumentId::new(index);
        for side in [Side::Buy, Side::Sell] {
            let mut levels: Vec<(Price, u64, u32)> = Vec::new();
            for (price, _, visible, _) in oracle.queue(id, side) {
                let visible = visible as u64;
                match levels.last_mut() {
                    Some(level) if level.0 == price => {
                        level.1 += visible;
                        level.2 += 1;
                    }
                    _ => levels.push((price, visible, 1)),
                }
            }
            let depth = engine.depth(id, side, usize::MAX);
            let depth: Vec<_> = depth
                .iter()
                .map(|level| (level.price, level.quantity, level.orders))
                .collect();
            equal(&format!("{side} depth of instrument {id}"), levels, depth)?;
        }
    }
    Ok(())
}

/// The last price and the day's trading.
fn compare_statistics(engine: &Engine, oracle: &Oracle) -> Result<(), String> {
    for (instrument, view) in oracle.all_instruments().iter().zip(engine.instruments()) {
        let trades = &instrument.trades;
        let prices = || trades.iter().map(|(price, _)| *price);
        equal(
            &format!("last, open, high and low of instrument {}", view.instrument),
            [
                instrument.last_price,
                prices().next(),
                prices().max(),
                prices().min(),
            ],
            [view.last_price, view.open, view.high, view.low],
        )?;
        let volume: i128 = trades.iter().map(|(_, shares)| shares).sum();
        let value = |(price, shares): &(Price, i128)| i128::from(price.paise()) * shares;
        equal(
            &format!("volume, turnover and trades of instrument {}", view.instrument),
            (
                volume,
                trades.iter().map(value).sum::<i128>(),
                trades.len() as u64,
            ),
            (i128::from(view.volume), view.turnover, view.trades),
        )?;
    }
    Ok(())
}

fn compare_state(engine: &Engine, oracle: &Oracle) -> Result<(), String> {
    let venue = |id: AccountId| oracle.all_accounts()[id.get() as usize].venue;
    for (position, index) in oracle.all_positions().iter().zip(1_u32..) {
        if venue(position.account) {
            continue;
        }
        let id = PositionId::new(index);
        let view = engine
            .position(id)
            .ok_or_else(|| format!("position {id} is missing"))?;
        let paise = |money: engine::Money| money.wide();
        equal(
            &format!("position {id}: quantity, cost, realised, charges, unrealised, settled"),
            [
                position.quantity,
                position.cost,
                position.realised,
                position.charges,
                oracle.position_unrealised(id),
                oracle.settled(id),
            ],
            [
                i128::from(view.quantity),
                paise(view.cost),
                paise(view.realised),
                paise(view.charges),
                paise(view.unrealised),
                i128::from(view.settled),
            ],
        )?;
    }
    for (account, index) in oracle.all_accounts().iter().zip(0_u32..) {
        if account.venue {
            continue;
        }
        let id = AccountId::new(index);
        let view = engine
            .account(id)
            .ok_or_else(|| format!("account {id} is missing"))?;
        let (position_margin, order_margin, available) = oracle.funds(id);
        equal(
            &format!(
                "account {id}: balance, realised, charges, peak, position margin, order margin, available"
            ),
            [
                account.balance,
                account.realised,
                account.charges,
                account.peak,
                position_margin,
                order_margin,
                available,
            ],
            [
                view.balance.wide(),
                view.realised.wide(),
                view.charges.wide(),
                view.peak.wide(),
                view.position_margin.wide(),
                view.order_margin.wide(),
                view.available.wide(),
            ],
        )?;
    }
    Ok(())
}
