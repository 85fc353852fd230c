//! What the worst files of 10 MB that are known cost to be checked, format by format.
//!
//! `cargo bench --bench worst_cases [-- PART]` makes each file, has it checked in a process of its own, and prints the
//! processor time and the most memory that took, with the verdict; `PART` leaves out the cases whose names do not hold
//! it. A measurement alone: nothing is asserted, and a slow machine is no failure. `bzip2`, `xz` and `lz4` pack.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::allow_attributes,
    reason = "a measurement that cannot go on should say so and stop"
)]

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use load_checks::TrustedGlobals;

#[path = "worst_cases/archives.rs"]
mod archives;
#[path = "worst_cases/graphs.rs"]
mod graphs;
#[path = "worst_cases/pickles.rs"]
mod pickles;
#[path = "worst_cases/texts.rs"]
mod texts;

/// Bytes of each file, about.
const SIZE: usize = 10_000_000;
/// In the environment of a process that checks one file.
const CHECKED: &str = "WORST_CASE";

type Cases = Vec<(String, Box<dyn Fn() -> Vec<u8>>)>;
type Content = (&'static str, fn() -> Vec<u8>);

fn main() {
    if let Some(path) = std::env::var_os(CHECKED) {
        return check(Path::new(&path));
    }
    let part = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("worst");
    println!("{:<38} {:>8} {:>8} {:>7}  verdict", "case", "MB", "CPU s", "MiB");
    let all = [pickles::cases(), packed(), archives::cases(), graphs::cases(), texts::cases()];
    for (name, make) in all.into_iter().flatten() {
        if part.as_ref().is_some_and(|part| !name.contains(part.as_str())) {
            continue;
        }
        let bytes = make();
        if bytes.is_empty() {
            println!("{name:<38} not made: a tool is missing");
            continue;
        }
        File::create(&path).unwrap().write_all(&bytes).unwrap();
        let size = bytes.len() as f64 / 1e6;
        drop(bytes);
        let this = std::env::current_exe().unwrap();
        let told =
            Command::new(this).env(CHECKED, &path).stderr(Stdio::inherit()).output().unwrap();
        let told = String::from_utf8_lossy(&told.stdout);
        println!("{name:<38} {size:>8.1} {}", told.trim_end());
    }
}

/// Checks one file and tells what that cost this process.
fn check(path: &Path) {
    let before = processor_seconds();
    let report =
        load_checks::check(File::open(path).unwrap(), &TrustedGlobals::default(), None, &|| true)
            .unwrap();
    let spent = processor_seconds() - before;
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let most: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok())
        .unwrap();
    let error: String = report.errors.first().map_or("", |error| error).chars().take(70).collect();
    println!("{spent:>8.2} {:>7}  {} {} {error}", most / 1024, report.format, report.verdict);
}

/// Nanoseconds on a processor are the first number there.
fn processor_seconds() -> f64 {
    let told = fs::read_to_string("/proc/self/schedstat").unwrap();
    told.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// The same bytes again and again, up to about [`SIZE`].
fn again(before: &[u8], piece: &[u8], after: &[u8]) -> Vec<u8> {
    each(before, after, |_| piece.to_vec())
}

/// Pieces by their number, up to about [`SIZE`].
fn each(before: &[u8], after: &[u8], piece: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    let mut out = before.to_vec();
    for i in 0.. {
        let next = piece(i);
        if out.len() + next.len() + after.len() > SIZE {
            break;
        }
        out.extend(next);
    }
    out.extend_from_slice(after);
    out
}

/// Numbers without an order: xorshift.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 32) as u8).collect()
    }
}

/// A file of the corpus.
fn corpus(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/real");
    fs::read(folder.join(name)).unwrap()
}

/// Packs with a tool of the system; nothing where there is none.
fn pack(tool: &str, arguments: &[&str], bytes: &[u8]) -> Vec<u8> {
    let mut path = std::env::temp_dir();
    path.push(format!("worst-{}", std::process::id()));
    fs::write(&path, bytes).unwrap();
    let packed = Command::new(tool).args(arguments).arg(&path).output();
    fs::remove_file(&path).unwrap();
    packed.map(|packed| packed.stdout).unwrap_or_default()
}

/// A pickle of these bytes alone.
fn holding(bytes: &[u8]) -> Vec<u8> {
    [&b"\x80\x04\x8e"[..], &(bytes.len() as u64).to_le_bytes(), bytes, b"."].concat()
}

/// What the packings cost: of bytes that pack badly, of opcodes, and of as much as may be unpacked.
fn packed() -> Cases {
    fn half_random() -> Vec<u8> {
        holding(&Noise(7).bytes(18_500_000).into_iter().map(|byte| byte & 15).collect::<Vec<_>>())
    }
    /// Rows of small values: about 200 MB that pack to little.
    fn rows() -> Vec<u8> {
        let mut out = b"\x80\x04]".to_vec();
        for i in 0..120_000_u32 {
            out.push(b'(');
            for j in 0..100_u32 {
                let key = i.wrapping_mul(2_654_435_761).wrapping_add(j) % 977;
                out.extend([b'K', (key % 7) as u8, b'G', 63, (key % 11) as u8, 0, 0, 0, 0, 0, 0]);
                out.extend([b'N', 0x88, 0x87]);
            }
            out.push(b'e');
        }
        out.push(b'.');
        out
    }
    /// Blocks that bzip2 unpacks by jumping about in all of its memory.
    fn jumping() -> Vec<u8> {
        let mut noise = Noise(7);
        let mut out = Vec::new();
        while out.len() < 290_000_000 {
            let piece = noise.bytes(8_700);
            (0..103).for_each(|_| out.extend_from_slice(&piece));
        }
        holding(&out)
    }
    /// Bits that a range coder makes almost nothing of, and has to decode all the same.
    fn skewed() -> Vec<u8> {
        let mut noise = Noise(7);
        let byte = |noise: &mut Noise| {
            if noise.next().is_multiple_of(40) { (noise.next() >> 40) as u8 } else { 0 }
        };
        holding(&(0..60_000_000).map(|_| byte(&mut noise)).collect::<Vec<_>>())
    }
    let tools: [(&str, &str, &[&str]); 5] = [
        ("gzip", "gzip", &["-c"]),
        ("bzip2", "bzip2", &["-c"]),
        ("xz", "xz", &["-c", "-1"]),
        ("lzma", "xz", &["-c", "-1", "--format=lzma"]),
        ("lz4", "lz4", &["-c", "-q"]),
    ];
    let contents: [Content; 4] =
        [("half random", half_random), ("rows", rows), ("jumping", jumping), ("skewed", skewed)];
    let mut cases = Cases::new();
    for (format, tool, arguments) in tools {
        for (content, make) in contents {
            cases.push((
                format!("packed {format}, {content}"),
                Box::new(move || pack(tool, arguments, &make())),
            ));
        }
    }
    cases
}
