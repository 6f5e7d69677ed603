//! `evenkeel render`: a project as Compose understands it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use super::Ended;
use super::context::Context;
use super::validate::print_diagnostics;
use crate::manifest::{self, Naming, Request, source};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Yaml,
    Json,
}

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A manifest: a Compose file, or a folder with one [default: the Compose file of this folder]
    #[arg(conflicts_with = "files")]
    manifest: Option<PathBuf>,
    /// Compose files, laid over each other in this order, as `docker compose -f` takes them
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Profiles that are enabled [default: COMPOSE_PROFILES]
    #[arg(long = "profile", value_name = "NAME")]
    profiles: Vec<String>,
    /// Files of variables in place of `.env`
    #[arg(long = "env-file", value_name = "FILE")]
    env_files: Vec<PathBuf>,
    /// The folder that relative paths start from [default: that of the first file]
    #[arg(long, value_name = "DIR")]
    project_directory: Option<PathBuf>,
    /// The project's name
    #[arg(short, long, value_name = "NAME")]
    project_name: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value = "yaml")]
    format: Format,
    /// Print the hash of each service in place of the project
    #[arg(long)]
    hash: bool,
}

pub(super) fn render(context: &Context, arguments: &Arguments) -> Ended {
    let request = request(context, arguments)?;
    let format = match arguments.format {
        Format::Yaml => manifest::Format::Yaml,
        Format::Json => manifest::Format::Json,
    };
    let rendered = manifest::render(&request, &context.environment, format)?;
    print_diagnostics(&rendered.diagnostics);
    let Some(text) = rendered.text else { return Ok(ExitCode::from(1)) };
    if arguments.hash {
        for (service, hash) in rendered.hashes {
            outln!("{service} {hash}");
        }
    } else {
        outln!("{}", text.trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

fn request(context: &Context, arguments: &Arguments) -> anyhow::Result<Request> {
    let here = std::env::current_dir().context("this folder cannot be found")?;
    let mut request = match (&arguments.manifest, arguments.files.is_empty()) {
        (Some(path), _) => {
            let found = source::discover(path)?;
            let [found] = found.as_slice() else {
                anyhow::bail!("{} holds {} manifests: name one of them", path.display(), found.len());
            };
            Request::of(found)
        }
        (None, false) => Request::compose(absolute(&arguments.files, &here)),
        (None, true) => {
            let Some(found) = source::in_folder_or_above(&here, &context.environment) else {
                anyhow::bail!("there is no Compose file in {} or above it: name one with -f", here.display());
            };
            Request::compose(found)
        }
    };
    request.profiles.clone_from(&arguments.profiles);
    request.env_files = absolute(&arguments.env_files, &here);
    let variable = |name: &str| context.environment.get(name).map_or("", String::as_str);
    if request.env_files.is_empty() {
        let files = variable("COMPOSE_ENV_FILES").split(',').filter(|f| !f.is_empty());
        request.env_files = files.map(|file| source::clean(&here.join(file))).collect();
    }
    request.without_dotenv = matches!(variable("COMPOSE_DISABLE_ENV_FILE"), "1" | "t" | "T" | "true" | "TRUE" | "True");
    if let Some(folder) = &arguments.project_directory {
        request.working_dir = source::clean(&here.join(folder));
    }
    request.resolve_environment = !arguments.hash;
    if let Some(name) = &arguments.project_name {
        request.naming = Naming::Given(name.clone());
    }
    Ok(request)
}

fn absolute(paths: &[PathBuf], here: &Path) -> Vec<PathBuf> {
    paths.iter().map(|path| source::clean(&here.join(path))).collect()
}
