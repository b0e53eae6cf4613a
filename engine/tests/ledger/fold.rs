//! The ledger: what a bookkeeper makes of the published commands and events, in exact fractions of a paisa.
//!
//! It knows an order's charges as rates of its turnover, a position as the cash that went into it, and an account as
//! what came in and went out; nothing is carried that could be summed anew.

use std::collections::BTreeMap;

use engine::{
    AccountId, ChargeRate, ChargeRates, Charges, Command, Event, Fill, InstrumentId, KillScope,
    OrderAccepted, OrderCancelled, OrderId, OrderModified, PositionChanged, PositionId, Price, Product,
    Sequenced, Side, StrategyId, TradingState,
};

use crate::rational::Rational;

#[derive(Clone, Debug)]
pub struct Order {
    pub account: AccountId,
    pub strategy: StrategyId,
    pub position: PositionId,
    pub side: Side,
    pub product: Product,
    pub limit: Price,
    /// It waits for its trigger.
    pub pending: bool,
    /// Works, or will once it is triggered, at a protected price.
    pub market: bool,
    pub leaves: i128,
    /// Of `leaves`, what only reduces the position.
    pub exit: i128,
    turnover: i128,
}

#[derive(Clone, Debug)]
pub struct Position {
    pub account: AccountId,
    pub strategy: StrategyId,
    pub instrument: InstrumentId,
    pub product: Product,
    pub quantity: i128,
    /// At the exact average price.
    cost: Rational,
    /// Proceeds less purchases since it was last flat.
    cash: i128,
    realised: Rational,
    charges: i128,
    /// Partial reductions since it was last flat: each may round a paisa's half away.
    reductions: i128,
    /// As last published: cost and realised.
    published: (i128, i128),
}

#[derive(Clone, Default, Debug)]
pub struct Account {
    pub venue: bool,
    /// Opening balance, deposits and withdrawals, proceeds less purchases less charges: ever since.
    pub cash: i128,
}

#[derive(Clone, Default, Debug)]
pub struct Ledger {
    pub orders: BTreeMap<OrderId, Order>,
    pub positions: BTreeMap<PositionId, Position>,
    pub accounts: Vec<Account>,
    pub last_prices: BTreeMap<InstrumentId, Price>,
    /// By effective date.
    rates: BTreeMap<u32, ChargeRates>,
    today: u32,
    /// The command is a tick, whose changes of accounts are day rolls.
    ticks: bool,
    engine_state: TradingState,
    account_states: BTreeMap<AccountId, TradingState>,
    strategy_states: BTreeMap<(AccountId, StrategyId), TradingState>,
}

fn ensure(holds: bool, broken: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(broken()) }
}

impl Ledger {
    /// Books one command with its events; says what of them does not add up.
    pub fn fold(&mut self, command: &Sequenced<Command>, events: &[Event]) -> Result<(), String> {
        self.ticks = command.command == Command::Tick;
        // A late tick settles what was due before midnight on its own day.
        if !self.ticks {
            self.today = command.time.trading_day();
        }
        let refused = events.iter().any(|event| matches!(event, Event::Refused(_)));
        match &command.command {
            Command::DefineAccount(definition) => {
                let new = |event: &Event| matches!(event, Event::AccountDefined(id) if id.get() as usize == self.accounts.len());
                if events.iter().any(new) {
                    self.accounts.push(Account {
                        venue: definition.venue,
                        cash: definition.opening_balance.wide(),
                    });
                }
            }
            Command::AdjustCash(adjust) if !refused => {
                self.accounts[adjust.account.get() as usize].cash += adjust.amount.wide();
            }
            Command::DefineCharges(rates) if !refused => {
                self.rates.insert(rates.effective_from, **rates);
            }
            Command::MarketPrice(price) if !refused => {
                self.last_prices.insert(price.instrument, price.price);
            }
            _ => {}
        }
        events.iter().try_for_each(|event| self.book(event))
    }

    fn book(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::AccountChanged(changed) if self.ticks && changed.account == AccountId::new(0) => {
                self.today += 1;
                Ok(())
            }
            Event::OrderAccepted(accepted) => self.accept(accepted),
            Event::Fill(fill) => self.fill(fill),
            Event::PositionChanged(changed) => self.position_changed(changed),
            Event::OrderModified(modified) => self.modify(modified),
            Event::OrderTriggered(triggered) => {
                let order = self
                    .orders
                    .get_mut(&triggered.order)
                    .ok_or("a trigger of no open order")?;
                ensure(order.pending, || format!("triggered twice: {triggered:?}"))?;
                order.pending = false;
                order.limit = triggered.limit;
                Ok(())
            }
            Event::OrderCancelled(cancelled) => self.cancel(cancelled),
            Event::Trade(trade) => {
                self.last_prices.insert(trade.instrument, trade.price);
                Ok(())
            }
            Event::TradingStateChanged(changed) => {
                match changed.scope {
                    KillScope::Engine => self.engine_state = changed.state,
                    KillScope::Account(account) => {
                        self.account_states.insert(account, changed.state);
                    }
                    KillScope::Strategy(account, strategy) => {
                        self.strategy_states.insert((account, strategy), changed.state);
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The strictest state that covers a strategy, from what was published.
    pub fn state_of(&self, account: AccountId, strategy: StrategyId) -> TradingState {
        let own = self.account_states.get(&account).copied().unwrap_or_default();
        let strategy = self.strategy_states.get(&(account, strategy)).copied();
        self.engine_state.max(own).max(strategy.unwrap_or_default())
    }

    /// What an order of a side may still take off a position: what is open less what other orders will take.
    pub fn closable(&self, id: PositionId, side: Side) -> i128 {
        let Some(position) = self.positions.get(&id) else {
            return 0;
        };
        if position.quantity.signum() != -i128::from(side.sign()) {
            return 0;
        }
        let spoken_for: i128 = self
            .orders
            .values()
            .filter(|o| o.position == id)
            .map(|o| o.exit)
            .sum();
        (position.quantity.abs() - spoken_for).max(0)
    }

    /// Open shares of a position that no exit at a protected price gets out.
    pub fn uncovered(&self, id: PositionId) -> i128 {
        let works = self
            .orders
            .values()
            .filter(|o| o.position == id && o.market && !o.pending);
        let covered: i128 = works.map(|o| o.exit).sum();
        self.positions
            .get(&id)
            .map_or(0, |position| position.quantity.abs() - covered)
    }

    fn accept(&mut self, accepted: &OrderAccepted) -> Result<(), String> {
        let quantity = i128::from(accepted.quantity.shares());
        let exit = self.closable(accepted.position, accepted.side).min(quantity);
        let state = self.state_of(accepted.account, accepted.strategy);
        ensure(state == TradingState::Normal || exit == quantity, || {
            format!("an entry was accepted in {state:?}: {accepted:?}")
        })?;
        ensure(state != TradingState::Halted, || {
            format!("accepted while halted: {accepted:?}")
        })?;
        self.positions
            .entry(accepted.position)
            .or_insert_with(|| Position {
                account: accepted.account,
                strategy: accepted.strategy,
                instrument: accepted.instrument,
                product: accepted.product,
                quantity: 0,
                cost: Rational::ZERO,
                cash: 0,
                realised: Rational::ZERO,
                charges: 0,
                reductions: 0,
                published: (0, 0),
            });
        let order = Order {
            account: accepted.account,
            strategy: accepted.strategy,
            position: accepted.position,
            side: accepted.side,
            product: accepted.product,
            limit: accepted.limit,
            pending: accepted.order_type.trigger().is_some(),
            market: accepted.order_type.price().is_none(),
            leaves: quantity,
            exit,
            turnover: 0,
        };
        let known = self.orders.insert(accepted.order, order).is_some();
        ensure(!known, || format!("accepted twice: {accepted:?}"))
    }

    fn fill(&mut self, fill: &Fill) -> Result<(), String> {
        let of_today = self.rates.range(..=self.today).next_back();
        let rates = of_today.map_or(ChargeRates::built_in(), |(_, rates)| *rates);
        let order = self
            .orders
            .get_mut(&fill.order)
            .ok_or("a fill of no open order")?;
        let shares = i128::from(fill.last_quantity.shares());
        let value = shares * i128::from(fill.last_price.paise());
        order.exit -= shares.min(order.exit);
        order.leaves -= shares;
        order.turnover += value;
        let due = |turnover| due(&rates, order.product, order.side, turnover);
        let (before, after) = (due(order.turnover - value), due(order.turnover));
        let found = components(&fill.charges);
        let expected: [i128; 6] = std::array::from_fn(|at| after[at] - before[at]);
        ensure(found == expected, || {
            format!("charged {found:?} instead of {expected:?}: {fill:?}")
        })?;
        let turnover = order.turnover;
        let leaves = order.leaves;
        let (side, id) = (order.side, order.position);
        ensure(leaves == i128::from(fill.leaves_quantity.shares()), || {
            format!("leaves {leaves}: {fill:?}")
        })?;
        ensure(turnover == fill.cum_notional.wide(), || {
            format!("turnover {turnover}: {fill:?}")
        })?;
        if leaves == 0 {
            self.orders.remove(&fill.order);
        }
        let paid: i128 = found.iter().sum();
        self.accounts[fill.account.get() as usize].cash -= i128::from(side.sign()) * value + paid;
        let position = self.positions.get_mut(&id).ok_or("a fill of no position")?;
        position.take(
            i128::from(side.sign()),
            shares,
            i128::from(fill.last_price.paise()),
            paid,
        );
        Ok(())
    }

    /// Each fill was already booked; the last change published of a position must be what it came to.
    fn position_changed(&mut self, changed: &PositionChanged) -> Result<(), String> {
        let position = self
            .positions
            .get_mut(&changed.position)
            .ok_or("a change of no position")?;
        position.published = (changed.cost.wide(), changed.realised.wide());
        Ok(())
    }

    fn modify(&mut self, modified: &OrderModified) -> Result<(), String> {
        let mut order = self
            .orders
            .remove(&modified.order)
            .ok_or("a change of no open order")?;
        order.market = modified.order_type.price().is_none();
        let leaves = i128::from(modified.leaves_quantity.shares());
        if modified.kept_priority {
            let entry = order.leaves - order.exit;
            let off = order.leaves - leaves;
            ensure(off >= 0, || format!("grew in place: {modified:?}"))?;
            order.exit -= (off - entry).max(0);
        } else {
            order.exit = self.closable(order.position, order.side).min(leaves);
        }
        order.leaves = leaves;
        order.limit = modified.limit;
        if leaves > 0 {
            self.orders.insert(modified.order, order);
        }
        Ok(())
    }

    fn cancel(&mut self, cancelled: &OrderCancelled) -> Result<(), String> {
        let order = self
            .orders
            .get_mut(&cancelled.order)
            .ok_or("a cancel of no open order")?;
        let shares = i128::from(cancelled.cancelled_quantity.shares());
        order.leaves -= shares;
        order.exit -= shares.min(order.exit);
        let leaves = order.leaves;
        if leaves == 0 {
            self.orders.remove(&cancelled.order);
        }
        ensure(leaves == i128::from(cancelled.leaves_quantity.shares()), || {
            format!("leaves {leaves}: {cancelled:?}")
        })
    }

    /// Margin of an account's open entries and of its positions at cost, exact.
    pub fn margins(&self, account: AccountId, leverage: i128) -> (Rational, Rational) {
        let share = |product, amount: i128| match product {
            Product::Mis => Rational::new(amount, leverage),
            Product::Cnc => Rational::whole(amount),
        };
        let orders = self.orders.values().filter(|order| order.account == account);
        let orders = orders.map(|o| share(o.product, (o.leaves - o.exit) * i128::from(o.limit.paise())));
        let positions = self
            .positions
            .values()
            .filter(|position| position.account == account);
        let positions = positions.map(|p| share(p.product, p.published.0.abs()));
        (
            orders.fold(Rational::ZERO, Rational::plus),
            positions.fold(Rational::ZERO, Rational::plus),
        )
    }

    pub fn mark(&self, position: &Position) -> i128 {
        self.last_prices
            .get(&position.instrument)
            .map_or(0, |price| i128::from(price.paise()))
    }

    /// What an account would have if everything were sold at the last prices.
    pub fn worth(&self, account: AccountId) -> i128 {
        let held = self
            .positions
            .values()
            .filter(|position| position.account == account);
        self.accounts[account.get() as usize].cash + held.map(|p| p.quantity * self.mark(p)).sum::<i128>()
    }
}

impl Position {
    /// A fill: first what closes, then what opens.
    fn take(&mut self, sign: i128, shares: i128, price: i128, charges: i128) {
        let open = self.quantity.abs();
        let closes = if self.quantity.signum() == -sign {
            shares.min(open)
        } else {
            0
        };
        if self.quantity == 0 {
            self.start();
        }
        self.charges += charges;
        if closes > 0 {
            let released = self.cost.times(closes, open);
            self.cost = self.cost.minus(released);
            self.realised = self
                .realised
                .minus(released)
                .plus(Rational::whole(-sign * closes * price));
            self.reductions += 1;
        }
        self.quantity += sign * closes;
        self.cash -= sign * closes * price;
        if shares > closes {
            if closes > 0 {
                self.start();
            }
            self.quantity += sign * (shares - closes);
            self.cash -= sign * (shares - closes) * price;
            self.cost = self.cost.plus(Rational::whole(sign * (shares - closes) * price));
        }
    }

    /// It opens anew; what it realised before belongs to its last life.
    fn start(&mut self) {
        self.cash = 0;
        self.realised = Rational::ZERO;
        self.charges = 0;
        self.reductions = 0;
    }

    /// Compares with what an engine holds: P&L and charges to the paisa; cost and its realised part up to what
    /// splitting a cost by shares rounds, which is nothing once the position is flat.
    pub fn compare(&self, view: &engine::PositionView, mark: i128) -> Result<(), String> {
        let (cost, realised) = (view.cost.wide(), view.realised.wide());
        let slack = if self.quantity == 0 { 0 } else { self.reductions };
        let pnl = self.cash + self.quantity * mark;
        let holds = i128::from(view.quantity) == self.quantity
            && view.charges.wide() == self.charges
            && realised + view.unrealised.wide() == pnl
            && self.realised.within_halves_of(realised, slack)
            && self.cost.within_halves_of(cost, slack)
            && (view.quantity == 0 || self.published == (cost, realised));
        ensure(holds, || {
            format!("{self:?} at {mark} is worth {pnl}, the engine says {view:?}")
        })
    }
}

/// What an order owes so far (RISK.md, Charges): each rate of its turnover, half-up to the paisa.
fn due(rates: &ChargeRates, product: Product, side: Side, turnover: i128) -> [i128; 6] {
    let of = |amount: i128, rate: ChargeRate| {
        let share = Rational::whole(amount).times(i128::from(rate.ppb()), 1_000_000_000);
        share.half_up()
    };
    let of_product = match product {
        Product::Mis => rates.mis,
        Product::Cnc => rates.cnc,
    };
    let brokerage = of(turnover, of_product.brokerage);
    let brokerage = of_product
        .brokerage_max
        .map_or(brokerage, |cap| brokerage.min(cap.wide()));
    let (stt, stamp_duty) = match side {
        Side::Buy => (of_product.stt_buy, of(turnover, of_product.stamp_duty_buy)),
        Side::Sell => (of_product.stt_sell, 0),
    };
    let exchange = of(turnover, rates.exchange);
    let sebi = of(turnover, rates.sebi);
    let gst = of(brokerage + exchange + sebi, rates.gst);
    [brokerage, of(turnover, stt), exchange, gst, stamp_duty, sebi]
}

fn components(charges: &Charges) -> [i128; 6] {
    [
        charges.brokerage,
        charges.stt,
        charges.exchange,
        charges.gst,
        charges.stamp_duty,
        charges.sebi,
    ]
    .map(i128::from)
}
