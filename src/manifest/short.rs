//! Short forms of ports and mounts, spread out into the long ones.

use super::document::{Entry, Map, Node, Span, Value};

fn entry(map: &mut Map, key: &str, value: Value, span: Span) {
    map.insert(key.to_owned(), Entry { key: span, node: Node::new(value, span) });
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (low.parse().ok()?, high.parse().ok()?);
    (low <= high && low > 0).then_some((low, high))
}

/// `[[ADDRESS:]PUBLISHED:]TARGET[/PROTOCOL]`; a range of targets is one port each.
pub(super) fn ports(text: &str, span: Span) -> Result<Vec<Node>, String> {
    let (rest, protocol) = text.rsplit_once('/').unwrap_or((text, "tcp"));
    if !matches!(protocol.to_lowercase().as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("`{text}`: the protocol is tcp, udp or sctp"));
    }
    let (rest, target) = rest.rsplit_once(':').map_or((None, rest), |(rest, target)| (Some(rest), target));
    let (address, published) = match rest {
        None => (None, ""),
        Some(rest) => match rest.rsplit_once(':') {
            Some((address, published)) => (Some(address), published),
            None => (None, rest),
        },
    };
    let address = address.map(|a| a.trim_start_matches('[').trim_end_matches(']')).filter(|a| !a.is_empty());
    if let Some(address) = address
        && address.parse::<std::net::IpAddr>().is_err()
    {
        return Err(format!("`{text}`: `{address}` is no IP address"));
    }
    let bad = |what: &str| format!("`{text}`: `{what}` is no port or range of ports (1 to 65535)");
    let (low, high) = range(target).ok_or_else(|| bad(target))?;
    let outside = if published.is_empty() { None } else { Some(range(published).ok_or_else(|| bad(published))?) };
    let count = high - low;
    if let Some((from, to)) = outside
        && to - from != count
        && count != 0
    {
        return Err(format!("`{text}`: the two ranges differ in length"));
    }
    Ok((0..=count)
        .map(|n| {
            let mut map = Map::new();
            entry(&mut map, "mode", Value::Text("ingress".into()), span);
            if let Some(address) = address {
                entry(&mut map, "host_ip", Value::Text(address.to_owned()), span);
            }
            entry(&mut map, "target", Value::Int(i64::from(low + n)), span);
            if let Some((from, to)) = outside {
                let published = if count == 0 && from != to { format!("{from}-{to}") } else { (from + n).to_string() };
                entry(&mut map, "published", Value::Text(published), span);
            }
            entry(&mut map, "protocol", Value::Text(protocol.to_lowercase()), span);
            Node::new(Value::Map(map), span)
        })
        .collect())
}

/// `[SOURCE:]TARGET[:OPTIONS]`.
pub(super) fn mount(text: &str, span: Span) -> Result<Node, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts[..] {
        [target] => (None, target, ""),
        [source, target] if target.starts_with('/') => (Some(source), target, ""),
        [target, options] if target.starts_with('/') => (None, target, options),
        [source, target, options] => (Some(source), target, options),
        _ => return Err(format!("`{text}` is not of the form [SOURCE:]TARGET[:OPTIONS]")),
    };
    if target.is_empty() || source == Some("") {
        return Err(format!("`{text}` has an empty part"));
    }
    let is_path = source.is_some_and(|s| s.starts_with(['.', '/', '~']));
    let mut map = Map::new();
    entry(&mut map, "type", Value::Text(if is_path { "bind" } else { "volume" }.into()), span);
    if let Some(source) = source {
        entry(&mut map, "source", Value::Text(source.to_owned()), span);
    }
    entry(&mut map, "target", Value::Text(target.to_owned()), span);
    let (mut bind, mut volume) = (Map::new(), Map::new());
    if is_path {
        entry(&mut bind, "create_host_path", Value::Bool(true), span);
    }
    for option in options.split(',').filter(|o| !o.is_empty()) {
        match option {
            "ro" => entry(&mut map, "read_only", Value::Bool(true), span),
            "rw" => {}
            "z" | "Z" => entry(&mut bind, "selinux", Value::Text(option.into()), span),
            "nocopy" => entry(&mut volume, "nocopy", Value::Bool(true), span),
            "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave" => {
                entry(&mut bind, "propagation", Value::Text(option.into()), span);
            }
            // What Compose does not know, it ignores; a typing mistake should not pass in silence here.
            other => return Err(format!("`{text}`: unknown option `{other}`")),
        }
    }
    if is_path {
        entry(&mut map, "bind", Value::Map(bind), span);
    } else {
        entry(&mut map, "volume", Value::Map(volume), span);
    }
    Ok(Node::new(Value::Map(map), span))
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
        for text in ["80:80-81", "0:80", "70000", "a:80", "1.2.3:80:80", "80/http", ""] {
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
        assert!(mount("a:/b:wat", Span::default()).is_err());
    }
}
