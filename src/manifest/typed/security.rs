//! `security_opt`: options are passed on to the Engine, but for those that a client has to act on.

use std::path::Path;

use super::read::nodes;
use crate::manifest::diagnostic::Report;
use crate::manifest::document::Node;
use crate::manifest::read::source;

#[derive(Default)]
pub(super) struct Options {
    pub(super) passed_on: Vec<String>,
    pub(super) unconfined_paths: bool,
}

/// Reads the options. The Engine does not read profiles of seccomp: it is sent their content.
pub(super) fn options(service: &Node, working_dir: &Path, report: &mut Report) -> Options {
    let mut options = Options::default();
    for node in nodes(service, "security_opt") {
        let Some(option) = node.scalar() else { continue };
        if option == "systempaths=unconfined" {
            options.unconfined_paths = true;
            continue;
        }
        let pair = option.split_once('=').or_else(|| option.split_once(':'));
        match pair {
            None if option != "no-new-privileges" => {
                let message = format!("`{option}` is no security option: it needs the form KEY=VALUE");
                report.error(node.span, "wrong-value", message);
            }
            Some(("seccomp", path)) if !matches!(path, "unconfined" | "builtin") => {
                match profile(&working_dir.join(path)) {
                    Ok(json) => options.passed_on.push(format!("seccomp={json}")),
                    Err(error) => {
                        report.error(node.span, "unreadable", format!("the seccomp profile: {error}"));
                    }
                }
            }
            _ => options.passed_on.push(option),
        }
    }
    options
}

fn profile(path: &Path) -> Result<String, String> {
    let text = source::read(path).map_err(|e| e.to_string())?;
    serde_json::from_str::<serde::de::IgnoredAny>(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(compact(&text))
}

/// JSON without the blanks between its parts, all else as it is written.
fn compact(json: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    json.chars()
        .filter(|c| {
            let keep = quoted || !c.is_ascii_whitespace();
            if quoted {
                (quoted, escaped) = (*c != '"' || escaped, *c == '\\' && !escaped);
            } else {
                quoted = *c == '"';
            }
            keep
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::compact;

    #[test]
    fn only_blanks_between_the_parts_are_left_out() {
        assert_eq!(compact("{ \"a b\" : [1,\n 2, \"c \\\" d\\\\\" ] }\n"), r#"{"a b":[1,2,"c \" d\\"]}"#);
    }
}
