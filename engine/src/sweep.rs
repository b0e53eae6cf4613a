//! Mass cancels: account by account, position key by position key, order by order, as a cursor that survives calls.

use crate::arena::{NIL, Slots, slot_of};
use crate::command::CancelAll;
use crate::engine::{Engine, Task};
use crate::event::{CancelReason, Event, EventBuffer, MassCancelled};
use crate::ids::{AccountId, InstrumentId, StrategyId};
use crate::position::Position;
use crate::rejection::Refusal;
use crate::terms::{Product, Side, TimeInForce};

/// Which orders a sweep cancels: those that match every given field.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) account: Option<AccountId>,
    pub(crate) strategy: Option<StrategyId>,
    pub(crate) instrument: Option<InstrumentId>,
    pub(crate) side: Option<Side>,
    /// Only orders that end with the day.
    pub(crate) day_only: bool,
    /// Only intraday (MIS) orders of traders in instruments with, or without, derivatives.
    pub(crate) intraday_of: Option<bool>,
    /// All but what the engine placed by itself.
    pub(crate) sent_only: bool,
    /// Only orders whose price is outside their instrument's new band.
    pub(crate) outside: Option<crate::book::ladder::PriceDomain>,
}

/// A mass cancel and how far it has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sweep {
    filter: Filter,
    reason: CancelReason,
    /// Whether a [`MassCancelled`] follows the last cancellation.
    report: bool,
    account: u32,
    /// The position key under way; [`NIL`] before the account's first.
    position: u32,
    /// The order to look at next; [`NIL`] before the position's first.
    order: u32,
    cancelled: u32,
}

impl Sweep {
    pub(crate) fn new(filter: Filter, reason: CancelReason, report: bool) -> Sweep {
        let account = filter.account.map_or(0, AccountId::get);
        Sweep {
            filter,
            reason,
            report,
            account,
            position: NIL,
            order: NIL,
            cancelled: 0,
        }
    }
}

impl Engine {
    pub(crate) fn cancel_all(&mut self, cancel: &CancelAll) -> Result<(), Refusal> {
        match cancel.account {
            Some(account) => {
                self.known_account(account)?;
                if !cancel.actor.admin && account != cancel.actor.account {
                    return Err(Refusal::NotAuthorised);
                }
            }
            None if !cancel.actor.admin => return Err(Refusal::NotAuthorised),
            None => {}
        }
        if let Some(instrument) = cancel.instrument {
            self.known_instrument(instrument)?;
        }
        let filter = Filter {
            account: cancel.account,
            strategy: cancel.strategy,
            instrument: cancel.instrument,
            side: cancel.side,
            ..Filter::default()
        };
        self.active = Some(Task::Sweep(Sweep::new(filter, CancelReason::MassCancel, true)));
        Ok(())
    }

    /// Cancels as long as the buffer has room. `None` when no order is left that matches.
    pub(crate) fn sweep(&mut self, mut sweep: Sweep, out: &mut EventBuffer) -> Option<Task> {
        while self.seek(&mut sweep) {
            let slot = sweep.order;
            sweep.order = self.order_after(slot);
            if sweep.order == NIL {
                self.next_key(&mut sweep);
            }
            self.cancel_open(slot, sweep.reason, out);
            sweep.cancelled = sweep.cancelled.saturating_add(1);
            if !out.has_room_for_a_step() {
                return Some(Task::Sweep(sweep));
            }
        }
        if sweep.report
            && sweep
                .filter
                .account
                .is_none_or(|account| !self.account_of(account).venue)
        {
            out.push(Event::MassCancelled(MassCancelled {
                account: sweep.filter.account,
                orders: sweep.cancelled,
            }));
        }
        None
    }

    /// Moves the cursor to the next order that matches; `false` at the end.
    fn seek(&self, sweep: &mut Sweep) -> bool {
        loop {
            if sweep.order != NIL {
                if self.matches(sweep.order, &sweep.filter) {
                    return true;
                }
                sweep.order = self.order_after(sweep.order);
                if sweep.order == NIL {
                    self.next_key(sweep);
                }
            } else if sweep.position != NIL {
                let position = self.positions.at(sweep.position);
                let skip = sweep
                    .filter
                    .strategy
                    .is_some_and(|strategy| strategy != position.strategy)
                    || sweep
                        .filter
                        .instrument
                        .is_some_and(|instrument| instrument != position.instrument)
                    || sweep
                        .filter
                        .intraday_of
                        .is_some_and(|class| !self.is_intraday_of(position, class));
                let first = position.lists.first_after(None);
                if skip || first == NIL {
                    self.next_key(sweep);
                } else {
                    sweep.order = first;
                }
            } else {
                if sweep.account >= slot_of(self.accounts.len()) {
                    return false;
                }
                let account = self.accounts.as_slice().at(sweep.account);
                let skip = account.venue && sweep.filter.intraday_of.is_some();
                if account.open_orders > 0 && !skip {
                    sweep.position = account.first_position;
                } else {
                    self.next_account(sweep);
                }
            }
        }
    }

    /// Whether a position is intraday, in an instrument with, or without, derivatives.
    pub(crate) fn is_intraday_of(&self, position: &Position, derivatives: bool) -> bool {
        let instrument = self.instrument_of(position.instrument);
        position.product == Product::Mis && instrument.definition.derivatives == derivatives
    }

    fn next_key(&self, sweep: &mut Sweep) {
        sweep.order = NIL;
        sweep.position = self.positions.at(sweep.position).next_of_account;
        if sweep.position == NIL {
            self.next_account(sweep);
        }
    }

    fn next_account(&self, sweep: &mut Sweep) {
        sweep.position = NIL;
        sweep.account = match sweep.filter.account {
            Some(_) => u32::MAX,
            None => sweep.account.wrapping_add(1),
        };
    }

    fn matches(&self, slot: u32, filter: &Filter) -> bool {
        let order = self.orders.at(slot);
        filter.side.is_none_or(|side| side == order.side)
            && !(filter.sent_only && order.protective)
            && !(filter.day_only && matches!(order.time_in_force, TimeInForce::Gtd(_)))
            && filter.outside.is_none_or(|domain| {
                let trigger = order.order_type.trigger().filter(|_| order.is_pending());
                let inside = |price| domain.tick_of(price).is_some();
                !inside(order.limit) || !trigger.is_none_or(inside)
            })
    }
}
