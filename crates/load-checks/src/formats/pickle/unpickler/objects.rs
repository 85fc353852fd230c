//! Opcodes that name classes and functions and make objects.

use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::opcodes::Opcode;
use crate::formats::pickle::unpickler::values::Value;
use crate::job::Halt;

impl Machine<'_, '_, '_> {
    pub(crate) fn name_global(&mut self, opcode: Opcode) -> Result<(), Halt> {
        let value = match opcode {
            Opcode::StackGlobal => {
                let name = self.pop()?;
                let module = self.pop()?;
                self.global_of_values(module, name)?
            }
            Opcode::Inst => {
                let mark = self.marker()?;
                let args = self.gather(mark);
                let class = self.global_of_lines()?;
                self.call(class, args)?
            }
            _ => self.global_of_lines()?,
        };
        self.push(value);
        Ok(())
    }

    pub(crate) fn global_of_lines(&mut self) -> Result<Value, Halt> {
        let mut whole = self.read_line()?;
        let module = String::from_utf8(self.line.clone());
        whole &= self.read_line()?;
        let name = String::from_utf8(self.line.clone());
        match (module, name) {
            (Ok(module), Ok(name)) if whole => self.find_global(&module, &name),
            _ => self.broken("a module or name that is not UTF-8 or far too long"),
        }
    }

    pub(crate) fn make_object(&mut self, opcode: Opcode) -> Result<(), Halt> {
        let value = match opcode {
            Opcode::Obj => {
                let mark = self.marker()?;
                if mark == self.stack.len() {
                    return self.underflow();
                }
                let args = self.gather(mark + 1);
                let class = self.pop()?;
                self.call(class, args)?
            }
            Opcode::NewObjEx => {
                let kwargs = self.pop()?;
                let args = self.pop()?;
                let class = self.pop()?;
                self.new_object(class, args, Some(kwargs))?
            }
            Opcode::NewObj => {
                let args = self.pop()?;
                let class = self.pop()?;
                self.new_object(class, args, None)?
            }
            _ => {
                let args = self.pop()?;
                let callable = self.pop()?;
                self.call(callable, args)?
            }
        };
        self.push(value);
        Ok(())
    }

    pub(crate) fn persistent_id(&mut self, opcode: Opcode) -> Result<(), Halt> {
        match opcode {
            Opcode::PersId => {
                self.read_line()?;
                if self.storages.is_some() {
                    return self.broken("a persistent id that names no storage as torch does");
                }
            }
            _ => {
                let id = self.pop()?;
                if self.storages.is_some() {
                    let storage = self.storage(id)?;
                    self.push(storage);
                    return Ok(());
                }
            }
        }
        self.danger_with_remedy(
            "a persistent id, which a loader of its own resolves to anything",
            "save the model with pickle.dump alone",
        );
        self.push(Value::REFUSED);
        Ok(())
    }

    pub(crate) fn extension(&mut self, opcode: Opcode) -> Result<(), Halt> {
        match opcode {
            Opcode::Ext1 => drop(self.array::<1>()?),
            Opcode::Ext2 => drop(self.array::<2>()?),
            _ => drop(self.array::<4>()?),
        }
        self.danger_with_remedy(
            "an extension code, which hides the name of a class or function",
            "save the model without copyreg.add_extension",
        );
        self.push(Value::REFUSED);
        Ok(())
    }
}
