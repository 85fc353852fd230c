//! Files with tokens: several of them, named, and read again when they change.

use std::{
    fs,
    os::unix::fs::symlink,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use crate::support::{Server, World, until};

const PATH: &str = "/api/v1/models/risk_model";

fn status(server: &Server, token: &str) -> u16 {
    server.ask("GET", PATH, &[("authorization", &format!("Bearer {token}"))]).status
}

fn serve(world: &World, file: &std::path::Path) -> Server {
    world.serve_with(&[
        ("MODEL_REGISTRY_READ_TOKEN", ""),
        ("MODEL_REGISTRY_READ_TOKEN_FILE", file.to_str().unwrap()),
    ])
}

#[test]
fn each_token_of_a_file_is_logged_under_its_name() {
    let world = World::new();
    let file = world.outside("tokens");
    fs::write(
        &file,
        "desk=token-of-the-desk-0123\n\nci=token-of-the-ci-0123456\nnameless-0123456789\n",
    )
    .unwrap();
    let server = serve(&world, &file);
    let tokens = [
        ("token-of-the-desk-0123", Some("desk")),
        ("token-of-the-ci-0123456", Some("ci")),
        ("nameless-0123456789", None),
    ];
    for (token, _) in tokens {
        assert_eq!(status(&server, token), 200, "{token}");
    }
    assert_eq!(status(&server, "desk=token-of-the-desk-0123"), 401, "the name is no part of it");
    until(Duration::from_secs(5), || server.events("request").len() == 4);
    for ((_, name), line) in tokens.iter().zip(server.events("request")) {
        assert_eq!(line["auth_role"], "read");
        assert_eq!(line["auth_subject"].as_str(), *name, "{line}");
    }
    assert!(!server.log().join("\n").contains("0123"), "no token is logged");
}

#[test]
fn a_rotation_through_swapped_links_refuses_no_request() {
    let world = World::new();
    let mount = world.outside("mount");
    fs::create_dir(&mount).unwrap();
    // As Kubernetes mounts a secret: a link through another link, and that one is swapped.
    let publish = |generation: u32, tokens: &str| {
        let folder = mount.join(format!("..{generation}"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("token"), tokens).unwrap();
        let link = mount.join("..next");
        symlink(folder.file_name().unwrap(), &link).unwrap();
        fs::rename(&link, mount.join("..data")).unwrap();
    };
    publish(0, "ci=token-0-0123456789\n");
    symlink("..data/token", mount.join("token")).unwrap();
    let server = serve(&world, &mount.join("token"));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            // One that is in each generation is never refused.
            let mut asked = 0;
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(status(&server, crate::support::ADMIN), 200);
                asked += 1;
            }
            asked
        });
        for generation in 1..6 {
            let (old, new) = (
                format!("token-{}-0123456789", generation - 1),
                format!("token-{generation}-0123456789"),
            );
            assert_eq!(status(&server, &new), 401, "not yet");
            publish(generation, &format!("ci={old}\nci={new}\n"));
            // At once, whenever the files were looked at last.
            assert_eq!(status(&server, &new), 200, "{generation}");
            assert_eq!(status(&server, &old), 200, "{generation}");
        }
        stop.store(true, Ordering::Relaxed);
        assert!(other.join().unwrap() > 0);
    });
    publish(9, "ci=token-9-0123456789\n");
    until(Duration::from_secs(10), || status(&server, "token-5-0123456789") == 401);
    assert!(server.events("the tokens changed").len() >= 6);
}

#[test]
fn a_file_that_cannot_be_used_leaves_the_tokens_before_it() {
    let world = World::new();
    let file = world.outside("tokens");
    fs::write(&file, "first-token-0123456789\n").unwrap();
    let server = serve(&world, &file);
    let message = "the token file changed and cannot be used; the tokens before stay in use";
    for (told, broken) in [(1, "two words\n"), (2, "")] {
        fs::write(&file, broken).unwrap();
        until(Duration::from_secs(10), || server.events(message).len() == told);
        assert_eq!(status(&server, "first-token-0123456789"), 200, "{broken:?}");
    }
    fs::write(&file, "second-token-0123456789\n").unwrap();
    assert_eq!(status(&server, "second-token-0123456789"), 200);
    assert_eq!(status(&server, "first-token-0123456789"), 401);
}

#[test]
fn short_and_shared_tokens_are_warned_of() {
    let world = World::new();
    let file = world.outside("tokens");
    fs::write(&file, "short\nadmin-token-0123456789\n").unwrap();
    let server = serve(&world, &file);
    let warnings: Vec<_> =
        server.log().into_iter().filter(|line| line.contains("\"WARN\"")).collect();
    let warned =
        |parts: &[&str]| warnings.iter().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(
        warned(&["MODEL_REGISTRY_READ_TOKEN_FILE", "shorter than 16", "openssl rand"]),
        "{warnings:?}"
    );
    assert!(
        warned(&[
            "MODEL_REGISTRY_ADMIN_TOKEN and MODEL_REGISTRY_READ_TOKEN_FILE",
            "counts as admin"
        ]),
        "{warnings:?}"
    );
}
