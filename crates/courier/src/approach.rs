//! From an address to a conversation, with a verdict on the path.

use crate::conversation::{Conversation, StartTls, TalkError};
use crate::courier::Courier;
use std::net::SocketAddr;
use std::time::SystemTime;
use tokio::net::TcpStream;
use wardpost_mail::Domain;
use wardpost_net::{HandshakeError, Stream};
use wardpost_verdict::{Observation, Policy, Verdict};

/// One address of one mail exchanger.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The name that the certificate must carry.
    pub(crate) host: Domain,
    /// Where to connect.
    pub(crate) address: SocketAddr,
    /// The connection begins with the handshake (RFC 8314 §3.3), not with STARTTLS.
    pub(crate) implicit_tls: bool,
    /// Under whose log-in; connections of one are never used for another's mail. `None` where nobody
    /// logs in.
    pub(crate) login: Option<[u8; 32]>,
}

/// How an approach ended.
pub(crate) enum Approached {
    /// TLS is up, whatever it is worth, and EHLO has been said over it. What was seen goes along, so
    /// that it can be judged again by what another domain, or another day, asks for.
    Tls(Conversation<Stream>, Verdict, Observation),
    /// The server does not do TLS; the connection is in clear.
    Clear(Conversation<Stream>, Verdict),
    /// The handshake broke, and the connection with it.
    Broken(Verdict),
}

impl Courier {
    /// Connects, greets and takes the connection to TLS if the server lets us.
    ///
    /// A host that offered TLS once and does not today is no special case: what counts is what was
    /// seen now, and that is a verdict below every floor.
    pub(crate) async fn approach(
        &self,
        target: &Target,
        policy: &Policy,
    ) -> Result<Approached, TalkError> {
        if target.implicit_tls {
            return self.approach_in_tls(target, policy).await;
        }
        let conversation = self.greet(target).await?;
        let judge = |seen: &Observation| policy.grade(seen, &self.parts.roots, SystemTime::now());
        if !conversation.capabilities().starttls {
            return Ok(Approached::Clear(conversation, judge(&Observation::NotOffered)));
        }
        let (stream, resumption) = match conversation.start_tls().await? {
            StartTls::Ready(stream, resumption) => (stream, resumption),
            StartTls::Injected => {
                let seen = HandshakeError::Injected.observation();
                return Ok(Approached::Broken(judge(&seen)));
            }
            StartTls::Refused(conversation, reply) => {
                let verdict = judge(&Observation::Refused(reply.code));
                return Ok(Approached::Clear(conversation, verdict));
            }
        };
        // That nothing was read in clear past the 220 has just been seen to.
        match stream.upgrade_client(&self.parts.tls, &target.host, &[]).await {
            Ok((stream, facts)) => {
                let seen = Observation::Completed(facts);
                let conversation = resumption.go_on(stream).await?;
                // What EHLO says counts only now, inside TLS (RFC 8689 §3).
                let requiretls = conversation.capabilities().require_tls;
                let verdict = judge(&seen).with_requiretls(requiretls);
                Ok(Approached::Tls(conversation, verdict, seen))
            }
            Err(error) => Ok(Approached::Broken(judge(&error.observation()))),
        }
    }

    /// Connects to a port where the handshake comes first. There is nothing to strip.
    async fn approach_in_tls(
        &self,
        target: &Target,
        policy: &Policy,
    ) -> Result<Approached, TalkError> {
        let judge = |seen: &Observation| policy.grade(seen, &self.parts.roots, SystemTime::now());
        let stream = Stream::Plain(self.connect(target).await?);
        let (stream, facts) = match stream.upgrade_client(&self.parts.tls, &target.host, &[]).await
        {
            Ok(upgraded) => upgraded,
            Err(error) => return Ok(Approached::Broken(judge(&error.observation()))),
        };
        let seen = Observation::Completed(facts);
        let (our_name, timeouts) = (&self.settings.hostname, self.settings.timeouts);
        let conversation = Conversation::greet(stream, our_name, timeouts).await?;
        let requiretls = conversation.capabilities().require_tls;
        let verdict = judge(&seen).with_requiretls(requiretls);
        Ok(Approached::Tls(conversation, verdict, seen))
    }

    /// Connects and greets, in clear.
    pub(crate) async fn greet(&self, target: &Target) -> Result<Conversation<Stream>, TalkError> {
        let stream = Stream::Plain(self.connect(target).await?);
        Conversation::greet(stream, &self.settings.hostname, self.settings.timeouts).await
    }

    async fn connect(&self, target: &Target) -> Result<TcpStream, TalkError> {
        let connecting = TcpStream::connect(target.address);
        let tcp = tokio::time::timeout(self.settings.timeouts.connect, connecting)
            .await
            .map_err(|_| TalkError::TimedOut)??;
        // Small writes go out at once; a connection that will not do that still works.
        let _ = tcp.set_nodelay(true);
        Ok(tcp)
    }
}
