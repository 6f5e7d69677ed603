//! `evenkeel schema`: the JSON Schema of a document.

use std::io::Write as _;
use std::process::ExitCode;

use super::Ended;
use crate::schemas::Document;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Of what
    #[arg(value_enum)]
    name: Document,
}

pub(super) fn schema(arguments: &Arguments) -> Ended {
    std::io::stdout().write_all(arguments.name.text().as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
