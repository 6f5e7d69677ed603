//! `evenkeel export`: what runs, as a Compose file.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::bail;

use super::Ended;
use super::context::Context;
use crate::engine::EngineRead;
use crate::export::{self, Known};
use crate::model::ProjectName;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Which projects [default: all that have containers]
    projects: Vec<String>,
    /// Write a file for each project into this folder; one that is there is left alone
    #[arg(long, value_name = "DIR")]
    output: Option<std::path::PathBuf>,
}

pub(super) async fn export(context: &Context, arguments: &Arguments) -> Ended {
    let (engine, _) = context.engine().await?;
    let mut by_project: BTreeMap<ProjectName, Vec<Known>> = BTreeMap::new();
    let wanted = |name: &str| arguments.projects.is_empty() || arguments.projects.iter().any(|p| p == name);
    let mut names: Vec<String> = Vec::new();
    for listed in engine.list().await?.containers {
        names.push(listed.project.to_string());
        if !wanted(listed.project.as_str()) {
            continue;
        }
        // One that went away meanwhile is not there.
        let Some(container) = engine.inspect(&listed.id).await? else { continue };
        let image = engine.image(container.image.as_str()).await?.map(|image| image.fields).unwrap_or_default();
        by_project.entry(container.project.clone()).or_default().push(Known { container, image });
    }
    if let Some(missing) = arguments.projects.iter().find(|p| !by_project.contains_key(p.as_str())) {
        let known = crate::manifest::diagnostic::suggestion(missing, names.iter().map(String::as_str));
        let help = known.map(|k| format!("; {k}")).unwrap_or_default();
        bail!("there are no containers of a project `{missing}`{help}");
    }
    if by_project.len() > 1 && arguments.output.is_none() {
        let names: Vec<&str> = by_project.keys().map(ProjectName::as_str).collect();
        bail!("there are several projects, name one or say --output DIR: {}", names.join(", "));
    }
    for (name, known) in &by_project {
        let exported = export::project(name, known);
        let text = serde_saphyr::to_string(&exported.file)?;
        match &arguments.output {
            None => out!("{text}"),
            Some(folder) => {
                use std::io::Write as _;
                std::fs::create_dir_all(folder)?;
                let path = folder.join(format!("{name}.yaml"));
                let file = std::fs::File::create_new(&path);
                let mut file = file.map_err(|e| anyhow::anyhow!("{}: {e}; nothing is written over", path.display()))?;
                file.write_all(text.as_bytes())?;
                outln!("{}", path.display());
            }
        }
        for (service, paths) in &exported.left_out {
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            errln!("evenkeel: not in the file: {} of {name}.{service}", paths.join(", "));
        }
    }
    Ok(ExitCode::SUCCESS)
}
