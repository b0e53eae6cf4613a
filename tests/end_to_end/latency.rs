//! Where the time of orders went, as the running server tells it.

use serde_json::Value;

use crate::life_of_an_order::sample_order;
use crate::support::server::{QUIET, Site};
use crate::support::wait_for;

fn counts(report: &Value) -> Vec<u64> {
    let stages = report["stages"].as_array().unwrap();
    stages.iter().map(|row| row["count"].as_u64().unwrap()).collect()
}

#[test]
fn every_stage_of_every_order_is_counted() {
    for (ack, journaled) in [("durable", 3), ("memory", 0)] {
        let site = Site::new();
        let flags = [QUIET, &["--ack", ack]].concat();
        let server = site.start(&flags);
        let mut client = server.client();
        for _ in 0..2 {
            client.post("/api/oms/orders", &sample_order());
        }
        client
            .post("/api/oms/validate-order", &sample_order())
            .expect(200);
        // The last answer is recorded when it has left, which its client may see first.
        let report = wait_for("the last answer's record", || {
            let report = client.get("/api/oms/latency").expect(200);
            (*counts(&report).last().unwrap() == 3).then_some(report)
        });
        assert_eq!(counts(&report), [3, 3, 3, journaled, 3, 3], "{ack}");
        let total = &report["stages"][5];
        assert!(total["p50"].as_u64().unwrap() > 0 && total["p50"].as_u64() <= total["max"].as_u64());
        let text = String::from_utf8(client.get("/metrics").body).unwrap();
        assert!(
            text.contains("pinion_order_latency_seconds_count{stage=\"total\"} 3\n"),
            "{text}"
        );
        assert_eq!(client.get("/api/oms/latency.html").status, 200);
    }
}
