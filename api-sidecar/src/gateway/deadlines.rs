//! How long a client may take for what (each bound and its reason is in [`crate::limits`]).

use std::time::{Duration, Instant};

use super::connection::{Connection, Protocol};
use crate::limits::{
    IDLE_TIME_MAX, IDLE_TIME_WANTED, RELAY_ANSWER_TIME_MAX, RELAY_BODY_TIME_MAX, REQUEST_TIME_MAX,
    SLOT_STALL_TIME_MAX, STALL_TIME_MAX, UPLOAD_STALL_TIME_MAX, WS_SILENCE,
};

/// What a look at a connection's clocks calls for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    Nothing,
    /// Close without a word: nobody listens, or nothing is owed.
    Remove,
    /// A request did not arrive in time.
    RequestTimeout,
    /// The REST handlers did not answer in time.
    RelayTimeout,
    Ping,
    /// A WebSocket client is silent even after a ping.
    Silent,
}

/// What somebody was refused that this connection may have: then it has less time.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Wanted {
    /// A relayed request, because too many go on.
    pub(crate) slot: bool,
    /// A connection, because there are too many.
    pub(crate) place: bool,
}

pub(crate) fn due(connection: &Connection, now: Instant, wanted: Wanted) -> Due {
    let since = |instant: Instant| now.saturating_duration_since(instant);
    let holds_slot = matches!(&connection.protocol, Protocol::Http(session) if session.relay.is_some());
    let permitted = match wanted.slot && holds_slot {
        true => SLOT_STALL_TIME_MAX,
        false => STALL_TIME_MAX,
    };
    if connection
        .stalled
        .is_some_and(|stalled| since(stalled) >= permitted)
    {
        return Due::Remove;
    }
    match &connection.protocol {
        Protocol::Draining { until } if now >= *until => Due::Remove,
        Protocol::Draining { .. } => Due::Nothing,
        Protocol::Http(session) => {
            let late = session
                .began
                .is_some_and(|began| since(began) >= REQUEST_TIME_MAX);
            if let Some(relay) = &session.relay {
                let permitted = if relay.lacks_body() {
                    UPLOAD_STALL_TIME_MAX
                } else {
                    RELAY_ANSWER_TIME_MAX
                };
                let unanswered = relay.awaits_answer() && since(relay.moved) >= permitted;
                let broken_off = relay.awaits_rest() && since(relay.moved) >= RELAY_BODY_TIME_MAX;
                return if unanswered {
                    Due::RelayTimeout
                } else if broken_off {
                    Due::Remove
                } else {
                    Due::Nothing
                };
            }
            let owed = session.has_answers_in_flight() || !connection.output.is_empty();
            if late && session.may_read() {
                Due::RequestTimeout
            } else if !owed && since(connection.heard) >= idle_time(wanted) {
                Due::Remove
            } else {
                Due::Nothing
            }
        }
        Protocol::WebSocket(session) if session.closed => Due::Nothing,
        Protocol::WebSocket(session) => match session.pinged {
            None if since(session.heard) >= WS_SILENCE => Due::Ping,
            Some(pinged) if since(pinged) >= WS_SILENCE => Due::Silent,
            _ => Due::Nothing,
        },
    }
}

fn idle_time(wanted: Wanted) -> Duration {
    match wanted.place {
        true => IDLE_TIME_WANTED,
        false => IDLE_TIME_MAX,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};

    use super::*;
    use crate::auth::{Principal, Role};
    use crate::gateway::ws::session::WsSession;
    use crate::limits::STALL_BYTES_MIN;

    const MOMENT: Duration = Duration::from_millis(1);

    /// A connection, and its client's end.
    fn connection(now: Instant) -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        let stream = mio::net::TcpStream::from_std(server);
        (
            Connection::new(stream, IpAddr::V4(Ipv4Addr::LOCALHOST), 1, now),
            client,
        )
    }

    #[test]
    fn an_idle_connection_is_closed_and_one_that_waits_for_an_answer_is_not() {
        let start = Instant::now();
        let (mut connection, _client) = connection(start);
        assert_eq!(
            due(&connection, start + IDLE_TIME_MAX - MOMENT, Wanted::default()),
            Due::Nothing
        );
        assert_eq!(
            due(&connection, start + IDLE_TIME_MAX, Wanted::default()),
            Due::Remove
        );
        let wanted = Wanted {
            slot: false,
            place: true,
        };
        assert_eq!(
            due(&connection, start + IDLE_TIME_WANTED - MOMENT, wanted),
            Due::Nothing
        );
        assert_eq!(due(&connection, start + IDLE_TIME_WANTED, wanted), Due::Remove);
        if let Protocol::Http(session) = &mut connection.protocol {
            session.reserve(super::super::answer::ResponseShape::closing());
        }
        assert_eq!(
            due(&connection, start + IDLE_TIME_MAX, Wanted::default()),
            Due::Nothing
        );
    }

    #[test]
    fn a_request_has_to_arrive_in_time() {
        let start = Instant::now();
        let (mut connection, _client) = connection(start);
        if let Protocol::Http(session) = &mut connection.protocol {
            session.began = Some(start);
        }
        assert_eq!(
            due(&connection, start + REQUEST_TIME_MAX - MOMENT, Wanted::default()),
            Due::Nothing
        );
        assert_eq!(
            due(&connection, start + REQUEST_TIME_MAX, Wanted::default()),
            Due::RequestTimeout
        );
    }

    #[test]
    fn a_client_that_takes_nothing_is_dropped() {
        let start = Instant::now();
        let (mut connection, mut client) = connection(start);
        let megabyte = bytes::Bytes::from(vec![0; 1 << 20]);
        while connection.writable {
            connection.output.push_shared(megabyte.clone());
            connection.flush(usize::MAX, start).unwrap();
        }
        assert_eq!(
            due(&connection, start + STALL_TIME_MAX - MOMENT, Wanted::default()),
            Due::Nothing
        );
        assert_eq!(
            due(&connection, start + STALL_TIME_MAX, Wanted::default()),
            Due::Remove
        );
        client.write_all(b"still here").unwrap();
        assert_eq!(
            due(&connection, start + STALL_TIME_MAX, Wanted::default()),
            Due::Remove,
            "talking is not taking"
        );
        // A little now and then is nothing either.
        let late = start + STALL_TIME_MAX;
        connection.note_taken(STALL_BYTES_MIN - 1, late);
        assert_eq!(due(&connection, late, Wanted::default()), Due::Remove);
        connection.note_taken(1, late);
        assert_eq!(due(&connection, late, Wanted::default()), Due::Nothing);
    }

    #[test]
    fn a_silent_websocket_is_pinged_and_then_closed() {
        let start = Instant::now();
        let (mut connection, _client) = connection(start);
        let who = Principal {
            account: Default::default(),
            name: Default::default(),
            role: Role::Viewer,
        };
        connection.protocol = Protocol::WebSocket(Box::new(WsSession::new(who, None, start)));
        let due = |connection: &Connection, now| due(connection, now, Wanted::default());
        assert_eq!(due(&connection, start + WS_SILENCE - MOMENT), Due::Nothing);
        assert_eq!(due(&connection, start + WS_SILENCE), Due::Ping);
        // Where nobody looked for long, as after a stop of the process, the ping comes first all the same.
        let looked = start + 3 * WS_SILENCE;
        assert_eq!(due(&connection, looked), Due::Ping);
        if let Protocol::WebSocket(session) = &mut connection.protocol {
            session.ping(&mut connection.output, looked);
        }
        assert_eq!(due(&connection, looked + WS_SILENCE - MOMENT), Due::Nothing);
        assert_eq!(due(&connection, looked + WS_SILENCE), Due::Silent);
    }
}
