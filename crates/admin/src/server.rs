//! Serving the socket.

use crate::client::Response;
use crate::error::{Failure, FailureKind, ServeError};
use crate::frame::{CHUNK, Lines, MAX_REQUEST, line};
use crate::request::Request;
use crate::views::Answer;
use async_trait::async_trait;
use std::future::Future;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use wardpost_mail::Secret;

/// Peers served at once; more wait to be accepted.
const PEERS: usize = 16;
/// How long a peer may take to send a request or take an answer.
const PATIENCE: Duration = Duration::from_secs(300);

/// Whoever carries out what is asked for over the socket.
#[async_trait]
pub trait Handler: Send + Sync {
    /// Carries out a request.
    ///
    /// # Errors
    /// When it cannot be carried out, with words for whoever asked.
    async fn handle(&self, request: Request) -> Result<Answer, Failure>;

    /// The recovery kit's secret, if it was made and nobody has it yet.
    fn take_kit(&self) -> Option<Secret<String>> {
        None
    }

    /// Keeps the recovery kit's secret for the next answer.
    fn keep_kit(&self, _kit: Secret<String>) {}
}

/// Makes the socket and returns the future that serves it until `stop` resolves. The socket is there
/// when this returns, and gone when the future ends.
///
/// # Errors
/// When the socket cannot be made, or another daemon answers on it. Needs a tokio runtime.
pub fn serve<S>(
    path: &Path,
    handler: Arc<dyn Handler>,
    stop: S,
) -> Result<impl Future<Output = ()> + use<S>, ServeError>
where
    S: Future<Output = ()>,
{
    let failed = |error| ServeError::Bind { path: path.to_owned(), error };
    clear_stale(path)?;
    let listener = UnixListener::bind(path).map_err(failed)?;
    // The program runs with umask 077; this holds even if it does not.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    let owner = std::fs::metadata(path).map_err(failed)?.uid();
    let file = SocketFile(path.to_owned());
    Ok(async move {
        // Held here so that the file goes with the future, served or not.
        let _file = file;
        tokio::select! {
            () = stop => {}
            () = accept(listener, owner, handler) => {}
        }
    })
}

/// The socket's name in the file system, removed on drop.
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Whoever starts next clears a socket that is left over, so this may fail.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Removes the socket of a daemon that is gone.
fn clear_stale(path: &Path) -> Result<(), ServeError> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(ServeError::Running(path.to_owned()));
    }
    std::fs::remove_file(path).map_err(|error| ServeError::Bind { path: path.to_owned(), error })
}

async fn accept(listener: UnixListener, owner: u32, handler: Arc<dyn Handler>) {
    let places = Arc::new(Semaphore::new(PEERS));
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the control socket could not accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if !permitted(&stream, owner) {
            tracing::warn!("somebody who may not was turned away from the control socket");
            continue;
        }
        let handler = Arc::clone(&handler);
        tokio::spawn(async move {
            if let Err(error) = converse(stream, &*handler).await {
                tracing::debug!(%error, "a conversation on the control socket broke off");
            }
            drop(place);
        });
    }
}

/// Whether the peer is root or the daemon's own user, as the kernel says.
fn permitted(stream: &UnixStream, owner: u32) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == owner)
}

async fn converse(mut stream: UnixStream, handler: &dyn Handler) -> io::Result<()> {
    let mut lines = Lines::new(MAX_REQUEST);
    let mut chunk = Secret::new(vec![0; CHUNK]);
    loop {
        while let Some(text) = lines.take() {
            let response = respond(handler, &text).await;
            let answer = line(&response)?;
            let sent = timed(stream.write_all(answer.expose())).await;
            if let (Err(_), Some(kit)) = (&sent, response.recovery_kit) {
                // Nobody has seen it yet: it goes with the next answer.
                handler.keep_kit(kit);
            }
            sent?;
        }
        let length = timed(stream.read(chunk.expose_mut())).await?;
        if length == 0 {
            return Ok(());
        }
        lines.push(&chunk.expose()[..length])?;
    }
}

async fn respond(handler: &dyn Handler, text: &Secret<Vec<u8>>) -> Response {
    match serde_json::from_slice::<Request>(text.expose()) {
        Ok(request) => {
            // What units ask again and again would put the kit into a log in place of before a person.
            let by_a_person = !matches!(request, Request::Console | Request::Doctor { .. });
            let result = handler.handle(request).await;
            let recovery_kit = if by_a_person { handler.take_kit() } else { None };
            Response { result, recovery_kit }
        }
        // serde_json's words may quote the request, and so a password.
        Err(error) => {
            let message = format!("not a request (column {})", error.column());
            let failure = Failure::new(FailureKind::BadRequest, message);
            Response { result: Err(failure), recovery_kit: None }
        }
    }
}

async fn timed<T>(operation: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(PATIENCE, operation).await {
        Ok(result) => result,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Answers everything with nothing, and has a kit that nobody has yet.
    struct WithKit(Mutex<Option<Secret<String>>>);

    #[async_trait]
    impl Handler for WithKit {
        async fn handle(&self, _: Request) -> Result<Answer, Failure> {
            Ok(Answer::Done)
        }

        fn take_kit(&self) -> Option<Secret<String>> {
            self.0.lock().unwrap().take()
        }
    }

    #[tokio::test]
    async fn what_units_ask_again_and_again_does_not_get_the_kit() {
        let handler = WithKit(Mutex::new(Some(Secret::new("kit".to_owned()))));
        let requests = [Request::Console, Request::Doctor { boot: true }, Request::Status];
        let mut kits = Vec::new();
        for request in requests {
            let text = Secret::new(serde_json::to_vec(&request).unwrap());
            kits.push(respond(&handler, &text).await.recovery_kit.is_some());
        }
        assert_eq!(kits, [false, false, true], "a person gets it");
    }
}
