//! `evenkeel rehearse`: the manifests in a simulated engine, with what may go wrong.

mod text;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};

use super::Ended;
use super::context::Context;
use super::validate::{Format, print_diagnostics};
use crate::control::{Options, Scope};
use crate::manifest::{Diagnostic, Severity, duration, load_all};
use crate::model::Project;
use crate::rehearsal::{self, LONGEST, Later, Play, Scene, faults, page};
use crate::settings::Span;

const FAULTS: &str = "\
Faults, each at a time since the beginning; with a service they befall all of its containers:
  kill:SERVICE@30s           docker kill
  stop:SERVICE@30s           docker stop
  rm:SERVICE@30s             docker rm -f
  pause:SERVICE@30s          docker pause
  crash:SERVICE@30s          it exits with 1 by itself; *5: five runs in a row
  oom:SERVICE@30s            it runs out of memory
  unhealthy:SERVICE@30s+1m   its check fails for a minute
  reboot@2m                  the host goes down and is back after 20 s
  engine@2m+30s              the Engine is away for 30 s, and the containers end with it
  controller@2m              the controller is killed, and started again after 1 s
  disk-full@2m+30s           nothing can be written for 30 s
  random:5                   five of these, drawn from the seed
SERVICE is PROJECT.SERVICE, or a service's name where only one project has it.

What is taken for granted: all images are there; external networks and volumes were made; a
declared healthcheck passes at its first probe; jobs end with 0 after 2 s; everything else runs
until something is done to it.";

#[derive(Debug, clap::Args)]
#[command(after_help = FAULTS)]
pub(super) struct Arguments {
    /// A manifest or a directory of them [default: the manifests directory]
    path: Option<PathBuf>,
    /// These come up first, and are then replaced by those of --to
    #[arg(long, value_name = "OLD", requires = "to", conflicts_with = "path")]
    from: Option<PathBuf>,
    /// These land where those of --from were
    #[arg(long, value_name = "NEW", requires = "from")]
    to: Option<PathBuf>,
    /// Something that goes wrong, see below; may be given several times
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<String>,
    /// What is drawn is drawn from this: the same seed gives the same rehearsal
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How long, in virtual time [default: until everything is well after the last fault, at most 10m]
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_span)]
    length: Option<Span>,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Write a page that shows it, to be opened in a browser
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

fn parse_span(text: &str) -> Result<Span, String> {
    let span = duration::parse(text).filter(|span| !span.is_zero());
    span.map(Span).ok_or_else(|| format!("`{text}` is no length; write for example 30s or 5m"))
}

/// The manifests of a rehearsal, loaded.
struct Script {
    scope: Scope,
    projects: Vec<Arc<Project>>,
    later: Option<Vec<Arc<Project>>>,
    shown_as: Vec<(String, String)>,
    scene: Option<Scene>,
}

pub(super) fn rehearse(context: &Context, arguments: &Arguments) -> Ended {
    let asked = arguments.faults.iter().map(|text| faults::parse(text)).collect::<Result<Vec<_>, _>>()?;
    let Some(script) = (match (&arguments.from, &arguments.to) {
        (Some(old), Some(new)) => change(context, old, new)?,
        _ => as_they_are(context, arguments.path.as_deref())?,
    }) else {
        return Ok(ExitCode::from(1));
    };
    let everything = script.projects.iter().chain(script.later.iter().flatten());
    let faults = faults::resolve(&asked, &rehearsal::candidates(everything), arguments.seed)?;
    let length = arguments.length.map(|span| span.0);
    if let Some(late) = faults.iter().find(|f| f.at >= length.unwrap_or(LONGEST)) {
        bail!("the fault `{late}` comes after the end: name a longer time with --for");
    }
    let land = || script.scene.as_ref().map_or(Ok(()), Scene::land);
    let text = || {
        let shown = |path: &Option<PathBuf>| path.as_deref().unwrap_or(Path::new("")).display().to_string();
        format!("{} lands in place of {}", shown(&arguments.to), shown(&arguments.from))
    };
    let rehearsed = rehearsal::rehearse(Play {
        control: options(context, &script),
        scope: script.scope.clone(),
        environment: context.environment.clone(),
        rescan: context.settings.manifests.rescan.0,
        projects: script.projects.clone(),
        later: script.later.clone().map(|projects| Later { projects, text: text(), land: &land }),
        faults,
        length,
        seed: arguments.seed,
        shown_as: script.shown_as.clone(),
    })?;
    if let Some(file) = &arguments.html {
        std::fs::write(file, page::page(&rehearsed)).with_context(|| format!("cannot write {}", file.display()))?;
    }
    match arguments.format {
        Format::Json => outln!("{}", serde_json::to_string_pretty(&rehearsed)?),
        Format::Text => {
            text::print(&rehearsed);
            if let Some(file) = &arguments.html {
                outln!("The page: {}", file.display());
            }
        }
    }
    Ok(ExitCode::from(u8::from(!rehearsed.converged)))
}

fn options(context: &Context, script: &Script) -> Options {
    Options {
        parallel: context.settings.reconcile.parallel,
        start_delay: context.settings.reconcile.start_delay.0,
        resync: context.settings.reconcile.resync.0,
        take_over: context.take_over(),
        recovery: context.recovery(),
        address: "a simulated Engine".to_owned(),
        ..Options::scoped(script.scope.clone())
    }
}

/// Loads what is under a root; `None`: there are errors, and they were printed.
fn load(context: &Context, root: &Path, real: impl Fn(&mut Diagnostic)) -> anyhow::Result<Option<Vec<Arc<Project>>>> {
    let manifests = load_all(root, &context.environment, &[])?;
    let mut diagnostics: Vec<Diagnostic> = manifests.iter().flat_map(|m| m.diagnostics.iter().cloned()).collect();
    diagnostics.iter_mut().for_each(real);
    print_diagnostics(&diagnostics);
    let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
    if errors > 0 {
        errln!("{errors} error{} found", if errors == 1 { "" } else { "s" });
        return Ok(None);
    }
    Ok(Some(manifests.iter().filter_map(|m| m.project.clone()).collect()))
}

fn as_they_are(context: &Context, path: Option<&Path>) -> anyhow::Result<Option<Script>> {
    let scope = context.scope(path);
    let shown = path.unwrap_or(&context.settings.manifests.path);
    let Some(projects) = load(context, scope.root(), |_| {})? else { return Ok(None) };
    if projects.is_empty() {
        bail!("there is no manifest in {}", shown.display());
    }
    let shown_as = vec![(scope.root().display().to_string(), shown.display().to_string())];
    Ok(Some(Script { scope, projects, later: None, shown_as, scene: None }))
}

fn change(context: &Context, old: &Path, new: &Path) -> anyhow::Result<Option<Script>> {
    let scene = Scene::new(old, new)?;
    let at = |path: &Path, is_new: bool| {
        let (place, folder) = scene.folder_names(is_new);
        let (place, folder, file) = (place.to_owned(), folder.to_owned(), path.to_owned());
        let root = scene.root.clone();
        move |diagnostic: &mut Diagnostic| real_paths(diagnostic, &root, &file, &place, &folder)
    };
    let Some(projects) = load(context, &scene.root, at(old, false))? else { return Ok(None) };
    scene.land()?;
    let Some(later) = load(context, &scene.root, at(new, true))? else { return Ok(None) };
    scene.take_back()?;
    for (projects, path) in [(&projects, old), (&later, new)] {
        if projects.is_empty() {
            bail!("there is no manifest in {}", path.display());
        }
    }
    let above = scene.root.parent().map(|p| format!("{}/", p.display())).unwrap_or_default();
    Ok(Some(Script {
        scope: match scene.root.is_file() {
            true => Scope::manifest(scene.root.clone()),
            false => Scope::directories(vec![scene.root.clone()]),
        },
        projects,
        later: Some(later),
        shown_as: vec![(above, String::new())],
        scene: Some(scene),
    }))
}

/// Names the files that a person knows in place of those that are there for the rehearsal only.
fn real_paths(diagnostic: &mut Diagnostic, root: &Path, file: &Path, place: &Path, folder: &Path) {
    let real = |path: &Path| match path.strip_prefix(place) {
        _ if path == root => file.to_owned(),
        Ok(inner) => folder.join(inner),
        Err(_) => path.to_owned(),
    };
    diagnostic.place.file = real(&diagnostic.place.file);
    for (other, _) in &mut diagnostic.related {
        other.file = real(&other.file);
    }
    let texts = [(root.display().to_string(), file), (place.display().to_string(), folder)];
    for (from, to) in texts {
        diagnostic.message = diagnostic.message.replace(&from, &to.display().to_string());
    }
}
