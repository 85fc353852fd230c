//! Keras v3 models: a configuration, the weights, and assets.
//!
//! The configuration is JSON in which every object names its class; Keras imports what it names
//! and builds it. Here each must be one of Keras's own (`names`), because with any other, and with
//! a few of its own, loading runs code or reads other files. The weights are an HDF5 file.

mod arguments;
mod hdf5;
mod layers;
mod names;

use serde_json::Value;

use super::super::json::scan_slice;
use super::super::pickle::runs_anything;
use super::super::report::{Depth, Finding, quoted};
use super::super::source::Source;
use super::super::{Halt, Job};
use super::directory::Member;
use super::member;

const CONFIG: &str = "config.json";
const METADATA: &str = "metadata.json";
const WEIGHTS: &str = "model.weights.h5";
const ASSETS: &str = "assets/";
/// Bytes of a configuration, which is held in memory as a whole, some twenty times over.
const MAX_CONFIG: u64 = 2 * 1024 * 1024;
/// Bytes of weights that are held in memory to be followed.
const MAX_WALKED: u64 = 128 * 1024 * 1024;
/// Values looked at between two questions whether to go on.
const POLL_EVERY: usize = 4096;

/// Values that Keras writes as objects and that name no class.
const PLAIN: [&str; 6] =
    ["__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__"];
/// Layers that would read their vocabulary from any file a text names.
const LOOKUPS: [&str; 3] = ["StringLookup", "IntegerLookup", "TextVectorization"];

/// Whether these are the members of a Keras model.
pub(super) fn is_one(members: &[Member]) -> bool {
    let holds = |name: &str| members.iter().any(|member| member.name == name);
    holds(CONFIG) && (holds(METADATA) || holds(WEIGHTS))
}

pub(super) fn check(
    source: &mut Source<'_>,
    job: &mut Job<'_>,
    members: &[Member],
) -> Result<Depth, Halt> {
    let mut weighted = false;
    let (mut document, mut shapes) = (None, None);
    for one in members {
        job.poll()?;
        let checked = match one.name.as_str() {
            CONFIG => member::open(source, job, one, |inner, job| {
                document = Some(config(inner, job, one.size)?);
                Ok(())
            }),
            METADATA => {
                member::open(source, job, one, |inner, job| json(inner, job, one.size).map(drop))
            }
            WEIGHTS => {
                weighted = true;
                member::open(source, job, one, |inner, job| {
                    shapes = weights(inner, job)?;
                    Ok(())
                })
            }
            name if name.starts_with(ASSETS) => member::pass(source, job, one),
            other => job.broken(format!("{} is no part of a Keras model", quoted(other))),
        };
        match checked {
            // Told already; the other members may hold worse.
            Ok(()) | Err(Halt::Broken) => {}
            Err(other) => return Err(other),
        }
    }
    if !weighted {
        return job.broken(format!("the archive holds no {WEIGHTS}"));
    }
    // A model with code in it is told of before its sizes are.
    if let (Some(document), Some(shapes)) = (document, shapes) {
        layers::check(&document, &shapes, job)?;
    }
    Ok(Depth::Typed)
}

fn json(source: &mut Source<'_>, job: &mut Job<'_>, size: u64) -> Result<Value, Halt> {
    if size > MAX_CONFIG {
        return job
            .broken(format!("a configuration of {size} bytes; {MAX_CONFIG} at most are read"));
    }
    let Some(bytes) = source.read_bytes(size)? else {
        return job.broken("the configuration ends too early");
    };
    if let Err(fault) = scan_slice(&bytes) {
        return job.broken(fault.to_string());
    }
    match serde_json::from_slice(&bytes) {
        Ok(value) => Ok(value),
        Err(error) => job.broken(error.to_string()),
    }
}

/// Looks at every object of the configuration, however deep.
fn config(source: &mut Source<'_>, job: &mut Job<'_>, size: u64) -> Result<Value, Halt> {
    let document = json(source, job, size)?;
    if document.get("class_name").is_none() || document.get("config").is_none() {
        return job.broken("the configuration describes no model");
    }
    let mut left = vec![&document];
    let mut seen = 0_usize;
    while let Some(value) = left.pop() {
        seen += 1;
        if seen.is_multiple_of(POLL_EVERY) {
            job.poll()?;
        }
        match value {
            Value::Array(items) => left.extend(items),
            Value::Object(fields) => {
                if let Some(class) = fields.get("class_name") {
                    object(job, class, value);
                } else if fields.contains_key("registered_name") && fields.contains_key("config") {
                    job.findings.broken("an object of the configuration without its class");
                }
                left.extend(fields.values());
            }
            _ => {}
        }
    }
    arguments::check(&document, job)?;
    Ok(document)
}

/// One object: its class must be Keras's own, under a name of Keras's own.
fn object(job: &mut Job<'_>, class: &Value, object: &Value) {
    let Some(class) = class.as_str() else {
        job.findings.broken("an object of the configuration whose class is no text");
        return;
    };
    let text = |key: &str| object.get(key).and_then(Value::as_str);
    let told = |key: &str| object.get(key).is_some_and(|value| !value.is_null());
    let (module, registered) = (text("module"), text("registered_name"));
    if told("module") != module.is_some() || told("registered_name") != registered.is_some() {
        job.findings.broken("an object of the configuration whose module or name is no text");
        return;
    }
    if PLAIN.contains(&class) {
        return;
    }
    let quoted_class = quoted(class);
    if class != "function" && !is_config(object.get("config")) {
        job.findings.broken(format!("the configuration of {quoted_class} is no object"));
        return;
    }
    match class {
        "__lambda__" | "Lambda" => {
            return danger(
                job,
                class,
                "a Lambda layer or function, which carries code that runs when the model is \
                 loaded; write it as a layer of Keras",
            );
        }
        "__typespec__" => {
            return danger(job, class, "a type of TensorFlow's, which names a class to import");
        }
        "function" => return function(job, module, object),
        _ => {}
    }
    let own_module = module.is_none_or(is_own);
    let own_name = registered.is_none_or(|name| name == class);
    if own_module && own_name && names::is_class(class) {
        if LOOKUPS.contains(&class)
            && let Some(Value::String(path)) = object.pointer("/config/vocabulary")
        {
            let path = quoted(path);
            danger(
                job,
                class,
                &format!(
                    "{quoted_class} reads its vocabulary from the file or address {path}; keep the \
                 vocabulary in the model"
                ),
            );
        }
        return;
    }
    let module = module.unwrap_or_default();
    // A class is looked up by the package and name that it was registered by, then in its module.
    let package = registered.and_then(|name| name.strip_suffix(class)?.strip_suffix('>'));
    let places = [Some(module).filter(|module| !module.is_empty()), package];
    let trusted = |place: &str| !is_own(place) && job.trusted.contains(place, class);
    if places.iter().flatten().any(|place| trusted(place)) {
        return;
    }
    let full = match places[0].or(package) {
        Some(place) => quoted(&format!("{place}.{class}")),
        None => quoted(class),
    };
    let told = match registered.filter(|name| *name != class) {
        Some(name) => format!(" (registered as {})", quoted(name)),
        None => String::new(),
    };
    danger(
        job,
        &full,
        &format!(
            "{full}{told} is none of Keras's plain layers or their parts; {}",
            remedy(places[0].or(package), class)
        ),
    );
}

/// What an operator can do about a class that is not Keras's: only what the policy file takes.
fn remedy(place: Option<&str>, class: &str) -> String {
    let identifier = |part: &str| {
        !part.is_empty()
            && !part.starts_with(|c: char| c.is_ascii_digit())
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    match place {
        Some(place) if is_own(place) => "no model needs it as a part".to_owned(),
        Some(place) if let Some(top) = runs_anything(place) => format!(
            "{top} runs whatever it is told and is never trusted; do not load this file, and have the model saved \
             again without it"
        ),
        Some(place) if identifier(class) && place.split('.').all(identifier) => format!(
            "if this class is yours and safe, add \"{place}.{class}\" to [pickle] trusted in the policy file"
        ),
        _ => "the policy file cannot name it; register the class under a package whose name is one word, and save \
              the model again"
            .to_owned(),
    }
}

/// What Keras takes for the configuration of a class: an object, or whatever Python takes for nothing.
fn is_config(config: Option<&Value>) -> bool {
    match config {
        None | Some(Value::Null | Value::Object(_) | Value::Bool(false)) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Number(number)) => number.as_f64() == Some(0.0),
        Some(Value::Bool(true)) => false,
    }
}

fn is_own(module: &str) -> bool {
    module == "keras" || module.starts_with("keras.")
}

/// `{"class_name": "function", "config": "relu", "module": "builtins"}`
fn function(job: &mut Job<'_>, module: Option<&str>, object: &Value) {
    let name = object.get("config").and_then(Value::as_str).unwrap_or_default();
    let registered = object.get("registered_name").and_then(Value::as_str);
    let own_module = module.is_some_and(|module| module == "builtins" || is_own(module));
    let own_name = registered.is_none_or(|it| it == name || it == "function");
    if own_module && own_name && names::is_function(name) {
        return;
    }
    let full = quoted(&format!("{}.{name}", module.unwrap_or_default()));
    danger(
        job,
        &full,
        &format!(
            "the function {full} is none of Keras's activations, losses and metrics; loading \
             the model could call it"
        ),
    );
}

fn danger(job: &mut Job<'_>, global: &str, sentence: &str) {
    let finding = Finding { global: Some(quoted(global)), ..Finding::danger(sentence) };
    job.findings.add(finding);
}

/// Larger weights are not held in memory: of them the frame alone is checked, and the checksum.
fn weights(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<Option<hdf5::Shapes>, Halt> {
    let size = source.len().unwrap_or_default();
    if size > MAX_WALKED {
        let head = source.head().get(..hdf5::SUPERBLOCK).unwrap_or_default().to_vec();
        job.findings.note("the weights are too large to follow their groups; their frame is whole");
        hdf5::check_frame(job, &head, size)?;
        return Ok(None);
    }
    match source.read_bytes(size)? {
        Some(bytes) => hdf5::check(job, &bytes).map(Some),
        None => job.broken("the weights end too early"),
    }
}
