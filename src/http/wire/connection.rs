//! A connection between a client and the framework.
//!
//! It gives the framework one request at a time, and only heads that [`super::head`] accepts. Where the framework
//! refuses a request with an empty body, the connection puts an error body in its place. It closes the connection of a
//! client that is too slow to send a head or to receive an answer.

use std::{
    io,
    mem::MaybeUninit,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use actix_web::web::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{
    bare_answer::BareAnswer,
    chunks::Chunks,
    head::{self, Head},
    mailbox::{ConnectionMailbox, Following},
};
use crate::{
    error::{ErrorKind, RegistryError},
    limits,
};

/// How many bytes are read at once.
const PIECE: usize = 8 * 1024;

/// A connection to one client.
pub struct Connection<T> {
    io: T,
    /// The address of the client.
    peer: Option<IpAddr>,
    mailbox: Rc<ConnectionMailbox>,
    reading: Reading,
    /// Bytes that were read and that the framework does not have yet.
    incoming: BytesMut,
    /// How many of them the framework may have now.
    allowed: u64,
    /// The client has closed its sending side.
    ended: bool,
    /// When the head must be complete; `None` between two requests.
    head_due: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
    writing: Writing,
    stalled: Option<Pin<Box<Sleep>>>,
}

enum Reading {
    /// A head is being collected.
    Head,
    /// The framework has a head, and the service has not received the request yet.
    HandedOn,
    /// The body is passed on until the request is answered.
    Following(Following, Chunks),
    /// The head was refused; the answer is being written.
    Refusing(BareAnswer),
    /// The last answer is written. Until this time, whatever the client still sends is thrown away.
    Ending(Instant),
}

enum Writing {
    /// The next byte begins an answer.
    Boundary,
    /// This many bytes of an answer are still to be written.
    Answer(u64),
    /// An answer that ends with the connection.
    Endless,
    /// This answer replaces this many bytes of the framework's own.
    Instead(BareAnswer, usize),
}

impl<T> Connection<T> {
    /// Wraps a connection that was just accepted.
    pub fn new(io: T, peer: Option<SocketAddr>) -> Self {
        Self {
            io,
            peer: peer.map(|peer| peer.ip().to_canonical()),
            mailbox: Rc::default(),
            reading: Reading::Head,
            incoming: BytesMut::new(),
            allowed: 0,
            ended: false,
            head_due: Some(Instant::now() + limits::REQUEST_HEAD_TIMEOUT),
            alarm: None,
            writing: Writing::Boundary,
            stalled: None,
        }
    }

    /// The mailbox through which the service informs this connection.
    #[must_use]
    pub fn mailbox(&self) -> Rc<ConnectionMailbox> {
        self.mailbox.clone()
    }

    fn is_answered(&self) -> bool {
        matches!(self.writing, Writing::Boundary) && !self.mailbox.is_busy()
    }

    fn refuse(&mut self, error: RegistryError) {
        self.incoming.clear();
        self.reading = Reading::Refusing(BareAnswer::new(error, self.peer));
    }

    /// Whether the reader may have to go on now that an answer is written. Otherwise it waits for the client alone, whose
    /// next byte wakes it.
    fn reader_waits(&self) -> bool {
        let following = match self.reading {
            Reading::HandedOn => self.mailbox.received_request(),
            Reading::Following(following, _) => Some(following),
            Reading::Head | Reading::Refusing(_) | Reading::Ending(_) => None,
        };
        let nothing_follows = following == Some(Following::Bytes(0));
        !(nothing_follows && self.allowed == 0 && self.incoming.is_empty())
    }

    /// Goes to the next state where the bytes at hand allow it; `false` where they do not.
    fn step(&mut self) -> bool {
        match self.reading {
            Reading::Head => {
                let empty = head::empty_lines(&self.incoming);
                drop(self.incoming.split_to(empty));
                match head::find_end(&self.incoming) {
                    Head::Partial => return false,
                    Head::Refused(error) => self.refuse(error),
                    Head::Whole(length) => {
                        self.allowed = length as u64;
                        self.head_due = None;
                        self.reading = Reading::HandedOn;
                    }
                }
            }
            Reading::HandedOn => match self.mailbox.take_request() {
                None => return false,
                Some(following) => {
                    self.allowed = match following {
                        Following::Bytes(length) => length,
                        Following::Chunked => 0,
                        Following::Everything => u64::MAX,
                    };
                    self.reading = Reading::Following(following, Chunks::Size);
                }
            },
            Reading::Following(following, _) if self.is_answered() => match following {
                Following::Bytes(_) if self.allowed > 0 => return false,
                Following::Bytes(_) => self.reading = Reading::Head,
                Following::Chunked | Following::Everything => {
                    self.allowed = 0;
                    self.reading = Reading::Ending(Instant::now() + limits::LINGER);
                }
            },
            Reading::Following(Following::Chunked, chunks) if self.allowed == 0 => {
                let Some((allowed, next)) = chunks.next(&self.incoming) else { return false };
                self.allowed = allowed;
                self.reading = Reading::Following(Following::Chunked, next);
            }
            Reading::Following(..) | Reading::Refusing(_) | Reading::Ending(_) => return false,
        }
        true
    }
}

/// Whether a time has come; if not, the task is woken then. An alarm for an earlier time is kept and set again when it
/// fires: resetting it for each request costs more.
fn has_come(alarm: &mut Option<Pin<Box<Sleep>>>, due: Instant, cx: &mut Context<'_>) -> bool {
    let alarm = alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
    if alarm.deadline() > due {
        alarm.as_mut().reset(due);
    }
    while alarm.as_mut().poll(cx).is_ready() {
        if Instant::now() >= due {
            return true;
        }
        alarm.as_mut().reset(due);
    }
    false
}

impl<T: AsyncRead + AsyncWrite + Unpin> Connection<T> {
    /// Reads from the client; `Ready(false)` at the end of the stream.
    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut space = [const { MaybeUninit::uninit() }; PIECE];
        let mut piece = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut piece))?;
        self.incoming.extend_from_slice(piece.filled());
        Poll::Ready(Ok(!piece.filled().is_empty()))
    }

    /// Reads a head straight into the framework's buffer, where that is possible: nothing else is being read, and what
    /// arrives is one whole head. Whatever is not that is kept back as [`Self::fill`] keeps it. `Ready(false)` where the
    /// framework got nothing.
    fn poll_whole_head(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<bool>> {
        let before = out.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, out))?;
        let arrived = out.filled().get(before..).unwrap_or_default();
        if arrived.is_empty() {
            self.ended = true;
            self.mailbox.hang_up();
        } else if head::empty_lines(arrived) == 0
            && head::find_end(arrived) == Head::Whole(arrived.len())
        {
            self.head_due = None;
            self.reading = Reading::HandedOn;
            return Poll::Ready(Ok(true));
        } else {
            self.incoming.extend_from_slice(arrived);
            out.set_filled(before);
        }
        Poll::Ready(Ok(false))
    }

    /// The time for the head is over. A client that has begun to send one gets an answer.
    fn too_slow(&mut self) {
        if self.incoming.is_empty() {
            self.ended = true;
            return;
        }
        self.refuse(RegistryError::new(
            ErrorKind::RequestTimeout,
            format!(
                "The request's head did not arrive within {} seconds",
                limits::REQUEST_HEAD_TIMEOUT.as_secs()
            ),
        ));
    }

    /// Writes the refusal, and closes the sending side.
    fn poll_refuse(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Reading::Refusing(answer) = &mut self.reading {
            while !answer.rest().is_empty() {
                let written = ready!(Pin::new(&mut self.io).poll_write(cx, answer.rest()))?;
                answer.advance(written);
            }
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.reading = Reading::Ending(Instant::now() + limits::LINGER);
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    /// Ends the connection of a client that receives nothing for too long.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let due = Instant::now() + limits::ANSWER_STALL;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if stalled.as_mut().poll(cx).is_ready() {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the client does not receive its answer",
            ));
        }
        Ok(())
    }

    fn poll_write_some(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        if written.is_pending() {
            self.poll_stalled(cx)?;
        } else {
            self.stalled = None;
        }
        written
    }

    /// The state at the first byte of an answer. The framework writes a head in one piece.
    fn begin_answer(&self, bytes: &[u8]) -> Writing {
        let end_of_head =
            || bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|end| end + 4);
        if bytes.starts_with(b"HTTP/1.1 100 ") {
            return end_of_head().map_or(Writing::Endless, |head| Writing::Answer(head as u64));
        }
        let answer = self.mailbox.take_answer();
        // A short answer is written as a whole. Then its head ends where its body begins, and need not be searched: in a
        // head there is no empty line but the last.
        let body = answer.and_then(|answer| usize::try_from(answer.body?).ok());
        let whole = body.and_then(|body| bytes.get(..bytes.len().checked_sub(body)?));
        if whole.is_some_and(|head| head.ends_with(b"\r\n\r\n")) {
            return Writing::Answer(bytes.len() as u64);
        }
        let Some(head) = end_of_head() else { return Writing::Endless };
        match answer {
            Some(answer) => {
                answer.body.map_or(Writing::Endless, |body| Writing::Answer(head as u64 + body))
            }
            None => match BareAnswer::instead_of(&bytes[..head], self.peer) {
                Some(answer) => Writing::Instead(answer, head),
                None => Writing::Answer(head as u64),
            },
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Connection<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            while this.step() {}
            let ready = this.allowed.min(this.incoming.len() as u64).min(out.remaining() as u64);
            if ready > 0 {
                let piece = this.incoming.split_to(usize::try_from(ready).unwrap_or(0));
                out.put_slice(&piece);
                this.allowed -= ready;
                return Poll::Ready(Ok(()));
            }
            let ending = match this.reading {
                Reading::Refusing(_) => {
                    ready!(this.poll_refuse(cx))?;
                    continue;
                }
                Reading::Ending(due) => Some(due),
                _ => None,
            };
            if ending.is_some() {
                this.incoming.clear();
                // All requests are answered; an error in closing changes nothing.
                drop(this.poll_refuse(cx));
            }
            // Bytes that are held back may be the next request, but not after a body that broke off.
            let waiting = matches!(
                this.reading,
                Reading::HandedOn
                    | Reading::Following(Following::Bytes(_), _)
                    | Reading::Following(Following::Chunked, Chunks::End)
            );
            if this.ended && (!waiting || this.incoming.is_empty()) {
                return Poll::Ready(Ok(()));
            }
            this.mailbox.remember_reader(cx.waker());
            if this.ended || this.incoming.len() >= limits::READ_AHEAD {
                return Poll::Pending;
            }
            let only_head = matches!(this.reading, Reading::Head) && this.incoming.is_empty();
            if only_head && out.remaining() > 0 {
                match this.poll_whole_head(cx, out)? {
                    Poll::Ready(true) => return Poll::Ready(Ok(())),
                    Poll::Ready(false) => continue,
                    Poll::Pending => {}
                }
            }
            match this.fill(cx)? {
                Poll::Ready(more) => {
                    this.ended = !more;
                    if this.ended {
                        this.mailbox.hang_up();
                    }
                    continue;
                }
                Poll::Pending => {}
            }
            if let Some(due) = ending {
                if has_come(&mut this.alarm, due, cx) {
                    this.ended = true;
                    continue;
                }
            } else if matches!(this.reading, Reading::Head) {
                if this.head_due.is_none() && !this.incoming.is_empty() {
                    this.head_due = Some(Instant::now() + limits::REQUEST_HEAD_TIMEOUT);
                }
                if let Some(due) = this.head_due
                    && has_come(&mut this.alarm, due, cx)
                {
                    this.too_slow();
                    continue;
                }
            }
            return Poll::Pending;
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Connection<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if matches!(this.writing, Writing::Boundary) {
            this.writing = this.begin_answer(bytes);
        }
        let written = match &mut this.writing {
            Writing::Boundary | Writing::Endless => return this.poll_write_some(cx, bytes),
            Writing::Answer(left) => {
                let piece =
                    usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                let written = ready!(this.poll_write_some(cx, &bytes[..piece]))?;
                if let Writing::Answer(left) = &mut this.writing {
                    *left -= written as u64;
                    if *left == 0 {
                        this.writing = Writing::Boundary;
                    }
                }
                written
            }
            Writing::Instead(answer, replaced) => {
                let replaced = *replaced;
                while !answer.rest().is_empty() {
                    let written = ready!(Pin::new(&mut this.io).poll_write(cx, answer.rest()))?;
                    answer.advance(written);
                }
                this.writing = Writing::Boundary;
                replaced
            }
        };
        if this.is_answered() && this.reader_waits() {
            this.mailbox.wake_reader();
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
