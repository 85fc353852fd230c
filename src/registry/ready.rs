//! Readiness: can this process answer questions now?

use serde::Serialize;

use super::Registry;
use crate::{
    actors::{
        db::{Ping, ReadRecordedDigests, ReadState},
        manifest::{ManifestVerdict, ReadManifest, VerifyManifest, disagreement},
    },
    clock,
    error::{ErrorKind, RegistryError},
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

impl Registry {
    /// The state of each component.
    pub async fn readiness(&self) -> Vec<ComponentState> {
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
        vec![
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
        ]
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

    /// Whether the manifest is the one of the catalog's last change, or of the one before: that is a change
    /// which is just being written.
    async fn agreement(&self) -> Result<bool, RegistryError> {
        let recorded = self.db.ask(ReadRecordedDigests).await?;
        let manifest = self.manifest.ask(ReadManifest).await?;
        Ok(match (recorded, manifest) {
            (None, manifest) => manifest.is_some_and(|manifest| manifest.artifact_count == 0),
            (Some(_), None) => false,
            (Some(recorded), Some(manifest)) => {
                [recorded.current, recorded.previous].contains(&manifest.checksum)
            }
        })
    }

    /// Refuses to answer from a registry whose manifest and catalog contradict each other.
    ///
    /// # Errors
    /// `CHECKSUM_MISMATCH`, saying what differs.
    pub async fn require_agreement(&self) -> Result<(), RegistryError> {
        if self.agreement().await? {
            return Ok(());
        }
        let state = self.db.ask(ReadState).await?;
        let verify = VerifyManifest { state, at: clock::now()?, repair: false };
        match self.manifest.ask(verify).await? {
            ManifestVerdict::Differs(differences) => Err(disagreement(&differences)),
            _ => Ok(()),
        }
    }
}
