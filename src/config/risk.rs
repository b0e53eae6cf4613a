//! Risk profiles: built-in ones, the file's own, and the environment's limits, laid over each other.
//!
//! A profile is its base with the limits that the file sets. The environment's limits belong to the profile
//! `dashboard` and are laid over what the file says of it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use engine::{LimitFields, Money, Ratio, RiskLimits, SelfTrade};

use super::environment::Environment;
use super::error::ConfigError;
use super::file::Scalar;
use super::value::{Setting, alternatives};
use crate::limits::{BALANCE_MAX, LEVERAGE_MAX, RISK_REWARD_MAX};

/// The profile that the environment's limits belong to, and the default of every account.
pub(super) const DASHBOARD: &str = "dashboard";
const BUILT_IN: [&str; 3] = [DASHBOARD, "maker", "unlimited-paper"];

/// Environment names (CONTRACT.md section 8, RISK.md) and the limits they set.
const VARIABLES: [(&str, &str); 11] = [
    ("MAX_RISK_PER_TRADE", "risk_per_trade_max"),
    ("MAX_DAILY_LOSS", "daily_loss_max"),
    ("MAX_DRAWDOWN", "drawdown_max"),
    ("MAX_POSITIONS", "positions_max"),
    ("MIN_RISK_REWARD", "risk_reward_min"),
    ("MAX_QUANTITY_PER_ORDER", "order_quantity_max"),
    ("MAX_ORDER_TO_POSITION_RATIO", "orders_per_position_max"),
    ("PRICE_SANITY_PCT", "price_sanity_max"),
    ("MAX_POSITION_LOSS_PCT", "position_loss_max"),
    ("MIS_LEVERAGE", "mis_leverage"),
    ("REQUIRE_STOP_LOSS", "stop_loss_required"),
];

/// How far limits may go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Bounds {
    /// Those of the existing system's `Config.validate()`: risk per trade in (0, 0.10], daily loss in (0, 0.20],
    /// 1 to 10 positions, reward at least the risk; none of the four may be switched off.
    Dashboard,
    /// What the engine can represent.
    Engine,
}

impl Bounds {
    pub(super) fn of_profile(name: &str) -> Bounds {
        if name == DASHBOARD {
            Bounds::Dashboard
        } else {
            Bounds::Engine
        }
    }
}

/// Every profile that an account may name.
#[derive(Debug)]
pub(super) struct Profiles(BTreeMap<String, RiskLimits>);

impl Profiles {
    pub(super) fn new(
        sections: &BTreeMap<String, BTreeMap<String, Scalar>>,
        environment: &Environment,
    ) -> Result<Profiles, ConfigError> {
        let mut profiles = BTreeMap::new();
        for name in BUILT_IN {
            let built_in = RiskLimits::by_name(name).expect("a built-in profile");
            profiles.insert(name.to_owned(), built_in);
        }
        // The built-in ones first: the file's own ones build on what the file makes of them.
        let (changed, own): (Vec<_>, Vec<_>) = sections
            .iter()
            .partition(|(name, _)| BUILT_IN.contains(&name.as_str()));
        for (name, section) in changed {
            if section.contains_key("base") {
                let reason = "is not allowed: a built-in profile is its own base";
                return Err(ConfigError::setting(format!("profiles.{name}.base"), reason));
            }
            let limits = profiles.get_mut(name).expect("a built-in profile");
            lay(
                limits,
                Bounds::of_profile(name),
                &format!("profiles.{name}"),
                section,
            )?;
        }
        if let Some(dashboard) = profiles.get_mut(DASHBOARD) {
            lay_environment(dashboard, environment)?;
        }
        for (name, section) in own {
            Setting::new("a profile's name", name).name()?;
            let key = format!("profiles.{name}");
            let base = section.get("base").map_or(DASHBOARD, Scalar::as_str);
            let mut limits = Setting::new(format!("{key}.base"), base)
                .one_of(&BUILT_IN.map(|name| (name, name)))
                .map(|base| profiles[base].clone())?;
            lay(&mut limits, Bounds::Engine, &key, section)?;
            profiles.insert(name.clone(), limits);
        }
        Ok(Profiles(profiles))
    }

    pub(super) fn limits(&self, name: &Setting) -> Result<RiskLimits, ConfigError> {
        self.0.get(&name.text).cloned().ok_or_else(|| {
            let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
            name.invalid(format!("must be a profile ({})", alternatives(&names)))
        })
    }
}

/// Lays a section's limits over `limits`; `key` is the section's name in messages.
pub(super) fn lay(
    limits: &mut RiskLimits,
    bounds: Bounds,
    key: &str,
    section: &BTreeMap<String, Scalar>,
) -> Result<(), ConfigError> {
    for (name, text) in section.iter().filter(|(name, _)| *name != "base") {
        set(
            limits,
            bounds,
            name,
            &Setting::new(format!("{key}.{name}"), text.as_str()),
        )?;
    }
    Ok(())
}

/// The limits that a strategy has of its own; one that is not set, or `off`, is the account's.
pub(super) fn of_strategy(key: &str, section: &BTreeMap<String, Scalar>) -> Result<RiskLimits, ConfigError> {
    let of_account = |name: &&String| {
        LimitFields::named(name).is_some_and(|field| !LimitFields::OF_STRATEGIES.contains(field))
    };
    if let Some(name) = section.keys().find(of_account) {
        let reason = "is a limit of the whole account, not of a strategy";
        return Err(ConfigError::setting(format!("{key}.{name}"), reason));
    }
    let mut limits = RiskLimits::NONE;
    for (name, text) in section {
        let setting = Setting::new(format!("{key}.{name}"), text.as_str());
        set(&mut limits, Bounds::Engine, name, &setting)?;
    }
    Ok(limits)
}

/// Lays the environment's limits over those of the profile `dashboard`.
pub(super) fn lay_environment(limits: &mut RiskLimits, environment: &Environment) -> Result<(), ConfigError> {
    for (variable, name) in VARIABLES {
        if let Some(text) = environment.read(variable) {
            set(limits, Bounds::Dashboard, name, &Setting::new(variable, text))?;
        }
    }
    Ok(())
}

/// Sets one limit by the name of its field in [`RiskLimits`].
fn set(limits: &mut RiskLimits, bounds: Bounds, name: &str, setting: &Setting) -> Result<(), ConfigError> {
    let dashboard = bounds == Bounds::Dashboard;
    let parts = |ppm: u32| Ratio::from_ppm(1)..=Ratio::from_ppm(ppm);
    match name {
        "balance_check" => limits.balance_check = setting.flag()?,
        "mis_leverage" => limits.mis_leverage = setting.whole(1..=LEVERAGE_MAX)?,
        "positions_max" if dashboard => limits.positions_max = Some(setting.whole(1..=10)?),
        "positions_max" => limits.positions_max = count(setting)?,
        "risk_per_trade_max" if dashboard => {
            limits.risk_per_trade_max = Some(setting.ratio(parts(100_000))?);
        }
        "risk_per_trade_max" => limits.risk_per_trade_max = share(setting)?,
        "daily_loss_max" if dashboard => limits.daily_loss_max = Some(setting.ratio(parts(200_000))?),
        "daily_loss_max" => limits.daily_loss_max = share(setting)?,
        "stop_loss_required" => limits.stop_loss_required = setting.flag()?,
        "risk_reward_min" => {
            let least = if dashboard { Ratio::ONE } else { Ratio::from_ppm(1) };
            let range = least..=Ratio::from_ppm(RISK_REWARD_MAX * Ratio::ONE.ppm());
            limits.risk_reward_min = if dashboard {
                Some(setting.ratio(range)?)
            } else {
                unless_off(setting, |setting| setting.ratio(range))?
            };
        }
        "price_sanity_max" => limits.price_sanity_max = share(setting)?,
        "order_quantity_max" => {
            limits.order_quantity_max =
                unless_off(setting, |setting| setting.whole(1..=engine::limits::QUANTITY_MAX))?;
        }
        "orders_per_position_max" => limits.orders_per_position_max = count(setting)?,
        "drawdown_max" => limits.drawdown_max = share(setting)?,
        "position_loss_max" => limits.position_loss_max = share(setting)?,
        "order_value_max" => limits.order_value_max = amount(setting)?,
        "open_order_value_max" => limits.open_order_value_max = amount(setting)?,
        "orders_per_second_max" => limits.orders_per_second_max = count(setting)?,
        "daily_orders_max" => limits.daily_orders_max = count(setting)?,
        "modifications_max" => limits.modifications_max = count(setting)?,
        "symbol_position_max" => limits.symbol_position_max = count(setting)?,
        "gross_exposure_max" => limits.gross_exposure_max = multiple(setting)?,
        "net_exposure_max" => limits.net_exposure_max = multiple(setting)?,
        "duplicate_burst_max" => limits.duplicate_burst_max = count(setting)?,
        "repeated_executions_max" => limits.repeated_executions_max = count(setting)?,
        "reference_age_ms_max" => limits.reference_age_ms_max = count(setting)?,
        "order_to_trade_alert" => limits.order_to_trade_alert = count(setting)?,
        "self_trade" => {
            limits.self_trade = setting.one_of(&SelfTrade::ALL.map(|policy| (policy.as_str(), policy)))?;
        }
        "flatten_on_kill" => limits.flatten_on_kill = setting.flag()?,
        _ => {
            let names: Vec<&str> = LimitFields::ALL.names().collect();
            let reason = format!("is not a limit; they are {}", names.join(", "));
            return Err(ConfigError::setting(&setting.key, reason));
        }
    }
    Ok(())
}

/// The word `off` switches a check off.
fn unless_off<T>(
    setting: &Setting,
    parse: impl FnOnce(&Setting) -> Result<T, ConfigError>,
) -> Result<Option<T>, ConfigError> {
    if setting.text == "off" {
        return Ok(None);
    }
    parse(setting).map(Some)
}

fn count(setting: &Setting) -> Result<Option<u32>, ConfigError> {
    unless_off(setting, |setting| setting.whole(1..=u32::MAX))
}

/// A multiple of the balance.
fn multiple(setting: &Setting) -> Result<Option<Ratio>, ConfigError> {
    const MULTIPLE: RangeInclusive<Ratio> = Ratio::from_ppm(1)..=Ratio::from_ppm(u32::MAX);
    unless_off(setting, |setting| setting.ratio(MULTIPLE))
}

/// A part of a whole: above 0, at most 1.
fn share(setting: &Setting) -> Result<Option<Ratio>, ConfigError> {
    const PART: RangeInclusive<Ratio> = Ratio::from_ppm(1)..=Ratio::ONE;
    unless_off(setting, |setting| setting.ratio(PART))
}

fn amount(setting: &Setting) -> Result<Option<Money>, ConfigError> {
    unless_off(setting, |setting| {
        setting.money(Money::from_paise(1)..=BALANCE_MAX)
    })
}
