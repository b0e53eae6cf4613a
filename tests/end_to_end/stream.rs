//! The stream of events as a whole: every message of the contract, each once per connection, in causal order, over
//! lost connections and restarts; and reads that never lag behind what anyone was told.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::life_of_an_order::{id_of, limit, sample_order};
use crate::support::Random;
use crate::support::json::assert_fields;
use crate::support::server::{Account, COUNTER, FREE, QUIET, Server, Site};
use crate::support::websocket::Socket;

/// A second trader without limits of its own.
const OTHER: Account = Account {
    name: "other",
    ..FREE
};

/// A place in the stream, comparable.
fn cursor(message: &Value) -> (u64, u64) {
    let (seq, index) = message["cursor"].as_str().unwrap().split_once(':').unwrap();
    (seq.parse().unwrap(), index.parse().unwrap())
}

#[test]
fn every_kind_of_event_is_told_with_its_fields() {
    let site = Site::with_accounts(&[COUNTER]);
    let server = site.start(QUIET);
    let (mut main, mut counter) = (server.client(), server.client_of(&site, "counter"));
    let mut hears = server.socket();

    let mut unstopped = sample_order();
    unstopped.as_object_mut().unwrap().remove("stop_loss");
    let refused = main.post("/api/oms/orders", &unstopped).expect(400);
    let rejected = hears.data_of("order:rejected");
    assert_fields(
        &rejected,
        &[
            ("order_id", &refused["order_id"].to_string()),
            ("symbol", "\"RELIANCE\""),
            ("status", "\"REJECTED\""),
            ("failed_check", "\"stop_loss_required\""),
            ("reason", &refused["reason"].to_string()),
        ],
    );

    let order = id_of(&main.post("/api/oms/orders", &sample_order()).expect(201));
    let id = order.to_string();
    assert_fields(
        &hears.data_of("order:placed"),
        &[("order_id", &id), ("status", "\"OPEN\"")],
    );
    main.put(&format!("/api/oms/orders/{order}"), &json!({"quantity": 8}))
        .expect(200);
    assert_fields(
        &hears.data_of("order:modified"),
        &[
            ("order_id", &id),
            ("quantity", "8"),
            ("price", "2450.00"),
            ("leaves_quantity", "8"),
        ],
    );

    counter
        .post("/api/oms/orders", &limit("SELL", 3, "2450.00"))
        .expect(201);
    let told = hears.until("position:updated");
    let mine: Vec<&Value> = told
        .iter()
        .filter(|message| message["data"]["account"] == "main")
        .collect();
    let kinds: Vec<&str> = mine
        .iter()
        .filter_map(|message| message["type"].as_str())
        .collect();
    assert_eq!(kinds, ["order:filled", "position:opened", "position:updated"]);
    assert_fields(
        &mine[0]["data"],
        &[
            ("order_id", &id),
            ("quantity", "3"),
            ("price", "2450.00"),
            ("status", "\"OPEN\""),
        ],
    );
    for position in &mine[1..3] {
        assert_fields(
            &position["data"],
            &[
                ("symbol", "\"RELIANCE\""),
                ("quantity", "3"),
                ("avg_price", "2450.00"),
            ],
        );
    }
    let pnl = hears.data_of("account:pnl_updated");
    assert_fields(&pnl, &[("account", "\"main\""), ("position_count", "1")]);
    assert!(
        pnl["balance"].is_number() && pnl["total_pnl"].is_number(),
        "{pnl}"
    );

    main.delete(&format!("/api/oms/orders/{order}")).expect(200);
    assert_fields(
        &hears.data_of("order:cancelled"),
        &[
            ("order_id", &id),
            ("symbol", "\"RELIANCE\""),
            ("filled_quantity", "3"),
        ],
    );

    counter
        .post("/api/oms/orders", &limit("BUY", 3, "2449.00"))
        .expect(201);
    main.post("/api/oms/positions/close", &json!({"symbol": "RELIANCE"}))
        .expect(200);
    let told = hears.until("position:closed");
    let kinds: Vec<&str> = told
        .iter()
        .filter(|message| message["data"]["account"] == "main")
        .filter_map(|message| message["type"].as_str())
        .filter(|kind| kind.starts_with("position:"))
        .collect();
    assert_eq!(kinds, ["position:updated", "position:closed"]);
    let closed = &told.last().unwrap()["data"];
    assert!(closed["realized_pnl"].as_f64().unwrap() < 0.0, "{closed}");

    main.post("/api/oms/risk/kill-switch", &json!({"reason": "enough"}))
        .expect(200);
    let told = hears.until("risk:kill_switch_triggered");
    let triggered = &told.last().unwrap()["data"];
    assert_fields(triggered, &[("reason", "\"enough\"")]);
    assert!(
        triggered["timestamp"].as_str().unwrap().ends_with('Z'),
        "{triggered}"
    );
    // Both are told, in whichever order the engine says them.
    let alert = told
        .iter()
        .find(|message| message["type"] == "risk:alert")
        .cloned();
    let alert = alert.map_or_else(|| hears.data_of("risk:alert"), |message| message["data"].clone());
    assert_fields(
        &alert,
        &[
            ("severity", "\"CRITICAL\""),
            ("alert_type", "\"kill_switch_triggered\""),
        ],
    );
    main.post("/api/oms/risk/deactivate-kill-switch", &json!({}))
        .expect(200);
    assert!(hears.data_of("risk:kill_switch_deactivated")["timestamp"].is_string());
}

/// What one account was told, checked while it is heard.
#[derive(Default)]
struct Listener {
    last: (u64, u64),
    /// Filled quantity by order, and whether more may come.
    orders: HashMap<u64, (u64, bool)>,
    /// Whether a position is open.
    positions: HashMap<u64, bool>,
    told: Vec<String>,
}

impl Listener {
    fn hear(&mut self, message: &Value) {
        let kind = message["type"].as_str().unwrap();
        // Figures are the state as it is, not an event.
        if !message["cursor"].is_string() || kind == "account:pnl_updated" {
            return;
        }
        assert!(cursor(message) > self.last, "{message} after {:?}", self.last);
        self.last = cursor(message);
        self.told.push(message.to_string());
        let data = &message["data"];
        if let Some(order) = data["order_id"].as_u64() {
            self.hear_of_order(order, kind, data);
        } else if let Some(position) = data["position_id"].as_u64() {
            let open = self.positions.entry(position).or_default();
            match kind {
                "position:opened" => assert!(!std::mem::replace(open, true), "{message}"),
                "position:updated" => assert!(*open, "{message}"),
                "position:closed" => assert!(std::mem::replace(open, false), "{message}"),
                _ => {}
            }
        }
    }

    fn hear_of_order(&mut self, order: u64, kind: &str, data: &Value) {
        match kind {
            "order:placed" => {
                let before = self.orders.insert(order, (0, true));
                assert_eq!(before, None, "placed twice: {data}");
            }
            "order:rejected" => {
                let before = self.orders.insert(order, (0, false));
                assert_eq!(before, None, "rejected after something else: {data}");
            }
            _ => {
                let (filled, alive) = self.orders.get_mut(&order).expect("placed comes first");
                assert!(*alive, "{kind} after the end: {data}");
                if kind == "order:filled" {
                    let now = data["quantity"].as_u64().unwrap();
                    let last = data["last_quantity"].as_u64().unwrap();
                    assert_eq!(now, *filled + last, "a fill is missing or told twice: {data}");
                    *filled = now;
                }
                *alive = data["status"] == "OPEN";
            }
        }
    }
}

/// A connection of an account that goes on where the last one ended.
fn resumed(server: &Server, site: &Site, account: &str, listener: &Listener) -> Socket {
    let (seq, index) = listener.last;
    server.socket_at(&format!("/ws/oms?resume={seq}:{index}"), site, account)
}

#[test]
fn each_event_is_told_once_and_in_causal_order_over_lost_connections() {
    let seed = 20_261_126;
    let site = Site::with_accounts(&[FREE, OTHER]);
    let server = site.start(QUIET);
    let mut random = Random::new(seed);
    let names = ["free", "other"];
    let mut clients = names.map(|name| server.client_of(&site, name));
    // One that never leaves and one that is lost again and again, of each account.
    let mut steady = names.map(|name| (server.socket_of(&site, name), Listener::default()));
    let mut shaky = names.map(|name| (Some(server.socket_of(&site, name)), Listener::default()));
    // Without a first message there is nothing to resume from.
    for client in &mut clients {
        client
            .post("/api/oms/orders", &limit("BUY", 1, "2300.00"))
            .expect(201);
    }
    let mut open: [Vec<u64>; 2] = Default::default();
    for step in 0..400 {
        let who = usize::from(random.below(2) == 1);
        match random.below(10) {
            0 if !open[who].is_empty() => {
                let at = usize::try_from(random.below(open[who].len() as u64)).unwrap();
                let order = open[who].swap_remove(at);
                let status = clients[who].delete(&format!("/api/oms/orders/{order}")).status;
                assert!([200, 409].contains(&status), "seed {seed}, step {step}: {status}");
            }
            1 => {
                let text = json!({"type": "orders:cancel_all", "id": step, "data": {}}).to_string();
                steady[who].0.say(&text);
            }
            2 => {
                for (socket, listener) in &mut shaky {
                    if let Some(mut socket) = socket.take() {
                        for message in socket.drain() {
                            listener.hear(&message);
                        }
                    }
                }
            }
            3 => {
                for (name, (socket, listener)) in names.iter().zip(&mut shaky) {
                    if socket.is_none() {
                        *socket = Some(resumed(&server, &site, name, listener));
                    }
                }
            }
            _ => {
                let side = random.of(&["BUY", "SELL"]);
                let price = format!("24{:02}.00", 48 + random.below(5));
                let quantity = u32::try_from(1 + random.below(20)).unwrap();
                let placed = clients[who].post("/api/oms/orders", &limit(side, quantity, &price));
                open[who].push(id_of(&placed.expect(201)));
            }
        }
    }
    // Whoever is away comes again; then all have been told the same.
    for (at, name) in names.iter().enumerate() {
        let (socket, listener) = &mut shaky[at];
        let mut last = socket
            .take()
            .unwrap_or_else(|| resumed(&server, &site, name, listener));
        for message in last.drain() {
            listener.hear(&message);
        }
        // What it missed may still be on its way when the ping is answered.
        let (witness, all) = &mut steady[at];
        for message in witness.drain() {
            all.hear(&message);
        }
        while listener.last < all.last {
            listener.hear(&last.next());
        }
        assert!(all.told.len() > 200, "seed {seed}: {}", all.told.len());
        assert_eq!(listener.told, all.told, "seed {seed}, {name}");
    }
}

#[test]
fn reads_follow_replies_across_lanes_accounts_and_connections() {
    let site = Site::with_accounts(&[FREE, OTHER]);
    let server = site.start(QUIET);
    let mut socket = server.socket_of(&site, "free");
    socket.say(r#"{"type":"subscribe","events":["order:filled"]}"#);
    let mut other = server.client_of(&site, "other");
    let mut shares = 0;
    for round in 0..60 {
        // Over WebSocket by one account, filled over HTTP by another: whoever was told first reads it at once, on a
        // connection that was not there before.
        let order = json!({"symbol": "RELIANCE", "side": "BUY", "quantity": 2, "price": 2450});
        socket.say(&json!({"type": "order:place", "id": round, "data": order}).to_string());
        let reply = socket.next();
        assert_fields(&reply, &[("id", &round.to_string()), ("status", "201")]);
        let buy = reply["data"]["order_id"].as_u64().unwrap();
        let seen = server
            .client_of(&site, "free")
            .get(&format!("/api/oms/orders/{buy}"));
        assert_fields(&seen.expect(200), &[("status", "\"OPEN\"")]);
        let sell = other
            .post("/api/oms/orders", &limit("SELL", 2, "2450.00"))
            .expect(201);
        assert_eq!(sell["status"], "FILLED", "round {round}");
        shares += 2;
        // The seller was told of the trade; the buyer may ask now, before it is.
        let buyer = server
            .client_of(&site, "free")
            .get("/api/oms/positions")
            .expect(200);
        assert_eq!(
            buyer["positions"][0]["quantity"], shares,
            "round {round}: {buyer}"
        );
        let filled = socket.data_of("order:filled");
        assert_fields(
            &filled,
            &[("order_id", &buy.to_string()), ("status", "\"FILLED\"")],
        );
        // An event is as good as an answer.
        let trades = server
            .client_of(&site, "free")
            .get(&format!("/api/oms/trades?order={buy}"));
        assert_fields(&trades.expect(200), &[("count", "1")]);
    }
}

#[test]
fn after_a_kill_the_old_client_comes_back_within_its_five_tries() {
    let site = Site::with_accounts(&[FREE]);
    let server = site.start_at(SocketAddr::from(([127, 80, 0, 2], 0)), QUIET);
    let address = server.address();
    let mut client = server.client_of(&site, "free");
    for _ in 0..50 {
        client
            .post("/api/oms/orders", &limit("BUY", 1, "2400.00"))
            .expect(201);
    }
    let mut socket = server.socket_of(&site, "free");
    server.kill();
    assert!(socket.hear().is_none());
    let restarted = std::thread::scope(|scope| {
        let starting = scope.spawn(|| site.start_at(address, QUIET));
        // The waits of the existing client (CONTRACT.md section 1).
        let came_back = [2, 4, 6, 8, 10].into_iter().any(|seconds| {
            std::thread::sleep(Duration::from_secs(seconds));
            Socket::open(address, &[("X-API-Key", site.key("free"))]).is_ok()
        });
        assert!(came_back);
        starting.join().unwrap()
    });
    let active = restarted
        .client_of(&site, "free")
        .get("/api/oms/orders/active")
        .expect(200);
    assert_fields(&active, &[("count", "50")]);
}
