//! The numbers behind a rejection in the units of its check, for whoever shows them: the API and the tables alike.

use std::fmt;

use engine::{Money, Percent, RejectCode, Rejection};

/// Limit, observed value, and how far inside the limit that is: negative, but where a limit has since been met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RejectionNumbers {
    pub limit: Figure,
    pub observed: Figure,
    pub headroom: Figure,
}

/// A number as it is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Figure {
    /// Rupees, a percentage or a ratio: with two decimals.
    Hundredths(Money),
    Count(i64),
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Figure::Hundredths(hundredths) => hundredths.fmt(f),
            Figure::Count(count) => count.fmt(f),
        }
    }
}

/// What the numbers of a rejection count.
enum Unit {
    /// Rupees; the rejection holds paise.
    Rupees,
    Count,
    /// The rejection has no numbers.
    None,
}

impl RejectionNumbers {
    /// `None` for a check without numbers.
    pub fn of(rejection: &Rejection) -> Option<RejectionNumbers> {
        let (observed, limit, headroom) = (rejection.observed, rejection.limit, rejection.headroom());
        Some(match (rejection.code, unit(rejection.code)) {
            (RejectCode::RiskRewardRatio, _) => {
                let ratio = Percent::hundredths(i128::from(observed), i128::from(rejection.basis));
                let limit = Percent::hundredths(i128::from(rejection.ratio.ppm()), 1_000_000);
                // The only limit that is a floor.
                let headroom = ratio.scaled().saturating_sub(limit.scaled());
                RejectionNumbers::hundredths([limit.scaled(), ratio.scaled(), headroom])
            }
            (RejectCode::PriceSanity, _) => {
                let distance = observed.saturating_sub(rejection.basis).saturating_abs();
                let limit = Percent::hundredths(i128::from(rejection.ratio.ppm()), 10_000);
                let share = Percent::of(distance, rejection.basis);
                let headroom = limit.scaled().saturating_sub(share.scaled());
                RejectionNumbers::hundredths([limit.scaled(), share.scaled(), headroom])
            }
            (RejectCode::PriceBand, _) => {
                // Of the band's two bounds the one that is broken, or nearer.
                let is_upper = rejection.basis.saturating_sub(observed) <= observed.saturating_sub(limit);
                let bound = if is_upper { rejection.basis } else { limit };
                RejectionNumbers::hundredths([bound, observed, headroom].map(i128::from))
            }
            (_, Unit::Rupees) => RejectionNumbers::hundredths([limit, observed, headroom].map(i128::from)),
            (_, Unit::Count) => RejectionNumbers {
                limit: Figure::Count(limit),
                observed: Figure::Count(observed),
                headroom: Figure::Count(headroom),
            },
            (_, Unit::None) => return None,
        })
    }

    fn hundredths(numbers: [i128; 3]) -> RejectionNumbers {
        let [limit, observed, headroom] = numbers.map(|number| Figure::Hundredths(Money::from_wide(number)));
        RejectionNumbers {
            limit,
            observed,
            headroom,
        }
    }
}

fn unit(code: RejectCode) -> Unit {
    use RejectCode::*;
    match code {
        InsufficientBalance
        | RiskPerTrade
        | DailyLossLimit
        | StopLossNotBelowEntry
        | StopLossNotAboveEntry
        | TickSize
        | PriceBand
        | OrderValue
        | OpenOrderValue
        | GrossExposure
        | NetExposure
        | PostOnlyWouldCross
        | TriggerCrossed
        | StopBeyondTarget => Unit::Rupees,
        PositionLimit
        | QuantityBelowOne
        | QuantityAboveLimit
        | OrderToPositionRatio
        | LotSize
        | FreezeQuantity
        | SymbolPosition
        | Holdings
        | OrderRate
        | DailyOrders
        | ModifyCap
        | FillOrKill
        | MinimumQuantity
        | DisclosedQuantity
        | DuplicateBurst
        | RepeatedExecution
        | OrderCapacity
        | ClientOrderIdCapacity
        | PositionCapacity
        | StaleProtection
        | StaleReference => Unit::Count,
        NoLastPrice | StopLossMissing | RiskRewardRatio | RiskZero | PriceSanity | CircuitBreaker
        | Session | IntradayEnded | UnknownInstrument | MisNotAllowed | Banned | GoodTillInPast
        | Incompatible | NotPending | TrailingShare | UnknownAccount | ClientOrderIdReused => Unit::None,
    }
}
