//! Definitions and administrative changes: instruments, accounts, strategies, limits, cash.

use alloc::vec::Vec;

use crate::account::Account;
use crate::arena::{Slots, index, slot_of};
use crate::book::ladder::Sides;
use crate::charges::Tariff;
use crate::command::{AccountDefinition, AdjustCash, InstrumentDefinition, SetLimits, StrategyDefinition};
use crate::engine::{Capacity, Engine, Task};
use crate::event::{CancelReason, Event, EventBuffer};
use crate::ids::{AccountId, InstrumentId};
use crate::instrument::{Instrument, is_plain, price_domain};
use crate::rejection::Refusal;
use crate::sweep::{Filter, Sweep};
use crate::terms::Side;

impl Engine {
    pub(crate) fn define_instrument(
        &mut self,
        definition: &InstrumentDefinition,
        out: &mut EventBuffer,
    ) -> Result<(), Refusal> {
        if definition.lot_size.is_zero() || definition.freeze_quantity.is_zero() {
            return Err(Refusal::InvalidDefinition(
                "lot size and freeze quantity must be at least 1",
            ));
        }
        let domain = price_domain(definition).ok_or(Refusal::InvalidDefinition(
            "the price band holds no tick, or more ticks than a book can",
        ))?;
        let same = |instrument: &Instrument| {
            instrument.definition.symbol == definition.symbol
                && instrument.definition.exchange == definition.exchange
        };
        let Some(slot) = self.instruments.iter().position(same).map(slot_of) else {
            if self.instruments.len() >= index(self.capacity.instruments) {
                return Err(Refusal::InvalidDefinition(
                    "the engine holds its maximum of instruments",
                ));
            }
            let id = InstrumentId::new(slot_of(self.instruments.len()));
            self.instruments.push(Instrument::new(definition, domain));
            self.touch(id);
            out.push(Event::InstrumentDefined(id));
            return Ok(());
        };
        let id = InstrumentId::new(slot);
        let instrument = self.instruments.as_mut_slice().at_mut(slot);
        let same_grid = *instrument.sides.domain() == domain;
        instrument.definition = definition.clone();
        instrument.is_plain = is_plain(definition);
        if !same_grid {
            let outside = Filter {
                instrument: Some(id),
                outside: Some(domain),
                ..Filter::default()
            };
            self.active = Some(Task::Sweep(Sweep::new(outside, CancelReason::PriceBand, false)));
            self.later(Task::Regrid(id));
        }
        // With or without derivatives it may trade at other hours from now on.
        self.look_at_last_price(id);
        self.touch(id);
        out.push(Event::InstrumentDefined(id));
        Ok(())
    }

    /// Moves a book whose orders all fit onto its instrument's new price grid, keeping every queue's order.
    pub(crate) fn regrid(&mut self, id: InstrumentId) {
        let instrument = self.instruments.as_mut_slice().at_mut(id.get());
        let Some(domain) = price_domain(&instrument.definition) else {
            return;
        };
        let ends: Vec<u32> = instrument.bands.queue(&self.band_nodes[0], Side::Buy).collect();
        let mut banded = Vec::with_capacity(ends.len());
        for node in ends {
            // A leg's account is followed until its next review.
            let account = match node.checked_sub(self.capacity.accounts) {
                Some(leg) => self.positions.at(leg).account,
                None => AccountId::new(node),
            };
            self.refresh(account);
            if account.get() == node {
                self.leave_band(account, id);
                banded.push(account);
            } else {
                self.follow(account);
                self.review_later(account);
            }
        }
        let instrument = self.instruments.as_mut_slice().at_mut(id.get());
        debug_assert!(instrument.bands.is_empty(), "an end of a band is left behind");
        instrument.bands = Sides::new(domain);
        let mut old = core::mem::replace(&mut instrument.sides, Sides::new(domain));
        for side in [Side::Buy, Side::Sell] {
            let queue: Vec<u32> = old.queue(&self.nodes, side).collect();
            for slot in queue {
                let order = self.orders.at_mut(slot);
                let visible = self.nodes.at(slot).visible;
                order.tick = domain.tick_of(order.limit).unwrap_or(0);
                old.unlink(&mut self.nodes, side, slot);
                instrument
                    .sides
                    .rest(&mut self.nodes, side, slot, order.tick, visible);
            }
        }
        for account in banded {
            self.renew_band(account);
        }
    }

    /// Reserves the pools anew while nothing has been defined in them.
    pub(crate) fn set_capacity(&mut self, capacity: Capacity) -> Result<(), Refusal> {
        if capacity == self.capacity {
            return Ok(());
        }
        if !capacity.is_within_bounds() || !self.accounts.is_empty() || !self.instruments.is_empty() {
            return Err(Refusal::InvalidDefinition(
                "capacities are fixed when a journal begins",
            ));
        }
        let fresh = Engine::new(capacity);
        *self = Engine {
            seq: self.seq,
            time: self.time,
            day: self.day,
            tariff: core::mem::replace(&mut self.tariff, Tariff::new()),
            session: core::mem::take(&mut self.session),
            takes_express: self.takes_express,
            ..fresh
        };
        Ok(())
    }

    pub(crate) fn define_account(
        &mut self,
        definition: &AccountDefinition,
        out: &mut EventBuffer,
    ) -> Result<(), Refusal> {
        if let Some(slot) = self.account_names.find(&definition.name, &self.accounts) {
            // What the configuration says is kept in the journal; limits change by SetLimits, balances by AdjustCash.
            self.accounts.as_mut_slice().at_mut(slot).profile = definition.profile;
            out.push(Event::AccountDefined(AccountId::new(slot)));
            return Ok(());
        }
        if definition.limits.mis_leverage == 0 {
            return Err(Refusal::InvalidDefinition("MIS leverage must be at least 1"));
        }
        if self.accounts.len() >= index(self.capacity.accounts) {
            return Err(Refusal::InvalidDefinition(
                "the engine holds its maximum of accounts",
            ));
        }
        let id = AccountId::new(slot_of(self.accounts.len()));
        self.accounts.push(Account::new(definition));
        self.account_names.enter_last(&self.accounts);
        self.rehash_account(id);
        self.follow_feed_limit_of(id);
        out.push(Event::AccountDefined(id));
        Ok(())
    }

    pub(crate) fn define_strategy(
        &mut self,
        definition: &StrategyDefinition,
        out: &mut EventBuffer,
    ) -> Result<(), Refusal> {
        self.known_account(definition.account)?;
        out.push(Event::StrategyDefined(definition.account, definition.strategy));
        Ok(())
    }

    pub(crate) fn set_limits(&mut self, set: &SetLimits, out: &mut EventBuffer) -> Result<(), Refusal> {
        self.known_account(set.account)?;
        if !set.actor.admin {
            return Err(Refusal::NotAuthorised);
        }
        match set.strategy {
            Some(strategy) => self.set_strategy_limits(set.account, strategy, set.fields, &set.limits)?,
            None => {
                let mut limits = self.account_of(set.account).limits.clone();
                limits.take(set.fields, &set.limits);
                if limits.mis_leverage == 0 {
                    return Err(Refusal::InvalidDefinition("MIS leverage must be at least 1"));
                }
                self.account_mut(set.account).follow(limits);
            }
        }
        self.follow_account_limits(set.account);
        self.limit_executions_anew(set.account);
        self.look_at_everything(set.account);
        self.follow_feed_limits();
        out.push(Event::LimitsSet(set.account, set.strategy));
        Ok(())
    }

    pub(crate) fn adjust_cash(&mut self, cash: &AdjustCash, out: &mut EventBuffer) -> Result<(), Refusal> {
        self.known_account(cash.account)?;
        if !cash.actor.admin {
            return Err(Refusal::NotAuthorised);
        }
        self.refresh(cash.account);
        let account = self.account_mut(cash.account);
        account.balance = account.balance.saturating_add(cash.amount);
        account.peak = account.peak.saturating_add(cash.amount);
        let changed = account.changed(cash.account);
        self.look_at_everything(cash.account);
        self.rehash_account(cash.account);
        if !self.account_of(cash.account).venue {
            out.push(Event::AccountChanged(changed));
        }
        Ok(())
    }
}
