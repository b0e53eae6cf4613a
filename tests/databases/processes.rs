//! Processes and a PostgreSQL: two that write to one database, one that starts without it, many that migrate at once, and
//! one whose role may do no more than it must.

use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::cluster::{Cluster, Database};
use crate::support::http::Client;
use crate::support::server::{FREE, QUIET, Server, Site, pinion};
use crate::support::{reconciled, wait_for};

const OLD_SCHEMA: &str = include_str!("../../persistence-writer/tests/projector/old_schema.sql");

/// Take-overs of one database by another process (issue 9's floor).
const TAKEOVERS: u64 = 10;

/// A server of the site that projects into the database, as this role.
fn start(site: &Site, url: &str) -> Server {
    let mut command = site.command(QUIET);
    command.env("DATABASE_URL", url);
    site.start_command(command)
}

fn place(client: &mut Client) {
    let order = json!({"symbol": "RELIANCE", "side": "BUY", "quantity": 1, "price": "2440.00"});
    client.post("/api/oms/orders", &order).expect(201);
}

/// `health` as it stands, healthy or not.
fn health(server: &Server) -> Value {
    server.client().get("/api/oms/health").json()
}

fn wait_until_written(server: &Server) {
    wait_for("every row", || {
        let health = health(server);
        (health["status"] == "healthy" && health["tables"]["lag"] == 0).then_some(())
    });
}

#[test]
fn of_two_processes_on_one_database_the_older_is_fenced() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    let mut site = Site::with_accounts(&[FREE]);
    let mut server = start(&site, &database.url());
    let mut orders = 0;
    for takeover in 1..=TAKEOVERS {
        place(&mut server.client_of(&site, "free"));
        orders += 1;
        wait_until_written(&server);
        // The same journal elsewhere, as after a copy of the machine. Nobody trades meanwhile.
        let copy = site.copy();
        let newer = start(&copy, &database.url());
        wait_until_written(&newer);
        // The older one learns of it by itself, with or without something to write.
        if takeover % 2 == 0 {
            place(&mut server.client_of(&site, "free"));
        }
        wait_for("the older one is fenced", || {
            let health = health(&server);
            let reason = health["tables"]["reason"].as_str().unwrap_or_default();
            let fenced = health["tables"]["state"] == "fenced" && health["components"]["database"] == false;
            (fenced && reason.contains("another projector has taken over")).then_some(())
        });
        // It trades on, and none of that reaches the tables.
        place(&mut server.client_of(&site, "free"));
        place(&mut newer.client_of(&copy, "free"));
        orders += 1;
        wait_until_written(&newer);
        let report = reconciled(&mut newer.client());
        assert_eq!(report["status"], "matched", "{report}");
        assert_eq!(
            database.one("SELECT count(*) FROM orders"),
            orders.to_string(),
            "take-over {takeover}"
        );
        server.stop();
        (site, server) = (copy, newer);
    }
    server.stop();
}

const SECRET: &str = "s3cret-of-the-database";

#[test]
fn without_its_database_a_server_starts_and_catches_up_later() {
    let cluster = Arc::new(Cluster::start());
    let database = cluster.database();
    cluster.shut_down();
    let site = Site::with_accounts(&[FREE]);
    let url = database
        .url()
        .replace("postgres@", &format!("postgres:{SECRET}@"));
    let server = start(&site, &url);
    let mut client = server.client_of(&site, "free");
    for _ in 0..20 {
        place(&mut client);
    }
    let unwell = wait_for("health says so", || {
        let answer = client.get("/api/oms/health");
        let health = answer.json();
        (answer.status == 503 && health["tables"]["state"] == "unavailable").then_some(health)
    });
    assert_eq!(unwell["components"]["database"], false, "{unwell}");
    assert_eq!(unwell["components"]["order_manager"], true, "{unwell}");
    let reason = unwell["tables"]["reason"].as_str().unwrap();
    assert!(reason.contains("cannot connect"), "{reason}");
    assert!(unwell["tables"]["lag"].as_u64().unwrap() > 0, "{unwell}");
    let metrics = client.get("/metrics");
    let refused = server.client().get("/api/oms/reconcile");
    cluster.resume();
    wait_until_written(&server);
    assert_eq!(database.one("SELECT count(*) FROM orders"), "20");
    // Nothing that anybody can read has the password: answers, and the log with all that failed.
    for said in [&metrics.body, &refused.body, &unwell.to_string().into_bytes()] {
        assert!(!String::from_utf8_lossy(said).contains(SECRET));
    }
    let log = site.log();
    server.stop();
    let log = std::fs::read_to_string(log).unwrap();
    assert!(
        log.contains("the tables cannot be written"),
        "the failures are logged: {log}"
    );
    assert!(!log.contains(SECRET), "{log}");
}

/// What cannot be a URL is refused at the start, without a word of what it holds.
#[test]
fn a_refused_url_is_not_repeated() {
    for url in [
        format!("postgresql://user:{SECRET}@host:port/db"),
        format!("postgresql://user:{SECRET}@host/db?sslmode=maybe"),
        format!("postgresql://user:{SECRET}@host/db?sslmode=verify-full"),
        format!("postgresql://user:{SECRET}@host/db?nothing={SECRET}"),
        format!("postgresql://user:{SECRET}@host/db?sslrootcert=%zz"),
        format!("user:{SECRET}@host/db"),
        format!("host=host password={SECRET} port=x"),
        format!("host=host password='{SECRET}"),
        format!("mysql://user:{SECRET}@host/db"),
    ] {
        for subcommand in ["serve", "migrate"] {
            let site = Site::new();
            let mut command = pinion();
            command.arg(subcommand).arg("--data-dir").arg(site.data_dir());
            command.env("DATABASE_URL", &url);
            let output = crate::support::server::run_to_end(command);
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert!(!output.status.success(), "{url}: {said}");
            assert!(said.contains("DATABASE_URL"), "{url}: {said}");
            assert!(!said.contains(SECRET), "{url}: {said}");
        }
    }
}

#[test]
fn of_many_processes_that_migrate_at_once_one_does() {
    let cluster = Cluster::shared();
    for prepare in ["", OLD_SCHEMA] {
        let database = cluster.database();
        database.execute(prepare);
        let migrating: Vec<_> = (0..5)
            .map(|_| {
                let mut command = pinion();
                command.arg("migrate").env("DATABASE_URL", database.url());
                command
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        let mut said: Vec<String> = Vec::new();
        for process in migrating {
            let output = process.wait_with_output().unwrap();
            assert!(output.status.success(), "{output:?}");
            said.push(String::from_utf8(output.stdout).unwrap());
        }
        let applied = said.iter().filter(|said| said.starts_with("applied ")).count();
        let up_to_date = said.iter().filter(|said| said.contains("is up to date")).count();
        assert_eq!((applied, up_to_date), (1, 4), "{said:?}");
    }
}

/// Whatever became of the tables, the journal has all of it.
#[test]
fn wrecked_tables_are_rebuilt_by_a_command() {
    let database = Cluster::shared().database();
    for url in [None, Some(database.url())] {
        let site = Site::with_accounts(&[FREE]);
        let with_url = |mut command: Command| {
            command.envs(url.iter().map(|url| ("DATABASE_URL", url)));
            command
        };
        let run = |subcommand: &str| {
            let mut command = pinion();
            command.arg(subcommand).arg("--config").arg(site.config_file());
            command.arg("--data-dir").arg(site.data_dir());
            let output = with_url(command).output().unwrap();
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            (output.status.success(), said)
        };
        let server = site.start_command(with_url(site.command(QUIET)));
        for _ in 0..5 {
            place(&mut server.client_of(&site, "free"));
        }
        wait_until_written(&server);
        server.stop();
        let (matched, said) = run("reconcile");
        assert!(matched && said.contains(" 5 open orders"), "{said}");
        match &url {
            None => std::fs::write(site.data_dir().join("pinion.db"), "no database any more").unwrap(),
            Some(_) => database.execute(
                "DELETE FROM orders WHERE id % 2 = 0; UPDATE orders SET quantity = 7;
                 UPDATE pinion.watermark SET journal = 'of somebody else'",
            ),
        }
        let (matched, said) = run("reconcile");
        assert!(!matched, "{said}");
        let (rebuilt, said) = run("rebuild-tables");
        assert!(rebuilt && said.contains("tables rebuilt up to seq"), "{said}");
        let (matched, said) = run("reconcile");
        assert!(matched && said.contains(" 5 open orders"), "{said}");
    }
}

/// Everything that a server does with its tables, by a role that owns nothing.
#[test]
fn a_role_of_least_privilege_suffices() {
    let cluster = Arc::new(Cluster::start());
    let database = cluster.database();
    let mut command = pinion();
    command.arg("migrate").env("DATABASE_URL", database.url());
    assert!(command.output().unwrap().status.success());
    let role = include_str!("../../deploy/postgres-role.sql");
    database.execute(&format!("REVOKE ALL ON DATABASE {} FROM PUBLIC", database.name));
    database.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    database.execute(&role.replace("DATABASE xcoin", &format!("DATABASE {}", database.name)));
    let url = database.url().replace("postgres@", "pinion@");

    let site = Site::with_accounts(&[FREE]);
    let server = start(&site, &url);
    let mut client = server.client_of(&site, "free");
    // One at a time by arrays, then far behind, by COPY.
    place(&mut client);
    wait_until_written(&server);
    server.stop();
    fill(&database, &site, &url);
    let server = start(&site, &url);
    let mut main = server.client();
    let report = reconciled(&mut main);
    assert_eq!(report["status"], "matched", "{report}");
    // What somebody changed is found and logged.
    database.execute("UPDATE orders SET quantity = 2 WHERE id = (SELECT min(id) FROM orders)");
    let report = reconciled(&mut main);
    assert_eq!(report["count"], 1, "{report}");
    let issues =
        "SELECT count(*) FROM v_reconciliation_issues WHERE issue_type = 'OTHER' AND internal_quantity = 1
                  AND broker_quantity = 2 AND symbol = 'RELIANCE'";
    assert_eq!(database.one(issues), "1");
    // Histories of earlier days are read, emptied tables are filled again.
    let history = main.get("/api/oms/orders?from=2020-01-01&account=*").expect(200);
    assert!(history["count"].as_u64().unwrap() > 0, "{history}");
    database.execute("DELETE FROM trades; DELETE FROM orders");
    wait_for("the tables are filled again", || {
        (database.one("SELECT count(*) FROM orders") == FILLED.to_string()).then_some(())
    });
    let report = reconciled(&mut main);
    assert_eq!(report["status"], "matched", "{report}");
    assert_eq!(database.one("SELECT count(*) FROM pinion.dead_letter"), "0");
    // And it may not do more.
    let as_role = |sql: &str| {
        postgres::Client::connect(&url, postgres::NoTls)
            .unwrap()
            .batch_execute(sql)
    };
    for sql in [
        "DROP TABLE orders",
        "CREATE TABLE mine (id int)",
        "ALTER TABLE trades ADD COLUMN x int",
    ] {
        assert!(as_role(sql).is_err(), "{sql}");
    }
    server.stop();
}

/// Orders in the end: more than one batch of COPY holds.
const FILLED: u64 = 2_501;

/// Places orders while the database is away, so that they come all at once.
fn fill(database: &Database, site: &Site, url: &str) {
    database.cluster.shut_down();
    let server = start(site, url);
    let mut client = server.client_of(site, "free");
    for _ in 1..FILLED {
        place(&mut client);
    }
    server.stop();
    database.cluster.resume();
}
