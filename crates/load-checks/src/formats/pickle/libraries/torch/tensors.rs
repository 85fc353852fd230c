//! Tensors: the functions that rebuild one from a storage, a shape and strides.
//!
//! Each tensor must stay within its storage, since torch reads the storage where the shape and the strides say.

use crate::formats::pickle::rules::grants::{Make, Rule};
use crate::formats::pickle::unpickler::arena::Arena;
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::Value;
use crate::job::Halt;

/// The arguments of the functions that rebuild tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rebuild {
    /// `(storage, offset, size, stride)`, and since 0.4 `(..., requires_grad, hooks, metadata?)`
    Tensor,
    /// The same with a dtype, over a storage of bytes.
    TensorOfDtype,
    /// `(storage, offset, size, stride, quantizer, requires_grad, hooks)`
    Quantized,
    /// `(dtype, size, stride, requires_grad)`, without numbers
    Meta,
    /// `(tensor, requires_grad, hooks)`, and `(..., state)`
    Parameter,
    /// `(function, type, arguments, state)`: one of the above, with attributes
    Typed,
    /// `torch.Size((2, 3))`
    Size,
    /// `('torch.sparse_coo')`
    Layout,
    /// `(layout, (indices, values, size, ...))`, over tensors made before
    Sparse,
}

/// The result of such a function, as far as sparse tensors need it.
#[derive(Debug)]
pub(crate) enum Made {
    /// A tensor or a size, of these lengths.
    Lengths(Vec<u64>),
    Layout(Layout),
}

/// How a sparse tensor keeps where its values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    Coordinates,
    /// By the dimension of this number, and whether in blocks.
    Compressed(usize, bool),
}

impl Machine<'_, '_, '_> {
    /// The result of a function of torch; `None` if torch never writes such a call.
    pub(crate) fn rebuilt(
        &mut self,
        what: Rebuild,
        global: u32,
        args: &[Value],
    ) -> Result<Option<Value>, Halt> {
        if !self.rebuild(what, args)? {
            return Ok(None);
        }
        let answer = self.arena.instance(global);
        if let (Value::Instance(id), Some(storages)) = (answer, &mut self.storages)
            && let Some(made) = storages.last.take()
        {
            storages.made.insert(id, made);
        }
        Ok(Some(answer))
    }

    fn note_made(&mut self, made: Made) {
        if let Some(storages) = &mut self.storages {
            storages.last = Some(made);
        }
    }

    /// The lengths of a tensor or a size that was made before.
    fn lengths_of(&self, value: &Value) -> Option<&[u64]> {
        match (value, self.storages.as_ref()) {
            (Value::Instance(id), Some(storages)) => match storages.made.get(id)? {
                Made::Lengths(lengths) => Some(lengths),
                Made::Layout(_) => None,
            },
            _ => None,
        }
    }

    /// Whether the parts of a sparse tensor fit together. Where its values are is read when it is used.
    fn is_sparse(&self, layout: u32, parts: &[Value]) -> bool {
        let layout = match self.storages.as_ref().and_then(|storages| storages.made.get(&layout)) {
            Some(Made::Layout(layout)) => *layout,
            _ => return false,
        };
        match (layout, parts) {
            (Layout::Coordinates, [indices, values, size, rest @ ..]) => {
                let (Some([dimensions, count]), Some([values, dense @ ..]), Some(size)) =
                    (self.lengths_of(indices), self.lengths_of(values), self.lengths_of(size))
                else {
                    return false;
                };
                let sparse = usize::try_from(*dimensions).unwrap_or(usize::MAX);
                count == values
                    && size.get(sparse..).is_some_and(|rest| rest == dense)
                    && matches!(rest, [] | [Value::Bool(_) | Value::None])
            }
            (Layout::Compressed(dimension, blocks), [compressed, plain, values, size]) => {
                let (Some([ends]), Some([count]), Some([held, block @ ..]), Some(size)) = (
                    self.lengths_of(compressed),
                    self.lengths_of(plain),
                    self.lengths_of(values),
                    self.lengths_of(size),
                ) else {
                    return false;
                };
                let step = match (blocks, block) {
                    (false, []) => 1,
                    (true, [_, _]) => block[dimension],
                    _ => return false,
                };
                let lines = match (size, block) {
                    ([rows, columns], [high, wide])
                        if !rows.is_multiple_of(*high) || !columns.is_multiple_of(*wide) =>
                    {
                        None
                    }
                    ([_, _], _) => size[dimension].checked_div(step),
                    _ => None,
                };
                count == held && lines.and_then(|lines| lines.checked_add(1)) == Some(*ends)
            }
            _ => false,
        }
    }

    /// Whether a function of torch is called as torch writes it.
    fn rebuild(&mut self, what: Rebuild, args: &[Value]) -> Result<bool, Halt> {
        Ok(match (what, args) {
            (Rebuild::Tensor, [storage, offset, size, stride]) => {
                self.tensor(*storage, None, *offset, *size, *stride)?
            }
            (
                Rebuild::Tensor,
                [storage, offset, size, stride, Value::Bool(_), hooks, rest @ ..],
            ) => {
                is_hooks(*hooks)
                    && is_metadata(rest)
                    && self.tensor(*storage, None, *offset, *size, *stride)?
            }
            (
                Rebuild::TensorOfDtype,
                [
                    storage,
                    offset,
                    size,
                    stride,
                    Value::Bool(_),
                    hooks,
                    Value::Global(dtype),
                    rest @ ..,
                ],
            ) => {
                let Some(item) = item_of_dtype(&self.arena.global_note(*dtype).name) else {
                    return Ok(false);
                };
                is_hooks(*hooks)
                    && is_metadata(rest)
                    && self.tensor(*storage, Some(item), *offset, *size, *stride)?
            }
            (
                Rebuild::Quantized,
                [storage, offset, size, stride, Value::Tuple(quantizer), Value::Bool(_), hooks],
            ) => {
                let plain = |value: &Value| {
                    matches!(
                        value,
                        Value::Global(_) | Value::Float(_) | Value::Int(_) | Value::Instance(_)
                    )
                };
                let quantizer = self.arena.items(*quantizer).unwrap_or_default();
                !quantizer.is_empty()
                    && quantizer.iter().all(plain)
                    && is_hooks(*hooks)
                    && self.tensor(*storage, None, *offset, *size, *stride)?
            }
            (Rebuild::Meta, [Value::Global(_), size, stride, Value::Bool(_)]) => {
                lengths(&self.arena, *size).is_some() && lengths(&self.arena, *stride).is_some()
            }
            (Rebuild::Parameter, [Value::Instance(data), Value::Bool(_), hooks, rest @ ..]) => {
                let global = self.arena.instances[*data as usize].global;
                let made = self.arena.global_note(global).grant.make;
                let state = match rest {
                    [] => true,
                    [state] => self.is_plain_state(*state),
                    _ => false,
                };
                matches!(made, Make::Ruled(Rule::Torch(_))) && is_hooks(*hooks) && state
            }
            (
                Rebuild::Typed,
                [Value::Global(function), Value::Global(class), Value::Tuple(args), state],
            ) => {
                let class = &self.arena.global_note(*class).name;
                let known = matches!(class.as_str(), "Tensor" | "Parameter");
                let args = self.arena.items(*args).map(<[Value]>::to_vec);
                match (self.arena.global_note(*function).grant.make, args) {
                    (Make::Ruled(Rule::Torch(Rebuild::Typed)), _) => false,
                    (Make::Ruled(Rule::Torch(inner)), Some(args)) => {
                        known && self.is_plain_state(*state) && self.rebuild(inner, &args)?
                    }
                    _ => false,
                }
            }
            (Rebuild::Size, [size]) => match lengths(&self.arena, *size) {
                Some(size) => {
                    self.note_made(Made::Lengths(size));
                    true
                }
                None => false,
            },
            (Rebuild::Layout, [Value::Name(name)]) => {
                let layout = layout(self.arena.name(*name));
                if let Some(Some(layout)) = layout {
                    self.note_made(Made::Layout(layout));
                }
                layout.is_some()
            }
            (Rebuild::Sparse, [Value::Instance(layout), Value::Tuple(parts)]) => {
                self.arena.items(*parts).is_some_and(|parts| self.is_sparse(*layout, parts))
            }
            _ => false,
        })
    }

    /// Lays a shape over a storage, and fails as torch does where it is too short.
    fn tensor(
        &mut self,
        storage: Value,
        item: Option<u64>,
        offset: Value,
        size: Value,
        stride: Value,
    ) -> Result<bool, Halt> {
        let storages = self.storages.as_ref().map(|storages| storages.named.as_slice());
        let (Value::Storage(id), Some(storages)) = (storage, storages) else {
            return Ok(false);
        };
        let storage = &storages[id as usize];
        let (Value::Int(offset), Some(size), Some(stride)) =
            (offset, lengths(&self.arena, size), lengths(&self.arena, stride))
        else {
            return Ok(false);
        };
        let item = item.unwrap_or(storage.item);
        let held = storage.bytes().unwrap_or(0) / item;
        let end = u64::try_from(offset).ok().and_then(|offset| extent(offset, &size, &stride));
        if end.is_none_or(|end| end > held) {
            let key = crate::report::quoted(&storage.key);
            return self.broken(&format!(
                "a tensor reaches past its storage {key}, which holds {held} items"
            ));
        }
        self.note_made(Made::Lengths(size));
        Ok(true)
    }
}

/// What a layout of torch is: `None` if there is none of this name, and `Some(None)` if it is not sparse.
fn layout(name: &[u8]) -> Option<Option<Layout>> {
    Some(match name {
        b"torch.strided" | b"torch.jagged" => None,
        b"torch.sparse_coo" => Some(Layout::Coordinates),
        b"torch.sparse_csr" => Some(Layout::Compressed(0, false)),
        b"torch.sparse_csc" => Some(Layout::Compressed(1, false)),
        b"torch.sparse_bsr" => Some(Layout::Compressed(0, true)),
        b"torch.sparse_bsc" => Some(Layout::Compressed(1, true)),
        _ => return None,
    })
}

/// The numbers of a tuple of lengths, none of them negative.
fn lengths(arena: &Arena, tuple: Value) -> Option<Vec<u64>> {
    let Value::Tuple(id) = tuple else {
        return None;
    };
    let length = |value: &Value| match value {
        Value::Int(length) => u64::try_from(*length).ok(),
        _ => None,
    };
    arena.items(id)?.iter().map(length).collect()
}

/// Items of the storage up to the last one a tensor touches; `None` if that cannot be counted, or
/// there are not as many strides as lengths.
fn extent(offset: u64, size: &[u64], stride: &[u64]) -> Option<u64> {
    if size.len() != stride.len() {
        return None;
    }
    let items = size.iter().try_fold(1_u64, |items, length| items.checked_mul(*length))?;
    if items == 0 {
        return Some(0);
    }
    let last = size.iter().zip(stride).try_fold(offset, |last, (length, step)| {
        last.checked_add((length - 1).checked_mul(*step)?)
    })?;
    last.checked_add(1)
}

/// Hooks are never saved; an empty `OrderedDict` stands in their place.
fn is_hooks(value: Value) -> bool {
    matches!(value, Value::Instance(_) | Value::None)
}

fn is_metadata(rest: &[Value]) -> bool {
    matches!(rest, [] | [Value::None | Value::Dict(_)])
}

fn item_of_dtype(name: &str) -> Option<u64> {
    Some(match name {
        "bool" | "int8" | "uint8" | "float8_e4m3fn" | "float8_e4m3fnuz" | "float8_e5m2"
        | "float8_e5m2fnuz" | "float8_e8m0fnu" | "float4_e2m1fn_x2" | "int1" | "int2" | "int3"
        | "int4" | "int5" | "int6" | "int7" | "uint1" | "uint2" | "uint3" | "uint4" | "uint5"
        | "uint6" | "uint7" | "bits8" | "quint8" | "qint8" => 1,
        "bfloat16" | "float16" | "int16" | "uint16" => 2,
        "float32" | "int32" | "uint32" | "complex32" => 4,
        "float64" | "int64" | "uint64" | "complex64" => 8,
        "complex128" => 16,
        _ => return None,
    })
}

/// Whether `torch.load` takes a global without being told to trust the file.
pub(crate) fn is_weight(module: &str, name: &str) -> bool {
    match module {
        "torch"
        | "torch._utils"
        | "torch._tensor"
        | "torch.storage"
        | "torch.cuda"
        | "torch.nn.parameter"
        | "torch.serialization" => true,
        "collections" => matches!(name, "OrderedDict" | "Counter"),
        "builtins" => matches!(name, "set" | "bytearray" | "complex"),
        "_codecs" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extent_of_a_tensor_is_counted_without_overflow() {
        assert_eq!(extent(0, &[2, 3], &[3, 1]), Some(6));
        assert_eq!(extent(4, &[], &[]), Some(5));
        assert_eq!(extent(9, &[0, 7], &[7, 1]), Some(0));
        assert_eq!(extent(0, &[5], &[0]), Some(1));
        assert_eq!(extent(0, &[2], &[]), None);
        assert_eq!(extent(u64::MAX, &[2], &[1]), None);
        assert_eq!(extent(0, &[u64::MAX, 2], &[0, 0]), None);
    }
}
