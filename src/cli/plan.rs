//! `evenkeel plan`: what would be done, in order, and why.

use std::path::PathBuf;
use std::process::ExitCode;

use super::Ended;
use super::context::Context;
use super::validate::{Format, print_diagnostics};
use crate::control::SystemClock;
use crate::control::offline::{Survey, SurveyOptions, survey};
use crate::control::socket;
use crate::manifest::Severity;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A manifest or a directory of them [default: the manifests directory]
    path: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub(super) async fn look(context: &Context, path: Option<&std::path::Path>) -> anyhow::Result<Survey> {
    let (engine, address) = context.engine().await?;
    let scope = context.scope(path);
    let watch = context.watch_options(&scope);
    let recovery = context.recovery();
    let options = SurveyOptions {
        watch: &watch,
        scope: &scope,
        state: &context.state,
        recovery: &recovery,
        take_over: context.take_over(),
        watched: socket::is_served(&context.state).await,
        host: context.host(&address, false),
        address,
    };
    Ok(survey(&engine, &SystemClock, &options).await?)
}

pub(super) async fn plan(context: &Context, arguments: &Arguments) -> Ended {
    let survey = look(context, arguments.path.as_deref()).await?;
    let changes = survey.plans.iter().any(|p| !p.is_empty());
    match arguments.format {
        Format::Json => outln!("{}", serde_json::to_string_pretty(&survey.plans)?),
        Format::Text => {
            print_diagnostics(&survey.diagnostics);
            if let Some(guard) = &survey.guard {
                errln!("guard: {guard}; they stay until `evenkeel confirm`\n");
            }
            for plan in &survey.plans {
                // What is in force is not what the manifest says then.
                let project = survey.projects.iter().find(|p| p.name == plan.project);
                if let Some(failed) = project.and_then(|p| p.failed.as_ref()) {
                    outln!("{}", failed.summary);
                }
                if let Some(project) = project.filter(|p| p.diagnostics.iter().any(|d| d.severity == Severity::Error)) {
                    let held = if project.revision.is_some() { "; the last good revision stays in force" } else { "" };
                    outln!("{}: its manifest does not load{held}", plan.project);
                }
                if plan.is_empty() && plan.waiting.is_empty() {
                    outln!("{}: nothing to do", plan.project);
                } else {
                    out!("{}:\n{plan}", plan.project);
                }
            }
        }
    }
    Ok(ExitCode::from(match (survey.has_errors(), changes) {
        (true, _) => 1,
        (false, true) => 2,
        (false, false) => 0,
    }))
}
