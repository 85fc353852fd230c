//! SciPy: distributions, interpolations, sparse matrices, results of optimisations and tests.
//!
//! Results are dicts or tuples with names, interpolations and filters are arrays with a class; none of them runs
//! anything when it is given its state. Distributions do (`distributions`). Missing on purpose: `KDTree` and
//! `cKDTree` (a forged node crashes the loader), and what holds them or a `Delaunay` (its end calls what its state
//! says).

pub(crate) mod distributions;

use super::Library;
use crate::formats::pickle::rules::filling::check_attributes;
use crate::formats::pickle::rules::grants::{
    BUNCH, Entry, FIELDS, Fill, Grant, Make, NAMED, PLAIN, STATED,
};
use crate::formats::pickle::unpickler::arena::{Arena, GlobalNote};
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::Value;
use crate::job::Halt;

pub(crate) static LIBRARY: Library = Library {
    packages: &["scipy"],
    grants: GRANTS,
    computes_items: &["scipy."],
    // The operator of an optimisation asks numpy what its state holds.
    lays_out_state: &["scipy.optimize"],
    method,
    check_state,
    check_items: check_attributes,
    plain_slots: |class, slots| {
        class.module.starts_with("scipy.interpolate") && !slots.seen.scipy.not_slots
    },
    ..Library::UNKNOWN
};

/// A dict whose items are also its attributes. It takes no state: `__setstate__` would be one of the items.
const RESULT: Grant = Grant { make: Make::Empty, state: false, fill: Fill::Mapping };

/// The slots of interpolations, which are set as they are. Other attributes are set by code.
const SLOTS: [&[u8]; 7] =
    [b"_y_axis", b"_y_extra_shape", b"axis", b"c", b"dtype", b"extrapolate", b"x"];

/// How radial functions are computed, in whichever module they are.
const RADIAL: [&str; 7] = [
    "_h_cubic",
    "_h_gaussian",
    "_h_inverse_multiquadric",
    "_h_linear",
    "_h_multiquadric",
    "_h_quintic",
    "_h_thin_plate",
];
/// How the width of a density is chosen.
const WIDTH: [&str; 2] = ["scotts_factor", "silverman_factor"];

/// Methods that objects without a state may have bound, to keep them in their state. Missing on purpose: the methods
/// by which `interp1d` is told apart, which Python names with dots.
fn method(class: &GlobalNote, name: &str) -> bool {
    match (class.module.as_str(), class.name.as_str()) {
        ("scipy.interpolate._rbf" | "scipy.interpolate.rbf", "Rbf") => RADIAL.contains(&name),
        ("scipy.stats._kde" | "scipy.stats.kde", "gaussian_kde") => WIDTH.contains(&name),
        // The one of discrete distributions.
        _ => class.grant.make == Make::Stated && name == "_entropy",
    }
}

fn check_state(machine: &mut Machine<'_, '_, '_>, instance: u32, state: Value) -> Result<(), Halt> {
    let ruled = machine.arena.grant_of_instance(instance).make == Make::Stated;
    let written = match state {
        Value::Dict(id) => {
            let seen = machine.arena.dicts[id as usize].seen.scipy;
            seen.template && !seen.foreign
        }
        _ => state.is_refused(),
    };
    if ruled && !written {
        machine.bad_state(instance, "is none that its library writes, and could run code");
    }
    Ok(())
}

/// What the states of scipy's classes are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Items {
    /// An item that no distribution has.
    foreign: bool,
    /// The source code that every distribution has.
    template: bool,
    /// An attribute that is no slot of an interpolation.
    not_slots: bool,
}

impl Items {
    /// Remembers an item.
    pub(crate) fn note(&mut self, arena: &Arena, key: &[u8], value: Value) {
        self.foreign |= !distributions::is_item(arena, key, value);
        self.template |= distributions::is_template_item(key, value);
        self.not_slots |= !SLOTS.contains(&key);
    }
}

const GRANTS: &[Entry] = &[
    ("scipy._external.array_api_compat.numpy._aliases", NAMED, "asarray"),
    ("scipy._lib.array_api_compat.numpy._aliases", NAMED, "asarray"),
    ("scipy.integrate._ivp.common", PLAIN, "OdeSolution"),
    ("scipy.integrate._ivp.ivp", RESULT, "OdeResult"),
    ("scipy.integrate._ivp.rk", PLAIN, "Dop853DenseOutput RkDenseOutput"),
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
    (
        "scipy.interpolate._fitpack2",
        PLAIN,
        "LSQBivariateSpline LSQSphereBivariateSpline RectBivariateSpline RectSphereBivariateSpline \
         SmoothBivariateSpline SmoothSphereBivariateSpline",
    ),
    ("scipy.interpolate._interpolate", PLAIN, "BPoly PPoly"),
    ("scipy.interpolate._interpolate", PLAIN, "_BPoly _PPoly"),
    ("scipy.interpolate._ndbspline", PLAIN, "NdBSpline"),
    ("scipy.interpolate._polyint", PLAIN, "BarycentricInterpolator KroghInterpolator"),
    ("scipy.interpolate._rbf", PLAIN, "Rbf"),
    ("scipy.interpolate._rbfinterp", PLAIN, "RBFInterpolator"),
    ("scipy.interpolate._rgi", PLAIN, "RegularGridInterpolator"),
    (
        "scipy.interpolate.fitpack2",
        PLAIN,
        "InterpolatedUnivariateSpline LSQBivariateSpline LSQUnivariateSpline RectBivariateSpline \
         SmoothBivariateSpline UnivariateSpline",
    ),
    ("scipy.interpolate.interpolate", PLAIN, "BPoly PPoly"),
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
    ("scipy.stats._common", FIELDS, "ConfidenceInterval"),
    (
        "scipy.stats._continuous_distns",
        STATED,
        "alpha_gen anglit_gen arcsine_gen argus_gen beta_gen betaprime_gen bradford_gen \
         burr12_gen burr_gen cauchy_gen chi2_gen chi_gen cosine_gen crystalball_gen \
         dgamma_gen dpareto_lognorm_gen dweibull_gen erlang_gen expon_gen exponnorm_gen \
         exponpow_gen exponweib_gen f_gen fatiguelife_gen fisk_gen foldcauchy_gen \
         foldnorm_gen gamma_gen gausshyper_gen genexpon_gen genextreme_gen gengamma_gen \
         genhalflogistic_gen genhyperbolic_gen geninvgauss_gen genlogistic_gen gennorm_gen \
         genpareto_gen gibrat_gen gilbrat_gen gompertz_gen gumbel_l_gen gumbel_r_gen \
         halfcauchy_gen halfgennorm_gen halflogistic_gen halfnorm_gen hypsecant_gen \
         invgamma_gen invgauss_gen invweibull_gen irwinhall_gen jf_skew_t_gen johnsonsb_gen \
         johnsonsu_gen kappa3_gen kappa4_gen ksone_gen kstwo_gen kstwobign_gen landau_gen \
         laplace_asymmetric_gen laplace_gen levy_gen levy_l_gen levy_stable_gen loggamma_gen \
         logistic_gen loglaplace_gen lognorm_gen lomax_gen maxwell_gen mielke_gen moyal_gen \
         nakagami_gen ncf_gen nct_gen ncx2_gen norm_gen norminvgauss_gen pareto_gen \
         pearson3_gen powerlaw_gen powerlognorm_gen powernorm_gen rayleigh_gen rdist_gen \
         recipinvgauss_gen reciprocal_gen rel_breitwigner_gen rice_gen rv_histogram \
         semicircular_gen skew_norm_gen skewcauchy_gen skewnorm_gen studentized_range_gen \
         t_gen trapezoid_gen triang_gen truncexpon_gen truncnorm_gen truncpareto_gen \
         truncweibull_min_gen tukeylambda_gen uniform_gen vonmises_gen wald_gen \
         weibull_max_gen weibull_min_gen wrapcauchy_gen",
    ),
    (
        "scipy.stats._covariance",
        PLAIN,
        "CovViaCholesky CovViaDiagonal CovViaEigendecomposition CovViaPSD CovViaPrecision",
    ),
    (
        "scipy.stats._discrete_distns",
        STATED,
        "bernoulli_gen betabinom_gen betanbinom_gen binom_gen boltzmann_gen dlaplace_gen \
         geom_gen hypergeom_gen logser_gen nbinom_gen nchypergeom_fisher_gen \
         nchypergeom_wallenius_gen nhypergeom_gen planck_gen poisson_binom_gen poisson_gen \
         randint_gen skellam_gen yulesimon_gen zipf_gen zipfian_gen",
    ),
    ("scipy.stats._discrete_distns", PLAIN, "poisson_binomial_frozen"),
    ("scipy.stats._distn_infrastructure", STATED, "rv_sample"),
    (
        "scipy.stats._distn_infrastructure",
        PLAIN,
        "rv_continuous_frozen rv_discrete_frozen rv_frozen",
    ),
    ("scipy.stats._kde", PLAIN, "gaussian_kde"),
    ("scipy.stats._levy_stable", STATED, "levy_stable_gen"),
    ("scipy.stats._levy_stable", PLAIN, "levy_stable_frozen"),
    ("scipy.stats._mannwhitneyu", BUNCH, "MannwhitneyuResult"),
    ("scipy.stats._morestats", BUNCH, "AndersonResult ShapiroResult"),
    (
        "scipy.stats._multivariate",
        PLAIN,
        "_PSD dirichlet_frozen dirichlet_gen invwishart_frozen invwishart_gen multinomial_frozen \
         multinomial_gen multivariate_normal_frozen multivariate_normal_gen \
         multivariate_t_frozen multivariate_t_gen wishart_frozen wishart_gen",
    ),
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
    ("scipy.stats.kde", PLAIN, "gaussian_kde"),
    ("scipy.stats.morestats", BUNCH, "AndersonResult ShapiroResult"),
    (
        "scipy.stats.stats",
        BUNCH,
        "DescribeResult F_onewayResult Jarque_beraResult KruskalResult KstestResult \
         NormaltestResult PearsonRResult SpearmanrResult Ttest_indResult Ttest_relResult",
    ),
];
