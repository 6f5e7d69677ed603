//! Env files: `.env` and `env_file`, in the dialect that Compose reads.

use super::interpolate::{Variables, substitute};

/// Why an env file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DotenvError {
    /// From 1.
    pub line: u32,
    /// What is wrong.
    pub message: String,
}

/// Reads `KEY=value`, `KEY: value`, `export KEY=value` and bare keys (`None`: taken from elsewhere). Unquoted and
/// double-quoted values are expanded from `outer` first, then from earlier lines.
///
/// # Errors
/// The first line that is none of these.
pub fn parse(text: &str, outer: &Variables) -> Result<Vec<(String, Option<String>)>, DotenvError> {
    let mut found: Vec<(String, Option<String>)> = Vec::new();
    let mut known = outer.clone();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut line = 1u32;
    while !rest.is_empty() {
        let (first, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let trimmed = first.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            rest = after;
            line += 1;
            continue;
        }
        let error = |message: String| DotenvError { line, message };
        let body = first.trim_start();
        let body = body.strip_prefix("export ").or_else(|| body.strip_prefix("export\t")).unwrap_or(body).trim_start();
        let end = body.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']')));
        let (key, tail) = body.split_at(end.unwrap_or(body.len()));
        if key.is_empty() {
            return Err(error(format!("unexpected character in variable name near `{}`", body.trim_end())));
        }
        let tail = tail.trim_start();
        let Some(value) = tail.strip_prefix(['=', ':']) else {
            if !tail.is_empty() && !tail.starts_with('#') {
                return Err(error(format!("`{key}` is followed by neither `=` nor `:`")));
            }
            found.push((key.to_owned(), None));
            rest = after;
            line += 1;
            continue;
        };
        let value = value.trim_start_matches([' ', '\t']);
        let quote = value.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let (value, consumed) = match quote {
            Some(quote) => {
                // A quoted value may go on over lines: read from the whole rest.
                let start = offset(rest, value) + 1;
                let length = closing(&rest[start..], quote)
                    .ok_or_else(|| error(format!("the value of `{key}` begins with {quote} and never ends")))?;
                let raw = &rest[start..start + length];
                let value = if quote == '"' { expand(&unescape(raw), &known) } else { Ok(raw.to_owned()) };
                let line_end = rest[start + length..].find('\n').map_or(rest.len(), |at| start + length + at + 1);
                (value, line_end)
            }
            None => {
                let cut = value.find(" #").or_else(|| value.find("\t#")).unwrap_or(value.len());
                let cut = if value.starts_with('#') { 0 } else { cut };
                (expand(value[..cut].trim_end(), &known), (first.len() + 1).min(rest.len()))
            }
        };
        let value = value.map_err(error)?;
        line += u32::try_from(rest[..consumed].matches('\n').count()).unwrap_or(0);
        rest = &rest[consumed..];
        known.entry(key.to_owned()).or_insert_with(|| value.clone());
        found.push((key.to_owned(), Some(value)));
    }
    Ok(found)
}

fn offset(whole: &str, part: &str) -> usize {
    part.as_ptr() as usize - whole.as_ptr() as usize
}

fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        if escaped {
            escaped = false;
            return None;
        }
        escaped = quote == '"' && c == '\\';
        (c == quote).then_some(at)
    })
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('$') => out.push_str("$$"),
            Some(c @ ('"' | '\\')) => out.push(c),
            Some(c) => {
                out.push('\\');
                out.push(c);
            }
            None => out.push('\\'),
        }
    }
    out
}

fn expand(text: &str, known: &Variables) -> Result<String, String> {
    substitute(text, known, &mut Vec::new()).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dialect_of_compose_is_read() {
        let outer: Variables = [("OUT".to_owned(), "o".to_owned())].into();
        let text = "# c\nA=1\nexport B = two # c\nC: three\nD='$A # x'\nE=\"$A\\n\\$A\"\nF\nG=${OUT}-$A\nH=\"a\nb\"\nI=a#b\nJ=\n";
        let got = parse(text, &outer).unwrap();
        let expected = [
            ("A", Some("1")),
            ("B", Some("two")),
            ("C", Some("three")),
            ("D", Some("$A # x")),
            ("E", Some("1\n$A")),
            ("F", None),
            ("G", Some("o-1")),
            ("H", Some("a\nb")),
            ("I", Some("a#b")),
            ("J", Some("")),
        ];
        let expected: Vec<_> = expected.map(|(k, v)| (k.to_owned(), v.map(str::to_owned))).into();
        assert_eq!(got, expected);
    }

    #[test]
    fn a_mistake_has_its_line() {
        assert_eq!(parse("A=1\n\n=x\n", &Variables::new()).unwrap_err().line, 3);
        assert_eq!(parse("A=1\nB='x\n", &Variables::new()).unwrap_err().line, 2);
    }
}
