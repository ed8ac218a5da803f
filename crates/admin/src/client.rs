//! The other end of the socket: used by the command line, which has no need of asynchrony.

use crate::error::Failure;
use crate::frame::{CHUNK, Lines, MAX_ANSWER, line};
use crate::request::Request;
use crate::views::Answer;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use thiserror::Error;
use wardpost_mail::Secret;

/// How long the daemon may take: route explain talks to other mail servers.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long to wait between two tries to connect.
const RETRY: Duration = Duration::from_millis(50);

/// What the daemon says to a request.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Response {
    /// The answer, or why there is none.
    pub(crate) result: Result<Answer, Failure>,
    /// The secret of the practice's recovery kit, said exactly once, whatever else was asked.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_secret")]
    pub(crate) recovery_kit: Option<Secret<String>>,
}

mod optional_secret {
    use serde::{Deserialize, Deserializer, Serializer};
    use wardpost_mail::Secret;

    pub(crate) fn serialize<S: Serializer>(
        secret: &Option<Secret<String>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match secret {
            Some(secret) => serializer.serialize_some(secret.expose()),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Secret<String>>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(Secret::new))
    }
}

/// Why a request got no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody listens on the socket.
    #[error(
        "the Wardpost daemon is not running (nobody answers on {}); start it with \
         `systemctl start wardpost` or `wardpost serve`",
        .0.display()
    )]
    NotRunning(PathBuf),
    /// The socket is somebody else's.
    #[error("not permitted to talk to the daemon on {}: run this as root or as the daemon's user", .0.display())]
    NotPermitted(PathBuf),
    /// The connection broke, or the answer makes no sense.
    #[error("talking to the daemon failed: {0}")]
    Broken(#[from] io::Error),
    /// The daemon refused.
    #[error(transparent)]
    Refused(#[from] Failure),
}

/// A connection to the daemon.
pub struct Client {
    stream: UnixStream,
    lines: Lines,
}

impl Client {
    /// Connects to the daemon's control socket.
    ///
    /// # Errors
    /// When the daemon is not running or the socket may not be used.
    pub fn connect(socket: &Path) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ClientError::NotRunning(socket.to_owned())
            }
            io::ErrorKind::PermissionDenied => ClientError::NotPermitted(socket.to_owned()),
            _ => ClientError::Broken(error),
        })?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, lines: Lines::new(MAX_ANSWER) })
    }

    /// As [`Client::connect`], giving a daemon that is just starting a moment to get there.
    ///
    /// # Errors
    /// As [`Client::connect`], after `patience` at most.
    pub fn connect_within(socket: &Path, patience: Duration) -> Result<Self, ClientError> {
        let deadline = Instant::now() + patience;
        loop {
            match Self::connect(socket) {
                Err(ClientError::NotRunning(_)) if Instant::now() < deadline => {
                    std::thread::sleep(RETRY);
                }
                result => return result,
            }
        }
    }

    /// Asks. The secret of the recovery kit, which may come with any answer exactly once, is handed to
    /// `keep_kit` whether or not the request succeeded.
    ///
    /// # Errors
    /// When the daemon refused, or the connection broke.
    pub fn call(
        &mut self,
        request: &Request,
        keep_kit: impl FnOnce(Secret<String>),
    ) -> Result<Answer, ClientError> {
        self.stream.write_all(line(request)?.expose())?;
        let response: Response = serde_json::from_slice(self.read_line()?.expose())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not an answer"))?;
        if let Some(kit) = response.recovery_kit {
            keep_kit(kit);
        }
        Ok(response.result?)
    }

    fn read_line(&mut self) -> io::Result<Secret<Vec<u8>>> {
        let mut chunk = Secret::new(vec![0; CHUNK]);
        loop {
            if let Some(line) = self.lines.take() {
                return Ok(line);
            }
            match self.stream.read(chunk.expose_mut()) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.lines.push(&chunk.expose()[..length])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
