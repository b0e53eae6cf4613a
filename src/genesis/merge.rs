//! Limits of an account that the file changed: field by field, because each may have been changed at run time too.

use engine::RiskLimits;

/// A limit, by its field's name, that was tightened at run time and that the file would loosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Kept(pub(super) &'static str);

/// The limits to apply, where the engine has `current`, the file said `last` when it was last applied, and says
/// `file` now.
///
/// A field that did not change in the file stays as it is. One that did is applied, but never past a value that was
/// tightened at run time: loosening that takes a run-time command too.
pub(super) fn merge(current: &RiskLimits, last: &RiskLimits, file: &RiskLimits) -> (RiskLimits, Vec<Kept>) {
    let mut kept = Vec::new();
    macro_rules! field {
        ($name:ident, $stricter:expr) => {
            merge_field(
                stringify!($name),
                [&current.$name, &last.$name, &file.$name],
                $stricter,
                &mut kept,
            )
        };
    }
    let limits = RiskLimits {
        balance_check: field!(balance_check, on),
        mis_leverage: field!(mis_leverage, |a, b| a < b),
        positions_max: field!(positions_max, lower),
        risk_per_trade_max: field!(risk_per_trade_max, lower),
        daily_loss_max: field!(daily_loss_max, lower),
        stop_loss_required: field!(stop_loss_required, on),
        risk_reward_min: field!(risk_reward_min, higher),
        price_sanity_max: field!(price_sanity_max, lower),
        order_quantity_max: field!(order_quantity_max, lower),
        orders_per_position_max: field!(orders_per_position_max, lower),
        drawdown_max: field!(drawdown_max, lower),
        position_loss_max: field!(position_loss_max, lower),
        order_value_max: field!(order_value_max, lower),
        open_order_value_max: field!(open_order_value_max, lower),
        orders_per_second_max: field!(orders_per_second_max, lower),
        daily_orders_max: field!(daily_orders_max, lower),
        modifications_max: field!(modifications_max, lower),
        symbol_position_max: field!(symbol_position_max, lower),
        gross_exposure_max: field!(gross_exposure_max, lower),
        net_exposure_max: field!(net_exposure_max, lower),
        duplicate_burst_max: field!(duplicate_burst_max, lower),
        repeated_executions_max: field!(repeated_executions_max, lower),
        reference_age_ms_max: field!(reference_age_ms_max, lower),
        order_to_trade_alert: field!(order_to_trade_alert, lower),
        self_trade: field!(self_trade, neither),
        flatten_on_kill: field!(flatten_on_kill, neither),
    };
    (limits, kept)
}

/// `stricter(a, b)`: `a` allows less than `b`.
fn merge_field<T: Copy + PartialEq>(
    name: &'static str,
    [current, last, file]: [&T; 3],
    stricter: impl Fn(&T, &T) -> bool,
    kept: &mut Vec<Kept>,
) -> T {
    if file == last {
        return *current;
    }
    let tightened = stricter(current, last);
    if tightened && stricter(current, file) {
        kept.push(Kept(name));
        return *current;
    }
    *file
}

/// Upper limits: a lower one is stricter, none at all the loosest.
fn lower<T: PartialOrd>(a: &Option<T>, b: &Option<T>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a < b,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// Lower limits.
fn higher<T: PartialOrd>(a: &Option<T>, b: &Option<T>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a > b,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// Checks: an active one is stricter.
fn on(a: &bool, b: &bool) -> bool {
    *a && !*b
}

/// Policies, of which none is stricter.
fn neither<T>(_: &T, _: &T) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{Ratio, SelfTrade};

    fn with(positions: Option<u32>, reward: Option<u32>, stop: bool) -> RiskLimits {
        RiskLimits {
            positions_max: positions,
            risk_reward_min: reward.map(Ratio::from_ppm),
            stop_loss_required: stop,
            ..RiskLimits::dashboard()
        }
    }

    /// Each row: current, last applied, file, result, whether something was kept. Over three kinds of field at once:
    /// an upper limit, a lower limit and a check.
    #[test]
    fn the_file_changes_only_what_changed_in_it_and_loosens_nothing() {
        let strict = || with(Some(2), Some(5), true);
        let middle = || with(Some(5), Some(3), true);
        let loose = || with(Some(8), Some(1), false);
        let off = || with(None, None, false);
        let check = |current: RiskLimits, last, file, expected: RiskLimits, kept: &[&'static str]| {
            let names: Vec<Kept> = kept.iter().map(|name| Kept(name)).collect();
            assert_eq!(merge(&current, &last, &file), (expected, names));
        };
        // The file is as it was: whatever was done at run time stays.
        check(strict(), middle(), middle(), strict(), &[]);
        check(loose(), middle(), middle(), loose(), &[]);
        check(off(), middle(), middle(), off(), &[]);
        // Nothing was done at run time: the file is followed both ways.
        check(middle(), middle(), loose(), loose(), &[]);
        check(middle(), middle(), strict(), strict(), &[]);
        check(middle(), middle(), off(), off(), &[]);
        // Loosened at run time: the file's new word counts.
        check(loose(), middle(), strict(), with(Some(2), Some(5), false), &[]);
        check(loose(), off(), strict(), strict(), &[]);
        // Tightened at run time: the file may only go further.
        let all = ["positions_max", "risk_reward_min"];
        check(strict(), middle(), loose(), with(Some(2), Some(5), false), &all);
        check(strict(), loose(), middle(), with(Some(2), Some(5), true), &all);
        check(middle(), loose(), strict(), strict(), &[]);
        check(strict(), off(), loose(), strict(), &all);
    }

    #[test]
    fn policies_follow_the_file() {
        let file = RiskLimits {
            self_trade: SelfTrade::Off,
            flatten_on_kill: true,
            mis_leverage: 4,
            ..RiskLimits::dashboard()
        };
        let current = RiskLimits {
            self_trade: SelfTrade::CancelBoth,
            mis_leverage: 3,
            ..RiskLimits::dashboard()
        };
        let (merged, kept) = merge(&current, &RiskLimits::dashboard(), &file);
        assert_eq!(
            (merged.self_trade, merged.flatten_on_kill),
            (SelfTrade::Off, true)
        );
        assert_eq!((merged.mis_leverage, kept), (3, vec![Kept("mis_leverage")]));
    }
}
