//! The last pushed messages, so that a client that lost its connection gets what it missed.
//!
//! All memory is taken at the start: remembering a message copies its bytes and allocates nothing.

use std::collections::VecDeque;

use engine::AccountId;

use super::cursor::Cursor;
use super::events::Push;
use crate::limits::{WS_HISTORY_BYTES_MAX, WS_HISTORY_MESSAGES_MAX};

#[derive(Debug)]
pub(crate) struct History {
    entries: VecDeque<Entry>,
    /// The texts of the entries, one after another.
    bytes: VecDeque<u8>,
    /// What has been forgotten, as a count: the place of the first byte of `bytes` among all that ever were.
    forgotten_bytes: u64,
    /// Everything after it is in the history.
    floor: Cursor,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    cursor: Cursor,
    push: Push,
    account: Option<AccountId>,
    start: u64,
    len: usize,
}

/// A message to be said again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remembered {
    pub(crate) cursor: Cursor,
    pub(crate) push: Push,
    /// Who may see it; `None`: everyone.
    pub(crate) account: Option<AccountId>,
    start: u64,
    len: usize,
}

impl History {
    /// Empty: nothing up to `floor` can be said again.
    pub(crate) fn new(floor: Cursor) -> History {
        History {
            entries: VecDeque::with_capacity(WS_HISTORY_MESSAGES_MAX),
            bytes: VecDeque::with_capacity(WS_HISTORY_BYTES_MAX),
            forgotten_bytes: 0,
            floor,
        }
    }

    /// The newest message, or the floor where there is none.
    pub(crate) fn last(&self) -> Cursor {
        self.entries.back().map_or(self.floor, |entry| entry.cursor)
    }

    /// Whether everything after `cursor` can be said again. A cursor that is yet to come is of another journal.
    pub(crate) fn reaches(&self, cursor: Cursor) -> bool {
        self.floor <= cursor && cursor <= self.last()
    }

    pub(crate) fn remember(&mut self, cursor: Cursor, push: Push, account: Option<AccountId>, json: &[u8]) {
        while self.entries.len() >= WS_HISTORY_MESSAGES_MAX
            || (self.bytes.len() + json.len() > WS_HISTORY_BYTES_MAX && !self.entries.is_empty())
        {
            self.forget_oldest();
        }
        self.entries.push_back(Entry {
            cursor,
            push,
            account,
            start: self.forgotten_bytes + self.bytes.len() as u64,
            len: json.len(),
        });
        self.bytes.extend(json);
    }

    fn forget_oldest(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes.drain(..entry.len);
            self.forgotten_bytes += entry.len as u64;
            self.floor = entry.cursor;
        }
    }

    /// The first message after `cursor`.
    pub(crate) fn after(&self, cursor: Cursor) -> Option<Remembered> {
        let at = self.entries.partition_point(|entry| entry.cursor <= cursor);
        self.entries.get(at).map(|entry| Remembered {
            cursor: entry.cursor,
            push: entry.push,
            account: entry.account,
            start: entry.start,
            len: entry.len,
        })
    }

    /// Puts a message's text in place of what `out` held.
    pub(crate) fn text(&self, message: Remembered, out: &mut Vec<u8>) {
        out.clear();
        let start = usize::try_from(message.start - self.forgotten_bytes).unwrap_or(usize::MAX);
        out.extend(self.bytes.range(start..start + message.len));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said_after(history: &History, mut cursor: Cursor) -> Vec<String> {
        let mut said = Vec::new();
        let mut text = Vec::new();
        while let Some(message) = history.after(cursor) {
            history.text(message, &mut text);
            said.push(String::from_utf8(text.clone()).unwrap());
            cursor = message.cursor;
        }
        said
    }

    #[test]
    fn what_was_missed_is_said_again() {
        let mut history = History::new(Cursor::end_of(5));
        let mut cursor = Cursor::end_of(5);
        for (seq, text) in [(8, "a"), (8, "bb"), (9, "ccc")] {
            cursor = cursor.next(seq);
            history.remember(cursor, Push::OrderPlaced, None, text.as_bytes());
        }
        let at = |text| Cursor::parse(text).unwrap();
        assert_eq!(said_after(&history, Cursor::end_of(5)), ["a", "bb", "ccc"]);
        assert_eq!(said_after(&history, at("8:0")), ["bb", "ccc"]);
        assert_eq!(said_after(&history, at("8:5")), ["ccc"]);
        assert!(said_after(&history, at("9:0")).is_empty());
        for (cursor, reached) in [
            ("5:0", false),
            ("6:0", true),
            ("8:1", true),
            ("9:0", true),
            ("9:1", false),
        ] {
            assert_eq!(history.reaches(at(cursor)), reached, "{cursor}");
        }
    }

    #[test]
    fn the_oldest_is_forgotten_and_the_floor_rises() {
        let mut history = History::new(Cursor::default());
        let mut cursor = Cursor::default();
        let text = vec![b'x'; 100_000];
        let capacity = history.bytes.capacity();
        for seq in 1..=400 {
            cursor = cursor.next(seq);
            history.remember(cursor, Push::OrderPlaced, None, &text);
        }
        assert!(history.bytes.len() <= WS_HISTORY_BYTES_MAX);
        assert_eq!(history.bytes.capacity(), capacity, "nothing was allocated");
        assert!(!history.reaches(Cursor::end_of(1)));
        let kept = said_after(&history, history.floor);
        assert_eq!(kept.len(), WS_HISTORY_BYTES_MAX / text.len());
        assert!(kept.iter().all(|kept| kept.as_bytes() == text));
        for seq in 401..=401 + WS_HISTORY_MESSAGES_MAX as u64 {
            cursor = cursor.next(seq);
            history.remember(cursor, Push::OrderPlaced, None, b"y");
        }
        assert_eq!(history.entries.len(), WS_HISTORY_MESSAGES_MAX);
        assert!(history.reaches(Cursor::end_of(402)) && !history.reaches(Cursor::end_of(400)));
    }
}
