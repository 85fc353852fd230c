//! The policy: the model types, the requirements of each, and the operator's other decisions. It is read from TOML;
//! without a file, the built-in policy applies.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{
    ModelType, Scope,
    gates::{Gate, default_gates},
};

/// The requirements of one model type.
#[derive(Debug, Clone, PartialEq)]
pub struct TypeRules {
    /// The parameters that a registration must have.
    pub required_parameters: Vec<String>,
    /// The promotion gates, in the order in which failures are reported.
    pub gates: Vec<Gate>,
}

/// The days after which unused versions may be deleted. 0 means at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// The days for staged versions, from `created_at`.
    #[serde(default = "Retention::staged")]
    pub staged_days: u32,
    /// The days for archived versions, from `archived_at`.
    #[serde(default = "Retention::archived")]
    pub archived_days: u32,
}

impl Retention {
    const fn staged() -> u32 {
        30
    }

    const fn archived() -> u32 {
        90
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self { staged_days: Self::staged(), archived_days: Self::archived() }
    }
}

/// The operator's decisions.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    types: BTreeMap<ModelType, TypeRules>,
    /// Classes, as (module, name), that a pickle may name in addition to the built-in ones.
    pub trusted_globals: BTreeSet<(String, String)>,
    /// The retention of versions.
    pub retention: Retention,
    /// The scopes that each word in an identity provider's tokens grants: scope names, and roles.
    grants: BTreeMap<String, Vec<Scope>>,
}

/// The reason why the policy file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPolicy {
    /// The file is not TOML, or has a wrong key or value; the message says which and where.
    #[error("{0}")]
    Toml(String),
    /// No version could meaningfully pass the gate.
    #[error("the gate on \"{metric}\": {what}")]
    Gate {
        /// The gate's metric.
        metric: String,
        /// The fault of the gate.
        what: &'static str,
    },
    /// An entry of the trusted list does not name a class.
    #[error(
        "[pickle] trusted: \"{0}\" does not name a class as module.Name, for example \"libs.models.risk.BarraRiskModel\""
    )]
    Trusted(String),
    /// An entry of the trusted list would let a pickle run any code.
    #[error(
        "[pickle] trusted: \"{0}\" is in a module that can run any code, and is never trusted; load the \
         model without it"
    )]
    NeverTrusted(String),
    /// A role does not stand for scopes.
    #[error("[roles] \"{role}\": {what}")]
    Role {
        /// The role.
        role: String,
        /// The fault of the role.
        what: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    #[serde(default)]
    types: BTreeMap<ModelType, TypeEntry>,
    #[serde(default)]
    pickle: PickleEntry,
    #[serde(default)]
    retention: Retention,
    #[serde(default)]
    roles: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypeEntry {
    required_parameters: Option<Vec<String>>,
    gates: Option<Vec<Gate>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct PickleEntry {
    #[serde(default)]
    trusted: Vec<String>,
}

impl Default for Policy {
    fn default() -> Self {
        let known: [(&str, &[&str]); 4] = [
            ("risk_model", &["factor_list", "halflife_days", "shrinkage_intensity"]),
            ("alpha_weights", &["alpha_names", "combination_method", "ic_threshold"]),
            ("factor_definitions", &["factor_names", "categories", "lookback_days"]),
            ("feature_transforms", &["feature_names", "normalization_params"]),
        ];
        let types = known
            .into_iter()
            .filter_map(|(name, required)| {
                let rules = TypeRules {
                    required_parameters: required.iter().map(ToString::to_string).collect(),
                    gates: default_gates(),
                };
                ModelType::parse(name).ok().map(|model_type| (model_type, rules))
            })
            .collect();
        let grants =
            Scope::ALL.map(|scope| (scope.as_str().to_owned(), vec![scope])).into_iter().collect();
        Self { types, trusted_globals: BTreeSet::new(), retention: Retention::default(), grants }
    }
}

impl Policy {
    /// Parses a policy file. What the file says of a type replaces the built-in rule; other built-in types stay. No
    /// class of the packages in `never_trusted` can be trusted.
    ///
    /// # Errors
    /// [`InvalidPolicy`], which names the key.
    pub fn parse(toml_text: &str, never_trusted: &[&str]) -> Result<Self, InvalidPolicy> {
        let file: PolicyFile =
            toml::from_str(toml_text).map_err(|error| InvalidPolicy::Toml(error.to_string()))?;
        let mut policy = Self { retention: file.retention, ..Self::default() };
        for (model_type, entry) in file.types {
            let rules = policy.types.entry(model_type).or_insert_with(|| TypeRules {
                required_parameters: Vec::new(),
                gates: default_gates(),
            });
            if let Some(required) = entry.required_parameters {
                rules.required_parameters = required;
            }
            if let Some(gates) = entry.gates {
                check_gates(&gates)?;
                rules.gates = gates;
            }
        }
        for dotted in file.pickle.trusted {
            policy.trusted_globals.insert(split_global(&dotted, never_trusted)?);
        }
        for (role, names) in file.roles {
            let scopes = role_scopes(&role, &names)
                .map_err(|what| InvalidPolicy::Role { role: role.clone(), what })?;
            policy.grants.insert(role, scopes);
        }
        Ok(policy)
    }

    /// The scopes that a word in a token's scope claim grants: the scope with that name, or the scopes of that role
    /// in the file; none for any other word.
    #[must_use]
    pub fn granted_by(&self, word: &str) -> &[Scope] {
        self.grants.get(word).map_or(&[], Vec::as_slice)
    }

    /// The requirements of a type; `None` for an unknown type.
    #[must_use]
    pub fn rules(&self, model_type: &ModelType) -> Option<&TypeRules> {
        self.types.get(model_type)
    }

    /// Every known type, in alphabetical order.
    pub fn known_types(&self) -> impl Iterator<Item = &ModelType> {
        self.types.keys()
    }
}

fn check_gates(gates: &[Gate]) -> Result<(), InvalidPolicy> {
    let mut seen = BTreeSet::new();
    for gate in gates {
        let what = if !gate.minimum.is_finite() {
            "its minimum is not a finite number"
        } else if !seen.insert(&gate.metric) {
            "the metric has two gates"
        } else {
            continue;
        };
        return Err(InvalidPolicy::Gate { metric: gate.metric.clone(), what });
    }
    Ok(())
}

fn role_scopes(role: &str, names: &[String]) -> Result<Vec<Scope>, String> {
    if Scope::parse(role).is_some() {
        return Err("is itself a scope and cannot be a role".to_owned());
    }
    if role.is_empty() {
        return Err("is empty; give the role a name".to_owned());
    }
    let scope = |name: &String| {
        let known = Scope::ALL.map(Scope::as_str).join(", ");
        Scope::parse(name)
            .ok_or_else(|| format!("\"{name}\" is not a scope; the scopes are {known}"))
    };
    names.iter().map(scope).collect()
}

fn split_global(dotted: &str, never_trusted: &[&str]) -> Result<(String, String), InvalidPolicy> {
    let identifier = |part: &str| {
        !part.is_empty()
            && !part.starts_with(|c: char| c.is_ascii_digit())
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    match dotted.rsplit_once('.') {
        Some((module, name)) if module.split('.').all(identifier) && identifier(name) => {
            let package = module.split('.').next().unwrap_or(module);
            if never_trusted.contains(&package) {
                return Err(InvalidPolicy::NeverTrusted(dotted.to_owned()));
            }
            Ok((module.to_owned(), name.to_owned()))
        }
        _ => Err(InvalidPolicy::Trusted(dotted.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER_TRUSTED: [&str; 2] = ["functools", "os"];

    fn model_type(name: &str) -> ModelType {
        ModelType::parse(name).expect("type")
    }

    #[test]
    fn without_a_file_four_types_are_known_with_their_parameters() {
        let policy = Policy::default();
        let known: Vec<_> = policy.known_types().map(ModelType::as_str).collect();
        assert_eq!(
            known,
            ["alpha_weights", "factor_definitions", "feature_transforms", "risk_model"]
        );
        assert_eq!(
            policy.rules(&model_type("risk_model")).map(|rules| rules.required_parameters.clone()),
            Some(vec!["factor_list".into(), "halflife_days".into(), "shrinkage_intensity".into()])
        );
    }

    #[test]
    fn a_file_adds_types_gates_trusted_classes_and_retention() {
        let policy = Policy::parse(
            r#"
            [types.execution_model]
            required_parameters = ["horizon"]
            gates = [{ metric = "fill_rate", minimum = 0.9 }]
            [types.risk_model]
            gates = []
            [pickle]
            trusted = ["libs.models.risk.BarraRiskModel"]
            [retention]
            staged_days = 0
            "#,
            &NEVER_TRUSTED,
        )
        .expect("policy");
        let rules = policy.rules(&model_type("execution_model")).expect("known");
        assert_eq!(rules.gates, [Gate { metric: "fill_rate".into(), minimum: 0.9 }]);
        let risk = policy.rules(&model_type("risk_model")).expect("known");
        assert!(risk.gates.is_empty() && risk.required_parameters.len() == 3);
        assert!(
            policy.trusted_globals.contains(&("libs.models.risk".into(), "BarraRiskModel".into()))
        );
        assert_eq!(policy.retention, Retention { staged_days: 0, archived_days: 90 });
    }

    #[test]
    fn roles_stand_for_scopes() {
        let policy =
            Policy::parse("[roles]\nquant-admin = [\"model:admin\"]\nnobody = []", &NEVER_TRUSTED)
                .expect("policy");
        assert_eq!(policy.granted_by("quant-admin"), [Scope::Admin]);
        assert_eq!(policy.granted_by("model:write"), [Scope::Write]);
        for word in ["nobody", "Quant-Admin", "model:", "", "anyone"] {
            assert!(policy.granted_by(word).is_empty(), "{word}");
        }
    }

    #[test]
    fn what_does_not_belong_in_the_file_is_refused_by_name() {
        for (text, named) in [
            ("[typos]", "typos"),
            ("[types.Risk]\n", "lower-case"),
            ("[types.x]\ngates = [{ metric = \"ic\", minimum = nan }]", "finite"),
            (
                "[types.x]\ngates = [{ metric = \"ic\", minimum = 1 }, { metric = \"ic\", minimum = 2 }]",
                "two gates",
            ),
            ("[pickle]\ntrusted = [\"os.system\"]", "never trusted"),
            ("[pickle]\ntrusted = [\"os.path.join\"]", "never trusted"),
            ("[pickle]\ntrusted = [\"functools.partial\"]", "never trusted"),
            ("[pickle]\ntrusted = [\"os\"]", "\"os\""),
            ("[pickle]\ntrusted = [\"os.*\"]", "os.*"),
            ("[retention]\nstaged_days = -1", "staged_days"),
            ("[roles]\nquant = [\"model:all\"]", "model:all"),
            ("[roles]\nquant = \"model:read\"", "quant"),
            ("[roles]\n\"model:read\" = [\"model:admin\"]", "model:read"),
            ("[roles]\n\"\" = [\"model:admin\"]", "empty"),
        ] {
            let error = Policy::parse(text, &NEVER_TRUSTED).expect_err(text).to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
