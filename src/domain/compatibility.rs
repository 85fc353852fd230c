//! Compatibility: whether the data sets at hand are the versions that a model was trained on.

use std::collections::BTreeMap;

use super::text::{check_short_text, echo};

/// How well a data set, or all of them, fit a model. The later of two is the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The version that the model was trained on.
    Exact,
    /// Another version than the model was trained on.
    Drift,
    /// No version of the data set was named.
    Missing,
}

/// How well one data set fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetFit {
    /// The name of the data set.
    pub dataset: String,
    /// The version that the model was trained on.
    pub trained_on: String,
    /// The version at hand; `None` where none was named.
    pub at_hand: Option<String>,
    /// The comparison of the two.
    pub level: Level,
}

/// How well all data sets of a model fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compatibility {
    /// The worst level of all data sets.
    pub level: Level,
    /// Whether the model may be used: nothing is missing and, in strict mode, nothing drifted.
    pub compatible: bool,
    /// Whether drift blocks.
    pub strict: bool,
    /// Each data set that the model was trained on, by name.
    pub datasets: Vec<DatasetFit>,
}

impl DatasetFit {
    /// What is wrong; `None` where the versions are equal.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let Self { dataset, trained_on, at_hand, .. } = self;
        match (self.level, at_hand) {
            (Level::Exact, _) => None,
            (_, Some(at_hand)) => {
                Some(format!("{dataset}: trained on {trained_on}, at hand is {at_hand}"))
            }
            (_, None) => Some(format!("{dataset}: trained on {trained_on}, no version is named")),
        }
    }
}

impl Compatibility {
    /// Compares the data sets that a model was trained on with those at hand. Data sets that the model does not use
    /// do not matter. Any difference between two versions is drift: versions of data have no order that a program
    /// could rely on.
    #[must_use]
    pub fn of(
        trained_on: &BTreeMap<String, String>,
        at_hand: &BTreeMap<String, String>,
        strict: bool,
    ) -> Self {
        let datasets: Vec<_> = trained_on
            .iter()
            .map(|(dataset, version)| {
                let found = at_hand.get(dataset);
                let level = match found {
                    Some(found) if found == version => Level::Exact,
                    Some(_) => Level::Drift,
                    None => Level::Missing,
                };
                DatasetFit {
                    dataset: dataset.clone(),
                    trained_on: version.clone(),
                    at_hand: found.cloned(),
                    level,
                }
            })
            .collect();
        let level = datasets.iter().map(|fit| fit.level).max().unwrap_or(Level::Exact);
        let compatible = match level {
            Level::Exact => true,
            Level::Drift => !strict,
            Level::Missing => false,
        };
        Self { level, compatible, strict, datasets }
    }

    /// One sentence for each data set that does not fit.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.datasets.iter().filter_map(DatasetFit::warning).collect()
    }
}

/// Reads data sets that are named as `name:version`. A version may hold colons, a name may not.
///
/// # Errors
/// A sentence that names the fault.
pub fn datasets(named: &[String]) -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    for text in named {
        let pair = text.split_once(':').filter(|(name, version)| {
            check_short_text(name).is_ok() && check_short_text(version).is_ok()
        });
        let Some((name, version)) = pair else {
            return Err(format!(
                "dataset \"{}\" is not name:version, for example crsp:v1.2.4",
                echo(text)
            ));
        };
        if found.insert(name.to_owned(), version.to_owned()).is_some() {
            return Err(format!("dataset {} is named twice; name it once", echo(name)));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect()
    }

    #[test]
    fn missing_always_blocks_and_drift_blocks_where_strict() {
        let trained = versions(&[("crsp", "v1.2.3"), ("taq", "v2")]);
        for (at_hand, level, strict, compatible) in [
            (&[("crsp", "v1.2.3"), ("taq", "v2")][..], Level::Exact, true, true),
            (&[("crsp", "v1.2.3"), ("taq", "v2"), ("other", "v9")], Level::Exact, true, true),
            (&[("crsp", "v1.2.4"), ("taq", "v2")], Level::Drift, true, false),
            (&[("crsp", "v1.2.4"), ("taq", "v2")], Level::Drift, false, true),
            (&[("crsp", "v1.2.3 "), ("taq", "v2")], Level::Drift, true, false),
            (&[("crsp", "v1.2.3")], Level::Missing, false, false),
            (&[("crsp", "v9"), ("TAQ", "v2")], Level::Missing, false, false),
            (&[], Level::Missing, true, false),
        ] {
            let found = Compatibility::of(&trained, &versions(at_hand), strict);
            assert_eq!((found.level, found.compatible), (level, compatible), "{at_hand:?}");
        }
    }

    #[test]
    fn data_sets_are_named_with_their_versions() {
        let read =
            |named: &[&str]| datasets(&named.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(
            read(&["crsp:v1", "taq:2026-01-01T00:00"]),
            Ok(versions(&[("crsp", "v1"), ("taq", "2026-01-01T00:00")]))
        );
        assert_eq!(read(&[]), Ok(BTreeMap::new()));
        for wrong in ["crsp", ":v1", "crsp:", "", "a\n:b"] {
            assert!(read(&[wrong]).is_err(), "{wrong:?}");
        }
        assert!(read(&["crsp:v1", "crsp:v1"]).is_err_and(|told| told.contains("twice")));
    }

    #[test]
    fn each_data_set_that_does_not_fit_has_one_warning() {
        let trained = versions(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let found = Compatibility::of(&trained, &versions(&[("a", "1"), ("b", "2")]), false);
        assert_eq!(
            found.warnings(),
            ["b: trained on 1, at hand is 2", "c: trained on 1, no version is named"]
        );
    }
}
