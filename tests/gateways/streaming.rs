//! A gigabyte through each gateway, to a client that takes its time: neither gateway nor service holds it in
//! memory, and the gateway does not put it on its disk either.

use crate::{
    gateway::{BOTH, Gateway, free_port, replica},
    support::{World, pickle},
};

const SIZE: u64 = 1 << 30;
/// What a process may need more than it did before.
const ALLOWANCE_KIB: u64 = 32 * 1024;

fn status_kib(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn bytes_written(pid: u32) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    let line = io.lines().find(|line| line.starts_with("write_bytes")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_gigabyte_is_streamed_and_kept_nowhere() {
    let world = World::new();
    let large = world.outside("large.bin");
    std::fs::File::create(&large).unwrap().set_len(SIZE).unwrap();
    let mut arguments = World::register_arguments("v1.0.0");
    let at = arguments.iter().position(|argument| argument == pickle().to_str().unwrap()).unwrap();
    arguments[at] = large.to_str().unwrap().to_owned();
    world.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).ok();
    let server = replica(&world, free_port(), 0);
    // Hashed once, so that what is measured is the sending.
    assert_eq!(
        server
            .ask(
                "HEAD",
                "/api/v1/models/risk_model/v1.0.0/artifact",
                &[("authorization", &format!("Bearer {}", crate::support::READ)),]
            )
            .status,
        200
    );
    for kind in BOTH {
        let gateway = Gateway::start(kind, [server.port(), server.port()]);
        gateway.model("risk_model/v1.0.0", &[]);
        let processes: Vec<_> = gateway.processes();
        let before: Vec<_> = processes
            .iter()
            .chain([&server.id()])
            .map(|&pid| (pid, status_kib(pid, "VmHWM"), bytes_written(pid)))
            .collect();
        // 128 MB a second is a fraction of what service and gateway could do between them.
        let answer = gateway
            .model("risk_model/v1.0.0/artifact", &["--limit-rate", "128M", "-o", "/dev/null"]);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("content-length"), Some(SIZE.to_string().as_str()));
        for (pid, peak, written) in before {
            // The mark may go down where the kernel takes pages of files away.
            let more = status_kib(pid, "VmHWM").saturating_sub(peak);
            assert!(more < ALLOWANCE_KIB, "{kind:?}: process {pid} took {more} KiB more");
            let wrote = bytes_written(pid) - written;
            assert!(wrote < 1 << 20, "{kind:?}: process {pid} wrote {wrote} bytes to a disk");
            println!("{kind:?}: process {pid} took {more} KiB more and wrote {wrote} bytes");
        }
    }
}
