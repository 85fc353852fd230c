//! A PostgreSQL server for the measurement alone, where its programs are installed.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// It ends with this value, or with this program.
pub struct Postgres {
    watch: Child,
    port: u16,
    _folder: TempDir,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The shell that watches sees the end of its input.
        drop(self.watch.stdin.take());
        drop(self.watch.wait());
    }
}

fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<_> = versions.flatten().map(|entry| entry.path().join("bin")).collect();
    found.retain(|folder| folder.join("initdb").is_file());
    found.sort();
    found.pop()
}

/// PostgreSQL refuses to run as root.
fn as_somebody(program: &Path) -> Command {
    if !rustix::process::getuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(program);
    command
}

impl Postgres {
    /// `None` where it is not installed.
    pub fn start() -> Option<Self> {
        let programs = programs()?;
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        if rustix::process::getuid().is_root() {
            std::os::unix::fs::chown(folder.path(), Some(65534), Some(65534)).unwrap();
        }
        let data = folder.path().join("data");
        let made = as_somebody(&programs.join("initdb"))
            .args(["--username=registry", "--auth=trust", "--encoding=UTF8", "--no-sync", "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .status();
        assert!(made.unwrap().success());
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut file =
            std::fs::OpenOptions::new().append(true).open(data.join("postgresql.conf")).unwrap();
        writeln!(
            file,
            "port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''"
        )
        .unwrap();
        let script =
            "\"$0\" -D \"$1\" >\"$2\" 2>&1 & pid=$!; cat >/dev/null; kill -QUIT $pid; wait $pid";
        let watch = as_somebody(Path::new("sh"))
            .args(["-c", script])
            .arg(programs.join("postgres"))
            .args([data, folder.path().join("log")])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let server = Self { watch, port, _folder: folder };
        let started = Instant::now();
        while !server.create(&programs, "registry_bench") {
            assert!(started.elapsed() < Duration::from_secs(60), "PostgreSQL does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        Some(server)
    }

    fn create(&self, programs: &Path, database: &str) -> bool {
        let made = Command::new(programs.join("createdb"))
            .args(["--host=127.0.0.1", "--username=registry", &format!("--port={}", self.port)])
            .arg(database)
            .stderr(Stdio::null())
            .status();
        made.is_ok_and(|status| status.success())
    }

    pub fn url(&self) -> String {
        format!("postgres://registry@127.0.0.1:{}/registry_bench?sslmode=disable", self.port)
    }
}
