//! The progress bar for long work, shown only on a terminal.

use std::{io::IsTerminal as _, sync::Arc};

use indicatif::{ProgressBar, ProgressStyle};

use super::output::Output;
use crate::progress::{Progress, unwatched};

/// A progress bar in bytes; it is removed when its last user drops it.
#[must_use]
pub fn bar(output: Output) -> Progress {
    if output.is_json() || !std::io::stderr().is_terminal() {
        return unwatched();
    }
    let bar = ProgressBar::new(0);
    let template = "{spinner} {msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {eta}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    let bar = ClearOnDrop(bar);
    Arc::new(move |done, total, what| {
        bar.0.set_length(total.max(done));
        bar.0.set_position(done);
        bar.0.set_message(what.to_owned());
    })
}

struct ClearOnDrop(ProgressBar);

impl Drop for ClearOnDrop {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
