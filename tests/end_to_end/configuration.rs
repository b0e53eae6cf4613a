//! What the process is told from outside, and what it refuses in one sentence.

use std::process::{Command, Stdio};

use crate::life_of_an_order::sample_order;
use crate::support::json::assert_fields;
use crate::support::server::{QUIET, Site, pinion, run_to_end};

/// Ends by itself, not with 0, with one sentence on standard error that names the culprit.
#[track_caller]
fn assert_refused(command: Command, culprit: &str) {
    let described = format!("{command:?}");
    let output = run_to_end(command);
    assert!(!output.status.success(), "{described}");
    assert!(output.stdout.is_empty(), "{described}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains(culprit),
        "{described} says {said:?}, not {culprit:?}"
    );
    assert!(!said.contains("panicked"), "{said}");
    let sentences = said.lines().filter(|line| line.starts_with("pinion: ")).count();
    // The command line's own errors come with a hint on usage.
    assert!(sentences == 1 || said.starts_with("error: "), "{said}");
}

#[test]
fn a_bad_flag_stops_the_start() {
    let site = Site::new();
    for (flags, culprit) in [
        (&["--market", "live"][..], "--market"),
        (&["--ack", "maybe"], "--ack"),
        (&["--wait", "forever"], "--wait"),
        (&["--listen", "localhost"], "--listen"),
        (&["--listen", "127.0.0.1:65536"], "--listen"),
        (&["--listen", "0.0.0.0:0"], "0.0.0.0:0 needs an API key"),
        (&["--engine-core", "9999"], "--engine-core"),
        (&["--engine-core", "-1"], "--engine-core"),
        (
            &["--config", "/nonexistent/pinion.toml"],
            "/nonexistent/pinion.toml",
        ),
        (&["--data-dir", "/proc/nowhere"], "/proc/nowhere"),
        (&["--lisen", "127.0.0.1:0"], "--lisen"),
        (&["extra"], "extra"),
    ] {
        assert_refused(site.command(flags), culprit);
    }
    assert!(!site.data_dir().exists(), "nothing was touched");
    assert!(!run_to_end(pinion()).status.success(), "nothing was asked");
    let mut keys = pinion();
    keys.args(["keys", "new", "--account", "a b"]);
    assert_refused(keys, "--account");
}

/// What cannot be written was not said: a key that nobody saw, a figure that is in no file.
#[test]
fn an_answer_that_finds_no_room_is_an_error() {
    for arguments in [
        &["keys", "new", "--account", "desk"][..],
        &["bench", "engine", "--workload", "A", "--commands", "1000"],
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = pinion();
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(full)
            .stderr(Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
        assert!(said.starts_with("pinion: standard output: "), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn a_bad_variable_stops_the_start() {
    let site = Site::new();
    for (name, value) in [
        ("MAX_POSITIONS", "many"),
        ("MAX_RISK_PER_TRADE", "-0.1"),
        ("MAX_DAILY_LOSS", "NaN"),
        ("MIN_RISK_REWARD", "abc"),
        ("MAX_QUANTITY_PER_ORDER", "1e99"),
        ("PRICE_SANITY_PCT", "ten"),
        ("DATABASE_URL", "mysql://x"),
        ("LOG_LEVEL", "loud"),
        ("DEBUG", "perhaps"),
        ("APP_MODE", "party"),
        ("DB_MAX_CONNECTIONS", "x"),
    ] {
        let mut command = site.command(QUIET);
        command.env(name, value);
        assert_refused(command, name);
    }
    let mut command = pinion();
    command.args(["serve", "--data-dir"]).arg(site.data_dir());
    command.env("DASHBOARD_PORT", "65536");
    assert_refused(command, "DASHBOARD_PORT");
}

#[test]
fn a_bad_file_stops_the_start() {
    let site = Site::new();
    for (text, culprit) in [
        ("[server\n", "line 1"),
        ("[sever]\n", "sever"),
        ("[server]\nlisten = 1.5\n", "server.listen"),
        ("[server]\nack = \"maybe\"\n", "server.ack"),
        ("[auth]\nloopback_account = \"nobody\"\n", "auth.loopback_account"),
        ("[[accounts]]\nbalance = \"1\"\n", "name"),
        ("[[accounts]]\nname = \"a b\"\n", "name"),
        ("[[accounts]]\nname = \"sim-maker\"\n", "sim-maker"),
        ("[[accounts]]\nname = \"x\"\nrole = \"king\"\n", "role"),
        ("[[accounts]]\nname = \"x\"\nprofile = \"reckless\"\n", "reckless"),
        ("[[accounts]]\nname = \"x\"\nbalance = \"1.005\"\n", "balance"),
        ("[[accounts]]\nname = \"x\"\nbalance = \"-1\"\n", "balance"),
        (
            "[[accounts]]\nname = \"x\"\napi_key_hashes = [\"md5:1\"]\n",
            "api_key_hashes",
        ),
        ("[[accounts]]\nname = \"x\"\n[[accounts]]\nname = \"x\"\n", "x"),
        ("[market]\nmode = \"bull\"\n", "market.mode"),
        ("[market]\nseed = \"x\"\n", "market.seed"),
        ("[instruments]\nfile = \"/nonexistent.csv\"\n", "/nonexistent.csv"),
    ] {
        site.configure(text);
        assert_refused(site.command(&["--wait", "park"]), culprit);
    }
}

#[test]
fn flags_override_the_environment_and_that_the_file() {
    let site = Site::new();
    site.configure(
        "[[accounts]]\nname = \"main\"\nbalance = \"250000\"\n[accounts.limits]\npositions_max = 7\n",
    );
    let summary = |command: Command| {
        let server = site.start_command(command);
        let summary = server.client().get("/api/oms/risk/summary").expect(200);
        server.stop();
        summary
    };
    assert_fields(
        &summary(site.command(QUIET)),
        &[("account_balance", "250000.00"), ("max_positions", "7")],
    );
    let mut command = site.command(&[
        "--ack", "durable", "--market", "none", "--ack", "memory", "--wait", "park",
    ]);
    command
        .env("MAX_POSITIONS", "3")
        .env("LOG_LEVEL", "WARNING")
        .env("DEBUG", "true");
    let server = site.start_command(command);
    let reply = server
        .client()
        .post("/api/oms/orders", &sample_order())
        .expect(201);
    // The last of a repeated flag wins.
    assert_fields(&reply, &[("durable", "false")]);
}

#[test]
fn the_risk_variables_of_the_old_system_count() {
    let site = Site::new();
    let mut command = site.command(QUIET);
    command
        .env("MAX_POSITIONS", "3")
        .env("MAX_RISK_PER_TRADE", "0.001")
        .env("DASHBOARD_PORT", "1");
    let server = site.start_command(command);
    let summary = server.client().get("/api/oms/risk/summary").expect(200);
    assert_fields(&summary, &[("max_positions", "3")]);
    // ₹200 of risk is 0.2 % of the balance.
    let refused = server
        .client()
        .post("/api/oms/orders", &sample_order())
        .expect(400);
    assert_fields(&refused, &[("failed_check", "\"risk_per_trade\"")]);
}
