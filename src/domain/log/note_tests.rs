//! Tests of signed notes: the example of Go's `golang.org/x/mod/sumdb/note`, and invalid notes.

use super::*;

/// The example and the published key of the package's documentation.
const SECRET: &str =
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const VERIFIER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
const SIGNED: &str = "If you think cryptography is the answer to your problem,\n\
                      then you don't know what your problem is.\n\
                      \n\
                      \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn signing() -> SigningKey {
    SigningKey::parse(&SECRET.into()).unwrap()
}

fn verifier() -> VerifierKey {
    VerifierKey::parse(VERIFIER).unwrap()
}

fn other() -> SigningKey {
    SigningKey::from_seed(KeyName::parse("PeterNeumann").unwrap(), &[7; 32]).unwrap()
}

#[test]
fn keys_and_signatures_are_those_of_the_published_example() {
    let key = signing();
    assert_eq!(key.verifier().to_string(), VERIFIER);
    assert_eq!(key.verifier(), &verifier());
    assert_eq!(key.sign(TEXT).unwrap().to_string(), SIGNED);
    let note = Note::parse(SIGNED).unwrap();
    assert_eq!(note.text(), TEXT);
    assert_eq!(note.to_string(), SIGNED);
    assert_eq!(note.verify(&[verifier()]), Ok(&verifier()));
}

#[test]
fn a_secret_reads_back_as_itself_and_is_never_printed() {
    let name = KeyName::parse("example.com/log").unwrap();
    let secret = SigningKey::write_secret(name.clone(), &[9; 32]).unwrap();
    let key = SigningKey::parse(&secret).unwrap();
    assert_eq!(key.verifier(), SigningKey::from_seed(name, &[9; 32]).unwrap().verifier());
    let printed = format!("{key:?} {secret:?}");
    assert!(!printed.contains(&STANDARD.encode([9; 30])), "{printed}");
    assert_eq!(format!("{:?}", signing()), "SigningKey(PeterNeumann+c74f20a3+…)");
}

#[test]
fn signatures_of_unknown_keys_are_ignored_but_one_known_key_must_have_signed() {
    let mut note = signing().sign(TEXT).unwrap();
    note.signatures.insert(0, other().sign("something else\n").unwrap().signatures.remove(0));
    let cosigned = Note::parse(&note.to_string()).unwrap();
    assert_eq!(cosigned.verify(&[verifier()]), Ok(&verifier()));
    let stranger = other().verifier().clone();
    assert!(matches!(
        cosigned.verify(&[stranger.clone(), verifier()]),
        Err(Unverified::BadSignature { id, .. }) if id == stranger.id()
    ));
    assert_eq!(
        Note::parse(SIGNED).unwrap().verify(&[stranger]),
        Err(Unverified::UnknownSigners { signers: vec!["PeterNeumann+c74f20a3".to_owned()] })
    );
    assert!(Note::parse(SIGNED).unwrap().verify(&[]).is_err());
}

#[test]
fn an_altered_text_or_signature_is_a_wrong_signature() {
    for altered in [SIGNED.replace("your", "my"), SIGNED.replace("JnAM=", "JnAQ=")] {
        let note = Note::parse(&altered).unwrap();
        assert!(matches!(note.verify(&[verifier()]), Err(Unverified::BadSignature { .. })));
    }
    let short = SIGNED.replace("KE6RyyBwJnAM=", "KE6Ry");
    let note = Note::parse(&short).unwrap();
    assert!(matches!(note.verify(&[verifier()]), Err(Unverified::BadSignature { .. })));
}

#[test]
fn what_is_no_note_is_refused() {
    use InvalidNote::{NoSignatures, Signature, Text, TooMany};
    let line = "\u{2014} PeterNeumann x08goAA=\n";
    let cases = [
        (String::new(), NoSignatures),
        (TEXT.to_owned(), NoSignatures),
        (format!("{TEXT}\n"), NoSignatures),
        (SIGNED.trim_end().to_owned(), NoSignatures),
        (SIGNED.replace("your", "y\tour"), Text),
        (SIGNED.replace('\n', "\r\n"), Text),
        (SIGNED.replace('\u{2014}', "-"), Signature(1)),
        (format!("{SIGNED}junk\n"), Signature(2)),
        (SIGNED.replace("JnAM=", "JnAM"), Signature(1)),
        (SIGNED.replace("JnAM=", "JnAN="), Signature(1)),
        (SIGNED.replace("JnAM=", "JnAM= "), Signature(1)),
        (SIGNED.replace("PeterNeumann ", "Peter+Neumann "), Signature(1)),
        (SIGNED.replace("PeterNeumann ", " "), Signature(1)),
        ("text\n\n\u{2014} a AAAAAA==\n".to_owned(), Signature(1)),
        (format!("text\n\n{}", line.repeat(101)), TooMany),
    ];
    for (text, fault) in cases {
        assert_eq!(Note::parse(&text), Err(fault), "{text:?}");
    }
    assert!(Note::parse(&format!("text\n\n{}", line.repeat(100))).is_ok());
    assert_eq!(signing().sign("no line feed"), Err(Text));
    assert_eq!(signing().sign("a\rb\n"), Err(Text));
}

#[test]
fn a_text_with_empty_lines_keeps_them() {
    let note = signing().sign("a\n\nb\n").unwrap();
    assert_eq!(Note::parse(&note.to_string()).unwrap(), note);
    assert_eq!(note.text(), "a\n\nb\n");
}

#[test]
fn what_is_no_key_is_refused_for_what_it_is() {
    let (name, rest) = VERIFIER.split_once('+').unwrap();
    let ecdsa = format!("{name}+c74f20a3+{}", STANDARD.encode([2; 33]));
    let short = format!("{name}+c74f20a3+{}", STANDARD.encode([1; 32]));
    for (text, fault) in [
        ("", InvalidKey::Verifier),
        ("PeterNeumann", InvalidKey::Verifier),
        ("PeterNeumann+c74f20a3", InvalidKey::Verifier),
        (SECRET, InvalidKey::PrivateForVerifier),
        (&format!("+{rest}"), InvalidKey::Name),
        (&format!("Peter Neumann+{rest}"), InvalidKey::Name),
        (&format!("PaulNeumann+{rest}"), InvalidKey::Id),
        (&VERIFIER.replace("c74f20a3", "c74f20a4"), InvalidKey::Id),
        (&VERIFIER.replace("c74f20a3", "+c74f20a"), InvalidKey::Verifier),
        (&VERIFIER.replace("c74f20a3", "c74f20a"), InvalidKey::Verifier),
        (&VERIFIER.replace("10TW", "10T"), InvalidKey::Verifier),
        (&ecdsa, InvalidKey::Type),
        (&short, InvalidKey::Verifier),
    ] {
        assert_eq!(VerifierKey::parse(text), Err(fault), "{text}");
    }
    assert_eq!(VerifierKey::parse(&format!(" {VERIFIER}\n")), Ok(verifier()));
    for (text, fault) in [
        ("", InvalidKey::Private),
        (VERIFIER, InvalidKey::Private),
        (&SECRET.replace("c74f20a3", "c74f20a4"), InvalidKey::Id),
        (&SECRET.replace("DFz", "DF"), InvalidKey::Private),
    ] {
        assert_eq!(SigningKey::parse(&text.into()).map(drop), Err(fault), "{text}");
    }
}
