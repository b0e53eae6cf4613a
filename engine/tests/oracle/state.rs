//! What the oracle remembers: everything, for ever, in sorted maps, with plain wide integers.

use std::collections::{BTreeMap, VecDeque};

use engine::{
    AccountId, ChargeRate, ChargeRates, Charges, ClientOrderId, InstrumentDefinition, InstrumentId, NewOrder,
    OrderId, OrderStatus, OrderType, PositionId, Price, Product, Quantity, Rejection, RiskLimits, Side,
    StrategyId, TimeInForce, Timestamp, TradeId, TradingState, Trailing,
};

pub type Paise = i128;
pub type Shares = i128;

#[derive(Clone)]
pub struct Instrument {
    pub definition: InstrumentDefinition,
    pub last_price: Option<Price>,
    pub last_price_at: Timestamp,
    pub feed_alerted: bool,
    /// The last price that positions were marked with.
    pub marked_price: Option<Price>,
    /// There was another price since.
    pub unmarked: bool,
    pub bids: BTreeMap<Price, VecDeque<OrderId>>,
    pub asks: BTreeMap<Price, VecDeque<OrderId>>,
    /// Prints of the last aggressor.
    pub prints: Option<Range>,
    /// The day's trades.
    pub trades: Vec<(Price, Shares)>,
}

/// The lowest and the highest print, each with its trade where there was one.
#[derive(Clone)]
pub struct Range {
    pub first: Price,
    pub last: Price,
    pub low: (Price, Option<TradeId>),
    pub high: (Price, Option<TradeId>),
}

impl Instrument {
    pub fn tick(&self) -> i128 {
        i128::from(self.definition.tick_size.paise())
    }

    /// The ends of the price band, rounded inwards to the tick grid (paise).
    pub fn band(&self) -> (i128, i128) {
        let reference = i128::from(self.definition.reference_price.paise());
        let width = reference * i128::from(self.definition.price_band.ppm());
        let tick = self.tick() * 1_000_000;
        let low = (reference * 1_000_000 - width).max(1);
        let high = (reference * 1_000_000 + width).min(i128::from(u32::MAX) * 1_000_000);
        let low = -(-low).div_euclid(tick) * self.tick();
        let high = high.div_euclid(tick) * self.tick();
        (low, high)
    }

    pub fn print(&mut self, price: Price, at: Timestamp) {
        self.last_price = Some(price);
        self.last_price_at = at;
        self.feed_alerted = false;
        self.unmarked |= self.marked_price != Some(price);
    }

    /// How far the prints of this command went.
    pub fn widen(&mut self, price: Price, trade: Option<TradeId>) {
        let print = (price, trade);
        let range = self.prints.get_or_insert(Range {
            first: price,
            last: price,
            low: print,
            high: print,
        });
        range.last = price;
        if price < range.low.0 {
            range.low = print;
        }
        if price > range.high.0 {
            range.high = print;
        }
    }

    pub fn side_mut(&mut self, side: Side) -> &mut BTreeMap<Price, VecDeque<OrderId>> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    /// The levels of one side, best first.
    pub fn levels(&self, side: Side) -> impl Iterator<Item = (Price, &VecDeque<OrderId>)> {
        let (bids, asks) = match side {
            Side::Buy => (Some(self.bids.iter().rev()), None),
            Side::Sell => (None, Some(self.asks.iter())),
        };
        let levels = bids.into_iter().flatten().chain(asks.into_iter().flatten());
        levels.map(|(price, queue)| (*price, queue))
    }
}

#[derive(Clone)]
pub struct Account {
    pub name: engine::AccountName,
    pub venue: bool,
    pub limits: RiskLimits,
    pub balance: Paise,
    pub realised: Paise,
    pub charges: Paise,
    pub peak: Paise,
    /// Today's P&L at the last re-arm, which the loss limits no longer count.
    pub loss_base: Paise,
    pub state: TradingState,
    /// What the bucket of one second lacked at `rate_time`, in nanoseconds.
    pub rate_missing: i128,
    pub rate_time: Timestamp,
    pub dead_man: Option<engine::DeadMan>,
    pub orders_today: i128,
    /// What was answered today and on the trading day before.
    pub client_ids: BTreeMap<String, ClientUse>,
    pub warned_loss: bool,
    pub warned_drawdown: bool,
    pub warned_margin: bool,
    pub warned_ratio: bool,
    pub warned_rate: bool,
    pub messages_today: i128,
    pub fills_today: i128,
    /// Accepted orders while bursts were looked for, oldest first.
    pub recent: Vec<RecentOrder>,
    pub executions: [Option<Executions>; 8],
}

/// What makes orders alike, and when one came.
#[derive(Clone)]
pub struct RecentOrder {
    pub instrument: InstrumentId,
    pub side: Side,
    pub quantity: Quantity,
    pub price: Price,
    pub at: Timestamp,
}

/// Fills of one strategy and side in the minute that began with `since`.
#[derive(Clone)]
pub struct Executions {
    pub strategy: StrategyId,
    pub side: Side,
    pub since: Timestamp,
    pub count: u32,
}

/// The order that a `client_order_id` stands for.
#[derive(Clone)]
pub struct ClientUse {
    pub order: OrderId,
    pub yesterday: bool,
}

#[derive(Clone)]
pub struct Position {
    pub account: AccountId,
    pub strategy: StrategyId,
    pub instrument: InstrumentId,
    pub product: Product,
    pub quantity: Shares,
    pub cost: Paise,
    pub realised: Paise,
    pub charges: Paise,
    pub stop_loss: Option<Price>,
    pub take_profit: Option<Price>,
    pub trailing: Option<Trailing>,
    /// The best last price since the trailing stop was armed.
    pub extreme: Option<Price>,
    pub armed: [Armed; 3],
    /// The last close that somebody asked for: its first exit, those that were placed last, and all their shares.
    pub asked_close: Option<(OrderId, Vec<OrderId>, Shares)>,
    pub leaving: super::leaving::Leaving,
    /// The price that it last traded or was marked at, and the one that was last published.
    pub mark: Option<Price>,
    pub published: Option<Price>,
    pub warned_loss: bool,
    /// `missing_stop_loss` was raised, and no stop was set since.
    pub warned_stop: bool,
    /// Number of its last opening among all openings.
    pub opened: u64,
    /// Its number among all keys ever made.
    pub made: u64,
    /// Its orders, some of those that are done included.
    pub orders: Vec<OrderId>,
    /// What was bought on each trading day and not sold since; the oldest is sold first.
    pub lots: VecDeque<(u32, Shares)>,
}

impl Position {
    pub fn new(of: &NewOrder, made: u64) -> Position {
        Position {
            account: of.account,
            strategy: of.strategy,
            instrument: of.instrument,
            product: of.product,
            quantity: 0,
            cost: 0,
            realised: 0,
            charges: 0,
            stop_loss: None,
            take_profit: None,
            trailing: None,
            asked_close: None,
            leaving: Default::default(),
            extreme: None,
            armed: Default::default(),
            mark: None,
            published: None,
            warned_loss: false,
            warned_stop: false,
            opened: 0,
            made,
            orders: Vec::new(),
            lots: Default::default(),
        }
    }

    /// Takes sold shares off the oldest lots.
    pub fn deliver(&mut self, mut shares: Shares) {
        while shares > 0 {
            let Some((_, lot)) = self.lots.front_mut() else {
                return;
            };
            let taken = shares.min(*lot);
            *lot -= taken;
            shares -= taken;
            if *lot == 0 {
                self.lots.pop_front();
            }
        }
    }

    /// What a delivery position holds since before a trading day.
    pub fn settled(&self, today: u32) -> Shares {
        let settled = self.lots.iter().filter(|(day, _)| *day < today);
        match self.product {
            Product::Cnc => settled.map(|(_, lot)| lot).sum(),
            Product::Mis => 0,
        }
    }
}

/// The conditions that a position may have.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    StopLoss,
    TakeProfit,
    Trailing,
}

impl Condition {
    pub const ALL: [Condition; 3] = [Condition::StopLoss, Condition::TakeProfit, Condition::Trailing];
}

/// How far a condition has come.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum State {
    #[default]
    New,
    Waiting,
    Queued,
    /// Reached while there was nothing to exit.
    Blocked,
}

#[derive(Clone, Copy, Default)]
pub struct Armed {
    pub state: State,
    pub sequence: u64,
}

impl Position {
    /// Whether a condition is set.
    pub fn value(&self, condition: Condition) -> Option<()> {
        match condition {
            Condition::StopLoss => self.stop_loss.map(|_| ()),
            Condition::TakeProfit => self.take_profit.map(|_| ()),
            Condition::Trailing => self.trailing.map(|_| ()),
        }
    }

    /// The price of a condition, and whether a rise reaches it.
    pub fn trigger(&self, condition: Condition) -> Option<(Price, bool)> {
        let is_long = self.quantity > 0;
        match condition {
            Condition::StopLoss => Some((self.stop_loss?, !is_long)),
            Condition::TakeProfit => Some((self.take_profit?, is_long)),
            Condition::Trailing => {
                let extreme = i64::from(self.extreme?.paise());
                let distance = match self.trailing? {
                    Trailing::Distance(distance) => i64::from(distance.paise()),
                    Trailing::Percent(share) => (extreme * i64::from(share.ppm()) / 1_000_000).max(1),
                };
                let stop = if is_long {
                    extreme - distance
                } else {
                    extreme + distance
                };
                Some((Price::from_paise_clamped(stop), !is_long))
            }
        }
    }

    pub fn set_stop_loss(&mut self, stop_loss: Option<Price>) {
        if self.stop_loss != stop_loss {
            self.warned_stop &= stop_loss.is_none();
            self.stop_loss = stop_loss;
            self.armed[Condition::StopLoss as usize] = Armed::default();
        }
    }

    pub fn set_take_profit(&mut self, take_profit: Option<Price>) {
        if self.take_profit != take_profit {
            self.take_profit = take_profit;
            self.armed[Condition::TakeProfit as usize] = Armed::default();
        }
    }

    pub fn forget_conditions(&mut self) {
        self.stop_loss = None;
        self.take_profit = None;
        self.trailing = None;
        self.extreme = None;
        self.armed = [Armed::default(); 3];
    }
}

/// An order that was ever given an id, rejected ones included.
#[derive(Clone)]
pub struct Order {
    /// As it was sent.
    pub request: NewOrder,
    pub position: PositionId,
    pub order_type: OrderType,
    pub limit: Price,
    pub quantity: Shares,
    pub filled: Shares,
    pub leaves: Shares,
    /// Of `leaves`, what would reduce the position that was open when the order came; filled first.
    pub exit_leaves: Shares,
    /// Of `leaves`, what the book shows.
    pub visible: Shares,
    pub cum_notional: Paise,
    /// On the tick grid.
    pub stop_loss: Option<Price>,
    pub take_profit: Option<Price>,
    pub modifications: u32,
    pub status: OrderStatus,
    /// Which of its position's lists it is in, and when it joined that among all joinings.
    pub listed: (List, u64),
    /// Place in the sequence of triggers while it waits for its own.
    pub pending: Option<u64>,
    /// What the sender was first answered.
    pub first_status: OrderStatus,
    pub rejection: Option<Rejection>,
    /// The engine placed it by itself, and nobody has modified it.
    pub protective: bool,
}

/// What an open order is to its position.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum List {
    Entries,
    Exits,
    PendingExits,
}

impl Order {
    pub fn list(&self) -> List {
        match (self.exit_leaves > 0, self.pending) {
            (false, _) => List::Entries,
            (true, None) => List::Exits,
            (true, Some(_)) => List::PendingExits,
        }
    }

    pub fn entry_leaves(&self) -> Shares {
        self.leaves - self.exit_leaves
    }

    pub fn expires(&self) -> Option<Timestamp> {
        match self.request.time_in_force {
            TimeInForce::Gtd(until) => Some(until),
            _ => None,
        }
    }
}

/// Every order, by id. Ids count from 1 without gaps.
#[derive(Clone, Default)]
pub struct Orders(Vec<Order>);

impl Orders {
    pub fn next_id(&self) -> OrderId {
        OrderId::new(self.0.len() as u64 + 1)
    }

    pub fn push(&mut self, order: Order) {
        self.0.push(order);
    }

    pub fn get(&self, id: &OrderId) -> Option<&Order> {
        self.0.get(usize::try_from(id.get()).ok()?.checked_sub(1)?)
    }

    pub fn get_mut(&mut self, id: &OrderId) -> Option<&mut Order> {
        self.0.get_mut(usize::try_from(id.get()).ok()?.checked_sub(1)?)
    }
}

impl std::ops::Index<&OrderId> for Orders {
    type Output = Order;

    fn index(&self, id: &OrderId) -> &Order {
        self.get(id).expect("a known order")
    }
}

/// The charge components of an order so far, in paise.
#[derive(Clone, Copy)]
pub struct ChargeTotals {
    pub brokerage: Paise,
    pub stt: Paise,
    pub exchange: Paise,
    pub gst: Paise,
    pub stamp_duty: Paise,
    pub sebi: Paise,
}

impl ChargeTotals {
    /// The charges of everything an order has traded so far (RISK.md, Charges): each component of the cumulative
    /// turnover, half-up to the paisa.
    pub fn of(rates: &ChargeRates, product: Product, side: Side, turnover: Paise) -> ChargeTotals {
        let share = |of: Paise, rate: ChargeRate| {
            (2 * of * i128::from(rate.ppb()) + 1_000_000_000).div_euclid(2_000_000_000)
        };
        let of_product = match product {
            Product::Mis => rates.mis,
            Product::Cnc => rates.cnc,
        };
        let cap = of_product.brokerage_max.map_or(Paise::MAX, |cap| cap.wide());
        let brokerage = share(turnover, of_product.brokerage).min(cap);
        let (stt, stamp_duty) = match side {
            Side::Buy => (
                share(turnover, of_product.stt_buy),
                share(turnover, of_product.stamp_duty_buy),
            ),
            Side::Sell => (share(turnover, of_product.stt_sell), 0),
        };
        let exchange = share(turnover, rates.exchange);
        let sebi = share(turnover, rates.sebi);
        let gst = share(brokerage + exchange + sebi, rates.gst);
        ChargeTotals {
            brokerage,
            stt,
            exchange,
            gst,
            stamp_duty,
            sebi,
        }
    }

    /// What the last fill added.
    pub fn since(&self, before: &ChargeTotals) -> Charges {
        let part = |now: Paise, before: Paise| u32::try_from(now - before).expect("charges only grow");
        Charges {
            brokerage: part(self.brokerage, before.brokerage),
            stt: part(self.stt, before.stt),
            exchange: part(self.exchange, before.exchange),
            gst: part(self.gst, before.gst),
            stamp_duty: part(self.stamp_duty, before.stamp_duty),
            sebi: part(self.sebi, before.sebi),
        }
    }
}

/// A key under which a client id is remembered.
pub fn client_key(id: &ClientOrderId) -> String {
    id.as_str().to_owned()
}
