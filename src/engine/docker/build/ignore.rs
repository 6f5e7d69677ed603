//! `.dockerignore`: which files of a context are not sent.
//!
//! A pattern speaks of paths from the context's root: `*` and `?` do not cross a `/`, `**` does, `[a-z]` and `[^a-z]` are
//! one character, `\` takes the next one as it is. What is below a folder that matches is ignored too. The last pattern
//! that matches wins; one that begins with `!` takes back.

/// The patterns of a file, in order.
#[derive(Debug, Default)]
pub(super) struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    except: bool,
    pattern: Vec<Token>,
}

#[derive(Debug)]
enum Token {
    Literal(char),
    /// `?`
    One,
    /// `*`
    Many,
    /// `**/`: any number of folders, also none.
    Folders,
    /// `**` elsewhere.
    Anything,
    /// `[a-z]`; whether it is turned round, and its ranges.
    Class(bool, Vec<(char, char)>),
}

impl Ignore {
    /// Reads the file's text. Empty lines, and such that begin with `#`, say nothing.
    pub(super) fn parse(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text.lines().filter(|line| !line.starts_with('#')).map(str::trim);
        let rules = lines.filter_map(|line| {
            let (except, pattern) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest.trim()));
            let pattern = clean(pattern);
            (!pattern.is_empty()).then(|| Rule { except, pattern: tokens(&pattern) })
        });
        Self { rules: rules.collect() }
    }

    /// Whether a path, with `/` between its parts, is not sent.
    pub(super) fn ignores(&self, path: &str) -> bool {
        let path: Vec<char> = path.chars().collect();
        self.rules.iter().rev().find(|r| covers(&r.pattern, &path)).is_some_and(|r| !r.except)
    }

    /// Whether something below an ignored folder may be sent all the same.
    pub(super) fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|r| r.except)
    }
}

/// Without empty parts, `.` and `..`, and without a `/` at either end.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if pattern.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn tokens(pattern: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        tokens.push(match c {
            '*' if rest.next_if_eq(&'*').is_some() => {
                if rest.next_if_eq(&'/').is_some() {
                    Token::Folders
                } else {
                    Token::Anything
                }
            }
            '*' => Token::Many,
            '?' => Token::One,
            '\\' => Token::Literal(rest.next().unwrap_or('\\')),
            '[' => class(&mut rest),
            c => Token::Literal(c),
        });
    }
    tokens
}

fn class(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Token {
    let turned = rest.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    while let Some(c) = rest.next().filter(|c| *c != ']') {
        let first = if c == '\\' { rest.next().unwrap_or(c) } else { c };
        let last = match rest.next_if_eq(&'-') {
            Some(_) => rest.next().unwrap_or(first),
            None => first,
        };
        ranges.push((first, last));
    }
    Token::Class(turned, ranges)
}

/// Whether a pattern matches a path, or a folder that it is in. All ends that the pattern can reach are followed at
/// once, so that no pattern takes long.
fn covers(pattern: &[Token], path: &[char]) -> bool {
    let mut reached = vec![false; path.len() + 1];
    reached[0] = true;
    for token in pattern {
        let mut next = vec![false; path.len() + 1];
        for from in (0..=path.len()).filter(|at| reached[*at]) {
            match token {
                Token::Many | Token::Anything => {
                    let far = |c: &&char| matches!(token, Token::Anything) || **c != '/';
                    let length = path[from..].iter().take_while(far).count();
                    next[from..=from + length].fill(true);
                }
                Token::Folders => {
                    next[from] = true;
                    for to in (from + 1..=path.len()).filter(|to| path[to - 1] == '/') {
                        next[to] = true;
                    }
                }
                Token::Literal(_) | Token::One | Token::Class(..) => {
                    if path.get(from).is_some_and(|c| fits(token, *c)) {
                        next[from + 1] = true;
                    }
                }
            }
        }
        reached = next;
    }
    reached[path.len()] || (0..path.len()).any(|at| reached[at] && path[at] == '/')
}

fn fits(token: &Token, c: char) -> bool {
    match token {
        Token::Literal(wanted) => c == *wanted,
        Token::Class(turned, ranges) => ranges.iter().any(|(first, last)| (*first..=*last).contains(&c)) != *turned,
        _ => c != '/',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, ignored: &[&str], sent: &[&str]) {
        let ignore = Ignore::parse(text);
        for path in ignored {
            assert!(ignore.ignores(path), "{path} is not ignored by {text:?}");
        }
        for path in sent {
            assert!(!ignore.ignores(path), "{path} is ignored by {text:?}");
        }
    }

    #[test]
    fn a_name_is_a_path_from_the_root_and_all_below_it() {
        check("target", &["target", "target/a", "target/a/b"], &["src/target", "targets"]);
        check("/target/", &["target", "target/a"], &["src/target"]);
        check("a/../b/./c", &["b/c"], &["a", "b"]);
    }

    #[test]
    fn a_star_and_a_question_mark_stay_within_a_folder() {
        check("*.log", &["a.log", ".log"], &["b/a.log", "a.logs"]);
        check("*/temp*", &["a/temp", "a/temporary.txt", "a/temp/b"], &["temp", "a/b/temp"]);
        check("te?t", &["test", "text"], &["tet", "te/t"]);
    }

    #[test]
    fn two_stars_cross_folders() {
        check("**/*.o", &["a.o", "b/a.o", "b/c/a.o"], &["a.oo"]);
        check("a/**", &["a/b", "a/b/c"], &["a", "b"]);
        check("a/**/z", &["a/z", "a/b/z", "a/b/c/z"], &["a/bz", "z"]);
        check("**", &["a", "a/b"], &[]);
    }

    #[test]
    fn the_last_pattern_that_matches_wins() {
        check("*.md\n!README.md", &["a.md"], &["README.md"]);
        check("!README.md\n*.md", &["README.md"], &[]);
        check("docs\n!docs/keep\ndocs/keep/not", &["docs/a", "docs/keep/not"], &["docs/keep", "docs/keep/b"]);
    }

    #[test]
    fn comments_empty_lines_and_blanks_around_a_pattern_say_nothing() {
        check("\u{feff}# all\n\n  a  \n!  b \r\n!\n/\n.\n", &["a"], &["b", "# all", "c"]);
    }

    #[test]
    fn classes_and_escapes() {
        check("[a-c]x\n[^a-c]y\n\\*\n[\\]]", &["ax", "cx", "dy", "*", "]"], &["dx", "ay", "z"]);
    }

    #[test]
    fn many_stars_take_no_time() {
        let text = "*a".repeat(40);
        check(&text, &[], &["b".repeat(4_000).as_str()]);
    }
}
