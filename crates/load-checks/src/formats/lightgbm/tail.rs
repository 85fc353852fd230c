//! What follows the trees: importances, parameters, and what Python adds.

use super::super::json;
use super::super::report::quoted;
use super::super::{Halt, Job};
use super::header::Header;
use super::lines::{Line, Lines};
use super::parameters::is_parameter;

/// Where in the tail a line stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Part {
    Trees,
    AfterTrees,
    Importances,
    Parameters,
    AfterParameters,
    Parser,
    AfterParser,
    End,
}

const PANDAS: &str = "pandas_categorical:";

/// Reads to the end of the file.
pub(super) fn read(
    header: &Header,
    lines: &mut Lines<'_, '_>,
    job: &mut Job<'_>,
) -> Result<(), Halt> {
    let mut part = Part::Trees;
    let mut has_parameters = false;
    while let Some(line) = lines.next(job)? {
        if line.text.is_empty() {
            continue;
        }
        match step(part, &line, header.old) {
            Ok(next) => part = next,
            Err(what) => return job.broken(format!("{what} at byte {}", line.start)),
        }
        has_parameters |= part == Part::AfterParameters;
    }
    if part == Part::Trees && !header.old {
        return job.broken("the file ends without \"end of trees\": it is cut off");
    }
    if part == Part::Parser || (!header.old && !has_parameters) {
        return job.broken("the file ends without \"end of parameters\": it is cut off");
    }
    Ok(())
}

fn step(part: Part, line: &Line, old: bool) -> Result<Part, String> {
    let text = line.text.as_str();
    match (part, text) {
        (Part::Parameters, "end of parameters") => return Ok(Part::AfterParameters),
        (Part::Parser, "end of parser") => return Ok(Part::AfterParser),
        (Part::Parser, _) => return Ok(Part::Parser),
        (Part::Parameters, _) if is_parameter(text) => return Ok(Part::Parameters),
        (Part::Trees, "end of trees") => return Ok(Part::AfterTrees),
        _ => {}
    }
    let sections_start = if old { Part::Trees } else { Part::AfterTrees };
    let open = part >= sections_start && (part != Part::Parameters || old);
    match text {
        "feature_importances:" | "feature importances:" if open && part < Part::Importances => {
            Ok(Part::Importances)
        }
        "parameters:" if open && part < Part::Parameters => Ok(Part::Parameters),
        "parser:" if open && part < Part::Parser => Ok(Part::Parser),
        _ if open && part < Part::End && text.starts_with(PANDAS) => {
            json::scan_slice(&text.as_bytes()[PANDAS.len()..])
                .map_err(|fault| format!("{PANDAS} {fault} of that line,"))?;
            Ok(Part::End)
        }
        _ if part == Part::Importances && is_importance(text) => Ok(Part::Importances),
        _ => Err(format!("\"{}\" does not belong where it stands,", quoted(text))),
    }
}

/// `name=12`.
fn is_importance(text: &str) -> bool {
    text.rsplit_once('=').is_some_and(|(_, count)| count.parse::<u64>().is_ok())
}
