//! The benchmark writes what it says, and leaves nothing behind.

use persistence_writer::projector::PostgresSettings;
use persistence_writer::projector::bench::measure;

use crate::cluster::Cluster;

#[test]
fn a_benchmark_is_of_whole_tables_and_cleans_up() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    let settings = PostgresSettings::parse(&database.url()).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let measured = measure(&settings, scratch.path(), 3_000, 1_500).unwrap();
    assert_eq!(measured.drained_trades, 3_000);
    // An order and a trade each, and the position, the strategy and the rest again and again.
    assert!(measured.drained_rows > 6_000, "{measured:?}");
    assert!(
        measured.live.rows > 3_000 && measured.catch_up.rows > 3_000,
        "{measured:?}"
    );
    let left = "SELECT count(*) FROM pg_database WHERE datname LIKE 'pinion_bench_%'";
    assert_eq!(database.one(left), "0");
}
