//! The process: one line on standard output, threads with names, clean ends, one server to a data directory.

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};

use rustix::process::Signal;
use serde_json::Value;

use crate::life_of_an_order::{limit, sample_order, trade};
use crate::support::json::assert_fields;
use crate::support::server::{COUNTER, MARKET, QUIET, Site, new_key, pinion, run_to_end};
use crate::support::wait_for;

#[test]
fn signals_end_it_cleanly_and_nothing_but_one_line_was_printed() {
    let site = Site::new();
    for signal in [Signal::TERM, Signal::INT] {
        let server = site.start(MARKET);
        let (status, lines) = server.stop_with(signal);
        assert_eq!(status.code(), Some(0), "{signal:?}");
        assert_eq!(lines, Vec::<String>::new());
    }
}

#[test]
fn a_stop_tells_websocket_clients_and_frees_the_port() {
    let site = Site::new();
    let server = site.start_at(SocketAddr::from(([127, 80, 0, 1], 0)), QUIET);
    let mut socket = server.socket();
    let address = server.address();
    server.stop();
    assert_eq!(socket.hear(), None, "the connection is closed");
    assert_eq!(site.start_at(address, QUIET).address(), address);
}

/// Whoever comes when one host's places are all taken is told so, and those that nobody uses are given back.
#[test]
fn a_host_that_is_full_of_idle_connections_is_let_in_again() {
    let site = Site::new();
    let server = site.start(QUIET);
    let places = api_sidecar::limits::CONNECTIONS_PER_ADDRESS_MAX;
    let mut idle: Vec<_> = (0..places)
        .map(|_| TcpStream::connect(server.address()).unwrap())
        .collect();
    let ask = || server.client().try_send("GET", "/api/oms/risk/limits", b"");
    // What the server did not read may reset the connection before the refusal is read.
    assert!(ask().map_or(true, |answer| answer.status == 503));
    wait_for("a place", || ask().ok().filter(|answer| answer.status == 200));
    assert_eq!(
        idle[0].read(&mut [0]).unwrap(),
        0,
        "the longest idle one is closed"
    );
}

#[test]
fn threads_carry_their_names() {
    let site = Site::new();
    let server = site.start(MARKET);
    let threads = format!("/proc/{}/task", server.pid());
    for expected in [
        "engine", "gateway", "writer", "replica", "market", "rest-1", "rest-4",
    ] {
        // A thread names itself when it first runs, which may be after the line on standard output.
        wait_for(&format!("a thread with the name {expected}"), || {
            fs::read_dir(&threads)
                .unwrap()
                .filter_map(|thread| fs::read_to_string(thread.unwrap().path().join("comm")).ok())
                .any(|name| name.trim() == expected)
                .then_some(())
        });
    }
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let site = Site::new();
    let mut server = site.start(QUIET);
    let output = site.refused(QUIET);
    assert_ne!(output.status.code(), Some(0));
    assert!(output.stdout.is_empty());
    let said = String::from_utf8(output.stderr).unwrap();
    let sentence = said.lines().last().unwrap();
    assert!(
        sentence.contains("another server is running on the data directory"),
        "{said}"
    );
    server.assert_well();
    // A replay takes no lock.
    assert!(site.replay().last_seq > 0);
    server.kill();
    // The lock goes with the process, however it ended.
    site.start(QUIET).assert_well();
}

#[test]
fn a_taken_port_is_named() {
    let site = Site::new();
    let server = site.start(QUIET);
    let other = Site::new();
    let address = server.address().to_string();
    let output = other.refused(&["--listen", &address]);
    assert_ne!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.lines().last().unwrap().contains(&address), "{said}");
}

#[test]
fn replay_prints_where_a_journal_ends() {
    let site = Site::with_accounts(&[COUNTER]);
    let server = site.start(MARKET);
    wait_for("a hundred commands", || {
        let health = server.client().get("/api/oms/health").expect(200);
        (health["journal"]["durable"].as_u64()? > 100).then_some(())
    });
    server.client().post("/api/oms/orders", &sample_order());
    let hash = server.stop_with_hash();
    let replay = site.replay();
    assert_eq!(replay.state_hash, hash);
    assert!(replay.last_seq > 100);
    // The same facts as text.
    let text = run_to_end({
        let mut command = pinion();
        command.args(["replay", "--data-dir"]).arg(site.data_dir());
        command
    });
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains(&format!("state_hash {hash}\n")), "{text}");
    assert!(
        text.contains(&format!("last_seq {}\n", replay.last_seq)),
        "{text}"
    );
}

#[test]
fn replay_of_nothing_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = pinion();
    command.args(["replay", "--data-dir"]).arg(folder.path());
    let output = run_to_end(command);
    assert_ne!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stderr).unwrap().contains("no journal"));
}

#[test]
fn answers_from_memory_say_so() {
    let site = Site::with_accounts(&[COUNTER]);
    let flags = ["--market", "none", "--wait", "yield", "--ack", "memory"];
    let server = site.start(&flags);
    let reply = server
        .client()
        .post("/api/oms/orders", &sample_order())
        .expect(201);
    assert_fields(&reply, &[("durable", "false"), ("status", "\"OPEN\"")]);
    let active = server.client().get("/api/oms/orders/active").expect(200);
    assert_fields(&active, &[("count", "1")]);
    let hash = server.stop_with_hash();
    assert_eq!(site.replay().state_hash, hash);
    let server = site.start(&flags);
    assert_fields(
        &server.client().get("/api/oms/orders/active").expect(200),
        &[("count", "1")],
    );
}

#[test]
fn every_way_of_waiting_works() {
    // One that this process may run on: there need not be a core 0 among them.
    let core = core_affinity::get_core_ids().unwrap()[0].id.to_string();
    for wait in ["yield", "park", "busy-spin"] {
        let site = Site::with_accounts(&[COUNTER]);
        let mut server = site.start(&["--market", "none", "--wait", wait, "--engine-core", &core]);
        trade(&server, &site);
        server.assert_well();
        server.stop();
    }
}

/// Left alone on two cores the engine sleeps while the tables are written, and every order wakes it.
#[test]
fn orders_are_answered_while_the_tables_are_written() {
    let site = Site::with_accounts(&[COUNTER]);
    let mut server = site.start(&["--market", "none", "--wait", "yield"]);
    let mut counter = server.client_of(&site, "counter");
    for _ in 0..500 {
        counter
            .post("/api/oms/orders", &limit("SELL", 1, "2450.00"))
            .expect(201);
    }
    server.assert_well();
    let mut client = server.client();
    wait_for("tables at the journal's end", || {
        let tables = client.get("/api/oms/health").expect(200)["tables"].clone();
        (tables["state"] == "live" && tables["lag"] == 0).then_some(())
    });
    server.stop();
}

#[test]
fn keys_are_made_once_and_shown_once() {
    let (first, second) = (new_key("counter"), new_key("counter"));
    assert_ne!(first.key, second.key);
    assert!(
        first.hash.starts_with("sha256:") && first.hash.len() == 71,
        "{first:?}"
    );
    let output = run_to_end({
        let mut command = pinion();
        command.args(["keys", "new", "--account", "desk.1", "--json"]);
        command
    });
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1);
    let made: Value = serde_json::from_str(&text).unwrap();
    let names: Vec<&str> = made.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["account", "key", "hash"]);
    assert_eq!(made["account"], "desk.1");
}
