//! Every attribute of an order, by REST and by WebSocket: taken as it was given, and meant by the book.

use serde_json::{Value, json};

use crate::life_of_an_order::id_of;
use crate::support::http::Client;
use crate::support::json::assert_fields;
use crate::support::server::{COUNTER, FREE, QUIET, Server, Site};
use crate::support::websocket::Socket;

/// The two ways in, as one account.
enum Way {
    Rest(Client),
    WebSocket(Socket),
}

impl Way {
    /// The status and the body of an answer.
    fn ask(&mut self, kind: &str, body: &Value) -> (u64, Value) {
        match self {
            Way::Rest(client) => {
                let answer = match kind {
                    "order:place" => client.post("/api/oms/orders", body),
                    "order:modify" => client.put("/api/oms/orders", body),
                    "order:cancel" => client.send("DELETE", "/api/oms/orders", body.to_string().as_bytes()),
                    "orders:cancel_all" => client.post("/api/oms/orders/cancel-all", body),
                    other => unreachable!("{other}"),
                };
                (u64::from(answer.status), answer.json())
            }
            Way::WebSocket(socket) => {
                socket.say(&json!({"type": kind, "id": "x", "data": body}).to_string());
                let mut reply = socket.until("reply").pop().unwrap();
                (reply["status"].as_u64().unwrap(), reply["data"].take())
            }
        }
    }

    fn place(&mut self, body: &Value) -> (u64, Value) {
        self.ask("order:place", body)
    }

    /// Places what must be accepted; its id and status.
    #[track_caller]
    fn accepted(&mut self, body: &Value) -> (u64, String) {
        let (status, placed) = self.place(body);
        assert_eq!(status, 201, "{body} was answered {placed}");
        (id_of(&placed), placed["status"].as_str().unwrap().to_owned())
    }

    /// Places what must be refused by a check.
    #[track_caller]
    fn refused(&mut self, body: &Value, check: &str) {
        let (status, refused) = self.place(body);
        assert_eq!(status, 400, "{body} was answered {refused}");
        assert_eq!(refused["failed_check"], check, "{body} was answered {refused}");
    }
}

/// An order in SBIN with more fields.
fn order(side: &str, quantity: u32, price: &str, more: Value) -> Value {
    let mut order = json!({"symbol": "SBIN", "side": side, "quantity": quantity, "price": price});
    let fields = more.as_object().unwrap().clone();
    order.as_object_mut().unwrap().extend(fields);
    order
}

fn ways(server: &Server, site: &Site, account: &str) -> [Way; 2] {
    [
        Way::Rest(server.client_of(site, account)),
        Way::WebSocket(server.socket_of(site, account)),
    ]
}

/// The best level of a side of SBIN: price, visible quantity, orders.
fn best(server: &Server, side: &str) -> String {
    let depth = server.client().get("/api/oms/depth/SBIN").expect(200);
    depth[side][0].to_string()
}

#[test]
fn every_attribute_is_meant_on_both_ways_in() {
    let site = Site::with_accounts(&[COUNTER, FREE]);
    let server = site.start(QUIET);
    let makers = ways(&server, &site, "counter");
    let takers = ways(&server, &site, "free");
    for (mut maker, mut taker) in makers.into_iter().zip(takers) {
        // An iceberg shows its slice.
        let iceberg = order("SELL", 30, "800.00", json!({"disclosed_quantity": 10}));
        let (iceberg, _) = maker.accepted(&iceberg);
        assert_eq!(
            best(&server, "asks"),
            r#"{"price":800.00,"quantity":10,"orders":1}"#
        );
        // Fill-or-kill counts what is hidden; on failure nothing changes.
        let fok = |quantity| order("BUY", quantity, "800.00", json!({"validity": "FOK"}));
        taker.refused(&fok(31), "fill_or_kill");
        assert_eq!(taker.accepted(&fok(12)).1, "FILLED");
        assert_eq!(
            best(&server, "asks"),
            r#"{"price":800.00,"quantity":8,"orders":1}"#
        );
        // Immediate-or-cancel never rests.
        let ioc = order("BUY", 5, "799.00", json!({"validity": "IOC"}));
        assert_eq!(taker.accepted(&ioc).1, "CANCELLED");
        // Of 18 that are left, 20 are not to be had at once; 15 are, and the rest of a DAY order rests.
        let minimum = |least| {
            order(
                "BUY",
                20,
                "800.00",
                json!({"validity": "DAY", "min_quantity": least}),
            )
        };
        taker.refused(&minimum(19), "min_quantity");
        assert_eq!(taker.accepted(&minimum(18)).1, "OPEN");
        assert_eq!(
            best(&server, "bids"),
            r#"{"price":800.00,"quantity":2,"orders":1}"#
        );
        // Post-only never takes.
        let post_only = |price| order("SELL", 5, price, json!({"post_only": true}));
        maker.refused(&post_only("800.00"), "post_only");
        assert_eq!(maker.accepted(&post_only("800.05")).1, "OPEN");
        // Good-till-date keeps its instant, which must be to come.
        let till = |instant| {
            order(
                "SELL",
                3,
                "801.00",
                json!({"validity": "GTD", "good_till": instant}),
            )
        };
        maker.refused(&till("2020-01-01T00:00:00Z"), "good_till");
        let (gtd, status) = maker.accepted(&till("2099-08-03T09:15:00Z"));
        assert_eq!(status, "OPEN");

        let mut client = server.client_of(&site, "counter");
        let row =
            |client: &mut Client, order: u64| client.get(&format!("/api/oms/orders/{order}")).expect(200);
        assert_fields(
            &row(&mut client, iceberg),
            &[
                ("status", "\"FILLED\""),
                ("quantity", "30"),
                ("filled_quantity", "30"),
            ],
        );
        assert_fields(
            &row(&mut client, gtd),
            &[("validity", "\"GTD\""), ("status", "\"OPEN\"")],
        );
        let both = json!({"account": "counter"});
        assert_eq!(maker.ask("orders:cancel_all", &both).1["cancelled"], 2);
        assert_eq!(taker.ask("orders:cancel_all", &json!({})).1["cancelled"], 1);
    }
}

#[test]
fn an_order_is_modified_and_cancelled_by_its_senders_id() {
    let site = Site::with_accounts(&[COUNTER]);
    let server = site.start(QUIET);
    for (mut way, own) in ways(&server, &site, "counter").into_iter().zip(["a-1", "a-2"]) {
        let (placed, _) = way.accepted(&order("SELL", 9, "800.00", json!({"client_order_id": own})));
        let (status, _) = way.ask(
            "order:modify",
            &json!({"client_order_id": own, "quantity": 4, "price": 800.5}),
        );
        assert_eq!(status, 200);
        assert_eq!(
            best(&server, "asks"),
            r#"{"price":800.50,"quantity":4,"orders":1}"#
        );
        let (status, _) = way.ask("order:cancel", &json!({"client_order_id": own}));
        assert_eq!(status, 200);
        let (status, refused) = way.ask("order:cancel", &json!({"client_order_id": own}));
        assert_eq!(status, 409, "order {placed}: {refused}");
        let (status, refused) = way.ask("order:modify", &json!({"client_order_id": "no", "quantity": 1}));
        assert_eq!(status, 404, "{refused}");
    }
}

/// `maker` takes 100,000 shares and ₹1 crore an order. A refusal shows what was measured and the order stays as it was.
#[test]
fn an_increase_is_measured_by_what_it_adds_and_a_new_price_by_all_of_it() {
    let site = Site::with_accounts(&[COUNTER]);
    let server = site.start(QUIET);
    for mut way in ways(&server, &site, "counter") {
        let (placed, _) = way.accepted(&order("SELL", 12_000, "800.00", json!({})));
        let mut modify = |change: Value| {
            let mut body = json!({"order_id": placed});
            body.as_object_mut()
                .unwrap()
                .extend(change.as_object().unwrap().clone());
            way.ask("order:modify", &body)
        };
        let (status, done) = modify(json!({"quantity": 24_500}));
        assert_eq!((status, &done["quantity"]), (200, &json!(24_500)), "{done}");
        for (change, observed, headroom) in [
            (json!({"quantity": 37_001}), "10000800.00", "-800.00"),
            (
                json!({"quantity": 37_001, "price": 800}),
                "10000800.00",
                "-800.00",
            ),
            (
                json!({"quantity": 24_501, "price": 799.9}),
                "19598349.90",
                "-9598349.90",
            ),
            (json!({"price": 800.1}), "19602450.00", "-9602450.00"),
        ] {
            let (status, refused) = modify(change.clone());
            assert_eq!(status, 400, "{change} was answered {refused}");
            assert_fields(
                &refused,
                &[
                    ("failed_check", "\"order_value\""),
                    ("limit", "10000000.00"),
                    ("observed", observed),
                    ("headroom", headroom),
                ],
            );
        }
        assert_eq!(
            best(&server, "asks"),
            r#"{"price":800.00,"quantity":24500,"orders":1}"#
        );
        let (status, cancelled) = way.ask("order:cancel", &json!({"order_id": placed}));
        assert_eq!(status, 200, "{cancelled}");
    }
}

/// Everything that is given has to match; what is not given does not matter.
#[test]
fn a_mass_cancel_takes_account_strategy_symbol_and_side() {
    let site = Site::with_accounts(&[COUNTER, FREE]);
    let server = site.start(QUIET);
    for (mut way, mut other) in ways(&server, &site, "counter")
        .into_iter()
        .zip(ways(&server, &site, "free"))
    {
        for (side, price) in [("SELL", "805.00"), ("BUY", "795.00")] {
            for strategy in [1, 2] {
                way.accepted(&order(side, 1, price, json!({"strategy_id": strategy})));
                way.accepted(&json!({
                    "symbol": "TCS", "side": side, "quantity": 1, "strategy_id": strategy,
                    "price": if side == "SELL" { 3510 } else { 3490 },
                }));
            }
        }
        other.accepted(&order("SELL", 1, "806.00", json!({})));
        let mut cancelled = |scope: Value| {
            let (status, body) = way.ask("orders:cancel_all", &scope);
            assert_eq!(status, 200, "{body}");
            body["cancelled"].as_u64().unwrap()
        };
        let narrow = json!({"symbol": "SBIN", "side": "SELL", "strategy_id": 2});
        assert_eq!(cancelled(narrow.clone()), 1);
        assert_eq!(cancelled(narrow), 0);
        assert_eq!(cancelled(json!({"strategy_id": 2, "side": "BUY"})), 2);
        assert_eq!(cancelled(json!({"symbol": "TCS"})), 3);
        assert_eq!(cancelled(json!({"side": "BUY"})), 1);
        assert_eq!(cancelled(json!({"account": "counter"})), 1);
        let (_, rest) = other.ask("orders:cancel_all", &json!({}));
        assert_eq!(rest["cancelled"], 1);
    }
}

#[test]
fn depth_and_the_days_statistics_follow_the_trades() {
    let site = Site::with_accounts(&[COUNTER, FREE]);
    let server = site.start(QUIET);
    let [mut maker, _] = ways(&server, &site, "counter");
    let [mut taker, _] = ways(&server, &site, "free");
    for step in 0..22 {
        let price = format!("{}.00", 800 + step);
        maker.accepted(&order("SELL", 10 + step, &price, json!({})));
    }
    let levels = |query: &str| {
        let depth = server
            .client()
            .get(&format!("/api/oms/depth/SBIN{query}"))
            .expect(200);
        let asks = depth["asks"].as_array().unwrap().clone();
        (asks.len(), asks.last().unwrap().to_string())
    };
    assert_eq!(
        levels(""),
        (5, r#"{"price":804.00,"quantity":14,"orders":1}"#.to_owned())
    );
    assert_eq!(
        levels("?levels=20"),
        (20, r#"{"price":819.00,"quantity":29,"orders":1}"#.to_owned())
    );
    // 10 at 800, 11 at 801, 4 at 802; then 6 at 799.
    taker.accepted(&order("BUY", 25, "802.00", json!({})));
    taker.accepted(&order("BUY", 6, "799.00", json!({})));
    maker.accepted(&order("SELL", 6, "799.00", json!({})));
    let body = server.client().get("/api/oms/instruments").expect(200);
    let rows = body["instruments"].as_array().unwrap();
    let sbin = rows.iter().find(|row| row["symbol"] == "SBIN").unwrap();
    assert_fields(
        sbin,
        &[
            ("open", "800.00"),
            ("high", "802.00"),
            ("low", "799.00"),
            ("last_price", "799.00"),
            ("volume", "31"),
            ("trade_count", "4"),
            // (8000 + 8811 + 3208 + 4794) ÷ 31 = 800.4193…
            ("vwap", "800.42"),
        ],
    );
}
