//! MTA-STS policies of other domains: found, fetched, kept and refreshed (RFC 8461).
//!
//! [`Policies::facts`] answers the courier's one question: what is known of this domain's policy?
//! `verdict` judges by the answer. The domain is that of the recipient's address, never the mail
//! server's name (§3).
//!
//! # What the answer rests on
//! A policy is as good as the certificate of `mta-sts.` and the domain, checked when it was fetched.
//! The record in DNS only says whether there is one and when to look again, so nothing that happens
//! to DNS or to the policy host takes a kept policy away before its `max_age` is over (§3.3, §5.1,
//! §10.2). Only another policy does, if need be one of mode `none`.
//!
//! | the record `_mta-sts.` | a policy is kept | none is kept |
//! | --- | --- | --- |
//! | its id is the kept one's | it holds; fetched again when its end is near | |
//! | its id is another | fetched; if that fails the kept one holds | fetched |
//! | there is none | it holds until its end, and is not renewed | no policy |
//! | it is malformed | it holds until its end; a problem | no policy; a problem |
//! | DNS fails, or the answer is bogus | it holds; fetched when its end is near; a problem | no policy; a problem |
//!
//! A fetch that failed is not tried again within five minutes for the same id (§3.3); what was wrong
//! is remembered for that long, in memory. Questions about one domain at one time share one search,
//! and the search goes on when a delivery does not want to wait for it any longer ([`Options`]).
//!
//! # How policies are kept
//! In `Column::Trust`, each under a keyed hash of its domain, so they survive a restart. The daemon
//! calls [`Policies::refresh`] every hour: policies that demand or test something are then fetched
//! again once a day (§10.2), as long as mail went to the domain in the last half year. What is over
//! is deleted.
//!
//! At most [`Options::most`] policies are kept. When one more comes, one that is over makes room,
//! or else one of mode `none`, or else one of mode `testing`, whichever ends first. A policy in mode
//! `enforce` never does: then the new one counts for the delivery that asked, and is not kept.
//!
//! # The clock
//! Ages come from the system's clock, since they must outlast restarts. A policy that seems to come
//! from the future, because the clock was set back, counts as fetched now, once.
//!
//! # Left out
//! Revocation of the policy host's certificate is not looked up.

mod policies;
mod record;
mod search;
mod shelf;
mod troubles;

pub use policies::{Options, Policies, PoliciesError, PolicyView, StsStats};
