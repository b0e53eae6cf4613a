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
    write_process(&mut text, process);
    Answer::of_bytes(200, METRICS, text.into_bytes())
}

fn write_process(text: &mut String, process: &ProcessHealth) {
    let up = u8::from(process.database && process.order_manager);
    let mut gauge = |name: &str, help: &str, value: &dyn core::fmt::Display| {
        text.push_str(&format!(
            "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n"
        ));
    };
    gauge("pinion_up", "1 while engine and journal work.", &up);
    gauge(
        "pinion_journal_written_seq",
        "Last journal position written.",
        &process.written,
    );
    gauge(
        "pinion_journal_durable_seq",
        "Last journal position on the disk.",
        &process.durable,
    );
    if let Some(tables) = &process.tables {
        gauge(
            "pinion_tables_written_seq",
            "Journal position up to which the tables have their rows.",
            &tables.written,
        );
        gauge(
            "pinion_tables_lag_seq",
            "Commands on the disk whose rows the tables do not have yet.",
            &process.durable.saturating_sub(tables.written),
        );
        // Behind by commands of unknown age: no figure rather than a wrong one.
        let none_missing = (tables.written >= process.durable).then_some(0);
        if let Some(lag_ms) = none_missing.or(tables.lag_ms) {
            gauge(
                "pinion_tables_lag_seconds",
                "Age of the oldest of them.",
                &format_args!("{}.{:03}", lag_ms / 1_000, lag_ms % 1_000),
            );
        }
        gauge(
            "pinion_tables_dead_letters",
            "Rows that the database refused since the start.",
            &tables.dead_letters,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::health::TablesHealth;

    #[test]
    fn how_far_the_tables_are_behind_is_a_number_and_an_age() {
        for (durable, lag_ms, lag, seconds) in [
            (100, Some(1_250), 60, Some("1.250")),
            (40, None, 0, Some("0.000")),
            // A figure of nought would say that they are not behind.
            (100, None, 60, None),
        ] {
            let mut text = String::new();
            write_process(
                &mut text,
                &ProcessHealth {
                    database: true,
                    order_manager: true,
                    written: durable,
                    durable,
                    tables: Some(TablesHealth {
                        backend: "sqlite",
                        state: "live",
                        working: true,
                        reason: String::new(),
                        written: 40,
                        lag_ms,
                        dead_letters: 0,
                        conflicts: 0,
                    }),
                },
            );
            let value = |name: &str| {
                text.lines()
                    .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
            };
            assert_eq!(value("pinion_tables_lag_seq"), Some(lag.to_string().as_str()));
            assert_eq!(value("pinion_tables_lag_seconds"), seconds);
            assert_eq!(value("pinion_tables_written_seq"), Some("40"));
        }
    }
}
