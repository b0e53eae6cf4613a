//! The dashboard's files, embedded in the binary.

use super::answer::Answer;

struct Asset {
    /// Path segments below `/`.
    path: &'static [&'static str],
    content_type: &'static str,
    body: &'static [u8],
}

const ASSETS: &[Asset] = &[
    Asset {
        path: &[""],
        content_type: "text/html; charset=utf-8",
        body: include_bytes!("../../assets/index.html"),
    },
    Asset {
        path: &["static", "css", "dashboard.css"],
        content_type: "text/css; charset=utf-8",
        body: include_bytes!("../../assets/static/css/dashboard.css"),
    },
    Asset {
        path: &["static", "js", "oms-client.js"],
        content_type: "text/javascript; charset=utf-8",
        body: include_bytes!("../../assets/static/js/oms-client.js"),
    },
    Asset {
        path: &["static", "js", "order-ticket.js"],
        content_type: "text/javascript; charset=utf-8",
        body: include_bytes!("../../assets/static/js/order-ticket.js"),
    },
    Asset {
        path: &["static", "favicon.svg"],
        content_type: "image/svg+xml",
        body: include_bytes!("../../assets/static/favicon.svg"),
    },
];

/// Nothing but our own files may run, load or embed (the page has no inline handlers); its data comes from this
/// origin's `/api` and `/ws`.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page at `/`, or one of its files. `None` for an unknown path.
pub(super) fn page(path: &[&str]) -> Option<Answer> {
    let asset = ASSETS.iter().find(|asset| asset.path == path)?;
    let answer = Answer::of_bytes(200, asset.content_type, asset.body.to_vec())
        .with_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        .with_header("Referrer-Policy", "no-referrer")
        .with_header("X-Frame-Options", "DENY");
    Some(answer)
}
