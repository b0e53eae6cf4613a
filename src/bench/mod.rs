//! Benchmarks that are part of the binary. Each checks that its results are right before it gives a time.

pub mod checksum;
pub mod engine_bench;
pub mod expected;
pub mod journal_bench;
pub mod limits;
mod reference_book;
pub mod workload;
