//! Text of people on its way to a page that pastes it into HTML unescaped (CONTRACT.md section 1).

/// The text without `<`, `>`, `&` and control characters.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .filter(|c| !matches!(c, '<' | '>' | '&') && !c.is_control())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_does_not_survive() {
        assert_eq!(plain("<img src=x>\n&amp; ₹5"), "img src=xamp; ₹5");
    }
}
