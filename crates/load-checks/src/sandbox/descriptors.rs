//! Closing inherited descriptors. The only module with `unsafe` code.
//!
//! Everything that this program opens is closed at `exec`; what its own parent left open is not. There is no
//! safe way to close a descriptor that nobody owns.

use std::{
    fs::{self, File},
    io,
    os::fd::{AsRawFd as _, RawFd},
};

/// Closes every descriptor above standard error but those of `kept`, and answers how many there were.
pub(super) fn close_all_but(kept: &[&File]) -> io::Result<usize> {
    let open: Vec<RawFd> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    let keep = |fd: &RawFd| *fd <= 2 || kept.iter().any(|file| file.as_raw_fd() == *fd);
    let mut closed = 0;
    for fd in open.iter().filter(|fd| !keep(fd)) {
        // The listing's own descriptor is among them, and closed already.
        if is_open(*fd) {
            close(*fd);
            closed += 1;
        }
    }
    Ok(closed)
}

fn is_open(fd: RawFd) -> bool {
    fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_ok()
}

#[expect(unsafe_code, reason = "nobody owns an inherited descriptor, so no safe type can close it")]
fn close(fd: RawFd) {
    // SAFETY: called by the child's only thread at its start. Every descriptor that something here owns is kept
    // by the caller, so nothing is closed under an owner.
    unsafe { rustix::io::close(fd) }
}
