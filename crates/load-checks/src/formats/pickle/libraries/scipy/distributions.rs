//! scipy's distributions, whose state holds source code that is run while they are loaded.
//!
//! A distribution keeps the text of three functions that sort its arguments, made from a template and the names of
//! its shapes, and `__setstate__` hands that text to `exec`. So the text must be the template itself, letter
//! for letter, with the shapes of a distribution of scipy's own, and the state must hold nothing but what a
//! distribution has: its methods are attributes as well. Facts about scipy 1.6 to 1.18.

use crate::formats::pickle::unpickler::arena::{Arena, GlobalNote};
use crate::formats::pickle::unpickler::values::Value;

/// What every such text begins with.
const BEGIN: &[u8; 16] = b"\ndef _parse_args";
/// Bytes of a text that could be one; the longest is shorter than 600.
const MAX_TEXT: u64 = 1024;
/// The attribute that holds the text.
const TEXT: &[u8] = b"_parse_arg_template";
/// Numbers that `__setstate__` calculates with.
const NUMBERS: [&[u8]; 2] = [b"moment_type", b"numargs"];
/// Attributes that `__setstate__` only keeps.
const KEPT: [&[u8]; 27] = [
    b"__doc__",
    b"_ctor_param",
    b"_density",
    b"_hbin_widths",
    b"_hbins",
    b"_hcdf",
    b"_histogram",
    b"_hpdf",
    b"_random_state",
    b"_rvs_size_warned",
    b"_rvs_uses_size_attribute",
    b"_stats_has_moments",
    b"_support",
    b"a",
    b"b",
    b"badvalue",
    b"extradoc",
    b"inc",
    b"longname",
    b"moment_tol",
    b"name",
    b"parameterization",
    b"pk",
    b"qvals",
    b"shapes",
    b"xk",
    b"xtol",
];
/// What discrete distributions keep besides: their own method, or what numpy makes of it.
const OWN_METHOD: &[u8] = b"vecentropy";
/// The shapes of scipy's own distributions, without the last comma.
const SHAPES: [&str; 46] = [
    "K",
    "M, n, N",
    "M, n, N, odds",
    "M, n, r",
    "a",
    "a, b",
    "a, b, c",
    "a, b, c, z",
    "a, c",
    "a, n",
    "alpha",
    "alpha, beta",
    "b",
    "b, c",
    "beta",
    "beta, m",
    "c",
    "c, a, b",
    "c, d",
    "c, s",
    "chi",
    "df",
    "df, nc",
    "dfn, dfd",
    "dfn, dfd, nc",
    "h, k",
    "k, df",
    "k, s",
    "kappa",
    "lam",
    "lambda_",
    "lambda_, N",
    "low, high",
    "mu",
    "mu1, mu2",
    "n",
    "n, a, b",
    "n, p",
    "nu",
    "p",
    "p, a, b",
    "p, b",
    "rho",
    "s",
    "skew",
    "u, s, a, b",
];

/// Whether a text that begins so may be one of those that are run.
pub(crate) fn begins(head: &[u8; 16], len: u64) -> bool {
    head == BEGIN && len <= MAX_TEXT
}

/// Whether a text is what scipy makes of its template. What is run of it are three definitions whose
/// defaults are constants; their bodies pass names on.
pub(crate) fn is_template(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(BEGIN).and_then(|rest| rest.strip_prefix(b"(self, ")) else {
        return false;
    };
    let Some(end) = rest.windows(4).position(|window| window == b" loc") else {
        return false;
    };
    let Ok(shapes) = std::str::from_utf8(&rest[..end]) else {
        return false;
    };
    let known = shapes.is_empty()
        || shapes.strip_suffix(", ").is_some_and(|shapes| SHAPES.contains(&shapes));
    known
        && [("loc=0, scale=1", "loc, scale"), ("loc=0", "loc, 1")]
            .iter()
            .any(|(parameters, arguments)| filled(shapes, parameters, arguments).as_bytes() == text)
}

/// The template as scipy fills it.
fn filled(shapes: &str, parameters: &str, arguments: &str) -> String {
    format!(
        "\ndef _parse_args(self, {shapes} {parameters}):\n    return ({shapes}), {arguments}\n\n\
         def _parse_args_rvs(self, {shapes} {parameters}, size=None):\n    \
         return self._argcheck_rvs({shapes} {arguments}, size=size)\n\n\
         def _parse_args_stats(self, {shapes} {parameters}, moments='mv'):\n    \
         return ({shapes}), {arguments}, moments\n"
    )
}

/// Whether an item is the text that is run.
pub(crate) fn is_template_item(key: &[u8], value: Value) -> bool {
    value == Value::Template && key == TEXT
}

/// Whether a distribution may have this attribute with this value.
pub(crate) fn is_item(arena: &Arena, key: &[u8], value: Value) -> bool {
    if key == TEXT {
        value == Value::Template
    } else if NUMBERS.contains(&key) {
        matches!(value, Value::Int(0..=64))
    } else if key == OWN_METHOD {
        matches!(value, Value::Instance(id) if is_own_method(arena.global_of_instance(id)))
    } else {
        KEPT.contains(&key)
    }
}

fn is_own_method(method: &GlobalNote) -> bool {
    (method.module == "numpy" && method.name == "vectorize") || method.name.ends_with("._entropy")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_known_letter_for_letter() {
        for shapes in SHAPES.into_iter().chain([""]) {
            let shapes = if shapes.is_empty() { String::new() } else { format!("{shapes}, ") };
            for (parameters, arguments) in [("loc=0, scale=1", "loc, scale"), ("loc=0", "loc, 1")] {
                let text = filled(&shapes, parameters, arguments);
                assert!(is_template(text.as_bytes()), "{text}");
                assert!((text.len() as u64) < MAX_TEXT);
                for at in 0..text.len() {
                    let mut other = text.clone().into_bytes();
                    other[at] ^= 1;
                    assert!(!is_template(&other), "{at} of {text}");
                    other.truncate(at);
                    assert!(!is_template(&other));
                }
            }
        }
    }

    #[test]
    fn code_among_the_shapes_is_no_template() {
        for shapes in [
            "x=print(1), ",
            "a: print(1), ",
            "a, , ",
            "a",
            "a,",
            "*a, ",
            "a, b=0, ",
            "a, a, ",
            "loc, ",
            "lambda, ",
            "a, \n",
        ] {
            let text = filled(shapes, "loc=0, scale=1", "loc, scale");
            assert!(!is_template(text.as_bytes()), "{text}");
        }
        let twice = filled("", "loc=0", "loc, 1").repeat(2);
        assert!(!is_template(twice.as_bytes()));
        assert!(!is_template(filled("", "loc=0", "loc, scale").as_bytes()));
    }
}
