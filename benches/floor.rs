//! The floor: what the bare API calls cost that no controller can do without.
//!
//! One network, COUNT containers created `--parallel` at a time, then started: `--parallel` at a time (`flat`) or one
//! after another (`chain`). Plain HTTP on the socket, no code of the controller, nothing read back, nothing retried.
//! `--clean` removes the containers and the network of the prefix again.

#[path = "support/http.rs"]
mod http;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use serde_json::{Value, json};

use http::Connection;

/// On everything that the floor makes, with the prefix as its value: all that `--clean` goes by.
const LABEL: &str = "bench.floor.prefix";

#[derive(Parser)]
#[command(
    name = "floor",
    about = "Creates and starts containers with bare Engine API calls, and says how long it took"
)]
struct Args {
    /// The Engine's unix socket.
    #[arg(long, default_value = "/var/run/docker.sock")]
    socket: PathBuf,
    /// The image of every container; its own entrypoint runs.
    #[arg(long, default_value = "evenkeel-demo:latest")]
    image: String,
    /// What names start with: network PREFIX_default, containers PREFIX-s01-1 and so on.
    #[arg(long)]
    prefix: String,
    /// How many containers.
    #[arg(long, default_value_t = 30)]
    count: usize,
    /// Whether the starts wait for each other.
    #[arg(long, value_enum, default_value_t = Shape::Flat)]
    shape: Shape,
    /// How many calls at a time.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    parallel: u16,
    /// Create only, start nothing.
    #[arg(long)]
    no_start: bool,
    /// Remove what an earlier run with this prefix made.
    #[arg(long)]
    clean: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Shape {
    Flat,
    Chain,
}

fn main() -> Result<()> {
    let args = Args::parse();
    if args.clean {
        return clean(&args.socket, &args.prefix, args.parallel.into());
    }

    let began = Instant::now();
    let mut connections = connect(&args.socket, usize::from(args.parallel).min(args.count).max(1))?;
    let connected = Instant::now();

    let network = format!("{}_default", args.prefix);
    let body = json!({
        "Name": network,
        "CheckDuplicate": true,
        "Driver": "bridge",
        "Labels": {
            LABEL: args.prefix,
            "com.docker.compose.project": args.prefix,
            "com.docker.compose.network": "default",
        },
    });
    connections[0].call("POST", "/networks/create", Some(&body))?.success("creating the network")?;
    let networked = Instant::now();

    let ids: Vec<Mutex<String>> = (0..args.count).map(|_| Mutex::default()).collect();
    spread(&mut connections, args.count, |connection, index| {
        let service = format!("s{:02}", index + 1);
        let path = format!("/containers/create?name={}-{service}-1", args.prefix);
        let answer = connection
            .call("POST", &path, Some(&container(&args, &network, &service)))?
            .success("creating a container")?;
        *ids[index].lock().expect("no panic") = answer["Id"].as_str().context("no Id in the answer")?.to_owned();
        Ok(())
    })?;
    let created = Instant::now();

    if !args.no_start {
        let starters = match args.shape {
            Shape::Flat => &mut connections[..],
            Shape::Chain => &mut connections[..1],
        };
        spread(starters, args.count, |connection, index| {
            let path = format!("/containers/{}/start", ids[index].lock().expect("no panic"));
            connection.call("POST", &path, None)?.success("starting a container")?;
            Ok(())
        })?;
    }
    let started = Instant::now();

    let millis = |from: Instant, to: Instant| (to - from).as_secs_f64() * 1e3;
    let report = json!({
        "count": args.count,
        "shape": match args.shape { Shape::Flat => "flat", Shape::Chain => "chain" },
        "parallel": args.parallel,
        "calls": 1 + args.count * if args.no_start { 1 } else { 2 },
        "connect_ms": millis(began, connected),
        "network_ms": millis(connected, networked),
        "create_ms": millis(networked, created),
        "start_ms": millis(created, started),
        "total_ms": millis(began, started),
    });
    println!("{report}");
    Ok(())
}

fn connect(socket: &Path, count: usize) -> Result<Vec<Connection>> {
    (0..count).map(|_| Connection::open(socket)).collect()
}

/// What a controller would ask for: the user network with the service's name as an alias, an environment value,
/// Compose's labels, and no host setting beyond the defaults.
fn container(args: &Args, network: &str, service: &str) -> Value {
    json!({
        "Image": args.image,
        "Env": ["PORT=8080"],
        "Labels": {
            LABEL: args.prefix,
            "com.docker.compose.project": args.prefix,
            "com.docker.compose.service": service,
            "com.docker.compose.container-number": "1",
            "com.docker.compose.oneoff": "False",
        },
        "HostConfig": { "NetworkMode": network, "RestartPolicy": { "Name": "" } },
        "NetworkingConfig": { "EndpointsConfig": { network: { "Aliases": [format!("{}-{service}-1", args.prefix), service] } } },
    })
}

/// Works through `0..count` in order, one thread a connection; the first error ends it.
fn spread(
    connections: &mut [Connection],
    count: usize,
    work: impl Fn(&mut Connection, usize) -> Result<()> + Sync,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let threads: Vec<_> = connections
            .iter_mut()
            .map(|connection| {
                scope.spawn(|| -> Result<()> {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= count {
                            return Ok(());
                        }
                        work(connection, index).inspect_err(|_| next.store(count, Ordering::Relaxed))?;
                    }
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("a worker does not panic"))
    })
}

fn clean(socket: &Path, prefix: &str, parallel: usize) -> Result<()> {
    let mut connections = connect(socket, parallel)?;
    let filter = http::quote(&json!({ "label": [format!("{LABEL}={prefix}")] }).to_string());
    let list =
        connections[0].call("GET", &format!("/containers/json?all=1&filters={filter}"), None)?.success("listing")?;
    let ids: Vec<&str> = list.as_array().into_iter().flatten().filter_map(|item| item["Id"].as_str()).collect();
    spread(&mut connections, ids.len(), |connection, index| {
        let answer = connection.call("DELETE", &format!("/containers/{}?force=1&v=1", ids[index]), None)?;
        ensure!(answer.status < 300 || answer.status == 404, "removing {}: {}", ids[index], answer.status);
        Ok(())
    })?;
    let list = connections[0].call("GET", &format!("/networks?filters={filter}"), None)?.success("listing")?;
    for network in list.as_array().into_iter().flatten().filter_map(|item| item["Id"].as_str()) {
        let answer = connections[0].call("DELETE", &format!("/networks/{network}"), None)?;
        ensure!(answer.status < 300 || answer.status == 404, "removing network {network}: {}", answer.status);
    }
    println!("{}", json!({ "removed": ids.len() }));
    Ok(())
}
