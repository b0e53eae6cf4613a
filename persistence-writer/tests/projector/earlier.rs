//! Pages of history: PostgreSQL's are SQLite's.

use engine::Timestamp;
use persistence_writer::projector::earlier::{History, Page, PageQuery, page};
use persistence_writer::projector::{Kind, SqliteStore, TABLES, TableStore};

use crate::cluster::Cluster;
use crate::journal::Journal;
use crate::rows::Cell;
use crate::session::{START_NS, Session};

/// A page, with the values as any database must show them.
fn cells(page: &Page) -> Vec<(u64, Vec<(&'static str, Cell)>)> {
    let kind = |name: &str| {
        let columns = TABLES.iter().flat_map(|table| table.columns);
        columns
            .into_iter()
            .find(|column| column.name == name)
            .map_or(Kind::Text, |column| column.kind)
    };
    let row = |row: &persistence_writer::projector::earlier::PageRow| {
        let values = row.values.iter();
        let cells = values.map(|(name, text)| (*name, Cell::new(kind(name), Some(text.clone()))));
        (row.key, cells.collect())
    };
    page.rows.iter().map(row).collect()
}

#[test]
fn both_databases_give_the_same_pages() {
    let session = Session::random(71, 4_000);
    let journal = Journal::of(1, &session.commands);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pinion.db");
    journal.project(SqliteStore::new(&file)).unwrap();
    let database = Cluster::shared().database();
    journal.project(database.store()).unwrap();
    let (mut sqlite, mut postgres) = (SqliteStore::for_reading(&file), database.store());
    let second_day = Timestamp::start_of_trading_day(Timestamp::from_nanos(START_NS).trading_day() + 1);
    for of in [History::Orders, History::Trades, History::RoundTrips] {
        let all = PageQuery {
            of,
            account: None,
            symbol: None,
            strategy: None,
            order: None,
            status: None,
            from: None,
            to: None,
            before: None,
            limit: 500,
        };
        let text = |text: &str| Some(text.to_owned());
        let mut queries = vec![
            all.clone(),
            PageQuery {
                account: text("asha"),
                symbol: text("M&M"),
                ..all.clone()
            },
            PageQuery {
                account: text("o'hara; --"),
                symbol: text("\"$1"),
                ..all.clone()
            },
            PageQuery {
                symbol: text("TCS"),
                strategy: Some(2),
                to: Some(second_day),
                ..all.clone()
            },
            PageQuery {
                from: Some(second_day),
                before: Some(700),
                limit: 3,
                ..all.clone()
            },
            PageQuery {
                before: Some(u64::MAX),
                limit: 1,
                ..all.clone()
            },
        ];
        match of {
            History::Orders => queries.push(PageQuery {
                status: Some("FILLED"),
                ..all.clone()
            }),
            History::Trades => {
                let newest = page(&mut sqlite, &all).unwrap();
                let order = newest.rows[0].values.iter().find(|(name, _)| *name == "order_id");
                queries.push(PageQuery {
                    order: order.map(|(_, id)| id.parse().unwrap()),
                    ..all.clone()
                });
            }
            History::RoundTrips => {}
        }
        for query in queries {
            let ask = |store: &mut dyn TableStore| page(store, &query).unwrap();
            let (embedded, server) = (ask(&mut sqlite), ask(&mut postgres));
            let (ours, theirs) = (cells(&embedded), cells(&server));
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert_eq!(ours, theirs, "{query:?}");
            }
            assert_eq!(ours.len(), theirs.len(), "{query:?}");
            assert_eq!(embedded.stands_at, server.stands_at);
            let end = session.model().time();
            assert!(embedded.covers(end) && !embedded.covers(Timestamp::from_nanos(end.nanos() + 1_000)));
            let keys: Vec<u64> = embedded.rows.iter().map(|row| row.key).collect();
            assert!(keys.is_sorted_by(|a, b| a > b), "{query:?}");
            let nobodys = query.account.as_deref() == Some("o'hara; --");
            assert_eq!(embedded.rows.is_empty(), nobodys, "{query:?}");
        }
    }
}
