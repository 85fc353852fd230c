//! `policy`: checks a policy file, and shows the policy in force.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Context, Failure, Outcome};
use crate::{
    domain::{self, Scope, policy::TypeRules},
    error::{ErrorKind, RegistryError},
    policy::{self, PolicyProblem},
};

/// The commands about the policy.
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Check a policy file; exit status 1 where it cannot be used
    Check(Check),
    /// Show the policy that holds here: the built-in one, and what the file of MODEL_REGISTRY_POLICY says
    Show,
}

/// Arguments of `policy check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The policy file
    file: PathBuf,
}

impl Policy {
    /// Runs the command.
    ///
    /// # Errors
    /// [`Failure`]; a verdict of 1 where a checked file cannot be used.
    pub fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Check(check) => check.run(context),
            Self::Show => {
                let in_force = context.settings()?.policy;
                let rules = in_force.now();
                let mut document = described(&rules.policy);
                document["file"] = json!(in_force.file());
                context.output.result(&document, || written(&rules.policy));
                Ok(())
            }
        }
    }
}

impl Check {
    fn run(&self, context: &Context) -> Outcome {
        let shown = self.file.display();
        match policy::read(&self.file) {
            Ok(policy) => {
                let mut document = described(&policy);
                document["valid"] = json!(true);
                context.output.result(&document, || format!("{shown} can be used"));
                Ok(())
            }
            Err(PolicyProblem::Invalid(_, fault)) => {
                let document = json!({
                    "valid": false, "line": fault.line, "text": fault.text, "error": fault.what,
                });
                context.output.result(&document, || format!("{shown}: {fault}"));
                Err(Failure::Verdict(1))
            }
            Err(problem) => {
                Err(RegistryError::new(ErrorKind::InvalidRequest, problem.to_string()).into())
            }
        }
    }
}

fn trusted(policy: &domain::Policy) -> Vec<String> {
    policy.trusted_globals.iter().map(|(module, name)| format!("{module}.{name}")).collect()
}

fn described(policy: &domain::Policy) -> Value {
    let types: serde_json::Map<String, Value> = policy
        .types()
        .map(|(model_type, rules)| {
            let rules = json!({
                "required_parameters": rules.required_parameters, "gates": rules.gates,
                "approvals": rules.approvals, "formats": rules.formats,
                "accept_unsafe": rules.accept_unsafe,
            });
            (model_type.to_string(), rules)
        })
        .collect();
    let roles: serde_json::Map<String, Value> = policy
        .roles()
        .map(|(role, scopes)| {
            (role.to_owned(), scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().into())
        })
        .collect();
    json!({
        "types": types,
        "retention": {
            "staged_days": policy.retention.staged_days,
            "archived_days": policy.retention.archived_days,
        },
        "pickle": { "trusted": trusted(policy) },
        "roles": roles,
    })
}

/// A list as TOML writes it. TOML and JSON write such texts alike.
fn list<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<_> = texts.into_iter().map(|text| Value::from(text).to_string()).collect();
    format!("[{}]", quoted.join(", "))
}

/// The policy as a file that says the same.
fn written(policy: &domain::Policy) -> String {
    let mut lines = Vec::new();
    for (model_type, rules) in policy.types() {
        lines.push(format!("[types.{model_type}]"));
        lines.extend(type_lines(rules));
        lines.push(String::new());
    }
    lines.push("[retention]".to_owned());
    lines.push(format!("staged_days = {}", policy.retention.staged_days));
    lines.push(format!("archived_days = {}", policy.retention.archived_days));
    let trusted = trusted(policy);
    if !trusted.is_empty() {
        let trusted = list(trusted.iter().map(String::as_str));
        lines.extend([String::new(), "[pickle]".to_owned(), format!("trusted = {trusted}")]);
    }
    let mut roles = policy.roles().peekable();
    if roles.peek().is_some() {
        lines.extend([String::new(), "[roles]".to_owned()]);
    }
    for (role, scopes) in roles {
        let scopes = list(scopes.iter().copied().map(Scope::as_str));
        lines.push(format!("{} = {scopes}", Value::from(role)));
    }
    lines.join("\n")
}

fn type_lines(rules: &TypeRules) -> Vec<String> {
    let required = list(rules.required_parameters.iter().map(String::as_str));
    let gates: Vec<_> = rules
        .gates
        .iter()
        .map(|gate| {
            let metric = Value::from(gate.metric.as_str());
            format!("{{ metric = {metric}, minimum = {:?} }}", gate.minimum)
        })
        .collect();
    let mut lines = vec![
        format!("required_parameters = {required}"),
        format!("gates = [{}]", gates.join(", ")),
        format!("approvals = {}", rules.approvals),
        format!("accept_unsafe = {}", rules.accept_unsafe),
    ];
    if let Some(formats) = &rules.formats {
        lines.push(format!("formats = {}", list(formats.iter().map(String::as_str))));
    }
    lines
}
