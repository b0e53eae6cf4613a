//! Genesis: what the configuration has to tell the engine at a start, as commands.
//!
//! The configuration is journaled once. At later starts only what changed in the file since it was last applied
//! becomes a command: a restart never loosens a limit that was tightened at run time, and never resets a balance.
//! What leaves the file stays in the engine, where history refers to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use engine::limits::CHARGE_RATES_MAX;
use engine::{
    AccountDefinition, AccountId, AccountName, Actor, Capacity, ChargeRates, Command, Engine,
    InstrumentDefinition, LimitFields, RiskLimits, Seq, SessionCalendar, SetLimits, StrategyDefinition,
    StrategyId, Symbol, Text,
};
use read_model::Definitions;

use crate::config::{Account, Config, MANUAL_TRADING, Market, SIM_ACCOUNTS};
use crate::limits::BALANCE_MAX;

mod merge;

use merge::{Kept, merge};

/// The strategy that every account has (CONTRACT.md section 6: id 1, seeded).
const FIRST_STRATEGY: StrategyId = StrategyId::new(1);
const VENUE_PROFILE: &str = "unlimited-paper";

type InstrumentKey = (String, String);

/// What a recovered engine holds, as far as genesis must know it.
#[derive(Clone, Debug, Default)]
pub struct Held {
    instruments: BTreeSet<InstrumentKey>,
    accounts: BTreeMap<String, (AccountId, RiskLimits)>,
    /// What strategies have of their own.
    strategies: BTreeMap<(AccountId, StrategyId), RiskLimits>,
    session: SessionCalendar,
    /// `None` before the first command of a journal.
    capacity: Option<Capacity>,
}

impl Held {
    pub fn by(engine: &Engine) -> Held {
        Held {
            session: engine.session_calendar().clone(),
            capacity: (engine.last_seq() > Seq::default()).then(|| engine.capacity()),
            instruments: engine
                .instruments()
                .map(|instrument| key_of(instrument.definition))
                .collect(),
            strategies: engine
                .strategy_limits()
                .map(|of| ((of.account, of.strategy), of.own.clone()))
                .collect(),
            accounts: engine
                .accounts()
                .map(|account| {
                    let name = account.name.as_str().to_owned();
                    (name, (account.account, account.limits.clone()))
                })
                .collect(),
        }
    }
}

/// What to sequence before anything else, and what an operator should know.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Genesis {
    pub commands: Vec<Command>,
    pub notices: Vec<Notice>,
}

/// A change of the file that was not followed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// A balance changes only by a cash command.
    BalanceKept { account: AccountName },
    /// A journal keeps the capacities it began with.
    CapacityKept,
    /// The limit was tightened at run time, and the file asks for a looser one.
    LimitKept {
        account: AccountName,
        /// Whose own limit it is; `None` for the account's.
        strategy: Option<StrategyId>,
        limit: &'static str,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::BalanceKept { account } => write!(
                f,
                "the file's new balance of account {account} is not applied: adjust cash instead"
            ),
            Notice::CapacityKept => f.write_str(
                "the file's engine.capacity is not applied: a journal keeps the capacities it began with",
            ),
            Notice::LimitKept {
                account,
                strategy,
                limit,
            } => {
                write!(f, "the file's new {limit} of account {account}")?;
                if let Some(strategy) = strategy {
                    write!(f, ", strategy {strategy},")?;
                }
                f.write_str(" is not applied: it was tightened at run time")
            }
        }
    }
}

/// Why a configuration does not fit what the journal already holds.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GenesisError {
    #[error(
        "the journal and the configuration together hold charge rates of {0} dates, more than {CHARGE_RATES_MAX}"
    )]
    ChargeDates(usize),
    #[error(
        "engine.capacity.{what} is {capacity}, but the journal and the configuration together hold {needed}"
    )]
    Capacity {
        what: &'static str,
        capacity: u32,
        needed: usize,
    },
}

impl Genesis {
    /// The commands that bring an engine that holds `held` up to `config` and `instruments`.
    pub fn plan(
        config: &Config,
        instruments: &[InstrumentDefinition],
        held: &Held,
        applied: &Definitions,
    ) -> Result<Genesis, GenesisError> {
        let mut genesis = Genesis::default();
        let capacity = genesis.capacity(config.capacity, held.capacity);
        let known = |rates: &&ChargeRates| applied.charges.get(&rates.effective_from) == Some(rates);
        let new_rates = config.charges.iter().filter(|rates| !known(rates));
        let known_dates = applied.charges.keys().copied();
        let dates: BTreeSet<u32> = known_dates
            .chain(config.charges.iter().map(|rates| rates.effective_from))
            .collect();
        if dates.len() > CHARGE_RATES_MAX {
            return Err(GenesisError::ChargeDates(dates.len()));
        }
        genesis
            .commands
            .extend(new_rates.map(|&rates| Command::DefineCharges(Box::new(rates))));
        if config.session != held.session {
            let calendar = Box::new(config.session.clone());
            genesis.commands.push(Command::SetSession(calendar));
        }
        for instrument in instruments {
            genesis.instrument(instrument, held, applied);
        }
        let mut next_account = held.accounts.len();
        for definition in account_definitions(config) {
            let (name, venue) = (definition.name, definition.venue);
            let account = match held.accounts.get(name.as_str()) {
                Some((account, current)) => {
                    genesis.known_account(*account, current, definition, applied);
                    *account
                }
                None => {
                    let account = id_of(next_account);
                    next_account += 1;
                    genesis
                        .commands
                        .push(Command::DefineAccount(Box::new(definition)));
                    account
                }
            };
            if !venue {
                for strategy in strategies_of(config, name, account) {
                    genesis.strategy(name, strategy, held, applied);
                }
            }
        }
        let new_instruments = instruments
            .iter()
            .filter(|instrument| !held.instruments.contains(&key_of(instrument)))
            .count();
        fits("accounts", capacity.accounts, next_account)?;
        fits(
            "instruments",
            capacity.instruments,
            held.instruments.len() + new_instruments,
        )?;
        Ok(genesis)
    }

    /// A journal begins with its capacities and keeps them. Returns those that hold.
    fn capacity(&mut self, wanted: Capacity, held: Option<Capacity>) -> Capacity {
        let Some(held) = held else {
            self.commands.push(Command::SetCapacity(wanted));
            return wanted;
        };
        if held != wanted {
            self.notices.push(Notice::CapacityKept);
        }
        held
    }

    /// A definition is applied whole: nothing but the file changes an instrument.
    fn instrument(&mut self, wanted: &InstrumentDefinition, held: &Held, applied: &Definitions) {
        let key = key_of(wanted);
        if !held.instruments.contains(&key) || applied.instruments.get(&key) != Some(wanted) {
            self.commands
                .push(Command::DefineInstrument(Box::new(wanted.clone())));
        }
    }

    /// `DefineAccount` records what the file says now; `SetLimits` applies what changed in it.
    fn known_account(
        &mut self,
        account: AccountId,
        current: &RiskLimits,
        wanted: AccountDefinition,
        applied: &Definitions,
    ) {
        let name = wanted.name;
        // An account whose definition was never seen keeps the limits it has.
        let last = applied.accounts.get(name.as_str());
        if last != Some(&wanted) {
            let last_limits = last.map_or(&wanted.limits, |last| &last.limits);
            let (limits, kept) = merge(current, last_limits, &wanted.limits);
            if last.is_some_and(|last| last.opening_balance != wanted.opening_balance) {
                self.notices.push(Notice::BalanceKept { account: name });
            }
            self.notices
                .extend(kept.into_iter().map(|Kept(limit)| Notice::LimitKept {
                    account: name,
                    strategy: None,
                    limit,
                }));
            self.commands.push(Command::DefineAccount(Box::new(wanted)));
            if limits != *current {
                let actor = Actor { account, admin: true };
                self.commands.push(Command::SetLimits(Box::new(SetLimits {
                    actor,
                    account,
                    strategy: None,
                    fields: LimitFields::ALL,
                    limits,
                })));
            }
        }
    }

    /// `DefineStrategy` records what the file says now; `SetLimits` applies what changed in it.
    fn strategy(
        &mut self,
        name: AccountName,
        wanted: StrategyDefinition,
        held: &Held,
        applied: &Definitions,
    ) {
        let key = (wanted.account, wanted.strategy);
        // A strategy of an account that the engine does not hold was refused with it.
        let is_held = held.accounts.contains_key(name.as_str());
        let last = applied.strategies.get(&key).filter(|_| is_held);
        if last == Some(&wanted) {
            return;
        }
        let current = held.strategies.get(&key).unwrap_or(&RiskLimits::NONE);
        let last_limits = last.map_or(&RiskLimits::NONE, |last| &last.limits);
        let (limits, kept) = merge(current, last_limits, &wanted.limits);
        self.notices
            .extend(kept.into_iter().map(|Kept(limit)| Notice::LimitKept {
                account: name,
                strategy: Some(wanted.strategy),
                limit,
            }));
        self.commands.push(Command::DefineStrategy(Box::new(wanted)));
        if limits != *current {
            let (account, strategy) = key;
            self.commands.push(Command::SetLimits(Box::new(SetLimits {
                actor: Actor { account, admin: true },
                account,
                strategy: Some(strategy),
                fields: LimitFields::OF_STRATEGIES,
                limits,
            })));
        }
    }
}

/// Those of an account in the file, and the one that every account has.
fn strategies_of(config: &Config, name: AccountName, account: AccountId) -> Vec<StrategyDefinition> {
    let configured = config.accounts.iter().find(|account| account.name == name);
    let configured = configured.map_or(&[][..], |account| &account.strategies);
    let first = StrategyDefinition {
        account,
        strategy: FIRST_STRATEGY,
        name: Text::cut(MANUAL_TRADING),
        limits: RiskLimits::NONE,
    };
    let has_first = configured
        .iter()
        .any(|strategy| strategy.strategy == FIRST_STRATEGY);
    let definitions = configured.iter().map(|strategy| StrategyDefinition {
        account,
        strategy: strategy.strategy,
        name: strategy.name,
        limits: strategy.limits.clone(),
    });
    let first = (!has_first).then_some(first);
    first.into_iter().chain(definitions).collect()
}

/// The configured accounts, then the paper market's.
fn account_definitions(config: &Config) -> Vec<AccountDefinition> {
    let venues = match config.market {
        Market::Sim { .. } => &SIM_ACCOUNTS[..],
        Market::None => &[],
    };
    let configured = config.accounts.iter().map(definition_of);
    configured.chain(venues.iter().map(|name| venue(name))).collect()
}

fn definition_of(account: &Account) -> AccountDefinition {
    AccountDefinition {
        name: account.name,
        opening_balance: account.balance,
        limits: account.limits.clone(),
        profile: account.profile,
        venue: false,
    }
}

fn venue(name: &str) -> AccountDefinition {
    AccountDefinition {
        name: Text::cut(name),
        opening_balance: BALANCE_MAX,
        limits: RiskLimits::unlimited_paper(),
        profile: Text::cut(VENUE_PROFILE),
        venue: true,
    }
}

fn key_of(definition: &InstrumentDefinition) -> InstrumentKey {
    let symbol: &Symbol = &definition.symbol;
    (
        symbol.as_str().to_owned(),
        definition.exchange.as_str().to_owned(),
    )
}

/// Accounts are numbered in order of definition.
fn id_of(index: usize) -> AccountId {
    AccountId::new(u32::try_from(index).expect("accounts are bounded by the engine's capacity"))
}

fn fits(what: &'static str, capacity: u32, needed: usize) -> Result<(), GenesisError> {
    if needed > capacity as usize {
        return Err(GenesisError::Capacity {
            what,
            capacity,
            needed,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
