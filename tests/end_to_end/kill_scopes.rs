//! Kill switches of strategies, accounts and the engine at once: the strictest holds, also over restarts; and nothing
//! enters after the trigger.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::life_of_an_order::{id_of, limit};
use crate::support::http::Client;
use crate::support::json::assert_fields;
use crate::support::server::{Account, COUNTER, FREE, QUIET, Server, Site};
use crate::support::wait_for;

const ORDERS: &str = "/api/oms/orders";
const KILL: &str = "/api/oms/risk/kill-switch";
const REARM: &str = "/api/oms/risk/deactivate-kill-switch";
const SUMMARY: &str = "/api/oms/risk/summary";

const VIEWER: Account = Account {
    name: "viewer",
    balance: "100000.00",
    profile: "dashboard",
    role: "viewer",
};

fn of_strategy(strategy: u32, mut order: Value) -> Value {
    order["strategy_id"] = json!(strategy);
    order
}

/// `counter` is short 10 in each of its strategies 1 and 2, `free` is long in strategy 1.
fn take_positions(server: &Server, site: &Site) {
    for strategy in [1, 2] {
        server
            .client_of(site, "free")
            .post(ORDERS, &limit("BUY", 10, "2450.00"))
            .expect(201);
        let sold = server
            .client_of(site, "counter")
            .post(ORDERS, &of_strategy(strategy, limit("SELL", 10, "2450.00")))
            .expect(201);
        assert_eq!(sold["status"], "FILLED");
    }
}

/// The three books of positions, each with an order that enters and one that exits; none of them trades.
fn probes() -> [(&'static str, Value, Value); 3] {
    let (buy, sell) = (limit("BUY", 1, "2440.00"), limit("SELL", 1, "2460.00"));
    [
        (
            "counter",
            of_strategy(1, sell.clone()),
            of_strategy(1, buy.clone()),
        ),
        (
            "counter",
            of_strategy(2, sell.clone()),
            of_strategy(2, buy.clone()),
        ),
        ("free", buy, sell),
    ]
}

/// Whether validation and placing agree that an order passes; the switch is the only reason why it may not.
#[track_caller]
fn passes(client: &mut Client, order: &Value) -> bool {
    let verdict = client.post("/api/oms/validate-order", order).expect(200);
    let answer = client.post(ORDERS, order);
    if verdict["is_valid"] == true {
        let placed = answer.expect(201);
        client.delete(&format!("{ORDERS}/{}", id_of(&placed))).expect(200);
        return true;
    }
    assert_eq!(verdict["failed_check"], "circuit_breaker", "{verdict}");
    assert_eq!(answer.expect(400)["failed_check"], "circuit_breaker");
    false
}

/// What trades where, as the state of each of [`probes`]: `N`ormal, `R`educing, `H`alted.
#[track_caller]
fn states(server: &Server, site: &Site) -> String {
    let of = |(account, entry, exit): (&str, Value, Value)| {
        let mut client = server.client_of(site, account);
        match (passes(&mut client, &entry), passes(&mut client, &exit)) {
            (true, true) => 'N',
            (false, true) => 'R',
            (false, false) => 'H',
            (true, false) => panic!("{account} may enter but not exit"),
        }
    };
    probes().into_iter().map(of).collect()
}

fn post(server: &Server, site: &Site, who: &str, path: &str, body: &Value, status: u16) -> Value {
    let mut client = match who {
        "main" => server.client(),
        trader => server.client_of(site, trader),
    };
    client.post(path, body).expect(status)
}

/// Each stage holds before and after a restart. A trader lifts what is the trader's own, and an admin's halt or the
/// engine's switch stays.
#[test]
fn the_strictest_scope_holds_and_lifting_one_leaves_the_others() {
    let site = Site::with_accounts(&[COUNTER, FREE]);
    let mut server = site.start(QUIET);
    take_positions(&server, &site);
    assert_eq!(states(&server, &site), "NNN");
    let strategy = json!({"scope": "strategy", "strategy_id": 2});
    let engine = json!({"scope": "engine"});
    let halted_account = json!({"scope": "account", "account": "counter", "state": "HALTED"});
    let halted_strategy =
        json!({"scope": "strategy", "account": "counter", "strategy_id": 1, "state": "HALTED"});
    let nothing = json!({});
    for (who, path, body, status, expected) in [
        ("counter", KILL, &strategy, 200, "NRN"),
        ("main", KILL, &engine, 200, "RRR"),
        // The strategy's is lifted, the engine's is not a trader's to lift.
        ("counter", REARM, &nothing, 200, "RRR"),
        ("counter", REARM, &nothing, 403, "RRR"),
        ("free", REARM, &nothing, 403, "RRR"),
        ("main", REARM, &nothing, 200, "NNN"),
        ("counter", KILL, &strategy, 200, "NRN"),
        ("counter", KILL, &nothing, 200, "RRN"),
        ("main", KILL, &halted_strategy, 200, "HRN"),
        // The account and strategy 2 are lifted, the halt of strategy 1 is an admin's.
        ("counter", REARM, &nothing, 200, "HNN"),
        ("main", KILL, &halted_account, 200, "HHN"),
        ("counter", REARM, &nothing, 403, "HHN"),
        ("main", KILL, &engine, 200, "HHR"),
        ("counter", REARM, &nothing, 403, "HHR"),
        ("main", REARM, &nothing, 200, "NNN"),
    ] {
        post(&server, &site, who, path, body, status);
        assert_eq!(states(&server, &site), expected, "{who} {path} {body}");
        server.stop();
        server = site.start(QUIET);
        assert_eq!(states(&server, &site), expected, "{who} {path} {body}, restarted");
    }
    server.stop();
}

/// A scope's switch cancels the scope's orders, entries and exits, and no other.
#[test]
fn a_scope_cancels_its_own_orders_alone() {
    let site = Site::with_accounts(&[COUNTER, FREE]);
    let server = site.start(QUIET);
    take_positions(&server, &site);
    let rest = || {
        let place = |(account, entry, exit): (&str, Value, Value)| {
            let mut client = server.client_of(&site, account);
            [entry, exit].map(|order| id_of(&client.post(ORDERS, &order).expect(201)))
        };
        probes().map(place)
    };
    let cancelled = |orders: &[[u64; 2]; 3]| {
        let mut main = server.client();
        let mut status = |order: u64| main.get(&format!("{ORDERS}/{order}")).expect(200)["status"].clone();
        orders.map(|pair| {
            let [entry, exit] = pair.map(&mut status);
            assert_eq!(entry, exit);
            entry == "CANCELLED"
        })
    };
    for (body, expected, count) in [
        (
            json!({"scope": "strategy", "account": "counter", "strategy_id": 2}),
            [false, true, false],
            2,
        ),
        (
            json!({"scope": "account", "account": "counter"}),
            [true, true, false],
            4,
        ),
        (json!({"scope": "engine"}), [true, true, true], 6),
    ] {
        let orders = rest();
        assert_eq!(cancelled(&orders), [false; 3]);
        let reply = post(&server, &site, "main", KILL, &body, 200);
        assert_fields(&reply, &[("orders_cancelled", &count.to_string())]);
        assert_eq!(cancelled(&orders), expected, "{body}");
        post(&server, &site, "main", REARM, &json!({}), 200);
        post(
            &server,
            &site,
            "main",
            &format!("{ORDERS}/cancel-all"),
            &json!({"account": "*"}),
            200,
        );
    }
}

#[test]
fn who_may_not_deactivate_changes_nothing() {
    let site = Site::with_accounts(&[COUNTER, FREE, VIEWER]);
    let server = site.start(QUIET);
    take_positions(&server, &site);
    let reason = json!({"reason": "stays", "scope": "account", "account": "counter"});
    post(&server, &site, "main", KILL, &reason, 200);
    let before = server.client_of(&site, "counter").get(SUMMARY).expect(200);
    assert_fields(
        &before,
        &[("kill_switch_active", "true"), ("trading_state", "\"REDUCING\"")],
    );
    let hears = |server: &Server| {
        let alerts = server.client().get("/api/oms/risk/alerts?account=*&count=100");
        alerts.expect(200)["count"].as_u64().unwrap()
    };
    let alerts = hears(&server);
    server
        .client_of(&site, "viewer")
        .post(REARM, &json!({"deactivated_by": "nobody"}))
        .expect_error(403);
    // Nor with a key that is none, though it comes from loopback.
    server
        .client()
        .with_key("pin_wrong")
        .post(REARM, &json!({}))
        .expect_error(401);
    // Another trader has nothing to lift, and is told so.
    let reply = post(&server, &site, "free", REARM, &json!({}), 200);
    assert_fields(&reply, &[("was_active", "false")]);
    // Nor does a trader stop another's account.
    server
        .client_of(&site, "counter")
        .post(KILL, &json!({"scope": "account", "account": "free"}))
        .expect_error(403);
    assert_eq!(
        server.client_of(&site, "counter").get(SUMMARY).expect(200),
        before
    );
    assert_eq!(hears(&server), alerts);
    assert_eq!(states(&server, &site), "RRN");
    let reply = post(&server, &site, "counter", REARM, &json!({}), 200);
    assert_fields(&reply, &[("was_active", "true")]);
    assert_eq!(states(&server, &site), "NNN");
}

/// Two accounts enter as fast as they can when the engine is stopped: what was accepted before is cancelled, and
/// nothing is accepted after, neither by the replies nor by the order of the events.
#[test]
fn nothing_enters_after_the_trigger() {
    const ACCEPTED: usize = 25;
    const REFUSED: usize = 25;
    let site = Site::with_accounts(&[COUNTER, FREE]);
    let server = site.start(QUIET);
    let mut hears = server.socket();
    let accepted = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let (placed, killed): (Vec<u64>, Value) = std::thread::scope(|scope| {
        let senders: Vec<_> = ["counter", "free"]
            .into_iter()
            .zip(&accepted)
            .map(|(account, accepted)| {
                let mut client = server.client_of(&site, account);
                scope.spawn(move || {
                    let (mut placed, mut refused) = (Vec::new(), 0);
                    while refused < REFUSED {
                        let answer = client.post(ORDERS, &limit("BUY", 1, "2440.00"));
                        if answer.status == 201 {
                            assert_eq!(refused, 0, "accepted after a refusal: {answer:?}");
                            placed.push(id_of(&answer.json()));
                            accepted.fetch_add(1, Ordering::Relaxed);
                        } else {
                            assert_eq!(answer.expect(400)["failed_check"], "circuit_breaker");
                            refused += 1;
                        }
                    }
                    placed
                })
            })
            .collect();
        wait_for("orders of both", || {
            let enough = |count: &AtomicUsize| count.load(Ordering::Relaxed) >= ACCEPTED;
            accepted.iter().all(enough).then_some(())
        });
        let killed = server.client().post(KILL, &json!({"reason": "now"})).expect(200);
        let placed = senders.into_iter().flat_map(|sender| sender.join().unwrap());
        (placed.collect(), killed)
    });
    assert_fields(&killed, &[("orders_cancelled", &placed.len().to_string())]);
    let mut main = server.client();
    let active = main.get("/api/oms/orders/active?account=*").expect(200);
    assert_fields(&active, &[("count", "0")]);
    for order in &placed {
        let row = main.get(&format!("{ORDERS}/{order}")).expect(200);
        assert_fields(&row, &[("status", "\"CANCELLED\""), ("filled_quantity", "0")]);
    }
    let kinds = |messages: Vec<Value>, kind: &str| {
        let of_kind = messages.into_iter().filter(|message| message["type"] == kind);
        let mut orders: Vec<u64> = of_kind.map(|message| id_of(&message["data"])).collect();
        orders.sort_unstable();
        orders
    };
    let before = hears.until("risk:kill_switch_triggered");
    let after = hears.drain();
    let mut expected = placed;
    expected.sort_unstable();
    assert_eq!(kinds(before.clone(), "order:placed"), expected);
    assert_eq!(kinds(after.clone(), "order:placed"), Vec::<u64>::new());
    assert_eq!(kinds(before, "order:cancelled"), Vec::<u64>::new());
    assert_eq!(kinds(after, "order:cancelled"), expected);
}

/// What was refused under a key stays refused under it, though the switch has been lifted and the process killed since;
/// what traded stays what it was. Another order under either key is a conflict.
#[test]
fn a_key_keeps_its_outcome_over_a_kill_and_a_crash() {
    let site = Site::with_accounts(&[COUNTER, FREE]);
    let server = site.start(QUIET);
    server
        .client_of(&site, "free")
        .post(ORDERS, &limit("BUY", 10, "2450.00"))
        .expect(201);
    let keyed = |key: &str, mut order: Value| {
        order["client_order_id"] = json!(key);
        order
    };
    let trades = keyed("traded", limit("SELL", 10, "2450.00"));
    let stopped = keyed("stopped", limit("SELL", 3, "2461.00"));
    let traded = server
        .client_of(&site, "counter")
        .post(ORDERS, &trades)
        .expect(201);
    assert_eq!(traded["status"], "FILLED");
    post(&server, &site, "main", KILL, &json!({}), 200);
    let refusal = server
        .client_of(&site, "counter")
        .post(ORDERS, &stopped)
        .expect(400);
    assert_fields(&refusal, &[("failed_check", "\"circuit_breaker\"")]);
    post(&server, &site, "main", REARM, &json!({}), 200);
    server.kill();
    let server = site.start(QUIET);
    let mut counter = server.client_of(&site, "counter");
    assert_eq!(counter.post(ORDERS, &trades).expect(201), traded);
    assert_eq!(counter.post(ORDERS, &stopped).expect(400), refusal);
    for (key, quantity, price) in [("traded", 11, "2450.00"), ("stopped", 3, "2461.10")] {
        let other = keyed(key, limit("SELL", quantity, price));
        counter.post(ORDERS, &other).expect_error(409);
    }
    // None of it was an order: two rows as before, and the position as it was.
    assert_fields(&counter.get("/api/oms/orders").expect(200), &[("count", "2")]);
    let positions = counter.get("/api/oms/positions").expect(200);
    assert_fields(&positions["positions"][0], &[("quantity", "-10")]);
    // The same order under a fresh key is decided anew.
    counter
        .post(ORDERS, &keyed("later", limit("SELL", 3, "2461.00")))
        .expect(201);
}
