//! The opening handshake of a WebSocket (RFC 6455 section 4.2), and which pages may open one.

use super::super::answer::{Answer, field, write_status_line};
use super::super::head::{Head, Method, host_of, is_loopback_name};

/// The key to prove that we understood, or the answer that refuses.
pub(crate) fn check_upgrade<'b>(head: &Head<'_, 'b>) -> Result<&'b [u8], Answer> {
    let upgrades = head.has_token("connection", "upgrade")
        && head.has_token("upgrade", "websocket")
        && head.minor_version == 1
        && head.method == Method::Get;
    let version = head.text_field("sec-websocket-version");
    if !upgrades || version != Some("13") {
        return Err(Answer::error(426, "This is a WebSocket endpoint (version 13)"));
    }
    match head.text_field("sec-websocket-key").map(str::as_bytes) {
        Some(key) if is_nonce(key) => Ok(key),
        _ => Err(Answer::error(400, "Malformed Sec-WebSocket-Key")),
    }
}

/// Whether a text is 16 bytes in base64.
fn is_nonce(key: &[u8]) -> bool {
    let digits = |part: &[u8]| {
        part.iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
    };
    key.len() == 24 && key.strip_suffix(b"==").is_some_and(digits)
}

pub(crate) fn write_upgrade(out: &mut Vec<u8>, key: &[u8], date: &str) {
    write_status_line(out, 101);
    out.extend_from_slice(b"Upgrade: websocket\r\nConnection: Upgrade\r\n");
    field(out, "Date", date);
    field(
        out,
        "Sec-WebSocket-Accept",
        &tungstenite::handshake::derive_accept_key(key),
    );
    out.extend_from_slice(b"\r\n");
}

/// Which pages may talk to us in a visitor's name: those served by this process under a loopback name, and those that
/// the configuration lists (`scheme://host[:port]`).
#[derive(Clone, Debug)]
pub(crate) struct OriginPolicy {
    port: u16,
    allowed: Vec<String>,
}

/// How a request's `Origin` stands to us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Origin<'b> {
    /// Not from a page, or from our own.
    Own,
    /// From a page that the configuration lists.
    Listed(&'b str),
    Foreign,
}

impl OriginPolicy {
    pub(crate) fn new(port: u16, allowed: Vec<String>) -> OriginPolicy {
        OriginPolicy { port, allowed }
    }

    pub(crate) fn judge<'b>(&self, head: &Head<'_, 'b>) -> Origin<'b> {
        if head.field("origin").is_none() {
            return Origin::Own;
        }
        let Some(origin) = head.text_field("origin") else {
            return Origin::Foreign;
        };
        if self
            .allowed
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(origin))
        {
            Origin::Listed(origin)
        } else if self.is_own(origin) {
            Origin::Own
        } else {
            Origin::Foreign
        }
    }

    fn is_own(&self, origin: &str) -> bool {
        let Some(authority) = origin.strip_prefix("http://") else {
            return false;
        };
        let host = host_of(authority);
        let port = match authority[host.len()..].strip_prefix(':') {
            Some(port) => port.parse::<u16>().ok(),
            None if authority.len() == host.len() => Some(80),
            None => None,
        };
        is_loopback_name(host) && port == Some(self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upgrade_is_beyond_doubt() {
        let status = |line: &str, fields: &str| {
            let text = format!("{line} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n{fields}\r\n");
            let mut fields = [httparse::EMPTY_HEADER; 16];
            let head = Head::parse(text.as_bytes(), &mut fields, 0).unwrap().unwrap();
            check_upgrade(&head).map_or_else(|answer| answer.status, |_| 101)
        };
        const CONNECTION: &str = "Connection: keep-alive, Upgrade\r\n";
        const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";
        const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        for (expected, line, fields) in [
            (101, "GET /", [CONNECTION, VERSION, KEY]),
            (426, "HEAD /", [CONNECTION, VERSION, KEY]),
            (426, "GET /", ["", VERSION, KEY]),
            (426, "GET /", [CONNECTION, "", KEY]),
            (426, "GET /", [CONNECTION, "Sec-WebSocket-Version: 8\r\n", KEY]),
            (400, "GET /", [CONNECTION, VERSION, ""]),
            (
                400,
                "GET /",
                [CONNECTION, VERSION, "Sec-WebSocket-Key: abc==\r\n"],
            ),
            (
                400,
                "GET /",
                [
                    CONNECTION,
                    VERSION,
                    "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!==\r\n",
                ],
            ),
        ] {
            assert_eq!(status(line, &fields.concat()), expected, "{line} {fields:?}");
        }
        assert_eq!(status("GET /", &[CONNECTION, VERSION, KEY, KEY].concat()), 400);
        assert_eq!(
            status("GET /", &[CONNECTION, VERSION, VERSION, KEY].concat()),
            426
        );
    }

    #[test]
    fn only_our_own_pages_and_listed_ones_may_talk() {
        let policy = OriginPolicy::new(8050, vec!["https://desk.example".to_owned()]);
        let check = |origin: &str, expected: Origin<'static>| {
            let text = format!("GET / HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\n\r\n");
            let mut fields = [httparse::EMPTY_HEADER; 8];
            let head = Head::parse(text.as_bytes(), &mut fields, 0).unwrap().unwrap();
            assert_eq!(policy.judge(&head), expected, "{origin}");
        };
        check("http://localhost:8050", Origin::Own);
        check("http://127.0.0.1:8050", Origin::Own);
        check("http://[::1]:8050", Origin::Own);
        check("https://desk.example", Origin::Listed("https://desk.example"));
        for foreign in [
            "null",
            "http://localhost",
            "http://localhost:8051",
            "https://localhost:8050",
            "http://localhost:8050.evil.example",
            "http://localhost.evil.example:8050",
            "http://evil.example",
            "http://desk.example",
            "http://[::1",
            "http://\u{e9}",
        ] {
            check(foreign, Origin::Foreign);
        }
    }
}
