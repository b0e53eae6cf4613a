//! Commands and events as named values, each with its kind first.

use api_sidecar::wire::TradingDate;
use engine::{
    AccountId, Command, Engine, Event, InstrumentId, KillCause, KillScope, NewOrder, OrderRef, Price,
    RiskLimits, TradingStateChanged,
};
use serde_json::Value;

use super::state::{account_name, symbol};
use crate::facts::{Facts, hash, number};

struct Names<'a>(&'a Engine);

impl Names<'_> {
    fn of(&self, kind: &str, account: AccountId) -> Facts {
        Facts::new()
            .with("kind", kind)
            .with("account", account_name(self.0, account))
    }

    fn symbol(&self, instrument: InstrumentId) -> Value {
        symbol(self.0, instrument)
    }

    fn scope(&self, scope: &KillScope) -> Value {
        match scope {
            KillScope::Engine => Value::from("engine"),
            KillScope::Account(account) => account_name(self.0, *account),
            KillScope::Strategy(account, strategy) => Facts::new()
                .with("account", account_name(self.0, *account))
                .with("strategy", strategy.get())
                .into_value(),
        }
    }
}

fn kind(name: &str) -> Facts {
    Facts::new().with("kind", name)
}

fn order_ref(order: &OrderRef) -> Value {
    match order {
        OrderRef::Id(id) => Value::from(id.get()),
        OrderRef::Client(id) => Value::from(id.as_str()),
    }
}

fn price(price: Price) -> Value {
    number(price)
}

pub(super) fn command(engine: &Engine, command: &Command) -> Facts {
    let names = Names(engine);
    match command {
        Command::NewOrder(order) => new_order(&names, order),
        Command::ModifyOrder(modify) => names
            .of("modify_order", modify.actor.account)
            .with("order", order_ref(&modify.order))
            .with_some("quantity", modify.quantity.map(|quantity| quantity.shares()))
            .with_some("price", modify.price.map(price))
            .with_some("trigger_price", modify.trigger.map(price)),
        Command::CancelOrder(cancel) => names
            .of("cancel_order", cancel.actor.account)
            .with("order", order_ref(&cancel.order)),
        Command::CancelAll(cancel) => names
            .of("cancel_all", cancel.actor.account)
            .with_some("of", cancel.account.map(|account| account_name(engine, account)))
            .with_some("strategy", cancel.strategy.map(|strategy| strategy.get()))
            .with_some(
                "symbol",
                cancel.instrument.map(|instrument| names.symbol(instrument)),
            )
            .with_some("side", cancel.side.map(|side| side.as_str())),
        Command::ClosePosition(close) => names
            .of("close_position", close.actor.account)
            .with("position", close.position.get())
            .with_some("quantity", close.quantity.map(|quantity| quantity.shares())),
        Command::EditConditions(edit) => names
            .of("edit_conditions", edit.actor.account)
            .with("position", edit.position.get())
            .with("stop_loss", format!("{:?}", edit.stop_loss))
            .with("take_profit", format!("{:?}", edit.take_profit))
            .with("trailing", format!("{:?}", edit.trailing)),
        Command::MarketPrice(market) => kind("market_price")
            .with("symbol", names.symbol(market.instrument))
            .with("price", price(market.price)),
        Command::Tick => kind("tick"),
        Command::KillSwitch(kill) => names
            .of("kill_switch", kill.actor.account)
            .with("scope", names.scope(&kill.scope))
            .with("state", kill.state.as_str())
            .with_some("flatten", kill.flatten)
            .with("reason", kill.reason.as_str())
            .with("triggered_by", kill.triggered_by.as_str()),
        Command::Rearm(rearm) => names
            .of("rearm", rearm.actor.account)
            .with("deactivated_by", rearm.deactivated_by.as_str()),
        Command::AdjustCash(cash) => names
            .of("adjust_cash", cash.account)
            .with("amount", number(cash.amount))
            .with("by", account_name(engine, cash.actor.account))
            .with("reason", cash.reason.as_str()),
        Command::DefineInstrument(definition) => kind("define_instrument")
            .with("symbol", definition.symbol.as_str())
            .with("exchange", definition.exchange.as_str())
            .with("tick_size", price(definition.tick_size))
            .with("lot_size", definition.lot_size.shares())
            .with("reference_price", price(definition.reference_price))
            .with("price_band", number(definition.price_band)),
        Command::DefineAccount(definition) => kind("define_account")
            .with("account", definition.name.as_str())
            .with("opening_balance", number(definition.opening_balance))
            .with("profile", definition.profile.as_str())
            .with("venue", definition.venue)
            .with("limits", limits(&definition.limits)),
        Command::DefineStrategy(definition) => names
            .of("define_strategy", definition.account)
            .with("strategy", definition.strategy.get())
            .with("name", definition.name.as_str())
            .with("limits", limits(&definition.limits)),
        Command::SetLimits(set) => names
            .of("set_limits", set.account)
            .with_some("strategy", set.strategy.map(engine::StrategyId::get))
            .with("by", account_name(engine, set.actor.account))
            .with("fields", set.fields.names().map(Value::from).collect::<Vec<_>>())
            .with("limits", limits(&set.limits)),
        Command::DefineCharges(rates) => kind("define_charges")
            .with("effective_from", TradingDate(rates.effective_from).to_string())
            .with("rates", serde_json::to_value(rates).unwrap_or_default()),
        Command::SetCapacity(capacity) => kind("set_capacity")
            .with("accounts", capacity.accounts)
            .with("instruments", capacity.instruments)
            .with("orders", capacity.orders)
            .with("positions", capacity.positions)
            .with("client_order_ids", capacity.client_order_ids),
        Command::SetSession(calendar) => {
            kind("set_session").with("calendar", serde_json::to_value(calendar).unwrap_or_default())
        }
        Command::Heartbeat(beat) => names
            .of("heartbeat", beat.account)
            .with("timeout_ms", beat.timeout_ms),
        Command::Notice(notice) => kind("notice")
            .with("alert_type", notice.kind.alert().as_str())
            .with("reason", notice.reason.as_str()),
        Command::HashCheck(expected) => kind("hash_check").with("state_hash", hash(*expected)),
    }
}

fn new_order(names: &Names<'_>, order: &NewOrder) -> Facts {
    names
        .of("new_order", order.account)
        .with("strategy", order.strategy.get())
        .with("symbol", names.symbol(order.instrument))
        .with("side", order.side.as_str())
        .with("quantity", order.quantity.shares())
        .with("order_type", order.order_type.as_str())
        .with_some("price", order.order_type.price().map(price))
        .with_some("trigger_price", order.order_type.trigger().map(price))
        .with("product", order.product.as_str())
        .with("time_in_force", order.time_in_force.as_str())
        .with_some("stop_loss", order.stop_loss.map(price))
        .with_some("take_profit", order.take_profit.map(price))
        .with_some("post_only", order.post_only.then_some(true))
        .with_some("disclosed", order.disclosed.map(|quantity| quantity.shares()))
        .with_some("minimum", order.minimum.map(|quantity| quantity.shares()))
        .with_some(
            "client_order_id",
            (!order.client_order_id.is_empty()).then(|| order.client_order_id.as_str()),
        )
        .with_some("metadata", order.metadata.as_deref())
}

/// Every limit, under the engine's own names.
fn limits(limits: &RiskLimits) -> Value {
    serde_json::to_value(limits).unwrap_or_default()
}

pub(super) fn event(engine: &Engine, event: &Event) -> Facts {
    let names = Names(engine);
    match event {
        Event::OrderAccepted(_)
        | Event::OrderRejected(_)
        | Event::OrderRepeated(_)
        | Event::Fill(_)
        | Event::OrderCancelled(_)
        | Event::OrderModified(_)
        | Event::OrderTriggered(_) => order_event(&names, event),
        Event::Trade(trade) => kind("trade")
            .with("trade", trade.trade.get())
            .with("symbol", names.symbol(trade.instrument))
            .with("price", price(trade.price))
            .with("quantity", trade.quantity.shares())
            .with("maker", trade.maker.get())
            .with("taker", trade.taker.get())
            .with("taker_side", trade.taker_side.as_str()),
        Event::PositionChanged(e) => names
            .of("position_changed", e.account)
            .with("position", e.position.get())
            .with("symbol", names.symbol(e.instrument))
            .with("change", format!("{:?}", e.change).to_lowercase())
            .with("quantity", e.quantity)
            .with("cost", number(e.cost))
            .with("realised", number(e.realised))
            .with("unrealised", number(e.unrealised))
            .with("charges", number(e.charges)),
        Event::ConditionsChanged(e) => names
            .of("conditions_changed", e.account)
            .with("position", e.position.get())
            .with("symbol", names.symbol(e.instrument))
            .with_some("stop_loss", e.stop_loss.map(price))
            .with_some("take_profit", e.take_profit.map(price))
            .with_some("trailing_stop", e.trailing_stop.map(price))
            .with_some("fired", e.fired.map(|reached| price(reached.trigger_price)))
            .with_some("print_price", e.fired.map(|reached| price(reached.print_price))),
        Event::PositionMarked(e) => names
            .of("position_marked", e.account)
            .with("position", e.position.get())
            .with("symbol", names.symbol(e.instrument))
            .with("unrealised", number(e.unrealised)),
        Event::PhaseChanged { derivatives, phase } => kind("phase_changed")
            .with("derivatives", *derivatives)
            .with("phase", phase.as_str()),
        Event::HeartbeatSet { account, dead_man } => names
            .of("heartbeat_set", *account)
            .with_some("timeout_ms", dead_man.map(|dead_man| dead_man.timeout_ms)),
        Event::AccountChanged(e) => names
            .of("account_changed", e.account)
            .with("balance", number(e.balance))
            .with("realised", number(e.realised))
            .with("charges", number(e.charges)),
        Event::Alert(alert) => kind("alert")
            .with("alert_type", alert.kind.as_str())
            .with("severity", alert.kind.severity().as_str())
            .with_some(
                "account",
                alert.account.map(|account| account_name(engine, account)),
            )
            .with_some(
                "symbol",
                alert.instrument.map(|instrument| names.symbol(instrument)),
            )
            .with("amount", number(alert.amount))
            .with("basis", number(alert.basis)),
        Event::TradingStateChanged(e) => trading_state(&names, e),
        Event::TopOfBook(top) => kind("top_of_book")
            .with("symbol", names.symbol(top.instrument))
            .with_some("bid", top.bid.map(price))
            .with("bid_quantity", top.bid_quantity)
            .with_some("ask", top.ask.map(price))
            .with("ask_quantity", top.ask_quantity),
        Event::MassCancelled(e) => kind("mass_cancelled")
            .with_some("account", e.account.map(|account| account_name(engine, account)))
            .with("orders", e.orders),
        Event::PositionClosing {
            position,
            order,
            quantity,
        } => kind("position_closing")
            .with("position", position.get())
            .with("order", order.get())
            .with("quantity", quantity.shares()),
        Event::CloseRepeated {
            position,
            order,
            quantity,
        } => kind("close_repeated")
            .with("position", position.get())
            .with("order", order.get())
            .with("quantity", quantity.shares()),
        Event::Refused(refusal) => kind("refused").with("reason", refusal.to_string()),
        Event::InstrumentDefined(instrument) => {
            kind("instrument_defined").with("symbol", names.symbol(*instrument))
        }
        Event::AccountDefined(account) => names.of("account_defined", *account),
        Event::StrategyDefined(account, strategy) => names
            .of("strategy_defined", *account)
            .with("strategy", strategy.get()),
        Event::LimitsSet(account, strategy) => names
            .of("limits_set", *account)
            .with_some("strategy", strategy.map(engine::StrategyId::get)),
        Event::HashMismatch { expected, found } => kind("hash_mismatch")
            .with("expected", hash(*expected))
            .with("found", hash(*found)),
    }
}

fn order_event(names: &Names<'_>, event: &Event) -> Facts {
    match event {
        Event::OrderAccepted(e) => names
            .of("order_accepted", e.account)
            .with("order", e.order.get())
            .with("symbol", names.symbol(e.instrument))
            .with("side", e.side.as_str())
            .with("quantity", e.quantity.shares())
            .with("limit", price(e.limit))
            .with("position", e.position.get()),
        Event::OrderRejected(e) => names
            .of("order_rejected", e.account)
            .with("order", e.order.get())
            .with("failed_check", e.rejection.code.check())
            .with("code", e.rejection.code.code())
            .with("reason", e.rejection.to_string()),
        Event::OrderRepeated(e) => names
            .of("order_repeated", e.account)
            .with("order", e.order.get())
            .with("status", e.status.as_str()),
        Event::Fill(e) => names
            .of("fill", e.account)
            .with("order", e.order.get())
            .with("trade", e.trade.get())
            .with("last_quantity", e.last_quantity.shares())
            .with("last_price", price(e.last_price))
            .with("cum_quantity", e.cum_quantity.shares())
            .with("leaves_quantity", e.leaves_quantity.shares())
            .with("charges", number(e.charges.total()))
            .with("status", e.status.as_str()),
        Event::OrderCancelled(e) => names
            .of("order_cancelled", e.account)
            .with("order", e.order.get())
            .with("cancelled_quantity", e.cancelled_quantity.shares())
            .with("leaves_quantity", e.leaves_quantity.shares())
            .with("cum_quantity", e.cum_quantity.shares())
            .with("reason", e.reason.as_str())
            .with("status", e.status.as_str()),
        Event::OrderModified(e) => names
            .of("order_modified", e.account)
            .with("order", e.order.get())
            .with("quantity", e.quantity.shares())
            .with("leaves_quantity", e.leaves_quantity.shares())
            .with("limit", price(e.limit))
            .with("kept_priority", e.kept_priority)
            .with("status", e.status.as_str()),
        Event::OrderTriggered(e) => names
            .of("order_triggered", e.account)
            .with("order", e.order.get())
            .with("limit", price(e.limit))
            .with("trigger_price", price(e.trigger_price))
            .with("print_price", price(e.print_price))
            .with_some("trade", e.trade.map(|trade| trade.get())),
        _ => Facts::new(),
    }
}

fn trading_state(names: &Names<'_>, e: &TradingStateChanged) -> Facts {
    let facts = kind("trading_state_changed")
        .with("scope", names.scope(&e.scope))
        .with("state", e.state.as_str());
    match e.cause {
        KillCause::Manual => facts.with("cause", "manual"),
        KillCause::Rearmed => facts.with("cause", "rearmed"),
        KillCause::DailyLoss { loss, balance } => facts
            .with("cause", "daily_loss")
            .with("loss", number(loss))
            .with("balance", number(balance)),
        KillCause::Drawdown { drawdown, peak } => facts
            .with("cause", "drawdown")
            .with("drawdown", number(drawdown))
            .with("peak", number(peak)),
    }
}
