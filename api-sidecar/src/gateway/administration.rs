//! What an admin changes at run time: limits and cash. On the order lane, so that the answer is held until the journal
//! has it and names the sequence number from which it holds.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::str::FromStr;

use engine::lane::Input;
use engine::{AdjustCash, Command, LimitFields, Money, Ratio, RiskLimits, SelfTrade, SetLimits, Text};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::Answer;
use super::directory::Directory;
use super::fields::{self, Invalid, Raw, without_noise};
use super::order_body::{parse_object, parse_strategy};
use super::order_lane::{Decoded, account_of, invalid_request, person_text};
use super::replies::Action;
use crate::auth::{Principal, Role};
use crate::limits::{CASH_MAX, LEVERAGE_MAX, RISK_REWARD_MAX};

fn admin_only(who: &Principal, what: &str) -> Result<(), Answer> {
    match who.role {
        Role::Admin => Ok(()),
        _ => Err(Answer::error(403, &format!("Only an admin may {what}"))),
    }
}

#[derive(Deserialize)]
struct LimitsBody<'b> {
    #[serde(borrow)]
    account: Raw<'b>,
    strategy_id: Raw<'b>,
    limits: Option<BTreeMap<Cow<'b, str>, &'b RawValue>>,
}

/// `{account?, strategy_id?, limits: {…}}`: the keys and units of `GET /risk/limits`; null switches a check off, and what
/// is not named stays as it is. With a strategy its own limits, which tighten the account's: null (or a false) leaves a
/// check to the account.
pub(super) fn set_limits(json: &str, who: &Principal, directory: &Directory) -> Result<Decoded, Answer> {
    admin_only(who, "change limits")?;
    let body: LimitsBody<'_> = parse_object(json).map_err(invalid_request)?;
    let strategy = parse_strategy(body.strategy_id).map_err(invalid_request)?;
    let account = account_of(body.account, who, directory)?;
    let given = body.limits.filter(|given| !given.is_empty());
    let given = given.ok_or_else(|| invalid_request("limits must name at least one limit".to_owned()))?;
    let mut limits = RiskLimits::dashboard();
    let mut changed = LimitFields::NONE;
    for (name, value) in given {
        let field = LimitFields::named(&name).ok_or_else(|| {
            let shown: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
            invalid_request(format!("'{shown}' is not a limit"))
        })?;
        if strategy.is_some() && !LimitFields::OF_STRATEGIES.contains(field) {
            let details = format!("{name} is a limit of the whole account, not of a strategy");
            return Err(invalid_request(details));
        }
        set(&mut limits, &name, value).map_err(invalid_request)?;
        changed = changed.with(field);
    }
    Ok(Decoded {
        input: Input::Command(Command::SetLimits(Box::new(SetLimits {
            actor: who.actor(),
            account,
            strategy,
            fields: changed,
            limits,
        }))),
        action: Action::SetLimits,
    })
}

/// Sets one limit by its name, which is known to be one.
fn set(limits: &mut RiskLimits, name: &str, raw: &RawValue) -> Result<(), Invalid> {
    match name {
        "balance_check" => limits.balance_check = flag(name, raw)?,
        "stop_loss_required" => limits.stop_loss_required = flag(name, raw)?,
        "flatten_on_kill" => limits.flatten_on_kill = flag(name, raw)?,
        "mis_leverage" => {
            limits.mis_leverage = whole(name, raw)?
                .filter(|leverage: &u32| (1..=LEVERAGE_MAX).contains(leverage))
                .ok_or_else(|| format!("{name} must be a whole number from 1 to {LEVERAGE_MAX}"))?;
        }
        "self_trade" => {
            let words = SelfTrade::ALL.map(|policy| (policy.as_str(), policy));
            limits.self_trade = fields::word(name, "SelfTrade", Some(raw), &words)?
                .ok_or_else(|| format!("{name} must be a policy"))?;
        }
        "risk_per_trade_max" => limits.risk_per_trade_max = share(name, raw)?,
        "daily_loss_max" => limits.daily_loss_max = share(name, raw)?,
        "price_sanity_max" => limits.price_sanity_max = share(name, raw)?,
        "drawdown_max" => limits.drawdown_max = share(name, raw)?,
        "position_loss_max" => limits.position_loss_max = share(name, raw)?,
        "risk_reward_min" => {
            let most = Ratio::from_ppm(RISK_REWARD_MAX.saturating_mul(Ratio::ONE.ppm()));
            limits.risk_reward_min = ratio(name, raw, most)?;
        }
        "gross_exposure_max" => limits.gross_exposure_max = ratio(name, raw, Ratio::from_ppm(u32::MAX))?,
        "net_exposure_max" => limits.net_exposure_max = ratio(name, raw, Ratio::from_ppm(u32::MAX))?,
        "order_value_max" => limits.order_value_max = amount(name, raw)?,
        "open_order_value_max" => limits.open_order_value_max = amount(name, raw)?,
        "positions_max" => limits.positions_max = count(name, raw)?,
        "order_quantity_max" => {
            limits.order_quantity_max = count(name, raw)?;
            if limits.order_quantity_max > Some(engine::limits::QUANTITY_MAX) {
                return Err(format!("{name} is out of range"));
            }
        }
        "orders_per_position_max" => limits.orders_per_position_max = count(name, raw)?,
        "orders_per_second_max" => limits.orders_per_second_max = count(name, raw)?,
        "daily_orders_max" => limits.daily_orders_max = count(name, raw)?,
        "modifications_max" => limits.modifications_max = count(name, raw)?,
        "symbol_position_max" => limits.symbol_position_max = count(name, raw)?,
        "duplicate_burst_max" => limits.duplicate_burst_max = count(name, raw)?,
        "repeated_executions_max" => limits.repeated_executions_max = count(name, raw)?,
        "reference_age_ms_max" => limits.reference_age_ms_max = count(name, raw)?,
        "order_to_trade_alert" => limits.order_to_trade_alert = count(name, raw)?,
        _ => return Err(format!("'{name}' is not a limit")),
    }
    Ok(())
}

fn flag(name: &str, raw: &RawValue) -> Result<bool, Invalid> {
    fields::boolean(name, Some(raw))?.ok_or_else(|| format!("{name} must be true or false"))
}

/// A number by its own text, so that nothing is rounded on the way; null is none.
fn number<T: FromStr>(name: &str, raw: &RawValue) -> Result<Option<T>, Invalid> {
    let text = raw.get().trim();
    if text == "null" {
        return Ok(None);
    }
    let is_number = text.starts_with(|first: char| first.is_ascii_digit());
    without_noise(text)
        .parse()
        .ok()
        .filter(|_| is_number)
        .map(Some)
        .ok_or_else(|| format!("{name} must be a number in range, or null"))
}

/// A whole number, which `11.0` and `1.1e1` are too; null is none.
fn whole(name: &str, raw: &RawValue) -> Result<Option<u32>, Invalid> {
    let Some(amount) = number::<Money>(name, raw)? else {
        return Ok(None);
    };
    let (number, part) = (amount.paise() / 100, amount.paise() % 100);
    u32::try_from(number)
        .ok()
        .filter(|_| part == 0)
        .map(Some)
        .ok_or_else(|| format!("{name} must be a whole number in range, or null"))
}

fn count(name: &str, raw: &RawValue) -> Result<Option<u32>, Invalid> {
    match whole(name, raw)? {
        Some(0) => Err(format!("{name} must be at least 1, or null")),
        count => Ok(count),
    }
}

/// Above 0, at most `most`.
fn ratio(name: &str, raw: &RawValue, most: Ratio) -> Result<Option<Ratio>, Invalid> {
    match number(name, raw)? {
        Some(ratio) if ratio == Ratio::ZERO || ratio > most => {
            Err(format!("{name} must be above 0 and at most {most}, or null"))
        }
        ratio => Ok(ratio),
    }
}

/// A part of a whole.
fn share(name: &str, raw: &RawValue) -> Result<Option<Ratio>, Invalid> {
    ratio(name, raw, Ratio::ONE)
}

/// Rupees.
fn amount(name: &str, raw: &RawValue) -> Result<Option<Money>, Invalid> {
    match number(name, raw)? {
        Some(amount) if amount == Money::ZERO || amount > CASH_MAX => {
            Err(format!("{name} must be above 0 and at most {CASH_MAX}, or null"))
        }
        amount => Ok(amount),
    }
}

#[derive(Deserialize)]
struct CashBody<'b> {
    #[serde(borrow)]
    account: Raw<'b>,
    amount: Raw<'b>,
    reason: Raw<'b>,
}

/// `{account?, amount, reason}`: rupees to add to the balance, negative to take.
pub(super) fn adjust_cash(json: &str, who: &Principal, directory: &Directory) -> Result<Decoded, Answer> {
    admin_only(who, "adjust cash")?;
    let body: CashBody<'_> = parse_object(json).map_err(invalid_request)?;
    let account = account_of(body.account, who, directory)?;
    let wrong = || {
        invalid_request(format!(
            "amount must be a number of rupees with at most two decimals, not 0 and at most {CASH_MAX} either way"
        ))
    };
    let text = body.amount.map(|raw| match raw.get().trim() {
        text if text.starts_with('"') => text.trim_matches('"').into(),
        number => without_noise(number),
    });
    let amount: Money = text.and_then(|text| text.parse().ok()).ok_or_else(wrong)?;
    if amount == Money::ZERO || amount.abs() > CASH_MAX {
        return Err(wrong());
    }
    let reason = person_text("reason", body.reason, "")?;
    if reason.is_empty() {
        return Err(invalid_request("reason is required".to_owned()));
    }
    Ok(Decoded {
        input: Input::Command(Command::AdjustCash(AdjustCash {
            actor: who.actor(),
            account,
            amount,
            reason: Text::cut(&reason),
        })),
        action: Action::AdjustCash,
    })
}
