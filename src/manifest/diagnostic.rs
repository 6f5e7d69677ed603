//! What is wrong with a manifest: where, what, and what to do.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::manifest::document::{FileId, Span};

/// One mistake, or one remark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnostic {
    /// Whether the manifest loads in spite of it.
    pub severity: Severity,
    /// A short, stable name for the kind of mistake.
    pub code: String,
    /// What is wrong, in one sentence for people.
    pub message: String,
    /// Where; a manifest that cannot be read has no place but its path.
    pub place: Place,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The other side: the first of two equal keys, the other file of that name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<(Place, String)>,
}

/// How bad a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The manifest is not used.
    Error,
    /// It is used all the same.
    Warning,
}

/// A place in a file, with the line itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// The file's path, as it was given or found.
    pub file: PathBuf,
    /// From 1; 0: the file as a whole.
    pub line: u32,
    /// From 1.
    pub col: u32,
    /// How many characters of the line are meant.
    pub len: u32,
    /// The text of the line, without its end.
    pub text: String,
}

impl Place {
    /// A file as a whole.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { file: path.into(), line: 0, col: 0, len: 0, text: String::new() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.file.display()),
            line => write!(f, "{}:{line}:{}", self.file.display(), self.col),
        }
    }
}

/// `file:line:col: error: message`, one line.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{}: {severity}: {}", self.place, self.message)
    }
}

impl Diagnostic {
    /// An error about a file as a whole.
    pub fn file(path: impl Into<PathBuf>, code: &str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code: code.to_owned(),
            message: message.into(),
            place: Place::file(path),
            help: None,
            related: Vec::new(),
        }
    }

    /// The one line, then the source with a caret, then help.
    pub fn render(&self, colour: bool) -> String {
        let mut text = self.to_string();
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut show = |place: &Place, label: &str, kind: AnnotationKind| {
            if place.line == 0 {
                return;
            }
            let start = byte_of(&place.text, place.col.saturating_sub(1));
            let end = byte_of(&place.text, (place.col + place.len).saturating_sub(1)).max(start);
            let file = place.file.display().to_string();
            let snippet = Snippet::source(place.text.as_str())
                .line_start(place.line as usize)
                .path(file)
                .annotation(kind.span(start..end).label(label));
            let group = annotate_snippets::Group::with_level(Level::ERROR).element(snippet);
            text.push('\n');
            text.push_str(&renderer.render(&[group]));
        };
        show(&self.place, "", AnnotationKind::Primary);
        for (place, label) in &self.related {
            show(place, label, AnnotationKind::Context);
        }
        for (place, label) in self.related.iter().filter(|(p, _)| p.line == 0) {
            text.push_str(&format!("\n  = note: {}: {label}", place));
        }
        if let Some(help) = &self.help {
            text.push_str("\n  = help: ");
            text.push_str(help);
        }
        text
    }
}

fn byte_of(line: &str, chars: u32) -> usize {
    line.char_indices().nth(chars as usize).map_or(line.len(), |(at, _)| at)
}

/// The files that were read, and what was found wrong with them so far.
#[derive(Debug, Default)]
pub struct Report {
    files: Vec<(Arc<Path>, Arc<str>)>,
    found: Vec<Diagnostic>,
    /// Takes what comes after the last one that is kept.
    spare: Option<Box<Diagnostic>>,
}

/// More than this nobody reads, and each takes a look at its line.
const MAX_FOUND: usize = 500;

impl Report {
    /// Takes in a file's text.
    pub fn add_file(&mut self, path: &Path, text: Arc<str>) -> FileId {
        self.files.push((path.into(), text));
        FileId(u32::try_from(self.files.len() - 1).unwrap_or(u32::MAX))
    }

    /// The file of a path that was taken in.
    pub fn file_of(&self, path: &Path) -> FileId {
        let position = self.files.iter().position(|(p, _)| **p == *path).unwrap_or_default();
        FileId(u32::try_from(position).unwrap_or_default())
    }

    /// The path of a file.
    pub fn path(&self, file: FileId) -> &Path {
        self.files.get(file.0 as usize).map_or(Path::new("?"), |(path, _)| path)
    }

    /// A span with its file and line.
    pub fn place(&self, span: Span) -> Place {
        let (path, text) = match self.files.get(span.file.0 as usize) {
            Some((path, text)) => (path.to_path_buf(), text.lines().nth((span.line as usize).saturating_sub(1))),
            None => (PathBuf::from("?"), None),
        };
        let text: String = text.unwrap_or_default().chars().take(400).collect();
        Place { file: path, line: span.line, col: span.col + 1, len: span.len.max(1), text }
    }

    /// Notes an error: the manifest does not load.
    pub fn error(&mut self, span: Span, code: &str, message: impl Into<String>) -> &mut Diagnostic {
        self.note(Severity::Error, span, code, message.into())
    }

    /// Notes a warning: the manifest loads all the same.
    pub fn warning(&mut self, span: Span, code: &str, message: impl Into<String>) -> &mut Diagnostic {
        self.note(Severity::Warning, span, code, message.into())
    }

    fn note(&mut self, severity: Severity, span: Span, code: &str, message: String) -> &mut Diagnostic {
        let place = if self.found.len() < MAX_FOUND { self.place(span) } else { Place::file("") };
        self.push(Diagnostic { severity, code: code.to_owned(), message, place, help: None, related: Vec::new() })
    }

    /// Notes a diagnostic that is made already.
    pub fn push(&mut self, diagnostic: Diagnostic) -> &mut Diagnostic {
        let is_new_error = diagnostic.severity == Severity::Error && !self.has_errors();
        if self.found.len() >= MAX_FOUND && !is_new_error {
            return self.spare.insert(Box::new(diagnostic));
        }
        self.found.push(diagnostic);
        let last = self.found.len() - 1;
        &mut self.found[last]
    }

    /// Whether an error was noted.
    pub fn has_errors(&self) -> bool {
        self.found.iter().any(|d| d.severity == Severity::Error)
    }

    /// Whether an error was noted at this very place.
    pub fn has_error_at(&self, span: Span) -> bool {
        let path = self.path(span.file);
        self.found.iter().any(|d| {
            d.severity == Severity::Error
                && (d.place.line, d.place.col) == (span.line, span.col + 1)
                && d.place.file == path
        })
    }

    /// Whether an error was noted between a place and a later line of its file.
    pub fn has_error_within(&self, from: Span, to_line: u32) -> bool {
        let path = self.path(from.file);
        let within = |d: &Diagnostic| (from.line..=to_line).contains(&d.place.line) && d.place.file == path;
        self.found.iter().any(|d| d.severity == Severity::Error && within(d))
    }

    /// What was found, in the order of the places, each once.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        self.found.sort_by(|a, b| {
            (&a.place.file, a.place.line, a.place.col, &a.message).cmp(&(
                &b.place.file,
                b.place.line,
                b.place.col,
                &b.message,
            ))
        });
        self.found.dedup();
        self.found
    }
}

/// The known word nearest to an unknown one, if it is near.
pub fn suggestion<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    known
        .into_iter()
        .map(|k| (strsim::damerau_levenshtein(word, k), k))
        .filter(|(distance, k)| *distance <= 1 + k.len().max(word.len()) / 4)
        .min()
        .map(|(_, k)| format!("did you mean `{k}`?"))
}
