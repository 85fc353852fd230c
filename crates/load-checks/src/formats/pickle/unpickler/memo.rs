//! The memo: values by key, counted as the real unpickler counts them.

use crate::formats::pickle::unpickler::values::Value;

/// Keys of one page.
const PAGE: usize = 512;
type Page = [Option<Value>; PAGE];

/// Values by memo key, in pages that are allocated when a key of theirs is first written.
#[derive(Default)]
pub(crate) struct Memo {
    pages: Vec<Option<Box<Page>>>,
    made: usize,
    len: u64,
}

impl Memo {
    pub(crate) fn held(&self) -> usize {
        self.pages.capacity() * size_of::<Option<Box<Page>>>() + self.made * size_of::<Page>()
    }

    /// Keys written so far, as the real unpickler counts them for MEMOIZE.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn get(&self, key: u64) -> Option<Value> {
        let key = usize::try_from(key).ok()?;
        self.pages.get(key / PAGE)?.as_ref()?[key % PAGE]
    }

    /// Stores a value. The machine refuses keys that are far from all others.
    pub(crate) fn put(&mut self, key: u64, value: Value) {
        let Ok(key) = usize::try_from(key) else {
            return;
        };
        let number = key / PAGE;
        if number >= self.pages.len() {
            self.pages.resize_with(number + 1, || None);
        }
        let page = self.pages[number].get_or_insert_with(|| {
            self.made += 1;
            Box::new([None; PAGE])
        });
        if page[key % PAGE].replace(value).is_none() {
            self.len += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_counted_once() {
        let mut memo = Memo::default();
        for key in [0, 600_000, 0, 3] {
            memo.put(key, Value::None);
        }
        assert_eq!(memo.len(), 3);
        assert_eq!((memo.get(600_000), memo.get(600_001)), (Some(Value::None), None));
        assert_eq!(memo.get(u64::MAX), None);
    }
}
