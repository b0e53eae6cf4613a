//! `GET /latency`, `/latency.hgrm` and `/metrics`: where the time of order-lane requests went, and how the process is.

use super::answer::Answer;
use super::health::ProcessHealth;
use super::request::Query;
use crate::latency::{Latency, Stage, write_hgrm, write_json, write_metrics};

/// Prometheus' text format (prometheus.io, exposition formats).
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// Every stage since the start: count, percentiles and maximum in nanoseconds.
pub(super) fn json(latency: &Latency) -> Answer {
    let recorded = latency.snapshot();
    Answer::object(|body| write_json(body, &recorded))
}

/// `?stage=` names the stage, `total` where it is absent.
pub(super) fn hgrm(latency: &Latency, query: &Query) -> Result<Answer, Answer> {
    let stage = match query.text("stage") {
        None => Stage::Total,
        Some(name) => Stage::by_name(name).ok_or_else(|| {
            let names = Stage::ALL.map(Stage::as_str).join(", ");
            Answer::error(400, format_args!("stage must be one of {names}"))
        })?,
    };
    let mut text = String::new();
    write_hgrm(&mut text, &latency.snapshot(), stage);
    Ok(Answer::of_bytes(200, TEXT, text.into_bytes()))
}

pub(super) fn metrics(latency: &Latency, process: &ProcessHealth) -> Answer {
    let mut text = String::new();
    write_metrics(&mut text, &latency.snapshot());
    let up = u8::from(process.database && process.order_manager);
    let mut gauge = |name: &str, help: &str, value: u64| {
        text.push_str(&format!(
            "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n"
        ));
    };
    gauge("pinion_up", "1 while engine and journal work.", u64::from(up));
    gauge(
        "pinion_journal_written_seq",
        "Last journal position written.",
        process.written,
    );
    gauge(
        "pinion_journal_durable_seq",
        "Last journal position on the disk.",
        process.durable,
    );
    if let Some(tables) = &process.tables {
        gauge(
            "pinion_tables_written_seq",
            "Journal position up to which the tables have their rows.",
            tables.written,
        );
        gauge(
            "pinion_tables_dead_letters",
            "Rows that the database refused since the start.",
            tables.dead_letters,
        );
    }
    Answer::of_bytes(200, METRICS, text.into_bytes())
}
