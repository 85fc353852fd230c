//! Which containers a pickle may fill, and what is remembered of their items.

use crate::formats::pickle::cost::hashing::MAX_KEY_DEPTH;
use crate::formats::pickle::libraries::{models, pandas, sklearn};
use crate::formats::pickle::rules::grants::Fill;
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::Value;
use crate::job::Halt;

impl Machine<'_, '_, '_> {
    pub(crate) fn may_append(&mut self, target: Value) -> Result<(), Halt> {
        match target {
            Value::List(_) | Value::Refused(_) => Ok(()),
            other => self.may_fill(other, Fill::Sequence, "appended to"),
        }
    }

    pub(crate) fn may_set_items(&mut self, target: Value) -> Result<(), Halt> {
        match target {
            Value::Dict(id) if self.arena.dicts[id as usize].seen.numpy.frozen => {
                self.danger("the fields of a numpy dtype are changed after it was made");
                Ok(())
            }
            Value::Dict(_) | Value::Refused(_) => Ok(()),
            other => self.may_fill(other, Fill::Mapping, "given items"),
        }
    }

    pub(crate) fn may_add_items(&mut self, target: Value) -> Result<(), Halt> {
        match target {
            Value::Set(_) | Value::Refused(_) => Ok(()),
            other => self.may_fill(other, Fill::Set, "added to"),
        }
    }

    fn may_fill(&mut self, target: Value, fill: Fill, what: &str) -> Result<(), Halt> {
        match target {
            Value::Instance(id) => {
                if self.arena.instances[id as usize].built {
                    self.danger(&format!("an object that has its state is {what}"));
                }
                let granted = self.arena.grant_of_instance(id).fill;
                self.about = Some(self.arena.instances[id as usize].global);
                if granted != fill && granted != Fill::Any {
                    let name = self.full_name(self.arena.instances[id as usize].global);
                    self.danger(&format!("the result of {name} is {what}, which it must not be"));
                }
                Ok(())
            }
            Value::Global(global) => {
                let name = self.full_name(global);
                self.about = Some(global);
                self.danger(&format!("{name} itself is {what}"));
                Ok(())
            }
            Value::Getter => {
                self.refuse_kept_getter(target);
                Ok(())
            }
            _ => self.broken(&format!("a value that is no such container is {what}")),
        }
    }

    /// Reports items that an object must not be given; they stand on the stack from `start` on.
    pub(crate) fn check_items_of(&mut self, target: Value, start: usize) {
        if let Value::Instance(id) = target {
            let global = self.arena.instances[id as usize].global;
            let check_items = self.arena.global_note(global).library.check_items;
            check_items(self, global, start);
        }
    }

    /// Remembers what later decisions need to know of a dict's item.
    pub(crate) fn note_item(&mut self, dict: u32, key: Value, value: Value) {
        let arena = &mut self.arena;
        let name = arena.key(key);
        let special = name.starts_with(b"__")
            && name.ends_with(b"__")
            && !(matches!(name, b"__doc__" | b"__name__") && is_text(value));
        let handle = models::is_handle(name, value);
        let copied = sklearn::is_copied(name);
        let mut span = pandas::span_of_item(arena, name, value);
        span |= arena.span_of(key);
        let shared = match value {
            Value::Instance(id) if copied => {
                std::mem::replace(&mut arena.instances[id as usize].copied, true)
            }
            _ => false,
        };
        let (of_key, of_value) = (arena.weight(key), arena.weight(value));
        let mut note = arena.dicts[dict as usize];
        note.len += 1;
        note.special_key |= special;
        note.computed_key |= matches!(key, Value::Instance(_) | Value::Refused(_));
        note.span |= span;
        note.weight.hold(of_key);
        note.weight.arrays = note.weight.arrays.max(of_value.arrays);
        note.weight.risky |= of_value.risky;
        note.weight.buffers |= of_value.buffers;
        note.deep_value |= of_value.depth > MAX_KEY_DEPTH;
        let name = arena.key(key);
        note.seen.numpy.note(arena, name, value);
        note.seen.pandas.note(arena, name, value, span);
        note.seen.scipy.note(arena, name, value);
        note.seen.sklearn.note(arena, name, value, shared);
        note.seen.standard.note(value);
        note.seen.statsmodels.note(name);
        note.seen.torch.note(name, value);
        arena.dicts[dict as usize] = note;
        if note.settled {
            arena.late |= span;
        }
        if handle {
            self.note_model(dict, value);
        }
    }
}

/// The items of some objects are their attributes as well, and numpy asks for some of those.
pub(crate) fn check_attributes(machine: &mut Machine<'_, '_, '_>, global: u32, start: usize) {
    let odd = machine.stack[start..].iter().step_by(2).any(|key| match key {
        Value::Name(name) => machine.arena.name(*name).starts_with(b"__"),
        // Its text is not known.
        Value::Instance(_) => true,
        _ => false,
    });
    if odd {
        let name = machine.full_name(global);
        machine.danger(&format!("{name} is given items that would be special attributes of it"));
    }
}

/// Whether a value may be the docstring or the name of a function.
fn is_text(value: Value) -> bool {
    matches!(value, Value::None | Value::Name(_) | Value::Text(_) | Value::LongText(_))
}
