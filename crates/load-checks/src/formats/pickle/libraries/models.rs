//! Models within pickles: of LightGBM and XGBoost, and tables of polars.
//!
//! LightGBM aborts the process on a text whose tree sizes are wrong, and XGBoost crashes on a tree whose parents do not
//! exist, both while the pickle is loaded. So a text or bytes that begin as a model are checked by the reader of that
//! format, and a booster may be given nothing else. A fault of a model counts only if a booster is given it.

use std::io::{self, Read};

use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::{Form, UNKNOWN, Value};
use crate::formats::{arrow, lightgbm, xgboost};
use crate::job::{Halt, Job};
use crate::report::Depth;
use crate::report::Format;
use crate::source::Source;

/// Bytes from the start of a model by which it is recognised.
pub(crate) const HEAD: usize = 16;
/// What begins a stream of Arrow's, as the text that protocols 0 to 2 write for bytes.
const MARK_AS_TEXT: [u8; 8] = [0xc3, 0xbf, 0xc3, 0xbf, 0xc3, 0xbf, 0xc3, 0xbf];
/// Memory for a model besides its fault, in bytes.
const COST: usize = 48;

/// The kind of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Lightgbm,
    XgboostBinary,
    XgboostJson,
    /// A table of polars, in a stream of Arrow's.
    Arrow,
}

impl Kind {
    /// The kind of model that begins so, if any.
    pub(crate) fn of(head: &[u8; HEAD]) -> Option<Self> {
        if head.starts_with(b"tree\n") {
            Some(Kind::Lightgbm)
        } else if head == b"{L\0\0\0\0\0\0\0\x06Config" {
            Some(Kind::XgboostBinary)
        } else if head.starts_with(b"{\"Config\":") {
            Some(Kind::XgboostJson)
        } else if head.starts_with(&arrow::CONTINUATION) || head.starts_with(&MARK_AS_TEXT) {
            Some(Kind::Arrow)
        } else {
            None
        }
    }

    /// Whether a model is one of the library that this kind is of.
    fn is_of(self, library: Kind) -> bool {
        self == library || (self == Kind::XgboostJson && library == Kind::XgboostBinary)
    }
}

struct Model {
    kind: Kind,
    fault: Option<String>,
}

/// The models that were read so far.
#[derive(Default)]
pub(crate) struct Models {
    read: Vec<Model>,
    held: usize,
}

impl Models {
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    fn add(&mut self, kind: Kind, fault: Option<String>) -> u32 {
        self.held += COST + fault.as_ref().map_or(0, String::capacity);
        self.read.push(Model { kind, fault });
        u32::try_from(self.read.len() - 1).unwrap_or(u32::MAX)
    }

    fn get(&self, id: u32) -> Option<&Model> {
        self.read.get(id as usize)
    }

    /// What is wrong with a model of this kind, if anything is; `None` if it is of another kind.
    pub(crate) fn fault(&self, id: u32, kind: Kind) -> Option<Option<&str>> {
        let model = self.get(id).filter(|model| model.kind == kind)?;
        Some(model.fault.as_deref())
    }

    fn is_whole(&self, value: Value) -> Option<Kind> {
        match value {
            Value::Model(id, _) => {
                self.get(id).filter(|model| model.fault.is_none()).map(|model| model.kind)
            }
            _ => None,
        }
    }
}

impl Machine<'_, '_, '_> {
    /// Reads a body of `len` bytes as a model, and passes all of it to `each`.
    pub(crate) fn model_body(
        &mut self,
        kind: Kind,
        form: Form,
        head: &[u8; HEAD],
        len: u64,
        each: &mut dyn FnMut(&[u8]),
    ) -> Result<Value, Halt> {
        let left = len - HEAD as u64;
        let mut body =
            Body { head, source: &mut *self.source, left, each, latin: None, failed: None };
        match read_model(kind, form, len, &mut body, self.job)? {
            Some(fault) => Ok(Value::Model(self.models.add(kind, fault), form)),
            None => self.truncated(),
        }
    }

    /// Reads a text as a model that is written with escapes in the pickle.
    pub(crate) fn model_text(&mut self, kind: Kind, text: &[u8]) -> Result<Value, Halt> {
        let mut source = Source::open(io::Cursor::new(text))?;
        let (len, each) = (text.len() as u64, &mut |_: &[u8]| {});
        let source = &mut source;
        let mut body = Body { head: b"", source, left: len, each, latin: None, failed: None };
        let fault = read_model(kind, Form::Text, len, &mut body, self.job)?.flatten();
        Ok(Value::Model(self.models.add(kind, fault), Form::Text))
    }

    /// Remembers what the handle in a dict is; of two, the one that is no whole model.
    pub(crate) fn note_model(&mut self, dict: u32, value: Value) {
        let old = self.arena.dicts[dict as usize].seen.models.model;
        let kept = old.map_or(value, |old| {
            match (self.models.is_whole(old), self.models.is_whole(value)) {
                (None, _) => old,
                (Some(one), Some(other)) if one == other => value,
                (Some(_), Some(_)) => Value::LongText(UNKNOWN),
                (Some(_), None) => value,
            }
        });
        let seen = &mut self.arena.dicts[dict as usize].seen.models;
        seen.handle = true;
        seen.model = Some(kept);
    }

    /// A booster's library must be given a whole model of its own, or none.
    pub(crate) fn check_booster(&mut self, library: Kind, state: Value) -> Result<(), Halt> {
        let lightgbm = library == Kind::Lightgbm;
        let name = if lightgbm { "LightGBM" } else { "XGBoost" };
        let model = match state {
            Value::Dict(id) => self.arena.dicts[id as usize].seen.models.model,
            Value::Refused(_) => return Ok(()),
            _ => Some(Value::LongText(UNKNOWN)),
        };
        self.count_model(model)?;
        let what = match model {
            None | Some(Value::Refused(_)) => return Ok(()),
            Some(Value::Model(id, form)) => match self.models.get(id) {
                Some(Model { fault: Some(fault), .. }) => fault.clone(),
                Some(Model { kind, .. })
                    if kind.is_of(library)
                        && form == if lightgbm { Form::Text } else { Form::ByteArray } =>
                {
                    return Ok(());
                }
                _ => "it is no model of this library".to_owned(),
            },
            Some(_) => "it cannot be read as a model; have it saved again with protocol 2 or \
                        later by a current version of the library"
                .to_owned(),
        };
        self.danger(&format!(
            "a booster is given a model that can crash {name} while it loads ({what})"
        ));
        Ok(())
    }
}

/// What the states of boosters are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Items {
    /// A handle, which is an address.
    pub(crate) handle: bool,
    /// What the handle of a booster is: its model.
    model: Option<Value>,
}

/// Whether an item of this name is the handle of a booster or of a data set.
pub(crate) fn is_handle(key: &[u8], value: Value) -> bool {
    value != Value::None && matches!(key, b"handle" | b"_handle")
}

/// What is wrong with a model, if anything is; `None` where its bytes end before it does.
fn read_model(
    kind: Kind,
    form: Form,
    len: u64,
    body: &mut Body<'_, '_, '_>,
    job: &Job<'_>,
) -> Result<Option<Option<String>>, Halt> {
    // Protocols 0 to 2 write bytes as the text of those characters.
    let latin = form == Form::Text && kind != Kind::Lightgbm;
    body.latin = latin.then(Latin::default);
    let mut aside = job.aside(Format::Unknown);
    let mut inside = Source::unpacked(&mut *body, (!latin).then_some(len))?;
    let read = match kind {
        Kind::Lightgbm => lightgbm::check(&mut inside, &mut aside),
        Kind::Arrow => arrow::check_stream(&mut inside, &mut aside),
        Kind::XgboostBinary => xgboost::check_pickled(&mut inside, true, &mut aside),
        Kind::XgboostJson => xgboost::check_pickled(&mut inside, false, &mut aside),
    };
    match read {
        Err(Halt::Found(finding)) => aside.findings.add(*finding),
        Err(Halt::Io(error)) if error.kind() == io::ErrorKind::Interrupted => {
            return Err(error.into());
        }
        _ => {}
    }
    let passed = inside.stream(u64::MAX, |_| Ok(()));
    drop(inside);
    if let Some(error) = body.failed.take() {
        return Err(error.into());
    }
    passed?;
    if body.left > 0 {
        return Ok(None);
    }
    if body.latin.as_ref().is_some_and(|latin| latin.foreign) {
        return Ok(Some(Some("a text that stands for no bytes".to_owned())));
    }
    let report = aside.findings.into_report(Format::Unknown, None, Depth::Parsed);
    Ok(Some(report.errors.into_iter().next()))
}

/// The bytes of a model, which are also passed on as they are in the pickle.
struct Body<'b, 's, 'e> {
    /// Its first bytes, as far as they were not read again.
    head: &'b [u8],
    source: &'b mut Source<'s>,
    left: u64,
    each: &'e mut dyn FnMut(&[u8]),
    latin: Option<Latin>,
    /// Why the pickle around it could not be read further.
    failed: Option<io::Error>,
}

impl Body<'_, '_, '_> {
    fn raw(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = if self.head.is_empty() {
            let count = self.source.by_ref().take(self.left).read(out)?;
            self.left -= count as u64;
            count
        } else {
            self.head.read(out)?
        };
        (self.each)(&out[..count]);
        Ok(count)
    }
}

impl Read for Body<'_, '_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = match self.raw(out) {
                Ok(count) => count,
                Err(error) => {
                    self.failed = Some(error);
                    return Err(io::ErrorKind::InvalidData.into());
                }
            };
            let Some(latin) = &mut self.latin else {
                return Ok(count);
            };
            let kept = latin.decode(&mut out[..count]);
            // The first half of a character alone is no byte yet.
            if kept > 0 || count == 0 {
                return Ok(kept);
            }
        }
    }
}

/// UTF-8 of the first 256 characters, back to bytes.
#[derive(Default)]
struct Latin {
    lead: Option<u8>,
    /// It holds other characters.
    foreign: bool,
}

impl Latin {
    /// Decodes in place; returns the number of bytes.
    fn decode(&mut self, bytes: &mut [u8]) -> usize {
        let mut kept = 0;
        for at in 0..bytes.len() {
            let byte = bytes[at];
            bytes[kept] = match (self.lead.take(), byte) {
                (None, 0..0x80) => byte,
                (None, 0xc2 | 0xc3) => {
                    self.lead = Some(byte);
                    continue;
                }
                (Some(lead), 0x80..0xc0) => (lead << 6) | (byte & 0x3f),
                _ => {
                    self.foreign = true;
                    continue;
                }
            };
            kept += 1;
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_become_bytes_again_wherever_they_are_cut() {
        let bytes: Vec<u8> = (0..=255).collect();
        let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
        for size in 1..8 {
            let (mut latin, mut out) = (Latin::default(), Vec::new());
            for piece in text.as_bytes().chunks(size) {
                let mut piece = piece.to_vec();
                let kept = latin.decode(&mut piece);
                out.extend_from_slice(&piece[..kept]);
            }
            assert_eq!((out, latin.foreign), (bytes.clone(), false));
        }
        let mut latin = Latin::default();
        latin.decode(&mut "€".to_owned().into_bytes());
        assert!(latin.foreign);
    }
}
