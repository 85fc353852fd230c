//! What NumPy and SciPy need in a pickle, sorted by module.
//!
//! Facts about those libraries only; how they are used is decided elsewhere.

pub(crate) mod dtypes;

use crate::formats::pickle::rules::grants::{CALL, Entry, Fill, NAMED, PLAIN, Rule, ruled};

pub(crate) const TABLE: &[Entry] = &[
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
    ("numpy", ruled(Rule::Dtype).with_state(), "dtype"),
    ("numpy._core._internal", CALL, "_convert_to_stringdtype_kwargs"),
    (
        "numpy._core._multiarray_umath",
        NAMED,
        "absolute add arccos arccosh arcsin arcsinh arctan arctanh cbrt ceil cos cosh deg2rad \
         degrees divide exp exp2 expm1 fabs floor isfinite isinf isnan log log10 log1p log2 \
         logaddexp maximum minimum multiply negative power rad2deg radians reciprocal rint \
         sign sin sinh sqrt square subtract tan tanh trunc",
    ),
    ("numpy._core.multiarray", ruled(Rule::EmptyArray).with_state(), "_reconstruct"),
    ("numpy._core.multiarray", ruled(Rule::Scalar), "scalar"),
    ("numpy._core.numeric", CALL, "_frombuffer"),
    (
        "numpy.core._multiarray_umath",
        NAMED,
        "absolute add arccos arccosh arcsin arcsinh arctan arctanh cbrt ceil cos cosh deg2rad \
         degrees divide exp exp2 expm1 fabs floor isfinite isinf isnan log log10 log1p log2 \
         logaddexp maximum minimum multiply negative power rad2deg radians reciprocal rint \
         sign sin sinh sqrt square subtract tan tanh trunc",
    ),
    ("numpy.core.multiarray", ruled(Rule::EmptyArray).with_state(), "_reconstruct"),
    ("numpy.core.multiarray", ruled(Rule::Scalar), "scalar"),
    ("numpy.core.numeric", CALL, "_frombuffer"),
    ("numpy.dtypes", NAMED, "Float64DType"),
    ("numpy.lib.polynomial", PLAIN, "poly1d"),
    ("numpy.ma", NAMED, "MaskedArray"),
    ("numpy.ma.core", NAMED, "MaskedArray"),
    ("numpy.ma.core", ruled(Rule::EmptyMasked).with_state(), "_mareconstruct"),
    ("numpy.polynomial.polynomial", PLAIN, "Polynomial"),
    ("numpy.random._mt19937", NAMED, "MT19937"),
    ("numpy.random._pcg64", NAMED, "PCG64 PCG64DXSM"),
    ("numpy.random._philox", NAMED, "Philox"),
    ("numpy.random._pickle", ruled(Rule::BitGenerator).with_state(), "__bit_generator_ctor"),
    (
        "numpy.random._pickle",
        ruled(Rule::Generator).with_state(),
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
    ("scipy._lib.array_api_compat.numpy._aliases", NAMED, "asarray"),
    ("scipy.interpolate._bsplines", PLAIN, "BSpline _BSpline"),
    (
        "scipy.interpolate._cubic",
        PLAIN,
        "Akima1DInterpolator CubicHermiteSpline CubicSpline PchipInterpolator",
    ),
    (
        "scipy.interpolate._fitpack2",
        PLAIN,
        "InterpolatedUnivariateSpline LSQUnivariateSpline UnivariateSpline",
    ),
    ("scipy.interpolate._interpolate", PLAIN, "BPoly PPoly"),
    ("scipy.interpolate._rbfinterp", PLAIN, "RBFInterpolator"),
    ("scipy.interpolate.interpolate", PLAIN, "BPoly PPoly"),
    ("scipy.sparse._bsr", PLAIN, "bsr_array bsr_matrix"),
    ("scipy.sparse._coo", PLAIN, "coo_array coo_matrix"),
    ("scipy.sparse._csc", PLAIN, "csc_array csc_matrix"),
    ("scipy.sparse._csr", PLAIN, "csr_array csr_matrix"),
    ("scipy.sparse._dia", PLAIN, "dia_array dia_matrix"),
    ("scipy.sparse._dok", PLAIN.filled(Fill::Mapping), "dok_array dok_matrix"),
    ("scipy.sparse._lil", PLAIN, "lil_array lil_matrix"),
    ("scipy.sparse.bsr", PLAIN, "bsr_matrix"),
    ("scipy.sparse.coo", PLAIN, "coo_matrix"),
    ("scipy.sparse.csc", PLAIN, "csc_matrix"),
    ("scipy.sparse.csr", PLAIN, "csr_matrix"),
    ("scipy.sparse.dia", PLAIN, "dia_matrix"),
    ("scipy.sparse.dok", PLAIN.filled(Fill::Mapping), "dok_matrix"),
    ("scipy.sparse.lil", PLAIN, "lil_matrix"),
];
