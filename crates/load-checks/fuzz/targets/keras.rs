//! Keras models, and the HDF5 files in them.

#![no_main]

use checks::hold;
use load_checks::Format;
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|bytes: &[u8]| -> Corpus {
    if hold(bytes, &[Format::Keras, Format::Hdf5]) { Corpus::Keep } else { Corpus::Reject }
});
