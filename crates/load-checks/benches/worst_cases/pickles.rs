//! Pickles and what joblib makes of them.

use super::{Cases, Noise, SIZE, again, corpus, each};

/// A list that is filled a thousand values at a time, as picklers do.
fn batches(piece: &[u8]) -> Vec<u8> {
    let batch = [b"(", &piece.repeat(1000)[..], b"e"].concat();
    again(b"\x80\x04]", &batch, b".")
}

/// A real pickle's content once more each time, with what it leaves taken from the stack.
fn repeated(name: &str) -> Vec<u8> {
    let whole = corpus(name);
    let start = if whole[0] == 0x80 { 2 } else { 0 };
    let body = [&whole[start..whole.len() - 1], b"0"].concat();
    again(b"\x80\x05", &body, b"N.")
}

pub(super) fn cases() -> Cases {
    let mut cases = Cases::new();
    let mut add = |name: &str, make: Box<dyn Fn() -> Vec<u8>>| {
        cases.push((format!("pickle, {name}"), make));
    };
    for (name, piece) in [
        ("small numbers", &b"K\x01"[..]),
        ("nothing", b"N"),
        ("lists remembered", b"]\x94"),
        ("dicts", b"}"),
        ("tuples of one", b"N\x85"),
        ("short texts", b"\x8c\x01a"),
        ("short texts remembered", b"\x8c\x01a\x94"),
        ("long names", &[&b"\x8c\xff"[..], &[b'a'; 255]].concat()),
        ("numbers as text", b"I1\n"),
        ("floats as text", b"F1.5\n"),
        ("long numbers", b"L1234567890L\n"),
        ("quoted texts", b"S'a'\n"),
        ("escaped texts", b"V\\u0061\n"),
        ("frames", b"\x95\x01\0\0\0\0\0\0\0N"),
        ("binary numbers", b"\x8a\x01\x01"),
        ("dicts of one", b"}K\x01Ns"),
        ("dicts of texts", b"}(\x8c\x01aN\x8c\x01bNu"),
        ("sets", b"\x8f(K\x01\x90"),
        ("byte arrays", b"\x96\0\0\0\0\0\0\0\0"),
        ("globals", b"cbuiltins\nset\n"),
        ("globals by stack", b"\x8c\x08builtins\x8c\x03set\x93"),
        ("calls", b"ccollections\nOrderedDict\n)R"),
        ("complex numbers", b"cbuiltins\ncomplex\nG\0\0\0\0\0\0\0\0K\x01\x86R"),
    ] {
        let piece = piece.to_vec();
        add(name, Box::new(move || batches(&piece)));
    }
    for (name, before, piece, after) in [
        ("one batch", &b"]("[..], &b"K\x01"[..], &b"e."[..]),
        ("marks", b"", b"(", b"."),
        ("tuples in tuples", b")", b"\x85", b"."),
        ("pairs of the same", b")", b"2\x86", b"."),
        ("pushed and popped", b"N", b"N0", b"."),
        ("doubled and popped", b"N", b"20", b"."),
        ("remembered by number", b"N", b"q\x01", b"."),
        ("remembered by text", b"N", b"p12345\ng12345\n0", b"."),
        ("objects given states", b"ccollections\nOrderedDict\nq\x010", b"h\x01)R}b0", b"N."),
        ("refused names", b"", b"cos\nsystem\n0", b"N."),
        ("refused calls", b"cos\nsystem\nq\x010", b"h\x01)R0", b"N."),
        ("copies", b"cbuiltins\nbytearray\nq\x010C\x01aq\x020", b"h\x01h\x02\x85R0", b"N."),
        ("large keys", b"}q\x01)\x85\x85\x85\x85q\x020", b"h\x01h\x02Ns0", b"N."),
        ("items one by one", b"]", b"Na", b"."),
        ("states of dtypes", b"cnumpy\ndtype\nq\x010", b"h\x01X\x02\0\0\0f8K\0K\x01\x87R(K\x03X\x01\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb0", b"N."),
    ] {
        let [before, piece, after] = [before, piece, after].map(<[u8]>::to_vec);
        add(name, Box::new(move || again(&[b"\x80\x04", &before[..]].concat(), &piece, &after)));
    }
    add(
        "refused names, each another",
        Box::new(|| each(b"\x80\x04", b"N.", |i| format!("cos\nx{i}\n0").into_bytes())),
    );
    add(
        "allowed modules, unknown names",
        Box::new(|| each(b"\x80\x04", b"N.", |i| format!("cnumpy\nx{i}\n0").into_bytes())),
    );
    add(
        "refused calls of many things",
        Box::new(|| {
            each(b"\x80\x04", b"N.", |i| format!("cos\nx{i}\n(I{i}\nS'abc'\ntR0").into_bytes())
        }),
    );
    add(
        "names never the same",
        Box::new(|| each(b"\x80\x04]", b".", |i| format!("X\u{7}\0\0\0{i:07}a").into_bytes())),
    );
    add(
        "far memo keys",
        Box::new(|| {
            let noise = std::cell::RefCell::new(Noise(3));
            each(b"\x80\x04N", b".", |_| {
                let key = (noise.borrow_mut().next() % 1_000_000) as u32;
                [&b"r"[..], &key.to_le_bytes()].concat()
            })
        }),
    );
    add(
        "long bodies and mentions",
        Box::new(|| {
            each(b"\x80\x04", b"N.", |i| {
                let key = (i as u32).to_le_bytes();
                [&b"B\x81\0\0\0"[..], &[b'x'; 129], b"r", &key, b"0j", &key, b"0"].concat()
            })
        }),
    );
    add(
        "one text",
        Box::new(|| {
            let count = SIZE - 20;
            [
                &b"\x80\x04\x8d"[..],
                &(count as u64).to_le_bytes(),
                &[0xc3, 0xa9].repeat(count / 2),
                b".",
            ]
            .concat()
        }),
    );
    add("one quoted text", Box::new(|| again(b"S'", b"\\x61", b"'\n.")));
    add("one escaped text", Box::new(|| again(b"V", b"\\u0061", b"\n.")));
    add("one long number", Box::new(|| again(b"L", b"1", b"L\n.")));
    for name in [
        "numpy_arrays_p2.pkl",
        "numpy_arrays_p4.pkl",
        "numpy_random.pkl",
        "pandas_frame_p2.pkl",
        "pandas_frame_p5.pkl",
        "polars_frame_p4.pkl",
        "scipy_sparse_p2.pkl",
        "sklearn_forest_p5.pkl",
        "sklearn_pipeline_p2.pkl",
        "standard_p4.pkl",
        "plain_p0.pkl",
        "lightgbm_regressor_p2.pkl",
        "xgboost_regressor_p5.pkl",
        "pipeline.joblib",
        "arrays.joblib",
        "forest_p0.joblib",
    ] {
        add(&format!("{name} repeated"), Box::new(move || repeated(name)));
    }
    cases
}
