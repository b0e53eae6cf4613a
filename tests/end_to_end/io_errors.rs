//! A disk that fails under the real process: the kernel's answer is replaced (strace), the rest is real.
//!
//! After the failure nothing is acknowledged, the process ends with a reason, and the next start has everything that was
//! acknowledged, with trading stopped until a person re-arms it. Needs strace, and the right to trace.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::life_of_an_order::{id_of, limit};
use crate::support::server::{FREE, QUIET, Server, Site};
use crate::support::wait_for;

const ORDERS: &str = "/api/oms/orders";

/// `pinion serve` of which the `at`-th call of `syscall` on the first segment, by any of its threads, fails once.
fn failing(site: &Site, syscall: &str, error: &str, at: u32) -> Command {
    let serve = site.command(QUIET);
    let mut command = Command::new("strace");
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        // The tracer is a grandchild: whoever ends the child ends the server.
        .args(["-D", "-f", "-qq", "-o", "/dev/null", "-P"])
        .arg(site.data_dir().join("journal/0000000001.segment"))
        .args(["-e", &format!("trace={syscall}")])
        .args(["-e", &format!("inject={syscall}:error={error}:when={at}")])
        .arg(serve.get_program())
        .args(serve.get_args());
    command
}

fn can_trace() -> bool {
    let traced = Command::new("strace")
        .args(["-qq", "-e", "trace=none", "true"])
        .output();
    traced.is_ok_and(|output| output.status.success())
}

/// Orders until one is not acknowledged; the ids of those that were.
fn trade_until_it_fails(site: &Site, server: &Server) -> Vec<u64> {
    let mut client = server.client_of(site, "free");
    let mut acknowledged = Vec::new();
    for quantity in 1..1_000 {
        let body = limit("BUY", quantity, "2440.00").to_string();
        match client.try_send("POST", ORDERS, body.as_bytes()) {
            Ok(answer) if answer.status == 201 => acknowledged.push(id_of(&answer.json())),
            Ok(answer) => {
                let error = answer.expect(503);
                assert!(error["error"].is_string(), "{error}");
                break;
            }
            Err(_) => break,
        }
    }
    // Nobody gets anything acknowledged any more.
    for quantity in 1..20 {
        let body = limit("BUY", quantity, "2440.00").to_string();
        let mut client = server.client_of(site, "free");
        if let Ok(answer) = client.try_send("POST", ORDERS, body.as_bytes()) {
            answer.expect(503);
        }
    }
    acknowledged
}

/// A trader finds the alert in the list, as the first message of a new socket, and in the table.
fn assert_journal_error(site: &Site, server: &Server, reason: &str) {
    let is_it = |alert: &Value| {
        let message = alert["message"].as_str().unwrap_or_default();
        alert["alert_type"] == "journal_error" && alert["severity"] == "CRITICAL" && message.contains(reason)
    };
    let listed = server
        .client_of(site, "free")
        .get("/api/oms/risk/alerts")
        .expect(200);
    let listed = listed["alerts"].as_array().unwrap();
    assert!(listed.iter().any(is_it), "{listed:?}");
    let pushed = server.socket_of(site, "free").data_of("risk:alert");
    assert!(is_it(&pushed), "{pushed}");
    wait_for("the alert in the table", || {
        let tables = rusqlite::Connection::open(site.data_dir().join("pinion.db")).ok()?;
        let sql =
            "SELECT message FROM pinion_alerts WHERE alert_type = 'journal_error' AND severity = 'CRITICAL'";
        let message = tables.query_row(sql, [], |row| row.get::<_, String>(0)).ok()?;
        assert!(message.contains(reason), "{message}");
        Some(())
    });
}

#[test]
fn after_a_failed_write_or_sync_nothing_is_acknowledged_and_the_next_start_has_the_rest() {
    assert!(
        can_trace(),
        "needs strace (scripts/setup.sh installs it) and the right to trace a process"
    );
    for (syscall, error, at, reason) in [
        ("fdatasync", "EIO", 5, "cannot sync"),
        ("fdatasync", "EIO", 23, "cannot sync"),
        ("pwrite64", "ENOSPC", 7, "cannot write"),
        ("pwrite64", "EIO", 16, "cannot write"),
    ] {
        let what = format!("{error} at {syscall} {at}");
        let site = Site::with_accounts(&[FREE]);
        let config = std::fs::read_to_string(site.config_file()).unwrap();
        site.configure(&format!("{config}\n[journal]\nsegment_mib = 1\n"));
        site.start(QUIET).stop();

        let server = site.start_command(failing(&site, syscall, error, at));
        let acknowledged = trade_until_it_fails(&site, &server);
        assert!(!acknowledged.is_empty(), "{what}");
        let (status, log) = server.end();
        assert!(!status.success(), "{what}: {status}");
        let said = log.lines().rfind(|line| line.starts_with("pinion: "));
        assert!(
            said.is_some_and(|line| line.contains("the journal has failed") && line.contains(reason)),
            "{what}: {said:?}"
        );

        let server = site.start(QUIET);
        let mut client = server.client_of(&site, "free");
        for order in &acknowledged {
            client.get(&format!("{ORDERS}/{order}")).expect(200);
        }
        let refused = client.post(ORDERS, &limit("BUY", 1, "2440.00")).expect(400);
        assert_eq!(refused["failed_check"], "circuit_breaker", "{what}: {refused}");
        assert_journal_error(&site, &server, reason);
        let author = json!({"deactivated_by": "a person"});
        server
            .client()
            .post("/api/oms/risk/deactivate-kill-switch", &author)
            .expect(200);
        client.post(ORDERS, &limit("BUY", 1, "2440.00")).expect(201);
        // Who connects now hears of it no more.
        assert_eq!(
            server.socket_of(&site, "free").drain(),
            Vec::<Value>::new(),
            "{what}"
        );
        let hash = server.stop_with_hash();
        assert_eq!(site.replay().state_hash, hash, "{what}");
    }
}

/// More resting orders than the ring between engine and gateway has slots: the kill switch of the next start, which runs
/// before the gateway does, cancels them all the same.
#[test]
fn after_a_failed_journal_any_number_of_resting_orders_is_cancelled_at_the_start() {
    const RESTING: usize = 20_000;
    let site = Site::with_accounts(&[FREE]);
    let server = site.start(QUIET);
    let mut socket = server.socket_of(&site, "free");
    let order = json!({"type": "order:place", "data": limit("BUY", 1, "2440.00")}).to_string();
    for _ in 0..RESTING / 100 {
        for _ in 0..100 {
            socket.say(&order);
        }
        for _ in 0..100 {
            assert_eq!(socket.data_of("order:placed")["status"], "OPEN");
        }
    }
    let open = |server: &Server| {
        let mut client = server.client_of(&site, "free");
        client.get("/api/oms/risk/summary").expect(200)["open_order_count"].clone()
    };
    assert_eq!(open(&server), json!(RESTING));
    server.stop();
    let marker = site.data_dir().join("journal/failed");
    let mut block = std::fs::read(&marker).unwrap();
    block[..11].copy_from_slice(b"cannot sync");
    std::fs::write(&marker, block).unwrap();

    let server = site.start(QUIET);
    assert_eq!(open(&server), json!(0));
    let hash = server.stop_with_hash();
    assert_eq!(site.replay().state_hash, hash);
}
