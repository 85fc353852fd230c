//! Shapes and types carried from the inputs of a graph to its outputs.
//!
//! Finds what cannot work for any input: sizes that are both known and differ. Whatever is not
//! known, or of an operator that is not told here, stays unknown; nothing is ever guessed.

use super::model::{Given, Graph, NONE, Name, Names, Node, Tensor, Type};
use super::tensors::{self, BOOL, FLOAT, INT64, STRING};

/// Dimensions of a tensor that is followed; more are only made to cost time.
const MAX_RANK: usize = 32;
/// Bytes that all sizes that are followed may take; a real model's take a hundredth.
const MAX_FOLLOWED: usize = 64 * 1024 * 1024;
/// The axes or sizes that are followed.
const MAX_INTS: usize = 64;

/// A size, where it is known.
pub(super) type Dim = Option<i64>;

/// What is known of a value.
#[derive(Default, Clone)]
struct Info {
    /// 0 where it is not known.
    element: i64,
    shape: Option<Vec<Dim>>,
    /// What it holds, where it may be a shape or axes.
    ints: Option<Vec<i64>>,
    /// What it holds, where it may be scales.
    floats: Option<Vec<f32>>,
}

pub(super) struct Shapes {
    /// By the numbers of names.
    of: Vec<Info>,
    /// Bytes of the sizes in it.
    held: usize,
}

/// What is wrong, in words.
pub(super) type Wrong = String;
pub(super) type Shape = Option<Vec<Dim>>;

impl Shapes {
    /// What a graph says of its inputs and holds in its tensors.
    pub(super) fn of(graph: &Graph) -> Self {
        let mut shapes = Self { of: Vec::new(), held: 0 };
        for tensor in &graph.initializers {
            shapes.put(tensor.name, Info::of(tensor));
        }
        // An input's declaration outranks the tensor that stands in for it: that can be replaced.
        for value in &graph.inputs {
            match &value.kind {
                Type::Tensor { element, shape } => {
                    shapes.put(
                        value.name,
                        Info { element: *element, shape: shape.clone(), ints: None, floats: None },
                    );
                }
                Type::Unknown | Type::Other => {
                    if let Some(info) = shapes.of.get_mut(value.name as usize) {
                        *info = Info::default();
                    }
                }
            }
        }
        shapes
    }

    fn put(&mut self, name: Name, mut info: Info) {
        info.shape = info.shape.filter(|shape| shape.len() <= MAX_RANK);
        info.ints = info.ints.filter(|ints| ints.len() <= MAX_INTS);
        info.floats = info.floats.filter(|floats| floats.len() <= MAX_INTS);
        let cost = info.shape.as_ref().map_or(0, |shape| size_of_val(&shape[..]))
            + info.ints.as_ref().map_or(0, |ints| size_of_val(&ints[..]))
            + info.floats.as_ref().map_or(0, |floats| size_of_val(&floats[..]));
        if self.held + cost > MAX_FOLLOWED {
            (info.shape, info.ints, info.floats) = (None, None, None);
        } else {
            self.held += cost;
        }
        if name != NONE && info.is_known() {
            let place = name as usize;
            if place >= self.of.len() {
                self.of.resize_with(place + 1, Info::default);
            }
            self.of[place] = info;
        }
    }

    /// The type of a value; 0 where it is not known.
    pub(super) fn element_of(&self, name: Name) -> i64 {
        self.of.get(name as usize).map_or(0, |info| info.element)
    }

    /// What would end the runtime's process when it computes a node of constants.
    pub(super) fn crash(&self, node: &Node, since: i64, names: &Names) -> Option<Wrong> {
        Step { shapes: self, node, names, since }.crash(names.get(node.op))
    }

    /// Carries what is known through a node of ONNX's own, as it is since that version.
    pub(super) fn step(&mut self, node: &Node, since: i64, names: &Names) -> Option<Wrong> {
        let step = Step { shapes: self, node, names, since };
        let domain = names.get(node.domain);
        let outcome = match domain {
            "" => step.constants(names.get(node.op)).and_then(|()| step.run(names.get(node.op))),
            "ai.onnx.ml" => Ok(step.answer(names.get(node.op))),
            _ => Ok(None),
        };
        match outcome {
            Ok(Some(info)) => {
                if let Some(name) = node.outputs.first() {
                    self.put(*name, info);
                }
                None
            }
            Ok(None) => None,
            Err(wrong) => Some(wrong),
        }
    }
}

impl Info {
    fn is_known(&self) -> bool {
        self.element != 0 || self.shape.is_some() || self.ints.is_some()
    }

    fn of(tensor: &Tensor) -> Self {
        Self {
            element: tensor.data_type,
            shape: Some(tensor.dims.iter().map(|dim| Some(*dim)).collect()),
            ints: tensor.as_ints(),
            floats: tensor.as_floats(),
        }
    }
}

pub(super) struct Step<'s> {
    shapes: &'s Shapes,
    pub(super) node: &'s Node,
    pub(super) names: &'s Names,
    pub(super) since: i64,
}

impl Step<'_> {
    fn input(&self, i: usize) -> Option<&Info> {
        self.shapes.of.get(*self.node.inputs.get(i)? as usize).filter(|info| info.is_known())
    }

    pub(super) fn shape(&self, i: usize) -> Option<&[Dim]> {
        self.input(i)?.shape.as_deref()
    }

    pub(super) fn element(&self, i: usize) -> i64 {
        self.input(i).map_or(0, |info| info.element)
    }

    pub(super) fn ints(&self, i: usize) -> Option<&[i64]> {
        self.input(i)?.ints.as_deref()
    }

    pub(super) fn floats(&self, i: usize) -> Option<&[f32]> {
        self.input(i)?.floats.as_deref()
    }

    pub(super) fn int(&self, name: &str) -> Option<i64> {
        self.node.int(self.names, name)
    }

    fn has(&self, i: usize) -> bool {
        self.node.inputs.get(i).is_some_and(|name| *name != NONE)
    }

    /// The integers of an attribute of older versions, or of an input since; `Err` where they are
    /// given and not known.
    pub(super) fn axes(&self, name: &str, input: usize) -> Result<Option<Vec<i64>>, ()> {
        if let Some(axes) = self.node.ints(self.names, name) {
            return Ok(Some(axes.to_vec()));
        }
        if !self.has(input) {
            return Ok(None);
        }
        self.ints(input).map(|axes| Some(axes.to_vec())).ok_or(())
    }

    fn run(&self, op: &str) -> Result<Option<Info>, Wrong> {
        let element = self.element(0);
        let keep = |shape: Shape| Ok(Some(Info { element, shape, ints: None, floats: None }));
        match op {
            "Identity" => Ok(self.input(0).cloned()),
            "Relu"
            | "Sigmoid"
            | "Tanh"
            | "Abs"
            | "Neg"
            | "Exp"
            | "Log"
            | "Sqrt"
            | "Floor"
            | "Ceil"
            | "Round"
            | "Sign"
            | "Reciprocal"
            | "Erf"
            | "LeakyRelu"
            | "Elu"
            | "Selu"
            | "Celu"
            | "Softplus"
            | "Softsign"
            | "HardSigmoid"
            | "HardSwish"
            | "Gelu"
            | "Mish"
            | "ThresholdedRelu"
            | "Not"
            | "Clip"
            | "Dropout"
            | "Sin"
            | "Cos"
            | "Tan"
            | "Asin"
            | "Acos"
            | "Atan"
            | "Sinh"
            | "Cosh"
            | "LpNormalization"
            | "LRN"
            | "InstanceNormalization"
            | "LayerNormalization"
            | "RMSNormalization"
            | "CumSum" => keep(self.input(0).and_then(|i| i.shape.clone())),
            "Softmax" | "LogSoftmax" | "Hardmax" => {
                if let (Some(shape), Some(axis)) = (self.shape(0), self.int("axis"))
                    && self.since >= 13
                {
                    self.axis(axis, shape.len(), shape.len())?;
                }
                keep(self.input(0).and_then(|i| i.shape.clone()))
            }
            "BatchNormalization" => self.batch_normalization(),
            "Cast" => self.cast(),
            "IsNaN" | "IsInf" => {
                let shape = self.input(0).and_then(|i| i.shape.clone());
                Ok(Some(Info { element: BOOL, shape, ints: None, floats: None }))
            }
            "Add" | "Sub" | "Mul" | "Div" | "And" | "Or" | "Xor" | "Mod" | "BitwiseAnd"
            | "BitwiseOr" | "BitwiseXor" | "Max" | "Min" | "Sum" | "Mean" => {
                self.same_types()?;
                let (shape, ints) = (self.broadcast(7)?, self.folded(op));
                Ok(Some(Info { element, shape, ints, floats: None }))
            }
            "Pow" => keep(self.broadcast(7)?),
            "Equal" | "Greater" | "Less" | "GreaterOrEqual" | "LessOrEqual" => {
                self.same_types()?;
                Ok(Some(Info {
                    element: BOOL,
                    shape: self.broadcast(7)?,
                    ints: None,
                    floats: None,
                }))
            }
            "Where" => {
                let shape = self.broadcast(7)?;
                Ok(Some(Info { element: self.element(1), shape, ints: None, floats: None }))
            }
            "MatMul" => {
                self.same_types()?;
                keep(self.matmul()?)
            }
            "Gemm" => {
                self.same_types()?;
                keep(self.gemm()?)
            }
            "Conv" => {
                self.same_types()?;
                keep(self.convolution()?)
            }
            "GlobalAveragePool" | "GlobalMaxPool" => keep(self.shape(0).map(|shape| {
                shape
                    .iter()
                    .enumerate()
                    .map(|(i, dim)| if i < 2 { *dim } else { Some(1) })
                    .collect()
            })),
            "Flatten" => keep(self.flatten()?),
            "Reshape" => keep(self.reshape()?),
            "Transpose" => keep(self.transpose()?),
            "Concat" => {
                self.same_types()?;
                keep(self.concat()?)
            }
            "Squeeze" => keep(self.squeeze()?),
            "Unsqueeze" => keep(self.unsqueeze()?),
            "Shape" => Ok(Some(self.shape_of())),
            "Gather" => self.gather(),
            "Constant" => Ok(self.constant()),
            "ArgMax" | "ArgMin" => {
                let axis = self.int("axis").unwrap_or(0);
                let shape = self.reduced(Some(vec![axis]), "axis")?;
                Ok(Some(Info { element: INT64, shape, ints: None, floats: None }))
            }
            _ if op.starts_with("Reduce") => {
                let Ok(axes) = self.axes("axes", 1) else {
                    return keep(None);
                };
                if axes.as_ref().is_none_or(Vec::is_empty)
                    && self.int("noop_with_empty_axes").unwrap_or(0) != 0
                {
                    return keep(self.input(0).and_then(|i| i.shape.clone()));
                }
                keep(self.reduced(axes.filter(|axes| !axes.is_empty()), "axes")?)
            }
            _ => Ok(None),
        }
    }

    /// Operators that take several tensors take them of one type.
    pub(super) fn same_types(&self) -> Result<(), Wrong> {
        let mut known =
            (0..self.node.inputs.len()).map(|i| self.element(i)).filter(|element| *element != 0);
        let Some(first) = known.next() else {
            return Ok(());
        };
        match known.find(|element| *element != first) {
            Some(other) => Err(format!("its inputs are of two types, {first} and {other}")),
            None => Ok(()),
        }
    }

    /// The shape of all inputs laid over each other from their last dimension; before version
    /// `since` of an operator, other rules held.
    fn broadcast(&self, since: i64) -> Result<Shape, Wrong> {
        if self.since < since {
            return Ok(None);
        }
        let mut joined: Vec<Dim> = Vec::new();
        let mut whole = true;
        for i in 0..self.node.inputs.len() {
            let Some(shape) = self.shape(i) else {
                whole = false;
                continue;
            };
            if joined != shape {
                joined = lay_over(&joined, shape)?;
            }
        }
        Ok(whole.then_some(joined))
    }

    fn matmul(&self) -> Result<Shape, Wrong> {
        let (Some(a), Some(b)) = (self.shape(0), self.shape(1)) else {
            return Ok(None);
        };
        if a.is_empty() || b.is_empty() {
            return Err("a single number cannot be multiplied as a matrix".to_owned());
        }
        let inner = a[a.len() - 1];
        let (rows, columns) = match b {
            [only] => (*only, None),
            [.., rows, columns] => (*rows, Some(*columns)),
            [] => return Ok(None),
        };
        if differ(inner, rows) {
            return Err(format!("{} cannot be multiplied by {}", told(a), told(b)));
        }
        let batch = |shape: &[Dim]| shape[..shape.len().saturating_sub(2)].to_vec();
        let mut joined = lay_over(&batch(a), &batch(b))?;
        if a.len() > 1 {
            joined.push(a[a.len() - 2]);
        }
        joined.extend(columns);
        Ok(Some(joined))
    }

    fn gemm(&self) -> Result<Shape, Wrong> {
        let (Some(a), Some(b)) = (self.shape(0), self.shape(1)) else {
            return Ok(None);
        };
        let (&[a0, a1], &[b0, b1]) = (a, b) else {
            return match self.since {
                // The first version flattened what was no matrix.
                ..7 => Ok(None),
                _ => Err(format!("{} and {} are not both matrices", told(a), told(b))),
            };
        };
        let turned = |name| self.int(name).unwrap_or(0) != 0;
        let (rows, inner) = if turned("transA") { (a1, a0) } else { (a0, a1) };
        let (other, columns) = if turned("transB") { (b1, b0) } else { (b0, b1) };
        if differ(inner, other) {
            return Err(format!("{} cannot be multiplied by {}", told(a), told(b)));
        }
        let shape = vec![rows, columns];
        if self.since >= 7
            && let Some(bias) = self.shape(2)
        {
            let joined = lay_over(&shape, bias)?;
            // A bias is laid over the product, never the other way round; but a product of one
            // row is known to grow where its number of rows is not declared.
            if joined.len() > 2 {
                return Err(format!("{} cannot be added to {}", told(bias), told(&shape)));
            }
        }
        Ok(Some(shape))
    }

    fn convolution(&self) -> Result<Shape, Wrong> {
        let (Some(x), Some(w)) = (self.shape(0), self.shape(1)) else {
            return Ok(None);
        };
        if x.len() != w.len() || x.len() < 3 {
            return Err(format!("{} cannot be convolved with {}", told(x), told(w)));
        }
        let group = self.int("group").unwrap_or(1);
        if let (Some(channels), Some(each)) = (x[1], w[1])
            && each.checked_mul(group) != Some(channels)
        {
            return Err(format!(
                "{} cannot be convolved with {} in {group} groups",
                told(x),
                told(w)
            ));
        }
        // The sizes in space need strides, pads and dilations together; they stay unknown.
        let mut shape = vec![None; x.len()];
        shape[0] = x[0];
        shape[1] = w[0];
        Ok(Some(shape))
    }

    fn batch_normalization(&self) -> Result<Option<Info>, Wrong> {
        let Some(info) = self.input(0) else {
            return Ok(None);
        };
        let channels = info.shape.as_ref().and_then(|shape| shape.get(1).copied().flatten());
        for i in 1..5 {
            if let Some(&[size]) = self.shape(i)
                && differ(size, channels)
            {
                return Err(format!(
                    "{} numbers do not fit {} channels",
                    size.unwrap_or_default(),
                    channels.unwrap_or_default()
                ));
            }
        }
        Ok(Some(Info { ints: None, ..info.clone() }))
    }

    /// What the machine learning of scikit-learn answers is of one type whatever it is asked.
    fn answer(&self, op: &str) -> Option<Info> {
        let element = match op {
            "TreeEnsembleRegressor"
            | "LinearRegressor"
            | "SVMRegressor"
            | "Scaler"
            | "Normalizer" => FLOAT,
            "TreeEnsembleClassifier" | "LinearClassifier" | "SVMClassifier" => {
                let given = |name| self.node.attribute(self.names, name).is_some();
                let words = ["classlabels_strings"].into_iter().any(given);
                let numbers = ["classlabels_int64s", "classlabels_ints"].into_iter().any(given);
                match (words, numbers) {
                    (true, false) => STRING,
                    (false, true) => INT64,
                    _ => return None,
                }
            }
            _ => return None,
        };
        Some(Info { element, shape: None, ints: None, floats: None })
    }

    fn cast(&self) -> Result<Option<Info>, Wrong> {
        let to = self.int("to");
        if let Some(element) = to.filter(|element| *element != 0 && !tensors::is_type(*element)) {
            return Err(format!("there is no data type {element}"));
        }
        Ok(Some(Info {
            element: to.unwrap_or(0),
            shape: self.input(0).and_then(|info| info.shape.clone()),
            ints: self.cast_ints(to),
            floats: None,
        }))
    }

    fn shape_of(&self) -> Info {
        let cut = self.int("start").is_some() || self.int("end").is_some();
        let shape = self.shape(0).filter(|_| !cut);
        let rank = shape.map(|shape| i64::try_from(shape.len()).unwrap_or(i64::MAX));
        Info {
            element: INT64,
            shape: Some(vec![rank]),
            ints: shape.and_then(|shape| shape.iter().copied().collect()),
            floats: None,
        }
    }

    fn gather(&self) -> Result<Option<Info>, Wrong> {
        let (element, axis) = (self.element(0), self.int("axis").unwrap_or(0));
        let (Some(data), Some(places)) = (self.shape(0), self.shape(1)) else {
            return Ok(Some(Info { element, ..Info::default() }));
        };
        let place = self.axis(axis, data.len(), data.len())?;
        let mut shape = data[..place].to_vec();
        shape.extend_from_slice(places);
        shape.extend_from_slice(&data[place + 1..]);
        let ints = match (self.ints(0), self.ints(1)) {
            (Some(values), Some(places)) if data.len() == 1 => places
                .iter()
                .map(|i| self.axis(*i, values.len(), values.len()).ok().map(|i| values[i]))
                .collect(),
            _ => None,
        };
        Ok(Some(Info { element, shape: Some(shape), ints, floats: None }))
    }

    fn constant(&self) -> Option<Info> {
        let one = |element, ints| Info { element, shape: Some(Vec::new()), ints, floats: None };
        let row = |element, len: usize, ints| Info {
            element,
            shape: Some(vec![i64::try_from(len).ok()]),
            ints,
            floats: None,
        };
        let attribute = self.node.attributes.first()?;
        Some(match &attribute.given {
            Given::Tensor(tensor) => Info::of(tensor),
            Given::Int(value) => one(INT64, Some(vec![*value])),
            Given::Float => one(FLOAT, None),
            Given::Text(_) => one(tensors::STRING, None),
            Given::Ints(values) => {
                row(INT64, values.len(), Some(values.clone()).filter(|v| v.len() <= MAX_INTS))
            }
            Given::Floats(count) => row(FLOAT, usize::try_from(*count).ok()?, None),
            Given::Texts(all) => row(tensors::STRING, all.len(), None),
            _ => return None,
        })
    }

    fn reduced(&self, axes: Option<Vec<i64>>, what: &str) -> Result<Shape, Wrong> {
        let Some(shape) = self.shape(0) else {
            return Ok(None);
        };
        let keep = self.int("keepdims").unwrap_or(1) != 0;
        let mut gone = vec![axes.is_none(); shape.len()];
        for axis in axes.into_iter().flatten() {
            let place = self.axis(axis, shape.len(), shape.len());
            gone[place.map_err(|wrong| format!("{what}: {wrong}"))?] = true;
        }
        let left = shape.iter().zip(gone).filter(|(_, gone)| keep || !gone);
        Ok(Some(left.map(|(dim, gone)| if gone { Some(1) } else { *dim }).collect()))
    }
}

pub(super) fn differ(a: Dim, b: Dim) -> bool {
    matches!((a, b), (Some(a), Some(b)) if a != b)
}

/// Two shapes laid over each other from the last dimension; a one is stretched.
fn lay_over(a: &[Dim], b: &[Dim]) -> Result<Vec<Dim>, Wrong> {
    let rank = a.len().max(b.len());
    let at = |shape: &[Dim], i: usize| match (i + shape.len()).checked_sub(rank) {
        Some(place) => shape[place],
        None => Some(1),
    };
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (Some(1), other) | (other, Some(1)) => Ok(other),
            (Some(x), Some(y)) if x != y => {
                Err(format!("{} and {} do not fit together", told(a), told(b)))
            }
            (known, other) => Ok(known.or(other)),
        })
        .collect()
}

pub(super) fn product(shape: &[Dim]) -> Dim {
    shape.iter().try_fold(1_i64, |count, dim| count.checked_mul((*dim)?))
}

pub(super) fn told(shape: &[Dim]) -> String {
    let sizes: Vec<_> =
        shape.iter().map(|dim| dim.map_or("?".to_owned(), |dim| dim.to_string())).collect();
    format!("[{}]", sizes.join(", "))
}
