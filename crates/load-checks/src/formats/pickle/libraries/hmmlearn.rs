//! hmmlearn: hidden Markov models.

use super::Library;
use crate::formats::pickle::rules::grants::{Entry, PLAIN};

pub(crate) static LIBRARY: Library = Library {
    packages: &["hmmlearn"],
    grants: GRANTS,
    computes_items: &["hmmlearn."],
    ..Library::UNKNOWN
};

const GRANTS: &[Entry] = &[
    ("hmmlearn.base", PLAIN, "ConvergenceMonitor"),
    ("hmmlearn.hmm", PLAIN, "CategoricalHMM GMMHMM GaussianHMM MultinomialHMM PoissonHMM"),
    ("hmmlearn.vhmm", PLAIN, "VariationalCategoricalHMM VariationalGaussianHMM"),
];
