//! Text to trees: one for each document of the file, aliases and merge keys resolved, scalars typed as go-yaml does.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle};

use crate::manifest::diagnostic::Report;
use crate::manifest::document::{Entry, FileId, Map, Node, Span, Tag, Value};

/// What YAML's own tags begin with.
const YAML_TAGS: &str = "tag:yaml.org,2002:";
/// Nesting beyond this is refused. Compose files need about ten levels.
const MAX_DEPTH: usize = 100;
/// Values after resolving aliases beyond this are refused: a bomb of aliases grows without end.
const MAX_VALUES: usize = 500_000;

/// Reads all documents of a file. Mistakes go to the report; `None` when the text is no YAML at all.
pub fn parse(text: &str, file: FileId, report: &mut Report) -> Option<Vec<Node>> {
    let mut builder = Builder {
        report,
        stack: Vec::new(),
        anchors: HashMap::default(),
        documents: Vec::new(),
        values: 0,
        text_lines: text.lines().count(),
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let length = text.chars().count();
    let open_end = text.lines().next_back().is_some_and(|line| !line.trim().is_empty()) && !text.ends_with('\n');
    for event in Parser::new_from_str(text) {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                let marker = error.marker();
                let line = marker.line().clamp(1, builder.text_lines.max(1));
                let span = Span { file, line: small(line), col: small(marker.col()), len: 1 };
                builder.report.error(span, "yaml", format!("not valid YAML: {}", error.info()));
                return None;
            }
        };
        let width =
            if span.start.line() == span.end.line() { span.end.col().saturating_sub(span.start.col()) } else { 0 };
        let place =
            Span { file, line: small(span.start.line()), col: small(span.start.col()), len: small(width.max(1)) };
        let event = if open_end && span.end.index() >= length { without_added_end(event) } else { event };
        builder.event(event, place)?;
    }
    Some(builder.documents)
}

/// A block that the end of the file ends has no line break that is not there.
fn without_added_end(event: Event<'_>) -> Event<'_> {
    match event {
        Event::Scalar(text, style @ (ScalarStyle::Literal | ScalarStyle::Folded), anchor, tag) => {
            let text = match text.strip_suffix('\n') {
                Some(text) => text.to_owned().into(),
                None => text,
            };
            Event::Scalar(text, style, anchor, tag)
        }
        event => event,
    }
}

fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// A collection that is being read.
struct Open {
    span: Span,
    anchor: usize,
    tag: Option<Tag>,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { map: Map, key: Option<(String, Span, bool)>, merges: Vec<Node> },
}

struct Builder<'r> {
    report: &'r mut Report,
    stack: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    documents: Vec<Node>,
    values: usize,
    text_lines: usize,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let known = tag.as_ref().and_then(|t| t.suffix_in_namespace(YAML_TAGS));
                let own = tag.as_ref().and_then(|t| self.own_tag(&t.original(), span, known.is_some()));
                let value = match (style, known.as_deref()) {
                    (ScalarStyle::Plain, None) if tag.is_none() => scalar(&text),
                    (_, Some("int" | "float" | "bool" | "null" | "timestamp" | "merge")) => scalar(&text),
                    // What a tag of its own stands before is text.
                    _ => Value::Text(text.into_owned()),
                };
                let plain = style == ScalarStyle::Plain;
                self.value(Node { value, span, tag: own }, anchor, plain)
            }
            Event::SequenceStart(_, anchor, tag) => self.open(anchor, tag.as_deref(), span, Content::List(Vec::new())),
            Event::MappingStart(_, anchor, tag) => self.open(
                anchor,
                tag.as_deref(),
                span,
                Content::Map { map: Map::default(), key: None, merges: Vec::new() },
            ),
            Event::SequenceEnd | Event::MappingEnd => {
                let open = self.stack.pop()?;
                let value = match open.content {
                    Content::List(list) => Value::List(list),
                    Content::Map { map, merges, .. } => Value::Map(self.merged(map, merges)),
                };
                self.value(Node { value, span: open.span, tag: open.tag }, open.anchor, false)
            }
            Event::Alias(anchor) => {
                let Some((mut node, size)) = self.anchors.get(&anchor).cloned() else {
                    self.report.error(span, "yaml", "an alias to an anchor that contains it");
                    return None;
                };
                self.count(size, span)?;
                if self.stack.len() + depth(&node) > MAX_DEPTH {
                    self.report.error(span, "too-deep", format!("nested deeper than {MAX_DEPTH} levels"));
                    return None;
                }
                // A mistake in what an alias stands for is shown where the alias stands only if it is a scalar.
                if !matches!(node.value, Value::List(_) | Value::Map(_)) {
                    node.span = span;
                }
                self.place(node, true)
            }
            _ => Some(()),
        }
    }

    fn own_tag(&mut self, tag: &str, span: Span, known: bool) -> Option<Tag> {
        match tag {
            "!reset" => Some(Tag::Reset),
            "!override" => Some(Tag::Override),
            "!" => None,
            _ if known => None,
            other => {
                self.report.warning(span, "yaml-tag", format!("the tag `{other}` is ignored")).help =
                    Some("Compose knows `!reset` and `!override`".into());
                None
            }
        }
    }

    fn open(&mut self, anchor: usize, tag: Option<&granit_parser::Tag>, span: Span, content: Content) -> Option<()> {
        if self.stack.len() >= MAX_DEPTH {
            self.report.error(span, "too-deep", format!("nested deeper than {MAX_DEPTH} levels"));
            return None;
        }
        let known = tag.is_some_and(|t| t.suffix_in_namespace(YAML_TAGS).is_some());
        let tag = tag.map(granit_parser::Tag::original).and_then(|t| self.own_tag(&t, span, known));
        self.stack.push(Open { span, anchor, tag, content });
        Some(())
    }

    fn count(&mut self, values: usize, span: Span) -> Option<()> {
        self.values += values;
        if self.values > MAX_VALUES {
            self.report.error(span, "too-large", format!("more than {MAX_VALUES} values once aliases are resolved"));
            return None;
        }
        Some(())
    }

    /// A value that was read to its end.
    fn value(&mut self, node: Node, anchor: usize, plain: bool) -> Option<()> {
        self.count(1, node.span)?;
        if anchor > 0 {
            let size = size(&node);
            self.anchors.insert(anchor, (node.clone(), size));
        }
        self.place(node, plain)
    }

    /// Puts a value where it belongs: a key, a mapping's value, a list's element, a document.
    fn place(&mut self, node: Node, plain: bool) -> Option<()> {
        let Some(open) = self.stack.last_mut() else {
            self.documents.push(node);
            return Some(());
        };
        match &mut open.content {
            Content::List(list) => list.push(node),
            Content::Map { map, key, merges } => match key.take() {
                None => match &node.value {
                    Value::Text(text) => *key = Some((text.clone(), node.span, plain)),
                    _ => {
                        let message = format!("a key must be text, this is {}", node.kind());
                        let help = node.scalar().map(|text| format!("write it in quotes: \"{text}\""));
                        self.report.error(node.span, "yaml-key", message).help = help;
                        *key = Some((node.scalar()?, node.span, plain));
                    }
                },
                Some((name, span, true)) if name == "<<" => {
                    if !merges.is_empty() {
                        self.report.error(span, "duplicate-key", "the key `<<` stands here twice").help =
                            Some("write one `<<: [*a, *b]`".into());
                    }
                    merges.push(node);
                }
                Some((name, span, _)) => {
                    if let Some(first) = map.get(&name) {
                        let first = self.report.place(first.key);
                        let diagnostic =
                            self.report.error(span, "duplicate-key", format!("the key `{name}` stands here twice"));
                        diagnostic.related.push((first, "first here".into()));
                    } else {
                        map.insert(name, Entry { key: span, node });
                    }
                }
            },
        }
        Some(())
    }

    /// Adds what `<<` brings: keys of the mapping itself win, then earlier merges.
    fn merged(&mut self, mut map: Map, merges: Vec<Node>) -> Map {
        for merge in merges {
            let sources = match merge.value {
                Value::List(list) => list,
                _ => vec![merge],
            };
            for source in sources {
                match source.value {
                    Value::Map(other) => {
                        for (key, entry) in other {
                            map.entry(key).or_insert(entry);
                        }
                    }
                    _ => {
                        self.report.error(source.span, "merge-key", "`<<` takes a mapping or a list of mappings");
                    }
                }
            }
        }
        map
    }
}

/// The levels of lists and mappings of a value, which an alias adds to those around it.
fn depth(node: &Node) -> usize {
    match &node.value {
        Value::List(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Value::Map(map) => 1 + map.values().map(|e| depth(&e.node)).max().unwrap_or(0),
        _ => 0,
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::List(list) => list.iter().map(size).sum(),
        Value::Map(map) => map.values().map(|e| size(&e.node)).sum(),
        _ => 0,
    }
}

/// A plain scalar as go-yaml v3 reads it.
fn scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Value::Text(text.to_owned());
    }
    if let Some(date) = date(text) {
        return Value::Date(date);
    }
    number(text).unwrap_or_else(|| Value::Text(text.to_owned()))
}

/// `2006-1-2`, or the same with a time: Go prints it as RFC 3339.
fn date(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    if bytes.len() < 8 || bytes[4] != b'-' || !bytes[..4].iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (day, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some((&text[at..=at], &text[at + 1..]))),
        None => (text, None),
    };
    let number = |part: &str, most: usize| {
        let fits = (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| part.parse::<i8>().ok()).flatten()
    };
    let mut parts = day[5..].split('-');
    let (month, dom) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    if parts.next().is_some() {
        return None;
    }
    let year = day[..4].parse().ok()?;
    let date = jiff::civil::Date::new(year, month, dom).ok()?;
    let Some((separator, time)) = time else { return Some(format!("{date}T00:00:00Z")) };
    let zone_at = time.find(['Z', '+', '-']);
    let (clock, zone) = time.split_at(zone_at.unwrap_or(time.len()));
    // With a space there is no zone, with a `T` there is one.
    if (separator == " ") != zone.is_empty() {
        return None;
    }
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = clock.split(':');
    let (hour, minute, second) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let valid = parts.next().is_none()
        && fraction.bytes().all(|b| b.is_ascii_digit())
        && jiff::civil::Time::new(hour, minute, second, 0).is_ok();
    let zone_valid = zone.is_empty()
        || zone == "Z"
        || (zone.len() == 6
            && zone.as_bytes()[3] == b':'
            && number(&zone[1..3], 2).and(number(&zone[4..], 2)).is_some());
    if !valid || !zone_valid {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let fraction = if fraction.is_empty() { String::new() } else { format!(".{fraction}") };
    let zone = if zone.is_empty() || zone == "+00:00" { "Z" } else { zone };
    Some(format!("{date}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}"))
}

fn number(text: &str) -> Option<Value> {
    let plain = text.replace('_', "");
    let (negative, digits) = match plain.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    if digits.starts_with(['+', '-'])
        || digits
            .get(..2)
            .filter(|p| ["0x", "0o", "0b"].contains(&p.to_ascii_lowercase().as_str()))
            .and_then(|_| digits.get(2..))
            .is_some_and(|d| d.starts_with(['+', '-']))
    {
        return None;
    }
    let lower = digits.to_ascii_lowercase();
    let whole = if let Some(hex) = lower.strip_prefix("0x") {
        i128::from_str_radix(hex, 16).ok()
    } else if let Some(octal) = lower.strip_prefix("0o") {
        i128::from_str_radix(octal, 8).ok()
    } else if let Some(binary) = lower.strip_prefix("0b") {
        i128::from_str_radix(binary, 2).ok()
    } else if digits.len() > 1 && digits.starts_with('0') && digits.chars().all(|c| c.is_ascii_digit()) {
        // Go reads a leading zero as octal; where a digit is none, the text is a float: `0089` is 89.
        i128::from_str_radix(digits, 8).ok()
    } else if digits.chars().all(|c| c.is_ascii_digit()) {
        digits.parse().ok()
    } else {
        None
    };
    let whole = whole.filter(|_| !digits.is_empty()).map(|n| if negative { -n } else { n });
    if let Some(n) = whole.filter(|n| (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(n)) {
        return Some(Value::Int(n));
    }
    let mut parts = digits.splitn(2, ['e', 'E']);
    let mantissa = parts.next()?;
    let mantissa_ok = mantissa.chars().all(|c| c.is_ascii_digit() || c == '.')
        && mantissa.matches('.').count() <= 1
        && mantissa.chars().any(|c| c.is_ascii_digit());
    let exponent_ok = parts.next().is_none_or(|e| {
        let e = e.strip_prefix(['+', '-']).unwrap_or(e);
        !e.is_empty() && e.chars().all(|c| c.is_ascii_digit())
    });
    if !mantissa_ok || !exponent_ok {
        return None;
    }
    plain.strip_prefix('+').unwrap_or(&plain).parse().ok().map(Value::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<Vec<Node>>, Vec<String>) {
        let mut report = Report::default();
        let file = report.add_file(std::path::Path::new("f.yaml"), text.into());
        let documents = parse(text, file, &mut report);
        (documents, report.finish().iter().map(ToString::to_string).collect())
    }

    fn one(text: &str) -> Node {
        read(text).0.unwrap().remove(0)
    }

    #[test]
    fn scalars_are_read_as_go_does() {
        for (text, printed) in [
            ("1.0", "1"),
            ("3.10", "3.1"),
            ("0644", "420"),
            ("0089", "89"),
            ("1_000", "1000"),
            ("0x10", "16"),
            ("yes", "yes"),
            ("1.2.3", "1.2.3"),
            ("-", "-"),
            ("12e", "12e"),
        ] {
            let node = scalar(text);
            assert_eq!(Node::new(node, Span::default()).scalar().unwrap(), printed, "{text}");
        }
    }

    #[test]
    fn merge_keys_are_recursive_and_own_keys_win() {
        let node = one("a: &a {x: 1, y: 1}\nb: &b {<<: *a, y: 2}\nc: {<<: [*b, {z: 3}], x: 9}\n");
        let c = node.get("c").unwrap();
        for (key, n) in [("x", "9"), ("y", "2"), ("z", "3")] {
            assert_eq!(c.get(key).unwrap().scalar().unwrap(), n);
        }
    }

    #[test]
    fn a_duplicate_key_is_an_error_with_both_places() {
        let mut report = Report::default();
        let text = "a: 1\nb: 2\na: 3\n";
        let file = report.add_file(std::path::Path::new("f.yaml"), text.into());
        parse(text, file, &mut report);
        let found = report.finish();
        assert_eq!(found[0].to_string(), "f.yaml:3:1: error: the key `a` stands here twice");
        assert_eq!(found[0].related[0].0.line, 1);
    }

    #[test]
    fn an_alias_bomb_and_deep_nesting_are_refused() {
        let mut bomb = "a0: &a0 [1,1,1,1,1,1,1,1,1]\n".to_owned();
        for n in 1..10 {
            let list = vec![format!("*a{}", n - 1); 9].join(",");
            bomb.push_str(&format!("a{n}: &a{n} [{list}]\n"));
        }
        assert!(read(&bomb).1[0].contains("aliases"));
        assert!(!read(&"[".repeat(100_000)).1.is_empty());
    }

    #[test]
    fn a_yaml_error_has_its_place() {
        let (documents, found) = read("a: 1\n b: [1,\nc: 2\n");
        assert!(documents.is_none() && found[0].starts_with("f.yaml:"), "{found:?}");
    }
}
