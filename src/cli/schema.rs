//! `evenkeel schema`: the JSON Schema of a document.

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
    out!("{}", arguments.name.text());
    Ok(ExitCode::SUCCESS)
}
