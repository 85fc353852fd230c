//! What state an object may be given.

use crate::formats::pickle::libraries::{numpy, standard};
use crate::formats::pickle::rules::grants::{Fill, Grant, Make, Rule};
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::Value;
use crate::job::Halt;

impl Machine<'_, '_, '_> {
    /// Marks a value as finished, because it is put into another one.
    pub(crate) fn settle(&mut self, value: Value) {
        self.refuse_kept_getter(value);
        match value {
            Value::Instance(id) => {
                let note = &mut self.arena.instances[id as usize];
                // A dtype changed after an array took it would change what the array's bytes mean.
                // The nesting of an array is counted once, so that it must not change either.
                note.built |= note.dtype.is_some() || note.raw;
            }
            Value::List(id) | Value::Set(id) => self.arena.lists[id as usize].settled = true,
            Value::Dict(id) => self.arena.dicts[id as usize].settled = true,
            _ => {}
        }
    }

    pub(crate) fn build(&mut self, target: Value, state: Value) -> Result<(), Halt> {
        self.refuse_kept_getter(state);
        let id = match target {
            Value::Instance(id) => id,
            Value::Refused(_) => return Ok(()),
            Value::Global(global) => {
                let name = self.full_name(global);
                self.about = Some(global);
                self.danger(&format!("{name} itself is given a state, which rebinds its methods"));
                return Ok(());
            }
            Value::Getter => {
                self.refuse_kept_getter(target);
                return Ok(());
            }
            _ => return self.broken("a plain value is given a state"),
        };
        let grant = self.arena.grant_of_instance(id);
        self.about = Some(self.arena.instances[id as usize].global);
        if !grant.state || self.arena.instances[id as usize].built {
            let name = self.full_name(self.arena.instances[id as usize].global);
            self.danger(&format!("the result of {name} is given a state it must not take"));
            return Ok(());
        }
        self.arena.instances[id as usize].built = true;
        if grant.make == Make::Ruled(Rule::JoblibArray) && !self.plain {
            self.arena.instances[id as usize].built = false;
            return self.read_wrapped_array(id, state);
        }
        if grant.make == Make::Ruled(Rule::Standard(standard::Call::Partial)) {
            self.build_partial(state);
            return Ok(());
        }
        if grant.make == Make::Ruled(Rule::Numpy(numpy::calls::Call::Dtype)) {
            return self.build_dtype(id, state);
        }
        self.count_state(state)?;
        self.count_arrays(id, state)?;
        if grant != Grant::TRUSTED {
            let check_state = self.arena.global_of_instance(id).library.check_state;
            check_state(self, id, state)?;
            if grant.make == Make::Empty && self.sets_slots(id, state) {
                self.bad_state(
                    id,
                    "sets attributes through their own code, which no ordinary pickle does",
                );
            }
        }
        self.check_span_of_state(id, state);
        if grant != Grant::TRUSTED && !self.is_plain_state(state) {
            self.bad_state(id, "holds attributes no ordinary pickle sets");
        }
        Ok(())
    }

    /// Reports a state that its class must not be given.
    pub(crate) fn bad_state(&mut self, instance: u32, what: &str) {
        let name = self.full_name(self.arena.instances[instance as usize].global);
        self.danger(&format!("the state of {name} {what}"));
    }

    /// Whether a state is a pair whose second part is set attribute by attribute, by code.
    fn sets_slots(&self, instance: u32, state: Value) -> bool {
        let Value::Tuple(id) = state else {
            return false;
        };
        let Some([Value::None | Value::Dict(_), Value::Dict(slots)]) = self.arena.items(id) else {
            return false;
        };
        let slots = &self.arena.dicts[*slots as usize];
        let class = self.arena.global_of_instance(instance);
        slots.len > 0 && !(class.library.plain_slots)(class, slots)
    }

    /// The state of a partial names its function again: (function, arguments, keywords, attributes).
    fn build_partial(&mut self, state: Value) {
        let items = match state {
            Value::Tuple(state) => self.arena.items(state).map(<[Value]>::to_vec),
            _ => None,
        };
        let harmless = match items.as_deref() {
            Some([Value::Global(function), Value::Tuple(_), keywords, Value::None]) => {
                self.may_be_tied(*function)
                    && matches!(keywords, Value::Dict(_))
                    && self.is_plain_state(*keywords)
                    && !self.arena.span_of(state).any()
            }
            _ => false,
        };
        if !harmless {
            self.danger("a functools.partial of anything but a function of scikit-learn or numpy");
        }
    }

    /// Whether a state sets neither special attributes of Python's nor attributes whose names are not known.
    pub(crate) fn is_plain_state(&self, state: Value) -> bool {
        let plain = |value: &Value| match value {
            Value::Dict(id) => {
                let note = self.arena.dicts[*id as usize];
                !note.special_key && !note.computed_key
            }
            _ => true,
        };
        match state {
            Value::Tuple(id) => self.arena.items(id).is_some_and(|items| {
                // A pair is two dicts of attributes; the keys of one that is an object are not known.
                let unseen = items.len() == 2 && items.iter().any(|item| self.is_mapping(*item));
                !unseen && items.iter().all(plain)
            }),
            Value::Global(_) => false,
            // Its own `keys` and `pop` would be called, whatever they are.
            Value::Instance(_) => false,
            other => plain(&other),
        }
    }

    /// Whether an object is a dict of some kind.
    fn is_mapping(&self, value: Value) -> bool {
        matches!(value, Value::Instance(id) if self.arena.grant_of_instance(id).fill == Fill::Mapping)
    }
}
