//! What can be read at a place: the names written so far in a graph and in the graphs around it.
//!
//! Names are numbered in the order they stand in the file, so that a table by their numbers is walked along and not
//! jumped about in, as a set would be.

use super::model::Name;

/// Graphs and functions that are being checked, each within the one before.
#[derive(Default)]
pub(super) struct Scopes {
    /// Of each name a bit for every scope in which it is written; there are fewer scopes than bits.
    written: Vec<u64>,
    open: Vec<Vec<Name>>,
}

impl Scopes {
    pub(super) fn open(&mut self) {
        self.open.push(Vec::new());
    }

    pub(super) fn close(&mut self) {
        let here = self.here();
        for name in self.open.pop().unwrap_or_default() {
            if let Some(written) = self.written.get_mut(name as usize) {
                *written &= !here;
            }
        }
    }

    fn here(&self) -> u64 {
        1_u64.checked_shl(self.open.len() as u32).unwrap_or(1)
    }

    /// Writes a name; false where it was written in this scope before.
    pub(super) fn write(&mut self, name: Name) -> bool {
        let (here, place) = (self.here(), name as usize);
        if place >= self.written.len() {
            self.written.resize(place + 1, 0);
        }
        if self.written[place] & here != 0 {
            return false;
        }
        self.written[place] |= here;
        if let Some(names) = self.open.last_mut() {
            names.push(name);
        }
        true
    }

    /// Whether a name is written here or around.
    pub(super) fn has(&self, name: Name) -> bool {
        self.written.get(name as usize).is_some_and(|written| *written != 0)
    }

    /// Whether a name is written in the innermost scope.
    pub(super) fn has_here(&self, name: Name) -> bool {
        self.written.get(name as usize).is_some_and(|written| written & self.here() != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_there_until_its_scope_closes() {
        let mut scopes = Scopes::default();
        scopes.open();
        assert!(scopes.write(7));
        scopes.open();
        assert!(scopes.has(7) && !scopes.has_here(7));
        assert!(scopes.write(7) && !scopes.write(7));
        assert!(scopes.write(9));
        scopes.close();
        assert!(scopes.has_here(7) && !scopes.has(9));
        scopes.close();
        assert!(!scopes.has(7));
    }
}
