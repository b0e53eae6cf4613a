//! What travels on the rings between the engine thread and the edges. Plain data; the threads and rings themselves
//! belong to the composition root.

use crate::command::{Command, NewOrder, Sequenced};
use crate::event::Event;
use crate::ids::Seq;
use crate::rejection::Rejection;
use crate::risk::ExplainedCheck;
use crate::units::Timestamp;

/// A caller's mark on a request, returned with everything that answers it. Meaningless to the engine.
pub type Token = u64;

/// A reading of the edge's clock, taken around the engine's work for a client and returned with its outcome.
/// Meaningless to the engine, and never part of its state.
pub type Stamp = u64;

/// One request from the gateway (or the control plane) to the engine thread.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    pub token: Token,
    pub input: Input,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// To be sequenced, journaled and applied.
    Command(Command),
    /// As `Command` where the command could add to no position ([`crate::Engine::only_reduces`]); otherwise answered with
    /// [`Outbound::Withheld`] and never sequenced. What the gateway sends while the disk is nearly full.
    Reducing(Command),
    /// To be evaluated against the live state and answered with [`Outbound::Checked`]; never sequenced.
    Validate { order: NewOrder, explain: bool },
}

/// What the engine thread hands to the journal writer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JournalEntry {
    /// To be appended. `urgent`: a client's reply or a broker intent waits for it to be durable, so sync at once.
    Command {
        command: Sequenced<Command>,
        urgent: bool,
    },
    /// An answer waits for everything before it, though nothing new was sequenced (`validate-order`): sync at once.
    Sync,
}

/// One item of the engine's output towards the gateway, in the order of decisions.
///
/// Every sequenced command gives `Begin`, its events, `End`; a command that takes several calls gives its events in
/// several runs between one `Begin` and one `End`. A consumer must not let an item leave the process before the
/// journal is durable up to the `seq` of the last `Begin` (or of the `Checked` or
/// `Withheld`) that it has seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outbound {
    /// `token` is that of the request, where the command came from the gateway's ring.
    Begin {
        seq: Seq,
        time: Timestamp,
        token: Option<Token>,
        /// When the engine thread took the request; 0 without a token.
        dequeued: Stamp,
    },
    Event(Event),
    End {
        seq: Seq,
        /// When its last event was published; 0 without a token.
        decided: Stamp,
    },
    /// One check of an [`Input::Validate`] that asked for explanations; all of them come before its `Checked`.
    Explained {
        token: Token,
        check: ExplainedCheck,
    },
    /// The answer to [`Input::Validate`], on the state after `seq`.
    Checked {
        token: Token,
        seq: Seq,
        verdict: Verdict,
        dequeued: Stamp,
        decided: Stamp,
    },
    /// The answer to an [`Input::Reducing`] that would do more than reduce, on the state after `seq`.
    Withheld {
        token: Token,
        seq: Seq,
        dequeued: Stamp,
        decided: Stamp,
    },
}

/// What the risk pass says of an order: `rejection` is the first failed check, if any; `warnings` is a bit set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Verdict {
    pub rejection: Option<Rejection>,
    pub warnings: Warnings,
}

/// Warnings of the risk pass, each a bit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Warnings(u8);

impl Warnings {
    pub const NONE: Warnings = Warnings(0);
    /// Check 7 was skipped: the instrument has no last traded price.
    pub const NO_LAST_PRICE: Warnings = Warnings(1);
    /// The limit is more than 3 % worse than the last traded price.
    pub const PRICE_COLLAR: Warnings = Warnings(2);
    /// The stop or target was rounded to the tick grid, toward triggering earlier.
    pub const STOP_ROUNDED: Warnings = Warnings(4);

    pub const fn with(self, other: Warnings) -> Warnings {
        Warnings(self.0 | other.0)
    }

    pub const fn contains(self, other: Warnings) -> bool {
        self.0 & other.0 == other.0
    }

    /// A sentence for each warning present.
    pub fn sentences(self) -> impl Iterator<Item = &'static str> {
        [
            (
                Warnings::NO_LAST_PRICE,
                "No last traded price: price sanity was not checked",
            ),
            (
                Warnings::PRICE_COLLAR,
                "Price is more than 3% worse than the last traded price",
            ),
            (
                Warnings::STOP_ROUNDED,
                "Stop-loss or take-profit was rounded to the tick size",
            ),
        ]
        .into_iter()
        .filter(move |(warning, _)| self.contains(*warning))
        .map(|(_, sentence)| sentence)
    }
}
