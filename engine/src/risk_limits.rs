//! The limits of an account's risk profile. A profile is a value: its name and file syntax belong to the edge.

use crate::terms::SelfTrade;
use crate::units::{Money, Ratio};

/// Limits of one account (RISK.md). `None` switches a check off.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct RiskLimits {
    /// Check 1, `balance_check`.
    pub balance_check: bool,
    /// Margin of an MIS order is its notional divided by this; at least 1.
    pub mis_leverage: u32,
    /// Check 2, `position_limit`: open positions.
    pub positions_max: Option<u32>,
    /// Check 3, `risk_per_trade`: share of the balance.
    pub risk_per_trade_max: Option<Ratio>,
    /// Check 4, `daily_loss_limit`, and the monitor's automatic kill: share of the balance.
    pub daily_loss_max: Option<Ratio>,
    /// Check 5, `stop_loss_required`.
    pub stop_loss_required: bool,
    /// Check 6, `risk_reward_ratio`: reward divided by risk.
    pub risk_reward_min: Option<Ratio>,
    /// Check 7, `price_sanity`: distance from the last traded price as a share of it.
    pub price_sanity_max: Option<Ratio>,
    /// Check 8, `quantity_limits`: shares per order.
    pub order_quantity_max: Option<u32>,
    /// Check 9, `order_to_position_ratio`: active entry orders per open position.
    pub orders_per_position_max: Option<u32>,
    /// Monitor: fall from the day's peak, as a share of the peak, that trips the kill switch.
    pub drawdown_max: Option<Ratio>,
    /// Monitor: one position's loss, as a share of the balance, that raises `position_loss_limit`.
    pub position_loss_max: Option<Ratio>,
    /// Layer B, `order_value`: notional of one order.
    pub order_value_max: Option<Money>,
    /// Layer B, `open_order_value`: notional of all open orders together with the new one.
    pub open_order_value_max: Option<Money>,
    /// Layer B, `order_rate`: orders and modifications per second (token bucket of one second's depth).
    pub orders_per_second_max: Option<u32>,
    /// Layer B, `daily_orders`.
    pub daily_orders_max: Option<u32>,
    /// Layer B, `modify_cap`: modifications of one order.
    pub modifications_max: Option<u32>,
    /// Layer B, `symbol_position`: shares of one position in the worst case.
    pub symbol_position_max: Option<u32>,
    /// Layer B, `gross_exposure`: Σ |position × mark| + open entries, as a multiple of the balance.
    pub gross_exposure_max: Option<Ratio>,
    /// Layer B, `net_exposure`: |Σ position × mark|, as a multiple of the balance.
    pub net_exposure_max: Option<Ratio>,
    /// Layer B, `duplicate_burst`: this many identical orders within a second are one too many.
    pub duplicate_burst_max: Option<u32>,
    /// Layer B, `repeated_execution`: fills of one strategy and side within a minute.
    pub repeated_executions_max: Option<u32>,
    /// Layer B, `stale_reference` and `market_protection`: age of the last price in milliseconds that an entry may
    /// rely on. For live venues.
    pub reference_age_ms_max: Option<u32>,
    /// Layer B, `order_to_trade`: messages per fill of the day above which an alert is raised.
    pub order_to_trade_alert: Option<u32>,
    /// Layer B, `self_trade`.
    pub self_trade: SelfTrade,
    /// Whether a kill also closes positions with protected market orders.
    pub flatten_on_kill: bool,
}

const fn rupees(rupees: i64) -> Money {
    Money::from_paise(rupees.saturating_mul(100))
}

impl RiskLimits {
    /// The profile of the existing dashboard, and the default of every account.
    pub const fn dashboard() -> RiskLimits {
        RiskLimits {
            balance_check: true,
            mis_leverage: 5,
            positions_max: Some(5),
            risk_per_trade_max: Some(Ratio::from_ppm(20_000)),
            daily_loss_max: Some(Ratio::from_ppm(60_000)),
            stop_loss_required: true,
            risk_reward_min: Some(Ratio::from_ppm(2_000_000)),
            price_sanity_max: Some(Ratio::from_ppm(100_000)),
            order_quantity_max: Some(10_000),
            orders_per_position_max: Some(3),
            drawdown_max: Some(Ratio::from_ppm(150_000)),
            position_loss_max: Some(Ratio::from_ppm(50_000)),
            order_value_max: Some(rupees(500_000)),
            open_order_value_max: Some(rupees(2_500_000)),
            orders_per_second_max: Some(10),
            daily_orders_max: Some(5_000),
            modifications_max: Some(25),
            symbol_position_max: None,
            gross_exposure_max: None,
            net_exposure_max: None,
            duplicate_burst_max: Some(3),
            repeated_executions_max: Some(20),
            reference_age_ms_max: None,
            order_to_trade_alert: Some(50),
            self_trade: SelfTrade::CancelResting,
            flatten_on_kill: false,
        }
    }

    /// For liquidity providers: high capacity, no stop-loss discipline.
    pub const fn maker() -> RiskLimits {
        RiskLimits {
            positions_max: Some(1_000),
            risk_per_trade_max: None,
            stop_loss_required: false,
            risk_reward_min: None,
            order_quantity_max: Some(100_000),
            orders_per_position_max: None,
            order_value_max: Some(rupees(10_000_000)),
            open_order_value_max: Some(rupees(1_000_000_000)),
            orders_per_second_max: Some(20_000),
            daily_orders_max: None,
            modifications_max: None,
            duplicate_burst_max: None,
            repeated_executions_max: None,
            order_to_trade_alert: None,
            ..RiskLimits::dashboard()
        }
    }

    /// Nothing but capacity, the exchange's own limits and the kill switch.
    pub const fn unlimited_paper() -> RiskLimits {
        RiskLimits {
            balance_check: false,
            positions_max: None,
            daily_loss_max: None,
            price_sanity_max: None,
            order_quantity_max: None,
            drawdown_max: None,
            position_loss_max: None,
            order_value_max: None,
            open_order_value_max: None,
            orders_per_second_max: None,
            ..RiskLimits::maker()
        }
    }

    /// Nothing is limited: what a strategy has of its own before anything is set for it.
    pub const NONE: RiskLimits = RiskLimits {
        balance_check: false,
        mis_leverage: 1,
        positions_max: None,
        risk_per_trade_max: None,
        daily_loss_max: None,
        stop_loss_required: false,
        risk_reward_min: None,
        price_sanity_max: None,
        order_quantity_max: None,
        orders_per_position_max: None,
        drawdown_max: None,
        position_loss_max: None,
        order_value_max: None,
        open_order_value_max: None,
        orders_per_second_max: None,
        daily_orders_max: None,
        modifications_max: None,
        symbol_position_max: None,
        gross_exposure_max: None,
        net_exposure_max: None,
        duplicate_burst_max: None,
        repeated_executions_max: None,
        reference_age_ms_max: None,
        order_to_trade_alert: None,
        self_trade: SelfTrade::CancelResting,
        flatten_on_kill: false,
    };

    /// These limits for a strategy that has limits of its own: of each of [`LimitFields::OF_STRATEGIES`] the stricter,
    /// of the others these.
    #[must_use]
    pub fn tightened_by(&self, own: &RiskLimits) -> RiskLimits {
        RiskLimits {
            positions_max: lower(self.positions_max, own.positions_max),
            risk_per_trade_max: lower(self.risk_per_trade_max, own.risk_per_trade_max),
            daily_loss_max: lower(self.daily_loss_max, own.daily_loss_max),
            stop_loss_required: self.stop_loss_required || own.stop_loss_required,
            risk_reward_min: self.risk_reward_min.max(own.risk_reward_min),
            price_sanity_max: lower(self.price_sanity_max, own.price_sanity_max),
            order_quantity_max: lower(self.order_quantity_max, own.order_quantity_max),
            orders_per_position_max: lower(self.orders_per_position_max, own.orders_per_position_max),
            order_value_max: lower(self.order_value_max, own.order_value_max),
            open_order_value_max: lower(self.open_order_value_max, own.open_order_value_max),
            orders_per_second_max: lower(self.orders_per_second_max, own.orders_per_second_max),
            daily_orders_max: lower(self.daily_orders_max, own.daily_orders_max),
            modifications_max: lower(self.modifications_max, own.modifications_max),
            symbol_position_max: lower(self.symbol_position_max, own.symbol_position_max),
            gross_exposure_max: lower(self.gross_exposure_max, own.gross_exposure_max),
            net_exposure_max: lower(self.net_exposure_max, own.net_exposure_max),
            duplicate_burst_max: lower(self.duplicate_burst_max, own.duplicate_burst_max),
            repeated_executions_max: lower(self.repeated_executions_max, own.repeated_executions_max),
            reference_age_ms_max: lower(self.reference_age_ms_max, own.reference_age_ms_max),
            ..self.clone()
        }
    }

    /// A built-in profile by its name in the configuration.
    pub fn by_name(name: &str) -> Option<RiskLimits> {
        match name {
            "dashboard" => Some(RiskLimits::dashboard()),
            "maker" => Some(RiskLimits::maker()),
            "unlimited-paper" => Some(RiskLimits::unlimited_paper()),
            _ => None,
        }
    }
}

/// The lower of two upper limits; none at all is the loosest.
fn lower<T: Ord>(first: Option<T>, second: Option<T>) -> Option<T> {
    match (first, second) {
        (Some(first), Some(second)) => Some(first.min(second)),
        (first, second) => first.or(second),
    }
}

/// Which limits a [`crate::SetLimits`] changes: one bit for each field of [`RiskLimits`], in their order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LimitFields(u32);

macro_rules! limit_fields {
    ($($bit:literal $field:ident,)+) => {
        impl LimitFields {
            const COUNT: u32 = 0 $(+ { let _ = $bit; 1 })+;

            /// The limit of that field's name alone; `None` for a name that is none.
            pub fn named(name: &str) -> Option<LimitFields> {
                match name {
                    $(stringify!($field) => Some(LimitFields(1 << $bit)),)+
                    _ => None,
                }
            }

            /// The names of its fields, in order.
            pub fn names(self) -> impl Iterator<Item = &'static str> {
                [$((1_u32 << $bit, stringify!($field)),)+]
                    .into_iter()
                    .filter(move |(bit, _)| self.0 & bit != 0)
                    .map(|(_, name)| name)
            }
        }

        impl RiskLimits {
            /// Takes `fields` from another value and leaves the others as they are.
            pub fn take(&mut self, fields: LimitFields, from: &RiskLimits) {
                $(if fields.0 & (1 << $bit) != 0 {
                    self.$field = from.$field;
                })+
            }
        }
    };
}

limit_fields! {
    0 balance_check,
    1 mis_leverage,
    2 positions_max,
    3 risk_per_trade_max,
    4 daily_loss_max,
    5 stop_loss_required,
    6 risk_reward_min,
    7 price_sanity_max,
    8 order_quantity_max,
    9 orders_per_position_max,
    10 drawdown_max,
    11 position_loss_max,
    12 order_value_max,
    13 open_order_value_max,
    14 orders_per_second_max,
    15 daily_orders_max,
    16 modifications_max,
    17 symbol_position_max,
    18 gross_exposure_max,
    19 net_exposure_max,
    20 duplicate_burst_max,
    21 repeated_executions_max,
    22 order_to_trade_alert,
    23 self_trade,
    24 flatten_on_kill,
    25 reference_age_ms_max,
}

impl LimitFields {
    pub const NONE: LimitFields = LimitFields(0);
    pub const ALL: LimitFields = LimitFields((1 << LimitFields::COUNT) - 1);
    /// Those of one order, which a strategy may tighten. Margin, the monitor's limits and policies are the account's.
    pub const OF_STRATEGIES: LimitFields =
        LimitFields(LimitFields::ALL.0 & !(1 | 1 << 1 | 1 << 10 | 1 << 11 | 1 << 22 | 1 << 23 | 1 << 24));

    /// `None` where a bit stands for no field.
    pub const fn from_bits(bits: u32) -> Option<LimitFields> {
        if bits & !LimitFields::ALL.0 == 0 {
            Some(LimitFields(bits))
        } else {
            None
        }
    }

    pub const fn bits(self) -> u32 {
        self.0
    }

    pub const fn contains(self, other: LimitFields) -> bool {
        other.0 & !self.0 == 0
    }

    #[must_use]
    pub const fn with(self, other: LimitFields) -> LimitFields {
        LimitFields(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_taken_one_by_one() {
        let (maker, dashboard) = (RiskLimits::maker(), RiskLimits::dashboard());
        let mut mixed = dashboard.clone();
        let two = LimitFields::named("positions_max")
            .unwrap()
            .with(LimitFields::named("stop_loss_required").unwrap());
        mixed.take(two, &maker);
        let expected = RiskLimits {
            positions_max: maker.positions_max,
            stop_loss_required: maker.stop_loss_required,
            ..dashboard.clone()
        };
        assert_eq!(mixed, expected);
        mixed.take(LimitFields::NONE, &RiskLimits::unlimited_paper());
        assert_eq!(mixed, expected);
        mixed.take(LimitFields::ALL, &maker);
        assert_eq!(mixed, maker);
        assert_eq!(LimitFields::named("positions"), None);
        assert_eq!(LimitFields::from_bits(1 << LimitFields::COUNT), None);
        let all: std::vec::Vec<_> = LimitFields::ALL.names().filter_map(LimitFields::named).collect();
        assert_eq!(all.len(), 26);
        let joined = all.into_iter().fold(LimitFields::NONE, LimitFields::with);
        assert_eq!(joined, LimitFields::ALL);
    }

    #[test]
    fn a_strategy_tightens_and_never_loosens() {
        let of_account = LimitFields::ALL
            .names()
            .filter(|name| !LimitFields::OF_STRATEGIES.contains(LimitFields::named(name).unwrap()));
        let expected = [
            "balance_check",
            "mis_leverage",
            "drawdown_max",
            "position_loss_max",
            "order_to_trade_alert",
            "self_trade",
            "flatten_on_kill",
        ];
        assert!(of_account.eq(expected));
        let (dashboard, maker) = (RiskLimits::dashboard(), RiskLimits::maker());
        assert_eq!(dashboard.tightened_by(&RiskLimits::NONE), dashboard);
        // The maker's profile is looser in everything; what is the account's stays the account's.
        assert_eq!(dashboard.tightened_by(&maker), dashboard);
        let tightened = maker.tightened_by(&dashboard);
        let mut expected = maker.clone();
        expected.take(LimitFields::OF_STRATEGIES, &dashboard);
        assert_eq!(tightened, expected);
        let own = RiskLimits {
            risk_reward_min: Some(Ratio::from_ppm(3_000_000)),
            positions_max: Some(4),
            order_quantity_max: Some(20_000),
            ..RiskLimits::NONE
        };
        let tightened = dashboard.tightened_by(&own);
        assert_eq!(tightened.risk_reward_min, own.risk_reward_min);
        assert_eq!(tightened.positions_max, Some(4));
        assert_eq!(tightened.order_quantity_max, dashboard.order_quantity_max);
    }
}
