//! The control interface of the daemon: what the command line asks for, over a Unix socket.
//!
//! A request is one line of JSON, an answer is one line of JSON; a connection carries any number of
//! them in turn. Both are closed, typed enums ([`Request`], [`Answer`]), so that the command line,
//! and whoever else talks to the socket, cannot ask for what the daemon does not know.
//!
//! The socket lies in the data directory with mode 0600, and besides the kernel asks each peer who it
//! is: only root and the daemon's own user are listened to. Passwords cross it as text, because there
//! is nobody in between; on both ends they are [`wardpost_mail::Secret`], in a buffer that is wiped,
//! and in no log line. No log line names an address either: accounts are told by their number.

mod client;
mod error;
mod frame;
mod operations;
mod pin_request;
mod request;
mod secret_text;
mod server;
mod views;

pub use client::{Client, ClientError};
pub use error::{Failure, FailureKind, ServeError};
pub use operations::{Admin, Certifier, Host, Parts, ReportSender, RouteExplainer};
pub use pin_request::{LoginSpec, PinRequest, PinSpec, SmarthostSpec};
pub use request::{
    AccountRequest, AliasRequest, AppPasswordRequest, DkimRequest, DomainRequest, ExceptionRequest,
    ParcelRequest, QueueRequest, ReportRequest, Request, StsRequest, TlsRequest,
};
pub use server::{Handler, serve};
pub use views::{
    AccountView, AcmeFailureView, AcmeLeftOutView, AcmeView, AliasView, Answer, AppPasswordView,
    CertificateView, CleartextPeerView, CleartextView, CodeView, ConsoleView, DkimPairView,
    DkimView, DmarcReportsView, DnsRecordView, DnssecView, DomainView, EvidenceView, ExceptionView,
    FailureView, HopView, ListenerView, MadeSecret, NextKeyView, ParcelRow, PathView,
    PeerCertificateView, PinView, QueueItemView, QueueRecipientView, ReportsSentView, RouteView,
    ServingView, SetUpView, SmarthostView, Stage, StatusView, StsPolicyView, StsView, TlsKeyView,
    TlsReportsView, TlsView, TlsaView, time_text, unix_text,
};
