//! Readiness: whether this process can answer requests now.

use std::time::Instant;

use serde::Serialize;

use super::Registry;
use crate::{
    actors::{
        db::{FindLayout, Ping, ReadRoots, ReadState},
        manifest::{ManifestVerdict, ReadManifest, VerifyManifest, disagreement},
    },
    artifacts::lock::ReadLock,
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
            match manifest {
                Ok(detail) => ComponentState { name: "manifest", ready: true, detail },
                Err(why) => state("manifest", Err(why), ""),
            },
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
        // A process that refuses changes is ready to serve reads. This line tells an operator that it refuses them.
        let refused = if matches!(self.takes_changes().await, Ok(false)) {
            Some("are refused: the registry can only be read from here")
        } else if self.is_short_of_room().await {
            Some("that add versions are refused: the registry's disk is full")
        } else {
            None
        };
        let changes = |detail| ComponentState { name: "changes", ready: true, detail };
        components.extend(refused.map(changes));
        components
    }

    async fn catalog_ready(&self) -> Result<(), RegistryError> {
        self.db.ask(Ping).await
    }

    async fn manifest_ready(&self) -> Result<&'static str, (&'static str, RegistryError)> {
        let agreement = match self.agreement().await {
            // A manifest that is behind while nobody changes the registry waits to be written.
            Ok(Agreement::OneBehind) if self.is_at_rest() => self.agreement().await,
            found => found,
        };
        match agreement {
            Ok(Agreement::OneBehind) if self.is_at_rest() => {
                Ok("is one change behind the catalog; it is written before the next change")
            }
            Ok(Agreement::Current | Agreement::OneBehind) => Ok("agrees with the catalog"),
            Ok(Agreement::Differs) => {
                Err(("differs from the catalog, or is missing", disagreement(&[])))
            }
            Err(error) => Err(("cannot be compared with the catalog", error)),
        }
    }

    /// Whether no process is changing the registry at this moment.
    fn is_at_rest(&self) -> bool {
        ReadLock::is_free(self.store.root())
    }

    /// Compares the manifest with the catalog. The catalog is read before and after the manifest. Where both reads
    /// give the same roots and the manifest matches neither of them, no change in progress explains the difference.
    async fn agreement(&self) -> Result<Agreement, RegistryError> {
        let mut before = self.db.ask(ReadRoots).await?;
        loop {
            let manifest = self.manifest.ask(ReadManifest).await?;
            let after = self.db.ask(ReadRoots).await?;
            let found = compare(manifest.as_ref(), after);
            if found != Agreement::Differs {
                return Ok(found);
            }
            if compare(manifest.as_ref(), before) != Agreement::Differs {
                // A change was committed between the two reads.
                return Ok(Agreement::Current);
            }
            if before == after {
                return Ok(Agreement::Differs);
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
        if self.agreement().await? != Agreement::Differs {
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

/// The relation of the manifest to the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Agreement {
    /// The manifest records the last change.
    Current,
    /// The manifest records the change before the last: the last one is being written, or its manifest could not be
    /// written.
    OneBehind,
    /// The manifest records neither, or it is missing.
    Differs,
}

fn compare(manifest: Option<&Manifest>, roots: Option<Roots>) -> Agreement {
    match (roots, manifest) {
        (None, Some(manifest)) if manifest.artifact_count == 0 => Agreement::Current,
        (Some(roots), Some(manifest)) if manifest.checksum == roots.current => Agreement::Current,
        (Some(roots), Some(manifest)) if manifest.checksum == roots.previous => {
            Agreement::OneBehind
        }
        _ => Agreement::Differs,
    }
}
