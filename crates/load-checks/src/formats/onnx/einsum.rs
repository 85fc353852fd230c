//! The equations of `Einsum`: a letter for each dimension of each input, and those of the output.
//!
//! Holds the rules of onnxruntime: spaces count for nothing, an ellipsis stands for the same number
//! of dimensions in every input, an output names what the inputs name.

use super::shapes::Wrong;

/// One operand: its letters, and whether an ellipsis stands among them.
struct Operand {
    letters: Vec<char>,
    ellipsis: bool,
}

/// Checks an equation against the ranks of the inputs, where they are known.
pub(super) fn check(equation: &str, ranks: &[Option<usize>]) -> Result<(), Wrong> {
    let equation: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    let (inputs, output) = match equation.split_once("->") {
        Some((inputs, output)) => (inputs, Some(output)),
        None => (&equation[..], None),
    };
    let operands: Vec<_> = inputs.split(',').map(operand).collect::<Result<_, _>>()?;
    if operands.len() != ranks.len() {
        return Err(format!(
            "its equation has {} inputs; {} are given",
            operands.len(),
            ranks.len()
        ));
    }
    let mut covered = None;
    for (i, (operand, rank)) in operands.iter().zip(ranks).enumerate() {
        let letters = operand.letters.len();
        let Some(rank) = rank else { continue };
        if !operand.ellipsis {
            if letters != *rank {
                return Err(format!(
                    "its equation has {letters} letters for input {i} of {rank} dimensions"
                ));
            }
            continue;
        }
        let Some(rest) = rank.checked_sub(letters) else {
            return Err(format!(
                "its equation has {letters} letters for input {i} of {rank} dimensions"
            ));
        };
        if covered.is_some_and(|covered| covered != rest) {
            return Err("its ellipses stand for different numbers of dimensions".to_owned());
        }
        covered = Some(rest);
    }
    let Some(output) = output else { return Ok(()) };
    let output = result(output)?;
    for letter in &output {
        if !operands.iter().any(|operand| operand.letters.contains(letter)) {
            return Err(format!(
                "its equation has the letter {letter} in the output and in no input"
            ));
        }
    }
    Ok(())
}

/// Letters of the output. What else stands there, the runtime passes over.
fn result(text: &str) -> Result<Vec<char>, Wrong> {
    if text.contains("->") {
        // What comes after a second arrow is passed over.
        return Ok(Vec::new());
    }
    Ok(text.chars().filter(char::is_ascii_alphabetic).collect())
}

fn operand(text: &str) -> Result<Operand, Wrong> {
    let mut operand = Operand { letters: Vec::new(), ellipsis: false };
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("...") {
            if operand.ellipsis {
                return Err("its equation has two ellipses in one input".to_owned());
            }
            operand.ellipsis = true;
            rest = after;
            continue;
        }
        if !first.is_ascii_alphabetic() {
            return Err(format!(
                "its equation holds '{}', which is no letter",
                first.escape_default()
            ));
        }
        operand.letters.push(first);
        rest = &rest[1..];
    }
    Ok(operand)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_equation_is_held_against_its_inputs() {
        for (equation, ranks) in [
            ("ij,jk->ik", &[Some(2), Some(2)][..]),
            ("ij,jk", &[Some(2), None]),
            ("ij,jk->", &[Some(2), Some(2)]),
            ("...ij->...ji", &[Some(4)]),
            ("...,...->...", &[Some(2), Some(2)]),
            ("ij -> ji", &[Some(2)]),
            ("bhid,bhjd->bhij", &[Some(4), Some(4)]),
            ("IJ->JI", &[Some(2)]),
        ] {
            assert_eq!(check(equation, ranks), Ok(()), "{equation}");
        }
        for (equation, ranks, what) in [
            ("ij->ijk", &[Some(2)][..], "letter k"),
            ("...ii,...->...i", &[Some(2), Some(1)], "different numbers"),
            ("ij,jk->ik", &[Some(2)], "2 inputs"),
            ("ijk->ij", &[Some(2)], "3 letters"),
            ("i1->i", &[Some(2)], "no letter"),
            ("..ij->ij", &[Some(2)], "no letter"),
            ("i...j...->ij", &[Some(2)], "two ellipses"),
            ("->", &[Some(2)], "0 letters"),
        ] {
            let told = check(equation, ranks).expect_err(equation);
            assert!(told.contains(what), "{equation}: {told}");
        }
    }
}
