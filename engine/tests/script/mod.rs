//! The language of the scenario files: orders and events as one readable line each.
//!
//! A file is a list of blocks; a block is a heading at the left edge and indented lines below it. `#` starts a comment.
//!
//! ```text
//! setup                                   (optional; before anything else)
//!   instrument ACME tick 0.05 lot 1 freeze 1000 reference 100.00 band 0.10
//!   account alice self_trade decrement    (profile unlimited-paper, ₹1,00,000 unless said otherwise)
//!   show positions                        (events that are left out unless asked for: positions, accounts, alerts)
//!   room 8                                (orders that may be open at once; 1,024 unless said otherwise)
//! book before                             (orders that rest, in order of arrival; their ids count from 1)
//!   alice sell 50 @ 100.10
//! commands
//!   bob buy 20 @ 100.10 ioc
//! events
//!   accepted 2 bob buy 20 @ 100.10 IOC
//!   ...
//! book after                              (best first: visible quantity and orders of each level)
//!   sell 100.10: 30 in 1
//! statistics                              (of the day, each instrument's; the VWAP to the paisa)
//!   open 100.10 high 100.10 low 100.10 last 100.10 volume 20 vwap 100.10 trades 1
//! ```
//!
//! `commands`, `events`, `book after` and `statistics` may come again and again. Commands are a second apart; `at once` before one takes
//! the pause away, `wait 60` lets that many seconds pass, `until 15:20` all up to that time in India, and `until +3 09:15`
//! all up to a time three days on. The first command comes on Friday 2026-11-20 just after 09:15 in India; `session nse`
//! (in the setup or between commands) sets the venue's calendar.

mod parse;
mod show;

use engine::{AccountName, Command, Event, InstrumentId, Sequenced, Symbol, Timestamp};

pub use parse::parse_file;
pub use show::{level_line, show_event, statistics_line};

/// Names of what a scenario talks about, by id.
#[derive(Default)]
pub struct Names {
    pub accounts: Vec<AccountName>,
    pub instruments: Vec<Symbol>,
}

/// Event kinds that a scenario asked to see besides the orders' own.
#[derive(Clone, Copy, Default)]
pub struct Shown {
    pub positions: bool,
    pub accounts: bool,
    pub alerts: bool,
}

/// One thing that a scenario does or says.
pub enum Step {
    /// `line` is that of the file, from 1.
    Do {
        line: usize,
        command: Sequenced<Command>,
    },
    /// Time passes; whatever becomes due happens on the way.
    Wait {
        until: Timestamp,
    },
    /// The orders so far rest: none of them traded or was refused.
    AllRest {
        line: usize,
    },
    Events {
        line: usize,
        expected: Vec<String>,
    },
    Book {
        line: usize,
        expected: Vec<String>,
    },
    Statistics {
        line: usize,
        expected: Vec<String>,
    },
}

pub struct Scenario {
    /// Orders that may be open at once.
    pub room: u32,
    pub names: Names,
    pub shown: Shown,
    pub steps: Vec<Step>,
}

impl Names {
    pub fn account(&self, id: engine::AccountId) -> &str {
        self.accounts[id.get() as usize].as_str()
    }

    /// How a book is called where there is more than one.
    pub fn book(&self, id: InstrumentId) -> String {
        if self.instruments.len() > 1 {
            format!("{} ", self.instruments[id.get() as usize])
        } else {
            String::new()
        }
    }
}

impl Shown {
    pub fn covers(&self, event: &Event) -> bool {
        match event {
            Event::PositionChanged(_) | Event::PositionMarked(_) => self.positions,
            Event::AccountChanged(_) => self.accounts,
            Event::Alert(_) => self.alerts,
            Event::InstrumentDefined(_)
            | Event::AccountDefined(_)
            | Event::StrategyDefined(..)
            | Event::LimitsSet(..) => false,
            _ => true,
        }
    }
}
