//! Kill switches that are on, with their reason and author.

use engine::{
    AccountId, KillCause, KillScope, Percent, Rupees, Text, Timestamp, TradingState, TradingStateChanged,
};

use crate::text::plain;

/// A scope that is not in [`TradingState::Normal`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ActiveKill {
    pub scope: KillScope,
    pub state: TradingState,
    pub cause: KillCause,
    given_reason: Text<100>,
    author: Text<50>,
    pub triggered: Timestamp,
}

impl ActiveKill {
    /// The sentence for a person; for an automatic kill that of CONTRACT.md section 5. Safe to paste into HTML.
    pub fn reason(&self) -> String {
        match self.cause {
            KillCause::DailyLoss { loss, balance } => format!(
                "Daily loss limit exceeded: {} ({}%)",
                Rupees(loss),
                Percent::of(loss.paise(), balance.paise())
            ),
            KillCause::Drawdown { drawdown, peak } => format!(
                "Drawdown limit exceeded: {} ({}%)",
                Rupees(drawdown),
                Percent::of(drawdown.paise(), peak.paise())
            ),
            KillCause::Manual | KillCause::Rearmed => plain(self.given_reason.as_str()),
        }
    }

    /// Who triggered it; `risk_monitor` for an automatic kill. Safe to paste into HTML.
    pub fn triggered_by(&self) -> String {
        match self.cause {
            KillCause::DailyLoss { .. } | KillCause::Drawdown { .. } => String::from("risk_monitor"),
            KillCause::Manual | KillCause::Rearmed => plain(self.author.as_str()),
        }
    }

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
#[derive(Debug, Default)]
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
            given_reason: reason,
            author,
            triggered: before.map_or(now, |before| before.triggered),
        });
    }
}
