//! ONNX graphs.

#![no_main]

use checks::hold;
use load_checks::Format;
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|bytes: &[u8]| -> Corpus {
    if hold(bytes, &[Format::Onnx]) { Corpus::Keep } else { Corpus::Reject }
});
