//! Random sequences of operations, held against a model of the rules that a page can hold.

use std::collections::BTreeMap;

use model_registry::{
    catalog::{Catalog, CatalogError, VersionFilter},
    domain::{ModelType, Status, Version},
};
use proptest::prelude::*;

use crate::catalog::{
    Fresh, at, audited, fail, fresh, promote, record, register, roll_back, stamp_at,
};

/// An operation on one of four versions.
#[derive(Debug, Clone, Copy)]
enum Step {
    Register(u8),
    Promote(u8),
    RollBack,
    Fail(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0_u8..4).prop_map(Step::Register),
        (0_u8..4).prop_map(Step::Register),
        (0_u8..4).prop_map(Step::Promote),
        (0_u8..4).prop_map(Step::Promote),
        Just(Step::RollBack),
        (0_u8..4).prop_map(Step::Fail),
    ];
    proptest::collection::vec(step, 1..40)
}

/// The rules: where each version stands, and the versions archived, the last one last.
#[derive(Debug, Default)]
struct Model {
    stands: BTreeMap<u8, Status>,
    archived: Vec<u8>,
    transitions: u64,
}

impl Model {
    fn production(&self) -> Option<u8> {
        self.stands.iter().find(|(_, status)| **status == Status::Production).map(|(n, _)| *n)
    }

    fn moves(&mut self, number: u8, to: Status) {
        self.archived.retain(|archived| *archived != number);
        if to == Status::Archived {
            self.archived.push(number);
        }
        self.stands.insert(number, to);
        self.transitions += 1;
    }

    /// Whether the step is allowed; takes it where it is.
    fn take(&mut self, step: Step) -> bool {
        match step {
            Step::Register(number) => {
                let free = !self.stands.contains_key(&number);
                if free {
                    self.moves(number, Status::Staged);
                }
                free
            }
            Step::Promote(number) => {
                let stands = self.stands.get(&number);
                let may = matches!(stands, Some(Status::Staged | Status::Archived));
                if may {
                    if let Some(current) = self.production() {
                        self.moves(current, Status::Archived);
                    }
                    self.moves(number, Status::Production);
                }
                may
            }
            Step::RollBack => match (self.production(), self.archived.last().copied()) {
                (Some(current), Some(last)) => {
                    self.moves(current, Status::Staged);
                    self.moves(last, Status::Production);
                    true
                }
                _ => false,
            },
            Step::Fail(number) => {
                let stands = self.stands.get(&number);
                let may = matches!(stands, Some(Status::Staged | Status::Archived));
                if may {
                    self.moves(number, Status::Failed);
                }
                may
            }
        }
    }
}

async fn take(catalog: &dyn Catalog, step: Step, second: u32) -> Result<(), CatalogError> {
    let risk = ModelType::parse("risk_model").unwrap();
    let version = |number: u8| Version::parse(&format!("v1.{number}.0")).unwrap();
    // The clock stands still, and now and then goes back.
    let time = at(if second.is_multiple_of(5) { 1 } else { second.min(50) });
    let stamp = stamp_at(time);
    match step {
        Step::Register(number) => {
            let new = record(&version(number).to_string(), second.min(50));
            catalog.apply(&register(&new), &stamp).await.map(drop)
        }
        Step::Promote(number) => {
            catalog.apply(&promote(&risk, version(number)), &stamp).await.map(drop)
        }
        Step::RollBack => match catalog.find_rollback_target(&risk).await? {
            Some(target) => {
                catalog.apply(&roll_back(&risk, target.version), &stamp).await.map(drop)
            }
            None => Err(CatalogError::NotFound),
        },
        Step::Fail(number) => catalog.apply(&fail(&risk, version(number)), &stamp).await.map(drop),
    }
}

async fn compare(fresh: &Fresh, model: &Model) {
    let page = fresh.catalog.list_versions(&VersionFilter::default()).await.unwrap();
    let found: BTreeMap<String, Status> =
        page.records.iter().map(|record| (record.version.to_string(), record.status)).collect();
    let expected: BTreeMap<String, Status> =
        model.stands.iter().map(|(number, status)| (format!("v1.{number}.0"), *status)).collect();
    assert_eq!(found, expected);
    for record in &page.records {
        if record.status == Status::Staged {
            assert_eq!(record.promoted_at, None);
        }
        if record.status == Status::Production {
            assert!(record.promoted_at.is_some() && record.archived_at.is_none());
        }
        if record.status == Status::Archived {
            assert!(record.archived_at.is_some());
        }
    }
    let mut last = None;
    for step in fresh.catalog.list_transitions(None).await.unwrap() {
        assert!(last <= Some(step.changed_at), "times run backwards");
        last = Some(step.changed_at);
    }
    assert_eq!(audited(fresh.catalog.as_ref()).await, model.transitions);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if crate::ON_POSTGRES { 24 } else { 48 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_sequence_of_operations_keeps_to_the_rules(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (fresh, mut model) = (fresh().await, Model::default());
            for (second, step) in (1..).zip(steps) {
                let allowed = model.take(step);
                let done = take(fresh.catalog.as_ref(), step, second).await;
                assert_eq!(done.is_ok(), allowed, "{step:?}: {done:?}, {model:?}");
            }
            compare(&fresh, &model).await;
        });
    }
}
