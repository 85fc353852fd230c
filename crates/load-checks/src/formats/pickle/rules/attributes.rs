//! `getattr`: the attributes that a pickle may read.
//!
//! `getattr` reaches anything, so only a few attributes of exact classes are allowed. A method of an object is allowed
//! only before the object has a state, so that it is the class's own method.

use crate::formats::pickle::libraries::standard;
use crate::formats::pickle::rules::grants::NAMED;
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::Value;

impl Machine<'_, '_, '_> {
    /// `getattr(zoneinfo.ZoneInfo, "_unpickle")` is how Python itself pickles a time zone, and so
    /// every pandas 3 frame with one.
    pub(crate) fn call_getter(&mut self, args: Value) -> Value {
        let items = match args {
            Value::Tuple(id) => self.arena.items(id).map(<[Value]>::to_vec),
            _ => None,
        };
        let got = match items.as_deref() {
            Some([Value::Global(class), Value::Name(name)]) => {
                let name = String::from_utf8_lossy(self.arena.name(*name)).into_owned();
                let note = self.arena.global_note(*class);
                let (module, class) = (note.module.clone(), note.name.clone());
                self.class_attribute(&module, &class, &name)
            }
            Some([Value::Instance(object), Value::Name(name)]) => {
                let name = String::from_utf8_lossy(self.arena.name(*name)).into_owned();
                self.bound_method(*object, &name)
            }
            _ => None,
        };
        got.unwrap_or_else(|| {
            let getter = self.refuse_global("builtins", "getattr", false);
            self.call_refused(getter, args)
        })
    }

    fn class_attribute(&mut self, module: &str, class: &str, name: &str) -> Option<Value> {
        let grant = standard::attribute(module, class, name)?;
        Some(self.arena.global(module, &format!("{class}.{name}"), grant))
    }

    fn bound_method(&mut self, object: u32, name: &str) -> Option<Value> {
        let object = self.arena.instances[object as usize];
        let class = self.arena.global_note(object.global);
        if object.built || !(class.library.method)(class, name) {
            return None;
        }
        let (module, class) = (class.module.clone(), class.name.clone());
        let method = self.arena.global(&module, &format!("{class}.{name}"), NAMED);
        let Value::Global(method) = method else {
            return None;
        };
        let bound = self.arena.instance(method);
        if let Value::Instance(id) = bound {
            // It is no dtype, and must not count as one of plain numbers.
            self.arena.instances[id as usize].object_dtype = true;
        }
        Some(bound)
    }

    /// A getter must be called where it is named: kept in a value, it could be called later.
    pub(crate) fn refuse_kept_getter(&mut self, value: Value) {
        if value == Value::Getter {
            self.refuse_global("builtins", "getattr", false);
        }
    }
}
