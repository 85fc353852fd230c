//! Whether any loader of pickles that starts on these bytes could come to name a class or function.
//!
//! A pickle runs nothing before it names something. Loaders differ in what they refuse (frames that
//! end elsewhere than they say, a missing PROTO opcode, values of the wrong type), and all of them
//! read one opcode after the other. This reader refuses only what every loader refuses: an opcode
//! that there is not, an argument that the file is too short for, a value taken from where none was
//! ever put. Where it meets no name, no loader does.

use std::io;

use super::source::Source;

/// The longest name of a module that is looked at.
const MAX_NAME: usize = 4096;
/// A memo that is filled at a higher place than this takes much memory.
const MAX_MEMO: u64 = 1 << 20;
/// Digits of a number in decimals. Reading more takes a time that grows with their square.
const MAX_DIGITS: u64 = 1 << 16;
/// Opcodes between two questions whether to go on.
const POLL_EVERY: u32 = 1 << 16;

/// What a loader could come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reached {
    /// It names this module, or a name that is put together from values.
    Name(u64, String),
    /// It takes more memory or time than the file has any need for.
    Exhaustion(u64),
}

/// What stands after an opcode.
enum Argument {
    None,
    Bytes(u64),
    /// A length of so many bytes, little end first, and what it counts.
    Counted(usize),
    Line,
}

/// What an opcode takes and puts, as far as any loader needs it to be there.
struct Opcode {
    argument: Argument,
    /// Values that must be there at least.
    takes: u32,
    marked: bool,
    puts: u32,
}

const fn op(argument: Argument, takes: u32, puts: u32) -> Option<Opcode> {
    Some(Opcode { argument, takes, marked: false, puts })
}

const fn marked(takes: u32, puts: u32) -> Option<Opcode> {
    Some(Opcode { argument: Argument::None, takes, marked: true, puts })
}

/// All opcodes but those that name something, persistent ids of text, which no loader of models takes,
/// and codes of extensions, of which no library registers any.
const fn opcode(byte: u8) -> Option<Opcode> {
    use Argument::{Bytes, Counted, Line, None as Nothing};
    match byte {
        b'F' | b'I' | b'L' | b'S' | b'V' | b'g' => op(Line, 0, 1),
        b'p' => op(Line, 1, 0),
        b'N' | b'}' | b']' | b')' | 0x88 | 0x89 | 0x8f | 0x97 => op(Nothing, 0, 1),
        b'J' | b'j' => op(Bytes(4), 0, 1),
        b'K' | b'h' => op(Bytes(1), 0, 1),
        b'M' => op(Bytes(2), 0, 1),
        b'G' => op(Bytes(8), 0, 1),
        b'T' | b'X' | b'B' | 0x8b => op(Counted(4), 0, 1),
        b'U' | b'C' | 0x8a | 0x8c => op(Counted(1), 0, 1),
        0x8d | 0x8e | 0x96 => op(Counted(8), 0, 1),
        b'q' => op(Bytes(1), 1, 0),
        b'r' => op(Bytes(4), 1, 0),
        0x80 => op(Bytes(1), 0, 0),
        0x95 => op(Bytes(8), 0, 0),
        b'.' | b'0' | 0x94 | 0x98 => op(Nothing, 1, 0),
        b'2' | b'Q' | 0x85 => op(Nothing, 1, 1),
        b'a' | b'R' | b'b' | 0x81 | 0x86 => op(Nothing, 2, 1),
        b's' | 0x87 | 0x92 => op(Nothing, 3, 1),
        b'1' => marked(0, 0),
        b't' | b'l' | b'd' | 0x91 => marked(0, 1),
        b'e' | b'u' | 0x90 | b'o' => marked(1, 1),
        _ => None,
    }
}

/// Reads from where `source` stands. Names before `seen` are passed over: somebody looked at them.
pub(super) fn reached(
    source: &mut Source<'_>,
    seen: u64,
    keep_going: &dyn Fn() -> bool,
) -> io::Result<Option<Reached>> {
    let (mut values, mut marks, mut count) = (0_u32, 0_u32, 0_u32);
    loop {
        count = count.wrapping_add(1);
        if count.is_multiple_of(POLL_EVERY) {
            super::poll(keep_going)?;
        }
        let at = source.offset();
        let Some(byte) = source.byte()? else {
            return Ok(None);
        };
        match byte {
            b'(' => marks = marks.saturating_add(1),
            // Python's own unpickler imports the module of INST before it looks for a mark.
            b'c' | b'i' => {
                let Some(module) = named(source)? else {
                    return Ok(None);
                };
                if at >= seen {
                    return Ok(Some(Reached::Name(at, module)));
                }
                values = values.saturating_add(1);
            }
            0x93 if values < 2 => return Ok(None),
            0x93 if at >= seen => {
                return Ok(Some(Reached::Name(at, "that its values spell".to_owned())));
            }
            0x93 => {}
            _ => {
                let Some(opcode) = opcode(byte) else {
                    return Ok(None);
                };
                if values < opcode.takes || (opcode.marked && marks == 0) {
                    return Ok(None);
                }
                match argument(source, byte, &opcode.argument)? {
                    Passed::Over => {}
                    Passed::Ends => return Ok(None),
                    Passed::Exhausts if at >= seen => return Ok(Some(Reached::Exhaustion(at))),
                    Passed::Exhausts => {}
                }
                values = values.saturating_add(opcode.puts);
            }
        }
    }
}

enum Passed {
    Over,
    Ends,
    Exhausts,
}

fn argument(source: &mut Source<'_>, byte: u8, argument: &Argument) -> io::Result<Passed> {
    let whole = match argument {
        Argument::None => true,
        Argument::Bytes(4) if byte == b'r' => {
            let mut place = [0; 4];
            let whole = source.exact(&mut place)?;
            if whole && u64::from(u32::from_le_bytes(place)) > MAX_MEMO {
                return Ok(Passed::Exhausts);
            }
            whole
        }
        Argument::Bytes(count) => source.skip(*count)?,
        Argument::Counted(width) => {
            let mut length = [0; 8];
            source.exact(&mut length[..*width])? && source.skip(u64::from_le_bytes(length))?
        }
        Argument::Line => {
            let Some((line, length)) = line(source)? else {
                return Ok(Passed::Ends);
            };
            let place = std::str::from_utf8(&line).ok().and_then(|line| line.trim().parse().ok());
            let far = byte == b'p' && place.is_some_and(|place: u64| place > MAX_MEMO);
            if far || (b"ILF".contains(&byte) && length > MAX_DIGITS) {
                return Ok(Passed::Exhausts);
            }
            true
        }
    };
    Ok(if whole { Passed::Over } else { Passed::Ends })
}

/// The first bytes of a line, and how long it is.
fn line(source: &mut Source<'_>) -> io::Result<Option<(Vec<u8>, u64)>> {
    let (mut start, mut length) = (Vec::new(), 0);
    let whole = source.line(|piece| {
        let room = MAX_NAME.saturating_sub(start.len()).min(piece.len());
        start.extend_from_slice(&piece[..room]);
        length += piece.len() as u64;
        Ok(())
    })?;
    Ok(whole.then_some((start, length)))
}

/// The module of a name in two lines; `None` where no module can be called so.
fn named(source: &mut Source<'_>) -> io::Result<Option<String>> {
    let Some((module, length)) = line(source)? else {
        return Ok(None);
    };
    let module = String::from_utf8(module).ok().filter(|_| length <= MAX_NAME as u64);
    let Some(module) = module.filter(|module| is_path(module)) else {
        return Ok(None);
    };
    Ok(line(source)?.map(|_| module))
}

/// Whether these are names with dots between, as those of modules are.
pub(super) fn is_path(text: &str) -> bool {
    let is_word = |c: char| c == '_' || c.is_alphanumeric() || (!c.is_ascii() && !c.is_control());
    text.split('.').all(|part| !part.is_empty() && part.chars().all(is_word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> Option<Reached> {
        let mut source = Source::unpacked(bytes, Some(bytes.len() as u64)).unwrap();
        reached(&mut source, 0, &|| true).unwrap()
    }

    #[test]
    fn names_are_reached_whatever_stands_before_them() {
        for bytes in [
            &b"cos\nsystem\n(S'x'\ntR."[..],
            b"(S'x'\nios\nsystem\n.",
            b"\x95\x03\0\0\0\0\0\0\0\x8c\x04xxxx0\x8c\x02os\x8c\x06system\x93.",
            b"\x80\x63\x8c\x02os\x8c\x06system\x93.",
            b"N.cos\nsystem\n.",
            b"V\xc3\xa9\n0cos\nsystem\n",
            b"X\x02\0\0\0\xff\xffcos\nsystem\n",
            b"\x88\x89\x8f\x97cos\nsystem\n",
            b"}Qcposix\nsystem\n",
            b"ios\nsystem\n",
        ] {
            assert!(matches!(of(bytes), Some(Reached::Name(..))), "{}", bytes.escape_ascii());
        }
        assert!(matches!(of(b"Nr\xff\xff\xff\xff."), Some(Reached::Exhaustion(1))));
        assert!(matches!(of(b"Np4000000000\n."), Some(Reached::Exhaustion(1))));
    }

    #[test]
    fn text_that_no_loader_gets_far_with_reaches_nothing() {
        for text in [
            "",
            "# Alpha model\n\nTrained on prices.",
            "Portfolio model\ncos\nsystem\n",
            "close,volume\n1,2\n",
            "config for the model\nsee below\n",
            "id,name\n1,x\n",
            "import os\nprint(1)\n",
            "count",
            "readme\n",
            "(see below)\nios\nsystem\n",
            "{\"a\": 1}",
            "model:\n  a: 1\n",
            "NQ futures\n",
        ] {
            assert_eq!(of(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_was_looked_at_is_passed_over() {
        let bytes = b"cours\nRisk\n0cos\nsystem\n.";
        let mut source = Source::unpacked(&bytes[..], None).unwrap();
        let found = reached(&mut source, 5, &|| true).unwrap();
        assert_eq!(found, Some(Reached::Name(12, "os".to_owned())));
    }
}
