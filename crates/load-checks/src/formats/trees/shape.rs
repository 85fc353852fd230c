//! The one rule of every tree: from the root each node and each leaf is reached exactly once.
//!
//! Holds no values, only indices. A tree that breaks it makes its own library loop for ever or
//! read memory that is not its own.

/// What stands at the end of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::formats) enum Child {
    /// Another node that splits.
    Split(usize),
    /// A leaf, in a numbering of its own.
    Leaf(usize),
}

/// Follows every branch from node 0. `children` answers the two branches of a node, or `None`
/// where it is a leaf in the numbering of nodes; `splits` and `leaves` say how many there are.
///
/// Answers how many of each were reached, or what is wrong, naming the node.
pub(in crate::formats) fn reach_all(
    splits: usize,
    leaves: usize,
    mut children: impl FnMut(usize) -> Result<Option<[Child; 2]>, String>,
) -> Result<(usize, usize), String> {
    let mut split_seen = vec![false; splits];
    let mut leaf_seen = vec![false; leaves];
    let mut open = Vec::new();
    let mut reached = (0, 0);
    if let Some(root) = split_seen.first_mut() {
        *root = true;
        reached.0 = 1;
        open.push(0);
    }
    while let Some(node) = open.pop() {
        for child in children(node)?.into_iter().flatten() {
            let (seen, index) = match child {
                Child::Split(index) => (split_seen.get_mut(index), index),
                Child::Leaf(index) => (leaf_seen.get_mut(index), index),
            };
            match seen {
                None => {
                    return Err(format!("node {node} has a child that does not exist ({index})"));
                }
                Some(seen) if *seen => {
                    return Err(format!("node {node} has a child that another node has as well"));
                }
                Some(seen) => *seen = true,
            }
            match child {
                Child::Split(index) => {
                    reached.0 += 1;
                    open.push(index);
                }
                Child::Leaf(_) => reached.1 += 1,
            }
        }
    }
    Ok(reached)
}

#[cfg(test)]
mod tests {
    use super::Child::{Leaf, Split};
    use super::*;

    fn reach(children: &[[Child; 2]]) -> Result<(usize, usize), String> {
        reach_all(children.len(), children.len() + 1, |node| Ok(Some(children[node])))
    }

    #[test]
    fn a_tree_reaches_all_it_has() {
        assert_eq!(reach(&[[Split(1), Leaf(0)], [Leaf(1), Leaf(2)]]), Ok((2, 3)));
        assert_eq!(reach_all(0, 1, |_| unreachable!()), Ok((0, 0)));
    }

    #[test]
    fn cycles_shared_children_and_strangers_are_told() {
        assert!(reach(&[[Split(0), Leaf(0)]]).unwrap_err().contains("another node"));
        assert!(reach(&[[Split(1), Leaf(0)], [Leaf(0), Leaf(2)]]).unwrap_err().contains("another"));
        assert!(
            reach(&[[Split(1), Leaf(0)], [Split(0), Leaf(2)]]).unwrap_err().contains("another")
        );
        assert!(reach(&[[Leaf(9), Leaf(0)]]).unwrap_err().contains("does not exist"));
        // A cycle apart from the root is not reached, and the count says so.
        assert_eq!(
            reach(&[[Leaf(0), Leaf(1)], [Split(2), Leaf(2)], [Split(1), Leaf(3)]]),
            Ok((1, 2))
        );
    }
}
