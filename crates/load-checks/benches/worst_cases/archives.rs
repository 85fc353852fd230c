//! Archives of very many members, and what their readers look at in them.

use flate2::Crc;

use super::{Cases, Noise, SIZE, corpus};

/// A zip archive of members as they are.
#[derive(Default)]
struct Zip {
    out: Vec<u8>,
    directory: Vec<u8>,
    count: u64,
}

impl Zip {
    fn len(&self) -> usize {
        self.out.len() + self.directory.len() + 100
    }

    fn add(&mut self, name: &str, bytes: &[u8]) {
        let mut crc = Crc::new();
        crc.update(bytes);
        let len = (bytes.len() as u32).to_le_bytes();
        let mut shared = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
        shared.extend(crc.sum().to_le_bytes());
        shared.extend([len, len].concat());
        shared.extend((name.len() as u16).to_le_bytes());
        shared.extend([0, 0]);
        self.directory.extend(b"PK\x01\x02\x14\0");
        self.directory.extend(&shared);
        self.directory.extend([0; 10]);
        self.directory.extend((self.out.len() as u32).to_le_bytes());
        self.directory.extend(name.as_bytes());
        self.out.extend(b"PK\x03\x04");
        self.out.extend(&shared);
        self.out.extend(name.as_bytes());
        self.out.extend(bytes);
        self.count += 1;
    }

    fn end(mut self) -> Vec<u8> {
        let at = self.out.len() as u64;
        let size = self.directory.len() as u64;
        self.out.append(&mut self.directory);
        if self.count > 65_534 {
            let end = self.out.len() as u64;
            self.out.extend(b"PK\x06\x06\x2c\0\0\0\0\0\0\0\x2d\0\x2d\0\0\0\0\0\0\0\0\0");
            for number in [self.count, self.count, size, at] {
                self.out.extend(number.to_le_bytes());
            }
            self.out.extend(b"PK\x06\x07\0\0\0\0");
            self.out.extend(end.to_le_bytes());
            self.out.extend([1, 0, 0, 0]);
        }
        let count = u16::try_from(self.count).unwrap_or(u16::MAX).to_le_bytes();
        self.out.extend(b"PK\x05\x06\0\0\0\0");
        self.out.extend([count, count].concat());
        self.out.extend((size as u32).to_le_bytes());
        self.out.extend((at as u32).to_le_bytes());
        self.out.extend([0, 0]);
        self.out
    }
}

/// The members of a zip archive that are kept as they are.
fn members(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let number = |at: usize, len: usize| {
        archive[at..at + len].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
    };
    let end = archive.windows(4).rposition(|four| four == b"PK\x05\x06").unwrap();
    let mut at = number(end + 16, 4);
    let mut all = Vec::new();
    for _ in 0..number(end + 10, 2) {
        let (size, name) = (number(at + 24, 4), number(at + 28, 2));
        let local = number(at + 42, 4);
        let start = local + 30 + number(local + 26, 2) + number(local + 28, 2);
        let named = String::from_utf8(archive[at + 46..at + 46 + name].to_vec()).unwrap();
        all.push((named, archive[start..start + size].to_vec()));
        at += 46 + name + number(at + 30, 2) + number(at + 32, 2);
    }
    all
}

fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    let mut header = header.to_owned();
    while !(header.len() + 11).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    [&b"\x93NUMPY\x01\0"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes(), data]
        .concat()
}

fn npz(array: &[u8]) -> Vec<u8> {
    let mut zip = Zip::default();
    let mut i = 0;
    while zip.len() < SIZE && zip.count < 100_000 {
        zip.add(&format!("{i}.npy"), array);
        i += 1;
    }
    zip.end()
}

/// A checkpoint of very many tensors of one number.
fn torch() -> Vec<u8> {
    let count = 25_000;
    let mut pickle = b"\x80\x02}q\0(".to_vec();
    for i in 0..count {
        let text =
            |text: &str| [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
        pickle.extend(text(&format!("{i}")));
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        pickle.extend(
            [
                text("storage"),
                b"ctorch\nFloatStorage\n".to_vec(),
                text(&i.to_string()),
                text("cpu"),
            ]
            .concat(),
        );
        pickle.extend(b"K\x01tQK\0K\x01\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR");
    }
    pickle.extend(b"u.");
    let mut zip = Zip::default();
    zip.add("a/data.pkl", &pickle);
    zip.add("a/byteorder", b"little");
    for i in 0..count {
        zip.add(&format!("a/data/{i}"), &[0; 4]);
    }
    zip.add("a/version", b"3\n");
    zip.end()
}

/// Very many tensors over one storage.
fn torch_views() -> Vec<u8> {
    let mut pickle =
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nq\x010ctorch\nFloatStorage\nq\x020".to_vec();
    pickle.extend(b"X\x07\0\0\0storageq\x030X\x01\0\0\x000q\x040X\x03\0\0\0cpuq\x050");
    pickle.extend(b"ccollections\nOrderedDict\n)Rq\x060]");
    while pickle.len() < SIZE - 1000 {
        pickle.extend(b"h\x01((h\x03h\x02h\x04h\x05K\x01tQK\0K\x01\x85K\x01\x85\x89h\x06tRa");
    }
    pickle.push(b'.');
    let mut zip = Zip::default();
    zip.add("a/data.pkl", &pickle);
    zip.add("a/data/0", &[0; 4]);
    zip.add("a/version", b"3\n");
    zip.end()
}

fn keras(config: &str, weights: Option<Vec<u8>>) -> Vec<u8> {
    let mut zip = Zip::default();
    for (name, bytes) in members(&corpus("keras_sequential.keras")) {
        match name.as_str() {
            "config.json" if !config.is_empty() => zip.add(&name, config.as_bytes()),
            "model.weights.h5" => zip.add(&name, weights.as_deref().unwrap_or(&bytes)),
            _ => zip.add(&name, &bytes),
        }
    }
    zip.end()
}

fn layers() -> Vec<u8> {
    let mut config = String::from(
        r#"{"module":"keras","class_name":"Sequential","registered_name":null,"config":{"name":"s","layers":[0"#,
    );
    while config.len() < 2_000_000 {
        config +=
            r#",{"module":"keras.layers","class_name":"ReLU","config":{},"registered_name":null}"#;
    }
    keras(&(config + "]}}"), None)
}

fn tar(name: impl Fn(usize) -> String, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for i in 0.. {
        let mut block = vec![0; 512];
        let name = name(i);
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[100..108].copy_from_slice(b"0000644\0");
        block[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
        block[148..156].fill(b' ');
        block[156] = b'0';
        block[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block.extend(content);
        block.resize(block.len().next_multiple_of(512), 0);
        if out.len() + block.len() > SIZE {
            break;
        }
        out.extend(block);
    }
    out.resize(out.len() + 1024, 0);
    out
}

pub(super) fn cases() -> Cases {
    let mut cases = Cases::new();
    let mut add =
        |name: &str, make: fn() -> Vec<u8>| cases.push((name.to_owned(), Box::new(make) as Box<_>));
    add("npz, arrays", || {
        npz(&npy("{'descr': '<f8', 'fortran_order': False, 'shape': (0,), }", &[]))
    });
    add("npz, arrays of objects", || {
        npz(&npy(
            "{'descr': '|O', 'fortran_order': False, 'shape': (), }",
            b"\x80\x02cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85C\x01b\x87R(K\x01)cnumpy\ndtype\nX\x02\0\0\0O8\x89\x88\x87R(K\x03X\x01\0\0\0|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb\x89]Natb.",
        ))
    });
    add("npz, empty members", || npz(&[]));
    add("torch, storages", torch);
    add("torch, views", torch_views);
    add("keras, layers", layers);
    add("keras, a million keys", || {
        let keys: String = (0..140_000).map(|i| format!(",\"{i}\":{{}}")).collect();
        keras(
            &format!(r#"{{"module":"keras","class_name":"Sequential","config":{{"a":0{keys}}}}}"#),
            None,
        )
    });
    add("keras, arrays", || keras(&format!("[0{}]", ",[]".repeat(650_000)), None));
    add("keras, weights that are noise", || {
        let mut weights = members(&corpus("keras_sequential.keras"))
            .into_iter()
            .find(|(name, _)| name == "model.weights.h5")
            .unwrap()
            .1;
        weights.extend(Noise(5).bytes(9_900_000));
        keras("", Some(weights))
    });
    add("tar, small pickles", || tar(|i| format!("{i}.pkl"), b"N."));
    add("tar, nothing", || tar(|i| format!("{i}"), b""));
    add("tar, arrays", || {
        tar(
            |i| format!("{i}.npy"),
            &npy("{'descr': '<f8', 'fortran_order': False, 'shape': (0,), }", &[]),
        )
    });
    add("tar, json", || tar(|i| format!("{i}.json"), &b"{\"a\":[],\"b\":[]} ".repeat(30)));
    cases
}
