//! How the box is, for administrators.

use crate::Staff;
use crate::form::Sent;
use crate::session::{Administrator, BY_ITSELF, SignedIn};
use crate::words;
use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use std::sync::Arc;
use std::time::Duration;
use wardpost_health::{Finding, Report, State as Health};
use wardpost_web::{Shell, page};

/// How long a page waits for an examination. It goes on, and the next page shows what it found.
const LONGEST: Duration = Duration::from_secs(45);

/// Asks for a page that does not come again by itself.
const STILL: &str = "still";

#[derive(Template)]
#[template(path = "health.html")]
struct HealthPage<'a> {
    shell: &'a Shell,
    who: &'a SignedIn,
    here: &'static str,
    when: Option<String>,
    summary: String,
    worst: Health,
    /// Whether the page comes again by itself: nobody wants that who reads what is to be done.
    live: bool,
    /// What is not as it should be, worst first.
    open: Vec<&'a Finding>,
    fine: Vec<&'a Finding>,
}

/// The last report, or the first one.
pub(crate) async fn show(
    State(staff): State<Arc<Staff>>,
    RawQuery(query): RawQuery,
    Administrator(who): Administrator,
) -> Response {
    let report = match staff.parts.examiner.latest() {
        Some(report) => Some(report),
        None => staff.examine(false).await,
    };
    staff.health_page(&who, report.as_deref(), query.as_deref())
}

/// Looks again.
pub(crate) async fn look(
    State(staff): State<Arc<Staff>>,
    Sent(_, _): Sent<Administrator>,
) -> Response {
    staff.examine(true).await;
    Redirect::to("/admin").into_response()
}

impl Staff {
    /// Has the box examined, whatever was seen a moment ago if `anew`; nothing when that takes long.
    async fn examine(&self, anew: bool) -> Option<Arc<Report>> {
        let examiner = Arc::clone(&self.parts.examiner);
        // Goes on when the browser goes away.
        let looking = tokio::spawn(async move {
            match anew {
                true => examiner.examine_anew().await,
                false => examiner.examine().await,
            }
        });
        tokio::time::timeout(LONGEST, looking).await.ok()?.ok()
    }

    fn health_page(
        &self,
        who: &SignedIn,
        report: Option<&Report>,
        query: Option<&str>,
    ) -> Response {
        let findings = report.map(|report| report.findings.as_slice()).unwrap_or_default();
        let (fine, mut open): (Vec<&Finding>, Vec<&Finding>) =
            findings.iter().partition(|finding| finding.state == Health::Good);
        open.sort_by_key(|finding| std::cmp::Reverse(finding.state));
        let health = HealthPage {
            shell: &self.shell,
            who,
            here: "/admin",
            when: report.map(|report| words::ago(report.when)),
            summary: summary(&open, findings.len()),
            worst: report.map_or(Health::Unknown, Report::worst),
            live: match query {
                Some(BY_ITSELF) => true,
                Some(STILL) => false,
                _ => open.is_empty(),
            },
            open,
            fine,
        };
        page(StatusCode::OK, &health)
    }
}

/// The report in a sentence.
fn summary(open: &[&Finding], all: usize) -> String {
    let count = |state| open.iter().filter(|finding| finding.state == state).count();
    let things = |n: usize| if n == 1 { "One thing".to_owned() } else { format!("{n} things") };
    let (bad, warnings, unknown) =
        (count(Health::Bad), count(Health::Warning), count(Health::Unknown));
    if all == 0 {
        "The server is being looked at. Please look again in a minute.".to_owned()
    } else if bad > 0 {
        let verb = if bad == 1 { "needs" } else { "need" };
        format!("{} {verb} you now: mail is lost, late or unsafe until then.", things(bad))
    } else if warnings > 0 {
        let verb = if warnings == 1 { "is" } else { "are" };
        format!("Mail works. {} {verb} left to do.", things(warnings))
    } else if unknown > 0 {
        format!("Nothing is wrong that could be seen. {} could not be found out.", things(unknown))
    } else {
        "Everything is as it should be.".to_owned()
    }
}

/// What a state is called on a page.
pub(crate) fn called(state: &Health) -> &'static str {
    match state {
        Health::Good => "Fine",
        Health::Unknown => "Not known",
        Health::Warning => "To do",
        Health::Bad => "Act now",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(state: Health) -> Finding {
        Finding {
            check: "clock".into(),
            about: String::new(),
            title: "Clock".into(),
            state,
            says: String::new(),
            to_do: String::new(),
        }
    }

    #[test]
    fn the_summary_is_about_the_worst() {
        let (bad, warning, unknown) =
            (finding(Health::Bad), finding(Health::Warning), finding(Health::Unknown));
        assert!(summary(&[&bad, &warning], 5).starts_with("One thing needs you now"));
        assert!(summary(&[&bad, &bad], 5).starts_with("2 things need you now"));
        assert_eq!(summary(&[&warning, &unknown], 5), "Mail works. One thing is left to do.");
        assert!(summary(&[&unknown], 5).contains("One thing could not be found out"));
        assert_eq!(summary(&[], 5), "Everything is as it should be.");
        assert!(summary(&[], 0).contains("being looked at"));
    }
}
