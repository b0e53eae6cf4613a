//! What of a journal is to be shown: until when, and about what.

use std::str::FromStr;

use api_sidecar::wire::parse_iso8601;
use engine::{
    AccountId, Command, Engine, Event, InstrumentId, KillScope, OrderId, OrderRef, Seq, Sequenced, Timestamp,
};

/// A name that the journal does not know, up to the moment looked at.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SelectionError {
    #[error("there is no symbol {0} up to that moment")]
    UnknownSymbol(String),
    #[error("there is no account {0} up to that moment")]
    UnknownAccount(String),
    #[error("there is no order {0} up to that moment (a venue account's is told of only where it trades)")]
    UnknownOrder(u64),
}

/// The last moment to be folded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Until {
    Seq(Seq),
    Time(Timestamp),
}

impl FromStr for Until {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Until, &'static str> {
        if let Ok(seq) = text.parse() {
            return Ok(Until::Seq(Seq::new(seq)));
        }
        parse_iso8601(text)
            .map(|instant| Until::Time(end_of_the_microsecond(instant)))
            .ok_or("must be a sequence number or an instant such as 2026-08-03T09:15:00Z")
    }
}

/// Times are shown to the microsecond: the moment that one names ends with it, so that what happened then is included.
fn end_of_the_microsecond(instant: Timestamp) -> Timestamp {
    instant.saturating_add_nanos(999 - instant.nanos() % 1_000)
}

impl Until {
    /// Whether the moment is over when this command comes.
    pub fn is_before(self, command: &Sequenced<Command>) -> bool {
        self.is_over_at(command.seq, command.time)
    }

    /// Whether the moment is over when the command of this number and time has come.
    pub fn is_over_at(self, seq: Seq, time: Timestamp) -> bool {
        match self {
            Until::Seq(until) => seq > until,
            Until::Time(until) => time > until,
        }
    }
}

/// Names, and the ids they have as soon as the journal defines them. A field that is `None` selects everything.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    order: Option<OrderId>,
    symbol: Option<Name<InstrumentId>>,
    account: Option<Name<AccountId>>,
}

#[derive(Clone, Debug)]
struct Name<T> {
    text: String,
    id: Option<T>,
}

/// The ids of a selection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Scope {
    pub(super) instrument: Option<InstrumentId>,
    pub(super) account: Option<AccountId>,
}

/// What a command or an event is about.
#[derive(Clone, Copy, Debug, Default)]
struct Subject {
    orders: [Option<OrderId>; 2],
    account: Option<AccountId>,
    instrument: Option<InstrumentId>,
}

impl Selection {
    pub(super) fn new(order: Option<u64>, symbol: Option<&str>, account: Option<&str>) -> Selection {
        let text = |text: &str| text.to_owned();
        Selection {
            order: order.map(OrderId::new),
            symbol: symbol.map(|name| Name {
                text: text(name),
                id: None,
            }),
            account: account.map(|name| Name {
                text: text(name),
                id: None,
            }),
        }
    }

    /// The ids, once everything is folded.
    pub(super) fn resolve(&mut self, engine: &Engine) -> Result<Scope, SelectionError> {
        self.look_up(engine);
        let mut scope = Scope::default();
        if let Some(symbol) = &self.symbol {
            let unknown = || SelectionError::UnknownSymbol(symbol.text.clone());
            scope.instrument = Some(symbol.id.ok_or_else(unknown)?);
        }
        if let Some(account) = &self.account {
            let unknown = || SelectionError::UnknownAccount(account.text.clone());
            scope.account = Some(account.id.ok_or_else(unknown)?);
        }
        Ok(scope)
    }

    /// Whether the command itself is about what is selected. What it caused may be although it is not.
    pub(super) fn names_command(&mut self, engine: &Engine, command: &Command) -> bool {
        self.look_up(engine);
        self.names(command_subject(command))
    }

    pub(super) fn names_event(&mut self, engine: &Engine, event: &Event) -> bool {
        self.look_up(engine);
        self.names(event_subject(event))
    }

    fn names(&self, subject: Subject) -> bool {
        let order = self
            .order
            .is_none_or(|order| subject.orders.contains(&Some(order)));
        let instrument = self
            .symbol
            .as_ref()
            .is_none_or(|symbol| symbol.id.is_some() && symbol.id == subject.instrument);
        // What concerns no account concerns them all: prints, prices, the whole engine's kill switch.
        let account = self.account.as_ref().is_none_or(|account| {
            account.id.is_some() && (subject.account.is_none() || subject.account == account.id)
        });
        order && instrument && account
    }

    fn look_up(&mut self, engine: &Engine) {
        if let Some(symbol) = self.symbol.as_mut().filter(|symbol| symbol.id.is_none()) {
            symbol.id = engine
                .instruments()
                .find(|instrument| instrument.definition.symbol.as_str() == symbol.text)
                .map(|instrument| instrument.instrument);
        }
        if let Some(account) = self.account.as_mut().filter(|account| account.id.is_none()) {
            account.id = engine
                .accounts()
                .find(|found| found.name.as_str() == account.text)
                .map(|found| found.account);
        }
    }
}

fn command_subject(command: &Command) -> Subject {
    let none = Subject::default();
    let of = |account| Subject {
        account: Some(account),
        ..none
    };
    let order = |order: &OrderRef| match order {
        OrderRef::Id(id) => [Some(*id), None],
        OrderRef::Client(_) => [None; 2],
    };
    match command {
        Command::NewOrder(new) => Subject {
            instrument: Some(new.instrument),
            ..of(new.account)
        },
        Command::ModifyOrder(modify) => Subject {
            orders: order(&modify.order),
            ..of(modify.actor.account)
        },
        Command::CancelOrder(cancel) => Subject {
            orders: order(&cancel.order),
            ..of(cancel.actor.account)
        },
        Command::CancelAll(cancel) => Subject {
            instrument: cancel.instrument,
            ..of(cancel.actor.account)
        },
        Command::ClosePosition(close) => of(close.actor.account),
        Command::EditConditions(edit) => of(edit.actor.account),
        Command::MarketPrice(price) => Subject {
            instrument: Some(price.instrument),
            ..none
        },
        Command::KillSwitch(kill) => scope_subject(&kill.scope),
        Command::Rearm(rearm) => of(rearm.actor.account),
        Command::AdjustCash(cash) => of(cash.account),
        Command::Heartbeat(beat) => of(beat.account),
        Command::DefineStrategy(strategy) => of(strategy.account),
        Command::SetLimits(limits) => of(limits.account),
        Command::Tick
        | Command::DefineInstrument(_)
        | Command::DefineAccount(_)
        | Command::DefineCharges(_)
        | Command::SetCapacity(_)
        | Command::SetSession(_)
        | Command::Notice(_)
        | Command::HashCheck(_) => none,
    }
}

fn scope_subject(scope: &KillScope) -> Subject {
    let account = match scope {
        KillScope::Engine => None,
        KillScope::Account(account) | KillScope::Strategy(account, _) => Some(*account),
    };
    Subject {
        account,
        ..Subject::default()
    }
}

fn event_subject(event: &Event) -> Subject {
    let none = Subject::default();
    let of = |order, account, instrument| Subject {
        orders: [Some(order), None],
        account: Some(account),
        instrument: Some(instrument),
    };
    let held = |account, instrument| Subject {
        account: Some(account),
        instrument: Some(instrument),
        ..none
    };
    let account = |account| Subject {
        account: Some(account),
        ..none
    };
    match event {
        Event::OrderAccepted(e) => of(e.order, e.account, e.instrument),
        Event::OrderRejected(e) => of(e.order, e.account, e.instrument),
        Event::OrderRepeated(e) => Subject {
            orders: [Some(e.order), None],
            ..account(e.account)
        },
        Event::Fill(e) => of(e.order, e.account, e.instrument),
        Event::OrderCancelled(e) => of(e.order, e.account, e.instrument),
        Event::OrderModified(e) => of(e.order, e.account, e.instrument),
        Event::OrderTriggered(e) => of(e.order, e.account, e.instrument),
        Event::Trade(e) => Subject {
            orders: [Some(e.maker), Some(e.taker)],
            instrument: Some(e.instrument),
            ..none
        },
        Event::PositionChanged(e) => held(e.account, e.instrument),
        Event::PositionMarked(e) => held(e.account, e.instrument),
        Event::ConditionsChanged(e) => held(e.account, e.instrument),
        Event::AccountChanged(e) => account(e.account),
        Event::Alert(e) => Subject {
            account: e.account,
            instrument: e.instrument,
            ..none
        },
        Event::TradingStateChanged(e) => scope_subject(&e.scope),
        Event::TopOfBook(e) => Subject {
            instrument: Some(e.instrument),
            ..none
        },
        Event::MassCancelled(e) => Subject {
            account: e.account,
            ..none
        },
        Event::PositionClosing { order, .. } | Event::CloseRepeated { order, .. } => Subject {
            orders: [Some(*order), None],
            ..none
        },
        Event::InstrumentDefined(instrument) => Subject {
            instrument: Some(*instrument),
            ..none
        },
        Event::AccountDefined(id) | Event::StrategyDefined(id, _) | Event::LimitsSet(id, _) => account(*id),
        Event::HeartbeatSet { account: id, .. } => account(*id),
        Event::PhaseChanged { .. } | Event::Refused(_) | Event::HashMismatch { .. } => none,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_number_or_an_instant() {
        let command = |seq, seconds: u64| Sequenced {
            seq: Seq::new(seq),
            time: Timestamp::from_nanos(seconds * 1_000_000_000),
            command: Command::Tick,
        };
        let until = |text: &str| text.parse::<Until>().unwrap();
        assert!(!until("7").is_before(&command(7, 0)));
        assert!(until("7").is_before(&command(8, 0)));
        let instant = until("1970-01-01T00:01:00Z");
        assert!(!instant.is_before(&command(1, 60)));
        assert!(instant.is_before(&command(1, 61)));
        let shown = |nanos| {
            !until("1970-01-01T00:00:00.000007Z").is_over_at(Seq::new(1), Timestamp::from_nanos(nanos))
        };
        assert_eq!([6_999, 7_000, 7_999, 8_000].map(shown), [true, true, true, false]);
        assert!("yesterday".parse::<Until>().is_err());
    }
}
