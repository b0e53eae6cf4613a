//! A place in the stream of pushed messages.

use core::fmt;

/// The message that a client saw last: the sequence number of its command, and its place among the messages of that
/// command. Ordered as the messages are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct Cursor {
    seq: u64,
    index: u32,
}

impl Cursor {
    /// After everything that a command said.
    pub(crate) fn end_of(seq: u64) -> Cursor {
        Cursor { seq, index: u32::MAX }
    }

    /// The next message, which is one of command `seq`.
    pub(crate) fn next(self, seq: u64) -> Cursor {
        let index = match self.seq == seq {
            true => self.index.saturating_add(1),
            false => 0,
        };
        Cursor { seq, index }
    }

    /// As [`Cursor`] prints. `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Cursor> {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let (seq, index) = text.split_once(':')?;
        (digits(seq) && digits(index)).then_some(())?;
        Some(Cursor {
            seq: seq.parse().ok()?,
            index: index.parse().ok()?,
        })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_count_the_messages_of_each_command() {
        let first = Cursor::end_of(7).next(9);
        let second = first.next(9);
        let third = second.next(10);
        assert_eq!(
            [first, second, third].map(|cursor| cursor.to_string()),
            ["9:0", "9:1", "10:0"]
        );
        assert!(Cursor::end_of(7) < first && first < second && second < third);
        assert_eq!(Cursor::parse("9:1"), Some(second));
        for bad in [
            "",
            "9",
            "9:",
            ":1",
            "+9:1",
            "9:-1",
            "9:1:2",
            "9 :1",
            "99999999999999999999:0",
        ] {
            assert_eq!(Cursor::parse(bad), None, "{bad}");
        }
    }
}
