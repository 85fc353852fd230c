//! What a pickle may do with the objects it names.
//!
//! Every global is looked up as an exact (module, name) pair, and each entry says what may be
//! done with it: only named, made without arguments, called, given a state, filled. Some functions
//! carry a rule of their own, because with free arguments they would reach further than their
//! name suggests. Knows nothing of opcodes or of bytes.

use crate::formats::pickle::rules::arguments::allowed_elements;
use crate::formats::pickle::rules::grants::{self as allow_list, Fill, Grant, Make, Rule, Stated};
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::{Form, Value};
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
            return Ok(self.arena.global(module, name, allow_list::PARTIAL));
        }
        if let Some(grant) = allow_list::grant(module, name) {
            return Ok(self.arena.global(module, name, grant));
        }
        if allow_list::is_joblib_file(module, name) {
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
        self.count_parts(global, &args)?;
        let made = match self.arena.global_note(global).grant.make {
            Make::Call if self.spells_out(global, &args) => self.too_much(global),
            Make::Call if !self.takes(global, &args) => self.odd_arguments(global),
            Make::Call => self.arena.instance(global),
            Make::Ruled(rule) => self.call_by_rule(rule, global, &args)?,
            Make::Empty | Make::Stated(_) | Make::Named => self.not_granted(global, "called"),
        };
        self.note_call(made, global, &args);
        Ok(made)
    }

    /// Told of every value that is put into another: from then on it counts as finished.
    pub(crate) fn settle(&mut self, value: Value) {
        self.refuse_kept_getter(value);
        match value {
            Value::Instance(id) => {
                let note = &mut self.arena.instances[id as usize];
                // A dtype changed after an array took it would change what the array's bytes mean.
                // The same of an array: how deep it nests is counted once.
                note.built |= note.dtype.is_some() || note.raw;
            }
            Value::List(id) | Value::Set(id) => self.arena.lists[id as usize].settled = true,
            Value::Dict(id) => self.arena.dicts[id as usize].settled = true,
            _ => {}
        }
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
        let empty = matches!(grant.make, Make::Empty | Make::Stated(_));
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

    fn make_new(&mut self, class: u32, args: &[Value]) -> Value {
        let made = match self.arena.global_note(class).grant.make {
            Make::Empty | Make::Stated(_) if args.is_empty() => self.plain_object(class),
            Make::Empty | Make::Stated(_) => self.not_granted(class, "made with arguments"),
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
            Rule::NewObject => match args {
                [Value::Global(class), rest @ ..] => {
                    let (class, rest) = (*class, rest.to_vec());
                    return Ok(self.make_new(class, &rest));
                }
                _ => None,
            },
            Rule::Reconstructor => self.reconstructed(args),
            Rule::JoblibArray => None,
            Rule::Partial => {
                matches!(args, [Value::Global(function)] if self.may_be_tied(*function))
                    .then(|| self.arena.instance(global))
            }
            Rule::Encode => match args {
                [Value::Model(model, Form::Text), encoding]
                    if self.arena.is_name(*encoding, "latin1") =>
                {
                    Some(Value::Model(*model, Form::Bytes))
                }
                [Value::Name(_) | Value::Text(_) | Value::LongText, encoding]
                    if self.arena.is_name(*encoding, "latin1") =>
                {
                    Some(Value::Bytes)
                }
                _ => None,
            },
            Rule::ClassFirst if self.spells_out(global, args) => return Ok(self.too_much(global)),
            Rule::ClassFirst if self.converts(global, args) || self.reads_buffers(global, args) => {
                None
            }
            Rule::ClassFirst => self.class_first(global, args).then(|| self.spanning(global, args)),
            Rule::Elements => match args {
                // A booster's model stays one when it becomes a bytearray.
                [Value::Model(model, Form::Bytes)]
                    if self.arena.global_note(global).name == "bytearray" =>
                {
                    Some(Value::Model(*model, Form::ByteArray))
                }
                [Value::Model(model, Form::Text), encoding]
                    if self.arena.global_note(global).name == "bytearray"
                        && self.arena.is_name(*encoding, "latin-1") =>
                {
                    Some(Value::Model(*model, Form::ByteArray))
                }
                _ => allowed_elements(args).then(|| self.arena.instance(global)),
            },
            Rule::Integers => args
                .iter()
                .all(|a| match a {
                    Value::Int(_) | Value::None | Value::Bool(_) | Value::Word(_) => true,
                    Value::BigInt(_) => self.is_calculable(*a),
                    _ => false,
                })
                .then(|| self.spanning(global, args)),
            // Old protocols make them as new objects too.
            Rule::Fields => None,
            Rule::Nothing => args.is_empty().then(|| self.plain_object(global)),
            Rule::Ends => args.iter().all(|arg| is_end(*arg)).then(|| self.arena.instance(global)),
            Rule::Ratio => {
                args.iter().all(|arg| self.is_ratio(*arg)).then(|| self.arena.instance(global))
            }
            Rule::Factory => self.is_factory(args).then(|| self.arena.instance(global)),
            Rule::EmptyArray => self.is_empty_array(args).then(|| self.arena.instance(global)),
            Rule::EmptyMasked => match args {
                [Value::Global(class), array @ ..] => (self.module_of(*class).starts_with("numpy")
                    && self.is_empty_array(array))
                .then(|| self.arena.instance(global)),
                _ => None,
            },
            Rule::Scalar => self.is_scalar(args).then(|| self.arena.instance(global)),
            Rule::Dtype => self.dtype(global, args),
            Rule::BitGenerator => match args {
                [] | [Value::Name(_)] => Some(self.arena.instance(global)),
                [Value::Global(class)] if self.module_of(*class).starts_with("numpy.random.") => {
                    Some(self.arena.instance(global))
                }
                _ => None,
            },
            Rule::ArrowArray => self.is_arrow_array(args).then(|| self.arena.instance(global)),
            Rule::Torch(what) => self.rebuilt(what, global, args)?,
            Rule::Generator => self.is_generator(args).then(|| self.arena.instance(global)),
        };
        Ok(made.unwrap_or_else(|| self.odd_arguments(global)))
    }

    fn odd_arguments(&mut self, global: u32) -> Value {
        let name = self.full_name(global);
        self.danger(&format!("{name} is called with arguments no ordinary pickle gives it"));
        Value::REFUSED
    }

    /// What `fractions.Fraction` is made of; in a text, an exponent would be raised to.
    fn is_ratio(&self, arg: Value) -> bool {
        match arg {
            Value::Int(_) | Value::Word(_) => true,
            Value::BigInt(_) => self.is_calculable(arg),
            Value::Name(text) | Value::Text(Some(text)) => {
                let text = self.arena.name(text);
                text.iter().all(|byte| byte.is_ascii_digit() || b"-/".contains(byte))
            }
            _ => false,
        }
    }

    fn module_of(&self, global: u32) -> &str {
        &self.arena.global_note(global).module
    }

    /// `copyreg._reconstructor(class, base, state)`, as protocols 0 and 1 make objects.
    fn reconstructed(&mut self, args: &[Value]) -> Option<Value> {
        let [Value::Global(class), Value::Global(base), state] = args else {
            return None;
        };
        if self.module_of(*base) != "builtins" {
            return None;
        }
        let object = self.arena.global_note(*base).name == "object";
        if object && *state != Value::None {
            return None;
        }
        Some(self.make_new(*class, &[]))
    }

    fn class_first(&self, global: u32, args: &[Value]) -> bool {
        match args.first() {
            // What has a rule of its own must not be made around it, and no library makes the objects of another.
            Some(Value::Global(class)) => {
                let make = self.arena.global_note(*class).grant.make;
                !matches!(make, Make::Ruled(_) | Make::Stated(_))
                    && self.makes(global, *class)
                    && args[1..].iter().all(|arg| self.is_state_of_class(*arg))
            }
            _ => false,
        }
    }

    /// `collections.defaultdict(factory)`: the factory is called later, for every missing key.
    fn is_factory(&self, args: &[Value]) -> bool {
        match args {
            [] | [Value::None] => true,
            [Value::Global(factory)] => {
                let note = self.arena.global_note(*factory);
                matches!(note.module.as_str(), "builtins" | "collections")
                    && note.grant != Grant::TRUSTED
            }
            _ => false,
        }
    }

    /// `numpy._core.multiarray._reconstruct(subtype, (0,), b'b')`
    fn is_empty_array(&self, args: &[Value]) -> bool {
        let [Value::Global(subtype), Value::Tuple(shape), Value::Bytes | Value::Name(_)] = args
        else {
            return false;
        };
        self.module_of(*subtype).starts_with("numpy")
            && self.arena.items(*shape) == Some(&[Value::Int(0)])
    }

    /// `numpy._core.multiarray.scalar(dtype, bytes)`; bytes must not become references.
    fn is_scalar(&self, args: &[Value]) -> bool {
        match args {
            [
                Value::Instance(dtype),
                Value::Bytes | Value::Name(_) | Value::Text(_) | Value::LongText | Value::Model(..),
            ] => !self.arena.instances[*dtype as usize].object_dtype,
            _ => false,
        }
    }

    fn is_generator(&self, args: &[Value]) -> bool {
        match args {
            [] | [Value::Name(_) | Value::Instance(_)] => true,
            [Value::Name(_) | Value::Instance(_), Value::Global(constructor)] => {
                self.arena.global_note(*constructor).name == "__bit_generator_ctor"
            }
            _ => false,
        }
    }

    // ---- state -------------------------------------------------------------------------------

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
        let name = self.full_name(self.arena.instances[id as usize].global);
        if !grant.state || self.arena.instances[id as usize].built {
            self.danger(&format!("the result of {name} is given a state it must not take"));
            return Ok(());
        }
        self.arena.instances[id as usize].built = true;
        if grant.make == Make::Ruled(Rule::JoblibArray) && !self.plain {
            self.arena.instances[id as usize].built = false;
            return self.read_wrapped_array(id, state);
        }
        if grant.make == Make::Ruled(Rule::Partial) {
            self.build_partial(state);
            return Ok(());
        }
        if grant.make == Make::Ruled(Rule::Dtype) {
            return self.build_dtype(id, state);
        }
        self.count_state(id, state)?;
        self.count_arrays(id, state)?;
        self.check_state_of(id, state);
        if self.is_kept_handle(id, state) {
            self.danger(&format!(
                "the state of {name} holds the address of memory of another process"
            ));
        }
        if matches!(grant.make, Make::Ruled(Rule::EmptyArray | Rule::EmptyMasked))
            && self.is_short_of_objects(state)
        {
            self.danger(
                "an array of objects is given fewer than its shape says, and numpy reads on \
                 beyond them",
            );
        }
        if let Make::Stated(rule) = grant.make
            && !self.keeps(rule, state)
        {
            self.danger(&format!(
                "the state of {name} is none that its library writes, and could run code"
            ));
        }
        self.check_booster(id, state);
        self.check_table(id, state);
        self.check_span_of_state(id, state);
        if grant != Grant::TRUSTED && !self.is_plain_state(state) {
            self.danger(&format!("the state of {name} holds attributes no ordinary pickle sets"));
        }
        Ok(())
    }

    /// Whether a state keeps the rule of its class.
    fn keeps(&self, rule: Stated, state: Value) -> bool {
        let Value::Dict(id) = state else {
            return state.is_refused();
        };
        let note = &self.arena.dicts[id as usize];
        match rule {
            Stated::Distribution => note.template && !note.foreign,
            Stated::ModelData => !note.restores,
        }
    }

    /// Functions that may only be named, of scikit-learn and numpy: scikit-learn ties keywords to its input check, and
    /// users to metrics and scores. With other arguments they are still no more than they could be given later.
    fn may_be_tied(&self, function: u32) -> bool {
        let note = self.arena.global_note(function);
        let library = note.module == "numpy" || note.module.starts_with("sklearn.");
        let class = note.name.starts_with(|first: char| first.is_ascii_uppercase());
        library && !class && note.grant == allow_list::NAMED
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

    /// A data set of LightGBM frees what its handle points to.
    fn is_kept_handle(&self, instance: u32, state: Value) -> bool {
        let note = self.arena.global_note(self.arena.instances[instance as usize].global);
        let dataset = note.module == "lightgbm.basic" && note.name == "Dataset";
        dataset && !matches!(state, Value::Dict(id) if !self.arena.dicts[id as usize].handle)
    }

    /// A state sets attributes: none of Python's special ones, and none whose name is unknown.
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
                // A pair is two dicts of attributes, and one that is an object was not looked at.
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

/// What a slice may end with.
fn is_end(value: Value) -> bool {
    matches!(
        value,
        Value::None
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Word(_)
            | Value::Float(_)
            | Value::Name(_)
            | Value::Text(_)
    )
}
