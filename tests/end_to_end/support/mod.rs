//! What every test needs: servers, and clients that know nothing of Pinion's own code.

pub mod http;
pub mod json;
pub mod server;
pub mod websocket;

use std::time::Duration;

/// How long anything may take before a test gives up. Generous: the machine may be busy, and no test measures time.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at what somebody waits for.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Asks until there is an answer, [`PATIENCE`] long on a machine with nothing else to do. Looks are counted, not the time: who
/// gets no core, or is stopped for a while, has as many as before.
pub fn patiently<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let looks = PATIENCE.as_millis() / LOOK_EVERY.as_millis();
    (0..looks).find_map(|_| {
        let answer = ask();
        if answer.is_none() {
            std::thread::sleep(LOOK_EVERY);
        }
        answer
    })
}

/// Asks until there is an answer.
///
/// # Panics
/// Where there is none within [`PATIENCE`].
pub fn wait_for<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    patiently(ask).unwrap_or_else(|| panic!("{what} did not happen within {PATIENCE:?}"))
}

/// A comparison of the engine with the tables, once they can be compared: a server that has just started may still be busy
/// making them.
pub fn reconciled(client: &mut http::Client) -> serde_json::Value {
    wait_for("a comparison", || {
        let answer = client.get("/api/oms/reconcile");
        (answer.status == 200).then(|| answer.json())
    })
}

/// SplitMix64: random choices that a printed seed repeats.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `0..bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }

    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }
}
