//! `sslmode` and `sslrootcert`: what is verified is what libpq would verify.

use std::{process::Command, time::Duration};

use crate::{
    postgres::Postgres,
    support::{World, until},
};

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

/// Certificates as PostgreSQL's manual and many an administrator make them.
fn odd_certificates(folder: &std::path::Path) {
    openssl(
        folder,
        "req -x509 -newkey rsa:2048 -nodes -keyout self.key -out self.pem -days 2 -subj /CN=localhost",
    );
    let signed = |name: &str, more: &str| {
        openssl(
            folder,
            &format!(
                "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out {name} {more}"
            ),
        );
    };
    // Without an extension OpenSSL makes version 1.
    signed("v1.pem", "");
    std::fs::write(folder.join("v3"), "basicConstraints=CA:FALSE\n").unwrap();
    signed("cn.pem", "-extfile v3");
    std::fs::write(folder.join("authority"), "basicConstraints=CA:TRUE\n").unwrap();
    signed("authority.pem", "-extfile authority");
    std::fs::write(folder.join("elsewhere"), "subjectAltName=DNS:elsewhere.example\n").unwrap();
    signed("elsewhere.pem", "-extfile elsewhere");
}

/// What libpq says of a URL, and what the registry says.
fn both(url: &str) -> (bool, bool) {
    let theirs = Command::new("psql").args([url, "-Atc", "select 1"]).output();
    let theirs = theirs.expect("psql: apt-get install postgresql").status.success();
    let world = World::in_database(url.to_owned());
    let arguments = World::register_arguments("v1.0.0");
    let ran = world.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    (theirs, !ran.stderr.contains("PostgreSQL"))
}

#[test]
fn odd_certificates_are_accepted_where_libpq_accepts_them() {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    certificates(folder.path());
    odd_certificates(folder.path());
    let path = |name: &str| folder.path().join(name).display().to_string();
    for (certificate, key, modes) in [
        (
            "v1.pem",
            "server.key",
            vec![
                ("require", None),
                ("verify-ca", Some("ca.pem")),
                ("verify-full", Some("ca.pem")),
                ("verify-ca", Some("other.pem")),
            ],
        ),
        (
            "self.pem",
            "self.key",
            vec![
                ("prefer", None),
                ("verify-ca", Some("self.pem")),
                ("verify-full", Some("self.pem")),
                ("verify-ca", Some("ca.pem")),
            ],
        ),
        ("cn.pem", "server.key", vec![("verify-full", Some("ca.pem"))]),
        (
            "authority.pem",
            "server.key",
            vec![("verify-full", Some("ca.pem")), ("verify-ca", Some("other.pem"))],
        ),
        (
            "elsewhere.pem",
            "server.key",
            vec![("verify-ca", Some("ca.pem")), ("verify-full", Some("ca.pem"))],
        ),
    ] {
        std::fs::copy(path(certificate), path("server.pem")).unwrap();
        if key != "server.key" {
            std::fs::copy(path("server.key"), path("kept.key")).unwrap();
            std::fs::copy(path(key), path("server.key")).unwrap();
        }
        let mut database = Postgres::start();
        database.enable_tls(folder.path());
        let name = database.fresh_database();
        let name = name.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
        for (mode, root) in modes {
            let root = root.map_or(String::new(), |root| format!("&sslrootcert={}", path(root)));
            let port = database.port();
            let url = format!("postgres://registry@localhost:{port}/{name}?sslmode={mode}{root}");
            let (theirs, ours) = both(&url);
            assert_eq!(ours, theirs, "{certificate} {mode} {root}");
        }
        if key != "server.key" {
            std::fs::copy(path("kept.key"), path("server.key")).unwrap();
        }
    }
}

#[test]
fn a_database_that_is_not_utf8_is_refused_by_its_encoding() {
    let database = Postgres::start();
    let admin = database.url("postgres");
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let name = encoding.to_lowercase();
        crate::postgres::execute(
            &admin,
            &format!(
                "CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
            ),
        );
        let world = World::in_database(database.url(&name));
        let ran = world.register("v1.0.0");
        assert_eq!(ran.status, 2, "{encoding}: {ran:?}");
        assert!(!ran.stderr.contains("try again"), "{ran:?}");
        assert!(ran.stderr.contains(encoding) && ran.stderr.contains("UTF8"), "{ran:?}");
    }
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

#[test]
fn the_root_certificates_are_read_again_when_they_change() {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    certificates(folder.path());
    let mut database = Postgres::start();
    database.enable_tls(folder.path());
    let name = database.fresh_database();
    let name = name.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    let root = folder.path().join("root.pem");
    let trust = |name: &str| std::fs::copy(folder.path().join(name), &root).unwrap();
    trust("ca.pem");
    let (port, file) = (database.port(), root.display());
    let url = format!(
        "postgres://registry@localhost:{port}/{name}?sslmode=verify-full&sslrootcert={file}"
    );
    let world = World::in_database(url);
    world.register("v1.0.0").ok();
    let server = world.serve();
    let ready = || server.ask("GET", "/ready", &[]).status;
    assert_eq!(ready(), 200);
    trust("other.pem");
    // The connections that there are stay; new ones are made by what the file holds now.
    let hang_up =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname <> 'postgres'";
    until(Duration::from_secs(30), || {
        crate::postgres::execute(&database.url("postgres"), hang_up);
        ready() == 503
    });
    trust("ca.pem");
    until(Duration::from_secs(30), || ready() == 200);
}

#[test]
fn the_smallest_pool_is_enough_for_a_change() {
    let world = World::in_database(crate::postgres::shared_fresh_database());
    let run = |arguments: &[&str]| -> crate::support::Ran {
        let mut command = world.command(arguments);
        command.env("MODEL_REGISTRY_DB_POOL", "1").output().unwrap().into()
    };
    let register = World::register_arguments("v1.0.0");
    run(&register.iter().map(String::as_str).collect::<Vec<_>>()).ok();
    run(&["promote", "risk_model", "v1.0.0"]).ok();
    run(&["verify"]).ok();
    let none = world.command(&["list"]).env("MODEL_REGISTRY_DB_POOL", "0").output().unwrap();
    crate::support::Ran::from(none).refused(2, "MODEL_REGISTRY_DB_POOL");
}
