//! A heartbeat that is waited for, as clients see it.

use engine::{DeadMan, Ratio};

use super::json::Object;
use super::time::Iso8601;

/// `timeout_s` 0 and no deadline where nothing is waited for.
pub fn heartbeat_fields(body: &mut Object<'_>, dead_man: Option<DeadMan>) {
    let timeout_ms = dead_man.map_or(0, |dead_man| dead_man.timeout_ms);
    body.number("timeout_s", Ratio::from_ppm(timeout_ms.saturating_mul(1_000)));
    match dead_man {
        Some(dead_man) => body.text("deadline", Iso8601(dead_man.deadline)),
        None => body.null("deadline"),
    };
}
