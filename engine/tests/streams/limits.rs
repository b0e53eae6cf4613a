//! Limits of accounts and strategies, as they are defined and as they are set at run time.

use engine::{AccountId, LimitFields, Money, Ratio, RiskLimits, SelfTrade, SetLimits};

use super::definitions::ACCOUNTS;
use super::{Random, actor, strategy};

pub(super) fn limits(random: &mut Random) -> RiskLimits {
    let base = match random.below(3) {
        0 => RiskLimits::dashboard(),
        1 => RiskLimits::maker(),
        _ => RiskLimits::unlimited_paper(),
    };
    RiskLimits {
        self_trade: random.of(&SelfTrade::ALL),
        flatten_on_kill: random.percent(30),
        mis_leverage: random.of(&[1, 3, 5, 7]),
        orders_per_second_max: rarely(random, 1).or(base.orders_per_second_max),
        daily_orders_max: rarely(random, 30).or(base.daily_orders_max),
        modifications_max: rarely(random, 2).or(base.modifications_max),
        order_quantity_max: rarely(random, 60).or(base.order_quantity_max),
        order_value_max: rarely(random, 4_000)
            .map(|rupees| Money::from_paise(i64::from(rupees) * 100))
            .or(base.order_value_max),
        open_order_value_max: rarely(random, 2_000)
            .map(|rupees| Money::from_paise(i64::from(rupees) * 100))
            .or(base.open_order_value_max),
        symbol_position_max: rarely(random, 200),
        gross_exposure_max: rarely(random, 400_000).map(Ratio::from_ppm),
        net_exposure_max: rarely(random, 300_000).map(Ratio::from_ppm),
        duplicate_burst_max: rarely(random, 2).or(base.duplicate_burst_max),
        repeated_executions_max: rarely(random, 2).or(base.repeated_executions_max),
        reference_age_ms_max: rarely(random, 3_000),
        order_to_trade_alert: rarely(random, 2).or(base.order_to_trade_alert),
        ..base
    }
}

/// A limit that is soon reached.
fn rarely(random: &mut Random, limit: u32) -> Option<u32> {
    random.percent(12).then_some(limit)
}

pub(super) fn set_limits(random: &mut Random) -> SetLimits {
    if random.percent(20) {
        return set_strategy_limits(random);
    }
    SetLimits {
        actor: actor(random),
        account: AccountId::new(random.below(ACCOUNTS + 1)),
        strategy: None,
        fields: if random.percent(50) {
            LimitFields::ALL
        } else {
            LimitFields::from_bits(random.below(LimitFields::ALL.bits())).expect("bits of fields")
        },
        limits: limits(random),
    }
}

/// A few limits of a strategy, sometimes none any more, and now and then one that only an account has.
fn set_strategy_limits(random: &mut Random) -> SetLimits {
    let fields = match random.below(8) {
        0 => LimitFields::OF_STRATEGIES,
        1 => LimitFields::ALL,
        _ => {
            LimitFields::from_bits(random.below(LimitFields::ALL.bits()) & LimitFields::OF_STRATEGIES.bits())
                .expect("bits of fields")
        }
    };
    SetLimits {
        actor: actor(random),
        account: AccountId::new(random.below(ACCOUNTS)),
        strategy: Some(strategy(random)),
        fields,
        limits: strategy_limits(random),
    }
}

fn strategy_limits(random: &mut Random) -> RiskLimits {
    let ratio = |ppm: Option<u32>| ppm.map(Ratio::from_ppm);
    let rupees = |rupees: Option<u32>| rupees.map(|rupees| Money::from_paise(i64::from(rupees) * 100));
    RiskLimits {
        positions_max: seldom(random, 2),
        risk_per_trade_max: ratio(seldom(random, 10_000)),
        daily_loss_max: ratio(seldom(random, 5_000)),
        stop_loss_required: random.percent(2),
        risk_reward_min: ratio(seldom(random, 2_500_000)),
        price_sanity_max: ratio(seldom(random, 20_000)),
        order_quantity_max: seldom(random, 60),
        orders_per_position_max: seldom(random, 2),
        order_value_max: rupees(seldom(random, 3_000)),
        open_order_value_max: rupees(seldom(random, 2_000)),
        orders_per_second_max: seldom(random, 1),
        daily_orders_max: seldom(random, 40),
        modifications_max: seldom(random, 1),
        symbol_position_max: seldom(random, 100),
        gross_exposure_max: ratio(seldom(random, 300_000)),
        net_exposure_max: ratio(seldom(random, 200_000)),
        duplicate_burst_max: seldom(random, 2),
        repeated_executions_max: seldom(random, 2),
        reference_age_ms_max: seldom(random, 2_000),
        ..RiskLimits::NONE
    }
}

/// A limit that is soon reached, of one strategy.
fn seldom(random: &mut Random, limit: u32) -> Option<u32> {
    random.percent(3).then_some(limit)
}
