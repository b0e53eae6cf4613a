//! Snapshots: the whole state between two commands as bytes, and back.
//!
//! Slots of orders and positions are kept as they are, so that a restored engine goes on exactly like the one that was
//! saved; everything that is an index over them (books, id tables, expiry heap) is built again.

use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::arena::{Slots, index, slot_of};
use crate::charges::Tariff;
use crate::command::InstrumentDefinition;
use crate::engine::{Capacity, Engine};
use crate::extremes::Extremes;
use crate::idempotency;
use crate::ids::{AccountId, InstrumentId, Seq, StrategyId};
use crate::instrument::{DayStatistics, Instrument, Top, price_domain};
use crate::limits::STRATEGY_LIMITS_MAX;
use crate::marking::Spread;
use crate::order::OrdersImage;
use crate::position::Position;
use crate::session::Session;
use crate::strategy_limits::StrategyLimits;
use crate::terms::{Side, TimeInForce, TradingState};
use crate::triggers::{Direction, Owner};
use crate::units::{Price, Timestamp};

/// Layout of the bytes. Another layout is refused.
const VERSION: u32 = 3;

/// Why bytes are not a snapshot of an engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RestoreError {
    /// Not this layout.
    Version(u32),
    /// Cut off, damaged, or not a snapshot.
    Malformed,
    /// It names more than its own capacities, or slots that do not exist.
    Inconsistent,
    /// The state does not have the hash that was saved with it.
    Hash { expected: u64, found: u64 },
    /// The state breaks an invariant of the engine.
    Audit(&'static str),
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestoreError::Version(version) => write!(f, "snapshot layout {version} is unknown"),
            RestoreError::Malformed => f.write_str("snapshot is damaged"),
            RestoreError::Inconsistent => f.write_str("snapshot contradicts itself"),
            RestoreError::Hash { expected, found } => {
                write!(
                    f,
                    "snapshot has state hash {found:016x} instead of {expected:016x}"
                )
            }
            RestoreError::Audit(broken) => write!(f, "snapshot breaks an invariant: {broken}"),
        }
    }
}

impl core::error::Error for RestoreError {}

#[derive(Serialize, Deserialize)]
struct Image {
    capacity: Capacity,
    seq: Seq,
    time: Timestamp,
    day: u32,
    state: TradingState,
    strategy_states: Vec<(AccountId, StrategyId, TradingState)>,
    strategy_limits: Vec<StrategyLimits>,
    next_trade: u64,
    tariff: Tariff,
    next_trigger: u64,
    marks_pending: Vec<u32>,
    /// Positions that wait for room for their exits, in the order of their turns.
    leaving: Vec<u32>,
    marks_due: Option<Timestamp>,
    feed_due: Option<Timestamp>,
    session: Session,
    state_hash: u64,
    accounts: Vec<Account>,
    positions: Vec<Position>,
    /// Ends of the list of vacant keys.
    vacant: (u32, u32),
    orders: OrdersImage,
    instruments: Vec<InstrumentImage>,
    client_order_ids: [Vec<idempotency::Entry>; 2],
}

#[derive(Serialize, Deserialize)]
struct InstrumentImage {
    definition: InstrumentDefinition,
    last_price: Option<Price>,
    last_price_at: Timestamp,
    feed_alerted: bool,
    marked_price: Option<Price>,
    marks: u64,
    extremes: Extremes,
    day: DayStatistics,
    first_open: u32,
    first_spread: u32,
    marks_waiting: bool,
    top: Top,
    /// Order slot and visible quantity by priority, bids then asks.
    queues: [Vec<(u32, u32)>; 2],
    /// Order slot and place in the sequence of triggers of its pending stop orders.
    pending: Vec<(u32, u64)>,
}

impl Engine {
    /// The state as bytes. Only between commands: after [`Work::More`](crate::Work::More) it would miss what goes on.
    pub fn save(&self) -> Vec<u8> {
        debug_assert!(
            self.active.is_none() && self.waiting.is_empty(),
            "saved in the middle of a command"
        );
        let image = Image {
            capacity: self.capacity,
            seq: self.seq,
            time: self.time,
            day: self.day,
            state: self.state,
            strategy_states: self.strategy_states.clone(),
            strategy_limits: self.strategy_limits.clone(),
            next_trade: self.next_trade,
            tariff: self.tariff.clone(),
            next_trigger: self.triggers.next_sequence(),
            marks_pending: self.marks_pending.clone(),
            leaving: self.leaving.iter().copied().collect(),
            marks_due: self.marks_due,
            feed_due: self.feed_due,
            session: self.session.clone(),
            state_hash: self.state_hash(),
            accounts: self.accounts.clone(),
            positions: self.positions_with_extremes(),
            vacant: self.positions.vacant(),
            orders: self.orders.image(),
            instruments: self
                .instruments
                .iter()
                .map(|instrument| self.image_of(instrument))
                .collect(),
            client_order_ids: self.client_order_ids.image(),
        };
        // Nothing in the image can fail to be written into memory.
        let bytes = postcard::to_extend(&VERSION, Vec::new());
        bytes
            .and_then(|bytes| postcard::to_extend(&image, bytes))
            .unwrap_or_default()
    }

    /// An engine in the state that was saved, checked against its hash and all invariants.
    pub fn restore(bytes: &[u8]) -> Result<Engine, RestoreError> {
        let (version, bytes) =
            postcard::take_from_bytes::<u32>(bytes).map_err(|_| RestoreError::Malformed)?;
        if version != VERSION {
            return Err(RestoreError::Version(version));
        }
        let image: Image = postcard::from_bytes(bytes).map_err(|_| RestoreError::Malformed)?;
        let expected = image.state_hash;
        let engine = Engine::from_image(image).ok_or(RestoreError::Inconsistent)?;
        let found = engine.state_hash();
        if found != expected {
            return Err(RestoreError::Hash { expected, found });
        }
        engine.audit().map_err(RestoreError::Audit)?;
        Ok(engine)
    }

    fn image_of(&self, instrument: &Instrument) -> InstrumentImage {
        let queue = |side| {
            let slots = instrument.sides.queue(&self.nodes, side);
            slots.map(|slot| (slot, self.nodes.at(slot).visible)).collect()
        };
        InstrumentImage {
            definition: instrument.definition.clone(),
            last_price: instrument.last_price,
            last_price_at: instrument.last_price_at,
            feed_alerted: instrument.feed_alerted,
            marked_price: instrument.marked_price,
            marks: instrument.marks,
            extremes: instrument.extremes.clone(),
            day: instrument.day,
            first_open: instrument.first_open,
            first_spread: instrument.first_spread,
            marks_waiting: instrument.marks_waiting,
            top: instrument.top,
            queues: [queue(Side::Buy), queue(Side::Sell)],
            pending: self.pending_of(instrument),
        }
    }

    /// Positions as they are, each with the extreme that its trailing stop's group knows.
    fn positions_with_extremes(&self) -> Vec<Position> {
        let mut positions = self.positions.keys().to_vec();
        for position in &mut positions {
            position.extreme = self.trailing_stop(position).map(|(_, extreme)| extreme);
        }
        positions
    }

    fn pending_of(&self, instrument: &Instrument) -> Vec<(u32, u64)> {
        let mut pending = Vec::new();
        for direction in [Direction::Rise, Direction::Fall] {
            self.triggers
                .in_order(&instrument.triggers, direction, &mut |owner, _, sequence, _| {
                    if let Owner::Order(slot) = owner {
                        pending.push((slot, sequence));
                    }
                });
        }
        pending
    }

    fn from_image(image: Image) -> Option<Engine> {
        if !image.capacity.is_within_bounds() {
            return None;
        }
        let mut engine = Engine::new(image.capacity);
        let fits = image.accounts.len() <= engine.accounts.capacity()
            && image.instruments.len() <= engine.instruments.capacity()
            && image.strategy_limits.len() <= STRATEGY_LIMITS_MAX
            && engine.positions.restore(image.positions, image.vacant)
            && engine.orders.restore(image.orders)
            && engine.client_order_ids.restore(image.client_order_ids);
        if !fits || !engine.slots_exist(&image.instruments, &image.accounts, &image.marks_pending) {
            return None;
        }
        engine.seq = image.seq;
        engine.time = image.time;
        engine.day = image.day;
        engine.state = image.state;
        engine.strategy_states.extend(image.strategy_states);
        engine.strategy_limits.extend(image.strategy_limits);
        engine.next_trade = image.next_trade;
        engine.tariff = image.tariff;
        engine.triggers.set_next_sequence(image.next_trigger);
        engine.marks_pending.extend(image.marks_pending);
        let known =
            |slot: &u32| *slot < engine.positions.len() && engine.positions.at(*slot).leaving.is_queued();
        if !image.leaving.iter().all(known) {
            return None;
        }
        engine.leaving.extend(image.leaving);
        engine.marks_due = image.marks_due;
        engine.feed_due = image.feed_due;
        engine.session = image.session;
        for mut account in image.accounts {
            account.work_out();
            if engine
                .account_names
                .find(&account.name, &engine.accounts)
                .is_some()
            {
                return None;
            }
            engine.accounts.push(account);
            engine.account_names.enter_last(&engine.accounts);
        }
        engine.feed_age_ms = engine.strictest_feed_age();
        for slot in 0..slot_of(engine.accounts.len()) {
            let id = AccountId::new(slot);
            if let Some(dead_man) = engine.account_of(id).dead_man {
                engine.heartbeats.insert(dead_man.deadline, id, slot);
            }
        }
        for instrument in image.instruments {
            engine.put_instrument(instrument)?;
        }
        for slot in 0..slot_of(engine.accounts.len()) {
            engine.put_into_band(AccountId::new(slot))?;
        }
        for slot in 0..engine.positions.len() {
            engine.put_leg_into_band(slot)?;
        }
        for slot in 0..engine.positions.len() {
            engine.restore_conditions(slot);
        }
        for slot in engine.orders.open_slots() {
            let order = engine.orders.at(slot);
            if let TimeInForce::Gtd(until) = order.time_in_force {
                let id = order.id;
                engine.good_till.insert(until, id, slot);
            }
            engine.rehash_order(slot);
        }
        for slot in 0..engine.positions.len() {
            engine.rehash_position(slot);
        }
        for slot in 0..slot_of(engine.accounts.len()) {
            engine.rehash_account(AccountId::new(slot));
        }
        for slot in 0..slot_of(engine.instruments.len()) {
            engine.rehash_instrument(InstrumentId::new(slot));
        }
        Some(engine)
    }

    /// Whether every slot that an image names is one that the restored stores have.
    fn slots_exist(&self, instruments: &[InstrumentImage], accounts: &[Account], marks: &[u32]) -> bool {
        use crate::arena::NIL;
        let (keys, orders) = (self.positions.len(), self.orders.ever_used());
        let key = |slot: u32| slot == NIL || slot < keys;
        let order = |slot: u32| slot == NIL || slot < orders;
        let known = |id: u32, count: usize| id < slot_of(count);
        let positions = self.positions.keys().iter().all(|position| {
            key(position.previous_of_account)
                && key(position.next_of_account)
                && key(position.previous_open)
                && key(position.next_open)
                && key(position.previous_spread)
                && key(position.next_spread)
                && position
                    .lists
                    .ends()
                    .iter()
                    .all(|(_, ends)| order(ends.oldest) && order(ends.newest))
                && known(position.account.get(), accounts.len())
                && known(position.instrument.get(), instruments.len())
        });
        let open = self.orders.open_slots().iter().all(|&slot| {
            slot < orders && {
                let of = self.orders.at(slot);
                let parties =
                    known(of.account.get(), accounts.len()) && known(of.instrument.get(), instruments.len());
                parties && of.position < keys && order(of.older) && order(of.newer)
            }
        });
        let queued = instruments.iter().all(|instrument| {
            key(instrument.first_open)
                && key(instrument.first_spread)
                && instrument.queues.iter().flatten().all(|&(slot, _)| slot < orders)
                && instrument.pending.iter().all(|&(slot, _)| slot < orders)
        });
        let held = accounts
            .iter()
            .all(|account| key(account.first_position) && key(account.last_position));
        positions && open && queued && held && marks.iter().all(|&slot| known(slot, instruments.len()))
    }

    /// Puts an account back into the band that its image names.
    fn put_into_band(&mut self, id: AccountId) -> Option<()> {
        let account = self.accounts.as_mut_slice().at_mut(id.get());
        let (Some(band), Spread::One(instrument)) = (account.band, account.spread) else {
            account.band = None;
            return Some(());
        };
        let bands = &self.instruments.get(index(instrument.get()))?.bands;
        let last = bands.domain().last_tick();
        let fits = band.low <= last && band.high <= last;
        if !fits || !bands.can_rest(Side::Buy, band.low) || !bands.can_rest(Side::Sell, band.high) {
            return None;
        }
        self.enter_band(id, instrument, band);
        Some(())
    }

    /// The same for a position whose account is banded.
    fn put_leg_into_band(&mut self, slot: u32) -> Option<()> {
        let position = self.positions.at_mut(slot);
        let (Some(band), id, instrument) = (position.band.take(), position.account, position.instrument)
        else {
            return Some(());
        };
        let bands = &self.instruments.get(index(instrument.get()))?.bands;
        let last = bands.domain().last_tick();
        let fits = band.low <= last && band.high <= last && self.account_of(id).banded;
        if !fits || !bands.can_rest(Side::Buy, band.low) || !bands.can_rest(Side::Sell, band.high) {
            return None;
        }
        self.link_leg(slot, band);
        Some(())
    }

    fn put_instrument(&mut self, image: InstrumentImage) -> Option<()> {
        let mut instrument = Instrument::new(&image.definition, price_domain(&image.definition)?);
        for (side, queue) in [Side::Buy, Side::Sell].into_iter().zip(&image.queues) {
            for &(slot, visible) in queue {
                let tick = instrument.sides.domain().tick_of(self.orders.at(slot).limit)?;
                if !instrument.sides.can_rest(side, tick) {
                    return None;
                }
                instrument.sides.rest(&mut self.nodes, side, slot, tick, visible);
            }
        }
        self.instruments.push(Instrument {
            last_price: image.last_price,
            last_price_at: image.last_price_at,
            feed_alerted: image.feed_alerted,
            marked_price: image.marked_price,
            marks: image.marks,
            extremes: image.extremes.with_room(),
            day: image.day,
            first_open: image.first_open,
            first_spread: image.first_spread,
            marks_waiting: image.marks_waiting,
            top: image.top,
            ..instrument
        });
        for (slot, sequence) in image.pending {
            let order = self.orders.at(slot);
            let here = order.instrument.get() == slot_of(self.instruments.len()).wrapping_sub(1);
            if !here || order.is_pending() || order.resting {
                return None;
            }
            self.arm_order_as(slot, sequence);
        }
        Some(())
    }
}
