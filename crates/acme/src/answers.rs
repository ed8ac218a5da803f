//! What the authority asks on port 80 (HTTP-01, RFC 8555 §8.3).

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Most answers at a time; one for each name of a certificate.
const MAX_ANSWERS: usize = 100;

/// Answers by token. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Answers(Arc<Mutex<HashMap<String, String>>>);

impl Answers {
    /// Gives this answer from now on; whether there is room for it.
    pub(crate) fn give(&self, token: &str, answer: &str) -> bool {
        let mut answers = self.0.lock();
        if answers.len() >= MAX_ANSWERS && !answers.contains_key(token) {
            return false;
        }
        answers.insert(token.to_owned(), answer.to_owned());
        true
    }

    pub(crate) fn clear(&self) {
        self.0.lock().clear();
    }

    /// The pages for port 80.
    pub(crate) fn router(&self) -> Router {
        Router::new()
            .route("/.well-known/acme-challenge/{token}", get(answer))
            .with_state(self.clone())
    }
}

async fn answer(State(answers): State<Answers>, Path(token): Path<String>) -> Response {
    match answers.0.lock().get(&token) {
        Some(answer) => {
            ([(CONTENT_TYPE, "application/octet-stream")], answer.clone()).into_response()
        }
        None => (StatusCode::NOT_FOUND, "not found\n").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_every_name_and_no_more() {
        let answers = Answers::default();
        for n in 0..MAX_ANSWERS {
            assert!(answers.give(&n.to_string(), "a"));
        }
        assert!(!answers.give("one more", "a"));
        assert!(answers.give("7", "b"), "a known token gets its new answer");
        answers.clear();
        assert!(answers.give("one more", "a"));
    }
}
