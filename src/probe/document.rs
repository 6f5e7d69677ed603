//! The standard health document: `{"status": "healthy", "dependencies": {"db": "healthy"}}`. Whatever else an answer is,
//! is no such document and says nothing.

use std::collections::BTreeMap;

use serde_json::Value;

/// What a service says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document {
    /// `status`, in lower case.
    pub status: Option<String>,
    /// `dependencies`, with the status of each in lower case.
    pub dependencies: BTreeMap<String, String>,
}

/// Words for what works, though not as it should.
const DEGRADED: [&str; 4] = ["degraded", "warn", "warning", "partial"];
/// Words for what does not work.
const DOWN: [&str; 6] = ["down", "unhealthy", "fail", "failed", "error", "critical"];

impl Document {
    /// Reads an answer's body.
    pub fn parse(body: &[u8]) -> Self {
        let Ok(Value::Object(body)) = serde_json::from_slice(body) else { return Self::default() };
        let word = |value: &Value| {
            let text = value.as_str().or_else(|| value.get("status")?.as_str())?;
            Some(text.to_lowercase())
        };
        let dependencies = body.get("dependencies").and_then(Value::as_object);
        Self {
            status: body.get("status").and_then(word),
            dependencies: dependencies
                .into_iter()
                .flatten()
                .filter_map(|(name, value)| Some((name.clone(), word(value)?)))
                .collect(),
        }
    }

    /// The service says that it does not work.
    pub fn is_down(&self) -> bool {
        self.status.as_deref().is_some_and(|status| DOWN.contains(&status))
    }

    /// What is not as it should be, in words: a degraded dependency, or one that is down.
    pub fn complaints(&self) -> Vec<String> {
        let dependencies = self.dependencies.iter().filter_map(|(name, status)| match status.as_str() {
            status if DEGRADED.contains(&status) => Some(format!("{name} is degraded")),
            status if DOWN.contains(&status) => Some(format!("{name} is down")),
            _ => None,
        });
        let mut complaints: Vec<String> = dependencies.collect();
        if complaints.is_empty() && self.status.as_deref().is_some_and(|status| DEGRADED.contains(&status)) {
            complaints.push("it says that it is degraded".to_owned());
        }
        complaints
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_that_is_not_well_is_named_and_what_is_no_document_says_nothing() {
        let document =
            Document::parse(br#"{"status":"Degraded","dependencies":{"db":"down","mail":{"status":"healthy"}}}"#);
        assert_eq!(document.complaints(), ["db is down"]);
        assert!(!document.is_down());
        assert!(Document::parse(br#"{"status":"DOWN"}"#).is_down());
        assert_eq!(Document::parse(br#"{"status":"degraded"}"#).complaints(), ["it says that it is degraded"]);
        for body in [&b"OK"[..], b"", b"[1]", br#"{"status":{"a":1},"dependencies":"none"}"#, b"\xff\xfe"] {
            assert_eq!(Document::parse(body), Document::default());
        }
    }
}
