//! Requests that wait for the engine, and the answers that its decisions become.

use std::collections::VecDeque;
use std::time::Instant;

use engine::lane::{Token, Verdict};
use engine::{
    ConditionsChanged, DeadMan, Event, ExplainedCheck, KillScope, Money, OrderCancelled, OrderId,
    OrderModified, OrderStatus, PositionId, Quantity, Refusal, Rejection, Seq, Text, TradingState,
};
use slab::Slab;

use crate::latency::Stamps;
use crate::limits::{HELD_TIME_MAX, PENDING_MAX, WS_CORRELATION_BYTES_MAX};
use crate::wire::{
    BrokerOrderId, Object, OrderAction, check_fields, heartbeat_fields, refusal_answer, rejection_fields,
    rejection_status, trailing_fields,
};

/// What was asked, as far as its answer depends on it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    Place,
    /// `order` is the id that the client named, if it named one.
    Modify {
        order: Option<u64>,
    },
    Cancel {
        order: Option<u64>,
    },
    CancelAll,
    Close,
    EditConditions,
    Kill {
        scope: KillScope,
        state: TradingState,
        reason: Text<100>,
        author: Text<50>,
    },
    Rearm {
        author: Text<50>,
    },
    SetLimits,
    AdjustCash,
    Heartbeat,
    /// Nobody asked: the process tells something.
    Notice {
        reason: Text<200>,
    },
    Validate,
}

/// Where an answer goes.
#[derive(Clone, Debug)]
pub(crate) struct ReplyTo {
    /// Index of the connection, and its serial number: an index is used again, a serial never.
    pub(crate) connection: usize,
    pub(crate) serial: u64,
    pub(crate) address: Address,
    /// What is known so far of when it was where.
    pub(crate) stamps: Stamps,
}

#[derive(Clone, Debug)]
pub(crate) enum Address {
    /// A place in the connection's queue of answers.
    Http { slot: u64 },
    /// The message type and the correlation id (as JSON text) of a WebSocket request.
    WebSocket {
        request: &'static str,
        correlation: Option<Text<WS_CORRELATION_BYTES_MAX>>,
        /// Whether the answer tells how long each stage took.
        timings: bool,
    },
}

#[derive(Debug)]
struct Pending {
    token: Token,
    action: Action,
    /// `None`: nobody asked, or already answered with `outcome_unknown`. The entry stays until the engine's answer comes, because
    /// the token stays in use until then, and because a kill's reason is needed for its events.
    to: Option<ReplyTo>,
}

/// Requests in flight, by token. Bounded by [`PENDING_MAX`].
#[derive(Debug, Default)]
pub(crate) struct Replies {
    pending: Slab<Pending>,
    /// In order of time, which is also the order of deadlines: all are held equally long.
    deadlines: VecDeque<(Instant, Token)>,
    serial: u32,
    unanswered: usize,
}

impl Replies {
    /// Requests whose client still waits.
    pub(crate) fn in_flight(&self) -> usize {
        self.unanswered
    }

    pub(crate) fn is_full(&self) -> bool {
        self.pending.len() >= PENDING_MAX
    }

    /// A token for a request that is about to be sent. The low half is the slot, the high half a count, so that a
    /// token is not soon used again.
    pub(crate) fn register(&mut self, to: ReplyTo, action: Action, now: Instant) -> Token {
        let token = self.enter(action, Some(to));
        self.deadlines.push_back((now + HELD_TIME_MAX, token));
        self.unanswered += 1;
        token
    }

    /// A token for a command that no client waits for.
    pub(crate) fn register_unasked(&mut self, action: Action) -> Token {
        self.enter(action, None)
    }

    fn enter(&mut self, action: Action, to: Option<ReplyTo>) -> Token {
        self.serial = self.serial.wrapping_add(1);
        let entry = self.pending.vacant_entry();
        let slot = u32::try_from(entry.key()).unwrap_or(u32::MAX);
        let token = u64::from(self.serial) << 32 | u64::from(slot);
        entry.insert(Pending { token, action, to });
        token
    }

    /// Undoes [`Replies::register`] for a request that could not be sent.
    pub(crate) fn unregister(&mut self, token: Token) {
        self.deadlines.pop_back();
        self.take(token);
    }

    /// What a token stands for, while it waits.
    pub(crate) fn action(&self, token: Token) -> Option<&Action> {
        self.pending
            .get(slot_of(token))
            .filter(|pending| pending.token == token)
            .map(|pending| &pending.action)
    }

    /// Ends a request. The address is `None` where its client was already told that the outcome is unknown.
    pub(crate) fn take(&mut self, token: Token) -> Option<(Action, Option<ReplyTo>)> {
        self.action(token)?;
        let pending = self.pending.remove(slot_of(token));
        self.unanswered -= usize::from(pending.to.is_some());
        // Answers come nearly in order, so this keeps the queue about as long as the requests in flight.
        while self
            .deadlines
            .front()
            .is_some_and(|&(_, token)| self.action(token).is_none())
        {
            self.deadlines.pop_front();
        }
        Some((pending.action, pending.to))
    }

    /// The address of a request that was held too long, once; call until there is none.
    pub(crate) fn take_expired(&mut self, now: Instant) -> Option<ReplyTo> {
        while let Some(&(deadline, token)) = self.deadlines.front() {
            if deadline > now {
                return None;
            }
            self.deadlines.pop_front();
            let pending = self
                .pending
                .get_mut(slot_of(token))
                .filter(|pending| pending.token == token);
            if let Some(to) = pending.and_then(|pending| pending.to.take()) {
                self.unanswered -= 1;
                return Some(to);
            }
        }
        None
    }
}

fn slot_of(token: Token) -> usize {
    usize::try_from(token & u64::from(u32::MAX)).unwrap_or(usize::MAX)
}

/// What the events of one command amount to for its sender.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    placed: Option<Placed>,
    refusal: Option<Refusal>,
    modified: Option<OrderModified>,
    cancelled: Option<OrderId>,
    mass_cancelled: Option<u32>,
    /// With the sentence that says whether it is this command's.
    closing: Option<(PositionId, OrderId, Quantity, &'static str)>,
    conditions: Option<ConditionsChanged>,
    state_changes: u32,
    limits_set: bool,
    /// The heartbeat that is waited for from now on, if any.
    heartbeat: Option<Option<DeadMan>>,
    /// The balance after a cash adjustment.
    balance: Option<Money>,
}

#[derive(Clone, Copy, Debug)]
struct Placed {
    order: OrderId,
    status: OrderStatus,
    rejection: Option<Rejection>,
}

impl Outcome {
    pub(crate) fn absorb(&mut self, event: &Event) {
        match event {
            // Later acceptances of the same command are the engine's own orders.
            Event::OrderAccepted(accepted) if self.placed.is_none() => {
                self.place(accepted.order, OrderStatus::Open, None);
            }
            Event::OrderRejected(rejected) if self.placed.is_none() => {
                self.place(rejected.order, OrderStatus::Rejected, Some(rejected.rejection));
            }
            Event::OrderRepeated(repeated) if self.placed.is_none() => {
                self.place(repeated.order, repeated.status, repeated.rejection);
            }
            Event::Fill(fill) => self.update(fill.order, fill.status),
            Event::OrderCancelled(cancelled) => {
                self.update(cancelled.order, cancelled.status);
                self.decrement(cancelled);
                self.cancelled.get_or_insert(cancelled.order);
            }
            Event::OrderModified(modified) => {
                self.modified.get_or_insert(*modified);
            }
            Event::MassCancelled(summary) => self.mass_cancelled = Some(summary.orders),
            Event::PositionClosing {
                position,
                order,
                quantity,
            } => {
                // Later ones are of what this one's prints set off.
                self.closing
                    .get_or_insert((*position, *order, *quantity, "Position is being closed"));
            }
            Event::CloseRepeated {
                position,
                order,
                quantity,
            } => {
                let message = "Position is already being closed";
                self.closing = Some((*position, *order, *quantity, message));
            }
            Event::ConditionsChanged(changed) => {
                self.conditions.get_or_insert(*changed);
            }
            Event::TradingStateChanged(_) => self.state_changes += 1,
            Event::LimitsSet(..) => self.limits_set = true,
            Event::HeartbeatSet { dead_man, .. } => {
                self.heartbeat.get_or_insert(*dead_man);
            }
            Event::AccountChanged(changed) => self.balance = Some(changed.balance),
            Event::Refused(refusal) => {
                self.refusal.get_or_insert(*refusal);
            }
            _ => {}
        }
    }

    fn place(&mut self, order: OrderId, status: OrderStatus, rejection: Option<Rejection>) {
        self.placed = Some(Placed {
            order,
            status,
            rejection,
        });
    }

    fn update(&mut self, order: OrderId, status: OrderStatus) {
        if let Some(placed) = self.placed.as_mut().filter(|placed| placed.order == order) {
            placed.status = status;
        }
        if let Some(modified) = self.modified.as_mut().filter(|modified| modified.order == order) {
            modified.status = status;
        }
    }

    /// Self-trade prevention by decrement takes off what is no longer part of the order's total.
    fn decrement(&mut self, cancelled: &OrderCancelled) {
        let modified = self.modified.as_mut().filter(|modified| {
            modified.order == cancelled.order && cancelled.status != OrderStatus::Cancelled
        });
        if let Some(modified) = modified {
            modified.quantity = cancelled.cum_quantity.saturating_add(cancelled.leaves_quantity);
        }
    }
}

/// Writes the JSON body of an answer and gives its status. `seq` is the command's; `durable` says whether the journal holds the command.
pub(crate) fn encode_reply(
    out: &mut Vec<u8>,
    action: &Action,
    outcome: &Outcome,
    seq: Seq,
    durable: bool,
) -> u16 {
    if let Some(refusal) = &outcome.refusal {
        let (verb, order) = match action {
            Action::Modify { order } => (OrderAction::Modify, *order),
            Action::Cancel { order } => (OrderAction::Cancel, *order),
            _ => (OrderAction::Cancel, None),
        };
        return refusal_answer(out, refusal, verb, order);
    }
    if let (Action::Place, Some(placed)) = (action, &outcome.placed) {
        return placed_reply(out, placed, durable);
    }
    let mut body = Object::begin(out);
    match success_fields(&mut body, action, outcome, seq) {
        Some(()) => {
            body.boolean("durable", durable);
            200
        }
        // An engine that decides nothing about a command is a bug; the client's question stays open.
        None => {
            tracing::error!(?action, ?outcome, "the engine gave no outcome");
            body.string("error", "The engine gave no outcome")
                .string("code", "outcome_unknown");
            503
        }
    }
}

/// The fields of an answer to a command that was carried out. `None`, and nothing written, where it has no outcome.
fn success_fields(body: &mut Object<'_>, action: &Action, outcome: &Outcome, seq: Seq) -> Option<()> {
    match action {
        Action::Place | Action::Validate => return None,
        Action::Notice { .. } => {}
        Action::Modify { .. } => {
            let modified = outcome.modified?;
            body.number("order_id", modified.order)
                .string("message", "Order modified successfully")
                .string("status", modified.status.as_str())
                .number("quantity", modified.quantity)
                .number("price", modified.limit);
        }
        Action::Cancel { .. } => {
            body.number("order_id", outcome.cancelled?)
                .string("message", "Order cancelled successfully");
        }
        Action::CancelAll => {
            let orders = outcome.mass_cancelled.unwrap_or(0);
            body.number("cancelled", orders)
                .text("message", format_args!("{orders} orders cancelled"));
        }
        Action::EditConditions => {
            let changed = outcome.conditions?;
            body.number("position_id", changed.position)
                .string("message", "Conditions of the position changed")
                .optional_number("stop_loss", changed.stop_loss)
                .optional_number("take_profit", changed.take_profit);
            trailing_fields(body, changed.trailing, changed.trailing_stop);
            let warning = "Rounded to the tick size, toward triggering earlier";
            body.array("warnings", |warnings| {
                if changed.rounded {
                    warnings.string(warning);
                }
            });
        }
        Action::Close => {
            let (position, order, quantity, message) = outcome.closing?;
            body.number("position_id", position)
                .number("order_id", order)
                .text("broker_order_id", BrokerOrderId(order))
                .number("quantity", quantity)
                .string("message", message);
        }
        Action::Kill {
            scope, state, reason, ..
        } => kill_fields(body, *scope, *state, reason.as_str(), outcome),
        Action::Rearm { .. } => {
            body.string("message", "Kill switch deactivated")
                .boolean("was_active", outcome.state_changes > 0);
        }
        Action::SetLimits => {
            outcome.limits_set.then_some(())?;
            body.string("message", "Limits changed")
                .number("effective_seq", seq);
        }
        Action::Heartbeat => {
            let dead_man = outcome.heartbeat?;
            heartbeat_fields(body, dead_man);
        }
        Action::AdjustCash => {
            body.number("balance", outcome.balance?)
                .string("message", "Balance changed")
                .number("effective_seq", seq);
        }
    }
    Some(())
}

fn placed_reply(out: &mut Vec<u8>, placed: &Placed, durable: bool) -> u16 {
    let mut body = Object::begin(out);
    let status = match &placed.rejection {
        Some(rejection) => {
            body.string("error", "Order rejected");
            rejection_fields(&mut body, rejection);
            body.number("order_id", placed.order);
            rejection_status(rejection)
        }
        None => {
            body.number("order_id", placed.order)
                .text("broker_order_id", BrokerOrderId(placed.order))
                .string("status", placed.status.as_str())
                .string("message", "Order placed successfully");
            201
        }
    };
    body.boolean("durable", durable);
    status
}

fn kill_fields(
    body: &mut Object<'_>,
    scope: KillScope,
    state: TradingState,
    reason: &str,
    outcome: &Outcome,
) {
    let scope = match scope {
        KillScope::Engine => "engine",
        KillScope::Account(_) => "account",
        KillScope::Strategy(..) => "strategy",
    };
    let message = match outcome.state_changes {
        0 => "Kill switch was already active",
        _ => "Kill switch activated",
    };
    body.string("message", message)
        .string("scope", scope)
        .string("state", state.as_str())
        .string("reason", reason)
        .number("orders_cancelled", outcome.mass_cancelled.unwrap_or(0));
}

/// Writes the body of a validation's answer (CONTRACT.md section 2): always 200. `checks` is there with `?explain=1`.
pub(crate) fn encode_verdict(out: &mut Vec<u8>, verdict: &Verdict, explained: &[ExplainedCheck]) -> u16 {
    let mut body = Object::begin(out);
    body.boolean("is_valid", verdict.rejection.is_none());
    match &verdict.rejection {
        Some(rejection) => rejection_fields(&mut body, rejection),
        None => {
            body.string("reason", "").string("failed_check", "");
        }
    }
    body.array("warnings", |list| {
        for sentence in verdict.warnings.sentences() {
            list.string(sentence);
        }
    });
    if !explained.is_empty() {
        body.array("checks", |list| {
            for check in explained {
                list.object(|object| check_fields(object, check));
            }
        });
    }
    200
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn to(slot: u64) -> ReplyTo {
        ReplyTo {
            connection: 0,
            serial: 0,
            address: Address::Http { slot },
            stamps: Stamps::default(),
        }
    }

    #[test]
    fn a_held_request_is_given_up_once_and_its_token_kept() {
        let mut replies = Replies::default();
        let start = Instant::now();
        let first = replies.register(to(1), Action::Place, start);
        let second = replies.register(to(2), Action::Place, start + Duration::from_secs(1));
        assert!(replies.take_expired(start).is_none());
        let later = start + HELD_TIME_MAX;
        assert!(matches!(
            replies.take_expired(later).map(|to| to.address),
            Some(Address::Http { slot: 1 })
        ));
        assert!(replies.take_expired(later).is_none());
        assert_eq!(replies.in_flight(), 1);

        // The late outcome finds nobody; its token was not given to anyone else meanwhile.
        let third = replies.register(to(3), Action::Place, later);
        assert!(first != third && second != third);
        assert!(matches!(replies.take(first), Some((Action::Place, None))));
        assert!(replies.take(first).is_none());
        assert!(matches!(replies.take(second), Some((_, Some(_)))));
        replies.unregister(third);
        assert_eq!(replies.in_flight(), 0);
    }

    #[test]
    fn the_status_is_the_one_after_the_whole_command() {
        use engine::{CancelReason, InstrumentId, Side};
        let mut outcome = Outcome::default();
        outcome.place(OrderId::new(7), OrderStatus::Open, None);
        let cancelled = |order, status| {
            Event::OrderCancelled(OrderCancelled {
                order: OrderId::new(order),
                account: Default::default(),
                instrument: InstrumentId::new(0),
                cancelled_quantity: Quantity::clamped(1),
                leaves_quantity: Quantity::ZERO,
                cum_quantity: Quantity::ZERO,
                side: Side::Buy,
                status,
                reason: CancelReason::ImmediateOrCancel,
            })
        };
        outcome.absorb(&cancelled(6, OrderStatus::Filled));
        outcome.absorb(&cancelled(7, OrderStatus::Cancelled));
        let mut out = Vec::new();
        assert_eq!(
            encode_reply(&mut out, &Action::Place, &outcome, Seq::new(1), true),
            201
        );
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"order_id":7,"broker_order_id":"PIN0000000007","status":"CANCELLED","message":"Order placed successfully","durable":true}"#
        );
    }

    #[test]
    fn a_modified_order_that_trades_or_meets_its_own_is_told_as_it_is_then() {
        use engine::{CancelReason, InstrumentId, OrderType, Price, Side};
        let shares = Quantity::clamped;
        let cancelled = |status, cum, leaves| {
            Event::OrderCancelled(OrderCancelled {
                order: OrderId::new(7),
                account: Default::default(),
                instrument: InstrumentId::new(0),
                cancelled_quantity: shares(5),
                leaves_quantity: shares(leaves),
                cum_quantity: shares(cum),
                side: Side::Buy,
                status,
                reason: CancelReason::SelfTrade,
            })
        };
        let price = Price::from_paise(350_000).unwrap();
        for (then, status, quantity) in [
            (cancelled(OrderStatus::Cancelled, 2, 0), "CANCELLED", 10),
            (cancelled(OrderStatus::Open, 2, 3), "OPEN", 5),
            (cancelled(OrderStatus::Filled, 5, 0), "FILLED", 5),
        ] {
            let mut outcome = Outcome::default();
            outcome.absorb(&Event::OrderModified(OrderModified {
                order: OrderId::new(7),
                account: Default::default(),
                instrument: InstrumentId::new(0),
                quantity: shares(10),
                leaves_quantity: shares(10),
                limit: price,
                order_type: OrderType::Limit(price),
                side: Side::Buy,
                status: OrderStatus::Open,
                kept_priority: false,
            }));
            outcome.absorb(&then);
            let mut out = Vec::new();
            let action = Action::Modify { order: Some(7) };
            assert_eq!(encode_reply(&mut out, &action, &outcome, Seq::new(1), true), 200);
            assert_eq!(
                String::from_utf8(out).unwrap(),
                format!(
                    r#"{{"order_id":7,"message":"Order modified successfully","status":"{status}","quantity":{quantity},"price":3500.00,"durable":true}}"#
                )
            );
        }
    }
}
