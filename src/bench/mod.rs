//! Benchmarks that are part of the binary. Each checks that its results are right before it gives a time.

mod book_run;
pub mod checksum;
mod curve_points;
pub mod curves;
pub mod engine_bench;
mod event_books;
pub mod expected;
pub mod fan_out;
mod full_run;
pub mod gateway_bench;
mod hand_off_run;
pub mod journal_bench;
pub mod latency;
pub mod limits;
pub mod loop_bench;
pub mod postgres_bench;
mod reference_market;
mod rig;
pub mod ring_bench;
pub mod risk_bench;
mod steady_flow;
mod svg;
pub mod swings;
pub mod weights;
pub mod workload;
