//! The smoke run: does the model answer what its sample says it does?
//!
//! Agreement deepens the report; anything else is a note and nothing more, because a sample may
//! have been made by other means than this engine knows.

use super::super::report::Depth;
use super::super::{Halt, Job, Sample};
use super::ensemble::{Ensemble, Transform, largest};

/// How far an answer may be from the expected one, relative to the larger of them.
const TOLERANCE: f64 = 1e-4;
/// Answers nearer to zero than this are compared with this as their size.
const FLOOR: f64 = 1e-3;
/// Rows that are run at most.
const MAX_ROWS: usize = 10_000;
/// Steps from node to node, about, that all rows together may take.
const MAX_STEPS: usize = 100_000_000;

/// Runs the sample that came with the model, if one did. `few` are the rounds up to the best one,
/// where the model names one: some callers stop there.
pub(in crate::formats) fn run(
    ensemble: &Ensemble,
    few: Option<usize>,
    job: &mut Job<'_>,
) -> Result<Depth, Halt> {
    let Some(sample) = job.sample else {
        return Ok(Depth::Typed);
    };
    if let Some(why) = unfit(sample, ensemble) {
        job.findings.note(format!("the sample was not run: {why}"));
        return Ok(Depth::Typed);
    }
    let mut told = String::new();
    for rounds in [Some(usize::MAX), few].into_iter().flatten() {
        match compare(ensemble, sample, rounds, job)? {
            None => return Ok(Depth::Executed),
            Some(difference) => told = difference,
        }
    }
    job.findings.note(format!("the sample was run and its answers differ: {told}"));
    Ok(Depth::Typed)
}

fn unfit(sample: &Sample, ensemble: &Ensemble) -> Option<String> {
    let rows = sample.input.len();
    if rows == 0 || rows != sample.expected.len() {
        return Some(format!(
            "it has {rows} rows of input and {} of answers",
            sample.expected.len()
        ));
    }
    if rows > MAX_ROWS || rows.saturating_mul(ensemble.cost()) > MAX_STEPS {
        return Some(format!("{rows} rows are more work than a check may do"));
    }
    let width = ensemble.features;
    if let Some(at) = sample.input.iter().position(|row| row.len() != width) {
        let found = sample.input[at].len();
        return Some(format!("row {at} has {found} numbers where the model takes {width}"));
    }
    None
}

/// How answers are compared: as the library gives them, or in a form that its users often keep.
#[derive(Clone, Copy)]
enum Form {
    Answer,
    Sums,
    TwoShares,
    Class,
}

fn compare(
    ensemble: &Ensemble,
    sample: &Sample,
    rounds: usize,
    job: &Job<'_>,
) -> Result<Option<String>, Halt> {
    let mut forms = vec![Form::Answer, Form::Sums, Form::TwoShares, Form::Class];
    let mut first = None;
    for (at, (row, expected)) in sample.input.iter().zip(&sample.expected).enumerate() {
        if at.is_multiple_of(16) {
            job.poll()?;
        }
        let sums = ensemble.sums(row, rounds);
        let answer = ensemble.transform.apply(&sums);
        forms.retain(|form| {
            shown(*form, &sums, &answer, ensemble.transform)
                .is_some_and(|shown| agree(&shown, expected))
        });
        if forms.is_empty() {
            first = Some(format!(
                "row {at} gives {} and {} is expected",
                list(&answer),
                list(expected)
            ));
            break;
        }
    }
    Ok(first)
}

fn shown(form: Form, sums: &[f64], answer: &[f64], transform: Transform) -> Option<Vec<f64>> {
    match form {
        Form::Answer => Some(answer.to_vec()),
        Form::Sums => Some(sums.to_vec()),
        Form::TwoShares => match (transform, answer) {
            (Transform::Sigmoid(_), [share]) => Some(vec![1.0 - share, *share]),
            (Transform::Argmax, _) => Some(Transform::Softmax.apply(sums)),
            _ => None,
        },
        Form::Class => match (transform, answer) {
            (Transform::Sigmoid(_), [share]) => Some(vec![f64::from(u8::from(*share > 0.5))]),
            (Transform::Softmax | Transform::Sigmoid(_), _) => Some(vec![largest(answer)]),
            _ => None,
        },
    }
}

fn agree(ours: &[f64], expected: &[f64]) -> bool {
    ours.len() == expected.len()
        && ours.iter().zip(expected).all(|(a, b)| {
            let size = a.abs().max(b.abs()).max(FLOOR);
            a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= TOLERANCE * size
        })
}

fn list(numbers: &[f64]) -> String {
    let told: Vec<String> = numbers.iter().take(4).map(|x| format!("{x:.6}")).collect();
    let more = if numbers.len() > told.len() { ", …" } else { "" };
    format!("[{}{more}]", told.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_agree_within_the_tolerance_and_no_further() {
        assert!(agree(&[1.0, f64::NAN], &[1.000_09, f64::NAN]));
        assert!(!agree(&[1.0], &[1.001]));
        assert!(!agree(&[1.0], &[1.0, 1.0]));
        assert!(agree(&[0.0], &[1e-8]) && !agree(&[0.0], &[1e-5]));
    }
}
