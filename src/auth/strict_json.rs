//! JSON objects of tokens and key sets. A member that occurs twice is refused at every depth, because two readers could
//! each use a different one (RFC 8725 section 2.4).

use std::fmt;

use serde::{
    Deserialize,
    de::{self, Deserializer, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// Under this name `serde_json` hands on a number as the text that it was written with.
const NUMBER: &str = "$serde_json::private::Number";

/// Reads one object and nothing after it. `None` for anything else: an error message of the parser could hold a part of
/// a token.
#[must_use]
pub fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice(bytes) {
        Ok(Strict(Value::Object(members))) => Some(members),
        _ => None,
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON in which no member occurs twice")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if name == NUMBER {
                let text: String = members.next_value()?;
                let number: Number = serde_json::from_str(&text).map_err(de::Error::custom)?;
                return Ok(Value::Number(number));
            }
            let Strict(value) = members.next_value()?;
            if object.insert(name, value).is_some() {
                return Err(de::Error::custom("a member occurs twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_with_its_numbers_as_they_stand() {
        let text = br#"{"a":[1,2.50,-3e2,null,true,"x"],"b":{"c":100000000000000000000}}"#;
        let read = object(text).expect("an object");
        assert_eq!(Value::Object(read), serde_json::from_slice::<Value>(text).expect("JSON"));
    }

    #[test]
    fn anything_else_is_refused() {
        let deep = "[".repeat(100_000);
        let deep = format!("{{\"a\":{deep}");
        for bad in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"a":[{"b":1,"\u0062":2}]}"#,
            r#"{"a":1} {"#,
            r#"{"a":1}x"#,
            "[]",
            "\"x\"",
            "",
            "{",
            "{\"a\":NaN}",
            "\u{feff}{}",
            &deep,
        ] {
            assert_eq!(object(bad.as_bytes()), None, "{bad:.40}");
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}"), None);
    }
}
