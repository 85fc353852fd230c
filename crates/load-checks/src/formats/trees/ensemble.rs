//! Answers rows of features as LightGBM and XGBoost do.
//!
//! The readers build an [`Ensemble`] from trees whose shape they have checked: every index in it
//! is valid and no branch leads back. Where the arithmetic of the two differs (XGBoost compares
//! in 32 bits), the rules of the nodes say so.

/// A model that can be run.
#[derive(Debug)]
pub(in crate::formats) struct Ensemble {
    /// Numbers in a row.
    pub(in crate::formats) features: usize,
    /// What each answer starts from; as many as there are answers to a row.
    pub(in crate::formats) start: Vec<f64>,
    /// The trees, in their order.
    pub(in crate::formats) members: Vec<Member>,
    /// The sum of the trees is divided by this (random forests of LightGBM).
    pub(in crate::formats) divisor: f64,
    /// What becomes of the sums.
    pub(in crate::formats) transform: Transform,
}

/// A tree with its place in the ensemble.
#[derive(Debug)]
pub(in crate::formats) struct Member {
    /// The answer it adds to; the first of several, where its leaves hold several values.
    pub(in crate::formats) group: usize,
    /// What its leaves are multiplied by.
    pub(in crate::formats) weight: f64,
    /// The round of boosting it belongs to.
    pub(in crate::formats) round: usize,
    /// The tree.
    pub(in crate::formats) tree: Tree,
}

/// One tree.
#[derive(Debug, Default)]
pub(in crate::formats) struct Tree {
    /// Its nodes, the root first.
    pub(in crate::formats) nodes: Vec<Node>,
    /// The bit sets of its splits by category.
    pub(in crate::formats) bits: Vec<u32>,
    /// The values of its leaves.
    pub(in crate::formats) values: Vec<f64>,
    /// What the linear models in its leaves multiply: feature and factor.
    pub(in crate::formats) factors: Vec<(u32, f64)>,
}

/// A node of a tree.
#[derive(Debug, Clone, Copy)]
pub(in crate::formats) enum Node {
    /// Goes on to one of two nodes.
    Split {
        /// The feature it looks at.
        feature: u32,
        /// How it decides.
        rule: Rule,
        /// Where to, when the rule holds.
        left: u32,
        /// Where to otherwise.
        right: u32,
    },
    /// Ends here.
    Leaf(Leaf),
}

/// What a leaf answers: ranges within the tree's vectors.
#[derive(Debug, Clone, Copy)]
pub(in crate::formats) struct Leaf {
    /// Its first value.
    pub(in crate::formats) value: u32,
    /// How many values it has.
    pub(in crate::formats) count: u32,
    /// The factors of its linear model, with its constant; a value of its own without.
    pub(in crate::formats) linear: Option<(f64, u32, u32)>,
}

/// How a node decides.
#[derive(Debug, Clone, Copy)]
pub(in crate::formats) enum Rule {
    /// XGBoost: less than, in 32 bits; what is missing goes the given way.
    Less {
        /// The number compared with.
        threshold: f32,
        /// Whether what is missing goes left.
        missing_left: bool,
    },
    /// XGBoost: left unless the category is in the set.
    NotIn {
        /// The first word of the set.
        start: u32,
        /// Words of the set.
        words: u32,
        /// Whether what is missing goes left.
        missing_left: bool,
    },
    /// LightGBM: less than or equal.
    AtMost {
        /// The number compared with.
        threshold: f64,
        /// What counts as missing.
        missing: Missing,
        /// Whether what is missing goes left.
        missing_left: bool,
    },
    /// LightGBM: left if the category is in the set.
    In {
        /// The first word of the set.
        start: u32,
        /// Words of the set.
        words: u32,
    },
}

/// What counts as missing in LightGBM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::formats) enum Missing {
    /// Nothing; NaN is zero.
    None,
    /// Zero, and NaN as well.
    Zero,
    /// NaN.
    Nan,
}

/// What becomes of the sums of an ensemble.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::formats) enum Transform {
    /// Nothing.
    Identity,
    /// The logistic function of so many times the sum.
    Sigmoid(f64),
    /// The exponential.
    Exponential,
    /// The square, with the sign kept.
    SignedSquare,
    /// `ln(1 + exp(x))`.
    Softplus,
    /// One where the sum is positive, zero elsewhere.
    Step,
    /// Probabilities of classes.
    Softmax,
    /// The class whose sum is the largest.
    Argmax,
}

/// Words of 32 bits in LightGBM's and XGBoost's sets of categories.
const WORD: usize = 32;
/// LightGBM takes what is this close to zero for zero.
const NEARLY_ZERO: f64 = 1e-35;
/// From here on XGBoost takes no number for a category.
const CATEGORY_END: f32 = 16_777_216.0;

impl Ensemble {
    /// The sums for one row, over the first `rounds` rounds.
    pub(in crate::formats) fn sums(&self, row: &[f64], rounds: usize) -> Vec<f64> {
        let mut sums = vec![0.0; self.start.len()];
        for member in self.members.iter().filter(|m| m.round < rounds) {
            member.tree.add(row, member.weight, &mut sums[member.group..]);
        }
        for (sum, start) in sums.iter_mut().zip(&self.start) {
            *sum = *sum / self.divisor + start;
        }
        sums
    }

    /// Steps one row can take at most, about.
    pub(in crate::formats) fn cost(&self) -> usize {
        self.members.iter().map(|m| m.tree.nodes.len().min(64) + m.tree.factors.len()).sum()
    }
}

impl Transform {
    /// What the library answers for these sums.
    pub(in crate::formats) fn apply(self, sums: &[f64]) -> Vec<f64> {
        let each = |f: &dyn Fn(f64) -> f64| sums.iter().map(|x| f(*x)).collect();
        match self {
            Transform::Identity => sums.to_vec(),
            Transform::Sigmoid(factor) => each(&|x| sigmoid(factor * x)),
            Transform::Exponential => each(&f64::exp),
            Transform::SignedSquare => each(&|x| x.signum() * x * x),
            Transform::Softplus => each(&|x| x.exp().ln_1p()),
            Transform::Step => each(&|x| f64::from(u8::from(x > 0.0))),
            Transform::Softmax => softmax(sums),
            Transform::Argmax => vec![largest(sums)],
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The probabilities of classes from their sums.
fn softmax(sums: &[f64]) -> Vec<f64> {
    let top = sums.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = sums.iter().map(|x| (x - top).exp()).collect();
    let total: f64 = powers.iter().sum();
    powers.iter().map(|p| p / total).collect()
}

/// The number of the class whose sum is the largest; the first of equals.
pub(in crate::formats) fn largest(sums: &[f64]) -> f64 {
    let mut best = 0;
    for (class, sum) in sums.iter().enumerate() {
        if *sum > sums[best] {
            best = class;
        }
    }
    best as f64
}

impl Tree {
    /// Adds what this tree answers to a row.
    fn add(&self, row: &[f64], weight: f64, sums: &mut [f64]) {
        let mut at = 0;
        let leaf = loop {
            match self.nodes[at] {
                Node::Leaf(leaf) => break leaf,
                Node::Split { feature, rule, left, right } => {
                    let goes_left = self.holds(rule, row[feature as usize]);
                    at = if goes_left { left } else { right } as usize;
                }
            }
        };
        if let Some(answer) = self.linear(leaf, row) {
            sums[0] += weight * answer;
            return;
        }
        let values = &self.values[leaf.value as usize..][..leaf.count as usize];
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += weight * value;
        }
    }

    /// What a linear model in a leaf answers; nothing where a feature it needs is missing.
    fn linear(&self, leaf: Leaf, row: &[f64]) -> Option<f64> {
        let (constant, start, count) = leaf.linear?;
        let mut answer = constant;
        for (feature, factor) in &self.factors[start as usize..][..count as usize] {
            let value = row[*feature as usize];
            if value.is_nan() {
                return None;
            }
            answer += factor * value;
        }
        Some(answer)
    }

    fn holds(&self, rule: Rule, value: f64) -> bool {
        match rule {
            Rule::Less { threshold, missing_left } => {
                let value = value as f32;
                if value.is_nan() { missing_left } else { value < threshold }
            }
            Rule::NotIn { start, words, missing_left } => {
                let value = value as f32;
                if value.is_nan() {
                    return missing_left;
                }
                !(0.0..CATEGORY_END).contains(&value) || !self.bit(start, words, value as usize)
            }
            Rule::AtMost { threshold, missing, missing_left } => {
                let nan = value.is_nan();
                let value = if nan && missing != Missing::Nan { 0.0 } else { value };
                match missing {
                    Missing::Zero if value.abs() <= NEARLY_ZERO => missing_left,
                    Missing::Nan if nan => missing_left,
                    _ => value <= threshold,
                }
            }
            Rule::In { start, words } => {
                // Cast as C does: towards zero, so that -0.5 is category 0.
                value > -1.0 && self.bit(start, words, value as usize)
            }
        }
    }

    fn bit(&self, start: u32, words: u32, category: usize) -> bool {
        let word = category / WORD;
        word < words as usize && self.bits[start as usize + word] >> (category % WORD) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_decide_as_the_libraries_do() {
        let tree = Tree { bits: vec![0b101, 1], ..Tree::default() };
        let less = Rule::Less { threshold: 0.1, missing_left: true };
        assert!(!tree.holds(less, 0.1) && tree.holds(less, 0.099) && tree.holds(less, f64::NAN));
        // Equal in 32 bits although less in 64.
        assert!(!tree.holds(less, 0.099_999_999_9));
        let most = |missing| Rule::AtMost { threshold: -1.0, missing, missing_left: true };
        assert!(!tree.holds(most(Missing::None), f64::NAN));
        assert!(tree.holds(most(Missing::Zero), f64::NAN) && tree.holds(most(Missing::Zero), 0.0));
        assert!(tree.holds(most(Missing::Nan), f64::NAN) && !tree.holds(most(Missing::Nan), 0.0));
        let within = Rule::In { start: 0, words: 2 };
        for (value, held) in
            [(0.0, true), (1.0, false), (2.9, true), (32.0, true), (64.0, false), (-1.0, false)]
        {
            assert_eq!(tree.holds(within, value), held, "{value}");
        }
        assert!(!tree.holds(within, f64::NAN) && tree.holds(within, -0.5));
        let without = Rule::NotIn { start: 0, words: 2, missing_left: false };
        assert!(!tree.holds(without, 2.0) && tree.holds(without, 1.0) && tree.holds(without, -1.0));
        assert!(tree.holds(without, 1e30) && !tree.holds(without, f64::NAN));
    }

    #[test]
    fn transforms_answer_what_they_are_named_after() {
        assert_eq!(Transform::Sigmoid(2.0).apply(&[0.0]), [0.5]);
        assert_eq!(Transform::Argmax.apply(&[1.0, 3.0, 2.0]), [1.0]);
        assert_eq!(Transform::SignedSquare.apply(&[-2.0]), [-4.0]);
        assert_eq!(Transform::Step.apply(&[-2.0, 0.1]), [0.0, 1.0]);
        let shares = Transform::Softmax.apply(&[1000.0, 1000.0]);
        assert_eq!(shares, [0.5, 0.5]);
    }
}
