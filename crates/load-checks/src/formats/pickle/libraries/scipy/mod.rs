//! What else of NumPy, SciPy and Python a research pickle holds, sorted by module.
//!
//! Facts about those libraries only; how they are used is decided elsewhere. Results are dicts or tuples with
//! names, interpolations and filters are arrays with a class; none of them runs anything when it is given its state.
//! Missing on purpose: `KDTree` and `cKDTree` (a forged node crashes the loader), what holds them or a
//! `Delaunay` (its end calls what its state says), compiled patterns of `re`, `joblib.Memory` (reads pickles of a
//! folder the file names), `operator.attrgetter`, `ChainMap` (of itself, it is endless to go through).

pub(crate) mod distributions;

use crate::formats::pickle::rules::grants::{
    CALL, Entry, Fill, Grant, Make, NAMED, PLAIN, Rule, ruled,
};

/// A dict whose items are also its attributes. It takes no state: `__setstate__` would be one of the items.
const RESULT: Grant = Grant { make: Make::Empty, state: false, fill: Fill::Mapping };
/// A tuple with names, and attributes besides.
const BUNCH: Grant = ruled(Rule::Fields).with_state();
/// A tuple with names.
const FIELDS: Grant = ruled(Rule::Fields);

pub(crate) const TABLE: &[Entry] = &[
    ("_operator", NAMED, "add eq floordiv ge gt le lt mul ne neg pow sub truediv"),
    ("dateutil._common", PLAIN, "weekday"),
    ("math", NAMED, "ceil exp expm1 fabs floor log log10 log1p log2 pow sqrt tanh"),
    (
        "numpy",
        NAMED,
        "average character clongdouble complexfloating corrcoef cov flexible float128 floating \
         generic inexact integer longdouble nanargmax nanargmin nancumsum nanpercentile nanprod \
         nanquantile number signedinteger unsignedinteger",
    ),
    ("numpy", PLAIN, "vectorize"),
    ("numpy.linalg", NAMED, "det inv norm pinv slogdet"),
    ("numpy.linalg._linalg", FIELDS, "EigResult EighResult QRResult SVDResult SlogdetResult"),
    ("numpy.linalg.linalg", FIELDS, "EigResult EighResult QRResult SVDResult SlogdetResult"),
    ("numpy.ma.core", ruled(Rule::Nothing), "MaskedConstant"),
    ("numpy.polynomial.chebyshev", PLAIN, "Chebyshev"),
    ("numpy.polynomial.hermite", PLAIN, "Hermite"),
    ("numpy.polynomial.hermite_e", PLAIN, "HermiteE"),
    ("numpy.polynomial.laguerre", PLAIN, "Laguerre"),
    ("numpy.polynomial.legendre", PLAIN, "Legendre"),
    ("operator", CALL, "itemgetter"),
    ("scipy._external.array_api_compat.numpy._aliases", NAMED, "asarray"),
    ("scipy.integrate._ivp.common", PLAIN, "OdeSolution"),
    ("scipy.integrate._ivp.ivp", RESULT, "OdeResult"),
    ("scipy.integrate._ivp.rk", PLAIN, "Dop853DenseOutput RkDenseOutput"),
    (
        "scipy.interpolate._fitpack2",
        PLAIN,
        "LSQBivariateSpline LSQSphereBivariateSpline RectBivariateSpline RectSphereBivariateSpline \
         SmoothBivariateSpline SmoothSphereBivariateSpline",
    ),
    ("scipy.interpolate._interpolate", PLAIN, "_BPoly _PPoly"),
    ("scipy.interpolate._ndbspline", PLAIN, "NdBSpline"),
    ("scipy.interpolate._polyint", PLAIN, "BarycentricInterpolator KroghInterpolator"),
    ("scipy.interpolate._rbf", PLAIN, "Rbf"),
    ("scipy.interpolate._rgi", PLAIN, "RegularGridInterpolator"),
    (
        "scipy.interpolate.fitpack2",
        PLAIN,
        "InterpolatedUnivariateSpline LSQBivariateSpline LSQUnivariateSpline RectBivariateSpline \
         SmoothBivariateSpline UnivariateSpline",
    ),
    ("scipy.interpolate.interpolate", PLAIN, "RegularGridInterpolator"),
    ("scipy.interpolate.polyint", PLAIN, "BarycentricInterpolator KroghInterpolator"),
    ("scipy.interpolate.rbf", PLAIN, "Rbf"),
    ("scipy.optimize._constraints", PLAIN, "Bounds LinearConstraint"),
    ("scipy.optimize._lbfgsb_py", PLAIN, "LbfgsInvHessProduct"),
    ("scipy.optimize._optimize", RESULT, "OptimizeResult"),
    ("scipy.optimize._zeros_py", RESULT, "RootResults"),
    ("scipy.optimize.lbfgsb", PLAIN, "LbfgsInvHessProduct"),
    ("scipy.optimize.optimize", RESULT, "OptimizeResult"),
    ("scipy.optimize.zeros", PLAIN, "RootResults"),
    (
        "scipy.signal._ltisys",
        PLAIN,
        "StateSpaceContinuous StateSpaceDiscrete TransferFunctionContinuous \
         TransferFunctionDiscrete ZerosPolesGainContinuous ZerosPolesGainDiscrete",
    ),
    (
        "scipy.signal.ltisys",
        PLAIN,
        "StateSpaceContinuous StateSpaceDiscrete TransferFunctionContinuous \
         TransferFunctionDiscrete ZerosPolesGainContinuous ZerosPolesGainDiscrete",
    ),
    ("scipy.stats._common", FIELDS, "ConfidenceInterval"),
    ("scipy.stats._mannwhitneyu", BUNCH, "MannwhitneyuResult"),
    ("scipy.stats._morestats", BUNCH, "AndersonResult ShapiroResult"),
    ("scipy.stats._resampling", PLAIN, "BootstrapResult"),
    (
        "scipy.stats._stats_mstats_common",
        BUNCH,
        "LinregressResult SiegelslopesResult TheilslopesResult",
    ),
    (
        "scipy.stats._stats_py",
        BUNCH,
        "DescribeResult F_onewayResult KruskalResult KstestResult LinregressResult \
         NormaltestResult PearsonRResult SignificanceResult TtestResult",
    ),
    ("scipy.stats._survival", PLAIN, "ECDFResult EmpiricalDistributionFunction"),
    ("scipy.stats.morestats", BUNCH, "AndersonResult ShapiroResult"),
    (
        "scipy.stats.stats",
        BUNCH,
        "DescribeResult F_onewayResult Jarque_beraResult KruskalResult KstestResult \
         NormaltestResult PearsonRResult SpearmanrResult Ttest_indResult Ttest_relResult",
    ),
    ("types", ruled(Rule::Nothing).with_state(), "SimpleNamespace"),
];
