//! A throw-away PostgreSQL: a cluster of its own in a temporary directory, on a free port, run by somebody who is not
//! root, from the binaries that are installed.

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use persistence_writer::projector::{PostgresSettings, PostgresStore};
use postgres::{Client, NoTls};
use rustix::process::{Pid, Signal, kill_process};

use crate::journal::PATIENCE;

/// Where Debian puts the server's programs.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Whom PostgreSQL is run by where the tests are run by root, which it refuses.
const NOBODY: u32 = 65_534;

pub(crate) struct Cluster {
    // Stopped before the directory goes.
    server: Mutex<Option<Server>>,
    directory: tempfile::TempDir,
    tls: bool,
    pub(crate) port: u16,
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.0, Signal::QUIT);
    }
}

fn end(child: &mut Child, signal: Signal) {
    if child.try_wait().unwrap().is_some() {
        return;
    }
    if let Some(pid) = Pid::from_raw(i32::try_from(child.id()).unwrap()) {
        // Gone already is as good.
        let _ = kill_process(pid, signal);
    }
    let _ = child.wait();
}

impl Cluster {
    pub(crate) fn start() -> Cluster {
        Cluster::start_with(&[])
    }

    /// A server that speaks TLS with this certificate and key, both PEM.
    pub(crate) fn start_with_tls(certificate: &str, key: &str) -> Cluster {
        Cluster::start_with(&[("server.crt", certificate), ("server.key", key)])
    }

    /// With files in the data directory; a certificate turns TLS on.
    fn start_with(files: &[(&str, &str)]) -> Cluster {
        let directory = tempfile::tempdir().unwrap();
        hand_over(directory.path());
        let data = directory.path().join("data");
        let copied = command(Path::new("cp"))
            .arg("-a")
            .arg(template())
            .arg(&data)
            .status()
            .unwrap();
        assert!(copied.success(), "the template cluster is copied");
        for (name, content) in files {
            let path = data.join(name);
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            hand_over(&path);
        }
        let cluster = Cluster {
            tls: !files.is_empty(),
            server: Mutex::new(None),
            directory,
            port: free_port(),
        };
        cluster.resume();
        cluster
    }

    /// Shared by the tests that need a database and break no server. It ends with the last of them.
    pub(crate) fn shared() -> Arc<Cluster> {
        static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cluster) = shared.upgrade() {
            return cluster;
        }
        let cluster = Arc::new(Cluster::start());
        *shared = Arc::downgrade(&cluster);
        cluster
    }

    /// Starts the server and waits until it answers.
    pub(crate) fn resume(&self) {
        let deadline = Instant::now() + PATIENCE;
        let mut server = self.spawn();
        while let Err(error) = self.try_connect("postgres") {
            assert!(Instant::now() < deadline, "{error}\n{}", self.log());
            if server.0.try_wait().unwrap().is_some() {
                // Processes of one that was killed still hold its memory.
                server = self.spawn();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        *self.server.lock().unwrap() = Some(server);
    }

    fn spawn(&self) -> Server {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.directory.path().join("log"))
            .unwrap();
        let mut server = command(&program("postgres"));
        server
            .arg("-D")
            .arg(self.directory.path().join("data"))
            .arg("-k")
            .arg(self.directory.path())
            .args(["-p", &self.port.to_string(), "-h", "127.0.0.1"])
            .args([
                "-c",
                "fsync=off",
                "-c",
                "max_connections=40",
                "-c",
                "shared_buffers=32MB",
            ])
            .args(["-c", if self.tls { "ssl=on" } else { "ssl=off" }])
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        Server(server.spawn().unwrap())
    }

    /// Ends the server at once, without a checkpoint (`pg_ctl stop -m immediate`).
    pub(crate) fn stop_at_once(&self) {
        self.end(Signal::QUIT);
    }

    /// SIGKILL: nobody is told, and what the server's processes share is left behind.
    pub(crate) fn kill(&self) {
        self.end(Signal::KILL);
    }

    fn end(&self, signal: Signal) {
        if let Some(mut server) = self.server.lock().unwrap().take() {
            end(&mut server.0, signal);
        }
    }

    /// Ends the server in order, disconnecting everyone.
    pub(crate) fn shut_down(&self) {
        self.end(Signal::INT);
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn try_connect(&self, database: &str) -> Result<Client, postgres::Error> {
        let url = format!("postgresql://postgres@127.0.0.1:{}/{database}", self.port);
        Client::connect(&url, NoTls)
    }

    /// A new, empty database.
    pub(crate) fn database(self: &Arc<Cluster>) -> Database {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        let mut client = self.try_connect("postgres").unwrap();
        client.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        Database {
            cluster: Arc::clone(self),
            name,
        }
    }
}

/// A database of a cluster.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) name: String,
}

impl Database {
    pub(crate) fn url(&self) -> String {
        self.url_through(self.cluster.port)
    }

    pub(crate) fn url_through(&self, port: u16) -> String {
        format!("postgresql://postgres@127.0.0.1:{port}/{}", self.name)
    }

    pub(crate) fn store(&self) -> PostgresStore {
        PostgresStore::new(PostgresSettings::parse(&self.url()).unwrap())
    }

    pub(crate) fn client(&self) -> Client {
        self.cluster.try_connect(&self.name).unwrap()
    }

    pub(crate) fn execute(&self, sql: &str) {
        self.client()
            .batch_execute(sql)
            .unwrap_or_else(|error| panic!("{error:?}: {sql}"));
    }

    /// The only value of the only row, as text.
    pub(crate) fn one(&self, sql: &str) -> String {
        let sql = format!("SELECT (one.*)::text FROM ({sql}) AS one (value)");
        let row = self
            .client()
            .query_one(&sql, &[])
            .unwrap_or_else(|error| panic!("{error:?}: {sql}"));
        let text: String = row.get(0);
        text.trim_start_matches('(').trim_end_matches(')').to_owned()
    }

    /// `pg_dump` of everything.
    pub(crate) fn dump(&self) -> PathBuf {
        let file = self.cluster.directory.path().join(format!("{}.dump", self.name));
        let done = command(&program("pg_dump"))
            .args(["-Fc", "-d", &self.url(), "-f"])
            .arg(&file)
            .status()
            .unwrap();
        assert!(done.success());
        file
    }

    /// Replaces everything by a dump, disconnecting everyone. Whoever comes back meets the whole dump, never a part.
    pub(crate) fn restore(&self, dump: &Path) {
        let mut client = self.cluster.try_connect("postgres").unwrap();
        let mut execute = |sql: &str| client.batch_execute(sql).unwrap();
        let name = &self.name;
        let restored = Database {
            cluster: Arc::clone(&self.cluster),
            name: format!("{name}_restored"),
        };
        execute(&format!("CREATE DATABASE {}", restored.name));
        let done = command(&program("pg_restore"))
            .args(["-d", &restored.url()])
            .arg(dump)
            .status()
            .unwrap();
        assert!(done.success());
        execute(&format!("DROP DATABASE {name} WITH (FORCE)"));
        execute(&format!("ALTER DATABASE {} RENAME TO {name}", restored.name));
    }

    /// Disconnects everyone else.
    pub(crate) fn terminate_backends(&self) {
        let sql = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid()",
            self.name
        );
        self.cluster
            .try_connect("postgres")
            .unwrap()
            .batch_execute(&sql)
            .unwrap();
    }
}

/// An initialised cluster to copy: `initdb` takes seconds, a copy does not.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        // Kept between runs, and shared by all users of this machine's tests; named after the server's version.
        let version = command(&program("postgres"))
            .arg("--version")
            .output()
            .unwrap()
            .stdout;
        let version: String = String::from_utf8(version)
            .unwrap()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        let path = std::env::temp_dir().join(format!("pinion-test-cluster-{version}"));
        if !path.join("complete").exists() {
            let fresh = tempfile::tempdir().unwrap();
            hand_over(fresh.path());
            let data = fresh.path().join("data");
            let done = command(&program("initdb"))
                .args([
                    "--no-sync",
                    "--auth=trust",
                    "--username=postgres",
                    "--encoding=UTF8",
                    "--locale=C",
                    "-D",
                ])
                .arg(&data)
                .stdout(Stdio::null())
                .status()
                .unwrap();
            assert!(done.success(), "initdb");
            std::fs::write(data.join("complete"), "").unwrap();
            hand_over(&data.join("complete"));
            // Another process may have been faster; both are as good.
            let _ = std::fs::rename(&data, &path);
        }
        path
    })
}

fn hand_over(path: &Path) {
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

/// A command, run by somebody who is not root.
fn command(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    let nobody = NOBODY.to_string();
    command
        .args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups", "--"])
        .arg(program)
        .current_dir("/");
    command
}

/// A program of the server, of the newest version that is installed.
fn program(name: &str) -> PathBuf {
    static BINARIES: OnceLock<PathBuf> = OnceLock::new();
    let directory = BINARIES.get_or_init(|| {
        if let Some(given) = std::env::var_os("PINION_TEST_POSTGRES") {
            return given.into();
        }
        let mut versions: Vec<u32> = std::fs::read_dir(DEBIAN)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|version| Path::new(&format!("{DEBIAN}/{version}/bin/initdb")).exists())
            .collect();
        versions.sort_unstable();
        let newest = versions.last().unwrap_or_else(|| {
            panic!(
                "these tests need PostgreSQL's server programs, and there are none in {DEBIAN}: install them \
                 (Debian: apt-get install postgresql-15), or name their directory in PINION_TEST_POSTGRES"
            )
        });
        PathBuf::from(format!("{DEBIAN}/{newest}/bin"))
    });
    directory.join(name)
}

/// A port below those that the system gives to clients: none can take it while its server is down, and whoever
/// connects to it then cannot meet himself.
fn free_port() -> u16 {
    const FROM: u32 = 20_000;
    const PORTS: u32 = 12_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Far from those of other processes.
    let start = std::process::id().wrapping_mul(97);
    (0..PORTS)
        .map(|_| {
            let next = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
            u16::try_from(FROM + next % PORTS).unwrap()
        })
        .find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok())
        .unwrap()
}
