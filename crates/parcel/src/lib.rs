//! Messages that wait on the portal for one recipient each.
//!
//! A parcel is made when no good enough TLS path to the recipient exists, or when the sender wanted a
//! pickup. The recipient gets a notice with a link, over a path that may be read by others, and a code
//! over another: told by phone, handed over at the desk. Link and code together open the parcel;
//! neither alone does, and neither does either of them with the disk:
//!
//! ```text
//! message ── sealed to the recipient's certificate (OpenPGP; secret half in a slot that the code opens)
//!         └─ sealed again under a key from the link's secret (128 bits, in no record)
//!            └─ sealed by the store under the system key
//! ```
//!
//! * The disk and the link: the link layer opens, the recipient's key does not. What is left is to
//!   guess eight digits against Argon2id, so the disk and the link *and many days* are to be feared;
//!   a recipient's own passphrase, set on the first visit, ends that.
//! * The disk and the code: the recipient's key opens, the link layer does not (128 bits).
//! * The link and the code, without the disk: this is the recipient.
//!
//! **One code a recipient.** The recipient's record lies under a keyed hash of the address. Its first
//! code is made with the first parcel and told to the sender; later parcels are sealed to the same key
//! until the recipient sets a passphrase or the practice issues a new code. A new code means a new key:
//! parcels sealed to the old key are lost, and [`Parcels::new_code`] lists them so that their senders
//! can be told to send again. There is no way round this that is not also a way in.
//!
//! **One link a parcel.** Somebody who has opened one parcel sees that others wait, and cannot open them
//! from there: their link secrets are in their notices and nowhere else. Wrapping each link key to
//! the recipient's certificate would make one link and the code open everything on the disk, which is
//! what the second layer is there to prevent.
//!
//! **Guessing.** Every try is charged, in a synced commit, before the code is looked at, so neither
//! kill -9 nor a hundred tries at once are a way to free ones. Waits grow; after ten wrong codes a
//! parcel, or thirty a recipient, is locked until the practice steps in. An unknown link costs the
//! same Argon2 as a wrong code.
//!
//! Opening the page (GET, HEAD) must call [`Parcels::peek`] at most, which changes nothing.

mod code;
mod error;
mod keeping;
mod link;
mod opening;
mod parcels;
mod record;
mod throttle;
mod view;

pub use error::ParcelError;
pub use keeping::Committing;
pub use opening::{OpenedParcel, RecipientKeys};
pub use parcels::{Created, Credential, NewParcel, Options, Parcels};
pub use view::{
    CodeNote, Glance, OtherParcel, ParcelId, ParcelState, ParcelStats, ParcelView, Purged,
};

#[cfg(test)]
mod tests;
