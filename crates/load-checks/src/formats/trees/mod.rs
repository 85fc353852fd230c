//! Ensembles of decision trees: what LightGBM's and XGBoost's readers have in common.
//!
//! `shape` holds the one rule of every tree (each node is reached once), `ensemble` answers rows
//! of features as the libraries do, `smoke` compares that with what a sample expects. Must not
//! know any file format.

mod ensemble;
mod shape;
mod smoke;

pub(super) use ensemble::Transform;
pub(super) use ensemble::{Ensemble, Leaf, Member, Missing, Node, Rule, Tree};
pub(super) use shape::{Child, reach_all};
pub(super) use smoke::run;

/// Nodes of all trees together that are kept for a smoke run; an ensemble of more is not run.
pub(super) const MAX_NODES: usize = 2_000_000;
