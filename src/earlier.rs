//! The history of earlier days out of the tables, for the REST threads: few readers at a time, each with a connection of
//! its own beside the projector's, and none that waits for a database for ever.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use api_sidecar::rest::{self, EarlierPage, EarlierProbe, EarlierQuery, EarlierRow};
use crossbeam_channel::{Receiver, Sender};
use persistence_writer::projector::earlier::{self, History, PageQuery};
use persistence_writer::projector::{PostgresStore, SqliteStore, TableStore};

use crate::limits::{EARLIER_ANSWER_TIME, EARLIER_PAUSE, EARLIER_READERS, EARLIER_SCAN_MAX, EARLIER_WAIT};
use crate::tables::Tables;

/// The readers that nobody uses at the moment.
struct Readers {
    idle: Receiver<Box<dyn TableStore>>,
    back: Sender<Box<dyn TableStore>>,
}

/// Answers for `tables`. Nothing is opened before the first question. Tables that do not reach today yet are asked again
/// for `catch_up`: after a start, and after midnight, they are some milliseconds behind. A server that
/// cannot be reached is not waited for, so that it keeps no thread from other reads.
pub fn probe(tables: &Tables, catch_up: Duration) -> EarlierProbe {
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
    Arc::new(move |query| readers.ask(query, catch_up))
}

impl Readers {
    fn ask(&self, query: &EarlierQuery, catch_up: Duration) -> Result<EarlierPage, String> {
        let Ok(mut store) = self.idle.recv_timeout(EARLIER_WAIT) else {
            return Err("others are reading it".to_owned());
        };
        let begun = Instant::now();
        let is_embedded = store.backend() == "sqlite";
        let mut failed = false;
        let page = loop {
            let page = read(&mut *store, query);
            let again = match &page {
                Ok(Some(_)) => false,
                Ok(None) => begun.elapsed() < catch_up,
                // The file of a first start may not be there yet.
                Err(_) if is_embedded => begun.elapsed() < catch_up,
                // A connection that was lost since it was last used says so at once.
                Err(_) => !std::mem::replace(&mut failed, true) && begun.elapsed() < EARLIER_WAIT,
            };
            if !again {
                break page;
            }
            thread::sleep(EARLIER_PAUSE);
        };
        let _ = self.back.try_send(store);
        page?.ok_or_else(|| "it does not hold all of them yet".to_owned())
    }
}

/// `None` where the tables do not reach as far as the question.
fn read(store: &mut dyn TableStore, query: &EarlierQuery) -> Result<Option<EarlierPage>, String> {
    let page = earlier::page(store, &page_query(query)).map_err(|error| {
        store.disconnect();
        error.to_string()
    })?;
    if !page.covers(query.complete_to) {
        return Ok(None);
    }
    let rows = page.rows.into_iter().map(|row| EarlierRow {
        key: row.key,
        values: row.values.into_iter().collect(),
    });
    Ok(Some(EarlierPage {
        rows: rows.collect(),
        known_from: page.known_from,
    }))
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
