//! The history, driven by hand-written commands and events.
#![allow(clippy::unwrap_used, reason = "a test panics where its own data is wrong")]

use engine::lane::Warnings;
use engine::{
    AccountId, Actor, Alert, AlertKind, CancelReason, Cause, Charges, ClientOrderId, Command, Event, Fill,
    InstrumentId, KillCause, KillScope, KillSwitch, Money, NewOrder, OrderAccepted, OrderCancelled, OrderId,
    OrderModified, OrderRejected, OrderRepeated, OrderStatus, OrderType, PositionChange, PositionChanged,
    PositionId, Price, Product, Quantity, Ratio, Rearm, RejectCode, Rejection, Seq, Sequenced, Side,
    StrategyId, Text, TimeInForce, Timestamp, TradeId, TradingState, TradingStateChanged,
};
use read_model::{AlertSubject, Checks, Foreseen, History, Order};

const TRADER: AccountId = AccountId::new(2);
const OTHER: AccountId = AccountId::new(3);
const RELIANCE: InstrumentId = InstrumentId::new(0);
const POSITION: PositionId = PositionId::new(1);
/// 09:15 in India on some day.
const OPENING_NS: u64 = 20_000 * 86_400_000_000_000 + 13_500_000_000_000;

/// A history with a clock that advances one second per command.
struct Tape {
    history: History,
    seq: u64,
    day: u64,
}

impl Tape {
    fn new() -> Tape {
        Tape {
            history: History::new(),
            seq: 0,
            day: 0,
        }
    }

    fn play(&mut self, command: Command, events: &[Event]) -> Timestamp {
        self.play_in_runs(command, &[events])
    }

    fn play_in_runs(&mut self, command: Command, runs: &[&[Event]]) -> Timestamp {
        self.seq += 1;
        let time =
            Timestamp::from_nanos(OPENING_NS + self.day * 86_400_000_000_000 + self.seq * 1_000_000_000);
        let command = Sequenced {
            seq: Seq::new(self.seq),
            time,
            command,
        };
        let foreseen = Foreseen {
            warnings: Warnings::PRICE_COLLAR,
            checks: Checks::default(),
        };
        self.history.begin(&command, foreseen);
        for run in runs {
            self.history.absorb(&command, run);
        }
        time
    }

    fn order(&self, id: u64) -> &Order {
        self.history.orders().order(OrderId::new(id)).unwrap()
    }

    fn active(&self, account: Option<AccountId>) -> Vec<u64> {
        self.history
            .orders()
            .active(account)
            .map(|order| order.id.get())
            .collect()
    }
}

fn shares(count: u32) -> Quantity {
    Quantity::new(count).unwrap()
}

fn rupees(text: &str) -> Price {
    text.parse().unwrap()
}

fn money(text: &str) -> Money {
    text.parse().unwrap()
}

fn new_order(client_order_id: &str) -> NewOrder {
    NewOrder {
        account: TRADER,
        strategy: StrategyId::new(1),
        instrument: RELIANCE,
        side: Side::Buy,
        product: Product::Mis,
        order_type: OrderType::Limit(rupees("2450.00")),
        time_in_force: TimeInForce::Day,
        quantity: shares(10),
        post_only: false,
        disclosed: None,
        minimum: None,
        stop_loss: Some(rupees("2430.00")),
        take_profit: Some(rupees("2491.00")),
        client_order_id: ClientOrderId::new(client_order_id).unwrap(),
        metadata: Some(Box::from(r#"{"note":"first"}"#)),
    }
}

fn accepted(id: u64, sent: &NewOrder) -> OrderAccepted {
    OrderAccepted {
        order: OrderId::new(id),
        account: sent.account,
        strategy: sent.strategy,
        instrument: sent.instrument,
        position: POSITION,
        quantity: sent.quantity,
        limit: rupees("2450.00"),
        order_type: sent.order_type,
        stop_loss: sent.stop_loss,
        take_profit: sent.take_profit,
        side: sent.side,
        product: sent.product,
        time_in_force: sent.time_in_force,
        cause: None,
    }
}

/// A fill of `last` more shares at ₹2,450 on top of `before`, out of 10, with ₹2 of charges.
fn fill(order: u64, before: u32, last: u32) -> Event {
    let price = rupees("2450.00");
    let (cum, total) = (before + last, 10);
    Event::Fill(Fill {
        trade: TradeId::new(7),
        order: OrderId::new(order),
        position: POSITION,
        account: TRADER,
        instrument: RELIANCE,
        last_quantity: shares(last),
        last_price: price,
        cum_quantity: shares(cum),
        leaves_quantity: shares(total - cum),
        cum_notional: price.notional(shares(cum)),
        charges: Charges {
            brokerage: 150,
            gst: 50,
            ..Charges::default()
        },
        side: Side::Buy,
        status: if cum == total {
            OrderStatus::Filled
        } else {
            OrderStatus::Open
        },
    })
}

fn cancelled(order: u64, leaves: u32, cum: u32, reason: CancelReason) -> Event {
    Event::OrderCancelled(OrderCancelled {
        order: OrderId::new(order),
        account: TRADER,
        instrument: RELIANCE,
        cancelled_quantity: shares(1),
        leaves_quantity: shares(leaves),
        cum_quantity: shares(cum),
        side: Side::Buy,
        status: if leaves > 0 {
            OrderStatus::Open
        } else {
            OrderStatus::Cancelled
        },
        reason,
    })
}

fn position(change: PositionChange, quantity: i32, realised: &str, charges: &str) -> Event {
    Event::PositionChanged(PositionChanged {
        position: POSITION,
        account: TRADER,
        strategy: StrategyId::new(1),
        instrument: RELIANCE,
        quantity,
        cost: Money::from_paise(i64::from(quantity) * 245_000),
        realised: money(realised),
        charges: money(charges),
        unrealised: Money::ZERO,
        stop_loss: Some(rupees("2430.00")),
        take_profit: None,
        product: Product::Mis,
        change,
    })
}

#[test]
fn an_order_lives_from_acceptance_to_its_last_fill() {
    let mut tape = Tape::new();
    let sent = new_order("mine-1");
    let placed = tape.play(
        Command::NewOrder(sent.clone()),
        &[Event::OrderAccepted(accepted(1, &sent)), fill(1, 0, 4)],
    );
    let order = tape.order(1);
    assert_eq!(order.status, OrderStatus::Open);
    assert_eq!((order.filled.shares(), order.notional), (4, money("9800")));
    assert_eq!(order.client_order_id.as_deref(), Some("mine-1"));
    assert_eq!(order.metadata.as_deref(), Some(r#"{"note":"first"}"#));
    assert_eq!(order.warnings, Warnings::PRICE_COLLAR);
    assert_eq!(order.risk_amount(), Some(money("200")));
    assert_eq!(order.reward_and_risk(), Some((money("41"), money("20"))));
    assert!(order.cause.is_none() && order.status_message().is_none());
    assert_eq!((order.created, order.submitted), (placed, Some(placed)));
    assert_eq!(tape.active(Some(TRADER)), [1]);
    assert_eq!(tape.active(Some(OTHER)), [0_u64; 0]);

    let done = tape.play(Command::Tick, &[fill(1, 4, 6)]);
    let order = tape.order(1);
    assert_eq!(order.status, OrderStatus::Filled);
    assert_eq!(order.charges, money("4"));
    assert_eq!((order.filled_at, order.updated), (Some(done), done));
    assert_eq!(tape.active(None), [0_u64; 0]);

    let day = tape.history.counters(TRADER);
    assert_eq!((day.orders, day.trades, day.filled), (1, 2, 1));
    assert_eq!(
        (day.bought, day.sold, day.charges),
        (money("24500"), Money::ZERO, money("4"))
    );
    let fills: Vec<_> = tape.history.fills_newest_first(Some(TRADER), None).collect();
    assert_eq!(
        fills.iter().map(|(key, _)| *key).collect::<Vec<_>>(),
        fills
            .iter()
            .map(|(_, fill)| 2 * fill.trade.get())
            .collect::<Vec<_>>(),
        "buys have twice the trade's number"
    );
    assert_eq!(fills[0].1.gross(), money("14700"));
    assert_eq!(fills[0].1.net(), money("14702"));
    assert_eq!(tape.history.fills_newest_first(Some(OTHER), None).count(), 0);
}

#[test]
fn a_rejected_order_is_history_but_never_active() {
    let mut tape = Tape::new();
    let sent = new_order("");
    tape.play(
        Command::NewOrder(sent),
        &[Event::OrderRejected(OrderRejected {
            order: OrderId::new(9),
            account: TRADER,
            instrument: RELIANCE,
            rejection: Rejection::bare(RejectCode::StopLossMissing),
        })],
    );
    let order = tape.order(9);
    assert_eq!(order.status, OrderStatus::Rejected);
    assert_eq!(
        order
            .status_message()
            .map(|message| message.to_string())
            .as_deref(),
        Some("Validation failed: Stop-loss is required for all orders")
    );
    assert_eq!((order.submitted, order.client_order_id.as_deref()), (None, None));
    assert_eq!(tape.active(None), [0_u64; 0]);
    let day = tape.history.counters(TRADER);
    assert_eq!((day.orders, day.rejected), (1, 1));
}

#[test]
fn only_the_first_order_of_a_command_is_the_clients() {
    let sent = new_order("mine");
    let mut exit = accepted(2, &sent);
    exit.side = Side::Sell;
    exit.cause = Some(Cause::Flatten);
    let first = Event::OrderAccepted(accepted(1, &sent));
    let second = Event::OrderAccepted(exit);

    let mut tape = Tape::new();
    tape.play_in_runs(Command::NewOrder(sent.clone()), &[&[first], &[second]]);
    assert_eq!(tape.order(1).client_order_id.as_deref(), Some("mine"));
    assert!(
        tape.order(2).cause.is_some(),
        "an exit of the engine's own, in a later run"
    );
    assert_eq!(tape.order(2).client_order_id, None);
    assert_eq!(tape.order(2).warnings, Warnings::NONE);

    let mut tape = Tape::new();
    let repeated = Event::OrderRepeated(OrderRepeated {
        order: OrderId::new(1),
        account: TRADER,
        status: OrderStatus::Open,
        rejection: None,
    });
    tape.play(Command::NewOrder(sent.clone()), &[repeated, second]);
    assert!(
        tape.order(2).cause.is_some(),
        "the client's order was an earlier one"
    );

    let mut tape = Tape::new();
    let mut venue_order = sent;
    venue_order.account = AccountId::new(0);
    tape.play(Command::NewOrder(venue_order), &[second]);
    assert!(
        tape.order(2).cause.is_some(),
        "a venue's print triggered a trader's exit"
    );
}

#[test]
fn cancellation_takes_a_part_or_all() {
    let mut tape = Tape::new();
    let sent = new_order("");
    tape.play(
        Command::NewOrder(sent.clone()),
        &[Event::OrderAccepted(accepted(1, &sent)), fill(1, 0, 2)],
    );
    tape.play(Command::Tick, &[cancelled(1, 5, 2, CancelReason::SelfTrade)]);
    assert_eq!(
        tape.order(1).quantity.shares(),
        7,
        "3 of 10 were decremented away"
    );
    assert_eq!(tape.order(1).status, OrderStatus::Open);
    assert_eq!(tape.order(1).cancel_reason, None);

    let at = tape.play(Command::Tick, &[cancelled(1, 0, 2, CancelReason::KillSwitch)]);
    let order = tape.order(1);
    assert_eq!(
        (order.status, order.quantity.shares()),
        (OrderStatus::Cancelled, 7)
    );
    assert_eq!(order.cancelled_at, Some(at));
    assert_eq!(
        order
            .status_message()
            .map(|message| message.to_string())
            .as_deref(),
        Some("Cancelled by kill switch")
    );
    assert_eq!(tape.history.counters(TRADER).cancelled, 1);
    assert_eq!(tape.active(None), [0_u64; 0]);
}

#[test]
fn a_modification_down_to_what_is_filled_fills_the_order() {
    let mut tape = Tape::new();
    let mut sent = new_order("");
    sent.order_type = OrderType::Market;
    tape.play(
        Command::NewOrder(sent.clone()),
        &[Event::OrderAccepted(accepted(1, &sent)), fill(1, 0, 4)],
    );
    let modified = |quantity: u32, status| {
        Event::OrderModified(OrderModified {
            order: OrderId::new(1),
            account: TRADER,
            instrument: RELIANCE,
            quantity: shares(quantity),
            leaves_quantity: shares(quantity - 4),
            limit: rupees("2460.00"),
            order_type: OrderType::Limit(rupees("2460.00")),
            side: Side::Buy,
            status,
            kept_priority: false,
        })
    };
    tape.play(Command::Tick, &[modified(8, OrderStatus::Open)]);
    assert_eq!(tape.order(1).order_type, OrderType::Limit(rupees("2460.00")));
    assert_eq!(
        (tape.order(1).quantity.shares(), tape.order(1).modifications),
        (8, 1)
    );
    assert_eq!(tape.active(None), [1]);
    tape.play(Command::Tick, &[modified(4, OrderStatus::Filled)]);
    assert_eq!(tape.active(None), [0_u64; 0]);
    assert_eq!(tape.history.counters(TRADER).filled, 1);
    assert!(tape.order(1).filled_at.is_some());
}

#[test]
fn a_round_trip_is_recorded_net_of_charges() {
    let mut tape = Tape::new();
    let opened = tape.play(
        Command::Tick,
        &[position(PositionChange::Opened, 10, "0", "1.50")],
    );
    let changed = tape.play(Command::Tick, &[position(PositionChange::Changed, 4, "60", "3")]);
    let open = *tape.history.positions().open_position(POSITION).unwrap();
    assert_eq!((open.opened, open.updated, open.quantity), (opened, changed, 4));

    let closed_at = tape.play(Command::Tick, &[position(PositionChange::Closed, 0, "100", "5")]);
    let positions = tape.history.positions();
    assert!(positions.open_position(POSITION).is_none());
    assert_eq!(positions.open_count(Some(TRADER)), 0);
    let (_, closed) = positions.closed_newest_first(Some(TRADER), None).next().unwrap();
    assert_eq!(
        (closed.opened, closed.closed, closed.was_long),
        (opened, closed_at, true)
    );
    assert_eq!(closed.net(), money("95"));
    let day = tape.history.counters(TRADER);
    assert_eq!(
        (day.realised_of_closed, day.closed, day.closed_with_profit),
        (money("95"), 1, 1)
    );

    let reopened = tape.play(Command::Tick, &[position(PositionChange::Opened, -3, "0", "0")]);
    let positions = tape.history.positions();
    assert_eq!(
        positions.open_position(POSITION).map(|open| open.opened),
        Some(reopened)
    );
    assert_eq!(positions.open_newest_first(Some(TRADER)).len(), 1);
    assert_eq!(positions.open_newest_first(Some(OTHER)).len(), 0);
    assert_eq!(positions.open_newest_first(None).len(), 1);
}

#[test]
fn a_new_trading_day_keeps_only_what_is_open() {
    let mut tape = Tape::new();
    let sent = new_order("");
    let place = |id| vec![Event::OrderAccepted(accepted(id, &sent))];
    tape.play(Command::NewOrder(sent.clone()), &place(1));
    tape.play(Command::NewOrder(sent.clone()), &place(2));
    tape.play(
        Command::Tick,
        &[fill(1, 0, 10), position(PositionChange::Opened, 10, "0", "2")],
    );
    tape.play(Command::Tick, &[position(PositionChange::Closed, 0, "10", "4")]);
    assert_eq!(tape.history.counters(TRADER).orders, 2);

    tape.day = 1;
    tape.play(Command::Tick, &[cancelled(2, 0, 0, CancelReason::Expired)]);
    assert!(
        tape.history.orders().order(OrderId::new(1)).is_none(),
        "finished yesterday"
    );
    assert_eq!(tape.order(2).status, OrderStatus::Cancelled, "expired today");
    let day = tape.history.counters(TRADER);
    assert_eq!((day.orders, day.trades, day.cancelled, day.closed), (0, 0, 1, 0));
    assert_eq!(tape.history.fills_newest_first(None, None).count(), 0);
    assert_eq!(
        tape.history.positions().closed_newest_first(None, None).count(),
        0
    );

    tape.day = 2;
    tape.play(Command::Tick, &[]);
    assert!(tape.history.orders().order(OrderId::new(2)).is_none());
}

fn kill(scope: KillScope, reason: &str) -> Command {
    Command::KillSwitch(KillSwitch {
        actor: Actor {
            account: TRADER,
            admin: true,
        },
        scope,
        state: TradingState::Reducing,
        flatten: None,
        reason: Text::new(reason).unwrap(),
        triggered_by: Text::new("asha").unwrap(),
    })
}

fn state_changed(scope: KillScope, state: TradingState, cause: KillCause) -> Event {
    Event::TradingStateChanged(TradingStateChanged { scope, state, cause })
}

#[test]
fn kills_keep_their_reason_and_author_until_the_rearm() {
    let mut tape = Tape::new();
    let own = KillScope::Account(TRADER);
    let at = tape.play(
        kill(own, "fat <b>finger</b>"),
        &[state_changed(own, TradingState::Reducing, KillCause::Manual)],
    );
    let active = tape.history.kill_of(TRADER).copied().unwrap();
    assert_eq!(
        (active.reason.as_str(), active.triggered_by.as_str()),
        ("fat <b>finger</b>", "asha")
    );
    assert_eq!(active.triggered, at);
    assert!(tape.history.kill_of(OTHER).is_none());

    tape.play(
        Command::Tick,
        &[state_changed(
            KillScope::Engine,
            TradingState::Halted,
            KillCause::DailyLoss {
                loss: money("7000"),
                balance: money("100000"),
            },
        )],
    );
    let strictest = tape.history.kill_of(TRADER).copied().unwrap();
    assert_eq!(strictest.scope, KillScope::Engine);
    assert!(matches!(strictest.cause, KillCause::DailyLoss { .. }));

    let rearm = Command::Rearm(Rearm {
        actor: Actor {
            account: TRADER,
            admin: true,
        },
        deactivated_by: Text::new("admin").unwrap(),
    });
    tape.play(
        rearm,
        &[
            state_changed(own, TradingState::Normal, KillCause::Rearmed),
            state_changed(KillScope::Engine, TradingState::Normal, KillCause::Rearmed),
        ],
    );
    assert!(tape.history.active_kills().is_empty());
}

fn alert(kind: AlertKind, account: Option<AccountId>) -> Event {
    Event::Alert(Alert {
        kind,
        account,
        position: Some(POSITION),
        instrument: Some(RELIANCE),
        amount: money("5100"),
        basis: money("100000"),
        realised: Money::ZERO,
        unrealised: money("-5100"),
        limit: Ratio::from_ppm(60_000),
    })
}

#[test]
fn alerts_are_kept_oldest_first_and_seen_by_whom_they_concern() {
    let mut tape = Tape::new();
    tape.play(Command::Tick, &[position(PositionChange::Opened, 10, "0", "0")]);
    tape.play(Command::Tick, &[alert(AlertKind::DailyLossWarning, Some(TRADER))]);
    tape.play(Command::Tick, &[alert(AlertKind::MissingStopLoss, Some(OTHER))]);
    tape.play(
        kill(KillScope::Engine, "<storm>"),
        &[alert(AlertKind::KillSwitchManual, None)],
    );
    tape.play(
        Command::HashCheck(1),
        &[Event::HashMismatch {
            expected: 1,
            found: 2,
        }],
    );

    let raised = |account, count| -> Vec<u64> {
        let alerts = tape.history.last_alerts(account, count);
        alerts
            .iter()
            .map(|alert| (alert.raised.nanos() - OPENING_NS) / 1_000_000_000)
            .collect()
    };
    // That the fold disagrees is told by a notice of the process, which comes back as an alert of its own.
    assert_eq!(raised(Some(TRADER), 10), [2, 4]);
    assert_eq!(raised(Some(OTHER), 1), [4], "the last of two");
    assert_eq!(raised(None, 100), [2, 3, 4]);
    let AlertSubject { quantity, cost, .. } = tape.history.last_alerts(None, 100)[0].subject;
    assert_eq!((quantity, cost), (10, money("24500")), "what was open then");
    assert_eq!(
        tape.history.divergence().map(|divergence| divergence.seq),
        Some(Seq::new(5))
    );

    for _ in 0..150 {
        tape.play(Command::Tick, &[alert(AlertKind::MissingStopLoss, Some(TRADER))]);
    }
    assert_eq!(tape.history.last_alerts(Some(TRADER), usize::MAX).len(), 100);
    assert_eq!(
        tape.history.last_alerts(Some(OTHER), 10).len(),
        2,
        "one account's flood does not wash out another's"
    );
}
