//! What the constants of a graph may hold, as inputs of operators.
//!
//! A runtime computes what depends on constants alone while it loads a model. A constant that no
//! operator can take makes it refuse the model; one ends its process.

use super::einsum;
use super::model::Given;
use super::rules;
use super::shapes::{Step, Wrong, told};
use super::tensors::{INT32, INT64};

/// The types of whole numbers.
fn is_whole(element: i64) -> bool {
    matches!(element, 2..=7 | 12 | 13)
}

/// A number as a type of whole numbers holds it.
fn wrapped(value: i64, element: i64) -> i64 {
    match element {
        2 => i64::from(value as u8),
        3 => i64::from(value as i8),
        4 => i64::from(value as u16),
        5 => i64::from(value as i16),
        INT32 => i64::from(value as i32),
        12 => i64::from(value as u32),
        _ => value,
    }
}

impl Step<'_> {
    /// Whether computing it from constants ends the process.
    pub(super) fn crash(&self, op: &str) -> Option<Wrong> {
        let least = match self.element(0) {
            INT32 => i64::from(i32::MIN),
            INT64 => i64::MIN,
            _ => return None,
        };
        if op != "Div" || !self.ints(1)?.contains(&-1) || !self.ints(0)?.contains(&least) {
            return None;
        }
        Some(format!("{least} is divided by -1, which ends the process that loads the model"))
    }

    /// Whether its constants are ones that it can take.
    pub(super) fn constants(&self, op: &str) -> Result<(), Wrong> {
        match op {
            "Div" | "Mod" if is_whole(self.element(1)) => self.divisor(),
            "ConstantOfShape" => self.constant_of_shape(),
            "Clip" => self.same_types(),
            "LayerNormalization" => self.one_axis(0),
            "OneHot" => self.one_hot(),
            "HannWindow" | "HammingWindow" | "BlackmanWindow" => self.none_below(0, 1, "the size"),
            "Tile" if self.since >= 6 => self.tile(),
            "Expand" => self.expand(),
            "Pad" => self.pad(),
            "Slice" => self.slice(),
            "Split" => self.split(),
            "TopK" => self.top_k(),
            "Upsample" if self.since >= 9 => self.scales(1, op),
            "Resize" => self.scales(if self.since >= 11 { 2 } else { 1 }, op),
            "Col2Im" => self.none_below(2, 1, "a size of a block"),
            "Gemm" if self.since < 7 => self.old_gemm(),
            "Einsum" => self.einsum(),
            "Compress" | "Unique" => self.one_axis(0),
            "GatherND" => self.batch(),
            "Conv" | "ConvTranspose" | "MaxPool" | "AveragePool" | "LpPool" | "MaxUnpool" => {
                self.window(op)
            }
            _ => Ok(()),
        }
    }

    /// What whole numbers make, where both inputs are known.
    pub(super) fn folded(&self, op: &str) -> Option<Vec<i64>> {
        let element = self.element(0);
        let of: fn(i64, i64) -> i64 = match op {
            "Add" => i64::wrapping_add,
            "Sub" => i64::wrapping_sub,
            "Mul" => i64::wrapping_mul,
            _ => return None,
        };
        let (a, b) = (self.ints(0)?, self.ints(1)?);
        let (one_a, one_b) = (a.len() == 1, b.len() == 1);
        if !is_whole(element) || !(a.len() == b.len() || one_a || one_b) {
            return None;
        }
        let count = a.len().max(b.len());
        let at = |all: &[i64], one: bool, i: usize| all.get(if one { 0 } else { i }).copied();
        (0..count).map(|i| Some(wrapped(of(at(a, one_a, i)?, at(b, one_b, i)?), element))).collect()
    }

    /// What numbers become in another type.
    pub(super) fn cast_ints(&self, to: Option<i64>) -> Option<Vec<i64>> {
        let to = to.filter(|to| is_whole(*to))?;
        match (self.ints(0), self.floats(0)) {
            (Some(ints), _) => Some(ints.iter().map(|value| wrapped(*value, to)).collect()),
            (None, Some(floats)) if floats.iter().all(|value| value.is_finite()) => {
                Some(floats.iter().map(|value| wrapped(*value as i64, to)).collect())
            }
            _ => None,
        }
    }

    fn none_below(&self, input: usize, least: i64, what: &str) -> Result<(), Wrong> {
        match self.ints(input).and_then(|ints| ints.iter().find(|value| **value < least)) {
            Some(value) => Err(format!("{what} is {value}; it must be {least} or more")),
            None => Ok(()),
        }
    }

    fn divisor(&self) -> Result<(), Wrong> {
        match self.ints(1) {
            Some(divisor) if divisor.contains(&0) => {
                Err("whole numbers are divided by a constant 0".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn constant_of_shape(&self) -> Result<(), Wrong> {
        if !matches!(self.element(0), 0 | INT64) {
            return Err("its shape is not of whole numbers of 64 bits".to_owned());
        }
        if let Some(Given::Tensor(value)) = self.node.attribute(self.names, "value")
            && value.dims.iter().any(|size| *size != 1)
        {
            return Err("its value is not one number".to_owned());
        }
        self.none_below(0, 0, "a size")
    }

    fn one_hot(&self) -> Result<(), Wrong> {
        self.none_below(1, 0, "the depth")?;
        if let Some(&[Some(values)]) = self.shape(2)
            && values != 2
        {
            return Err(format!("it takes two values and is given {values}"));
        }
        match (self.shape(0), self.int("axis")) {
            (Some(shape), Some(axis)) => {
                self.axis(axis, shape.len() + 1, shape.len() + 1).map(drop)
            }
            _ => Ok(()),
        }
    }

    fn tile(&self) -> Result<(), Wrong> {
        self.none_below(1, 0, "a number of repeats")?;
        match (self.shape(0), self.shape(1)) {
            (_, Some(shape)) if shape.len() != 1 => {
                Err(format!("its repeats have the shape {}", told(shape)))
            }
            (Some(data), Some(&[Some(repeats)])) if data.len() as i64 != repeats => {
                Err(format!("{repeats} repeats for {}", told(data)))
            }
            _ => Ok(()),
        }
    }

    fn expand(&self) -> Result<(), Wrong> {
        let (Some(data), Some(wanted)) = (self.shape(0), self.ints(1)) else {
            return Ok(());
        };
        for (size, wanted_size) in data.iter().rev().zip(wanted.iter().rev()) {
            if let Some(size) = size
                && *size != 1
                && *wanted_size > 1
                && size != wanted_size
            {
                return Err(format!("{} cannot be expanded to {wanted:?}", told(data)));
            }
        }
        Ok(())
    }

    fn pad(&self) -> Result<(), Wrong> {
        // Axes say to which dimensions the pads belong.
        let (Some(data), Some(pads), None) = (self.shape(0), self.ints(1), self.ints(3)) else {
            return Ok(());
        };
        if self.since < 11 || self.node.inputs.len() > 3 || pads.len() == 2 * data.len() {
            return Ok(());
        }
        Err(format!("{} numbers to pad {}", pads.len(), told(data)))
    }

    fn slice(&self) -> Result<(), Wrong> {
        if self.since < 10 {
            return Ok(());
        }
        if let (Some(starts), Some(ends)) = (self.ints(1), self.ints(2)) {
            let (starts, ends) = (starts.len(), ends.len());
            let others = [self.ints(3), self.ints(4)];
            if starts != ends || others.into_iter().flatten().any(|other| other.len() != starts) {
                return Err("its starts, ends, axes and steps are not as many".to_owned());
            }
        }
        if self.ints(4).is_some_and(|steps| steps.contains(&0)) {
            return Err("a step of 0".to_owned());
        }
        if let (Some(data), Some(axes)) = (self.shape(0), self.ints(3)) {
            for axis in axes {
                self.axis(*axis, data.len(), data.len())?;
            }
        }
        Ok(())
    }

    fn split(&self) -> Result<(), Wrong> {
        let sizes = match self.since {
            ..13 => self.node.ints(self.names, "split"),
            _ => self.ints(1),
        };
        let Some(sizes) = sizes.filter(|sizes| !sizes.is_empty()) else {
            return Ok(());
        };
        if sizes.len() != self.node.outputs.len() {
            let outputs = self.node.outputs.len();
            return Err(format!("{} sizes for {outputs} outputs", sizes.len()));
        }
        let Some(data) = self.shape(0) else { return Ok(()) };
        let place = self.axis(self.int("axis").unwrap_or(0), data.len(), data.len())?;
        let sum = sizes.iter().try_fold(0_i64, |sum, size| sum.checked_add(*size));
        match (data[place], sum) {
            (Some(size), Some(sum)) if size == sum => Ok(()),
            (Some(size), _) => Err(format!("{size} cannot be split into {sizes:?}")),
            (None, _) => Ok(()),
        }
    }

    fn top_k(&self) -> Result<(), Wrong> {
        if self.since < 10 {
            return Ok(());
        }
        if let Some(&[Some(count)]) = self.shape(1)
            && count != 1
        {
            return Err(format!("it takes one number and is given {count}"));
        }
        let (Some(data), Some(&[wanted])) = (self.shape(0), self.ints(1)) else {
            return Ok(());
        };
        let place = self.axis(self.int("axis").unwrap_or(-1), data.len(), data.len())?;
        match data[place] {
            Some(size) if size < wanted => Err(format!("{wanted} of {size} are asked for")),
            _ => Ok(()),
        }
    }

    fn scales(&self, input: usize, op: &str) -> Result<(), Wrong> {
        let Some(scales) = self.floats(input).filter(|scales| !scales.is_empty()) else {
            return Ok(());
        };
        let least = if op == "Upsample" { 1.0 } else { f32::MIN_POSITIVE };
        if let Some(scale) = scales.iter().find(|scale| scale.is_nan() || **scale < least) {
            let wanted = if op == "Upsample" { "1 or more" } else { "more than 0" };
            return Err(format!("a scale is {scale}; it must be {wanted}"));
        }
        match self.shape(0) {
            // Axes say to which dimensions the scales belong.
            Some(data)
                if data.len() != scales.len() && self.node.ints(self.names, "axes").is_none() =>
            {
                Err(format!("{} scales for {}", scales.len(), told(data)))
            }
            _ => Ok(()),
        }
    }

    fn old_gemm(&self) -> Result<(), Wrong> {
        for input in 0..2 {
            if let Some(shape) = self.shape(input)
                && shape.len() != 2
            {
                return Err(format!("{} is no matrix", told(shape)));
            }
        }
        Ok(())
    }

    fn einsum(&self) -> Result<(), Wrong> {
        let Some(equation) = self.node.text(self.names, "equation") else {
            return Ok(());
        };
        let ranks: Vec<_> =
            (0..self.node.inputs.len()).map(|i| self.shape(i).map(<[_]>::len)).collect();
        einsum::check(equation, &ranks)
    }

    fn one_axis(&self, input: usize) -> Result<(), Wrong> {
        match (self.shape(input), self.int("axis")) {
            (Some(data), Some(axis)) => self.axis(axis, data.len(), data.len()).map(drop),
            _ => Ok(()),
        }
    }

    fn batch(&self) -> Result<(), Wrong> {
        let batch = self.int("batch_dims").unwrap_or(0);
        for input in 0..2 {
            if let Some(shape) = self.shape(input)
                && batch > shape.len() as i64
            {
                return Err(format!("batch_dims is {batch} for {}", told(shape)));
            }
        }
        Ok(())
    }

    fn window(&self, op: &str) -> Result<(), Wrong> {
        let Some(data) = self.shape(0) else { return Ok(()) };
        let Some(dimensions) = data.len().checked_sub(2).filter(|count| *count > 0) else {
            return Err(format!("{} is no image", told(data)));
        };
        if let Some(what) = rules::lengths(self.node, self.names, dimensions) {
            return Err(what);
        }
        if op == "ConvTranspose" {
            let group = self.int("group").unwrap_or(1);
            if let Some(channels) = data[1]
                && group > 0
                && channels % group != 0
            {
                return Err(format!("{channels} channels in {group} groups"));
            }
            if let Some(weights) = self.shape(1)
                && weights.len() != data.len()
            {
                return Err(format!("{} cannot be convolved with {}", told(data), told(weights)));
            }
        }
        Ok(())
    }
}
