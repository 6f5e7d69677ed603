//! Durations and byte sizes as Compose writes them.

use std::time::Duration;

/// `1h30m`, `1.5s`, `500ms`, `1d`, `2w`; a sum of parts that is not negative.
pub fn duration(text: &str) -> Option<Duration> {
    go_parse(text.trim()).and_then(|nanos| u64::try_from(nanos).ok()).map(Duration::from_nanos)
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

/// A duration as Compose reads it, in nanoseconds: Go's, with days and weeks, and with a sign.
pub(super) fn go_parse(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let whole_end = digits(rest);
        let whole = &rest[..whole_end];
        rest = &rest[whole_end..];
        let mut fraction = "";
        if let Some(after) = rest.strip_prefix('.') {
            let end = digits(after);
            fraction = &after[..end];
            rest = &after[end..];
        }
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit: i64 = match &rest[..unit_end] {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            "w" => 604_800_000_000_000,
            _ => return None,
        };
        rest = &rest[unit_end..];
        let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        total = total.checked_add(whole.checked_mul(unit)?)?;
        if !fraction.is_empty() {
            #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
            let part = (format!("0.{fraction}").parse::<f64>().ok()? * unit as f64).round() as i64;
            total = total.checked_add(part)?;
        }
    }
    Some(if negative { -total } else { total })
}

/// Nanoseconds as Go prints a duration.
pub(super) fn go_print(nanos: i64) -> String {
    let text = go_duration(Duration::from_nanos(nanos.unsigned_abs()));
    if nanos < 0 { format!("-{text}") } else { text }
}

/// `64m`, `1.5g`, `1 kB`, `1024`: bytes, in units of 1024.
pub(super) fn bytes(text: &str) -> Option<i64> {
    let end = text.rfind(|c: char| c.is_ascii_digit() || matches!(c, '.' | ' '))?;
    let (number, unit) = (&text[..end + 1], text[end + 1..].to_lowercase());
    let number: f64 = number.strip_suffix(' ').unwrap_or(number).parse().ok()?;
    let factor: f64 = match unit.chars().next() {
        None | Some('b') if unit.len() <= 1 => 1.0,
        Some('k') => 1024.0,
        Some('m') => 1024.0 * 1024.0,
        Some('g') => 1024.0 * 1024.0 * 1024.0,
        Some('t') => 1024.0f64.powi(4),
        Some('p') => 1024.0f64.powi(5),
        _ => return None,
    };
    let unit_fits = matches!(unit.get(1..), None | Some("" | "b" | "ib"));
    #[allow(clippy::cast_possible_truncation)]
    (unit_fits && number >= 0.0).then_some((number * factor) as i64)
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
    fn durations_of_compose_have_signs_days_and_weeks() {
        for (text, printed) in
            [("1d", "24h0m0s"), ("1w", "168h0m0s"), ("1.5s", "1.5s"), ("-90s", "-1m30s"), ("+5m", "5m0s"), ("0", "0s")]
        {
            assert_eq!(go_parse(text).map(go_print).as_deref(), Some(printed), "{text}");
        }
        for text in ["", "5", "s", "1x", ".s", "1 s", "-"] {
            assert_eq!(go_parse(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_in_units_of_1024() {
        for (text, n) in [("1kB", 1024), ("1 g", 1 << 30), ("1.5g", 3 << 29), ("64M", 64 << 20), ("7", 7)] {
            assert_eq!(bytes(text), Some(n), "{text}");
        }
        assert_eq!(bytes("much"), None);
        for text in ["1x", "-1", "1kbb", "1mi", ""] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
