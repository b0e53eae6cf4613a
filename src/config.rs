//! Configuration: what the flags, the environment and the file say, judged once and typed.
//!
//! Flags override the environment, the environment overrides the TOML file, the file overrides the defaults. A bad
//! value stops the start with one sentence that names it. Paths are relative to the working directory.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use api_sidecar::auth::{AccountAccess, AuthError, AuthTable, KeyHash, Role};
use engine::{AccountName, Capacity, ChargeRates, Money, RiskLimits, SessionCalendar, StrategyId, Text};

use persistence_writer::projector::limits::BEHIND as DATABASE_BEHIND;

use crate::cli::ServeArgs;
use crate::limits::{
    BALANCE_MAX, CLIENT_ORDER_ID_CAPACITY_MAX, INSTRUMENT_CAPACITY_MAX, KEYS_PER_ACCOUNT_MAX, NAME_LEN_MAX,
    POSITION_CAPACITY_MAX,
};
use crate::placement::Placement;

mod charges;
mod environment;
mod error;
mod file;
mod risk;
mod server;
mod session;
mod value;

pub use environment::Environment;
pub use error::ConfigError;
pub use value::parse_name;

use file::{AccountSection, DashboardSection, File, Scalar};
use risk::{Bounds, Profiles};
use value::Setting;

/// The account that exists without any configuration.
pub const MAIN_ACCOUNT: &str = "main";
/// The name of strategy 1, which every account has.
pub const MANUAL_TRADING: &str = "Manual Trading";
/// Venue accounts of the paper market; reserved names.
pub const SIM_ACCOUNTS: [&str; 2] = ["sim-maker", "sim-taker"];

const DEFAULT_BALANCE: &str = "100000.00";
const DEFAULT_SEED: u64 = 42;

/// Everything that the process is told from outside.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    pub server: Server,
    /// Whom a request from loopback without a key acts for; `None` switches that off.
    pub loopback_account: Option<AccountName>,
    /// `main` first, then in the file's order. Never empty.
    pub accounts: Vec<Account>,
    pub market: Market,
    /// The venue's hours, square-offs and days off.
    pub session: SessionCalendar,
    pub dashboard: Dashboard,
    /// `None`: the built-in list.
    pub instruments_file: Option<PathBuf>,
    pub capacity: Capacity,
    /// By effective date, from the beginning of time on.
    pub charges: Vec<ChargeRates>,
    /// Size of new segments of the journal.
    pub segment_bytes: u32,
    /// `None`: the embedded database.
    pub database_url: Option<DatabaseUrl>,
    /// Lag of the tables from which the alert `database_behind` is raised.
    pub database_behind_after: Duration,
    pub log_level: LogLevel,
    pub mode: AppMode,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    /// Port 0 picks a free one.
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
    pub ack: Ack,
    pub wait: Wait,
    /// On cores of [`Machine::cores`].
    pub placement: Placement,
    /// Browser origins allowed beside the listener's own, in lower case.
    pub allowed_origins: Vec<String>,
}

/// What is served at the paths that are not Pinion's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Dashboard {
    /// The page that is built in.
    BuiltIn,
    /// The files of a folder.
    Folder(PathBuf),
    /// Another web application.
    Upstream(SocketAddr),
}

/// When replies and events may leave the process (DESIGN.md section 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ack {
    /// Once the journal has them on disk.
    Durable,
    /// At once.
    Memory,
}

/// How the engine thread waits for work.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Wait {
    BusySpin,
    Yield,
    Park,
}

impl Wait {
    /// As it is written on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Wait::BusySpin => "busy-spin",
            Wait::Yield => "yield",
            Wait::Park => "park",
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    pub name: AccountName,
    pub balance: Money,
    pub profile: Text<NAME_LEN_MAX>,
    /// The profile's limits with the account's own over them.
    pub limits: RiskLimits,
    /// In order of their numbers.
    pub strategies: Vec<Strategy>,
    pub role: Role,
    pub key_hashes: Vec<KeyHash>,
}

/// A strategy of an account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Strategy {
    pub strategy: StrategyId,
    pub name: Text<100>,
    /// What the file limits for it alone; the rest is off.
    pub limits: RiskLimits,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Market {
    /// Only clients' orders meet.
    None,
    /// The paper market simulator. The same seed gives the same quotes.
    Sim { seed: u64 },
}

/// A PostgreSQL URL. Its text holds a password, so `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DatabaseUrl(…)")
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl LogLevel {
    /// As a `tracing` filter directive.
    pub const fn as_str(self) -> &'static str {
        match self {
            LogLevel::Trace => "trace",
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
        }
    }
}

/// `APP_MODE`: a label of the deployment for logs. It changes nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AppMode {
    Development,
    Testing,
    Staging,
    Production,
}

/// What the configuration must know of the machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Machine {
    /// Ids of the cores that this process may run on.
    pub cores: Vec<usize>,
}

impl Machine {
    pub fn here() -> Machine {
        let cores = core_affinity::get_core_ids().unwrap_or_default();
        Machine {
            cores: cores.iter().map(|core| core.id).collect(),
        }
    }
}

impl Config {
    /// Reads the file that `args` names, if any, and lays environment and flags over it.
    pub fn load(
        args: &ServeArgs,
        environment: &Environment,
        machine: &Machine,
    ) -> Result<Config, ConfigError> {
        let file = match &args.config {
            Some(path) => File::read(path)?,
            None => File::default(),
        };
        check_unused(environment)?;
        let accounts = accounts(&file, environment)?;
        let config = Config {
            server: server::server(args, environment, machine, &file)?,
            loopback_account: loopback_account(&file, &accounts)?,
            accounts,
            market: market(args, &file)?,
            session: session::session(&file.session)?,
            dashboard: dashboard(&file.dashboard)?,
            instruments_file: file.instruments.file.clone(),
            capacity: capacity(&file)?,
            charges: charges::rates(&file.charges)?,
            segment_bytes: segment_bytes(&file)?,
            database_url: database_url(environment)?,
            database_behind_after: database_behind_after(environment)?,
            log_level: log_level(environment, &file)?,
            mode: mode(environment)?,
        };
        config.check()
    }

    /// Who may come in, for the gateway.
    pub fn access(&self) -> Result<AuthTable, AuthError> {
        let accounts = self.accounts.iter().map(|account| AccountAccess {
            name: account.name,
            role: account.role,
            key_hashes: account.key_hashes.clone(),
        });
        let loopback = self.loopback_account.as_ref().map_or("", AccountName::as_str);
        AuthTable::new(accounts.collect(), loopback)
    }

    /// The account of that name.
    pub fn account(&self, name: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.name.as_str() == name)
    }

    /// What no single section can know.
    fn check(self) -> Result<Config, ConfigError> {
        let address = self.server.listen;
        let keyed = self.accounts.iter().any(|account| !account.key_hashes.is_empty());
        if !keyed && !address.ip().to_canonical().is_loopback() {
            return Err(ConfigError::OpenWithoutKeys { address });
        }
        let needed = self.accounts.len() + SIM_ACCOUNTS.len();
        if self.capacity.accounts as usize <= needed {
            let reason = format!("must be above {needed}, the accounts of the file and the paper market");
            return Err(ConfigError::setting("engine.capacity.accounts", reason));
        }
        Ok(self)
    }
}

/// The text of the highest authority that gave one.
fn first(
    flag: Option<(&str, &Option<String>)>,
    variable: Option<(&str, &Environment)>,
    file: (&str, &Option<Scalar>),
) -> Option<Setting> {
    let flag = flag.and_then(|(name, text)| text.as_ref().map(|text| Setting::new(name, text)));
    let variable = || {
        variable.and_then(|(name, environment)| environment.read(name).map(|text| Setting::new(name, text)))
    };
    let file = || file.1.as_ref().map(|text| Setting::new(file.0, text.as_str()));
    flag.or_else(variable).or_else(file)
}

fn dashboard(section: &DashboardSection) -> Result<Dashboard, ConfigError> {
    match (&section.assets_dir, &section.upstream) {
        (None, None) => Ok(Dashboard::BuiltIn),
        (Some(folder), None) if folder.is_dir() => Ok(Dashboard::Folder(folder.clone())),
        (Some(folder), None) => Err(ConfigError::setting(
            "dashboard.assets_dir",
            format!("must be a folder, which \"{}\" is not", folder.display()),
        )),
        (None, Some(text)) => Setting::new("dashboard.upstream", text.as_str())
            .http_address()
            .map(Dashboard::Upstream),
        (Some(_), Some(_)) => Err(ConfigError::setting(
            "dashboard.upstream",
            "cannot be combined with dashboard.assets_dir".to_owned(),
        )),
    }
}

fn market(args: &ServeArgs, file: &File) -> Result<Market, ConfigError> {
    let seed = match &file.market.seed {
        Some(text) => Setting::new("market.seed", text.as_str()).whole(0..=u64::MAX)?,
        None => DEFAULT_SEED,
    };
    match first(
        Some(("--market", &args.market)),
        None,
        ("market.mode", &file.market.mode),
    ) {
        Some(setting) => setting.one_of(&[("none", Market::None), ("sim", Market::Sim { seed })]),
        None => Ok(Market::Sim { seed }),
    }
}

fn capacity(file: &File) -> Result<Capacity, ConfigError> {
    let section = &file.engine.capacity;
    let size = |name: &str, text: &Option<Scalar>, default: u32, max: u32| match text {
        Some(text) => Setting::new(format!("engine.capacity.{name}"), text.as_str()).whole(1..=max),
        None => Ok(default),
    };
    let default = Capacity::default();
    Ok(Capacity {
        accounts: size(
            "accounts",
            &section.accounts,
            default.accounts,
            engine::limits::ACCOUNTS_MAX,
        )?,
        instruments: size(
            "instruments",
            &section.instruments,
            default.instruments,
            INSTRUMENT_CAPACITY_MAX,
        )?,
        orders: size(
            "orders",
            &section.orders,
            default.orders,
            engine::limits::OPEN_ORDERS_MAX,
        )?,
        positions: size(
            "positions",
            &section.positions,
            default.positions,
            POSITION_CAPACITY_MAX,
        )?,
        client_order_ids: size(
            "client_order_ids",
            &section.client_order_ids,
            default.client_order_ids,
            CLIENT_ORDER_ID_CAPACITY_MAX,
        )?,
    })
}

fn segment_bytes(file: &File) -> Result<u32, ConfigError> {
    const MIB: u32 = 1024 * 1024;
    match &file.journal.segment_mib {
        Some(text) => {
            let most = persistence_writer::limits::SEGMENT_BYTES_MAX / MIB;
            let mib = Setting::new("journal.segment_mib", text.as_str()).whole(1..=most)?;
            Ok(mib * MIB)
        }
        None => Ok(persistence_writer::limits::SEGMENT_BYTES_DEFAULT),
    }
}

fn accounts(file: &File, environment: &Environment) -> Result<Vec<Account>, ConfigError> {
    let profiles = Profiles::new(&file.profiles, environment)?;
    let mut accounts: Vec<Account> = Vec::with_capacity(file.accounts.len() + 1);
    if !file
        .accounts
        .iter()
        .any(|section| section.name.as_str() == MAIN_ACCOUNT)
    {
        accounts.push(account(None, &profiles, environment)?);
    }
    for section in &file.accounts {
        let account = account(Some(section), &profiles, environment)?;
        if accounts.iter().any(|other| other.name == account.name) {
            let reason = format!("names \"{}\" twice", account.name);
            return Err(ConfigError::setting("accounts.name", reason));
        }
        let shared = account.key_hashes.iter().enumerate().any(|(index, hash)| {
            account.key_hashes[..index].contains(hash)
                || accounts.iter().any(|other| other.key_hashes.contains(hash))
        });
        if shared {
            let key = format!("accounts.{}.api_key_hashes", account.name);
            return Err(ConfigError::setting(
                key,
                "holds a hash that is given twice: a key names one account",
            ));
        }
        accounts.push(account);
    }
    // Stable: `main` first, the others as they stand in the file.
    accounts.sort_by_key(|account| account.name.as_str() != MAIN_ACCOUNT);
    Ok(accounts)
}

/// One account; `None` is `main` as it is without configuration.
fn account(
    section: Option<&AccountSection>,
    profiles: &Profiles,
    environment: &Environment,
) -> Result<Account, ConfigError> {
    let name = section.map_or(MAIN_ACCOUNT, |section| section.name.as_str());
    let name_setting = Setting::new("accounts.name", name);
    let parsed_name = name_setting.name()?;
    if SIM_ACCOUNTS.contains(&name) {
        return Err(name_setting.invalid("must not be a name of the paper market"));
    }
    let main = name == MAIN_ACCOUNT;
    let key = |field: &str| format!("accounts.{name}.{field}");
    let text = |field: &str, text: Option<&Scalar>, default: &str| {
        Setting::new(key(field), text.map_or(default, Scalar::as_str))
    };

    let profile = text(
        "profile",
        section.and_then(|s| s.profile.as_ref()),
        risk::DASHBOARD,
    );
    let mut limits = profiles.limits(&profile)?;
    if let Some(section) = section {
        lay_own_limits(&mut limits, &profile.text, &key("limits"), section)?;
    }
    if main && profile.text == risk::DASHBOARD {
        risk::lay_environment(&mut limits, environment)?;
    }
    let balance = match environment.read("ACCOUNT_BALANCE").filter(|_| main) {
        Some(text) => Setting::new("ACCOUNT_BALANCE", text),
        None => text(
            "balance",
            section.and_then(|s| s.balance.as_ref()),
            DEFAULT_BALANCE,
        ),
    };
    let default_role = if main { "admin" } else { "trader" };
    Ok(Account {
        name: parsed_name,
        balance: balance.money(Money::ZERO..=BALANCE_MAX)?,
        profile: profile.name()?,
        limits,
        strategies: strategies(&key("strategies"), section)?,
        role: text("role", section.and_then(|s| s.role.as_ref()), default_role).one_of(&[
            ("viewer", Role::Viewer),
            ("trader", Role::Trader),
            ("admin", Role::Admin),
        ])?,
        key_hashes: key_hashes(&key("api_key_hashes"), section)?,
    })
}

fn lay_own_limits(
    limits: &mut RiskLimits,
    profile: &str,
    key: &str,
    section: &AccountSection,
) -> Result<(), ConfigError> {
    if section.limits.contains_key("base") {
        return Err(ConfigError::setting(
            format!("{key}.base"),
            "is not a limit: name a profile instead",
        ));
    }
    risk::lay(limits, Bounds::of_profile(profile), key, &section.limits)
}

fn strategies(key: &str, section: Option<&AccountSection>) -> Result<Vec<Strategy>, ConfigError> {
    let mut strategies = Vec::new();
    for (number, fields) in section.iter().flat_map(|section| &section.strategies) {
        let key = format!("{key}.{number}");
        let strategy = Setting::new(format!("{key} (a strategy's number)"), number).whole(1..=u32::MAX)?;
        let mut fields = fields.clone();
        let name = fields
            .remove("name")
            .map_or(String::new(), |name| name.as_str().to_owned());
        let name = if name.is_empty() {
            default_name(strategy)
        } else {
            name
        };
        if name.len() > 100 || name.chars().any(char::is_control) {
            let name = Setting::new(format!("{key}.name"), name);
            return Err(name.invalid("must have at most 100 bytes and no control characters"));
        }
        strategies.push(Strategy {
            strategy: StrategyId::new(strategy),
            name: Text::cut(&name),
            limits: risk::of_strategy(&key, &fields)?,
        });
    }
    strategies.sort_by_key(|strategy| strategy.strategy);
    if let Some(twice) = strategies
        .windows(2)
        .find(|pair| pair[0].strategy == pair[1].strategy)
    {
        let reason = format!("names strategy {} twice", twice[0].strategy);
        return Err(ConfigError::setting(key, reason));
    }
    Ok(strategies)
}

/// Strategy 1 is every account's (CONTRACT.md section 6).
fn default_name(strategy: u32) -> String {
    match strategy {
        1 => MANUAL_TRADING.to_owned(),
        other => format!("Strategy {other}"),
    }
}

fn key_hashes(key: &str, section: Option<&AccountSection>) -> Result<Vec<KeyHash>, ConfigError> {
    let texts = section.map_or(&[][..], |section| &section.api_key_hashes);
    if texts.len() > KEYS_PER_ACCOUNT_MAX {
        return Err(ConfigError::setting(
            key,
            format!("lists more than {KEYS_PER_ACCOUNT_MAX} keys"),
        ));
    }
    // The entry itself is not shown: it may be a key pasted by mistake.
    let reason =
        "holds an entry that is not \"sha256:\" and 64 hexadecimal digits (make one with: pinion keys new)";
    texts
        .iter()
        .map(|text| {
            text.as_str()
                .parse()
                .map_err(|_| ConfigError::setting(key, reason))
        })
        .collect()
}

fn loopback_account(file: &File, accounts: &[Account]) -> Result<Option<AccountName>, ConfigError> {
    let name = file
        .auth
        .loopback_account
        .as_ref()
        .map_or(MAIN_ACCOUNT, Scalar::as_str);
    if name.is_empty() {
        return Ok(None);
    }
    match accounts.iter().find(|account| account.name.as_str() == name) {
        Some(account) => Ok(Some(account.name)),
        None => Err(Setting::new("auth.loopback_account", name).invalid("must be the name of an account")),
    }
}

fn database_url(environment: &Environment) -> Result<Option<DatabaseUrl>, ConfigError> {
    match environment.read("DATABASE_URL") {
        None => Ok(None),
        Some(url) if url.starts_with("postgresql://") || url.starts_with("postgres://") => {
            Ok(Some(DatabaseUrl(url.to_owned())))
        }
        Some(_) => Err(ConfigError::setting(
            "DATABASE_URL",
            "must begin with postgresql:// or postgres://",
        )),
    }
}

fn database_behind_after(environment: &Environment) -> Result<Duration, ConfigError> {
    match environment.read("DATABASE_BEHIND_S") {
        None => Ok(DATABASE_BEHIND),
        Some(text) => {
            let seconds = Setting::new("DATABASE_BEHIND_S", text).whole(1..=3_600)?;
            Ok(Duration::from_secs(seconds))
        }
    }
}

/// `LOG_LEVEL` by Python's names or `tracing`'s; `DEBUG=true` lowers the default.
fn log_level(environment: &Environment, file: &File) -> Result<LogLevel, ConfigError> {
    let debug = match environment.read("DEBUG") {
        Some(text) => Setting::new("DEBUG", text).flag()?,
        None => false,
    };
    let level = first(
        None,
        Some(("LOG_LEVEL", environment)),
        ("server.log_level", &file.server.log_level),
    );
    let Some(setting) = level else {
        return Ok(if debug { LogLevel::Debug } else { LogLevel::Info });
    };
    match setting.text.to_ascii_lowercase().as_str() {
        "trace" => Ok(LogLevel::Trace),
        "debug" => Ok(LogLevel::Debug),
        "info" => Ok(LogLevel::Info),
        "warn" | "warning" => Ok(LogLevel::Warn),
        "error" | "critical" => Ok(LogLevel::Error),
        _ => Err(setting.invalid("must be TRACE, DEBUG, INFO, WARNING, ERROR or CRITICAL")),
    }
}

fn mode(environment: &Environment) -> Result<AppMode, ConfigError> {
    match environment.read("APP_MODE") {
        Some(text) => Setting::new("APP_MODE", text.to_ascii_lowercase()).one_of(&[
            ("development", AppMode::Development),
            ("testing", AppMode::Testing),
            ("staging", AppMode::Staging),
            ("production", AppMode::Production),
        ]),
        None => Ok(AppMode::Development),
    }
}

/// Variables of the existing system that have no effect here: Pinion has no connection pool, and that system never
/// enforced the position size. Nonsense in them is still refused.
fn check_unused(environment: &Environment) -> Result<(), ConfigError> {
    for name in ["DB_MIN_CONNECTIONS", "DB_MAX_CONNECTIONS", "MAX_POSITION_SIZE"] {
        if let Some(text) = environment.read(name) {
            Setting::new(name, text).whole(0..=u32::MAX)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
