//! Checks of JSON from clients: finds what it must not contain, and reports the place.
//!
//! The text is checked, because a parser is not enough: it reports some faults only by position, and reads others as
//! something else.

use serde_json::Value;

use super::text::echo;

/// The most levels of nesting in a field of a version's metadata. Readers of sidecars and answers accept 128 levels in
/// all; the limit leaves room for the levels around the field, so that everything accepted can be read back.
pub const MAX_NESTING: usize = 100;

/// The prefix of names that the JSON library reserves: it reads an object with such a member as something else.
const RESERVED: &str = "$serde_json::private::";

/// The most faults that are reported.
const MAX_TOLD: usize = 20;

/// Finds what metadata must not contain, one sentence for each fault. `levels` is the most levels of nesting. The parser
/// refuses text that is not JSON.
#[must_use]
pub fn faults(text: &[u8], levels: usize) -> Vec<String> {
    let mut scan = Scan { text, at: 0, open: Vec::new(), key_next: false, told: Vec::new() };
    scan.run(levels);
    scan.told
}

/// A scan of the text. It tracks only as much of the structure as the name of a place needs.
struct Scan<'t> {
    text: &'t [u8],
    at: usize,
    /// The objects and arrays around the place. An object has the name of the member that is being read.
    open: Vec<Option<String>>,
    /// Whether the next string is a member's name.
    key_next: bool,
    told: Vec<String>,
}

impl Scan<'_> {
    fn run(&mut self, levels: usize) {
        while let Some(byte) = self.text.get(self.at).copied() {
            if self.told.len() >= MAX_TOLD {
                return;
            }
            self.at += 1;
            match byte {
                b'"' => self.string(),
                b'{' | b'[' => {
                    if self.open.len() == levels {
                        self.tell(&format!("is nested deeper than {levels} levels; flatten it"));
                        return;
                    }
                    self.open.push((byte == b'{').then(String::new));
                    self.key_next = byte == b'{';
                }
                b'}' | b']' => {
                    self.open.pop();
                    self.key_next = false;
                }
                b',' => self.key_next = matches!(self.open.last(), Some(Some(_))),
                b'-' | b'A'..=b'Z' | b'a'..=b'z' => self.word(),
                _ => {}
            }
        }
    }

    fn string(&mut self) {
        let start = self.at - 1;
        while let Some(byte) = self.text.get(self.at) {
            self.at += 1;
            match byte {
                b'\\' => self.at += 1,
                b'"' => break,
                _ => {}
            }
        }
        if !std::mem::take(&mut self.key_next) {
            return;
        }
        let raw = &self.text[start..self.at.min(self.text.len())];
        let name: String = serde_json::from_slice(raw)
            .unwrap_or_else(|_| String::from_utf8_lossy(raw).into_owned());
        if name.starts_with(RESERVED) {
            // The place is the object, not the member.
            if let Some(open) = self.open.last_mut() {
                *open = Some(String::new());
            }
            self.tell(&reserved(&name));
        }
        if let Some(Some(open)) = self.open.last_mut() {
            *open = name;
        }
    }

    fn word(&mut self) {
        let start = self.at - 1;
        while self.text.get(self.at).is_some_and(u8::is_ascii_alphabetic) {
            self.at += 1;
        }
        let word = String::from_utf8_lossy(&self.text[start..self.at]);
        if ["NaN", "Infinity", "-Infinity", "-NaN"].contains(&word.as_ref()) {
            self.tell(&format!(
                "is {word}, which is not a number in JSON; give a finite one or leave it out"
            ));
        }
    }

    fn tell(&mut self, what: &str) {
        let names: Vec<_> = self
            .open
            .iter()
            .flatten()
            .filter(|name| !name.is_empty())
            .map(|name| echo(name))
            .collect();
        let place = if names.is_empty() { "the document".to_owned() } else { names.join(".") };
        let place: String = place.chars().take(200).collect();
        self.told.push(format!("{place} {what}"));
    }
}

fn reserved(name: &str) -> String {
    format!(
        "holds a member called \"{}\", a name that the JSON library keeps for itself; rename it",
        echo(name)
    )
}

/// Finds in a value what [`faults`] finds in a text.
///
/// # Errors
/// The end of a sentence that starts with the field's name.
pub fn check_value(value: &Value, levels: usize) -> Result<(), String> {
    let Some(left) = levels.checked_sub(1) else {
        // Other values need no level.
        return match value {
            Value::Array(_) | Value::Object(_) => {
                Err(format!("is nested deeper than {MAX_NESTING} levels; flatten it"))
            }
            _ => Ok(()),
        };
    };
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| check_value(item, left)),
        Value::Object(members) => members.iter().try_for_each(|(name, member)| {
            if name.starts_with(RESERVED) { Err(reserved(name)) } else { check_value(member, left) }
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        faults(text.as_bytes(), MAX_NESTING)
    }

    #[test]
    fn what_is_no_number_is_told_with_its_place() {
        let found =
            told(r#"{"metrics": {"a": 1, "drawdown": NaN}, "x": [1, -Infinity, {"y": Infinity}]}"#);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("metrics.drawdown is NaN,"), "{found:?}");
        assert!(found[1].starts_with("x is -Infinity,"), "{found:?}");
        assert!(found[2].starts_with("x.y is Infinity,"), "{found:?}");
        assert_eq!(
            told(r#"{"NaN": "Infinity", "b": [true, null, -1e5, "\"NaN"]}"#),
            [] as [&str; 0]
        );
    }

    #[test]
    fn a_name_of_the_library_is_told_however_it_is_written() {
        for name in [
            "$serde_json::private::Number",
            "$serde_json::private::RawValue",
            "\\u0024serde_json::private::Number",
        ] {
            let found = told(&format!(r#"{{"a": {{"{name}": "1"}}}}"#));
            assert!(
                matches!(&found[..], [one] if one.starts_with("a holds a member called")),
                "{found:?}"
            );
        }
        assert_eq!(told(r#"{"a": "$serde_json::private::Number"}"#), [] as [&str; 0]);
        let value: Value = serde_json::from_str("[{}]").expect("JSON");
        assert_eq!(check_value(&value, 2), Ok(()));
        assert!(check_value(&value, 1).is_err());
    }

    #[test]
    fn the_bound_on_nesting_is_one_for_text_and_value() {
        for (depth, good) in [(MAX_NESTING, true), (MAX_NESTING + 1, false)] {
            let text = "[".repeat(depth) + &"]".repeat(depth);
            let value: Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(told(&text).is_empty(), good);
            assert_eq!(check_value(&value, MAX_NESTING).is_ok(), good);
        }
    }

    #[test]
    fn text_that_is_cut_or_hostile_is_scanned_to_its_end() {
        for text in ["\"", "\"\\", "{\"a", "{\"a\":", "]]]]", "", "{{{{\"\u{1b}\":NaN"] {
            let found = told(text);
            assert!(found.iter().all(|it| !it.contains('\u{1b}')), "{found:?}");
        }
    }
}
