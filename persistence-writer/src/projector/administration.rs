//! Rows of Pinion's own tables about what is administered: `audit` and `account_ledger`, and of `alerts`.

use std::collections::BTreeMap;

use engine::{
    AccountId, Actor, Alert, AlertKind, ChargeRates, Command, KillScope, Money, Percent, ProductRates,
    Refusal, RiskLimits, Symbol, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::names::Names;
use super::table::{Row, Value};

/// Balances as the ledger last saw them.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ledger {
    balances: BTreeMap<AccountId, Money>,
}

/// A place in the history: the command, and which of its rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) seq: u64,
    pub(crate) ordinal: u32,
    pub(crate) time: Timestamp,
}

impl Ledger {
    /// A row where the balance is another than before.
    pub(crate) fn change(
        &mut self,
        account: AccountId,
        balance: Money,
        command: &Command,
        names: &Names,
        place: Place,
    ) -> Option<Row> {
        let before = self.balances.insert(account, balance);
        let amount = balance.saturating_sub(before.unwrap_or_default());
        if before.is_some() && amount == Money::ZERO {
            return None;
        }
        let entry = match (before, command) {
            (None, _) => "opening",
            (_, Command::AdjustCash(_)) => "cash",
            _ => "day_roll",
        };
        Some(vec![
            Value::id(place.seq),
            Value::id(place.ordinal),
            names.account(account),
            Value::name(entry),
            Value::money(amount),
            Value::money(balance),
            Value::Time(place.time),
        ])
    }
}

/// A row of `audit` for a command that administers something; `None` for any other.
pub(crate) fn audit_row(
    command: &Command,
    refusal: Option<Refusal>,
    names: &Names,
    place: Place,
) -> Option<Row> {
    let (actor, action, details) = administered(command)?;
    Some(vec![
        Value::id(place.seq),
        Value::id(place.ordinal),
        Value::optional(actor, |account| names.account(account)),
        Value::name(action),
        Value::Json(details.to_string().into()),
        Value::optional(refusal, |refusal| Value::text(&refusal.to_string())),
        Value::Time(place.time),
    ])
}

/// Who did what, with its particulars. The account is the actor's, or that which is changed where nobody is named.
fn administered(command: &Command) -> Option<(Option<AccountId>, &'static str, Json)> {
    let by = |actor: &Actor| Some(actor.account);
    Some(match command {
        Command::KillSwitch(kill) => (
            by(&kill.actor),
            "kill_switch",
            json!({
                "scope": scope(kill.scope),
                "state": kill.state.as_str(),
                "flatten": kill.flatten,
                "reason": kill.reason.as_str(),
                "triggered_by": kill.triggered_by.as_str(),
            }),
        ),
        Command::Rearm(rearm) => (
            by(&rearm.actor),
            "rearm",
            json!({"deactivated_by": rearm.deactivated_by.as_str()}),
        ),
        Command::CancelAll(cancel) => (
            by(&cancel.actor),
            "cancel_all",
            json!({
                "account_id": cancel.account.map(AccountId::get),
                "strategy_id": cancel.strategy.map(engine::StrategyId::get),
                "instrument_id": cancel.instrument.map(engine::InstrumentId::get),
                "side": cancel.side.map(engine::Side::as_str),
            }),
        ),
        Command::AdjustCash(cash) => (
            by(&cash.actor),
            "adjust_cash",
            json!({
                "account_id": cash.account.get(),
                "amount": number(cash.amount),
                "reason": cash.reason.as_str(),
            }),
        ),
        Command::SetLimits(set) => (
            by(&set.actor),
            "set_limits",
            json!({
                "account_id": set.account.get(),
                "strategy_id": set.strategy.map(engine::StrategyId::get),
                "fields": set.fields.names().collect::<Vec<_>>(),
                "limits": limits(&set.limits),
            }),
        ),
        Command::DefineAccount(account) => (
            None,
            "define_account",
            json!({
                "name": account.name.as_str(),
                "opening_balance": number(account.opening_balance),
                "profile": account.profile.as_str(),
                "venue": account.venue,
                "limits": limits(&account.limits),
            }),
        ),
        Command::DefineStrategy(strategy) => (
            Some(strategy.account),
            "define_strategy",
            json!({
                "strategy_id": strategy.strategy.get(),
                "name": strategy.name.as_str(),
                "limits": limits(&strategy.limits),
            }),
        ),
        Command::DefineInstrument(instrument) => (
            None,
            "define_instrument",
            json!({
                "symbol": instrument.symbol.as_str(),
                "exchange": instrument.exchange.as_str(),
                "tick_size": number(instrument.tick_size),
                "lot_size": instrument.lot_size.shares(),
                "freeze_quantity": instrument.freeze_quantity.shares(),
                "reference_price": number(instrument.reference_price),
                "price_band": number(instrument.price_band),
                "mis_allowed": instrument.mis_allowed,
                "derivatives": instrument.derivatives,
            }),
        ),
        Command::SetSession(calendar) => (
            None,
            "set_session",
            json!({
                "around_the_clock": calendar.timetables.is_none(),
                "square_off": calendar.square_off.cash,
                "square_off_derivatives": calendar.square_off.derivatives,
                "holidays": calendar.holidays.len(),
            }),
        ),
        Command::DefineCharges(rates) => (None, "define_charges", charge_rates(rates)),
        Command::NewOrder(_)
        | Command::Heartbeat(_)
        | Command::ModifyOrder(_)
        | Command::CancelOrder(_)
        | Command::ClosePosition(_)
        | Command::EditConditions(_)
        | Command::MarketPrice(_)
        | Command::Tick
        | Command::SetCapacity(_)
        | Command::Notice(_)
        | Command::HashCheck(_) => return None,
    })
}

fn scope(scope: KillScope) -> Json {
    match scope {
        KillScope::Engine => json!({"kind": "engine"}),
        KillScope::Account(account) => json!({"kind": "account", "account_id": account.get()}),
        KillScope::Strategy(account, strategy) => {
            json!({"kind": "strategy", "account_id": account.get(), "strategy_id": strategy.get()})
        }
    }
}

/// Rates as parts of the turnover; the date as days since 1970-01-01, in India.
fn charge_rates(rates: &ChargeRates) -> Json {
    let product = |of: &ProductRates| {
        json!({
            "brokerage": number(of.brokerage),
            "brokerage_max": of.brokerage_max.map(number),
            "stt_buy": number(of.stt_buy),
            "stt_sell": number(of.stt_sell),
            "stamp_duty_buy": number(of.stamp_duty_buy),
        })
    };
    json!({
        "effective_from_day": rates.effective_from,
        "mis": product(&rates.mis),
        "cnc": product(&rates.cnc),
        "exchange": number(rates.exchange),
        "sebi": number(rates.sebi),
        "gst": number(rates.gst),
    })
}

/// Every limit; null where a check is off.
fn limits(limits: &RiskLimits) -> Json {
    json!({
        "balance_check": limits.balance_check,
        "mis_leverage": limits.mis_leverage,
        "max_positions": limits.positions_max,
        "max_risk_per_trade": limits.risk_per_trade_max.map(number),
        "max_daily_loss": limits.daily_loss_max.map(number),
        "require_stop_loss": limits.stop_loss_required,
        "min_risk_reward": limits.risk_reward_min.map(number),
        "price_sanity": limits.price_sanity_max.map(number),
        "max_order_quantity": limits.order_quantity_max,
        "max_orders_per_position": limits.orders_per_position_max,
        "max_drawdown": limits.drawdown_max.map(number),
        "max_position_loss": limits.position_loss_max.map(number),
        "max_order_value": limits.order_value_max.map(number),
        "max_open_order_value": limits.open_order_value_max.map(number),
        "orders_per_second": limits.orders_per_second_max,
        "daily_orders": limits.daily_orders_max,
        "modifications": limits.modifications_max,
        "max_symbol_position": limits.symbol_position_max,
        "max_gross_exposure": limits.gross_exposure_max.map(number),
        "max_net_exposure": limits.net_exposure_max.map(number),
        "duplicate_burst": limits.duplicate_burst_max,
        "repeated_executions": limits.repeated_executions_max,
        "max_reference_age_ms": limits.reference_age_ms_max,
        "order_to_trade_alert": limits.order_to_trade_alert,
        "self_trade": limits.self_trade.as_str(),
        "flatten_on_kill": limits.flatten_on_kill,
    })
}

/// An exact decimal as a JSON number.
fn number(decimal: impl std::fmt::Display) -> Json {
    decimal.to_string().parse().map_or(Json::Null, Json::Number)
}

/// A row of `alerts` for an alert of the engine's monitor.
pub(crate) fn alert_row(alert: &Alert, command: &Command, names: &Names, place: Place) -> Row {
    let (reason, author) = match command {
        Command::KillSwitch(kill) => (kill.reason.as_str(), kill.triggered_by.as_str()),
        Command::Rearm(rearm) => ("", rearm.deactivated_by.as_str()),
        Command::Notice(notice) => (notice.reason.as_str(), ""),
        _ => ("", ""),
    };
    let said = match alert.kind {
        AlertKind::KillSwitchDeactivated => author,
        _ => reason,
    };
    let symbol = alert.instrument.map_or("", |id| names.symbol_text(id));
    let details = json!({
        "symbol": alert.instrument.map(|_| symbol),
        "position_id": alert.position.map(engine::PositionId::get),
        "amount": number(alert.amount),
        "basis": number(alert.basis),
        "share_pct": number(Percent::of(alert.amount.paise(), alert.basis.paise())),
        "limit": number(alert.limit),
        "realized_pnl": number(alert.realised),
        "unrealized_pnl": number(alert.unrealised),
        "author": (!author.is_empty()).then_some(author),
    });
    vec![
        Value::id(place.seq),
        Value::id(place.ordinal),
        Value::optional(alert.account, |account| names.account(account)),
        Value::name(alert.kind.severity().as_str()),
        Value::name(alert.kind.as_str()),
        Value::text(&alert.message(Symbol::cut(symbol), said).to_string()),
        Value::Json(details.to_string().into()),
        Value::Time(place.time),
    ]
}
