//! The end of a listening socket, without a connection that is taken and never answered.
//!
//! Whoever closes a listening socket resets the connections that the kernel has made for it and nobody has accepted
//! yet: their clients may have sent a request, and cannot know what became of it. So the kernel is told first to
//! make no more; what is made already is accepted and served, and only then is the socket closed. A client that
//! comes in between repeats its SYN, as for any that is lost, and is then refused: it can safely go elsewhere.

use std::{io, net::TcpListener};

use socket2::{SockFilter, SockRef};

// Of classic BPF; see linux/bpf_common.h. The filter of a TCP socket sees a segment from its header on.
const LOAD_BYTE: u16 = 0x30;
const JUMP_IF_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;
const DROP: u32 = 0;
const PASS: u32 = u32::MAX;

/// Where the flags are in a TCP header, and the one that opens a connection: RFC 9293 section 3.1.
const FLAGS: u32 = 13;
const SYN: u32 = 0x02;

/// A handle on a socket that listens, for its end.
#[derive(Debug)]
pub struct SocketFilter(TcpListener);

impl SocketFilter {
    /// A second handle on this socket.
    ///
    /// # Errors
    /// The system's, where the process has no descriptor left.
    pub fn for_listener(listener: &TcpListener) -> io::Result<Self> {
        listener.try_clone().map(Self)
    }

    /// From now on no connection is made: segments with SYN are dropped. Those of handshakes under way pass.
    /// Connections that are accepted later inherit the filter, which does not matter: none of their segments has
    /// that flag.
    ///
    /// # Errors
    /// The system's, where sockets cannot have filters.
    pub fn drop_new_connections(self) -> io::Result<()> {
        SockRef::from(&self.0).attach_filter(&[
            SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
            SockFilter::new(JUMP_IF_ANY_BIT, 0, 1, SYN),
            SockFilter::new(RETURN, 0, 0, DROP),
            SockFilter::new(RETURN, 0, 0, PASS),
        ])
    }
}
