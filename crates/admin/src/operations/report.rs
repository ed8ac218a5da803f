//! What has been counted, what others report about us, and what we report about them.

use super::Admin;
use crate::error::Failure;
use crate::request::ReportRequest;
use crate::views::{Answer, DmarcReportsView, ReportsSentView, TlsReportsView};
use wardpost_reports::{DmarcView, TlsView};

impl Admin {
    pub(super) async fn report(&self, request: ReportRequest) -> Result<Answer, Failure> {
        let reports = &self.parts.reports;
        let failed = |error: &dyn std::fmt::Display| Failure::failed(error.to_string());
        match request {
            ReportRequest::Cleartext { days } => Ok(self.cleartext_report(days)),
            ReportRequest::Tls { days } => {
                let received = reports.tls_received(days).map_err(|error| failed(&error))?;
                Ok(Answer::TlsReports(TlsReportsView(TlsView::of(days, &received))))
            }
            ReportRequest::Dmarc { days } => {
                let received = reports.dmarc_received(days).map_err(|error| failed(&error))?;
                Ok(Answer::DmarcReports(DmarcReportsView(DmarcView::of(days, &received))))
            }
            ReportRequest::SendNow => {
                let sent = self.parts.reporter.send_now().await.map_err(|error| failed(&error))?;
                tracing::info!(made = sent.made, "reports sent on request");
                Ok(Answer::ReportsSent(ReportsSentView::from(sent)))
            }
        }
    }
}
