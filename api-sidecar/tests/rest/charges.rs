//! `POST /charges` and `GET /positions/<id>/explain`: the same rupees before an order, on its fills and in its position.

use engine::{ChargeRates, Command, MarketPrice, NewOrder, Product, Quantity, Side};
use serde_json::{Value, json};

use crate::floor::{ADMIN, COUNTER, COUNTER_TRADER, Floor, MAIN, RELIANCE, TRADER, sell};

const QUOTE: &str = "/api/oms/charges";

/// Each of `fields` is there with that JSON text; numbers are compared digit by digit.
fn check(body: &Value, fields: &[(&str, &str)]) {
    for (pointer, expected) in fields {
        let found = body
            .pointer(pointer)
            .unwrap_or_else(|| panic!("{pointer} in {body}"));
        assert_eq!(found.to_string(), *expected, "{pointer} in {body}");
    }
}

fn quote(floor: &Floor, json: &str) -> Value {
    let reply = floor.post(TRADER, QUOTE, json);
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()
}

#[test]
fn an_order_is_quoted_as_its_fill_is_charged() {
    let mut floor = Floor::open();
    let order = r#"{"symbol":"RELIANCE","side":"buy","quantity":"10","price":2450}"#;
    let quoted = quote(&floor, order);
    check(
        &quoted,
        &[
            ("/symbol", r#""RELIANCE""#),
            ("/product", r#""MIS""#),
            ("/price", "2450.00"),
            ("/price_source", r#""limit""#),
            ("/gross_value", "24500.00"),
            ("/charges/brokerage", "7.35"),
            ("/charges/stt", "0.00"),
            ("/charges/exchange_txn_charge", "0.75"),
            ("/charges/gst", "1.46"),
            ("/charges/stamp_duty", "0.74"),
            ("/charges/sebi_charges", "0.02"),
            ("/charges/total_charges", "10.32"),
            ("/net_value", "24510.32"),
            ("/rates_effective_from", r#""1970-01-01""#),
        ],
    );
    floor.trade();
    let trade = &floor.ok(TRADER, "/api/oms/trades")["trades"][0];
    for name in [
        "brokerage",
        "stt",
        "exchange_txn_charge",
        "gst",
        "stamp_duty",
        "sebi_charges",
        "total_charges",
    ] {
        assert_eq!(trade[name], quoted["charges"][name], "{name}");
    }
    assert_eq!(trade["net_value"], quoted["net_value"]);
}

#[test]
fn a_market_order_is_quoted_at_the_last_price() {
    let mut floor = Floor::open();
    let market = r#"{"symbol":"RELIANCE","side":"SELL","quantity":10,"order_type":"MARKET","product":"CNC"}"#;
    let refused = floor.post(TRADER, QUOTE, market);
    assert_eq!(refused.status, 400);
    assert_eq!(
        refused.json(),
        json!({"error": "Invalid order data", "details": "there is no last price to quote a market order at"})
    );
    floor.apply(Command::MarketPrice(MarketPrice {
        instrument: RELIANCE,
        price: "2400".parse().unwrap(),
    }));
    check(
        &quote(&floor, market),
        &[
            ("/price", "2400.00"),
            ("/price_source", r#""last_price""#),
            ("/charges/brokerage", "0.00"),
            ("/charges/stt", "24.00"),
            ("/charges/stamp_duty", "0.00"),
            ("/charges/total_charges", "24.90"),
            ("/net_value", "23975.10"),
        ],
    );
}

#[test]
fn a_basket_is_quoted_order_by_order() {
    let mut floor = Floor::open();
    let order = |side: &str, quantity: u32| {
        format!(r#"{{"symbol":"RELIANCE","side":"{side}","quantity":{quantity},"price":2450}}"#)
    };
    let basket = |orders: &[String]| format!(r#"{{"orders":[{}]}}"#, orders.join(","));
    let quoted = quote(
        &floor,
        &basket(&[order("BUY", 10), order("SELL", 10), order("BUY", 100)]),
    );
    // The third order's brokerage is capped, on its own.
    check(
        &quoted,
        &[
            ("/count", "3"),
            ("/orders/0/charges/total_charges", "10.32"),
            ("/orders/1/charges/stt", "6.13"),
            ("/orders/2/charges/brokerage", "20.00"),
            ("/total/charges/brokerage", "34.70"),
            ("/total/bought_value", "269500.00"),
            ("/total/sold_value", "24500.00"),
        ],
    );
    let paise = |value: &Value| (value.as_f64().unwrap() * 100.0).round() as i64;
    let sum: i64 = (0..3)
        .map(|at| paise(&quoted["orders"][at]["charges"]["total_charges"]))
        .sum();
    assert_eq!(paise(&quoted["total"]["charges"]["total_charges"]), sum);
    assert_eq!(paise(&quoted["total"]["net_cash"]), 2_450_000 - 26_950_000 - sum);

    // Rates of today are quoted at once, those of tomorrow tomorrow.
    let day = floor.model.read().time().trading_day();
    for (effective_from, gst) in [(day, "0.5"), (day + 1, "0")] {
        floor.apply(Command::DefineCharges(Box::new(ChargeRates {
            effective_from,
            gst: gst.parse().unwrap(),
            ..ChargeRates::built_in()
        })));
    }
    let today = quote(&floor, &order("BUY", 10));
    check(
        &today,
        &[
            ("/charges/gst", "4.06"),
            ("/rates_effective_from", r#""2026-08-05""#),
        ],
    );
    floor.wait(24 * 3_600);
    check(&quote(&floor, &order("BUY", 10)), &[("/charges/gst", "0.00")]);
}

#[test]
fn what_cannot_be_quoted_is_said_as_for_an_order() {
    let floor = Floor::open();
    let check = |json: &str, expected: Value| {
        let reply = floor.post(TRADER, QUOTE, json);
        assert_eq!((reply.status, reply.json()), (400, expected), "{json}");
    };
    let invalid = |details: &str| json!({"error": "Invalid order data", "details": details});
    check("", invalid("The body must be a JSON object"));
    check("[]", invalid("The body must be a JSON object"));
    check("{}", invalid("symbol is required"));
    check(r#"{"orders":[]}"#, invalid("orders must hold 1 to 200 orders"));
    check(
        r#"{"orders":[7]}"#,
        invalid("orders[0]: The body must be a JSON object"),
    );
    check(
        r#"{"orders":[{"symbol":"RELIANCE","side":"BUY","quantity":1,"price":1},{"symbol":"RELIANCE","side":"BUY","quantity":0,"price":1}]}"#,
        invalid("orders[1]: Quantity must be positive"),
    );
    let unknown = floor.post(
        TRADER,
        QUOTE,
        r#"{"symbol":"NOSUCH","side":"BUY","quantity":1,"price":1}"#,
    );
    assert_eq!(unknown.status, 400);
    assert_eq!(unknown.json()["failed_check"], "unknown_symbol");
    assert_eq!(floor.ask("POST", None, QUOTE).status, 401);
    assert_eq!(floor.get(TRADER, QUOTE).status, 405);
}

/// The trader and the counterparty trade `shares`; returns nothing, for the position tells.
fn trade(floor: &mut Floor, side: Side, shares: u32, price: &str) {
    let maker = NewOrder {
        side: if side == Side::Buy { Side::Sell } else { Side::Buy },
        ..sell(shares, price)
    };
    let taker = NewOrder {
        account: MAIN,
        side,
        product: Product::Mis,
        quantity: Quantity::new(shares).unwrap(),
        stop_loss: Some(if side == Side::Buy { "2400" } else { "2500" }.parse().unwrap()),
        take_profit: None,
        ..sell(shares, price)
    };
    assert_eq!(maker.account, COUNTER);
    floor.apply(Command::NewOrder(maker));
    floor.apply(Command::NewOrder(taker));
}

/// What `arithmetic` comes to is what the position says, to the digit.
fn agrees(explained: &Value) {
    let position = &explained["position"];
    let lines = explained["arithmetic"].as_array().unwrap();
    assert_eq!(lines.len(), 5);
    for line in lines {
        let name = line["name"].as_str().unwrap();
        assert_eq!(
            line["value"].to_string(),
            position[name].to_string(),
            "{name} in {explained}"
        );
    }
}

#[test]
fn a_position_is_explained_fill_by_fill() {
    let mut floor = Floor::open();
    trade(&mut floor, Side::Buy, 10, "2450");
    trade(&mut floor, Side::Buy, 5, "2452");
    trade(&mut floor, Side::Sell, 4, "2460");
    let id = floor.ok(TRADER, "/api/oms/positions")["positions"][0]["id"]
        .as_u64()
        .unwrap();
    let path = format!("/api/oms/positions/{id}/explain");
    let explained = floor.ok(TRADER, &path);
    assert_eq!(
        explained["position"],
        floor.ok(TRADER, &format!("/api/oms/positions/{id}"))
    );
    agrees(&explained);
    check(
        &explained,
        &[
            ("/count", "3"),
            ("/next_cursor", "null"),
            ("/start/quantity", "0"),
            ("/fills/1/after/quantity", "15"),
            ("/fills/1/after/cost", "36760.00"),
            ("/fills/1/after/average_price", "2450.67"),
            // 4/15 of ₹36,760.00.
            ("/fills/2/closed_quantity", "4"),
            ("/fills/2/released_cost", "9802.67"),
            ("/fills/2/realized", "37.33"),
            ("/fills/2/ended", "null"),
            ("/fills/2/after/cost", "26957.33"),
        ],
    );

    // Turned over: what was closed bears the charges, the new side begins with none.
    trade(&mut floor, Side::Sell, 20, "2440");
    let explained = floor.ok(TRADER, &path);
    agrees(&explained);
    check(
        &explained,
        &[
            ("/fills/3/closed_quantity", "11"),
            ("/fills/3/opened_quantity", "9"),
            ("/fills/3/ended/quantity", "0"),
            ("/fills/3/ended/realized", "-80.00"),
            ("/fills/3/after/quantity", "-9"),
            ("/fills/3/after/charges/total_charges", "0.00"),
            ("/position/charges", "0.00"),
        ],
    );

    // Closed, and opened again: the last life's numbers, with the earlier fills still there.
    floor.wait(1);
    trade(&mut floor, Side::Buy, 9, "2441");
    agrees(&floor.ok(TRADER, &path));
    check(
        &floor.ok(TRADER, &path),
        &[("/fills/4/ended/realized", "-9.00"), ("/position/quantity", "0")],
    );
    trade(&mut floor, Side::Buy, 1, "2442");
    let explained = floor.ok(TRADER, &path);
    agrees(&explained);
    check(
        &explained,
        &[
            ("/fills/5/after/quantity", "1"),
            ("/fills/5/after/realized", "0.00"),
        ],
    );

    // Page by page, backwards; each page begins where the one before it ends.
    let last = floor.ok(TRADER, &format!("{path}?limit=4"));
    check(
        &last,
        &[("/count", "4"), ("/fills/0/number", "3"), ("/next_cursor", "3")],
    );
    let first = floor.ok(TRADER, &format!("{path}?limit=4&cursor=3"));
    check(
        &first,
        &[
            ("/count", "2"),
            ("/fills/0/number", "1"),
            ("/next_cursor", "null"),
        ],
    );
    assert_eq!(last["before"], first["fills"][1]["after"]);

    // The next day begins with what was carried in.
    floor.wait(24 * 3_600);
    trade(&mut floor, Side::Buy, 2, "2443");
    let explained = floor.ok(TRADER, &path);
    agrees(&explained);
    check(
        &explained,
        &[
            (
                "/start/reason",
                r#""carried in: fills of earlier days are in the table trades""#,
            ),
            ("/start/quantity", "1"),
            ("/count", "1"),
            ("/fills/0/after/quantity", "3"),
        ],
    );
}

#[test]
fn only_who_may_see_a_position_may_have_it_explained() {
    let mut floor = Floor::open();
    floor.trade();
    let id = floor.ok(TRADER, "/api/oms/positions")["positions"][0]["id"]
        .as_u64()
        .unwrap();
    let path = format!("/api/oms/positions/{id}/explain");
    assert_eq!(floor.get(COUNTER_TRADER, &path).status, 404);
    assert_eq!(floor.get(ADMIN, &path).status, 200);
    assert_eq!(floor.get(TRADER, "/api/oms/positions/999/explain").status, 404);
    assert_eq!(floor.get(TRADER, "/api/oms/positions/x/explain").status, 404);
    assert_eq!(floor.get(TRADER, &format!("{path}?limit=0")).status, 400);
}
