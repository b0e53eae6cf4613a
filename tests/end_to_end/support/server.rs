//! Servers as processes, and the folders they live in.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::http::Client;
use super::websocket::Socket;
use super::{PATIENCE, patiently, wait_for};

/// Flags of most tests: nobody trades but the test's own clients, and waiting costs no core.
pub const QUIET: &[&str] = &["--market", "none", "--wait", "park"];
/// The same with the paper market.
pub const MARKET: &[&str] = &["--market", "sim", "--wait", "park"];

/// An account of the configuration that [`Site::with_accounts`] writes.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    pub name: &'static str,
    pub balance: &'static str,
    pub profile: &'static str,
    pub role: &'static str,
}

/// A trader who may sell without a stop-loss.
pub const COUNTER: Account = Account {
    name: "counter",
    balance: "10000000.00",
    profile: "maker",
    role: "trader",
};

/// A trader whose orders only the exchange's own rules limit.
pub const FREE: Account = Account {
    name: "free",
    balance: "10000000.00",
    profile: "unlimited-paper",
    role: "trader",
};

/// A key and its hash, as `pinion keys new` makes them.
#[derive(Clone, Debug)]
pub struct Key {
    pub key: String,
    pub hash: String,
}

pub fn new_key(account: &str) -> Key {
    let output = pinion()
        .args(["keys", "new", "--account", account, "--json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    Key {
        key: made["key"].as_str().unwrap().to_owned(),
        hash: made["hash"].as_str().unwrap().to_owned(),
    }
}

/// The binary, in an environment of its own.
pub fn pinion() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pinion"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// A folder with a data directory and a configuration, in which servers come and go.
#[derive(Debug)]
pub struct Site {
    folder: TempDir,
    keys: Vec<(String, String)>,
}

/// What `pinion replay --json` prints.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replay {
    pub last_seq: u64,
    pub open_orders: u64,
    pub state_hash: String,
}

impl Site {
    /// Without a configuration file: `main` alone, reached from loopback.
    pub fn new() -> Site {
        stay_clear_of_midnight();
        Site {
            folder: tempfile::tempdir().unwrap(),
            keys: Vec::new(),
        }
    }

    /// With `main` and further accounts, each with a key.
    pub fn with_accounts(accounts: &[Account]) -> Site {
        let mut site = Site::new();
        let mut text = String::new();
        for account in accounts {
            let key = new_key(account.name);
            text.push_str(&format!(
                "[[accounts]]\nname = \"{}\"\nbalance = \"{}\"\nprofile = \"{}\"\nrole = \"{}\"\napi_key_hashes = [\"{}\"]\n",
                account.name, account.balance, account.profile, account.role, key.hash
            ));
            site.keys.push((account.name.to_owned(), key.key));
        }
        site.configure(&text);
        site
    }

    /// Replaces the configuration file.
    pub fn configure(&self, text: &str) {
        fs::write(self.config_file(), text).unwrap();
    }

    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join("pinion.toml")
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What all servers of the site wrote to standard error.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    /// Another folder with the same configuration, and the data as they stand.
    #[allow(
        dead_code,
        reason = "not every target that shares this support copies folders"
    )]
    pub fn copy(&self) -> Site {
        let copy = Site {
            folder: tempfile::tempdir().unwrap(),
            keys: self.keys.clone(),
        };
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let from = entry.unwrap().path();
            if from != self.log() {
                let copied = Command::new("cp")
                    .arg("-a")
                    .arg(&from)
                    .arg(copy.folder.path())
                    .status();
                assert!(copied.unwrap().success(), "{from:?} is copied");
            }
        }
        copy
    }

    pub fn key(&self, account: &str) -> &str {
        let found = self.keys.iter().find(|(name, _)| name == account);
        &found.unwrap_or_else(|| panic!("no key of {account}")).1
    }

    /// `pinion serve` with these flags, not started yet.
    pub fn command(&self, flags: &[&str]) -> Command {
        let mut command = pinion();
        command.arg("serve").arg("--data-dir").arg(self.data_dir());
        command.args(["--listen", "127.0.0.1:0"]);
        if self.config_file().exists() {
            command.arg("--config").arg(self.config_file());
        }
        command.args(flags);
        command
    }

    /// A server that is ready.
    pub fn start(&self, flags: &[&str]) -> Server {
        self.start_command(self.command(flags))
    }

    /// As [`Site::start`], at this address: with port 0 a free one, or one that an earlier server had. On a loopback address
    /// that no other test uses nobody takes that port meanwhile.
    #[allow(
        dead_code,
        reason = "not every target that shares this support comes back to a port"
    )]
    pub fn start_at(&self, listen: SocketAddr, flags: &[&str]) -> Server {
        let mut command = self.command(flags);
        command.args(["--listen", &listen.to_string()]);
        self.start_command(command)
    }

    /// As [`Site::start`], of a command with something of its own.
    pub fn start_command(&self, command: Command) -> Server {
        Server::start(command, &self.log())
    }

    /// Runs `pinion serve` to an end that must come by itself.
    pub fn refused(&self, flags: &[&str]) -> Output {
        run_to_end(self.command(flags))
    }

    pub fn replay(&self) -> Replay {
        let output = pinion()
            .args(["replay", "--json", "--data-dir"])
            .arg(self.data_dir())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let facts: Value = serde_json::from_slice(&output.stdout).unwrap();
        Replay {
            last_seq: facts["last_seq"].as_u64().unwrap(),
            open_orders: facts["open_orders"].as_u64().unwrap(),
            state_hash: facts["state_hash"].as_str().unwrap().to_owned(),
        }
    }
}

/// Orders end with the trading day, at midnight in India: a test that spans it would be about something else.
fn stay_clear_of_midnight() {
    const MARGIN: u64 = 180;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let left = 86_400 - (now + 19_800) % 86_400;
    if left < MARGIN {
        std::thread::sleep(Duration::from_secs(left + 1));
    }
}

/// Waits for a process that should end by itself, and ends it where it does not.
pub fn run_to_end(mut command: Command) -> Output {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    if wait_bounded(&mut child).is_none() {
        let _ = child.kill();
        panic!("{command:?} did not end: {:?}", child.wait_with_output());
    }
    child.wait_with_output().unwrap()
}

fn wait_bounded(child: &mut Child) -> Option<ExitStatus> {
    patiently(|| child.try_wait().unwrap())
}

/// A running server, ended with its guard.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    stdout: Receiver<String>,
    log: PathBuf,
}

impl Server {
    fn start(mut command: Command, log: &Path) -> Server {
        let stderr = File::options().create(true).append(true).open(log).unwrap();
        let began = fs::metadata(log).unwrap().len();
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let output = child.stdout.take().unwrap();
        let (sender, stdout) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut server = Server {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            stdout,
            log: log.to_owned(),
        };
        let first = patiently(|| match server.stdout.try_recv() {
            Err(TryRecvError::Empty) => None,
            line => Some(line.ok()),
        });
        let Some(line) = first.flatten() else {
            let log = fs::read_to_string(log).unwrap();
            panic!(
                "the server was not ready: {:?}",
                log.get(usize::try_from(began).unwrap()..)
            );
        };
        server.address = line
            .strip_prefix("ready http://")
            .and_then(|address| address.parse().ok())
            .unwrap_or_else(|| panic!("the first line of standard output is {line:?}"));
        server
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Requests from loopback without a key.
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    pub fn client_of(&self, site: &Site, account: &str) -> Client {
        self.client().with_key(site.key(account))
    }

    pub fn socket(&self) -> Socket {
        Socket::connect(self.address, "main", &[])
    }

    /// As [`Server::socket_of`], at a path with a query.
    pub fn socket_at(&self, path: &str, site: &Site, account: &str) -> Socket {
        let headers = [("X-API-Key", site.key(account))];
        Socket::connect_at(self.address, path, account, &headers)
    }

    pub fn socket_of(&self, site: &Site, account: &str) -> Socket {
        Socket::connect(self.address, account, &[("X-API-Key", site.key(account))])
    }

    /// Alive and answering a connection of its own.
    #[track_caller]
    pub fn assert_well(&mut self) {
        assert_eq!(self.child.try_wait().unwrap(), None, "the server has ended");
        let health = self.client().get("/api/oms/health").expect(200);
        assert_eq!(health["status"], "healthy", "{health}");
    }

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// SIGKILL, and waits until the process is gone.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks the server to stop, waits, and returns what it wrote to standard output after the ready line.
    pub fn stop_with(mut self, signal: Signal) -> (ExitStatus, Vec<String>) {
        self.signal(signal);
        let status = wait_bounded(&mut self.child).expect("the server did not stop");
        let mut lines = Vec::new();
        while let Ok(line) = self.stdout.recv_timeout(PATIENCE) {
            lines.push(line);
        }
        (status, lines)
    }

    /// Waits for an end that must come by itself; returns how it ended, and the log of all servers of the site.
    pub fn end(mut self) -> (ExitStatus, String) {
        let status = wait_bounded(&mut self.child).expect("the server did not end");
        (status, fs::read_to_string(&self.log).unwrap())
    }

    /// A clean stop.
    pub fn stop(self) {
        let log = self.log.clone();
        let (status, _) = self.stop_with(Signal::TERM);
        assert!(
            status.success(),
            "{status}, and its log ends with:\n{}",
            tail(&log)
        );
    }

    /// The last value of a field in the log.
    pub fn logged(&self, message: &str, field: &str) -> String {
        logged(&self.log, message, field)
    }

    /// A clean stop, and the state hash that the server ended with.
    pub fn stop_with_hash(self) -> String {
        let log = self.log.clone();
        self.stop();
        logged(&log, "stopped", "state_hash")
    }
}

fn logged(log: &Path, message: &str, field: &str) -> String {
    let text = wait_for(&format!("{message:?} in the log"), || {
        let text = fs::read_to_string(log).ok()?;
        text.contains(message).then_some(text)
    });
    let line = text.lines().rfind(|line| line.contains(message)).unwrap();
    let (_, rest) = line
        .split_once(&format!("{field}="))
        .unwrap_or_else(|| panic!("no {field} in {line}"));
    rest.split_whitespace()
        .next()
        .unwrap()
        .trim_matches('"')
        .to_owned()
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let last: Vec<&str> = text.lines().rev().take(30).collect();
    last.into_iter().rev().collect::<Vec<_>>().join("\n")
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the server's log ends with:\n{}", tail(&self.log));
        }
    }
}
