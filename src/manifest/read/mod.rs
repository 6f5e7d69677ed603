//! The first phase: files to trees.
//!
//! `source` finds and reads files, `parse` makes YAML into trees in which every value knows its place, `interpolate` puts
//! variables in, with what `cast` makes of them and what `dotenv` reads from env files.

pub(super) mod cast;
pub mod dotenv;
pub mod interpolate;
pub(super) mod parse;
pub mod source;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::diagnostic::{Diagnostic, Report};
use super::document::{FileId, Node, Span};
use interpolate::Variables;
use source::Stamp;

/// Reads the files of one manifest, and keeps what they were and what is wrong with them.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) report: Report,
    /// The files that were read or looked for.
    pub(super) inputs: Vec<Stamp>,
    /// Every text that was read.
    pub(super) content: String,
}

impl Reader {
    pub(super) fn read(&mut self, path: &Path) -> Result<Arc<str>, source::ReadError> {
        self.inputs.push(Stamp::of(path));
        let text = source::read(path)?;
        self.content.push_str(&text);
        self.content.push('\0');
        Ok(text)
    }

    /// Reads and parses files; `None`: it is no YAML.
    pub(super) fn texts(&mut self, files: &[PathBuf]) -> Vec<(PathBuf, Option<Vec<Node>>)> {
        files
            .iter()
            .map(|path| {
                let documents = match self.read(path) {
                    Ok(text) => self.documents(path, &text),
                    Err(error) => {
                        self.report.push(Diagnostic::file(path, "unreadable", error.to_string()));
                        None
                    }
                };
                (path.clone(), documents)
            })
            .collect()
    }

    pub(super) fn documents(&mut self, path: &Path, text: &Arc<str>) -> Option<Vec<Node>> {
        let file = self.report.add_file(path, Arc::clone(text));
        let documents = parse::parse(text, file, &mut self.report)?;
        if !documents.is_empty() && documents.iter().all(Node::is_null) {
            self.empty(path, file);
            return Some(Vec::new());
        }
        Some(documents)
    }

    pub(super) fn empty(&mut self, path: &Path, file: FileId) {
        let start = Span { file, line: 1, col: 0, len: 1 };
        let message = format!("{} is empty", path.file_name().unwrap_or_default().display());
        self.report.error(start, "empty", message).help = Some("a Compose file has at least `services:`".into());
    }

    /// Reads env files into one: later lines win, and `environment` is what they are expanded from first.
    pub(super) fn env_files(&mut self, files: &[PathBuf], required: bool, environment: &Variables) -> Variables {
        let mut found = Variables::new();
        for path in files {
            let text = match self.read(path) {
                Ok(text) => text,
                Err(error) if !required && (error.is_not_found() || error.is_folder()) => continue,
                Err(error) => {
                    self.report.push(Diagnostic::file(path, "unreadable", error.to_string()));
                    continue;
                }
            };
            if let Err(error) = dotenv::parse(&text, &mut found, &|name| environment.get(name).cloned()) {
                self.env_error(path, &text, &error);
            }
        }
        found
    }

    /// A mistake in an env file.
    pub(super) fn env_error(&mut self, path: &Path, text: &Arc<str>, error: &dotenv::DotenvError) {
        let file = self.report.add_file(path, Arc::clone(text));
        let span = Span { file, line: error.line, col: 0, len: 1 };
        self.report.error(span, "env-file", error.message.clone());
    }
}
