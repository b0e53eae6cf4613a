//! A rejection as clients see it: the check's name, a stable code, the numbers behind it and a sentence.

use engine::{CheckOutcome, ExplainedCheck, Rejection};
use read_model::RejectionNumbers;

use super::json::Object;

/// Adds `reason`, `failed_check`, `code`, `limit`, `observed` and `headroom` (how far inside the limit, so
/// negative) to an object. Money and prices are in rupees, counts are integers, a reward:risk ratio and a percentage
/// have two decimals; a check without numbers has nulls.
pub fn rejection_fields(object: &mut Object<'_>, rejection: &Rejection) {
    object
        .text("reason", rejection)
        .string("failed_check", rejection.code.check())
        .number("code", rejection.code.code());
    number_fields(object, rejection);
}

/// Adds one line of an explanation: `check`, `outcome` (`pass`, `fail`, `not_applicable`), and `limit`, `observed` and
/// `headroom` in the units of [`rejection_fields`], null where the check does not apply or has no numbers.
pub fn check_fields(object: &mut Object<'_>, check: &ExplainedCheck) {
    object
        .string("check", check.measured.code.check())
        .string("outcome", check.outcome.as_str());
    if check.outcome == CheckOutcome::NotApplicable {
        object.null("limit").null("observed").null("headroom");
    } else {
        number_fields(object, &check.measured);
    }
}

fn number_fields(object: &mut Object<'_>, rejection: &Rejection) {
    match RejectionNumbers::of(rejection) {
        Some(RejectionNumbers {
            limit,
            observed,
            headroom,
        }) => object
            .number("limit", limit)
            .number("observed", observed)
            .number("headroom", headroom),
        None => object.null("limit").null("observed").null("headroom"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{Ratio, RejectCode};

    fn check(rejection: Rejection, expected: &str) {
        let mut out = Vec::new();
        rejection_fields(&mut Object::begin(&mut out), &rejection);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn numbers_carry_the_unit_of_their_check() {
        check(
            Rejection::new(RejectCode::InsufficientBalance, 490_000_000, 10_000_000),
            r#"{"reason":"Insufficient balance: Required ₹4,900,000.00, Available ₹100,000.00","failed_check":"balance_check","code":101,"limit":100000.00,"observed":4900000.00,"headroom":-4800000.00}"#,
        );
        check(
            Rejection::new(RejectCode::QuantityAboveLimit, 10_001, 10_000),
            r#"{"reason":"Quantity exceeds maximum: 10001 > 10000 allowed","failed_check":"quantity_limits","code":113,"limit":10000,"observed":10001,"headroom":-1}"#,
        );
        check(
            Rejection {
                basis: 100,
                ratio: Ratio::from_ppm(2_000_000),
                ..Rejection::new(RejectCode::RiskRewardRatio, 150, 0)
            },
            r#"{"reason":"Risk-reward ratio too low: 1.50:1 < 2:1 required","failed_check":"risk_reward_ratio","code":109,"limit":2.00,"observed":1.50,"headroom":-0.50}"#,
        );
        check(
            Rejection {
                basis: 100_000,
                ratio: Ratio::from_ppm(100_000),
                ..Rejection::new(RejectCode::PriceSanity, 85_000, 0)
            },
            r#"{"reason":"Price too far from LTP: ₹850 is 15.00% from ₹1000 (max 10.0%)","failed_check":"price_sanity","code":111,"limit":10.00,"observed":15.00,"headroom":-5.00}"#,
        );
        let band = |observed| Rejection {
            basis: 269_500,
            ..Rejection::new(RejectCode::PriceBand, observed, 220_500)
        };
        check(
            band(270_000),
            r#"{"reason":"Price ₹2700 is outside the price band ₹2205 to ₹2695","failed_check":"price_band","code":205,"limit":2695.00,"observed":2700.00,"headroom":-5.00}"#,
        );
        check(
            band(220_490),
            r#"{"reason":"Price ₹2204.90 is outside the price band ₹2205 to ₹2695","failed_check":"price_band","code":205,"limit":2205.00,"observed":2204.90,"headroom":-0.10}"#,
        );
        check(
            Rejection::bare(RejectCode::StopLossMissing),
            r#"{"reason":"Stop-loss is required for all orders","failed_check":"stop_loss_required","code":106,"limit":null,"observed":null,"headroom":null}"#,
        );
    }
}
