//! Receives a registration: `multipart/form-data` with the parts `metadata` and `artifact`, in this order. The artifact is
//! passed on piece by piece to the thread that writes it, so that memory does not grow with it.

use std::{
    io::{self, Read},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::{
    HttpRequest,
    http::header,
    web::{Bytes, Payload},
};
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

use crate::{
    domain::{ArtifactFile, registration::MAX_SIDECAR_BYTES, text::echo},
    error::{ErrorKind, RegistryError},
    limits,
};

const METADATA: &str = "metadata";
const ARTIFACT: &str = "artifact";

/// A body of which the metadata was received.
pub struct Upload {
    parts: Multipart,
    /// The text of the part `metadata`.
    pub metadata: Vec<u8>,
}

/// A body whose part `artifact` begins.
pub struct ArtifactPart {
    parts: Multipart,
    field: Field,
    /// The name under which the artifact is stored: the extension of the name that the client gave.
    pub file: ArtifactFile,
}

/// What the thread that writes the artifact is sent.
enum Piece {
    Bytes(Bytes),
    /// The body came to its end, and all of it was right.
    End,
}

/// The reading end: the artifact as a file would be read. It fails unless the body came to its end.
pub struct Received {
    pieces: mpsc::Receiver<Piece>,
    rest: Bytes,
    ended: bool,
}

impl Read for Received {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() && !self.ended {
            match self.pieces.blocking_recv() {
                Some(Piece::Bytes(bytes)) => self.rest = bytes,
                Some(Piece::End) => self.ended = true,
                None => return Err(io::Error::other("the upload was given up")),
            }
        }
        let length = self.rest.len().min(buffer.len());
        let piece = self.rest.split_to(length);
        if let Some(space) = buffer.get_mut(..length) {
            space.copy_from_slice(&piece);
        }
        Ok(length)
    }
}

/// Why an upload failed, told by the end that receives it.
#[derive(Clone, Default)]
pub struct Fault(Arc<Mutex<Option<RegistryError>>>);

impl Fault {
    fn set(&self, error: RegistryError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// The fault of the upload, or the other error if the upload has none.
    #[must_use]
    pub fn or(&self, other: RegistryError) -> RegistryError {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or(other)
    }
}

fn refused(what: impl Into<String>) -> RegistryError {
    RegistryError::new(ErrorKind::InvalidRequest, what)
}

fn malformed(error: &MultipartError) -> RegistryError {
    let detail = "The request's body is not complete multipart/form-data (RFC 7578)";
    RegistryError::new(ErrorKind::MalformedRequest, detail).because(error.to_string())
}

fn too_late() -> RegistryError {
    let detail = format!(
        "The upload stopped: {} bytes must arrive every {} seconds",
        limits::UPLOAD_PACE_BYTES,
        limits::UPLOAD_PACE.as_secs()
    );
    RegistryError::new(ErrorKind::RequestTimeout, detail)
}

/// The next part, which must come in time.
async fn next_part(parts: &mut Multipart) -> Result<Option<Field>, RegistryError> {
    let next = tokio::time::timeout(limits::UPLOAD_PACE, parts.next()).await;
    next.map_err(|_| too_late())?.transpose().map_err(|error| malformed(&error))
}

impl Upload {
    /// Receives the part `metadata`.
    ///
    /// # Errors
    /// `INVALID_REQUEST` where the body has another form; `MALFORMED_REQUEST`, `REQUEST_TIMEOUT`, `TOO_LARGE`.
    pub async fn begin(request: &HttpRequest, payload: Payload) -> Result<Self, RegistryError> {
        let media = request.headers().get(header::CONTENT_TYPE);
        let form = media.is_some_and(|media| media.as_bytes().starts_with(b"multipart/form-data"));
        if !form {
            return Err(refused(
                "Content-Type is not multipart/form-data; send the parts metadata (JSON) and artifact (the model file)",
            ));
        }
        let mut parts = Multipart::new(request.headers(), payload);
        let Some(mut field) = next_part(&mut parts).await? else {
            return Err(refused("the part metadata is missing; it comes first, as JSON"));
        };
        match field.name() {
            Some(METADATA) => {}
            Some(ARTIFACT) => {
                return Err(refused(
                    "the part artifact comes before the part metadata; send metadata first, so that a registration \
                     that is refused is refused before its artifact is sent",
                ));
            }
            other => return Err(unknown_part(other)),
        }
        let mut metadata = Vec::new();
        loop {
            let next = tokio::time::timeout(limits::UPLOAD_PACE, field.next()).await;
            match next.map_err(|_| too_late())? {
                None => break,
                Some(piece) => metadata.extend_from_slice(&piece.map_err(|e| malformed(&e))?),
            }
            if metadata.len() > MAX_SIDECAR_BYTES {
                let detail = format!("the part metadata is larger than {MAX_SIDECAR_BYTES} bytes");
                return Err(RegistryError::new(ErrorKind::TooLarge, detail));
            }
        }
        drop(field);
        Ok(Self { parts, metadata })
    }

    /// Waits for the part `artifact` to begin.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub async fn artifact(mut self) -> Result<ArtifactPart, RegistryError> {
        let Some(field) = next_part(&mut self.parts).await? else {
            return Err(refused("the part artifact is missing; it follows metadata"));
        };
        if field.name() != Some(ARTIFACT) {
            return Err(match field.name() {
                Some(METADATA) => refused("the part metadata is sent twice; send it once"),
                other => unknown_part(other),
            });
        }
        let name = field.content_disposition().and_then(|it| it.get_filename()).ok_or_else(|| {
            refused(
                "the part artifact has no filename; its extension tells the format, for example filename=\"model.pkl\"",
            )
        })?;
        // Nothing else of the name is used.
        let extension = name.rsplit_once('.').map(|(_, extension)| extension);
        let file = ArtifactFile::for_extension(extension).map_err(|error| {
            refused(format!("the artifact's filename \"{}\": {error}", echo(name)))
        })?;
        Ok(ArtifactPart { parts: self.parts, field, file })
    }
}

fn unknown_part(name: Option<&str>) -> RegistryError {
    refused(match name {
        Some(name) => format!(
            "the body has a part \"{}\"; a registration has the parts metadata and artifact, in this order",
            echo(name)
        ),
        None => {
            "a part of the body has no name; a registration has the parts metadata and artifact"
                .to_owned()
        }
    })
}

impl ArtifactPart {
    /// The two ends of the artifact: what reads it, and the work that receives it, up to this many bytes.
    pub fn receive(self, most: u64) -> (Received, Fault, impl Future<Output = ()>) {
        let (sender, pieces) = mpsc::channel(limits::UPLOAD_PIECES);
        let fault = Fault::default();
        let told = fault.clone();
        let received = Received { pieces, rest: Bytes::new(), ended: false };
        let work = async move {
            if let Err(error) = self.pass_on(&sender, most).await {
                told.set(error);
            }
            // Without its end the artifact is not registered.
            drop(sender);
        };
        (received, fault, work)
    }

    async fn pass_on(
        mut self,
        sender: &mpsc::Sender<Piece>,
        most: u64,
    ) -> Result<(), RegistryError> {
        let (mut total, mut in_this_round, mut round) = (0_u64, 0_u64, Instant::now());
        loop {
            let next = tokio::time::timeout(limits::UPLOAD_PACE, self.field.next()).await;
            let Some(piece) = next.map_err(|_| too_late())? else { break };
            let piece = piece.map_err(|error| malformed(&error))?;
            total += piece.len() as u64;
            in_this_round += piece.len() as u64;
            if total > most {
                let detail = format!("the artifact is larger than {most} bytes");
                return Err(RegistryError::new(ErrorKind::TooLarge, detail));
            }
            if round.elapsed() > limits::UPLOAD_PACE {
                if in_this_round < limits::UPLOAD_PACE_BYTES {
                    return Err(too_late());
                }
                (in_this_round, round) = (0, Instant::now());
            }
            let written = Instant::now();
            if sender.send(Piece::Bytes(piece)).await.is_err() {
                // The registration was refused or the disk failed; that error is told.
                return Ok(());
            }
            // The time that the disk takes is not the client's.
            round += written.elapsed();
        }
        drop(self.field);
        if let Some(more) = next_part(&mut self.parts).await? {
            return Err(match more.name() {
                Some(name @ (METADATA | ARTIFACT)) => {
                    refused(format!("the part {name} is sent twice; send it once"))
                }
                other => unknown_part(other),
            });
        }
        drop(sender.send(Piece::End).await);
        Ok(())
    }
}
