//! `pinion verify`, `repair`, `replay` and `diff` over journals that the production code wrote.
#![allow(clippy::unwrap_used, reason = "a test panics where its own data is wrong")]

use std::path::Path;
use std::process::{Command as Process, Output};

use engine::{
    AccountDefinition, AccountId, Actor, CancelOrder, Capacity, Command, InstrumentDefinition, InstrumentId,
    Money, NewOrder, OrderId, OrderRef, OrderType, Price, Product, Quantity, Ratio, RiskLimits, Seq,
    Sequenced, Side, StrategyId, Symbol, Text, TimeInForce, Timestamp,
};
use persistence_writer::DataDir;
use persistence_writer::journal::{self, JournalId, Settings, SpareSegments};
use persistence_writer::projector;
use persistence_writer::snapshot::{self, Place};
use read_model::ReadModel;
use serde_json::Value;

/// 2026-08-03T09:15:00Z and one second per command from there.
const START_NS: u64 = 1_785_748_500_000_000_000;

fn account(name: &str) -> Command {
    Command::DefineAccount(Box::new(AccountDefinition {
        name: Text::cut(name),
        opening_balance: Money::from_paise(1_000_000_000),
        limits: RiskLimits::maker(),
        profile: Text::cut("maker"),
        venue: false,
    }))
}

fn order(account: u32, side: Side, price: u32, quantity: u32) -> Command {
    Command::NewOrder(NewOrder {
        account: AccountId::new(account),
        strategy: StrategyId::new(1),
        instrument: InstrumentId::new(0),
        side,
        product: Product::Mis,
        order_type: OrderType::Limit(Price::from_paise(price).unwrap()),
        time_in_force: TimeInForce::Day,
        quantity: Quantity::new(quantity).unwrap(),
        post_only: false,
        disclosed: None,
        minimum: None,
        stop_loss: None,
        take_profit: None,
        client_order_id: Text::cut(""),
        metadata: None,
    })
}

/// Two accounts, one instrument; a resting order of ten, four of which trade; the rest is cancelled; then more orders.
fn story() -> Vec<Command> {
    let mut commands = vec![
        Command::DefineInstrument(Box::new(InstrumentDefinition {
            symbol: Symbol::parse("TCS").unwrap(),
            exchange: Text::cut("NSE"),
            tick_size: Price::from_paise(5).unwrap(),
            lot_size: Quantity::new(1).unwrap(),
            freeze_quantity: Quantity::new(100_000).unwrap(),
            reference_price: Price::from_paise(350_000).unwrap(),
            price_band: Ratio::from_ppm(100_000),
            mis_allowed: true,
            banned: false,
            derivatives: false,
        })),
        account("alice"),
        account("bob"),
        order(0, Side::Buy, 350_000, 10),
        order(1, Side::Sell, 350_000, 4),
        Command::CancelOrder(CancelOrder {
            actor: Actor {
                account: AccountId::new(0),
                admin: false,
            },
            order: OrderRef::Id(OrderId::new(1)),
        }),
    ];
    commands.extend((0..200).map(|step| order(step % 2, Side::Buy, 340_000 + 5 * step, 1 + step)));
    commands
}

/// Writes a journal of `commands`, each a batch of its own.
fn write(directory: &Path, commands: &[Command]) {
    let data_dir = DataDir::open(directory).unwrap();
    let settings = Settings {
        segment_bytes: 64 * 1024,
        fresh_id: JournalId::from_bytes(*b"journal of tools"),
        spares: SpareSegments::OnDemand,
    };
    let mut appender = journal::open(data_dir.journal(), &settings, Seq::default(), |_| {})
        .unwrap()
        .appender;
    for (index, command) in commands.iter().enumerate() {
        let seq = 1 + index as u64;
        appender.append(&sequenced(seq, command)).unwrap();
        appender.sync().unwrap();
    }
}

fn pinion(arguments: &[&str]) -> Output {
    Process::new(env!("CARGO_BIN_EXE_pinion"))
        .args(arguments)
        .output()
        .unwrap()
}

/// The JSON lines of a command that must end as `well` says.
fn json(arguments: &[&str], well: bool) -> Vec<Value> {
    let output = pinion(&[arguments, &["--json"]].concat());
    assert_eq!(output.status.success(), well, "{arguments:?}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn any_moment_of_a_journal_can_be_looked_at() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    write(&data, &story());
    let data = data.to_str().unwrap();
    let replay = |more: &[&str]| json(&[&["replay", "--data-dir", data], more].concat(), true);

    let book = replay(&["--until", "4", "--dump", "book", "--symbol", "TCS"]);
    let level = serde_json::json!(
        [{"symbol": "TCS", "side": "BUY", "price": 3500.00, "quantity": 10, "orders": 1}]
    );
    assert_eq!(
        book[0]["book"].to_string(),
        level.to_string().replace("3500.0", "3500.00")
    );
    let positions = replay(&["--until", "5", "--dump", "positions", "--account", "alice"]);
    assert_eq!(positions[0]["positions"][0]["quantity"], 4);
    assert_eq!(positions[0]["open_positions"], 2);
    // The same moment, named by its time.
    let by_time = replay(&[
        "--until",
        "2026-08-03T09:15:05.5Z",
        "--dump",
        "positions",
        "--account",
        "alice",
    ]);
    assert_eq!(by_time, positions);
    let account = replay(&["--until", "3", "--dump", "account", "--account", "bob"]);
    assert_eq!(account[0]["account"][0]["balance"].to_string(), "10000000.00");

    let story = replay(&["--order", "1", "--until", "20"]);
    let kinds: Vec<&str> = story
        .iter()
        .filter_map(|line| line.get("event").or(line.get("command"))?["kind"].as_str())
        .collect();
    assert_eq!(
        kinds,
        [
            "new_order",
            "order_accepted",
            "new_order",
            "trade",
            "fill",
            "cancel_order",
            "order_cancelled"
        ],
        "{story:?}"
    );
    let text = pinion(&["replay", "--data-dir", data, "--order", "1"]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(
        text.contains("\n6 2026-08-03T09:15:06.000000Z kind=cancel_order account=alice order=1\n"),
        "{text}"
    );

    let nobody = pinion(&[
        "replay",
        "--data-dir",
        data,
        "--dump",
        "account",
        "--account",
        "carol",
    ]);
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("there is no account carol"));
    let nothing = pinion(&["replay", "--data-dir", data, "--order", "999999"]);
    assert_eq!(nothing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("there is no order 999999"));
}

#[test]
fn verify_names_the_damage_and_repair_asks_first() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    write(&data, &story());
    let arguments = ["--data-dir", data.to_str().unwrap()];
    let run = |command: &'static str, more: &[&str], well| {
        json(&[&[command], &arguments[..], more].concat(), well).swap_remove(0)
    };

    let sound = run("verify", &[], true);
    assert_eq!(
        (&sound["last_seq"], &sound["damage"], &sound["audit"]),
        (&206.into(), &"none".into(), &"sound".into())
    );
    assert_eq!(sound["commands"]["NewOrder"], 202);
    assert_eq!(sound["state_hash"], run("replay", &[], true)["state_hash"]);
    assert_eq!(run("repair", &[], true)["damage"], "none");

    // A bit of the record of command 10: the header block and nine batches of one block come before it.
    let segment = data.join("journal/0000000001.segment");
    let pristine = std::fs::read(&segment).unwrap();
    let mut damaged = pristine.clone();
    damaged[10 * 4_096 + 40] ^= 1;
    std::fs::write(&segment, &damaged).unwrap();
    let found = run("verify", &[], false);
    assert_eq!(found["last_seq"], 9);
    let damage = found["damage"].as_str().unwrap();
    assert!(damage.contains("0000000001.segment at offset"), "{damage}");
    let refused: [&[&str]; 2] = [
        &["replay"],
        &["serve", "--market", "none", "--listen", "127.0.0.1:0"],
    ];
    for command in refused {
        let refused = pinion(&[command, &arguments[..]].concat());
        let why = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success());
        assert!(
            why.contains(damage) && why.contains("see: pinion repair --data-dir"),
            "{why}"
        );
    }

    let proposed = run("repair", &[], false);
    assert_eq!(
        (
            &proposed["remedy"],
            &proposed["last_seq_kept"],
            &proposed["lost_records"]
        ),
        (&"cut".into(), &9.into(), &197.into())
    );
    assert_eq!(
        std::fs::read(&segment).unwrap(),
        damaged,
        "nothing happens unasked"
    );
    run("repair", &["--yes"], true);
    let repaired = run("verify", &[], true);
    assert_eq!(
        (&repaired["last_seq"], &repaired["damage"]),
        (&9.into(), &"none".into())
    );
    assert_eq!(
        std::fs::read(segment.with_extension("segment.damaged-1")).unwrap(),
        damaged
    );
}

#[test]
fn diff_names_the_first_difference() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let mut commands = story();
    write(&at("a"), &commands);
    commands[99] = order(1, Side::Sell, 360_000, 7);
    write(&at("b"), &commands);
    write(&at("short"), &commands[..50]);
    let hashes = pinion(&[
        "replay",
        "--data-dir",
        at("a").to_str().unwrap(),
        "--dump",
        "hashes",
    ]);
    std::fs::write(at("hashes"), &hashes.stdout).unwrap();

    let diff = |a: &str, b: &str, well| {
        json(&["diff", at(a).to_str().unwrap(), at(b).to_str().unwrap()], well).swap_remove(0)
    };
    assert_eq!(diff("a", "a", true)["same_up_to_seq"], 206);
    let parted = diff("a", "b", false);
    assert_eq!(parted["first_difference_seq"], 100);
    assert!(
        parted["b"]["command"].as_str().unwrap().contains("3600.00"),
        "{parted}"
    );
    assert_eq!(diff("a", "short", false)["b"], "ends before");
    assert_eq!(diff("a", "hashes", true)["same_up_to_seq"], 206);
    assert_eq!(diff("b", "hashes", false)["first_difference_seq"], 100);
}

/// A journal of several segments is archived; every tool says the same of it as before, and zstd-compressed files have
/// taken the place of all segments but the last.
#[test]
fn an_archived_journal_tells_the_same_story() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    write(&data, &story());
    let arguments = ["--data-dir", data.to_str().unwrap()];
    let run = |command: &'static str, more: &[&str]| json(&[&[command], &arguments[..], more].concat(), true);
    let looks: [(&'static str, &[&str]); 4] = [
        ("verify", &[]),
        ("replay", &["--dump", "hashes"]),
        ("replay", &["--order", "1"]),
        ("replay", &["--until", "150", "--dump", "book"]),
    ];
    let before = looks.map(|(command, more)| run(command, more));
    let files = || {
        let mut names: Vec<String> = std::fs::read_dir(data.join("journal"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.contains("segment"))
            .collect();
        names.sort();
        names
    };
    let segments = files();
    assert!(segments.len() > 4, "{segments:?}");
    let archived = run("archive", &[]).swap_remove(0);
    assert_eq!(archived["archived"].as_array().unwrap().len(), segments.len() - 1);
    assert!(archived["archive_bytes"].as_u64() < archived["bytes"].as_u64());
    let now = files();
    let (last, archives) = now.split_last().unwrap();
    assert_eq!(Some(last), segments.last());
    assert!(
        archives.iter().all(|name| name.ends_with(".segment.zst")),
        "{now:?}"
    );
    assert_eq!(looks.map(|(command, more)| run(command, more)), before);
    assert_eq!(run("archive", &[])[0]["archived"], serde_json::json!([]));
    assert_eq!(run("repair", &[])[0]["damage"], "none");
}

/// A server's data directory after two clean stops: pruned down to what its snapshots stand in for, it starts, verifies and
/// replays from there; what is older is named as pruned.
#[test]
fn a_pruned_journal_begins_with_a_snapshot() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let commands = story();
    write(&data, &commands);
    let arguments = ["--data-dir", data.to_str().unwrap()];
    let run =
        |command: &[&'static str], more: &[&str], well| json(&[command, &arguments[..], more].concat(), well);
    let refused = |command: &[&str], reason: &str| {
        let output = pinion(&[command, &arguments[..]].concat());
        assert!(!output.status.success(), "{output:?}");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains(reason), "{text}");
    };
    run(&["archive"], &[], true);
    refused(
        &["archive", "prune"],
        "a start of the server needs the whole journal",
    );

    // Snapshots as the server's threads take them, at records 100 and 206.
    for at in [100, 206] {
        save(&data, &commands, at);
    }
    let replay = |more: &[&str]| run(&["replay"], more, true);
    let before = replay(&[]);
    let shown = run(&["archive", "prune"], &[], false).swap_remove(0);
    let prunable = shown["prunable"].as_array().unwrap().len();
    assert!(
        prunable > 0 && shown["server_needs_seq"] == 100 && shown["tables_need_seq"] == 100,
        "{shown}"
    );
    assert_eq!(
        run(&["archive", "prune"], &[], false),
        std::slice::from_ref(&shown),
        "nothing happens unasked"
    );
    refused(
        &["archive", "prune", "--yes", "--before", "101"],
        "records before 101 are still needed",
    );
    let done = run(&["archive", "prune"], &["--yes"], true).swap_remove(0);
    assert_eq!(
        (&done["prunable"], &done["done"]),
        (&shown["prunable"], &true.into())
    );
    let floor = done["floor_seq"].as_u64().unwrap();
    assert!((2..=100).contains(&floor));

    let verified = run(&["verify"], &[], true).swap_remove(0);
    assert_eq!(verified["pruned_up_to_seq"], floor - 1);
    assert_eq!(verified["folded_from_snapshot_seq"], 100);
    assert_eq!(verified["records"], 206 - (floor - 1));
    assert_eq!(verified["state_hash"], before[0]["state_hash"]);
    assert_eq!(replay(&[])[0]["state_hash"], before[0]["state_hash"]);
    refused(
        &["replay", "--until", "99"],
        "the earliest moment that can be shown is seq 100",
    );
    assert_eq!(replay(&["--until", "100"])[0]["last_seq"], 100);
    assert_eq!(run(&["repair"], &[], true)[0]["damage"], "none");
    let same = json(&["diff", data.to_str().unwrap(), data.to_str().unwrap()], true);
    assert_eq!(same[0]["same_up_to_seq"], 206);
    assert_eq!(
        run(&["archive", "prune"], &[], true)[0]["prunable"],
        serde_json::json!([])
    );
}

/// Snapshots of the read model and of the tables' fold after record `at`.
fn save(data: &Path, commands: &[Command], at: u64) {
    let data_dir = DataDir::open(data).unwrap();
    let mut model = ReadModel::new(Capacity::default());
    let mut tables = projector::Fold::new(0);
    for (command, seq) in commands.iter().zip(1..=at) {
        let command = sequenced(seq, command);
        model.apply(&command);
        tables.apply(&command);
    }
    tables.take_batch();
    let seq = Seq::new(at);
    let (journal, chain) = journal::chain_at(&data_dir.journal(), seq).unwrap().unwrap();
    let place = Place { journal, seq, chain };
    snapshot::write(&data_dir.snapshots(), &place, &model.save()).unwrap();
    snapshot::write(&data_dir.tables_snapshots(), &place, &tables.save().unwrap()).unwrap();
}

fn sequenced(seq: u64, command: &Command) -> Sequenced<Command> {
    Sequenced {
        seq: Seq::new(seq),
        time: Timestamp::from_nanos(START_NS + seq * 1_000_000_000),
        command: command.clone(),
    }
}
