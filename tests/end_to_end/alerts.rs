//! Every operational alert on all three ways out: pushed over WebSocket, listed by REST, and a row of the tables; once
//! when its trouble begins.
//!
//! Those with a test of their own elsewhere: `journal_error` (`io_errors`), `disk_low` (`disk_full`), and what the kill
//! switch says (`kill_switch`).

use engine::{Command as Decision, Seq, Sequenced, Timestamp};
use persistence_writer::DataDir;
use persistence_writer::journal::{self, JournalId, SpareSegments};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::life_of_an_order::{limit, trade};
use crate::support::server::{Account, COUNTER, FREE, QUIET, Server, Site};
use crate::support::websocket::Socket;
use crate::support::{reconciled, wait_for};

const ORDERS: &str = "/api/oms/orders";

fn tables(site: &Site) -> Connection {
    Connection::open(site.data_dir().join("pinion.db")).unwrap()
}

fn is_of(alert: &Value, kind: &str) -> bool {
    alert["alert_type"] == kind
}

/// The next alert of that kind that the socket hears.
#[track_caller]
pub fn pushed(socket: &mut Socket, kind: &str) -> Value {
    loop {
        let message = socket.next();
        if message["type"] == "risk:alert" && is_of(&message["data"], kind) {
            return message["data"].clone();
        }
    }
}

/// Those of the list, oldest first.
pub fn listed(server: &Server, kind: &str) -> Vec<Value> {
    let body = server
        .client()
        .get("/api/oms/risk/alerts?account=*&count=100")
        .expect(200);
    let alerts = body["alerts"].as_array().unwrap();
    alerts
        .iter()
        .filter(|alert| is_of(alert, kind))
        .cloned()
        .collect()
}

/// Severity and message of the rows of that kind, once there are so many.
#[track_caller]
pub fn rows(site: &Site, kind: &str, count: usize) -> Vec<(String, String)> {
    wait_for(&format!("{count} rows of {kind}"), || {
        let tables = tables(site);
        let mut query = tables
            .prepare("SELECT severity, message FROM pinion_alerts WHERE alert_type = ?1 ORDER BY seq")
            .ok()?;
        let rows = query
            .query_map([kind], |row| Ok((row.get(0)?, row.get(1)?)))
            .ok()?;
        let rows: Vec<(String, String)> = rows.collect::<Result<_, _>>().ok()?;
        (rows.len() >= count).then_some(rows)
    })
}

/// One alert on all three ways, the same on each.
#[track_caller]
fn everywhere(
    site: &Site,
    server: &Server,
    socket: &mut Socket,
    kind: &str,
    severity: &str,
    says: &str,
) -> Value {
    let heard = pushed(socket, kind);
    assert_eq!(heard["severity"], severity, "{heard}");
    let message = heard["message"].as_str().unwrap();
    assert!(message.contains(says), "{heard}");
    assert!(
        heard["details"].is_object() && heard["timestamp"].is_string(),
        "{heard}"
    );
    let found = listed(server, kind);
    let [listed] = found.as_slice() else {
        panic!("not once: {found:?}");
    };
    for field in ["severity", "alert_type", "message", "details", "timestamp"] {
        assert_eq!(listed[field], heard[field], "{field} of {listed}");
    }
    let row = (severity.to_owned(), message.to_owned());
    assert_eq!(rows(site, kind, 1), [row]);
    heard
}

/// A site with `COUNTER` and accounts of profiles that the text defines.
fn site_of(accounts: &[Account], profiles: &str) -> Site {
    let mut all = vec![COUNTER];
    all.extend_from_slice(accounts);
    let site = Site::with_accounts(&all);
    let config = std::fs::read_to_string(site.config_file()).unwrap();
    site.configure(&format!("{config}\n{profiles}"));
    site
}

fn account(name: &'static str, balance: &'static str, profile: &'static str) -> Account {
    Account {
        name,
        balance,
        profile,
        role: "trader",
    }
}

#[test]
fn limits_that_come_near_are_told() {
    let site = site_of(
        &[
            account("poor", "100000.00", "maker"),
            account("chatty", "100000.00", "chatty"),
            account("quick", "100000.00", "quick"),
        ],
        "[profiles.chatty]\nbase = \"unlimited-paper\"\norder_to_trade_alert = 3\n
         [profiles.quick]\nbase = \"unlimited-paper\"\norders_per_second_max = 50\n",
    );
    let server = site.start(QUIET);
    let mut hears = server.socket();

    // ₹83,300 of ₹1,00,000: above 80 %.
    let mut poor = server.client_of(&site, "poor");
    poor.post(ORDERS, &limit("BUY", 160, "2450.00")).expect(201);
    assert_eq!(listed(&server, "margin_usage"), Vec::<Value>::new());
    poor.post(ORDERS, &limit("BUY", 10, "2450.00")).expect(201);
    let alert = everywhere(
        &site,
        &server,
        &mut hears,
        "margin_usage",
        "WARNING",
        "Margin usage 83.30%",
    );
    assert_eq!(alert["details"]["margin_used"].to_string(), "83300.00");

    let mut chatty = server.client_of(&site, "chatty");
    for quantity in 1..=3 {
        chatty
            .post(ORDERS, &limit("BUY", quantity, "2440.00"))
            .expect(201);
    }
    assert_eq!(listed(&server, "order_to_trade"), Vec::<Value>::new());
    chatty.post(ORDERS, &limit("BUY", 4, "2440.00")).expect(201);
    everywhere(
        &site,
        &server,
        &mut hears,
        "order_to_trade",
        "WARNING",
        "4 messages for 0 fills",
    );

    // A machine that is too busy to take them within a second is asked again.
    let mut quick = server.socket_of(&site, "quick");
    let order = json!({"type": "order:place", "id": "burst", "data": limit("BUY", 1, "2440.00")}).to_string();
    wait_for("a burst that comes near to the limit", || {
        (0..60).for_each(|_| quick.say(&order));
        (0..60).for_each(|_| drop(quick.until("reply")));
        (!listed(&server, "order_rate_near_limit").is_empty()).then_some(())
    });
    everywhere(
        &site,
        &server,
        &mut hears,
        "order_rate_near_limit",
        "WARNING",
        "of 50 per second",
    );
}

#[test]
fn silence_is_told() {
    let site = site_of(
        &[account("watcher", "100000.00", "watchful")],
        "[profiles.watchful]\nbase = \"unlimited-paper\"\nreference_age_ms_max = 300\n",
    );
    let server = site.start(QUIET);
    let mut hears = server.socket();
    trade(&server, &site);
    let alert = everywhere(
        &site,
        &server,
        &mut hears,
        "stale_feed",
        "WARNING",
        "No price of RELIANCE for 300 ms",
    );
    assert_eq!(alert["details"]["symbol"], "RELIANCE");

    let armed = json!({"timeout_s": 0.1});
    server
        .client_of(&site, "watcher")
        .post("/api/oms/heartbeat", &armed)
        .expect(200);
    everywhere(
        &site,
        &server,
        &mut hears,
        "dead_man",
        "WARNING",
        "none for 100 ms",
    );
}

/// Losses that come near their limits: of the day, of a position, from the peak.
#[test]
fn losses_are_told() {
    let site = site_of(
        &[
            FREE,
            account("loser", "1000.00", "lossy"),
            account("faller", "1000.00", "falling"),
        ],
        "[profiles.lossy]\nbase = \"unlimited-paper\"\ndaily_loss_max = \"0.06\"\nposition_loss_max = \"0.05\"\n
         [profiles.falling]\nbase = \"unlimited-paper\"\ndrawdown_max = \"0.06\"\n",
    );
    let server = site.start(QUIET);
    let mut hears = server.socket();
    let (mut counter, mut free) = (
        server.client_of(&site, "counter"),
        server.client_of(&site, "free"),
    );
    for name in ["loser", "faller"] {
        counter.post(ORDERS, &limit("SELL", 1, "2450.00")).expect(201);
        let bought = server
            .client_of(&site, name)
            .post(ORDERS, &limit("BUY", 1, "2450.00"))
            .expect(201);
        assert_eq!(bought["status"], "FILLED", "{bought}");
    }
    assert!(listed(&server, "daily_loss_warning").is_empty());
    // Both have lost ₹53 and some charges: more than 80 % of 6 %, and more than 5 %, of ₹1,000.
    counter.post(ORDERS, &limit("SELL", 1, "2397.00")).expect(201);
    free.post(ORDERS, &limit("BUY", 1, "2397.00")).expect(201);
    let kinds = ["daily_loss_warning", "position_loss_limit", "drawdown_warning"];
    let mut heard: Vec<Value> = Vec::new();
    while heard.len() < kinds.len() {
        let data = hears.next();
        if data["type"] == "risk:alert" && kinds.iter().any(|kind| is_of(&data["data"], kind)) {
            heard.push(data["data"].clone());
        }
    }
    for (kind, severity) in kinds.into_iter().zip(["WARNING", "CRITICAL", "WARNING"]) {
        let heard = heard.iter().find(|alert| is_of(alert, kind)).unwrap();
        assert_eq!(heard["severity"], severity, "{heard}");
        let found = listed(&server, kind);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0]["message"], heard["message"]);
        let message = heard["message"].as_str().unwrap().to_owned();
        assert_eq!(rows(&site, kind, 1), [(severity.to_owned(), message)]);
    }
    // Whoever is short without a stop-loss was told of it when it opened.
    assert!(!listed(&server, "missing_stop_loss").is_empty());
    assert!(!rows(&site, "missing_stop_loss", 1).is_empty());
}

/// The tables cannot be written for a while: told at once by the other ways, and a row when they are written again.
#[test]
fn tables_that_fall_behind_are_told_and_know_it_afterwards() {
    let site = Site::with_accounts(&[COUNTER]);
    let mut command = site.command(QUIET);
    command.env("DATABASE_BEHIND_S", "1");
    let server = site.start_command(command);
    trade(&server, &site);
    rows_of_orders(&site, 2);
    let mut hears = server.socket();
    let lock = tables(&site);
    let place = || {
        let order = limit("SELL", 1, "2460.00");
        server.client().post(ORDERS, &order).expect(201)
    };
    let lag_beyond = |least: u64| {
        wait_for("the lag in the health", || {
            let answer = server.client().get("/api/oms/health");
            let lag = answer.json()["tables"]["lag"].as_u64()?;
            (answer.status == 503 && lag > least).then(|| answer.json())
        })
    };
    // A second is soon over on a busy machine: they may have been behind without us, and told that. After the second
    // comparison it has been seen that they no longer are.
    let settle = || (0..2).for_each(|_| drop(reconciled(&mut server.client())));
    settle();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let before = listed(&server, "database_behind");
    place();
    let health = lag_beyond(0);
    assert_eq!(health["components"]["database"], false, "{health}");
    let told = wait_for("the alert", || {
        listed(&server, "database_behind").get(before.len()).cloned()
    });
    assert_eq!(told["severity"], "WARNING", "{told}");
    while pushed(&mut hears, "database_behind")["message"] != told["message"] {}
    // It goes on, and is not told again.
    (0..3).for_each(|_| drop(place()));
    lag_beyond(3);
    assert_eq!(
        listed(&server, "database_behind").len(),
        before.len() + 1,
        "once, while it lasts"
    );
    lock.execute_batch("ROLLBACK").unwrap();
    let found = rows(&site, "database_behind", before.len() + 1);
    let message = told["message"].as_str().unwrap().to_owned();
    assert_eq!(found[before.len()], ("WARNING".to_owned(), message));
    wait_for("health", || {
        (server.client().get("/api/oms/health").status == 200).then_some(())
    });
    settle();

    // It was over, so the next time is told again.
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let before = listed(&server, "database_behind").len();
    place();
    wait_for("the next alert", || {
        (listed(&server, "database_behind").len() > before).then_some(())
    });
    lock.execute_batch("ROLLBACK").unwrap();
    assert!(rows(&site, "database_behind", before + 1).len() > before);
}

#[track_caller]
fn rows_of_orders(site: &Site, count: i64) {
    wait_for("the rows of the orders", || {
        let found = tables(site).query_row("SELECT count(*) FROM orders", [], |row| row.get::<_, i64>(0));
        (found.ok()? >= count).then_some(())
    });
}

#[test]
fn rows_that_the_database_refuses_are_told_once() {
    let site = Site::with_accounts(&[COUNTER]);
    let server = site.start(QUIET);
    trade(&server, &site);
    rows_of_orders(&site, 2);
    let poison = "CREATE TRIGGER poison BEFORE INSERT ON orders WHEN NEW.quantity % 7 = 0
                  BEGIN SELECT RAISE(ABORT, 'poison'); END";
    tables(&site).execute_batch(poison).unwrap();
    let mut hears = server.socket();
    let mut counter = server.client_of(&site, "counter");
    for quantity in 1..=30 {
        counter
            .post(ORDERS, &limit("SELL", quantity, "2460.00"))
            .expect(201);
    }
    everywhere(
        &site,
        &server,
        &mut hears,
        "dead_letter",
        "WARNING",
        "dead_letter",
    );
    rows_of_orders(&site, 2 + 30 - 4);
    let tables_now = || server.client().get("/api/oms/health").json()["tables"].clone();
    wait_for("four dead letters", || {
        (tables_now()["dead_letters"] == 4).then_some(())
    });
    let metrics = server.client().get("/metrics");
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(metrics.contains("pinion_tables_dead_letters 4"), "{metrics}");
    assert_eq!(listed(&server, "dead_letter").len(), 1, "a flood is told once");
}

/// A trade's row that stands there already, with other content: somebody wrote it by hand.
#[test]
fn rows_that_contradict_the_journal_are_told() {
    let site = Site::with_accounts(&[COUNTER]);
    let server = site.start(QUIET);
    server
        .client()
        .post(ORDERS, &limit("BUY", 1, "2440.00"))
        .expect_error(400);
    rows_of_orders(&site, 1);
    let forged = "INSERT INTO trades (id, order_id, symbol, exchange, side, quantity, price, executed_at)
                  VALUES (2, 1, 'RELIANCE', 'NSE', 'BUY', 99, '1.00', '2020-01-01 00:00:00')";
    tables(&site).execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    tables(&site).execute_batch(forged).unwrap();
    let mut hears = server.socket();
    trade(&server, &site);
    everywhere(
        &site,
        &server,
        &mut hears,
        "table_conflict",
        "CRITICAL",
        "1 rows stood there otherwise",
    );
    assert_eq!(
        server.client().get("/api/oms/health").json()["tables"]["conflicts"],
        1
    );
}

/// A state hash in the journal that is not that of the fold, as flipped memory would give: every fold finds it.
#[test]
fn folds_that_differ_from_the_engine_are_told() {
    let site = Site::with_accounts(&[COUNTER]);
    let server = site.start(QUIET);
    trade(&server, &site);
    server.stop();
    let last = site.replay().last_seq;
    {
        let data = DataDir::open(&site.data_dir()).unwrap();
        let settings = journal::Settings {
            segment_bytes: persistence_writer::limits::SEGMENT_BYTES_DEFAULT,
            fresh_id: JournalId::from_bytes([1; 16]),
            spares: SpareSegments::OnDemand,
        };
        let mut time = Timestamp::ZERO;
        let opened = journal::open(data.journal(), &settings, Seq::default(), |found| {
            time = found.time
        });
        let mut appender = opened.unwrap().appender;
        let command = Sequenced {
            seq: Seq::new(last + 1),
            time,
            command: Decision::HashCheck(0x0bad),
        };
        appender.append(&command).unwrap();
        appender.sync().unwrap();
    }
    let server = site.start(QUIET);
    let health = server.client().get("/api/oms/health").expect(503);
    assert_eq!(health["components"]["risk_monitor"], false, "{health}");
    // The read model and the fold of the tables each say so.
    let found = wait_for("both alerts", || {
        let found = listed(&server, "state_divergence");
        (found.len() == 2).then_some(found)
    });
    for (alert, (severity, message)) in found.iter().zip(rows(&site, "state_divergence", 2)) {
        assert_eq!(alert["severity"], "CRITICAL", "{alert}");
        assert!(message.contains("0000000000000bad"), "{message}");
        assert_eq!(
            (alert["severity"].as_str(), alert["message"].as_str()),
            (Some(&*severity), Some(&*message))
        );
    }
    // They may have been told before anybody could listen, so they are heard from where the stream begins.
    let start = format!("/ws/oms?resume={}:{}", last + 1, u32::MAX);
    let mut hears = Socket::connect_at(server.address(), &start, "main", &[]);
    for _ in 0..2 {
        let heard = pushed(&mut hears, "state_divergence");
        assert!(
            found.iter().any(|alert| alert["message"] == heard["message"]),
            "{heard}"
        );
    }
}
