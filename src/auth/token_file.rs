//! A file with tokens: one a line, each on its own or as `name=token`. The name says in logs and history whose token
//! it is. Two tokens may have one name, as they do while one replaces the other.

use std::{fs::File, io::Read as _, path::Path};

use secrecy::SecretString;

/// Largest file, in bytes.
const MAX_BYTES: u64 = 1 << 20;
/// Most tokens of a file: all of them are compared with each request's.
const MAX_TOKENS: usize = 1000;
/// Longest name, in characters.
const MAX_NAME: usize = 64;

/// A token, and whose it is where that is said.
#[derive(Debug, Clone)]
pub struct NamedToken {
    /// The name before the `=`.
    pub name: Option<String>,
    /// The token.
    pub secret: SecretString,
}

/// Reads a file. It may hold no token.
///
/// # Errors
/// A sentence that names the line and repeats nothing of it.
pub fn read(path: &Path) -> Result<Vec<NamedToken>, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("{} is larger than {MAX_BYTES} bytes", path.display()));
    }
    parse(&bytes).map_err(|what| format!("{}: {what}", path.display()))
}

fn parse(bytes: &[u8]) -> Result<Vec<NamedToken>, String> {
    let mut tokens = Vec::new();
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let line = check(line).map_err(|what| format!("line {}: {what}", number + 1))?;
        tokens.push(named(line));
    }
    if tokens.len() > MAX_TOKENS {
        return Err(format!("more than {MAX_TOKENS} tokens"));
    }
    Ok(tokens)
}

/// Whether a client could send this token.
///
/// # Errors
/// What is wrong, without any of it.
pub fn check(token: &[u8]) -> Result<&str, &'static str> {
    const WRONG: &str = "a token consists of ASCII letters, digits and punctuation, without spaces; make one with \
                         `openssl rand -hex 32`";
    if !token.iter().all(u8::is_ascii_graphic) {
        return Err(WRONG);
    }
    std::str::from_utf8(token).map_err(|_| WRONG)
}

/// Splits off the name. The `=` at the end of a token in Base64 does not make a name of it.
fn named(line: &str) -> NamedToken {
    let split = line.split_once('=').filter(|(name, token)| {
        let letters = |c: char| c.is_ascii_alphanumeric() || "._@-".contains(c);
        !name.is_empty()
            && name.len() <= MAX_NAME
            && name.chars().all(letters)
            && token.contains(|c| c != '=')
    });
    let (name, token) = split.map_or((None, line), |(name, token)| (Some(name.to_owned()), token));
    NamedToken { name, secret: SecretString::from(token) }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn parsed(text: &str) -> Vec<(Option<String>, String)> {
        let tokens = parse(text.as_bytes()).expect(text);
        tokens.into_iter().map(|t| (t.name, t.secret.expose_secret().to_owned())).collect()
    }

    fn pair(name: &str, token: &str) -> (Option<String>, String) {
        (Some(name.to_owned()), token.to_owned())
    }

    #[test]
    fn each_line_is_a_token_with_or_without_a_name() {
        assert_eq!(parsed("secret\n"), [(None, "secret".to_owned())]);
        assert_eq!(
            parsed("\nci=first\r\n  alice@desk.example=second  \n\nthird"),
            [pair("ci", "first"), pair("alice@desk.example", "second"), (None, "third".to_owned())]
        );
        assert_eq!(parsed("ci=old\nci=new"), [pair("ci", "old"), pair("ci", "new")]);
        assert_eq!(parsed(""), []);
        assert_eq!(parsed(" \r\n\n"), []);
    }

    #[test]
    fn padding_of_base64_is_part_of_the_token() {
        for token in ["c2VjcmV0", "c2VjcmU=", "c2VjcmV0cw==", "=secret", "two/parts=x"] {
            assert_eq!(parsed(token), [(None, token.to_owned())], "{token}");
        }
        assert_eq!(parsed("ci=c2VjcmV0cw=="), [pair("ci", "c2VjcmV0cw==")]);
        assert_eq!(parsed("ci=a=b"), [pair("ci", "a=b")]);
    }

    #[test]
    fn what_no_client_could_send_is_refused_by_its_line() {
        for (text, line) in
            [("a b", "line 1"), ("x\ny\n\u{e9}", "line 3"), ("x\na\u{7}b", "line 2")]
        {
            let told = parse(text.as_bytes()).expect_err(text);
            assert!(told.contains(line), "{told}");
        }
        assert!(parse(b"\xff\xfe").is_err());
        assert!(parse("x\n".repeat(MAX_TOKENS).as_bytes()).is_ok());
        assert!(parse("x\n".repeat(MAX_TOKENS + 1).as_bytes()).is_err());
    }
}
