//! `GET /health`: whether the parts of the process do their work.

use super::answer::Answer;
use read_model::SharedReadModel;

/// What the process knows about itself beyond the read model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProcessHealth {
    /// The store accepts writes: the journal writer is alive and has not failed.
    pub database: bool,
    /// The engine thread is alive.
    pub order_manager: bool,
    /// Last journal position written.
    pub written: u64,
    /// Last journal position that has reached the disk.
    pub durable: u64,
}

/// 200 where every component works, else 503 of the same shape (CONTRACT.md section 2). The risk monitor is the
/// engine's own; it is unwell when the fold has disagreed with the engine's state hash.
pub(super) fn health(process: ProcessHealth, model: &SharedReadModel) -> Answer {
    let (read_model, divergence) = {
        let model = model.read();
        (model.seq(), model.history().divergence())
    };
    let healthy = process.database && process.order_manager && divergence.is_none();
    let (status, word) = if healthy {
        (200, "healthy")
    } else {
        (503, "unhealthy")
    };
    Answer::json(status, |body| {
        body.string("status", word)
            .object("components", |components| {
                components
                    .boolean("database", process.database)
                    .boolean("order_manager", process.order_manager)
                    .boolean("risk_monitor", divergence.is_none());
            })
            .object("journal", |journal| {
                journal
                    .number("written", process.written)
                    .number("durable", process.durable)
                    .number("read_model", read_model);
            });
        if !healthy {
            match divergence {
                Some(divergence) => body.text(
                    "error",
                    format_args!("State divergence at journal position {}", divergence.seq),
                ),
                None => body.string("error", "A component has failed"),
            };
        }
    })
}
