//! Answers: a status, a JSON body, and how it is put on the wire of HTTP/1.x.

use std::io::Write as _;

use crate::wire::{self, Object};

/// An answer that the gateway itself gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) allow: Option<&'static str>,
}

impl Answer {
    /// `{"error": …}`.
    pub(crate) fn error(status: u16, error: &str) -> Answer {
        let mut body = Vec::new();
        Object::begin(&mut body).string("error", error);
        Answer {
            status,
            body,
            allow: None,
        }
    }

    /// `{"error": …, "code": …}`: `code` tells a program which of several answers of one status this is.
    pub(crate) fn coded(status: u16, error: &str, code: &str) -> Answer {
        let mut body = Vec::new();
        Object::begin(&mut body)
            .string("error", error)
            .string("code", code);
        Answer {
            status,
            body,
            allow: None,
        }
    }

    /// 400 `{"error": …, "details": …}`: a body that cannot be understood.
    pub(crate) fn invalid(error: &str, details: &str) -> Answer {
        let mut body = Vec::new();
        Object::begin(&mut body)
            .string("error", error)
            .string("details", details);
        Answer {
            status: 400,
            body,
            allow: None,
        }
    }

    pub(crate) fn not_found() -> Answer {
        Answer {
            status: 404,
            body: wire::NOT_FOUND.to_vec(),
            allow: None,
        }
    }

    pub(crate) fn method_not_allowed(allow: &'static str) -> Answer {
        Answer {
            allow: Some(allow),
            ..Answer::error(405, "Method is not allowed here")
        }
    }

    /// Back-pressure: nothing was done, and trying again soon is right.
    pub(crate) fn busy(error: &str) -> Answer {
        Answer::coded(503, error, "busy")
    }

    /// The disk is nearly full, and what was asked could add to a position: nothing was sequenced.
    pub(crate) fn disk_low() -> Answer {
        Answer::coded(
            503,
            "The disk is nearly full: new orders are refused, cancels, closes and orders that only reduce a position are not",
            "disk_low",
        )
    }

    /// The command is sequenced or about to be, and the journal does not answer.
    pub(crate) fn outcome_unknown() -> Answer {
        Answer::coded(
            503,
            "The outcome is not known yet: retry with the same client_order_id to learn it",
            "outcome_unknown",
        )
    }
}

/// What the request said about how its answer has to look.
#[derive(Clone, Debug)]
pub(crate) struct ResponseShape {
    /// HTTP/1.x.
    pub(crate) minor_version: u8,
    pub(crate) keep_alive: bool,
    /// A HEAD request: the head of the answer only.
    pub(crate) head_only: bool,
    /// The Origin of a permitted foreign page.
    pub(crate) cors_origin: Option<Box<str>>,
}

impl ResponseShape {
    /// For a request whose head was not understood.
    pub(crate) fn closing() -> ResponseShape {
        ResponseShape {
            minor_version: 1,
            keep_alive: false,
            head_only: false,
            cors_origin: None,
        }
    }
}

/// Puts a whole JSON answer on the wire. `date` is the value of the `Date` field.
pub(crate) fn write_response(
    out: &mut Vec<u8>,
    shape: &ResponseShape,
    date: &str,
    status: u16,
    allow: Option<&'static str>,
    body: &[u8],
) {
    write_status_line(out, status);
    out.extend_from_slice(b"Content-Type: application/json\r\nCache-Control: no-store\r\n");
    out.extend_from_slice(b"X-Content-Type-Options: nosniff\r\n");
    if let Some(allow) = allow {
        field(out, "Allow", allow);
    }
    if matches!(status, 429 | 503) {
        field(out, "Retry-After", "1");
    }
    if status == 426 {
        out.extend_from_slice(b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
    }
    if status == 401 {
        field(out, "WWW-Authenticate", "Bearer");
    }
    // Whoever sends Upgrade names it in Connection (RFC 9110 section 7.8).
    write_common_fields(out, shape, date, (status == 426).then_some("Upgrade"));
    let _ = write!(out, "Content-Length: {}\r\n\r\n", body.len());
    if !shape.head_only {
        out.extend_from_slice(body);
    }
}

/// Answer to a permitted preflight (Fetch standard, CORS) or a plain OPTIONS.
pub(crate) fn write_options_response(
    out: &mut Vec<u8>,
    shape: &ResponseShape,
    date: &str,
    allow: &'static str,
) {
    let body = br#"{"message":"OK"}"#;
    write_status_line(out, 200);
    field(out, "Allow", allow);
    if shape.cors_origin.is_some() {
        field(out, "Access-Control-Allow-Methods", allow);
        field(
            out,
            "Access-Control-Allow-Headers",
            "Authorization, Content-Type, Idempotency-Key, X-API-Key",
        );
        field(out, "Access-Control-Max-Age", "600");
    }
    write_common_fields(out, shape, date, None);
    let _ = write!(
        out,
        "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    out.extend_from_slice(body);
}

pub(crate) fn write_status_line(out: &mut Vec<u8>, status: u16) {
    // The version is the server's own (RFC 9110 section 2.5), also towards a 1.0 client.
    let _ = write!(out, "HTTP/1.1 {status} {}\r\n", reason_phrase(status));
}

/// `Date`, `Connection` and the fields of CORS. `option` is a further connection option.
pub(crate) fn write_common_fields(
    out: &mut Vec<u8>,
    shape: &ResponseShape,
    date: &str,
    option: Option<&'static str>,
) {
    field(out, "Date", date);
    let persistence = match (shape.keep_alive, shape.minor_version) {
        (false, _) => Some("close"),
        (true, 0) => Some("keep-alive"),
        (true, _) => None,
    };
    match (persistence, option) {
        (Some(persistence), Some(option)) => {
            field(out, "Connection", &format!("{persistence}, {option}"));
        }
        (Some(only), None) | (None, Some(only)) => field(out, "Connection", only),
        (None, None) => {}
    }
    if let Some(origin) = &shape.cors_origin {
        field(out, "Access-Control-Allow-Origin", origin);
        field(out, "Access-Control-Allow-Credentials", "true");
        field(out, "Vary", "Origin");
    }
}

pub(crate) fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn reason_phrase(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        // RFC 9112 section 4: the phrase may be empty.
        _ => "",
    }
}
