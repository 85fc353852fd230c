//! Chat templates: programs in Jinja, run by whoever talks to the model.
//!
//! A template needs strings, lists and the fields of messages. One that reaches for the inside of
//! Python's objects can run any command where its loader does not confine it. Refused is every name
//! with two underscores on both sides, and every way to write one so that it is not seen: escapes,
//! pieces joined in a subscript, the filter `attr`. Text outside of `{{ }}` and `{% %}` is only
//! printed, and may hold anything.

use super::super::Job;
use super::super::report::{Finding, quoted};
use super::values::{TEXT, Value, Values};

/// Attributes that lead from a value to code and have no underscores around them.
const INNER: [&str; 15] = [
    "mro",
    "func_globals",
    "func_code",
    "f_globals",
    "f_builtins",
    "f_locals",
    "f_back",
    "f_code",
    "gi_frame",
    "gi_code",
    "cr_frame",
    "cr_code",
    "ag_frame",
    "ag_code",
    "tb_frame",
];
/// Objects of Jinja's own that no chat template needs and that lead to code.
const REACHING: [&str; 6] =
    ["lipsum", "cycler", "environment", "get_flashed_messages", "url_for", "TemplateReference"];
/// Statements that read other templates.
const READING: [&str; 4] = ["include", "import", "extends", "from"];
/// Findings of one template.
const MOST: usize = 5;
/// Literals that are joined to look for a name, and letters of each.
const MAX_PIECES: usize = 64;
const MAX_PIECE: usize = 128;
/// Tokens of an expression between brackets; a longer one is taken for one that puts a text together.
const MAX_EXPRESSION: usize = 512;

/// Writes down what is dangerous in the templates of a model.
pub(super) fn check(values: &Values, job: &mut Job<'_>) {
    let mut templates: Vec<_> = values.templates().collect();
    templates.sort_by(|a, b| a.0.cmp(&b.0));
    for (key, value) in templates {
        match value {
            Value::Text(text) => one(&key, text, job),
            Value::List(list) if list.kind == TEXT => {
                for i in 0..list.texts.len() {
                    one(&key, &String::from_utf8_lossy(list.texts.get(i)), job);
                }
            }
            _ => {}
        }
    }
}

fn one(key: &str, text: &str, job: &mut Job<'_>) {
    for what in dangers(text) {
        let finding = Finding::danger(format!(
            "\"{}\" {what}; a program that runs it could be made to run any command",
            quoted(key)
        ));
        job.findings.add(finding);
    }
}

/// A piece of the code of a template.
#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    /// A string, its escapes read; whether a letter, digit or underscore was written as an escape.
    Text(String, bool),
    Number,
    Mark(char),
    /// A block ends here.
    End,
}

fn dangers(template: &str) -> Vec<String> {
    let tokens = tokens(template);
    let mut found: Vec<String> = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        if found.len() == MOST {
            break;
        }
        let before = i.checked_sub(1).and_then(|i| tokens.get(i));
        let what = match token {
            Token::Name(name) => name_danger(&tokens, i, name, before),
            Token::Text(text, escaped) => text_danger(&tokens, i, text, *escaped),
            Token::Mark('[') if is_subscript(before) && builds_a_text(&tokens[i + 1..]) => {
                Some("reads an attribute whose name it puts together".to_owned())
            }
            _ => None,
        };
        found.extend(what.filter(|what| !found.contains(what)));
    }
    found
}

fn name_danger(tokens: &[Token], i: usize, name: &str, before: Option<&Token>) -> Option<String> {
    let told = quoted(name);
    let is = |token: Option<&Token>, mark: char| token == Some(&Token::Mark(mark));
    let attribute = is(before, '.');
    if is_inner(name) {
        return Some(format!("reaches for {told}"));
    }
    if attribute && name.starts_with('_') {
        return Some(format!("reads the private attribute {told}"));
    }
    if is(before, '|') && name == "attr" {
        return Some("reads attributes by the filter attr".to_owned());
    }
    if !attribute && REACHING.contains(&name) {
        return Some(format!("uses {told}"));
    }
    let keyword = is(tokens.get(i + 1), '=') && !is(tokens.get(i + 2), '=');
    if name == "attribute" && keyword && builds_a_text(&tokens[i + 2..]) {
        return Some("reads an attribute whose name it puts together".to_owned());
    }
    let argument = is(before, '(') || is(before, ',');
    if keyword && argument && name.chars().all(|c| c == '_') {
        return Some("puts underscores together".to_owned());
    }
    let first = matches!(before, None | Some(Token::End))
        || (is(before, '-')
            && matches!(i.checked_sub(2).map(|i| &tokens[i]), None | Some(Token::End)));
    (first && READING.contains(&name) && !is(tokens.get(i + 1), '.'))
        .then(|| format!("reads another template ({told})"))
}

fn text_danger(tokens: &[Token], i: usize, text: &str, escaped: bool) -> Option<String> {
    if escaped {
        return Some(format!("hides \"{}\" behind escapes", quoted(text)));
    }
    if holds_inner(text) {
        return Some(format!("names \"{}\"", quoted(text)));
    }
    let near = |place: Option<usize>| place.and_then(|place| tokens.get(place));
    let (before, after) = (near(i.checked_sub(1)), near(Some(i + 1)));
    let argument = |name: &str| {
        before == Some(&Token::Mark('('))
            && near(i.checked_sub(2)) == Some(&Token::Name(name.to_owned()))
    };
    if text == "attr" && argument("map") {
        return Some("reads attributes by the filter attr".to_owned());
    }
    if text.contains("%c") || text.contains(":c}") {
        return Some("makes letters of numbers".to_owned());
    }
    // Looking for an underscore is harmless, making one is not.
    let looked_for =
        ["replace", "split", "rsplit", "strip", "startswith", "endswith", "find", "count"]
            .iter()
            .any(|name| argument(name))
            || matches!(before, Some(Token::Mark('='))) && near(i.checked_sub(2)) == before
            || matches!(before, Some(Token::Name(name)) if name == "in")
            || matches!(after, Some(Token::Name(name)) if name == "in");
    if !text.is_empty() && text.chars().all(|c| c == '_') && !looked_for {
        return Some("puts underscores together".to_owned());
    }
    joined(tokens, i)
        .filter(|whole| holds_inner(whole))
        .map(|whole| format!("puts \"{}\" together", quoted(&whole)))
}

/// The text that literals joined by `~`, `+` or standing in one list make, from the first one on.
fn joined(tokens: &[Token], first: usize) -> Option<String> {
    let mut whole = String::new();
    let mut pieces = 0;
    let mut i = first;
    while let Some(Token::Text(text, _)) = tokens.get(i).filter(|_| pieces < MAX_PIECES) {
        whole.extend(text.chars().take(MAX_PIECE));
        pieces += 1;
        match tokens.get(i + 1) {
            Some(Token::Mark('~' | '+' | ',')) => i += 2,
            Some(Token::Text(..)) => i += 1,
            _ => break,
        }
    }
    (pieces > 1).then_some(whole)
}

/// Whether a `[` after this reads an item or an attribute.
fn is_subscript(before: Option<&Token>) -> bool {
    const WORDS: [&str; 12] =
        ["in", "if", "else", "elif", "and", "or", "not", "is", "set", "do", "return", "print"];
    match before {
        Some(Token::Name(name)) => !WORDS.contains(&name.as_str()),
        Some(Token::Text(..) | Token::Mark(')' | ']' | '}')) => true,
        _ => false,
    }
}

/// Whether an expression puts a text together, up to the bracket or comma that ends it.
fn builds_a_text(tokens: &[Token]) -> bool {
    let mut depth = 0_usize;
    let mut text = false;
    let mut joins = false;
    for (i, token) in tokens.iter().enumerate() {
        if i == MAX_EXPRESSION {
            return true;
        }
        match token {
            Token::End => break,
            Token::Mark('(' | '[' | '{') => depth += 1,
            Token::Mark(')' | ']' | '}') if depth == 0 => break,
            Token::Mark(')' | ']' | '}') => depth -= 1,
            Token::Mark(',') if depth == 0 => break,
            Token::Mark('~' | '%') => return true,
            Token::Mark('+' | '*') => joins = true,
            Token::Mark('|') => {
                if let Some(Token::Name(filter)) = tokens.get(i + 1)
                    && !matches!(filter.as_str(), "length" | "int" | "count" | "abs")
                {
                    return true;
                }
            }
            Token::Name(name) if matches!(name.as_str(), "join" | "format" | "replace") => {
                return true;
            }
            Token::Text(..) => text = true,
            _ => {}
        }
    }
    text && joins
}

fn is_inner(name: &str) -> bool {
    INNER.contains(&name) || (name.len() > 4 && name.starts_with("__") && name.ends_with("__"))
}

/// Whether a text holds the name of something inside an object.
fn holds_inner(text: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    text.split(|c| !word(c)).any(is_inner)
}

fn tokens(template: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        rest = &rest[at..];
        let close = match rest.as_bytes().get(1) {
            Some(b'#') => {
                rest = rest.find("#}").map_or("", |end| &rest[end + 2..]);
                continue;
            }
            Some(b'{') => "}}",
            Some(b'%') => "%}",
            _ => {
                rest = &rest[1..];
                continue;
            }
        };
        rest = block(&rest[2..], close, &mut tokens);
        tokens.push(Token::End);
    }
    tokens
}

/// The code up to the end of a block; answers what follows it.
fn block<'t>(mut rest: &'t str, close: &str, tokens: &mut Vec<Token>) -> &'t str {
    let mut depth = 0_usize;
    while let Some(first) = rest.chars().next() {
        // Within braces, two of them end two maps and no block.
        if rest.starts_with(close) && (depth == 0 || close == "%}") {
            return &rest[2..];
        }
        let end = match first {
            '"' | '\'' => {
                let (text, escaped, end) = literal(rest, first);
                tokens.push(Token::Text(text, escaped));
                end
            }
            c if c.is_alphabetic() || c == '_' => {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
                let end = end.unwrap_or(rest.len());
                tokens.push(Token::Name(rest[..end].to_owned()));
                end
            }
            c if c.is_ascii_digit() => {
                tokens.push(Token::Number);
                rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())
            }
            c => {
                match c {
                    '{' => depth += 1,
                    '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                if !c.is_whitespace() {
                    tokens.push(Token::Mark(c));
                }
                c.len_utf8()
            }
        };
        rest = &rest[end..];
    }
    rest
}

/// A string as Jinja reads it: its text, whether an escape hides a letter, and where it ends.
fn literal(rest: &str, quote: char) -> (String, bool, usize) {
    let mut text = String::new();
    let mut escaped = false;
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return (text, escaped, at + 1);
        }
        if c != '\\' {
            text.push(c);
            continue;
        }
        let Some((at, c)) = chars.next() else { break };
        let digits = match c {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            '0'..='7' => 0,
            'N' => {
                // A character by its name; which one is not looked up.
                escaped = true;
                continue;
            }
            _ => {
                text.push(match c {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    other => other,
                });
                continue;
            }
        };
        let digits_at = if digits == 0 { at } else { at + 1 };
        let radix = if digits == 0 { 8 } else { 16 };
        let most = if digits == 0 { 3 } else { digits };
        let written: String =
            rest[digits_at..].chars().take(most).take_while(|c| c.is_digit(radix)).collect();
        let value = u32::from_str_radix(&written, radix).ok().and_then(char::from_u32);
        if let Some(value) = value {
            escaped |= value.is_ascii_alphanumeric() || value == '_';
            text.push(value);
        }
        let taken = if digits == 0 { written.len().saturating_sub(1) } else { written.len() };
        for _ in 0..taken {
            chars.next();
        }
    }
    (text, escaped, rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_for_the_inside_of_objects_is_found_however_it_is_written() {
        for template in [
            "{{ ''.__class__.__mro__ }}",
            "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
            "{% for c in ().__class__.__base__.__subclasses__() %}{% endfor %}",
            "{{ x['__class__'] }}",
            "{{ x|attr('__class__') }}",
            "{{ x | attr(name) }}",
            "{{ x['\\x5f\\x5fclass\\x5f\\x5f'] }}",
            "{{ x['\\u005f_class__'] }}",
            "{{ x['\\137\\137class__'] }}",
            "{{ x['\\N{LOW LINE}_class__'] }}",
            "{{ x['__cl' ~ 'ass__'] }}",
            "{{ x['__cl' + 'ass__'] }}",
            "{{ x['__cl' 'ass__'] }}",
            "{{ x[['__cl', 'ass__']|join] }}",
            "{{ x['%s%s' % (a, b)] }}",
            "{{ x['{0}{1}'.format(a, b)] }}",
            "{{ x['ssalc'|reverse] }}",
            "{% set u = '_' %}{{ x[u~u~'class'~u~u] }}",
            "{% set u = '_' * 2 %}{% set k = u ~ 'class' ~ u %}{{ x[k] }}",
            "{% set k = '..class..'|replace('.', '_') %}{{ x[k] }}",
            "{% set k = dict(__class__=1)|join %}",
            "{% set k = dict(_=1)|join %}",
            "{{ messages|map(attribute='__class__')|list }}",
            "{{ messages|map(attribute=a ~ b)|list }}",
            "{{ messages|map('attr', name)|list }}",
            "{{ '{0.__class__}'.format(x) }}",
            "{{ '%c%cclass' % (95, 95) }}",
            "{{ lipsum }}",
            "{{ g.gi_frame.f_globals }}",
            "{{ self._TemplateReference__context }}",
            "{% include 'other' %}",
            "{%- from 'other' import x %}",
            "{{ {'a': {'b': 1}}.__class__ }}",
            "{# {{ #}{{ x.__class__ }}",
            "{{ '}}' }}{{ x.__class__ }}",
        ] {
            assert!(!dangers(template).is_empty(), "{template}");
        }
    }

    #[test]
    fn what_chat_templates_do_is_taken() {
        for template in [
            "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] }}{% endfor %}",
            "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% endif %}",
            "{%- set _ = content.pop(0) %}",
            "__init__ {{ x }} {# x.__class__ #}",
            "{{ raise_exception('roles must alternate user/assistant/user/assistant/...') }}",
            "{% set ns = namespace(is_first=false, tool_calls_first=true) %}",
            "{{ messages|selectattr('role', 'equalto', 'system')|map(attribute='content')|join('\\n') }}",
            "{{ tool|tojson(indent=4) }}{{ '\\u2581' }}",
            "{{ messages[loop.index0 - 1].role }}{{ messages[messages|length - 1] }}",
            "{%- for key in tool.parameters.properties %}{{ tool.parameters.properties[key].type }}{% endfor %}",
            "{{ name.replace('_', ' ') }}{{ '_' in name }}",
            "{{ message.content.split('</think>')[-1].lstrip('\\n') }}",
            "{%- macro render_extra_keys(json_dict, handled_keys) -%}{%- endmacro %}",
            "{{- '<function=' + tool_call.name + '>\\n' }}",
            "{% if message['content'] is string %}{% for item in message['content'] | list %}{% endfor %}{% endif %}",
            "{{ ['a', 'b'] }}{{ {'a': {'b': 1}} }}",
            "{%- set index = (messages|length - 1) - loop.index0 %}{{ messages[index] }}",
        ] {
            assert_eq!(dangers(template), Vec::<String>::new(), "{template}");
        }
    }
}
