//! Events as the scenario files write them.

use engine::{
    DepthLevel, Event, InstrumentView, KillScope, Money, OrderType, PositionChange, Price, Side, TimeInForce,
};

use super::Names;

/// One line for an event.
pub fn show_event(event: &Event, names: &Names) -> String {
    show_order_event(event, names)
        .or_else(|| show_position_event(event, names))
        .unwrap_or_else(|| show_other_event(event, names))
}

/// What happens to an order.
fn show_order_event(event: &Event, names: &Names) -> Option<String> {
    let name = |id| names.account(id);
    let line = match event {
        Event::OrderAccepted(e) => format!(
            "accepted {} {} {} {}{} {}@ {}{}{}{}",
            e.order,
            name(e.account),
            side(e.side),
            names.book(e.instrument),
            e.quantity,
            match e.order_type {
                OrderType::Market | OrderType::StopMarket { .. } => "market ",
                OrderType::Limit(_) | OrderType::Stop { .. } => "",
            },
            e.limit,
            e.order_type
                .trigger()
                .map_or(String::new(), |trigger| format!(" trigger {trigger}")),
            match e.time_in_force {
                TimeInForce::Day => "",
                TimeInForce::Ioc => " IOC",
                TimeInForce::Fok => " FOK",
                TimeInForce::Gtd(_) => " GTD",
            },
            e.cause
                .map_or(String::new(), |cause| format!(" by {}", cause.as_str()))
        ),
        Event::OrderRejected(e) => format!(
            "rejected {} {} {}: {}",
            e.order,
            name(e.account),
            e.rejection.code.check(),
            e.rejection
        ),
        Event::OrderRepeated(e) => format!("repeated {} {} {}", e.order, name(e.account), e.status),
        Event::Fill(e) => format!(
            "fill {} {} {} {} @ {} cum {} leaves {} {}",
            e.order,
            name(e.account),
            side(e.side),
            e.last_quantity,
            e.last_price,
            e.cum_quantity,
            e.leaves_quantity,
            e.status
        ),
        Event::OrderCancelled(e) => format!(
            "cancelled {} {} {} leaves {} {}: {}",
            e.order,
            name(e.account),
            e.cancelled_quantity,
            e.leaves_quantity,
            e.status,
            e.reason.as_str()
        ),
        Event::OrderModified(e) => format!(
            "modified {} {} {} leaves {} {} @ {} {} {}",
            e.order,
            name(e.account),
            e.quantity,
            e.leaves_quantity,
            e.order_type.as_str(),
            e.limit,
            e.status,
            if e.kept_priority { "in place" } else { "requeued" }
        ),
        Event::OrderTriggered(e) => format!(
            "triggered {} {} {} by {}{} @ {}",
            e.order,
            name(e.account),
            e.trigger_price,
            e.print_price,
            e.trade
                .map_or(String::new(), |trade| format!(" of trade {trade}")),
            e.limit
        ),
        _ => return None,
    };
    Some(line)
}

/// What happens to a position.
fn show_position_event(event: &Event, names: &Names) -> Option<String> {
    let name = |id| names.account(id);
    let line = match event {
        Event::PositionChanged(e) => format!(
            "position {} {} {} {} cost {} realised {} charges {} unrealised {}",
            e.position,
            name(e.account),
            match e.change {
                PositionChange::Opened => "opened",
                PositionChange::Changed => "changed",
                PositionChange::Closed => "closed",
            },
            e.quantity,
            e.cost,
            e.realised,
            e.charges,
            e.unrealised
        ),
        Event::ConditionsChanged(e) => {
            let price = |price: Option<Price>| price.map_or("none".to_owned(), |price| price.to_string());
            format!(
                "conditions {} {} stop {} target {} trailing {}{}{}",
                e.position,
                name(e.account),
                price(e.stop_loss),
                price(e.take_profit),
                price(e.trailing_stop),
                if e.rounded { " rounded" } else { "" },
                e.fired.map_or(String::new(), |reached| format!(
                    " fired {} by {}",
                    reached.trigger_price, reached.print_price
                ))
            )
        }
        Event::PositionMarked(e) => format!(
            "marked {} {} {} unrealised {}",
            e.position,
            name(e.account),
            e.quantity,
            e.unrealised
        ),
        _ => return None,
    };
    Some(line)
}

/// Everything else.
fn show_other_event(event: &Event, names: &Names) -> String {
    let name = |id| names.account(id);
    match event {
        Event::Trade(e) => format!(
            "trade {} {}{} @ {} maker {} taker {}",
            e.trade,
            names.book(e.instrument),
            e.quantity,
            e.price,
            e.maker,
            e.taker
        ),
        Event::TopOfBook(e) => format!(
            "top {}{} | {}",
            names.book(e.instrument),
            touch(e.bid, e.bid_quantity),
            touch(e.ask, e.ask_quantity)
        ),
        Event::MassCancelled(e) => format!(
            "mass cancel {}: {} orders",
            e.account.map_or("everyone", name),
            e.orders
        ),
        Event::PositionClosing {
            position,
            order,
            quantity,
        } => format!("closing position {position}: {quantity} from order {order}"),
        Event::CloseRepeated {
            position,
            order,
            quantity,
        } => format!("already closing position {position}: {quantity} from order {order}"),
        Event::PhaseChanged { derivatives, phase } => format!(
            "phase {} {}",
            if *derivatives { "derivatives" } else { "cash" },
            phase.as_str()
        ),
        Event::HeartbeatSet { account, dead_man } => match dead_man {
            Some(dead_man) => format!("heartbeat {} within {} ms", name(*account), dead_man.timeout_ms),
            None => format!("heartbeat {} off", name(*account)),
        },
        Event::Refused(refusal) => format!("refused: {refusal}"),
        Event::TradingStateChanged(e) => {
            let scope = match e.scope {
                KillScope::Engine => "engine".to_owned(),
                KillScope::Account(account) => name(account).to_owned(),
                KillScope::Strategy(account, strategy) => format!("{} strategy {strategy}", name(account)),
            };
            format!("state {scope} {}", e.state.as_str())
        }
        Event::AccountChanged(e) => format!("account {} balance {}", name(e.account), e.balance),
        Event::Alert(e) => format!("alert {} {}", e.kind.as_str(), e.account.map_or("engine", name)),
        other => format!("{other:?}"),
    }
}

/// One line for a price level.
pub fn level_line(book: &str, of: Side, level: &DepthLevel) -> String {
    format!(
        "{}{} {}: {} in {}",
        book,
        side(of),
        level.price,
        level.quantity,
        level.orders
    )
}

/// One line for an instrument's day.
pub fn statistics_line(book: &str, of: &InstrumentView<'_>) -> String {
    let price = |price: Option<Price>| price.map_or_else(|| "none".to_owned(), |price| price.to_string());
    // Half up to the paisa.
    let volume = i128::from(of.volume);
    let vwap = (of.turnover * 2 + volume).checked_div(volume * 2);
    format!(
        "{book}open {} high {} low {} last {} volume {} vwap {} trades {}",
        price(of.open),
        price(of.high),
        price(of.low),
        price(of.last_price),
        of.volume,
        vwap.map_or_else(|| "none".to_owned(), |paise| Money::from_wide(paise).to_string()),
        of.trades,
    )
}

fn side(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}

fn touch(price: Option<Price>, quantity: u64) -> String {
    price.map_or_else(|| "none".to_owned(), |price| format!("{quantity} @ {price}"))
}
