//! What the risk pass says of an order before it changes the state. Events carry the verdict alone, so a fold asks again.

use engine::lane::Warnings;
use engine::{Command, Engine, ExplainedCheck, Sequenced};
use serde::{Deserialize, Serialize};

/// Of one command; empty where that is no trader's order.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub struct Foreseen {
    pub warnings: Warnings,
    /// Of an order that will be refused.
    pub checks: Checks,
}

impl Foreseen {
    /// `engine` must not have applied the command yet. Venue orders have nobody to show anything to.
    pub fn of(engine: &Engine, command: &Sequenced<Command>) -> Foreseen {
        let Command::NewOrder(order) = &command.command else {
            return Foreseen::default();
        };
        if !engine.is_trader(order.account) {
            return Foreseen::default();
        }
        let verdict = engine.check(order, command.time);
        let mut checks = Vec::new();
        if verdict.rejection.is_some() {
            engine.explain(order, command.time, |check| checks.push(check));
        }
        Foreseen {
            warnings: verdict.warnings,
            checks: Checks::of(&checks),
        }
    }
}

/// Every check of the risk pass as it found an order that was refused, in their order; none where it was refused before
/// the risk pass. Kept as postcard, which takes some 300 bytes: a day may have a million of them.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Checks(Box<[u8]>);

impl Checks {
    pub(crate) fn of(checks: &[ExplainedCheck]) -> Checks {
        let packed = checks
            .iter()
            .try_fold(Vec::new(), |packed, check| postcard::to_extend(check, packed));
        Checks(
            packed
                .expect("plain data is written into memory")
                .into_boxed_slice(),
        )
    }

    pub fn iter(&self) -> impl Iterator<Item = ExplainedCheck> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (check, after) = postcard::take_from_bytes(rest).ok()?;
            rest = after;
            Some(check)
        })
    }
}

#[cfg(test)]
mod tests {
    use engine::{CheckOutcome, RejectCode, Rejection};

    use super::*;

    #[test]
    fn checks_are_given_back_as_they_were() {
        let check = |outcome, measured| ExplainedCheck { outcome, measured };
        let checks = [
            check(
                CheckOutcome::Passed,
                Rejection::new(RejectCode::InsufficientBalance, i64::MIN, i64::MAX),
            ),
            check(
                CheckOutcome::NotApplicable,
                Rejection::bare(RejectCode::PositionLimit),
            ),
            check(
                CheckOutcome::Failed,
                Rejection::new(RejectCode::OrderRate, 11, 10),
            ),
        ];
        assert_eq!(Checks::of(&checks).iter().collect::<Vec<_>>(), checks);
        assert_eq!(Checks::default().iter().count(), 0);
    }
}
