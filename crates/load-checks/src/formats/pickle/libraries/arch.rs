//! arch: volatility models.
//!
//! Missing on purpose: whatever is built of a function of the user's own.

use super::Library;
use crate::formats::pickle::rules::grants::{Entry, NAMED, PLAIN, Rule, ruled};

pub(crate) static LIBRARY: Library =
    Library { packages: &["arch"], grants: GRANTS, computes_items: &["arch."], ..Library::UNKNOWN };

const GRANTS: &[Entry] = &[
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
];
