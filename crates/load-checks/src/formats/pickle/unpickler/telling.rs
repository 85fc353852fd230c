//! Reports dangers: the sentence, the offset, and a description of the call that loading would make.
//!
//! The description uses the symbolic values alone, so that it shows only what is known of the arguments.

use crate::formats::pickle::rules::never_trusted;
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::{Form, Value};
use crate::report::{Finding, quoted};

/// The most characters of a described call.
const MAX_CALL: usize = 300;
/// Nesting of tuples that a description shows.
const MAX_DEPTH: usize = 3;
/// Refused names and calls whose description is kept.
const MAX_NOTES: usize = 4096;

/// Something refused: its description, and the finding about it.
#[derive(Debug)]
pub(crate) struct RefusedNote {
    text: String,
    finding: Option<usize>,
}

impl Machine<'_, '_, '_> {
    pub(crate) fn danger(&mut self, what: &str) {
        let sentence = format!("{what} at byte {}", self.at);
        self.tell(sentence, None);
    }

    pub(crate) fn danger_with_remedy(&mut self, what: &str, remedy: &str) {
        let sentence = format!("{what} at byte {}; {remedy}", self.at);
        self.tell(sentence, None);
    }

    /// Adds a danger to the findings, with its offset and the call it is about.
    fn tell(&mut self, sentence: String, global: Option<String>) -> Option<usize> {
        let mut finding = Finding::danger(sentence).at(self.at);
        finding.opcode = Some(self.opcode.name().to_owned());
        finding.would_call = self.calling.map(|(callable, args)| self.call_text(callable, args));
        finding.global = global.or_else(|| match (self.about, self.calling) {
            (Some(global), _) | (None, Some((Value::Global(global), _))) => {
                Some(self.full_name(global))
            }
            (None, Some((Value::Refused(id), _))) => {
                self.refused_note(id).map(|note| note.text.clone())
            }
            _ => None,
        });
        let before = self.job.findings.len();
        self.job.findings.add(finding);
        (self.job.findings.len() > before).then_some(before)
    }

    pub(crate) fn full_name(&self, global: u32) -> String {
        let note = self.arena.global_note(global);
        quoted(&format!("{}.{}", note.module, note.name))
    }

    /// Reports a name that is not trusted, and returns the value that stands for it from here on.
    pub(crate) fn refuse_global(&mut self, module: &str, name: &str, dotted: bool) -> Value {
        let full = quoted(&format!("{module}.{name}"));
        let at = self.at;
        let sentence = if dotted {
            format!(
                "dotted name \"{}\" in module \"{}\" at byte {at}; a dotted name reaches any \
                 attribute of a module and is never accepted",
                quoted(name),
                quoted(module)
            )
        } else if let Some(writer) = never_trusted::code_writer(module) {
            format!(
                "untrusted global {full} at byte {at}; {writer} stores code in the pickle, which \
                 is never loaded here; save the model from an importable module with pickle.dump"
            )
        } else if let Some(top) = never_trusted::runs_anything(module) {
            format!(
                "untrusted global {full} at byte {at}; {top} runs whatever it is told and is never \
                 trusted; do not load this file, and have the model saved again without it"
            )
        } else {
            format!(
                "untrusted global {full} at byte {at}; if this class is yours and safe, add \
                 \"{full}\" to [pickle] trusted in the policy file"
            )
        };
        let finding = self.tell(sentence, Some(full.clone()));
        self.refused(full, finding)
    }

    fn refused(&mut self, text: String, finding: Option<usize>) -> Value {
        if self.refused.len() >= MAX_NOTES {
            return Value::REFUSED;
        }
        self.refused.push(RefusedNote { text, finding });
        u32::try_from(self.refused.len()).map_or(Value::REFUSED, Value::Refused)
    }

    fn refused_note(&self, id: u32) -> Option<&RefusedNote> {
        self.refused.get((id as usize).checked_sub(1)?)
    }

    /// Adds the call of a refused name to the finding about that name.
    pub(crate) fn call_refused(&mut self, callable: Value, args: Value) -> Value {
        let Value::Refused(id) = callable else {
            return Value::REFUSED;
        };
        let Some(finding) = self.refused_note(id).and_then(|note| note.finding) else {
            return Value::REFUSED;
        };
        let text = self.call_text(callable, args);
        self.job.findings.would_call(finding, &text);
        self.refused(text, Some(finding))
    }

    fn call_text(&self, callable: Value, args: Value) -> String {
        let mut text = self.text_of(callable, 0);
        match args {
            Value::Tuple(id) => match self.arena.items(id) {
                Some(items) => {
                    let items: Vec<_> = items.iter().map(|item| self.text_of(*item, 1)).collect();
                    text.push_str(&format!("({})", items.join(", ")));
                }
                None => text.push_str("(…)"),
            },
            _ => text.push_str("(…)"),
        }
        cut(text)
    }

    fn text_of(&self, value: Value, depth: usize) -> String {
        match value {
            Value::None => "None".to_owned(),
            Value::Bool(true) => "True".to_owned(),
            Value::Bool(false) => "False".to_owned(),
            Value::Int(number) => number.to_string(),
            Value::Name(name) => self.text_literal(self.arena.name(name)),
            Value::Text(Some(text)) => self.text_literal(self.arena.name(text)),
            Value::Text(None) | Value::LongText(_) | Value::Template => "'…'".to_owned(),
            Value::Model(_, Form::Text) => "'…'".to_owned(),
            Value::Model(_, Form::ByteArray) => "bytearray(…)".to_owned(),
            Value::Bytes(_) | Value::Model(_, Form::Bytes) => "b'…'".to_owned(),
            Value::ByteArray(_) => "bytearray(…)".to_owned(),
            Value::Tuple(id) if depth < MAX_DEPTH => match self.arena.items(id) {
                Some(items) => {
                    let items: Vec<_> =
                        items.iter().map(|item| self.text_of(*item, depth + 1)).collect();
                    cut(format!("({})", items.join(", ")))
                }
                None => "(…)".to_owned(),
            },
            Value::Tuple(_) => "(…)".to_owned(),
            Value::List(_) => "[…]".to_owned(),
            Value::Dict(_) | Value::Set(_) => "{…}".to_owned(),
            Value::FrozenSet(_) => "frozenset(…)".to_owned(),
            Value::Global(global) => self.full_name(global),
            Value::Instance(id) => {
                format!("{}(…)", self.full_name(self.arena.instances[id as usize].global))
            }
            Value::Getter => "builtins.getattr".to_owned(),
            Value::Refused(id) => {
                self.refused_note(id).map_or_else(|| "…".to_owned(), |note| note.text.clone())
            }
            Value::Word(number) => number.to_string(),
            Value::BigInt(_) | Value::Float(_) | Value::Storage(_) => "…".to_owned(),
        }
    }

    fn text_literal(&self, text: &[u8]) -> String {
        format!("\"{}\"", quoted(&String::from_utf8_lossy(text)))
    }
}

fn cut(text: String) -> String {
    match text.char_indices().nth(MAX_CALL) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
