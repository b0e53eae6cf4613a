//! The loop of the gateway thread. Each turn: take the engine's decisions, poll the sockets, serve those with
//! something to do, then move a bounded amount of bulk (relayed answers, pushed events), then look at deadlines.

mod decide;
mod push;

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use engine::{Notice, NoticeKind, Text};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use rtrb::Consumer;
use slab::Slab;
use tungstenite::protocol::frame::coding::CloseCode;

use super::accept::{Accepted, Admission, Refused, accept, turn_away};
use super::answer::{Answer, ResponseShape};
use super::connection::{Connection, Pause, Protocol};
use super::core::Core;
use super::deadlines::{self, Due, Wanted};
use super::doorbell::Doorbell;
use super::figures::Figure;
use super::notices::Notices;
use super::outbound::Decisions;
use super::relay::Pumped;
use super::serve_http::{self, Peer, Served};
use super::serve_ws;
use super::ws::cursor::Cursor;
use super::{FIRST_CONNECTION_TOKEN, connection_tokens};
use crate::limits::{
    ACCEPTS_PER_TURN, BULK_BYTES_PER_TURN, BULK_CONNECTIONS_PER_TURN, SLEEP_IDLE, SLEEP_IN_FLIGHT,
    SPIN_TIME_MAX, SPIN_TIME_MAX_MEMORY, STOP_TIME_MAX, SWEEP_INTERVAL,
};

pub(crate) const LISTENER: Token = Token(0);
pub(crate) const WAKER: Token = Token(1);

const _: () = assert!(FIRST_CONNECTION_TOKEN > WAKER.0);

/// Readiness events taken from one poll.
const EVENTS_PER_POLL: usize = 1_024;

#[derive(Debug)]
pub(crate) struct EventLoop {
    poll: Poll,
    listener: Option<TcpListener>,
    /// There may be more to accept.
    accepting: bool,
    admission: Admission,
    doorbell: Doorbell,
    core: Core,
    decisions: Decisions,
    /// What the publisher found in the read model.
    figures: Option<Consumer<Figure>>,
    /// What other threads have to tell.
    notices: Notices,
    /// The alert `disk_low` has been raised and the disk has not recovered.
    disk_alerted: bool,
    /// The last message that was pushed.
    cursor: Cursor,
    connections: Slab<Connection>,
    next_serial: u64,
    /// Connections with something to read, serve or write at once.
    ready: VecDeque<usize>,
    /// Connections with bulk to move.
    bulk: VecDeque<usize>,
    /// Connections that speak WebSocket.
    sessions: BTreeSet<usize>,
    /// Buffers for JSON: a body, and a message around it.
    body: Vec<u8>,
    message: Vec<u8>,
    next_sweep: Instant,
    /// The connections that a sweep looks at; empty between sweeps.
    swept: Vec<usize>,
    /// When there was last something to do.
    busy: Instant,
    stop_by: Option<Instant>,
}

impl EventLoop {
    pub(crate) fn new(
        poll: Poll,
        listener: TcpListener,
        doorbell: Doorbell,
        core: Core,
        decisions: Decisions,
        figures: Option<Consumer<Figure>>,
        notices: Notices,
    ) -> EventLoop {
        let now = core.now;
        EventLoop {
            cursor: core.history.last(),
            figures,
            notices,
            disk_alerted: false,
            poll,
            listener: Some(listener),
            accepting: true,
            admission: Admission::default(),
            doorbell,
            core,
            decisions,
            connections: Slab::new(),
            next_serial: 0,
            ready: VecDeque::new(),
            bulk: VecDeque::new(),
            sessions: BTreeSet::new(),
            body: Vec::new(),
            message: Vec::new(),
            next_sweep: now,
            swept: Vec::new(),
            busy: now,
            stop_by: None,
        }
    }

    pub(crate) fn run(mut self, stop: &AtomicBool) -> io::Result<()> {
        let mut polled = Events::with_capacity(EVENTS_PER_POLL);
        loop {
            self.core.now = Instant::now();
            let worked = self.take_decisions() | self.take_figures();
            if self.notices.has_next() {
                let core = &mut self.core;
                self.notices.drain(|notice| core.submit_notice(notice));
            }
            self.serve_ready();
            self.move_bulk();
            if self.core.now >= self.next_sweep {
                self.sweep();
            }
            if stop.load(Ordering::Acquire) && self.is_stopped() {
                return Ok(());
            }
            if worked {
                self.busy = self.core.now;
            }
            self.wait(&mut polled)?;
        }
    }

    /// Polls the sockets, asleep or not, and notes what is ready.
    fn wait(&mut self, polled: &mut Events) -> io::Result<()> {
        let timeout = self.sleep_time();
        if timeout.is_zero() && self.ready.is_empty() && self.bulk.is_empty() && self.decisions.comes() {
            return Ok(());
        }
        let timeout = if timeout.is_zero() {
            self.core.fetch_engine();
            timeout
        } else {
            self.doorbell.note_taken(self.decisions.taken());
            self.doorbell.about_to_sleep();
            if self.decisions.has_next() || self.has_figures() || self.notices.has_next() {
                Duration::ZERO
            } else {
                timeout
            }
        };
        let result = self.poll.poll(polled, Some(timeout));
        self.doorbell.awake();
        match result {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        self.core.now = Instant::now();
        if polled.is_empty() {
            return Ok(());
        }
        self.busy = self.core.now;
        for event in polled.iter() {
            match event.token() {
                LISTENER => self.accepting = true,
                WAKER => {}
                Token(token) => self.note_readiness(token - FIRST_CONNECTION_TOKEN, event),
            }
        }
        self.accept_waiting();
        Ok(())
    }

    fn has_figures(&self) -> bool {
        self.figures.as_ref().is_some_and(|figures| !figures.is_empty())
    }

    fn sleep_time(&self) -> Duration {
        let work_left = !self.ready.is_empty() || !self.bulk.is_empty() || self.decisions.has_next();
        let until_sweep = self.next_sweep.saturating_duration_since(self.core.now);
        if work_left {
            Duration::ZERO
        } else if self.core.replies.in_flight() > 0 {
            let permitted = match self.core.acknowledges_durable() {
                true => SPIN_TIME_MAX,
                false => SPIN_TIME_MAX_MEMORY,
            };
            let spinning = self.core.now.saturating_duration_since(self.busy) < permitted;
            if spinning { Duration::ZERO } else { SLEEP_IN_FLIGHT }
        } else if self.connections.is_empty() && self.listener.is_some() && !self.accepting {
            SLEEP_IDLE
        } else {
            until_sweep.min(SLEEP_IDLE)
        }
    }

    fn note_readiness(&mut self, token: usize, event: &mio::event::Event) {
        let index = token / 2;
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        if token.is_multiple_of(2) {
            connection.hung_up |= event.is_read_closed() || event.is_error();
            connection.readable |= event.is_readable() || connection.hung_up;
            connection.writable |= event.is_writable() || event.is_write_closed();
            let gone = event.is_error() || event.is_write_closed();
            if gone && matches!(&connection.protocol, Protocol::Http(session) if session.relay.is_some()) {
                // Nobody is there to take the answer, whenever it comes.
                return self.remove(index);
            }
            self.enqueue(index);
        } else if let Protocol::Http(session) = &mut connection.protocol
            && let Some(relay) = &mut session.relay
        {
            let broken = event.is_read_closed() || event.is_error();
            relay.note_readiness(event.is_readable() || broken, event.is_writable());
            self.enqueue_bulk(index);
        }
    }

    fn accept_waiting(&mut self) {
        let Some(listener) = &self.listener else { return };
        for _ in 0..ACCEPTS_PER_TURN {
            if !self.accepting {
                return;
            }
            match accept(listener) {
                Accepted::Connection(mut stream, address) => {
                    let peer = address.ip().to_canonical();
                    if !self.admission.enter(peer) {
                        turn_away(stream, &self.core.date);
                        continue;
                    }
                    let entry = self.connections.vacant_entry();
                    let index = entry.key();
                    let (token, _) = connection_tokens(index);
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    if let Err(error) = self.core.registry.register(&mut stream, token, interest) {
                        tracing::warn!(%error, "cannot poll a new connection");
                        self.admission.leave(peer);
                        continue;
                    }
                    self.next_serial += 1;
                    let mut connection = Connection::new(stream, peer, self.next_serial, self.core.now);
                    connection.queued = true;
                    entry.insert(connection);
                    self.ready.push_back(index);
                }
                Accepted::Nobody => self.accepting = false,
                Accepted::Lost => {}
                Accepted::Exhausted(error) => {
                    // Tried again at the next sweep, when a connection may have gone.
                    tracing::warn!(%error, "cannot accept a connection");
                    self.accepting = false;
                }
            }
        }
    }

    fn enqueue(&mut self, index: usize) {
        if let Some(connection) = self
            .connections
            .get_mut(index)
            .filter(|connection| !connection.queued)
        {
            connection.queued = true;
            self.ready.push_back(index);
        }
    }

    fn enqueue_bulk(&mut self, index: usize) {
        if let Some(connection) = self
            .connections
            .get_mut(index)
            .filter(|connection| !connection.queued_bulk)
        {
            connection.queued_bulk = true;
            self.bulk.push_back(index);
        }
    }

    /// Serves each queued connection once; those that have more to do go to the end of the queue.
    fn serve_ready(&mut self) {
        for _ in 0..self.ready.len() {
            let Some(index) = self.ready.pop_front() else {
                return;
            };
            self.serve(index);
        }
    }

    /// One round of reading, serving and writing.
    fn serve(&mut self, index: usize) {
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        connection.queued = false;
        let core = &mut self.core;
        // What went out may make room for answers, and so for requests.
        let flushed = connection.flush(BULK_BYTES_PER_TURN, core.now);
        if flushed
            .and_then(|_| connection.fill(&mut core.scratch, &core.recorder, core.now))
            .is_err()
        {
            return self.remove(index);
        }
        let (_, relay_token) = connection_tokens(index);
        let peer = Peer {
            index,
            serial: connection.serial,
            loopback: connection.peer.is_loopback(),
            address: connection.peer,
            relay_token,
            read_at: connection.read_at,
        };
        let (input, output) = (&mut connection.input, &mut connection.output);
        match &mut connection.protocol {
            Protocol::Http(session)
                if core.stopping && session.relay.as_ref().is_some_and(|relay| relay.is_tunnel()) =>
            {
                // Neither side need ever end.
                return self.remove(index);
            }
            Protocol::Http(session) => {
                session.closing |= core.stopping;
                match serve_http::serve(core, peer, session, input, output) {
                    Served::Paused(pause) => connection.pause = pause,
                    Served::Relaying => {
                        connection.pause = Pause::Answers;
                        self.enqueue_bulk(index);
                    }
                    Served::Upgraded(upgraded) => {
                        core.market.enter(upgraded.who.account);
                        connection.protocol = Protocol::WebSocket(upgraded);
                        self.sessions.insert(index);
                        self.enqueue(index);
                    }
                }
            }
            Protocol::WebSocket(session) => {
                connection.pause = serve_ws::serve(core, peer, session, input, output, &mut self.message);
            }
            Protocol::Draining { .. } => {
                let rest = input.len();
                input.consume(rest);
                connection.pause = Pause::Input;
            }
        }
        self.finish_round(index);
    }

    /// Writes what is queued, then closes, waits, or queues the connection again.
    fn finish_round(&mut self, index: usize) {
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        let now = self.core.now;
        if connection.flush(BULK_BYTES_PER_TURN, now).is_err() {
            return self.remove(index);
        }
        connection.note_written(&mut self.core.recorder);
        let quiet = connection.output.is_empty();
        let done = match &mut connection.protocol {
            // The rest of an upload will never come, so neither will its answer.
            Protocol::Http(session) if connection.ended && session.lacks_body() => {
                return self.remove(index);
            }
            Protocol::Http(session) => {
                // The rest of a request will never come.
                session.closing |= connection.ended && connection.pause == Pause::Input;
                session.is_finished() && quiet
            }
            Protocol::WebSocket(session) => (session.closed && quiet) || connection.ended,
            Protocol::Draining { .. } => connection.ended,
        };
        match (&connection.protocol, done) {
            (Protocol::Draining { .. }, true) => self.remove(index),
            (_, true) if connection.ended => self.remove(index),
            (_, true) => {
                self.forget_session(index);
                if let Some(connection) = self.connections.get_mut(index) {
                    connection.begin_draining(now);
                }
                self.enqueue(index);
            }
            (_, false) => {
                let (go_on, bulk) = (connection.can_go_on(), connection.has_bulk());
                if go_on {
                    self.enqueue(index);
                }
                if bulk {
                    self.enqueue_bulk(index);
                }
            }
        }
    }

    fn remove(&mut self, index: usize) {
        self.forget_session(index);
        let Some(mut connection) = self.connections.try_remove(index) else {
            return;
        };
        if let Protocol::Http(session) = &connection.protocol
            && let Some(relay) = &session.relay
        {
            self.core.relays.end(relay.kind, connection.peer);
        }
        self.admission.leave(connection.peer);
        let _ = self.core.registry.deregister(&mut connection.stream);
        // Its place is free for a connection that an exhausted process could not take.
        self.accepting = self.listener.is_some();
    }

    /// Moves relayed answers and pushed events, a bounded amount in all.
    fn move_bulk(&mut self) {
        let mut budget = BULK_BYTES_PER_TURN;
        for _ in 0..self.bulk.len().min(BULK_CONNECTIONS_PER_TURN) {
            if budget == 0 {
                return;
            }
            let Some(index) = self.bulk.pop_front() else {
                return;
            };
            let Some(connection) = self.connections.get_mut(index) else {
                continue;
            };
            connection.queued_bulk = false;
            budget = budget.saturating_sub(self.move_bulk_of(index, budget));
        }
    }

    fn move_bulk_of(&mut self, index: usize, budget: usize) -> usize {
        let Some(connection) = self.connections.get_mut(index) else {
            return 0;
        };
        let core = &mut self.core;
        let mut moved = 0;
        let mut ended = false;
        if let Protocol::Http(session) = &mut connection.protocol
            && let Some(relay) = &mut session.relay
        {
            let output = &mut connection.output;
            let kind = relay.kind;
            match relay.pump(output, &mut core.scratch, &core.date, (budget, core.now)) {
                Pumped::Going { bytes } => moved = bytes,
                Pumped::Done { bytes, keep_alive } => {
                    moved = bytes;
                    ended = true;
                    session.closing |= !keep_alive;
                }
                Pumped::Failed(answer) => {
                    ended = true;
                    let shape = ResponseShape {
                        keep_alive: relay.shape().keep_alive && !relay.lacks_body(),
                        ..relay.shape().clone()
                    };
                    session.answer(shape, &answer, output, &core.date);
                }
                Pumped::Broken => {
                    // The client sees what came, and that it ends too early.
                    let _ = connection.flush(budget, core.now);
                    self.remove(index);
                    return 0;
                }
            }
            if ended {
                core.relays.end(kind, connection.peer);
                session.relay = None;
                connection.heard = core.now;
            }
        }
        match connection.flush(budget, core.now) {
            Ok(written) => moved = moved.max(written),
            Err(_) => {
                self.remove(index);
                return moved;
            }
        }
        if matches!(&connection.protocol, Protocol::WebSocket(session) if session.has_backlog()) {
            self.top_up(index);
        }
        let Some(connection) = self.connections.get_mut(index) else {
            return moved;
        };
        let closing = matches!(&connection.protocol, Protocol::WebSocket(session) if session.closed);
        let bulk = connection.has_bulk();
        if ended || closing || connection.can_go_on() {
            // The next request of the client, or the end.
            self.enqueue(index);
        }
        if bulk {
            self.enqueue_bulk(index);
        }
        moved
    }

    /// Looks at every deadline.
    fn sweep(&mut self) {
        self.next_sweep = self.core.now + SWEEP_INTERVAL;
        self.core.renew_date();
        self.accepting = self.listener.is_some();
        self.accept_waiting();
        self.watch_disk();
        while let Some(to) = self.core.replies.take_expired(self.core.now) {
            let answer = Answer::outcome_unknown();
            self.body.clear();
            self.body.extend_from_slice(&answer.body);
            self.deliver(&to, answer.status);
        }
        let mut indices = std::mem::take(&mut self.swept);
        indices.extend(self.connections.iter().map(|(index, _)| index));
        let slot = self.core.relays.take_refused();
        let refused = self.admission.take_refused();
        for index in indices.drain(..) {
            self.check_deadlines(index, slot, &refused);
        }
        self.swept = indices;
    }

    /// Tells when the journal's disk begins to be nearly full.
    fn watch_disk(&mut self) {
        let low = self.core.is_disk_low();
        if low && !self.disk_alerted {
            self.notices.raise(Notice {
                kind: NoticeKind::DiskLow,
                reason: Text::cut("orders that could add to a position are refused"),
            });
        }
        self.disk_alerted = low;
    }

    /// `slot`: a relayed request was refused; `refused`: so were connections.
    fn check_deadlines(&mut self, index: usize, slot: bool, refused: &Refused) {
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        let place = refused.want_place_of(connection.peer);
        let due = deadlines::due(connection, self.core.now, Wanted { slot, place });
        let output = &mut connection.output;
        match (due, &mut connection.protocol) {
            (Due::Remove, _) => return self.remove(index),
            (Due::RequestTimeout, Protocol::Http(session)) => {
                session.began = None;
                let answer = Answer::error(408, "The request did not arrive in time");
                session.answer(ResponseShape::closing(), &answer, output, &self.core.date);
            }
            (Due::RelayTimeout, Protocol::Http(session)) => {
                let Some(relay) = session.relay.take() else { return };
                self.core.relays.end(relay.kind, connection.peer);
                let (shape, answer) = if relay.wants_body() {
                    let answer = Answer::error(408, "The request did not arrive in time");
                    (ResponseShape::closing(), answer)
                } else {
                    let answer =
                        Answer::coded(504, "The read service did not answer in time", "read_service");
                    let keep_alive = relay.shape().keep_alive && !relay.lacks_body();
                    let shape = relay.shape().clone();
                    (ResponseShape { keep_alive, ..shape }, answer)
                };
                session.answer(shape, &answer, output, &self.core.date);
            }
            (Due::Silent, Protocol::WebSocket(session)) => {
                session.close(output, CloseCode::Away, "nothing heard for too long");
            }
            (Due::Ping, Protocol::WebSocket(session)) => session.ping(output, self.core.now),
            _ => return,
        }
        self.enqueue(index);
    }

    /// Begins the stop at the first call; `true` once everyone is answered and gone, or the time is over.
    fn is_stopped(&mut self) -> bool {
        let now = self.core.now;
        let stop_by = *self.stop_by.get_or_insert(now + STOP_TIME_MAX);
        if !self.core.stopping {
            self.core.stopping = true;
            self.accepting = false;
            if let Some(mut listener) = self.listener.take() {
                let _ = self.core.registry.deregister(&mut listener);
            }
            let indices: Vec<usize> = self.connections.iter().map(|(index, _)| index).collect();
            indices.into_iter().for_each(|index| self.enqueue(index));
        }
        self.connections.is_empty() || now >= stop_by
    }
}
