//! Forms with files, read within bounds.

use axum::extract::Multipart;
use axum::extract::multipart::Field;
use std::time::Duration;
use thiserror::Error;
use wardpost_message::render::{Attachment, file_name};

/// Octets of a field that is no file.
const MAX_FIELD: usize = 256 * 1024;
/// Files in one form.
const MAX_FILES: usize = 20;
/// Fields in one form, files included.
const MAX_FIELDS: usize = 40;
/// How long a form may take to arrive.
const TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// A form that was read.
#[derive(Debug, Default)]
pub(crate) struct Upload {
    fields: Vec<(String, String)>,
    pub(crate) files: Vec<Attachment>,
}

/// Why a form was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum UploadError {
    #[error("the form is too large")]
    TooLarge,
    #[error("the form has too many files or fields")]
    TooMany,
    #[error("the form arrived broken or not at all")]
    Broken,
}

impl Upload {
    /// A field's text; empty when it is not there.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }
}

/// Reads a form of at most `limit` octets.
pub(crate) async fn read(form: Multipart, limit: usize) -> Result<Upload, UploadError> {
    tokio::time::timeout(TIMEOUT, read_all(form, limit)).await.unwrap_or(Err(UploadError::Broken))
}

async fn read_all(mut form: Multipart, limit: usize) -> Result<Upload, UploadError> {
    let mut upload = Upload::default();
    let mut room = limit;
    let mut seen = 0;
    while let Some(field) = form.next_field().await.map_err(|error| reason(&error))? {
        seen += 1;
        if seen > MAX_FIELDS || upload.files.len() >= MAX_FILES {
            return Err(UploadError::TooMany);
        }
        let name = field.name().unwrap_or_default().to_owned();
        match field.file_name().map(file_name) {
            None => {
                let bytes = collect(field, &mut room, MAX_FIELD).await?;
                upload.fields.push((name, String::from_utf8_lossy(&bytes).into_owned()));
            }
            Some(given) => {
                let mime = field.content_type().unwrap_or("application/octet-stream");
                let mime = mime.split(';').next().unwrap_or_default().trim().to_lowercase();
                let bytes = collect(field, &mut room, limit).await?;
                // A file field without a file is an empty one without a name.
                if !(given.is_empty() && bytes.is_empty()) {
                    let name = if given.is_empty() { "attachment".to_owned() } else { given };
                    upload.files.push(Attachment { name, mime, bytes });
                }
            }
        }
    }
    Ok(upload)
}

async fn collect(
    mut field: Field<'_>,
    room: &mut usize,
    limit: usize,
) -> Result<Vec<u8>, UploadError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|error| reason(&error))? {
        *room = room.checked_sub(chunk.len()).ok_or(UploadError::TooLarge)?;
        if bytes.len() + chunk.len() > limit {
            return Err(UploadError::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn reason(error: &axum::extract::multipart::MultipartError) -> UploadError {
    if error.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
        UploadError::TooLarge
    } else {
        UploadError::Broken
    }
}
