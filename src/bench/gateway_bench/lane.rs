//! One connection that sends the same request at planned times and takes the answers in order.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::Value;

use super::echo::Echo;
use super::{GatewayBenchError, PATIENCE, failed};

/// A limit order that rests: nobody trades in a benchmark of the gateway.
const ORDER: &str = r#"{"symbol":"RELIANCE","side":"BUY","quantity":1,"order_type":"LIMIT","price":2450.00,"stop_loss":2430.00,"take_profit":2491.00}"#;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Protocol {
    Http,
    WebSocket,
    /// So many bytes for so many.
    Bare {
        answer_len: usize,
    },
}

#[derive(Debug)]
pub(super) struct Lane {
    name: &'static str,
    protocol: Protocol,
    stream: TcpStream,
    request: Vec<u8>,
    answer_len: usize,
    received: Vec<u8>,
    histogram: Histogram<u64>,
}

impl Lane {
    /// Connects to a server and makes one call, to learn how long an answer is.
    pub(super) fn open(protocol: Protocol, address: SocketAddr) -> Result<Lane, GatewayBenchError> {
        let stream = connect(address)?;
        let (name, request) = match protocol {
            Protocol::WebSocket => ("WebSocket", websocket_request()),
            _ => ("POST", http_request()),
        };
        let mut lane = Lane::new(name, protocol, stream, request, 0)?;
        if protocol == Protocol::WebSocket {
            lane.open_socket()?;
        }
        lane.stream
            .set_nonblocking(true)
            .map_err(failed("non-blocking socket"))?;
        lane.write_request()?;
        lane.answer_len = lane.await_answer()?;
        Ok(lane)
    }

    /// The same bytes to an echo.
    pub(super) fn bare(lane: &Lane, echo: &Echo) -> Result<Lane, GatewayBenchError> {
        let stream = connect(echo.address)?;
        stream
            .set_nonblocking(true)
            .map_err(failed("non-blocking socket"))?;
        let name = match lane.protocol {
            Protocol::WebSocket => "echo of WebSocket",
            _ => "echo of POST",
        };
        let answer_len = lane.answer_len;
        Lane::new(
            name,
            Protocol::Bare { answer_len },
            stream,
            lane.request.clone(),
            answer_len,
        )
    }

    fn new(
        name: &'static str,
        protocol: Protocol,
        stream: TcpStream,
        request: Vec<u8>,
        answer_len: usize,
    ) -> Result<Lane, GatewayBenchError> {
        let histogram = Histogram::new_with_bounds(1, 60_000_000_000, 3)
            .map_err(|error| GatewayBenchError::WrongResult(error.to_string()))?;
        Ok(Lane {
            name,
            protocol,
            stream,
            request,
            answer_len,
            received: Vec::with_capacity(64 * 1024),
            histogram,
        })
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn request(&self) -> &[u8] {
        &self.request
    }

    pub(super) fn answer_len(&self) -> usize {
        self.answer_len
    }

    pub(super) fn histogram(&self) -> &Histogram<u64> {
        &self.histogram
    }

    /// What was recorded so far was to warm up.
    pub(super) fn forget(&mut self) {
        self.histogram.reset();
    }

    /// Sends at `rate` for `time`, and waits for the last answer.
    pub(super) fn take_turn(&mut self, rate: u32, time: Duration) -> Result<(), GatewayBenchError> {
        let interval = Duration::from_secs(1) / rate;
        let start = Instant::now();
        let mut next = Duration::ZERO;
        let mut in_flight: VecDeque<Duration> = VecDeque::new();
        while next < time || !in_flight.is_empty() {
            let now = start.elapsed();
            if now >= next && next < time {
                self.write_request()?;
                in_flight.push_back(next);
                next += interval;
                continue;
            }
            if !self.read_some()? {
                if in_flight.front().is_some_and(|&planned| now > planned + PATIENCE) {
                    return Err(wrong("an answer did not come"));
                }
                std::thread::yield_now();
                continue;
            }
            let now = start.elapsed();
            while let Some(len) = self.take_answer()? {
                if len == 0 {
                    continue;
                }
                let planned = in_flight
                    .pop_front()
                    .ok_or_else(|| wrong("an answer to nothing"))?;
                let nanos = u64::try_from((now - planned).as_nanos()).unwrap_or(u64::MAX);
                self.histogram.saturating_record(nanos);
            }
        }
        Ok(())
    }

    fn write_request(&mut self) -> Result<(), GatewayBenchError> {
        let mut rest = self.request.as_slice();
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => return Err(failed("send")(error)),
            }
        }
        Ok(())
    }

    /// Whether bytes came.
    fn read_some(&mut self) -> Result<bool, GatewayBenchError> {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(wrong("the connection was closed")),
            Ok(count) => {
                self.received.extend_from_slice(&buffer[..count]);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(failed("receive")(error)),
        }
    }

    /// Takes one whole answer off what was received and gives its length: 0 for a message that answers nothing.
    fn take_answer(&mut self) -> Result<Option<usize>, GatewayBenchError> {
        let bytes = self.received.as_slice();
        let found = match self.protocol {
            Protocol::Bare { answer_len } => (bytes.len() >= answer_len).then_some((answer_len, true)),
            Protocol::Http => http_answer(bytes)?.map(|len| (len, true)),
            Protocol::WebSocket => websocket_message(bytes)?,
        };
        let Some((len, answers)) = found else {
            return Ok(None);
        };
        self.received.drain(..len);
        Ok(Some(if answers { len } else { 0 }))
    }

    fn await_answer(&mut self) -> Result<usize, GatewayBenchError> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            self.read_some()?;
            if let Some(len) = self.take_answer()?.filter(|len| *len > 0) {
                return Ok(len);
            }
        }
        Err(wrong("no answer to the first order"))
    }

    /// Opens the WebSocket and asks for no events: an echo sends none either.
    fn open_socket(&mut self) -> Result<(), GatewayBenchError> {
        upgrade(&mut self.stream)?;
        let subscribe = masked_text(br#"{"type":"subscribe","events":[]}"#);
        self.stream.write_all(&subscribe).map_err(failed("handshake"))
    }
}

/// Sends the opening handshake and reads its answer.
pub(in super::super) fn upgrade(stream: &mut TcpStream) -> Result<(), GatewayBenchError> {
    let head = "GET /ws/oms HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(head.as_bytes()).map_err(failed("handshake"))?;
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).map_err(failed("handshake"))?;
        answer.extend_from_slice(&byte);
    }
    match answer.starts_with(b"HTTP/1.1 101 ") {
        true => Ok(()),
        false => Err(wrong(&String::from_utf8_lossy(&answer))),
    }
}

fn wrong(what: &str) -> GatewayBenchError {
    GatewayBenchError::WrongResult(what.to_owned())
}

fn connect(address: SocketAddr) -> Result<TcpStream, GatewayBenchError> {
    let stream = TcpStream::connect(address).map_err(failed("connect"))?;
    stream.set_nodelay(true).map_err(failed("connect"))?;
    stream
        .set_read_timeout(Some(PATIENCE))
        .map_err(failed("connect"))?;
    Ok(stream)
}

pub(in super::super) fn http_request() -> Vec<u8> {
    format!(
        "POST /api/oms/orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{ORDER}",
        ORDER.len()
    )
    .into_bytes()
}

fn websocket_request() -> Vec<u8> {
    masked_text(format!(r#"{{"type":"order:place","id":1,"data":{ORDER}}}"#).as_bytes())
}

/// A client's text frame (RFC 6455 section 5.2) of 126 bytes at most, or of 65,535; its mask is zero, which changes
/// nothing for the reader.
pub(in super::super) fn masked_text(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u8::try_from(payload.len()) {
        Ok(len) if len < 126 => frame.push(0x80 | len),
        _ => {
            frame.push(0x80 | 126);
            let len = u16::try_from(payload.len()).expect("the benchmark's messages are short");
            frame.extend_from_slice(&len.to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// Length of the first whole answer, which must be a 201.
pub(in super::super) fn http_answer(bytes: &[u8]) -> Result<Option<usize>, GatewayBenchError> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = String::from_utf8_lossy(&bytes[..end]);
    if !head.starts_with("HTTP/1.1 201 ") {
        return Err(wrong(&String::from_utf8_lossy(bytes)));
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "))
        .and_then(|text| text.parse::<usize>().ok())
        .ok_or_else(|| wrong("an answer without Content-Length"))?;
    let whole = end + 4 + length;
    Ok((bytes.len() >= whole).then_some(whole))
}

/// Length of the first whole message, and whether it answers an order.
fn websocket_message(bytes: &[u8]) -> Result<Option<(usize, bool)>, GatewayBenchError> {
    let (head, len) = match bytes {
        [_, 126, high, low, ..] => (4, usize::from(u16::from_be_bytes([*high, *low]))),
        [_, short @ 0..=125, ..] => (2, usize::from(*short)),
        _ => return Ok(None),
    };
    let Some(payload) = bytes.get(head..head + len) else {
        return Ok(None);
    };
    let contains = |part: &[u8]| payload.windows(part.len()).any(|window| window == part);
    let answers = payload.starts_with(br#"{"type":"reply""#);
    if answers && !contains(br#""status":201"#) {
        return Err(wrong(&String::from_utf8_lossy(payload)));
    }
    Ok(Some((head + len, answers)))
}

/// The JSON body of a GET.
pub(super) fn fetch(address: SocketAddr, path: &str) -> Result<Value, GatewayBenchError> {
    let mut stream = connect(address)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(failed("read"))?;
    let mut text = String::new();
    stream.read_to_string(&mut text).map_err(failed("read"))?;
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    serde_json::from_str(body).map_err(|error| wrong(&format!("{path}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_whole_and_must_be_good() {
        let good = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}HTTP";
        assert_eq!(http_answer(good).unwrap(), Some(good.len() - 4));
        assert_eq!(http_answer(&good[..good.len() - 5]).unwrap(), None);
        assert!(http_answer(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").is_err());
        let frame = |text: &str| [&[0x81, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        let reply = frame(r#"{"type":"reply","status":201}"#);
        assert_eq!(websocket_message(&reply).unwrap(), Some((reply.len(), true)));
        assert_eq!(websocket_message(&reply[..5]).unwrap(), None);
        let other = frame(r#"{"type":"pong"}"#);
        assert_eq!(websocket_message(&other).unwrap(), Some((other.len(), false)));
        assert!(websocket_message(&frame(r#"{"type":"reply","status":400}"#)).is_err());
    }

    #[test]
    fn an_echo_answers_each_request_and_is_timed_from_its_plan() {
        let echo = Echo::start(10, 4).unwrap();
        let stream = connect(echo.address).unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut lane = Lane::new(
            "echo",
            Protocol::Bare { answer_len: 4 },
            stream,
            vec![b'x'; 10],
            4,
        )
        .unwrap();
        lane.take_turn(1_000, Duration::from_millis(50)).unwrap();
        assert_eq!(lane.histogram.len(), 50);
        lane.forget();
        assert_eq!(lane.histogram().len(), 0);
    }
}
