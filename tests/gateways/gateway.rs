//! nginx or haproxy as it is shipped, but for ports and paths; and a client that speaks TLS to it.

use std::{
    io::{BufRead as _, BufReader},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{ADMIN, READ, Server, World, until};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Nginx,
    Haproxy,
}

pub const BOTH: [Kind; 2] = [Kind::Nginx, Kind::Haproxy];

/// A gateway that runs.
pub struct Gateway {
    pub kind: Kind,
    child: Child,
    port: u16,
    folder: TempDir,
    output: Arc<Mutex<Vec<String>>>,
}

/// What the client got.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// `1.1` or `2`.
    pub http: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// A port that nothing listens on, now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A replica on a port of its own, which believes a gateway on this machine.
pub fn replica(world: &World, port: u16, drain_seconds: u32) -> Server {
    let mut command = world.command(&["serve", "--host", "127.0.0.1", "--port", &port.to_string()]);
    command
        .env("MODEL_REGISTRY_READ_TOKEN", READ)
        .env("MODEL_REGISTRY_ADMIN_TOKEN", ADMIN)
        .env("MODEL_REGISTRY_LOG_FORMAT", "json")
        .env("MODEL_REGISTRY_TRUSTED_PROXIES", "127.0.0.1")
        .env("MODEL_REGISTRY_DRAIN_SECONDS", drain_seconds.to_string());
    Server::start(command)
}

/// The shipped file with these parts of it replaced, each of which must be there.
fn shipped(name: &str, changes: &[(&str, &str)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name);
    let mut text = std::fs::read_to_string(path).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{name} has no {from}");
        text = text.replace(from, to);
    }
    text
}

fn openssl(folder: &Path) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=gateway", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "tls.key"])
        .args(["-out", "tls.crt"])
        .current_dir(folder)
        .output()
        .expect("openssl is missing: apt-get install openssl");
    assert!(made.status.success(), "{made:?}");
}

impl Gateway {
    /// Starts it before two replicas.
    pub fn start(kind: Kind, replicas: [u16; 2]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Workers of nginx are another user where this one is root.
        let everyone = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), everyone).unwrap();
        openssl(folder.path());
        let (port, place) = (free_port(), folder.path().to_str().unwrap());
        let [one, two] = replicas.map(|port| format!("127.0.0.1:{port}"));
        let mut command = match kind {
            Kind::Nginx => {
                let changes = [
                    ("registry-1:8003", one.as_str()),
                    ("registry-2:8003", two.as_str()),
                    ("listen 8443", &format!("listen 127.0.0.1:{port}")),
                    (" /tmp/", &format!(" {place}/")),
                    ("/etc/nginx/tls/", &format!("{place}/")),
                ];
                let file = folder.path().join("nginx.conf");
                std::fs::write(&file, shipped("nginx.conf", &changes)).unwrap();
                let mut command = Command::new("nginx");
                command.arg("-c").arg(file).args(["-g", "daemon off;"]);
                command
            }
            Kind::Haproxy => {
                let pair = ["tls.crt", "tls.key"]
                    .map(|name| std::fs::read_to_string(folder.path().join(name)).unwrap());
                std::fs::create_dir(folder.path().join("tls")).unwrap();
                std::fs::write(folder.path().join("tls/edge.pem"), pair.concat()).unwrap();
                let changes = [
                    (" registry-1:8003", format!(" {one}")),
                    (" registry-2:8003", format!(" {two}")),
                    ("bind :8443", format!("bind 127.0.0.1:{port}")),
                    ("/usr/local/etc/haproxy/tls/", format!("{place}/tls/")),
                ];
                let changes = changes.each_ref().map(|(from, to)| (*from, to.as_str()));
                let file = folder.path().join("haproxy.cfg");
                std::fs::write(&file, shipped("haproxy.cfg", &changes)).unwrap();
                let mut command = Command::new("haproxy");
                command.arg("-db").arg("-f").arg(file);
                command
            }
        };
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap());
        command.env("PATH", path).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{kind:?}: {error}: apt-get install nginx haproxy"));
        let output = Arc::new(Mutex::new(Vec::new()));
        keep(child.stdout.take().unwrap(), output.clone());
        keep(child.stderr.take().unwrap(), output.clone());
        let mut gateway = Self { kind, child, port, folder, output };
        until(Duration::from_secs(10), || {
            let ended = gateway.child.try_wait().unwrap();
            assert!(ended.is_none(), "{kind:?} ended: {:#?}", gateway.output.lock().unwrap());
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        gateway
    }

    /// Where the service is, for clients.
    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("tls.crt")
    }

    /// Asks by curl, with more of its arguments.
    #[track_caller]
    pub fn ask(&self, path: &str, arguments: &[&str]) -> Answer {
        self.try_ask(path, arguments)
            .unwrap_or_else(|ran| panic!("{:?} {path}: {ran:?}", self.kind))
    }

    /// As [`Self::ask`], of a request that may be refused before its body is sent. The connection is closed then, and
    /// with it the answer may be lost on its way: the client asks again.
    #[track_caller]
    pub fn ask_too_much(&self, path: &str, arguments: &[&str]) -> Answer {
        let mut lost = Vec::new();
        while lost.len() < 20 {
            match self.try_ask(path, arguments) {
                Ok(answer) => return answer,
                // curl could not send on (55), or not read (56).
                Err(ran) if matches!(ran.status.code(), Some(55 | 56)) => lost.push(ran),
                Err(ran) => panic!("{:?} {path}: {ran:?}", self.kind),
            }
        }
        panic!("{:?} {path}: {lost:?}", self.kind)
    }

    fn try_ask(&self, path: &str, arguments: &[&str]) -> Result<Answer, std::process::Output> {
        let folder = tempfile::tempdir().unwrap();
        let (head, body) = (folder.path().join("head"), folder.path().join("body"));
        let ran = Command::new("curl")
            .args(["-sS", "--path-as-is", "--max-time", "60", "--cacert"])
            .arg(self.certificate())
            .arg("-D")
            .arg(&head)
            .arg("-o")
            .arg(&body)
            .args(["-w", "%{http_code} %{http_version}"])
            .args(arguments)
            .arg(self.url(path))
            .output()
            .expect("curl is missing: apt-get install curl");
        if !ran.status.success() {
            return Err(ran);
        }
        let written = String::from_utf8(ran.stdout).unwrap();
        let (status, http) = written.split_once(' ').unwrap();
        let head = std::fs::read_to_string(head).unwrap();
        // After interim answers comes the last one's head.
        let last = head.trim_end().rsplit("\r\n\r\n").next().unwrap();
        let headers = last.lines().skip(1).filter_map(|line| line.split_once(':'));
        Ok(Answer {
            status: status.parse().unwrap(),
            http: http.to_owned(),
            headers: headers
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                .collect(),
            body: std::fs::read(body).unwrap_or_default(),
        })
    }

    /// `GET` below `/registry/api/v1/models/`.
    #[track_caller]
    pub fn model(&self, path: &str, arguments: &[&str]) -> Answer {
        let token = format!("Authorization: Bearer {READ}");
        let arguments: Vec<_> =
            ["-H", &token].into_iter().chain(arguments.iter().copied()).collect();
        self.ask(&format!("/registry/api/v1/models/{path}"), &arguments)
    }

    /// The gateway's own lines about requests.
    pub fn log(&self) -> Vec<Value> {
        let output = self.output.lock().unwrap();
        output.iter().filter_map(|line| serde_json::from_str(line.trim()).ok()).collect()
    }

    /// Its other lines.
    pub fn complaints(&self) -> Vec<String> {
        let output = self.output.lock().unwrap();
        output.iter().filter(|line| !line.trim().starts_with('{')).cloned().collect()
    }

    /// The processes of the gateway.
    pub fn processes(&self) -> Vec<u32> {
        let own = self.child.id();
        let of_own = |pid: &u32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let parent = stat.rsplit(')').next().and_then(|rest| rest.split(' ').nth(2));
            parent == Some(own.to_string().as_str())
        };
        let all = std::fs::read_dir("/proc").unwrap().map(Result::unwrap);
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(of_own).chain([own]).collect()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // nginx's workers outlive a master that is killed.
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
        drop(self.child.wait());
    }
}

fn keep(stream: impl std::io::Read + Send + 'static, lines: Arc<Mutex<Vec<String>>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            lines.lock().unwrap().push(line);
        }
    });
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// It is an error in the service's own shape, with the request's id.
    #[track_caller]
    pub fn is_error(&self, status: u16, code: &str) {
        let body = self.json();
        let fields: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
        assert_eq!(fields, ["code", "detail"], "{self:?}");
        assert_eq!((self.status, body["code"].as_str()), (status, Some(code)), "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        assert!(self.header("x-request-id").is_some(), "{self:?}");
    }
}
