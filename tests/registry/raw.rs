//! A client that sends bytes as they are, and reads answers as RFC 9112 frames them.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use crate::support::Server;

pub struct Raw(pub TcpStream);

/// One answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |line: &&str| {
            line.split_once(':').is_some_and(|(field, _)| field.eq_ignore_ascii_case(name))
        };
        self.head.lines().find(named).map(|line| line[name.len() + 1..].trim())
    }
}

impl Raw {
    pub fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(25))).unwrap();
        Self(stream)
    }

    /// A server that has read enough may close before all is written.
    pub fn send(&mut self, bytes: &[u8]) {
        drop(self.0.write_all(bytes));
    }

    /// All that comes until the server closes.
    #[track_caller]
    pub fn until_closed(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&bytes)),
        }
        bytes
    }

    /// Reads until so many bytes are there or the server closes.
    pub fn at_least(&mut self, bytes: usize) -> Vec<u8> {
        let mut read = Vec::new();
        let mut piece = [0; 4096];
        while read.len() < bytes {
            match self.0.read(&mut piece).unwrap() {
                0 => break,
                more => read.extend_from_slice(&piece[..more]),
            }
        }
        read
    }
}

/// Takes answers apart. `heads` tells for each whether it is one to `HEAD`, which has no body.
#[track_caller]
pub fn answers(mut bytes: &[u8], heads: &[bool]) -> Vec<Answer> {
    let mut found: Vec<Answer> = Vec::new();
    while !bytes.is_empty() {
        let shown = String::from_utf8_lossy(bytes).into_owned();
        assert!(bytes.starts_with(b"HTTP/1."), "no answer begins here: {shown:.300}");
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head's end") + 4;
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status: u16 = head[9..12].parse().unwrap();
        let mut answer = Answer { status, head, body: Vec::new() };
        bytes = &bytes[end..];
        if status >= 200 {
            let place = found.iter().filter(|answer| answer.status >= 200).count();
            let bodiless = status == 204 || status == 304 || heads.get(place) == Some(&true);
            let length = answer.header("content-length").map_or(0, |text| text.parse().unwrap());
            let length = if bodiless { 0 } else { length };
            assert!(bytes.len() >= length, "the body is cut off: {shown:.300}");
            answer.body = bytes[..length].to_vec();
            bytes = &bytes[length..];
        }
        found.push(answer);
    }
    found
}
