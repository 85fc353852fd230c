//! ONNX graphs, written field by field.

use super::{Cases, SIZE};

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 127 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn bytes(field: u64, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [varint(field << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn opset(domain: &str, version: u64) -> Vec<u8> {
    bytes(8, [bytes(1, domain), number(2, version)].concat())
}

fn model(graph: &[u8], more: &[u8]) -> Vec<u8> {
    [
        number(1, 8),
        bytes(2, "bench"),
        bytes(7, graph),
        opset("", 17),
        opset("ai.onnx.ml", 3),
        opset("f", 1),
        more.to_vec(),
    ]
    .concat()
}

fn node(op: &str, inputs: &[&str], outputs: &[&str], attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut out: Vec<u8> = inputs.iter().flat_map(|name| bytes(1, name)).collect();
    out.extend(outputs.iter().flat_map(|name| bytes(2, name)));
    out.extend(bytes(4, op));
    out.extend(attributes.iter().flat_map(|attribute| bytes(5, attribute)));
    out
}

/// A float input of so many dimensions.
fn input(name: &str, rank: usize) -> Vec<u8> {
    let shape: Vec<u8> = (0..rank).flat_map(|_| bytes(1, number(1, 1))).collect();
    let tensor = [number(1, 1), bytes(2, shape)].concat();
    bytes(11, [bytes(1, name), bytes(2, bytes(1, tensor))].concat())
}

fn output(name: &str) -> Vec<u8> {
    bytes(12, [bytes(1, name), bytes(2, bytes(1, number(1, 1)))].concat())
}

/// Fields by their number until the file is full.
fn filled(before: Vec<u8>, piece: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    let mut graph = before;
    for i in 0.. {
        let next = piece(i);
        if graph.len() + next.len() > SIZE - 200 {
            break;
        }
        graph.extend(next);
    }
    graph
}

/// A chain of nodes of one operator, over a tensor of so many dimensions.
fn chain(op: &str, rank: usize, attributes: &[Vec<u8>]) -> Vec<u8> {
    let graph = filled(input("x0", rank), |i| {
        let (from, to) = (format!("x{i}"), format!("x{}", i + 1));
        bytes(1, node(op, &[&from], &[&to], attributes))
    });
    model(&[graph, output("x0")].concat(), &[])
}

fn attribute(name: &str, kind: u64, value: &[u8]) -> Vec<u8> {
    [bytes(1, name), number(20, kind), value.to_vec()].concat()
}

fn tensor(name: &str) -> Vec<u8> {
    [number(1, 0), number(2, 1), bytes(8, name)].concat()
}

fn ensemble(count: u64) -> Vec<u8> {
    let ints = |name: &str, value: &dyn Fn(u64) -> u64| {
        attribute(name, 7, &bytes(8, (0..count).flat_map(|i| varint(value(i))).collect::<Vec<_>>()))
    };
    let leaf = |i: u64| i == count - 1;
    let modes: Vec<u8> =
        (0..count).flat_map(|i| bytes(9, if leaf(i) { "LEAF" } else { "BRANCH_LEQ" })).collect();
    let floats = bytes(7, vec![0; count as usize * 4]);
    let next = |i: u64| if leaf(i) { 0 } else { i + 1 };
    let one = |name: &str| attribute(name, 7, &bytes(8, varint(0)));
    let attributes = [
        ints("nodes_treeids", &|_| 0),
        ints("nodes_nodeids", &|i| i),
        ints("nodes_featureids", &|_| 0),
        attribute("nodes_modes", 8, &modes),
        ints("nodes_truenodeids", &next),
        ints("nodes_falsenodeids", &next),
        attribute("nodes_values", 6, &floats),
        one("target_ids"),
        one("target_treeids"),
        one("target_nodeids"),
        attribute("target_weights", 6, &bytes(7, [0; 4])),
    ];
    let mut node = node("TreeEnsembleRegressor", &["x"], &["y"], &attributes);
    node.extend(bytes(7, "ai.onnx.ml"));
    model(&[input("x", 2), bytes(1, node), output("y")].concat(), &[])
}

/// Branches within branches, each with as many nodes.
fn branches(depth: usize) -> Vec<u8> {
    let mut inner = Vec::new();
    for level in 0..depth {
        let mut graph: Vec<u8> = inner;
        let room = (SIZE - 2000) / depth * (level + 1);
        let mut i = 0;
        while graph.len() < room {
            let name = format!("{level}_{i}");
            graph.extend(bytes(1, node("Neg", &["x"], &[&name], &[])));
            i += 1;
        }
        graph.extend(output(&format!("{level}_0")));
        let branch = attribute("then_branch", 5, &bytes(6, &graph));
        let other = attribute("else_branch", 5, &bytes(6, output("x")));
        inner = bytes(1, node("If", &["c"], &[&format!("r{level}")], &[branch, other]));
    }
    model(&[input("x", 1), input("c", 0), inner, output("x")].concat(), &[])
}

pub(super) fn cases() -> Cases {
    let mut cases = Cases::new();
    let mut add = |name: &str, make: fn() -> Vec<u8>| {
        cases.push((format!("onnx, {name}"), Box::new(make) as Box<_>))
    };
    add("nodes", || chain("Neg", 1, &[]));
    add("nodes of many dimensions", || chain("Neg", 32, &[]));
    add("nodes, one output", || {
        let graph = filled(input("x", 1), |_| bytes(1, node("Neg", &["x"], &[], &[])));
        model(&graph, &[])
    });
    add("nodes without a shape", || chain("DropOut", 1, &[]));
    add("identities of numbers", || {
        let shape =
            attribute("value_ints", 7, &(0..64).flat_map(|_| number(8, 1)).collect::<Vec<_>>());
        let start = [input("x", 1), bytes(1, node("Constant", &[], &["x0"], &[shape]))].concat();
        let graph = filled(start, |i| {
            let (from, to) = (format!("x{i}"), format!("x{}", i + 1));
            bytes(1, node("Identity", &[&from], &[&to], &[]))
        });
        model(&[graph, output("x0")].concat(), &[])
    });
    add("squeezed", || chain("Unsqueeze", 1, &[attribute("axes", 7, &number(8, 0))]));
    add("reshaped", || {
        let sizes =
            attribute("value_ints", 7, &(0..32).flat_map(|_| number(8, 1)).collect::<Vec<_>>());
        let start = [input("x0", 32), bytes(1, node("Constant", &[], &["s"], &[sizes]))].concat();
        let graph = filled(start, |i| {
            let (from, to) = (format!("x{i}"), format!("x{}", i + 1));
            bytes(1, node("Reshape", &[&from, "s"], &[&to], &[]))
        });
        model(&[graph, output("x0")].concat(), &[])
    });
    add("a node of many inputs", || {
        let many = filled(Vec::new(), |_| bytes(1, "x"));
        let node = [many, bytes(2, "y"), bytes(4, "Sum")].concat();
        model(&[input("x", 32), bytes(1, node), output("y")].concat(), &[])
    });
    add("nodes of many inputs", || {
        let inputs = ["x"; 100];
        let graph = filled(input("x", 32), |i| {
            bytes(
                1,
                node("Concat", &inputs, &[&format!("{i}")], &[attribute("axis", 2, &number(3, 0))]),
            )
        });
        model(&[graph, output("x")].concat(), &[])
    });
    add("initializers", || {
        let graph = filled(Vec::new(), |i| bytes(5, tensor(&format!("{i}"))));
        model(&[graph, output("0")].concat(), &[])
    });
    add("initializers of one name", || model(&filled(Vec::new(), |_| bytes(5, tensor("x"))), &[]));
    add("long names", || {
        let graph =
            filled(input("x", 1), |i| bytes(1, node("Neg", &["x"], &[&format!("{i:0>200}")], &[])));
        model(&[graph, output("x")].concat(), &[])
    });
    add("inputs", || {
        let graph = filled(Vec::new(), |i| input(&format!("{i}"), 1));
        model(&[graph, output("0")].concat(), &[])
    });
    add("attributes of one node", || {
        let start = [bytes(1, "x"), bytes(2, "y"), bytes(4, "Neg")].concat();
        let node = filled(start, |i| bytes(5, attribute(&format!("__{i}"), 2, &number(3, 1))));
        model(&[input("x", 1), bytes(1, node), output("y")].concat(), &[])
    });
    add("attributes of many nodes", || {
        let graph = filled(input("x", 1), |_| {
            bytes(1, node("Neg", &["x"], &[], &[attribute("__a", 2, &number(3, 1))]))
        });
        model(&[graph, output("x")].concat(), &[])
    });
    add("attributes of tree nodes", || {
        let start = [bytes(4, "TreeEnsembleRegressor"), bytes(7, "ai.onnx.ml")].concat();
        let node = filled(start, |i| bytes(5, attribute(&format!("__{i}"), 2, &number(3, 1))));
        model(&[input("x", 1), bytes(1, node), output("x")].concat(), &[])
    });
    add("strings", || {
        let start = [bytes(1, "__s"), number(20, 8)].concat();
        let strings = filled(start, |_| bytes(9, "LEAF"));
        model(
            &[input("x", 1), bytes(1, node("Neg", &["x"], &["y"], &[strings])), output("y")]
                .concat(),
            &[],
        )
    });
    add("numbers", || {
        let ints = attribute("__i", 7, &bytes(8, vec![1; SIZE - 300]));
        model(
            &[input("x", 1), bytes(1, node("Neg", &["x"], &["y"], &[ints])), output("y")].concat(),
            &[],
        )
    });
    add("a tree", || ensemble(400_000));
    add("branches within branches", || branches(30));
    add("branches", || {
        let branch = [bytes(1, node("Neg", &["x"], &["a"], &[])), output("a")].concat();
        let sides =
            ["then_branch", "else_branch"].map(|name| attribute(name, 5, &bytes(6, &branch)));
        let graph = filled([input("x", 1), input("c", 0)].concat(), |_| {
            bytes(1, node("If", &["c"], &[""], &sides))
        });
        model(&[graph, output("x")].concat(), &[])
    });
    add("functions", || {
        let more = filled(Vec::new(), |i| {
            bytes(25, [bytes(1, format!("{i}")), bytes(10, "f"), bytes(9, number(2, 17))].concat())
        });
        model(&[input("x", 1), output("x")].concat(), &more)
    });
    add("attributes of a function", || {
        let half =
            filled(
                Vec::new(),
                |i| if i < 500_000 { bytes(6, format!("{i}")) } else { vec![0; SIZE] },
            );
        let reference = [bytes(1, "__a"), number(20, 2), bytes(21, "499999")].concat();
        let one = bytes(7, node("Neg", &["x"], &[], &[reference]));
        let function = filled(half, |_| one.clone());
        let function = [bytes(1, "g"), bytes(10, "f"), bytes(4, "x"), function].concat();
        model(&[input("x", 1), output("x")].concat(), &bytes(25, function))
    });
    add("functions that call", || {
        let more = filled(Vec::new(), |i| {
            let mut call = node(&format!("{}", i + 1), &[], &[], &[]);
            call.extend(bytes(7, "f"));
            bytes(
                25,
                [
                    bytes(1, format!("{i}")),
                    bytes(10, "f"),
                    bytes(9, [bytes(1, "f"), number(2, 1)].concat()),
                    bytes(7, call),
                ]
                .concat(),
            )
        });
        model(&[input("x", 1), output("x")].concat(), &more)
    });
    add("opsets", || {
        let more = filled(Vec::new(), |i| opset(&format!("{i}"), 1));
        model(&[input("x", 1), output("x")].concat(), &more)
    });
    add("properties", || {
        let more = filled(Vec::new(), |_| bytes(14, bytes(1, "a")));
        model(&[input("x", 1), output("x")].concat(), &more)
    });
    add("unknown fields", || {
        model(&[input("x", 1), output("x")].concat(), &filled(Vec::new(), |_| number(100, 1)))
    });
    add("groups", || {
        let more = filled(Vec::new(), |_| [varint(100 << 3 | 3), varint(100 << 3 | 4)].concat());
        model(&[input("x", 1), output("x")].concat(), &more)
    });
    cases
}
