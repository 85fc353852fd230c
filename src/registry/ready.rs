//! Readiness: whether this process can answer requests now.

use std::time::Instant;

use serde::Serialize;

use super::Registry;
use crate::{
    actors::{
        db::{FindLayout, Ping, ReadRoots, ReadState},
        manifest::{ManifestVerdict, ReadManifest, VerifyManifest, disagreement},
    },
    catalog::Roots,
    clock,
    domain::manifest::Manifest,
    error::{ErrorKind, RegistryError},
    limits,
};

/// The state of one component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComponentState {
    /// The component's name.
    pub name: &'static str,
    /// Whether the component works.
    pub ready: bool,
    /// A line that an operator can act on. It contains no secret, path or address.
    pub detail: &'static str,
}

/// The last answer, reused for one second, so that requests without a token cannot put load on the registry.
#[derive(Debug, Default)]
pub struct LastAnswer(tokio::sync::Mutex<Option<(Instant, Vec<ComponentState>)>>);

impl Registry {
    /// The state of each component. The cost does not depend on the number of versions. The state is determined at
    /// most once a second.
    pub async fn readiness(&self) -> Vec<ComponentState> {
        let mut last = self.readiness.0.lock().await;
        if let Some((at, answer)) = &*last
            && at.elapsed() < limits::READINESS_AGE
        {
            return answer.clone();
        }
        let answer = self.find_readiness().await;
        *last = Some((Instant::now(), answer.clone()));
        answer
    }

    async fn find_readiness(&self) -> Vec<ComponentState> {
        let (catalog, manifest) = tokio::join!(self.catalog_ready(), self.manifest_ready());
        let validator = self.validator.ask(crate::actors::validator::ReportQueue).await;
        let state = |name, answer: Result<(), (&'static str, RegistryError)>, good| {
            answer.map_or_else(
                |(detail, error)| {
                    tracing::warn!(component = name, %error, "not ready");
                    ComponentState { name, ready: false, detail }
                },
                |()| ComponentState { name, ready: true, detail: good },
            )
        };
        let mut components = vec![
            state("catalog", catalog.map_err(|error| ("does not answer", error)), "answers"),
            state("manifest", manifest, "agrees with the catalog"),
            match validator {
                // A full queue of load checks does not affect reads.
                Err(error) if error.kind() == ErrorKind::Overloaded => ComponentState {
                    name: "validator",
                    ready: true,
                    detail: "takes no more work for the moment",
                },
                other => state(
                    "validator",
                    other.map(drop).map_err(|error| ("does not answer", error)),
                    "takes work",
                ),
            },
        ];
        // A read-only process is ready to serve reads. This line tells an operator that it refuses changes.
        if matches!(self.takes_changes().await, Ok(false)) {
            let detail = "are refused: the registry can only be read from here";
            components.push(ComponentState { name: "changes", ready: true, detail });
        }
        components
    }

    async fn catalog_ready(&self) -> Result<(), RegistryError> {
        self.db.ask(Ping).await
    }

    async fn manifest_ready(&self) -> Result<(), (&'static str, RegistryError)> {
        match self.agreement().await {
            Ok(true) => Ok(()),
            Ok(false) => Err(("differs from the catalog, or is missing", disagreement(&[]))),
            Err(error) => Err(("cannot be compared with the catalog", error)),
        }
    }

    /// Whether the manifest records the catalog's last change or the one before it. In the second case a change is
    /// being written. The catalog is read before and after the manifest. Where both reads give the same roots and the
    /// manifest matches neither of them, no change in progress explains the difference.
    async fn agreement(&self) -> Result<bool, RegistryError> {
        let mut before = self.db.ask(ReadRoots).await?;
        loop {
            let manifest = self.manifest.ask(ReadManifest).await?;
            let after = self.db.ask(ReadRoots).await?;
            if agrees(manifest.as_ref(), before) || agrees(manifest.as_ref(), after) {
                return Ok(true);
            }
            if before == after {
                return Ok(false);
            }
            before = after;
        }
    }

    /// Refuses a registry whose manifest and catalog disagree.
    ///
    /// # Errors
    /// `CHECKSUM_MISMATCH`, naming the differences.
    pub async fn require_agreement(&self) -> Result<(), RegistryError> {
        let layout = self.db.ask(FindLayout).await?;
        if self.agreement().await? {
            return Ok(());
        }
        if !layout.has_log() {
            return Err(disagreement(&[]));
        }
        let state = self.db.ask(ReadState).await?;
        let verify = VerifyManifest { state, at: clock::now()?, repair: false };
        match self.manifest.ask(verify).await? {
            ManifestVerdict::Differs(differences) => Err(disagreement(&differences)),
            _ => Ok(()),
        }
    }
}

/// Whether the manifest records the current root or the previous one.
fn agrees(manifest: Option<&Manifest>, roots: Option<Roots>) -> bool {
    match (roots, manifest) {
        (None, manifest) => manifest.is_some_and(|manifest| manifest.artifact_count == 0),
        (Some(_), None) => false,
        (Some(roots), Some(manifest)) => {
            [roots.current, roots.previous].contains(&manifest.checksum)
        }
    }
}
