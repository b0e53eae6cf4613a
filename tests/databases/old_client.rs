//! What the tools of the old backend ask the tables, and what the API says to the same, after every kind of thing that
//! happens in a session: rejections, partial fills, flips, kills and their lifting, a day roll, and beside rows of before
//! Pinion.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use engine::{Command, Timestamp};
use serde_json::{Value, json};

use crate::cluster::{Cluster, Database};
use crate::journal::Journal;
use crate::reader::Reader;
use crate::session::{START_NS, Session, today};
use crate::support::http::Client;
use crate::support::reconciled;
use crate::support::server::{COUNTER, FREE, QUIET, Site};

const OLD_SCHEMA: &str = include_str!("../../persistence-writer/tests/projector/old_schema.sql");

/// Answers a GET.
type Api<'a> = &'a mut dyn FnMut(&str) -> Value;

/// Everything that the old tools ask for, without a word of accounts, of what the tables say was `today`.
fn compare(database: &Database, accounts: &[&str], today: &str, api: Api<'_>, when: &str) {
    let mut client = database.client();
    let mut ask = |sql: &str| -> Vec<String> {
        let rows = client
            .query(sql, &[])
            .unwrap_or_else(|error| panic!("{when}: {error:?}: {sql}"));
        rows.iter().map(|row| row.get(0)).collect()
    };
    let in_day =
        |column: &str| format!("({column} AT TIME ZONE 'UTC' AT TIME ZONE 'Asia/Kolkata')::date = '{today}'");

    // Active orders, newest first.
    let active = api("/api/oms/orders/active?account=*");
    assert_eq!(
        ask("SELECT concat_ws(' ', id, symbol, side, quantity, coalesce(price::text, 'null'), status, filled_quantity)
             FROM orders WHERE status IN ('PENDING', 'SUBMITTED', 'OPEN') ORDER BY created_at DESC, id DESC"),
        lines(&active["orders"], &["id", "symbol", "side", "quantity", "price", "status", "filled_quantity"]),
        "{when}"
    );
    // Open positions, with what they are worth.
    let open = api("/api/oms/positions?account=*");
    let columns = [
        "id",
        "symbol",
        "quantity",
        "average_price",
        "realized_pnl",
        "unrealized_pnl",
    ];
    let sorted = |mut rows: Vec<String>| {
        rows.sort();
        rows
    };
    for from in ["positions WHERE closed_at IS NULL", "v_active_positions"] {
        let found = ask(&format!(
            "SELECT concat_ws(' ', {}) FROM {from}",
            columns.join(", ")
        ));
        assert_eq!(
            sorted(found),
            sorted(lines(&open["positions"], &columns)),
            "{when}: {from}"
        );
    }

    // Counts and today's realised P&L, of all accounts together.
    let stats: Vec<Value> = accounts
        .iter()
        .map(|account| api(&format!("/api/oms/stats/today?account={account}")))
        .collect();
    let total = |field: &str| -> i64 { stats.iter().map(|stats| hundredths(&stats[field])).sum() };
    let mut is = |sql: String, shown: i64| {
        let found = ask(&format!("SELECT (({sql}) * 100)::bigint::text"));
        assert_eq!(found, [shown.to_string()], "{when}: {sql}");
    };
    is(
        format!("SELECT count(*) FROM orders WHERE {}", in_day("created_at")),
        total("order_count"),
    );
    is(
        format!("SELECT count(*) FROM trades WHERE {}", in_day("executed_at")),
        total("trade_count"),
    );
    is(
        "SELECT count(*) FROM positions WHERE closed_at IS NULL".to_owned(),
        total("position_count"),
    );
    is(
        format!("SELECT coalesce(sum(realized_pnl), 0) FROM daily_stats WHERE date = '{today}'"),
        total("realized_pnl"),
    );
    // The row of a position is that of its last life: one that was opened again is not closed today.
    let reopened: BTreeSet<i64> = rows(&open["positions"])
        .iter()
        .map(|row| row["id"].as_i64().unwrap())
        .collect();
    let closed = api("/api/oms/positions?closed=1&account=*&limit=200");
    assert_eq!(closed["next_cursor"], Value::Null, "{when}: one page");
    let mut last_lives = BTreeMap::new();
    for row in rows(&closed["positions"]) {
        last_lives
            .entry(row["id"].as_i64().unwrap())
            .or_insert(hundredths(&row["realized_pnl"]));
    }
    last_lives.retain(|id, _| !reopened.contains(id));
    is(
        format!(
            "SELECT coalesce(sum(realized_pnl), 0) FROM positions WHERE {}",
            in_day("closed_at")
        ),
        last_lives.values().sum(),
    );

    // By account: the day's row, the day's P&L, and the kill switch.
    for (account, stats) in accounts.iter().zip(&stats) {
        let summary = api(&format!("/api/oms/risk/summary?account={account}"));
        let of_day = format!("FROM daily_stats WHERE account = '{account}' AND date = '{today}'");
        for (column, field) in [
            ("total_orders", "order_count"),
            ("total_trades", "trade_count"),
            ("filled_orders", "filled_orders"),
            ("cancelled_orders", "cancelled_orders"),
            ("rejected_orders", "rejected_orders"),
            ("winning_trades", "winning_positions"),
            ("winning_trades + losing_trades", "closed_positions"),
            ("total_charges", "charges"),
            ("realized_pnl", "realized_pnl"),
        ] {
            is(
                format!("SELECT coalesce((SELECT {column} {of_day}), 0)"),
                hundredths(&stats[field]),
            );
        }
        is(
            format!(
                "SELECT coalesce((SELECT net_pnl {of_day}), 0) + coalesce((SELECT sum(unrealized_pnl)
                FROM positions WHERE account = '{account}' AND closed_at IS NULL), 0)"
            ),
            hundredths(&summary["daily_pnl"]),
        );
        is(
            format!(
                "SELECT coalesce(sum(realized_pnl), 0) FROM pinion.round_trips
                WHERE account = '{account}' AND {}",
                in_day("closed_at")
            ),
            hundredths(&stats["realized_pnl"]),
        );
        let killed = summary["kill_switch_active"].as_bool().unwrap();
        is(
            format!("SELECT count(*) FROM (SELECT FROM kill_switch_events WHERE deactivated_at IS NULL
                AND status = 'ACTIVE' AND (scope = 'engine' OR scope = 'account' AND account = '{account}') LIMIT 1) k"),
            i64::from(killed) * 100,
        );
    }
}

fn rows(list: &Value) -> &Vec<Value> {
    list.as_array().unwrap()
}

fn lines(list: &Value, fields: &[&str]) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let line = |row: &Value| {
        fields
            .iter()
            .map(|field| text(&row[*field]))
            .collect::<Vec<_>>()
            .join(" ")
    };
    rows(list).iter().map(line).collect()
}

/// A number with at most two decimals, times 100.
fn hundredths(number: &Value) -> i64 {
    let text = number.to_string();
    let (whole, places) = text.split_once('.').unwrap_or((&text, ""));
    format!("{whole}{places:0<2}")
        .parse()
        .unwrap_or_else(|_| panic!("{text}"))
}

/// Days as the old tools know them are UTC's, Pinion's are India's: a session spans the end of neither.
fn stay_clear_of_midnight() {
    let left = 86_400 - SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() % 86_400;
    if left < 120 {
        std::thread::sleep(Duration::from_secs(left + 1));
    }
}

/// A server over PostgreSQL, on a database of its own or one that the old backend left.
fn session_of_a_server(prepare: &str) {
    stay_clear_of_midnight();
    let cluster = Cluster::shared();
    let database = cluster.database();
    database.execute(prepare);
    let site = Site::with_accounts(&[COUNTER, FREE]);
    let mut command = site.command(QUIET);
    command.env("DATABASE_URL", database.url());
    let server = site.start_command(command);
    let (mut main, mut counter, mut free) = (
        server.client(),
        server.client_of(&site, "counter"),
        server.client_of(&site, "free"),
    );
    let compare_all = |main: &mut Client, when: &str| {
        // So that the tables are where the API is.
        let report = reconciled(main);
        assert_eq!(report["status"], "matched", "{when}: {report}");
        let today = database.one("SELECT (now() AT TIME ZONE 'Asia/Kolkata')::date");
        let accounts = ["main", "counter", "free"];
        compare(
            &database,
            &accounts,
            &today,
            &mut |path| main.get(path).expect(200),
            when,
        );
        // What asks for the moment itself.
        let mut pnl = 0;
        for account in accounts {
            pnl += hundredths(
                &main
                    .get(&format!("/api/oms/risk/summary?account={account}"))
                    .expect(200)["daily_pnl"],
            );
        }
        assert_eq!(
            database.one("SELECT (get_today_pnl() * 100)::bigint"),
            pnl.to_string(),
            "{when}"
        );
        let orders = database
            .one("SELECT count(*) FROM orders WHERE date(created_at) = (now() AT TIME ZONE 'UTC')::date");
        assert_eq!(
            database.one("SELECT count(*) FROM v_today_orders"),
            orders,
            "{when}"
        );
        let ratio = database.one("SELECT coalesce(get_order_to_trade_ratio() > 0, true)");
        assert_eq!(ratio, "t", "{when}");
    };
    compare_all(&mut main, "before the first order");
    let place = |client: &mut Client, side: &str, quantity: u32, price: &str, status: u16| {
        let order = json!({"symbol": "RELIANCE", "side": side, "quantity": quantity, "price": price});
        client.post("/api/oms/orders", &order).expect(status)
    };
    place(&mut free, "BUY", 3, "9000.00", 400);
    place(&mut counter, "SELL", 10, "2450.00", 201);
    place(&mut free, "BUY", 4, "2450.00", 201);
    compare_all(&mut main, "a rejection and a partial fill");
    place(&mut free, "BUY", 6, "2450.00", 201);
    place(&mut counter, "BUY", 15, "2455.00", 201);
    let flipped = place(&mut free, "SELL", 15, "2455.00", 201);
    assert_eq!(flipped["status"], "FILLED");
    let short = free.get("/api/oms/positions").expect(200);
    assert_eq!(short["positions"][0]["quantity"], -5, "{short}");
    compare_all(&mut main, "a flip");
    let resting = place(&mut counter, "BUY", 2, "2440.00", 201);
    counter
        .delete(&format!("/api/oms/orders/{}", resting["order_id"]))
        .expect(200);
    place(&mut counter, "SELL", 5, "2451.00", 201);
    place(&mut free, "BUY", 5, "2451.00", 201);
    compare_all(&mut main, "flat again, and a cancelled order");
    place(&mut counter, "SELL", 3, "2452.00", 201);
    place(&mut free, "BUY", 2, "2452.00", 201);
    compare_all(&mut main, "opened again");
    main.post(
        "/api/oms/risk/kill-switch",
        &json!({"reason": "drill", "account": "free"}),
    )
    .expect(200);
    compare_all(&mut main, "an account under a kill switch");
    main.post(
        "/api/oms/risk/kill-switch",
        &json!({"reason": "all of it", "scope": "engine"}),
    )
    .expect(200);
    compare_all(&mut main, "everyone under a kill switch");
    main.post(
        "/api/oms/risk/deactivate-kill-switch",
        &json!({"deactivated_by": "ops"}),
    )
    .expect(200);
    compare_all(&mut main, "lifted");
    assert_eq!(
        database.one(
            "SELECT count(*) FROM kill_switch_events WHERE seq IS NOT NULL AND status = 'DEACTIVATED'
            AND deactivated_by = 'ops' AND deactivated_at >= triggered_at"
        ),
        "2"
    );
    place(&mut free, "BUY", 1, "2440.00", 201);
    compare_all(&mut main, "trading again");
    assert_eq!(
        database
            .one("SELECT name || ' ' || status FROM strategies WHERE account = 'main' AND id = 1")
            .trim_matches('"'),
        "Manual Trading ACTIVE"
    );
    server.stop();
}

#[test]
fn a_servers_session_over_a_new_database() {
    session_of_a_server("");
}

#[test]
fn a_servers_session_over_an_adopted_database() {
    session_of_a_server(OLD_SCHEMA);
}

/// Days pass: on the evening of one, at the first tick of the next, and after its first orders.
#[test]
fn days_roll_for_the_tables_as_for_the_api() {
    for (seed, prepare) in [(95, ""), (96, OLD_SCHEMA)] {
        let database = Cluster::shared().database();
        database.execute(prepare);
        let reader = Reader::new(None);
        let mut session = Session::new(seed);
        let mut journal = Journal::new(1);
        let (mut done, mut day) = (0, Timestamp::from_nanos(START_NS).trading_day());
        let mut look = |session: &Session, when: &str| {
            let fresh = &session.commands[done..];
            done = session.commands.len();
            journal.append(fresh);
            fresh.iter().for_each(|command| reader.fold(command));
            journal.project(database.store()).unwrap();
            compare(
                &database,
                &["main", "asha"],
                &today(session),
                &mut |path| reader.get(path),
                when,
            );
        };
        look(&session, "at the start");
        for round in 0..4 {
            session.go_on(250);
            // Marks are told at most every 2 s; a tick later the tables have the last ones.
            session.pass_seconds(3);
            session.sequence(Command::Tick);
            look(&session, &format!("seed {seed}, in session {round}"));
            // To the start of the next trading day, and a minute into it.
            let now = session.model().time();
            day = now.trading_day().max(day) + 1;
            let minutes = (Timestamp::start_of_trading_day(day).nanos() - now.nanos()) / 60_000_000_000 + 1;
            session.pass_minutes(minutes);
            session.sequence(Command::Tick);
            assert_eq!(session.model().time().trading_day(), day);
            look(&session, &format!("seed {seed}, right after day roll {round}"));
        }
    }
}
