//! Durations and byte sizes as Compose writes them.

use std::time::Duration;

/// `1h30m`, `1.5s`, `500ms`, `1d`, `2w`; a sum of parts.
pub fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut seconds = 0.0f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..unit_end] {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            "w" => 604_800.0,
            _ => return None,
        };
        seconds += number * unit;
        rest = &rest[unit_end..];
    }
    Duration::try_from_secs_f64(seconds).ok()
}

/// A duration as Go prints it: `1m30s`, `1.5s`, `500ms`.
pub fn go_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let trim = |value: f64, unit: &str| {
        let text = format!("{value:.9}");
        format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
    };
    #[allow(clippy::cast_precision_loss)]
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => trim(nanos as f64 / 1e3, "µs"),
        1_000_000..1_000_000_000 => trim(nanos as f64 / 1e6, "ms"),
        _ => {
            let whole = duration.as_secs();
            let (hours, minutes) = (whole / 3600, whole % 3600 / 60);
            let seconds = (whole % 60) as f64 + f64::from(duration.subsec_nanos()) / 1e9;
            let mut text = String::new();
            if hours > 0 {
                text.push_str(&format!("{hours}h"));
            }
            if hours > 0 || minutes > 0 {
                text.push_str(&format!("{minutes}m"));
            }
            text + &trim(seconds, "s")
        }
    }
}

/// `64m`, `1.5g`, `1 kB`, `1024`, `-1`: bytes, in units of 1024.
pub(super) fn bytes(text: &str) -> Option<i64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '-' | '+')).unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    let unit = text[end..].trim().to_lowercase();
    let factor: f64 = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" => 1.0,
        "k" => 1024.0,
        "m" => 1024.0 * 1024.0,
        "g" => 1024.0 * 1024.0 * 1024.0,
        "t" => 1024.0f64.powi(4),
        "p" => 1024.0f64.powi(5),
        _ => return None,
    };
    #[allow(clippy::cast_possible_truncation)]
    Some((number * factor) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_sums_of_parts() {
        for (text, millis) in [("1.5s", 1_500), ("1m30s", 90_000), ("500ms", 500), ("1d", 86_400_000), ("0", 0)] {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "1x", "abc", "-1s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn durations_print_as_in_go() {
        for (millis, text) in [(90_000, "1m30s"), (1_500, "1.5s"), (500, "500ms"), (3_600_000, "1h0m0s"), (0, "0s")] {
            assert_eq!(go_duration(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn sizes_are_in_units_of_1024() {
        for (text, n) in [("1kB", 1024), ("1 g", 1 << 30), ("1.5g", 3 << 29), ("-1", -1), ("64M", 64 << 20), ("7", 7)] {
            assert_eq!(bytes(text), Some(n), "{text}");
        }
        assert_eq!(bytes("much"), None);
        assert_eq!(bytes("1x"), None);
    }
}
