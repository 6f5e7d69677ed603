//! Words of a command that is written as text.
//!
//! Not the `shell-words` crate: Compose splits by rules of its own, in which an unquoted `;`, `&`, `|`, `<` or `>` ends
//! the command, and these rules decide what runs.

/// Splits a command; `None`: a quote or bracket is opened and not closed.
pub(in crate::manifest) fn split(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut there = false;
    let (mut escaped, mut double, mut single, mut back, mut dollar) = (false, false, false, false, false);
    for c in text.chars() {
        if escaped {
            word.push(c);
            (escaped, there) = (false, true);
            continue;
        }
        if c == '\\' {
            if single {
                word.push(c);
            } else {
                escaped = true;
            }
            continue;
        }
        if matches!(c, ' ' | '\t' | '\r' | '\n') {
            if single || double || back || dollar {
                word.push(c);
            } else if there {
                words.push(std::mem::take(&mut word));
                there = false;
            }
            continue;
        }
        match c {
            '`' if !single && !double && !dollar => back = !back,
            ')' if !single && !double && !back => dollar = !dollar,
            '(' if !single && !double && !back => {
                if dollar || !word.ends_with('$') {
                    return None;
                }
                dollar = true;
                word.push('(');
                continue;
            }
            '"' if !single && !dollar => {
                there |= double;
                double = !double;
                continue;
            }
            '\'' if !double && !dollar => {
                there |= single;
                single = !single;
                continue;
            }
            ';' | '&' | '|' | '<' | '>' if !(single || double || back || dollar) => {
                // `2>`: the number belongs to what is cut off.
                if c == '>' && word.starts_with(|c: char| c.is_ascii_digit()) {
                    there = false;
                }
                break;
            }
            _ => {}
        }
        there = true;
        word.push(c);
    }
    if there {
        words.push(word);
    }
    (!escaped && !single && !double && !back && !dollar).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn words_are_split_as_compose_does() {
        for (text, words) in [
            ("", vec![]),
            ("a  b", vec!["a", "b"]),
            ("sh -c 'echo \"x y\"'", vec!["sh", "-c", "echo \"x y\""]),
            ("a \"\" b", vec!["a", "", "b"]),
            ("a\\ b c", vec!["a b", "c"]),
            ("run --x=1 && other", vec!["run", "--x=1"]),
            ("run 2>&1", vec!["run"]),
            ("echo $(date +%s) x", vec!["echo", "$(date +%s)", "x"]),
        ] {
            assert_eq!(split(text).unwrap(), words, "{text}");
        }
        for text in ["'a", "a \"b", "a\\", "(x)", "a )"] {
            assert_eq!(split(text), None, "{text}");
        }
    }
}
