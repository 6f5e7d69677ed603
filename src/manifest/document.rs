//! A YAML document as a tree in which every value knows its place.

use indexmap::IndexMap;

/// Which file of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FileId(pub u32);

/// A place in a file: line from 1, column from 0, both in characters, and how many characters of that line it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// The file, as the report numbers them.
    pub file: FileId,
    /// From 1.
    pub line: u32,
    /// From 0.
    pub col: u32,
    /// Characters on that line; at least 1.
    pub len: u32,
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What is written there.
    pub value: Value,
    /// Where it is written.
    pub span: Span,
    /// `!reset` or `!override`.
    pub tag: Option<Tag>,
}

/// Compose's own tags, which say how a value merges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// What earlier files say is dropped.
    Reset,
    /// This stands in place of what earlier files say.
    Override,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number; YAML's go up to that of 64 bits, with and without a sign.
    Int(i128),
    /// A number that is no whole one, or does not fit.
    Float(f64),
    /// A date, which YAML tells from text, as RFC 3339 has it.
    Date(String),
    /// A scalar that is text, quoted or not.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Map),
}

/// A mapping.
pub type Map = IndexMap<String, Entry, foldhash::fast::RandomState>;

/// One entry of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The place of the key.
    pub key: Span,
    /// What stands under the key.
    pub node: Node,
}

impl Node {
    /// A value that a rule put there, at the place that made it do so.
    pub fn new(value: Value, span: Span) -> Self {
        Self { value, span, tag: None }
    }

    /// A text that a rule put there.
    pub fn text(text: impl Into<String>, span: Span) -> Self {
        Self::new(Value::Text(text.into()), span)
    }

    /// What kind of value it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Date(_) => "a date",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// Text as it is written.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The mapping, if it is one.
    pub fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The mapping, if it is one.
    pub fn as_map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The elements, if it is a list.
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// The elements, if it is a list.
    pub fn as_list_mut(&mut self) -> Option<&mut Vec<Node>> {
        match &mut self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// The value under a key.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        Some(&mut self.as_map_mut()?.get_mut(key)?.node)
    }

    /// Puts a value that a rule makes under a key, at this value's own place; what stood there goes.
    pub fn set(&mut self, key: &str, value: Value) {
        let span = self.span;
        if let Some(map) = self.as_map_mut() {
            map.insert(key.to_owned(), Entry { key: span, node: Node::new(value, span) });
        }
    }

    /// Whether it is true.
    pub fn is_true(&self) -> bool {
        self.value == Value::Bool(true)
    }

    /// A whole number.
    pub fn as_int(&self) -> Option<i64> {
        match self.value {
            Value::Int(n) => i64::try_from(n).ok(),
            _ => None,
        }
    }

    /// Whether two values are equal wherever they stand.
    pub fn same(&self, other: &Node) -> bool {
        match (&self.value, &other.value) {
            (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b)),
            (Value::Map(a), Value::Map(b)) => {
                a.len() == b.len() && a.iter().all(|(k, e)| b.get(k).is_some_and(|o| e.node.same(&o.node)))
            }
            #[allow(clippy::cast_precision_loss)]
            (Value::Int(n), Value::Float(x)) | (Value::Float(x), Value::Int(n)) => *n as f64 == *x,
            (a, b) => a == b,
        }
    }

    /// The value under a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        Some(&self.as_map()?.get(key)?.node)
    }

    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// A scalar as text, as Go prints it; `None` for null, lists and mappings.
    pub fn scalar(&self) -> Option<String> {
        match &self.value {
            Value::Bool(b) => Some(b.to_string()),
            Value::Int(n) => Some(n.to_string()),
            Value::Float(x) => Some(go_float(*x)),
            Value::Text(text) | Value::Date(text) => Some(text.clone()),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }
}

/// A value as Go's `fmt.Sprint` prints it: `map[a:1 b:2]`, `[x y]`, `<nil>`.
pub fn go_sprint(node: &Node) -> String {
    match &node.value {
        Value::Null => "<nil>".into(),
        Value::List(list) => format!("[{}]", list.iter().map(go_sprint).collect::<Vec<_>>().join(" ")),
        Value::Map(map) => {
            let mut entries: Vec<_> = map.iter().map(|(k, e)| (k, go_sprint(&e.node))).collect();
            entries.sort();
            let entries: Vec<_> = entries.into_iter().map(|(k, v)| format!("{k}:{v}")).collect();
            format!("map[{}]", entries.join(" "))
        }
        _ => node.scalar().unwrap_or_default(),
    }
}

/// A float as Go's `strconv.FormatFloat(x, 'g', -1, 64)` prints it: `1.0` is "1", `12345678.9` is "1.23456789e+07".
pub fn go_float(x: f64) -> String {
    if x.is_nan() {
        return "NaN".into();
    }
    if x.is_infinite() {
        return if x > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    if x == 0.0 {
        return "0".into();
    }
    let scientific = format!("{x:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..6).contains(&exponent) {
        return format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
    }
    format!("{x}")
}

#[cfg(test)]
mod tests {
    use super::go_float;

    #[test]
    fn floats_print_as_in_go() {
        for (x, text) in [
            (1.0, "1"),
            (3.10, "3.1"),
            (12_345_678.9, "1.23456789e+07"),
            (0.00001, "1e-05"),
            (0.5, "0.5"),
            (1e6, "1e+06"),
        ] {
            assert_eq!(go_float(x), text);
        }
    }
}
