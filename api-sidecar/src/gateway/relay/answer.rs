//! The head of a handler's answer, parsed and written anew.

use super::super::answer::{ResponseShape, field, write_common_fields, write_status_line};
use super::forward::is_of_connection;

/// Fields of an answer that the client may see. How the body is framed and whether the connection goes on is ours.
const ANSWER_FIELDS: [&str; 18] = [
    "allow",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-range",
    "content-security-policy",
    "content-type",
    "cross-origin-opener-policy",
    "etag",
    "last-modified",
    "link",
    "location",
    "referrer-policy",
    "retry-after",
    "vary",
    "x-content-type-options",
    "x-frame-options",
];

const FIELDS_MAX: usize = 64;

/// Which fields of an answer the client gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pass {
    /// Those of [`ANSWER_FIELDS`].
    Known,
    /// All that are not about the connection to the application.
    All,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct AnswerHead {
    pub(super) status: u16,
    pub(super) framing: Framing,
    /// Bytes of the head itself.
    pub(super) len: usize,
    fields: Vec<(String, Vec<u8>)>,
}

impl AnswerHead {
    /// `Ok(None)`: not complete.
    pub(super) fn parse(bytes: &[u8], pass: Pass) -> Result<Option<AnswerHead>, ()> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut answer = httparse::Response::new(&mut fields);
        let len = match answer.parse(bytes) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(()),
        };
        let status = answer
            .code
            .filter(|status| (100..600).contains(status))
            .ok_or(())?;
        let mut framing = Framing::UntilClose;
        let mut kept = Vec::new();
        let headers: &[httparse::Header<'_>] = answer.headers;
        let is_listed = |name: &str| {
            let lists = headers
                .iter()
                .filter(|header| header.name.eq_ignore_ascii_case("connection"));
            lists
                .flat_map(|header| header.value.split(|&byte| byte == b','))
                .any(|listed| listed.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
        };
        for header in headers {
            let value = str::from_utf8(header.value).unwrap_or("");
            if header.name.eq_ignore_ascii_case("content-length") {
                let length = Framing::Length(value.parse().map_err(|_| ())?);
                framing = match framing {
                    Framing::UntilClose => length,
                    // The coding wins (RFC 9112 section 6.3).
                    Framing::Chunked => Framing::Chunked,
                    Framing::Length(_) if framing == length => length,
                    Framing::Length(_) => return Err(()),
                };
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                // Another coding could not be passed on, for nobody asked for it.
                framing = match value.eq_ignore_ascii_case("chunked") {
                    true => Framing::Chunked,
                    false => return Err(()),
                };
            } else if match pass {
                Pass::Known => ANSWER_FIELDS
                    .iter()
                    .any(|name| header.name.eq_ignore_ascii_case(name)),
                // The time is ours.
                Pass::All => {
                    !header.name.eq_ignore_ascii_case("date")
                        && !is_of_connection(header.name, || is_listed(header.name))
                }
            } {
                kept.push((header.name.to_owned(), header.value.to_owned()));
            }
        }
        Ok(Some(AnswerHead {
            status,
            framing,
            len,
            fields: kept,
        }))
    }

    /// Whether the answer is still to come.
    pub(super) fn is_interim(&self) -> bool {
        self.status < 200 && !self.is_upgrade()
    }

    /// Whether the connection speaks another protocol from here on.
    pub(super) fn is_upgrade(&self) -> bool {
        self.status == 101
    }

    /// The head of an answer that grants a WebSocket.
    pub(super) fn write_upgrade(&self, out: &mut Vec<u8>, date: &str) {
        write_status_line(out, self.status);
        self.write_fields(out);
        field(out, "Date", date);
        out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    }

    fn write_fields(&self, out: &mut Vec<u8>) {
        for (name, value) in &self.fields {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Whether an answer of this status ends with its head, whatever its fields say (RFC 9112 section 6.3).
    pub(super) fn is_bodyless(&self) -> bool {
        matches!(self.status, 204 | 304)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>, shape: &ResponseShape, date: &str, chunked: bool) {
        write_status_line(out, self.status);
        self.write_fields(out);
        write_common_fields(out, shape, date, None);
        match self.framing {
            // RFC 9110 section 8.6: a 204 has no body whose length could be told.
            _ if self.status == 204 => {}
            Framing::Length(length) => field(out, "Content-Length", &length.to_string()),
            _ if chunked && !shape.head_only && !self.is_bodyless() => {
                field(out, "Transfer-Encoding", "chunked");
            }
            _ => {}
        }
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_written_anew() {
        let bytes = b"HTTP/1.1 200 OK\r\nServer: tiny\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\
                      Set-Cookie: x\r\nConnection: close\r\n\r\nhello";
        let head = AnswerHead::parse(bytes, Pass::Known).unwrap().unwrap();
        assert_eq!((head.status, head.framing), (200, Framing::Length(5)));
        assert_eq!(&bytes[head.len..], b"hello");
        let shape = ResponseShape {
            minor_version: 1,
            keep_alive: true,
            head_only: false,
            cors_origin: None,
        };
        let mut out = Vec::new();
        head.write(&mut out, &shape, "now", false);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nDate: now\r\nContent-Length: 5\r\n\r\n"
        );
    }

    #[test]
    fn an_application_keeps_its_own_fields() {
        let bytes =
            b"HTTP/1.1 302 Found\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nLocation: /x\r\nDate: then\r\n\
                      Connection: close, X-Hop\r\nX-Hop: 1\r\nContent-Length: 0\r\n\r\n";
        let head = AnswerHead::parse(bytes, Pass::All).unwrap().unwrap();
        let mut out = Vec::new();
        head.write(&mut out, &ResponseShape::closing(), "now", false);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "HTTP/1.1 302 Found\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nLocation: /x\r\nDate: now\r\n\
             Connection: close\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn an_answer_without_a_body_announces_none() {
        let shape = ResponseShape {
            minor_version: 1,
            keep_alive: true,
            head_only: false,
            cors_origin: None,
        };
        for (fields, expected) in [
            ("204 No Content\r\n", "204 No Content\r\nDate: now\r\n\r\n"),
            (
                "204 No Content\r\nContent-Length: 0\r\n",
                "204 No Content\r\nDate: now\r\n\r\n",
            ),
            (
                "304 Not Modified\r\nETag: x\r\n",
                "304 Not Modified\r\nETag: x\r\nDate: now\r\n\r\n",
            ),
            (
                "304 Not Modified\r\nTransfer-Encoding: chunked\r\n",
                "304 Not Modified\r\nDate: now\r\n\r\n",
            ),
            (
                "200 OK\r\n",
                "200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n",
            ),
        ] {
            let bytes = format!("HTTP/1.1 {fields}\r\n");
            let head = AnswerHead::parse(bytes.as_bytes(), Pass::All).unwrap().unwrap();
            let mut out = Vec::new();
            head.write(&mut out, &shape, "now", true);
            assert_eq!(String::from_utf8(out).unwrap(), format!("HTTP/1.1 {expected}"));
        }
    }

    #[test]
    fn framing_is_what_the_handler_said() {
        let framing = |fields: &str| {
            AnswerHead::parse(format!("HTTP/1.1 200 OK\r\n{fields}\r\n").as_bytes(), Pass::Known)
                .map(|head| head.map(|head| head.framing))
        };
        assert_eq!(
            framing("Transfer-Encoding: chunked\r\n"),
            Ok(Some(Framing::Chunked))
        );
        assert_eq!(framing(""), Ok(Some(Framing::UntilClose)));
        assert_eq!(framing("Content-Length: x\r\n"), Err(()));
        assert_eq!(
            framing("Content-Length: 5\r\nContent-Length: 5\r\n"),
            Ok(Some(Framing::Length(5)))
        );
        assert_eq!(framing("Content-Length: 5\r\nContent-Length: 6\r\n"), Err(()));
        assert_eq!(framing("Transfer-Encoding: gzip, chunked\r\n"), Err(()));
        for both in [
            "Content-Length: 5\r\nTransfer-Encoding: Chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        ] {
            assert_eq!(framing(both), Ok(Some(Framing::Chunked)));
        }
        assert_eq!(AnswerHead::parse(b"HTTP/1.1 200 OK\r\nA", Pass::Known), Ok(None));
        let interim = AnswerHead::parse(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", Pass::All);
        assert!(interim.unwrap().unwrap().is_interim());
        let upgrade = AnswerHead::parse(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", Pass::All);
        let upgrade = upgrade.unwrap().unwrap();
        assert!(upgrade.is_upgrade() && !upgrade.is_interim());
        assert_eq!(AnswerHead::parse(b"nonsense\r\n\r\n", Pass::Known), Err(()));
    }
}
