//! What is known of the connection that a request came by: whether its client is still there.
//!
//! The server itself only notices that a client went away when it writes the answer. For an answer that takes
//! minutes of work that is too late.

use std::{
    any::Any,
    future::pending,
    os::fd::{AsFd as _, OwnedFd},
    sync::Arc,
};

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::{HttpRequest, dev::Extensions, rt::net::TcpStream};
use rustix::event::{PollFd, PollFlags, poll};

use crate::limits;

/// The connection's socket, under a descriptor of its own.
#[derive(Clone)]
struct Socket(Arc<OwnedFd>);

/// Remembers a new connection's socket, for [`client_gone`].
pub fn remember(connection: &dyn Any, data: &mut Extensions) {
    let stream = connection.downcast_ref::<TcpStream>();
    let beneath = || Some(connection.downcast_ref::<TlsStream<TcpStream>>()?.get_ref().0);
    let stream = stream.or_else(beneath);
    // Without a descriptor to spare, a client that goes away is noticed late, as ever.
    if let Some(Ok(socket)) = stream.map(|stream| stream.as_fd().try_clone_to_owned()) {
        data.insert(Socket(Arc::new(socket)));
    }
}

/// Ends when the client has closed the connection, or its own half of it.
pub async fn client_gone(request: &HttpRequest) {
    let Some(socket) = request.conn_data::<Socket>().cloned() else {
        return pending().await;
    };
    loop {
        tokio::time::sleep(limits::CLIENT_GONE_POLL).await;
        let mut look = [PollFd::new(&*socket.0, PollFlags::RDHUP)];
        let at_once = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        if poll(&mut look, Some(&at_once)).is_ok_and(|_| look[0].revents().intersects(gone)) {
            return;
        }
    }
}
