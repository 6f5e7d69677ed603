//! Prometheus metrics. Counters and histograms are fed by the bus of records, gauges are read off its snapshot when they
//! are asked for. Labels are bounded sets: never an error text, never a container id.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use prometheus::core::Collector as _;
use prometheus::proto::MetricFamily;
use prometheus::{
    Counter, Encoder, Gauge, GaugeVec, HistogramVec, IntCounter, IntCounterVec, Opts, Registry, TextEncoder,
};

use crate::control::publish::{Follower, Heard, ServiceView, Snapshot};
use crate::control::sensors::Board;
use crate::decide::BreakerState;
use crate::model::health::HealthClass;
use crate::model::record::{Record, RecordData};
use crate::model::state::ProjectState;
use crate::model::usage::Usage;
use crate::model::{ProjectName, ServiceName, Timestamp};

/// All metrics of one controller.
pub struct Metrics {
    registry: Registry,
    started: Instant,
    steps: IntCounterVec,
    reconcile: IntCounterVec,
    reconcile_duration: HistogramVec,
    step_duration: HistogramVec,
    restarts: IntCounterVec,
    foreign_actions: IntCounterVec,
    repairs: IntCounterVec,
    rollouts: IntCounterVec,
    health_checks: IntCounterVec,
    response_time: HistogramVec,
    breaker: GaugeVec,
    throttled: GaugeVec,
    usage: [GaugeVec; 6],
    engine_events: IntCounter,
    resync: IntCounter,
    invariants: IntCounter,
    missed: IntCounter,
    requests: IntCounterVec,
    request_duration: HistogramVec,
    converged: GaugeVec,
    valid: GaugeVec,
    waiting: GaugeVec,
    drift: GaugeVec,
    last_converged: GaugeVec,
    health: GaugeVec,
    engine_up: Gauge,
    uptime: Counter,
    /// Two scrapes at once would see each other's half-set gauges.
    one_scrape: std::sync::Mutex<()>,
}

/// The labels of a service's metrics.
const SERVICE_LABELS: [&str; 5] = ["service_id", "service_name", "service_type", "critical", "project"];

impl Metrics {
    /// Makes and registers all metrics.
    ///
    /// # Errors
    /// When the namespace makes no valid names; the settings refuse such a one.
    pub fn new(namespace: &str) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let opts = |name: &str, help: &str| Opts::new(name, help).namespace(namespace);
        let counters = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
            let metric = IntCounterVec::new(opts(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let metric = IntCounter::with_opts(opts(name, help))?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| -> Result<GaugeVec, prometheus::Error> {
            let metric = GaugeVec::new(opts(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let histograms =
            |name: &str, help: &str, labels: &[&str], buckets: &[f64]| -> Result<HistogramVec, prometheus::Error> {
                let opts = prometheus::HistogramOpts::new(name, help).namespace(namespace).buckets(buckets.to_vec());
                let metric = HistogramVec::new(opts, labels)?;
                registry.register(Box::new(metric.clone()))?;
                Ok(metric)
            };
        let engine_up = Gauge::with_opts(opts("engine_up", "Whether the Docker Engine answers"))?;
        registry.register(Box::new(engine_up.clone()))?;
        let uptime = Counter::with_opts(opts("monitor_uptime_seconds_total", "Seconds since the controller started"))?;
        registry.register(Box::new(uptime.clone()))?;
        let long = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];
        let short = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];
        Ok(Self {
            started: Instant::now(),
            steps: counters("steps_total", "Steps taken", &["project", "action", "result"])?,
            reconcile: counters(
                "reconcile_total",
                "Decisions, by whether there was something to do",
                &["project", "result"],
            )?,
            reconcile_duration: histograms(
                "reconcile_duration_seconds",
                "From a project's departure from its manifest until it is as it says again",
                &["project"],
                &long,
            )?,
            step_duration: histograms("step_duration_seconds", "How long a step took", &["action"], &short)?,
            restarts: counters("service_restarts_total", "Restarts by the controller", &SERVICE_LABELS)?,
            foreign_actions: counters("foreign_actions_total", "What somebody else did to containers", &["project"])?,
            repairs: counters("drift_repairs_total", "Fields that are as the manifest says again", &["project"])?,
            rollouts: counters("rollouts_total", "Rollouts, by how they ended", &["project", "result"])?,
            health_checks: counters("health_checks_total", "Probes, by how they ended", &["service_id", "result"])?,
            response_time: histograms(
                "service_response_time_seconds",
                "How long probes took",
                &["service_id"],
                &short,
            )?,
            breaker: gauges("breaker_open", "0 closed, 0.5 half open, 1 open", &SERVICE_LABELS)?,
            throttled: gauges("throttled", "Whether it has less of the CPUs than its manifest says", &SERVICE_LABELS)?,
            usage: [
                gauges("service_cpu_usage_percent", "CPU time over time, 100 for each CPU", &SERVICE_LABELS)?,
                gauges("service_memory_usage_megabytes", "Memory without the cache of files", &SERVICE_LABELS)?,
                gauges("service_network_in_bytes", "Received since its containers were started", &SERVICE_LABELS)?,
                gauges("service_network_out_bytes", "Sent since its containers were started", &SERVICE_LABELS)?,
                gauges("service_block_read_bytes", "Read from disks since its start", &SERVICE_LABELS)?,
                gauges("service_block_write_bytes", "Written to disks since its start", &SERVICE_LABELS)?,
            ],
            engine_events: counter("engine_events_total", "Events that the Docker Engine sent")?,
            resync: counter("resync_total", "Full resyncs with the Docker Engine")?,
            invariants: counter(
                "invariant_violations_total",
                "Steps that were not taken, as they would break an invariant",
            )?,
            missed: counter(
                "records_missed_total",
                "Records that these metrics did not count, as too many came at once",
            )?,
            requests: counters("http_requests_total", "Requests to the API", &["method", "route", "status"])?,
            request_duration: histograms(
                "http_request_duration_seconds",
                "How long the API took to answer",
                &["method", "route"],
                &short,
            )?,
            converged: gauges("converged", "Whether everything of a project is as its manifest says", &["project"])?,
            valid: gauges("manifest_valid", "Whether a project's manifest loads", &["project"])?,
            waiting: gauges("waiting", "What is desired but may not be done yet", &["project", "reason"])?,
            drift: gauges("drift_fields", "Fields in which what runs differs from what is desired", &["project"])?,
            last_converged: gauges(
                "last_converged_timestamp_seconds",
                "When a project was last as its manifest says",
                &["project"],
            )?,
            health: gauges("service_health_status", "0 unknown, 1 healthy, 2 degraded, 3 unhealthy", &SERVICE_LABELS)?,
            engine_up,
            uptime,
            one_scrape: std::sync::Mutex::new(()),
            registry,
        })
    }

    /// One request to the API was answered.
    pub fn request(&self, method: &str, route: &str, status: u16, took: std::time::Duration) {
        self.requests.with_label_values(&[method, route, &status.to_string()]).inc();
        self.request_duration.with_label_values(&[method, route]).observe(took.as_secs_f64());
    }

    /// All metrics in Prometheus' text format.
    pub fn render(&self, snapshot: &Snapshot, usage: &Board<Usage>) -> String {
        let _alone = self.one_scrape.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.drop_gone(snapshot);
        self.read_off(snapshot, usage);
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "cannot write metrics");
        }
        String::from_utf8(text).unwrap_or_default()
    }

    /// Sets the gauges; what is gone goes.
    fn read_off(&self, snapshot: &Snapshot, usage: &Board<Usage>) {
        let truth = |b: bool| f64::from(u8::from(b));
        self.engine_up.set(truth(snapshot.engine.up));
        let uptime = self.started.elapsed().as_secs_f64() - self.uptime.get();
        self.uptime.inc_by(uptime.max(0.0));
        for gauges in [
            &self.converged,
            &self.valid,
            &self.waiting,
            &self.drift,
            &self.last_converged,
            &self.health,
            &self.breaker,
            &self.throttled,
        ] {
            gauges.reset();
        }
        self.usage.iter().for_each(GaugeVec::reset);
        for (name, project) in &snapshot.projects {
            let name = name.as_str();
            let converged = project.state == ProjectState::Converged && snapshot.engine.up;
            self.converged.with_label_values(&[name]).set(truth(converged));
            self.valid.with_label_values(&[name]).set(truth(project.manifest_valid));
            for waiting in &project.waiting {
                self.waiting.with_label_values(&[name, waiting.on.reason()]).inc();
            }
            #[allow(clippy::cast_precision_loss)]
            self.drift.with_label_values(&[name]).set(project.drift.len() as f64);
            // While it is converged, that is now.
            if let Some(at) = if converged { Some(Timestamp::now()) } else { project.last_converged } {
                #[allow(clippy::cast_precision_loss)]
                self.last_converged.with_label_values(&[name]).set(at.as_millisecond() as f64 / 1e3);
            }
            // What is first seen at 1 is no increase for who counts.
            self.foreign_actions.with_label_values(&[name]);
            self.repairs.with_label_values(&[name]);
            for result in ["completed", "rolled_back"] {
                self.rollouts.with_label_values(&[name, result]);
            }
            for (service, view) in &project.services {
                let labels = service_labels(name, service.as_str(), view);
                let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
                self.health.with_label_values(&labels).set(health_class(view, snapshot.engine.up));
                self.restarts.with_label_values(&labels);
                let open = match view.breaker {
                    BreakerState::Closed => 0.0,
                    BreakerState::HalfOpen => 0.5,
                    BreakerState::Open => 1.0,
                };
                self.breaker.with_label_values(&labels).set(open);
                let throttled = view.containers.iter().any(|c| c.throttled_to.is_some());
                self.throttled.with_label_values(&labels).set(truth(throttled));
                for used in view.containers.iter().filter_map(|c| usage.of(&c.id)) {
                    for (gauge, figure) in self.usage.iter().zip(figures(&used)) {
                        gauge.with_label_values(&labels).add(figure);
                    }
                }
            }
        }
    }
}

/// In the order of [`Metrics::usage`].
#[allow(clippy::cast_precision_loss)]
fn figures(usage: &Usage) -> [f64; 6] {
    let traffic = &usage.traffic;
    [
        usage.cpus * 100.0,
        usage.memory as f64 / 1e6,
        traffic.network_in as f64,
        traffic.network_out as f64,
        traffic.block_read as f64,
        traffic.block_write as f64,
    ]
}

fn service_labels(project: &str, service: &str, view: &ServiceView) -> [String; 5] {
    [
        format!("{project}.{service}"),
        service.to_owned(),
        view.kind.clone().unwrap_or_default(),
        view.critical.to_string(),
        project.to_owned(),
    ]
}

/// How well a service is, as a number; while the Engine is away nobody can tell.
fn health_class(view: &ServiceView, engine_up: bool) -> f64 {
    f64::from(if engine_up { view.class } else { HealthClass::Unknown }.number())
}

impl Metrics {
    /// Counts what is told from now on, until the controller has ended.
    pub async fn follow(&self, mut follower: Follower) {
        while let Some(heard) = follower.next().await {
            match heard {
                Heard::Record(record) => self.count(&record),
                Heard::Missed(count) => self.missed.inc_by(count),
            }
        }
    }

    fn count(&self, record: &Record) {
        let project = record.project.as_ref().map(ProjectName::as_str);
        match &record.data {
            RecordData::EngineEvent => self.engine_events.inc(),
            RecordData::Resync => self.resync.inc(),
            RecordData::InvariantViolated { .. } => self.invariants.inc(),
            data => {
                if let Some(project) = project {
                    self.count_of(project, record.service.as_ref(), data);
                }
            }
        }
    }

    fn count_of(&self, project: &str, service: Option<&ServiceName>, data: &RecordData) {
        match data {
            RecordData::StepEnded { step, took_us, error } => {
                let result = if error.is_some() { "error" } else { "ok" };
                let kind = step.action.as_str();
                self.steps.with_label_values(&[project, kind, result]).inc();
                self.step_duration.with_label_values(&[kind]).observe(seconds(*took_us));
            }
            RecordData::Decided { changes, .. } => {
                let result = if *changes { "changes" } else { "none" };
                self.reconcile.with_label_values(&[project, result]).inc();
            }
            RecordData::Converged { took_ms } => {
                let took = std::time::Duration::from_millis(*took_ms).as_secs_f64();
                self.reconcile_duration.with_label_values(&[project]).observe(took);
            }
            RecordData::ServiceRestarted { service_type, critical, .. } => {
                let Some(service) = service else { return };
                let (id, kind) = (format!("{project}.{service}"), service_type.as_deref().unwrap_or_default());
                let critical = critical.to_string();
                self.restarts.with_label_values(&[&id, service.as_str(), kind, &critical, project]).inc();
            }
            RecordData::Probed { latency_us } => {
                let Some(service) = service else { return };
                let id = format!("{project}.{service}");
                let result = if latency_us.is_some() { "success" } else { "failure" };
                self.health_checks.with_label_values(&[id.as_str(), result]).inc();
                if let Some(latency) = latency_us {
                    self.response_time.with_label_values(&[id.as_str()]).observe(seconds(*latency));
                }
            }
            RecordData::ForeignAction { .. } => self.foreign_actions.with_label_values(&[project]).inc(),
            RecordData::DriftRepaired { .. } => self.repairs.with_label_values(&[project]).inc(),
            RecordData::RolloutCompleted { .. } => self.rollouts.with_label_values(&[project, "completed"]).inc(),
            RecordData::RolloutFailed { rolled_back: true, .. } | RecordData::RevisionNotRetried { .. } => {
                self.rollouts.with_label_values(&[project, "rolled_back"]).inc();
            }
            _ => {}
        }
    }

    /// Drops what was counted of projects and services that are gone: a controller that runs for years does not grow.
    fn drop_gone(&self, snapshot: &Snapshot) {
        if !snapshot.manifests_read {
            return;
        }
        let projects: BTreeSet<&str> = snapshot.projects.keys().map(ProjectName::as_str).collect();
        let services: BTreeSet<&str> =
            snapshot.projects.values().flat_map(|p| p.services.values()).map(|s| s.id.as_str()).collect();
        let is_gone = |label: &str, value: &str| match label {
            "project" => !projects.contains(value),
            "service_id" => !services.contains(value),
            _ => false,
        };
        for counters in [
            &self.steps,
            &self.reconcile,
            &self.restarts,
            &self.foreign_actions,
            &self.repairs,
            &self.rollouts,
            &self.health_checks,
        ] {
            for labels in gone(counters.collect(), &is_gone) {
                let _ = counters.remove(&as_map(&labels));
            }
        }
        for histograms in [&self.reconcile_duration, &self.response_time] {
            for labels in gone(histograms.collect(), &is_gone) {
                let _ = histograms.remove(&as_map(&labels));
            }
        }
    }
}

/// Microseconds as seconds.
fn seconds(micros: u64) -> f64 {
    std::time::Duration::from_micros(micros).as_secs_f64()
}

/// The label sets that are about something that is gone.
fn gone(families: Vec<MetricFamily>, is_gone: &impl Fn(&str, &str) -> bool) -> Vec<Vec<(String, String)>> {
    let metrics = families.iter().flat_map(|family| family.get_metric());
    let labels = metrics.map(|metric| {
        let labels = metric.get_label().iter();
        labels.map(|label| (label.name().to_owned(), label.value().to_owned())).collect::<Vec<_>>()
    });
    labels.filter(|labels| labels.iter().any(|(name, value)| is_gone(name, value))).collect()
}

fn as_map(labels: &[(String, String)]) -> HashMap<&str, &str> {
    labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
