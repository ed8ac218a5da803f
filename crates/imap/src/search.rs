use crate::outcome::{Outcome, done};
use crate::selected::Selected;
use crate::session::Session;
use wardpost_imap_wire::{SearchRequest, Tag};
pub(crate) async fn search(
    _s: &mut Selected,
    _x: &mut Session<'_>,
    _u: bool,
    _r: &SearchRequest,
    _t: &Tag,
) -> Outcome {
    done("x")
}
