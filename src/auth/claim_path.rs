//! Where in a token's claims the scopes are: a claim's name, or the names on the way to a claim within claims.

use std::str::FromStr;

use serde_json::{Map, Value};

/// A claim's name, or a dotted path to a claim. A backslash before a dot makes the dot a part of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath {
    text: String,
    names: Vec<String>,
}

/// The path cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a backslash stands only before a dot or another backslash, as in resource_access.my\\.client.roles"
)]
pub struct InvalidClaimPath;

impl FromStr for ClaimPath {
    type Err = InvalidClaimPath;

    fn from_str(text: &str) -> Result<Self, InvalidClaimPath> {
        let mut names = vec![String::new()];
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            let part = match character {
                '.' => {
                    names.push(String::new());
                    continue;
                }
                '\\' => match characters.next() {
                    Some(escaped @ ('.' | '\\')) => escaped,
                    _ => return Err(InvalidClaimPath),
                },
                other => other,
            };
            if let Some(name) = names.last_mut() {
                name.push(part);
            }
        }
        Ok(Self { text: text.to_owned(), names })
    }
}

impl ClaimPath {
    /// The claim. A claim that has the whole text for its name comes first: some providers name theirs by URLs.
    #[must_use]
    pub fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        if let Some(claim) = claims.get(&self.text) {
            return Some(claim);
        }
        let (first, rest) = self.names.split_first()?;
        rest.iter().try_fold(claims.get(first)?, |value, name| value.as_object()?.get(name))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(path: &str, claims: &Value) -> Option<Value> {
        let path: ClaimPath = path.parse().expect(path);
        path.find(claims.as_object().expect("an object")).cloned()
    }

    #[test]
    fn dots_lead_to_claims_within_claims() {
        let claims = json!({"realm_access": {"roles": ["a"], "deep": {"x": 1}}});
        assert_eq!(found("realm_access.roles", &claims), Some(json!(["a"])));
        assert_eq!(found("realm_access.deep.x", &claims), Some(json!(1)));
        for nowhere in ["realm_access.", "realm_access.roles.0", "roles", "a.b.c", ""] {
            assert_eq!(found(nowhere, &claims), None, "{nowhere}");
        }
    }

    #[test]
    fn an_escaped_dot_is_a_part_of_a_name() {
        let claims = json!({
            "resource_access": {"my.client": {"roles": ["b"]}},
            "https://example.com/claims": {"roles": ["c"]},
            "back\\slash": {"x.y": 2},
        });
        assert_eq!(found(r"resource_access.my\.client.roles", &claims), Some(json!(["b"])));
        assert_eq!(found(r"https://example\.com/claims.roles", &claims), Some(json!(["c"])));
        assert_eq!(found(r"back\\slash.x\.y", &claims), Some(json!(2)));
        assert_eq!(found("resource_access.my.client.roles", &claims), None);
    }

    #[test]
    fn a_claim_named_by_the_whole_text_comes_first() {
        let claims = json!({"a.b": 1, "a": {"b": 2}});
        assert_eq!(found("a.b", &claims), Some(json!(1)));
        assert_eq!(found(r"a\.b", &claims), Some(json!(1)));
        let url = "https://example.com/roles";
        assert_eq!(found(url, &json!({url: 3})), Some(json!(3)));
    }

    #[test]
    fn a_lone_backslash_is_refused() {
        for bad in ["\\", "a\\", r"a\b", r"a.\x"] {
            assert_eq!(bad.parse::<ClaimPath>(), Err(InvalidClaimPath), "{bad}");
        }
    }
}
