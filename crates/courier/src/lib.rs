//! The way out: work from the queue, each recipient by its route, and what came of it written down.
//!
//! # The decision
//! For a direct recipient the mail exchangers of the domain are tried by preference (equal ones in
//! random order). Of each is first asked what its domain publishes about it: the truth of its MX set and
//! addresses, its TLSA records where DNSSEC proves the way to them (RFC 7672), the domain's MTA-STS policy
//! (RFC 8461). That makes a [`wardpost_verdict::Policy`], which raises the floor to T4 where the domain
//! publishes one, or a deferral. Only then is it connected to, at all its addresses: EHLO, STARTTLS,
//! handshake, EHLO, verdict.
//!
//! | what was met | what happens |
//! | --- | --- |
//! | an answer that is bogus, or does not come, where the judgement hangs on it | that host is not connected to; if no other takes the message, it is tried again later |
//! | a host whose path reaches the floor | the message is offered there; its answer is the answer |
//! | no STARTTLS, a broken handshake, a certificate that does not verify | that host is not used; the next is tried |
//! | every host that could be spoken to is below the floor, there was at least one, and none was left alone for want of the truth | parcel and notice, in the same attempt |
//! | no host could be spoken to, or DNS gave no answer | tried again later |
//! | the domain does not exist, takes no mail (null MX), or leads back here | reported to the sender at once |
//! | 4yz to a recipient | tried again later; 5yz: reported to the sender |
//! | the connection breaks before the message was written whole | the next host is tried |
//! | … after it was written whole, before the reply | tried again later: the server may have it, and two copies are better than none (RFC 1047) |
//! | lifetime over | reported to the sender (4.4.7) |
//!
//! A rule that an administrator set for the domain ([`wardpost_pins`]) is looked up at every attempt, so
//! that one that has ended counts no more: it may set the floor, say which certificates are trusted in
//! place of the public CAs, make every message a parcel, or send it by a smarthost (`smarthost`).
//!
//! A failure of TLS is never answered by trying without, and what a host offered yesterday does not
//! matter: each attempt goes by what it sees. A stripped STARTTLS is below the floor like any other
//! host without, and ends as a parcel.
//!
//! # Held by types
//! MAIL can be written only to a [`wardpost_verdict::SecureChannel`], which only a verdict that
//! reached the floor mints. The one exception is a type of its own (`conversation::Opportunistic`),
//! takes notices and nothing else, and a notice says nothing: it goes over the best TLS that is to be
//! had, in clear where there is none. A notice is mail all the same: what a domain publishes holds for it
//! too (`Policy::permits_notice`), and where it is not met the notice waits, and its sender is told.
//!
//! # One commit
//! Outcomes, local deliveries, parcels, notices, code mails and reports of one attempt are written in
//! one commit with the queue's record: after a crash there are all of them or none, and in the latter
//! case the attempt is made again. So local mail, reports included, is delivered exactly once.
//!
//! # Decided, and why
//! - A host that turns us away with 5yz in its greeting is passed over like one that does not
//!   answer: that is about us, not about the recipient.
//! - A server without 8BITMIME gets eight-bit mail as it is. RFC 6152 §3 would have it re-encoded,
//!   which breaks DKIM signatures, or returned, which helps nobody; every server met with verified
//!   TLS announces 8BITMIME.
//! - A handshake that hangs counts as broken, not as out of reach: the message becomes a parcel
//!   rather than being tried for days.
//! - Sessions are not resumed: every connection shows its certificate and is judged by it. What saves
//!   handshakes is keeping admitted connections open for the next message to the same host, where they
//!   are judged again by the policy of that message's domain if it is another.
//! - A host that fails its domain's published policy is one below the floor: the message becomes a parcel
//!   at once, where RFC 8461 §5 and RFC 7672 §2.2 would have it wait. Nothing goes to that host, which is
//!   what both ask for, and the patient need not wait for somebody else's certificate.
//! - A message that asks for REQUIRETLS (RFC 8689) goes on only over T5; otherwise it becomes a parcel,
//!   whose page keeps what was asked for better than a relay's promise.

mod approach;
mod conclude;
mod conversation;
mod courier;
mod direct;
mod fate;
mod local;
mod memory;
mod metrics;
mod nexthop;
mod notify;
mod pickup;
mod places;
mod pool;
mod probe;
mod settings;
mod smarthost;
mod tell;
mod unread;

pub use courier::Courier;
pub use probe::{HostReport, Outlook, PathReport};
pub use settings::{Parts, Settings, StsPolicies, Timeouts};
