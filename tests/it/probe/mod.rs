//! Probes against servers of this process.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Redirect;
use axum::routing::get;
use axum::{Router, serve};
use evenkeel::model::ContainerId;
use evenkeel::model::health::{Reach, Way};
use evenkeel::model::service::{HttpProbe, ProbeKind};
use evenkeel::probe::{NetworkProber, Outcome, Prober};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// An address that no connection leads to.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::BROADCAST);

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind(SocketAddr::new(LOCAL, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn local() -> Reach {
    Reach { addresses: vec![LOCAL], ..Reach::default() }
}

/// A prober, in a program that has a provider of TLS: `main` does this where it is not a test.
fn prober() -> NetworkProber {
    let _ = rustls::crypto::ring::default_provider().install_default();
    NetworkProber::default()
}

async fn ask(prober: &NetworkProber, kind: &ProbeKind, reach: &Reach) -> Outcome {
    prober.probe(&ContainerId::trusted("c"), kind, Duration::from_secs(2), reach, None).await
}

fn http(port: u16, path: &str) -> HttpProbe {
    HttpProbe {
        port,
        path: path.to_owned(),
        tls: false,
        verify: true,
        host: None,
        status: Vec::new(),
        header: None,
        body: None,
    }
}

async fn server(elsewhere: u16) -> u16 {
    let (listener, port) = listener().await;
    let away = format!("http://127.0.0.1:{elsewhere}/");
    let router = Router::new()
        .route("/fine", get(|| async { ([(header::SERVER, "shop")], "all is fine") }))
        .route("/no", get(|| async { (StatusCode::IM_A_TEAPOT, "short and stout") }))
        .route("/down", get(|| async { r#"{"status":"down"}"# }))
        .route("/degraded", get(|| async { r#"{"status":"degraded","dependencies":{"db":"down"}}"# }))
        .route("/host", get(|headers: HeaderMap| async move { headers[header::HOST].to_str().unwrap().to_owned() }))
        .route("/here", get(|| async { Redirect::temporary("/fine") }))
        .route("/away", get(move || async move { Redirect::temporary(&away) }))
        .route("/late", get(|| async { tokio::time::sleep(Duration::from_millis(350)).await }))
        .route("/slow", get(|| async { tokio::time::sleep(Duration::from_secs(60)).await }))
        .route("/endless", get(|| async { "x".repeat(10 << 20) }));
    tokio::spawn(async move { serve(listener, router).await });
    port
}

#[tokio::test]
async fn an_http_answer_is_judged_by_status_header_body_and_the_health_document() {
    let prober = prober();
    let port = server(1).await;
    let result = async |probe: HttpProbe| ask(&prober, &ProbeKind::Http(probe), &local()).await.result;
    assert!(result(http(port, "/fine")).await.is_ok());
    assert!(result(http(port, "/endless")).await.is_ok(), "what is left of a long answer is not waited for");
    let mut probe = http(port, "/fine");
    probe.header = Some(("server".to_owned(), "shop".to_owned()));
    probe.body = Some("fine".to_owned());
    assert!(result(probe.clone()).await.is_ok());
    probe.header = Some(("server".to_owned(), "other".to_owned()));
    assert!(result(probe.clone()).await.unwrap_err().contains("server: other"));
    probe.header = None;
    probe.body = Some("awful".to_owned());
    assert!(result(probe).await.unwrap_err().contains("`awful` is not in its answer"));
    assert!(result(http(port, "/no")).await.unwrap_err().contains("418"));
    let teapot = HttpProbe { status: vec![(200, 299), (418, 418)], ..http(port, "/no") };
    assert!(result(teapot).await.is_ok());
    assert!(result(http(port, "/down")).await.unwrap_err().contains("down"));
    assert_eq!(result(http(port, "/degraded")).await.unwrap().complaints(), ["db is down"]);
    let named =
        HttpProbe { host: Some("shop.test".to_owned()), body: Some("shop.test".to_owned()), ..http(port, "/host") };
    assert!(result(named).await.is_ok());
}

#[tokio::test]
async fn redirects_are_followed_on_the_host_and_not_off_it() {
    let prober = prober();
    let (elsewhere, count) = (listener().await, Arc::new(AtomicUsize::new(0)));
    let asked = Arc::clone(&count);
    let router =
        Router::new().route("/", get(move || async move { asked.fetch_add(1, Ordering::Relaxed).to_string() }));
    tokio::spawn(async move { serve(elsewhere.0, router).await });
    let port = server(elsewhere.1).await;
    let mut probe = http(port, "/here");
    probe.body = Some("fine".to_owned());
    assert!(ask(&prober, &ProbeKind::Http(probe), &local()).await.result.is_ok());
    let outcome = ask(&prober, &ProbeKind::Http(http(port, "/away")), &local()).await;
    assert!(outcome.result.is_ok(), "a redirect is a status below 400: {outcome:?}");
    assert_eq!(count.load(Ordering::Relaxed), 0, "nobody else is asked");
}

#[tokio::test]
async fn a_certificate_is_verified_unless_the_probe_says_otherwise() {
    let (listener, port) = listener().await;
    let certificates =
        CertificateDer::pem_slice_iter(include_bytes!("certificate.pem")).collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("key.pem")).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(certificates, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                use tokio::io::{AsyncReadExt, AsyncWriteExt};
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                let _ = stream.flush().await;
            });
        }
    });
    let prober = prober();
    let mut probe = HttpProbe { tls: true, host: Some("probe.test".to_owned()), ..http(port, "/") };
    let refused = ask(&prober, &ProbeKind::Http(probe.clone()), &local()).await.result.unwrap_err();
    assert!(refused.to_lowercase().contains("cert"), "{refused}");
    probe.verify = false;
    let taken = ask(&prober, &ProbeKind::Http(probe), &local()).await;
    assert!(taken.result.is_ok(), "{taken:?}");
}

#[tokio::test]
async fn a_port_that_the_host_has_is_asked_where_the_containers_address_is_not_reached() {
    let (listener, port) = listener().await;
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let reach = Reach { addresses: vec![NOBODY], published: [(80, (LOCAL, port))].into(), host: false };
    let prober = prober();
    let outcome = ask(&prober, &ProbeKind::Tcp { port: 80 }, &reach).await;
    assert!(outcome.result.is_ok() && outcome.way == Some(Way::Published), "{outcome:?}");
    // The way that was taken last is tried first.
    let both = Reach { addresses: vec![LOCAL], published: [(port, (LOCAL, port))].into(), host: false };
    for way in [Way::Published, Way::Address] {
        let kind = ProbeKind::Tcp { port };
        let outcome = prober.probe(&ContainerId::trusted("c"), &kind, Duration::from_secs(2), &both, Some(way)).await;
        assert!(outcome.result.is_ok() && outcome.way == Some(way), "{outcome:?}");
    }
    let outcome = ask(&prober, &ProbeKind::Tcp { port }, &Reach { host: true, ..Reach::default() }).await;
    assert!(outcome.result.is_ok() && outcome.way == Some(Way::Host), "{outcome:?}");
    let outcome = ask(&prober, &ProbeKind::Tcp { port: 81 }, &Reach::default()).await;
    assert!(outcome.way.is_none() && !outcome.reached && outcome.result.unwrap_err().contains("exec"));
}

#[tokio::test]
async fn who_can_be_reached_in_two_ways_has_all_of_the_time_for_an_answer() {
    let port = server(1).await;
    let reach = Reach { addresses: vec![LOCAL], published: [(port, (LOCAL, port))].into(), host: false };
    let (prober, late) = (prober(), ProbeKind::Http(http(port, "/late")));
    for before in [None, Some(Way::Address)] {
        let limit = Duration::from_millis(600);
        let outcome = prober.probe(&ContainerId::trusted("c"), &late, limit, &reach, before).await;
        assert!(outcome.result.is_ok() && outcome.way == Some(Way::Address), "{outcome:?}");
    }
    // Who hangs has used up the time of all ways.
    let (slow, limit) = (ProbeKind::Http(http(port, "/slow")), Duration::from_millis(200));
    let outcome = prober.probe(&ContainerId::trusted("c"), &slow, limit, &reach, Some(Way::Address)).await;
    assert!(!outcome.reached && outcome.way == Some(Way::Address) && outcome.latency >= limit / 2, "{outcome:?}");
}

#[tokio::test]
async fn who_refuses_or_says_nothing_has_failed_in_time() {
    let (listener, port) = listener().await;
    drop(listener);
    let prober = prober();
    for kind in
        [ProbeKind::Tcp { port }, ProbeKind::Http(http(port, "/")), ProbeKind::Grpc { port, service: String::new() }]
    {
        let outcome = ask(&prober, &kind, &local()).await;
        assert!(outcome.result.is_err() && outcome.latency < Duration::from_secs(2), "{kind:?}: {outcome:?}");
    }
    let port = server(1).await;
    let container = ContainerId::trusted("c");
    let slow = ProbeKind::Http(http(port, "/slow"));
    let outcome = prober.probe(&container, &slow, Duration::from_millis(200), &local(), None).await;
    assert!(outcome.result.unwrap_err().contains("no answer"));
    assert!(outcome.latency < Duration::from_secs(2));
}

#[tokio::test]
async fn the_health_protocol_of_grpc_is_spoken_over_one_connection() {
    let (listener, port) = listener().await;
    let (reporter, service) = tonic_health::server::health_reporter();
    reporter.set_service_status("shop.Cart", tonic_health::ServingStatus::NotServing).await;
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    let incoming = futures_util::stream::unfold(listener, move |listener| {
        let count = Arc::clone(&count);
        async move {
            let stream = listener.accept().await.map(|(stream, _)| stream);
            count.fetch_add(1, Ordering::Relaxed);
            Some((stream, listener))
        }
    });
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(Box::pin(incoming)));
    let prober = prober();
    let grpc = |service: &str| ProbeKind::Grpc { port, service: service.to_owned() };
    let outcome = ask(&prober, &grpc(""), &local()).await;
    assert!(outcome.result.is_ok(), "{outcome:?}");
    assert!(ask(&prober, &grpc("shop.Cart"), &local()).await.result.unwrap_err().contains("NOT_SERVING"));
    assert!(ask(&prober, &grpc("nobody"), &local()).await.result.unwrap_err().contains("knows no service"));
    reporter.set_service_status("shop.Cart", tonic_health::ServingStatus::Serving).await;
    assert!(ask(&prober, &grpc("shop.Cart"), &local()).await.result.is_ok());
    assert_eq!(accepted.load(Ordering::Relaxed), 1);
}
