//! The head of a request: parsed, and strict about everything that decides where a request ends.
//!
//! RFC 9112 lets two readers of one byte stream disagree about framing in a dozen ways, and each is a request
//! smuggled past the first. Here a head is either beyond doubt or answered with an error and a closed connection.

use core::str;

use httparse::{Header, Status};

use crate::auth::Credentials;
use crate::limits::{HEAD_BYTES_MAX, TARGET_BYTES_MAX};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Patch,
    Options,
    /// Known, so that they are refused as any method that a path does not take; nothing takes them.
    Trace,
    Query,
}

impl Method {
    /// Methods are case-sensitive (RFC 9110 section 9.1).
    fn parse(text: &str) -> Option<Method> {
        Some(match text {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "DELETE" => Method::Delete,
            "PATCH" => Method::Patch,
            "OPTIONS" => Method::Options,
            "TRACE" => Method::Trace,
            "QUERY" => Method::Query,
            _ => return None,
        })
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Patch => "PATCH",
            Method::Options => "OPTIONS",
            Method::Trace => "TRACE",
            Method::Query => "QUERY",
        }
    }

    /// Whether the method only reads (RFC 9110 section 9.2.1).
    pub(crate) const fn is_safe(self) -> bool {
        matches!(self, Method::Get | Method::Head | Method::Options)
    }
}

/// A head that cannot be served: the status that says why. The connection is closed after it, because where the next
/// request would begin is not known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct HeadError {
    pub(crate) status: u16,
    pub(crate) error: &'static str,
}

/// A body beyond what its reader takes.
pub(crate) const TOO_LARGE: HeadError = refuse(413, "Request body is too large");

const fn refuse(status: u16, error: &'static str) -> HeadError {
    HeadError { status, error }
}

/// A parsed head. `'h` is the field array, `'b` the received bytes.
#[derive(Debug)]
pub(crate) struct Head<'h, 'b> {
    pub(crate) method: Method,
    /// Percent-encoded, from the first `/`; `*` for `OPTIONS *`.
    pub(crate) path: &'b str,
    /// Without the question mark.
    pub(crate) query: Option<&'b str>,
    /// Host and port as the client names us: of the target where it is absolute, else of `Host`.
    pub(crate) authority: Option<&'b str>,
    /// HTTP/1.x.
    pub(crate) minor_version: u8,
    pub(crate) keep_alive: bool,
    pub(crate) expects_continue: bool,
    pub(crate) content_length: usize,
    /// Bytes of the head itself.
    pub(crate) len: usize,
    fields: &'h [Header<'b>],
}

impl<'h, 'b> Head<'h, 'b> {
    /// `None`: the head is not complete. `fields` bounds the number of header fields.
    pub(crate) fn parse(
        bytes: &'b [u8],
        fields: &'h mut [Header<'b>],
        body_max: usize,
    ) -> Result<Option<Head<'h, 'b>>, HeadError> {
        let mut request = httparse::Request::new(fields);
        let len = match request.parse(bytes) {
            Ok(Status::Complete(len)) if len <= HEAD_BYTES_MAX => len,
            Ok(Status::Partial) if bytes.len() < HEAD_BYTES_MAX => return Ok(None),
            Ok(_) => return Err(too_large(bytes)),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(refuse(431, "Too many header fields"));
            }
            Err(httparse::Error::Version) if names_http(bytes) => {
                return Err(refuse(505, "HTTP version is not 1.0 or 1.1"));
            }
            Err(_) => return Err(refuse(400, "Malformed request head")),
        };
        // Present in every complete head.
        let (Some(method), Some(target), Some(minor_version)) =
            (request.method, request.path, request.version)
        else {
            return Err(refuse(400, "Malformed request head"));
        };
        let fields: &'h [Header<'b>] = request.headers;
        if target.len() > TARGET_BYTES_MAX {
            return Err(refuse(414, "Request target is too long"));
        }
        let method = Method::parse(method).ok_or(refuse(501, "Method is not implemented"))?;
        let (authority, path, query) = split_target(method, target)?;
        let host = only_field(fields, "host").map_err(|()| refuse(400, "More than one Host"))?;
        if host.is_none() && minor_version == 1 {
            return Err(refuse(400, "Host is missing"));
        }
        if !host.is_none_or(|value| value.is_empty() || is_authority(value)) {
            return Err(refuse(400, "Malformed Host"));
        }
        let host = host.and_then(|value| str::from_utf8(value).ok());
        let head = Head {
            method,
            path,
            query,
            authority: authority.or(host),
            minor_version,
            keep_alive: keep_alive(fields, minor_version),
            expects_continue: expects_continue(fields, minor_version)?,
            content_length: content_length(fields, body_max)?,
            len,
            fields,
        };
        Ok(Some(head))
    }

    /// Every field, as it came.
    pub(crate) fn fields(&self) -> &'h [Header<'b>] {
        self.fields
    }

    /// The first value of a field; names are matched without case.
    pub(crate) fn field(&self, name: &str) -> Option<&'b [u8]> {
        values(self.fields, name).next()
    }

    /// A field's value where there is exactly one and it is visible ASCII.
    pub(crate) fn text_field(&self, name: &str) -> Option<&'b str> {
        let value = only_field(self.fields, name).ok()??;
        let visible = value.iter().all(|byte| (b' '..=b'~').contains(byte));
        str::from_utf8(value).ok().filter(|_| visible)
    }

    /// Whether a comma-separated field names `token`, in any case.
    pub(crate) fn has_token(&self, name: &str, token: &str) -> bool {
        has_token(self.fields, name, token)
    }

    /// A request that came through a proxy speaks for someone who may be anywhere.
    pub(crate) fn is_forwarded(&self) -> bool {
        self.fields.iter().any(|field| {
            let name = field.name.as_bytes();
            let exact = ["forwarded", "x-real-ip", "via"];
            exact
                .iter()
                .any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
                || name
                    .get(..b"x-forwarded-".len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(b"x-forwarded-"))
        })
    }

    /// Whether the client named us by a loopback name: otherwise a foreign page may have, through its own DNS.
    pub(crate) fn names_loopback(&self) -> bool {
        self.authority
            .is_some_and(|authority| is_loopback_name(host_of(authority)))
    }

    pub(crate) fn credentials(&self) -> Credentials<'b> {
        let key = only_field(self.fields, "x-api-key");
        let authorization = only_field(self.fields, "authorization");
        match (key, authorization) {
            (Ok(None), Ok(None)) => Credentials::Absent,
            (Ok(Some(key)), Ok(None)) => Credentials::Key(key),
            (Ok(None), Ok(Some(value))) => match bearer(value) {
                Some(key) => Credentials::Key(key),
                None => Credentials::Malformed,
            },
            _ => Credentials::Malformed,
        }
    }
}

/// Whether the third word of the request line is a version of HTTP at all.
fn names_http(bytes: &[u8]) -> bool {
    let word = bytes.split(|&byte| byte == b' ').nth(2);
    word.is_some_and(|word| word.starts_with(b"HTTP/"))
}

fn too_large(bytes: &[u8]) -> HeadError {
    let line = &bytes[..bytes.len().min(TARGET_BYTES_MAX)];
    if line.contains(&b'\n') {
        refuse(431, "Request head is too large")
    } else {
        refuse(414, "Request target is too long")
    }
}

type Target<'b> = (Option<&'b str>, &'b str, Option<&'b str>);

/// Authority (absolute form only), path and query.
fn split_target(method: Method, target: &str) -> Result<Target<'_>, HeadError> {
    let malformed = refuse(400, "Malformed request target");
    if !target
        .bytes()
        .all(|byte| (b'!'..=b'~').contains(&byte) && byte != b'#')
    {
        return Err(malformed);
    }
    if target == "*" && method == Method::Options {
        return Ok((None, target, None));
    }
    let (authority, rest) = if target.starts_with('/') {
        (None, target)
    } else {
        let scheme_end = target.find("://").ok_or(malformed)?;
        if !target[..scheme_end].eq_ignore_ascii_case("http") {
            return Err(malformed);
        }
        let after = &target[scheme_end + 3..];
        let end = after.find(['/', '?']).unwrap_or(after.len());
        if !is_authority(&after.as_bytes()[..end]) {
            return Err(malformed);
        }
        (
            Some(&after[..end]),
            if end == after.len() { "/" } else { &after[end..] },
        )
    };
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    Ok((authority, if path.is_empty() { "/" } else { path }, query))
}

/// A host that is not empty, and perhaps a port (RFC 9110 section 4.2.1): nobody's name, and nothing that another reader
/// could take for something else.
fn is_authority(value: &[u8]) -> bool {
    let host_end = match value.first() {
        Some(b'[') => value.iter().position(|&byte| byte == b']').map_or(0, |at| at + 1),
        _ => value.iter().position(|&byte| byte == b':').unwrap_or(value.len()),
    };
    let (host, port) = value.split_at(host_end);
    let named = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(byte);
    let host_is_sound = match host.strip_prefix(b"[") {
        Some(inner) => inner
            .strip_suffix(b"]")
            .is_some_and(|inner| !inner.is_empty() && inner.iter().all(|byte| named(byte) || *byte == b':')),
        None => !host.is_empty() && host.iter().all(named),
    };
    let port_is_sound = match port.strip_prefix(b":") {
        Some(digits) => digits.iter().all(u8::is_ascii_digit),
        None => port.is_empty(),
    };
    host_is_sound && port_is_sound
}

fn values<'b>(fields: &[Header<'b>], name: &str) -> impl Iterator<Item = &'b [u8]> {
    fields
        .iter()
        .filter(move |field| field.name.eq_ignore_ascii_case(name))
        .map(|field| field.value)
}

/// The value of a field that may appear once. `Err` where it appears more often.
fn only_field<'b>(fields: &[Header<'b>], name: &str) -> Result<Option<&'b [u8]>, ()> {
    let mut values = values(fields, name);
    let first = values.next();
    match values.next() {
        Some(_) => Err(()),
        None => Ok(first),
    }
}

fn has_token(fields: &[Header<'_>], name: &str, token: &str) -> bool {
    values(fields, name)
        .flat_map(|value| value.split(|&byte| byte == b','))
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

fn keep_alive(fields: &[Header<'_>], minor_version: u8) -> bool {
    if has_token(fields, "connection", "close") {
        return false;
    }
    minor_version == 1 || has_token(fields, "connection", "keep-alive")
}

fn expects_continue(fields: &[Header<'_>], minor_version: u8) -> Result<bool, HeadError> {
    match only_field(fields, "expect") {
        Ok(None) => Ok(false),
        Ok(Some(value)) if value.eq_ignore_ascii_case(b"100-continue") => Ok(minor_version == 1),
        _ => Err(refuse(417, "Expectation is not 100-continue")),
    }
}

/// Exactly one `Content-Length` of digits, or none. `Transfer-Encoding` is never decoded: 411 asks for a length.
fn content_length(fields: &[Header<'_>], body_max: usize) -> Result<usize, HeadError> {
    let length =
        only_field(fields, "content-length").map_err(|()| refuse(400, "More than one Content-Length"))?;
    let mut encodings = values(fields, "transfer-encoding").peekable();
    if encodings.peek().is_some() {
        if length.is_some() {
            return Err(refuse(400, "Both Content-Length and Transfer-Encoding"));
        }
        return Err(if encodings.all(|value| value.eq_ignore_ascii_case(b"chunked")) {
            refuse(411, "Content-Length is required")
        } else {
            refuse(501, "Transfer-Encoding is not implemented")
        });
    }
    let Some(value) = length else { return Ok(0) };
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(refuse(400, "Malformed Content-Length"));
    }
    // All digits, so the only failure is a number too large for the type.
    str::from_utf8(value)
        .ok()
        .and_then(|digits| digits.parse::<usize>().ok())
        .filter(|&length| length <= body_max)
        .ok_or(TOO_LARGE)
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.split_at_checked(b"Bearer ".len())?;
    let key = key.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !key.is_empty()).then_some(key)
}

/// `[::1]:8050` → `[::1]`, `localhost:8050` → `localhost`.
pub(crate) fn host_of(authority: &str) -> &str {
    let end = match authority.find(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    &authority[..end]
}

pub(crate) fn is_loopback_name(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host == "127.0.0.1" || host == "[::1]"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::HEADERS_MAX;

    fn with_head<R>(text: &str, look: impl FnOnce(Result<Option<&Head<'_, '_>>, HeadError>) -> R) -> R {
        let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
        match Head::parse(text.as_bytes(), &mut fields, 1_000) {
            Ok(head) => look(Ok(head.as_ref())),
            Err(error) => look(Err(error)),
        }
    }

    fn status(text: &str) -> u16 {
        with_head(text, |head| match head {
            Ok(Some(_)) => 200,
            Ok(None) => 100,
            Err(error) => error.status,
        })
    }

    #[test]
    fn framing_is_beyond_doubt_or_refused() {
        let many = "X: y\r\n".repeat(HEADERS_MAX);
        let long = "y".repeat(HEAD_BYTES_MAX);
        let far = format!("/{}", "a".repeat(TARGET_BYTES_MAX));
        for (expected, head) in [
            (200, "Content-Length: 10\r\n"),
            (200, "content-length:10\r\n"),
            (400, "Content-Length: 10\r\nContent-Length: 10\r\n"),
            (400, "Content-Length: 10\r\nContent-Length: 11\r\n"),
            (400, "Content-Length: 10, 10\r\n"),
            (400, "Content-Length: +10\r\n"),
            (400, "Content-Length: -1\r\n"),
            (400, "Content-Length: 0x10\r\n"),
            (400, "Content-Length: 1 0\r\n"),
            (400, "Content-Length: 10;a=b\r\n"),
            (400, "Content-Length:\r\n"),
            (400, "Content-Length : 10\r\n"),
            (400, "Content-Length: 10\r\nTransfer-Encoding: chunked\r\n"),
            (400, " Folded: x\r\n"),
            (400, "A: b\r\n Content-Length: 10\r\n"),
            (400, "A: b\0\r\n"),
            (400, "A\rB: b\r\n"),
            (400, "Host: other\r\n"),
            (411, "Transfer-Encoding: chunked\r\n"),
            (411, "Transfer-Encoding: CHUNKED\r\n"),
            (501, "Transfer-Encoding: gzip, chunked\r\n"),
            (501, "Transfer-Encoding: xchunked\r\n"),
            (413, "Content-Length: 1001\r\n"),
            (413, "Content-Length: 99999999999999999999999999999999\r\n"),
            (417, "Expect: 200-ok\r\n"),
            (431, &many),
            (431, &format!("A: {long}\r\n")),
        ] {
            let text = format!("POST /x HTTP/1.1\r\nHost: a\r\n{head}\r\n");
            assert_eq!(status(&text), expected, "{:.80}", head);
        }
        for (expected, line) in [
            (200, "GET / HTTP/1.1"),
            (200, "OPTIONS * HTTP/1.1"),
            (200, "GET http://a/b?c HTTP/1.1"),
            (400, "GET * HTTP/1.1"),
            (400, "GET a HTTP/1.1"),
            (400, "GET http:///a HTTP/1.1"),
            (400, "GET http://a@b/ HTTP/1.1"),
            (400, "GET http://a:b/ HTTP/1.1"),
            (400, "GET https://a/ HTTP/1.1"),
            (501, "CONNECT a:80 HTTP/1.1"),
            (400, "GET ftp://a/ HTTP/1.1"),
            (400, "GET /a#b HTTP/1.1"),
            (400, "GET /a b HTTP/1.1"),
            (400, "GET  / HTTP/1.1"),
            (414, &format!("GET {far} HTTP/1.1")),
            (501, "get / HTTP/1.1"),
            (501, "BREW / HTTP/1.1"),
            (505, "GET / HTTP/2.0"),
        ] {
            assert_eq!(
                status(&format!("{line}\r\nHost: a\r\n\r\n")),
                expected,
                "{line:.80}"
            );
        }
        assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), 400, "1.1 needs a Host");
        for (expected, host) in [
            (200, ""),
            (200, "a"),
            (200, "a-b.example:"),
            (200, "127.0.0.1:8050"),
            (200, "[::1]:8050"),
            (400, "a b"),
            (400, "a/b"),
            (400, "a@b"),
            (400, "a:b"),
            (400, "a:80:80"),
            (400, ":80"),
            (400, "[]"),
            (400, "[::1"),
            (400, "[::1]x"),
            (400, "a, b"),
            (400, "\u{e9}"),
        ] {
            for version in ["1.1", "1.0"] {
                let text = format!("GET / HTTP/{version}\r\nHost: {host}\r\n\r\n");
                assert_eq!(status(&text), expected, "{host:?}");
            }
        }
        assert_eq!(status("GET / HTTP/1.0\r\n\r\n"), 200);
        assert_eq!(status("GET / HTTP/1.1\r\nHost: a\r\n"), 100);
    }

    #[test]
    fn targets_split() {
        let check = |line: &str, expected: (Option<&str>, &str, Option<&str>)| {
            with_head(&format!("{line} HTTP/1.1\r\nHost: h:1\r\n\r\n"), |head| {
                let head = head.unwrap().unwrap();
                assert_eq!((head.authority, head.path, head.query), expected);
            });
        };
        check("GET /a/b?c=d?e", (Some("h:1"), "/a/b", Some("c=d?e")));
        check("GET http://x:2/a?b", (Some("x:2"), "/a", Some("b")));
        check("GET HTTP://x?b", (Some("x"), "/", Some("b")));
        check("GET http://x", (Some("x"), "/", None));
    }

    #[test]
    fn a_forwarded_or_renamed_request_is_not_local() {
        let check = |fields: &str, local: bool| {
            with_head(&format!("GET / HTTP/1.1\r\n{fields}\r\n"), |head| {
                let head = head.unwrap().unwrap();
                assert_eq!(head.names_loopback() && !head.is_forwarded(), local, "{fields}");
            });
        };
        check("Host: localhost:8050\r\n", true);
        check("Host: LOCALHOST\r\n", true);
        check("Host: 127.0.0.1:1\r\n", true);
        check("Host: [::1]:8050\r\n", true);
        check("Host: evil.example\r\n", false);
        check("Host: localhost.evil.example\r\n", false);
        check("Host: 127.0.0.1.evil.example\r\n", false);
        check("Host:\r\n", false);
        for field in [
            "Forwarded",
            "X-Forwarded-For",
            "x-forwarded-proto",
            "X-Real-IP",
            "Via",
        ] {
            check(&format!("Host: localhost\r\n{field}: x\r\n"), false);
        }
    }

    #[test]
    fn credentials_are_one_key() {
        let check = |fields: &str, expected: Credentials<'_>| {
            with_head(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"), |head| {
                assert_eq!(head.unwrap().unwrap().credentials(), expected, "{fields}");
            });
        };
        check("", Credentials::Absent);
        check("X-API-Key: k\r\n", Credentials::Key(b"k"));
        check("authorization: bearer k\r\n", Credentials::Key(b"k"));
        check("Authorization: Basic k\r\n", Credentials::Malformed);
        check("Authorization: Bearer \r\n", Credentials::Malformed);
        check("X-API-Key: k\r\nX-API-Key: l\r\n", Credentials::Malformed);
        check(
            "X-API-Key: k\r\nAuthorization: Bearer k\r\n",
            Credentials::Malformed,
        );
    }

    #[test]
    fn connections_stay_as_their_version_says() {
        let check = |version: &str, fields: &str, expected: bool| {
            with_head(
                &format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n"),
                |head| {
                    assert_eq!(head.unwrap().unwrap().keep_alive, expected, "{version} {fields}");
                },
            );
        };
        check("1.1", "", true);
        check("1.1", "Connection: foo, Close\r\n", false);
        check("1.0", "", false);
        check("1.0", "Connection: Keep-Alive\r\n", true);
        check("1.0", "Connection: keep-alive\r\nConnection: close\r\n", false);
    }
}
