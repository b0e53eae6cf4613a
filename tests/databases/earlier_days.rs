//! Histories over several days, from memory and the tables, against what memory alone showed on each of the days.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use engine::Timestamp;
use persistence_writer::projector::SqliteStore;
use pinion::{earlier, tables::Tables};
use serde_json::Value;

use crate::journal::Journal;
use crate::reader::{HISTORIES, History, Reader};
use crate::session::{self, Session};

/// The rows of every day, as memory showed them last before it forgot them, in the order of their keys.
type Shown = BTreeMap<History, Vec<Value>>;

fn shown_day_by_day(session: &Session) -> Shown {
    let reader = Reader::new(None);
    let mut shown: BTreeMap<(History, String), Value> = BTreeMap::new();
    let mut closed = Vec::new();
    let mut days = 0;
    let mut look = |reader: &Reader| {
        days += 1;
        for history in [History::Orders, History::Trades] {
            for row in reader.pages(history, "", 200) {
                shown.insert((history, history.key(&row)), row);
            }
        }
        // In the order of closing.
        closed.extend(reader.pages(History::Closed, "", 200).into_iter().rev());
    };
    let mut day = session.commands[0].time.trading_day();
    for command in &session.commands {
        if command.time.trading_day() != day {
            look(&reader);
            day = command.time.trading_day();
        }
        reader.fold(command);
    }
    look(&reader);
    assert!(days > 2, "{days} days prove nothing");
    let mut rows = Shown::from([(History::Closed, closed)]);
    for ((history, _), row) in shown {
        rows.entry(history).or_default().push(row);
    }
    rows.values_mut().for_each(|rows| rows.reverse());
    rows
}

/// A reader at the end of the session, with tables that hold its first `projected` commands.
fn reader_with_tables(
    session: &Session,
    projected: usize,
    directory: &tempfile::TempDir,
    catch_up: Duration,
) -> Reader {
    let file = directory.path().join("pinion.db");
    let journal = Journal::of(1, &session.commands[..projected]);
    journal.project(SqliteStore::new(&file)).unwrap();
    let reader = Reader::new(Some(earlier::probe(&Tables::Embedded(file), catch_up)));
    session.commands.iter().for_each(|command| reader.fold(command));
    reader
}

fn check(what: &str, history: History, found: &[Value], expected: &[&Value]) {
    let said = |row: &Value| history.said(row);
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(said(found), said(expected), "{what}, row {at}");
    }
    assert_eq!(found.len(), expected.len(), "{what}");
}

#[test]
fn every_day_is_shown_as_it_was() {
    for seed in [61, 62] {
        let session = Session::random(seed, 5_000);
        let shown = shown_day_by_day(&session);
        let directory = tempfile::tempdir().unwrap();
        let reader = reader_with_tables(&session, session.commands.len(), &directory, Duration::ZERO);
        for history in HISTORIES {
            let all: Vec<&Value> = shown[&history].iter().collect();
            assert!(all.len() > 100, "{history:?}: {}", all.len());
            for limit in [7, 200] {
                let found = reader.pages(history, "&from=2026-01-01", limit);
                check(&format!("{history:?} by {limit}"), history, &found, &all);
            }
            // One of the days in between, and what is filtered otherwise.
            let text = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
            let begin = Timestamp::from_nanos(session::START_NS).trading_day() + 1;
            let bounds = [begin, begin + 1]
                .map(|day| api_sidecar::wire::Iso8601(Timestamp::start_of_trading_day(day)).to_string());
            let in_day = |row: &&&Value| {
                let time = text(row, history.time());
                bounds[0] <= time && time < bounds[1]
            };
            let day: Vec<&Value> = all.iter().filter(in_day).copied().collect();
            assert!(!day.is_empty());
            let filters = format!("&from={}&to={}", bounds[0], bounds[1]);
            check("a day", history, &reader.pages(history, &filters, 9), &day);
            let of_tcs: Vec<&Value> = all
                .iter()
                .filter(|row| row["symbol"] == "TCS" && row["strategy_id"] == 2)
                .copied()
                .collect();
            let filters = "&from=2026-01-01&symbol=TCS&strategy=2";
            check("TCS", history, &reader.pages(history, filters, 9), &of_tcs);
            // Up to the first day, from no beginning.
            let first: Vec<&Value> = all
                .iter()
                .filter(|row| text(row, history.time()) < bounds[0])
                .copied()
                .collect();
            let filters = format!("&to={}", bounds[0]);
            check("until", history, &reader.pages(history, &filters, 50), &first);
            let csv = reader.ask(
                &format!("{}&account=*&from=2026-01-01", history.path()),
                "Accept: text/csv\r\n",
            );
            assert_eq!(csv.0, 200);
            assert!(csv.1.matches("\r\n").count() > all.len());
        }
        let orders = &shown[&History::Orders];
        let filled: Vec<&Value> = orders.iter().filter(|row| row["status"] == "FILLED").collect();
        let found = reader.pages(History::Orders, "&from=2026-01-01&status=filled", 11);
        check("filled", History::Orders, &found, &filled);
        let order = &filled.last().unwrap();
        let trades: Vec<&Value> = shown[&History::Trades]
            .iter()
            .filter(|row| row["order_id"] == order["id"])
            .collect();
        let found = reader.pages(
            History::Trades,
            &format!("&from=2026-01-01&order={}", order["id"]),
            2,
        );
        check("of an order", History::Trades, &found, &trades);
        // One by one, also those that memory has forgotten.
        for row in orders.iter().step_by(37) {
            let found = reader.get(&format!("/api/oms/orders/{}", row["id"]));
            check("one", History::Orders, &[found], &[row]);
        }
        assert_eq!(reader.ask("/api/oms/orders/99999999", "").0, 404);
    }
}

#[test]
fn without_a_beginning_a_history_is_todays() {
    let session = Session::random(63, 3_000);
    let directory = tempfile::tempdir().unwrap();
    let reader = reader_with_tables(&session, session.commands.len(), &directory, Duration::ZERO);
    let alone = Reader::new(None);
    session.commands.iter().for_each(|command| alone.fold(command));
    for history in HISTORIES {
        let expected = alone.pages(history, "", 20);
        assert!(!expected.is_empty());
        assert_eq!(reader.pages(history, "", 20), expected);
    }
}

/// After a start, and after midnight, the tables are a little behind.
#[test]
fn tables_that_catch_up_are_waited_for() {
    let session = Session::random(65, 3_000);
    let directory = tempfile::tempdir().unwrap();
    let reader = reader_with_tables(&session, 1, &directory, Duration::from_mins(1));
    let alone = Reader::new(None);
    session.commands.iter().for_each(|command| alone.fold(command));
    let path = "/api/oms/trades?to=2026-08-06&account=*";
    let body = thread::scope(|scope| {
        let asked = scope.spawn(|| reader.ask(path, ""));
        // Time for some looks that find too little; the answer is the same without it.
        thread::sleep(Duration::from_millis(100));
        let journal = Journal::of(1, &session.commands);
        let file = directory.path().join("pinion.db");
        journal.project(SqliteStore::new(&file)).unwrap();
        let (status, body) = asked.join().unwrap();
        assert_eq!(status, 200, "{body}");
        body
    });
    let body: Value = serde_json::from_str(&body).unwrap();
    assert!(!body["trades"].as_array().unwrap().is_empty(), "{body}");
}

/// Rows that may be missing or stale are no answer.
#[test]
fn tables_that_do_not_reach_today_do_not_answer() {
    let session = Session::random(64, 3_000);
    let directory = tempfile::tempdir().unwrap();
    let today = session.model().time().trading_day();
    let of_earlier_days = session
        .commands
        .iter()
        .filter(|command| command.time.trading_day() < today)
        .count();
    let reader = reader_with_tables(&session, of_earlier_days - 1, &directory, Duration::ZERO);
    for history in HISTORIES {
        let path = format!("{}&account=*&from=2026-01-01&limit=200", history.path());
        let mut path = path.clone();
        // Today's rows come out of memory, whatever the tables do.
        let refusal = loop {
            let (status, body) = reader.ask(&path, "");
            let body: Value = serde_json::from_str(&body).unwrap();
            match body["next_cursor"].as_u64() {
                Some(next) if status == 200 => {
                    path = format!("{}&account=*&from=2026-01-01&cursor={next}", history.path());
                }
                _ => break (status, body),
            }
        };
        assert_eq!(refusal.0, 503, "{}", refusal.1);
        assert!(
            refusal.1["error"].as_str().unwrap().contains("not hold all"),
            "{}",
            refusal.1
        );
    }
    let nowhere = Tables::Embedded(directory.path().join("nowhere.db"));
    let missing = Reader::new(Some(earlier::probe(&nowhere, Duration::ZERO)));
    session.commands.iter().for_each(|command| missing.fold(command));
    assert_eq!(missing.ask("/api/oms/trades?to=2026-08-05&account=*", "").0, 503);
}
