//! The express way: what most commands are, in one pass over the entities that they touch.
//!
//! A usual order that comes to rest without trading, the move of one to another price, the cancel of one. They set nothing
//! off, so they need neither the tasks nor the agendas of the run loop. Each function first sees that the command is one of
//! these and certainly passes, which changes nothing, and then does what `entry`, `modify` or `cancel`, `matching` and
//! `monitor` would do for it, by the same primitives: the same state, the same events. Whatever it cannot tell goes there.

use crate::arena::{Slots, index};
use crate::command::{CancelOrder, Command, ModifyOrder, NewOrder, OrderRef};
use crate::engine::Engine;
use crate::event::{CancelReason, Event, EventBuffer, OrderCancelled, OrderModified};
use crate::ids::AccountId;
use crate::modify::{Change, released};
use crate::order::Order;
use crate::position::Position;
use crate::reservation;
use crate::risk::{self, Ask};
use crate::terms::{OrderStatus, OrderType, TimeInForce};
use crate::units::Quantity;

impl Engine {
    /// Carries out a command, if it is of the usual kind; `None` where nothing was done.
    #[inline(always)]
    pub(crate) fn express(&mut self, command: &Command, out: &mut EventBuffer) -> Option<()> {
        // Nobody waits for room in the order pool.
        if !self.leaving.is_empty() {
            return None;
        }
        match command {
            Command::ModifyOrder(modify) => self.move_express(modify, out),
            Command::NewOrder(order) => self.rest_express(order, out),
            Command::CancelOrder(cancel) => self.cancel_express(cancel, out),
            _ => None,
        }
    }

    /// A usual order that meets nobody and rests.
    #[inline(always)]
    fn rest_express(&mut self, order: &NewOrder, out: &mut EventBuffer) -> Option<()> {
        let account = self.accounts.get(index(order.account.get()))?;
        let instrument = self.instruments.get(index(order.instrument.get()))?;
        if !matches!(order.time_in_force, TimeInForce::Day) {
            return None;
        }
        let horizon = account.pace.after_token(account.rate_horizon, self.time);
        if !account.is_calm(horizon, self.time) {
            return None;
        }
        let (plan, position) = self.assess_usual(order, self.time)?;
        let (position, tick) = (position?, plan.tick?);
        let entry = order.quantity.shares().wrapping_sub(plan.exit_quantity);
        let value = plan.limit.notional(Quantity::clamped(i64::from(entry))).paise();
        let names_itself = !order.client_order_id.is_empty();
        let rests = account.has_ample_room_for(value)
            && !instrument.sides.reaches(order.side.opposite(), tick)
            && !(names_itself && self.is_repeat(order));
        if !rests {
            return None;
        }
        let slot = self.accept_at(position, order, plan, out);
        let accepted = self.orders.at_mut(slot);
        accepted.resting = true;
        if names_itself {
            let id = accepted.id;
            self.remember(order, id, OrderStatus::Open, None);
        }
        let visible = order.quantity.shares();
        let instrument = self.instruments.as_mut_slice().at_mut(order.instrument.get());
        instrument
            .sides
            .rest(&mut self.nodes, order.side, slot, tick, visible);
        instrument.publish_top(&self.nodes, order.instrument, out);
        self.count_message(order.account);
        Some(())
    }

    /// Another price for a usual order, where it meets nobody.
    #[inline(always)]
    fn move_express(&mut self, modify: &ModifyOrder, out: &mut EventBuffer) -> Option<()> {
        let (OrderRef::Id(id), Some(limit), None) = (modify.order, modify.price, modify.trigger) else {
            return None;
        };
        let account = self.accounts.get(index(modify.actor.account.get()))?;
        let slot = self.orders.find_open(id)?;
        let order = self.orders.at(slot);
        let ask = Ask::after(order, OrderType::Limit(limit), order.leaves)?;
        let horizon = account.pace.after_token(account.rate_horizon, self.time);
        let is_usual = (order.account == modify.actor.account)
            & is_usual(order)
            & (order.limit != limit)
            & (order.modifications < account.bounds.modifications)
            & modify
                .quantity
                .is_none_or(|total| total.shares() == order.quantity)
            & account.is_calm(horizon, self.time);
        if !is_usual {
            return None;
        }
        let ground = self.ground(order.account, order.instrument, Some(order.position), self.time)?;
        let held = released(order);
        let plan = risk::usual::plan(&ask, &ground, &held)?;
        let tick = plan.tick?;
        let change = Change {
            quantity: order.quantity,
            limit,
            tick,
            order_type: OrderType::Limit(limit),
        };
        let value = limit
            .notional(Quantity::clamped(i64::from(order.entry_leaves())))
            .paise();
        let sides = &ground.instrument.sides;
        let rests = (plan.exit_quantity == order.exit_leaves)
            && keeps_exits(order, ground.position)
            && (order.cum == 0 || change.total_fits(ground.instrument))
            && sides.can_rest(order.side, tick)
            && !sides.reaches(order.side.opposite(), tick)
            && account.has_ample_room_for(value.wrapping_sub(held.entry_value));
        if !rests {
            return None;
        }
        let order = self.orders.at_mut(slot);
        let account = self.accounts.as_mut_slice().at_mut(order.account.get());
        let instrument = self.instruments.as_mut_slice().at_mut(order.instrument.get());
        let intraday = &mut account.entry_value.mis;
        *intraday = intraday.saturating_sub(held.entry_value).saturating_add(value);
        account.rate_horizon = horizon;
        (order.limit, order.tick) = (limit, tick);
        order.modifications = order.modifications.wrapping_add(1);
        order.order_type = change.order_type;
        order.protective = false;
        self.digests.orders.note_one(order, slot);
        out.push(Event::OrderModified(OrderModified {
            order: order.id,
            account: order.account,
            instrument: order.instrument,
            quantity: Quantity::clamped(i64::from(order.quantity)),
            leaves_quantity: ask.quantity,
            limit,
            order_type: change.order_type,
            side: order.side,
            status: OrderStatus::Open,
            kept_priority: false,
        }));
        let (side, leaves) = (order.side, order.leaves);
        instrument
            .sides
            .relocate(&mut self.nodes, side, slot, tick, leaves);
        let (id, account_id) = (order.instrument, order.account);
        instrument.publish_top(&self.nodes, id, out);
        self.count_message(account_id);
        Some(())
    }

    /// The cancel of a usual order.
    #[inline(always)]
    fn cancel_express(&mut self, cancel: &CancelOrder, out: &mut EventBuffer) -> Option<()> {
        let OrderRef::Id(id) = cancel.order else {
            return None;
        };
        let account = self.accounts.get(index(cancel.actor.account.get()))?;
        let slot = self.orders.find_open(id)?;
        let order = self.orders.at(slot);
        let is_usual = (order.account == cancel.actor.account)
            & is_usual(order)
            & !order.venue
            & !account.margin_alerted
            & !matches!(order.time_in_force, TimeInForce::Gtd(_));
        let position = self.positions.at(order.position);
        if !is_usual
            || !keeps_exits(order, Some(position))
            || !account.is_calm(account.rate_horizon, self.time)
            || !account.has_ample_room_for(0)
        {
            return None;
        }
        let order = self.orders.at_mut(slot);
        let (side, leaves, account_id, instrument_id) =
            (order.side, order.leaves, order.account, order.instrument);
        let (entry, exit) = (order.entry_leaves(), order.exit_leaves);
        let position = self.positions.at_mut(order.position);
        let account = self.accounts.as_mut_slice().at_mut(account_id.get());
        reservation::release(order, position, account, entry, exit);
        out.push(Event::OrderCancelled(OrderCancelled {
            order: order.id,
            account: account_id,
            instrument: instrument_id,
            cancelled_quantity: Quantity::clamped(i64::from(leaves)),
            leaves_quantity: Quantity::ZERO,
            cum_quantity: order.filled_quantity(),
            side,
            status: OrderStatus::Cancelled,
            reason: CancelReason::Requested,
        }));
        let instrument = self.instruments.as_mut_slice().at_mut(instrument_id.get());
        instrument.sides.unlink(&mut self.nodes, side, slot);
        instrument.publish_top(&self.nodes, instrument_id, out);
        self.finish(slot, OrderStatus::Cancelled);
        self.count_message(account_id);
        Some(())
    }

    /// Counts a message of an account that has no alert to raise for it.
    #[inline(always)]
    fn count_message(&mut self, id: AccountId) {
        let account = self.accounts.as_mut_slice().at_mut(id.get());
        account.messages_today = account.messages_today.saturating_add(1);
        self.digests.accounts.note_one(account, id.get());
    }
}

/// Whether an order rests as a limit order all of which is shown.
#[inline(always)]
fn is_usual(order: &Order) -> bool {
    order.resting & (order.disclosed == 0) & matches!(order.order_type, OrderType::Limit(_))
}

/// Whether nothing would follow from a change of what an order reduces its position by.
#[inline(always)]
fn keeps_exits(order: &Order, position: Option<&Position>) -> bool {
    (order.exit_leaves == 0) || position.is_some_and(|position| !position.minds_its_exits())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{
        AccountDefinition, Actor, Edit, EditConditions, InstrumentDefinition, MarketPrice, Sequenced,
        SetLimits,
    };
    use crate::engine::{Capacity, Work};
    use crate::ids::{InstrumentId, OrderId, PositionId, Seq, StrategyId};
    use crate::risk_limits::{LimitFields, RiskLimits};
    use crate::terms::{Product, Side};
    use crate::text::Text;
    use crate::units::{Money, Price, Ratio, Timestamp};

    fn price(paise: u32) -> Price {
        Price::from_paise(paise).expect("a price")
    }

    fn shares(count: u32) -> Quantity {
        Quantity::new(count).expect("a quantity")
    }

    /// Two engines, of which only the first takes the express way.
    struct Twins {
        engines: [Engine; 2],
        seq: u64,
    }

    impl Twins {
        /// One instrument at ₹100, two makers, an ask of account 0 at ₹101 and a bid at ₹99: orders 1 and 2; a print between.
        fn new() -> Twins {
            let capacity = Capacity {
                accounts: 3,
                instruments: 1,
                orders: 16,
                positions: 16,
                client_order_ids: 16,
            };
            let engine = Engine::new(capacity);
            let mut twins = Twins {
                engines: [engine.clone(), engine.without_express()],
                seq: 0,
            };
            twins.decide(instrument(10_000));
            for name in ["one", "two"] {
                twins.decide(account(name, false));
            }
            twins.decide(order(0, Side::Sell, 10_000, 1));
            twins.decide(order(1, Side::Buy, 10_000, 1));
            for (side, at) in [(Side::Sell, 10_100), (Side::Buy, 9_900)] {
                twins.decide(order(0, side, at, 10));
            }
            twins
        }

        /// Whether the first took the express way; both come to the same.
        #[track_caller]
        fn decide(&mut self, command: Command) -> bool {
            self.seq += 1;
            let command = Sequenced {
                seq: Seq::new(self.seq),
                time: Timestamp::from_nanos(1_795_146_300_000_000_000 + self.seq * 1_000_000),
                command,
            };
            let mut tried = self.engines[0].clone();
            (tried.seq, tried.time) = (command.seq, command.time);
            let took = tried.express(&command.command, &mut EventBuffer::new()).is_some();
            let [first, second] = &mut self.engines;
            let (mut out, mut expected) = (EventBuffer::new(), EventBuffer::new());
            assert_eq!(first.apply(&command, &mut out), Work::Done);
            assert_eq!(second.apply(&command, &mut expected), Work::Done);
            assert_eq!(out.as_slice(), expected.as_slice(), "{command:?}");
            assert_eq!(first.state_hash(), second.state_hash(), "{command:?}");
            assert_eq!(first.audit(), Ok(()), "{command:?}");
            took
        }
    }

    fn account(name: &str, venue: bool) -> Command {
        Command::DefineAccount(alloc::boxed::Box::new(AccountDefinition {
            name: Text::cut(name),
            opening_balance: Money::from_paise(1_000_000_000),
            limits: RiskLimits::maker(),
            profile: Text::cut("maker"),
            venue,
        }))
    }

    fn order(account: u32, side: Side, at: u32, quantity: u32) -> Command {
        Command::NewOrder(new_order(account, side, at, quantity))
    }

    fn new_order(account: u32, side: Side, at: u32, quantity: u32) -> NewOrder {
        let (account, instrument) = (AccountId::new(account), InstrumentId::new(0));
        NewOrder::plain(account, instrument, side, price(at), shares(quantity))
    }

    fn by(account: u32) -> Actor {
        Actor {
            account: AccountId::new(account),
            admin: false,
        }
    }

    fn move_to(account: u32, id: u64, at: u32) -> ModifyOrder {
        ModifyOrder {
            actor: by(account),
            order: OrderRef::Id(OrderId::new(id)),
            quantity: None,
            price: Some(price(at)),
            trigger: None,
        }
    }

    fn cancel(account: u32, id: u64) -> Command {
        let (actor, order) = (by(account), OrderRef::Id(OrderId::new(id)));
        Command::CancelOrder(CancelOrder { actor, order })
    }

    /// Of account 0.
    fn set_limits(limits: RiskLimits) -> Command {
        Command::SetLimits(alloc::boxed::Box::new(SetLimits {
            actor: Actor { admin: true, ..by(0) },
            account: AccountId::new(0),
            strategy: None,
            fields: LimitFields::ALL,
            limits,
        }))
    }

    fn instrument(freeze_quantity: u32) -> Command {
        Command::DefineInstrument(alloc::boxed::Box::new(InstrumentDefinition {
            symbol: Text::cut("TEST"),
            exchange: Text::cut("NSE"),
            tick_size: price(5),
            lot_size: shares(1),
            freeze_quantity: shares(freeze_quantity),
            reference_price: price(10_000),
            price_band: Ratio::from_ppm(200_000),
            mis_allowed: true,
            banned: false,
            derivatives: false,
        }))
    }

    /// Orders 3 (ask, ₹101) and 4 (bid, ₹99) of account 0 rest; it is short one share, account 1 long one.
    const ASK: u64 = 3;
    const BID: u64 = 4;

    #[test]
    fn usual_commands_take_it() {
        let mut twins = Twins::new();
        assert!(twins.decide(order(1, Side::Buy, 9_950, 5)), "an entry");
        assert!(twins.decide(order(1, Side::Sell, 10_050, 1)), "an exit");
        assert!(
            twins.decide(order(1, Side::Sell, 10_050, 3)),
            "an entry of the other side"
        );
        assert!(
            twins.decide(Command::ModifyOrder(move_to(0, ASK, 10_150))),
            "away"
        );
        assert!(
            twins.decide(Command::ModifyOrder(move_to(1, 6, 10_060))),
            "an exit"
        );
        let same_total = ModifyOrder {
            quantity: Some(shares(10)),
            ..move_to(0, BID, 9_905)
        };
        assert!(
            twins.decide(Command::ModifyOrder(same_total)),
            "its total named again"
        );
        for (account, id) in [(0, ASK), (1, 6), (1, 7)] {
            let order = OrderRef::Id(OrderId::new(id));
            let cancel = CancelOrder {
                actor: by(account),
                order,
            };
            assert!(twins.decide(Command::CancelOrder(cancel)), "cancel of {id}");
        }
    }

    /// By account 2, the venue's own, alone: an admin's guess of its number changes nothing on either way.
    #[test]
    fn orders_of_the_venue_are_reached_by_it() {
        let mut twins = Twins::new();
        twins.decide(account("sim", true));
        twins.decide(order(2, Side::Sell, 10_200, 7));
        let id = OrderId::new(5);
        let cancel = |actor| {
            let order = OrderRef::Id(id);
            Command::CancelOrder(CancelOrder { actor, order })
        };
        let modify = |actor| {
            Command::ModifyOrder(ModifyOrder {
                actor,
                ..move_to(2, id.get(), 10_250)
            })
        };
        let admin = Actor { admin: true, ..by(0) };
        for (actor, reaches) in [(admin, false), (by(0), false), (by(2), true)] {
            for command in [modify(actor), cancel(actor)] {
                let before = twins.engines[0].state_hash();
                assert!(!twins.decide(command.clone()));
                let changed = twins.engines[0].state_hash() != before;
                assert_eq!(changed, reaches, "{command:?}");
            }
        }
        assert_eq!(twins.engines[0].orders.find_open(id), None);
    }

    #[test]
    fn whatever_else_there_is_does_not() {
        let mut twins = Twins::new();
        let plain = || new_order(1, Side::Buy, 9_800, 5);
        let named = NewOrder {
            client_order_id: Text::cut("a"),
            ..plain()
        };
        assert!(twins.decide(Command::NewOrder(named)), "the first with its id");
        let others = [
            ("it trades", new_order(1, Side::Buy, 10_100, 1)),
            (
                "for now",
                NewOrder {
                    time_in_force: TimeInForce::Ioc,
                    ..plain()
                },
            ),
            (
                "post-only",
                NewOrder {
                    post_only: true,
                    ..plain()
                },
            ),
            (
                "iceberg",
                NewOrder {
                    disclosed: Some(shares(1)),
                    ..plain()
                },
            ),
            (
                "delivery",
                NewOrder {
                    product: Product::Cnc,
                    ..plain()
                },
            ),
            (
                "a stop",
                NewOrder {
                    stop_loss: Some(price(9_700)),
                    ..plain()
                },
            ),
            (
                "market",
                NewOrder {
                    order_type: OrderType::Market,
                    ..plain()
                },
            ),
            ("off the grid", new_order(1, Side::Buy, 9_801, 5)),
            ("outside the band", new_order(1, Side::Buy, 5_000, 5)),
            (
                "above the freeze quantity",
                new_order(1, Side::Buy, 9_800, 10_001),
            ),
            ("far beyond the last price", new_order(0, Side::Sell, 9_600, 5)),
            (
                "an id once more",
                NewOrder {
                    client_order_id: Text::cut("a"),
                    ..plain()
                },
            ),
            (
                "a new key",
                NewOrder {
                    strategy: StrategyId::new(9),
                    ..plain()
                },
            ),
            ("nobody", new_order(7, Side::Buy, 9_800, 5)),
        ];
        for (why, order) in others {
            assert!(!twins.decide(Command::NewOrder(order)), "{why}");
        }
        let ask = || move_to(0, ASK, 10_120);
        let others = [
            ("it trades", move_to(0, ASK, 9_800)),
            (
                "of another account",
                ModifyOrder {
                    actor: by(1),
                    ..ask()
                },
            ),
            ("unknown", move_to(0, 99, 10_120)),
            (
                "another total",
                ModifyOrder {
                    quantity: Some(shares(11)),
                    ..ask()
                },
            ),
            (
                "a trigger",
                ModifyOrder {
                    trigger: Some(price(10_000)),
                    ..ask()
                },
            ),
            ("no price", ModifyOrder { price: None, ..ask() }),
            ("off the grid", move_to(0, BID, 9_903)),
        ];
        for (why, modify) in others {
            // Each meets the order as it was.
            assert!(!Twins::new().decide(Command::ModifyOrder(modify)), "{why}");
        }
        assert!(!Twins::new().decide(cancel(1, BID)), "of another account");
        assert!(!Twins::new().decide(cancel(0, 99)), "unknown");
    }

    #[test]
    fn an_order_takes_it_up_to_its_last_modification() {
        let mut twins = Twins::new();
        let mut limits = RiskLimits::maker();
        limits.modifications_max = Some(2);
        twins.decide(set_limits(limits));
        for at in [10_110, 10_120] {
            assert!(twins.decide(Command::ModifyOrder(move_to(0, ASK, at))));
        }
        assert!(!twins.decide(Command::ModifyOrder(move_to(0, ASK, 10_130))));
    }

    #[test]
    fn a_partly_filled_order_takes_it_where_the_exchange_takes_its_total() {
        let mut twins = Twins::new();
        twins.decide(order(1, Side::Buy, 10_100, 6));
        assert!(twins.decide(Command::ModifyOrder(move_to(0, ASK, 10_150))));
        twins.decide(instrument(5));
        assert!(!twins.decide(Command::ModifyOrder(move_to(0, ASK, 10_200))));
    }

    #[test]
    fn orders_that_hide_or_wait_do_not_take_it() {
        let iceberg = NewOrder {
            disclosed: Some(shares(2)),
            ..new_order(1, Side::Buy, 9_800, 5)
        };
        let stop = NewOrder {
            order_type: OrderType::Stop {
                trigger: price(10_300),
                limit: price(10_320),
            },
            ..new_order(1, Side::Buy, 10_320, 5)
        };
        for (why, placed, at) in [("iceberg", iceberg, 9_810), ("stop", stop, 10_330)] {
            let mut twins = Twins::new();
            twins.decide(Command::NewOrder(placed));
            assert!(!twins.decide(Command::ModifyOrder(move_to(1, 5, at))), "{why}");
            assert!(twins.engines[0].orders.find_open(OrderId::new(5)).is_some());
            assert!(!twins.decide(cancel(1, 5)), "{why}");
        }
    }

    /// Account 1's target at ₹101.50 is reached, but its only share is on sale at ₹102 already: it waits for that order.
    #[test]
    fn exits_that_a_condition_waits_for_do_not_take_it() {
        let exit = || {
            let mut twins = Twins::new();
            assert!(twins.decide(order(1, Side::Sell, 10_200, 1)));
            twins.decide(order(1, Side::Buy, 9_800, 1));
            twins.decide(Command::EditConditions(EditConditions {
                actor: by(1),
                position: PositionId::new(2),
                stop_loss: Edit::Keep,
                take_profit: Edit::Set(price(10_150)),
                trailing: Edit::Keep,
            }));
            twins.decide(Command::MarketPrice(MarketPrice {
                instrument: InstrumentId::new(0),
                price: price(10_150),
            }));
            let engine = &twins.engines[0];
            let slot = engine.orders.find_open(OrderId::new(5)).expect("it rests");
            let position = engine.orders.at(slot).position;
            assert!(engine.positions.at(position).minds_its_exits());
            twins
        };
        assert!(
            !exit().decide(Command::ModifyOrder(move_to(1, 5, 10_210))),
            "move"
        );
        assert!(!exit().decide(cancel(1, 5)), "cancel");
        assert!(
            exit().decide(Command::ModifyOrder(move_to(1, 6, 9_810))),
            "an entry's"
        );
        assert!(exit().decide(cancel(1, 6)), "an entry's cancel");
    }

    #[test]
    fn whoever_counts_messages_does_not_take_it() {
        let mut twins = Twins::new();
        let mut limits = RiskLimits::maker();
        limits.order_to_trade_alert = Some(1_000);
        twins.decide(set_limits(limits));
        assert!(!twins.decide(order(0, Side::Sell, 10_200, 1)), "new");
        assert!(
            !twins.decide(Command::ModifyOrder(move_to(0, ASK, 10_150))),
            "move"
        );
        assert!(!twins.decide(cancel(0, ASK)), "cancel");
    }
}
