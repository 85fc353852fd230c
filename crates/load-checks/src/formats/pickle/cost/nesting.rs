//! Arrays within arrays, which NumPy frees within one another.

use crate::formats::pickle::cost::hashing::Weight;
use crate::formats::pickle::libraries::numpy;
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::Value;
use crate::job::Halt;

/// Arrays within arrays. Each takes some 2 kB of the stack when it is freed, and every fifty objects that hold others
/// begin anew, so that no more than 50 times as many are on it.
const MAX_ARRAYS: u16 = 32;

impl Machine<'_, '_, '_> {
    /// Counts how deep arrays nest in an object that is given a state.
    pub(crate) fn count_arrays(&mut self, instance: u32, state: Value) -> Result<(), Halt> {
        let Weight { arrays: within, buffers, .. } = self.arena.weight(state);
        let array = numpy::is_empty_array(self.arena.grant_of_instance(instance).make);
        let arrays = within.saturating_add(u16::from(array));
        if arrays > MAX_ARRAYS {
            self.danger("arrays nested so deep that freeing them can crash the loader");
            return Err(Halt::Broken);
        }
        let weight = &mut self.arena.instances[instance as usize].weight;
        weight.arrays = weight.arrays.max(arrays);
        weight.buffers |= buffers;
        Ok(())
    }
}
