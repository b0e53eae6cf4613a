//! `/risk/summary` and `/risk/limits`.

use engine::{AccountView, KillCause, KillScope, Money, Percent, Ratio, RiskLimits};
use read_model::{ActiveKill, ReadModel};

use super::answer::Answer;
use super::limits::ALERTS_DEFAULT;
use super::request::{Caller, Query};
use crate::wire::{Iso8601, Object, alert_safe, drawdown_reason, loss_reason, net_pnl};

/// CONTRACT.md section 2, "Summary": every field, and none of those that the page calls methods on is ever null.
pub(super) fn summary(caller: &Caller, query: &Query, model: &ReadModel) -> Result<Answer, Answer> {
    let account = caller.one_account(query, model)?;
    let view = model
        .engine()
        .account(account)
        .ok_or_else(|| Answer::error(404, "Account not found"))?;
    let kill = model.history().kill_of(account);
    let alerts = model.history().last_alerts(Some(account), usize::MAX).len();
    Ok(Answer::object(|body| {
        body.boolean("kill_switch_active", kill.is_some())
            .number("account_balance", view.balance)
            .number("current_value", view.current_value())
            .number("account_peak", view.peak);
        pnl_fields(body, &view);
        limit_fields(body, &view);
        let max_positions = view.limits.positions_max.unwrap_or(model.capacity().positions);
        body.number("position_count", view.open_positions)
            .number("max_positions", max_positions)
            .number("open_order_count", view.open_orders)
            .number("recent_alerts_count", alerts.min(ALERTS_DEFAULT))
            .number("available", view.available)
            .number(
                "margin_used",
                view.position_margin.saturating_add(view.order_margin),
            )
            .string("trading_state", view.state.as_str());
        match kill {
            Some(kill) => body.object("kill_switch", |kill_switch| kill_fields(kill_switch, kill)),
            None => body.null("kill_switch"),
        };
    }))
}

fn pnl_fields(body: &mut Object<'_>, view: &AccountView<'_>) {
    let (total, drawdown) = (view.total_pnl(), view.drawdown());
    body.number("daily_pnl", total)
        .number("daily_pnl_pct", Percent::of(total.paise(), view.balance.paise()))
        .number("realized_pnl", net_pnl(view.realised, view.charges))
        .number("unrealized_pnl", view.unrealised)
        .number("total_pnl", total)
        .number("charges", view.charges)
        .number("drawdown", drawdown)
        .number("drawdown_pct", Percent::of(drawdown.paise(), view.peak.paise()));
}

/// The loss and drawdown limits in rupees and percent, and what is left of them; null where a limit is off.
fn limit_fields(body: &mut Object<'_>, view: &AccountView<'_>) {
    let loss_max = view
        .limits
        .daily_loss_max
        .map(|ratio| ratio.of_floor(view.balance));
    let drawdown_max = view.limits.drawdown_max.map(|ratio| ratio.of_floor(view.peak));
    let loss = view.total_pnl().min(Money::ZERO).abs();
    body.optional_number("max_daily_loss", loss_max)
        .optional_number("max_daily_loss_pct", view.limits.daily_loss_max.map(in_percent))
        .optional_number("max_drawdown", drawdown_max)
        .optional_number("max_drawdown_pct", view.limits.drawdown_max.map(in_percent))
        .optional_number("daily_loss_buffer", loss_max.map(|max| max.saturating_sub(loss)))
        .optional_number(
            "drawdown_buffer",
            drawdown_max.map(|max| max.saturating_sub(view.drawdown())),
        );
}

fn kill_fields(body: &mut Object<'_>, kill: &ActiveKill) {
    let scope = match kill.scope {
        KillScope::Engine => "engine",
        KillScope::Account(_) => "account",
        KillScope::Strategy(..) => "strategy",
    };
    body.string("scope", scope).string("state", kill.state.as_str());
    match kill.cause {
        KillCause::DailyLoss { loss, balance } => body.text("reason", loss_reason(loss, balance)),
        KillCause::Drawdown { drawdown, peak } => body.text("reason", drawdown_reason(drawdown, peak)),
        KillCause::Manual | KillCause::Rearmed => body.text("reason", alert_safe(kill.reason.as_str())),
    };
    let automatic = !matches!(kill.cause, KillCause::Manual | KillCause::Rearmed);
    let author = if automatic {
        "risk_monitor"
    } else {
        kill.triggered_by.as_str()
    };
    body.string("triggered_by", &alert_safe(author))
        .text("triggered_at", Iso8601(kill.triggered));
}

/// 0.06 as `6.0`.
fn in_percent(ratio: Ratio) -> Ratio {
    Ratio::from_ppm(ratio.ppm().saturating_mul(100))
}

/// The limits in force for the account, as the engine holds them; null means the check is off.
pub(super) fn limits(caller: &Caller, query: &Query, model: &ReadModel) -> Result<Answer, Answer> {
    let account = caller.one_account(query, model)?;
    let view = model
        .engine()
        .account(account)
        .ok_or_else(|| Answer::error(404, "Account not found"))?;
    let all = model.engine().strategy_limits();
    let strategies: Vec<_> = all.filter(|strategy| strategy.account == account).collect();
    Ok(Answer::object(|body| {
        body.string("account", view.name.as_str())
            .string("profile", view.profile.as_str())
            .object("limits", |limits| risk_limit_fields(limits, view.limits))
            .array("strategies", |array| {
                for strategy in &strategies {
                    array.object(|body| {
                        body.number("strategy_id", strategy.strategy)
                            .object("own", |own| order_limit_fields(own, strategy.own))
                            .object("limits", |limits| order_limit_fields(limits, strategy.in_force));
                    });
                }
            });
    }))
}

/// Shares and ratios are plain numbers (`0.02` is 2 %), money is rupees.
fn risk_limit_fields(body: &mut Object<'_>, limits: &RiskLimits) {
    body.boolean("balance_check", limits.balance_check)
        .number("mis_leverage", limits.mis_leverage)
        .optional_number("drawdown_max", limits.drawdown_max)
        .optional_number("position_loss_max", limits.position_loss_max)
        .optional_number("order_to_trade_alert", limits.order_to_trade_alert)
        .string("self_trade", limits.self_trade.as_str())
        .boolean("flatten_on_kill", limits.flatten_on_kill);
    order_limit_fields(body, limits);
}

/// Those that a strategy may have of its own.
fn order_limit_fields(body: &mut Object<'_>, limits: &RiskLimits) {
    body.optional_number("positions_max", limits.positions_max)
        .optional_number("risk_per_trade_max", limits.risk_per_trade_max)
        .optional_number("daily_loss_max", limits.daily_loss_max)
        .boolean("stop_loss_required", limits.stop_loss_required)
        .optional_number("risk_reward_min", limits.risk_reward_min)
        .optional_number("price_sanity_max", limits.price_sanity_max)
        .optional_number("order_quantity_max", limits.order_quantity_max)
        .optional_number("orders_per_position_max", limits.orders_per_position_max)
        .optional_number("order_value_max", limits.order_value_max)
        .optional_number("open_order_value_max", limits.open_order_value_max)
        .optional_number("orders_per_second_max", limits.orders_per_second_max)
        .optional_number("daily_orders_max", limits.daily_orders_max)
        .optional_number("modifications_max", limits.modifications_max)
        .optional_number("symbol_position_max", limits.symbol_position_max)
        .optional_number("gross_exposure_max", limits.gross_exposure_max)
        .optional_number("net_exposure_max", limits.net_exposure_max)
        .optional_number("duplicate_burst_max", limits.duplicate_burst_max)
        .optional_number("repeated_executions_max", limits.repeated_executions_max)
        .optional_number("reference_age_ms_max", limits.reference_age_ms_max);
}
