//! Containers that are filled: which may be, and what is remembered of their items.

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
            Value::Dict(id) if self.arena.dicts[id as usize].frozen => {
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

    /// The items of a result or a bunch are its attributes as well, and numpy asks for some of them.
    pub(crate) fn check_attribute_items(&mut self, target: Value, start: usize) {
        let Value::Instance(id) = target else {
            return;
        };
        let global = self.arena.instances[id as usize].global;
        let module = &self.arena.global_note(global).module;
        // A schema looks its types up.
        let deep = module == "polars.schema"
            && self.stack[start..].iter().any(|value| self.arena.is_deep(*value));
        if deep {
            self.danger("a polars schema of a type nested so deep that it can crash the loader");
            return;
        }
        let library = ["scipy.", "sklearn.", "statsmodels."];
        if !library.iter().any(|library| module.starts_with(library)) {
            return;
        }
        let odd = self.stack[start..].iter().step_by(2).any(|key| match key {
            Value::Name(name) => self.arena.name(*name).starts_with(b"__"),
            // Its text is not known.
            Value::Instance(_) => true,
            _ => false,
        });
        if odd {
            let name = self.full_name(global);
            self.danger(&format!("{name} is given items that would be special attributes of it"));
        }
    }

    /// Remembers what a decision may need of a dict's items.
    pub(crate) fn note_item(&mut self, dict: u32, key: Value, value: Value) {
        let special = match key {
            Value::Name(name) => {
                let name = self.arena.name(name);
                name.starts_with(b"__")
                    && name.ends_with(b"__")
                    && !(matches!(name, b"__doc__" | b"__name__") && is_text(value))
            }
            _ => false,
        };
        let computed = matches!(key, Value::Instance(_) | Value::Refused(_));
        let (object_field, field_start, field_end) = self.field(value);
        let handle = value != Value::None
            && (self.arena.is_name(key, "handle") || self.arena.is_name(key, "_handle"));
        self.note_spans(dict, key, value);
        self.note_state_item(dict, key, value);
        if handle {
            self.note_model(dict, value);
        }
        let foreign =
            self.arena.dicts[dict as usize].foreign || !self.is_distribution_item(key, value);
        let template = self.is_template_item(key, value);
        let restores =
            matches!(key, Value::Name(name) if self.arena.name(name).starts_with(b"restore"));
        let note = &mut self.arena.dicts[dict as usize];
        note.len += 1;
        note.foreign |= foreign;
        note.template |= template;
        note.restores |= restores;
        note.handle |= handle;
        note.special_key |= special;
        note.computed_key |= computed;
        note.object_field |= object_field;
        note.overlap |= field_start < note.fields_end;
        note.fields_end = note.fields_end.max(field_end);
    }
}

/// What the docstring and the name of a function are.
fn is_text(value: Value) -> bool {
    matches!(value, Value::None | Value::Name(_) | Value::Text(_) | Value::LongText)
}
