//! One WebSocket client of the fan-out: it wants to hear of new orders, and checks that it hears of each once.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use mio::net::TcpStream;
use socket2::{Domain, Protocol, Socket, Type};

use super::super::gateway_bench::{GatewayBenchError, failed, masked_text, upgrade};
use super::super::limits::FAN_OUT_PATIENCE;
use super::wrong;

/// A message about an order, and when the client had it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    pub(super) order: u64,
    pub(super) at: Instant,
}

#[derive(Debug)]
pub(super) struct Client {
    stream: TcpStream,
    received: Vec<u8>,
    /// The order that it has to hear of next.
    next_order: u64,
}

/// Receive buffer of a client that never reads: small, so that what it leaves unread waits in the server.
const STALLED_BUFFER_BYTES: usize = 4 * 1024;

impl Client {
    pub(super) fn open(
        server: SocketAddr,
        from: IpAddr,
        reads: bool,
        next_order: u64,
    ) -> Result<Client, GatewayBenchError> {
        let connect = || -> io::Result<std::net::TcpStream> {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
            if !reads {
                socket.set_recv_buffer_size(STALLED_BUFFER_BYTES)?;
            }
            socket.bind(&SocketAddr::new(from, 0).into())?;
            socket.connect(&server.into())?;
            socket.set_read_timeout(Some(FAN_OUT_PATIENCE))?;
            socket.set_tcp_nodelay(true)?;
            Ok(socket.into())
        };
        let mut stream = connect().map_err(failed("connect"))?;
        upgrade(&mut stream)?;
        let subscribe = masked_text(br#"{"type":"subscribe","events":["order:placed"]}"#);
        stream.write_all(&subscribe).map_err(failed("subscribe"))?;
        // The pong says that the subscription holds.
        stream
            .write_all(&masked_text(br#"{"type":"ping"}"#))
            .map_err(failed("subscribe"))?;
        let mut received = Vec::new();
        let mut byte = [0];
        while !received.ends_with(br#"{"type":"pong"}"#) {
            stream.read_exact(&mut byte).map_err(failed("subscribe"))?;
            received.push(byte[0]);
        }
        stream.set_nonblocking(true).map_err(failed("subscribe"))?;
        Ok(Client {
            stream: TcpStream::from_std(stream),
            received: Vec::new(),
            next_order,
        })
    }

    pub(super) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    pub(super) fn next_order(&self) -> u64 {
        self.next_order
    }

    /// Reads all that there is and gives each message to `tell`.
    pub(super) fn hear(
        &mut self,
        scratch: &mut [u8],
        mut tell: impl FnMut(Heard) -> Result<(), GatewayBenchError>,
    ) -> Result<(), GatewayBenchError> {
        loop {
            let count = match self.stream.read(scratch) {
                Ok(0) => return Err(wrong("a client that reads was closed")),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(failed("receive")(error)),
            };
            let at = Instant::now();
            self.received.extend_from_slice(&scratch[..count]);
            let mut taken = 0;
            while let Some((length, order)) = message(&self.received[taken..])? {
                taken += length;
                let Some(order) = order else { continue };
                if order != self.next_order {
                    return Err(wrong(&format!(
                        "a client heard of order {order} where {} was due",
                        self.next_order
                    )));
                }
                self.next_order += 1;
                tell(Heard { order, at })?;
            }
            self.received.drain(..taken);
            if count < scratch.len() {
                return Ok(());
            }
        }
    }
}

/// Length of the first whole message, and the order that it tells of; a control frame tells of none.
fn message(bytes: &[u8]) -> Result<Option<(usize, Option<u64>)>, GatewayBenchError> {
    let (head, length) = match bytes {
        [_, 126, high, low, ..] => (4, usize::from(u16::from_be_bytes([*high, *low]))),
        [_, short @ 0..=125, ..] => (2, usize::from(*short)),
        _ => return Ok(None),
    };
    let Some(payload) = bytes.get(head..head + length) else {
        return Ok(None);
    };
    if bytes.first() != Some(&0x81) {
        return Ok(Some((head + length, None)));
    }
    let text = String::from_utf8_lossy(payload);
    let number = text
        .strip_prefix(r#"{"type":"order:placed""#)
        .and_then(|rest| rest.split_once(r#""order_id":"#))
        .and_then(|(_, rest)| rest.split(',').next())
        .and_then(|digits| digits.parse().ok());
    match number {
        Some(order) => Ok(Some((head + length, Some(order)))),
        None => Err(wrong(&text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_taken_whole_and_must_be_about_orders() {
        let frame =
            |first: u8, text: &str| [&[first, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        let placed = frame(
            0x81,
            r#"{"type":"order:placed","cursor":"9:0","data":{"order_id":17,"x":1}}"#,
        );
        assert_eq!(message(&placed).unwrap(), Some((placed.len(), Some(17))));
        assert_eq!(message(&placed[..placed.len() - 1]).unwrap(), None);
        assert_eq!(message(&frame(0x89, "")).unwrap(), Some((2, None)));
        assert!(message(&frame(0x81, r#"{"type":"order:filled","data":{"order_id":17}}"#)).is_err());
    }
}
