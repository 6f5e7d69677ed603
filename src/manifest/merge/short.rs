//! Short forms of ports and mounts, spread out into the long ones.

use crate::manifest::document::{Entry, Map, Node, Span, Value};
use crate::manifest::read::source::clean_text;

fn entry(map: &mut Map, key: &str, value: Value, span: Span) {
    map.insert(key.to_owned(), Entry { key: span, node: Node::new(value, span) });
}

fn range(text: &str) -> Option<(u16, u16)> {
    let mut parts = text.split('-');
    // A third part is not looked at, as in Docker.
    let (low, high) = (parts.next()?, parts.next());
    let port = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u16>().ok()).flatten();
    let low = port(low)?;
    let high = high.map_or(Some(low), port)?;
    (low <= high).then_some((low, high))
}

/// `[[ADDRESS:]PUBLISHED:]TARGET[/PROTOCOL]`; a range of targets is one port each, in the order of their digits.
pub(super) fn ports(text: &str, span: Span) -> Result<Vec<Node>, String> {
    let (rest, last) = text.rsplit_once(':').map_or((None, text), |(rest, last)| (Some(rest), last));
    let (address, published) = match rest {
        None => ("", ""),
        Some(rest) => rest.rsplit_once(':').unwrap_or(("", rest)),
    };
    let mut parts = last.split('/');
    let target = parts.next().unwrap_or_default();
    let protocol = parts.next().filter(|p| !p.is_empty()).unwrap_or("tcp").to_lowercase();
    let address = match address.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').ok_or_else(|| format!("`{text}`: `{address}` is no IP address"))?,
        None => address,
    };
    if !address.is_empty() && address.parse::<std::net::IpAddr>().is_err() {
        return Err(format!("`{text}`: `{address}` is no IP address"));
    }
    let bad = |what: &str| format!("`{text}`: `{what}` is no port or range of ports (0 to 65535)");
    let (low, high) = range(target).ok_or_else(|| bad(target))?;
    let outside = if published.is_empty() { None } else { Some(range(published).ok_or_else(|| bad(published))?) };
    let count = high - low;
    if let Some((from, to)) = outside
        && to - from != count
        && count != 0
    {
        return Err(format!("`{text}`: the two ranges differ in length"));
    }
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("`{text}`: the protocol is tcp, udp or sctp"));
    }
    let mut order: Vec<u16> = (0..=count).collect();
    order.sort_by_key(|n| (low + n).to_string());
    Ok(order
        .into_iter()
        .map(|n| {
            let mut map = Map::default();
            entry(&mut map, "mode", Value::Text("ingress".into()), span);
            if !address.is_empty() {
                entry(&mut map, "host_ip", Value::Text(address.to_owned()), span);
            }
            entry(&mut map, "target", Value::Int((low + n).into()), span);
            if let Some((from, to)) = outside {
                let published = if count == 0 && from != to { format!("{from}-{to}") } else { (from + n).to_string() };
                entry(&mut map, "published", Value::Text(published), span);
            }
            entry(&mut map, "protocol", Value::Text(protocol.clone()), span);
            Node::new(Value::Map(map), span)
        })
        .collect())
}

/// `[SOURCE:]TARGET[:OPTIONS]`. Options that Compose does not know it ignores.
pub(super) fn mount(text: &str, span: Span) -> Result<Node, String> {
    let mut parts = Vec::new();
    if text.is_empty() {
        return Err("a volume without source and target".into());
    }
    if text.len() <= 2 {
        parts.push(text);
    } else {
        let mut start = 0;
        for (at, _) in text.match_indices(':').chain([(text.len(), "")]) {
            let part = &text[start..at];
            // A letter alone is a drive.
            let mut chars = part.chars();
            if at < text.len() && chars.next().is_some_and(char::is_alphabetic) && chars.next().is_none() {
                continue;
            }
            if part.is_empty() {
                return Err(format!("`{text}` has an empty part"));
            }
            parts.push(part);
            start = at + 1;
        }
    }
    let (source, target, options) = match parts[..] {
        [target] => ("", target, ""),
        [source, target] => (source, target, ""),
        [source, target, options] => (source, target, options),
        _ => return Err(format!("`{text}` is not of the form [SOURCE:]TARGET[:OPTIONS]")),
    };
    let is_path = is_path(source);
    let mut map = Map::default();
    entry(&mut map, "type", Value::Text(if is_path { "bind" } else { "volume" }.into()), span);
    if !source.is_empty() {
        entry(&mut map, "source", Value::Text(source.to_owned()), span);
    }
    entry(&mut map, "target", Value::Text(clean_text(target)), span);
    let (mut bind, mut volume) = (Map::default(), Map::default());
    let mut read_only = false;
    for option in options.split(',') {
        match option {
            "ro" => read_only = true,
            "rw" => read_only = false,
            "z" | "Z" => entry(&mut bind, "selinux", Value::Text(option.into()), span),
            "nocopy" => entry(&mut volume, "nocopy", Value::Bool(true), span),
            "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave" => {
                entry(&mut bind, "propagation", Value::Text(option.into()), span);
            }
            _ => {}
        }
    }
    if read_only {
        entry(&mut map, "read_only", Value::Bool(true), span);
    }
    if is_path {
        entry(&mut bind, "create_host_path", Value::Bool(true), span);
    }
    if is_path || !bind.is_empty() {
        entry(&mut map, "bind", Value::Map(bind), span);
    }
    // A target of one or two characters is taken as it is.
    if text.len() > 2 && (!is_path || !volume.is_empty()) {
        entry(&mut map, "volume", Value::Map(volume), span);
    }
    Ok(Node::new(Value::Map(map), span))
}

/// The options of a short form that Compose ignores.
pub(super) fn unknown_options(text: &str) -> Vec<&str> {
    const KNOWN: [&str; 11] =
        ["ro", "rw", "z", "Z", "nocopy", "rprivate", "private", "rshared", "shared", "rslave", "slave"];
    let Some((rest, options)) = text.rsplit_once(':') else { return Vec::new() };
    if !rest.contains(':') {
        return Vec::new();
    }
    options.split(',').filter(|o| !KNOWN.contains(o)).collect()
}

/// Whether the source of a mount is a path and no name.
fn is_path(source: &str) -> bool {
    let mut chars = source.chars();
    source.starts_with(['.', '/', '~'])
        || source.starts_with("\\\\")
        || (chars.next().is_some_and(char::is_alphabetic) && chars.next() == Some(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(text: &str) -> Result<Vec<String>, String> {
        let fields = ["host_ip", "published", "target", "protocol"];
        Ok(ports(text, Span::default())?
            .iter()
            .map(|n| fields.map(|f| n.get(f).and_then(Node::scalar).unwrap_or_default()).join("|"))
            .collect())
    }

    #[test]
    fn ports_are_spread_out() {
        for (text, expected) in [
            ("80", vec!["||80|tcp"]),
            ("8080:80", vec!["|8080|80|tcp"]),
            ("127.0.0.1:8080:80/udp", vec!["127.0.0.1|8080|80|udp"]),
            ("8080-8081:80-81", vec!["|8080|80|tcp", "|8081|81|tcp"]),
            ("8080-8085:80", vec!["|8080-8085|80|tcp"]),
            ("[::1]:80:80", vec!["::1|80|80|tcp"]),
            ("::80", vec!["||80|tcp"]),
            (":80", vec!["||80|tcp"]),
        ] {
            assert_eq!(port(text).unwrap(), expected, "{text}");
        }
        assert_eq!(port("8-10").unwrap(), ["||10|tcp", "||8|tcp", "||9|tcp"]);
        assert_eq!(port("0:80").unwrap(), ["|0|80|tcp"]);
        for text in ["80:80-81", "70000", "a:80", "1.2.3:80:80", "80/http", ""] {
            assert!(port(text).is_err(), "{text}");
        }
    }

    #[test]
    fn mounts_are_told_apart() {
        let kind = |text: &str| {
            let node = mount(text, Span::default()).unwrap();
            ["type", "source", "target"].map(|f| node.get(f).and_then(Node::scalar).unwrap_or_default()).join("|")
        };
        assert_eq!(kind("data:/d:ro"), "volume|data|/d");
        assert_eq!(kind("./x:/d"), "bind|./x|/d");
        assert_eq!(kind("/d"), "volume||/d");
        assert_eq!(kind("a/b:/x"), "volume|a/b|/x");
        assert_eq!(kind("ab:/b:wat"), "volume|ab|/b");
        assert_eq!(unknown_options("ab:/b:wat,ro"), ["wat"]);
        assert_eq!(kind("v:/x"), "volume||v:/x");
        assert_eq!(kind("./x:/d/../e/"), "bind|./x|/e");
        for text in ["", "ab::/x", "ab:/b:ro:z"] {
            assert!(mount(text, Span::default()).is_err(), "{text}");
        }
    }
}
