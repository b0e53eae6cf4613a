//! `pinion bench risk`: what the pre-trade checks cost a command of workload D.
//!
//! The commands are those of D that the dashboard's profile accepts, so that every profile decides the same and only the
//! checks differ. Each round times every profile in turn, in one process: the differences are what to look at.

use std::fmt;
use std::hint::black_box;
use std::time::Instant;

use clap::Args;
use engine::{
    AccountId, Actor, Command, Engine, Event, EventBuffer, LimitFields, RiskLimits, Seq, Sequenced,
    SetLimits, Timestamp,
};
use serde_json::{Map, Number, Value, json};

use super::engine_bench::EngineBenchError;
use super::full_run::{FullRun, START};
use super::limits::TIMED_PASSES;
use super::rig::apply;
use super::workload::{Kind, Name, Workload};

#[derive(Args, Clone, Debug)]
#[command(args_override_self = true)]
pub struct RiskBenchArgs {
    /// Commands of workload D after its prefill.
    #[arg(long, default_value_t = 500_000, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    pub commands: u32,
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Limits under which the same commands are timed.
#[derive(Clone, Debug)]
struct Profile {
    name: &'static str,
    limits: RiskLimits,
    /// Every new order is checked once more before it is applied.
    twice: bool,
}

/// The median over the rounds.
#[derive(Clone, Debug)]
struct Measured {
    name: &'static str,
    /// In tenths of a nanosecond.
    per_command: i64,
}

#[derive(Clone, Debug)]
pub struct RiskReport {
    commands: usize,
    new_orders: usize,
    trades: u64,
    rounds: usize,
    measured: Vec<Measured>,
}

/// Times the accepted commands of workload D under each profile.
///
/// # Errors
/// Where a profile decides otherwise than the others.
pub fn run(args: &RiskBenchArgs) -> Result<RiskReport, EngineBenchError> {
    let workload = Workload::generate(Name::D, None, args.commands as usize, args.seed);
    let mut runs = Vec::new();
    let all: Vec<usize> = (0..workload.records.len()).collect();
    let dashboard = RiskLimits::dashboard();
    let (_, first) = fold(&workload, &dashboard, &all);
    let kept = first.accepted;
    let mut trades = None;
    for profile in profiles() {
        let (run, folded) = fold(&workload, &profile.limits, &kept);
        let same = *trades.get_or_insert(folded.trades);
        if folded.accepted.len() != kept.len() || folded.trades != same {
            let (accepted, of) = (folded.accepted.len(), kept.len());
            return Err(EngineBenchError::WrongResult(vec![format!(
                "{}: {accepted} of {of} commands accepted, {} trades instead of {same}",
                profile.name, folded.trades
            )]));
        }
        runs.push((profile, run, Vec::new()));
    }
    for _ in 0..TIMED_PASSES {
        for (profile, run, times) in &mut runs {
            times.push(timed(run, profile, &kept));
        }
    }
    let measured = runs.into_iter().map(|(profile, _, mut times)| {
        times.sort_unstable();
        Measured {
            name: profile.name,
            per_command: i64::try_from(times[times.len() / 2] * 10 / kept.len() as u128).unwrap_or(i64::MAX),
        }
    });
    Ok(RiskReport {
        commands: kept.len(),
        new_orders: kept.iter().filter(|&&index| is_new(&workload, index)).count(),
        trades: trades.unwrap_or(0),
        rounds: TIMED_PASSES,
        measured: measured.collect(),
    })
}

fn profiles() -> [Profile; 4] {
    let dashboard = RiskLimits::dashboard();
    // Whatever the monitor watches stays on, funds included, and so does self-trade prevention: they do more than checks.
    let off = RiskLimits {
        balance_check: dashboard.balance_check,
        mis_leverage: dashboard.mis_leverage,
        daily_loss_max: dashboard.daily_loss_max,
        drawdown_max: dashboard.drawdown_max,
        position_loss_max: dashboard.position_loss_max,
        order_to_trade_alert: dashboard.order_to_trade_alert,
        self_trade: dashboard.self_trade,
        ..RiskLimits::NONE
    };
    let maker = RiskLimits {
        order_to_trade_alert: dashboard.order_to_trade_alert,
        ..RiskLimits::maker()
    };
    let profile = |name, limits, twice| Profile { name, limits, twice };
    [
        profile("off", off, false),
        profile("maker", maker, false),
        profile("dashboard", dashboard.clone(), false),
        profile("dashboard_checked_twice", dashboard, true),
    ]
}

fn is_new(workload: &Workload, index: usize) -> bool {
    matches!(
        workload.records[index].kind,
        Kind::Limit | Kind::ImmediateOrCancel
    )
}

/// An engine whose accounts all have `limits`, and the `seq` of its last command.
fn engine(run: &FullRun<'_>, limits: &RiskLimits) -> (Engine, u64) {
    let (mut engine, mut seq) = run.engine();
    let mut events = EventBuffer::new();
    let accounts: Vec<AccountId> = engine.accounts().map(|account| account.account).collect();
    for account in accounts {
        seq += 1;
        let actor = Actor { account, admin: true };
        let set = SetLimits {
            actor,
            account,
            strategy: None,
            fields: LimitFields::ALL,
            limits: limits.clone(),
        };
        let command = Command::SetLimits(Box::new(set));
        apply(&mut engine, &sequenced(seq, START.nanos(), command), &mut events);
    }
    (engine, seq)
}

fn sequenced(seq: u64, nanos: u64, command: Command) -> Sequenced<Command> {
    Sequenced {
        seq: Seq::new(seq),
        time: Timestamp::from_nanos(nanos),
        command,
    }
}

/// Commands keep the time that they have in the whole stream.
fn time_of(run: &FullRun<'_>, index: usize) -> u64 {
    START.nanos() + (index as u64 + 1) * run.interval_ns()
}

#[derive(Debug, Default)]
struct Folded {
    /// The commands that were neither rejected nor refused.
    accepted: Vec<usize>,
    trades: u64,
}

/// Folds commands of the workload; the run knows the engine's order ids afterwards.
fn fold<'a>(workload: &'a Workload, limits: &RiskLimits, indices: &[usize]) -> (FullRun<'a>, Folded) {
    let mut run = FullRun::new(workload);
    run.order_ids = vec![0; workload.max_order_id as usize + 1];
    let (mut engine, mut seq) = engine(&run, limits);
    let mut events = EventBuffer::new();
    let mut folded = Folded::default();
    for &index in indices {
        seq += 1;
        let command = sequenced(seq, time_of(&run, index), run.command(index));
        apply(&mut engine, &command, &mut events);
        let (mut accepted, mut placed) = (true, false);
        for event in events.iter() {
            match event {
                Event::OrderAccepted(order) if !placed && is_new(workload, index) => {
                    let entry = workload.records[index].id as usize;
                    run.order_ids[entry] = u32::try_from(order.order.get()).unwrap_or(u32::MAX);
                    placed = true;
                }
                Event::OrderRejected(_) | Event::Refused(_) => accepted = false,
                Event::Trade(_) => folded.trades += 1,
                _ => {}
            }
        }
        if accepted {
            folded.accepted.push(index);
        }
    }
    (run, folded)
}

/// Nanoseconds for all commands in `Engine::apply`.
fn timed(run: &FullRun<'_>, profile: &Profile, indices: &[usize]) -> u128 {
    let (mut engine, mut seq) = engine(run, &profile.limits);
    let mut events = EventBuffer::new();
    let start = Instant::now();
    for &index in indices {
        seq += 1;
        let command = sequenced(seq, time_of(run, index), run.command(index));
        if profile.twice
            && let Command::NewOrder(order) = &command.command
        {
            black_box(engine.check(order, command.time));
        }
        apply(&mut engine, &command, &mut events);
        black_box(events.as_slice());
    }
    start.elapsed().as_nanos()
}

/// Tenths of a nanosecond, as nanoseconds.
struct Nanos(i64);

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let tenths = self.0.unsigned_abs();
        f.pad(&format!("{sign}{}.{}", tenths / 10, tenths % 10))
    }
}

impl RiskReport {
    fn of(&self, name: &str) -> i64 {
        let found = self.measured.iter().find(|measured| measured.name == name);
        found.map_or(0, |measured| measured.per_command)
    }

    /// What the checks of a profile take beyond those that are never off.
    fn more(&self, name: &str) -> i64 {
        self.of(name) - self.of("off")
    }

    /// What one more whole pass takes.
    fn whole_pass(&self) -> i64 {
        self.of("dashboard_checked_twice") - self.of("dashboard")
    }

    pub fn json(&self) -> Value {
        let number = |tenths: i64| Value::Number(Number::from_string_unchecked(Nanos(tenths).to_string()));
        let measured = self.measured.iter();
        json!({
            "bench": "risk",
            "commands": self.commands,
            "new_orders": self.new_orders,
            "trades": self.trades,
            "rounds": self.rounds,
            "ns_per_command": measured
                .map(|of| (of.name.to_owned(), number(of.per_command)))
                .collect::<Map<_, _>>(),
            "maker_ns_more": number(self.more("maker")),
            "dashboard_ns_more": number(self.more("dashboard")),
            "whole_pass_ns": number(self.whole_pass()),
        })
    }
}

impl fmt::Display for RiskReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RiskReport {
            commands,
            new_orders,
            trades,
            rounds,
            ..
        } = self;
        writeln!(
            f,
            "Risk pass, workload D: {commands} accepted commands ({new_orders} new orders, {trades} trades), median of \
             {rounds} rounds in one process; ns per command"
        )?;
        for of in &self.measured {
            writeln!(f, "  {:<24} {:>9}", of.name, Nanos(of.per_command))?;
        }
        writeln!(f, "  checks of maker          {:>9}", Nanos(self.more("maker")))?;
        writeln!(
            f,
            "  checks of dashboard      {:>9}",
            Nanos(self.more("dashboard"))
        )?;
        write!(f, "  one more whole pass      {:>9}", Nanos(self.whole_pass()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_decides_the_same() {
        let args = RiskBenchArgs {
            commands: 20_000,
            seed: 7,
            json: false,
        };
        let report = run(&args).unwrap();
        assert!(report.new_orders > 1_000 && report.trades > 100, "{report}");
        assert!(report.measured.iter().all(|of| of.per_command > 0));
    }
}
