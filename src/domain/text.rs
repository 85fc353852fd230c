//! Short free text that clients and operators supply: names, identifiers, reasons.

use std::borrow::Cow;

/// The longest short text, in bytes.
pub const MAX_SHORT_TEXT: usize = 1024;

/// The most characters of a client's text that an answer or a log line repeats.
const MAX_ECHO: usize = 128;

/// Checks a short text. The error is the end of a sentence that starts with the field's name.
///
/// Control characters are refused because they break logs and terminals; NUL also because PostgreSQL cannot store it.
///
/// # Errors
/// The end of the sentence, which names the remedy.
pub fn check_short_text(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        Err("is empty; give a value".to_owned())
    } else if text.len() > MAX_SHORT_TEXT {
        Err(format!("is {} bytes long; at most {MAX_SHORT_TEXT} are allowed", text.len()))
    } else if let Some(bad) = text.chars().find(|c| c.is_control() || reorders(*c)) {
        Err(format!("holds the control character {}; remove it", bad.escape_unicode()))
    } else {
        Ok(())
    }
}

/// Whether a character changes the order or visibility of the characters around it, so that the displayed text
/// misleads (Unicode Technical Report 36, section 2.6).
fn reorders(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A foreign text that is safe on one line of a terminal or a log: control characters, line ends too, and reordering
/// characters are replaced.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    shown(text, |_| false, |_| char::REPLACEMENT_CHARACTER.to_string())
}

/// A client's text, shortened and without control characters, so that it is safe to repeat.
#[must_use]
pub fn echo(text: &str) -> String {
    let cut: String = text.chars().take(MAX_ECHO).collect();
    let mut shown = printable(&cut).into_owned();
    if text.chars().nth(MAX_ECHO).is_some() {
        shown.push('…');
    }
    shown
}

/// A text that is safe for a terminal: control characters and reordering characters are written as escapes. Line ends
/// and tabs stay.
#[must_use]
pub fn for_terminal(text: &str) -> Cow<'_, str> {
    shown(text, |c| c == '\n' || c == '\t', |c| c.escape_unicode().to_string())
}

/// A text with something else in place of each control character and reordering character that is not kept.
fn shown(
    text: &str,
    kept: impl Fn(char) -> bool,
    instead: impl Fn(char) -> String,
) -> Cow<'_, str> {
    let unfit = |c: char| (c.is_control() || reorders(c)) && !kept(c);
    if !text.contains(unfit) {
        return text.into();
    }
    let replace = |c| if unfit(c) { instead(c) } else { c.to_string() };
    text.chars().map(replace).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_repeated_is_short_and_printable() {
        assert_eq!(echo("a\nb\0c"), "a\u{fffd}b\u{fffd}c");
        assert_eq!(echo(&"x".repeat(10_000)).chars().count(), MAX_ECHO + 1);
    }

    #[test]
    fn nothing_that_moves_a_cursor_is_printed() {
        assert_eq!(
            for_terminal("a\u{1b}[2J\u{9b}\u{202e}\n\tb"),
            "a\\u{1b}[2J\\u{9b}\\u{202e}\n\tb"
        );
        assert!(matches!(for_terminal("é\n"), Cow::Borrowed("é\n")));
    }

    #[test]
    fn empty_long_and_control_texts_are_refused() {
        for bad in ["", "  ", "a\0b", "a\nb", &"x".repeat(MAX_SHORT_TEXT + 1)] {
            assert!(check_short_text(bad).is_err(), "{bad:?}");
        }
        assert_eq!(check_short_text("snap-2024-01"), Ok(()));
    }
}
