//! SIGKILL at random moments under load: nothing acknowledged is lost, nothing happens twice.
//!
//! `CRASH_CYCLES` sets how often (10 by default), `CRASH_SEED` repeats the random choices of a run as far as the
//! operating system's timing allows.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::crash_load::{Acknowledged, Sent, Trader};
use crate::support::Random;
use crate::support::server::{Account, MARKET, Server, Site};

const fn trader(name: &'static str) -> Account {
    Account {
        name,
        balance: "1000000000.00",
        profile: "unlimited-paper",
        role: "trader",
    }
}

const TRADERS: [Account; 4] = [trader("a"), trader("b"), trader("c"), trader("d")];

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Everything that was ever sent, by account.
type Ledger = BTreeMap<&'static str, Vec<Sent>>;

#[test]
fn killed_at_any_moment_it_keeps_what_it_acknowledged() {
    let cycles = setting("CRASH_CYCLES").unwrap_or(10);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = setting("CRASH_SEED").unwrap_or(u64::from(now.subsec_nanos()));
    eprintln!("CRASH_CYCLES={cycles} CRASH_SEED={seed}");
    let mut random = Random::new(seed);
    let site = Site::with_accounts(&TRADERS);
    let mut ledger = Ledger::new();
    let mut server = site.start(MARKET);
    for cycle in 0..cycles {
        load_and_kill(&site, server, cycle, &mut random, &mut ledger);
        // What lies on the disk is already the truth, torn tail or not.
        let replay = site.replay();
        server = site.start(MARKET);
        assert_eq!(
            server.logged("journal recovered", "state_hash"),
            replay.state_hash,
            "cycle {cycle}"
        );
        assert_eq!(
            server.logged("journal recovered", "last_seq"),
            replay.last_seq.to_string(),
            "cycle {cycle}"
        );
        for (account, sent) in &mut ledger {
            check_account(&site, &server, account, sent, cycle);
        }
        if cycle % 3 == 2 {
            let hash = server.stop_with_hash();
            assert_eq!(site.replay().state_hash, hash, "cycle {cycle}");
            server = site.start(MARKET);
            assert_eq!(
                server.logged("journal recovered", "state_hash"),
                hash,
                "cycle {cycle}"
            );
        }
    }
    let hash = server.stop_with_hash();
    assert_eq!(site.replay().state_hash, hash);
    let acknowledged = ledger
        .values()
        .flatten()
        .filter(|sent| sent.answer.is_some())
        .count();
    let floor = usize::try_from(cycles * 20).unwrap();
    assert!(
        acknowledged >= floor,
        "only {acknowledged} orders in {cycles} cycles prove little"
    );
    eprintln!("{acknowledged} orders acknowledged");
}

/// Every account trades until the server is killed under it.
fn load_and_kill(site: &Site, server: Server, cycle: u64, random: &mut Random, ledger: &mut Ledger) {
    let traders: Vec<_> = TRADERS
        .iter()
        .map(|account| {
            let prefix = format!("{}-{cycle}", account.name);
            let trader = Trader::new(server.address(), site.key(account.name), random.draw(), prefix);
            (account.name, std::thread::spawn(move || trader.run()))
        })
        .collect();
    std::thread::sleep(Duration::from_millis(150 + random.below(850)));
    server.kill();
    for (name, thread) in traders {
        let sent = thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        ledger.entry(name).or_default().extend(sent);
    }
}

/// Every acknowledged order is there once, with a status that follows from the acknowledged one; of the others the
/// outcome is learnt by sending them again.
fn check_account(site: &Site, server: &Server, account: &str, sent: &mut [Sent], cycle: u64) {
    let mut client = server.client_of(site, account);
    let rows = history(&mut client, account);
    let what = |order: &Sent| format!("cycle {cycle}, {}", order.client_order_id);
    for order in &*sent {
        let found = rows.get(&order.client_order_id).map_or(0, Vec::len);
        match &order.answer {
            Some(answer) => {
                assert_eq!(found, 1, "{}", what(order));
                check_row(order, answer, &rows[&order.client_order_id][0], &what(order));
            }
            None => assert!(found <= 1, "{}", what(order)),
        }
    }
    let known: usize = rows.values().map(Vec::len).sum();
    assert!(
        known <= sent.len(),
        "cycle {cycle}: {account} has {known} orders, sent {}",
        sent.len()
    );
    for order in sent.iter_mut().filter(|order| order.answer.is_none()) {
        let answer = client.post("/api/oms/orders", &order.body);
        let learnt = Acknowledged::of(answer.status, &answer.json());
        if let Some(row) = rows.get(&order.client_order_id).and_then(|rows| rows.first()) {
            assert_eq!(row["id"].as_u64(), Some(learnt.order_id), "{}", what(order));
        }
        order.answer = Some(learnt);
    }
    // To ask again for one that was answered gives the same answer.
    if let Some(order) = sent.last() {
        let answer = client.post("/api/oms/orders", &order.body);
        let again = Acknowledged::of(answer.status, &answer.json());
        assert_eq!(Some(again), order.answer, "{}", what(order));
    }
}

/// Today's orders of the account by `client_order_id`.
fn history(client: &mut crate::support::http::Client, account: &str) -> BTreeMap<String, Vec<Value>> {
    let mut rows: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut path = "/api/oms/orders?limit=200".to_owned();
    loop {
        let page = client.get(&path).expect(200);
        for row in page["orders"].as_array().unwrap() {
            assert_eq!(row["account"], account, "{row}");
            let id = row["client_order_id"]
                .as_str()
                .unwrap_or_else(|| panic!("nobody sent {row}"));
            rows.entry(id.to_owned()).or_default().push(row.clone());
        }
        match page["next_cursor"].as_u64() {
            Some(cursor) => path = format!("/api/oms/orders?limit=200&cursor={cursor}"),
            None => return rows,
        }
    }
}

fn check_row(order: &Sent, answer: &Acknowledged, row: &Value, what: &str) {
    assert_eq!(row["id"].as_u64(), Some(answer.order_id), "{what}: {row}");
    for field in ["symbol", "side", "metadata"] {
        assert_eq!(row[field], order.body[field], "{what}: {row}");
    }
    let status = row["status"].as_str().unwrap();
    let may_follow: &[&str] = match answer.status.as_str() {
        _ if order.cancelled => &["CANCELLED"],
        "OPEN" => &["OPEN", "FILLED", "CANCELLED"],
        "FILLED" => &["FILLED"],
        "CANCELLED" => &["CANCELLED"],
        "REJECTED" => &["REJECTED"],
        other => panic!("{what}: acknowledged as {other}"),
    };
    assert!(
        may_follow.contains(&status),
        "{what}: {} became {status}: {row}",
        answer.status
    );
    if !order.touched {
        // An exit is cut where its position shrinks; nothing ever makes an order larger.
        let quantity = row["quantity"].as_u64();
        assert!(
            quantity.is_some_and(|quantity| quantity <= order.quantity),
            "{what}: {row}"
        );
    }
    if let Some(price) = &order.price {
        assert_eq!(row["price"].to_string(), *price, "{what}: {row}");
    }
    let filled = row["filled_quantity"].as_u64().unwrap();
    match status {
        "FILLED" => assert_eq!(Some(filled), row["quantity"].as_u64(), "{what}: {row}"),
        "REJECTED" => assert_eq!(filled, 0, "{what}: {row}"),
        _ => {}
    }
    if status == "CANCELLED" && !order.cancelled && !order.touched && answer.status == "OPEN" {
        // Nobody asked: the engine had a reason of its own.
        let reasons = [
            "Cancelled by self-trade prevention",
            "Exit exceeds the open position",
        ];
        let message = row["status_message"].as_str().unwrap_or_default();
        assert!(reasons.contains(&message), "{what}: cancelled by nobody: {row}");
    }
}
