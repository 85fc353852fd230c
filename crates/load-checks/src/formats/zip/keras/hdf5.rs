//! Weights in an HDF5 file, as Keras writes them: groups of datasets, each in one piece.
//!
//! Follows every group and every object header of the file in memory and compares each place with
//! its length. Links into other places and other files are refused, because they are followed
//! while loading. Later layouts of HDF5, which Keras does not write, are refused too. Answers the
//! shape of every dataset by its path. Knows nothing of layers.

use std::collections::{HashMap, HashSet};

use super::super::super::report::quoted;
use super::super::super::{Halt, Job};

pub(super) const MAGIC: [u8; 8] = *b"\x89HDF\r\n\x1a\n";
/// Bytes of the largest superblock that is read.
pub(super) const SUPERBLOCK: usize = 100;

/// Stands for "nowhere".
const UNDEFINED: u64 = u64::MAX;
/// A symbolic link, as an entry of a group.
const CACHED_LINK: u32 = 2;
const ENTRY: u64 = 40;
/// Objects, nodes and blocks visited between two questions whether to go on.
const POLL_EVERY: usize = 1024;
/// Dimensions HDF5 allows.
const MAX_RANK: u64 = 32;

/// Bytes of a path; Keras's have some forty. What stands deeper is not told of.
const MAX_PATH: usize = 512;

/// The shapes of datasets by their paths, for example `layers/dense/vars/0`.
pub(super) type Shapes = HashMap<String, Vec<u64>>;

/// Why a file is refused.
enum Refusal {
    /// Its loader fails.
    Fault(&'static str, u64),
    /// Its loader reads elsewhere.
    Danger(String),
    Halt(Halt),
}

type Checked<T> = Result<T, Refusal>;

fn fault<T>(what: &'static str, at: u64) -> Checked<T> {
    Err(Refusal::Fault(what, at))
}

/// Checks what the first bytes say of the whole: enough to see that a large file is cut.
pub(super) fn check_frame(job: &mut Job<'_>, head: &[u8], len: u64) -> Result<(), Halt> {
    told(job, superblock(&File { bytes: head, len }).map(drop))
}

/// Checks a whole file that is held in memory.
pub(super) fn check(job: &mut Job<'_>, bytes: &[u8]) -> Result<Shapes, Halt> {
    let file = File { bytes, len: bytes.len() as u64 };
    let walked = walk(&file, job);
    told(job, walked)
}

fn told<T>(job: &mut Job<'_>, checked: Checked<T>) -> Result<T, Halt> {
    match checked {
        Ok(done) => Ok(done),
        Err(Refusal::Fault(what, at)) => job.broken(format!("{what} at byte {at}")),
        Err(Refusal::Danger(what)) => {
            job.danger(what);
            Err(Halt::Broken)
        }
        Err(Refusal::Halt(halt)) => Err(halt),
    }
}

struct File<'a> {
    bytes: &'a [u8],
    len: u64,
}

impl<'a> File<'a> {
    fn slice(&self, at: u64, count: u64) -> Checked<&'a [u8]> {
        let range = usize::try_from(at)
            .ok()
            .zip(at.checked_add(count).and_then(|end| usize::try_from(end).ok()));
        match range.and_then(|(start, end)| self.bytes.get(start..end)) {
            Some(slice) => Ok(slice),
            None => fault("the weights point past the end of their file", at),
        }
    }

    fn array<const N: usize>(&self, at: u64) -> Checked<[u8; N]> {
        match self.slice(at, N as u64)?.first_chunk() {
            Some(array) => Ok(*array),
            None => fault("the weights point past the end of their file", at),
        }
    }

    fn u8(&self, at: u64) -> Checked<u8> {
        self.array::<1>(at).map(|[byte]| byte)
    }

    fn u16(&self, at: u64) -> Checked<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    fn u32(&self, at: u64) -> Checked<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    fn u64(&self, at: u64) -> Checked<u64> {
        self.array(at).map(u64::from_le_bytes)
    }

    fn signed(&self, at: u64, signature: &[u8; 4]) -> Checked<()> {
        if self.array::<4>(at)? == *signature {
            return Ok(());
        }
        fault("the weights point to something of another kind", at)
    }
}

/// Checks the superblock; answers where the root group's header stands.
fn superblock(file: &File<'_>) -> Checked<u64> {
    if file.array::<8>(0)? != MAGIC {
        return fault("the weights are no HDF5 file", 0);
    }
    let version = file.u8(8)?;
    if version > 1 {
        return fault("HDF5 of a later layout than Keras writes; save the model with Keras", 8);
    }
    if [file.u8(13)?, file.u8(14)?] != [8, 8] {
        return fault("HDF5 with offsets that are not of eight bytes", 13);
    }
    // Version 1 has four bytes more, before the addresses.
    let at = 24 + 4 * u64::from(version);
    if file.u64(at)? != 0 {
        return fault("HDF5 that does not begin at its first byte", at);
    }
    if file.u64(at + 16)? != file.len {
        return fault(
            "the weights are cut, or bytes follow them: their length is not the one told",
            at + 16,
        );
    }
    if file.u64(at + 24)? != UNDEFINED {
        return fault("HDF5 that is spread over several files", at + 24);
    }
    file.u64(at + 40)
}

struct Walk {
    /// Object headers still to be visited, with their paths.
    left: Vec<(u64, String)>,
    shapes: Shapes,
    /// Every place that was visited, so that a circle ends.
    seen: HashSet<u64>,
}

impl Walk {
    fn visit(&mut self, job: &Job<'_>, at: u64) -> Checked<bool> {
        if self.seen.len().is_multiple_of(POLL_EVERY) {
            job.poll().map_err(Refusal::Halt)?;
        }
        Ok(self.seen.insert(at))
    }
}

fn walk(file: &File<'_>, job: &Job<'_>) -> Checked<Shapes> {
    let root = superblock(file)?;
    let mut walk =
        Walk { left: vec![(root, String::new())], shapes: Shapes::new(), seen: HashSet::new() };
    while let Some((at, path)) = walk.left.pop() {
        if walk.visit(job, at)? {
            object(file, job, &mut walk, at, path)?;
        }
    }
    Ok(walk.shapes)
}

/// What the messages of one object header say.
#[derive(Default)]
struct Object {
    group: Option<(u64, u64)>,
    items: Option<u64>,
    dims: Vec<u64>,
    item: Option<u64>,
    /// Where the data stands, and how many bytes of it.
    data: Option<(u64, u64)>,
}

fn object(file: &File<'_>, job: &Job<'_>, walk: &mut Walk, at: u64, path: String) -> Checked<()> {
    if file.u8(at)? != 1 {
        return fault("an object of a later layout than Keras writes", at);
    }
    let mut object = Object::default();
    let mut blocks = vec![(at.saturating_add(16), u64::from(file.u32(at + 8)?))];
    let mut messages = file.u16(at + 2)?;
    while let Some((start, len)) = blocks.pop() {
        if !walk.visit(job, start)? {
            return fault("an object's header that runs in a circle", start);
        }
        let block = file.slice(start, len)?;
        let mut done = 0;
        // What is left of a block below eight bytes is padding.
        while messages > 0 && done + 8 <= block.len() as u64 {
            messages -= 1;
            let here = start + done;
            let size = u64::from(file.u16(here + 2)?);
            if done + 8 + size > len {
                return fault("a message that is longer than its header", here);
            }
            let flags = file.u8(here + 4)?;
            if let Some(block) = message(file, &mut object, here, size, flags)? {
                blocks.insert(0, block);
            }
            done += 8 + size;
        }
    }
    if let Some((tree, heap)) = object.group {
        return group(file, job, walk, (tree, heap), &path);
    }
    match object {
        Object { items: Some(items), item: Some(item), data: Some((start, len)), dims, .. } => {
            if items.checked_mul(item) != Some(len) {
                return fault("a dataset whose data is not as large as its shape", at);
            }
            // A dataset without items has no place.
            if len > 0 {
                file.slice(start, len)?;
            }
            if path.len() <= MAX_PATH {
                walk.shapes.insert(path, dims);
            }
            Ok(())
        }
        _ => fault("an object that is neither group nor dataset", at),
    }
}

/// Takes one message; answers the block in which the header goes on, if it says one.
fn message(
    file: &File<'_>,
    object: &mut Object,
    at: u64,
    size: u64,
    flags: u8,
) -> Checked<Option<(u64, u64)>> {
    const SHARED: u8 = 2;
    let body = at + 8;
    let needs = |least: u64| {
        if size < least || flags & SHARED != 0 {
            return fault("a message that Keras does not write", at);
        }
        Ok(())
    };
    match file.u16(at)? {
        0x01 => {
            let rank = u64::from(file.u8(body + 1)?);
            let dims = match file.u8(body)? {
                1 => body + 8,
                2 => body + 4,
                _ => return fault("a shape of unknown version", at),
            };
            needs(dims - body + rank * 8)?;
            if rank > MAX_RANK {
                return fault("a dataset with too many dimensions", at);
            }
            let mut items = 1_u64;
            object.dims.clear();
            for dim in 0..rank {
                let size = file.u64(dims + dim * 8)?;
                items = items.saturating_mul(size);
                object.dims.push(size);
            }
            object.items = Some(items);
        }
        0x03 => {
            needs(8)?;
            object.item = Some(u64::from(file.u32(body + 4)?));
        }
        0x07 => {
            return Err(Refusal::Danger(format!(
                "a dataset whose data stands in another file, at byte {at}; loading reads that file"
            )));
        }
        0x08 => {
            needs(4)?;
            object.data = Some(match (file.u8(body)?, file.u8(body + 1)?) {
                (3, 0) => {
                    let len = u64::from(file.u16(body + 2)?);
                    needs(4 + len)?;
                    (body + 4, len)
                }
                (3, 1) => {
                    needs(18)?;
                    (file.u64(body + 2)?, file.u64(body + 10)?)
                }
                (4.., 3) => {
                    return Err(Refusal::Danger(format!(
                        "a virtual dataset, at byte {at}; loading reads other files"
                    )));
                }
                _ => return fault("a dataset that is not stored in one piece, as Keras does", at),
            });
        }
        0x02 | 0x06 | 0x0a => {
            return Err(Refusal::Danger(format!(
                "a group, at byte {at}, of the kind that holds links into other files; Keras \
                 writes none"
            )));
        }
        0x0b => return fault("a dataset that is packed, which Keras does not do", at),
        0x10 => {
            needs(16)?;
            return Ok(Some((file.u64(body)?, file.u64(body + 8)?)));
        }
        0x11 => {
            needs(16)?;
            object.group = Some((file.u64(body)?, file.u64(body + 8)?));
        }
        0..=0x17 => {}
        _ => return fault("a message of unknown meaning", at),
    }
    Ok(None)
}

/// Goes through the tree of a group's entries.
fn group(
    file: &File<'_>,
    job: &Job<'_>,
    walk: &mut Walk,
    (tree, heap): (u64, u64),
    path: &str,
) -> Checked<()> {
    file.signed(heap, b"HEAP")?;
    let (size, names) = (file.u64(heap + 8)?, file.u64(heap + 24)?);
    let names = file.slice(names, size)?;
    let mut nodes = vec![tree];
    while let Some(at) = nodes.pop() {
        if !walk.visit(job, at)? {
            return fault("a group whose tree runs in a circle", at);
        }
        file.signed(at, b"TREE")?;
        if file.u8(at + 4)? != 0 {
            return fault("a tree that is no group's", at);
        }
        let (level, used) = (file.u8(at + 5)?, u64::from(file.u16(at + 6)?));
        for child in 0..used {
            // Keys and children take turns after the node's own head and its two neighbours.
            let child = file.u64(at + 24 + child * 16 + 8)?;
            if level == 0 {
                entries(file, job, walk, child, (names, path))?;
            } else {
                nodes.push(child);
            }
        }
    }
    Ok(())
}

fn entries(
    file: &File<'_>,
    job: &Job<'_>,
    walk: &mut Walk,
    at: u64,
    (names, path): (&[u8], &str),
) -> Checked<()> {
    if !walk.visit(job, at)? {
        return fault("two groups share their entries", at);
    }
    file.signed(at, b"SNOD")?;
    for entry in 0..u64::from(file.u16(at + 6)?) {
        let here = at + 8 + entry * ENTRY;
        let name = usize::try_from(file.u64(here)?).ok().and_then(|start| names.get(start..));
        let Some(end) = name.and_then(|name| name.iter().position(|b| *b == 0)) else {
            return fault("a name that does not stand among its group's", here);
        };
        let name = String::from_utf8_lossy(name.and_then(|n| n.get(..end)).unwrap_or_default());
        if file.u32(here + 16)? == CACHED_LINK {
            return Err(Refusal::Danger(format!(
                "{} is a link to another place; Keras refuses it, and older versions follow it",
                quoted(&name)
            )));
        }
        let mut below = path.to_owned();
        if below.len() <= MAX_PATH {
            let slash = if path.is_empty() { "" } else { "/" };
            below.push_str(slash);
            below.push_str(name.get(..MAX_PATH).unwrap_or(&name));
        }
        walk.left.push((file.u64(here + 8)?, below));
    }
    Ok(())
}
