//! Throw-away PostgreSQL servers, and a fresh database for each test.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use model_registry::catalog::{Catalog as _, DatabaseUrl, PostgresCatalog};
use tempfile::TempDir;

use crate::support::until;

const TEMPLATE: &str = "registry_template";

/// A server of the tests' own. It ends with the process that started it, however that ends.
pub struct Postgres {
    watch: Child,
    port: u16,
    folder: TempDir,
}

/// The folder of PostgreSQL's programs.
fn programs() -> PathBuf {
    let on_path = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file());
    let installed = || {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
        let mut found: Vec<_> =
            versions.filter_map(Result::ok).map(|entry| entry.path().join("bin")).collect();
        found.retain(|folder| folder.join("initdb").is_file());
        found.sort();
        found.pop()
    };
    on_path.or_else(installed).expect(
        "PostgreSQL is not installed: `apt-get install postgresql`, or set TEST_DATABASE_URL to a server \
         on which databases may be created",
    )
}

/// PostgreSQL refuses to run as root.
pub fn as_somebody(program: &Path) -> Command {
    if rustix::process::getuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

impl Postgres {
    pub fn start() -> Self {
        Self::start_in(tempfile::tempdir_in("/tmp").unwrap())
    }

    /// Starts a server that has only this many connections.
    pub fn start_with(connections: usize) -> Self {
        Self::make(tempfile::tempdir_in("/tmp").unwrap(), connections)
    }

    /// Starts a server whose data is in this folder.
    pub fn start_in(folder: TempDir) -> Self {
        Self::make(folder, 400)
    }

    fn make(folder: TempDir, connections: usize) -> Self {
        let programs = programs();
        if rustix::process::getuid().is_root() {
            std::os::unix::fs::chown(folder.path(), Some(65534), Some(65534)).unwrap();
        }
        let data = folder.path().join("data");
        let made = as_somebody(&programs.join("initdb"))
            .args(["--username=registry", "--auth=trust", "--encoding=UTF8", "--no-sync", "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .status()
            .unwrap();
        assert!(made.success());
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let options = format!(
            "port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nfsync = off\n\
             max_connections = {connections}\nsuperuser_reserved_connections = 0\nmax_wal_senders = 0\n\
             shared_buffers = '32MB'\n"
        );
        let file = data.join("postgresql.conf");
        std::fs::OpenOptions::new()
            .append(true)
            .open(file)
            .unwrap()
            .write_all(options.as_bytes())
            .unwrap();
        let mut server = Self { watch: Self::run(&data, &folder.path().join("log")), port, folder };
        server.wait_until_it_answers();
        server.make_template();
        server
    }

    /// A shell that ends the server when its standard input is closed: when the process that holds the other
    /// end is gone.
    fn run(data: &Path, log: &Path) -> Child {
        let script = "\"$0\" -D \"$1\" >\"$2\" 2>&1 & pid=$!; cat >/dev/null; kill -QUIT $pid; kill -CONT $pid; wait $pid";
        as_somebody(Path::new("sh"))
            .arg("-c")
            .arg(script)
            .arg(programs().join("postgres"))
            .args([data, log])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn wait_until_it_answers(&mut self) {
        let url = self.url("postgres");
        until(Duration::from_secs(30), || try_execute(&url, "SELECT 1").is_ok());
    }

    fn make_template(&self) {
        execute(&self.url("postgres"), &format!("CREATE DATABASE {TEMPLATE}"));
        make_tables(&self.url(TEMPLATE));
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://registry@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// The URL of a database with the catalog's tables and nothing in them.
    pub fn fresh_database(&self) -> String {
        fresh_database(&self.url("postgres"), |name| self.url(name))
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Restarts the server so that it takes TLS connections alone from anywhere but the tests' own user.
    pub fn enable_tls(&mut self, certificates: &Path) {
        let data = self.folder.path().join("data");
        for name in ["server.pem", "server.key"] {
            let file = data.join(name);
            std::fs::copy(certificates.join(name), &file).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(&file, mode).unwrap();
            if rustix::process::getuid().is_root() {
                std::os::unix::fs::chown(&file, Some(65534), Some(65534)).unwrap();
            }
        }
        let append = |name: &str, text: &str| {
            let mut file = std::fs::OpenOptions::new().append(true).open(data.join(name)).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        append(
            "postgresql.conf",
            "ssl = on\nssl_cert_file = 'server.pem'\nssl_key_file = 'server.key'\n",
        );
        // Databases of the tests take no plain connections; the administrative one does.
        let rules = "host postgres all 127.0.0.1/32 trust\nhost registry_template all 127.0.0.1/32 trust\n\
                     hostssl all all 127.0.0.1/32 trust\nhostssl all all ::1/128 trust\n";
        std::fs::write(data.join("pg_hba.conf"), rules).unwrap();
        self.stop();
        self.restart();
    }

    /// The server's own process.
    pub fn pid(&self) -> rustix::process::Pid {
        let file = self.folder.path().join("data/postmaster.pid");
        let text = std::fs::read_to_string(file).unwrap();
        let pid = text.lines().next().unwrap().parse().unwrap();
        rustix::process::Pid::from_raw(pid).unwrap()
    }

    /// Stops the server as `pg_ctl stop -m immediate` does.
    pub fn stop(&mut self) {
        drop(self.watch.stdin.take());
        self.watch.wait().unwrap();
    }

    /// Starts it again after [`Self::stop`].
    pub fn restart(&mut self) {
        let data = self.folder.path().join("data");
        drop(std::fs::remove_file(data.join("postmaster.pid")));
        self.watch = Self::run(&data, &self.folder.path().join("log"));
        self.wait_until_it_answers();
    }

    /// Freezes or thaws the server and all of its sessions.
    pub fn signal_all(&self, signal: rustix::process::Signal) {
        let postmaster = self.pid();
        let children = Command::new("ps")
            .args(["-o", "pid=", "--ppid", &postmaster.as_raw_nonzero().to_string()])
            .output()
            .expect("ps, of procps");
        rustix::process::kill_process(postmaster, signal).unwrap();
        for pid in String::from_utf8(children.stdout).unwrap().split_whitespace() {
            let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
            // A session may end between the two.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.watch.stdin.take());
        drop(self.watch.wait());
    }
}

fn fresh_database(admin: &str, url: impl Fn(&str) -> String) -> String {
    let name = format!("t_{}", uuid::Uuid::new_v4().simple());
    // Cloning needs the template to itself for a moment.
    until(Duration::from_secs(30), || {
        try_execute(admin, &format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}")).is_ok()
    });
    url(&name)
}

/// A database without tables.
pub fn shared_empty_database() -> String {
    let url = shared_fresh_database();
    execute(&url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    url
}

fn make_tables(url: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let catalog = PostgresCatalog::open(DatabaseUrl::parse(url).unwrap()).unwrap();
    runtime.block_on(catalog.create()).unwrap();
}

/// A fresh database on the server that all tests of this process share.
pub fn shared_fresh_database() -> String {
    static SHARED: OnceLock<Postgres> = OnceLock::new();
    static GIVEN: OnceLock<()> = OnceLock::new();
    let Ok(given) = std::env::var("TEST_DATABASE_URL") else {
        return SHARED.get_or_init(Postgres::start).fresh_database();
    };
    let (base, query) = given.split_once('?').unwrap_or((&given, ""));
    let (server, _) = base.rsplit_once('/').expect("TEST_DATABASE_URL names a database");
    let url = |name: &str| format!("{server}/{name}?{query}");
    GIVEN.get_or_init(|| {
        drop(try_execute(&given, &format!("DROP DATABASE IF EXISTS {TEMPLATE}")));
        execute(&given, &format!("CREATE DATABASE {TEMPLATE}"));
        make_tables(&url(TEMPLATE));
    });
    fresh_database(&given, url)
}

/// Runs statements as any other program could.
pub fn try_execute(url: &str, statements: &str) -> Result<(), tokio_postgres::Error> {
    let (url, statements) = (url.to_owned(), statements.to_owned());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
            let driver = tokio::spawn(connection);
            let done = client.batch_execute(&statements).await;
            drop(client);
            drop(driver.await);
            done
        })
    })
    .join()
    .unwrap()
}

#[track_caller]
pub fn execute(url: &str, statements: &str) {
    try_execute(url, statements).unwrap();
}
