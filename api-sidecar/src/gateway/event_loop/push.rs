//! Pushed messages: to every session that may see them and wants them, and to those that missed some.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use engine::lane::Token;
use engine::{AccountId, Event, Seq, Timestamp};
use slab::Slab;

use super::super::connection::{Connection, Protocol};
use super::super::figures::Figure;
use super::super::ws::channels::{Channel, Feed};
use super::super::ws::events::{self, Push, PushContext};
use super::super::ws::session::{append_text_frame, text_frame};
use super::EventLoop;
use crate::limits::WS_CONFLATE_BYTES;
use crate::wire::Object;

/// Messages of the history looked at for one client at once.
const CATCH_UP_STEP: usize = 1_024;

impl EventLoop {
    /// Pushes an event's messages. Each is encoded once, and remembered for those who come again.
    pub(super) fn push(&mut self, event: &Event, seq: Seq, time: Timestamp, token: Option<Token>) {
        let core = &mut self.core;
        let context = PushContext {
            directory: &core.directory,
            seq,
            time,
            action: token.and_then(|token| core.replies.action(token)),
        };
        let mut audience = Audience {
            connections: &mut self.connections,
            bulk: &mut self.bulk,
        };
        let (sessions, history) = (&self.sessions, &mut core.history);
        events::encode(
            event,
            &context,
            &mut self.cursor,
            &mut self.message,
            &mut |message| {
                history.remember(message.cursor, message.push, message.account, message.json);
                audience.tell(sessions, message.json, |session, _| {
                    session.catching_up.is_none()
                        && session.sees(message.account)
                        && session.wants(message.push)
                });
            },
        );
    }

    /// Tells those who listen to the market about a trade or a new best price.
    pub(super) fn push_market(&mut self, event: &Event) {
        let (feed, instrument) = match event {
            Event::TopOfBook(top) => (Feed::TopOfBook, top.instrument),
            Event::Trade(trade) => (Feed::Trades, trade.instrument),
            _ => return,
        };
        self.tell_channel(Channel { feed, instrument });
    }

    /// Tells a channel's present state to its listeners; who is slow gets it later, as it then is.
    fn tell_channel(&mut self, channel: Channel) {
        let core = &self.core;
        let Some(listeners) = core.market.listeners(channel) else {
            return;
        };
        let known = core
            .market
            .encode(&mut self.message, channel, self.cursor, &core.directory, 0);
        if !known {
            return;
        }
        let mut audience = Audience {
            connections: &mut self.connections,
            bulk: &mut self.bulk,
        };
        audience.tell(listeners, &self.message, |session, queued| {
            // Who has a backlog is in the queue of bulk, or comes there as soon as the socket takes bytes again.
            let has_room = queued < WS_CONFLATE_BYTES && !session.has_backlog();
            if !has_room {
                session.subscriptions.postpone(channel);
            }
            has_room
        });
    }

    /// Takes what the publisher found; `true` where there was something.
    pub(super) fn take_figures(&mut self) -> bool {
        let mut any = false;
        while let Some(figure) = self.figures.as_mut().and_then(|ring| ring.pop().ok()) {
            any = true;
            match figure {
                Figure::Depth { channel, json } => {
                    self.core.market.keep_depth(channel, json);
                    self.tell_channel(channel);
                }
                Figure::Pnl { account, json } => self.tell_pnl(account, &json),
            }
        }
        any
    }

    fn tell_pnl(&mut self, account: AccountId, json: &[u8]) {
        self.message.clear();
        Object::begin(&mut self.message)
            .string("type", Push::PnlUpdated.as_str())
            .text("cursor", self.cursor)
            .raw("data", json);
        let mut audience = Audience {
            connections: &mut self.connections,
            bulk: &mut self.bulk,
        };
        audience.tell(&self.sessions, &self.message, |session, queued| {
            session.who.account == account
                && session.wants(Push::PnlUpdated)
                && queued < WS_CONFLATE_BYTES
                && session.catching_up.is_none()
        });
    }

    /// Queues what a session missed or was too slow for, as far as there is room.
    pub(super) fn top_up(&mut self, index: usize) {
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        let output = &mut connection.output;
        let Protocol::WebSocket(session) = &mut connection.protocol else {
            return;
        };
        if session.closed {
            return;
        }
        let (core, text) = (&self.core, &mut self.message);
        for _ in 0..CATCH_UP_STEP {
            let Some(cursor) = session.catching_up.filter(|_| output.len() < WS_CONFLATE_BYTES) else {
                break;
            };
            if !core.history.reaches(cursor) {
                session.catching_up = None;
                text.clear();
                Object::begin(text)
                    .string("type", "resync")
                    .text("cursor", core.history.last());
                output.append(|tail| append_text_frame(tail, text));
                break;
            }
            let next = core.history.after(cursor);
            session.catching_up = next.map(|message| message.cursor);
            if let Some(message) = next.filter(|next| session.sees(next.account) && session.wants(next.push))
            {
                core.history.text(message, text);
                output.append(|tail| append_text_frame(tail, text));
            }
        }
        while session.catching_up.is_none() && output.len() < WS_CONFLATE_BYTES {
            let Some((channel, count)) = session.subscriptions.take_waiting() else {
                return;
            };
            let skipped = count.saturating_sub(1);
            if core
                .market
                .encode(text, channel, self.cursor, &core.directory, skipped)
            {
                output.append(|tail| append_text_frame(tail, text));
            }
        }
    }

    /// A session is over: nobody is told anything there any more.
    pub(super) fn forget_session(&mut self, index: usize) {
        if !self.sessions.remove(&index) {
            return;
        }
        if let Some(Connection {
            protocol: Protocol::WebSocket(session),
            ..
        }) = self.connections.get(index)
        {
            for channel in session.subscriptions.channels() {
                self.core.market.leave(channel, index);
            }
            self.core.market.exit(session.who.account);
        }
    }
}

/// Sessions to which a frame may go.
struct Audience<'a> {
    connections: &'a mut Slab<Connection>,
    bulk: &'a mut VecDeque<usize>,
}

impl Audience<'_> {
    /// Queues one shared frame of `json` for each of `listeners` that `takes` it; that is asked with the bytes that are
    /// queued for it already.
    fn tell(
        &mut self,
        listeners: &BTreeSet<usize>,
        json: &[u8],
        mut takes: impl FnMut(&mut super::super::ws::session::WsSession, usize) -> bool,
    ) {
        let mut frame: Option<Bytes> = None;
        for &index in listeners {
            let Some(connection) = self.connections.get_mut(index) else {
                continue;
            };
            let Protocol::WebSocket(session) = &mut connection.protocol else {
                continue;
            };
            if !takes(session, connection.output.len()) {
                continue;
            }
            let frame = frame.get_or_insert_with(|| text_frame(json));
            session.push(&mut connection.output, frame);
            if !connection.queued_bulk {
                connection.queued_bulk = true;
                self.bulk.push_back(index);
            }
        }
    }
}
