//! NumPy: arrays, scalars, dtypes and random generators.
//!
//! `dtypes` says what the state of a dtype may be, `arrays` the state of an array, `calls` what the functions that
//! make them take.

pub(crate) mod arrays;
pub(crate) mod calls;
pub(crate) mod dtypes;

use super::{Argument, Library, Made, package_of, takes_its_own};
use crate::formats::pickle::rules::grants::{CALL, Entry, FIELDS, Make, NAMED, PLAIN, Rule, ruled};
use crate::formats::pickle::unpickler::arena::{Arena, GlobalNote};
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::Value;
use crate::job::Halt;
use arrays::Laid;
use calls::Call;

pub(crate) static LIBRARY: Library = Library {
    packages: &["numpy"],
    grants: GRANTS,
    computes_items: &["numpy"],
    takes,
    fits,
    may_be_tied: |function| function.module == "numpy",
    count_call,
    made,
    check_state: arrays::check_state,
    ..Library::UNKNOWN
};

/// Bytes that a generator of random numbers takes.
const GENERATOR: u64 = 4096;

fn takes(arena: &Arena, function: &GlobalNote, argument: Argument<'_>) -> bool {
    match argument {
        Argument::Object(_, class)
            if !class.is_plain_or_fields() && function.name == "_frombuffer" =>
        {
            match package_of(&class.module) {
                "numpy" | "joblib" => true,
                "builtins" => matches!(class.name.as_str(), "bytearray" | "bytes"),
                _ => false,
            }
        }
        other => takes_its_own(arena, function, other),
    }
}

/// `_frombuffer(buffer, dtype, shape, order)`, and an order of axes since 2.3.
fn fits(arena: &Arena, function: &GlobalNote, args: &[Value]) -> bool {
    match (function.name.as_str(), args) {
        ("_frombuffer", [data, dtype, shape, order] | [data, dtype, shape, order, _]) => {
            let objects =
                matches!(dtype, Value::Instance(id) if arena.instances[*id as usize].object_dtype);
            let order = ["A", "C", "F", "K"].iter().any(|known| arena.is_name(*order, known));
            order && !objects && !matches!(arrays::lay(arena, *dtype, *shape, *data), Laid::Not)
        }
        ("_frombuffer", _) => false,
        _ => true,
    }
}

fn count_call(machine: &mut Machine<'_, '_, '_>, global: u32, _: &[Value]) -> Result<(), Halt> {
    match machine.arena.global_note(global).name.as_str() {
        "__bit_generator_ctor" | "__randomstate_ctor" | "__generator_ctor" => {
            machine.count_copy(GENERATOR)
        }
        _ => Ok(()),
    }
}

fn made(arena: &Arena, function: &GlobalNote, args: &[Value]) -> Made {
    let simple =
        matches!(args, [Value::Instance(dtype), ..] if arena.instances[*dtype as usize].simple);
    let array = match (function.name.as_str(), args) {
        ("_frombuffer", [data, dtype, shape, ..]) => {
            match arrays::lay(arena, *dtype, *shape, *data) {
                Laid::Fits(array) => array,
                Laid::Not => None,
            }
        }
        _ => None,
    };
    Made {
        chosen_hash: function.name == "scalar" && !simple,
        raw_array: is_empty_array(function.grant.make),
        array,
        ..Made::default()
    }
}

/// Whether a global makes arrays without elements, which get them with their state.
pub(crate) fn is_empty_array(make: Make) -> bool {
    matches!(make, Make::Ruled(Rule::Numpy(Call::EmptyArray | Call::EmptyMasked)))
}

const GRANTS: &[Entry] = &[
    (
        "numpy",
        NAMED,
        "absolute add amax amin arccos arccosh arcsin arcsinh arctan arctanh argmax argmin \
         array asarray bool bool_ bytes_ cbrt ceil clip complex128 complex64 concatenate cos \
         cosh cumsum datetime64 deg2rad degrees diff divide dot exp exp2 expm1 fabs finfo \
         float16 float32 float64 floor identity iinfo int16 int32 int64 int8 isfinite isinf \
         isnan log log10 log1p log2 logaddexp matrix max maximum mean median min minimum \
         multiply nan_to_num nanmax nanmean nanmedian nanmin nanstd nansum nanvar ndarray \
         negative object_ percentile power prod quantile rad2deg radians ravel recarray \
         reciprocal record rint round sign sin sinh sort sqrt square squeeze std str_ \
         subtract sum tan tanh timedelta64 transpose trunc uint16 uint32 uint64 uint8 unique \
         var void where",
    ),
    ("numpy", PLAIN, "poly1d"),
    ("numpy", ruled(Rule::Numpy(Call::Dtype)).with_state(), "dtype"),
    (
        "numpy",
        NAMED,
        "average character clongdouble complexfloating corrcoef cov flexible float128 floating \
         generic inexact integer longdouble nanargmax nanargmin nancumsum nanpercentile nanprod \
         nanquantile number signedinteger unsignedinteger",
    ),
    ("numpy", PLAIN, "vectorize"),
    ("numpy._core._internal", CALL, "_convert_to_stringdtype_kwargs"),
    (
        "numpy._core._multiarray_umath",
        NAMED,
        "absolute add arccos arccosh arcsin arcsinh arctan arctanh cbrt ceil cos cosh deg2rad \
         degrees divide exp exp2 expm1 fabs floor isfinite isinf isnan log log10 log1p log2 \
         logaddexp maximum minimum multiply negative power rad2deg radians reciprocal rint \
         sign sin sinh sqrt square subtract tan tanh trunc",
    ),
    ("numpy._core.multiarray", ruled(Rule::Numpy(Call::EmptyArray)).with_state(), "_reconstruct"),
    ("numpy._core.multiarray", ruled(Rule::Numpy(Call::Scalar)), "scalar"),
    ("numpy._core.numeric", CALL, "_frombuffer"),
    (
        "numpy.core._multiarray_umath",
        NAMED,
        "absolute add arccos arccosh arcsin arcsinh arctan arctanh cbrt ceil cos cosh deg2rad \
         degrees divide exp exp2 expm1 fabs floor isfinite isinf isnan log log10 log1p log2 \
         logaddexp maximum minimum multiply negative power rad2deg radians reciprocal rint \
         sign sin sinh sqrt square subtract tan tanh trunc",
    ),
    ("numpy.core.multiarray", ruled(Rule::Numpy(Call::EmptyArray)).with_state(), "_reconstruct"),
    ("numpy.core.multiarray", ruled(Rule::Numpy(Call::Scalar)), "scalar"),
    ("numpy.core.numeric", CALL, "_frombuffer"),
    ("numpy.dtypes", NAMED, "Float64DType"),
    ("numpy.lib.polynomial", PLAIN, "poly1d"),
    ("numpy.linalg", NAMED, "det inv norm pinv slogdet"),
    ("numpy.linalg._linalg", FIELDS, "EigResult EighResult QRResult SVDResult SlogdetResult"),
    ("numpy.linalg.linalg", FIELDS, "EigResult EighResult QRResult SVDResult SlogdetResult"),
    ("numpy.ma", NAMED, "MaskedArray"),
    ("numpy.ma.core", NAMED, "MaskedArray"),
    ("numpy.ma.core", ruled(Rule::Numpy(Call::EmptyMasked)).with_state(), "_mareconstruct"),
    ("numpy.ma.core", ruled(Rule::Nothing), "MaskedConstant"),
    ("numpy.polynomial.chebyshev", PLAIN, "Chebyshev"),
    ("numpy.polynomial.hermite", PLAIN, "Hermite"),
    ("numpy.polynomial.hermite_e", PLAIN, "HermiteE"),
    ("numpy.polynomial.laguerre", PLAIN, "Laguerre"),
    ("numpy.polynomial.legendre", PLAIN, "Legendre"),
    ("numpy.polynomial.polynomial", PLAIN, "Polynomial"),
    ("numpy.random._mt19937", NAMED, "MT19937"),
    ("numpy.random._pcg64", NAMED, "PCG64 PCG64DXSM"),
    ("numpy.random._philox", NAMED, "Philox"),
    (
        "numpy.random._pickle",
        ruled(Rule::Numpy(Call::BitGenerator)).with_state(),
        "__bit_generator_ctor",
    ),
    (
        "numpy.random._pickle",
        ruled(Rule::Numpy(Call::Generator)).with_state(),
        "__generator_ctor __randomstate_ctor",
    ),
    ("numpy.random._sfc64", NAMED, "SFC64"),
    ("numpy.random.bit_generator", NAMED, "SeedSequence"),
    (
        "numpy.random.bit_generator",
        ruled(Rule::ClassFirst).with_state(),
        "__pyx_unpickle_SeedSequence",
    ),
    ("numpy.rec", NAMED, "recarray"),
];
