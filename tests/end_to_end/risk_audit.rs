//! What risk says and what it then does are the same: quoted charges and charged ones, explained checks and refusals.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::life_of_an_order::{id_of, limit, sample_order, trade};
use crate::support::http::Client;
use crate::support::json::assert_fields;
use crate::support::server::{COUNTER, FREE, QUIET, Site};
use crate::support::wait_for;

const ORDERS: &str = "/api/oms/orders";
const CHARGES: &str = "/api/oms/charges";
const EXPLAIN: &str = "/api/oms/validate-order?explain=1";
const LIMITS: &str = "/api/oms/risk/limits";

const COMPONENTS: [&str; 7] = [
    "brokerage",
    "stt",
    "exchange_txn_charge",
    "gst",
    "stamp_duty",
    "sebi_charges",
    "total_charges",
];

/// Both layers in the order of RISK.md. `restricted` is two checks: a ban, and no margin.
const CHECKS: [&str; 29] = [
    "balance_check",
    "position_limit",
    "risk_per_trade",
    "daily_loss_limit",
    "stop_loss_required",
    "risk_reward_ratio",
    "price_sanity",
    "quantity_limits",
    "order_to_position_ratio",
    "circuit_breaker",
    "restricted",
    "restricted",
    "session",
    "tick_size",
    "lot_size",
    "price_band",
    "market_protection",
    "stale_reference",
    "order_value",
    "freeze_quantity",
    "open_order_value",
    "gross_exposure",
    "net_exposure",
    "symbol_position",
    "holdings",
    "order_rate",
    "daily_orders",
    "duplicate_burst",
    "repeated_execution",
];

fn with(mut order: Value, fields: &[(&str, Value)]) -> Value {
    for (name, value) in fields {
        order[*name] = value.clone();
    }
    order
}

/// Rupees with two decimals, in paise.
#[track_caller]
fn paise(amount: &Value) -> i128 {
    let text = amount.to_string();
    let (rupees, decimals) = text.split_once('.').unwrap_or_else(|| panic!("{text}"));
    assert_eq!(decimals.len(), 2, "{text}");
    format!("{rupees}{decimals}").parse().unwrap()
}

fn paise_of(charges: &Value) -> [i128; 7] {
    COMPONENTS.map(|name| paise(&charges[name]))
}

/// The charges of RISK.md on a turnover in paise, each component half up to the paisa, in the order of `COMPONENTS`.
fn charges_by_the_book(product: &str, side: &str, turnover: i128) -> [i128; 7] {
    let share = |of: i128, parts: i128, whole: i128| (2 * of * parts + whole) / (2 * whole);
    let is_buy = side == "BUY";
    let (brokerage, stt, stamp_duty) = match (product, is_buy) {
        ("MIS", true) => (3, 0, 3),
        ("MIS", false) => (3, 25, 0),
        ("CNC", true) => (0, 100, 15),
        ("CNC", false) => (0, 100, 0),
        other => panic!("{other:?}"),
    };
    let brokerage = share(turnover, brokerage, 10_000).min(2_000);
    let stt = share(turnover, stt, 100_000);
    let exchange = share(turnover, 307, 10_000_000);
    let stamp_duty = share(turnover, stamp_duty, 100_000);
    let sebi = share(turnover, 10, 10_000_000);
    let gst = share(brokerage + exchange + sebi, 18, 100);
    let total = brokerage + stt + exchange + gst + stamp_duty + sebi;
    [brokerage, stt, exchange, gst, stamp_duty, sebi, total]
}

/// Every fill of an order of `free`, from the trades and from its position's explanation, which must agree.
fn charged(free: &mut Client, order: u64, fills: usize) -> ([i128; 7], i128) {
    let trades = free.get(&format!("/api/oms/trades?order={order}")).expect(200);
    let trades = trades["trades"].as_array().unwrap();
    assert_eq!(trades.len(), fills, "{trades:?}");
    let position = &trades[0]["position_id"];
    let story = free
        .get(&format!("/api/oms/positions/{position}/explain?limit=500"))
        .expect(200);
    let (mut sums, mut net, mut told) = ([0; 7], 0, [0; 7]);
    for row in trades {
        let charges = paise_of(row);
        sums.iter_mut().zip(charges).for_each(|(sum, part)| *sum += part);
        net += paise(&row["net_value"]);
    }
    for fill in story["fills"].as_array().unwrap() {
        if fill["order_id"] == order {
            let charges = paise_of(&fill["charges"]);
            told.iter_mut().zip(charges).for_each(|(sum, part)| *sum += part);
        }
    }
    assert_eq!(sums, told, "order {order}: {story}");
    (sums, net)
}

/// However an order is sliced by what it meets, it is charged what was quoted: around the cap of the brokerage, where
/// components round to nothing, and where they round up.
#[test]
fn a_quote_is_what_the_fills_are_charged() {
    let site = Site::with_accounts(&[COUNTER, FREE]);
    let server = site.start(QUIET);
    let (mut free, mut counter) = (
        server.client_of(&site, "free"),
        server.client_of(&site, "counter"),
    );
    for product in ["MIS", "CNC"] {
        for (price, slices) in [
            ("2450.00", &[1][..]),
            ("2450.10", &[1, 1, 1]),
            ("2449.90", &[2, 5]),
            ("2450.00", &[10, 1, 2]),
            ("2450.00", &[26, 1]),
            ("2450.00", &[27, 1]),
            ("2451.30", &[1, 30, 1, 1]),
            ("2447.70", &[333]),
            ("2450.10", &[1, 998, 1]),
        ] {
            let quantity: u32 = slices.iter().sum();
            for (side, other) in [("BUY", "SELL"), ("SELL", "BUY")] {
                let case = format!("{product} {side} {slices:?} at {price}");
                let order = with(limit(side, quantity, price), &[("product", json!(product))]);
                let quoted = free.post(CHARGES, &order).expect(200);
                let turnover = paise(&quoted["gross_value"]);
                let each: i128 = price.replace('.', "").parse().unwrap();
                assert_eq!(turnover, each * i128::from(quantity), "{case}");
                let expected = charges_by_the_book(product, side, turnover);
                assert_eq!(paise_of(&quoted["charges"]), expected, "{case}");

                for slice in slices {
                    counter.post(ORDERS, &limit(other, *slice, price)).expect(201);
                }
                let placed = free.post(ORDERS, &order).expect(201);
                assert_eq!(placed["status"], "FILLED", "{case}: {placed}");
                let (sums, net) = charged(&mut free, id_of(&placed), slices.len());
                assert_eq!(sums, expected, "{case}");
                assert_eq!(net, paise(&quoted["net_value"]), "{case}");
                let row = free.get(&format!("{ORDERS}/{}", id_of(&placed))).expect(200);
                assert_eq!(paise(&row["charges"]), expected[6], "{case}: {row}");
            }
        }
    }
}

/// The lines of an explanation, which are all there, in order and complete.
#[track_caller]
fn lines(verdict: &Value) -> &[Value] {
    let lines = verdict["checks"]
        .as_array()
        .unwrap_or_else(|| panic!("{verdict}"));
    let names: Vec<&str> = lines.iter().filter_map(|line| line["check"].as_str()).collect();
    assert_eq!(names, CHECKS);
    for line in lines {
        let outcome = line["outcome"].as_str().unwrap();
        let numbers = ["limit", "observed", "headroom"].map(|name| &line[name]);
        assert!(["pass", "fail", "not_applicable"].contains(&outcome), "{line}");
        let none = numbers.iter().all(|number| number.is_null());
        assert!(none || numbers.iter().all(|number| number.is_number()), "{line}");
        assert!(outcome != "not_applicable" || none, "{line}");
    }
    lines
}

fn failures(lines: &[Value]) -> Vec<&Value> {
    lines.iter().filter(|line| line["outcome"] == "fail").collect()
}

/// The order is refused by that check: in the verdict, its explanation, the refusal and the order's record alike.
/// Returns the order's number.
#[track_caller]
fn assert_refused_alike(client: &mut Client, order: &Value, check: &str) -> (u64, Value) {
    let verdict = client.post(EXPLAIN, order).expect(200);
    assert_fields(
        &verdict,
        &[("is_valid", "false"), ("failed_check", &json!(check).to_string())],
    );
    let lines = lines(&verdict);
    let failed = failures(lines);
    let first = failed.first().unwrap_or_else(|| panic!("{check}: {verdict}"));
    assert_eq!(first["check"], check, "{verdict}");
    let refused = client.post(ORDERS, order).expect(400);
    let row = client.get(&format!("{ORDERS}/{}", id_of(&refused))).expect(200);
    assert_fields(&row, &[("status", "\"REJECTED\"")]);
    let recorded = &row["validation_result"];
    assert_eq!(recorded["is_valid"], false, "{row}");
    for name in ["reason", "failed_check", "code", "limit", "observed", "headroom"] {
        let expected = verdict.get(name).unwrap_or_else(|| panic!("{name} in {verdict}"));
        assert_eq!(refused.get(name), Some(expected), "{name} in {refused}");
        assert_eq!(recorded.get(name), Some(expected), "{name} in {row}");
    }
    for name in ["limit", "observed", "headroom"] {
        assert_eq!(first[name], verdict[name], "{name} in {verdict}");
    }
    assert_same_checks(&recorded["checks"], &verdict["checks"]);
    (id_of(&refused), recorded.clone())
}

/// Every check is on record as it was told just before. What counts the last second's orders may count fewer by then.
#[track_caller]
fn assert_same_checks(recorded: &Value, told: &Value) {
    let (recorded, told) = (recorded.as_array().unwrap(), told.as_array().unwrap());
    assert_eq!(recorded.len(), told.len());
    for (recorded, told) in recorded.iter().zip(told) {
        let ages = ["order_rate", "duplicate_burst"]
            .iter()
            .any(|check| told["check"] == *check);
        let observed = |line: &Value| line["observed"].as_i64();
        if !ages || observed(recorded) >= observed(told) {
            assert_eq!(recorded, told);
            continue;
        }
        let fewer = observed(told).unwrap() - observed(recorded).unwrap();
        let headroom = told["headroom"].as_i64().unwrap() + fewer;
        let aged = with(
            told.clone(),
            &[
                ("observed", recorded["observed"].clone()),
                ("headroom", json!(headroom)),
            ],
        );
        assert_eq!(recorded, &aged);
    }
}

/// The rows of these orders hold what the API answered.
fn assert_recorded(site: &Site, refused: &[(u64, Value)]) {
    let tables = Connection::open(site.data_dir().join("pinion.db")).unwrap();
    for (order, expected) in refused {
        let text: String = wait_for(&format!("the row of order {order}"), || {
            let query = "SELECT validation_result FROM orders WHERE id = ?1";
            let order = i64::try_from(*order).unwrap();
            tables.query_row(query, [order], |row| row.get(0)).ok()
        });
        let recorded: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(&recorded, expected, "order {order}");
    }
}

fn of_strategy(strategy: u32, order: Value) -> Value {
    with(order, &[("strategy_id", json!(strategy))])
}

/// Tightens one limit of a strategy of `main`.
fn tighten(main: &mut Client, strategy: u32, name: &str, value: Value) {
    let body = json!({"account": "main", "strategy_id": strategy, "limits": {name: value}});
    main.put(LIMITS, &body).expect(200);
}

#[test]
fn an_explanation_names_the_check_that_refuses() {
    let site = Site::with_accounts(&[COUNTER]);
    let server = site.start(QUIET);
    let mut main = server.client();
    let sample = |fields: &[(&str, Value)]| with(sample_order(), fields);
    let mut refused = Vec::new();

    // Nothing has traded yet: a market order has no price to be checked at, which is all that is to say of it.
    let market = json!({"symbol": "RELIANCE", "side": "BUY", "quantity": 1, "order_type": "MARKET", "stop_loss": 2430});
    refused.push(assert_refused_alike(&mut main, &market, "balance_check"));
    let verdict = main.post(EXPLAIN, &market).expect(200);
    let concerned = lines(&verdict)
        .iter()
        .filter(|line| line["outcome"] != "not_applicable");
    assert_eq!(concerned.count(), 1, "{verdict}");
    // And there is no distance from a last price, but the band holds.
    let far = sample(&[
        ("price", json!(2000)),
        ("stop_loss", json!(1990)),
        ("take_profit", json!(2100)),
    ]);
    refused.push(assert_refused_alike(&mut main, &far, "price_band"));
    trade(&server, &site);

    for (check, fields) in [
        ("balance_check", &[("quantity", json!(2000))][..]),
        ("risk_per_trade", &[("quantity", json!(101))]),
        ("stop_loss_required", &[("stop_loss", json!(null))]),
        ("stop_loss_required", &[("stop_loss", json!(2450))]),
        ("risk_reward_ratio", &[("take_profit", json!(2489.95))]),
        (
            "price_sanity",
            &[
                ("price", json!(2204)),
                ("stop_loss", json!(2200)),
                ("take_profit", json!(2250)),
            ],
        ),
        ("tick_size", &[("price", json!(2450.03))]),
        (
            "holdings",
            &[
                ("side", json!("SELL")),
                ("product", json!("CNC")),
                ("price", json!(2455)),
                ("stop_loss", json!(2460)),
                ("take_profit", json!(2440)),
            ],
        ),
    ] {
        refused.push(assert_refused_alike(&mut main, &sample(fields), check));
    }
    // Each limit tightened for a strategy of its own, a hair below what the sample needs.
    for (strategy, check, name, value) in [
        (10, "quantity_limits", "order_quantity_max", json!(9)),
        (11, "order_value", "order_value_max", json!(24499.99)),
        (12, "open_order_value", "open_order_value_max", json!(24499.99)),
        (13, "gross_exposure", "gross_exposure_max", json!(0.489999)),
        (14, "net_exposure", "net_exposure_max", json!(0.489999)),
        (15, "symbol_position", "symbol_position_max", json!(9)),
        (16, "position_limit", "positions_max", json!(1)),
    ] {
        tighten(&mut main, strategy, name, value);
        let order = of_strategy(strategy, sample_order());
        refused.push(assert_refused_alike(&mut main, &order, check));
    }
    let reason = json!({"reason": "audit", "scope": "strategy", "strategy_id": 17});
    main.post("/api/oms/risk/kill-switch", &reason).expect(200);
    let order = of_strategy(17, sample_order());
    refused.push(assert_refused_alike(&mut main, &order, "circuit_breaker"));
    // One open position: three entries may work, each of its own price.
    for price in [2440.00, 2439.00, 2438.00] {
        main.post(
            ORDERS,
            &sample(&[("price", json!(price)), ("take_profit", json!(null))]),
        )
        .expect(201);
    }
    refused.push(assert_refused_alike(
        &mut main,
        &sample_order(),
        "order_to_position_ratio",
    ));
    let stats = main.get("/api/oms/stats/today").expect(200);
    assert_fields(&stats, &[("rejected_orders", &refused.len().to_string())]);
    assert_recorded(&site, &refused);
}

/// An order that passes has nothing that fails; one that gets out is measured by little; one that would fail twice says
/// both and is refused by the first.
#[test]
fn an_explanation_measures_what_concerns_the_order() {
    let site = Site::with_accounts(&[COUNTER]);
    let server = site.start(QUIET);
    let mut main = server.client();
    let verdict = main.post(EXPLAIN, &sample_order()).expect(200);
    assert_fields(&verdict, &[("is_valid", "true"), ("failed_check", "\"\"")]);
    let entry = lines(&verdict);
    assert_eq!(failures(entry), Vec::<&Value>::new());
    let line = |name: &str| entry.iter().find(|line| line["check"] == name).unwrap();
    for (name, limit, observed, headroom) in [
        ("balance_check", "100000.00", "4900.00", "95100.00"),
        ("position_limit", "5", "0", "5"),
        ("risk_per_trade", "2000.00", "200.00", "1800.00"),
        ("daily_loss_limit", "6000.00", "0.00", "6000.00"),
        ("risk_reward_ratio", "2.00", "2.05", "0.05"),
        ("quantity_limits", "10000", "10", "9990"),
        ("order_value", "500000.00", "24500.00", "475500.00"),
        ("freeze_quantity", "100000", "10", "99990"),
        ("open_order_value", "2500000.00", "24500.00", "2475500.00"),
        ("daily_orders", "5000", "1", "4999"),
    ] {
        let numbers = [("limit", limit), ("observed", observed), ("headroom", headroom)];
        assert_fields(line(name), &[("outcome", "\"pass\"")]);
        assert_fields(line(name), &numbers);
    }
    // There is no last price, no session, and no market order.
    for name in ["price_sanity", "session", "market_protection", "holdings"] {
        assert_fields(line(name), &[("outcome", "\"not_applicable\"")]);
    }
    // Without the word there is no explanation, and either way nothing happened.
    let plain = main.post("/api/oms/validate-order", &sample_order()).expect(200);
    assert_eq!(plain.get("checks"), None);
    assert_fields(
        &main.get("/api/oms/stats/today").expect(200),
        &[("order_count", "0")],
    );

    for word in ["true", "yes"] {
        let path = format!("/api/oms/validate-order?explain={word}");
        lines(&main.post(&path, &sample_order()).expect(200));
    }

    let (bought, _) = trade(&server, &site);
    let row = main.get(&format!("{ORDERS}/{bought}")).expect(200);
    let passed = json!({"is_valid": true, "reason": "", "failed_check": ""});
    assert_eq!(row["validation_result"], passed);

    // Of the exit of all ten shares RISK.md wants the session, the grid, the band, the freeze quantity and holdings.
    let verdict = main.post(EXPLAIN, &limit("SELL", 10, "2455.00")).expect(200);
    assert_fields(&verdict, &[("is_valid", "true")]);
    for line in lines(&verdict) {
        let name = line["check"].as_str().unwrap();
        let faces_exits = [
            "circuit_breaker",
            "session",
            "tick_size",
            "lot_size",
            "price_band",
            "freeze_quantity",
            "holdings",
            // For exits no limit of the account's but what a position can hold.
            "symbol_position",
        ]
        .contains(&name);
        assert!(faces_exits || line["outcome"] == "not_applicable", "{line}");
    }

    // Two failures, also across the layers.
    let twice = with(
        sample_order(),
        &[("stop_loss", json!(2460)), ("price", json!(2450.03))],
    );
    let (_, recorded) = assert_refused_alike(&mut main, &twice, "stop_loss_required");
    assert_eq!(recorded["failed_check"], "stop_loss_required");
    let verdict = main.post(EXPLAIN, &twice).expect(200);
    let failed: Vec<&str> = failures(lines(&verdict))
        .iter()
        .filter_map(|line| line["check"].as_str())
        .collect();
    assert_eq!(failed, ["stop_loss_required", "tick_size"]);
}

/// After a loss that trips the switch, the loss is what refuses first, and the switch says so, too.
#[test]
fn a_loss_is_explained_before_the_switch_that_it_tripped() {
    let site = Site::with_accounts(&[COUNTER, FREE]);
    let server = site.start(QUIET);
    let (mut main, mut counter) = (server.client(), server.client_of(&site, "counter"));
    main.post(ORDERS, &with(sample_order(), &[("quantity", json!(100))]))
        .expect(201);
    counter.post(ORDERS, &limit("SELL", 100, "2450.00")).expect(201);
    counter.post(ORDERS, &limit("BUY", 1, "2385.00")).expect(201);
    let printed = server
        .client_of(&site, "free")
        .post(ORDERS, &limit("SELL", 1, "2385.00"))
        .expect(201);
    assert_eq!(printed["status"], "FILLED");
    let order = json!({"symbol": "TCS", "side": "BUY", "quantity": 1, "price": 3500, "stop_loss": 3480});
    let refused = assert_refused_alike(&mut main, &order, "daily_loss_limit");
    assert_eq!(refused.1["limit"].to_string(), "6000.00");
    let verdict = main.post(EXPLAIN, &order).expect(200);
    let failed: Vec<&str> = failures(lines(&verdict))
        .iter()
        .filter_map(|line| line["check"].as_str())
        .collect();
    assert_eq!(failed, ["daily_loss_limit", "circuit_breaker"]);
    assert_recorded(&site, &[refused]);
}
