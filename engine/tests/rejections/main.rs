//! A row per rejection code: the last command that still passes, the first that does not, and the sentence that the sender
//! reads. Every comparison is strict: exactly at the limit passes (RISK.md, CONTRACT.md section 4).
//!
//! Each row also shows that `check` says what `apply` then does, and that `explain` finds the same failure.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "test support shared with other tests"
)]

mod rows;
#[path = "../script/mod.rs"]
mod script;
#[path = "../streams/mod.rs"]
mod streams;

use std::collections::BTreeSet;

use engine::{
    AccountId, Capacity, CheckOutcome, Command, Engine, Event, EventBuffer, ExplainedCheck, InstrumentId,
    NewOrder, Refusal, RejectCode, Rejection, Seq, Sequenced, Timestamp, Work,
};
use rows::{Row, full, rows};
use script::Step;
use streams::{OpenOrder, Stream};

/// Small, so that rows reach it.
const CAPACITY: Capacity = Capacity {
    accounts: 4,
    instruments: 4,
    orders: 32,
    positions: 6,
    client_order_ids: 4,
};

/// Checks that `explain` reports: ten of Layer A, nineteen of Layer B.
const CHECKS: usize = 29;

/// An engine at the moment before the judged command.
struct Case {
    engine: Engine,
    judged: Sequenced<Command>,
}

impl Case {
    fn of(row: &Row, lines: &str) -> Case {
        let mut text = String::new();
        if !row.setup.is_empty() {
            text.push_str("setup\n");
            push_lines(&mut text, row.setup);
        }
        text.push_str("commands\n");
        push_lines(&mut text, &lines.replace("FULL", &full()));
        let mut commands: Vec<_> = script::parse_file(&text)
            .steps
            .into_iter()
            .filter_map(|step| match step {
                Step::Do { command, .. } => Some(command),
                _ => None,
            })
            .collect();
        let mut judged = commands.pop().expect("a command to judge");
        let mut engine = Engine::new(CAPACITY);
        for command in &commands {
            tick(&mut engine, command.time);
            let placed = next(&engine, command);
            let events = apply(&mut engine, &placed);
            let refused = events.iter().find_map(rejection);
            assert_eq!(refused, None, "{:?}: {:?}", row.code, command.command);
        }
        tick(&mut engine, judged.time);
        judged = next(&engine, &judged);
        Case { engine, judged }
    }
}

/// Fires what is due up to a time, each at its own time.
fn tick(engine: &mut Engine, until: Timestamp) {
    while let Some(due) = engine.next_deadline().filter(|due| *due <= until) {
        let tick = Sequenced {
            seq: Seq::new(0),
            time: due.max(engine.time()),
            command: Command::Tick,
        };
        let tick = next(engine, &tick);
        apply(engine, &tick);
    }
}

/// A command with the engine's next sequence number.
fn next(engine: &Engine, command: &Sequenced<Command>) -> Sequenced<Command> {
    Sequenced {
        seq: Seq::new(engine.last_seq().get() + 1),
        ..command.clone()
    }
}

fn push_lines(text: &mut String, lines: &str) {
    for line in lines.lines() {
        text.push_str("  ");
        text.push_str(line.trim());
        text.push('\n');
    }
}

fn apply(engine: &mut Engine, command: &Sequenced<Command>) -> Vec<Event> {
    let mut buffer = EventBuffer::new();
    let mut events = Vec::new();
    let mut work = engine.apply(command, &mut buffer);
    events.extend_from_slice(&buffer);
    while work == Work::More {
        buffer.clear();
        work = engine.resume(&mut buffer);
        events.extend_from_slice(&buffer);
    }
    events
}

fn rejection(event: &Event) -> Option<Rejection> {
    match event {
        Event::OrderRejected(rejected) => Some(rejected.rejection),
        Event::Refused(Refusal::Rejected(rejection)) => Some(*rejection),
        _ => None,
    }
}

fn explain(engine: &Engine, order: &NewOrder, now: Timestamp) -> Vec<ExplainedCheck> {
    let mut checks = Vec::new();
    engine.explain(order, now, |check| checks.push(check));
    checks
}

fn first_failed(checks: &[ExplainedCheck]) -> Option<Rejection> {
    let failed = |check: &&ExplainedCheck| check.outcome == CheckOutcome::Failed;
    checks.iter().find(failed).map(|check| check.measured)
}

/// Judges a command and says what it was refused with: by `check`, by `explain`, and by `apply`, which all agree.
fn judge(row: &Row, lines: &str) -> Option<Rejection> {
    let mut case = Case::of(row, lines);
    let before = case.engine.state_hash();
    let mut predicted = None;
    if let Command::NewOrder(order) = &case.judged.command
        && row.code != RejectCode::ClientOrderIdReused
    {
        let verdict = case.engine.check(order, case.judged.time).rejection;
        predicted = Some(verdict);
        let checks = explain(&case.engine, order, case.judged.time);
        compare_explanation(verdict, &checks).unwrap_or_else(|why| panic!("{:?}: {why}", row.code));
        assert_eq!(
            case.engine.state_hash(),
            before,
            "{:?}: a question changed the state",
            row.code
        );
    }
    let found = apply(&mut case.engine, &case.judged).iter().find_map(rejection);
    if let Some(verdict) = predicted {
        assert_eq!(verdict, found, "{:?}: check, then apply", row.code);
    }
    assert_eq!(case.engine.audit(), Ok(()), "{:?}", row.code);
    found
}

/// Refused before the checks of the risk pass have anything to look at.
const BEFORE: [RejectCode; 2] = [RejectCode::UnknownAccount, RejectCode::UnknownInstrument];

/// The first check that `explain` reports as failed is the answer; where the answer is none of the risk pass, none failed.
fn compare_explanation(verdict: Option<Rejection>, checks: &[ExplainedCheck]) -> Result<(), String> {
    let of_the_risk_pass = verdict.filter(|rejection| rejection.code.code() < 300);
    if let Some(rejection) = verdict.filter(|rejection| BEFORE.contains(&rejection.code)) {
        return match checks {
            [] => Ok(()),
            _ => Err(format!("checks without anything to check: {rejection:?}")),
        };
    }
    if checks.len() != CHECKS {
        return Err(format!("{} checks explained", checks.len()));
    }
    if first_failed(checks) != of_the_risk_pass {
        return Err(format!("check {verdict:?}, explain {:?}", first_failed(checks)));
    }
    let wrong = checks.iter().find(|check| match check.outcome {
        CheckOutcome::Passed => check.measured.headroom() < 0,
        CheckOutcome::Failed => check.measured.headroom() > 0,
        CheckOutcome::NotApplicable => check.measured != Rejection::bare(check.measured.code),
    });
    wrong.map_or(Ok(()), |check| Err(format!("its numbers deny it: {check:?}")))
}

#[test]
fn exactly_at_the_limit_passes_and_one_step_beyond_does_not() {
    for row in rows() {
        assert_eq!(judge(&row, row.passes), None, "{:?} passes", row.code);
        let rejection = judge(&row, row.fails).unwrap_or_else(|| panic!("{:?} was not refused", row.code));
        assert_eq!(rejection.code, row.code);
        assert_eq!(rejection.to_string(), row.sentence, "{:?}", row.code);
        assert!(rejection.headroom() <= 0, "{rejection:?}");
    }
}

/// What names nothing known gets no order: `check` has a code for it, `apply` refuses the command.
#[test]
fn unknown_accounts_and_instruments_are_refused() {
    let row = Row {
        code: RejectCode::UnknownAccount,
        setup: "",
        passes: "",
        fails: "",
        sentence: "",
    };
    let case = Case::of(&row, "alice buy 1 @ 100.00");
    let Command::NewOrder(known) = case.judged.command else {
        panic!("a new order was written");
    };
    let unknown_account = NewOrder {
        account: AccountId::new(3),
        ..known.clone()
    };
    let unknown_instrument = NewOrder {
        instrument: InstrumentId::new(1),
        ..known
    };
    for (order, code, sentence, refusal) in [
        (
            unknown_account,
            RejectCode::UnknownAccount,
            "Unknown account",
            Refusal::UnknownAccount,
        ),
        (
            unknown_instrument,
            RejectCode::UnknownInstrument,
            "Unknown symbol",
            Refusal::UnknownInstrument,
        ),
    ] {
        let rejection = case
            .engine
            .check(&order, case.judged.time)
            .rejection
            .expect("a rejection");
        assert_eq!((rejection.code, rejection.to_string().as_str()), (code, sentence));
        assert_eq!(explain(&case.engine, &order, case.judged.time), Vec::new());
        let command = Sequenced {
            command: Command::NewOrder(order),
            ..case.judged
        };
        let events = apply(&mut case.engine.clone(), &command);
        assert_eq!(events, vec![Event::Refused(refusal)]);
    }
}

/// No code is forgotten: a new one does not compile here until it is listed, and then it needs a row.
#[test]
fn every_code_has_a_row() {
    let mut tested: BTreeSet<RejectCode> = rows().map(|row| row.code).collect();
    tested.extend([RejectCode::UnknownAccount, RejectCode::UnknownInstrument]);
    let mut listed = BTreeSet::new();
    let mut next = Some(RejectCode::InsufficientBalance);
    while let Some(code) = next {
        assert!(listed.insert(code), "{code:?} is listed twice");
        next = after(code);
    }
    assert_eq!(tested, listed);
}

/// The codes as a chain.
fn after(code: RejectCode) -> Option<RejectCode> {
    use RejectCode::*;
    Some(match code {
        InsufficientBalance => NoLastPrice,
        NoLastPrice => PositionLimit,
        PositionLimit => RiskPerTrade,
        RiskPerTrade => DailyLossLimit,
        DailyLossLimit => StopLossMissing,
        StopLossMissing => StopLossNotBelowEntry,
        StopLossNotBelowEntry => StopLossNotAboveEntry,
        StopLossNotAboveEntry => RiskRewardRatio,
        RiskRewardRatio => RiskZero,
        RiskZero => PriceSanity,
        PriceSanity => QuantityBelowOne,
        QuantityBelowOne => QuantityAboveLimit,
        QuantityAboveLimit => OrderToPositionRatio,
        OrderToPositionRatio => CircuitBreaker,
        CircuitBreaker => UnknownInstrument,
        UnknownInstrument => Banned,
        Banned => GrossExposure,
        GrossExposure => NetExposure,
        NetExposure => DuplicateBurst,
        DuplicateBurst => RepeatedExecution,
        RepeatedExecution => MisNotAllowed,
        MisNotAllowed => Session,
        Session => IntradayEnded,
        IntradayEnded => StaleProtection,
        StaleProtection => StaleReference,
        StaleReference => TickSize,
        TickSize => LotSize,
        LotSize => PriceBand,
        PriceBand => OrderValue,
        OrderValue => FreezeQuantity,
        FreezeQuantity => OpenOrderValue,
        OpenOrderValue => SymbolPosition,
        SymbolPosition => Holdings,
        Holdings => OrderRate,
        OrderRate => DailyOrders,
        DailyOrders => ModifyCap,
        ModifyCap => PostOnlyWouldCross,
        PostOnlyWouldCross => FillOrKill,
        FillOrKill => MinimumQuantity,
        MinimumQuantity => DisclosedQuantity,
        DisclosedQuantity => GoodTillInPast,
        GoodTillInPast => Incompatible,
        Incompatible => TriggerCrossed,
        TriggerCrossed => NotPending,
        NotPending => StopBeyondTarget,
        StopBeyondTarget => TrailingShare,
        TrailingShare => OrderCapacity,
        OrderCapacity => PositionCapacity,
        PositionCapacity => UnknownAccount,
        UnknownAccount => ClientOrderIdReused,
        ClientOrderIdReused => ClientOrderIdCapacity,
        ClientOrderIdCapacity => return None,
    })
}

/// Random orders in random states: `check` says what `apply` then does, and `explain` finds the same first failure. Venue
/// accounts face only a few of the checks and nobody asks for them.
#[test]
fn check_and_explain_foretell_apply() {
    let mut refused = BTreeSet::new();
    let mut accepted = 0;
    for seed in 1..=20 {
        let mut engine = Engine::new(Capacity {
            positions: 24,
            ..streams_capacity()
        });
        let mut stream = Stream::default();
        let mut open: Vec<OpenOrder> = Vec::new();
        for command in stream.begin() {
            apply(&mut engine, &command);
        }
        for (at, turn) in streams::seeds(seed, 4_000).into_iter().enumerate() {
            stream.turn(turn);
            while let Some(tick) = stream.tick(engine.next_deadline()) {
                apply(&mut engine, &tick);
            }
            let command = stream.command(&open);
            let foretold = foretell(&engine, &command).unwrap_or_else(|why| {
                panic!("seed {seed}, command {at}, {:?}: {why}", command.command);
            });
            let events = apply(&mut engine, &command);
            if let Some(verdict) = foretold {
                let found = events.iter().find_map(rejection);
                assert_eq!(verdict, found, "seed {seed}, command {at}, {:?}", command.command);
                refused.extend(verdict.map(|rejection| rejection.code));
                accepted += usize::from(verdict.is_none());
            }
            open.extend(events.iter().filter_map(accepted_order));
            open.drain(..open.len().saturating_sub(64));
        }
    }
    assert!(
        accepted > 4_500 && refused.len() > 25,
        "{accepted} accepted, refused: {refused:?}"
    );
}

/// The verdict on a new order before it is applied, where there is one to compare.
fn foretell(engine: &Engine, command: &Sequenced<Command>) -> Result<Option<Option<Rejection>>, String> {
    let Command::NewOrder(order) = &command.command else {
        return Ok(None);
    };
    let known = engine.instrument(order.instrument).is_some();
    let venue = engine.account(order.account).is_none_or(|account| account.venue);
    if !known || venue || !order.client_order_id.is_empty() {
        return Ok(None);
    }
    let verdict = engine.check(order, command.time).rejection;
    compare_explanation(verdict, &explain(engine, order, command.time))?;
    Ok(Some(verdict))
}

fn accepted_order(event: &Event) -> Option<OpenOrder> {
    match event {
        Event::OrderAccepted(accepted) => Some(OpenOrder {
            id: accepted.order,
            account: accepted.account,
            instrument: accepted.instrument,
        }),
        _ => None,
    }
}

fn streams_capacity() -> Capacity {
    Capacity {
        accounts: 8,
        instruments: 4,
        orders: 1 << 12,
        positions: 256,
        client_order_ids: 1 << 10,
    }
}
