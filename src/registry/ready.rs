//! Readiness: can this process answer questions now?

use serde::Serialize;

use super::Registry;
use crate::{
    actors::{
        db::{Ping, ReadRecordedDigests},
        manifest::ReadManifest,
    },
    error::RegistryError,
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
            state(
                "validator",
                validator.map(drop).map_err(|error| ("takes no more work", error)),
                "takes work",
            ),
        ]
    }

    async fn catalog_ready(&self) -> Result<(), RegistryError> {
        self.db.ask(Ping).await
    }

    async fn manifest_ready(&self) -> Result<(), (&'static str, RegistryError)> {
        let recorded = self
            .db
            .ask(ReadRecordedDigests)
            .await
            .map_err(|error| ("cannot be compared with the catalog", error))?;
        let manifest =
            self.manifest.ask(ReadManifest).await.map_err(|error| ("cannot be read", error))?;
        let (Some(manifest), Some(recorded)) = (manifest, recorded) else { return Ok(()) };
        // One step behind is a change that is just being written.
        if manifest.checksum == recorded.current || manifest.checksum == recorded.previous {
            Ok(())
        } else {
            let detail = "differs from the catalog";
            Err((detail, RegistryError::internal("the manifest's checksum is not the catalog's")))
        }
    }
}
