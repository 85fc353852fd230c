//! Unexpanded numbers: ranges, which a pickle stores by their ends alone.
//!
//! `range(10**10)` takes thirty bytes, and an array made of it takes 80 gigabytes. A `range` may be kept, as the choices
//! of a parameter are, but not be an argument of a call, nor be in a state that is laid out as a table. pandas' own
//! `RangeIndex` may also be the index of a frame, or a level of one.

use crate::formats::pickle::cost::hashing::{MAX_KEY_DEPTH, Weight};
use crate::formats::pickle::unpickler::arena::Span;
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::Value;

/// The most items of a list whose hash as a frozenset is computed.
const SHORT: u64 = 24;

impl Machine<'_, '_, '_> {
    /// Whether a call would expand numbers that are not in the file.
    pub(crate) fn spells_out(&self, global: u32, args: &[Value]) -> bool {
        let note = self.arena.global_note(global);
        if note.is_trusted() {
            return false;
        }
        let mut span = Span::default();
        for arg in args {
            span |= match arg {
                // Something may have been put into a part of it later.
                Value::Dict(_) | Value::List(_) | Value::Tuple(_) if self.arena.late.any() => {
                    self.arena.late
                }
                // The levels of an index may be such ranges.
                Value::Dict(id) => self.arena.dicts[*id as usize].seen.pandas.span_of_data,
                other => self.arena.span_of(*other),
            };
        }
        let frame = note.name == "BlockManager";
        span.range || (span.index && !frame) || (span.lazy && note.module.starts_with("pandas"))
    }

    pub(crate) fn too_much(&mut self, global: u32) -> Value {
        let name = self.full_name(global);
        self.danger(&format!(
            "{name} is called with a range that is not spelled out in the file, or with an object \
             that makes its items up, and could take any amount of memory"
        ));
        Value::REFUSED
    }

    /// The result of a call that keeps its arguments.
    pub(crate) fn spanning(&mut self, global: u32, args: &[Value]) -> Value {
        let note = self.arena.global_note(global);
        let mut span = Span { range: note.name == "range", ..Span::default() };
        for arg in args {
            span |= self.arena.span_of(*arg);
        }
        if let Some(Value::Global(class)) = args.first() {
            span.index |= self.arena.global_note(*class).name == "RangeIndex";
        }
        let made = self.arena.instance(global);
        if let Value::Instance(id) = made {
            self.arena.instances[id as usize].span = span;
        }
        made
    }

    /// An object that is made without arguments.
    pub(crate) fn plain_object(&mut self, class: u32) -> Value {
        let note = self.arena.global_note(class);
        let lazy = note.library.computes_items(&note.module);
        let made = self.arena.instance(class);
        if let Value::Instance(id) = made {
            self.arena.instances[id as usize].span.lazy = lazy;
        }
        made
    }

    /// Remembers what is put into a list.
    pub(crate) fn note_elements(&mut self, list: Value, start: usize) {
        let (Value::List(id) | Value::Set(id)) = list else {
            return self.note_filling(list, start);
        };
        let mut span = Span::default();
        let mut weight = self.arena.lists[id as usize].weight;
        let (mut plain_item, mut steered, mut others) = (false, 0_u32, 0_u64);
        // Pickles of these protocols make their sets of lists.
        let old = self.protocol < 4 && matches!(list, Value::List(_));
        for item in &self.stack[start..] {
            match *item {
                Value::List(inner) => {
                    let inner = &self.arena.lists[inner as usize];
                    steered = steered.saturating_add(inner.steered);
                    others = others.saturating_add(inner.others);
                }
                item if !self.arena.is_steered(item) => {}
                item if old => {
                    others = others.saturating_add(self.crowd.add(self.arena.weight(item)));
                }
                _ => steered = steered.saturating_add(1),
            }
            span |= self.arena.span_of(*item);
            weight.hold(self.arena.weight(*item));
            plain_item |= !matches!(item, Value::None | Value::Instance(_));
        }
        let count = (self.stack.len() - start) as u64;
        // Old pickles make their frozensets of lists; of a short one that is filled at once the hash is known.
        let whole = old && self.arena.lists[id as usize].len == 0 && count <= SHORT;
        let items = &self.stack[start..];
        (weight.hash, weight.print) = if whole {
            let known = Weight::frozenset(items.iter().map(|item| self.arena.weight(*item)));
            (known.hash, known.print)
        } else {
            (0, 0)
        };
        let note = &mut self.arena.lists[id as usize];
        note.len += count;
        note.span |= span;
        note.weight = weight;
        note.plain_item |= plain_item;
        note.steered = note.steered.saturating_add(steered);
        note.others = note.others.saturating_add(others);
        if note.settled {
            self.arena.late |= span;
            self.arena.late_depth |= weight.depth > MAX_KEY_DEPTH;
        }
    }

    /// Remembers what is put into an object that is filled like a list.
    fn note_filling(&mut self, target: Value, start: usize) {
        let mut span = Span::default();
        for item in &self.stack[start..] {
            span |= self.arena.span_of(*item);
        }
        if let Value::Instance(id) = target {
            self.arena.instances[id as usize].span |= span;
        }
    }

    /// Refuses a range in the state of a table, which would expand it.
    pub(crate) fn check_span_of_state(&mut self, instance: u32, state: Value) {
        let global = self.arena.instances[instance as usize].global;
        let note = self.arena.global_note(global);
        if note.library.lays_out_state(&note.module) && self.arena.span_of(state).range {
            self.too_much(global);
        }
    }
}
