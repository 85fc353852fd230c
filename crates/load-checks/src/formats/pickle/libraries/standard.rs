//! Python's standard library, and the packages for time zones.
//!
//! Missing on purpose: `getattr`, `operator` and `functools.partial` reach anything, so that the few uses of them
//! which models need are written out here and in `rules::attributes`; compiled patterns of `re`,
//! `operator.attrgetter`, and `ChainMap` (of itself, it is endless to go through).

use super::numpy::arrays::Array;
use super::{Argument, Library, Made, package_of, takes_its_own};
use crate::formats::pickle::rules::arguments::{is_calculable, is_end};
use crate::formats::pickle::rules::grants::{
    CALL, Entry, Fill, Grant, Make, NAMED, PLAIN, Rule, ruled,
};
use crate::formats::pickle::unpickler::arena::{Arena, GlobalNote};
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::{Form, UNKNOWN, Value};
use crate::job::Halt;

pub(crate) static LIBRARY: Library = Library {
    packages: &[
        "_codecs",
        "_operator",
        "argparse",
        "builtins",
        "collections",
        "copyreg",
        "datetime",
        "dateutil",
        "decimal",
        "fractions",
        "functools",
        "math",
        "operator",
        "pathlib",
        "pytz",
        "types",
        "uuid",
        "zoneinfo",
    ],
    grants: GRANTS,
    computes_items: &["types"],
    takes,
    fits,
    makes: |function, class| function.name == "_unpickle" && class.name == "tzfile",
    count_call,
    made,
    check_state,
    plain_slots: |class, _| class.module == "dateutil._common",
    ..Library::UNKNOWN
};

/// Characters of the exponent of a decimal, its letter and its sign counted.
const MAX_EXPONENT: usize = 6;

/// `functools.partial` reaches anything; tied to certain functions it is part of a fitted model.
pub(crate) const PARTIAL: Grant = ruled(Rule::Standard(Call::Partial)).with_state();

/// A function of Python's own whose arguments keep a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// `copyreg.__newobj__(class, ...)`: as the NEWOBJ opcode.
    NewObject,
    /// `copyreg._reconstructor(class, base, state)`: both allowed classes, the base a builtin.
    Reconstructor,
    /// `_codecs.encode(text, "latin1")`, which is how protocols 0 to 2 write bytes.
    Encode,
    /// Elements spelled out in the file, never a size or the result of a call.
    Elements,
    /// One to three whole numbers, the last of them not 0.
    Integers,
    /// Whole numbers, or a text of two with a slash between, as Python before 3.12 writes fractions.
    Ratio,
    /// Plain numbers, texts and `None`: the ends of a slice, which can be hashed.
    Ends,
    /// A factory for missing values: a builtin or a collection.
    Factory,
    /// `functools.partial` of a function that may be named, and nothing else.
    Partial,
}

/// What may be done with an attribute of a class that a pickle takes by `getattr`; `None` if it may not be taken. One
/// may: a time zone is made from its key.
pub(crate) fn attribute(module: &str, class: &str, name: &str) -> Option<Grant> {
    ((module, class, name) == ("zoneinfo", "ZoneInfo", "_unpickle")).then_some(CALL)
}

fn takes(arena: &Arena, function: &GlobalNote, argument: Argument<'_>) -> bool {
    let package = package_of(&function.module);
    match argument {
        // Others look for a pattern in it, which can take the square of its length.
        Argument::LongText => package == "pathlib",
        Argument::Object(_, class) if !class.is_plain_or_fields() => {
            match package_of(&class.module) {
                "datetime" | "dateutil" | "zoneinfo" | "pytz" => {
                    matches!(package, "datetime" | "dateutil")
                }
                _ => takes_its_own(arena, function, argument),
            }
        }
        _ => false,
    }
}

/// Whether a class is called with as many arguments as it takes, of their types.
fn fits(arena: &Arena, function: &GlobalNote, args: &[Value]) -> bool {
    let number = |arg: &Value| matches!(arg, Value::Int(_) | Value::Float(_) | Value::Bool(_));
    let packed = |arg: &Value, count| arena.length(*arg).is_none_or(|length| length == count);
    match (function.module.as_str(), function.name.as_str(), args) {
        ("builtins", "complex", _) => matches!(args.len(), 1 | 2) && args.iter().all(number),
        ("datetime", "date", [one]) => !number(one) && packed(one, 4),
        ("datetime", "date", [Value::Int(year), Value::Int(month), Value::Int(day)]) => {
            is_day(*year, *month, *day)
        }
        ("datetime", "datetime", [one] | [one, _]) => !number(one) && packed(one, 10),
        (
            "datetime",
            "datetime",
            [Value::Int(year), Value::Int(month), Value::Int(day), rest @ ..],
        ) => is_day(*year, *month, *day) && rest.len() <= 5,
        ("datetime", "time", [one] | [one, _]) if !number(one) => packed(one, 6),
        ("datetime", "time", _) => args.len() <= 5,
        ("datetime", "timedelta", _) => args.len() <= 7 && args.iter().all(number),
        ("datetime", "timezone", [Value::Instance(_)] | [Value::Instance(_), _]) => true,
        ("datetime", _, _) => false,
        ("decimal", "Decimal", _) => {
            is_decimal(arena, args) && !is_far_decimal(arena, function, args)
        }
        ("operator", "itemgetter", _) => !args.is_empty(),
        _ => true,
    }
}

/// Whether there is such a day in the calendar.
fn is_day(year: i64, month: i64, day: i64) -> bool {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    (1..=9999).contains(&year) && (1..=days).contains(&day)
}

/// Whether the text of a decimal is one, where it is known.
fn is_decimal(arena: &Arena, args: &[Value]) -> bool {
    let [Value::Name(text) | Value::Text(Some(text))] = args else {
        return args.len() == 1;
    };
    let text = arena.name(*text).to_ascii_lowercase();
    let text = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(&text);
    let digits = |text: &[u8]| text.iter().all(u8::is_ascii_digit);
    if matches!(text, b"inf" | b"infinity") {
        return true;
    }
    if let Some(payload) = text.strip_prefix(b"s").unwrap_or(text).strip_prefix(b"nan") {
        return digits(payload);
    }
    let (number, exponent) = match text.iter().position(|byte| *byte == b'e') {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent =
            exponent.strip_prefix(b"-").or(exponent.strip_prefix(b"+")).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    let mut parts = number.split(|byte| *byte == b'.');
    let whole = parts.next().unwrap_or_default();
    let fraction = parts.next().unwrap_or_default();
    exponent_fits
        && parts.next().is_none()
        && whole.len() + fraction.len() > 0
        && digits(whole)
        && digits(fraction)
}

/// Whether a call makes a decimal whose exponent is so large that laying out the number would take all memory.
fn is_far_decimal(arena: &Arena, function: &GlobalNote, args: &[Value]) -> bool {
    if (function.module.as_str(), function.name.as_str()) != ("decimal", "Decimal") {
        return false;
    }
    match args {
        [Value::Name(text) | Value::Text(Some(text))] => {
            let text = arena.name(*text);
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

/// Counts what the items of a dict or a set take to hash that are spelled out in a list.
fn count_call(machine: &mut Machine<'_, '_, '_>, global: u32, args: &[Value]) -> Result<(), Halt> {
    let function = machine.arena.global_note(global);
    let elements = function.grant.make == Make::Ruled(Rule::Standard(Call::Elements));
    let hashes =
        !matches!(function.name.as_str(), "bytearray" | "bytes" | "deque" | "list" | "tuple");
    if elements && hashes {
        machine.count_elements(args)?;
    }
    Ok(())
}

fn made(_: &Arena, function: &GlobalNote, _: &[Value]) -> Made {
    Made {
        hashed_by_code: function.is_plain()
            && matches!(package_of(&function.module), "dateutil" | "uuid"),
        chosen_hash: matches!(
            function.name.as_str(),
            "complex" | "tuple" | "frozenset" | "range" | "slice" | "Decimal" | "Fraction" | "UUID"
        ),
        ..Made::default()
    }
}

fn check_state(machine: &mut Machine<'_, '_, '_>, instance: u32, state: Value) -> Result<(), Halt> {
    let class = machine.arena.global_of_instance(instance);
    if (class.module.as_str(), class.name.as_str()) != ("uuid", "UUID") {
        return Ok(());
    }
    let numbers = matches!(state, Value::Dict(id) if !machine.arena.dicts[id as usize].seen.standard.not_numbers);
    if numbers {
        // The hash of a number is no work.
        machine.arena.instances[instance as usize].weight.risky = false;
    } else {
        machine.bad_state(instance, "is no number");
    }
    Ok(())
}

/// What the states of Python's own classes are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Items {
    /// A value that is no number.
    not_numbers: bool,
}

impl Items {
    /// Remembers an item.
    pub(crate) fn note(&mut self, value: Value) {
        self.not_numbers |= !matches!(value, Value::Int(_) | Value::Word(_) | Value::BigInt(_));
    }
}

impl Machine<'_, '_, '_> {
    /// What a function of Python's own returns; `None` if no ordinary pickle calls it so.
    pub(crate) fn call_standard(
        &mut self,
        call: Call,
        global: u32,
        args: &[Value],
    ) -> Option<Value> {
        let fits = match call {
            Call::NewObject => match args {
                [Value::Global(class), rest @ ..] => return Some(self.make_new(*class, rest)),
                _ => false,
            },
            Call::Reconstructor => return self.reconstructed(args),
            Call::Encode => return self.encoded(args),
            Call::Elements => return self.of_elements(global, args),
            Call::Integers => {
                let number = |arg: &Value| match arg {
                    Value::Int(_) | Value::Bool(_) | Value::Word(_) => true,
                    Value::BigInt(_) => is_calculable(&self.arena, *arg),
                    _ => false,
                };
                let step = !matches!(args, [_, _, Value::Int(0)]);
                let fits = (1..=3).contains(&args.len()) && step && args.iter().all(number);
                return fits.then(|| self.spanning(global, args));
            }
            Call::Partial => {
                matches!(args, [Value::Global(function)] if self.may_be_tied(*function))
            }
            Call::Ends => (1..=3).contains(&args.len()) && args.iter().all(|arg| is_end(*arg)),
            Call::Ratio => {
                matches!(args.len(), 1 | 2)
                    && !matches!(args, [_, Value::Int(0)])
                    && args.iter().all(|arg| self.is_ratio(*arg))
            }
            Call::Factory => self.is_factory(args),
        };
        fits.then(|| self.arena.instance(global))
    }

    /// `copyreg._reconstructor(class, base, state)`, as protocols 0 and 1 make objects.
    fn reconstructed(&mut self, args: &[Value]) -> Option<Value> {
        let [Value::Global(class), Value::Global(base), state] = args else {
            return None;
        };
        let base = self.arena.global_note(*base);
        if base.module != "builtins" || (base.name == "object" && *state != Value::None) {
            return None;
        }
        Some(self.make_new(*class, &[]))
    }

    /// `_codecs.encode(text, "latin1")`
    fn encoded(&self, args: &[Value]) -> Option<Value> {
        let [text, encoding] = args else {
            return None;
        };
        if !self.arena.is_name(*encoding, "latin1") {
            return None;
        }
        match text {
            Value::Model(model, Form::Text) => Some(Value::Model(*model, Form::Bytes)),
            Value::Name(_) | Value::Text(_) | Value::LongText(_) => {
                Some(Value::Bytes(self.arena.length(*text).unwrap_or(UNKNOWN)))
            }
            _ => None,
        }
    }

    /// `set`, `list`, `bytearray` and their like. A booster's model stays one when it becomes a bytearray.
    fn of_elements(&mut self, global: u32, args: &[Value]) -> Option<Value> {
        let bytearray = self.arena.global_note(global).name == "bytearray";
        match args {
            [Value::Model(model, Form::Bytes)] if bytearray => {
                Some(Value::Model(*model, Form::ByteArray))
            }
            [Value::Model(model, Form::Text), encoding]
                if bytearray && self.arena.is_name(*encoding, "latin-1") =>
            {
                Some(Value::Model(*model, Form::ByteArray))
            }
            _ if !are_elements(args) || !self.so_many_elements(global, args) => None,
            _ => {
                let made = self.arena.instance(global);
                let length = match args {
                    [data] => self.arena.length(*data),
                    _ => None,
                };
                if let (Value::Instance(id), Some(length)) = (made, length) {
                    self.arena.note_array(id, Array::of_bytes(length));
                }
                Some(made)
            }
        }
    }

    /// Whether a container takes as many arguments.
    fn so_many_elements(&self, global: u32, args: &[Value]) -> bool {
        let text =
            |arg: &Value| matches!(arg, Value::Name(_) | Value::Text(_) | Value::LongText(_));
        let known = ["ascii", "latin-1", "latin1", "utf-8"];
        match (self.arena.global_note(global).name.as_str(), args) {
            ("bytearray" | "bytes", [one]) => !text(one),
            ("bytearray" | "bytes", [one, encoding]) => {
                text(one) && known.iter().any(|known| self.arena.is_name(*encoding, known))
            }
            ("deque", _) => args.len() <= 2,
            (_, _) => args.len() <= 1,
        }
    }

    /// What `fractions.Fraction` is made of; in a text, an exponent would be raised to.
    fn is_ratio(&self, arg: Value) -> bool {
        match arg {
            Value::Int(_) | Value::Word(_) => true,
            Value::BigInt(_) => is_calculable(&self.arena, arg),
            Value::Name(text) | Value::Text(Some(text)) => {
                let text = self.arena.name(text);
                text.iter().all(|byte| byte.is_ascii_digit() || b"-/".contains(byte))
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
}

/// Arguments of `set`, `list` and their like: something already spelled out in the file. A number would ask for that
/// many bytes, the result of a call might be endless.
fn are_elements(args: &[Value]) -> bool {
    args.iter().enumerate().all(|(at, arg)| match arg {
        Value::List(_) | Value::Tuple(_) | Value::Dict(_) => true,
        Value::Set(_) | Value::FrozenSet(_) => true,
        Value::Bytes(_) | Value::ByteArray(_) | Value::Name(_) => true,
        Value::Text(_) | Value::LongText(_) => true,
        Value::Model(..) => true,
        // `deque(items, maxlen)`
        Value::Int(_) | Value::None => at == 1,
        _ => false,
    })
}

const GRANTS: &[Entry] = &[
    ("_codecs", ruled(Rule::Standard(Call::Encode)), "encode"),
    ("_operator", NAMED, "add eq floordiv ge gt le lt mul ne neg pow sub truediv"),
    ("argparse", PLAIN, "Namespace"),
    ("builtins", CALL, "complex"),
    ("builtins", NAMED, "Ellipsis NotImplemented bool float int str"),
    ("builtins", PLAIN, "object"),
    (
        "builtins",
        ruled(Rule::Standard(Call::Elements)),
        "bytearray bytes dict frozenset list set tuple",
    ),
    ("builtins", ruled(Rule::Standard(Call::Ends)), "slice"),
    ("builtins", ruled(Rule::Standard(Call::Integers)), "range"),
    ("collections", ruled(Rule::Standard(Call::Elements)).filled(Fill::Mapping), "Counter"),
    // torch hangs the versions of its layers on the dict of their weights.
    (
        "collections",
        ruled(Rule::Standard(Call::Elements)).filled(Fill::Mapping).with_state(),
        "OrderedDict",
    ),
    ("collections", ruled(Rule::Standard(Call::Elements)).filled(Fill::Sequence), "deque"),
    ("collections", ruled(Rule::Standard(Call::Factory)).filled(Fill::Mapping), "defaultdict"),
    ("copyreg", ruled(Rule::Standard(Call::NewObject)), "__newobj__"),
    ("copyreg", ruled(Rule::Standard(Call::Reconstructor)), "_reconstructor"),
    ("datetime", CALL, "date datetime time timedelta timezone"),
    ("dateutil._common", PLAIN, "weekday"),
    ("dateutil.relativedelta", PLAIN, "relativedelta"),
    ("dateutil.tz._tzfile", NAMED, "tzfile"),
    ("dateutil.tz._tzfile", ruled(Rule::ClassFirst), "_unpickle"),
    ("dateutil.tz.tz", CALL, "tzutc"),
    ("decimal", CALL, "Decimal"),
    ("fractions", ruled(Rule::Standard(Call::Ratio)), "Fraction"),
    ("math", NAMED, "ceil exp expm1 fabs floor log log10 log1p log2 pow sqrt tanh"),
    ("operator", CALL, "itemgetter"),
    ("pathlib", CALL, "PosixPath PurePosixPath PureWindowsPath WindowsPath"),
    ("pathlib._local", CALL, "PosixPath PurePosixPath PureWindowsPath WindowsPath"),
    ("pytz", CALL, "FixedOffset _UTC _p"),
    ("types", ruled(Rule::Nothing).with_state(), "SimpleNamespace"),
    ("uuid", PLAIN, "UUID"),
    ("zoneinfo", NAMED, "ZoneInfo"),
];
