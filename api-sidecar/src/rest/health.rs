//! `GET /health`: whether the parts of the process do their work.

use super::answer::Answer;
use crate::wire::Object;
use read_model::SharedReadModel;

/// What the process knows about itself beyond the read model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProcessHealth {
    /// The journal accepts writes: its writer is alive and has not failed.
    pub database: bool,
    /// The engine thread is alive.
    pub order_manager: bool,
    /// Last journal position written.
    pub written: u64,
    /// Last journal position that has reached the disk.
    pub durable: u64,
    /// The tables that follow the journal; `None` where there are none.
    pub tables: Option<TablesHealth>,
}

/// How the tables stand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TablesHealth {
    /// `sqlite` or `postgres`.
    pub backend: &'static str,
    /// A word for what is done about them.
    pub state: &'static str,
    /// Rows are written, or on their way.
    pub working: bool,
    /// Why not; empty where they are.
    pub reason: String,
    /// Journal position up to which the rows are there.
    pub written: u64,
    /// Age of the oldest command whose rows are missing, in milliseconds; `None` where that is not known.
    pub lag_ms: Option<u64>,
    /// Rows that the database refused since the start, and rows that must never change and had.
    pub dead_letters: u64,
    pub conflicts: u64,
}

/// 200 where every component works, else 503 of the same shape (CONTRACT.md section 2). The risk monitor is the
/// engine's own; it is unwell when the fold has disagreed with the engine's state hash.
pub(super) fn health(process: &ProcessHealth, model: &SharedReadModel) -> Answer {
    let (read_model, divergence) = {
        let model = model.read();
        (model.seq(), model.history().divergence())
    };
    let database = process.database && process.tables.as_ref().is_none_or(|tables| tables.working);
    let healthy = database && process.order_manager && divergence.is_none();
    let (status, word) = if healthy {
        (200, "healthy")
    } else {
        (503, "unhealthy")
    };
    Answer::json(status, |body| {
        body.string("status", word)
            .object("components", |components| {
                components
                    .boolean("database", database)
                    .boolean("order_manager", process.order_manager)
                    .boolean("risk_monitor", divergence.is_none());
            })
            .object("journal", |journal| {
                journal
                    .number("written", process.written)
                    .number("durable", process.durable)
                    .number("read_model", read_model);
            });
        if let Some(tables) = &process.tables {
            body.object("tables", |row| tables_fields(row, tables, process.durable));
        }
        if !healthy {
            let unwritten = process.tables.as_ref().filter(|tables| !tables.working);
            match (divergence, unwritten) {
                (Some(divergence), _) => body.text(
                    "error",
                    format_args!("State divergence at journal position {}", divergence.seq),
                ),
                (None, Some(tables)) if process.database && process.order_manager => body.text(
                    "error",
                    format_args!("The tables are not written: {}", tables.reason),
                ),
                (None, _) => body.string("error", "A component has failed"),
            };
        }
    })
}

fn tables_fields(row: &mut Object<'_>, tables: &TablesHealth, durable: u64) {
    row.string("backend", tables.backend)
        .string("state", tables.state)
        .number("written", tables.written)
        .number("lag", durable.saturating_sub(tables.written))
        .optional_number("lag_ms", tables.lag_ms)
        .number("dead_letters", tables.dead_letters)
        .number("conflicts", tables.conflicts);
    if !tables.reason.is_empty() {
        row.string("reason", &tables.reason);
    }
}
