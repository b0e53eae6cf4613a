//! Short texts held inline, so that a command can carry them without an allocation.

use core::fmt;

/// UTF-8 text of at most `N` bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Text<const N: usize> {
    len: u8,
    bytes: [u8; N],
}

/// A ticker symbol, `[A-Z0-9&_-]{1,20}` (see [`Symbol::parse`]).
pub type Symbol = Text<20>;
/// The name of an account.
pub type AccountName = Text<32>;
/// An order's id as its sender chose it; empty means none.
pub type ClientOrderId = Text<64>;

impl<const N: usize> Text<N> {
    pub const EMPTY: Text<N> = Text {
        len: 0,
        bytes: [0; N],
    };

    /// `None` where the text is longer than `N` bytes.
    pub fn new(text: &str) -> Option<Text<N>> {
        let mut bytes = [0_u8; N];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Text {
            len: u8::try_from(text.len()).ok()?,
            bytes,
        })
    }

    /// The longest prefix that fits and ends at a character boundary.
    pub fn cut(text: &str) -> Text<N> {
        let limit = N.min(255);
        let mut end = text.len().min(limit);
        while !text.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        text.get(..end).and_then(Text::new).unwrap_or(Text::EMPTY)
    }

    pub fn as_str(&self) -> &str {
        self.bytes
            .get(..usize::from(self.len))
            .and_then(|bytes| core::str::from_utf8(bytes).ok())
            .unwrap_or("")
    }

    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Symbol {
    /// `None` for anything outside `[A-Z0-9&_-]{1,20}`.
    pub fn parse(text: &str) -> Option<Symbol> {
        let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"&_-".contains(&byte);
        if text.is_empty() || !text.bytes().all(allowed) {
            return None;
        }
        Text::new(text)
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Text::EMPTY
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<const N: usize> serde::Serialize for Text<N> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de, const N: usize> serde::Deserialize<'de> for Text<N> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Text<N>, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        Text::new(text).ok_or_else(|| serde::de::Error::invalid_length(text.len(), &"a shorter text"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_a_closed_alphabet() {
        for good in [
            "RELIANCE",
            "M&M",
            "BAJAJ-AUTO",
            "NIFTY_50",
            "A",
            "ABCDEFGHIJKLMNOPQRST",
        ] {
            assert_eq!(
                Symbol::parse(good)
                    .map(|symbol| std::string::String::from(symbol.as_str()))
                    .as_deref(),
                Some(good)
            );
        }
        for bad in ["", "reliance", "A B", "A'B", "<B>", "ABCDEFGHIJKLMNOPQRSTU", "É"] {
            assert!(Symbol::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn cutting_keeps_characters_whole() {
        assert_eq!(Text::<4>::cut("₹₹").as_str(), "₹");
        assert_eq!(Text::<4>::cut("abcdef").as_str(), "abcd");
    }
}
