//! What the binary writes, checked by Go.

use std::fs;

use crate::{independent::check, support::World};

#[test]
fn evidence_and_checkpoints_of_a_registry_are_verified_by_others() {
    let world = World::promoted(&["v1.0.0", "v1.1.0"]);
    let [key_file, evidence, checkpoint] =
        ["log.key", "evidence.json", "checkpoint"].map(|name| world.outside(name));
    let key_path = key_file.to_str().unwrap();
    let key = world.run(&["log", "new-key", "registry.example/models", key_path]).ok().stdout;
    let key = key.trim_end();
    let log = |arguments: &[&str]| {
        let mut command = world.command(arguments);
        command.env("MODEL_REGISTRY_LOG_KEY_FILE", &key_file);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let proven = log(&["log", "prove", "risk_model", "v1.0.0"]);
    fs::write(&evidence, &proven).unwrap();
    let Some(verified) = check("evidence", &evidence, key) else { return };
    assert_eq!(verified.as_deref(), Ok("registry.example/models: 3 of 5"));

    let printed = log(&["log", "checkpoint"]);
    fs::write(&checkpoint, &printed).unwrap();
    let root = printed.lines().nth(2).unwrap();
    let verified = check("checkpoint", &checkpoint, key).unwrap();
    assert_eq!(verified, Ok(format!("5 {root}")));

    for (from, to) in
        [("alice", "mallory"), ("\\n5\\n", "\\n4\\n"), ("\"index\": 0", "\"index\": 1")]
    {
        let altered = proven.replacen(from, to, 1);
        assert_ne!(altered, proven, "{from}");
        fs::write(&evidence, altered).unwrap();
        assert!(check("evidence", &evidence, key).unwrap().is_err(), "{from}");
    }
}
