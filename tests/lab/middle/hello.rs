//! Rewriting a ClientHello (RFC 8446 §4.1.2) in place: no length changes, so nothing else need.

/// `supported_versions` (RFC 8446 §4.2.1).
const SUPPORTED_VERSIONS: u16 = 43;
/// An extension that nobody knows (RFC 8701).
const GREASE: u16 = 0x0a0a;

/// Whether these bytes begin with a handshake record that holds a ClientHello.
pub(super) fn is_client_hello(piece: &[u8]) -> bool {
    piece.len() > 11 && piece[0] == 22 && piece[5] == 1
}

/// Makes `supported_versions` unreadable: what is left is a hello of TLS 1.2.
pub(super) fn hide_tls13(piece: &mut [u8]) {
    if let Some(at) = extension(piece, SUPPORTED_VERSIONS) {
        piece[at..at + 2].copy_from_slice(&GREASE.to_be_bytes());
    }
}

/// Offers TLS 1.1 only: the old version field says so, and `supported_versions` is gone.
pub(super) fn ask_for_tls11(piece: &mut [u8]) {
    hide_tls13(piece);
    piece[9..11].copy_from_slice(&[3, 2]);
}

/// Where an extension begins.
fn extension(piece: &[u8], wanted: u16) -> Option<usize> {
    let number =
        |at: usize| Some(usize::from(u16::from_be_bytes([*piece.get(at)?, *piece.get(at + 1)?])));
    // Record head (5), handshake head (4), version (2), random (32), then three lists with their lengths.
    let mut at = 43;
    at += 1 + usize::from(*piece.get(at)?);
    at += 2 + number(at)?;
    at += 1 + usize::from(*piece.get(at)?);
    let end = at + 2 + number(at)?;
    at += 2;
    while at < end {
        if number(at)? == usize::from(wanted) {
            return Some(at);
        }
        at += 4 + number(at + 2)?;
    }
    None
}
