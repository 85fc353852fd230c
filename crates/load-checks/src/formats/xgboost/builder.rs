//! Gathers a document while it is read, as long as it may be a model.
//!
//! Each tree is handed over and dropped when it is complete. A document that turns out to be
//! something else is not kept at all, so that plain JSON of any size costs nothing here.

use super::super::json::{Scalar, Visitor};
use super::learner::Trees;
use super::value::{Kind, Numbers, Value};

/// Bytes a model may take besides the trees that were handed over.
const MAX_HELD: usize = 192 * 1024 * 1024;
/// What a value costs besides its content.
const VALUE: usize = 48;

/// What the keys of a model can be before its booster; any other document is not kept.
const TOP: &[&[u8]] = &[b"learner", b"version"];

pub(super) struct Builder {
    /// Where the document is a model within what Python's pickle keeps.
    around: Option<Around>,
    /// Whether the document may still be a model.
    maybe: bool,
    frames: Vec<Frame>,
    held: usize,
    root: Option<Value>,
    trees: Trees,
    /// The learner holds a booster, complete.
    boosted: bool,
}

/// What stands around a model in a pickle: `{"Config": ..., "Model": ...}`.
#[derive(Default)]
struct Around {
    /// Arrays and objects that are open and not the model's.
    depth: usize,
    in_model: bool,
    configured: bool,
}

/// An array or object that is open.
struct Frame {
    value: Value,
    /// The last key of an object.
    key: String,
    /// What was held when it was opened.
    held: usize,
}

impl Builder {
    pub(super) fn new(trees: Trees) -> Self {
        Self {
            around: None,
            maybe: true,
            frames: Vec::new(),
            held: 0,
            root: None,
            trees,
            boosted: false,
        }
    }

    /// For a model with its configuration, as it stands in a pickle.
    pub(super) fn with_configuration(trees: Trees) -> Self {
        Self { around: Some(Around::default()), ..Self::new(trees) }
    }

    /// Whether what comes next belongs to no model, but stands around it.
    fn is_outside(&self) -> bool {
        self.around.as_ref().is_some_and(|around| !around.in_model)
    }

    /// The model ends where its outermost object does.
    fn leave_model(&mut self) {
        if let (Some(around), true) = (&mut self.around, self.frames.is_empty()) {
            around.in_model = false;
        }
    }

    /// Whether what was read so far has the parts of a model.
    pub(super) fn looks_like_model(&self) -> bool {
        // Asked for every number: what the learner holds must not be searched each time.
        let open = self.frames.get(1).filter(|_| self.top_key() == Some("learner"));
        self.maybe && (self.boosted || open.is_some_and(|frame| frame.key == "gradient_booster"))
    }

    /// The document without its trees, and those; `None` of a document that is no model.
    pub(super) fn finish(self) -> Option<(Value, Trees)> {
        if !self.looks_like_model() || self.around.is_some_and(|around| !around.configured) {
            return None;
        }
        self.root.map(|root| (root, self.trees))
    }

    /// An array of the binary form, at once.
    pub(super) fn typed(&mut self, mark: u8, values: Vec<f64>) -> Result<(), String> {
        if self.is_outside() {
            return Ok(());
        }
        self.hold(values.len() * 8)?;
        self.put(Value::Numbers(Numbers { kind: Kind::Typed(mark), values }))
    }

    fn top_key(&self) -> Option<&str> {
        self.frames.first().map(|frame| frame.key.as_str())
    }

    /// Forgets everything: it is no model.
    fn give_up(&mut self) {
        self.maybe = false;
        self.frames.clear();
        self.root = None;
        self.boosted = false;
    }

    fn hold(&mut self, bytes: usize) -> Result<(), String> {
        self.held = self.held.saturating_add(bytes);
        if self.held > MAX_HELD && !self.looks_like_model() {
            self.give_up();
        } else if self.held > MAX_HELD {
            return Err(format!(
                "a part of the model takes more than {MAX_HELD} bytes; it is too large to be checked"
            ));
        }
        Ok(())
    }

    /// Whether the innermost open array is the list of trees.
    fn in_trees(&self) -> bool {
        let keys = self.frames.iter().map(|frame| frame.key.as_str());
        let gbtree = ["learner", "gradient_booster", "model", "trees", ""];
        let dart = ["learner", "gradient_booster", "gbtree", "model", "trees", ""];
        (self.frames.len() == gbtree.len() && keys.clone().eq(gbtree))
            || (self.frames.len() == dart.len() && keys.eq(dart))
    }

    /// Puts a complete value where it belongs.
    fn put(&mut self, value: Value) -> Result<(), String> {
        if !self.maybe {
            return Ok(());
        }
        if self.in_trees() {
            let tree = self.trees.add(&value);
            self.held = self.frames.last().map_or(0, |frame| frame.held);
            return tree;
        }
        let in_learner = self.frames.len() == 2 && self.top_key() == Some("learner");
        let Some(frame) = self.frames.last_mut() else {
            self.root = Some(value);
            return Ok(());
        };
        match &mut frame.value {
            Value::Object(entries) => {
                self.boosted |= in_learner
                    && matches!(frame.key.as_str(), "gradient_booster" | "learner_model_param");
                entries.push((std::mem::take(&mut frame.key), value));
                Ok(())
            }
            array => {
                push(array, value);
                Ok(())
            }
        }
    }
}

/// Adds an element to an array that is open: packed, while all are numbers of one kind.
fn push(array: &mut Value, value: Value) {
    let (kind, number) = match value {
        Value::Int(number) => (Kind::Ints, number as f64),
        Value::Float(number) => (Kind::Floats, number),
        Value::Bool(yes) => (Kind::Bools, f64::from(u8::from(yes))),
        other => {
            match array {
                Value::Array(elements) => elements.push(other),
                Value::Numbers(numbers) if numbers.kind == Kind::Empty => {
                    *array = Value::Array(vec![other]);
                }
                _ => *array = Value::Numbers(Numbers { kind: Kind::Mixed, values: Vec::new() }),
            }
            return;
        }
    };
    match array {
        Value::Numbers(numbers) if numbers.kind == Kind::Empty || numbers.kind == kind => {
            numbers.kind = kind;
            numbers.values.push(number);
        }
        _ => *array = Value::Numbers(Numbers { kind: Kind::Mixed, values: Vec::new() }),
    }
}

impl Visitor for Builder {
    fn wants(&self) -> bool {
        self.maybe
    }

    fn takes_endless(&self) -> bool {
        // XGBoost writes and reads them; only its own numbers may be so.
        self.maybe && (self.is_outside() || (self.frames.len() > 2 && self.looks_like_model()))
    }

    fn open(&mut self, object: bool) {
        if !self.maybe {
            return;
        }
        if let Some(around) = self.around.as_mut().filter(|around| !around.in_model) {
            around.depth += 1;
            if around.depth == 1 && !object {
                self.give_up();
            }
            return;
        }
        let deep = self.frames.len();
        if !object && (deep == 0 || (deep == 1 && self.top_key() == Some("learner"))) {
            return self.give_up();
        }
        let value = if object {
            Value::Object(Vec::new())
        } else {
            Value::Numbers(Numbers { kind: Kind::Empty, values: Vec::new() })
        };
        self.frames.push(Frame { value, key: String::new(), held: self.held });
    }

    fn key(&mut self, key: &[u8]) {
        if let Some(around) = self.around.as_mut().filter(|around| !around.in_model) {
            match (around.depth, key) {
                (1, b"Model") => around.in_model = true,
                (1, b"Config") => around.configured = true,
                (1, _) => self.give_up(),
                _ => {}
            }
            return;
        }
        let known = self.frames.len() != 1 || TOP.contains(&key);
        if !known && !self.looks_like_model() {
            return self.give_up();
        }
        if let Some(frame) = self.frames.last_mut() {
            frame.key = String::from_utf8_lossy(key).into_owned();
        }
    }

    fn close(&mut self) -> Result<(), String> {
        if !self.maybe {
            return Ok(());
        }
        if let Some(around) = self.around.as_mut().filter(|around| !around.in_model) {
            around.depth = around.depth.saturating_sub(1);
            return Ok(());
        }
        // Counted while it is still open, so that what it holds can tell that this is a model.
        let key = self.frames.iter().nth_back(1).map_or(0, |around| around.key.len());
        self.hold(VALUE + key)?;
        let Some(frame) = self.frames.pop() else {
            return Ok(());
        };
        let put = self.put(frame.value);
        self.leave_model();
        put
    }

    fn scalar(&mut self, scalar: Scalar<'_>) -> Result<(), String> {
        if self.is_outside() {
            return Ok(());
        }
        if self.frames.is_empty() {
            self.give_up();
            return Ok(());
        }
        if self.frames.len() == 1 && self.top_key() == Some("learner") {
            self.give_up();
            return Ok(());
        }
        let (value, cost) = match scalar {
            Scalar::Null => (Value::Null, VALUE),
            Scalar::Bool(yes) => (Value::Bool(yes), 8),
            Scalar::Int(number) => (Value::Int(number), 8),
            Scalar::Float(number) => (Value::Float(number), 8),
            Scalar::Text(text) => (Value::Text(text.to_owned()), VALUE + text.len()),
        };
        let key = self.frames.last().map_or(0, |f| f.key.len());
        self.hold(cost + if key > 0 { VALUE + key } else { 0 })?;
        self.put(value)
    }
}
