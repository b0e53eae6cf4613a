//! `pinion serve`: one numbered list of what is started, in what order, and how it ends.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use api_sidecar::gateway::{self, Directory, Gateway};
use api_sidecar::rest::{self, ProcessHealth, RestSettings};
use crossbeam_channel::{Receiver, Sender};
use engine::lane::{JournalEntry, Outbound, Request};
use engine::{Actor, Capacity, Command, Engine, Event, KillScope, KillSwitch, Seq, Text, TradingState};
use market::{SimInstrument, Simulator, SimulatorSettings};
use persistence_writer::journal::{self, Disk, JournalError, Opened};
use persistence_writer::projector::{self, ProjectorStatus, Reconciler, UrlError};
use persistence_writer::replica::{self, Replica};
use persistence_writer::snapshot::{self, SnapshotError};
use persistence_writer::writer::{self, Writer};
use persistence_writer::{DataDir, DataDirError, Progress};
use read_model::{ReadModel, SharedReadModel};
use rtrb::{Consumer, RingBuffer};
use tracing::{error, info, warn};

use crate::cli::ServeArgs;
use crate::clock::Clock;
use crate::config::{Ack, Config, ConfigError, Dashboard, Environment, Machine, Market, SIM_ACCOUNTS};
use crate::descriptors;
use crate::earlier;
use crate::engine_thread::{self, Lanes};
use crate::genesis::{Genesis, GenesisError, Held};
use crate::instruments::{self, InstrumentsError};
use crate::limits::{
    EARLIER_CATCH_UP, GATEWAY_RING, JOURNAL_RING, MARKET_RING, OUTBOUND_RING, REST_THREADS, START_TIMEOUT,
    THREAD_END_TIMEOUT,
};
use crate::placement::{stay_on, take_short_turns};
use crate::sequencer::Sequencer;
use crate::tables::{self, Tables};

/// Why a server did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Auth(#[from] api_sidecar::auth::AuthError),
    #[error(transparent)]
    Instruments(#[from] InstrumentsError),
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    #[error("DATABASE_URL {0}")]
    DatabaseUrl(#[from] UrlError),
    #[error("the configuration was refused: {0}")]
    Refused(String),
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error("{damage}; see: pinion repair --data-dir {}", data_dir.display())]
    Damaged { damage: JournalError, data_dir: PathBuf },
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("the state that the journal gives breaks an invariant: {0}")]
    Unsound(#[from] engine::RestoreError),
    #[error(transparent)]
    Gateway(#[from] gateway::GatewayError),
    #[error(transparent)]
    Rest(#[from] rest::RestError),
    #[error("thread {0} cannot be started: {1}")]
    Spawn(&'static str, std::io::Error),
    #[error("signals cannot be handled: {0}")]
    Signals(std::io::Error),
    #[error("the read model did not reach the journal's end within {0:?}")]
    ReadModelBehind(Duration),
    #[error("thread {0} ended by itself")]
    ThreadEnded(&'static str),
    #[error("the journal has failed: {0}")]
    JournalFailed(String),
}

/// Starts everything, serves until a signal or a failure, and ends everything.
pub fn run(args: &ServeArgs) -> Result<(), ServeError> {
    // 1. What we are told. Nothing is touched before it is all understood.
    let config = Config::load(args, &Environment::of_process(), &Machine::here())?;
    let instruments = instruments::load(config.instruments_file.as_deref(), config.capacity.instruments)?;
    let tables = Tables::of(&config)?;
    start_logging(&config);
    descriptors::raise_limit();

    // 2. The data directory is ours alone.
    let data_dir = DataDir::open(&config.server.data_dir)?;

    // 3. The past: the newest snapshot and the journal after it fold the read model, and the hot engine is its copy.
    let Recovered {
        engine,
        model,
        opened,
        disk_low,
    } = recover(&data_dir, config.segment_bytes).map_err(|error| match error {
        ServeError::Journal(damage @ JournalError::Damaged { .. }) => ServeError::Damaged {
            damage,
            data_dir: config.server.data_dir.clone(),
        },
        error => error,
    })?;
    let position = opened.walked.end;
    let journal_id = opened.walked.journal;
    let failure = opened.previous_failure.clone();

    // 4. Rings, from the engine's point of view.
    let (gateway_in, gateway_out) = RingBuffer::<Request>::new(GATEWAY_RING);
    let (market_in, market_out) = RingBuffer::<Command>::new(MARKET_RING);
    let (journal_in, journal_out) = RingBuffer::<JournalEntry>::new(JOURNAL_RING);
    let (outbound_in, mut outbound_out) = RingBuffer::<Outbound>::new(OUTBOUND_RING);
    let (control_in, control_out) = crossbeam_channel::bounded::<Command>(0);
    let (ends, ended) = crossbeam_channel::unbounded::<&'static str>();

    // 5. The gateway's socket, before anything runs that would have to be stopped if the port is taken.
    let ack = match config.server.ack {
        Ack::Durable => persistence_writer::Ack::Durable,
        Ack::Memory => persistence_writer::Ack::Memory,
    };
    let progress = Arc::new(Progress::new(ack, engine.last_seq(), disk_low));
    let rest_socket = data_dir.path().join("rest.sock");
    let gateway = Gateway::bind(gateway::Settings {
        listen: config.server.listen,
        ack: match config.server.ack {
            Ack::Durable => gateway::AckMode::Durable,
            Ack::Memory => gateway::AckMode::Memory,
        },
        rest_socket: rest_socket.clone(),
        allowed_origins: config.server.allowed_origins.clone(),
        auth: config.access()?,
        upstream: match &config.dashboard {
            Dashboard::Upstream(address) => Some(*address),
            Dashboard::BuiltIn | Dashboard::Folder(_) => None,
        },
    })?;
    let awaited = Arc::clone(&progress);
    let mut gateway = gateway
        .with_disk_low(progress.disk_low())
        .apart_from_engine(config.server.placement.is_apart())
        .with_nudge(move || awaited.nudge_writer());
    let address = gateway.local_addr();

    let engine_core = config.server.placement.engine_core();

    // 6. Thread `writer`: from here on what is sequenced becomes durable.
    let (doorbell, latency) = (gateway.doorbell(), gateway.latency());
    let journaled = Arc::clone(&progress);
    let journal_writer = Writer::new(
        opened,
        journal_out,
        Arc::clone(&progress),
        Box::new(move || {
            latency.note_release();
            doorbell.ring_for(journaled.readable());
        }),
    );
    let placement = config.server.placement;
    let writer = spawn("writer", &ends, move || {
        // It mostly waits for the disk.
        stay_on(placement.gateway);
        writer::run(journal_writer)
    })?;

    // 7. Genesis: the configuration, as commands, before anyone else's. An earlier failure stops trading first.
    let mut sequencer = Sequencer::new(engine, journal_in, outbound_in, gateway.latency().clock().clone());
    let genesis = Genesis::plan(
        &config,
        &instruments,
        &Held::by(sequencer.engine()),
        model.definitions(),
    )?;
    for notice in &genesis.notices {
        warn!("{notice}");
    }
    let first = failure.map(|reason| kill_after(&reason));
    for command in first.into_iter().chain(genesis.commands) {
        sequence_genesis(&mut sequencer, &mut outbound_out, command)?;
    }

    // 8. Thread `replica`: the read model follows the journal. It keeps a snapshot that the tables could start from.
    let tables_status = Arc::new(ProjectorStatus::new(tables.backend()));
    let consumed = Arc::clone(&tables_status);
    let model = Arc::new(SharedReadModel::new(model));
    let stop_replica = Arc::new(AtomicBool::new(false));
    let follower = Replica::new(
        data_dir.journal(),
        position,
        Arc::clone(&model),
        Arc::clone(&progress),
    )?
    .with_snapshots(data_dir.snapshots(), Box::new(move || consumed.written()))
    .map_err(|error| ServeError::Spawn("snapshots", error))?
    .with_core(engine_core.clone())
    .with_alarm({
        let notices = gateway.notices();
        Box::new(move |notice| notices.raise(notice))
    });
    let replica = spawn("replica", &ends, {
        let stop = Arc::clone(&stop_replica);
        move || {
            stay_on(placement.followers);
            replica::run(follower, &stop)
        }
    })?;

    // 9. Thread `projector`: the tables follow the journal, at the pace of their database.
    let (reconciler, requests) = Reconciler::new();
    let earlier = earlier::probe(&tables, EARLIER_CATCH_UP);
    let stop_projector = Arc::new(AtomicBool::new(false));
    let projector = spawn("projector", &ends, {
        let source = projector::Source {
            storage: data_dir.journal(),
            journal: journal_id,
            progress: Arc::clone(&progress),
            status: Arc::clone(&tables_status),
        };
        let (stop, notices) = (Arc::clone(&stop_projector), gateway.notices());
        let core = engine_core.clone();
        let (snapshots, behind_after) = (data_dir.tables_snapshots(), config.database_behind_after);
        let alarm = Box::new(move |notice| notices.raise(notice));
        move || {
            stay_on(placement.followers);
            tables.follow(source, snapshots, alarm, behind_after, requests, (core, &stop))
        }
    })?;

    // 10. Threads `rest-N`: reads, behind the gateway.
    let engine_alive = Arc::new(AtomicBool::new(true));
    let health = health_probe(Arc::clone(&progress), Arc::clone(&engine_alive), tables_status);
    let settings = RestSettings {
        threads: REST_THREADS,
        health,
        earlier: Some(earlier),
        reconcile: Some(tables::reconcile_probe(reconciler, Arc::clone(&model))),
        latency: gateway.latency(),
        assets_dir: match &config.dashboard {
            Dashboard::Folder(folder) => Some(folder.clone()),
            Dashboard::BuiltIn | Dashboard::Upstream(_) => None,
        },
    };
    let rest = rest::serve(&rest_socket, Arc::clone(&model), settings)?;

    // 11. Thread `figures`: depths and P&L out of the read model, for the gateway to push.
    let publisher = gateway.publisher(Arc::clone(&model));
    let stop_figures = Arc::new(AtomicBool::new(false));
    let figures = spawn("figures", &ends, {
        let (stop, core) = (Arc::clone(&stop_figures), engine_core.clone());
        move || {
            stay_on(placement.followers);
            publisher.run(&stop, &core)
        }
    })?;

    // 12. Thread `market`: the paper market, a client like any other.
    let stop_market = Arc::new(AtomicBool::new(false));
    let simulator = simulator(config.market, sequencer.engine());
    let market_lane = simulator.is_some().then_some(market_out);
    let market = simulator.map(|simulator| {
        let (stop, paused) = (Arc::clone(&stop_market), progress.disk_low());
        let core = engine_core.clone();
        spawn("market", &ends, move || {
            stay_on(placement.followers);
            market::run(simulator, market_in, &stop, &paused, &core)
        })
    });
    let market = market.transpose()?;

    // 13. Thread `gateway`: the port. Reads show everything that is known by then.
    let genesis_end = sequencer.engine().last_seq();
    let directory = Directory::from_engine(sequencer.engine());
    let directory = match model.read_at(genesis_end, START_TIMEOUT) {
        Some(model) => directory.with_history(&model),
        None if progress.is_failed() => directory,
        None => return Err(ServeError::ReadModelBehind(START_TIMEOUT)),
    };
    let stop_gateway = Arc::new(AtomicBool::new(false));
    let doorbell = gateway.doorbell();
    let lanes = gateway::Lanes {
        requests: gateway_in,
        engine_core: engine_core.clone(),
        outbound: outbound_out,
        released: progress.released(),
    };
    let gateway_thread = spawn("gateway", &ends, {
        let stop = Arc::clone(&stop_gateway);
        move || {
            stay_on(placement.gateway);
            if ack == persistence_writer::Ack::Memory {
                // Otherwise its answers wait for the writer, whom it would keep from their core.
                take_short_turns();
            }
            gateway.run(lanes, directory, &stop)
        }
    })?;

    // 14. Thread `engine`: decisions begin.
    let lanes = Lanes {
        control: control_out,
        gateway: gateway_out,
        market: market_lane,
    };
    let wait = config.server.wait;
    let engine = spawn("engine", &ends, move || {
        stay_on(placement.engine);
        take_short_turns();
        let sequencer = engine_thread::run(sequencer, lanes, wait, &engine_core);
        engine_alive.store(false, Ordering::Release);
        sequencer.engine().state_hash()
    })?;

    // 15. Ready.
    let signals = signals()?;
    announce(address);
    let cause = wait_for_end(&signals, &ended);

    // 16. The end, from the outside in: no more requests, no more quotes, no more decisions, all of it durable.
    stop_market.store(true, Ordering::Release);
    stop_figures.store(true, Ordering::Release);
    stop_gateway.store(true, Ordering::Release);
    doorbell.ring();
    let gateway_end = join("gateway", gateway_thread);
    if let Some(market) = market {
        join("market", market);
    }
    drop(control_in);
    let state_hash = join("engine", engine);
    let written = join("writer", writer);
    stop_replica.store(true, Ordering::Release);
    stop_projector.store(true, Ordering::Release);
    join("replica", replica);
    join("projector", projector);
    join("figures", figures);
    rest.stop();
    if let Some(Err(error)) = gateway_end {
        return Err(ServeError::Gateway(error));
    }
    finish(cause, written, state_hash, &progress)
}

/// What snapshot and journal gave.
struct Recovered {
    engine: Engine,
    model: ReadModel,
    opened: Opened<Disk>,
    disk_low: Arc<AtomicBool>,
}

/// A clock that is further behind the journal is worth a warning.
const CLOCK_BEHIND_NS: u64 = 1_000_000_000;

fn recover(data_dir: &DataDir, segment_bytes: u32) -> Result<Recovered, ServeError> {
    let started = Instant::now();
    let disk_low = Arc::new(AtomicBool::new(false));
    let settings = journal::Settings::server(segment_bytes, Arc::clone(&disk_low))
        .map_err(|error| ServeError::JournalFailed(error.to_string()))?;
    let newest = snapshot::newest(&data_dir.snapshots(), &data_dir.journal(), Seq::new(u64::MAX))?;
    let mut model = match newest {
        Some((_, model)) => model,
        None => ReadModel::new(Capacity::default()),
    };
    let from_snapshot = model.seq();
    let opened = journal::open(data_dir.journal(), &settings, from_snapshot, |command| {
        model.apply(command);
    })?;
    // Through bytes, so that the copy is checked and has its full reserves.
    let engine = Engine::restore(&model.engine().save())?;
    info!(
        last_seq = engine.last_seq().get(),
        from_snapshot = from_snapshot.get(),
        state_hash = format!("{:016x}", engine.state_hash()),
        torn_tail = opened.walked.torn.is_some(),
        elapsed_ms = started.elapsed().as_millis(),
        "journal recovered"
    );
    let behind = engine.time().saturating_since(Clock::Wall.now());
    if behind > CLOCK_BEHIND_NS {
        warn!(
            behind_s = behind / 1_000_000_000,
            "the clock of this machine is behind the journal's last command: time passes at half its speed until it has caught up"
        );
    }
    Ok(Recovered {
        engine,
        model,
        opened,
        disk_low,
    })
}

/// The journal failed in an earlier run: what was decided then may be lost, so nobody trades before a person looked.
fn kill_after(reason: &str) -> Command {
    warn!(
        reason,
        "the journal failed in an earlier run: starting with trading stopped"
    );
    Command::KillSwitch(KillSwitch {
        actor: Actor::PROCESS,
        scope: KillScope::Engine,
        state: TradingState::Reducing,
        flatten: Some(false),
        reason: Text::cut(&format!("Journal failure in an earlier run: {reason}")),
        triggered_by: Text::cut("recovery"),
    })
}

/// Sequences one command of the configuration and drains its events, which nobody else sees yet.
fn sequence_genesis(
    sequencer: &mut Sequencer,
    outbound: &mut Consumer<Outbound>,
    command: Command,
) -> Result<(), ServeError> {
    while !sequencer.has_room() {
        if sequencer.is_cut_off() {
            return Err(ServeError::JournalFailed(
                "the writer ended during start-up".to_owned(),
            ));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let described = format!("{command:?}");
    let now = sequencer.now();
    let mut refused = None;
    // Also while it runs: the kill switch after a failure may cancel more orders than the ring has slots.
    let mut drain = || {
        while let Ok(item) = outbound.pop() {
            if let Outbound::Event(Event::Refused(refusal)) = item {
                refused = Some(refusal);
            }
        }
    };
    sequencer.sequence_idling(command, None, now, &mut drain);
    drain();
    match refused {
        Some(refusal) => Err(ServeError::Refused(format!("{refusal} ({described})"))),
        None => Ok(()),
    }
}

fn simulator(market: Market, engine: &Engine) -> Option<Simulator> {
    let Market::Sim { seed } = market else { return None };
    let account = |name: &str| {
        let found = engine.accounts().find(|account| account.name.as_str() == name);
        found.expect("genesis defines the simulator's accounts").account
    };
    let [maker, taker] = SIM_ACCOUNTS.map(account);
    let instruments = engine
        .instruments()
        .map(|instrument| SimInstrument::from(&instrument))
        .collect();
    Some(Simulator::new(SimulatorSettings::new(
        seed,
        instruments,
        maker,
        taker,
    )))
}

fn health_probe(
    progress: Arc<Progress>,
    engine_alive: Arc<AtomicBool>,
    tables: Arc<ProjectorStatus>,
) -> rest::HealthProbe {
    Box::new(move || ProcessHealth {
        database: !progress.is_failed() && !progress.is_ended(),
        order_manager: engine_alive.load(Ordering::Acquire),
        written: progress.written(),
        durable: progress.durable(),
        tables: Some(tables::health(&tables)),
    })
}

/// Starts a named thread that says when it ends.
fn spawn<T: Send + 'static>(
    name: &'static str,
    ends: &Sender<&'static str>,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, ServeError> {
    let end = SendOnDrop {
        name,
        ends: ends.clone(),
    };
    let body = move || {
        let _end = end;
        body()
    };
    Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|error| ServeError::Spawn(name, error))
}

/// Reports a thread's end even when it panics.
struct SendOnDrop {
    name: &'static str,
    ends: Sender<&'static str>,
}

impl Drop for SendOnDrop {
    fn drop(&mut self) {
        let _ = self.ends.send(self.name);
    }
}

/// The one line on standard output that scripts wait for.
fn announce(address: SocketAddr) {
    let mut out = std::io::stdout().lock();
    let said = writeln!(out, "ready http://{address}").and_then(|()| out.flush());
    if let Err(error) = said {
        warn!(%error, "standard output is closed");
    }
    info!(%address, "ready");
}

fn start_logging(config: &Config) {
    let filter = tracing_subscriber::EnvFilter::new(config.log_level.as_str());
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(std::io::stderr)
        .try_init();
}

fn signals() -> Result<Receiver<i32>, ServeError> {
    let (caught, signals) = crossbeam_channel::bounded(1);
    let mut source =
        signal_hook::iterator::Signals::new([signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT])
            .map_err(ServeError::Signals)?;
    let relay = move || {
        if let Some(signal) = source.forever().next() {
            let _ = caught.send(signal);
        }
        // A second signal while we are ending ends us at once.
        if source.forever().next().is_some() {
            std::process::exit(130);
        }
    };
    Builder::new()
        .name("signals".to_owned())
        .spawn(relay)
        .map_err(|error| ServeError::Spawn("signals", error))?;
    Ok(signals)
}

/// Why the server ends: `None` for a signal, else the thread that ended by itself.
fn wait_for_end(signals: &Receiver<i32>, ended: &Receiver<&'static str>) -> Option<&'static str> {
    crossbeam_channel::select! {
        recv(signals) -> signal => {
            info!(signal = signal.unwrap_or_default(), "stopping");
            None
        }
        recv(ended) -> thread => {
            let thread = thread.unwrap_or("?");
            error!(thread, "a thread ended by itself: stopping");
            Some(thread)
        }
    }
}

/// Waits for a thread's end, within bounds: a thread that does not end must not keep the process. Looks are counted, not the
/// time: where the whole process is stopped for a while, the thread was, too.
fn join<T>(name: &'static str, thread: JoinHandle<T>) -> Option<T> {
    const LOOK_EVERY: Duration = Duration::from_millis(1);
    let mut looks = THREAD_END_TIMEOUT.as_millis() / LOOK_EVERY.as_millis();
    while !thread.is_finished() {
        if looks == 0 {
            error!(thread = name, "thread did not end in time");
            return None;
        }
        looks -= 1;
        std::thread::sleep(LOOK_EVERY);
    }
    thread
        .join()
        .map_err(|_| error!(thread = name, "thread panicked"))
        .ok()
}

fn finish(
    cause: Option<&'static str>,
    written: Option<Result<(), JournalError>>,
    state_hash: Option<u64>,
    progress: &Progress,
) -> Result<(), ServeError> {
    if let Some(reason) = progress.failure() {
        return Err(ServeError::JournalFailed(reason.to_owned()));
    }
    match (cause, written) {
        (Some(thread), _) => Err(ServeError::ThreadEnded(thread)),
        (None, None) => Err(ServeError::ThreadEnded("writer")),
        (None, Some(written)) => {
            written?;
            let state_hash = state_hash.map(|hash| format!("{hash:016x}"));
            info!(durable = progress.durable(), state_hash, "stopped");
            Ok(())
        }
    }
}
