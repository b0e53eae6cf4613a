//! Mass cancels: account by account, position key by position key, order by order, as a cursor that survives calls.

use crate::arena::{NIL, Slots, slot_of};
use crate::command::CancelAll;
use crate::engine::{Engine, Task};
use crate::event::{CancelReason, Event, EventBuffer, MassCancelled};
use crate::ids::{AccountId, InstrumentId, StrategyId};
use crate::rejection::Refusal;
use crate::terms::{Side, TimeInForce};

/// Which orders a sweep cancels: those that match every given field.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) account: Option<AccountId>,
    pub(crate) strategy: Option<StrategyId>,
    pub(crate) instrument: Option<InstrumentId>,
    pub(crate) side: Option<Side>,
    /// Only orders that end with the day.
    pub(crate) day_only: bool,
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
            sweep.order = self.orders.at(slot).newer;
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
                sweep.order = self.orders.at(sweep.order).newer;
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
                        .is_some_and(|instrument| instrument != position.instrument);
                if skip || position.oldest == NIL {
                    self.next_key(sweep);
                } else {
                    sweep.order = position.oldest;
                }
            } else {
                if sweep.account >= slot_of(self.accounts.len()) {
                    return false;
                }
                let account = self.accounts.as_slice().at(sweep.account);
                if account.open_orders > 0 && account.first_position != NIL {
                    sweep.position = account.first_position;
                } else {
                    self.next_account(sweep);
                }
            }
        }
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
            && !(filter.day_only && matches!(order.time_in_force, TimeInForce::Gtd(_)))
            && filter.outside.is_none_or(|domain| {
                let trigger = order.order_type.trigger().filter(|_| order.is_pending());
                let inside = |price| domain.tick_of(price).is_some();
                !inside(order.limit) || !trigger.is_none_or(inside)
            })
    }
}
