//! What a golden journal folds to.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use engine::{Capacity, Engine, EventBuffer, Seq, Work};
use persistence_writer::journal::{Disk, JournalError, walk};
use serde_json::{Value, json};

/// FNV-1a over what is written to it.
struct TextHash(u64);

impl std::fmt::Write for TextHash {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(())
    }
}

/// The end of a fold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Folded {
    pub(crate) last_seq: u64,
    pub(crate) events: u64,
    /// Of every event in order, as text.
    pub(crate) event_digest: u64,
    pub(crate) state_hash: u64,
}

impl Folded {
    pub(crate) fn json(&self) -> Value {
        json!({
            "last_seq": self.last_seq,
            "events": self.events,
            "event_digest": format!("{:016x}", self.event_digest),
            "state_hash": format!("{:016x}", self.state_hash),
        })
    }
}

/// Folds a whole journal.
pub(crate) fn fold(disk: &Disk) -> Result<Folded, JournalError> {
    let mut engine = Engine::new(Capacity::default());
    let mut buffer = EventBuffer::new();
    let mut digest = TextHash(0xcbf2_9ce4_8422_2325);
    let mut events = 0;
    walk(disk, Seq::default(), |command| {
        let mut work = engine.apply(command, &mut buffer);
        loop {
            for event in buffer.iter() {
                events += 1;
                writeln!(digest, "{event:?}").expect("a hash takes any text");
            }
            buffer.clear();
            if work == Work::Done {
                return ControlFlow::Continue(());
            }
            work = engine.resume(&mut buffer);
        }
    })?;
    Ok(Folded {
        last_seq: engine.last_seq().get(),
        events,
        event_digest: digest.0,
        state_hash: engine.state_hash(),
    })
}
