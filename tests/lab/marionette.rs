//! Mozilla's Marionette protocol: how a test speaks to a Thunderbird from outside.
//!
//! Messages are JSON, each with its length in front (`27:[0,1,"WebDriver:NewSession",{}]`); a command is
//! `[0, id, name, parameters]`, an answer `[1, id, error, result]`.

use crate::Result;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a script may take. Waiting inside scripts is shorter, so that their own words come out.
const PATIENCE: Duration = Duration::from_secs(60);

/// A session with a Mozilla program, with the rights of its own user interface.
#[derive(Debug)]
pub struct Marionette {
    stream: BufReader<TcpStream>,
    last: u64,
}

impl Marionette {
    /// Connects and opens a session in the program's own ("chrome") context.
    ///
    /// # Errors
    /// When nobody listens or the session is refused.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE * 2))?;
        let mut this = Self { stream: BufReader::new(stream), last: 0 };
        this.receive()?; // Who speaks: not of interest.
        this.command("WebDriver:NewSession", &json!({}))?;
        this.command("Marionette:SetContext", &json!({ "value": "chrome" }))?;
        let limit = json!({ "script": u64::try_from(PATIENCE.as_millis())? });
        this.command("WebDriver:SetTimeouts", &limit)?;
        Ok(this)
    }

    /// Runs the body of an asynchronous function and gives what it returned.
    ///
    /// # Errors
    /// With what the script threw.
    pub fn run(&mut self, script: &str, arguments: &[Value]) -> Result<Value> {
        let wrapped = format!(
            "const [done, ...words] = [arguments[arguments.length - 1], ...arguments];\n\
             (async (args) => {{ {script} }})(words.slice(0, -1)).then(\n\
               value => done({{ value: value ?? null }}),\n\
               error => done({{ error: `${{error}}\\n${{error?.stack}}` }}));"
        );
        let answer = self.command(
            "WebDriver:ExecuteAsyncScript",
            &json!({ "script": wrapped, "args": arguments }),
        )?;
        match answer.get("value").and_then(|value| value.get("error")) {
            Some(error) => Err(format!("the script failed: {}", plain(error)).into()),
            None => Ok(answer["value"]["value"].clone()),
        }
    }

    fn command(&mut self, name: &str, parameters: &Value) -> Result<Value> {
        self.last += 1;
        let text = json!([0, self.last, name, parameters]).to_string();
        self.stream.get_mut().write_all(format!("{}:{text}", text.len()).as_bytes())?;
        let answer = self.receive()?;
        match answer.get(2) {
            Some(Value::Null) => Ok(answer[3].clone()),
            error => Err(format!("{name}: {error:?}").into()),
        }
    }

    fn receive(&mut self) -> Result<Value> {
        let mut length = Vec::new();
        self.stream.read_until(b':', &mut length)?;
        length.pop().ok_or("the program closed the connection")?;
        let mut text = vec![0; std::str::from_utf8(&length)?.parse()?];
        self.stream.read_exact(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }
}

/// A JSON string without its quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
