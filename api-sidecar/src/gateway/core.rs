//! What serving a connection needs besides the connection: the rings, who may do what, and the clock.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use engine::lane::{Input, Request};
use engine::{Command, Notice, Text, Timestamp};
use mio::Registry;
use rtrb::Producer;
use scheduling::{Overdue, SharedCore};

use super::answer::Answer;
use super::directory::Directory;
use super::figures::Interest;
use super::head::Head;
use super::market_data::MarketData;
use super::order_lane::Decoded;
use super::relay::RelaySlots;
use super::replies::{Action, Replies, ReplyTo};
use super::ws::cursor::Cursor;
use super::ws::handshake::OriginPolicy;
use super::ws::history::History;
use super::{AckMode, Durability, Settings};
use crate::auth::{Authenticator, Principal};
use crate::latency::{Latency, Recorder};
use crate::limits::READ_BYTES;
use crate::wire::{HttpDate, alert_safe};

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) settings: Settings,
    pub(crate) origins: OriginPolicy,
    pub(crate) authenticator: Authenticator,
    pub(crate) directory: Directory,
    pub(crate) requests: Producer<Request>,
    engine_core: SharedCore,
    /// What was seen of an engine that does not take what waits for it.
    overdue: Overdue,
    durability: Durability,
    pub(crate) replies: Replies,
    pub(crate) recorder: Recorder,
    pub(crate) market: MarketData,
    pub(crate) history: History,
    pub(crate) registry: Registry,
    /// The time of this turn.
    pub(crate) now: Instant,
    /// `Date` of answers, renewed with the sweep.
    pub(crate) date: String,
    /// Relayed requests going on.
    pub(crate) relays: RelaySlots,
    /// The last sequence number whose effects a client may know of: a read must show them.
    pub(crate) visible_seq: u64,
    pub(crate) stopping: bool,
    pub(crate) scratch: Box<[u8]>,
}

impl Core {
    /// `settings.listen` is the address as bound.
    #[expect(clippy::too_many_arguments, reason = "the ends of what a gateway is wired to")]
    pub(crate) fn new(
        settings: Settings,
        authenticator: Authenticator,
        directory: Directory,
        (requests, engine_core): (Producer<Request>, SharedCore),
        durability: Durability,
        interest: Option<Arc<Interest>>,
        latency: Arc<Latency>,
        registry: Registry,
    ) -> Core {
        let history = History::new(Cursor::end_of(directory.seq().get()));
        let mut core = Core {
            origins: OriginPolicy::new(settings.listen.port(), settings.allowed_origins.clone()),
            settings,
            authenticator,
            directory,
            requests,
            engine_core,
            overdue: Overdue::default(),
            durability,
            replies: Replies::default(),
            recorder: Recorder::new(latency),
            market: MarketData::new(interest),
            history,
            registry,
            now: Instant::now(),
            date: String::new(),
            relays: RelaySlots::default(),
            visible_seq: 0,
            stopping: false,
            scratch: vec![0; READ_BYTES].into_boxed_slice(),
        };
        core.renew_date();
        core
    }

    pub(crate) fn renew_date(&mut self) {
        let nanos = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
        self.date.clear();
        // Writing to a String cannot fail.
        let _ = write!(self.date, "{}", HttpDate(Timestamp::from_nanos(nanos)));
    }

    /// Whether answers say that the journal holds their command.
    pub(crate) fn acknowledges_durable(&self) -> bool {
        self.settings.ack == AckMode::Durable
    }

    /// Who sent a request, from what it carries and where it comes from.
    pub(crate) fn principal(&self, head: &Head<'_, '_>, loopback_peer: bool) -> Option<Principal> {
        let trusted = loopback_peer && head.names_loopback() && !head.is_forwarded();
        self.authenticator.authenticate(head.credentials(), trusted)
    }

    /// A read is on its way, which waits for the journal where it follows a decision.
    pub(crate) fn hurry_journal(&self) {
        (self.durability.nudge)();
    }

    /// Whether only what reduces positions is taken, because the journal's disk is nearly full.
    pub(crate) fn is_disk_low(&self) -> bool {
        self.durability.disk_low.load(Ordering::Relaxed)
    }

    /// Sends a notice to the engine, which nobody waits for. `false` where there is no room now.
    pub(crate) fn submit_notice(&mut self, notice: &Notice) -> bool {
        if self.replies.is_full() || self.requests.is_full() {
            return false;
        }
        let reason = Text::cut(&alert_safe(notice.reason.as_str()));
        let token = self.replies.register_unasked(Action::Notice { reason });
        let input = Input::Command(Command::Notice(Box::new(notice.clone())));
        if self.requests.push(Request { token, input }).is_err() {
            self.replies.take(token);
            return false;
        }
        self.engine_core.ring();
        (self.durability.nudge)();
        true
    }

    /// Fetches the engine to this core where a request waits for it and somebody else has its own.
    pub(crate) fn fetch_engine(&mut self) {
        if self.requests.slots() == self.requests.buffer().capacity() {
            self.overdue = Overdue::default();
        } else {
            self.engine_core.fetch(&mut self.overdue, Instant::now());
        }
    }

    /// Sends a request to the engine; its answer will go to `to`. `Err` is the answer where it could not be sent.
    pub(crate) fn submit(&mut self, decoded: Decoded, mut to: ReplyTo) -> Result<(), Answer> {
        if self.requests.is_abandoned() {
            return Err(Answer::coded(503, "The engine has stopped", "stopped"));
        }
        if self.replies.is_full() {
            return Err(Answer::busy("The engine is busy"));
        }
        let Decoded { input, action } = decoded;
        let input = match input {
            // Whether it reduces a position only the engine knows.
            Input::Command(command)
                if matches!(action, Action::Place | Action::Modify { .. }) && self.is_disk_low() =>
            {
                Input::Reducing(command)
            }
            input => input,
        };
        to.stamps.sent = self.recorder.shared().clock().stamp();
        let token = self.replies.register(to, action, self.now);
        match self.requests.push(Request { token, input }) {
            Ok(()) => {
                self.engine_core.ring();
                if self.acknowledges_durable() {
                    (self.durability.nudge)();
                }
                Ok(())
            }
            Err(rtrb::PushError::Full(_)) => {
                self.replies.unregister(token);
                Err(Answer::busy("The engine is busy"))
            }
        }
    }
}
