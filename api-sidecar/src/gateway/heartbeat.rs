//! Heartbeats: a client promises to be heard from again in time; without that its account's entries are cancelled
//! (RISK.md, `dead_man`).

use engine::lane::Input;
use engine::limits::{HEARTBEAT_MS_MAX, HEARTBEAT_MS_MIN};
use engine::{Command, Heartbeat, Ratio};
use serde::Deserialize;

use super::answer::Answer;
use super::fields::{Raw, without_noise};
use super::order_body::parse_object;
use super::order_lane::{Decoded, invalid_request};
use super::replies::Action;
use crate::auth::Principal;

/// Without a word about it (RISK.md): 5 s.
const DEFAULT_MS: u32 = 5_000;

#[derive(Deserialize)]
struct HeartbeatBody<'b> {
    #[serde(borrow)]
    timeout_s: Raw<'b>,
}

/// `{timeout_s?}`: arms, or beats where it is armed; 0 disarms. For the caller's own account.
pub(super) fn heartbeat(json: &str, who: &Principal) -> Result<Decoded, Answer> {
    let body: HeartbeatBody<'_> = parse_object(json).map_err(invalid_request)?;
    let timeout_ms = match body.timeout_s.map(|raw| raw.get().trim()) {
        None | Some("null") => Some(DEFAULT_MS),
        Some(text) => whole_ms(text),
    };
    let in_range = |ms: &u32| *ms == 0 || (HEARTBEAT_MS_MIN..=HEARTBEAT_MS_MAX).contains(ms);
    let timeout_ms = timeout_ms.filter(in_range).ok_or_else(|| {
        invalid_request("timeout_s must be 0 or from 0.1 to 3600 seconds, in whole milliseconds".to_owned())
    })?;
    Ok(Decoded {
        input: Input::Command(Command::Heartbeat(Heartbeat {
            account: who.account,
            timeout_ms,
        })),
        action: Action::Heartbeat,
    })
}

/// Seconds as milliseconds, exactly; `None` for anything else.
fn whole_ms(seconds: &str) -> Option<u32> {
    let millionths = without_noise(seconds).parse::<Ratio>().ok()?.ppm();
    (millionths % 1_000 == 0).then_some(millionths / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_whole_milliseconds() {
        for (text, expected) in [
            ("5", Some(5_000)),
            ("0", Some(0)),
            ("0.1", Some(100)),
            ("2.125", Some(2_125)),
            ("3600", Some(3_600_000)),
            ("3354.8780000000001", Some(3_354_878)),
            ("0.0005", None),
            ("-1", None),
            ("\"5\"", None),
            ("5000", None),
            ("true", None),
        ] {
            assert_eq!(whole_ms(text), expected, "{text}");
        }
    }
}
