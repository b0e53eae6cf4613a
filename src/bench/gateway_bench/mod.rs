//! `pinion bench gateway`: orders over HTTP and WebSocket against a real server, beside a bare mio echo of as many
//! bytes in the same run.
//!
//! Open loop: requests leave at planned times whatever the answers do, and latency counts from the planned send, so a
//! stall is charged to every request that it delayed. The lanes take turns of half a second, so that what else the
//! machine does falls on all of them alike. A figure is given only where every order was answered 201.

mod downloads;
mod echo;
mod lane;

use std::fmt;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clap::{Args, ValueEnum};
use hdrhistogram::Histogram;
use persistence_writer::bench::{self, Load};
use serde_json::{Value, json};

use self::downloads::{Downloaded, Downloads};
use self::echo::Echo;
use self::lane::{Lane, Protocol};
pub(super) use self::lane::{http_answer, http_request as http_order, masked_text, upgrade};
use super::limits::{GATEWAY_BENCH_REQUESTS_MAX, GATEWAY_BENCH_SYNCS, GATEWAY_BENCH_TURN};

#[derive(Args, Clone, Debug)]
#[command(args_override_self = true)]
pub struct GatewayBenchArgs {
    /// When the server's answers may leave.
    #[arg(long, value_enum, default_value = "memory")]
    pub ack: BenchAck,
    /// Orders per second.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: u32,
    /// Time of each lane, besides a turn to warm up.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub seconds: u32,
    /// How the server's engine thread waits; its default where it is absent.
    #[arg(long, value_name = "STRATEGY")]
    pub wait: Option<String>,
    /// Measure once more beside as many readers, each downloading the whole history of orders again and again.
    #[arg(long, value_name = "COUNT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=64))]
    pub readers: u32,
    /// On the disk of the journal; a folder is made in it and removed again.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum BenchAck {
    Memory,
    Durable,
}

impl BenchAck {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            BenchAck::Memory => "memory",
            BenchAck::Durable => "durable",
        }
    }
}

/// Why there is no figure to report.
#[derive(Debug, thiserror::Error)]
pub enum GatewayBenchError {
    #[error("{what}: {source}")]
    Io { what: &'static str, source: io::Error },
    #[error("wrong result, so no time: {0}")]
    WrongResult(String),
    #[error(
        "rate x seconds is more than {GATEWAY_BENCH_REQUESTS_MAX} orders, which the engine's pool does not hold"
    )]
    TooMany,
}

pub(super) fn failed(what: &'static str) -> impl FnOnce(io::Error) -> GatewayBenchError {
    move |source| GatewayBenchError::Io { what, source }
}

/// A lane's name and what it measured.
type LaneTimes = (&'static str, Histogram<u64>);

#[derive(Clone, Debug)]
pub struct GatewayReport {
    ack: BenchAck,
    rate: u32,
    /// Nanoseconds from the planned send to the whole answer.
    lanes: Vec<LaneTimes>,
    /// The same beside `--readers`, and what those downloaded.
    beside: Option<(Vec<LaneTimes>, Downloaded)>,
    readers: u32,
    /// Nanoseconds of a bare fdatasync, with `--ack durable`.
    sync: Option<Histogram<u64>>,
    /// The server's own account: `GET /api/oms/latency`.
    stages: Value,
}

/// # Errors
/// Where server or echo cannot be run, or an answer is not the one that is due.
pub fn run(args: &GatewayBenchArgs) -> Result<GatewayReport, GatewayBenchError> {
    let passes = 1 + u64::from(args.readers > 0);
    let requests = u64::from(args.rate) * (u64::from(args.seconds) * passes + 1);
    if requests > GATEWAY_BENCH_REQUESTS_MAX {
        return Err(GatewayBenchError::TooMany);
    }
    let scratch = Scratch::new(&args.directory)?;
    let server = Server::start(args.ack, args.wait.as_deref(), &scratch.0)?;
    let mut lanes = Vec::new();
    for protocol in [Protocol::Http, Protocol::WebSocket] {
        let lane = Lane::open(protocol, server.address)?;
        let echo = Echo::start(lane.request().len(), lane.answer_len())?;
        let bare = Lane::bare(&lane, &echo)?;
        lanes.push((bare, Some(echo)));
        lanes.push((lane, None));
    }
    let turn = GATEWAY_BENCH_TURN;
    for (lane, _) in &mut lanes {
        lane.take_turn(args.rate, turn)?;
        lane.forget();
    }
    take_turns(&mut lanes, args)?;
    let alone = histograms(&lanes);
    let beside = match args.readers {
        0 => None,
        readers => {
            lanes.iter_mut().for_each(|(lane, _)| lane.forget());
            let downloads = Downloads::start(server.address, readers);
            take_turns(&mut lanes, args)?;
            Some((histograms(&lanes), downloads.end()?))
        }
    };
    let sync = match args.ack {
        BenchAck::Memory => None,
        BenchAck::Durable => Some(bare_sync(&scratch.0)?),
    };
    let stages = lane::fetch(server.address, "/api/oms/latency")?;
    Ok(GatewayReport {
        ack: args.ack,
        rate: args.rate,
        lanes: alone,
        beside,
        readers: args.readers,
        sync,
        stages,
    })
}

/// Every lane's turns, one after the other.
fn take_turns(lanes: &mut [(Lane, Option<Echo>)], args: &GatewayBenchArgs) -> Result<(), GatewayBenchError> {
    let turn = GATEWAY_BENCH_TURN;
    let turns = u128::from(args.seconds) * 1_000 / turn.as_millis();
    for _ in 0..turns {
        for (lane, _) in &mut *lanes {
            lane.take_turn(args.rate, turn)?;
        }
    }
    Ok(())
}

fn histograms(lanes: &[(Lane, Option<Echo>)]) -> Vec<LaneTimes> {
    let of = |(lane, _): &(Lane, Option<Echo>)| (lane.name(), lane.histogram().clone());
    lanes.iter().map(of).collect()
}

/// One block each, one at a time, into a file of zeros: what a single order's durability costs at least.
fn bare_sync(directory: &Path) -> Result<Histogram<u64>, GatewayBenchError> {
    let load = Load {
        batch: 1,
        batches: GATEWAY_BENCH_SYNCS,
    };
    let measured = bench::bare(directory, load, 1).map_err(failed("bare fdatasync"))?;
    Ok(measured.batch_ns)
}

impl GatewayReport {
    fn quantile(&self, name: &str, quantile: f64) -> u64 {
        let lane = self.lanes.iter().find(|(found, _)| *found == name);
        lane.map_or(0, |(_, histogram)| histogram.value_at_quantile(quantile))
    }

    /// What is compared with a target: its name, the found and the permitted value, in hundredths.
    fn ratios(&self) -> Vec<(&'static str, u64, u64)> {
        let percent = |found: u64, bare: u64| found * 100 / bare.max(1);
        let of = |lane, bare, quantile| percent(self.quantile(lane, quantile), self.quantile(bare, quantile));
        match &self.sync {
            None => vec![
                ("POST p50 / echo p50", of("POST", "echo of POST", 0.5), 150),
                ("POST p99 / echo p99", of("POST", "echo of POST", 0.99), 300),
                (
                    "WebSocket p50 / echo p50",
                    of("WebSocket", "echo of WebSocket", 0.5),
                    130,
                ),
            ],
            Some(sync) => {
                let echo = self.quantile("echo of POST", 0.5);
                let beyond = self.quantile("POST", 0.5).saturating_sub(echo);
                let ratio = percent(beyond, sync.value_at_quantile(0.5));
                vec![("(POST p50 - echo p50) / fdatasync p50", ratio, 130)]
            }
        }
    }

    fn rows(&self) -> impl Iterator<Item = (String, &Histogram<u64>)> {
        let lanes = self
            .lanes
            .iter()
            .map(|(name, histogram)| ((*name).to_owned(), histogram));
        let beside = self.beside.iter().flat_map(|(lanes, _)| lanes);
        let beside = beside.map(|(name, histogram)| (format!("{name}, {} readers", self.readers), histogram));
        let sync = self.sync.iter().map(|sync| ("bare fdatasync".to_owned(), sync));
        lanes.chain(beside).chain(sync)
    }

    pub fn json(&self) -> Value {
        let rows = self.rows().map(|(name, histogram)| {
            json!({
                "lane": name,
                "count": histogram.len(),
                "p50_ns": histogram.value_at_quantile(0.5),
                "p90_ns": histogram.value_at_quantile(0.9),
                "p99_ns": histogram.value_at_quantile(0.99),
                "p99_9_ns": histogram.value_at_quantile(0.999),
                "max_ns": histogram.max(),
            })
        });
        let ratios = self.ratios().into_iter().map(|(name, found, target)| {
            json!({ "ratio": name, "percent": found, "target_percent": target, "met": found <= target })
        });
        json!({
            "benchmark": "gateway",
            "ack": self.ack.as_str(),
            "rate_per_second": self.rate,
            "lanes": rows.collect::<Vec<_>>(),
            "ratios": ratios.collect::<Vec<_>>(),
            "server_stages": self.stages["stages"],
            "readers": self.readers,
            "downloads": self.beside.as_ref().map(|(_, downloaded)| downloaded.count),
            "downloaded_bytes": self.beside.as_ref().map(|(_, downloaded)| downloaded.bytes),
        })
    }
}

impl fmt::Display for GatewayReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ack, rate) = (self.ack.as_str(), self.rate);
        writeln!(f, "open loop, {rate} orders/s, ack {ack}; microseconds")?;
        writeln!(
            f,
            "{:<30} {:>8} {:>8} {:>8} {:>8} {:>8}",
            "", "count", "p50", "p99", "p99.9", "max"
        )?;
        for (name, histogram) in self.rows() {
            let us = |quantile| histogram.value_at_quantile(quantile) / 1_000;
            let (count, max) = (histogram.len(), histogram.max() / 1_000);
            let (p50, p99, p99_9) = (us(0.5), us(0.99), us(0.999));
            writeln!(f, "{name:<30} {count:>8} {p50:>8} {p99:>8} {p99_9:>8} {max:>8}")?;
        }
        if let Some((_, downloaded)) = &self.beside {
            let (count, mib) = (downloaded.count, downloaded.bytes >> 20);
            writeln!(f, "{count} downloads of the history of orders, {mib} MiB")?;
        }
        for (name, found, target) in self.ratios() {
            let word = if found <= target { "met" } else { "missed" };
            let hundredths = |value: u64| format!("{}.{:02}", value / 100, value % 100);
            writeln!(
                f,
                "{name}: {} (target {}: {word})",
                hundredths(found),
                hundredths(target)
            )?;
        }
        writeln!(f, "server, by stage: count, p50, p99 in ns")?;
        for row in self.stages["stages"].as_array().into_iter().flatten() {
            writeln!(
                f,
                "  {:<10} {:>8} {:>9} {:>9}",
                row["stage"].as_str().unwrap_or(""),
                row["count"],
                row["p50"],
                row["p99"]
            )?;
        }
        Ok(())
    }
}

/// A folder that goes when the benchmark ends.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn new(directory: &Path) -> Result<Scratch, GatewayBenchError> {
        let path = directory.join(format!("pinion-bench-{}", std::process::id()));
        std::fs::create_dir(&path).map_err(failed("scratch folder"))?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("pinion: {} remains: {error}", self.0.display());
        }
    }
}

/// This program as a server of its own, with one maker who may send as fast as it likes.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    pub(super) address: SocketAddr,
}

const CONFIG: &str = "[[accounts]]\nname = \"main\"\nbalance = \"1000000000.00\"\nprofile = \"bench\"\nrole = \"admin\"\n\
                      [profiles.bench]\nbase = \"maker\"\norders_per_second_max = \"off\"\n";

impl Server {
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn start(
        ack: BenchAck,
        wait: Option<&str>,
        folder: &Path,
    ) -> Result<Server, GatewayBenchError> {
        let config = folder.join("pinion.toml");
        std::fs::write(&config, CONFIG).map_err(failed("configuration"))?;
        let program = std::env::current_exe().map_err(failed("this program's path"))?;
        let mut command = Command::new(program);
        command
            .env_clear()
            .args(["serve", "--listen", "127.0.0.1:0", "--market", "none"])
            .args(["--ack", ack.as_str()])
            .arg("--config")
            .arg(&config)
            .arg("--data-dir")
            .arg(folder.join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(folder.join("log")).map_err(failed("log"))?);
        if let Some(wait) = wait {
            command.args(["--wait", wait]);
        }
        let mut child = command.spawn().map_err(failed("server"))?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output)
                .read_line(&mut line)
                .map_err(failed("server's first line"))?;
        }
        let address = line
            .trim()
            .strip_prefix("ready http://")
            .and_then(|text| text.parse().ok());
        let mut server = Server {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let Some(address) = address else {
            let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
            return Err(GatewayBenchError::WrongResult(format!(
                "the server did not start: {log}"
            )));
        };
        server.address = address;
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its data goes with the folder, so there is nothing to end in order.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How long an answer may take before the run has failed.
const PATIENCE: Duration = Duration::from_secs(10);
