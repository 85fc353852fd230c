//! The provider as a fixture: npm's `oidc-provider`, installed once into cargo's folder for tests' own files.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::LazyLock,
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};
use serde_json::Value;

use crate::{
    forge::Keys,
    support::{Reply, Server, World},
};

const PACKAGE: &str = "oidc-provider@9.13.3";
pub const AUDIENCE: &str = "model-registry";
/// A path that wants `model:read`, and answers 200 on an empty registry.
pub const READ_PATH: &str = "/api/v1/models/risk_model";
/// A path that wants `model:write`, and answers 404 to who has it.
pub const WRITE_PATH: &str = "/api/v1/models/risk_model/v1.0.0/validate";

/// The folder with the provider's script and packages.
static INSTALLED: LazyLock<PathBuf> = LazyLock::new(|| {
    for program in ["node", "npm"] {
        let found = Command::new(program).arg("--version").stdout(Stdio::null()).status();
        assert!(
            found.is_ok_and(|status| status.success()),
            "{program} is missing: apt-get install nodejs npm (Node 20 or later)"
        );
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(PACKAGE.replace('@', "-"));
    fs::create_dir_all(&folder).unwrap();
    // Test processes may come at once.
    let lock = fs::File::create(folder.join("lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    if !folder.join("installed").exists() {
        let npm = Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"])
            .args([folder.as_os_str(), PACKAGE.as_ref()])
            .current_dir(&folder)
            .output()
            .unwrap();
        assert!(npm.status.success(), "npm install {PACKAGE}: {npm:?}");
        fs::write(folder.join("installed"), "").unwrap();
    }
    for script in ["idp.mjs", "keys.mjs"] {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/identity").join(script);
        fs::copy(source, folder.join(script)).unwrap();
    }
    folder
});

/// A command that runs one of the scripts.
pub fn script(name: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(INSTALLED.join(name)).stdin(Stdio::null());
    command
}

/// A running provider. Its first generation of keys is `keys`.
pub struct Idp {
    child: Child,
    pub issuer: String,
    pub keys: Keys,
}

impl Idp {
    pub fn start() -> Self {
        Self::start_with(Keys::new(), &[])
    }

    pub fn start_with(keys: Keys, variables: &[(&str, &str)]) -> Self {
        let mut child = script("idp.mjs")
            .env("IDP_KEYS", keys.folder())
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.map_while(Result::ok).find(|line| line.starts_with("READY "));
        let issuer = ready.expect("the provider started")["READY ".len()..].to_owned();
        Self { child, issuer, keys }
    }

    /// Ends it, and gives its keys and port back, for another to start with.
    pub fn stop(mut self) -> (Keys, String) {
        drop(self.child.kill());
        drop(self.child.wait());
        let port = self.issuer.rsplit(':').next().unwrap().to_owned();
        (std::mem::replace(&mut self.keys, Keys::none()), port)
    }

    /// Turns one of its switches.
    pub fn control(&self, switch: &str) -> Value {
        self.post(&format!("/_ctl/{switch}"), "").json()
    }

    /// How often its key set was asked for.
    pub fn jwks_hits(&self) -> u64 {
        self.control("stats")["jwks"].as_u64().unwrap()
    }

    /// An access token, as the client gets it.
    pub fn token(&self, client: &str) -> String {
        self.token_for(client, "model:read model:write model:admin")
    }

    pub fn token_for(&self, client: &str, scope: &str) -> String {
        let form = format!(
            "grant_type=client_credentials&client_id={client}&client_secret=secret&scope={}",
            scope.replace(':', "%3A").replace(' ', "+")
        );
        let reply = self.post("/token", &form);
        let answer = reply.json();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    fn post(&self, path: &str, form: &str) -> Reply {
        let mut answer = ureq::post(format!("{}{path}", self.issuer))
            .config()
            .timeout_global(Some(Duration::from_secs(20)))
            .http_status_as_error(false)
            .build()
            .header("content-type", "application/x-www-form-urlencoded")
            .send(form)
            .unwrap();
        let body = answer.body_mut().read_to_vec().unwrap();
        Reply { status: answer.status().as_u16(), headers: answer.headers().clone(), body }
    }

    /// A server that believes this provider, and knows no other token.
    pub fn serve(&self, world: &World) -> Server {
        self.serve_with(world, &[])
    }

    pub fn serve_with(&self, world: &World, variables: &[(&str, &str)]) -> Server {
        serve(world, &[&[("MODEL_REGISTRY_JWT_ISSUER", self.issuer.as_str())], variables].concat())
    }
}

/// A server that knows no static token.
pub fn serve(world: &World, variables: &[(&str, &str)]) -> Server {
    let identity = [
        ("MODEL_REGISTRY_READ_TOKEN", ""),
        ("MODEL_REGISTRY_ADMIN_TOKEN", ""),
        ("MODEL_REGISTRY_TOKEN", ""),
        ("MODEL_REGISTRY_JWT_AUDIENCE", AUDIENCE),
    ];
    world.serve_with(&[&identity, variables].concat())
}

impl Drop for Idp {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub fn read(server: &Server, token: &str) -> Reply {
    server.ask("GET", READ_PATH, &[("authorization", &format!("Bearer {token}"))])
}

pub fn write(server: &Server, token: &str) -> Reply {
    server.ask("POST", WRITE_PATH, &[("authorization", &format!("Bearer {token}"))])
}

/// The line of `/ready` on the identity keys.
pub fn keys_line(server: &Server) -> Option<(bool, String)> {
    let answer = server.ask("GET", "/ready", &[]).json();
    let lines = answer["components"].as_array().unwrap();
    let line = lines.iter().find(|line| line["name"] == "identity keys")?;
    Some((line["ready"].as_bool().unwrap(), line["detail"].as_str().unwrap().to_owned()))
}
