//! TLS of the service's own, with certificates that change while it runs.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Signal, getrlimit, setrlimit};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use crate::support::{READ, Ran, Server, World, until};

fn openssl(folder: &Path, arguments: &str) {
    let made = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder)
        .output()
        .expect("openssl is missing: apt-get install openssl");
    assert!(made.status.success(), "{made:?}");
}

/// A folder with an authority (`ca.pem`), and what it vouches for.
struct Authority(tempfile::TempDir);

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        openssl(
            folder.path(),
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority \
             -keyout ca.key -out ca.pem",
        );
        let authority = Self(folder);
        authority.issue("server", "serverAuth");
        authority.issue("client", "clientAuth");
        authority
    }

    fn issue(&self, name: &str, usage: &str) {
        let folder = self.0.path();
        openssl(
            folder,
            &format!(
                "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -keyout \
                 {name}.key -out {name}.csr"
            ),
        );
        let extensions = format!("subjectAltName=IP:127.0.0.1\nextendedKeyUsage={usage}\n");
        std::fs::write(folder.join("extensions"), extensions).unwrap();
        openssl(
            folder,
            &format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile \
                 extensions -out {name}.pem"
            ),
        );
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }
}

/// The files that a service reads, first those of this authority.
struct Files(tempfile::TempDir);

impl Files {
    fn of(authority: &Authority) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.replace("server.pem", authority);
        files.replace("server.key", authority);
        files
    }

    /// Replaces a file as tools do it: beside it, and then in its place.
    fn replace(&self, name: &str, by: &Authority) {
        let new = self.0.path().join("new");
        std::fs::copy(by.path(name), &new).unwrap();
        std::fs::rename(new, self.0.path().join(name)).unwrap();
    }

    fn variables(&self) -> [(&'static str, String); 2] {
        let path = |name: &str| self.0.path().join(name).to_str().unwrap().to_owned();
        [
            ("MODEL_REGISTRY_TLS_CERT", path("server.pem")),
            ("MODEL_REGISTRY_TLS_KEY", path("server.key")),
        ]
    }
}

fn serve(world: &World, variables: &[(&str, String)]) -> Server {
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, &**value)).collect();
    world.serve_with(&variables)
}

/// The status and protocol of an answer over TLS, or curl's own exit status.
fn curl(server: &Server, arguments: &[&str]) -> Result<String, i32> {
    let url = format!("https://127.0.0.1:{}/api/v1/models/risk_model/current", server.port());
    let ran = Command::new("curl")
        .args(["-s", "-o", "/dev/null", "-w", "%{http_code} %{http_version}", "--max-time", "10"])
        .args(["-H", &format!("Authorization: Bearer {READ}")])
        .args(arguments)
        .arg(url)
        .output()
        .expect("curl is missing: apt-get install curl");
    match ran.status.code() {
        Some(0) => Ok(String::from_utf8(ran.stdout).unwrap()),
        status => Err(status.unwrap()),
    }
}

fn health(world: &World, server: &Server, variables: &[(&str, String)]) -> Ran {
    let mut command = world.command(&["health", "--ready"]);
    command.env("MODEL_REGISTRY_PORT", server.port().to_string());
    command.envs(variables.iter().map(|(name, value)| (*name, value))).output().unwrap().into()
}

#[test]
fn the_service_speaks_http_1_over_tls_and_nothing_else() {
    let world = World::promoted(&["v1.0.0"]);
    let authority = Authority::new();
    let variables = Files::of(&authority);
    let server = serve(&world, &variables.variables());
    let trusting = authority.text("ca.pem");
    assert_eq!(curl(&server, &["--cacert", &trusting]).unwrap(), "200 1.1");
    // HTTP/2 neither where both are offered, as curl does, nor by itself, nor unasked.
    assert_eq!(curl(&server, &["--cacert", &trusting, "--http2"]).unwrap(), "200 1.1");
    assert!(connect(&server, &authority, &["h2"]).read(&mut [0]).is_err());
    for offered in [&["http/1.1"][..], &[]] {
        let mut connection = connect(&server, &authority, offered);
        connection.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
        let mut status = [0; 13];
        connection.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 400 ");
    }
    // An authority that is not the one: curl's 60.
    assert_eq!(curl(&server, &["--cacert", &Authority::new().text("ca.pem")]), Err(60));
    assert!(curl(&server, &["--cacert", &trusting, "--tls-max", "1.1"]).is_err());
    let mut plain = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    plain.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    drop(plain.read_to_end(&mut answer));
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    health(&world, &server, &variables.variables()).ok();
    // Where its variables are not, the probe speaks no TLS.
    health(&world, &server, &[]).refused(6, "does not answer");
}

#[test]
fn no_token_is_logged_over_tls_at_any_level() {
    let world = World::promoted(&["v1.0.0"]);
    let authority = Authority::new();
    let files = Files::of(&authority);
    let mut variables = files.variables().to_vec();
    variables.push(("RUST_LOG", "trace".to_owned()));
    let server = serve(&world, &variables);
    let trusting = authority.text("ca.pem");
    assert_eq!(curl(&server, &["--cacert", &trusting]).unwrap(), "200 1.1");
    until(Duration::from_secs(5), || server.events("request").len() == 1);
    let log = server.log().join("\n");
    // What the framework has to say is there, and the token is not, in any writing of its bytes.
    assert!(log.contains("\"target\":\"actix_http::h1"), "{log}");
    let hex: String = READ.bytes().map(|byte| format!("{byte:02x}")).collect();
    let list = READ.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
    for writing in [READ, &hex, &list] {
        assert!(!log.contains(writing), "{writing}");
    }
    assert!(!log.to_lowercase().contains("bearer "));
}

#[test]
fn certificates_are_followed_when_they_change_and_a_bad_pair_is_not() {
    let world = World::promoted(&["v1.0.0"]);
    let (before, after) = (Authority::new(), Authority::new());
    let files = Files::of(&before);
    let server = serve(&world, &files.variables());
    let with = |authority: &Authority| curl(&server, &["--cacert", &authority.text("ca.pem")]);
    assert_eq!(with(&before).unwrap(), "200 1.1");
    files.replace("server.pem", &after);
    let bad = "the TLS certificates changed but cannot be used; the previous ones stay in use";
    until(Duration::from_secs(10), || server.events(bad).len() == 1);
    let problem = server.events(bad)[0]["problem"].to_string();
    assert!(problem.contains("server.key") && problem.contains("does not belong"), "{problem}");
    assert_eq!(with(&before).unwrap(), "200 1.1");
    files.replace("server.key", &after);
    let good = "the TLS certificates changed and are in use";
    until(Duration::from_secs(10), || server.events(good).len() == 1);
    assert_eq!(with(&after).unwrap(), "200 1.1");
    assert_eq!(with(&before), Err(60));
    health(&world, &server, &files.variables()).ok();
    // A file that is gone changes nothing either.
    std::fs::remove_file(files.0.path().join("server.pem")).unwrap();
    until(Duration::from_secs(10), || server.events(bad).len() == 2);
    assert_eq!(with(&after).unwrap(), "200 1.1");
    assert!(!server.log().join("\n").contains("PRIVATE KEY"));
}

#[test]
fn with_an_authority_of_clients_nobody_is_heard_without_its_certificate() {
    let world = World::promoted(&["v1.0.0"]);
    let (authority, stranger) = (Authority::new(), Authority::new());
    let files = Files::of(&authority);
    std::fs::copy(authority.path("ca.pem"), files.0.path().join("ca.pem")).unwrap();
    let mut variables = files.variables().to_vec();
    let client_ca = files.0.path().join("ca.pem").to_str().unwrap().to_owned();
    variables.push(("MODEL_REGISTRY_TLS_CLIENT_CA", client_ca));
    let server = serve(&world, &variables);
    let (trusting, pair) = (authority.text("ca.pem"), |of: &Authority, name: &str| {
        (of.text(&format!("{name}.pem")), of.text(&format!("{name}.key")))
    });
    let ask = |(certificate, key): (String, String)| {
        curl(&server, &["--cacert", &trusting, "--cert", &certificate, "--key", &key])
    };
    assert!(curl(&server, &["--cacert", &trusting]).is_err());
    assert!(ask(pair(&stranger, "client")).is_err());
    assert_eq!(ask(pair(&authority, "client")).unwrap(), "200 1.1");
    // The service's own probe shows the service's own certificate; another of the same authority that is not
    // for clients is nobody's.
    health(&world, &server, &variables).ok();
    health(&world, &server, &files.variables()).refused(6, "does not answer");
    authority.issue("other", "serverAuth");
    assert!(ask(pair(&authority, "other")).is_err());
    // The authorities are followed as well.
    files.replace("ca.pem", &stranger);
    let good = "the TLS certificates changed and are in use";
    until(Duration::from_secs(10), || server.events(good).len() == 1);
    assert_eq!(ask(pair(&stranger, "client")).unwrap(), "200 1.1");
    assert!(ask(pair(&authority, "client")).is_err());
}

/// A connection over TLS that offers these protocols.
fn connect(
    server: &Server,
    authority: &Authority,
    offered: &[&str],
) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.path("ca.pem")).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = "127.0.0.1".try_into().unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(25))).unwrap();
    StreamOwned::new(session, socket)
}

#[test]
fn connections_over_tls_on_which_nothing_is_asked_keep_nobody_waiting() {
    let world = World::new();
    let authority = Authority::new();
    let files = Files::of(&authority);
    let mut server = serve(&world, &files.variables());
    // One that was asked before, one that was not, and one that never begins its handshake.
    let mut asked = connect(&server, &authority, &["http/1.1"]);
    asked.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    asked.read_exact(&mut [0; 12]).unwrap();
    let mut silent = connect(&server, &authority, &["http/1.1"]);
    while silent.conn.is_handshaking() {
        silent.conn.complete_io(&mut silent.sock).unwrap();
    }
    let _unbegun = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let told = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(told.elapsed() < Duration::from_secs(10), "{:?}", told.elapsed());
    assert_eq!(server.events("stopped").len(), 1);
}

#[test]
fn connections_that_never_begin_their_handshake_keep_nobody_waiting() {
    let world = World::new();
    let authority = Authority::new();
    let files = Files::of(&authority);
    // Twice what the framework would take on by itself, which is 256 a worker, a worker a core.
    let silent = 2 * 256 * std::thread::available_parallelism().unwrap().get();
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let server = serve(&world, &files.variables());
    let silent: Vec<_> =
        (0..silent).map(|_| TcpStream::connect(("127.0.0.1", server.port())).unwrap()).collect();
    let asked = Instant::now();
    let trusting = authority.text("ca.pem");
    assert_eq!(curl(&server, &["--cacert", &trusting]).unwrap(), "404 1.1");
    let limit = model_registry::limits::TLS_HANDSHAKE_TIMEOUT / 2;
    assert!(asked.elapsed() < limit, "{:?}", asked.elapsed());
    drop(silent);
}

#[test]
fn files_of_tls_that_cannot_be_used_are_named_with_all_other_problems() {
    let world = World::new();
    let (authority, other) = (Authority::new(), Authority::new());
    let refused = |variables: &[(&str, &str)], named: &str| {
        let mut command = world.command(&["serve", "--host", "127.0.0.1", "--port", "0"]);
        command.env("MODEL_REGISTRY_READ_TOKEN", READ).env("MODEL_REGISTRY_DRAIN_SECONDS", "x");
        let ran: Ran = command.envs(variables.iter().copied()).output().unwrap().into();
        ran.refused(2, &format!("{named}: ")).refused(2, "MODEL_REGISTRY_DRAIN_SECONDS: ");
    };
    let (certificate, key) = ("MODEL_REGISTRY_TLS_CERT", "MODEL_REGISTRY_TLS_KEY");
    let client_ca = "MODEL_REGISTRY_TLS_CLIENT_CA";
    let (good, fitting) = (authority.text("server.pem"), authority.text("server.key"));
    refused(&[(certificate, &good)], key);
    refused(&[(certificate, &good), (key, &other.text("server.key"))], key);
    refused(&[(certificate, &fitting), (key, &fitting)], certificate);
    refused(&[(certificate, &good), (key, &good)], key);
    refused(&[(certificate, &good), (key, &fitting), (client_ca, &fitting)], client_ca);
}

#[test]
fn health_over_https_verifies_the_certificate_by_an_authority_of_ones_own() {
    let world = World::promoted(&["v1.0.0"]);
    let authority = Authority::new();
    let files = Files::of(&authority);
    let server = serve(&world, &files.variables());
    let url = format!("https://127.0.0.1:{}", server.port());
    let ask = |arguments: &[&str], variables: &[(&str, String)]| -> Ran {
        let mut command =
            world.command(&[&["health", "--ready", "--url", &url], arguments].concat());
        command.envs(variables.iter().map(|(name, value)| (*name, value))).output().unwrap().into()
    };
    let stranger = Authority::new();
    let (ours, other) = (authority.text("ca.pem"), stranger.text("ca.pem"));
    ask(&["--ca-file", &ours], &[]).ok();
    ask(&[], &[("MODEL_REGISTRY_CA_FILE", ours.clone())]).ok();
    // As the system trusts, where the system's authorities are in a file of one's own.
    ask(&[], &[("SSL_CERT_FILE", ours)]).ok();
    ask(&[], &[]).refused(6, "does not answer");
    ask(&["--ca-file", &other], &[]).refused(6, "certificate");
    ask(&["--ca-file", "/no/such/file"], &[]).refused(2, "/no/such/file");
    ask(&["--ca-file", "/dev/null"], &[]).refused(2, "holds no certificate");
    world.run(&["health", "--url", "127.0.0.1:1"]).refused(2, "--url must start with");
}
