//! The oracle: a second engine, written from the rules alone, slow and obvious, for comparison event by event.
//!
//! Everything is looked up by scanning, every sum is taken anew, money is `i128`. Nothing here is shared with the
//! engine but its vocabulary of commands and events.

mod clock;
mod control;
mod keys;
mod layer_b;
mod leaving;
mod matching;
mod messages;
mod monitor;
mod orders;
mod risk;
mod session;
pub mod state;
mod strategies;
mod triggers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use engine::{
    AccountId, ChargeRates, Command, Event, InstrumentId, KillScope, Money, OrderId, PositionId, Price,
    Quantity, Refusal, Sequenced, Side, StrategyId, Timestamp, TopOfBook, TradingState,
};

use self::state::{Account, Instrument, Order, Orders, Paise, Position, Shares};

/// What a kill switch or a deadline sets off.
#[derive(Clone)]
enum Later {
    /// Cancel the scope's orders.
    Sweep(KillScope),
    /// Close the scope's positions of these accounts.
    Flatten(KillScope, BTreeSet<AccountId>),
    /// Cancel intraday orders of a class of instruments.
    CancelIntraday(usize),
    /// Close intraday positions of a class of instruments.
    SquareOff(usize),
    /// Cancel what an account that fell silent has sent.
    CancelSent(AccountId),
}

#[derive(Clone, Default)]
pub struct Oracle {
    time: Timestamp,
    instruments: Vec<Instrument>,
    accounts: Vec<Account>,
    positions: Vec<Position>,
    keys: BTreeMap<keys::Key, PositionId>,
    /// Positions that the engine holds at most, those made so far, and those that were never filled and have no order
    /// any more, the longest so first.
    positions_max: usize,
    /// Orders that may be open at once.
    orders_max: usize,
    made: u64,
    vacant: Vec<PositionId>,
    strategies: BTreeMap<(AccountId, StrategyId), TradingState>,
    /// Strategies with limits of their own.
    limited: BTreeMap<(AccountId, StrategyId), strategies::Strategy>,
    engine_state: TradingState,
    orders: Orders,
    /// Those of `orders` that rest, in order of acceptance.
    resting: BTreeSet<OrderId>,
    session: session::Session,
    next_trade: u64,
    /// By effective date.
    rates: BTreeMap<u32, ChargeRates>,
    /// Triggers set so far, and those that were reached and wait for their turn.
    next_sequence: u64,
    fired: VecDeque<triggers::Fired>,
    /// The trading day of the last command.
    day: Option<u32>,
    events: Vec<Event>,
    /// Accounts whose P&L changed and was not looked at yet.
    reviews: BTreeSet<AccountId>,
    /// Positions that were filled or marked and not looked at yet.
    watches: BTreeSet<PositionId>,
    /// Positions that are to be got out of as soon as there is room, whoever has waited longest first.
    leaving: VecDeque<PositionId>,
    /// What waits until everything before it is done.
    later: VecDeque<Later>,
    /// Books whose positions were marked since marks were last published, and when they are due.
    marks_pending: Vec<InstrumentId>,
    marks_due: Option<Timestamp>,
    /// Orders that joined a list so far.
    joinings: u64,
    /// Positions opened so far.
    opened: u64,
    /// Whose message the command was, where it was not refused.
    message_of: Option<AccountId>,
    /// The new order that the command is answered with.
    answered: Option<OrderId>,
}

impl Oracle {
    pub fn new(positions_max: usize, orders_max: usize) -> Oracle {
        Oracle {
            positions_max,
            orders_max,
            ..Oracle::default()
        }
    }

    /// Folds one command and says what happened.
    pub fn apply(&mut self, command: &Sequenced<Command>) -> Vec<Event> {
        let tops = self.tops();
        self.time = self.time.max(command.time);
        self.day.get_or_insert(self.time.trading_day());
        match &command.command {
            Command::NewOrder(order) => self.new_order(order),
            Command::ModifyOrder(modify) => self.modify_order(modify),
            Command::CancelOrder(cancel) => self.cancel_order(cancel),
            Command::CancelAll(filter) => self.cancel_all(filter),
            Command::ClosePosition(close) => self.close_position(close),
            Command::EditConditions(edit) => self.edit_conditions(edit),
            Command::MarketPrice(price) => self.market_price(price),
            Command::Tick => self.tick(),
            // The streams check hashes and reserve nothing.
            Command::HashCheck(_) | Command::SetCapacity(_) => {}
            Command::SetSession(calendar) => self.set_session(calendar),
            Command::Heartbeat(beat) => self.heartbeat(beat),
            Command::Notice(notice) => {
                let alert = self.manual_alert(notice.kind.alert(), None);
                self.events.push(alert);
            }
            Command::KillSwitch(kill) => self.kill_switch(kill),
            Command::Rearm(rearm) => self.rearm(rearm),
            Command::AdjustCash(adjust) => self.adjust_cash(adjust),
            Command::DefineInstrument(definition) => self.define_instrument(definition),
            Command::DefineAccount(definition) => self.define_account(definition),
            Command::DefineStrategy(definition) => self.define_strategy(definition),
            Command::SetLimits(limits) => self.set_limits(limits),
            Command::DefineCharges(rates) => self.define_charges(rates),
        }
        self.finish();
        if let Some(account) = self.message_of.take() {
            self.watch_messages(account);
        }
        if let Some(order) = self.answered.take().and_then(|id| self.orders.get_mut(&id)) {
            order.first_status = order.status;
        }
        self.report_tops(&tops);
        std::mem::take(&mut self.events)
    }

    /// Everything that follows from what was done so far.
    fn finish(&mut self) {
        self.follow_up();
        loop {
            if let Some(later) = self.later.pop_front() {
                match later {
                    Later::Sweep(scope) => self.sweep(scope),
                    Later::Flatten(scope, accounts) => self.flatten(scope, &accounts),
                    Later::CancelIntraday(class) => self.cancel_intraday(class),
                    Later::SquareOff(class) => self.square_off(class),
                    Later::CancelSent(account) => self.cancel_sent(account),
                }
            } else if !self.leaving.is_empty() && self.has_room() {
                self.leave_next();
            } else if let Some(fired) = self.fired.pop_front() {
                self.fire(&fired);
            } else {
                break self.warn_missing_stops();
            }
            self.follow_up();
        }
    }

    /// What comes after each aggressor: the monitor, then triggers.
    fn follow_up(&mut self) {
        self.mark_and_review();
        self.collect();
        self.arm();
    }

    fn tops(&self) -> Vec<TopOfBook> {
        (0..self.instruments.len())
            .map(|index| self.top(InstrumentId::new(index as u32)))
            .collect()
    }

    fn top(&self, id: InstrumentId) -> TopOfBook {
        let best = |side| {
            let (price, queue) = self.instrument(id).levels(side).next()?;
            let visible: Shares = queue.iter().map(|order| self.orders[order].visible).sum();
            Some((price, u64::try_from(visible).expect("a positive quantity")))
        };
        let (bid, ask) = (best(Side::Buy), best(Side::Sell));
        TopOfBook {
            instrument: id,
            bid: bid.map(|(price, _)| price),
            ask: ask.map(|(price, _)| price),
            bid_quantity: bid.map_or(0, |(_, visible)| visible),
            ask_quantity: ask.map_or(0, |(_, visible)| visible),
        }
    }

    fn report_tops(&mut self, before: &[TopOfBook]) {
        let changed = |(before, after): (&TopOfBook, TopOfBook)| (*before != after).then_some(after);
        let tops: Vec<_> = before.iter().zip(self.tops()).filter_map(changed).collect();
        self.events.extend(tops.into_iter().map(Event::TopOfBook));
    }

    fn refuse_command(&mut self, refusal: Refusal) {
        self.events.push(Event::Refused(refusal));
    }

    fn instrument(&self, id: InstrumentId) -> &Instrument {
        &self.instruments[id.get() as usize]
    }

    fn instrument_mut(&mut self, id: InstrumentId) -> &mut Instrument {
        &mut self.instruments[id.get() as usize]
    }

    fn knows_instrument(&self, id: InstrumentId) -> bool {
        (id.get() as usize) < self.instruments.len()
    }

    fn account(&self, id: AccountId) -> &Account {
        &self.accounts[id.get() as usize]
    }

    fn account_mut(&mut self, id: AccountId) -> &mut Account {
        &mut self.accounts[id.get() as usize]
    }

    fn knows_account(&self, id: AccountId) -> bool {
        (id.get() as usize) < self.accounts.len()
    }

    fn position(&self, id: PositionId) -> &Position {
        &self.positions[id.get() as usize - 1]
    }

    fn position_mut(&mut self, id: PositionId) -> &mut Position {
        &mut self.positions[id.get() as usize - 1]
    }

    fn positions_of(&self, account: AccountId) -> impl Iterator<Item = (PositionId, &Position)> {
        let numbered = self.positions.iter().zip(1_u32..);
        numbered
            .filter(move |(position, _)| position.account == account)
            .map(|(position, id)| (PositionId::new(id), position))
    }

    /// Every resting order by id.
    fn open(&self) -> impl Iterator<Item = (OrderId, &Order)> {
        self.resting.iter().map(|id| (*id, &self.orders[id]))
    }

    /// An account's resting orders by id.
    fn open_orders(&self, account: AccountId) -> impl Iterator<Item = (OrderId, &Order)> {
        self.open()
            .filter(move |(_, order)| order.request.account == account)
    }

    /// `quantity × last price − cost`; a position without a price is worth its cost.
    fn unrealised(&self, id: PositionId) -> Paise {
        let position = self.position(id);
        match self.instrument(position.instrument).last_price {
            Some(mark) => position.quantity * i128::from(mark.paise()) - position.cost,
            None => 0,
        }
    }

    /// Venue accounts are not marked.
    fn account_unrealised(&self, account: AccountId) -> Paise {
        if self.account(account).venue {
            return 0;
        }
        self.positions_of(account)
            .map(|(id, _)| self.unrealised(id))
            .sum()
    }

    fn pnl_today(&self, id: AccountId) -> Paise {
        let account = self.account(id);
        account.realised - account.charges + self.account_unrealised(id)
    }

    /// What counts against the daily loss limit; negative for a gain.
    fn loss_today(&self, id: AccountId) -> Paise {
        self.account(id).loss_base - self.pnl_today(id)
    }

    /// Has an order that is another kind of order now join the list of that kind.
    fn relist(&mut self, id: OrderId) {
        let order = self.orders.get_mut(&id).expect("a known order");
        if order.leaves > 0 && order.listed.0 != order.list() {
            self.joinings += 1;
            order.listed = (order.list(), self.joinings);
        }
    }

    /// The exits of a position in the order in which they are given up: those that rest, the last to join first, then those
    /// that wait for a trigger.
    fn exits_to_give_up(&self, id: PositionId) -> Vec<(OrderId, Shares)> {
        let mut exits: Vec<_> = self
            .open()
            .filter(|(_, order)| order.position == id && order.exit_leaves > 0)
            .map(|(order, o)| (o.listed.0, std::cmp::Reverse(o.listed.1), order, o.exit_leaves))
            .collect();
        exits.sort();
        exits.into_iter().map(|exit| (exit.2, exit.3)).collect()
    }

    /// The strictest state that covers a strategy.
    fn state_of(&self, account: AccountId, strategy: StrategyId) -> TradingState {
        let strategy = self
            .strategies
            .get(&(account, strategy))
            .copied()
            .unwrap_or_default();
        self.engine_state.max(self.account(account).state).max(strategy)
    }

    /// The resting quantity of each order of one side, best first: price, order, visible, leaves.
    pub fn queue(&self, instrument: InstrumentId, side: Side) -> Vec<(Price, OrderId, Shares, Shares)> {
        let row = |price, id: OrderId| (price, id, self.orders[&id].visible, self.orders[&id].leaves);
        self.instrument(instrument)
            .levels(side)
            .flat_map(|(price, queue)| queue.iter().map(move |id| row(price, *id)))
            .collect()
    }

    /// Every resting order: id, account, instrument.
    pub fn open_orders_of_all(&self) -> impl Iterator<Item = (OrderId, AccountId, InstrumentId)> {
        self.open()
            .map(|(id, order)| (id, order.request.account, order.request.instrument))
    }

    pub fn all_positions(&self) -> &[Position] {
        &self.positions
    }

    pub fn all_accounts(&self) -> &[Account] {
        &self.accounts
    }

    pub fn all_instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    pub fn position_unrealised(&self, id: PositionId) -> Paise {
        self.unrealised(id)
    }

    /// Shares that a delivery position holds since before today.
    pub fn settled(&self, id: PositionId) -> Shares {
        self.position(id).settled(self.day.unwrap_or_default())
    }

    /// Position margin, order margin and available funds of an account.
    pub fn funds(&self, account: AccountId) -> (Paise, Paise, Paise) {
        let (positions, orders) = self.margins(account);
        (positions, orders, self.available(account))
    }
}

fn money(paise: Paise) -> Money {
    Money::from_wide(paise)
}

fn quantity(shares: Shares) -> Quantity {
    let shares = u32::try_from(shares).expect("a quantity of the tests' size");
    Quantity::new(shares).expect("a quantity of the tests' size")
}
