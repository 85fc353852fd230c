//! Transactions that are cut short, each kind at each of its steps: the connection is not lost, no lock stays, what was
//! changed is changed as a whole or not at all, and the next change goes on.

use std::{future::Future, sync::Arc, task::Poll, time::Duration};

use model_registry::{
    catalog::{Catalog, CatalogChange, CatalogError, ImportBatch, VersionFilter},
    domain::{ModelType, Status, Version, history::Transition},
};

use crate::catalog::{at, audited, fail, fresh, promote, record, register, roll_back, stamp_at};

const WAIT: Duration = Duration::from_secs(10);

/// Drops the work when it has to wait for the `steps`th time; `None` where it was dropped.
async fn cut_short<T>(steps: usize, work: impl Future<Output = T>) -> Option<T> {
    let mut work = Box::pin(work);
    let mut left = steps;
    std::future::poll_fn(move |context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

/// No lock is left, no connection is busy, and every row is what the log says; answers how long the log is.
async fn at_rest(catalog: &dyn Catalog) -> u64 {
    catalog.lock_writers(WAIT).await.unwrap().release().await.unwrap();
    let entries = audited(catalog).await;
    let pool = catalog.pool_state();
    assert_eq!((pool.open - pool.idle, pool.waiting), (0, 0), "{pool:?}");
    entries
}

fn risk() -> ModelType {
    ModelType::parse("risk_model").unwrap()
}

fn version(major: usize, minor: usize) -> Version {
    Version::parse(&format!("v{major}.{minor}.0")).unwrap()
}

/// Cuts a change at each of its steps until one comes through. `prepare` gives a change that is possible.
async fn drive(
    name: &str,
    catalog: &dyn Catalog,
    prepare: impl AsyncFn(usize) -> CatalogChange,
    entries: u64,
) {
    let stamp = stamp_at(at(1));
    let mut cut = 0;
    for steps in 0.. {
        let change = prepare(steps).await;
        let before = at_rest(catalog).await;
        let done = cut_short(steps, catalog.apply(&change, &stamp)).await;
        let after = at_rest(catalog).await;
        match done {
            Some(done) => {
                done.unwrap();
                assert_eq!(after, before + entries, "{name}, {steps}");
                break;
            }
            None => cut += 1,
        }
        // It was cut before its commit or after it, never within.
        assert!(
            [before, before + entries].contains(&after),
            "{name}, {steps}: {before} to {after}"
        );
        let again = catalog.apply(&change, &stamp).await;
        assert_eq!(again.is_ok(), after == before, "{name}, {steps}: {again:?}");
        assert_eq!(at_rest(catalog).await, before + entries, "{name}, {steps}");
    }
    assert!(cut > 3, "{name} has only {cut} steps");
}

async fn add(catalog: &dyn Catalog, major: usize, minor: usize) -> Version {
    let new = record(&version(major, minor).to_string(), 1);
    catalog.apply(&register(&new), &stamp_at(at(1))).await.unwrap();
    new.version
}

#[actix::test]
async fn a_registration_that_is_cut_short_is_there_as_a_whole_or_not_at_all() {
    let fresh = fresh().await;
    let catalog = &fresh.catalog;
    let change = async |step| register(&record(&version(1, step).to_string(), 1));
    drive("register", &**catalog, change, 1).await;
}

#[actix::test]
async fn a_promotion_that_is_cut_short_is_made_as_a_whole_or_not_at_all() {
    let fresh = fresh().await;
    let catalog = &fresh.catalog;
    let first = add(&**catalog, 1, 0).await;
    catalog.apply(&promote(&risk(), first), &stamp_at(at(1))).await.unwrap();
    let change = async |step| promote(&risk(), add(&**catalog, 2, step).await);
    drive("promote", &**catalog, change, 2).await;
}

#[actix::test]
async fn a_rollback_that_is_cut_short_is_made_as_a_whole_or_not_at_all() {
    let fresh = fresh().await;
    let catalog = &fresh.catalog;
    let change = async |step| {
        for minor in [2 * step, 2 * step + 1] {
            let new = add(&**catalog, 1, minor).await;
            catalog.apply(&promote(&risk(), new), &stamp_at(at(1))).await.unwrap();
        }
        // Whoever repeats this one finds another version to return to, or none.
        roll_back(&risk(), version(1, 2 * step))
    };
    drive("rollback", &**catalog, change, 2).await;
}

#[actix::test]
async fn a_failure_that_is_cut_short_is_marked_as_a_whole_or_not_at_all() {
    let fresh = fresh().await;
    let catalog = &fresh.catalog;
    let change = async |step| fail(&risk(), add(&**catalog, 1, step).await);
    drive("fail", &**catalog, change, 1).await;
}

#[actix::test]
async fn an_import_that_is_cut_short_is_made_as_a_whole_or_not_at_all() {
    let fresh = fresh().await;
    let catalog = &fresh.catalog;
    let change = async |step: usize| {
        let new_versions: Vec<_> =
            (0..3).map(|minor| record(&version(step + 1, minor).to_string(), 1)).collect();
        let transitions = new_versions.iter().map(|record| Transition {
            transition_id: uuid::Uuid::new_v4(),
            model_id: record.model_id,
            model_type: record.model_type.clone(),
            version: record.version,
            from_status: None,
            to_status: Status::Staged,
            changed_at: at(1),
            changed_by: "alice".to_owned(),
            authenticated_as: None,
            reason: None,
            gates_skipped: false,
        });
        let transitions = transitions.collect();
        CatalogChange::Import(ImportBatch { new_versions, transitions, ..ImportBatch::default() })
    };
    drive("import", &**catalog, change, 4).await;
}

#[actix::test]
async fn a_lock_that_nobody_waits_for_any_more_is_free() {
    let fresh = fresh().await;
    let catalog = &fresh.catalog;
    add(&**catalog, 1, 0).await;
    for steps in 0.. {
        let lock = cut_short(steps, catalog.lock_writers(WAIT)).await;
        let taken = lock.is_some();
        // Dropped without being released, as by a change that panicked.
        drop(lock);
        at_rest(&**catalog).await;
        if taken {
            break;
        }
    }
    for steps in 0.. {
        let lock = catalog.lock_writers(WAIT).await.unwrap();
        let released = cut_short(steps, lock.release()).await;
        at_rest(&**catalog).await;
        if released.is_some() {
            break;
        }
    }
}

/// Cuts a query at each of its steps.
async fn drive_query<T>(
    name: &str,
    catalog: &Arc<dyn Catalog>,
    query: impl AsyncFn(Arc<dyn Catalog>) -> Result<T, CatalogError>,
) {
    for steps in 0.. {
        let done = cut_short(steps, query(catalog.clone())).await;
        let pool = catalog.pool_state();
        assert_eq!((pool.open - pool.idle, pool.waiting), (0, 0), "{name}, {steps}: {pool:?}");
        if let Some(done) = done {
            assert!(done.is_ok(), "{name}, {steps}: {:?}", done.err());
            break;
        }
    }
}

#[actix::test]
async fn queries_that_are_cut_short_give_their_connection_back_or_close_it() {
    let fresh = fresh().await;
    let catalog = &fresh.catalog;
    for minor in 0..2 {
        let new = add(&**catalog, 1, minor).await;
        catalog.apply(&promote(&risk(), new), &stamp_at(at(1))).await.unwrap();
    }
    let (risk, first) = (risk(), version(1, 0));
    let filter = VersionFilter::default();
    drive_query("layout", catalog, async |it| it.layout().await).await;
    drive_query("takes_changes", catalog, async |it| it.takes_changes().await).await;
    drive_query("ping", catalog, async |it| it.ping().await).await;
    drive_query("find_production", catalog, async |it| it.find_production(&risk).await).await;
    drive_query("find_version", catalog, async |it| it.find_version(&risk, first).await).await;
    drive_query("find_rollback_target", catalog, async |it| it.find_rollback_target(&risk).await)
        .await;
    drive_query("list_versions", catalog, async |it| it.list_versions(&filter).await).await;
    drive_query("list_transitions", catalog, async |it| it.list_transitions(None).await).await;
    drive_query("roots", catalog, async |it| it.roots().await).await;
    drive_query("state", catalog, async |it| it.state().await).await;
    drive_query("audit", catalog, async |it| it.audit().await).await;
    drive_query("right_edge", catalog, async |it| it.right_edge().await).await;
    drive_query("log_entries", catalog, async |it| it.log_entries(0, 9).await).await;
    drive_query("log_entries_of", catalog, async |it| it.log_entries_of(&risk, first).await).await;
    drive_query("log_hashes", catalog, async |it| it.log_hashes(0, 0, 5).await).await;
    assert_eq!(at_rest(&**catalog).await, 5);
}
