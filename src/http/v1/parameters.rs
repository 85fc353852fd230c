//! The query of a route that knows its parameters. A parameter that is unknown or given twice is refused.

use actix_web::web::Query;

use crate::{
    domain::{Timestamp, text::echo},
    error::{ErrorKind, RegistryError},
};

/// The parameters of a query, by name.
#[derive(Debug, Default)]
pub struct Parameters(Vec<(&'static str, String)>);

/// The error for a query.
#[must_use]
pub fn refused(detail: String) -> RegistryError {
    RegistryError::new(ErrorKind::InvalidRequest, detail)
}

fn pairs(query: &str) -> Result<Vec<(String, String)>, RegistryError> {
    Query::<Vec<(String, String)>>::from_query(query)
        .map(Query::into_inner)
        .map_err(|_| refused("the query is not a list of name=value pairs in UTF-8".to_owned()))
}

impl Parameters {
    /// Reads a query of which every parameter must be known. `what` is what they are parameters of.
    ///
    /// # Errors
    /// `INVALID_REQUEST`, which names the parameter, and the one that was probably meant.
    pub fn read(query: &str, what: &str, known: &[&'static str]) -> Result<Self, RegistryError> {
        let mut found = Self::default();
        for (name, value) in pairs(query)? {
            let Some(name) = known.iter().find(|known| **known == name) else {
                return Err(unknown(&name, what, known));
            };
            found.add(name, value)?;
        }
        Ok(found)
    }

    /// Reads only this parameter of a query.
    ///
    /// # Errors
    /// `INVALID_REQUEST` where it is given twice.
    pub fn only(query: &str, name: &'static str) -> Result<Self, RegistryError> {
        let mut found = Self::default();
        for (_, value) in pairs(query)?.into_iter().filter(|(given, _)| given == name) {
            found.add(name, value)?;
        }
        Ok(found)
    }

    fn add(&mut self, name: &'static str, value: String) -> Result<(), RegistryError> {
        if self.get(name).is_some() {
            return Err(refused(format!("{name} is given twice; give it once")));
        }
        self.0.push((name, value));
        Ok(())
    }

    /// The text of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter as a value. `valid` says what it may be.
    ///
    /// # Errors
    /// `INVALID_REQUEST`, with the name, the text and `valid`.
    pub fn parsed<T>(
        &self,
        name: &str,
        valid: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, RegistryError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let parsed = parse(text);
        let refusal = || refused(format!("{name} \"{}\" is not {valid}", echo(text)));
        parsed.map(Some).ok_or_else(refusal)
    }

    /// A whole number.
    ///
    /// # Errors
    /// `INVALID_REQUEST`, with the valid range.
    pub fn number(&self, name: &str, least: u64, most: u64) -> Result<Option<u64>, RegistryError> {
        self.parsed(name, &format!("a whole number from {least} to {most}"), |text| {
            // Rust's own parser accepts a leading `+`.
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            let number: Option<u64> = text.parse().ok().filter(|_| digits);
            number.filter(|number| (least..=most).contains(number))
        })
    }

    /// A time.
    ///
    /// # Errors
    /// `INVALID_REQUEST`, with an example.
    pub fn time(&self, name: &str) -> Result<Option<Timestamp>, RegistryError> {
        const VALID: &str = "a time as in RFC 3339, for example 2026-11-14T08:03:36Z; a plus sign in a query is \
                             written %2B";
        self.parsed(name, VALID, |text| Timestamp::parse(text).ok())
    }
}

fn unknown(name: &str, what: &str, known: &[&str]) -> RegistryError {
    let lower = name.to_lowercase();
    let nearest = known.iter().min_by_key(|known| strsim::damerau_levenshtein(&lower, known));
    refused(format!(
        "\"{}\" is not a parameter of {what}; did you mean {}? There are {}",
        echo(name),
        nearest.unwrap_or(&""),
        known.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Parameters, String> {
        Parameters::read(query, "a history", &["after", "limit", "by"])
            .map_err(|error| error.detail().to_owned())
    }

    #[test]
    fn a_parameter_that_is_unknown_or_given_twice_is_refused() {
        let unknown = read("aftr=1").unwrap_err();
        assert!(unknown.contains("\"aftr\" is not a parameter of a history; did you mean after?"));
        assert!(read("by=a&by=b").unwrap_err().contains("by is given twice"));
        let found = read("by=a%20b&limit=5").unwrap();
        assert_eq!((found.get("by"), found.get("after")), (Some("a b"), None));
    }

    #[test]
    fn numbers_and_times_are_read_strictly() {
        for (query, valid) in
            [("limit=5", true), ("limit=0", false), ("limit=+5", false), ("limit=", false)]
        {
            assert_eq!(read(query).unwrap().number("limit", 1, 10).is_ok(), valid, "{query}");
        }
        let at = |query: &str| Parameters::only(query, "at").unwrap().time("at");
        for (query, valid) in [
            ("at=2026-11-14T08:03:36Z", true),
            ("at=2026-11-14T09:03:36%2B01:00", true),
            ("x=1", true),
            ("at=2026-11-14T09:03:36+01:00", false),
            ("at=2026-11-14", false),
            ("at=", false),
        ] {
            assert_eq!(at(query).is_ok(), valid, "{query}");
        }
        assert!(Parameters::only("at=1&at=2", "at").is_err());
    }
}
