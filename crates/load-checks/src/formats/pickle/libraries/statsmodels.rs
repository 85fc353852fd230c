//! statsmodels: fitted models and their results.
//!
//! Missing on purpose: state space models, whose buffers are believed in C; what is made of a formula, which
//! statsmodels runs again when it is loaded; zero-inflated models, which keep a bound method of their results.

use super::{Library, Made};
use crate::formats::pickle::rules::filling::check_attributes;
use crate::formats::pickle::rules::grants::{Entry, FIELDS, Fill, Make, NAMED, PLAIN, STATED};
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::Value;
use crate::job::Halt;

pub(crate) static LIBRARY: Library = Library {
    packages: &["statsmodels"],
    grants: GRANTS,
    computes_items: &["statsmodels."],
    made: |_, function, _| Made {
        hashed_by_code: function.is_plain() && function.module == "statsmodels.tsa.deterministic",
        ..Made::default()
    },
    check_state,
    check_items: check_attributes,
    ..Library::UNKNOWN
};

fn check_state(machine: &mut Machine<'_, '_, '_>, instance: u32, state: Value) -> Result<(), Halt> {
    let ruled = machine.arena.grant_of_instance(instance).make == Make::Stated;
    let written = match state {
        Value::Dict(id) => !machine.arena.dicts[id as usize].seen.statsmodels.restores,
        _ => state.is_refused(),
    };
    if ruled && !written {
        machine.bad_state(instance, "is none that its library writes, and could run code");
    }
    Ok(())
}

/// What the states of statsmodels' classes are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Items {
    /// A key like `restore_design_info`, at which a model runs its formula again.
    restores: bool,
}

impl Items {
    /// Remembers an item.
    pub(crate) fn note(&mut self, key: &[u8]) {
        self.restores |= key.starts_with(b"restore");
    }
}

const GRANTS: &[Entry] = &[
    ("statsmodels.base.data", STATED, "ModelData PandasData"),
    ("statsmodels.base.elastic_net", PLAIN, "RegularizedResults RegularizedResultsWrapper"),
    ("statsmodels.base.l1_slsqp", NAMED, "fit_l1_slsqp"),
    ("statsmodels.base.model", PLAIN, "LikelihoodModelResults"),
    ("statsmodels.base.model", PLAIN, "GenericLikelihoodModelResults"),
    (
        "statsmodels.discrete.discrete_model",
        PLAIN,
        "BinaryResults BinaryResultsWrapper CountResults CountResultsWrapper DiscreteResults \
         Logit LogitResults MNLogit MultinomialResults MultinomialResultsWrapper Poisson \
         PoissonResults PoissonResultsWrapper Probit ProbitResults",
    ),
    (
        "statsmodels.discrete.discrete_model",
        PLAIN,
        "GeneralizedPoisson GeneralizedPoissonResults GeneralizedPoissonResultsWrapper \
         L1BinaryResults L1BinaryResultsWrapper L1CountResults L1CountResultsWrapper \
         L1MultinomialResults L1MultinomialResultsWrapper L1NegativeBinomialResults \
         L1NegativeBinomialResultsWrapper L1PoissonResults L1PoissonResultsWrapper NegativeBinomial \
         NegativeBinomialP NegativeBinomialPResults NegativeBinomialPResultsWrapper \
         NegativeBinomialResults NegativeBinomialResultsWrapper",
    ),
    ("statsmodels.distributions.empirical_distribution", PLAIN, "ECDF StepFunction"),
    ("statsmodels.duration.hazard_regression", PLAIN, "PHReg PHRegResults PHSurvivalTime"),
    ("statsmodels.duration.survfunc", PLAIN, "CumIncidenceRight SurvfuncRight"),
    (
        "statsmodels.genmod.cov_struct",
        PLAIN,
        "Autoregressive Equivalence Exchangeable GlobalOddsRatio Independence Nested \
         NominalIndependence OrdinalIndependence Stationary Unstructured",
    ),
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
    (
        "statsmodels.genmod.generalized_estimating_equations",
        PLAIN,
        "GEE GEEResults GEEResultsWrapper NominalGEE NominalGEEResults NominalGEEResultsWrapper \
         OrdinalGEE OrdinalGEEResults OrdinalGEEResultsWrapper",
    ),
    ("statsmodels.genmod.generalized_linear_model", PLAIN, "GLM GLMResults GLMResultsWrapper"),
    (
        "statsmodels.miscmodels.ordinal_model",
        PLAIN,
        "OrderedModel OrderedResults OrderedResultsWrapper",
    ),
    ("statsmodels.multivariate.pca", PLAIN, "PCA"),
    ("statsmodels.othermod.betareg", PLAIN, "BetaModel BetaResults BetaResultsWrapper"),
    (
        "statsmodels.regression.linear_model",
        PLAIN,
        "GLS GLSAR OLS OLSResults RegressionResults RegressionResultsWrapper WLS",
    ),
    (
        "statsmodels.regression.mixed_linear_model",
        PLAIN,
        "MixedLM MixedLMParams MixedLMResults MixedLMResultsWrapper VCSpec",
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
    // The weights of lags in robust errors.
    ("statsmodels.stats.sandwich_covariance", NAMED, "weights_bartlett weights_uniform"),
    ("statsmodels.tools.tools", PLAIN.filled(Fill::Mapping), "Bunch"),
    ("statsmodels.tsa.ar_model", PLAIN, "AutoReg AutoRegResults AutoRegResultsWrapper"),
    ("statsmodels.tsa.ardl.model", FIELDS, "BoundsTestResult"),
    (
        "statsmodels.tsa.ardl.model",
        PLAIN,
        "ARDL ARDLResults ARDLResultsWrapper UECM UECMResults UECMResultsWrapper",
    ),
    (
        "statsmodels.tsa.deterministic",
        PLAIN,
        "CalendarFourier CalendarSeasonality DeterministicProcess Fourier Seasonality TimeTrend",
    ),
    ("statsmodels.tsa.holtwinters.model", PLAIN, "ExponentialSmoothing Holt SimpleExpSmoothing"),
    ("statsmodels.tsa.holtwinters.results", PLAIN, "HoltWintersResults HoltWintersResultsWrapper"),
    ("statsmodels.tsa.seasonal", PLAIN, "DecomposeResult"),
    ("statsmodels.tsa.seasonal._seasonal", PLAIN, "DecomposeResult"),
    ("statsmodels.tsa.vector_ar.var_model", PLAIN, "VAR VARResults VARResultsWrapper"),
    (
        "statsmodels.tsa.vector_ar.vecm",
        PLAIN,
        "CointRankResults JohansenTestResult VECM VECMResults",
    ),
];
