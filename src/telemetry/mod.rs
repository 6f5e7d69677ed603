//! Metrics and logs: made from what control publishes and tells.

mod metrics;

pub use metrics::Metrics;

/// What is told where `RUST_LOG` does not say: the steps of builds, which take their time.
const DEFAULT: &str = "warn,evenkeel::engine::docker::build=info";

/// Writes logs to standard error, as `RUST_LOG` says; without it, warnings and errors.
pub fn init_logs(filter: Option<&str>) {
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(tracing::Level::WARN.into())
        .parse_lossy(filter.unwrap_or(DEFAULT));
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).compact().try_init();
}
