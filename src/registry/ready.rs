//! Readiness: can this process answer questions now?

use std::time::Instant;

use serde::Serialize;

use super::Registry;
use crate::{
    actors::{
        db::{FindLayout, Ping, ReadRoots, ReadState},
        manifest::{ManifestVerdict, ReadManifest, VerifyManifest, disagreement},
    },
    catalog::{Layout, Roots},
    clock,
    domain::manifest::Manifest,
    error::{ErrorKind, RegistryError},
    limits,
};

/// How one component is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComponentState {
    /// Its name.
    pub name: &'static str,
    /// Whether it does its work.
    pub ready: bool,
    /// A line that an operator can act on; no secret, path or address in it.
    pub detail: &'static str,
}

/// The last answer, which stands for a second: whoever asks without a token cannot make the registry work.
#[derive(Debug, Default)]
pub struct LastAnswer(tokio::sync::Mutex<Option<(Instant, Vec<ComponentState>)>>);

impl Registry {
    /// The state of each component. Costs the same however many versions there are, and is found out once a second.
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
                // A queue full of load checks is no reason to send reads elsewhere.
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
        // A reader does all that it is there for. Who wants to change something looks at the line.
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

    /// Whether the manifest is the one of the catalog's last change, or of the one before: that is a change which is
    /// just being written. The catalog is asked before and after: what is not of either moment is no change between.
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

    /// Refuses to answer from a registry whose manifest and catalog contradict each other.
    ///
    /// # Errors
    /// `CHECKSUM_MISMATCH`, saying what differs.
    pub async fn require_agreement(&self) -> Result<(), RegistryError> {
        let layout = self.db.ask(FindLayout).await?;
        if self.agreement().await? {
            return Ok(());
        }
        if layout != Layout::Current {
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

/// Whether a manifest is of the state with these roots, or of the one before it.
fn agrees(manifest: Option<&Manifest>, roots: Option<Roots>) -> bool {
    match (roots, manifest) {
        (None, manifest) => manifest.is_some_and(|manifest| manifest.artifact_count == 0),
        (Some(_), None) => false,
        (Some(roots), Some(manifest)) => {
            [roots.current, roots.previous].contains(&manifest.checksum)
        }
    }
}
