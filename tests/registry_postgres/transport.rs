//! `sslmode` and `sslrootcert`: what is verified is what libpq would verify.

use std::process::Command;

use crate::{postgres::Postgres, support::World};

fn openssl(folder: &std::path::Path, arguments: &str) {
    let done = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .expect("openssl: apt-get install openssl");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// An authority, and a server's certificate for `localhost` alone.
fn certificates(folder: &std::path::Path) {
    openssl(
        folder,
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca -addext basicConstraints=critical,CA:TRUE",
    );
    openssl(
        folder,
        "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=localhost",
    );
    std::fs::write(folder.join("ext"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl(
        folder,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out server.pem",
    );
    openssl(
        folder,
        "req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.pem -days 2 -subj /CN=other",
    );
}

#[test]
fn each_sslmode_verifies_what_it_says() {
    let mut database = Postgres::start();
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    certificates(folder.path());
    database.enable_tls(folder.path());
    let name = database.fresh_database();
    let name = name.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    let ca = folder.path().join("ca.pem");
    let other = folder.path().join("other.pem");
    let cases = [
        ("127.0.0.1", "disable".to_owned(), false),
        ("127.0.0.1", "prefer".to_owned(), true),
        ("127.0.0.1", "require".to_owned(), true),
        ("127.0.0.1", format!("require&sslrootcert={}", other.display()), false),
        ("127.0.0.1", format!("verify-ca&sslrootcert={}", ca.display()), true),
        ("127.0.0.1", format!("verify-ca&sslrootcert={}", other.display()), false),
        ("127.0.0.1", format!("verify-full&sslrootcert={}", ca.display()), false),
        ("localhost", format!("verify-full&sslrootcert={}", ca.display()), true),
        ("localhost", "verify-full".to_owned(), false),
    ];
    let port = database.port();
    for (host, mode, connects) in cases {
        let url = format!("postgres://registry@{host}:{port}/{name}?sslmode={mode}");
        let world = World::in_database(url);
        let arguments = World::register_arguments("v1.0.0");
        // Each world has its own directory over the one database: what is asked is whether it connects.
        let ran = world.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let reached = !ran.stderr.contains("PostgreSQL");
        assert_eq!(reached, connects, "{host} {mode}: {ran:?}");
    }
}
