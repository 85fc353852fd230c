//! The policy: the model types, the requirements of each, and the operator's other decisions. It is read from TOML;
//! without a file, the built-in policy applies.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
};

use serde::Deserialize;
use toml::Spanned;

use super::{
    ModelType, Scope,
    gates::{Gate, default_gates},
};

/// The most approvals that a promotion may need.
const MAX_APPROVALS: u32 = 20;

/// The requirements of one model type.
#[derive(Debug, Clone, PartialEq)]
pub struct TypeRules {
    /// The parameters that a registration must have.
    pub required_parameters: Vec<String>,
    /// The promotion gates, in the order in which failures are reported.
    pub gates: Vec<Gate>,
    /// The number of people who must approve a promotion.
    pub approvals: u32,
    /// The formats that an artifact may have; any where `None`.
    pub formats: Option<BTreeSet<String>>,
    /// Whether an artifact is registered although loading it could do harm.
    pub accept_unsafe: bool,
}

impl Default for TypeRules {
    fn default() -> Self {
        Self {
            required_parameters: Vec::new(),
            gates: default_gates(),
            approvals: 0,
            formats: None,
            accept_unsafe: false,
        }
    }
}

impl TypeRules {
    /// Whether an artifact may have this format.
    #[must_use]
    pub fn allows_format(&self, format: &str) -> bool {
        self.formats.as_ref().is_none_or(|formats| formats.contains(format))
    }
}

/// The days after which unused versions may be deleted. 0 means at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// The days for staged versions, from `created_at`.
    #[serde(default = "Retention::staged")]
    pub staged_days: u32,
    /// The days for archived versions, from `archived_at`, and for failed ones, from when they were marked so.
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

/// The words that only the load checks know.
#[derive(Debug, Clone, Copy)]
pub struct Vocabulary<'a> {
    /// The packages of which no class can be trusted.
    pub never_trusted: &'a [&'a str],
    /// The names of the formats.
    pub formats: &'a [String],
}

/// The reason why the policy file cannot be used: where, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidPolicy {
    /// The line, from 1; `None` where the fault is in no single one.
    pub line: Option<usize>,
    /// The text of the line, shortened.
    pub text: String,
    /// What is wrong with it, with the remedy.
    pub what: String,
}

impl std::error::Error for InvalidPolicy {}

impl fmt::Display for InvalidPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}, `{}`: ", self.text)?;
        }
        f.write_str(&self.what)
    }
}

impl InvalidPolicy {
    /// The fault at a place in the file.
    fn at(file: &str, span: Option<Range<usize>>, what: String) -> Self {
        const SHOWN: usize = 120;
        let start = span.and_then(|span| file.get(..span.start));
        let line = start.map(|before| before.matches('\n').count() + 1);
        let text = line.and_then(|line| file.lines().nth(line - 1)).unwrap_or_default();
        let text = text.trim().chars().filter(|c| !c.is_control()).take(SHOWN).collect();
        Self { line, text, what }
    }

    fn toml(file: &str, error: &toml::de::Error) -> Self {
        let message = error.message().trim();
        let what = match near_name(message) {
            Some(near) => format!("{message}; did you mean `{near}`?"),
            None => message.to_owned(),
        };
        Self::at(file, error.span(), what)
    }
}

/// The known key that is most like an unknown one, from the parser's message: "unknown field `a`, expected one of `b`,
/// `c`".
fn near_name(message: &str) -> Option<&str> {
    const LIKE: f64 = 0.75;
    let rest = message.strip_prefix("unknown field ")?;
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let unknown = quoted.next()?;
    let likeness = |name: &str| strsim::jaro_winkler(unknown, name);
    quoted
        .filter(|name| likeness(name) >= LIKE)
        .max_by(|one, other| likeness(one).total_cmp(&likeness(other)))
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
    roles: BTreeMap<String, Spanned<Vec<String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypeEntry {
    required_parameters: Option<Vec<String>>,
    gates: Option<Vec<Spanned<Gate>>>,
    approvals: Option<Spanned<u32>>,
    formats: Option<Spanned<Vec<Spanned<String>>>>,
    accept_unsafe: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct PickleEntry {
    #[serde(default)]
    trusted: Vec<Spanned<String>>,
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
                    ..TypeRules::default()
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
    /// Parses a policy file. What the file says of a type replaces the built-in rule; other built-in types stay.
    ///
    /// # Errors
    /// [`InvalidPolicy`], which names the line.
    pub fn parse(file: &str, vocabulary: Vocabulary<'_>) -> Result<Self, InvalidPolicy> {
        let parsed: PolicyFile =
            toml::from_str(file).map_err(|error| InvalidPolicy::toml(file, &error))?;
        let mut policy = Self { retention: parsed.retention, ..Self::default() };
        let at = |(span, what)| InvalidPolicy::at(file, Some(span), what);
        for (model_type, entry) in parsed.types {
            let rules = policy.types.entry(model_type).or_default();
            entry.apply(rules, vocabulary).map_err(at)?;
        }
        for dotted in parsed.pickle.trusted {
            let global = split_global(dotted.as_ref(), vocabulary.never_trusted)
                .map_err(|what| at((dotted.span(), what)))?;
            policy.trusted_globals.insert(global);
        }
        for (role, names) in parsed.roles {
            let scopes =
                role_scopes(&role, names.as_ref()).map_err(|what| at((names.span(), what)))?;
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

    /// Every known type with its rules, in alphabetical order.
    pub fn types(&self) -> impl Iterator<Item = (&ModelType, &TypeRules)> {
        self.types.iter()
    }

    /// Every role with its scopes, in alphabetical order.
    pub fn roles(&self) -> impl Iterator<Item = (&str, &[Scope])> {
        let roles = self.grants.iter().filter(|(word, _)| Scope::parse(word).is_none());
        roles.map(|(role, scopes)| (role.as_str(), scopes.as_slice()))
    }
}

/// A fault, and where in the file it is.
type Fault = (Range<usize>, String);

impl TypeEntry {
    fn apply(self, rules: &mut TypeRules, vocabulary: Vocabulary<'_>) -> Result<(), Fault> {
        if let Some(required) = self.required_parameters {
            rules.required_parameters = required;
        }
        if let Some(gates) = self.gates {
            rules.gates = checked_gates(gates)?;
        }
        if let Some(approvals) = self.approvals {
            if *approvals.as_ref() > MAX_APPROVALS {
                let what = format!("approvals must be a number from 0 to {MAX_APPROVALS}");
                return Err((approvals.span(), what));
            }
            rules.approvals = approvals.into_inner();
        }
        if let Some(formats) = self.formats {
            rules.formats = Some(checked_formats(formats, vocabulary.formats)?);
        }
        if let Some(accept_unsafe) = self.accept_unsafe {
            rules.accept_unsafe = accept_unsafe;
        }
        Ok(())
    }
}

fn checked_gates(gates: Vec<Spanned<Gate>>) -> Result<Vec<Gate>, Fault> {
    let mut checked: Vec<Gate> = Vec::new();
    for spanned in gates {
        let (span, gate) = (spanned.span(), spanned.into_inner());
        let what = if !gate.minimum.is_finite() {
            "its minimum is not a finite number, so no version or every version would pass it"
        } else if checked.iter().any(|other| other.metric == gate.metric) {
            "the metric has two gates; keep one of them"
        } else {
            checked.push(gate);
            continue;
        };
        return Err((span, format!("the gate on \"{}\": {what}", gate.metric)));
    }
    Ok(checked)
}

fn checked_formats(
    formats: Spanned<Vec<Spanned<String>>>,
    known: &[String],
) -> Result<BTreeSet<String>, Fault> {
    let span = formats.span();
    let mut checked = BTreeSet::new();
    for format in formats.into_inner() {
        if !known.contains(format.as_ref()) {
            let what = format!(
                "\"{}\" is no format that is checked; the formats are {}",
                format.as_ref(),
                known.join(", ")
            );
            return Err((format.span(), what));
        }
        checked.insert(format.into_inner());
    }
    if checked.is_empty() {
        let what = "formats is empty, so nothing could be registered; leave it out to allow every \
                    format";
        return Err((span, what.to_owned()));
    }
    Ok(checked)
}

fn role_scopes(role: &str, names: &[String]) -> Result<Vec<Scope>, String> {
    if Scope::parse(role).is_some() {
        return Err(format!("[roles] \"{role}\" is itself a scope and cannot be a role"));
    }
    if role.is_empty() {
        return Err("[roles] \"\" is empty; give the role a name".to_owned());
    }
    let scope = |name: &String| {
        let known = Scope::ALL.map(Scope::as_str).join(", ");
        Scope::parse(name).ok_or_else(|| {
            format!("[roles] \"{role}\": \"{name}\" is not a scope; the scopes are {known}")
        })
    };
    names.iter().map(scope).collect()
}

fn split_global(dotted: &str, never_trusted: &[&str]) -> Result<(String, String), String> {
    let identifier = |part: &str| {
        !part.is_empty()
            && !part.starts_with(|c: char| c.is_ascii_digit())
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    match dotted.rsplit_once('.') {
        Some((module, name)) if module.split('.').all(identifier) && identifier(name) => {
            let package = module.split('.').next().unwrap_or(module);
            if never_trusted.contains(&package) {
                return Err(format!(
                    "[pickle] trusted: \"{dotted}\" is in a module that can run any code, and is never trusted; \
                     load the model without it"
                ));
            }
            Ok((module.to_owned(), name.to_owned()))
        }
        _ => Err(format!(
            "[pickle] trusted: \"{dotted}\" does not name a class as module.Name, for example \
             \"libs.models.risk.BarraRiskModel\""
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Policy, InvalidPolicy> {
        let formats = ["onnx".to_owned(), "pickle".to_owned()];
        Policy::parse(text, Vocabulary { never_trusted: &["functools", "os"], formats: &formats })
    }

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
        let policy = parse(
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
    fn a_type_may_limit_its_formats_accept_danger_and_need_approvals() {
        let policy = parse(
            "[types.risk_model]\nformats = [\"onnx\"]\naccept_unsafe = true\napprovals = 2\n",
        )
        .expect("policy");
        let rules = policy.rules(&model_type("risk_model")).expect("known");
        assert!(rules.allows_format("onnx") && !rules.allows_format("pickle"));
        assert_eq!((rules.accept_unsafe, rules.approvals), (true, 2));
        let other = policy.rules(&model_type("alpha_weights")).expect("known");
        assert!(other.allows_format("pickle"));
        assert_eq!((other.accept_unsafe, other.approvals), (false, 0));
    }

    #[test]
    fn roles_stand_for_scopes() {
        let policy =
            parse("[roles]\nquant-admin = [\"model:admin\"]\nnobody = []").expect("policy");
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
            ("[retentions]", "line 1, `[retentions]`"),
            ("[types.x]\n\n  gate = []", "line 3, `gate = []`"),
            ("[types.x]\n\n  gate = []", "did you mean `gates`?"),
            ("[types.x]\nformats = [\n  \"onnx\",\n  \"docx\",\n]", "line 4, `\"docx\",`"),
            ("[types.x]\nformats = []", "formats is empty"),
            ("[types.x]\napprovals = 21", "0 to 20"),
            ("[types.x]\napprovals = -1", "line 2"),
            ("[types.x]\naccept_unsafe = \"yes\"", "line 2"),
            ("[types.x]\nrequired_signers = [\"ci\"]", "required_signers"),
            ("[types.x]\ngates = [\n{ metric = \"ic\", minimum = nan }]", "line 3"),
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
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
