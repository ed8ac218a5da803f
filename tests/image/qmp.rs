//! QEMU's control socket (QMP): JSON lines, one answer a question, events in between.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;
use wardpost_tests::Result;

/// A conversation with one machine.
#[derive(Debug)]
pub(crate) struct Qmp {
    reader: BufReader<UnixStream>,
}

impl Qmp {
    /// Connects and leaves the greeting behind.
    pub(crate) fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut this = Self { reader: BufReader::new(stream) };
        this.line()?;
        this.ask("qmp_capabilities", json!({}))?;
        Ok(this)
    }

    /// Asks for something and gives the answer.
    pub(crate) fn ask(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let question = json!({ "execute": command, "arguments": arguments });
        self.reader.get_mut().write_all(format!("{question}\n").as_bytes())?;
        loop {
            let mut answer = self.line()?;
            if !answer["error"].is_null() {
                return Err(format!("{command}: {}", answer["error"]["desc"]).into());
            }
            // Anything else is an event.
            if !answer["return"].is_null() {
                return Ok(answer["return"].take());
            }
        }
    }

    fn line(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err("QEMU is gone".into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}
