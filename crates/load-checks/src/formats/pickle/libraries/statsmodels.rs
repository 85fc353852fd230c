//! What scipy's statistics, statsmodels and arch need in a pickle, sorted by module.
//!
//! Facts about those libraries only; how they are used is decided elsewhere.
//! Missing on purpose: state space models (their buffers are believed in C), and what is made of a formula, which statsmodels runs when it is loaded.

use crate::formats::pickle::rules::grants::{
    DISTRIBUTION, Entry, Fill, Grant, Make, NAMED, PLAIN, Rule, Stated, ruled,
};

/// The data of a model, from which its formula would be run again.
const DATA: Grant = Grant { make: Make::Stated(Stated::ModelData), ..PLAIN };

pub(crate) const TABLE: &[Entry] = &[
    ("arch.univariate.base", PLAIN, "ARCHModelResult"),
    ("arch.univariate.distribution", PLAIN, "GeneralizedError Normal SkewStudent StudentsT"),
    ("arch.univariate.mean", PLAIN, "ARX ConstantMean HARX LS ZeroMean"),
    ("arch.univariate.recursions", NAMED, "GARCHUpdater"),
    (
        "arch.univariate.recursions",
        ruled(Rule::ClassFirst).with_state(),
        "__pyx_unpickle_GARCHUpdater",
    ),
    ("arch.univariate.volatility", PLAIN, "ARCH ConstantVariance GARCH"),
    (
        "scipy.stats._continuous_distns",
        DISTRIBUTION,
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
        DISTRIBUTION,
        "bernoulli_gen betabinom_gen betanbinom_gen binom_gen boltzmann_gen dlaplace_gen \
         geom_gen hypergeom_gen logser_gen nbinom_gen nchypergeom_fisher_gen \
         nchypergeom_wallenius_gen nhypergeom_gen planck_gen poisson_binom_gen poisson_gen \
         randint_gen skellam_gen yulesimon_gen zipf_gen zipfian_gen",
    ),
    ("scipy.stats._discrete_distns", PLAIN, "poisson_binomial_frozen"),
    ("scipy.stats._distn_infrastructure", DISTRIBUTION, "rv_sample"),
    (
        "scipy.stats._distn_infrastructure",
        PLAIN,
        "rv_continuous_frozen rv_discrete_frozen rv_frozen",
    ),
    ("scipy.stats._kde", PLAIN, "gaussian_kde"),
    ("scipy.stats._levy_stable", DISTRIBUTION, "levy_stable_gen"),
    ("scipy.stats._levy_stable", PLAIN, "levy_stable_frozen"),
    (
        "scipy.stats._multivariate",
        PLAIN,
        "_PSD dirichlet_frozen dirichlet_gen invwishart_frozen invwishart_gen multinomial_frozen \
         multinomial_gen multivariate_normal_frozen multivariate_normal_gen \
         multivariate_t_frozen multivariate_t_gen wishart_frozen wishart_gen",
    ),
    ("scipy.stats.kde", PLAIN, "gaussian_kde"),
    ("statsmodels.base.data", DATA, "ModelData PandasData"),
    ("statsmodels.base.model", PLAIN, "LikelihoodModelResults"),
    (
        "statsmodels.discrete.discrete_model",
        PLAIN,
        "BinaryResults BinaryResultsWrapper CountResults CountResultsWrapper DiscreteResults \
         Logit LogitResults MNLogit MultinomialResults MultinomialResultsWrapper Poisson \
         PoissonResults PoissonResultsWrapper Probit ProbitResults",
    ),
    ("statsmodels.distributions.empirical_distribution", PLAIN, "ECDF StepFunction"),
    (
        "statsmodels.genmod.families.family",
        PLAIN,
        "Binomial Gamma Gaussian InverseGaussian NegativeBinomial Poisson Tweedie",
    ),
    (
        "statsmodels.genmod.families.links",
        PLAIN,
        "CLogLog Cauchy Identity InversePower InverseSquared Log LogC LogLog Logit \
         NegativeBinomial Power Probit Sqrt cauchy cloglog identity inverse_power \
         inverse_squared log logit probit sqrt",
    ),
    (
        "statsmodels.genmod.families.varfuncs",
        PLAIN,
        "Binomial NegativeBinomial Power VarianceFunction",
    ),
    ("statsmodels.genmod.generalized_linear_model", PLAIN, "GLM GLMResults GLMResultsWrapper"),
    ("statsmodels.multivariate.pca", PLAIN, "PCA"),
    (
        "statsmodels.regression.linear_model",
        PLAIN,
        "GLS GLSAR OLS OLSResults RegressionResults RegressionResultsWrapper WLS",
    ),
    (
        "statsmodels.regression.quantile_regression",
        PLAIN,
        "QuantReg QuantRegResults QuantRegResultsWrapper",
    ),
    ("statsmodels.regression.rolling", PLAIN, "RollingOLS RollingRegressionResults RollingWLS"),
    (
        "statsmodels.robust.norms",
        PLAIN,
        "AndrewWave Hampel HuberT LeastSquares RamsayE TrimmedMean TukeyBiweight",
    ),
    ("statsmodels.robust.robust_linear_model", PLAIN, "RLM RLMResults RLMResultsWrapper"),
    ("statsmodels.tools.tools", PLAIN.filled(Fill::Mapping), "Bunch"),
    ("statsmodels.tsa.ar_model", PLAIN, "AutoReg AutoRegResults AutoRegResultsWrapper"),
    (
        "statsmodels.tsa.deterministic",
        PLAIN,
        "CalendarFourier CalendarSeasonality DeterministicProcess Fourier Seasonality TimeTrend",
    ),
    ("statsmodels.tsa.holtwinters.model", PLAIN, "ExponentialSmoothing Holt SimpleExpSmoothing"),
    ("statsmodels.tsa.holtwinters.results", PLAIN, "HoltWintersResults HoltWintersResultsWrapper"),
    ("statsmodels.tsa.vector_ar.var_model", PLAIN, "VAR VARResults VARResultsWrapper"),
];
