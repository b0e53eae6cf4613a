//! How the databases find pages of history among some 10,000s of rows: by an index, in its order, and with bounded work,
//! whatever is asked for.

use std::path::Path;
use std::sync::Arc;

use engine::Timestamp;
use persistence_writer::projector::earlier::{History, PageQuery, key_before_pinion, page};
use persistence_writer::projector::{
    Batch, Column, Held, Lineage, Question, Row, SqliteStore, StoreError, TABLES, Table, TableStore,
    TextRows, Written,
};
use postgres::SimpleQueryMessage;
use serde_json::Value;

use crate::both::{Both, all_of};
use crate::cluster::{Cluster, Database};
use crate::journal::Journal;
use crate::session::{START_NS, Session};

/// Copies of a session's rows, each ten days later, and of rows of before Pinion.
const COPIES: u64 = 40;
const OLD_ROWS: u64 = 20_000;

/// Rows that a page looks at, at most: far below what the tables hold.
const SCAN: usize = 1_000;
const LIMIT: usize = 100;

/// An account's rows may be looked up among everybody's of the same span, where the account has a large part of them.
const ACCOUNTS: usize = 3;

/// A database, and what it was asked.
struct Recording<'a> {
    store: &'a mut dyn TableStore,
    asked: Vec<Question>,
}

impl TableStore for Recording<'_> {
    fn backend(&self) -> &'static str {
        self.store.backend()
    }
    fn writes_itself(&self) -> bool {
        self.store.writes_itself()
    }
    fn claim(&mut self, lineage: Lineage) -> Result<u64, StoreError> {
        self.store.claim(lineage)
    }
    fn holds(&mut self, held: &Held) -> Result<bool, StoreError> {
        self.store.holds(held)
    }
    fn verify(&mut self, seq: u64) -> Result<(), StoreError> {
        self.store.verify(seq)
    }
    fn rewind(&mut self) -> Result<(), StoreError> {
        self.store.rewind()
    }
    fn clear(&mut self) -> Result<(), StoreError> {
        self.store.clear()
    }
    fn write(&mut self, batch: &Arc<Batch>, held: &Held) -> Result<Written, StoreError> {
        self.store.write(batch, held)
    }
    fn own_prefix(&self) -> &'static str {
        self.store.own_prefix()
    }
    fn as_text(&self, column: &Column) -> String {
        self.store.as_text(column)
    }
    fn read(&mut self, questions: Vec<Question>) -> Result<Vec<TextRows>, StoreError> {
        self.asked.extend(questions.iter().cloned());
        self.store.read(questions)
    }
    fn log(&mut self, rows: Vec<Row>, now: Timestamp) -> Result<(), StoreError> {
        self.store.log(rows, now)
    }
    fn disconnect(&mut self) {
        self.store.disconnect();
    }
}

/// SQL that copies a table's rows with other keys; `c` is the number of the copy, `later` SQL for a time so much later.
fn copies(table: &Table, name: &str, later: impl Fn(&str) -> String) -> String {
    let copied = |Column { name, .. }: &Column| match *name {
        "id" | "trade_id" | "order_id" | "number" => format!("{name} + c * 1000000"),
        "seq" => "seq + c * 10000000".to_owned(),
        "broker_order_id" | "broker_trade_id" => format!("{name} || '-' || c"),
        "created_at" | "executed_at" | "opened_at" | "closed_at" => later(name),
        _ => (*name).to_owned(),
    };
    let columns: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    let copied: Vec<String> = table.columns.iter().map(copied).collect();
    format!(
        "WITH RECURSIVE copies(c) AS (SELECT 1 UNION ALL SELECT c + 1 FROM copies WHERE c < {COPIES})
         INSERT INTO {name} ({}) SELECT {} FROM {name}, copies WHERE seq IS NOT NULL;",
        columns.join(", "),
        copied.join(", ")
    )
}

/// SQL for rows of before Pinion; `at` is SQL for the time of the row `n`.
fn old_rows(at: &str) -> String {
    let numbers = format!(
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {OLD_ROWS})"
    );
    format!(
        "{numbers} INSERT INTO orders (id, broker_order_id, strategy_id, symbol, exchange, side, quantity, order_type,
            product, validity, status, created_at)
         SELECT -n, 'MOCK' || n, 1, 'TCS', 'NSE', 'BUY', 1, 'MARKET', 'MIS', 'DAY',
            CASE n % 5000 WHEN 0 THEN 'REJECTED' ELSE 'FILLED' END, {at} FROM numbers;
         {numbers} INSERT INTO trades (id, order_id, broker_trade_id, symbol, exchange, side, quantity, price, executed_at)
         SELECT -n, -n, 'T' || n, 'TCS', 'NSE', 'BUY', 1, '100.00', {at} FROM numbers;
         {numbers} INSERT INTO positions (id, symbol, exchange, strategy_id, product, quantity, average_price, closed_at)
         SELECT -n, 'OLD' || n, 'NSE', 1, 'MIS', 0, '100.00', {at} FROM numbers;"
    )
    .replace("'100.00'", if at.contains("interval") { "100.00" } else { "'100.00'" })
}

/// Every question of every kind of page, with what the page was asked for.
fn questions(store: &mut dyn TableStore) -> Vec<(PageQuery, Question)> {
    let day = Timestamp::from_nanos(START_NS).trading_day();
    let at = |days: u32| Some(Timestamp::start_of_trading_day(day + days));
    let mut recording = Recording {
        store,
        asked: Vec::new(),
    };
    let mut questions = Vec::new();
    for of in [History::Orders, History::Trades, History::RoundTrips] {
        let all = all_of(of, LIMIT, SCAN);
        let mut filters = vec![
            all.clone(),
            // Rare, not there, and in most rows.
            PageQuery {
                symbol: Some("M&M".to_owned()),
                ..all.clone()
            },
            PageQuery {
                symbol: Some("NONE".to_owned()),
                ..all.clone()
            },
            PageQuery {
                strategy: Some(2),
                ..all.clone()
            },
            PageQuery {
                symbol: Some("TCS".to_owned()),
                strategy: Some(9),
                ..all.clone()
            },
        ];
        match of {
            History::Orders => filters.extend([
                PageQuery {
                    status: Some("FILLED"),
                    ..all.clone()
                },
                PageQuery {
                    status: Some("REJECTED"),
                    ..all.clone()
                },
                PageQuery {
                    status: Some("FAILED"),
                    symbol: Some("TCS".to_owned()),
                    ..all.clone()
                },
                PageQuery {
                    id: Some(20_000_012),
                    ..all.clone()
                },
                PageQuery {
                    id: Some(-17),
                    ..all.clone()
                },
            ]),
            History::Trades => filters.extend([
                PageQuery {
                    order: Some(20_000_012),
                    ..all.clone()
                },
                PageQuery {
                    order: Some(-17),
                    ..all.clone()
                },
            ]),
            History::RoundTrips => {}
        }
        let times = [
            (None, None),
            (at(200), None),
            (None, at(200)),
            (at(200), at(201)),
            // Before everything, and after everything.
            (Some(Timestamp::from_nanos(1)), Some(Timestamp::from_nanos(2))),
            (at(9_000), None),
        ];
        let cursors = [
            None,
            Some(20_000_000),
            Some(300_000),
            Some(1),
            Some(key_before_pinion(-10_000)),
        ];
        for filter in &filters {
            for account in [None, Some("main"), Some("asha"), Some("nobody")] {
                for (from, to) in times {
                    for before in cursors {
                        let account = account.map(str::to_owned);
                        let query = PageQuery {
                            account,
                            from,
                            to,
                            before,
                            ..filter.clone()
                        };
                        let found = page(&mut recording, &query).unwrap();
                        assert!(found.rows.len() <= LIMIT, "{query:?}");
                        let asked = recording.asked.drain(..);
                        questions.extend(asked.map(|question| (query.clone(), question)));
                    }
                }
            }
        }
    }
    // The place of the tables is no page.
    questions.retain(|(_, question)| !question.sql.contains("watermark"));
    questions
}

/// The question with its texts where its parameters are.
fn literal(question: &Question) -> String {
    let mut sql = question.sql.clone();
    for (place, text) in question.texts.iter().enumerate() {
        sql = sql.replace(
            &format!("${}", place + 1),
            &format!("'{}'", text.replace('\'', "''")),
        );
    }
    sql
}

fn fill_postgres(database: &Database, journal: &Journal) {
    journal.project(database.store()).unwrap();
    for table in TABLES.iter().filter(|table| is_history(table)) {
        let name = if table.own {
            format!("pinion.{}", table.name)
        } else {
            table.name.to_owned()
        };
        database.execute(&copies(table, &name, |time| {
            format!("{time} + c * interval '10 days'")
        }));
    }
    database.execute(&old_rows("timestamp '2020-01-01' + n * interval '1 hour'"));
    // As autovacuum does in time, but of every row: of a sample the plans would be another one's each time.
    database.execute("VACUUM");
    database.execute("SET default_statistics_target = 1000; ANALYZE");
}

fn is_history(table: &Table) -> bool {
    matches!(table.name, "orders" | "trades" | "round_trips")
}

#[test]
fn postgres_finds_every_page_by_an_index() {
    let session = Session::random(81, 3_000);
    let journal = Journal::of(1, &session.commands);
    let database = Cluster::shared().database();
    fill_postgres(&database, &journal);
    let rows: u64 = database.one("SELECT count(*) FROM trades").parse().unwrap();
    assert!(rows > 50_000, "{rows}");
    let mut client = database.client();
    let mut seen = 0;
    for (query, question) in questions(&mut database.store()) {
        let sql = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {}", literal(&question));
        let answer = client
            .simple_query(&sql)
            .unwrap_or_else(|error| panic!("{error:?}: {sql}"));
        let text = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        let plan: Value = serde_json::from_str(text.unwrap()).unwrap();
        check_node(
            &plan[0]["Plan"],
            &format!("{query:?}\n{}\n{plan:#}", question.sql),
        );
        seen += 1;
    }
    assert!(seen > 1_000, "{seen}");
}

/// This node of a plan, and those below it: what a page looks at and has not found yet may be sorted, and nothing else.
fn check_node(node: &Value, context: &str) {
    let kind = node["Node Type"].as_str().unwrap();
    assert!(!kind.contains("Seq Scan"), "{context}");
    // Later versions give rows with decimals, as means over the loops.
    let count = |field: &str| -> usize {
        let text = node.get(field).map_or_else(|| "0".to_owned(), Value::to_string);
        text.split('.').next().unwrap().parse().unwrap()
    };
    let looked_at = count("Actual Loops")
        * (count("Actual Rows") + count("Rows Removed by Filter") + count("Rows Removed by Index Recheck"));
    assert!(
        looked_at <= ACCOUNTS * SCAN + LIMIT,
        "{looked_at} rows: {context}"
    );
    for below in node["Plans"].as_array().into_iter().flatten() {
        check_node(below, context);
    }
}

#[test]
fn sqlite_finds_every_page_by_an_index() {
    let session = Session::random(82, 3_000);
    let journal = Journal::of(1, &session.commands);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pinion.db");
    journal.project(SqliteStore::new(&file)).unwrap();
    fill_sqlite(&file);
    let connection = rusqlite::Connection::open(&file).unwrap();
    let mut seen = 0;
    for (query, question) in questions(&mut SqliteStore::for_reading(&file)) {
        let mut statement = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {}", literal(&question)))
            .unwrap();
        let lines = statement.query_map((), |row| row.get::<_, String>(3)).unwrap();
        for line in lines.map(Result::unwrap) {
            let context = format!("{line}\n{query:?}\n{}", question.sql);
            // What was found is looked at, row by row.
            assert!(!line.starts_with("SCAN") || line == "SCAN looked_at", "{context}");
            assert!(!line.contains("TEMP B-TREE"), "{context}");
        }
        seen += 1;
    }
    assert!(seen > 1_000, "{seen}");
}

fn fill_sqlite(file: &Path) {
    let connection = rusqlite::Connection::open(file).unwrap();
    for table in TABLES.iter().filter(|table| is_history(table)) {
        let name = if table.own {
            format!("pinion_{}", table.name)
        } else {
            table.name.to_owned()
        };
        let later =
            |time: &str| format!("date(substr({time}, 1, 10), (c * 10) || ' days') || substr({time}, 11)");
        connection.execute_batch(&copies(table, &name, later)).unwrap();
    }
    let at = "strftime('%Y-%m-%d %H:%M:%S', '2020-01-01', n || ' hours') || '.000000'";
    connection.execute_batch(&old_rows(at)).unwrap();
}

/// Whoever writes a position looks for the trades that refer to it: SQLite each time, PostgreSQL where its id changes.
#[test]
fn trades_are_found_by_what_they_refer_to() {
    let both = Both::with(&Session::new(83));
    let connection = rusqlite::Connection::open(&both.file).unwrap();
    for column in ["order_id", "position_id"] {
        let sql = format!("EXPLAIN QUERY PLAN SELECT 1 FROM trades WHERE {column} = 1");
        let plan: String = connection.query_row(&sql, (), |row| row.get(3)).unwrap();
        assert!(
            plan.starts_with("SEARCH trades USING") && plan.contains(column),
            "{plan}"
        );
        let sql = format!(
            "SELECT count(*) FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
             WHERE i.indrelid = 'trades'::regclass AND a.attname = '{column}' AND i.indpred IS NULL"
        );
        assert_ne!(both.database.one(&sql), "0", "{column}");
    }
}
