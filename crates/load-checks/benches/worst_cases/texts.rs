//! JSON, Universal Binary JSON, safetensors, LightGBM's text and GGUF.

use super::{Cases, SIZE, again, corpus, each};

fn safetensors(header: &[u8], data: usize) -> Vec<u8> {
    let mut header = header.to_vec();
    header.resize(header.len().next_multiple_of(8), b' ');
    [&(header.len() as u64).to_le_bytes(), &header[..], &vec![0; data]].concat()
}

/// The tree of a real model again and again.
fn lightgbm(tree: impl Fn(usize) -> String) -> Vec<u8> {
    let model = String::from_utf8(corpus("lightgbm_regression.txt")).unwrap();
    let sizes = model.find("tree_sizes=").unwrap();
    let tail = &model[model.find("end of trees").unwrap()..];
    let (mut trees, mut lengths) = (String::new(), String::new());
    for i in 0.. {
        let next = tree(i);
        if i > 0 && trees.len() + lengths.len() + next.len() + sizes + tail.len() > SIZE {
            break;
        }
        lengths += &format!(" {}", next.len());
        trees += &next;
    }
    format!("{}tree_sizes={}\n\n{trees}{tail}", &model[..sizes], lengths.trim_start()).into_bytes()
}

fn lightgbm_small_trees() -> Vec<u8> {
    let model = String::from_utf8(corpus("lightgbm_regression.txt")).unwrap();
    let first = &model[model.find("Tree=0").unwrap()..model.find("Tree=1").unwrap()];
    let first = first.to_owned();
    lightgbm(|i| first.replacen("Tree=0", &format!("Tree={i}"), 1))
}

fn lightgbm_one_tree() -> Vec<u8> {
    let nodes = 70_000;
    let all = |count: usize, value: &str| vec![value; count].join(" ");
    let left: Vec<_> = (1..=nodes)
        .map(|i: i64| if i < nodes { i.to_string() } else { (!i).to_string() })
        .collect();
    let right: Vec<_> = (0..nodes).map(|i: i64| (!i).to_string()).collect();
    let count = nodes as usize;
    let tree = format!(
        "Tree=0\nnum_leaves={}\nnum_cat=0\nsplit_feature={}\nsplit_gain={}\nthreshold={}\n\
         decision_type={}\nleft_child={}\nright_child={}\nleaf_value={}\nleaf_weight={}\n\
         leaf_count={}\ninternal_value={}\ninternal_weight={}\ninternal_count={}\nis_linear=0\n\
         shrinkage=1\n\n\n",
        count + 1,
        all(count, "0"),
        all(count, "0.123456"),
        all(count, "0.12345678901234567"),
        all(count, "2"),
        left.join(" "),
        right.join(" "),
        all(count + 1, "0.12345678901234567"),
        all(count + 1, "0.12345678901234567"),
        all(count + 1, "10"),
        all(count, "0.12345678901234567"),
        all(count, "0.12345678901234567"),
        all(count, "1"),
    );
    lightgbm(|i| if i == 0 { tree.clone() } else { " ".repeat(SIZE) })
}

const LEARNER: &[u8] = b"{L\0\0\0\0\0\0\0\x07learner{L\0\0\0\0\0\0\0\x10gradient_booster{";

fn gguf(values: u64, body: Vec<u8>, tensors: u64) -> Vec<u8> {
    [&b"GGUF\x03\0\0\0"[..], &tensors.to_le_bytes(), &values.to_le_bytes(), &body].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

fn architecture() -> Vec<u8> {
    [text("general.architecture"), vec![8, 0, 0, 0], text("llama")].concat()
}

pub(super) fn cases() -> Cases {
    let mut cases = Cases::new();
    let mut add =
        |name: &str, make: fn() -> Vec<u8>| cases.push((name.to_owned(), Box::new(make) as Box<_>));
    add("json, a million keys", || each(b"{\"a\":0", b"}", |i| format!(",\"{i}\":0").into_bytes()));
    add("json, objects of one key", || again(b"[0", b",{\"a\":0}", b"]"));
    add("json, numbers", || again(b"[0", b",0.12345e1", b"]"));
    add("json, digits", || again(b"[0", b",0", b"]"));
    add("json, texts", || again(b"[0", b",\"\"", b"]"));
    add("json, escapes", || again(b"[\"", b"\\u00e9", b"\"]"));
    add("json, text that is not ASCII", || again(b"[\"", "é".as_bytes(), b"\"]"));
    add("json, white space", || again(b"[", b" ", b"]"));
    add("json, arrays", || again(b"[[]", b",[]", b"]"));
    add("xgboost json, a million keys", || {
        each(b"{\"learner\":{\"gradient_booster\":{\"a\":0", b"}}}", |i| {
            format!(",\"{i}\":0").into_bytes()
        })
    });
    add("xgboost json, objects of the learner", || {
        each(b"{\"learner\":{\"a\":{}", b"}}", |i| format!(",\"{i}\":{{\"a\":0}}").into_bytes())
    });
    add("xgboost json, attributes", || {
        each(b"{\"learner\":{\"attributes\":{\"a\":\"\"", b"}}}", |i| {
            format!(",\"{i}\":\"\"").into_bytes()
        })
    });
    add("xgboost json, numbers", || {
        again(b"{\"learner\":{\"gradient_booster\":{\"a\":[0", b",0", b"]}}}")
    });
    add("xgboost json, objects", || {
        again(b"{\"learner\":{\"gradient_booster\":{\"a\":[0", b",{}", b"]}}}")
    });
    add("xgboost json, texts", || {
        again(b"{\"learner\":{\"gradient_booster\":{\"a\":[0", b",\"\"", b"]}}}")
    });
    add("xgboost ubjson, a million keys", || {
        each(LEARNER, b"}}}", |i| {
            [&b"L\0\0\0\0\0\0\0\x07"[..], format!("{i:07}").as_bytes(), b"Z"].concat()
        })
    });
    add("xgboost ubjson, nothing", || {
        again(&[LEARNER, b"L\0\0\0\0\0\0\0\x01a["].concat(), b"Z", b"]}}}")
    });
    add("xgboost ubjson, arrays", || {
        again(&[LEARNER, b"L\0\0\0\0\0\0\0\x01a["].concat(), b"[]", b"]}}}")
    });
    add("xgboost ubjson, bytes", || {
        let count = (SIZE - 100) as u64;
        again(
            &[LEARNER, b"L\0\0\0\0\0\0\0\x01a[$U#L", &count.to_be_bytes()].concat(),
            b"\0",
            b"}}}",
        )
    });
    add("safetensors, tensors", || {
        safetensors(
            &each(b"{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}", b"}", |i| {
                format!(",\"{i}\":{{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}")
                    .into_bytes()
            }),
            0,
        )
    });
    add("safetensors, tensors backwards", || {
        let count = 130_000;
        let mut header = String::from("{");
        for i in (0..count).rev() {
            header += &format!(
                "\"t{i}\":{{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[{i},{}]}},",
                i + 1
            );
        }
        header.pop();
        safetensors(format!("{header}}}").as_bytes(), count)
    });
    add("safetensors, metadata", || {
        safetensors(
            &each(b"{\"__metadata__\":{\"a\":\"\"", b"}}", |i| {
                format!(",\"{i}\":\"\"").into_bytes()
            }),
            0,
        )
    });
    add("safetensors, dimensions", || {
        safetensors(
            &again(b"{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,0],\"shape\":[0", b",0", b"]}}"),
            0,
        )
    });
    add("lightgbm, small trees", lightgbm_small_trees);
    add("lightgbm, one tree", lightgbm_one_tree);
    add("lightgbm, one line", || again(b"tree\n", b"a", b""));
    add("lightgbm, lines", || again(b"tree\n", b"a=\n", b""));
    add("gguf, empty texts", || {
        let count = 1_200_000_u64;
        let body = [
            text("a"),
            vec![9, 0, 0, 0, 8, 0, 0, 0],
            count.to_le_bytes().to_vec(),
            vec![0; 8 * 1_200_000],
        ];
        gguf(1, body.concat(), 0)
    });
    add("gguf, values", || {
        let one = |i: u64| [text(&format!("{i:06}")), vec![0, 0, 0, 0, 1]].concat();
        gguf(500_000, (0..500_000).flat_map(one).collect(), 0)
    });
    add("gguf, tensors", || {
        let one = |i: u64| {
            let mut tensor = [text(&format!("{i:06}")), vec![1, 0, 0, 0, 1], vec![0; 7]].concat();
            tensor.extend([0, 0, 0, 0]);
            tensor.extend((i * 32).to_le_bytes());
            tensor
        };
        let mut body: Vec<u8> = (0..140_000).flat_map(one).collect();
        body.resize(body.len().next_multiple_of(32) + 24 + 140_000 * 32, 0);
        gguf(0, body, 140_000)
    });
    add("gguf, a chat template", || {
        let template = again(b"{{ ", b"'a'~b[", b"");
        let body = [
            architecture(),
            text("tokenizer.chat_template"),
            vec![8, 0, 0, 0],
            1_000_000_u64.to_le_bytes().to_vec(),
            template[..1_000_000].to_vec(),
        ];
        gguf(2, body.concat(), 0)
    });
    add("gguf, tokens", || {
        let body = [
            architecture(),
            text("tokenizer.ggml.tokens"),
            vec![9, 0, 0, 0, 8, 0, 0, 0],
            700_000_u64.to_le_bytes().to_vec(),
            (0..700_000).flat_map(|i| text(&format!("{i:06}"))).collect(),
        ];
        gguf(2, body.concat(), 0)
    });
    add("npy, fields", || {
        let mut header = String::from("{'descr': [");
        for i in 0..400_000 {
            header += &format!("('{i}', '<f8'), ");
        }
        header += "], 'fortran_order': False, 'shape': (0,), }\n";
        [&b"\x93NUMPY\x02\0"[..], &(header.len() as u32).to_le_bytes(), header.as_bytes()].concat()
    });
    cases
}
