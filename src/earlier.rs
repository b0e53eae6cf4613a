//! The history of earlier days out of the tables, for the REST threads: few readers at a time, each with a connection of
//! its own beside the projector's, and none that waits for a database for ever.

use std::sync::Arc;
use std::time::Instant;

use api_sidecar::rest::{self, EarlierPage, EarlierProbe, EarlierQuery, EarlierRow};
use crossbeam_channel::{Receiver, Sender};
use persistence_writer::projector::earlier::{self, History, PageQuery};
use persistence_writer::projector::{PostgresStore, SqliteStore, StoreError, TableStore};

use crate::limits::{EARLIER_ANSWER_TIME, EARLIER_READERS, EARLIER_SCAN_MAX, EARLIER_WAIT};
use crate::tables::Tables;

/// The readers that nobody uses at the moment.
struct Readers {
    idle: Receiver<Box<dyn TableStore>>,
    back: Sender<Box<dyn TableStore>>,
}

/// Answers for `tables`. Nothing is opened before the first question.
pub fn probe(tables: &Tables) -> EarlierProbe {
    let (back, idle) = crossbeam_channel::bounded(EARLIER_READERS);
    for _ in 0..EARLIER_READERS {
        let store: Box<dyn TableStore> = match tables {
            Tables::Embedded(path) => Box::new(SqliteStore::for_reading(path)),
            Tables::Postgres(settings) => {
                let store = PostgresStore::new((**settings).clone());
                Box::new(store.with_answer_time(EARLIER_ANSWER_TIME))
            }
        };
        // There is room for every one.
        let _ = back.try_send(store);
    }
    let readers = Readers { idle, back };
    Arc::new(move |query| readers.ask(query))
}

impl Readers {
    fn ask(&self, query: &EarlierQuery) -> Result<EarlierPage, String> {
        let Ok(mut store) = self.idle.recv_timeout(EARLIER_WAIT) else {
            return Err("others are reading it".to_owned());
        };
        let begun = Instant::now();
        let (query, complete_to) = (&page_query(query), query.complete_to);
        let page = earlier::page(&mut *store, query).or_else(|_| {
            store.disconnect();
            // A connection that was lost since it was last used says so at once.
            let again = begun.elapsed() < EARLIER_WAIT;
            let page = again.then(|| earlier::page(&mut *store, query));
            page.unwrap_or_else(|| Err(StoreError::Unavailable("it does not answer in time".to_owned())))
        });
        if page.is_err() {
            store.disconnect();
        }
        let _ = self.back.try_send(store);
        let page = page.map_err(|error| error.to_string())?;
        if !page.covers(complete_to) {
            return Err("it does not hold all of them yet".to_owned());
        }
        let rows = page.rows.into_iter().map(|row| EarlierRow {
            key: row.key,
            values: row.values.into_iter().collect(),
        });
        Ok(EarlierPage {
            rows: rows.collect(),
            known_from: page.known_from,
        })
    }
}

fn page_query(query: &EarlierQuery) -> PageQuery {
    PageQuery {
        of: match query.of {
            rest::History::Orders => History::Orders,
            rest::History::Trades => History::Trades,
            rest::History::ClosedPositions => History::RoundTrips,
        },
        account: query.account.clone(),
        symbol: query.symbol.clone(),
        strategy: query.strategy,
        order: query.order,
        status: query.status,
        from: query.from,
        to: query.to,
        before: query.before,
        id: query.id,
        limit: query.limit,
        scan: EARLIER_SCAN_MAX,
    }
}
