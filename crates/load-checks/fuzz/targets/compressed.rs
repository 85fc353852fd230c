//! Packed streams, and what is in them.

#![no_main]

use checks::hold;
use load_checks::Format;
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|bytes: &[u8]| -> Corpus {
    if hold(bytes, &[Format::Gzip, Format::Zlib, Format::Bzip2, Format::Xz, Format::Lzma, Format::Lz4, Format::Zstd]) { Corpus::Keep } else { Corpus::Reject }
});
