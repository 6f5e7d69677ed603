//! Env files: `.env`, `env_file` and `label_file`, in the two dialects that Compose reads.

use super::interpolate::{Lookup, Variables, substitute};

/// Why an env file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DotenvError {
    /// From 1.
    pub line: u32,
    /// What is wrong with the line.
    pub message: String,
}

/// Reads `KEY=value`, `KEY: value`, `export KEY=value` and bare keys, which are taken from `lookup`. Unquoted and
/// double-quoted values are expanded from `lookup` first, then from what `variables` holds already; single-quoted ones
/// are not. What is read is added to `variables`, over what stands there.
///
/// # Errors
/// The first line that is none of these.
pub fn parse(text: &str, variables: &mut Variables, lookup: &Lookup<'_>) -> Result<(), DotenvError> {
    Reader { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1 }.read(variables, lookup)
}

/// Reads `KEY=value` line by line, every value as it stands; bare keys are taken from `lookup`.
///
/// # Errors
/// The first line without a name, or with a space in it.
pub fn parse_raw(text: &str, variables: &mut Variables, lookup: &Lookup<'_>) -> Result<(), DotenvError> {
    for (n, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let error = |message: String| DotenvError { line: u32::try_from(n + 1).unwrap_or(u32::MAX), message };
        let (key, value) = match line.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (line, lookup(line)),
        };
        if key.is_empty() {
            return Err(error(format!("no name before the `=` of `{line}`")));
        }
        if key.contains([' ', '\t']) {
            return Err(error(format!("the name `{key}` has a space in it")));
        }
        if let Some(value) = value {
            variables.insert(key.to_owned(), value);
        }
    }
    Ok(())
}

struct Reader<'t> {
    rest: &'t str,
    line: u32,
}

/// White space that does not end a line.
fn is_space(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

impl<'t> Reader<'t> {
    fn read(&mut self, variables: &mut Variables, lookup: &Lookup<'_>) -> Result<(), DotenvError> {
        loop {
            self.skip(char::is_whitespace);
            if self.rest.is_empty() {
                return Ok(());
            }
            if self.rest.starts_with('#') {
                self.skip(|c| c != '\n');
                continue;
            }
            if let Some(after) = self.rest.strip_prefix("export")
                && after.starts_with(char::is_whitespace)
            {
                self.rest = after.trim_start_matches(is_space);
            }
            let (key, has_value) = self.key()?;
            if key.contains(' ') {
                return Err(self.error(format!("the name `{key}` has a space in it")));
            }
            let value = if has_value { Some(self.value(variables, lookup)?) } else { lookup(&key) };
            if let Some(value) = value {
                variables.insert(key, value);
            }
        }
    }

    fn error(&self, message: String) -> DotenvError {
        DotenvError { line: self.line, message }
    }

    fn skip(&mut self, what: impl Fn(char) -> bool) {
        let end = self.rest.find(|c| !what(c)).unwrap_or(self.rest.len());
        self.advance(end);
    }

    /// Goes on by so many bytes; returns them.
    fn advance(&mut self, bytes: usize) -> &'t str {
        let (passed, rest) = self.rest.split_at(bytes);
        self.line += u32::try_from(passed.matches('\n').count()).unwrap_or(0);
        self.rest = rest;
        passed
    }

    /// A name, and whether a value follows it.
    fn key(&mut self) -> Result<(String, bool), DotenvError> {
        for (at, c) in self.rest.char_indices() {
            match c {
                '=' | ':' | '\n' => {
                    let key = self.rest[..at].trim_end().to_owned();
                    self.advance(at + 1);
                    self.skip(is_space);
                    return Ok((key, c != '\n'));
                }
                '_' | '.' | '-' | '[' | ']' => {}
                c if is_space(c) || c.is_alphanumeric() => {}
                c => {
                    let line = self.rest.lines().next().unwrap_or_default();
                    return Err(self.error(format!("unexpected character `{c}` in the variable name near `{line}`")));
                }
            }
        }
        // The last line, without an end, has no value: Compose takes no notice of it.
        self.advance(self.rest.len());
        Ok((String::new(), false))
    }

    fn value(&mut self, variables: &Variables, lookup: &Lookup<'_>) -> Result<String, DotenvError> {
        let quote = self.rest.bytes().next().filter(|b| matches!(b, b'"' | b'\''));
        let Some(quote) = quote else {
            let line = self.line;
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            let text = self.advance(end);
            let text = text.split_once(" #").map_or(text, |(text, _)| text).trim_end();
            return expand(text, variables, lookup).map_err(|message| DotenvError { line, message });
        };
        let (mut text, mut escaped) = (Vec::new(), false);
        for (at, byte) in self.rest.bytes().enumerate().skip(1) {
            if byte == quote && !escaped {
                let text = String::from_utf8_lossy(&text).into_owned();
                self.advance(at + 1);
                return if quote == b'"' {
                    expand(&unescape(&text), variables, lookup).map_err(|message| self.error(message))
                } else {
                    Ok(text)
                };
            }
            if byte != quote && !escaped && byte == b'\\' {
                escaped = true;
                continue;
            }
            if escaped && byte != quote {
                text.push(b'\\');
            }
            escaped = false;
            text.push(byte);
        }
        let line = self.rest.lines().next().unwrap_or_default();
        Err(self.error(format!("a quote is opened and not closed: {line}")))
    }
}

fn expand(text: &str, variables: &Variables, lookup: &Lookup<'_>) -> Result<String, String> {
    let lookup = |name: &str| lookup(name).or_else(|| variables.get(name).cloned());
    substitute(text, &lookup, &mut Vec::new()).map_err(|e| e.to_string())
}

/// Escapes of double-quoted values: `\n` and its like, `\$`, `\"`, `\\`, and octal ones with a leading 0.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(c) = rest.chars().next() else {
            out.push('\\');
            break;
        };
        let known = match c {
            'a' => Some("\u{7}"),
            'b' => Some("\u{8}"),
            'f' => Some("\u{c}"),
            'n' => Some("\n"),
            'r' => Some("\r"),
            't' => Some("\t"),
            'v' => Some("\u{b}"),
            '"' => Some("\""),
            '\\' => Some("\\"),
            // A dollar sign that is not to be expanded.
            '$' => Some("$$"),
            _ => None,
        };
        if let Some(known) = known {
            out.push_str(known);
            rest = &rest[1..];
            continue;
        }
        let octal: String = rest.chars().skip(1).take(3).take_while(char::is_ascii_digit).collect();
        let code = u8::from_str_radix(&octal, 8).ok().filter(|_| c == '0' && octal.len() == 3);
        match code {
            Some(code) => {
                out.push(char::from(code));
                rest = &rest[4..];
            }
            None => out.push('\\'),
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        let outer = |name: &str| (name == "OUT").then(|| "out".to_owned());
        let mut variables = Variables::new();
        parse(text, &mut variables, &outer).map_err(|e| format!("{}: {}", e.line, e.message))?;
        Ok(variables.into_iter().collect())
    }

    fn one(text: &str) -> String {
        read(text).unwrap().into_iter().next().map(|(_, value)| value).unwrap_or_default()
    }

    #[test]
    fn values_are_read_as_compose_does() {
        for (text, value) in [
            ("A=b", "b"),
            ("A = b ", "b"),
            ("A: b", "b"),
            ("export A=b", "b"),
            ("A=b # c", "b"),
            ("A=b#c", "b#c"),
            ("A='$OUT # x'", "$OUT # x"),
            ("A=\"$OUT # x\"", "out # x"),
            ("A=\"a\\nb\"", "a\nb"),
            ("A='a\\nb'", "a\\nb"),
            ("A=\"\\$OUT\"", "$OUT"),
            ("A=\"two\nlines\"", "two\nlines"),
            ("A=${X:-d}", "d"),
            ("A=\"\\0101\"", "A"),
            ("A='it\\'s'", "it's"),
            ("A=", ""),
            ("\u{feff}A=b", "b"),
            ("A=b\r\n", "b"),
        ] {
            assert_eq!(one(text), value, "{text}");
        }
    }

    #[test]
    fn earlier_lines_and_bare_keys_are_looked_up() {
        assert_eq!(read("A=1\nB=$A$OUT\n").unwrap()[1].1, "1out");
        assert_eq!(read("OUT\nNONE\nB=1\n").unwrap(), [("B".into(), "1".into()), ("OUT".into(), "out".into())]);
    }

    #[test]
    fn mistakes_have_their_line() {
        assert!(read("A=1\n\nB C=2\n").unwrap_err().starts_with("3:"));
        assert!(read("A=1\nB=\"x\n").unwrap_err().starts_with("2:"));
        assert!(read("# x\n!=1\n").unwrap_err().starts_with("2:"));
    }

    #[test]
    fn raw_values_stay_as_they_are() {
        let mut variables = Variables::new();
        parse_raw("# c\n A=\"$X\" # y\nB\n", &mut variables, &|_| None).unwrap();
        assert_eq!(variables.into_iter().collect::<Vec<_>>(), [("A".to_owned(), "\"$X\" # y".to_owned())]);
        assert!(parse_raw("=1", &mut Variables::new(), &|_| None).is_err());
        assert!(parse_raw("a b=1", &mut Variables::new(), &|_| None).is_err());
    }
}
