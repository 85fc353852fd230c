//! Operators that lay out, turn, join and cut shapes.

use super::shapes::{Dim, Shape, Step, Wrong, differ, product, told};

impl Step<'_> {
    pub(super) fn flatten(&self) -> Result<Shape, Wrong> {
        let Some(shape) = self.shape(0) else {
            return Ok(None);
        };
        let axis = self.axis(self.int("axis").unwrap_or(1), shape.len(), shape.len() + 1)?;
        Ok(Some(vec![product(&shape[..axis]), product(&shape[axis..])]))
    }

    /// An axis counted from either end, of `rank` dimensions, below `most`.
    pub(super) fn axis(&self, axis: i64, rank: usize, most: usize) -> Result<usize, Wrong> {
        let from_start = if axis < 0 { axis.saturating_add_unsigned(rank as u64) } else { axis };
        match usize::try_from(from_start) {
            Ok(place) if place < most => Ok(place),
            _ => Err(format!("there is no axis {axis} in {rank} dimensions")),
        }
    }

    pub(super) fn reshape(&self) -> Result<Shape, Wrong> {
        let from_attribute = self.node.ints(self.names, "shape");
        let Some(wanted) = from_attribute.or_else(|| self.ints(1)) else {
            return Ok(None);
        };
        let input = self.shape(0);
        let zeroes_count = self.int("allowzero").unwrap_or(0) != 0;
        let mut shape = Vec::with_capacity(wanted.len());
        let mut open = None;
        for (i, size) in wanted.iter().enumerate() {
            shape.push(match *size {
                -1 if open.is_some() => return Err("two sizes of the new shape are -1".to_owned()),
                -1 => {
                    open = Some(i);
                    Some(1)
                }
                0 if !zeroes_count => match input {
                    None => None,
                    Some(input) => match input.get(i) {
                        Some(dim) => *dim,
                        None => return Err(format!("there is no dimension {i} to copy")),
                    },
                },
                size if size < 0 => return Err(format!("a size of {size}")),
                size => Some(size),
            });
        }
        let (from, to) = (input.and_then(product), product(&shape));
        match (open, from, to) {
            (Some(open), Some(from), Some(to)) => {
                if to == 0 || from % to != 0 {
                    return Err(format!("{from} numbers cannot be laid out as {}", told(&shape)));
                }
                shape[open] = Some(from / to);
            }
            (Some(open), ..) => shape[open] = None,
            (None, Some(from), Some(to)) if from != to => {
                return Err(format!("{from} numbers cannot be laid out as {}", told(&shape)));
            }
            _ => {}
        }
        Ok(Some(shape))
    }

    pub(super) fn transpose(&self) -> Result<Shape, Wrong> {
        let Some(shape) = self.shape(0) else {
            return Ok(None);
        };
        let Some(order) = self.node.ints(self.names, "perm") else {
            return Ok(Some(shape.iter().rev().copied().collect()));
        };
        let mut left: Vec<bool> = vec![true; shape.len()];
        let mut turned = Vec::with_capacity(shape.len());
        for axis in order {
            let place = usize::try_from(*axis).unwrap_or(usize::MAX);
            match left.get_mut(place) {
                Some(free) if *free => *free = false,
                _ => return Err(format!("{axis} has no place in an order of {}", shape.len())),
            }
            turned.push(shape[place]);
        }
        if turned.len() != shape.len() {
            return Err(format!("an order of {} for {} dimensions", turned.len(), shape.len()));
        }
        Ok(Some(turned))
    }

    pub(super) fn concat(&self) -> Result<Shape, Wrong> {
        let Some(axis) = self.int("axis") else {
            return Ok(None);
        };
        let mut whole = true;
        let mut joined: Option<Vec<Dim>> = None;
        for i in 0..self.node.inputs.len() {
            let Some(shape) = self.shape(i) else {
                whole = false;
                continue;
            };
            let place = self.axis(axis, shape.len(), shape.len())?;
            let Some(joined) = &mut joined else {
                joined = Some(shape.to_vec());
                continue;
            };
            let fits = joined.len() == shape.len()
                && joined
                    .iter()
                    .zip(shape)
                    .enumerate()
                    .all(|(i, (a, b))| i == place || !differ(*a, *b));
            if !fits {
                return Err(format!(
                    "{} and {} cannot be joined along axis {axis}",
                    told(joined),
                    told(shape)
                ));
            }
            for (i, (sum, size)) in joined.iter_mut().zip(shape).enumerate() {
                *sum = match (*sum, *size) {
                    (Some(a), Some(b)) if i == place => a.checked_add(b),
                    _ if i == place => None,
                    (known, other) => known.or(other),
                };
            }
        }
        Ok(joined.filter(|_| whole))
    }

    pub(super) fn squeeze(&self) -> Result<Shape, Wrong> {
        let (Some(shape), Ok(Some(axes))) = (self.shape(0), self.axes("axes", 1)) else {
            return Ok(None);
        };
        let mut gone = vec![false; shape.len()];
        for axis in axes {
            let place = self.axis(axis, shape.len(), shape.len())?;
            if differ(shape[place], Some(1)) {
                return Err(format!("axis {axis} of {} is no 1 to be left out", told(shape)));
            }
            gone[place] = true;
        }
        Ok(Some(shape.iter().zip(gone).filter(|(_, gone)| !gone).map(|(dim, _)| *dim).collect()))
    }

    pub(super) fn unsqueeze(&self) -> Result<Shape, Wrong> {
        let (Some(shape), Ok(Some(axes))) = (self.shape(0), self.axes("axes", 1)) else {
            return Ok(None);
        };
        let rank = shape.len() + axes.len();
        let mut new = vec![false; rank];
        for axis in axes {
            let place = self.axis(axis, rank, rank)?;
            if new[place] {
                return Err(format!("axis {axis} is put in twice"));
            }
            new[place] = true;
        }
        let mut old = shape.iter();
        let all = new.iter().map(|new| if *new { Some(1) } else { old.next().copied().flatten() });
        Ok(Some(all.collect()))
    }
}
