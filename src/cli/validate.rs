//! `evenkeel validate`: every mistake of the manifests with its place.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::Ended;
use super::context::Context;
use crate::manifest::{Diagnostic, Severity, load_all};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Manifests or directories of them [default: the manifests directory]
    paths: Vec<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub(super) fn validate(context: &Context, arguments: &Arguments) -> Ended {
    let default = [context.settings.manifests.path.clone()];
    let paths: &[PathBuf] = if arguments.paths.is_empty() { &default } else { &arguments.paths };
    let mut diagnostics: Vec<Diagnostic> = Vec::new();
    let mut count = 0;
    for path in paths {
        match load_all(path, &context.environment, &[]) {
            Ok(manifests) => {
                count += manifests.len();
                diagnostics.extend(manifests.iter().flat_map(|m| m.diagnostics.iter().cloned()));
            }
            Err(error) => diagnostics.push(Diagnostic::file(path, "unreadable", error.to_string())),
        }
    }
    let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
    match arguments.format {
        Format::Json => outln!("{}", serde_json::to_string_pretty(&diagnostics)?),
        Format::Text => {
            print_diagnostics(&diagnostics);
            if errors == 0 {
                outln!("{count} manifest{} valid", if count == 1 { " is" } else { "s are" });
            } else {
                errln!("{errors} error{} found", if errors == 1 { "" } else { "s" });
            }
        }
    }
    Ok(ExitCode::from(u8::from(errors > 0)))
}

/// Prints diagnostics to standard error, with paths as a person would type them.
pub(super) fn print_diagnostics(diagnostics: &[Diagnostic]) {
    let colour = std::io::stderr().is_terminal();
    let here = std::env::current_dir().unwrap_or_default();
    for diagnostic in diagnostics {
        let mut shown = diagnostic.clone();
        shown.place.file = shorten(&shown.place.file, &here);
        for (place, _) in &mut shown.related {
            place.file = shorten(&place.file, &here);
        }
        errln!("{}\n", shown.render(colour));
    }
}

fn shorten(path: &Path, here: &Path) -> PathBuf {
    // From the root every path would lose its first character.
    if here == Path::new("/") { path.to_owned() } else { path.strip_prefix(here).unwrap_or(path).to_owned() }
}
