//! Pages of history: PostgreSQL's are SQLite's.

use engine::Timestamp;
use persistence_writer::projector::earlier::{History, Page, PageQuery, page};
use persistence_writer::projector::{Kind, TABLES, TableStore};

use crate::both::{Both, all_of};
use crate::rows::Cell;
use crate::session::{START_NS, Session};

/// A page, with the values as any database must show them.
fn cells(page: &Page) -> Vec<(i64, Vec<(&'static str, Cell)>)> {
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
    let both = Both::with(&session);
    let [mut sqlite, mut postgres] = both.stores();
    let second_day = Timestamp::start_of_trading_day(Timestamp::from_nanos(START_NS).trading_day() + 1);
    for of in [History::Orders, History::Trades, History::RoundTrips] {
        let all = all_of(of, 500, 10_000);
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
                before: Some(i64::MAX),
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
                let newest = page(&mut *sqlite, &all).unwrap();
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
            let (embedded, server) = (ask(&mut *sqlite), ask(&mut *postgres));
            let (ours, theirs) = (cells(&embedded), cells(&server));
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert_eq!(ours, theirs, "{query:?}");
            }
            assert_eq!(ours.len(), theirs.len(), "{query:?}");
            assert_eq!(embedded.stands_at, server.stands_at);
            assert_eq!(embedded.known_from, server.known_from, "{query:?}");
            let end = session.model().time();
            assert!(embedded.covers(end) && !embedded.covers(Timestamp::from_nanos(end.nanos() + 1_000)));
            let keys: Vec<i64> = embedded.rows.iter().map(|row| row.key).collect();
            assert!(keys.is_sorted_by(|a, b| a > b), "{query:?}");
            let nobodys = query.account.as_deref() == Some("o'hara; --");
            assert_eq!(embedded.rows.is_empty(), nobodys, "{query:?}");
        }
    }
}

/// A page that looks at few rows says how far it came, and whoever goes on from there misses none.
#[test]
fn pages_that_look_at_few_rows_are_short_and_miss_nothing() {
    let session = Session::random(72, 3_000);
    let both = Both::with(&session);
    let second_day = Timestamp::start_of_trading_day(Timestamp::from_nanos(START_NS).trading_day() + 1);
    for mut store in both.stores() {
        for of in [History::Orders, History::Trades, History::RoundTrips] {
            let filtered = PageQuery {
                account: Some("asha".to_owned()),
                symbol: Some("M&M".to_owned()),
                strategy: Some(3),
                from: Some(second_day),
                ..all_of(of, 9, 13)
            };
            let all = PageQuery {
                limit: 100_000,
                scan: 100_000,
                ..filtered.clone()
            };
            let all = page(&mut *store, &all).unwrap();
            assert_eq!(all.known_from, None);
            assert!(all.rows.len() > 10, "{of:?}: {}", all.rows.len());
            let (mut rows, mut before, mut short) = (Vec::new(), None, 0);
            loop {
                let query = PageQuery {
                    before,
                    ..filtered.clone()
                };
                let found = page(&mut *store, &query).unwrap();
                short += usize::from(found.rows.len() < query.limit);
                rows.extend(found.rows);
                match found.known_from {
                    Some(next) => {
                        assert!(before.is_none_or(|before| next < before), "{of:?}: {next}");
                        before = Some(next);
                    }
                    None => break,
                }
            }
            assert_eq!(rows, all.rows, "{of:?}");
            assert!(short > 5, "{of:?}: the scan ends pages, {short}");
        }
    }
}

/// Numbers of one moment are compared as numbers, whatever texts they make.
#[test]
fn rows_of_one_moment_begin_with_the_first() {
    let session = Session::random(73, 400);
    let both = Both::with(&session);
    // The first orders, of one digit and of two, all at midnight.
    let sql = "UPDATE orders SET created_at = '2026-08-05 00:00:00.000000' WHERE id < 40";
    both.database.execute(sql);
    rusqlite::Connection::open(&both.file)
        .unwrap()
        .execute_batch(sql)
        .unwrap();
    let midnight = START_NS - START_NS % 86_400_000_000_000;
    for mut store in both.stores() {
        let everything = all_of(History::Orders, 10_000, 10_000);
        let all = page(&mut *store, &everything).unwrap();
        let query = PageQuery {
            from: Some(Timestamp::from_nanos(midnight)),
            ..everything.clone()
        };
        assert!(all.rows.last().is_some_and(|first| first.key < 10));
        assert_eq!(page(&mut *store, &query).unwrap().rows, all.rows);
        let none = PageQuery {
            to: query.from,
            ..everything
        };
        assert_eq!(page(&mut *store, &none).unwrap().rows, []);
    }
}
