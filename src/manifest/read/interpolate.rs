//! `$NAME` and `${NAME…}` in values, as Compose does it.

use std::collections::BTreeMap;

use super::cast::{self, Cast};
use crate::manifest::diagnostic::Report;
use crate::manifest::document::{Node, Span, Value};

/// The environment that is interpolated from, by the names of the variables.
pub type Variables = BTreeMap<String, String>;

/// Finds a variable's value.
pub type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

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
        /// The variable that is required and not set.
        name: String,
        /// What the manifest's author says about it.
        message: String,
    },
}

/// Interpolates all values below a node, in place, and casts what has to be a number or a truth where it stands; keys
/// stay. Mistakes and unset variables go to the report.
pub fn interpolate(node: &mut Node, variables: &Variables, report: &mut Report) {
    Walk { variables, report }.node(node, &mut Vec::new());
}

struct Walk<'a> {
    variables: &'a Variables,
    report: &'a mut Report,
}

impl Walk<'_> {
    fn node<'n>(&mut self, node: &'n mut Node, path: &mut Vec<&'n str>) {
        let Node { value, span, .. } = node;
        if let Value::Text(text) = value {
            if text.contains('$') {
                self.text(text, *span);
            }
            if let Some(cast) = cast::of(path)
                && let Some(cast) = self.cast(text, cast, path, *span)
            {
                *value = cast;
            }
            return;
        }
        match value {
            Value::List(list) => {
                path.push("[]");
                list.iter_mut().for_each(|n| self.node(n, path));
                path.pop();
            }
            Value::Map(map) => {
                for (key, entry) in map {
                    path.push(key);
                    self.node(&mut entry.node, path);
                    path.pop();
                }
            }
            _ => {}
        }
    }

    fn cast(&mut self, text: &str, cast: Cast, path: &[&str], span: Span) -> Option<Value> {
        if cast == Cast::Bool && cast::is_old_truth(text) {
            let message = format!("`{text}` for a truth is not YAML 1.2: write true or false");
            self.report.warning(span, "old-truth", message);
        }
        match cast.apply(text) {
            Ok(value) => Some(value),
            Err(error) => {
                let path = path.join(".").replace(".[]", "[]");
                self.report.error(span, "wrong-type", format!("{path} must be {}, this is `{text}`", error.0));
                None
            }
        }
    }

    fn text(&mut self, text: &mut String, span: Span) {
        let mut unset = Vec::new();
        match substitute(text, &|name| self.variables.get(name).cloned(), &mut unset) {
            Ok(new) => *text = new,
            Err(error) => {
                let help = match &error {
                    InterpolationError::TooDeep => "name the inner ones in variables of their own".to_owned(),
                    InterpolationError::Invalid(_) => "write `$$` for a dollar sign".to_owned(),
                    InterpolationError::Required { name, .. } => {
                        format!("set {name} in the environment or in the `.env` beside the file")
                    }
                };
                self.report.error(span, "interpolation", error.to_string()).help = Some(help);
            }
        }
        for name in unset {
            let message = format!("the variable `{name}` is not set, so it is empty");
            self.report.warning(span, "unset-variable", message);
        }
    }
}

/// Replaces every variable in a text. Names that are not set and have no default go to `unset`.
///
/// # Errors
/// A malformed `${…}`, or a required variable that is not there.
pub fn substitute(text: &str, lookup: &Lookup<'_>, unset: &mut Vec<String>) -> Result<String, InterpolationError> {
    nested(text, lookup, unset, 0)
}

fn nested(
    text: &str,
    lookup: &Lookup<'_>,
    unset: &mut Vec<String>,
    depth: usize,
) -> Result<String, InterpolationError> {
    if depth > MAX_DEPTH {
        return Err(InterpolationError::TooDeep);
    }
    let mut out = String::with_capacity(text.len());
    let mut lines = Lines::default();
    let mut at = 0;
    while let Some(dollar) = text[at..].find('$').map(|n| at + n) {
        out.push_str(&text[at..dollar]);
        let rest = &text[dollar + 1..];
        if rest.starts_with('$') {
            out.push('$');
            at = dollar + 2;
        } else if let Some(inner) = rest.strip_prefix('{') {
            let name = name_length(inner);
            let invalid = || InterpolationError::Invalid(excerpt(&text[dollar..]));
            if name == 0 {
                return Err(invalid());
            }
            if inner[name..].starts_with('}') {
                put(&inner[..name], lookup, unset, &mut out);
                at = dollar + 3 + name;
                continue;
            }
            // The longest candidate goes to the last brace of the line, what closes first ends it.
            let last = lines.last_brace(text, dollar).filter(|_| operator(&inner[name..]).is_some());
            let candidate = &text[dollar..=last.ok_or_else(invalid)?];
            let end = closing(candidate).unwrap_or(candidate.len() - 1);
            out.push_str(&braced(&candidate[2..end], name, lookup, unset, depth)?);
            at = dollar + end + 1;
        } else {
            let name = name_length(rest);
            if name == 0 {
                // A lone dollar, and `$1`, are themselves.
                out.push('$');
            } else {
                put(&rest[..name], lookup, unset, &mut out);
            }
            at = dollar + 1 + name;
        }
    }
    out.push_str(&text[at..]);
    Ok(out)
}

fn put(name: &str, lookup: &Lookup<'_>, unset: &mut Vec<String>, out: &mut String) {
    match lookup(name) {
        Some(value) => out.push_str(&value),
        None => unset.push(name.to_owned()),
    }
}

/// The beginning of a text, for messages.
fn excerpt(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}

/// Remembers where the last closing brace of the line is that was asked about last.
#[derive(Default)]
struct Lines {
    end: usize,
    last: Option<usize>,
}

impl Lines {
    fn last_brace(&mut self, text: &str, from: usize) -> Option<usize> {
        if from >= self.end {
            self.end = text[from..].find('\n').map_or(text.len(), |n| from + n);
            self.last = text[from..self.end].rfind('}').map(|n| from + n);
        }
        self.last.filter(|last| *last > from)
    }
}

/// The length of the name a text begins with.
fn name_length(text: &str) -> usize {
    let mut bytes = text.bytes();
    if !bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_') {
        return 0;
    }
    1 + bytes.take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count()
}

/// `-`, `+` or `?`, whether a colon stands before it, and what follows.
fn operator(text: &str) -> Option<(char, bool, &str)> {
    let (or_empty, rest) = match text.strip_prefix(':') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let operator = rest.chars().next().filter(|c| matches!(c, '-' | '+' | '?'))?;
    Some((operator, or_empty, &rest[1..]))
}

/// Where the first brace that closes all is. What stands right after an opening brace is not looked at, as in Compose.
fn closing(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut open, mut at) = (0i64, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'}' => {
                open -= 1;
                if open == 0 {
                    return Some(at);
                }
            }
            b'{' => {
                open += 1;
                at += 1;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

fn braced(
    inner: &str,
    name: usize,
    lookup: &Lookup<'_>,
    unset: &mut Vec<String>,
    depth: usize,
) -> Result<String, InterpolationError> {
    let (name, rest) = inner.split_at(name.min(inner.len()));
    let Some((operator, or_empty, argument)) = operator(rest) else {
        return Err(InterpolationError::Invalid(format!("${{{}}}", excerpt(inner))));
    };
    // A mistake in what follows counts even where it is not needed; a variable that is not set there does not.
    let mut inner_unset = Vec::new();
    let argument = nested(argument, lookup, &mut inner_unset, depth + 1)?;
    let there = lookup(name).filter(|v| !or_empty || !v.is_empty());
    match (operator, there) {
        ('-', Some(value)) | ('?', Some(value)) => Ok(value),
        ('-', None) | ('+', Some(_)) => {
            unset.append(&mut inner_unset);
            Ok(argument)
        }
        ('+', None) => Ok(String::new()),
        _ => Err(InterpolationError::Required { name: name.to_owned(), message: argument }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let variables: Variables =
            [("A", "a"), ("E", ""), ("N", "n")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let got = substitute(text, &|name| variables.get(name).cloned(), &mut Vec::new()).map_err(|e| e.to_string());
        assert_eq!(got.as_deref().map_err(String::as_str), expected, "{text}");
    }

    #[test]
    fn every_form_does_what_compose_does() {
        check("$A-${A}", Ok("a-a"));
        check("${X:-d} ${E:-d} ${E-d} ${X-d}", Ok("d d  d"));
        check("${A:+y} ${E:+y} ${E+y} ${X+y}", Ok("y  y "));
        check("${X:-${Y:-${A}}}", Ok("a"));
        check("${X:-{\"a\":{}}}", Ok("{\"a\":{}}"));
        check("${X:-{}}", Ok("{}"));
        check("${X:-a}b${A:-c}}", Ok("aba}"));
        check("$$A $${A}", Ok("$A ${A}"));
        check("$ $1 a$ b 5$", Ok("$ $1 a$ b 5$"));
        check("${X}", Ok(""));
        check("${X:?no $A}", Err("required variable X is missing a value: no a"));
        check("${E?no}", Ok(""));
        check("${E:?}", Err("required variable E is missing a value"));
    }

    #[test]
    fn malformed_forms_are_errors() {
        for text in ["${}", "${1}", "${X.y}", "${X", "${X:=d}", "${X/a/b}", "${X:-a\nb}", "${A:-${1}}"] {
            let got = substitute(text, &|_| None, &mut Vec::new());
            assert!(matches!(got, Err(InterpolationError::Invalid(_))), "{text}: {got:?}");
        }
    }
}
