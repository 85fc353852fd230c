//! Storages: runs of numbers of one kind, which stand outside the pickle and are named by persistent ids.

use std::collections::HashMap;

use super::tensors::Made;
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::Value;
use crate::job::Halt;

/// What a storage costs in memory besides its key.
const STORAGE_COST: usize = 160;

/// Where a storage can have been, besides the processor's own memory.
const DEVICES: [&str; 8] = ["cuda", "hpu", "ipu", "mps", "mtia", "npu", "xla", "xpu"];

/// A storage that a pickle names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Storage {
    /// Its name among the storages.
    pub(crate) key: String,
    /// Bytes of one item.
    pub(crate) item: u64,
    /// Items.
    pub(crate) count: u64,
}

impl Storage {
    /// Bytes of all items; `None` if no file could hold them.
    pub(crate) fn bytes(&self) -> Option<u64> {
        self.item.checked_mul(self.count)
    }
}

/// The storages named so far.
#[derive(Debug, Default)]
pub(crate) struct Storages {
    pub(super) named: Vec<Storage>,
    by_key: HashMap<String, u32>,
    /// A sixth part of the id may say that the storage is a view; it must be `None`.
    legacy: bool,
    elsewhere: bool,
    /// The results of torch's functions, by their instance.
    pub(super) made: HashMap<u32, Made>,
    /// The last result.
    pub(super) last: Option<Made>,
}

impl Storages {
    /// For pickles of torch before 1.6.
    pub(crate) fn legacy() -> Self {
        Self { legacy: true, ..Self::default() }
    }

    pub(crate) fn held(&self) -> usize {
        (self.named.len() + self.made.capacity()) * STORAGE_COST
    }

    /// Whether a storage was on a device that is not the processor.
    pub(crate) fn elsewhere(&self) -> bool {
        self.elsewhere
    }

    pub(crate) fn into_named(self) -> Vec<Storage> {
        self.named
    }
}

impl Machine<'_, '_, '_> {
    /// What a persistent id of a torch pickle stands for; `None` if it is no storage's.
    pub(crate) fn storage(&mut self, id: Value) -> Result<Value, Halt> {
        let items = match id {
            Value::Tuple(id) => self.arena.items(id).map(<[Value]>::to_vec),
            _ => None,
        };
        if items.as_ref().is_some_and(|items| items.iter().any(|item| item.is_refused())) {
            return Ok(Value::REFUSED);
        }
        if let Some(class) = items.as_ref().and_then(|items| self.module_of_id(items)) {
            return Ok(class);
        }
        let Some(storage) = items.and_then(|items| self.storage_of(&items)) else {
            return self.broken("a persistent id that names no storage as torch does");
        };
        let Some(storages) = &mut self.storages else {
            return Ok(Value::REFUSED);
        };
        if let Some(known) = storages.by_key.get(&storage.key) {
            if storages.named[*known as usize] == storage {
                return Ok(Value::Storage(*known));
            }
            return self.broken("one storage is named with two sizes or kinds");
        }
        let id = u32::try_from(storages.named.len()).unwrap_or(u32::MAX);
        storages.by_key.insert(storage.key.clone(), id);
        storages.named.push(storage);
        Ok(Value::Storage(id))
    }

    /// `('module', class, file, source)`: the class of a layer, which the old format names so. torch
    /// takes the class and compares the source.
    fn module_of_id(&self, items: &[Value]) -> Option<Value> {
        let legacy = self.storages.as_ref().is_some_and(|storages| storages.legacy);
        match items {
            [
                tag,
                class @ Value::Global(_),
                Value::None | Value::Name(_) | Value::Text(_) | Value::LongText(_),
                Value::None | Value::Name(_) | Value::Text(_) | Value::LongText(_),
            ] if legacy && self.arena.is_name(*tag, "module") => Some(*class),
            _ => None,
        }
    }

    /// `('storage', torch.FloatStorage, '0', 'cpu', 12)`
    fn storage_of(&mut self, items: &[Value]) -> Option<Storage> {
        let legacy = self.storages.as_ref().is_some_and(|storages| storages.legacy);
        let (tag, kind, key, location, count) = match items {
            [tag, Value::Global(kind), Value::Name(key), location, Value::Int(count)]
                if !legacy =>
            {
                (tag, kind, key, location, count)
            }
            [
                tag,
                Value::Global(kind),
                Value::Name(key),
                location,
                Value::Int(count),
                Value::None,
            ] if legacy => (tag, kind, key, location, count),
            _ => return None,
        };
        let device = match location {
            Value::Name(name) => self.arena.name(*name),
            // `cuda:0` is no name, so its text is not kept.
            Value::Text(_) => b"cuda",
            _ => return None,
        };
        let elsewhere = device != b"cpu" && device != b"meta";
        if elsewhere && !DEVICES.iter().any(|known| known.as_bytes() == device) {
            return None;
        }
        let kind = self.arena.global_note(*kind);
        let item = kind.module.starts_with("torch").then(|| item_of_storage(&kind.name))??;
        let storage = Storage {
            key: String::from_utf8(self.arena.name(*key).to_vec()).ok()?,
            item,
            count: u64::try_from(*count).ok()?,
        };
        storage.bytes()?;
        if let Some(storages) = &mut self.storages {
            storages.elsewhere |= elsewhere;
        }
        self.arena.is_name(*tag, "storage").then_some(storage)
    }
}

fn item_of_storage(name: &str) -> Option<u64> {
    Some(match name {
        "BoolStorage" | "ByteStorage" | "CharStorage" | "QInt8Storage" | "QUInt8Storage"
        | "QUInt2x4Storage" | "QUInt4x2Storage" | "UntypedStorage" => 1,
        "BFloat16Storage" | "HalfStorage" | "ShortStorage" => 2,
        "FloatStorage" | "IntStorage" | "QInt32Storage" => 4,
        "ComplexFloatStorage" | "DoubleStorage" | "LongStorage" => 8,
        "ComplexDoubleStorage" => 16,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_storage_is_named_before_the_pickle_names_one() {
        assert!(Storages::legacy().into_named().is_empty());
    }
}
