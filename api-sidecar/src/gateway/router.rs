//! Which lane a request takes.

use std::borrow::Cow;

use super::head::Method;
use crate::limits::PATH_SEGMENTS_MAX;

/// An order as a path or a message names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OrderName {
    Path(u64),
    /// By `order_id` or `client_order_id` in the body.
    Body,
}

/// A request of the order lane. Path ids are as the client wrote them, in range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OrderRoute {
    Place,
    Modify(OrderName),
    Cancel(OrderName),
    CancelAll,
    Validate,
    ClosePosition(u64),
    ClosePositionBySymbol,
    EditConditions(u64),
    KillSwitch,
    Rearm,
    SetLimits,
    AdjustCash,
    Heartbeat,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Route {
    Order(OrderRoute),
    WebSocket,
    /// To the REST handlers, with this path, canonically encoded. `open`: readable without saying who asks.
    Relay {
        path: String,
        open: bool,
    },
    Options {
        allow: &'static str,
    },
    NotFound,
    MethodNotAllowed {
        allow: &'static str,
    },
    /// The path's percent-encoding is broken.
    Malformed,
}

const READ: &str = "GET, HEAD, OPTIONS";
const POST: &str = "POST, OPTIONS";
const READ_AND_PUT: &str = "GET, HEAD, PUT, OPTIONS";
const ORDERS: &str = "GET, HEAD, POST, PUT, DELETE, OPTIONS";
const ONE_ORDER: &str = "GET, HEAD, PUT, DELETE, OPTIONS";
const ANY: &str = "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS";

pub(crate) fn route(method: Method, raw_path: &str) -> Route {
    if raw_path == "*" {
        return Route::Options { allow: ANY };
    }
    let path = match decode(raw_path) {
        Ok(path) => path,
        Err(refused) => return refused,
    };
    let mut segments = [""; PATH_SEGMENTS_MAX];
    let mut count = 0;
    for segment in path.strip_prefix('/').unwrap_or(&path).split('/') {
        // A path names things; it is not walked: dots would only be a way around a rule.
        let Some(place) = segments
            .get_mut(count)
            .filter(|_| segment != "." && segment != "..")
        else {
            return Route::NotFound;
        };
        *place = segment;
        count += 1;
    }
    let segments = &segments[..count];
    match segments {
        ["ws", "oms"] => allowed(method, &[Method::Get, Method::Head], READ, || Route::WebSocket),
        ["api", "oms", rest @ ..] => api_route(method, rest, segments),
        ["", _, ..] => Route::NotFound,
        _ => relay(method, READ, segments),
    }
}

/// Whether a path is Pinion's own, whatever application serves the others.
pub(crate) fn is_ours(raw_path: &str) -> bool {
    let Some(path) = percent_decode(raw_path) else {
        return true;
    };
    let below = |root: &[u8]| {
        path.strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    };
    raw_path == "*" || below(b"/api/oms") || below(b"/ws/oms") || path == b"/metrics"
}

/// The path without percent-encoding. An encoded separator or control character names nothing of ours.
fn decode(raw_path: &str) -> Result<Cow<'_, str>, Route> {
    if !raw_path.contains('%') {
        return Ok(Cow::Borrowed(raw_path));
    }
    let bytes = percent_decode(raw_path).ok_or(Route::Malformed)?;
    let separators = |path: &str| path.matches('/').count();
    String::from_utf8(bytes)
        .ok()
        .filter(|path| !path.contains(char::is_control) && separators(path) == separators(raw_path))
        .map(Cow::Owned)
        .ok_or(Route::NotFound)
}

fn api_route(method: Method, rest: &[&str], segments: &[&str]) -> Route {
    let order = |route: OrderRoute| allowed(method, &[Method::Post], POST, || Route::Order(route));
    match (rest, method) {
        (["orders"], Method::Post) => Route::Order(OrderRoute::Place),
        (["orders"], Method::Put) => Route::Order(OrderRoute::Modify(OrderName::Body)),
        (["orders"], Method::Delete) => Route::Order(OrderRoute::Cancel(OrderName::Body)),
        (["orders"], _) => relay(method, ORDERS, segments),
        (["orders", "active"], _) => relay(method, READ, segments),
        (["orders", "cancel-all"], _) => order(OrderRoute::CancelAll),
        (["orders", id], Method::Put | Method::Delete) => match parse_id(id) {
            Some(id) if method == Method::Put => Route::Order(OrderRoute::Modify(OrderName::Path(id))),
            Some(id) => Route::Order(OrderRoute::Cancel(OrderName::Path(id))),
            None => Route::NotFound,
        },
        // An id that is not an integer makes an unknown path, whatever the method. Orders of before have negative ids.
        (["orders", id], _) if parse_id(id.strip_prefix('-').unwrap_or(id)).is_none() => Route::NotFound,
        (["orders", _], _) => relay(method, ONE_ORDER, segments),
        (["orders", id, "cancel"], _) => match parse_id(id) {
            Some(id) => order(OrderRoute::Cancel(OrderName::Path(id))),
            None => Route::NotFound,
        },
        (["validate-order"], _) => order(OrderRoute::Validate),
        (["positions", "close"], _) => order(OrderRoute::ClosePositionBySymbol),
        (["positions", id], Method::Put) => match parse_id(id) {
            Some(id) => Route::Order(OrderRoute::EditConditions(id)),
            None => Route::NotFound,
        },
        (["positions", id], _) if parse_id(id).is_none() => Route::NotFound,
        (["positions", _], _) => relay(method, READ_AND_PUT, segments),
        (["positions", id, "close"], _) => match parse_id(id) {
            Some(id) => order(OrderRoute::ClosePosition(id)),
            None => Route::NotFound,
        },
        (["charges"], _) => relay(method, POST, segments),
        (["heartbeat"], _) => order(OrderRoute::Heartbeat),
        (["account", "cash"], _) => order(OrderRoute::AdjustCash),
        (["risk", "limits"], Method::Put) => Route::Order(OrderRoute::SetLimits),
        (["risk", "limits"], _) => relay(method, READ_AND_PUT, segments),
        (["risk", "kill-switch"], _) => order(OrderRoute::KillSwitch),
        (["risk", "deactivate-kill-switch"], _) => order(OrderRoute::Rearm),
        (
            ["positions" | "trades" | "account" | "instruments" | "health" | "reconcile" | "openapi.json"],
            _,
        )
        | (["docs" | "docs.css" | "docs.js"], _)
        | (["latency" | "latency.hgrm" | "latency.html" | "latency.js"], _)
        | (["depth", _], _)
        | (["positions", _, "explain"], _)
        | (["stats", "today"], _)
        | (["risk", "summary" | "alerts"], _) => relay(method, READ, segments),
        // The handlers know what else there is, or that there is nothing.
        _ => relay(method, ANY, segments),
    }
}

fn allowed(method: Method, methods: &[Method], allow: &'static str, route: impl FnOnce() -> Route) -> Route {
    if methods.contains(&method) {
        route()
    } else if method == Method::Options {
        Route::Options { allow }
    } else {
        Route::MethodNotAllowed { allow }
    }
}

/// `allow` is what the path takes in all; what of it is not of the order lane goes to the handlers.
fn relay(method: Method, allow: &'static str, segments: &[&str]) -> Route {
    if method == Method::Options {
        return Route::Options { allow };
    }
    if !allow.split(", ").any(|name| name == method.as_str()) {
        return Route::MethodNotAllowed { allow };
    }
    // Pages and scripts hold no secret; whether the process is well must be visible to whatever watches it.
    let open = !matches!(segments.first(), Some(&("api" | "ws" | "metrics")))
        || matches!(
            segments,
            [
                "api",
                "oms",
                "health" | "openapi.json" | "docs" | "docs.css" | "docs.js" | "latency.html" | "latency.js"
            ]
        );
    let mut path = String::new();
    for segment in segments {
        path.push('/');
        percent_encode(&mut path, segment);
    }
    Route::Relay { path, open }
}

/// `None` for anything but digits. Ids beyond the type's range name nothing.
fn parse_id(segment: &str) -> Option<u64> {
    let digits = !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| segment.parse().unwrap_or(u64::MAX))
}

/// `None` where a `%` is not followed by two hexadecimal digits.
fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    let hex = |byte: Option<u8>| {
        char::from(byte?)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex(bytes.next())? << 4 | hex(bytes.next())?,
            byte => byte,
        });
    }
    Some(decoded)
}

/// Leaves what RFC 3986 section 3.3 allows in a path segment.
fn percent_encode(out: &mut String, segment: &str) {
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_is_never_forwarded() {
        for path in [
            "/api/oms",
            "/api/oms/orders",
            "/api/%6fms/orders",
            "/ws/oms",
            "*",
            "/%zz",
        ] {
            assert!(is_ours(path), "{path}");
        }
        for path in [
            "/",
            "/login",
            "/api/omsx",
            "/api",
            "/ws",
            "/ws/omsx",
            "//api/oms",
            "/a%2fb",
        ] {
            assert!(!is_ours(path), "{path}");
        }
    }

    #[test]
    fn every_path_takes_its_lane() {
        use Method::{Delete, Get, Head, Options, Patch, Post, Put, Query, Trace};
        use OrderRoute::*;
        let order = Route::Order;
        let relayed = |path: &str, open| Route::Relay {
            path: path.to_owned(),
            open,
        };
        let not_allowed = |allow| Route::MethodNotAllowed { allow };
        for (method, path, expected) in [
            (Post, "/api/oms/orders", order(Place)),
            (Post, "/api/oms/%6frders", order(Place)),
            (Get, "/api/oms/orders", relayed("/api/oms/orders", false)),
            (Delete, "/api/oms/orders", order(Cancel(OrderName::Body))),
            (Put, "/api/oms/orders/7", order(Modify(OrderName::Path(7)))),
            (Delete, "/api/oms/orders/7", order(Cancel(OrderName::Path(7)))),
            (
                Delete,
                "/api/oms/orders/99999999999999999999999",
                order(Cancel(OrderName::Path(u64::MAX))),
            ),
            (Delete, "/api/oms/orders/x", Route::NotFound),
            (Delete, "/api/oms/orders/-1", Route::NotFound),
            (Get, "/api/oms/orders/x", Route::NotFound),
            (Post, "/api/oms/orders/x", Route::NotFound),
            (Post, "/api/oms/orders/", Route::NotFound),
            (Get, "/api/oms/orders/-7", relayed("/api/oms/orders/-7", false)),
            (Post, "/api/oms/orders/1.5", Route::NotFound),
            (Delete, "/api/oms/positions/x", Route::NotFound),
            (Post, "/api/oms/positions/", Route::NotFound),
            (Post, "/api/oms/orders/7", not_allowed(ONE_ORDER)),
            (Delete, "/api/oms/orders/active", not_allowed(READ)),
            (Post, "/api/oms/orders/cancel-all", order(CancelAll)),
            (Get, "/api/oms/orders/cancel-all", not_allowed(POST)),
            (
                Post,
                "/api/oms/orders/7/cancel",
                order(Cancel(OrderName::Path(7))),
            ),
            (Post, "/api/oms/orders/x/cancel", Route::NotFound),
            (Post, "/api/oms/validate-order", order(Validate)),
            (Post, "/api/oms/positions/close", order(ClosePositionBySymbol)),
            (Post, "/api/oms/positions/3/close", order(ClosePosition(3))),
            (
                Get,
                "/api/oms/positions/3",
                relayed("/api/oms/positions/3", false),
            ),
            (Put, "/api/oms/risk/limits", order(SetLimits)),
            (
                Get,
                "/api/oms/risk/limits",
                relayed("/api/oms/risk/limits", false),
            ),
            (Post, "/api/oms/risk/limits", not_allowed(READ_AND_PUT)),
            (Post, "/api/oms/account/cash", order(AdjustCash)),
            (Post, "/api/oms/heartbeat", order(Heartbeat)),
            (Get, "/api/oms/heartbeat", Route::MethodNotAllowed { allow: POST }),
            (Get, "/api/oms/account/cash", not_allowed(POST)),
            (Post, "/api/oms/risk/kill-switch", order(KillSwitch)),
            (Post, "/api/oms/risk/deactivate-kill-switch", order(Rearm)),
            (
                Options,
                "/api/oms/risk/kill-switch",
                Route::Options { allow: POST },
            ),
            (Post, "/api/oms/charges", relayed("/api/oms/charges", false)),
            (Get, "/api/oms/charges", not_allowed(POST)),
            (Post, "/api/oms/trades", not_allowed(READ)),
            (Trace, "/api/oms/orders", not_allowed(ORDERS)),
            (Query, "/api/oms/risk/summary", not_allowed(READ)),
            (Head, "/api/oms/positions", relayed("/api/oms/positions", false)),
            (Get, "/api/oms/health", relayed("/api/oms/health", true)),
            (Get, "/api/oms/health/x", relayed("/api/oms/health/x", false)),
            (Get, "/ws/oms", Route::WebSocket),
            (Head, "/ws/oms", Route::WebSocket),
            (Post, "/ws/oms", not_allowed(READ)),
            (Get, "/", relayed("/", true)),
            (Post, "/", not_allowed(READ)),
            (Get, "/static/a%20b.css", relayed("/static/a%20b.css", true)),
            (Get, "/static/%2e%2e/x", Route::NotFound),
            (Get, "/static/a%2fb", Route::NotFound),
            (Get, "/static/a%00", Route::NotFound),
            (Get, "//api/oms/orders", Route::NotFound),
            (Get, "/a%zz", Route::Malformed),
            (Get, "/a%f", Route::Malformed),
            (Get, "/a%ff", Route::NotFound),
            (Options, "*", Route::Options { allow: ANY }),
            (Patch, "/api/oms/x", relayed("/api/oms/x", false)),
        ] {
            assert_eq!(route(method, path), expected, "{} {path}", method.as_str());
        }
    }
}
