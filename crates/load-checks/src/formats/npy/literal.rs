//! Python literals, as `ast.literal_eval` takes them in an array's header.
//!
//! Dicts, lists, tuples, texts, whole numbers, True and False: what `numpy.save` writes. Bounded
//! in depth. Knows nothing of arrays.

/// Values within values.
const MAX_DEPTH: u32 = 32;

#[derive(Debug, PartialEq)]
pub(super) enum Literal {
    Dict(Vec<(Literal, Literal)>),
    List(Vec<Literal>),
    Tuple(Vec<Literal>),
    Text(String),
    Int(i64),
    Bool(bool),
}

/// Parses one literal to the end of the text. `long`: numbers may end in `L`, as Python 2 wrote.
pub(super) fn parse(text: &str, long: bool) -> Result<Literal, String> {
    let mut parser = Parser { rest: text, long };
    let value = parser.value(0)?;
    parser.space();
    if parser.rest.is_empty() { Ok(value) } else { Err(parser.fault()) }
}

struct Parser<'a> {
    rest: &'a str,
    long: bool,
}

impl Parser<'_> {
    fn fault(&self) -> String {
        match self.rest.chars().next() {
            Some(c) => format!("'{}' is not expected there", c.escape_default()),
            None => "it ends too early".to_owned(),
        }
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0c']);
    }

    fn taken(&mut self, c: char) -> bool {
        self.space();
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, depth: u32) -> Result<Literal, String> {
        if depth == MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH} levels"));
        }
        self.space();
        match self.rest.chars().next() {
            Some('{') => self.dict(depth),
            Some('[') => Ok(Literal::List(self.items('[', ']', depth)?.0)),
            Some('(') => {
                let (mut items, comma) = self.items('(', ')', depth)?;
                match items.pop() {
                    // Brackets around one value alone make no tuple.
                    Some(only) if items.is_empty() && !comma => Ok(only),
                    Some(last) => {
                        items.push(last);
                        Ok(Literal::Tuple(items))
                    }
                    None => Ok(Literal::Tuple(items)),
                }
            }
            Some('\'' | '"') => self.text(),
            Some('-' | '0'..='9') => self.number(),
            _ => self.word(),
        }
    }

    /// The items between brackets, and whether a comma followed the last one.
    fn items(
        &mut self,
        open: char,
        close: char,
        depth: u32,
    ) -> Result<(Vec<Literal>, bool), String> {
        let mut items = Vec::new();
        let mut comma = false;
        self.taken(open);
        while !self.taken(close) {
            if !items.is_empty() && !comma {
                return Err(self.fault());
            }
            items.push(self.value(depth + 1)?);
            comma = self.taken(',');
        }
        Ok((items, comma))
    }

    fn dict(&mut self, depth: u32) -> Result<Literal, String> {
        let mut entries = Vec::new();
        let mut comma = true;
        self.taken('{');
        while !self.taken('}') {
            if !comma {
                return Err(self.fault());
            }
            let key = self.value(depth + 1)?;
            if !self.taken(':') {
                return Err(self.fault());
            }
            entries.push((key, self.value(depth + 1)?));
            comma = self.taken(',');
        }
        Ok(Literal::Dict(entries))
    }

    fn number(&mut self) -> Result<Literal, String> {
        let digits = self.rest.strip_prefix('-').unwrap_or(self.rest);
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        let end = end + self.rest.len() - digits.len();
        let (number, rest) = self.rest.split_at(end);
        let bare = number.strip_prefix('-').unwrap_or(number);
        if bare.len() > 1 && bare.starts_with('0') {
            return Err("a number with a leading zero".to_owned());
        }
        let value = number.parse().map_err(|_| self.fault())?;
        self.rest = rest;
        if self.long {
            self.rest = rest.strip_prefix('L').unwrap_or(rest);
        }
        if self.rest.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.') {
            return Err(self.fault());
        }
        Ok(Literal::Int(value))
    }

    fn word(&mut self) -> Result<Literal, String> {
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        let value = match word {
            "True" => Literal::Bool(true),
            "False" => Literal::Bool(false),
            _ => return Err(self.fault()),
        };
        self.rest = rest;
        Ok(value)
    }

    fn text(&mut self) -> Result<Literal, String> {
        let mut chars = self.rest.chars();
        let quote = chars.next();
        let mut text = String::new();
        loop {
            match chars.next() {
                None | Some('\n' | '\r' | '\0') => return Err("an unfinished text".to_owned()),
                c if c == quote => break,
                Some('\\') => {
                    text.push(escaped(&mut chars).ok_or("an unknown escape in a text")?);
                }
                Some(c) => text.push(c),
            }
        }
        self.rest = chars.as_str();
        if text.is_empty() && self.rest.starts_with(['\'', '"']) {
            return Err(self.fault());
        }
        Ok(Literal::Text(text))
    }
}

/// The escapes that Python's `repr` writes.
fn escaped(chars: &mut std::str::Chars<'_>) -> Option<char> {
    let digits = match chars.next()? {
        'n' => return Some('\n'),
        'r' => return Some('\r'),
        't' => return Some('\t'),
        quote @ ('\\' | '\'' | '"') => return Some(quote),
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => return None,
    };
    let mut code = 0_u32;
    for _ in 0..digits {
        code = code.checked_mul(16)? + chars.next()?.to_digit(16)?;
    }
    char::from_u32(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_read_as_python_reads_them() {
        assert_eq!(parse("(1)", false), Ok(Literal::Int(1)));
        assert_eq!(parse("(1,)", false), Ok(Literal::Tuple(vec![Literal::Int(1)])));
        assert_eq!(parse(" ( ) \n", false), Ok(Literal::Tuple(vec![])));
        assert_eq!(parse("\"a\\x41\\n'\"", false), Ok(Literal::Text("aA\n'".to_owned())));
        assert_eq!(parse("-7", false), Ok(Literal::Int(-7)));
        for bad in [
            "(,)",
            "(1,,)",
            "[1 2]",
            "{1}",
            "{1:2 3:4}",
            "01",
            "1_000",
            "1.0",
            "0x1",
            "'a",
            "'a' 'b'",
            "'''a'''",
            "1L",
            "--1",
            "-",
            "",
            "None",
            "x",
            "99999999999999999999",
            "'\\N{DASH}'",
            "True1",
        ] {
            assert!(parse(bad, false).is_err(), "{bad}");
        }
        assert_eq!(parse("1L", true), Ok(Literal::Int(1)));
    }

    #[test]
    fn nesting_is_bounded() {
        assert!(parse(&"[".repeat(100_000), false).is_err());
        assert!(parse(&format!("{}{}", "[".repeat(31), "]".repeat(31)), false).is_ok());
    }
}
