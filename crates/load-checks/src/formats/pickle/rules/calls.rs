//! Naming classes and functions, and calling them.
//!
//! Every global is looked up as an exact (module, name) pair, and each entry says what may be done with it: only
//! named, made without arguments, called. Some functions carry a rule of their own, because with free arguments they
//! would reach further than their name suggests. Knows nothing of opcodes or of bytes.

use crate::formats::pickle::cost::hashing::Weight;
use crate::formats::pickle::libraries::{joblib, pyarrow, standard};
use crate::formats::pickle::rules::grants::{self, Grant, Make, Rule};
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::Value;
use crate::job::Halt;
use crate::report::Format;

impl Machine<'_, '_, '_> {
    // ---- naming ------------------------------------------------------------------------------

    pub(crate) fn global_of_values(&mut self, module: Value, name: Value) -> Result<Value, Halt> {
        if let (Value::Name(module), Value::Name(name)) = (module, name) {
            let texts = (module, name, self.protocol);
            if let Some(global) = self.arena.by_text.get(&texts) {
                return Ok(Value::Global(*global));
            }
            let module = String::from_utf8_lossy(self.arena.name(module)).into_owned();
            let name = String::from_utf8_lossy(self.arena.name(name)).into_owned();
            let found = self.find_global(&module, &name)?;
            if let Value::Global(global) = found {
                self.arena.by_text.insert(texts, global);
            }
            return Ok(found);
        }
        if !module.is_refused() && !name.is_refused() {
            self.danger_with_remedy(
                "a class or function whose module or name is not plain text in the file",
                "no ordinary pickle does this",
            );
        }
        Ok(Value::REFUSED)
    }

    pub(crate) fn find_global(&mut self, module: &str, name: &str) -> Result<Value, Halt> {
        // Pickles of protocols 0 to 2 carry Python 2's names; the loader translates them.
        let module = match module {
            "__builtin__" if self.protocol < 3 => "builtins",
            "copy_reg" if self.protocol < 3 => "copyreg",
            other => other,
        };
        let name = match (module, name) {
            ("builtins", "xrange") if self.protocol < 3 => "range",
            ("builtins", "unicode") if self.protocol < 3 => "str",
            ("builtins", "long") if self.protocol < 3 => "int",
            (_, other) => other,
        };
        if (module, name) == ("builtins", "getattr") {
            return Ok(Value::Getter);
        }
        if (module, name) == ("functools", "partial") {
            return Ok(self.arena.global(module, name, standard::PARTIAL));
        }
        if let Some(grant) = grants::grant(module, name) {
            return Ok(self.arena.global(module, name, grant));
        }
        if joblib::is_file_of_array(module, name) {
            self.job.format = Format::Joblib;
            self.danger_with_remedy(
                "an array kept in a file of its own, which joblib would load whatever it holds",
                "load the model once where it was made and save it with a newer joblib.dump",
            );
            return Err(Halt::Broken);
        }
        let dotted = name.contains('.');
        if !dotted && self.job.trusted.contains(module, name) {
            return Ok(self.arena.global(module, name, Grant::TRUSTED));
        }
        Ok(self.refuse_global(module, name, dotted))
    }

    // ---- calling -----------------------------------------------------------------------------

    /// REDUCE, OBJ and INST: `callable(*args)`.
    pub(crate) fn call(&mut self, callable: Value, args: Value) -> Result<Value, Halt> {
        self.calling = Some((callable, args));
        if callable.is_refused() {
            return Ok(self.call_refused(callable, args));
        }
        if callable == Value::Getter {
            return Ok(self.call_getter(args));
        }
        let parts = args;
        let Some((global, args)) = self.call_parts(callable, args, None)? else {
            return Ok(Value::REFUSED);
        };
        self.count_use(parts, &args)?;
        let count_call = self.arena.global_note(global).library.count_call;
        count_call(self, global, &args)?;
        let made = match self.arena.global_note(global).grant.make {
            Make::Call if self.spells_out(global, &args) => self.too_much(global),
            Make::Call if !self.takes(global, &args) => self.odd_arguments(global),
            Make::Call => self.arena.instance(global),
            Make::Ruled(rule) => self.call_by_rule(rule, global, &args)?,
            Make::Empty | Make::Stated | Make::Named => self.not_granted(global, "called"),
        };
        self.note_call(made, global, &args);
        Ok(made)
    }

    /// NEWOBJ and NEWOBJ_EX: `class.__new__(class, *args, **kwargs)`.
    pub(crate) fn new_object(
        &mut self,
        class: Value,
        args: Value,
        kwargs: Option<Value>,
    ) -> Result<Value, Halt> {
        self.calling = Some((class, args));
        if class.is_refused() {
            return Ok(self.call_refused(class, args));
        }
        let Some((global, args)) = self.call_parts(class, args, kwargs)? else {
            return Ok(Value::REFUSED);
        };
        let grant = self.arena.global_note(global).grant;
        let keywords = match kwargs {
            Some(Value::Dict(id)) => self.arena.dicts[id as usize].len > 0,
            _ => false,
        };
        let empty = matches!(grant.make, Make::Empty | Make::Stated);
        let fields = grant.make == Make::Ruled(Rule::Fields);
        if kwargs.is_some() && (empty || (keywords && !fields && grant != Grant::TRUSTED)) {
            return Ok(self.not_granted(global, "made with arguments"));
        }
        let mut kept = args;
        if fields && kwargs.is_some_and(|kwargs| self.arena.is_deep(kwargs)) {
            return Ok(self.odd_arguments(global));
        }
        kept.extend(kwargs.filter(|_| fields));
        Ok(self.make_new(global, &kept))
    }

    pub(crate) fn make_new(&mut self, class: u32, args: &[Value]) -> Value {
        let made = match self.arena.global_note(class).grant.make {
            Make::Empty | Make::Stated if args.is_empty() => self.plain_object(class),
            Make::Empty | Make::Stated => self.not_granted(class, "made with arguments"),
            Make::Call if self.spells_out(class, args) => self.too_much(class),
            Make::Call if !self.takes(class, args) => self.odd_arguments(class),
            Make::Call => self.arena.instance(class),
            Make::Ruled(Rule::JoblibArray) if args.is_empty() => self.new_wrapper(class),
            Make::Ruled(Rule::Fields) if self.spells_out(class, args) => self.too_much(class),
            Make::Ruled(Rule::Fields) => self.arena.instance(class),
            Make::Named | Make::Ruled(_) => self.not_granted(class, "made"),
        };
        self.note_call(made, class, args);
        made
    }

    /// The global that is called and its arguments; `None` when something was refused.
    fn call_parts(
        &mut self,
        callable: Value,
        args: Value,
        kwargs: Option<Value>,
    ) -> Result<Option<(u32, Vec<Value>)>, Halt> {
        let global = match callable {
            Value::Global(global) => global,
            Value::Refused(_) => return Ok(None),
            Value::Getter => {
                self.refuse_kept_getter(callable);
                return Ok(None);
            }
            Value::Instance(_) => {
                self.danger("a call of something that is itself the result of a call");
                return Ok(None);
            }
            _ => return self.broken("a call of something that is no class or function"),
        };
        match kwargs {
            None | Some(Value::Dict(_)) => {}
            Some(Value::Refused(_)) => return Ok(None),
            Some(Value::Instance(_)) => return Ok(self.unknown_args(global)),
            Some(_) => return self.broken("keyword arguments that are no dict"),
        }
        match args {
            Value::Tuple(id) => match self.arena.items(id) {
                Some(items) => Ok(Some((global, items.to_vec()))),
                None => {
                    let name = self.full_name(global);
                    self.danger(&format!("{name} is called with too many arguments to check"));
                    Ok(None)
                }
            },
            Value::Refused(_) => Ok(None),
            Value::Instance(_) => Ok(self.unknown_args(global)),
            _ => self.broken("arguments that are no tuple"),
        }
    }

    fn unknown_args<T>(&mut self, global: u32) -> Option<T> {
        let name = self.full_name(global);
        self.danger(&format!("{name} is called with arguments that are the result of a call"));
        None
    }

    fn not_granted(&mut self, global: u32, what: &str) -> Value {
        let name = self.full_name(global);
        self.danger(&format!("{name} may be named in a pickle but not {what} while loading"));
        Value::REFUSED
    }

    fn call_by_rule(&mut self, rule: Rule, global: u32, args: &[Value]) -> Result<Value, Halt> {
        // What was refused inside the arguments has been told; do not tell it twice.
        if args.iter().any(|arg| arg.is_refused()) {
            return Ok(Value::REFUSED);
        }
        let made = match rule {
            Rule::ClassFirst if self.spells_out(global, args) => return Ok(self.too_much(global)),
            Rule::ClassFirst => self.class_first(global, args).then(|| self.spanning(global, args)),
            // They are made as new objects alone.
            Rule::JoblibArray | Rule::Fields => None,
            Rule::Nothing => args.is_empty().then(|| self.plain_object(global)),
            Rule::Standard(call) => self.call_standard(call, global, args),
            Rule::Numpy(call) => self.call_numpy(call, global, args),
            Rule::ArrowArray => {
                pyarrow::is_array(&self.arena, args).then(|| self.arena.instance(global))
            }
            Rule::Torch(what) => self.rebuilt(what, global, args)?,
        };
        Ok(made.unwrap_or_else(|| self.odd_arguments(global)))
    }

    fn odd_arguments(&mut self, global: u32) -> Value {
        let name = self.full_name(global);
        self.danger(&format!("{name} is called with arguments no ordinary pickle gives it"));
        Value::REFUSED
    }

    /// Remembers what a call returns: what hashing it takes, and how Arrow lays it out.
    fn note_call(&mut self, made: Value, global: u32, args: &[Value]) {
        let Value::Instance(id) = made else {
            return;
        };
        let mut weight = self.arena.instances[id as usize].weight;
        for arg in args {
            weight.hold(self.arena.weight(*arg));
        }
        let function = self.arena.global_note(global);
        let facts = (function.library.made)(&self.arena, function, args);
        weight.risky |= facts.hashed_by_code;
        if facts.chosen_hash || function.grant.make == Make::Ruled(Rule::Fields) {
            weight = match args {
                [list @ Value::List(_)]
                    if function.name == "frozenset" && self.arena.weight(*list).print != 0 =>
                {
                    let Weight { hash, print, .. } = self.arena.weight(*list);
                    Weight { hash, print, ..weight }
                }
                _ => weight.steered(id),
            };
        }
        weight.buffers |= facts.holds_buffers;
        let note = &mut self.arena.instances[id as usize];
        (note.weight, note.buffers, note.raw) = (weight, facts.buffers, facts.raw_array);
        if let Some(array) = facts.array {
            self.arena.note_array(id, array);
        }
    }
}
