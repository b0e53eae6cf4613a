//! The projector: the contract's seven tables, always a faithful, exactly-once copy of the journal.
//!
//! - [`Fold`]: commands to rows, through the same engine and history as every other reader.
//! - [`Batch`]: what one transaction writes.
//! - [`TableStore`]: a database; [`SqliteStore`] is the embedded default, [`PostgresStore`] the other.
//! - [`run`]: the thread's body.

mod administration;
mod batch;
pub mod bench;
mod day_stats;
pub mod earlier;
mod fold;
mod held;
mod kill_events;
pub mod limits;
mod migrations;
mod names;
mod order_rows;
mod position_life;
mod postgres;
pub mod reconcile;
mod run;
mod snapshots;
mod sqlite;
mod status;
mod store;
mod table;

pub use batch::Batch;
pub use fold::{Fold, FoldRestoreError};
pub use held::Held;
pub use postgres::{PostgresSettings, PostgresStore, UrlError};
pub use reconcile::Reconciler;
pub use run::{AlarmHook, Projector, Source, rebuild, run, to_the_end};
pub(crate) use snapshots::check as check_snapshot;
pub use sqlite::SqliteStore;
pub use status::{ProjectorStatus, State};
pub use store::{Lineage, Question, StoreError, TableStore, TextRows, Written};
pub use table::{Column, Kind, OnConflict, Row, TABLES, Table, TableId, Value};
