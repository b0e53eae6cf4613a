//! Programs that people use: curl, Python's and Node's clients.

use std::process::Command;

use crate::python::{folder, program, succeed};
use crate::support::server::{FREE, QUIET, Site};

#[test]
fn pythons_clients_work() {
    let site = Site::with_accounts(&[FREE]);
    let server = site.start(QUIET);
    let base = format!("http://{}", server.address());
    succeed(program("python").args(["check.py", &base, site.key("free")]));
}

#[test]
fn nodes_clients_work() {
    let site = Site::with_accounts(&[FREE]);
    let server = site.start(QUIET);
    let base = format!("http://{}", server.address());
    let mut node = Command::new("node");
    node.current_dir(folder())
        .args(["--experimental-websocket", "--no-warnings", "check.mjs", &base])
        .arg(site.key("free"));
    assert!(succeed(&mut node).contains("done"));
}

#[test]
fn curl_works() {
    let site = Site::with_accounts(&[FREE]);
    let server = site.start(QUIET);
    let base = format!("http://{}/api/oms", server.address());
    let key = format!("Authorization: Bearer {}", site.key("free"));
    let curl = |arguments: &[&str]| {
        let mut command = Command::new("curl");
        succeed(
            command
                .args(["-sS", "--max-time", "30", "-H", &key])
                .args(arguments),
        )
    };
    let order = r#"{"symbol":"SBIN","side":"BUY","quantity":5,"price":800}"#;
    let orders = format!("{base}/orders");
    let placed = curl(&["-d", order, &orders]);
    assert!(placed.contains(r#""order_id":1"#), "{placed}");
    let old = curl(&["-0", "-i", &format!("{base}/orders/1")]);
    assert!(
        old.contains(r#""status":"OPEN""#) && old.contains("Connection: close"),
        "{old}"
    );
    // Large enough that curl asks before it sends.
    let large = format!(
        r#"{{"symbol":"SBIN","side":"BUY","quantity":5,"price":801,"note":"{}"}}"#,
        "x".repeat(50_000)
    );
    let sent = curl(&["-H", "Expect: 100-continue", "-i", "-d", &large, &orders]);
    assert!(
        sent.contains("HTTP/1.1 100 Continue") && sent.contains("HTTP/1.1 201 Created"),
        "{sent}"
    );
    let head = curl(&["-I", &orders]);
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    let csv = curl(&["-H", "Accept: text/csv", &orders]);
    assert_eq!(csv.lines().count(), 3, "{csv}");
    let cancelled = curl(&["-X", "DELETE", &format!("{base}/orders/1")]);
    assert!(cancelled.contains("Order cancelled successfully"), "{cancelled}");
    let refused = curl(&[
        "-H",
        "Transfer-Encoding: chunked",
        "-d",
        order,
        "-o",
        "-",
        "-w",
        "%{http_code}",
        &orders,
    ]);
    assert!(refused.ends_with("411"), "{refused}");
}
