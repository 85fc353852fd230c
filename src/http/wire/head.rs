//! Finds the end of a request's head before the framework sees it, and refuses heads that are too large or have lines
//! that end in a bare LF. The framework accepts these, or refuses them too late; all other checks are its own.

use crate::{
    error::{ErrorKind, RegistryError},
    limits,
};

/// What the bytes from a client begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// A head whose end has not arrived.
    Partial,
    /// A whole head of this many bytes, including its empty line.
    Whole(usize),
    /// A head that is refused with this error.
    Refused(RegistryError),
}

/// How many bytes of empty lines precede the request line. They are ignored (RFC 9112 section 2.2).
#[must_use]
pub fn empty_lines(bytes: &[u8]) -> usize {
    bytes.chunks_exact(2).take_while(|pair| pair == b"\r\n").count() * 2
}

/// Finds the end of a head. The bytes begin with the request line: see [`empty_lines`].
#[must_use]
pub fn find_end(bytes: &[u8]) -> Head {
    let mut line_start = 0;
    for at in memchr::memchr_iter(b'\n', bytes) {
        if at == 0 || bytes[at - 1] != b'\r' {
            // RFC 9112 section 2.2 allows it as the end of a line. A gateway that reads it otherwise would let a
            // second request through unseen.
            return refused(
                ErrorKind::MalformedRequest,
                "A line of the request's head ends in a bare LF",
            );
        }
        if at + 1 > limits::REQUEST_HEAD {
            break;
        }
        if line_start == 0 && at > limits::REQUEST_LINE + 1 {
            return request_line_too_long();
        }
        if line_start == at - 1 {
            return Head::Whole(at + 1);
        }
        line_start = at + 1;
    }
    if line_start == 0 && bytes.len() > limits::REQUEST_LINE + 1 {
        return request_line_too_long();
    }
    if bytes.len() > limits::REQUEST_HEAD {
        return refused(
            ErrorKind::HeadersTooLarge,
            format!("The request's head is larger than {} bytes", limits::REQUEST_HEAD),
        );
    }
    Head::Partial
}

fn request_line_too_long() -> Head {
    refused(
        ErrorKind::UriTooLong,
        format!("The request line is longer than {} bytes", limits::REQUEST_LINE),
    )
}

fn refused(kind: ErrorKind, detail: impl Into<String>) -> Head {
    Head::Refused(RegistryError::new(kind, detail))
}

/// Whether a `Host` field may have this value (RFC 9112 section 3.2): a name or address, and perhaps a port.
#[must_use]
pub fn is_host(value: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(value) else { return false };
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            ("", rest.strip_prefix(':').or_else(|| rest.is_empty().then_some("")))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, Some("")),
        },
    };
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(&byte);
    host.bytes().all(in_name) && port.is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kind(head: &Head) -> Option<ErrorKind> {
        match head {
            Head::Refused(error) => Some(error.kind()),
            _ => None,
        }
    }

    #[test]
    fn a_head_ends_at_its_first_empty_line() {
        let head = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        assert_eq!(find_end(head), Head::Whole(head.len()));
        assert_eq!(
            find_end(&[head.as_slice(), b"GET /2 HTTP/1.1\n"].concat()),
            Head::Whole(head.len())
        );
        for end in 0..head.len() {
            assert_eq!(find_end(&head[..end]), Head::Partial, "{end}");
        }
        assert_eq!(empty_lines(b"\r\n\r\nGET"), 4);
        assert_eq!(empty_lines(b"\r"), 0);
        assert_eq!(empty_lines(b"\nGET"), 0);
    }

    #[test]
    fn bare_line_feeds_are_refused_wherever_they_stand_in_a_head() {
        for head in ["\n", "GET / HTTP/1.1\n", "GET / HTTP/1.1\r\nHost: x\n", "G\r\nA: b\r\n\n"] {
            assert_eq!(
                kind(&find_end(head.as_bytes())),
                Some(ErrorKind::MalformedRequest),
                "{head:?}"
            );
        }
    }

    #[test]
    fn a_head_may_be_as_large_as_its_limits_and_no_larger() {
        let with = |line: usize, rest: usize| {
            let line = format!("GET /{} HTTP/1.1\r\n", "a".repeat(line - 14));
            let rest = format!("a: {}\r\n\r\n", "b".repeat(rest - 7));
            format!("{line}{rest}").into_bytes()
        };
        let (line, head) = (limits::REQUEST_LINE, limits::REQUEST_HEAD);
        let largest = with(line, head - line - 2);
        assert_eq!(largest.len(), head);
        assert_eq!(find_end(&largest), Head::Whole(head));
        assert_eq!(kind(&find_end(&with(line + 1, 100))), Some(ErrorKind::UriTooLong));
        assert_eq!(kind(&find_end(&with(line, head - line - 1))), Some(ErrorKind::HeadersTooLarge));
        assert_eq!(kind(&find_end(&vec![b'a'; line + 2])), Some(ErrorKind::UriTooLong));
        let endless = [b"GET / HTTP/1.1\r\n".as_slice(), &vec![b'a'; head]].concat();
        assert_eq!(kind(&find_end(&endless)), Some(ErrorKind::HeadersTooLarge));
    }

    #[test]
    fn a_host_is_a_name_or_an_address_and_a_port() {
        for good in ["", "a", "a.example:8003", "10.0.0.1", "[::1]", "[::1]:80", "a:", "%41", "a_b"]
        {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in [
            "a b", "a,b", "u@a", "a/b", "a:b", "a:1:2", "[::1", "[x]", "[::1]x", "::1", "a\\b",
            "ä", "?", "#",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
        assert!(!is_host(b"\xff"));
    }

    proptest! {
        /// What is one head here must be one head for the framework too, or a second request could hide in it.
        #[test]
        fn a_head_never_holds_an_empty_line_before_its_end(bytes in "[a:\r\n]{0,40}") {
            let bytes = &bytes.as_bytes()[empty_lines(bytes.as_bytes())..];
            if let Head::Whole(end) = find_end(bytes) {
                let body: Vec<&[u8]> = bytes[..end].split(|byte| *byte == b'\n').collect();
                let lines = &body[..body.len() - 1];
                prop_assert!(lines.iter().all(|line| line.ends_with(b"\r")));
                let empty = lines.iter().filter(|line| **line == b"\r").count();
                prop_assert_eq!(empty, 1);
                prop_assert_eq!(lines.last(), Some(&b"\r".as_slice()));
            }
        }
    }
}
