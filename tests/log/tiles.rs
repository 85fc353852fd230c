//! Tiles: their paths, and what they hold.

use base64::{Engine, engine::general_purpose::STANDARD};
use model_registry::domain::log::tile::{Content, Tile};
use serde::Deserialize;
use serde_json::json;

use crate::{
    claims::{Log, question},
    independent::ask,
};

const ENTRIES: u64 = 66_000;

#[derive(Deserialize)]
struct Answer {
    paths: Vec<String>,
    tiles: Vec<TheirTile>,
}

#[derive(Deserialize)]
struct TheirTile {
    path: String,
    data: String,
}

/// Go's paths name the height of a tile, and call the tiles of entries data.
fn in_their_spelling(path: &str) -> String {
    path.replacen("tile/", "tile/8/", 1).replacen("/entries/", "/data/", 1)
}

const PATHS: [&str; 34] = [
    "tile/0/000",
    "tile/entries/000",
    "tile/entries/000.p/1",
    "tile/3/x001/x234/067.p/255",
    "tile/7/999",
    "tile/0/x009/x223/x372/x036/x854/775",
    "",
    "tile",
    "tile/0",
    "tile/0/",
    "/tile/0/000",
    "tile/00/000",
    "tile/-1/000",
    "tile/0/0",
    "tile/0/0000",
    "tile/0/x000/001",
    "tile/0/x001",
    "tile/0/001/001",
    "tile/0/x001/x001",
    "tile/0/x1/001",
    "tile/0/001/",
    "tile/0/001.p",
    "tile/0/001.p/",
    "tile/0/001.p/0",
    "tile/0/001.p/01",
    "tile/0/001.p/256",
    "tile/0/001.p/1/",
    "tile/0/001.p/1.p/1",
    "tile/0/+01",
    "tile/0/-01",
    "tile/entries",
    "tile/entries/1",
    "tile/entries/x1",
    "TILE/0/000",
];

#[test]
fn paths_and_what_tiles_hold_are_the_same_both_ways() {
    let mut question = question(ENTRIES);
    question["paths"] = json!(PATHS.as_slice());
    let Some(answer) = ask::<Answer>(&question) else { return };

    for (path, theirs) in PATHS.iter().zip(&answer.paths) {
        let ours = Tile::parse(path).map(|tile| in_their_spelling(&tile.to_string()));
        assert_eq!(ours.unwrap_or_default(), *theirs, "{path}");
    }

    let log = Log::new(ENTRIES);
    let mut found = Vec::new();
    for TheirTile { path, data } in &answer.tiles {
        let tile = Tile::parse(&path.replacen("tile/8/", "tile/", 1)).unwrap();
        assert_eq!(in_their_spelling(&tile.to_string()), *path);
        assert!(tile.is_within(ENTRIES), "{path}");
        let stored = tile.stored().unwrap();
        let row = &log.levels[usize::from(stored.level / 8)];
        let first = usize::try_from(stored.first).unwrap();
        let hashes = &row[first..first + usize::from(stored.count)];
        let ours: Vec<u8> = hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
        assert_eq!(STANDARD.encode(ours), *data, "{path}");
        found.push(tile);
    }
    // Theirs are every tile of every log up to this one, a partial one for each of its widths.
    for level in 0..=7 {
        let places = (0..).map_while(|index| Tile::of_tree(Content::Hashes(level), index, ENTRIES));
        for tile in places {
            let theirs = |it: &&Tile| it.content == tile.content && it.index == tile.index;
            let widest = found.iter().filter(theirs).map(Tile::width).max();
            assert_eq!(widest, Some(tile.width()), "{tile}");
            found.retain(|it| !theirs(&it));
        }
    }
    assert!(found.is_empty(), "{}", found.len());
}
