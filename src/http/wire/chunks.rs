//! Finds the end of a chunked body (RFC 9112 section 7.1), so that the framework gets no byte beyond it.

/// The position in a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunks {
    /// At the size of the next chunk.
    Size,
    /// In the trailer fields after the last chunk.
    Trailer,
    /// After the body.
    End,
    /// The body is malformed. The framework has the malformed piece, and refuses it; it gets nothing more.
    Broken,
}

impl Chunks {
    /// How many bytes the framework may have now, and the position after them; `None` where more bytes are needed to
    /// tell.
    #[must_use]
    pub fn next(self, bytes: &[u8]) -> Option<(u64, Self)> {
        if matches!(self, Self::End | Self::Broken) {
            return None;
        }
        let line = match bytes.iter().position(|byte| *byte == b'\n') {
            Some(end) => &bytes[..=end],
            // A sound chunked body has no long lines.
            None if bytes.len() > 4096 => return Some((bytes.len() as u64, Self::Broken)),
            None => return None,
        };
        let length = line.len() as u64;
        let broken = Some((length, Self::Broken));
        let Some(text) = line.strip_suffix(b"\r\n") else { return broken };
        if text.contains(&b'\r') {
            return broken;
        }
        if self == Self::Trailer {
            return Some((length, if text.is_empty() { Self::End } else { Self::Trailer }));
        }
        let digits = text.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (size, rest) = text.split_at(digits);
        let size =
            std::str::from_utf8(size).ok().and_then(|size| u64::from_str_radix(size, 16).ok());
        match (size, rest.first()) {
            (Some(0), None | Some(b';' | b' ' | b'\t')) => Some((length, Self::Trailer)),
            // The chunk and its line end.
            (Some(size), None | Some(b';' | b' ' | b'\t')) => {
                Some((length.saturating_add(size).saturating_add(2), Self::Size))
            }
            _ => broken,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How many of these bytes are passed on, and the position after them.
    fn follow(bytes: &[u8]) -> (usize, Chunks) {
        let (mut at, mut chunks) = (0, Chunks::Size);
        while let Some((length, next)) = bytes.get(at..).and_then(|rest| chunks.next(rest)) {
            at = at.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
            chunks = next;
        }
        (at.min(bytes.len()), chunks)
    }

    #[test]
    fn a_body_ends_behind_its_last_chunk_and_trailer() {
        for body in [
            "0\r\n\r\n",
            "3\r\nabc\r\n0\r\n\r\n",
            "3;name=value\r\nabc\r\nA \r\n0123456789\r\n000\r\nA: b\r\nC: d\r\n\r\n",
            "5\r\n0\r\n\r\n\r\n0\r\n\r\n",
        ] {
            let bytes = format!("{body}GET / HTTP/1.1\r\n\r\n");
            assert_eq!(follow(bytes.as_bytes()), (body.len(), Chunks::End), "{body:?}");
            for end in 0..body.len() {
                assert_ne!(follow(&body.as_bytes()[..end]).1, Chunks::End, "{body:?} {end}");
            }
        }
    }

    #[test]
    fn nothing_is_handed_on_beyond_what_is_wrong() {
        for (good, bad) in [
            ("", "3\n"),
            ("", "x\r\n"),
            ("", "\r\n"),
            ("", "-1\r\n"),
            ("", "0x3\r\n"),
            ("", "3g\r\n"),
            ("", "10000000000000000\r\n"),
            ("", "3\rabc\r\n"),
            ("1\r\na\r\n", "\n"),
            ("0\r\n", "A: b\n"),
            ("0\r\n", "\n"),
        ] {
            let bytes = format!("{good}{bad}0\r\n\r\nGET / HTTP/1.1\r\n\r\n");
            assert_eq!(
                follow(bytes.as_bytes()),
                ((good.len() + bad.len()), Chunks::Broken),
                "{bad:?}"
            );
        }
        assert_eq!(follow(&[b'1'; 5000]).1, Chunks::Broken);
    }

    proptest! {
        #[test]
        fn whatever_is_chunked_is_followed_to_its_end(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
            next in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut bytes = Vec::new();
            for piece in &pieces {
                bytes.extend(format!("{:x}\r\n", piece.len()).bytes());
                bytes.extend(piece);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
            let length = bytes.len();
            bytes.extend(next);
            prop_assert_eq!(follow(&bytes), (length, Chunks::End));
        }
    }
}
