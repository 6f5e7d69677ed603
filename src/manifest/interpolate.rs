//! `$NAME` and `${NAME…}` in values, as Compose does it.

use std::collections::BTreeMap;

use super::diagnostic::Report;
use super::document::{Node, Value};

/// Variables by name.
pub type Variables = BTreeMap<String, String>;

/// Defaults within defaults beyond this are refused: each level takes a part of the stack.
const MAX_DEPTH: usize = 100;

/// Why a text cannot be interpolated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InterpolationError {
    /// `${…}` that is not of any known form.
    #[error("invalid interpolation `{0}`")]
    Invalid(String),
    /// Defaults within defaults without end.
    #[error("defaults are nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// `${NAME:?message}` and the variable is not there.
    #[error("required variable {name} is missing a value{}", if .message.is_empty() { String::new() } else { format!(": {}", .message) })]
    Required {
        /// The variable.
        name: String,
        /// What the manifest's author says about it.
        message: String,
    },
}

/// Interpolates all values below a node, in place; keys stay. Mistakes and unset variables go to the report.
pub fn interpolate(node: &mut Node, variables: &Variables, report: &mut Report) {
    match &mut node.value {
        Value::Text(text) if text.contains('$') => {
            let mut unset = Vec::new();
            match substitute(text, variables, &mut unset) {
                Ok(new) => *text = new,
                Err(error) => {
                    let help = match &error {
                        InterpolationError::TooDeep => "name the inner ones in variables of their own".to_owned(),
                        InterpolationError::Invalid(_) => "write `$$` for a dollar sign".to_owned(),
                        InterpolationError::Required { name, .. } => {
                            format!("set {name} in the environment or in the `.env` beside the file")
                        }
                    };
                    report.error(node.span, "interpolation", error.to_string()).help = Some(help);
                }
            }
            for name in unset {
                report.warning(
                    node.span,
                    "unset-variable",
                    format!("the variable `{name}` is not set, so it is empty"),
                );
            }
        }
        Value::List(list) => list.iter_mut().for_each(|n| interpolate(n, variables, report)),
        Value::Map(map) => map.values_mut().for_each(|e| interpolate(&mut e.node, variables, report)),
        _ => {}
    }
}

/// Replaces every variable in a text. Names that are not set and have no default go to `unset`.
///
/// # Errors
/// A malformed `${…}`, or a required variable that is not there.
pub fn substitute(text: &str, variables: &Variables, unset: &mut Vec<String>) -> Result<String, InterpolationError> {
    nested(text, variables, unset, 0)
}

fn nested(
    text: &str,
    variables: &Variables,
    unset: &mut Vec<String>,
    depth: usize,
) -> Result<String, InterpolationError> {
    if depth > MAX_DEPTH {
        return Err(InterpolationError::TooDeep);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(inner) = rest.strip_prefix('{') {
            let end = closing(inner).ok_or_else(|| InterpolationError::Invalid(format!("${rest}")))?;
            out.push_str(&braced(&inner[..end], variables, unset, depth)?);
            rest = &inner[end + 1..];
        } else {
            let (name, after) = rest.split_at(name_length(rest));
            if name.is_empty() {
                // A lone dollar, and `$1`, are themselves.
                out.push('$');
            } else {
                match variables.get(name) {
                    Some(value) => out.push_str(value),
                    None => unset.push(name.to_owned()),
                }
            }
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// The length of the name a text begins with.
fn name_length(text: &str) -> usize {
    let mut bytes = text.bytes();
    if !bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_') {
        return 0;
    }
    1 + bytes.take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count()
}

/// Where the brace is that closes the one before this text.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'$' if bytes.get(at + 1) == Some(&b'{') => {
                depth += 1;
                at += 1;
            }
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}

fn braced(
    inner: &str,
    variables: &Variables,
    unset: &mut Vec<String>,
    depth: usize,
) -> Result<String, InterpolationError> {
    let (name, rest) = inner.split_at(name_length(inner));
    let invalid = || InterpolationError::Invalid(format!("${{{inner}}}"));
    if name.is_empty() {
        return Err(invalid());
    }
    let value = variables.get(name);
    if rest.is_empty() {
        if value.is_none() {
            unset.push(name.to_owned());
        }
        return Ok(value.cloned().unwrap_or_default());
    }
    let (or_empty, rest) = match rest.strip_prefix(':') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let there = value.filter(|v| !or_empty || !v.is_empty());
    let mut argument = rest.chars();
    let operator = argument.next().ok_or_else(invalid)?;
    let argument = argument.as_str();
    match operator {
        '-' => match there {
            Some(value) => Ok(value.clone()),
            None => nested(argument, variables, unset, depth + 1),
        },
        '+' => match there {
            Some(_) => nested(argument, variables, unset, depth + 1),
            None => Ok(String::new()),
        },
        '?' => match there {
            Some(value) => Ok(value.clone()),
            None => Err(InterpolationError::Required {
                name: name.to_owned(),
                message: nested(argument, variables, unset, depth + 1)?,
            }),
        },
        _ => Err(invalid()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let variables = [("A", "a"), ("E", ""), ("N", "n")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let got = substitute(text, &variables, &mut Vec::new()).map_err(|e| e.to_string());
        assert_eq!(got.as_deref().map_err(String::as_str), expected, "{text}");
    }

    #[test]
    fn every_form_does_what_compose_does() {
        check("$A-${A}", Ok("a-a"));
        check("${X:-d} ${E:-d} ${E-d} ${X-d}", Ok("d d  d"));
        check("${A:+y} ${E:+y} ${E+y} ${X+y}", Ok("y  y "));
        check("${X:-${Y:-${A}}}", Ok("a"));
        check("${X:-{\"a\":{}}}", Ok("{\"a\":{}}"));
        check("$$A $${A}", Ok("$A ${A}"));
        check("$ $1 a$ b 5$", Ok("$ $1 a$ b 5$"));
        check("${X}", Ok(""));
        check("${X:?no $A}", Err("required variable X is missing a value: no a"));
        check("${E?no}", Ok(""));
        check("${E:?}", Err("required variable E is missing a value"));
    }

    #[test]
    fn malformed_forms_are_errors() {
        for text in ["${}", "${1}", "${X.y}", "${X", "${X:=d}", "${X/a/b}"] {
            let got = substitute(text, &Variables::new(), &mut Vec::new());
            assert!(matches!(got, Err(InterpolationError::Invalid(_))), "{text}: {got:?}");
        }
    }
}
