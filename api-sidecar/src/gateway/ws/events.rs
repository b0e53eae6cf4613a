//! The engine's events as the messages that clients are pushed (CONTRACT.md section 3).

use engine::{
    AccountChanged, AccountId, Alert, ConditionsChanged, Event, Fill, InstrumentId, KillCause, KillScope,
    Money, OrderAccepted, OrderCancelled, OrderId, OrderModified, OrderRejected, OrderTriggered,
    PositionChange, PositionChanged, PositionId, PositionMarked, Seq, Timestamp, TradingStateChanged,
};

use super::super::directory::Directory;
use super::super::replies::Action;
use super::cursor::Cursor;
use crate::wire::{
    AlertContext, BrokerOrderId, Iso8601, Object, alert_fields, average_price, drawdown_reason, loss_reason,
    net_pnl, rejection_fields, trailing_fields,
};

/// Types of pushed messages, each a bit of a subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Push {
    OrderPlaced,
    OrderFilled,
    OrderCancelled,
    OrderRejected,
    OrderModified,
    OrderTriggered,
    PositionOpened,
    PositionUpdated,
    PositionClosed,
    ConditionsChanged,
    RiskAlert,
    KillSwitchTriggered,
    KillSwitchDeactivated,
    BalanceUpdated,
    /// Not of an event: the account's figures as the read model has them.
    PnlUpdated,
}

impl Push {
    const ALL: [Push; 15] = [
        Push::OrderPlaced,
        Push::OrderFilled,
        Push::OrderCancelled,
        Push::OrderRejected,
        Push::OrderModified,
        Push::OrderTriggered,
        Push::PositionOpened,
        Push::PositionUpdated,
        Push::PositionClosed,
        Push::ConditionsChanged,
        Push::RiskAlert,
        Push::KillSwitchTriggered,
        Push::KillSwitchDeactivated,
        Push::BalanceUpdated,
        Push::PnlUpdated,
    ];

    pub(crate) const ALL_BITS: u32 = (1 << Push::ALL.len()) - 1;

    pub(crate) const fn bit(self) -> u32 {
        1 << self as u32
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Push::OrderPlaced => "order:placed",
            Push::OrderFilled => "order:filled",
            Push::OrderCancelled => "order:cancelled",
            Push::OrderRejected => "order:rejected",
            Push::OrderModified => "order:modified",
            Push::OrderTriggered => "order:triggered",
            Push::PositionOpened => "position:opened",
            Push::PositionUpdated => "position:updated",
            Push::PositionClosed => "position:closed",
            Push::ConditionsChanged => "position:conditions",
            Push::RiskAlert => "risk:alert",
            Push::KillSwitchTriggered => "risk:kill_switch_triggered",
            Push::KillSwitchDeactivated => "risk:kill_switch_deactivated",
            Push::BalanceUpdated => "account:balance_updated",
            Push::PnlUpdated => "account:pnl_updated",
        }
    }

    pub(crate) fn by_name(name: &str) -> Option<Push> {
        Push::ALL.into_iter().find(|push| push.as_str() == name)
    }
}

/// What an event's messages need besides the event.
#[derive(Debug)]
pub(crate) struct PushContext<'a> {
    pub(crate) directory: &'a Directory,
    pub(crate) seq: Seq,
    pub(crate) time: Timestamp,
    /// What the gateway's own request asked, where the command came from one: the texts of a kill are in it.
    pub(crate) action: Option<&'a Action>,
}

/// Whether an event is told to clients at all.
pub(crate) fn is_pushed(event: &Event) -> bool {
    matches!(
        event,
        Event::OrderAccepted(_)
            | Event::OrderRejected(_)
            | Event::Fill(_)
            | Event::OrderCancelled(_)
            | Event::OrderModified(_)
            | Event::OrderTriggered(_)
            | Event::PositionChanged(_)
            | Event::PositionMarked(_)
            | Event::ConditionsChanged(_)
            | Event::AccountChanged(_)
            | Event::Alert(_)
            | Event::TradingStateChanged(_)
    )
}

/// A message of an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pushed<'a> {
    pub(crate) push: Push,
    pub(crate) cursor: Cursor,
    /// Who may see it; `None`: everyone.
    pub(crate) account: Option<AccountId>,
    pub(crate) json: &'a [u8],
}

/// Takes a message.
pub(crate) type Emit<'a> = dyn FnMut(Pushed<'_>) + 'a;

/// Gives each message of an event to `emit`. `cursor` is that of the last message so far; `scratch` is a buffer to
/// write in.
pub(crate) fn encode(
    event: &Event,
    context: &PushContext<'_>,
    cursor: &mut Cursor,
    scratch: &mut Vec<u8>,
    emit: &mut Emit<'_>,
) {
    let mut out = Out {
        context,
        cursor,
        scratch,
        emit,
    };
    match event {
        Event::OrderAccepted(_)
        | Event::OrderRejected(_)
        | Event::Fill(_)
        | Event::OrderCancelled(_)
        | Event::OrderModified(_)
        | Event::OrderTriggered(_) => encode_order(event, &mut out),
        Event::PositionChanged(changed) => encode_position(changed, &mut out),
        Event::PositionMarked(marked) => {
            let figures = PositionFigures::marked(marked);
            out.send(Push::PositionUpdated, Some(marked.account), &|data| {
                figures.write(data, context);
            });
        }
        Event::ConditionsChanged(changed) => {
            out.send(Push::ConditionsChanged, Some(changed.account), &|data| {
                conditions(data, changed, context);
            });
        }
        Event::AccountChanged(changed) => {
            out.send(Push::BalanceUpdated, Some(changed.account), &|data| {
                balance(data, changed)
            });
        }
        Event::Alert(alert) => {
            out.send(Push::RiskAlert, alert.account, &|data| {
                risk_alert(data, alert, context)
            });
        }
        Event::TradingStateChanged(changed) => {
            let account = match changed.scope {
                KillScope::Engine => None,
                KillScope::Account(account) | KillScope::Strategy(account, _) => Some(account),
            };
            let push = match changed.cause {
                KillCause::Rearmed => Push::KillSwitchDeactivated,
                _ => Push::KillSwitchTriggered,
            };
            out.send(push, account, &|data| trading_state(data, changed, context));
        }
        _ => {}
    }
}

/// Where messages go.
struct Out<'a, 'c> {
    context: &'a PushContext<'c>,
    cursor: &'a mut Cursor,
    scratch: &'a mut Vec<u8>,
    emit: &'a mut Emit<'a>,
}

impl Out<'_, '_> {
    /// `{"type": …, "cursor": …, "data": {…, "account": …}}`.
    fn send(&mut self, push: Push, account: Option<AccountId>, fill: &dyn Fn(&mut Object<'_>)) {
        *self.cursor = self.cursor.next(self.context.seq.get());
        self.scratch.clear();
        Object::begin(self.scratch)
            .string("type", push.as_str())
            .text("cursor", *self.cursor)
            .object("data", |data| {
                fill(data);
                if let Some(account) = account {
                    data.string("account", self.context.directory.account_name(account).as_str());
                }
            });
        (self.emit)(Pushed {
            push,
            cursor: *self.cursor,
            account,
            json: self.scratch,
        });
    }
}

fn encode_order(event: &Event, out: &mut Out<'_, '_>) {
    let context = out.context;
    match event {
        Event::OrderAccepted(accepted) => out.send(Push::OrderPlaced, Some(accepted.account), &|data| {
            placed(data, accepted, context);
        }),
        Event::OrderRejected(rejected) => out.send(Push::OrderRejected, Some(rejected.account), &|data| {
            rejected_order(data, rejected, context);
        }),
        Event::Fill(fill) => out.send(Push::OrderFilled, Some(fill.account), &|data| {
            filled(data, fill, context);
        }),
        Event::OrderCancelled(cancelled) if cancelled.leaves_quantity.is_zero() => {
            out.send(Push::OrderCancelled, Some(cancelled.account), &|data| {
                cancelled_order(data, cancelled, context);
            });
        }
        // Part of the quantity is gone (a self-trade decrement): the order lives on, smaller.
        Event::OrderCancelled(cancelled) => {
            out.send(Push::OrderModified, Some(cancelled.account), &|data| {
                cancelled_order(data, cancelled, context);
                let quantity = cancelled.cum_quantity.saturating_add(cancelled.leaves_quantity);
                data.number("quantity", quantity);
            });
        }
        Event::OrderModified(modified) => out.send(Push::OrderModified, Some(modified.account), &|data| {
            modified_order(data, modified, context);
        }),
        Event::OrderTriggered(triggered) => {
            out.send(Push::OrderTriggered, Some(triggered.account), &|data| {
                triggered_order(data, triggered, context);
            })
        }
        _ => {}
    }
}

/// Opened before updated before closed; the dashboard's table follows `position:updated` alone.
fn encode_position(changed: &PositionChanged, out: &mut Out<'_, '_>) {
    let context = out.context;
    let account = Some(changed.account);
    let figures = PositionFigures::changed(changed);
    if changed.change == PositionChange::Opened {
        out.send(Push::PositionOpened, account, &|data| {
            figures.write(data, context)
        });
    }
    out.send(Push::PositionUpdated, account, &|data| {
        figures.write(data, context)
    });
    if changed.change == PositionChange::Closed {
        out.send(Push::PositionClosed, account, &|data| {
            data.string("symbol", context.directory.symbol(changed.instrument).as_str())
                .number("realized_pnl", figures.realised)
                .number("position_id", changed.position);
        });
    }
}

/// The three fields that every message about an order begins with.
fn order_fields(data: &mut Object<'_>, order: OrderId, instrument: InstrumentId, context: &PushContext<'_>) {
    data.number("order_id", order)
        .text("broker_order_id", BrokerOrderId(order))
        .string("symbol", context.directory.symbol(instrument).as_str());
}

fn placed(data: &mut Object<'_>, accepted: &OrderAccepted, context: &PushContext<'_>) {
    order_fields(data, accepted.order, accepted.instrument, context);
    data.string("side", accepted.side.as_str())
        .number("quantity", accepted.quantity)
        .string("status", "OPEN")
        .string("order_type", accepted.order_type.as_str())
        .number("price", accepted.limit)
        .optional_number("trigger_price", accepted.order_type.trigger())
        .string("product", accepted.product.as_str())
        .string("validity", accepted.time_in_force.as_str());
    match accepted.cause {
        Some(cause) => data.string("cause", cause.as_str()),
        None => data.null("cause"),
    };
}

fn rejected_order(data: &mut Object<'_>, rejected: &OrderRejected, context: &PushContext<'_>) {
    order_fields(data, rejected.order, rejected.instrument, context);
    data.string("status", "REJECTED");
    rejection_fields(data, &rejected.rejection);
}

/// `quantity` is what is filled so far, as the dashboard's toast shows it; `price` the average of it.
fn filled(data: &mut Object<'_>, fill: &Fill, context: &PushContext<'_>) {
    order_fields(data, fill.order, fill.instrument, context);
    data.string("side", fill.side.as_str())
        .number("quantity", fill.cum_quantity)
        .optional_number(
            "price",
            average_price(fill.cum_notional, i64::from(fill.cum_quantity.shares())),
        )
        .string("status", fill.status.as_str())
        .number("last_quantity", fill.last_quantity)
        .number("last_price", fill.last_price)
        .number("leaves_quantity", fill.leaves_quantity)
        .number("trade_id", fill.trade)
        .number("charges", fill.charges.total());
}

fn cancelled_order(data: &mut Object<'_>, cancelled: &OrderCancelled, context: &PushContext<'_>) {
    order_fields(data, cancelled.order, cancelled.instrument, context);
    data.string("side", cancelled.side.as_str())
        .string("status", cancelled.status.as_str())
        .number("cancelled_quantity", cancelled.cancelled_quantity)
        .number("leaves_quantity", cancelled.leaves_quantity)
        .number("filled_quantity", cancelled.cum_quantity)
        .string("reason", cancelled.reason.as_str());
}

fn modified_order(data: &mut Object<'_>, modified: &OrderModified, context: &PushContext<'_>) {
    order_fields(data, modified.order, modified.instrument, context);
    data.string("side", modified.side.as_str())
        .number("quantity", modified.quantity)
        .number("price", modified.limit)
        .number("leaves_quantity", modified.leaves_quantity)
        .string("order_type", modified.order_type.as_str())
        .optional_number("trigger_price", modified.order_type.trigger())
        .string("status", modified.status.as_str());
}

/// `price` is what it matches at from now on.
fn triggered_order(data: &mut Object<'_>, triggered: &OrderTriggered, context: &PushContext<'_>) {
    order_fields(data, triggered.order, triggered.instrument, context);
    data.number("price", triggered.limit)
        .number("trigger_price", triggered.trigger_price)
        .number("print_price", triggered.print_price)
        .optional_number("trade_id", triggered.trade)
        .string("status", "OPEN");
}

struct PositionFigures {
    position: PositionId,
    instrument: InstrumentId,
    quantity: i64,
    cost: Money,
    realised: Money,
    unrealised: Money,
    charges: Money,
}

impl PositionFigures {
    fn changed(changed: &PositionChanged) -> PositionFigures {
        PositionFigures {
            position: changed.position,
            instrument: changed.instrument,
            quantity: i64::from(changed.quantity),
            cost: changed.cost,
            realised: net_pnl(changed.realised, changed.charges),
            unrealised: changed.unrealised,
            charges: changed.charges,
        }
    }

    fn marked(marked: &PositionMarked) -> PositionFigures {
        PositionFigures {
            position: marked.position,
            instrument: marked.instrument,
            quantity: i64::from(marked.quantity),
            cost: marked.cost,
            realised: net_pnl(marked.realised, marked.charges),
            unrealised: marked.unrealised,
            charges: marked.charges,
        }
    }

    fn write(&self, data: &mut Object<'_>, context: &PushContext<'_>) {
        data.string("symbol", context.directory.symbol(self.instrument).as_str())
            .number("quantity", self.quantity)
            .number(
                "avg_price",
                average_price(self.cost, self.quantity).unwrap_or_default(),
            )
            .number("unrealized_pnl", self.unrealised)
            .number("realized_pnl", self.realised)
            .number("total_pnl", self.realised.saturating_add(self.unrealised))
            .number("charges", self.charges)
            .number("position_id", self.position);
    }
}

/// The conditions as they are now; of a firing, which ends them all, the price that was reached and the print that did.
fn conditions(data: &mut Object<'_>, changed: &ConditionsChanged, context: &PushContext<'_>) {
    data.string("symbol", context.directory.symbol(changed.instrument).as_str())
        .number("position_id", changed.position)
        .optional_number("stop_loss", changed.stop_loss)
        .optional_number("take_profit", changed.take_profit);
    trailing_fields(data, changed.trailing, changed.trailing_stop);
    match changed.fired {
        None => data.null("fired"),
        Some(reached) => data.object("fired", |fired| {
            fired
                .number("trigger_price", reached.trigger_price)
                .number("print_price", reached.print_price)
                .optional_number("trade_id", reached.trade);
        }),
    };
}

fn balance(data: &mut Object<'_>, changed: &AccountChanged) {
    let realised = net_pnl(changed.realised, changed.charges);
    let total = realised.saturating_add(changed.unrealised);
    data.number("balance", changed.balance)
        .number("realized_pnl", realised)
        .number("unrealized_pnl", changed.unrealised)
        .number("total_pnl", total)
        .number("charges", changed.charges)
        .number("current_value", changed.balance.saturating_add(total));
}

/// The texts of a kill or rearm command or a notice: its reason and its author.
fn texts<'a>(context: &PushContext<'a>) -> (&'a str, &'a str) {
    match context.action {
        Some(Action::Kill { reason, author, .. }) => (reason.as_str(), author.as_str()),
        Some(Action::Rearm { author }) => ("", author.as_str()),
        Some(Action::Notice { reason }) => (reason.as_str(), ""),
        _ => ("Kill switch command", "system"),
    }
}

fn risk_alert(data: &mut Object<'_>, alert: &Alert, context: &PushContext<'_>) {
    let position = alert
        .position
        .and_then(|position| context.directory.position(position));
    let (reason, author) = texts(context);
    let alert_context = AlertContext {
        symbol: alert
            .instrument
            .map(|instrument| context.directory.symbol(instrument))
            .unwrap_or_default(),
        quantity: position.map_or(0, |position| position.quantity),
        average_price: position.and_then(|position| position.average_price()),
        reason,
        author,
    };
    alert_fields(data, alert, &alert_context, context.time);
}

fn trading_state(data: &mut Object<'_>, changed: &TradingStateChanged, context: &PushContext<'_>) {
    let (reason, author) = texts(context);
    match changed.cause {
        KillCause::Manual => {
            data.string("reason", reason).string("triggered_by", author);
        }
        KillCause::DailyLoss { loss, balance } => {
            data.text("reason", loss_reason(loss, balance))
                .string("triggered_by", "risk_monitor");
        }
        KillCause::Drawdown { drawdown, peak } => {
            data.text("reason", drawdown_reason(drawdown, peak))
                .string("triggered_by", "risk_monitor");
        }
        KillCause::Rearmed => {
            data.string("deactivated_by", author);
        }
    }
    let scope = match changed.scope {
        KillScope::Engine => "engine",
        KillScope::Account(_) => "account",
        KillScope::Strategy(..) => "strategy",
    };
    data.string("scope", scope)
        .string("state", changed.state.as_str())
        .text("timestamp", Iso8601(context.time));
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{AccountName, OrderStatus, Price, Product, Quantity, Side, Text, TradeId, TradingState};

    fn messages(event: Event, action: Option<&Action>) -> Vec<(Option<u32>, String)> {
        let mut directory = Directory::default();
        directory.add_instrument(InstrumentId::new(3), Text::cut("SBIN"), Text::cut("NSE"));
        directory.add_account(AccountId::new(1), AccountName::cut("main"));
        let context = PushContext {
            directory: &directory,
            seq: Seq::new(3),
            time: Timestamp::ZERO,
            action,
        };
        let mut found = Vec::new();
        let (mut cursor, mut scratch) = (Cursor::default(), Vec::new());
        encode(&event, &context, &mut cursor, &mut scratch, &mut |message| {
            let text = String::from_utf8(message.json.to_vec()).unwrap();
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
            found.push((message.account.map(AccountId::get), text));
        });
        assert_eq!(is_pushed(&event), !found.is_empty());
        found
    }

    #[test]
    fn a_fill_shows_what_is_filled_so_far() {
        let fill = Fill {
            trade: TradeId::new(9),
            order: OrderId::new(42),
            position: PositionId::new(1),
            account: AccountId::new(1),
            instrument: InstrumentId::new(3),
            last_quantity: Quantity::clamped(5),
            last_price: Price::from_paise_clamped(80_010),
            cum_quantity: Quantity::clamped(10),
            leaves_quantity: Quantity::ZERO,
            cum_notional: Money::from_paise(800_050),
            charges: Default::default(),
            side: Side::Buy,
            status: OrderStatus::Filled,
        };
        assert_eq!(
            messages(Event::Fill(fill), None),
            [(
                Some(1),
                r#"{"type":"order:filled","cursor":"3:0","data":{"order_id":42,"broker_order_id":"PIN0000000042","symbol":"SBIN","side":"BUY","quantity":10,"price":800.05,"status":"FILLED","last_quantity":5,"last_price":800.10,"leaves_quantity":0,"trade_id":9,"charges":0.00,"account":"main"}}"#.to_owned()
            )]
        );
    }

    #[test]
    fn a_closed_position_is_also_updated() {
        let changed = engine::PositionChanged {
            position: PositionId::new(1),
            account: AccountId::new(1),
            strategy: Default::default(),
            instrument: InstrumentId::new(3),
            quantity: 0,
            cost: Money::ZERO,
            realised: Money::from_paise(1_000),
            charges: Money::from_paise(150),
            unrealised: Money::ZERO,
            stop_loss: None,
            take_profit: None,
            product: Product::Mis,
            change: PositionChange::Closed,
        };
        let found = messages(Event::PositionChanged(changed), None);
        assert_eq!(
            found.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(),
            [
                r#"{"type":"position:updated","cursor":"3:0","data":{"symbol":"SBIN","quantity":0,"avg_price":0.00,"unrealized_pnl":0.00,"realized_pnl":8.50,"total_pnl":8.50,"charges":1.50,"position_id":1,"account":"main"}}"#,
                r#"{"type":"position:closed","cursor":"3:1","data":{"symbol":"SBIN","realized_pnl":8.50,"position_id":1,"account":"main"}}"#,
            ]
        );
    }

    #[test]
    fn a_kill_tells_its_reason_to_its_scope() {
        let changed = |cause, scope| {
            Event::TradingStateChanged(TradingStateChanged {
                scope,
                state: TradingState::Reducing,
                cause,
            })
        };
        let action = Action::Kill {
            scope: KillScope::Engine,
            state: TradingState::Reducing,
            reason: Text::cut("enough"),
            author: Text::cut("ops"),
        };
        assert_eq!(
            messages(changed(KillCause::Manual, KillScope::Engine), Some(&action)),
            [(
                None,
                r#"{"type":"risk:kill_switch_triggered","cursor":"3:0","data":{"reason":"enough","triggered_by":"ops","scope":"engine","state":"REDUCING","timestamp":"1970-01-01T00:00:00.000000Z"}}"#.to_owned()
            )]
        );
        let loss = KillCause::DailyLoss {
            loss: Money::from_paise(700_000),
            balance: Money::from_paise(10_000_000),
        };
        let found = messages(changed(loss, KillScope::Account(AccountId::new(1))), None);
        assert_eq!(found[0].0, Some(1));
        assert!(
            found[0]
                .1
                .contains(r#""reason":"Daily loss limit exceeded: ₹7,000.00 (7.00%)""#)
        );
    }
}
