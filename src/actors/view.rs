//! What reads see between two changes of the catalog: whole answers, by the target of their request.
//!
//! An answer is kept for as long as the catalog has the same marker, so that a commit of any process ends all of them at
//! once, and an answer never mixes two states. It is given again only while the sidecars that it was made from are still
//! the verified files.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::watch;

pub use crate::artifacts::Seal;
use crate::{catalog::Marker, limits};

/// An answer, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The body.
    pub body: Bytes,
    /// The value of the `ETag` header.
    pub tag: Bytes,
    /// The value of the `Link` header.
    pub link: Option<Bytes>,
    /// The model type that the answer is about, for the log.
    pub model_type: Option<String>,
    /// The version that the answer is about, for the log.
    pub version: Option<String>,
    /// The id of that version, for the log.
    pub model_id: Option<String>,
}

impl Answer {
    fn size(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let link = self.link.as_ref().map_or(0, Bytes::len);
        size_of::<Self>()
            + self.body.len()
            + self.tag.len()
            + link
            + text(&self.model_type)
            + text(&self.version)
            + text(&self.model_id)
    }
}

/// What the view knows of an answer.
#[derive(Debug)]
pub enum Recalled {
    /// The answer.
    Known(Arc<Answer>),
    /// Another request is making it. Ask again when the sender is gone.
    Wait(watch::Receiver<()>),
    /// It must be made, and can then be kept.
    Make(Making),
    /// It must be made, and cannot be kept.
    Unknown,
}

/// The right to make an answer, which others wait for while it exists.
#[derive(Debug)]
pub struct Making {
    target: String,
    marker: Marker,
    _waiting: watch::Sender<()>,
}

struct Kept {
    answer: Arc<Answer>,
    seals: Box<[Seal]>,
    checked: Instant,
    size: usize,
}

impl Kept {
    /// Whether its sidecars are still the verified files. An answer about many versions, which marks the damaged ones and
    /// is given all the same, is checked at intervals.
    fn is_whole(&mut self, whole: impl Fn(&Seal) -> bool) -> bool {
        let many = self.seals.len() > 1;
        if many && self.checked.elapsed() < limits::LISTED_SIDECARS_ROUND {
            return true;
        }
        if many {
            self.checked = Instant::now();
        }
        self.seals.iter().all(whole)
    }
}

/// Answers at one state of the catalog. Two generations of half the capacity each: a full younger one becomes the
/// older, and an answer of the older that is asked for moves to the younger.
pub struct View {
    half: usize,
    marker: Option<Marker>,
    young: HashMap<String, Kept>,
    young_size: usize,
    old: HashMap<String, Kept>,
    making: HashMap<String, watch::Receiver<()>>,
}

impl View {
    /// An empty view that keeps answers of this size together, in bytes.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            half: capacity / 2,
            marker: None,
            young: HashMap::new(),
            young_size: 0,
            old: HashMap::new(),
            making: HashMap::new(),
        }
    }

    fn forget(&mut self) {
        self.young.clear();
        self.old.clear();
        self.making.clear();
        self.young_size = 0;
    }

    /// The answer to a request for this target. `marker` identifies the present state of the catalog, and `whole` says
    /// whether a sidecar is still the verified file.
    pub fn recall(
        &mut self,
        target: String,
        marker: Option<Marker>,
        whole: impl Fn(&Seal) -> bool,
    ) -> Recalled {
        if self.marker != marker {
            self.forget();
            self.marker = marker;
        }
        let Some(marker) = marker else { return Recalled::Unknown };
        if let Some(kept) = self.old.remove(&target) {
            self.put(target.clone(), kept);
        }
        if let Some(kept) = self.young.get_mut(&target) {
            if kept.is_whole(whole) {
                return Recalled::Known(kept.answer.clone());
            }
            self.young_size -= kept.size;
            self.young.remove(&target);
        }
        if target.len() > limits::VIEW_TARGET {
            return Recalled::Unknown;
        }
        if let Some(waiting) = self.making.get(&target)
            && waiting.has_changed().is_ok()
        {
            return Recalled::Wait(waiting.clone());
        }
        if self.making.len() >= limits::VIEW_ANSWERS_IN_THE_MAKING {
            self.making.retain(|_, waiting| waiting.has_changed().is_ok());
        }
        if self.making.len() >= limits::VIEW_ANSWERS_IN_THE_MAKING {
            return Recalled::Unknown;
        }
        let (sender, receiver) = watch::channel(());
        self.making.insert(target.clone(), receiver);
        Recalled::Make(Making { target, marker, _waiting: sender })
    }

    /// Keeps an answer that was made, if the catalog is still in the same state.
    pub fn keep(&mut self, making: Making, answer: Arc<Answer>, seals: Vec<Seal>) {
        if self.marker != Some(making.marker) {
            return;
        }
        self.making.remove(&making.target);
        let seals = seals.into_boxed_slice();
        let sealed: usize = seals.iter().map(Seal::size).sum();
        let size = size_of::<Kept>() + making.target.len() + answer.size() + sealed;
        self.put(making.target, Kept { answer, seals, checked: Instant::now(), size });
    }

    fn put(&mut self, target: String, kept: Kept) {
        if kept.size > self.half {
            return;
        }
        if self.young_size + kept.size > self.half {
            self.old = std::mem::take(&mut self.young);
            self.young_size = 0;
        }
        self.young_size += kept.size;
        if let Some(before) = self.young.insert(target, kept) {
            self.young_size -= before.size;
        }
    }
}

/// Waits until an answer that another request is making is made, or is not going to be.
pub async fn made(mut waiting: watch::Receiver<()>, time: Duration) {
    // Its end is an error of the receiver, and a time-out makes the request ask for itself.
    drop(tokio::time::timeout(time, waiting.changed()).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker(number: u64) -> Option<Marker> {
        Some(Marker::for_tests(number))
    }

    fn answer(body: &str) -> Arc<Answer> {
        Arc::new(Answer {
            body: Bytes::copy_from_slice(body.as_bytes()),
            tag: Bytes::from_static(b"\"tag\""),
            link: None,
            model_type: None,
            version: None,
            model_id: None,
        })
    }

    fn making(view: &mut View, target: &str, at: Option<Marker>) -> Option<Making> {
        match view.recall(target.to_owned(), at, |_| true) {
            Recalled::Make(making) => Some(making),
            _ => None,
        }
    }

    fn known(view: &mut View, target: &str, at: Option<Marker>) -> Option<Arc<Answer>> {
        match view.recall(target.to_owned(), at, |_| true) {
            Recalled::Known(answer) => Some(answer),
            _ => None,
        }
    }

    #[test]
    fn an_answer_is_kept_until_the_catalog_changes() {
        let mut view = View::new(100_000);
        let first = making(&mut view, "/a", marker(1)).unwrap();
        view.keep(first, answer("one"), Vec::new());
        assert_eq!(known(&mut view, "/a", marker(1)), Some(answer("one")));
        let second = making(&mut view, "/a", marker(2)).unwrap();
        view.keep(second, answer("two"), Vec::new());
        assert_eq!(known(&mut view, "/a", marker(2)), Some(answer("two")));
        assert!(known(&mut view, "/a", None).is_none(), "the state is not known");
    }

    #[test]
    fn an_answer_made_at_an_older_state_is_not_kept() {
        let mut view = View::new(100_000);
        let slow = making(&mut view, "/a", marker(1)).unwrap();
        let newer = making(&mut view, "/a", marker(2)).unwrap();
        view.keep(slow, answer("old"), Vec::new());
        assert!(known(&mut view, "/a", marker(2)).is_none());
        view.keep(newer, answer("new"), Vec::new());
        assert_eq!(known(&mut view, "/a", marker(2)), Some(answer("new")));
    }

    #[test]
    fn one_request_makes_an_answer_and_the_others_wait_until_it_is_made_or_given_up() {
        let mut view = View::new(100_000);
        let first = making(&mut view, "/a", marker(1)).unwrap();
        let Recalled::Wait(waiting) = view.recall("/a".to_owned(), marker(1), |_| true) else {
            panic!("a second one makes it too")
        };
        assert!(making(&mut view, "/b", marker(1)).is_some());
        drop(first);
        assert!(waiting.has_changed().is_err());
        assert!(making(&mut view, "/a", marker(1)).is_some());
    }

    #[test]
    fn the_memory_is_bounded_and_keeps_what_is_asked_for() {
        let mut view = View::new(40_000);
        let popular = making(&mut view, "/popular", marker(1)).unwrap();
        view.keep(popular, answer("popular"), Vec::new());
        for number in 0..1000 {
            let target = format!("/{number}");
            let making = making(&mut view, &target, marker(1)).unwrap();
            view.keep(making, answer(&"x".repeat(1000)), Vec::new());
            assert!(known(&mut view, "/popular", marker(1)).is_some(), "{number}");
            let size: usize = view.young.values().chain(view.old.values()).map(|k| k.size).sum();
            assert!(size <= 40_000, "{size}");
        }
        let large = making(&mut view, "/large", marker(1)).unwrap();
        view.keep(large, answer(&"x".repeat(30_000)), Vec::new());
        assert!(known(&mut view, "/large", marker(1)).is_none());
    }
}
