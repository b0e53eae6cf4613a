//! A connection on a thread of its own, so that whoever asks need not wait for ever.
//!
//! The driver's calls block, and a peer that is there and says nothing can block them for good. An answer that does not
//! come in time is given up together with its thread and its connection; both end when the network does. What such a
//! connection may still commit is caught by the watermark's condition.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

use postgres::{Client, Statement};

use super::super::limits::SESSIONS_MAX;
use super::super::store::StoreError;
use super::settings::PostgresSettings;
use super::unavailable;

/// A connection and what has been prepared on it.
pub(super) struct Connection {
    pub(super) client: Client,
    statements: HashMap<String, Statement>,
}

impl Connection {
    /// The statement, prepared once.
    pub(super) fn prepared(&mut self, sql: &str) -> Result<Statement, postgres::Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql)?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// A connection that answers in time, or is given up.
#[derive(Debug)]
pub(super) struct Session {
    jobs: Sender<Job>,
    /// The server's process behind it.
    pub(super) backend: i32,
}

/// Counts the threads that are still there, given up or not.
#[derive(Debug)]
struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Session {
    /// Connects within `time`. `alive` counts sessions, given-up ones included.
    pub(super) fn open(
        settings: &PostgresSettings,
        alive: &Arc<AtomicUsize>,
        time: Duration,
    ) -> Result<Session, StoreError> {
        if alive.fetch_add(1, Ordering::AcqRel) >= SESSIONS_MAX {
            alive.fetch_sub(1, Ordering::AcqRel);
            return Err(StoreError::Unavailable(
                "too many connections hang without an answer; waiting for them to end".to_owned(),
            ));
        }
        let alive = Alive(Arc::clone(alive));
        let (jobs, work) = channel::<Job>();
        let (connected, outcome) = sync_channel(1);
        let settings = settings.clone();
        let body = move || {
            let _alive = alive;
            let Some(mut connection) = connect(&settings, &connected) else {
                return;
            };
            while let Ok(job) = work.recv() {
                job(&mut connection);
            }
        };
        std::thread::Builder::new()
            .name("postgres".to_owned())
            .spawn(body)
            .map_err(|error| StoreError::Unavailable(format!("no thread for a connection: {error}")))?;
        match outcome.recv_timeout(time) {
            Ok(connected) => connected.map(|backend| Session { jobs, backend }),
            Err(_) => Err(no_answer(time)),
        }
    }

    /// Has the connection do something, and waits at most `time` for what came of it.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        time: Duration,
        job: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, outcome) = sync_channel(1);
        let job = move |connection: &mut Connection| {
            // Whoever asked may have given up.
            let _ = answer.send(job(connection));
        };
        let gone = || StoreError::Unavailable("the connection's thread has ended".to_owned());
        self.jobs.send(Box::new(job)).map_err(|_| gone())?;
        outcome.recv_timeout(time).unwrap_or_else(|error| match error {
            std::sync::mpsc::RecvTimeoutError::Timeout => Err(no_answer(time)),
            std::sync::mpsc::RecvTimeoutError::Disconnected => Err(gone()),
        })
    }
}

fn connect(
    settings: &PostgresSettings,
    connected: &SyncSender<Result<i32, StoreError>>,
) -> Option<Connection> {
    let greeted = settings.connect().and_then(|mut client| {
        let row = client
            .query_one("SELECT pg_backend_pid()", &[])
            .map_err(unavailable)?;
        Ok((client, row.get(0)))
    });
    let (client, outcome) = match greeted {
        Ok((client, backend)) => (Some(client), Ok(backend)),
        Err(error) => (None, Err(error)),
    };
    // Whoever asked may have given up.
    let _ = connected.send(outcome);
    client.map(|client| Connection {
        client,
        statements: HashMap::new(),
    })
}

fn no_answer(time: Duration) -> StoreError {
    StoreError::Unavailable(format!("no answer within {} s", time.as_secs()))
}
