//! Socket, threads, waiting and pages.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use api_sidecar::rest::{ProcessHealth, RestError, RestSettings, serve};
use engine::{Capacity, Command};
use read_model::{ReadModel, SharedReadModel};

use crate::floor::{Floor, TRADER, ask, sample_buy, start};

#[test]
fn a_read_waits_for_what_its_caller_was_told() {
    let mut floor = Floor::open();
    let next = floor.apply(Command::Tick) + 1;
    let socket = floor.socket.clone();
    let reader = thread::spawn(move || {
        loop {
            let reply = ask(&socket, "GET", Some(TRADER.told(next)), "/api/oms/orders");
            // The order below may come later than a read waits.
            if reply.status != 503 {
                return reply;
            }
        }
    });
    floor.apply(Command::NewOrder(sample_buy("")));
    let reply = reader.join().unwrap();
    assert_eq!((reply.status, reply.json()["count"].as_u64()), (200, Some(1)));
}

#[test]
fn a_read_gives_up_on_a_model_that_stands_still() {
    let floor = Floor::open();
    let reply = floor.get(TRADER.told(1_000_000), "/api/oms/positions");
    assert_eq!(reply.status, 503);
    assert_eq!(reply.header("Retry-After"), Some("1"));
    assert!(!reply.json()["error"].as_str().unwrap().is_empty());
}

#[test]
fn health_speaks_for_every_component() {
    let floor = Floor::open();
    let body = floor.ok(TRADER, "/api/oms/health");
    assert_eq!(
        body.to_string(),
        r#"{"status":"healthy","components":{"database":true,"order_manager":true,"risk_monitor":true},"journal":{"written":7,"durable":6,"read_model":4}}"#
    );
    floor.healthy.store(false, Ordering::Relaxed);
    let reply = floor.get(TRADER, "/api/oms/health");
    assert_eq!(reply.status, 503);
    assert_eq!(reply.json()["status"], "unhealthy");
    assert_eq!(reply.json()["components"]["database"], false);
    assert!(!reply.json()["error"].as_str().unwrap().is_empty());
}

#[test]
fn a_fold_that_disagrees_is_unhealthy() {
    let mut floor = Floor::open();
    let hash = floor.model.read().engine().state_hash();
    floor.apply(Command::HashCheck(!hash));
    let reply = floor.get(TRADER, "/api/oms/health");
    assert_eq!(reply.status, 503);
    assert_eq!(reply.json()["components"]["risk_monitor"], false);
}

#[test]
fn the_page_and_its_files_run_nothing_foreign() {
    let floor = Floor::open();
    let page = floor.ask("GET", None, "/");
    assert_eq!(page.status, 200);
    assert!(page.header("Content-Type").unwrap().starts_with("text/html"));
    let policy = page.header("Content-Security-Policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"));
    for id in [
        "positions-table",
        "orders-table",
        "account-balance",
        "kill-switch-status",
    ] {
        assert!(page.body.contains(&format!("id=\"{id}\"")), "{id}");
    }
    let mut files = 0;
    for (quote, _) in page.body.match_indices("\"/static/") {
        let path = page.body[quote + 1..].split('"').next().unwrap();
        let file = floor.ask("GET", None, path);
        assert_eq!(file.status, 200, "{path} is named by the page");
        assert_eq!(file.header("X-Content-Type-Options"), Some("nosniff"));
        files += 1;
    }
    assert!(files >= 3);
    let head = floor.ask("HEAD", None, "/");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("Content-Length"), page.header("Content-Length"));
}

#[test]
fn answers_always_carry_their_length() {
    let mut floor = Floor::open();
    for _ in 0..100 {
        floor.apply(Command::NewOrder(crate::floor::sell(1, "2450.00")));
    }
    let reply = floor.get(crate::floor::COUNTER_TRADER, "/api/oms/orders?limit=200");
    assert!(
        reply.body.len() > 32_768,
        "long enough for tiny_http to prefer chunks"
    );
    assert_eq!(reply.header("Transfer-Encoding"), None);
    assert_eq!(
        reply.header("Content-Length"),
        Some(reply.body.len().to_string().as_str())
    );
    assert_eq!(reply.json()["count"], 100);
}

#[test]
fn the_socket_is_private_and_left_overs_are_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("rest.sock");
    drop(UnixListener::bind(&socket).unwrap());
    let model = Arc::new(SharedReadModel::new(ReadModel::new(Capacity {
        accounts: 1,
        instruments: 1,
        orders: 16,
        positions: 16,
        client_order_ids: 1_024,
    })));
    let server = start(&socket, &model, &Arc::new(AtomicBool::new(true)));
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(ask(&socket, "GET", None, "/api/oms/health").status, 200);
    server.stop();
    assert!(!socket.exists());
    assert_eq!(Arc::strong_count(&model), 1, "every thread has ended");

    fs::write(&socket, "precious").unwrap();
    let settings = |threads| RestSettings {
        reconcile: None,
        earlier: None,
        latency: Arc::default(),
        assets_dir: None,
        threads,
        health: Box::new(|| ProcessHealth {
            database: true,
            order_manager: true,
            written: 0,
            durable: 0,
            tables: None,
        }),
    };
    let refused = serve(&socket, Arc::clone(&model), settings(1));
    assert!(matches!(refused, Err(RestError::NotASocket { .. })));
    assert_eq!(fs::read_to_string(&socket).unwrap(), "precious");
    for threads in [0, 65] {
        let refused = serve(&socket, Arc::clone(&model), settings(threads));
        assert!(matches!(refused, Err(RestError::Threads(_))));
    }
}

#[test]
fn clients_that_take_nothing_hold_no_thread() {
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("page");
    fs::create_dir(&page).unwrap();
    fs::write(page.join("big.png"), vec![0; 1 << 20]).unwrap();
    let floor = Floor::open();
    let socket = directory.path().join("rest.sock");
    let settings = RestSettings {
        reconcile: None,
        earlier: None,
        latency: Arc::default(),
        assets_dir: Some(page),
        threads: 1,
        health: Box::new(|| ProcessHealth {
            database: true,
            order_manager: true,
            written: 0,
            durable: 0,
            tables: None,
        }),
    };
    let _server = serve(&socket, Arc::clone(&floor.model), settings).unwrap();
    let idlers: Vec<_> = (0..16)
        .map(|_| {
            let mut idler = UnixStream::connect(&socket).unwrap();
            idler
                .write_all(b"GET /big.png HTTP/1.1\r\nHost: pinion\r\nConnection: close\r\n\r\n")
                .unwrap();
            // It is being answered.
            idler.read_exact(&mut [0; 16]).unwrap();
            idler
        })
        .collect();
    assert_eq!(
        ask(&socket, "GET", Some(TRADER), "/api/oms/positions").status,
        200
    );
    drop(idlers);
}

#[test]
fn many_readers_are_answered_while_the_model_moves() {
    let mut floor = Floor::open();
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let socket = floor.socket.clone();
            thread::spawn(move || {
                (0..20)
                    .map(|_| ask(&socket, "GET", Some(TRADER), "/api/oms/orders").status)
                    .filter(|status| *status == 200)
                    .count()
            })
        })
        .collect();
    for _ in 0..200 {
        floor.apply(Command::NewOrder(sample_buy("")));
    }
    for reader in readers {
        assert_eq!(reader.join().unwrap(), 20);
    }
}
