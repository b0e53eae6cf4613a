//! Requests for another web application behind the same port: written anew like all others, but with everything that
//! is the application's own business: cookies, forms, files, its redirects and headers.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use super::super::answer::field;
use super::super::head::{Head, Method};

/// Fields that are about one connection (RFC 9110 section 7.6.1), or that we write ourselves.
const CONNECTION_FIELDS: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether a field ends at this connection. `listed` tells whether the sender's `Connection` field names it.
pub(super) fn is_of_connection(name: &str, listed: impl FnOnce() -> bool) -> bool {
    CONNECTION_FIELDS
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
        || listed()
}

/// What the application need not know: our own keys, and claims about where a request came from, which it gets from us.
fn is_withheld(name: &str) -> bool {
    // WSGI and its like read `X_Forwarded_For` as the same.
    let lower = name.to_ascii_lowercase().replace('_', "-");
    matches!(lower.as_str(), "x-api-key" | "forwarded" | "x-real-ip" | "via")
        || lower.starts_with("x-pinion-")
        || lower.starts_with("x-forwarded-")
}

/// Whether a request opens a WebSocket, which the application may grant.
pub(crate) fn asks_for_websocket(head: &Head<'_, '_>) -> bool {
    head.method == Method::Get
        && head.minor_version == 1
        && head.content_length == 0
        && head.has_token("connection", "upgrade")
        && head.has_token("upgrade", "websocket")
}

/// The bytes of a request for the application, target and host as the client sent them; a client of HTTP/1.0 may have
/// named none. `body` may be its beginning.
pub(crate) fn write_forwarded(
    head: &Head<'_, '_>,
    body: &[u8],
    (peer, application): (IpAddr, SocketAddr),
) -> Vec<u8> {
    let mut out = Vec::with_capacity(head.len + 256 + body.len());
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(head.path.as_bytes());
    if let Some(query) = head.query {
        out.push(b'?');
        out.extend_from_slice(query.as_bytes());
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    // The one of the target where that is absolute (RFC 9112 section 3.2.2).
    match head.authority {
        Some(host) => field(&mut out, "Host", host),
        None => field(&mut out, "Host", &application.to_string()),
    }
    for header in head.fields() {
        let listed = || head.has_token("connection", header.name);
        let passes = !is_of_connection(header.name, listed) && !is_withheld(header.name);
        if passes && !header.name.eq_ignore_ascii_case("host") {
            out.extend_from_slice(header.name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(header.value);
            out.extend_from_slice(b"\r\n");
        }
    }
    let _ = write!(out, "X-Forwarded-For: {peer}\r\n");
    field(&mut out, "X-Forwarded-Proto", "http");
    if let Some(host) = head.authority {
        field(&mut out, "X-Forwarded-Host", host);
    }
    if asks_for_websocket(head) {
        out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        return out;
    }
    let _ = write!(
        out,
        "Content-Length: {}\r\nConnection: close\r\n\r\n",
        head.content_length
    );
    out.extend_from_slice(body);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forwarded(head: &Head<'_, '_>, body: &[u8]) -> String {
        let ends = (
            IpAddr::from([127, 0, 0, 1]),
            SocketAddr::from(([127, 0, 0, 1], 8051)),
        );
        String::from_utf8(write_forwarded(head, body, ends)).unwrap()
    }

    #[test]
    fn a_websocket_is_asked_for_and_nothing_else() {
        for (line, expected) in [
            (
                "GET /x HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n",
                true,
            ),
            (
                "GET /x HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n",
                false,
            ),
            ("GET /x HTTP/1.1\r\nUpgrade: websocket\r\n", false),
            (
                "POST /x HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
                false,
            ),
            (
                "GET /x HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
                false,
            ),
        ] {
            let text = format!("{line}Host: a\r\nSec-WebSocket-Key: k\r\n\r\n");
            let mut fields = [httparse::EMPTY_HEADER; 16];
            let head = Head::parse(text.as_bytes(), &mut fields, 9).unwrap().unwrap();
            let written = forwarded(&head, b"");
            assert!(written.contains("\r\nSec-WebSocket-Key: k\r\n"), "{written}");
            let upgrade = "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
            assert_eq!(written.ends_with(upgrade), expected, "{written}");
            let close = "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            assert_eq!(written.ends_with(close), !expected, "{written}");
        }
    }

    #[test]
    fn the_host_is_the_one_that_the_request_is_for() {
        for (text, host) in [
            ("GET http://b:1/x HTTP/1.1\r\nHost: a\r\n\r\n", "b:1"),
            ("GET /x HTTP/1.1\r\nHost: a\r\n\r\n", "a"),
            ("GET /x HTTP/1.0\r\n\r\n", "127.0.0.1:8051"),
        ] {
            let mut fields = [httparse::EMPTY_HEADER; 16];
            let head = Head::parse(text.as_bytes(), &mut fields, 9).unwrap().unwrap();
            let begin = format!("GET /x HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: ");
            assert!(forwarded(&head, b"").starts_with(&begin), "{text}");
        }
    }

    #[test]
    fn what_belongs_to_the_connection_or_to_us_stays_here() {
        let text = "POST /login?next=%2F HTTP/1.1\r\nHost: localhost:8050\r\nCookie: a=b\r\nX-API-Key: k\r\n\
                    X-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nX_Api_Key: k\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n\
                    Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\nUpgrade: h2c\r\n\r\n";
        let mut fields = [httparse::EMPTY_HEADER; 16];
        let head = Head::parse(text.as_bytes(), &mut fields, 9).unwrap().unwrap();
        assert_eq!(
            forwarded(&head, b"u=x"),
            "POST /login?next=%2F HTTP/1.1\r\nHost: localhost:8050\r\nCookie: a=b\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nX-Forwarded-For: 127.0.0.1\r\n\
             X-Forwarded-Proto: http\r\nX-Forwarded-Host: localhost:8050\r\nContent-Length: 3\r\n\
             Connection: close\r\n\r\nu=x"
        );
    }
}
