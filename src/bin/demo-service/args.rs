//! Flags and environment. An empty variable means the default, as `${NAME:-}` in a Compose file gives one.

use clap::builder::FalseyValueParser;
use clap::{Parser, Subcommand};

use crate::dependencies::Target;

#[derive(Parser)]
#[command(version, about = "A small service for examples: healthy by default, troublesome on request")]
pub struct Args {
    /// Without a verb: serve.
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

#[derive(Subcommand)]
pub enum Verb {
    /// Answer HTTP until SIGTERM.
    Serve(Box<Serve>),
    /// For a container's health check: exit 0 if the service answers 200.
    Health(Health),
    /// Work for a while, then exit: a migration, a backup.
    Job(Job),
}

#[derive(clap::Args)]
pub struct Serve {
    /// The name in answers and logs [default: the host name].
    #[arg(long = "name", env = "SERVICE_NAME", default_value = "", hide_default_value = true)]
    pub name: String,
    /// The version in answers [default: this program's].
    #[arg(long = "service-version", env = "SERVICE_VERSION", default_value = "", hide_default_value = true)]
    pub version: String,
    #[arg(long, env = "PORT", default_value = "8080", value_parser = port)]
    pub port: u16,
    /// What this service needs: a comma list of `NAME=URL`, `URL` or `HOST:PORT` (its `/health`).
    #[arg(long, env = "DEPENDENCIES", value_delimiter = ',', value_parser = Target::parse_optional)]
    pub dependencies: Vec<Option<Target>>,
    /// Seconds between two checks of a dependency.
    #[arg(long, env = "DEPENDENCY_INTERVAL", default_value = "5", value_parser = interval)]
    pub dependency_interval: u64,
    /// A folder for the counter of starts; it must be writable.
    #[arg(long, env = "STATE_DIR", default_value = "", hide_default_value = true)]
    pub state_dir: String,

    /// Listen this much later.
    #[arg(long, env = "START_DELAY_MS", default_value = "0", value_parser = number::<u64>)]
    pub start_delay_ms: u64,
    /// Answer this much later.
    #[arg(long, env = "LATENCY_MS", default_value = "0", value_parser = number::<u64>)]
    pub latency_ms: u64,
    /// `health`: report down.
    #[arg(long, env = "FAIL", default_value = "", hide_default_value = true, value_parser = ["", "health"])]
    pub fail: String,
    /// Exit with EXIT_CODE after this time; 0 means never.
    #[arg(long, env = "CRASH_AFTER_MS", default_value = "0", value_parser = number::<u64>)]
    pub crash_after_ms: u64,
    #[arg(long, env = "EXIT_CODE", default_value = "1", value_parser = exit_code)]
    pub exit_code: u8,
    /// Burn this much processor time; 100 is one core.
    #[arg(long, env = "CPU_PERCENT", default_value = "0", value_parser = number::<u32>)]
    pub cpu_percent: u32,
    /// Hold this much memory.
    #[arg(long, env = "MEMORY_MB", default_value = "0", value_parser = number::<u64>)]
    pub memory_mb: u64,
    /// Take SIGTERM for a remark; only SIGKILL ends this one.
    #[arg(long, env = "IGNORE_SIGTERM", value_parser = FalseyValueParser::new())]
    pub ignore_sigterm: bool,
    /// Wait this much longer after the last request.
    #[arg(long, env = "DRAIN_MS", default_value = "0", value_parser = number::<u64>)]
    pub drain_ms: u64,
}

#[derive(clap::Args)]
pub struct Health {
    /// What to ask; the host is a numeric address [default: http://127.0.0.1:$PORT/health].
    #[arg(long)]
    pub url: Option<String>,
    #[arg(long, env = "PORT", default_value = "8080", value_parser = port)]
    pub port: u16,
}

#[derive(clap::Args)]
pub struct Job {
    /// How long the work takes.
    #[arg(long, default_value = "1")]
    pub seconds: u64,
    /// How it ends.
    #[arg(long, default_value = "0")]
    pub exit_code: u8,
}

fn number<T: std::str::FromStr<Err = std::num::ParseIntError> + Default>(text: &str) -> Result<T, String> {
    if text.is_empty() { Ok(T::default()) } else { text.parse().map_err(|error| format!("{error}")) }
}

fn port(text: &str) -> Result<u16, String> {
    if text.is_empty() { Ok(8080) } else { number(text) }
}

fn interval(text: &str) -> Result<u64, String> {
    if text.is_empty() { Ok(5) } else { number(text).map(|seconds: u64| seconds.max(1)) }
}

fn exit_code(text: &str) -> Result<u8, String> {
    if text.is_empty() { Ok(1) } else { number(text) }
}
