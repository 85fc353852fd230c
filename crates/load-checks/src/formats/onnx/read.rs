//! The messages of an ONNX model, as far as the checks need them.
//!
//! Knows their fields. What a tensor holds is passed over and only measured, names are kept once,
//! and what is kept is counted, so that no model takes more memory than it may. Fields that are
//! not known are passed over, as Protobuf does.

use super::super::Halt;
use super::super::source::Source;
use super::model::{
    Attribute, Function, Given, Graph, Mode, Model, NONE, Name, Names, Node, Opset, Sparse, Tensor,
    Type, Value,
};
use super::wire::{Field, Wire, fault};

/// Graphs within graphs; exporters nest loops and branches a handful deep.
const MAX_GRAPHS: u32 = 32;
/// Types within types: a sequence of maps of tensors is three.
const MAX_TYPES: u32 = 16;
/// Bytes that all that is kept of one model may take; a million nodes with their names fit.
const MAX_HELD: u64 = 256 * 1024 * 1024;
/// Bytes of one name.
const MAX_NAME: u64 = 64 * 1024;
/// Bytes of an attribute's string that may be a word of a tree.
const MAX_WORD: u64 = 64;
/// Bytes of a tensor that may be the shape or the axes of another; no shape is longer.
const MAX_SHAPE: u64 = 1024;

pub(super) struct Reader<'r, 'a> {
    wire: Wire<'r, 'a>,
    pub(super) names: Names,
    held: u64,
    graphs: u32,
    /// The last name.
    room: Vec<u8>,
}

type Read<T> = Result<T, Halt>;

impl<'r, 'a> Reader<'r, 'a> {
    pub(super) fn new(source: &'r mut Source<'a>, keep_going: &'r dyn Fn() -> bool) -> Self {
        let mut names = Names::default();
        names.keep("");
        Self { wire: Wire::new(source, keep_going), names, held: 0, graphs: 0, room: Vec::new() }
    }

    fn hold(&mut self, cost: u64) -> Read<()> {
        self.held = self.held.saturating_add(cost);
        if self.held > MAX_HELD {
            return fault(
                self.wire.offset(),
                "more nodes, names and numbers than any real model has",
            );
        }
        Ok(())
    }

    fn name(&mut self, length: u64) -> Read<Name> {
        let text = self.wire.text(&mut self.room, length, MAX_NAME)?;
        let (name, cost) = self.names.keep(text);
        self.hold(cost)?;
        Ok(name)
    }

    fn names_of(&mut self, into: &mut Vec<Name>, length: u64) -> Read<()> {
        self.hold(8)?;
        into.push(self.name(length)?);
        Ok(())
    }

    fn end_of(&self, length: u64) -> u64 {
        self.wire.offset().saturating_add(length)
    }

    /// One level of fields that nothing is asked of: they must be fields.
    fn fields(&mut self, length: u64) -> Read<()> {
        let end = self.end_of(length);
        while let Some((_, field)) = self.wire.next(end)? {
            self.wire.pass(field)?;
        }
        Ok(())
    }

    pub(super) fn model(&mut self) -> Read<Model> {
        let mut model = Model::default();
        let end = self.wire.file_end();
        while let Some((number, field)) = self.wire.next(end)? {
            match (number, field) {
                (1, Field::Varint(_)) => model.ir_version = field.int(),
                (7, Field::Bytes(length)) if model.graph.is_none() => {
                    model.graph = Some(self.graph(length)?);
                }
                (7, Field::Bytes(_)) => {
                    return fault(self.wire.offset(), "a second graph: two models in one file");
                }
                (8, Field::Bytes(length)) => model.opsets.push(self.opset(length)?),
                (14 | 26, Field::Bytes(length)) => self.fields(length)?,
                (20, Field::Bytes(length)) => self.training(length, &mut model.training)?,
                (25, Field::Bytes(length)) => model.functions.push(self.function(length)?),
                _ => self.wire.pass(field)?,
            }
        }
        Ok(model)
    }

    fn opset(&mut self, length: u64) -> Read<Opset> {
        let end = self.end_of(length);
        self.hold(16)?;
        let mut opset = Opset { domain: NONE, version: 0 };
        while let Some((number, field)) = self.wire.next(end)? {
            match (number, field) {
                (1, Field::Bytes(length)) => opset.domain = self.domain(length)?,
                (2, Field::Varint(version)) => opset.version = version.cast_signed(),
                _ => self.wire.pass(field)?,
            }
        }
        Ok(opset)
    }

    /// The default domain has two names.
    fn domain(&mut self, length: u64) -> Read<Name> {
        let name = self.name(length)?;
        Ok(if self.names.get(name) == "ai.onnx" { NONE } else { name })
    }

    fn training(&mut self, length: u64, into: &mut Vec<Graph>) -> Read<()> {
        let end = self.end_of(length);
        while let Some((number, field)) = self.wire.next(end)? {
            match (number, field) {
                (1 | 2, Field::Bytes(length)) => into.push(self.graph(length)?),
                (3 | 4, Field::Bytes(length)) => self.fields(length)?,
                _ => self.wire.pass(field)?,
            }
        }
        Ok(())
    }

    fn graph(&mut self, length: u64) -> Read<Graph> {
        let at = self.wire.offset();
        if self.graphs == MAX_GRAPHS {
            return fault(at, format!("graphs within graphs, more than {MAX_GRAPHS} deep"));
        }
        self.graphs += 1;
        self.hold(256)?;
        let end = self.end_of(length);
        let mut graph = Graph::default();
        while let Some((number, field)) = self.wire.next(end)? {
            let Field::Bytes(length) = field else { continue };
            match number {
                1 => graph.nodes.push(self.node(length)?),
                2 => graph.name = self.name(length)?,
                5 => graph.initializers.push(self.tensor(length)?),
                11 => graph.inputs.push(self.value(length)?),
                12 => graph.outputs.push(self.value(length)?),
                // What is said of values in between is not relied on; it must be readable.
                13 => drop(self.value(length)?),
                15 => graph.sparse.push(self.sparse(length)?),
                14 | 16 => self.fields(length)?,
                _ => self.wire.skip(length)?,
            }
        }
        self.graphs -= 1;
        Ok(graph)
    }

    fn node(&mut self, length: u64) -> Read<Node> {
        let end = self.end_of(length);
        self.hold(size_of::<Node>() as u64)?;
        let mut node = Node { at: self.wire.offset(), ..Node::default() };
        while let Some((number, field)) = self.wire.next(end)? {
            let Field::Bytes(length) = field else { continue };
            match number {
                1 => self.names_of(&mut node.inputs, length)?,
                2 => self.names_of(&mut node.outputs, length)?,
                3 => node.name = self.name(length)?,
                4 => node.op = self.name(length)?,
                5 => node.attributes.push(self.attribute(length)?),
                7 => node.domain = self.domain(length)?,
                8 => node.overload = self.name(length)?,
                9 | 10 => self.fields(length)?,
                _ => self.wire.skip(length)?,
            }
        }
        if node.op == NONE {
            return fault(node.at, "a node without an operator");
        }
        Ok(node)
    }

    fn function(&mut self, length: u64) -> Read<Function> {
        let end = self.end_of(length);
        self.hold(size_of::<Function>() as u64)?;
        let mut function = Function { at: self.wire.offset(), ..Function::default() };
        while let Some((number, field)) = self.wire.next(end)? {
            let Field::Bytes(length) = field else { continue };
            match number {
                1 => function.name = self.name(length)?,
                4 => self.names_of(&mut function.inputs, length)?,
                5 => self.names_of(&mut function.outputs, length)?,
                6 => {
                    self.hold(16)?;
                    function.attributes.insert(self.name(length)?);
                }
                7 => function.nodes.push(self.node(length)?),
                9 => function.opsets.push(self.opset(length)?),
                10 => function.domain = self.domain(length)?,
                11 => {
                    let attribute = self.attribute(length)?;
                    function.attributes.insert(attribute.name);
                }
                12 => drop(self.value(length)?),
                13 => function.overload = self.name(length)?,
                14 => self.fields(length)?,
                _ => self.wire.skip(length)?,
            }
        }
        Ok(function)
    }

    fn attribute(&mut self, length: u64) -> Read<Attribute> {
        let end = self.end_of(length);
        self.hold(size_of::<Attribute>() as u64)?;
        let mut attribute = Attribute { at: self.wire.offset(), ..Attribute::default() };
        while let Some((number, field)) = self.wire.next(end)? {
            match (number, field) {
                (1, Field::Bytes(length)) => attribute.name = self.name(length)?,
                (20, Field::Varint(_)) => attribute.kind = field.int(),
                (21, Field::Bytes(length)) => attribute.reference = self.name(length)?,
                (13, _) => self.wire.pass(field)?,
                _ => self.given(number, field, &mut attribute)?,
            }
        }
        Ok(attribute)
    }

    fn given(&mut self, number: u32, field: Field, attribute: &mut Attribute) -> Read<()> {
        let at = self.wire.offset();
        let given = &mut attribute.given;
        let before = given.kind();
        match (number, field, &mut *given) {
            (2, Field::Fixed32(_), _) => *given = Given::Float,
            (3, Field::Varint(value), _) => *given = Given::Int(value.cast_signed()),
            (4, Field::Bytes(length), _) => {
                let text = if length <= MAX_SHAPE {
                    self.hold(length)?;
                    Some(String::from_utf8_lossy(&self.wire.bytes(length)?).into())
                } else {
                    self.wire.skip(length)?;
                    None
                };
                *given = Given::Text(text);
            }
            (
                5 | 6 | 22,
                Field::Bytes(_),
                Given::Tensor(_) | Given::Graph(_) | Given::Sparse(..),
            ) => {
                return fault(at, "an attribute given twice");
            }
            (5, Field::Bytes(length), _) => *given = Given::Tensor(Box::new(self.tensor(length)?)),
            (6, Field::Bytes(length), _) => *given = Given::Graph(Box::new(self.graph(length)?)),
            (22, Field::Bytes(length), _) => {
                *given = Given::Sparse(vec![self.sparse(length)?], false);
            }
            (7, _, Given::Floats(count)) => *count += self.wire.count_fixed(field, 4)?,
            (7, _, _) => *given = Given::Floats(self.wire.count_fixed(field, 4)?),
            (8, _, Given::Ints(values)) => {
                read_ints(&mut self.wire, &mut self.held, field, values)?
            }
            (8, _, _) => {
                let mut values = Vec::new();
                read_ints(&mut self.wire, &mut self.held, field, &mut values)?;
                *given = Given::Ints(values);
            }
            (9, Field::Bytes(length), _) => {
                let mode = self.mode(length)?;
                self.hold(1)?;
                match given {
                    Given::Texts(modes) => modes.push(mode),
                    _ => *given = Given::Texts(vec![mode]),
                }
            }
            (10, Field::Bytes(length), _) => {
                let tensor = self.tensor(length)?;
                match given {
                    Given::Tensors(tensors) => tensors.push(tensor),
                    _ => *given = Given::Tensors(vec![tensor]),
                }
            }
            (11, Field::Bytes(length), _) => {
                let graph = self.graph(length)?;
                match given {
                    Given::Graphs(graphs) => graphs.push(graph),
                    _ => *given = Given::Graphs(vec![graph]),
                }
            }
            (23, Field::Bytes(length), _) => {
                let sparse = self.sparse(length)?;
                match given {
                    Given::Sparse(all, true) => all.push(sparse),
                    _ => *given = Given::Sparse(vec![sparse], true),
                }
            }
            (14, Field::Bytes(length), _) => {
                self.kind(length, 0)?;
                *given = Given::Types(1, false);
            }
            (15, Field::Bytes(length), _) => {
                self.kind(length, 0)?;
                match given {
                    Given::Types(count, true) => *count += 1,
                    _ => *given = Given::Types(1, true),
                }
            }
            _ => self.wire.pass(field)?,
        }
        attribute.mixed |= before != 0 && attribute.given.kind() != before;
        Ok(())
    }

    fn mode(&mut self, length: u64) -> Read<Mode> {
        if length > MAX_WORD {
            self.wire.skip(length)?;
            return Ok(Mode::Unknown);
        }
        Ok(match &self.wire.bytes(length)?[..] {
            b"LEAF" => Mode::Leaf,
            b"BRANCH_LEQ" | b"BRANCH_LT" | b"BRANCH_GTE" | b"BRANCH_GT" | b"BRANCH_EQ"
            | b"BRANCH_NEQ" | b"BRANCH_MEMBER" => Mode::Branch,
            _ => Mode::Unknown,
        })
    }

    fn value(&mut self, length: u64) -> Read<Value> {
        let end = self.end_of(length);
        self.hold(size_of::<Value>() as u64)?;
        let mut value = Value { at: self.wire.offset(), ..Value::default() };
        while let Some((number, field)) = self.wire.next(end)? {
            match (number, field) {
                (1, Field::Bytes(length)) => value.name = self.name(length)?,
                (2, Field::Bytes(length)) => value.kind = self.kind(length, 0)?,
                (4, Field::Bytes(length)) => self.fields(length)?,
                _ => self.wire.pass(field)?,
            }
        }
        Ok(value)
    }

    fn kind(&mut self, length: u64, depth: u32) -> Read<Type> {
        let end = self.end_of(length);
        if depth == MAX_TYPES {
            return fault(
                self.wire.offset(),
                format!("types within types, more than {MAX_TYPES} deep"),
            );
        }
        let mut kind = Type::Unknown;
        while let Some((number, field)) = self.wire.next(end)? {
            match (number, field) {
                (1, Field::Bytes(length)) => kind = self.tensor_type(length)?,
                (8, Field::Bytes(length)) => {
                    self.tensor_type(length)?;
                    kind = Type::Other;
                }
                (4 | 5 | 9, Field::Bytes(length)) => {
                    let inner = if number == 5 { 2 } else { 1 };
                    let end = self.end_of(length);
                    while let Some((number, field)) = self.wire.next(end)? {
                        match field {
                            Field::Bytes(length) if number == inner => {
                                self.kind(length, depth + 1)?;
                            }
                            _ => self.wire.pass(field)?,
                        }
                    }
                    kind = Type::Other;
                }
                (7, Field::Bytes(length)) => {
                    self.fields(length)?;
                    kind = Type::Other;
                }
                _ => self.wire.pass(field)?,
            }
        }
        Ok(kind)
    }

    fn tensor_type(&mut self, length: u64) -> Read<Type> {
        let end = self.end_of(length);
        let (mut element, mut shape) = (0, None);
        while let Some((number, field)) = self.wire.next(end)? {
            match (number, field) {
                (1, Field::Varint(value)) => element = value.cast_signed(),
                (2, Field::Bytes(length)) => {
                    let end = self.end_of(length);
                    let dims: &mut Vec<_> = shape.get_or_insert_default();
                    while let Some((number, field)) = self.wire.next(end)? {
                        match (number, field) {
                            (1, Field::Bytes(length)) => {
                                self.hold(16)?;
                                dims.push(self.dimension(length)?);
                            }
                            _ => self.wire.pass(field)?,
                        }
                    }
                }
                _ => self.wire.pass(field)?,
            }
        }
        Ok(Type::Tensor { element, shape })
    }

    /// A size that is declared; zero and less stand for one that is not known.
    fn dimension(&mut self, length: u64) -> Read<Option<i64>> {
        let end = self.end_of(length);
        let mut size = None;
        while let Some((number, field)) = self.wire.next(end)? {
            match (number, field) {
                (1, Field::Varint(value)) => size = Some(value.cast_signed()).filter(|n| *n > 0),
                (2, _) => {
                    size = None;
                    self.wire.pass(field)?;
                }
                _ => self.wire.pass(field)?,
            }
        }
        Ok(size)
    }

    fn sparse(&mut self, length: u64) -> Read<Sparse> {
        let end = self.end_of(length);
        self.hold(size_of::<Sparse>() as u64)?;
        let mut sparse = Sparse { at: self.wire.offset(), ..Sparse::default() };
        while let Some((number, field)) = self.wire.next(end)? {
            match (number, field) {
                (1, Field::Bytes(length)) => sparse.values = Some(self.tensor(length)?),
                (2, Field::Bytes(length)) => sparse.indices = Some(self.tensor(length)?),
                (3, _) => read_ints(&mut self.wire, &mut self.held, field, &mut sparse.dims)?,
                _ => self.wire.pass(field)?,
            }
        }
        Ok(sparse)
    }

    fn tensor(&mut self, length: u64) -> Read<Tensor> {
        let end = self.end_of(length);
        self.hold(size_of::<Tensor>() as u64)?;
        let mut tensor = Tensor { at: self.wire.offset(), ..Tensor::default() };
        let t = &mut tensor;
        while let Some((number, field)) = self.wire.next(end)? {
            match (number, field) {
                (1, _) => read_ints(&mut self.wire, &mut self.held, field, &mut t.dims)?,
                (2, Field::Varint(value)) => t.data_type = value.cast_signed(),
                (3, Field::Bytes(length)) => {
                    t.segment = true;
                    self.fields(length)?;
                }
                (4, _) => self.small_floats(field, &mut t.floats, &mut t.small_floats)?,
                (5, _) => self.small_ints(field, &mut t.int32s, &mut t.small_ints)?,
                (6, Field::Bytes(length)) => {
                    t.strings += 1;
                    self.wire.skip(length)?;
                }
                (7, _) => self.small_ints(field, &mut t.int64s, &mut t.small_ints)?,
                (8, Field::Bytes(length)) => t.name = self.name(length)?,
                (9, Field::Bytes(length)) => {
                    t.raw = Some(length);
                    t.small_raw.clear();
                    if length <= MAX_SHAPE {
                        self.hold(length)?;
                        t.small_raw = self.wire.bytes(length)?;
                    } else {
                        self.wire.skip(length)?;
                    }
                }
                (10, _) => t.doubles += self.wire.count_fixed(field, 8)?,
                (11, _) => self.wire.ints(field, |_| {
                    t.uint64s += 1;
                    Ok(())
                })?,
                (13, Field::Bytes(length)) => self.external(length, t)?,
                (14, Field::Varint(value)) => t.external = value == 1,
                (16, Field::Bytes(length)) => self.fields(length)?,
                _ => self.wire.pass(field)?,
            }
        }
        Ok(tensor)
    }

    /// Counts the numbers, and keeps as many as a shape may have.
    fn small_ints(&mut self, field: Field, count: &mut u64, kept: &mut Vec<i64>) -> Read<()> {
        let held = &mut self.held;
        self.wire.ints(field, |value| {
            *count += 1;
            if kept.len() as u64 * 8 < MAX_SHAPE {
                *held = held.saturating_add(8);
                kept.push(value);
            }
            Ok(())
        })
    }

    /// Counts the numbers, and keeps as many as there may be scales.
    fn small_floats(&mut self, field: Field, count: &mut u64, kept: &mut Vec<f32>) -> Read<()> {
        match field {
            Field::Fixed32(bits) if (kept.len() as u64) * 4 < MAX_SHAPE => {
                self.hold(4)?;
                kept.push(f32::from_bits(bits));
                *count += 1;
            }
            Field::Bytes(length) if length <= MAX_SHAPE && length.is_multiple_of(4) => {
                self.hold(length)?;
                let bytes = self.wire.bytes(length)?;
                kept.extend(bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
                *count += length / 4;
            }
            _ => *count += self.wire.count_fixed(field, 4)?,
        }
        Ok(())
    }

    fn external(&mut self, length: u64, tensor: &mut Tensor) -> Read<()> {
        let end = self.end_of(length);
        let (mut location, mut value) = (false, None);
        while let Some((number, field)) = self.wire.next(end)? {
            match (number, field) {
                (1, Field::Bytes(length)) => {
                    location = self.wire.text(&mut self.room, length, MAX_NAME)? == "location"
                }
                (2, Field::Bytes(length)) => {
                    self.hold(length)?;
                    value = Some(self.wire.text(&mut self.room, length, MAX_NAME)?.to_owned());
                }
                _ => self.wire.pass(field)?,
            }
        }
        if location {
            tensor.location = value;
        }
        Ok(())
    }
}

/// Numbers that are kept, and counted by what they take.
fn read_ints(
    wire: &mut Wire<'_, '_>,
    held: &mut u64,
    field: Field,
    into: &mut Vec<i64>,
) -> Read<()> {
    let at = wire.offset();
    wire.ints(field, |value| {
        *held = held.saturating_add(8);
        if *held > MAX_HELD {
            return fault(at, "more numbers than any real model has");
        }
        into.push(value);
        Ok(())
    })
}
