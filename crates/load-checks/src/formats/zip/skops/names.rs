//! What skops names: facts about that library, releases 0.11 to 0.16, and the protocols 0 to 2.

/// The protocols that there are.
pub(super) const PROTOCOLS: std::ops::RangeInclusive<i64> = 0..=2;

/// Keys of a node.
pub(super) const CLASS: &str = "__class__";
pub(super) const MODULE: &str = "__module__";
pub(super) const LOADER: &str = "__loader__";
pub(super) const ID: &str = "__id__";
pub(super) const FILE: &str = "file";

/// Modules of the losses that a `LossNode` makes, and their classes.
pub(super) const LOSS_MODULES: [&str; 3] =
    ["_loss", "sklearn._loss._loss", "sklearn.linear_model._sgd_fast"];
pub(super) const LOSSES: &str = "CyAbsoluteError CyExponentialLoss CyHalfBinomialLoss CyHalfGammaLoss \
    CyHalfMultinomialLoss CyHalfPoissonLoss CyHalfSquaredError CyHalfTweedieLoss CyHalfTweedieLossIdentity \
    CyHuberLoss CyPinballLoss EpsilonInsensitive Hinge Huber Log ModifiedHuber SquaredEpsilonInsensitive \
    SquaredHinge SquaredLoss";

/// What numpy's scalars are made by, in the module `numpy`.
pub(super) const SCALARS: &str = "bool bool_ bytes_ complex128 complex64 datetime64 float16 float32 float64 \
    int16 int32 int64 int8 longdouble str_ timedelta64 uint16 uint32 uint64 uint8";
/// Builtins that make a key of its text, or a missing value of nothing.
pub(super) const PLAIN_TYPES: &str = "bool float int str";
pub(super) const CONTAINERS: &str = "dict frozenset list set tuple";

/// Generators of bits, by the names that `numpy.random` has them under.
pub(super) const BIT_GENERATORS: &str = "MT19937 PCG64 PCG64DXSM Philox SFC64";
/// Words of the state of MT19937.
pub(super) const MT19937_WORDS: u64 = 624;
/// Words that a seed is mixed into; numpy takes 4.
pub(super) const MAX_POOL: i64 = 64;

/// Classes of Python's that are made by a call with plain values.
pub(super) const CALLED: [(&str, &str); 7] = [
    ("datetime", "date"),
    ("datetime", "datetime"),
    ("datetime", "time"),
    ("datetime", "timedelta"),
    ("datetime", "timezone"),
    ("decimal", "Decimal"),
    ("zoneinfo", "ZoneInfo"),
];

/// Classes of other libraries than scikit-learn that its estimators keep, made without arguments and given a state.
pub(super) const STATED: [(&str, &str); 1] = [("scipy.interpolate._bsplines", "BSpline")];

/// The fields of a tree's nodes; the last came with scikit-learn 1.3.
pub(super) const TREE_FIELDS: [&str; 8] = [
    "left_child",
    "right_child",
    "feature",
    "threshold",
    "impurity",
    "n_node_samples",
    "weighted_n_node_samples",
    "missing_go_to_left",
];

/// Compiled classes with a tuple for their state, which they read without looking at its length.
pub(super) const NEIGHBOURS: [(&str, &str); 2] = [
    ("sklearn.neighbors._ball_tree", "BallTree BallTree32 BallTree64"),
    ("sklearn.neighbors._kd_tree", "KDTree KDTree32 KDTree64"),
];
pub(super) const METRICS: &str = "sklearn.metrics._dist_metrics";
/// The state of neighbours: arrays, numbers, the metric, and since scikit-learn 1.3 the weights.
pub(super) const NEIGHBOURS_STATE: [&str; 13] = [
    "NdArrayNode",
    "NdArrayNode",
    "NdArrayNode",
    "NdArrayNode",
    "JsonNode",
    "JsonNode",
    "JsonNode",
    "JsonNode",
    "JsonNode",
    "JsonNode",
    "JsonNode",
    "ObjectNode",
    "JsonNode NdArrayNode",
];
/// The state of a metric: its power, and since scikit-learn 1.0 two arrays.
pub(super) const METRIC_STATE: [&str; 3] = ["JsonNode", "NdArrayNode", "NdArrayNode"];

/// The arrays of a sparse matrix, by the kinds that are kept.
pub(super) const SPARSE: [&[&str]; 3] =
    [&["data", "indices", "indptr"], &["col", "data", "row"], &["data", "offsets"]];

/// Whether a list of names with spaces between holds one.
pub(super) fn among(names: &str, name: &str) -> bool {
    names.split_ascii_whitespace().any(|one| one == name)
}
