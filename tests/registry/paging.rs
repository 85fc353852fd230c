//! Lists in pages.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use crate::support::{Reply, Server, World};

/// The address that a `Link` of this relation names, resolved against the path asked.
fn link(reply: &Reply, relation: &str) -> Option<String> {
    let links = reply.header("link")?;
    let end = format!(">; rel=\"{relation}\"");
    let link = links.split(", ").find_map(|link| link.strip_suffix(end.as_str()))?;
    let reference = link.strip_prefix('<').unwrap();
    assert!(reference.starts_with('?'), "a query resolves behind any gateway: {reference}");
    Some(format!("risk_model{reference}"))
}

fn versions(reply: &Reply) -> Vec<String> {
    let body = reply.json();
    let models = body["models"].as_array().unwrap().iter();
    models.map(|model| model["version"].as_str().unwrap().to_owned()).collect()
}

/// Follows `next` to the end: what was seen, in order, and the last total.
fn walk(server: &Server, first: &str) -> (Vec<String>, usize) {
    let (mut seen, mut address) = (Vec::new(), first.to_owned());
    loop {
        let reply = server.model(&address);
        assert_eq!(reply.status, 200, "{address}: {reply:?}");
        seen.extend(versions(&reply));
        match link(&reply, "next") {
            Some(next) => address = next,
            None => {
                let total = reply.json()["total"].as_u64().unwrap();
                return (seen, usize::try_from(total).unwrap());
            }
        }
    }
}

#[test]
fn a_page_names_its_neighbours() {
    let world = World::new();
    for version in ["v1.0.0", "v1.1.0", "v1.2.0", "v1.3.0", "v1.4.0"] {
        world.register(version).ok();
    }
    world.promote("v1.1.0").ok();
    let server = world.serve();
    let first = server.model("risk_model?status_filter=staged&limit=2&order=oldest");
    assert_eq!(versions(&first), ["v1.0.0", "v1.2.0"]);
    assert_eq!(link(&first, "prev"), None);
    let next = link(&first, "next").unwrap();
    assert_eq!(next, "risk_model?status_filter=staged&order=oldest&limit=2&offset=2");
    let second = server.model(&next);
    assert_eq!(versions(&second), ["v1.3.0", "v1.4.0"]);
    assert_eq!(link(&second, "next"), None);
    for (relation, page) in [("first", &first), ("prev", &first), ("last", &second)] {
        let reply = server.model(&link(&second, relation).unwrap());
        assert_eq!(versions(&reply), versions(page), "{relation}");
    }
    assert_eq!(server.model("risk_model").header("link"), None, "all is one page");
    assert_eq!(link(&server.model("alpha_weights?limit=1"), "next"), None);
}

/// What holds while versions are registered: in the order `oldest`, pages add up to the list, exactly; in the
/// order `newest`, whatever was there at the beginning is seen.
#[test]
fn pages_add_up_to_the_whole_while_a_writer_works() {
    let world = World::new();
    for number in 0..6 {
        world.register(&format!("v1.0.{number}")).ok();
    }
    let server = world.serve();
    let done = AtomicBool::new(false);
    let mut walks = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 6..26 {
                world.register(&format!("v1.0.{number}")).ok();
            }
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            for (order, limit) in [("oldest", 1), ("newest", 1), ("oldest", 3), ("newest", 4)] {
                let before = versions(&server.model("risk_model"));
                let (seen, total) =
                    walk(&server, &format!("risk_model?order={order}&limit={limit}&offset=0"));
                walks.push((order, before, seen, total));
            }
        }
    });
    let mut whole = versions(&server.model("risk_model?order=oldest"));
    assert_eq!(whole.len(), 26);
    let mut grew = 0;
    for (order, before, seen, total) in &walks {
        let distinct: BTreeSet<_> = seen.iter().collect();
        assert!(before.iter().all(|version| distinct.contains(version)), "{order}: one is lost");
        if *order == "oldest" {
            assert_eq!(seen.as_slice(), &whole[..seen.len()], "neither twice nor out of order");
            assert_eq!(seen.len(), *total);
        }
        grew += usize::from(*total > before.len());
    }
    assert!(grew > 0, "{} walks, and the writer never worked beside one", walks.len());
    whole.reverse();
    for limit in [1, 2, 5, 26, 100] {
        assert_eq!(walk(&server, &format!("risk_model?limit={limit}")), (whole.clone(), 26));
    }
    println!("{} walks, {grew} of them while versions were registered", walks.len());
}
