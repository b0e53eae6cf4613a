//! Properties of money and authority, against a naive ledger in exact fractions that is folded from what is published:
//! reservations never leak and never go below zero, and are zero when all is flat; P&L and charges are right to the paisa;
//! from every state but HALTED there is a way out while the market is open; a kill switch lets no entry through and leaves none in the book.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    dead_code,
    unreachable_pub,
    reason = "the ledger is plain arithmetic in a test: overflow and bad indices should stop it"
)]

mod fold;
mod rational;
#[path = "../streams/mod.rs"]
mod streams;

use std::collections::BTreeSet;

use engine::{
    AccountId, Actor, CancelAll, Capacity, ClientOrderId, ClosePosition, Command, Engine, Event, EventBuffer,
    InstrumentId, Money, NewOrder, OrderType, PositionId, Price, Product, Quantity, Rearm, Refusal,
    RejectCode, Sequenced, SessionPhase, Side, StrategyId, Text, TimeInForce, TradingState, Work,
};
use fold::Ledger;
use proptest::prelude::*;
use streams::{OpenOrder, Stream};

const CAPACITY: Capacity = Capacity {
    accounts: 16,
    instruments: 8,
    orders: 1 << 14,
    positions: 256,
    client_order_ids: 1 << 10,
};

/// Commands between two tries of every way out.
const EXIT_INTERVAL: usize = 40;
/// Rounds of closing everything.
const ROUNDS_MAX: usize = 4;
const ADMIN: Actor = Actor {
    account: AccountId::new(0),
    admin: true,
};
/// The venue's account that provides the liquidity to close everything with.
const VENUE: AccountId = AccountId::new(5);

/// An engine and its ledger.
struct Books {
    engine: Engine,
    ledger: Ledger,
    stream: Stream,
    /// What all accounts were given, less the charges they paid.
    given: i128,
    defined: BTreeSet<AccountId>,
}

impl Books {
    fn new() -> Result<Books, String> {
        let mut books = Books {
            engine: Engine::new(CAPACITY),
            ledger: Ledger::default(),
            stream: Stream::default(),
            given: 0,
            defined: BTreeSet::new(),
        };
        for command in books.stream.begin() {
            books.follow(&command)?;
        }
        Ok(books)
    }

    /// Applies a command and balances the books.
    fn follow(&mut self, command: &Sequenced<Command>) -> Result<Vec<Event>, String> {
        let events = apply(&mut self.engine, command);
        self.count_cash(command, &events);
        let balanced = self
            .ledger
            .fold(command, &events)
            .and_then(|()| self.balance())
            .and_then(|()| self.conserved());
        balanced.map_err(|why| format!("{why}\nafter {command:?}\n{events:?}"))?;
        Ok(events)
    }

    /// Money that entered or left: openings, cash adjustments, charges.
    fn count_cash(&mut self, command: &Sequenced<Command>, events: &[Event]) {
        if let Command::AdjustCash(adjust) = &command.command
            && adjust.actor.admin
            && self.defined.contains(&adjust.account)
        {
            self.given += adjust.amount.wide();
        }
        for event in events {
            match (event, &command.command) {
                (Event::AccountDefined(id), Command::DefineAccount(definition))
                    if self.defined.insert(*id) =>
                {
                    self.given += definition.opening_balance.wide();
                }
                (Event::Fill(fill), _) => self.given -= fill.charges.total().wide(),
                _ => {}
            }
        }
    }

    /// A trade only moves cash and shares between accounts: Σ cash is what was given, Σ shares is nothing.
    fn conserved(&self) -> Result<(), String> {
        let cash =
            |view: engine::AccountView<'_>| view.balance.wide() + view.realised.wide() - view.charges.wide();
        let cash: i128 = self.engine.accounts().map(cash).sum();
        let cost: i128 = self.engine.positions().map(|view| view.cost.wide()).sum();
        if cash - cost != self.given {
            return Err(format!("cash {cash} less cost {cost} is not {}", self.given));
        }
        for instrument in self.engine.instruments() {
            let of = |view: &engine::PositionView| view.instrument == instrument.instrument;
            let shares: i64 = self.engine.positions().filter(of).map(|view| view.quantity).sum();
            if shares != 0 {
                return Err(format!(
                    "{shares} shares too many of {}",
                    instrument.definition.symbol
                ));
            }
        }
        Ok(())
    }

    /// Ticks that are due, then the command of a seed.
    fn turn(&mut self, seed: u64) -> Result<(), String> {
        self.stream.turn(seed);
        while let Some(tick) = self.stream.tick(self.engine.next_deadline()) {
            self.follow(&tick)?;
        }
        let open: Vec<OpenOrder> = self
            .ledger
            .orders
            .iter()
            .map(|(&id, order)| OpenOrder {
                id,
                account: order.account,
                instrument: self.ledger.positions[&order.position].instrument,
            })
            .collect();
        let command = self.stream.command(&open);
        self.follow(&command).map(drop)
    }

    fn balance(&self) -> Result<(), String> {
        for (id, position) in &self.ledger.positions {
            let view = self.engine.position(*id).ok_or("a position is gone")?;
            position.compare(&view, self.ledger.mark(position))?;
        }
        for view in self.engine.accounts().filter(|account| !account.venue) {
            self.balance_account(&view)?;
        }
        self.no_entry_in_a_killed_scope()
    }

    fn balance_account(&self, view: &engine::AccountView<'_>) -> Result<(), String> {
        let leverage = i128::from(view.limits.mis_leverage);
        let (orders, positions) = self.ledger.margins(view.account, leverage);
        let net = view.balance.wide() + view.realised.wide() - view.charges.wide();
        let funds = net + view.unrealised.wide().min(0);
        let available = rational::Rational::whole(funds).minus(orders).minus(positions);
        let expected = [
            self.ledger.worth(view.account),
            orders.ceil(),
            positions.ceil(),
            available.floor(),
        ];
        let found = [
            net + view.unrealised.wide(),
            view.order_margin.wide(),
            view.position_margin.wide(),
            view.available.wide(),
        ];
        if expected == found && view.order_margin >= Money::ZERO && view.position_margin >= Money::ZERO {
            return Ok(());
        }
        Err(format!(
            "account {}: worth, order margin, position margin, available: {expected:?}, the engine says {found:?}",
            view.account
        ))
    }

    /// When a command is done, no order that could open anything rests under a kill switch.
    fn no_entry_in_a_killed_scope(&self) -> Result<(), String> {
        let entry = self.ledger.orders.iter().find(|(_, order)| {
            let state = self.ledger.state_of(order.account, order.strategy);
            state != TradingState::Normal && order.leaves > order.exit || state == TradingState::Halted
        });
        match entry {
            Some((id, order)) => Err(format!("order {id} outlived the kill switch: {order:?}")),
            None => Ok(()),
        }
    }

    /// Tries every way out of every open position, each on a copy of the engine.
    fn try_exits(&mut self) -> Result<(), String> {
        let open: Vec<PositionId> = self
            .ledger
            .positions
            .iter()
            .filter(|(_, position)| position.quantity != 0)
            .map(|(id, _)| *id)
            .collect();
        for id in open {
            self.try_close(id)?;
            self.try_exit_order(id)?;
        }
        Ok(())
    }

    /// Whether an instrument's session lets orders in.
    fn trades(&self, instrument: InstrumentId) -> bool {
        let view = self.engine.instrument(instrument).expect("a known instrument");
        self.engine.session_phase(view.definition.derivatives) == SessionPhase::Continuous
    }

    /// A close is refused only while halted or out of session, or where exits for all of the position already work; those
    /// that wait for a trigger make way for it.
    fn try_close(&mut self, id: PositionId) -> Result<(), String> {
        let position = &self.ledger.positions[&id];
        let free = self.ledger.uncovered(id);
        let state = self.ledger.state_of(position.account, position.strategy);
        let close = ClosePosition {
            actor: Actor {
                account: position.account,
                admin: false,
            },
            position: id,
            quantity: None,
        };
        let mut copy = self.engine.clone();
        let command = sequenced(&copy, Command::ClosePosition(close));
        let events = apply(&mut copy, &command);
        let closing = events.iter().find_map(|event| match event {
            Event::PositionClosing { quantity, .. } => Some(i128::from(quantity.shares())),
            _ => None,
        });
        let says = |code: RejectCode| {
            events
                .iter()
                .any(|event| matches!(event, Event::Refused(Refusal::Rejected(r)) if r.code == code))
        };
        let right = match (state, free) {
            (TradingState::Halted, _) => closing.is_none() && says(RejectCode::CircuitBreaker),
            _ if !self.trades(position.instrument) => closing.is_none() && says(RejectCode::Session),
            (_, 0) => events
                .iter()
                .any(|event| matches!(event, Event::CloseRepeated { .. })),
            _ => closing == Some(free),
        };
        if right {
            return Ok(());
        }
        Err(format!("closing {free} of {position:?} in {state:?}: {events:?}"))
    }

    /// So does an ordinary order over what is free, in whole lots, up to the freeze quantity, inside the band.
    fn try_exit_order(&self, id: PositionId) -> Result<(), String> {
        let position = &self.ledger.positions[&id];
        let side = if position.quantity > 0 {
            Side::Sell
        } else {
            Side::Buy
        };
        let instrument = self
            .engine
            .instrument(position.instrument)
            .ok_or("an instrument is gone")?;
        let lot = i128::from(instrument.definition.lot_size.shares());
        let freeze = i128::from(instrument.definition.freeze_quantity.shares());
        let quantity = self.ledger.closable(id, side).min(freeze) / lot * lot;
        if quantity == 0 {
            return Ok(());
        }
        let order = NewOrder {
            product: position.product,
            strategy: position.strategy,
            ..plain(
                position.account,
                position.instrument,
                side,
                instrument.band_low,
                quantity,
            )
        };
        let halted = self.ledger.state_of(position.account, position.strategy) == TradingState::Halted;
        match self.engine.check(&order, self.engine.time()).rejection {
            None if !halted && self.trades(position.instrument) => Ok(()),
            Some(rejection) if halted && rejection.code == RejectCode::CircuitBreaker => Ok(()),
            Some(rejection)
                if !halted && !self.trades(position.instrument) && rejection.code == RejectCode::Session =>
            {
                Ok(())
            }
            other => Err(format!("an exit order of {quantity} of {position:?}: {other:?}")),
        }
    }

    /// Clears the books and closes everything against the venue. Nothing may be held then.
    fn wind_up(&mut self) -> Result<(), String> {
        let rearm = Rearm {
            actor: ADMIN,
            deactivated_by: Text::cut("tester"),
        };
        let clear = CancelAll {
            actor: ADMIN,
            account: None,
            strategy: None,
            instrument: None,
            side: None,
        };
        self.act(Command::SetSession(Box::default()))?;
        self.act(Command::Rearm(rearm))?;
        self.act(Command::CancelAll(clear))?;
        // A close may print a price that has another account flattened, whose exits then take the venue's quantity.
        for _ in 0..ROUNDS_MAX {
            self.close_all()?;
            self.act(Command::CancelAll(clear))?;
        }
        for view in self.engine.accounts().filter(|account| !account.venue) {
            let held = (view.order_margin, view.position_margin, view.unrealised);
            let free = view
                .balance
                .saturating_add(view.realised)
                .saturating_sub(view.charges);
            if held != (Money::ZERO, Money::ZERO, Money::ZERO)
                || view.available != free
                || view.open_positions != 0
            {
                return Err(format!(
                    "account {} is flat and holds {held:?}, free {free}",
                    view.account
                ));
            }
        }
        Ok(())
    }

    fn close_all(&mut self) -> Result<(), String> {
        let positions = self.ledger.positions.iter();
        let open = positions.filter(|(_, position)| position.quantity != 0);
        let open: Vec<_> = open.map(|(id, position)| (*id, position.clone())).collect();
        for (id, position) in open {
            self.quote_against(&position)?;
            let close = ClosePosition {
                actor: ADMIN,
                position: id,
                quantity: None,
            };
            self.act(Command::ClosePosition(close))?;
        }
        Ok(())
    }

    /// The venue takes the other side of a whole position at its last price.
    fn quote_against(&mut self, position: &fold::Position) -> Result<(), String> {
        let view = self
            .engine
            .instrument(position.instrument)
            .ok_or("an instrument is gone")?;
        let lot = i128::from(view.definition.lot_size.shares());
        let side = if position.quantity > 0 {
            Side::Buy
        } else {
            Side::Sell
        };
        let price = if side == Side::Buy {
            view.band_high
        } else {
            view.band_low
        };
        let quantity = (position.quantity.abs() + lot - 1) / lot * lot;
        self.act(Command::NewOrder(plain(
            VENUE,
            position.instrument,
            side,
            price,
            quantity,
        )))
        .map(drop)
    }

    fn act(&mut self, command: Command) -> Result<Vec<Event>, String> {
        let command = sequenced(&self.engine, command);
        self.follow(&command)
    }
}

fn sequenced(engine: &Engine, command: Command) -> Sequenced<Command> {
    Sequenced {
        seq: engine::Seq::new(engine.last_seq().get() + 1),
        time: engine.time(),
        command,
    }
}

fn apply(engine: &mut Engine, command: &Sequenced<Command>) -> Vec<Event> {
    let mut buffer = EventBuffer::new();
    let mut events = Vec::new();
    let mut work = engine.apply(command, &mut buffer);
    events.extend_from_slice(&buffer);
    while work == Work::More {
        buffer.clear();
        work = engine.resume(&mut buffer);
        events.extend_from_slice(&buffer);
    }
    events
}

fn plain(account: AccountId, instrument: InstrumentId, side: Side, price: Price, quantity: i128) -> NewOrder {
    NewOrder {
        account,
        strategy: StrategyId::new(1),
        instrument,
        side,
        product: Product::Mis,
        order_type: OrderType::Limit(price),
        time_in_force: TimeInForce::Day,
        quantity: Quantity::clamped(i64::try_from(quantity).expect("a quantity")),
        post_only: false,
        disclosed: None,
        minimum: None,
        stop_loss: None,
        take_profit: None,
        client_order_id: ClientOrderId::EMPTY,
        metadata: None,
    }
}

fn keep_books(seeds: &[u64]) -> Result<(), String> {
    let mut books = Books::new()?;
    for (at, &seed) in seeds.iter().enumerate() {
        books.turn(seed)?;
        if at % EXIT_INTERVAL == 0 {
            books.try_exits()?;
        }
    }
    books.try_exits()?;
    books.wind_up()
}

#[test]
fn long_streams_balance() {
    for seed in 1..=24 {
        keep_books(&streams::seeds(seed, 4_000)).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn short_streams_balance(seeds in proptest::collection::vec(any::<u64>(), 0..300)) {
        keep_books(&seeds).map_err(TestCaseError::fail)?;
    }
}
