//! SIGKILL at random moments under load: nothing acknowledged is lost, nothing happens twice.
//!
//! Every start is checked for all that was acknowledged since the last check, and every [`WHOLE_CHECK_CYCLES`]th and the
//! last for everything that ever was: to read every order of a growing history each time would make a run quadratic.
//!
//! `CRASH_CYCLES` sets how often (10 by default), `CRASH_SEED` repeats the random choices of a run as far as the
//! operating system's timing allows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::crash_load::{Acknowledged, Sent, Trader};
use crate::support::http::{Answer, Client};
use crate::support::server::{Account, MARKET, Server, Site};
use crate::support::{Random, wait_for};

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

/// Cycles after which a start is checked for everything that was ever acknowledged.
const WHOLE_CHECK_CYCLES: u64 = 25;

/// Orders that are acknowledged before a kill, however slow the machine is: without any a cycle would prove nothing.
const ACKNOWLEDGED_MIN: usize = 20;

/// What one account sent.
#[derive(Default)]
struct Orders {
    sent: Vec<Sent>,
    /// How many of them a check has found since they were acknowledged.
    checked: usize,
}

impl Orders {
    /// The largest order id among the first `checked`: what came later has a larger one.
    fn highest_checked(&self) -> u64 {
        let ids = self.sent[..self.checked]
            .iter()
            .filter_map(|sent| sent.answer.as_ref());
        ids.map(|answer| answer.order_id).max().unwrap_or(0)
    }
}

/// Everything that was ever sent, by account.
type Ledger = BTreeMap<&'static str, Orders>;

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
        let whole = (cycle + 1) % WHOLE_CHECK_CYCLES == 0 || cycle + 1 == cycles;
        for (account, orders) in &mut ledger {
            check_account(&site, &server, account, orders, cycle, whole);
        }
        if whole {
            eprintln!("cycle {cycle}: all is there up to seq {}", replay.last_seq);
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
        .flat_map(|orders| &orders.sent)
        .filter(|sent| sent.answer.is_some())
        .count();
    let floor = usize::try_from(cycles).unwrap() * ACKNOWLEDGED_MIN;
    assert!(
        acknowledged >= floor,
        "only {acknowledged} orders in {cycles} cycles prove little"
    );
    eprintln!("{acknowledged} orders acknowledged");
}

/// Every account trades until the server is killed under it.
fn load_and_kill(site: &Site, server: Server, cycle: u64, random: &mut Random, ledger: &mut Ledger) {
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let traders: Vec<_> = TRADERS
        .iter()
        .map(|account| {
            let prefix = format!("{}-{cycle}", account.name);
            let trader = Trader::new(server.address(), site.key(account.name), random.draw(), prefix);
            let acknowledged = Arc::clone(&acknowledged);
            (
                account.name,
                std::thread::spawn(move || trader.run(&acknowledged)),
            )
        })
        .collect();
    std::thread::sleep(Duration::from_millis(40 + random.below(260)));
    wait_for("orders that are acknowledged", || {
        (acknowledged.load(Ordering::Relaxed) >= ACKNOWLEDGED_MIN).then_some(())
    });
    server.kill();
    for (name, thread) in traders {
        let sent = thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        ledger.entry(name).or_default().sent.extend(sent);
    }
}

/// Every acknowledged order is there once, with a status that follows from the acknowledged one; of the others the
/// outcome is learnt by sending them again. `whole` looks at everything; else at what is newer than the last check.
fn check_account(site: &Site, server: &Server, account: &str, orders: &mut Orders, cycle: u64, whole: bool) {
    if whole {
        orders.checked = 0;
    }
    let above = orders.highest_checked();
    let mut client = server.client_of(site, account);
    let mut rows = history(&mut client, account, above);
    let what = |order: &Sent| format!("cycle {cycle}, {}", order.client_order_id);
    let mut learnt_from = orders.sent.len();
    for (at, order) in orders.sent.iter_mut().enumerate().skip(orders.checked) {
        let found = rows.remove(&order.client_order_id).unwrap_or_default();
        match &order.answer {
            Some(answer) => {
                assert_eq!(found.len(), 1, "{}: {found:?}", what(order));
                check_row(order, answer, &found[0], &what(order));
            }
            None => {
                assert!(found.len() <= 1, "{}: {found:?}", what(order));
                let answer = insist(&mut client, "POST", "/api/oms/orders", &order.body.to_string());
                let learnt = Acknowledged::of(answer.status, &answer.json());
                if let Some(row) = found.first() {
                    assert_eq!(row["id"].as_u64(), Some(learnt.order_id), "{}", what(order));
                }
                order.answer = Some(learnt);
                learnt_from = learnt_from.min(at);
            }
        }
    }
    // Nor is an order there that an earlier check has seen, or that nobody sent.
    assert!(rows.is_empty(), "cycle {cycle}: {account} also has {rows:?}");
    // What has only just been learnt is for the next check to find.
    orders.checked = learnt_from;
    // To ask again for one that was answered gives the same answer.
    if let Some(order) = orders.sent.last() {
        let answer = insist(&mut client, "POST", "/api/oms/orders", &order.body.to_string());
        let again = Acknowledged::of(answer.status, &answer.json());
        assert_eq!(Some(again), order.answer, "{}", what(order));
    }
}

/// The answer to what may be sent again, on another connection where this one is gone: a server that was stopped for a while
/// (the whole machine may be) counts its clients among those that said nothing for too long.
fn insist(client: &mut Client, method: &str, path: &str, body: &str) -> Answer {
    wait_for("an answer", || {
        client.try_send(method, path, body.as_bytes()).ok()
    })
}

/// Today's orders of the account with ids above `above`, by `client_order_id`.
fn history(client: &mut Client, account: &str, above: u64) -> BTreeMap<String, Vec<Value>> {
    let mut rows: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut path = "/api/oms/orders?limit=200".to_owned();
    loop {
        let page = insist(client, "GET", &path, "").expect(200);
        // The newest come first.
        for row in page["orders"].as_array().unwrap() {
            if row["id"].as_u64().unwrap() <= above {
                return rows;
            }
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
