//! Positions as `positions` shows them: one row per key, from one opening to the next.

use std::collections::BTreeMap;

use engine::{
    AccountId, ConditionsChanged, InstrumentId, Money, OrderId, PositionChange, PositionChanged, PositionId,
    PositionMarked, Price, Product, StrategyId, Timestamp,
};
use serde::{Deserialize, Serialize};

use super::limits::POSITION_ORDER_IDS;
use super::names::Names;
use super::order_rows::average_price;
use super::table::{Row, Value};

/// A position since it was last opened.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PositionLife {
    account: AccountId,
    strategy: StrategyId,
    instrument: InstrumentId,
    product: Product,
    money: PositionMoney,
    /// Of the open quantity; after a close what it was before.
    average_price: Value,
    stop_loss: Option<Price>,
    take_profit: Option<Price>,
    /// Stop and target that held when one of them fired: what the row shows again once this life has ended.
    fired: Option<(Option<Price>, Option<Price>)>,
    entry_orders: Vec<i64>,
    exit_orders: Vec<i64>,
    highest: Option<Money>,
    lowest: Option<Money>,
    /// Highest P&L so far, and the deepest fall from it.
    peak: Money,
    drawdown: Money,
    opened: Timestamp,
    updated: Timestamp,
    closed: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct PositionMoney {
    quantity: i64,
    cost: Money,
    realised: Money,
    charges: Money,
    unrealised: Money,
}

impl PositionMoney {
    /// Net of charges.
    fn pnl(&self) -> Money {
        self.realised
            .saturating_add(self.unrealised)
            .saturating_sub(self.charges)
    }

    /// The price that the open quantity was last marked at; `None` where it is flat.
    fn mark(&self) -> Option<Money> {
        let value = self.cost.wide() + self.unrealised.wide();
        value.checked_div(i128::from(self.quantity)).map(Money::from_wide)
    }
}

/// Every position key ever used, and how many are open.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct PositionLives {
    of: BTreeMap<PositionId, PositionLife>,
    open: BTreeMap<AccountId, u32>,
}

impl PositionLives {
    /// A fill of `order` changed the position. Returns when it was opened.
    pub(crate) fn change(
        &mut self,
        event: &PositionChanged,
        order: Option<OrderId>,
        now: Timestamp,
    ) -> Timestamp {
        let money = PositionMoney {
            quantity: event.quantity.into(),
            cost: event.cost,
            realised: event.realised,
            charges: event.charges,
            unrealised: event.unrealised,
        };
        let open = self.open.entry(event.account).or_default();
        match event.change {
            PositionChange::Opened => *open = open.saturating_add(1),
            PositionChange::Closed => *open = open.saturating_sub(1),
            PositionChange::Changed => {}
        }
        let life = self
            .of
            .entry(event.position)
            .and_modify(|life| {
                if event.change == PositionChange::Opened {
                    *life = PositionLife::opened(event, money, now);
                }
            })
            .or_insert_with(|| PositionLife::opened(event, money, now));
        life.change(event, money, order, now);
        life.opened
    }

    /// Somebody edited the conditions, or one of them fired: then none protects the position any more.
    pub(crate) fn edit(&mut self, event: &ConditionsChanged) {
        if let Some(life) = self.of.get_mut(&event.position) {
            life.fired = event.fired.map(|_| (life.stop_loss, life.take_profit));
            (life.stop_loss, life.take_profit) = (event.stop_loss, event.take_profit);
        }
    }

    /// The mark moved.
    pub(crate) fn mark(&mut self, event: &PositionMarked, now: Timestamp) {
        let Some(life) = self.of.get_mut(&event.position) else {
            return;
        };
        life.money = PositionMoney {
            quantity: event.quantity.into(),
            cost: event.cost,
            realised: event.realised,
            charges: event.charges,
            unrealised: event.unrealised,
        };
        life.updated = now;
        life.watch();
    }

    pub(crate) fn get(&self, position: PositionId) -> Option<&PositionLife> {
        self.of.get(&position)
    }

    /// Open positions of an account.
    pub(crate) fn open(&self, account: AccountId) -> u32 {
        self.open.get(&account).copied().unwrap_or_default()
    }
}

impl PositionLife {
    fn opened(event: &PositionChanged, money: PositionMoney, now: Timestamp) -> PositionLife {
        PositionLife {
            account: event.account,
            strategy: event.strategy,
            instrument: event.instrument,
            product: event.product,
            money,
            average_price: Value::Hundredths(0),
            stop_loss: None,
            take_profit: None,
            fired: None,
            entry_orders: Vec::new(),
            exit_orders: Vec::new(),
            highest: None,
            lowest: None,
            peak: Money::ZERO,
            drawdown: Money::ZERO,
            opened: now,
            updated: now,
            closed: None,
        }
    }

    fn change(
        &mut self,
        event: &PositionChanged,
        money: PositionMoney,
        order: Option<OrderId>,
        now: Timestamp,
    ) {
        let grew = event.change == PositionChange::Opened || money.quantity.abs() > self.money.quantity.abs();
        if let Some(order) = order {
            let orders = if grew {
                &mut self.entry_orders
            } else {
                &mut self.exit_orders
            };
            remember(orders, order);
        }
        self.money = money;
        self.updated = now;
        if event.change == PositionChange::Closed {
            self.closed = Some(now);
            if let Some(fired) = self.fired.take() {
                (self.stop_loss, self.take_profit) = fired;
            }
        } else {
            self.average_price = average_price(money.cost, money.quantity);
            self.stop_loss = event.stop_loss;
            self.take_profit = event.take_profit;
            if event.stop_loss.is_some() || event.take_profit.is_some() {
                self.fired = None;
            }
        }
        self.watch();
    }

    fn watch(&mut self) {
        if let Some(mark) = self.money.mark() {
            self.highest = Some(self.highest.map_or(mark, |highest| highest.max(mark)));
            self.lowest = Some(self.lowest.map_or(mark, |lowest| lowest.min(mark)));
        }
        let pnl = self.money.pnl();
        self.peak = self.peak.max(pnl);
        self.drawdown = self.drawdown.max(self.peak.saturating_sub(pnl));
    }

    pub(crate) fn row(&self, id: PositionId, names: &Names, seq: u64) -> Row {
        let money = &self.money;
        vec![
            Value::id(id.get()),
            names.account(self.account),
            names.symbol(self.instrument),
            names.exchange(self.instrument),
            Value::id(self.strategy.get()),
            Value::name(self.product.as_str()),
            Value::Int(money.quantity),
            self.average_price.clone(),
            Value::money(money.realised.saturating_sub(money.charges)),
            Value::money(money.unrealised),
            Value::money(money.charges),
            Value::optional(self.stop_loss, |price| Value::money(price.money())),
            Value::optional(self.take_profit, |price| Value::money(price.money())),
            Value::money(self.drawdown),
            Value::Ids(self.entry_orders.clone()),
            Value::Ids(self.exit_orders.clone()),
            Value::optional(self.highest, Value::money),
            Value::optional(self.lowest, Value::money),
            Value::Time(self.opened),
            Value::Time(self.updated),
            Value::optional(self.closed, Value::Time),
            Value::id(seq),
        ]
    }
}

/// Each order once, the newest ones.
fn remember(orders: &mut Vec<i64>, order: OrderId) {
    let id = i64::try_from(order.get()).unwrap_or(i64::MAX);
    if orders.contains(&id) {
        return;
    }
    if orders.len() == POSITION_ORDER_IDS {
        orders.remove(0);
    }
    orders.push(id);
}
