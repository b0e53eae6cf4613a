//! Kill switches that are on, with their reason and author.

use engine::{AccountId, KillCause, KillScope, Text, Timestamp, TradingState, TradingStateChanged};

/// A scope that is not in [`TradingState::Normal`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct ActiveKill {
    pub scope: KillScope,
    pub state: TradingState,
    pub cause: KillCause,
    /// Of a manual kill, as its sender wrote it.
    pub reason: Text<100>,
    /// Of a manual kill.
    pub triggered_by: Text<50>,
    pub triggered: Timestamp,
}

impl ActiveKill {
    /// Whether it stops the whole account (its own or the engine's switch, not one of its strategies').
    pub fn covers(&self, account: AccountId) -> bool {
        match self.scope {
            KillScope::Engine => true,
            KillScope::Account(own) => own == account,
            KillScope::Strategy(..) => false,
        }
    }
}

/// The scopes that are not in their normal state: a handful, looked through one by one.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Kills {
    active: Vec<ActiveKill>,
}

impl Kills {
    pub(crate) fn active(&self) -> &[ActiveKill] {
        &self.active
    }

    /// `reason` and `author` are those of the command, for a manual kill. A kill that makes a scope stricter keeps the
    /// time of its first trigger.
    pub(crate) fn change(
        &mut self,
        event: &TradingStateChanged,
        reason: Text<100>,
        author: Text<50>,
        now: Timestamp,
    ) {
        let before = self.active.iter().position(|kill| kill.scope == event.scope);
        let before = before.map(|index| self.active.remove(index));
        if event.state == TradingState::Normal {
            return;
        }
        self.active.push(ActiveKill {
            scope: event.scope,
            state: event.state,
            cause: event.cause,
            reason,
            triggered_by: author,
            triggered: before.map_or(now, |before| before.triggered),
        });
    }
}
