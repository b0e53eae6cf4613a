//! A relayed request, written anew.

use std::io::Write as _;

use super::super::answer::field;
use super::super::head::{Head, Method};
use crate::auth::Principal;

/// Fields of a client's request that the handlers may see. Cookies, `X-Pinion-*` and everything about the connection
/// stay outside.
const REQUEST_FIELDS: [&str; 8] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "content-type",
    "if-modified-since",
    "if-none-match",
    "range",
    "user-agent",
];

/// What the gateway vouches for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity<'a> {
    /// `None`: nobody known asks for something that anyone may see.
    pub(crate) who: Option<&'a Principal>,
    /// The answer must reflect everything up to this sequence number.
    pub(crate) min_seq: u64,
}

/// The bytes of a request for the handlers. `path` is canonical; the body of a safe request is left out.
pub(crate) fn write_request(head: &Head<'_, '_>, path: &str, body: &[u8], identity: Identity<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(512 + body.len());
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(path.as_bytes());
    if let Some(query) = head.query {
        out.push(b'?');
        out.extend_from_slice(query.as_bytes());
    }
    out.extend_from_slice(b" HTTP/1.1\r\nHost: pinion\r\nConnection: close\r\n");
    for name in REQUEST_FIELDS {
        if let Some(value) = head.text_field(name) {
            field(&mut out, name, value);
        }
    }
    let role = identity.who.map_or("none", |who| who.role.as_str());
    field(&mut out, "X-Pinion-Role", role);
    if let Some(who) = identity.who {
        let _ = write!(out, "X-Pinion-Account: {}\r\n", who.account);
        field(&mut out, "X-Pinion-Account-Name", who.name.as_str());
    }
    let _ = write!(out, "X-Pinion-Min-Seq: {}\r\n", identity.min_seq);
    if head.method.is_safe() {
        out.extend_from_slice(b"\r\n");
    } else {
        let _ = write!(out, "Content-Length: {}\r\n\r\n", body.len());
        out.extend_from_slice(body);
    }
    debug_assert!(
        head.method != Method::Options,
        "OPTIONS is answered by the gateway"
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Role;
    use engine::{AccountId, AccountName};

    #[test]
    fn only_what_is_known_passes() {
        let text = "GET /a%20b?q=1 HTTP/1.1\r\nHost: evil\r\nCookie: c\r\nX-Pinion-Role: admin\r\nAccept: */*\r\n\
                    Transfer-Foo: x\r\nAuthorization: Bearer k\r\nUser-Agent: \u{e9}\r\n\r\n";
        let mut fields = [httparse::EMPTY_HEADER; 16];
        let head = Head::parse(text.as_bytes(), &mut fields, 0).unwrap().unwrap();
        let who = Principal {
            account: AccountId::new(3),
            name: AccountName::cut("desk"),
            role: Role::Viewer,
        };
        let identity = Identity {
            who: Some(&who),
            min_seq: 17,
        };
        assert_eq!(
            String::from_utf8(write_request(&head, "/a%20b", b"ignored", identity)).unwrap(),
            "GET /a%20b?q=1 HTTP/1.1\r\nHost: pinion\r\nConnection: close\r\naccept: */*\r\nX-Pinion-Role: viewer\r\n\
             X-Pinion-Account: 3\r\nX-Pinion-Account-Name: desk\r\nX-Pinion-Min-Seq: 17\r\n\r\n"
        );
    }
}
