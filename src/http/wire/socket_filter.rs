//! A socket filter that lets a listening socket end without losing a request.
//!
//! Closing a listening socket resets the connections that the kernel has made and nobody has accepted yet. Their clients
//! may have sent a request, and cannot know what happened to it. So the filter first stops new connections; those that
//! exist are accepted and served; then the socket is closed. A client that connects in between sends its SYN again, as
//! after any loss, and is then refused: it can safely go elsewhere.

use std::{io, net::TcpListener};

use socket2::{SockFilter, SockRef};

// Classic BPF (linux/bpf_common.h). The filter of a TCP socket sees each segment from its TCP header on.
const LOAD_BYTE: u16 = 0x30;
const JUMP_IF_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;
const DROP: u32 = 0;
const PASS: u32 = u32::MAX;

/// The offset of the flags in a TCP header, and the flag that opens a connection (RFC 9293 section 3.1).
const FLAGS: u32 = 13;
const SYN: u32 = 0x02;

/// A filter for one listening socket, not attached yet.
#[derive(Debug)]
pub struct SocketFilter(TcpListener);

impl SocketFilter {
    /// A filter for this socket.
    ///
    /// # Errors
    /// The system's, where the process has no descriptor left.
    pub fn for_listener(listener: &TcpListener) -> io::Result<Self> {
        listener.try_clone().map(Self)
    }

    /// Drops segments with SYN from now on, so that no new connection is made. Handshakes under way complete.
    /// Connections that are accepted later inherit the filter, which does no harm: none of their segments has SYN.
    ///
    /// # Errors
    /// The system's, where it does not support socket filters.
    pub fn drop_new_connections(self) -> io::Result<()> {
        SockRef::from(&self.0).attach_filter(&[
            SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
            SockFilter::new(JUMP_IF_ANY_BIT, 0, 1, SYN),
            SockFilter::new(RETURN, 0, 0, DROP),
            SockFilter::new(RETURN, 0, 0, PASS),
        ])
    }
}
