//! What the gateway shows of the read model, looked up on a thread of its own: the gateway never takes the model's
//! lock. The publisher looks only at what someone listens to and sends only what changed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use bytes::Bytes;
use engine::{AccountId, AccountView, DepthLevel, InstrumentId, Money, Side};
use read_model::{ReadModel, SharedReadModel};
use rtrb::{Producer, PushError};
use scheduling::SharedCore;

use super::doorbell::Doorbell;
use super::ws::channels::{Channel, Feed};
use crate::limits::{FIGURES_INTERVAL, PNL_INTERVAL};
use crate::wire::{Array, Object, net_pnl};

/// One thing to tell, as the JSON of a message's `data`.
#[derive(Clone, Debug)]
pub(crate) enum Figure {
    Depth { channel: Channel, json: Bytes },
    Pnl { account: AccountId, json: Bytes },
}

/// What somebody listens to. 0: nobody; else a number that is new each time somebody begins to.
#[derive(Debug)]
pub(crate) struct Interest {
    depths: Vec<[AtomicU32; DEPTH_FEEDS.len()]>,
    accounts: Vec<AtomicU32>,
}

const DEPTH_FEEDS: [Feed; 2] = [Feed::Depth5, Feed::Depth20];

impl Interest {
    fn new(instruments: usize, accounts: usize) -> Interest {
        Interest {
            depths: (0..instruments).map(|_| Default::default()).collect(),
            accounts: (0..accounts).map(|_| AtomicU32::new(0)).collect(),
        }
    }

    fn depth(&self, channel: Channel) -> Option<&AtomicU32> {
        let feed = DEPTH_FEEDS.iter().position(|&feed| feed == channel.feed)?;
        let instrument = usize::try_from(channel.instrument.get()).ok()?;
        self.depths.get(instrument)?.get(feed)
    }

    fn account(&self, account: AccountId) -> Option<&AtomicU32> {
        self.accounts.get(usize::try_from(account.get()).ok()?)
    }

    /// `generation` 0 ends it.
    pub(crate) fn set_channel(&self, channel: Channel, generation: u32) {
        if let Some(place) = self.depth(channel) {
            place.store(generation, Ordering::Release);
        }
    }

    pub(crate) fn set_account(&self, account: AccountId, generation: u32) {
        if let Some(place) = self.account(account) {
            place.store(generation, Ordering::Release);
        }
    }

    fn wanted_depths(&self) -> impl Iterator<Item = (Channel, u32)> {
        (0..).zip(&self.depths).flat_map(|(instrument, feeds)| {
            let instrument = InstrumentId::new(instrument);
            DEPTH_FEEDS
                .into_iter()
                .zip(feeds)
                .filter_map(move |(feed, place)| {
                    let generation = place.load(Ordering::Acquire);
                    (generation != 0).then_some((Channel { feed, instrument }, generation))
                })
        })
    }

    fn wanted_accounts(&self) -> impl Iterator<Item = (AccountId, u32)> {
        (0..).zip(&self.accounts).filter_map(|(account, place)| {
            let generation = place.load(Ordering::Acquire);
            (generation != 0).then_some((AccountId::new(account), generation))
        })
    }
}

/// Run it on a thread of its own.
#[derive(Debug)]
pub struct FigurePublisher {
    model: Arc<SharedReadModel>,
    interest: Arc<Interest>,
    ring: Producer<Figure>,
    doorbell: Doorbell,
    depths: HashMap<Channel, (u32, Bytes)>,
    accounts: HashMap<AccountId, ToldPnl>,
}

impl FigurePublisher {
    pub(crate) fn new(
        model: Arc<SharedReadModel>,
        ring: Producer<Figure>,
        doorbell: Doorbell,
    ) -> (FigurePublisher, Arc<Interest>) {
        let capacity = model.read().capacity();
        let size = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        let interest = Arc::new(Interest::new(size(capacity.instruments), size(capacity.accounts)));
        let publisher = FigurePublisher {
            model,
            interest: Arc::clone(&interest),
            ring,
            doorbell,
            depths: HashMap::new(),
            accounts: HashMap::new(),
        };
        (publisher, interest)
    }

    /// Publishes until `stop` is set or the gateway is gone. Says when it works on `core`, which is the engine's.
    pub fn run(mut self, stop: &AtomicBool, core: &SharedCore) {
        while !stop.load(Ordering::Acquire) && !self.ring.is_abandoned() {
            let work = core.work();
            self.publish(Instant::now());
            drop(work);
            std::thread::sleep(FIGURES_INTERVAL);
        }
    }

    /// Looks at everything that is wanted, once.
    fn publish(&mut self, now: Instant) {
        let interest = Arc::clone(&self.interest);
        self.depths
            .retain(|channel, _| interest.depth(*channel).is_some_and(is_wanted));
        self.accounts
            .retain(|account, _| interest.account(*account).is_some_and(is_wanted));
        let mut figures = Vec::new();
        if interest.wanted_depths().next().is_some() || interest.wanted_accounts().next().is_some() {
            let model = Arc::clone(&self.model);
            let model = model.read();
            self.changed_depths(&model, &mut figures);
            self.changed_accounts(&model, now, &mut figures);
        }
        let any = !figures.is_empty();
        for figure in figures {
            if let Err(PushError::Full(figure)) = self.ring.push(figure) {
                self.take_back(&figure);
            }
        }
        if any {
            self.doorbell.ring();
        }
    }

    /// A figure that found no room was not told.
    fn take_back(&mut self, figure: &Figure) {
        match figure {
            Figure::Depth { channel, .. } => drop(self.depths.remove(channel)),
            Figure::Pnl { account, .. } => drop(self.accounts.remove(account)),
        }
    }

    fn changed_depths(&mut self, model: &ReadModel, figures: &mut Vec<Figure>) {
        let mut json = Vec::new();
        for (channel, generation) in self.interest.wanted_depths() {
            json.clear();
            if !depth_json(&mut json, model, channel) {
                continue;
            }
            let told = self.depths.get(&channel);
            if told.is_some_and(|(of, told)| *of == generation && told == &json) {
                continue;
            }
            let json = Bytes::copy_from_slice(&json);
            self.depths.insert(channel, (generation, json.clone()));
            figures.push(Figure::Depth { channel, json });
        }
    }

    fn changed_accounts(&mut self, model: &ReadModel, now: Instant, figures: &mut Vec<Figure>) {
        for (account, generation) in self.interest.wanted_accounts() {
            let Some(view) = model.engine().account(account) else {
                continue;
            };
            let fresh = ToldPnl::of(&view, generation, now);
            let told = self.accounts.get(&account).copied();
            let told = told.filter(|told| told.generation == generation);
            if !fresh.is_due(&told.unwrap_or_else(|| fresh.idle())) {
                continue;
            }
            self.accounts.insert(account, fresh);
            let mut json = Vec::new();
            pnl_json(&mut json, &view);
            figures.push(Figure::Pnl {
                account,
                json: Bytes::from(json),
            });
        }
    }
}

fn is_wanted(place: &AtomicU32) -> bool {
    place.load(Ordering::Acquire) != 0
}

/// What was last said of an account.
#[derive(Clone, Copy, Debug)]
struct ToldPnl {
    generation: u32,
    /// What only trades, cash and the day's end move.
    booked: [Money; 4],
    unrealised: Money,
    told: Instant,
}

impl ToldPnl {
    fn of(view: &AccountView<'_>, generation: u32, now: Instant) -> ToldPnl {
        ToldPnl {
            generation,
            booked: [view.balance, view.realised, view.charges, view.position_margin],
            unrealised: view.unrealised,
            told: now,
        }
    }

    /// The account before its first trade of the day: what nobody has to be told.
    fn idle(&self) -> ToldPnl {
        let [balance, ..] = self.booked;
        ToldPnl {
            booked: [balance, Money::ZERO, Money::ZERO, Money::ZERO],
            unrealised: Money::ZERO,
            ..*self
        }
    }

    /// At once after a fill, else after a while where the marks moved.
    fn is_due(&self, last: &ToldPnl) -> bool {
        let aged = self.told.saturating_duration_since(last.told) >= PNL_INTERVAL;
        self.booked != last.booked || (aged && self.unrealised != last.unrealised)
    }
}

fn depth_json(out: &mut Vec<u8>, model: &ReadModel, channel: Channel) -> bool {
    let (Some(levels), Some(view)) = (
        channel.feed.levels(),
        model.engine().instrument(channel.instrument),
    ) else {
        return false;
    };
    let side = |side| model.engine().depth(channel.instrument, side, levels);
    let mut body = Object::begin(out);
    body.string("symbol", view.definition.symbol.as_str())
        .array("bids", |list| level_rows(list, &side(Side::Buy)))
        .array("asks", |list| level_rows(list, &side(Side::Sell)));
    true
}

fn level_rows(list: &mut Array<'_>, levels: &[DepthLevel]) {
    for level in levels {
        list.object(|row| {
            row.number("price", level.price)
                .number("quantity", level.quantity)
                .number("orders", level.orders);
        });
    }
}

fn pnl_json(out: &mut Vec<u8>, view: &AccountView<'_>) {
    Object::begin(out)
        .number("balance", view.balance)
        .number("realized_pnl", net_pnl(view.realised, view.charges))
        .number("unrealized_pnl", view.unrealised)
        .number("total_pnl", view.total_pnl())
        .number("charges", view.charges)
        .number("current_value", view.current_value())
        .number("drawdown", view.drawdown())
        .number("position_count", view.open_positions)
        .string("account", view.name.as_str());
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn pnl_is_told_at_once_after_a_fill_and_seldom_while_marks_move() {
        let start = Instant::now();
        let told = |unrealised, realised, after| ToldPnl {
            generation: 1,
            booked: [Money::ZERO, Money::from_paise(realised), Money::ZERO, Money::ZERO],
            unrealised: Money::from_paise(unrealised),
            told: start + after,
        };
        let (soon, late) = (Duration::from_millis(100), PNL_INTERVAL);
        let last = told(5, 0, Duration::ZERO);
        for (fresh, due) in [
            (told(5, 0, late), false),
            (told(6, 0, soon), false),
            (told(6, 0, late), true),
            (told(5, 1, soon), true),
        ] {
            assert_eq!(fresh.is_due(&last), due, "{fresh:?}");
        }
        assert!(!told(0, 0, soon).is_due(&told(0, 0, soon).idle()));
        assert!(told(0, 1, soon).is_due(&told(0, 1, soon).idle()));
    }

    #[test]
    fn interest_comes_and_goes() {
        let interest = Interest::new(2, 2);
        let channel = |feed, instrument| Channel {
            feed,
            instrument: InstrumentId::new(instrument),
        };
        interest.set_channel(channel(Feed::Depth20, 1), 7);
        interest.set_channel(channel(Feed::TopOfBook, 1), 7);
        interest.set_channel(channel(Feed::Depth5, 9), 7);
        interest.set_account(AccountId::new(1), 3);
        assert_eq!(
            interest.wanted_depths().collect::<Vec<_>>(),
            [(channel(Feed::Depth20, 1), 7)]
        );
        assert_eq!(
            interest.wanted_accounts().collect::<Vec<_>>(),
            [(AccountId::new(1), 3)]
        );
        interest.set_channel(channel(Feed::Depth20, 1), 0);
        interest.set_account(AccountId::new(1), 0);
        assert_eq!(
            interest.wanted_depths().count() + interest.wanted_accounts().count(),
            0
        );
    }
}
