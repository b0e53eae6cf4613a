//! The order lane: what goes to the engine, and what its decisions become.

use std::sync::atomic::Ordering;

use api_sidecar::gateway::AckMode;
use engine::lane::{Input, Verdict, Warnings};
use engine::{
    CancelReason, Command, Event, KillCause, MassCancelled, OrderCancelled, OrderId, OrderModified, OrderRef,
    OrderRejected, OrderRepeated, OrderStatus, OrderType, PositionId, Price, Quantity, Refusal, RejectCode,
    Rejection, Side, TimeInForce, TradingStateChanged,
};
use serde_json::{Value, json};

use super::support::{Fixture, ORDER, PATIENCE, Says, Setup, accept_everything, accepted, fill, request};
use super::ws::Socket;

/// Behaves by the quantity of a new order and by the id of an old one.
fn venue(input: &Input, next: OrderId) -> Says {
    let (Input::Command(command) | Input::Reducing(command)) = input else {
        let rejection = Rejection::new(RejectCode::QuantityAboveLimit, 10_001, 10_000);
        return Says::Verdict(match input {
            Input::Validate { order, .. } if order.quantity.shares() > 10_000 => Verdict {
                rejection: Some(rejection),
                warnings: Warnings::NONE,
            },
            _ => Verdict {
                rejection: None,
                warnings: Warnings::NO_LAST_PRICE,
            },
        });
    };
    Says::Events(match command {
        Command::NewOrder(order) => match (order.quantity.shares(), order.time_in_force) {
            (_, TimeInForce::Ioc) => vec![
                accepted(order, next),
                cancelled(next.get(), CancelReason::ImmediateOrCancel),
            ],
            (1, _) => vec![accepted(order, next), fill(order.account, next.get())],
            (429, _) => vec![rejected(next, Rejection::new(RejectCode::OrderRate, 11, 10))],
            (10_001.., _) => vec![rejected(
                next,
                Rejection::new(
                    RejectCode::QuantityAboveLimit,
                    i64::from(order.quantity.shares()),
                    10_000,
                ),
            )],
            (77, _) => vec![Event::OrderRepeated(OrderRepeated {
                order: OrderId::new(3),
                account: order.account,
                status: OrderStatus::Filled,
                rejection: None,
            })],
            _ => vec![accepted(order, next)],
        },
        Command::CancelOrder(cancel) => match cancel.order {
            OrderRef::Id(id) if id.get() == 409 => {
                vec![Event::Refused(Refusal::OrderFinished(OrderStatus::Filled))]
            }
            OrderRef::Id(id) if id.get() < 400 => vec![cancelled(id.get(), CancelReason::Requested)],
            OrderRef::Id(_) | OrderRef::Client(_) => vec![Event::Refused(Refusal::UnknownOrder)],
        },
        Command::ModifyOrder(modify) => match (modify.order, modify.quantity, modify.price) {
            (OrderRef::Id(id), quantity, price) if id.get() < 400 => vec![modified(
                id.get(),
                quantity.unwrap_or(Quantity::clamped(10)),
                price.unwrap_or(Price::from_paise_clamped(245_000)),
            )],
            _ => vec![Event::Refused(Refusal::Rejected(Rejection::new(
                RejectCode::ModifyCap,
                26,
                25,
            )))],
        },
        Command::CancelAll(_) => vec![
            cancelled(1, CancelReason::MassCancel),
            Event::MassCancelled(MassCancelled {
                account: None,
                orders: 1,
            }),
        ],
        Command::ClosePosition(close) if close.position == PositionId::new(5) => {
            vec![Event::PositionClosing {
                position: close.position,
                order: next,
                quantity: close.quantity.unwrap_or(Quantity::clamped(10)),
            }]
        }
        Command::ClosePosition(_) => vec![Event::Refused(Refusal::UnknownPosition)],
        Command::KillSwitch(kill) => vec![Event::TradingStateChanged(TradingStateChanged {
            scope: kill.scope,
            state: kill.state,
            cause: KillCause::Manual,
        })],
        _ => Vec::new(),
    })
}

fn cancelled(order: u64, reason: CancelReason) -> Event {
    Event::OrderCancelled(OrderCancelled {
        order: OrderId::new(order),
        account: super::support::MAIN,
        instrument: engine::InstrumentId::new(0),
        cancelled_quantity: Quantity::clamped(10),
        leaves_quantity: Quantity::ZERO,
        cum_quantity: Quantity::ZERO,
        side: Side::Buy,
        status: OrderStatus::Cancelled,
        reason,
    })
}

fn rejected(order: OrderId, rejection: Rejection) -> Event {
    Event::OrderRejected(OrderRejected {
        order,
        account: super::support::MAIN,
        instrument: engine::InstrumentId::new(0),
        rejection,
    })
}

fn modified(order: u64, quantity: Quantity, limit: Price) -> Event {
    Event::OrderModified(OrderModified {
        order: OrderId::new(order),
        account: super::support::MAIN,
        instrument: engine::InstrumentId::new(0),
        quantity,
        leaves_quantity: quantity,
        limit,
        order_type: OrderType::Limit(limit),
        side: Side::Buy,
        status: OrderStatus::Open,
        kept_priority: false,
    })
}

fn order_with(changes: Value) -> String {
    let mut order: Value = serde_json::from_str(ORDER).unwrap();
    for (key, value) in changes.as_object().unwrap() {
        order[key] = value.clone();
    }
    order.to_string()
}

#[test]
fn every_request_has_its_answer() {
    let fixture = Fixture::start(Setup {
        script: Box::new(venue),
        ..Setup::default()
    });
    let too_many = "Quantity exceeds maximum: 10001 > 10000 allowed";
    let rejected_by_quantity = json!({
        "error": "Order rejected", "reason": too_many, "failed_check": "quantity_limits", "code": 113,
        "limit": 10_000, "observed": 10_001, "headroom": -1,
    });
    let table: Vec<(&str, &str, String, u16, Value)> = vec![
        (
            "POST",
            "/orders",
            ORDER.to_owned(),
            201,
            json!({"order_id": 1, "broker_order_id": "PIN0000000001", "status": "OPEN",
                   "message": "Order placed successfully", "durable": true}),
        ),
        (
            "POST",
            "/orders",
            order_with(json!({"quantity": 1})),
            201,
            json!({"status": "FILLED"}),
        ),
        (
            "POST",
            "/orders",
            order_with(json!({"validity": "IOC"})),
            201,
            json!({"status": "CANCELLED"}),
        ),
        (
            "POST",
            "/orders",
            order_with(json!({"quantity": 77})),
            201,
            json!({"order_id": 3, "status": "FILLED"}),
        ),
        (
            "POST",
            "/orders",
            order_with(json!({"quantity": 10_001})),
            400,
            rejected_by_quantity,
        ),
        (
            "POST",
            "/orders",
            order_with(json!({"quantity": 429})),
            429,
            json!({"failed_check": "order_rate"}),
        ),
        (
            "POST",
            "/orders",
            order_with(json!({"symbol": "NOSUCH"})),
            400,
            json!({"error": "Order rejected", "failed_check": "unknown_symbol", "order_id": null}),
        ),
        (
            "POST",
            "/orders",
            order_with(json!({"price": null})),
            400,
            json!({"error": "Invalid order data", "details": "LIMIT orders require price"}),
        ),
        (
            "POST",
            "/orders",
            "nonsense".to_owned(),
            400,
            json!({"error": "Invalid order data"}),
        ),
        (
            "POST",
            "/validate-order",
            ORDER.to_owned(),
            200,
            json!({"is_valid": true, "reason": "", "failed_check": "",
                   "warnings": ["No last traded price: price sanity was not checked"]}),
        ),
        (
            "POST",
            "/validate-order",
            order_with(json!({"quantity": 10_001})),
            200,
            json!({"is_valid": false, "reason": too_many, "failed_check": "quantity_limits", "warnings": []}),
        ),
        (
            "POST",
            "/validate-order",
            order_with(json!({"symbol": "NOSUCH"})),
            200,
            json!({"is_valid": false, "reason": "Unknown symbol", "failed_check": "unknown_symbol"}),
        ),
        (
            "POST",
            "/validate-order",
            "{}".to_owned(),
            400,
            json!({"details": "symbol is required"}),
        ),
        (
            "DELETE",
            "/orders/7",
            String::new(),
            200,
            json!({"order_id": 7, "message": "Order cancelled successfully"}),
        ),
        (
            "POST",
            "/orders/7/cancel",
            String::new(),
            200,
            json!({"order_id": 7}),
        ),
        (
            "DELETE",
            "/orders/404",
            String::new(),
            404,
            json!({"error": "Order 404 not found"}),
        ),
        (
            "DELETE",
            "/orders/409",
            String::new(),
            409,
            json!({"error": "Cannot cancel order in status FILLED"}),
        ),
        (
            "PUT",
            "/orders/7",
            r#"{"quantity":20,"price":"2440.05"}"#.to_owned(),
            200,
            json!({"order_id": 7, "message": "Order modified successfully", "quantity": 20}),
        ),
        (
            "PUT",
            "/orders/400",
            r#"{"quantity":20}"#.to_owned(),
            400,
            json!({"error": "Order rejected", "failed_check": "modify_cap"}),
        ),
        (
            "POST",
            "/orders/cancel-all",
            String::new(),
            200,
            json!({"cancelled": 1}),
        ),
        (
            "POST",
            "/positions/5/close",
            r#"{"quantity":4}"#.to_owned(),
            200,
            json!({"position_id": 5, "quantity": 4}),
        ),
        (
            "POST",
            "/positions/close",
            r#"{"symbol":"SBIN"}"#.to_owned(),
            200,
            json!({"position_id": 5}),
        ),
        (
            "POST",
            "/positions/6/close",
            String::new(),
            404,
            json!({"error": "Position not found"}),
        ),
        (
            "POST",
            "/positions/close",
            r#"{"symbol":"RELIANCE"}"#.to_owned(),
            404,
            json!({"error": "No open position in RELIANCE"}),
        ),
        (
            "POST",
            "/risk/kill-switch",
            String::new(),
            200,
            json!({"message": "Kill switch activated", "scope": "engine", "state": "REDUCING"}),
        ),
        (
            "POST",
            "/risk/deactivate-kill-switch",
            String::new(),
            200,
            json!({"message": "Kill switch deactivated", "was_active": false}),
        ),
    ];
    let mut client = fixture.connect();
    for (method, path, body, status, expected) in table {
        client.send(&request(method, &format!("/api/oms{path}"), "", &body));
        let response = client.response(false);
        assert_eq!(response.status, status, "{method} {path} {body}: {response:?}");
        let found = response.json();
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(&found[key], value, "{method} {path} {body}: {response:?}");
        }
        if status == 429 {
            assert_eq!(response.field("retry-after"), "1");
        }
    }
}

#[test]
fn an_idempotency_key_is_the_client_order_id() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let fixture = Fixture::start(Setup {
        script: Box::new(move |input, next| {
            if let Input::Command(Command::NewOrder(order)) = input {
                sender.send(order.client_order_id.as_str().to_owned()).unwrap();
            }
            accept_everything(input, next)
        }),
        ..Setup::default()
    });
    let post = |fields: &str, body: &str| fixture.call_with("POST", "/api/oms/orders", fields, body).status;
    assert_eq!(post("Idempotency-Key: k-1\r\n", ORDER), 201);
    assert_eq!(receiver.recv().unwrap(), "k-1");
    assert_eq!(
        post(
            "Idempotency-Key: k-1\r\n",
            &order_with(json!({"client_order_id": "own"}))
        ),
        201
    );
    assert_eq!(receiver.recv().unwrap(), "own");
    assert_eq!(
        post(&format!("Idempotency-Key: {}\r\n", "k".repeat(65)), ORDER),
        400
    );
    assert_eq!(post("Idempotency-Key: a\r\nIdempotency-Key: b\r\n", ORDER), 400);
}

#[test]
fn memory_acknowledgements_say_so() {
    let fixture = Fixture::start(Setup {
        ack: AckMode::Memory,
        release: false,
        ..Setup::default()
    });
    fixture.release(u64::MAX);
    assert_eq!(
        fixture.call("POST", "/api/oms/orders", ORDER).json()["durable"],
        false
    );
}

#[test]
fn a_full_ring_is_told_and_nothing_is_lost() {
    let fixture = Fixture::start(Setup {
        request_ring: 4,
        ..Setup::default()
    });
    fixture.pause_engine();
    let mut client = fixture.connect();
    client.send(&request("POST", "/api/oms/orders", "", ORDER).repeat(6));
    // The refusal of a seventh, on another connection, shows that the six were seen.
    let refused = fixture.call("POST", "/api/oms/orders", ORDER);
    assert_eq!((refused.status, refused.field("retry-after")), (503, "1"));
    assert_eq!(refused.json()["code"], "busy");
    fixture.resume_engine();
    let statuses: Vec<u16> = (0..6).map(|_| client.response(false).status).collect();
    assert_eq!(statuses, [201, 201, 201, 201, 503, 503]);
    assert_eq!(fixture.call("POST", "/api/oms/orders", ORDER).status, 201);
}

#[test]
fn a_low_disk_refuses_what_does_not_only_reduce() {
    // The engine's part is played: sales of 5 and modifications of order 7 reduce.
    let script = |input: &Input, next| match input {
        Input::Reducing(Command::NewOrder(order)) if order.quantity.shares() == 5 => venue(input, next),
        Input::Reducing(Command::ModifyOrder(modify)) if modify.order == OrderRef::Id(OrderId::new(7)) => {
            venue(input, next)
        }
        Input::Reducing(_) => Says::Withheld,
        _ => venue(input, next),
    };
    let fixture = Fixture::start(Setup {
        script: Box::new(script),
        ..Setup::default()
    });
    fixture.disk_low.store(true, Ordering::Release);
    let refused = fixture.call("POST", "/api/oms/orders", ORDER);
    assert_eq!(
        (refused.status, refused.json()["code"].as_str()),
        (503, Some("disk_low"))
    );
    assert_eq!(refused.field("retry-after"), "1");
    let mut exit: Value = serde_json::from_str(ORDER).unwrap();
    exit["quantity"] = 5.into();
    let exit = exit.to_string();
    let placed = fixture.call("POST", "/api/oms/orders", &exit);
    assert_eq!(placed.status, 201, "{}", placed.json());
    let modified = |order| fixture.call("PUT", &format!("/api/oms/orders/{order}"), r#"{"quantity": 3}"#);
    assert_eq!(modified(7).status, 200);
    let refused = modified(8);
    assert_eq!(
        (refused.status, refused.json()["code"].as_str()),
        (503, Some("disk_low"))
    );
    let mut socket = Socket::local(&fixture);
    for (order, status) in [(ORDER, 503), (&exit, 201)] {
        let id = status.to_string();
        socket.say(format!(r#"{{"type":"order:place","id":"{id}","data":{order}}}"#));
        // Of the events around it, the answer is what has the id.
        let answer = loop {
            let heard = socket.hear();
            if heard["id"].as_str() == Some(id.as_str()) {
                break heard;
            }
        };
        assert_eq!(answer["status"], status, "{answer}");
    }
    assert_eq!(fixture.call("DELETE", "/api/oms/orders/7", "").status, 200);
    assert_eq!(fixture.call("POST", "/api/oms/positions/5/close", "").status, 200);
    assert_eq!(fixture.call("POST", "/api/oms/validate-order", ORDER).status, 200);
    fixture.disk_low.store(false, Ordering::Release);
    assert_eq!(fixture.call("POST", "/api/oms/orders", ORDER).status, 201);
}

#[test]
fn a_reply_that_the_journal_holds_too_long_becomes_unknown() {
    let fixture = Fixture::start(Setup {
        release: false,
        ..Setup::default()
    });
    let mut client = fixture.connect();
    client.send(&request("POST", "/api/oms/orders", "", ORDER));
    let unknown = client.response(false);
    assert_eq!(
        (unknown.status, unknown.json()["code"].as_str()),
        (503, Some("outcome_unknown"))
    );
    // The late outcome is not mistaken for the answer to the next request.
    client.send(&request("POST", "/api/oms/orders", "", ORDER));
    fixture.release(2);
    assert_eq!(client.response(false).json()["order_id"], 2);
}

#[test]
fn nothing_leaves_before_it_is_released() {
    let (arrival, arrived) = std::sync::mpsc::channel();
    let fixture = Fixture::start(Setup {
        release: false,
        script: Box::new(move |input, next| {
            arrival.send(()).unwrap();
            accept_everything(input, next)
        }),
        ..Setup::default()
    });
    let mut first = fixture.connect();
    let mut second = fixture.connect();
    first.send(&request("POST", "/api/oms/orders", "", ORDER));
    arrived.recv_timeout(PATIENCE).unwrap();
    let answer = first.stream.get_ref().try_clone().unwrap();
    answer
        .set_read_timeout(Some(std::time::Duration::from_millis(300)))
        .unwrap();
    let early = std::io::Read::read(&mut &answer, &mut [0; 1]);
    assert_eq!(early.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    answer.set_read_timeout(Some(PATIENCE)).unwrap();
    second.send(&request("POST", "/api/oms/orders", "", ORDER));
    arrived.recv_timeout(PATIENCE).unwrap();
    fixture.release(1);
    assert_eq!(first.response(false).json()["order_id"], 1);
    fixture.release(2);
    assert_eq!(second.response(false).json()["order_id"], 2);
}
