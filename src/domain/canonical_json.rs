//! Canonical JSON, the form that digests cover: what Python writes for `json.dumps(value, sort_keys=True,
//! separators=(",", ":"))`.
//!
//! The Python service that this registry replaces hashed configurations in this form, and its hashes stay valid. The
//! rules are those of CPython's `json` module: keys in code point order; every character outside space to tilde
//! escaped (UTF-16 surrogate pairs beyond the BMP); integers unchanged; floats as `float.__repr__` writes them.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Number, Value};

use super::Sha256Digest;

/// A number too large for a double. Python would read it as infinity, which JSON cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the number {0} is too large for a double; Python would read it as infinity")]
pub struct NotFinite(pub String);

/// Writes a value as canonical JSON.
///
/// # Errors
/// [`NotFinite`] for a number that no double can hold.
pub fn to_string(value: &Value) -> Result<String, NotFinite> {
    let mut out = String::new();
    write_value(&mut out, value)?;
    Ok(out)
}

/// The SHA-256 of a value's canonical JSON.
///
/// # Errors
/// [`NotFinite`] for a number that no double can hold.
pub fn digest(value: &Value) -> Result<Sha256Digest, NotFinite> {
    to_string(value).map(|text| Sha256Digest::of(text.as_bytes()))
}

/// The number as a double; infinite where it is too large.
#[must_use]
pub fn as_double(number: &Number) -> f64 {
    number.as_str().parse().unwrap_or(f64::NAN)
}

// The recursion is bounded: serde_json refuses documents nested deeper than 128.
fn write_value(out: &mut String, value: &Value) -> Result<(), NotFinite> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => out.push_str(&python_number(number)?),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(out, item)?;
            }
            out.push(']');
        }
        Value::Object(members) => {
            // UTF-8 byte order is code point order. The keys are sorted here: whether the map sorts them depends on
            // the features of a dependency.
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(key, _)| *key);
            out.push('{');
            for (index, (key, member)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_string(out, key);
                out.push(':');
                write_value(out, member)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

/// Writes an object member by member, in the order of their names, without a [`Value`].
#[derive(Debug)]
pub struct Members {
    out: String,
    last: &'static str,
}

impl Default for Members {
    fn default() -> Self {
        Self::new()
    }
}

impl Members {
    /// An object without members.
    #[must_use]
    pub fn new() -> Self {
        let mut out = String::with_capacity(1024);
        out.push('{');
        Self { out, last: "" }
    }

    fn name(&mut self, name: &'static str) {
        debug_assert!(self.last < name, "{name} follows {}", self.last);
        if !self.last.is_empty() {
            self.out.push(',');
        }
        self.last = name;
        write_string(&mut self.out, name);
        self.out.push(':');
    }

    /// Writes a text, or null.
    #[must_use]
    pub fn text(mut self, name: &'static str, value: Option<&str>) -> Self {
        self.name(name);
        match value {
            Some(text) => write_string(&mut self.out, text),
            None => self.out.push_str("null"),
        }
        self
    }

    /// Writes an object of texts, or null.
    #[must_use]
    pub fn texts(mut self, name: &'static str, value: Option<&BTreeMap<String, String>>) -> Self {
        self.name(name);
        let Some(members) = value else {
            self.out.push_str("null");
            return self;
        };
        self.out.push('{');
        for (index, (key, member)) in members.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            write_string(&mut self.out, key);
            self.out.push(':');
            write_string(&mut self.out, member);
        }
        self.out.push('}');
        self
    }

    /// Writes an integer.
    #[must_use]
    pub fn integer(mut self, name: &'static str, value: u64) -> Self {
        self.name(name);
        // Writing to a String cannot fail.
        let _ = write!(self.out, "{value}");
        self
    }

    /// Writes true or false.
    #[must_use]
    pub fn boolean(mut self, name: &'static str, value: bool) -> Self {
        self.name(name);
        self.out.push_str(if value { "true" } else { "false" });
        self
    }

    /// The text of the object.
    #[must_use]
    pub fn end(mut self) -> String {
        self.out.push('}');
        self.out
    }
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

fn python_number(number: &Number) -> Result<String, NotFinite> {
    let text = number.as_str();
    if text.contains(['.', 'e', 'E']) {
        let double = as_double(number);
        if double.is_finite() { Ok(python_float(double)) } else { Err(NotFinite(text.to_owned())) }
    } else if text == "-0" {
        Ok("0".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// `float.__repr__`: the shortest digits that read back as the same double. The notation is positional where the
/// decimal exponent is from -4 to 15, else scientific with a signed exponent of at least two digits.
fn python_float(double: f64) -> String {
    let shortest = format!("{double:e}");
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let positional = format!("{double}");
        if positional.contains('.') { positional } else { positional + ".0" }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{mantissa}e{sign}{:02}", exponent.abs())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(json: &str) -> String {
        let value: Value = serde_json::from_str(json).expect("test JSON");
        to_string(&value).expect("finite")
    }

    // The expected texts come from CPython 3.11.
    #[test]
    fn the_config_hash_is_pythons() {
        for (json, python) in [
            (r#"{"b": 1, "a": 48.0}"#, r#"{"a":48.0,"b":1}"#),
            (
                "[1e16, 1e15, 123456789012345680.0]",
                "[1e+16,1000000000000000.0,1.2345678901234568e+17]",
            ),
            ("[1e-4, 1e-5, 0.00012345, 1.5e-7]", "[0.0001,1e-05,0.00012345,1.5e-07]"),
            (
                "[0.1, 1.2000000000000002, 5e-324, 1.7976931348623157e308]",
                "[0.1,1.2000000000000002,5e-324,1.7976931348623157e+308]",
            ),
            ("[-0.0, -0, 0, 0.0, 1E2, 100]", "[-0.0,0,0,0.0,100.0,100]"),
            ("[123456789012345678901234567890]", "[123456789012345678901234567890]"),
            (
                r#"["é😀\u007f/", "\b\f\n\r\t\u0001\"\\"]"#,
                r#"["\u00e9\ud83d\ude00\u007f/","\b\f\n\r\t\u0001\"\\"]"#,
            ),
            (
                r#"{"é": 1, "z": 2, "Z": 3, "😀": 4, "ﬀ": 5}"#,
                r#"{"Z":3,"z":2,"\u00e9":1,"\ufb00":5,"\ud83d\ude00":4}"#,
            ),
            ("{}", "{}"),
            ("[]", "[]"),
            (r#"{"a":{"b":[true,false,null]}}"#, r#"{"a":{"b":[true,false,null]}}"#),
        ] {
            assert_eq!(canonical(json), python, "{json}");
        }
    }

    #[test]
    fn a_number_beyond_a_double_is_refused() {
        let value: Value = serde_json::from_str("[1e999]").expect("test JSON");
        assert_eq!(to_string(&value), Err(NotFinite("1e+999".to_owned())));
    }

    proptest! {
        #[test]
        fn a_float_reads_back_as_itself(double in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO) {
            let text = python_float(double);
            prop_assert_eq!(text.parse::<f64>().map(f64::to_bits), Ok(double.to_bits()));
            prop_assert!(text.contains(['.', 'e']));
        }

        #[test]
        fn the_canonical_text_is_a_fixed_point(text in "\\PC{0,40}", number: i64) {
            let value = serde_json::json!({ text.clone(): [text, number] });
            let once = to_string(&value).expect("finite");
            prop_assert!(once.is_ascii());
            prop_assert_eq!(canonical(&once), once);
        }
    }
}
