//! The dead-man switch: an account that promised heartbeats and fell silent has its orders cancelled (RISK.md, `dead_man`: mass
//! cancel), entries and exits, also those that wait for a trigger. What the engine placed to get it out of a position stays
//! (exits of conditions and closes, square-off, flatten), and so do the conditions of its positions, which are no orders.
//! So nobody's stale prices trade, and what was protected stays protected.

use crate::alert::{Alert, AlertKind};
use crate::command::Heartbeat;
use crate::engine::{Engine, Task};
use crate::event::{CancelReason, Event, EventBuffer};
use crate::ids::AccountId;
use crate::limits::{HEARTBEAT_MS_MAX, HEARTBEAT_MS_MIN};
use crate::rejection::Refusal;
use crate::sweep::{Filter, Sweep};
use crate::units::{Money, Ratio, Timestamp};

const NS_PER_MS: u64 = 1_000_000;

/// A heartbeat that is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct DeadMan {
    pub timeout_ms: u32,
    /// When it is lost.
    pub deadline: Timestamp,
}

impl Engine {
    pub(crate) fn heartbeat(&mut self, beat: &Heartbeat, out: &mut EventBuffer) -> Result<(), Refusal> {
        if self.known_account(beat.account)?.venue {
            return Err(Refusal::UnknownAccount);
        }
        let in_range = (HEARTBEAT_MS_MIN..=HEARTBEAT_MS_MAX).contains(&beat.timeout_ms);
        if beat.timeout_ms != 0 && !in_range {
            return Err(Refusal::InvalidDefinition(
                "timeout_ms must be 0 or from 100 to 3600000",
            ));
        }
        let nanos = u64::from(beat.timeout_ms).saturating_mul(NS_PER_MS);
        let dead_man = (beat.timeout_ms != 0).then(|| DeadMan {
            timeout_ms: beat.timeout_ms,
            deadline: self.time.saturating_add_nanos(nanos),
        });
        self.wait_for_heartbeat(beat.account, dead_man, out);
        Ok(())
    }

    /// The deadline passed: nothing is waited for until the next heartbeat, and the account's orders go.
    pub(crate) fn lose_heartbeat(&mut self, id: AccountId, out: &mut EventBuffer) {
        let timeout_ms = self
            .account_of(id)
            .dead_man
            .map_or(0, |dead_man| dead_man.timeout_ms);
        out.push(Event::Alert(Alert {
            kind: AlertKind::DeadMan,
            account: Some(id),
            position: None,
            instrument: None,
            amount: Money::from_paise(i64::from(timeout_ms)),
            basis: Money::ZERO,
            realised: Money::ZERO,
            unrealised: Money::ZERO,
            limit: Ratio::ZERO,
        }));
        self.wait_for_heartbeat(id, None, out);
        let sent = Filter {
            account: Some(id),
            sent_only: true,
            ..Filter::default()
        };
        self.later(Task::Sweep(Sweep::new(sent, CancelReason::DeadMan, true)));
    }

    fn wait_for_heartbeat(&mut self, id: AccountId, dead_man: Option<DeadMan>, out: &mut EventBuffer) {
        self.heartbeats.remove(id.get());
        if let Some(DeadMan { deadline, .. }) = dead_man {
            self.heartbeats.insert(deadline, id, id.get());
        }
        self.account_mut(id).dead_man = dead_man;
        self.rehash_account(id);
        out.push(Event::HeartbeatSet {
            account: id,
            dead_man,
        });
    }
}

const _: () = assert!(
    HEARTBEAT_MS_MIN == 100 && HEARTBEAT_MS_MAX == 3_600_000,
    "the refusal names them"
);
