//! Keys over TLS, from a provider whose certificate the system trusts, or does not.

use std::{process::Command, time::Duration};

use crate::{
    forge::{Keys, claims, header},
    provider::{Idp, keys_line, read},
    support::{World, until},
};

/// A folder with a key and a certificate for 127.0.0.1 that vouches for itself.
fn certificate() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=idp", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "key.pem"])
        .args(["-out", "cert.pem"])
        .current_dir(folder.path())
        .output()
        .expect("openssl is missing: apt-get install openssl");
    assert!(made.status.success(), "{made:?}");
    folder
}

#[test]
fn a_certificate_is_believed_where_the_system_trusts_it() {
    let folder = certificate();
    let tls = folder.path().to_str().unwrap();
    let idp = Idp::start_with(Keys::new(), &[("IDP_TLS", tls)]);
    assert!(idp.issuer.starts_with("https://"));
    let token = idp.keys.token(&header(), &claims(&idp.issuer));
    let (world, trusted) = (World::new(), folder.path().join("cert.pem"));
    let trusting = idp.serve_with(&world, &[("SSL_CERT_FILE", trusted.to_str().unwrap())]);
    until(Duration::from_secs(5), || read(&trusting, &token).status == 200);
    let (world, log) =
        (World::new(), "the identity keys could not be refreshed; it is tried again");
    let server = idp.serve(&world);
    read(&server, &token).is_error(503, "REGISTRY_UNAVAILABLE", "identity provider's keys");
    assert!(!keys_line(&server).unwrap().0);
    let cause = server.events(log)[0]["cause"].to_string();
    assert!(cause.contains("certificate"), "{cause}");
}
