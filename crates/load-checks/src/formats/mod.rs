//! The readers of formats, a file or a folder a format.
//!
//! Each decides from the bytes alone, reading as the format's own loader would, to the end. None imports or runs
//! anything that it reads.

mod arrow;
mod compressed;
mod ends;
mod extension;
mod gguf;
mod hidden;
pub mod json;
mod lightgbm;
mod naming;
mod npy;
mod onnx;
mod parquet;
mod pickle;
mod readers;
mod safetensors;
mod tar;
mod tar_header;
mod trees;
mod xgboost;
mod zip;

pub use pickle::NEVER_TRUSTED;
pub use readers::check;

// What every reader uses.
use crate::job::{Halt, Job, Sample, poll};
use crate::report::{Finding, Format};
use crate::{budget, index, report, source};

// What readers of containers use, to read what is in them.
use crate::sniff;
use readers::read;
