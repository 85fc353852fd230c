//! What every fuzz target does: checks the bytes, and holds what is promised of any answer.

use std::io::Cursor;

use load_checks::{Format, Sample, TrustedGlobals, Verdict, check};

/// Checks `bytes` as an artifact. `whose` are the formats of the target: bytes of another are not its matter, so that
/// a target's time goes into its own reader. A crash, a hang or too much memory is the fuzzer's to see.
pub fn hold(bytes: &[u8], whose: &[Format]) -> bool {
    let sample = Sample { input: vec![vec![0.5; 4]; 2], expected: vec![vec![0.5]; 2] };
    let report = match check(Cursor::new(bytes), &TrustedGlobals::default(), Some(&sample), &|| true) {
        Ok(report) => report,
        Err(error) => panic!("memory cannot fail to be read: {error}"),
    };
    assert_eq!(report.verdict == Verdict::Loadable, report.errors.is_empty(), "{report:?}");
    for error in &report.errors {
        assert!(!error.contains(char::is_control), "{error:?} could write to a terminal");
        assert!(error.len() < 2000, "{error:?} could fill a log");
    }
    whose.is_empty() || whose.contains(&report.format) || report.container.is_some_and(|c| whose.contains(&c))
}
