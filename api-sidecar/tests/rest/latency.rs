//! Latency reports and metrics.

use crate::floor::{Floor, TRADER};

#[test]
fn reports_are_there_before_the_first_order() {
    let floor = Floor::open();
    let report = floor.ok(TRADER, "/api/oms/latency");
    assert_eq!(report["unit"], "ns");
    let stages: Vec<&str> = report["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["stage"].as_str().unwrap())
        .collect();
    assert_eq!(stages, ["decode", "queue", "decide", "journal", "reply", "total"]);
    let text = floor.get(TRADER, "/api/oms/latency.hgrm?stage=decide");
    assert_eq!(text.status, 200);
    assert!(text.header("Content-Type").unwrap().starts_with("text/plain"));
    assert!(
        text.body.contains("Total count    =            0"),
        "{}",
        text.body
    );
    let unknown = floor.get(TRADER, "/api/oms/latency.hgrm?stage=lunch");
    assert_eq!(unknown.status, 400);
    assert!(unknown.json()["error"].as_str().unwrap().contains("decide"));
}

#[test]
fn metrics_say_how_the_process_is() {
    let floor = Floor::open();
    let metrics = floor.get(TRADER, "/metrics");
    assert_eq!(metrics.status, 200);
    assert_eq!(
        metrics.header("Content-Type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    for line in [
        "pinion_up 1",
        "pinion_journal_written_seq 7",
        "pinion_journal_durable_seq 6",
        "pinion_order_latency_seconds_count{stage=\"total\"} 0",
    ] {
        assert!(metrics.body.lines().any(|found| found == line), "{line}");
    }
}
