//! What may be handed to what is called.
//!
//! Libraries tell what they refuse, and so lay out any argument as a text; they copy, convert and look up what
//! they take. So a call takes plain values, and objects of the kinds its library hands it itself. Facts about
//! libraries; how calls are followed is decided in `calls`.

use crate::formats::pickle::cost::hashing::{Weight, print_of_text};
use crate::formats::pickle::libraries::numpy::dtypes::product;
use crate::formats::pickle::rules::grants::{Grant, Make, Rule};
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::{GlobalNote, Value};
use crate::job::Halt;

/// Bytes of a number that may be calculated with.
const MAX_NUMBER: u32 = 512;
/// Tuples within tuples that an argument may have.
const MAX_DEPTH: u16 = 4;
/// Steps to go through an argument that is a tuple.
const MAX_STEPS: u32 = 4096;
/// Arrays within arrays. Each takes some 2 kB of the stack when it is freed, and every fifty objects that hold
/// others begin anew, so that no more than 50 times as many are on it.
const MAX_ARRAYS: u16 = 32;

/// Bytes that a generator of random numbers takes.
const GENERATOR: u64 = 4096;
/// Characters of the exponent of a decimal, its letter and its sign counted.
const MAX_EXPONENT: usize = 6;
/// Layers of a recurrent network.
const MAX_LAYERS: i64 = 100_000;

/// The slots of interpolations, which are set as they are. Other attributes are set by code.
const SLOTS: [&[u8]; 7] =
    [b"_y_axis", b"_y_extra_shape", b"axis", b"c", b"dtype", b"extrapolate", b"x"];

/// What the data of an index may be called in a pickle.
const INDEX_KEYS: [&str; 14] = [
    "closed",
    "codes",
    "data",
    "freq",
    "labels",
    "left",
    "levels",
    "name",
    "names",
    "right",
    "sortorder",
    "start",
    "step",
    "stop",
];

impl Machine<'_, '_, '_> {
    /// Whether a function that may be called takes these arguments.
    pub(crate) fn takes(&self, global: u32, args: &[Value]) -> bool {
        let function = self.arena.global_note(global);
        function.grant == Grant::TRUSTED
            || (args.iter().all(|arg| self.is_argument(function, *arg, 0))
                && !self.is_far_decimal(global, args))
    }

    fn is_argument(&self, function: &GlobalNote, arg: Value, depth: u16) -> bool {
        match arg {
            Value::Tuple(id) => {
                depth < MAX_DEPTH
                    && self.arena.weight(arg).steps <= MAX_STEPS
                    && match self.arena.items(id) {
                        Some(items) => {
                            items.iter().all(|item| self.is_argument(function, *item, depth + 1))
                        }
                        // Holidays, or the blocks of a frame.
                        None => function.module.starts_with("pandas._libs") || is_frame(function),
                    }
            }
            Value::List(_) => is_frame(function) || function.module == "pyarrow.lib",
            Value::Dict(_) => function.module == "polars.schema" && !self.arena.is_deep(arg),
            Value::Set(_) | Value::FrozenSet(_) | Value::Storage(_) | Value::Getter => false,
            Value::BigInt(_) => self.is_calculable(arg),
            // Some look for a pattern in it, which can take the square of its length.
            Value::LongText | Value::Template => top_of(&function.module) == "pathlib",
            Value::Instance(id) => self.is_object_for(function, id),
            _ => true,
        }
    }

    /// Whether a number is so short that calculating with it is no work.
    pub(crate) fn is_calculable(&self, number: Value) -> bool {
        self.arena.length_of_number(number) <= MAX_NUMBER
    }

    /// Whether an object is one that the function's library hands it.
    fn is_object_for(&self, function: &GlobalNote, instance: u32) -> bool {
        let note = &self.arena.instances[instance as usize];
        let class = self.arena.global_note(note.global);
        if class.grant == Grant::TRUSTED {
            return true;
        }
        let (top, from) = (top_of(&function.module), top_of(&class.module));
        let named = function.name.as_str();
        if class.grant.make == Make::Empty {
            return matches!(named, "_unpickle_block" | "_ImputerTriplet");
        }
        // A tuple with names holds whatever it was given, and an array would be made of that.
        if class.grant.make == Make::Ruled(Rule::Fields) {
            return named == "_ImputerTriplet";
        }
        match from {
            "numpy" | "joblib" => matches!(
                named,
                "_unpickle_block"
                    | "_frombuffer"
                    | "IntIndex"
                    | "Tree"
                    | "_ImputerTriplet"
                    | "DistributionBoundary"
                    | "py_buffer"
                    | "CustomBusinessDay"
                    | "Interval"
                    | "CustomBusinessHour"
                    | "CustomBusinessMonthBegin"
                    | "CustomBusinessMonthEnd"
            ),
            "builtins" => matches!(
                (named, class.name.as_str()),
                ("_unpickle_block", "slice") | ("py_buffer" | "_frombuffer", "bytearray" | "bytes")
            ),
            // What it would be told of are the texts its buffers hold, which are only believed.
            "pyarrow" if named == "ArrowDtype" => note.buffers > 0,
            "datetime" | "dateutil" | "zoneinfo" | "pytz" => {
                matches!(top, "datetime" | "dateutil" | "pandas")
            }
            _ => top == from,
        }
    }

    /// Whether the class that a function makes an object of is one that its library gives it.
    pub(crate) fn makes(&self, global: u32, class: u32) -> bool {
        let function = self.arena.global_note(global);
        let class = self.arena.global_note(class);
        let named = class.name.as_str();
        let pandas = class.module.starts_with("pandas");
        match function.name.as_str() {
            "newObj" => class.module == function.module,
            "_unpickle" => named == "tzfile",
            "_new_DatetimeIndex" => pandas && named == "DatetimeIndex",
            "_new_TimedeltaIndex" => pandas && named == "TimedeltaIndex",
            "_new_IntervalIndex" => pandas && named == "IntervalIndex",
            "_new_Index" => pandas && named.ends_with("Index"),
            "__pyx_unpickle_NDArrayBacked" => {
                pandas && (named.ends_with("Array") || named == "Categorical")
            }
            "__pyx_unpickle_IntervalMixin" => pandas && named.starts_with("Interval"),
            pickled => {
                pickled.strip_prefix("__pyx_unpickle_") == Some(named)
                    && class.module == function.module
            }
        }
    }

    /// `pyarrow.lib._restore_array((type, length, nulls, offset, buffers, children, dictionary))`; Arrow looks
    /// for as many buffers as its type has, and for no more.
    pub(crate) fn is_arrow_array(&self, args: &[Value]) -> bool {
        let [Value::Tuple(parts)] = args else {
            return false;
        };
        match self.arena.items(*parts) {
            Some(
                [
                    Value::Instance(kind),
                    Value::Int(length),
                    Value::Int(_),
                    Value::Int(offset),
                    Value::List(buffers),
                    Value::List(children),
                    Value::None,
                ],
            ) => {
                let kind = &self.arena.instances[*kind as usize];
                let buffers = &self.arena.lists[*buffers as usize];
                kind.buffers > 0
                    && *length >= 0
                    && *offset >= 0
                    && buffers.len == u64::from(kind.buffers)
                    && !buffers.plain_item
                    && self.arena.lists[*children as usize].len == 0
            }
            _ => false,
        }
    }

    /// Buffers of an array of the Arrow type that a call makes; 0 where it makes none.
    pub(crate) fn buffers_of(&self, global: u32, args: &[Value]) -> u8 {
        let function = self.arena.global_note(global);
        match (function.module.as_str(), function.name.as_str()) {
            ("pyarrow.lib", "decimal128" | "duration" | "time32" | "time64" | "timestamp") => 2,
            ("pyarrow.lib", "type_for_alias") => match args {
                [Value::Name(alias)] => match self.arena.name(*alias) {
                    b"null" | b"na" => 1,
                    b"string" | b"str" | b"utf8" | b"binary" | b"large_string" | b"large_str"
                    | b"large_utf8" | b"large_binary" => 3,
                    b"string_view" | b"binary_view" => 0,
                    _ => 2,
                },
                [Value::Text(_)] => 2,
                _ => 0,
            },
            _ => 0,
        }
    }

    /// Whether a key may stand in what an index of pandas is made of.
    pub(crate) fn is_key_of_index(&self, key: Value) -> bool {
        INDEX_KEYS.iter().any(|known| self.arena.is_name(key, known))
    }

    /// Whether an index would be made by reading buffers of Arrow; an index of texts only keeps them.
    pub(crate) fn reads_buffers(&self, global: u32, args: &[Value]) -> bool {
        let keeps = match args.first() {
            Some(Value::Global(class)) => {
                let class = self.arena.global_note(*class).name.as_str();
                matches!(class, "CategoricalIndex" | "Index" | "MultiIndex")
            }
            _ => false,
        };
        self.arena.global_note(global).name.starts_with("_new_")
            && !keeps
            && args.iter().any(|arg| self.arena.weight(*arg).buffers)
    }

    /// Counts what a call makes that is larger than what stands in the file, and what it hashes.
    pub(crate) fn count_parts(&mut self, global: u32, args: &[Value]) -> Result<(), Halt> {
        let function = self.arena.global_note(global);
        let name = function.name.as_str();
        if matches!(name, "__bit_generator_ctor" | "__randomstate_ctor" | "__generator_ctor") {
            return self.count_copy(GENERATOR);
        }
        let elements = function.grant.make == Make::Ruled(Rule::Elements);
        if elements && !matches!(name, "bytearray" | "bytes" | "deque" | "list" | "tuple") {
            for arg in args {
                let weight = self.arena.weight(*arg);
                if self.arena.is_deep(*arg) {
                    self.danger("items nested so deep that hashing them can crash the loader");
                    return Err(Halt::Broken);
                }
                if weight.risky {
                    self.danger("a key whose hash is computed from a state of any size");
                    return Err(Halt::Broken);
                }
                let (unknown, others) = match arg {
                    Value::List(id) | Value::Set(id) => {
                        let note = &self.arena.lists[*id as usize];
                        (u64::from(note.steered), note.others)
                    }
                    Value::Tuple(id) if weight.print != 0 => (self.arena.tuple_len(*id), 0),
                    _ => (0, 0),
                };
                let compared = (unknown * unknown / 2).saturating_add(others);
                self.work(compared.saturating_add(u64::from(weight.steps)))?;
            }
        }
        Ok(())
    }

    /// What else than its class a function is given to make an object of: a state, whose parts are not hashed by code.
    pub(crate) fn is_state_of_class(&self, state: Value) -> bool {
        !self.arena.weight(state).risky && !self.arena.is_deep(state) && self.is_calculable(state)
    }

    /// A decimal whose exponent is so large that laying out the number would take all memory.
    pub(crate) fn is_far_decimal(&self, global: u32, args: &[Value]) -> bool {
        let function = self.arena.global_note(global);
        if (function.module.as_str(), function.name.as_str()) != ("decimal", "Decimal") {
            return false;
        }
        match args {
            [Value::Name(text) | Value::Text(Some(text))] => {
                let text = self.arena.name(*text);
                let exponent = text.iter().position(|byte| matches!(byte, b'e' | b'E'));
                let digits = exponent.map_or(0, |at| text.len() - at);
                !text.is_ascii() || digits > MAX_EXPONENT
            }
            // It was not kept, and might be anything.
            [Value::Text(None)] => true,
            [Value::Int(_) | Value::Word(_) | Value::BigInt(_) | Value::Float(_)] => false,
            _ => true,
        }
    }

    /// Remembers of the item of a dict what a class may ask of its state.
    pub(crate) fn note_state_item(&mut self, dict: u32, key: Value, value: Value) {
        let name = match key {
            Value::Name(name) | Value::Text(Some(name)) => self.arena.name(name),
            _ => b"",
        };
        let text = matches!(value, Value::Name(_) | Value::Text(_) | Value::None);
        let odd_version = name == b"_sklearn_version" && !text;
        let many_layers = name == b"num_layers"
            && !matches!(value, Value::Int(count) if (0..=MAX_LAYERS).contains(&count));
        let copied = matches!(name, b"nodes" | b"values" | b"X_thresholds_" | b"y_thresholds_");
        let keys = if matches!(value, Value::Tuple(_)) { print_of_text(name) } else { 0 };
        let not_slots = !SLOTS.contains(&name);
        let odd_frame = match name {
            b"_flags" | b"attrs" => !matches!(value, Value::Dict(_)),
            b"name" => !self.is_name_of_column(value),
            b"columns" | b"index" => true,
            _ => false,
        };
        let odd_array = copied
            && !matches!(value, Value::Instance(id) if matches!(
                self.arena.grant_of_instance(id).make,
                Make::Ruled(Rule::EmptyArray | Rule::JoblibArray) | Make::Call
            ));
        let shared_array = match value {
            Value::Instance(id) if copied => {
                std::mem::replace(&mut self.arena.instances[id as usize].copied, true)
            }
            _ => false,
        };
        let note = &mut self.arena.dicts[dict as usize];
        note.odd_version |= odd_version;
        note.many_layers |= many_layers;
        note.not_slots |= not_slots;
        note.odd_frame |= odd_frame;
        note.odd_array |= odd_array;
        note.not_numbers |= !matches!(value, Value::Int(_) | Value::Word(_) | Value::BigInt(_));
        note.shared_array |= shared_array;
        note.keys = note.keys.wrapping_add(keys);
    }

    /// What a column may be called: its hash is taken.
    fn is_name_of_column(&self, name: Value) -> bool {
        match name {
            Value::Tuple(id) => self.arena.items(id).is_some_and(|items| {
                items
                    .iter()
                    .all(|item| !matches!(item, Value::Tuple(_)) && self.is_name_of_column(*item))
            }),
            Value::Instance(_) => {
                !self.arena.weight(name).risky && self.arena.weight(name).steps <= MAX_STEPS
            }
            Value::List(_) | Value::Dict(_) | Value::Set(_) | Value::FrozenSet(_) => false,
            _ => true,
        }
    }

    /// What the code of some classes makes of a state while it is set.
    pub(crate) fn check_state_of(&mut self, instance: u32, state: Value) {
        let class = self.arena.global_note(self.arena.instances[instance as usize].global);
        if class.grant == Grant::TRUSTED {
            return;
        }
        let (module, name) = (class.module.as_str(), class.name.as_str());
        let note = match state {
            Value::Dict(id) => Some(&self.arena.dicts[id as usize]),
            _ => None,
        };
        let uuid = (module, name) == ("uuid", "UUID");
        let frame = top_of(module) == "pandas" && matches!(name, "DataFrame" | "Series");
        let arrays = matches!(name, "IsotonicRegression" | "Tree" | "TreePredictor");
        let danger = if self.fills_with_containers(instance, state) {
            Some("fills with what is no value, which would be laid out as a text")
        } else if top_of(module) == "sklearn" && note.is_some_and(|note| note.odd_version) {
            Some("says a version that is no text, which would be laid out as one")
        } else if top_of(module) == "torch" && note.is_some_and(|note| note.many_layers) {
            Some("says a number of layers that no network has")
        } else if frame && note.is_some_and(|note| note.odd_frame) {
            Some("sets what pandas would make an index, a name or a dict of")
        } else if arrays && note.is_some_and(|note| note.odd_array) {
            Some("has an object where scikit-learn would make an array of it")
        } else if uuid && note.is_none_or(|note| note.not_numbers) {
            Some("is no number")
        } else if name == "__pyx_unpickle_NDArrayBacked" && !self.is_pair_of_objects(state) {
            Some("is one of which pandas would make a new array")
        } else if class.grant.make == Make::Empty && self.sets_slots(module, state) {
            Some("sets attributes through their own code, which no ordinary pickle does")
        } else {
            None
        };
        if let Some(danger) = danger {
            let name = self.full_name(self.arena.instances[instance as usize].global);
            self.danger(&format!("the state of {name} {danger}"));
        } else if uuid {
            let weight = &mut self.arena.instances[instance as usize].weight;
            weight.risky = false;
        }
    }

    /// Whether a masked array is given anything but a value for what is missing.
    fn fills_with_containers(&self, instance: u32, state: Value) -> bool {
        let masked = self.arena.grant_of_instance(instance).make == Make::Ruled(Rule::EmptyMasked);
        let Value::Tuple(id) = state else {
            return false;
        };
        let fill = self.arena.items(id).and_then(|items| items.get(6));
        masked
            && fill.is_some_and(|fill| match fill {
                Value::Instance(id) => !self.is_number_of_numpy(*id),
                _ => !matches!(
                    fill,
                    Value::None
                        | Value::Bool(_)
                        | Value::Int(_)
                        | Value::Float(_)
                        | Value::Name(_)
                        | Value::Text(_)
                        | Value::Bytes
                ),
            })
    }

    /// Whether an object is a number or an array, and none that makes its items up.
    fn is_number_of_numpy(&self, instance: u32) -> bool {
        let made_of = self.arena.global_note(self.arena.instances[instance as usize].global);
        matches!(
            made_of.grant.make,
            Make::Ruled(Rule::EmptyArray | Rule::Scalar | Rule::Encode | Rule::JoblibArray)
        ) || matches!(
            (made_of.module.as_str(), made_of.name.as_str()),
            ("builtins", "complex") | ("datetime" | "decimal", _)
        )
    }

    /// Whether a state is a type and an array, and perhaps more.
    fn is_pair_of_objects(&self, state: Value) -> bool {
        let Value::Tuple(id) = state else {
            return false;
        };
        matches!(self.arena.items(id), Some([Value::Instance(_), Value::Instance(_), ..]))
    }

    /// Whether a state is a pair whose second part is set attribute by attribute.
    fn sets_slots(&self, module: &str, state: Value) -> bool {
        let Value::Tuple(id) = state else {
            return false;
        };
        let Some([Value::None | Value::Dict(_), Value::Dict(slots)]) = self.arena.items(id) else {
            return false;
        };
        let slots = &self.arena.dicts[*slots as usize];
        let kept = module == "dateutil._common"
            || (module.starts_with("scipy.interpolate") && !slots.not_slots);
        slots.len > 0 && !kept
    }

    /// Whether the list in an array's state is shorter than the shape beside it.
    pub(crate) fn is_short_of_objects(&self, state: Value) -> bool {
        let Value::Tuple(state) = state else {
            return false;
        };
        let Some(items) = self.arena.items(state) else {
            return true;
        };
        let (shape, data) = match items {
            [Value::Tuple(shape), _, _, data] | [_, Value::Tuple(shape), _, _, data, ..] => {
                (self.arena.items(*shape), data)
            }
            _ => return true,
        };
        match data {
            Value::List(id) => self.arena.lists[*id as usize].len < shape.map_or(u64::MAX, product),
            // No bytes at all were once written as a call of `bytes`; any other call could answer a list.
            Value::Instance(id) => {
                self.arena.global_note(self.arena.instances[*id as usize].global).name != "bytes"
            }
            _ => false,
        }
    }

    /// Counts arrays within arrays, which numpy frees within one another.
    pub(crate) fn count_arrays(&mut self, instance: u32, state: Value) -> Result<(), Halt> {
        let Weight { arrays: within, buffers, .. } = self.arena.weight(state);
        let array = matches!(
            self.arena.grant_of_instance(instance).make,
            Make::Ruled(Rule::EmptyArray | Rule::EmptyMasked)
        );
        let arrays = within.saturating_add(u16::from(array));
        if arrays > MAX_ARRAYS {
            self.danger("arrays nested so deep that freeing them can crash the loader");
            return Err(Halt::Broken);
        }
        let weight = &mut self.arena.instances[instance as usize].weight;
        weight.arrays = weight.arrays.max(arrays);
        weight.buffers |= buffers;
        Ok(())
    }

    /// Remembers what a call answers: what hashing it takes, and how Arrow lays it out.
    pub(crate) fn note_call(&mut self, made: Value, global: u32, args: &[Value]) {
        let Value::Instance(id) = made else {
            return;
        };
        let mut weight = self.arena.instances[id as usize].weight;
        for arg in args {
            weight.hold(self.arena.weight(*arg));
        }
        let function = self.arena.global_note(global);
        let (module, name) = (function.module.as_str(), function.name.as_str());
        let scalar = name == "scalar"
            && !matches!(args, [Value::Instance(dtype), ..] if self.arena.instances[*dtype as usize].simple);
        weight.risky |= match function.grant.make {
            Make::Empty => match top_of(module) {
                "dateutil" | "uuid" => true,
                "pandas" => name.ends_with("Dtype") || name == "DateOffset",
                "polars" => module == "polars.datatypes.classes",
                "statsmodels" => module == "statsmodels.tsa.deterministic",
                _ => false,
            },
            _ => name == "__pyx_unpickle_IntervalMixin",
        };
        if scalar
            || function.grant.make == Make::Ruled(Rule::Fields)
            || matches!(
                name,
                "complex"
                    | "tuple"
                    | "frozenset"
                    | "range"
                    | "slice"
                    | "Decimal"
                    | "Fraction"
                    | "Interval"
                    | "Size"
                    | "UUID"
            )
        {
            weight = match args {
                [list @ Value::List(_)]
                    if name == "frozenset" && self.arena.weight(*list).print != 0 =>
                {
                    let Weight { hash, print, .. } = self.arena.weight(*list);
                    Weight { hash, print, ..weight }
                }
                _ => weight.steered(id),
            };
        }
        weight.buffers |= module == "pyarrow.lib" && name != "type_for_alias";
        let raw = matches!(function.grant.make, Make::Ruled(Rule::EmptyArray | Rule::EmptyMasked));
        let buffers = self.buffers_of(global, args);
        let note = &mut self.arena.instances[id as usize];
        (note.weight, note.buffers, note.raw) = (weight, buffers, raw);
    }
}

fn top_of(module: &str) -> &str {
    module.split('.').next().unwrap_or_default()
}

fn is_frame(function: &GlobalNote) -> bool {
    function.name == "BlockManager"
}

/// Arguments of `set`, `list` and their like: something already spelled out in the file. A number
/// would ask for that many bytes, the result of a call might be endless.
pub(crate) fn allowed_elements(args: &[Value]) -> bool {
    args.iter().enumerate().all(|(at, arg)| match arg {
        Value::List(_) | Value::Tuple(_) | Value::Dict(_) => true,
        Value::Set(_) | Value::FrozenSet(_) => true,
        Value::Bytes | Value::ByteArray | Value::Name(_) => true,
        Value::Text(_) | Value::LongText => true,
        Value::Model(..) => true,
        // `deque(items, maxlen)`
        Value::Int(_) | Value::None => at == 1,
        _ => false,
    })
}
