//! Commands that the running daemon carries out.

use crate::ask::{Source, confirm};
use crate::cli::{
    AccountCommand, AliasCommand, AppPasswordCommand, ControlCommand, DkimCommand, DomainCommand,
    ExceptionCommand, KitOptions, ParcelCommand, PinCommand, QueueCommand, RecordForm,
    ReportCommand, RouteCommand, StsCommand, TlsCommand,
};
use crate::failure::Failure;
use crate::{kit, new_key, pin};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;
use wardpost_admin::{
    AccountRequest, AliasRequest, Answer, AppPasswordRequest, Client, DkimRequest, DomainRequest,
    DomainView, ExceptionRequest, ParcelRequest, PinRequest, QueueRequest, ReportRequest, Request,
    StsRequest, TlsRequest,
};
use wardpost_config::Config;
use wardpost_mail::QueueId;

/// How long a daemon that was started a moment ago may take to answer.
const STARTING: Duration = Duration::from_secs(2);

/// Asks the daemon and prints its answer.
pub(crate) fn control(config: &Config, command: ControlCommand, json: bool) -> Result<(), Failure> {
    // Connect first: nobody should type a password to be told that the daemon is not running.
    let mut client = Client::connect_within(&config.admin_socket(), STARTING)?;
    let mut kit_options = KitOptions { recovery_kit: None };
    let zone = wants_zone(&command);
    let key_out = key_out(&command);
    let request = request(command, &mut kit_options)?;
    let mut handed_out = Ok(());
    let answer = client.call(&request, |secret| handed_out = kit::hand_out(&secret, &kit_options));
    handed_out?;
    let mut answer = answer?;
    new_key::write(&mut answer, key_out)?;
    print(&answer, json, zone)
}

/// Whether records are to be printed as a zone file.
fn wants_zone(command: &ControlCommand) -> bool {
    use DomainCommand::{List, Show};
    matches!(
        command,
        ControlCommand::Domain(
            List { form: RecordForm { zone: true } } | Show { form: RecordForm { zone: true }, .. }
        )
    )
}

/// Where the next TLS key is to be written, if it was said.
fn key_out(command: &ControlCommand) -> Option<PathBuf> {
    match command {
        ControlCommand::Tls(TlsCommand::Roll { key_out, .. }) => key_out.clone(),
        _ => None,
    }
}

fn print(answer: &Answer, json: bool, zone: bool) -> Result<(), Failure> {
    let text = match answer {
        _ if json => answer.json().map(|text| text + "\n").map_err(Failure::from_error)?,
        Answer::Domain(domain) if zone => domain.zone(),
        Answer::Domains(domains) if zone => {
            domains.iter().map(DomainView::zone).collect::<Vec<_>>().join("\n")
        }
        _ => answer.to_string(),
    };
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // `wardpost queue list | head` is not a failure.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("cannot write the answer: {error}")))
        }
        _ => Ok(()),
    }
}

fn request(command: ControlCommand, kit: &mut KitOptions) -> Result<Request, Failure> {
    Ok(match command {
        ControlCommand::Account(command) => Request::Account(account(command, kit)?),
        ControlCommand::Alias(command) => Request::Alias(alias(command)),
        ControlCommand::Domain(command) => Request::Domain(domain(command)),
        ControlCommand::Tls(command) => Request::Tls(tls(command)),
        ControlCommand::Route(RouteCommand::Explain { from, to }) => Request::Route { from, to },
        ControlCommand::Queue(command) => Request::Queue(queue(command)),
        ControlCommand::Parcel(command) => Request::Parcel(parcel(command)),
        ControlCommand::Sts(StsCommand::List) => Request::Sts(StsRequest::List),
        ControlCommand::Pin(command) => Request::Pin(pin(command)?),
        ControlCommand::Report(command) => Request::Report(report(command)),
        ControlCommand::Exception(command) => Request::Exception(exception(command)),
        ControlCommand::Status => Request::Status,
    })
}

fn account(command: AccountCommand, kit: &mut KitOptions) -> Result<AccountRequest, Failure> {
    Ok(match command {
        AccountCommand::Add { address, name, administrator, password, kit: options } => {
            *kit = options;
            let prompt = format!("Password for {address} (at least 15 characters)");
            let password = Source::new(password.password_stdin).new_password(&prompt)?;
            AccountRequest::Add { address, name, password, administrator }
        }
        AccountCommand::List => AccountRequest::List,
        AccountCommand::Show { account } => AccountRequest::Show { account },
        AccountCommand::Remove { account, yes } => {
            if !yes {
                confirm(&format!("{account} and all its mail will be gone for good."))?;
            }
            AccountRequest::Remove { account }
        }
        AccountCommand::Passwd { account, password } => {
            let source = Source::new(password.password_stdin);
            let current = source.secret("The password so far")?;
            let new = source.new_password("New password (at least 15 characters)")?;
            AccountRequest::Passwd { account, current, new }
        }
        AccountCommand::Recover { account, password } => {
            let source = Source::new(password.password_stdin);
            let kit = source.secret("The secret on the recovery kit")?;
            let new = source.new_password("New password (at least 15 characters)")?;
            AccountRequest::Recover { account, kit, new }
        }
        AccountCommand::Administrator { account, remove } => {
            AccountRequest::Administrator { account, administrator: !remove }
        }
        AccountCommand::SecondFactor { account, remove: _ } => {
            AccountRequest::RemoveSecondFactor { account }
        }
        AccountCommand::AppPassword(command) => AccountRequest::AppPassword(app_password(command)?),
    })
}

fn app_password(command: AppPasswordCommand) -> Result<AppPasswordRequest, Failure> {
    Ok(match command {
        AppPasswordCommand::Add { account, label, password } => {
            let prompt = format!("Password of {account}");
            let password = Source::new(password.password_stdin).secret(&prompt)?;
            AppPasswordRequest::Add { account, label, password }
        }
        AppPasswordCommand::List { account } => AppPasswordRequest::List { account },
        AppPasswordCommand::Remove { account, number } => {
            AppPasswordRequest::Remove { account, slot: number }
        }
    })
}

fn alias(command: AliasCommand) -> AliasRequest {
    match command {
        AliasCommand::Add { address, accounts } => AliasRequest::Add { address, targets: accounts },
        AliasCommand::List => AliasRequest::List,
        AliasCommand::Remove { address } => AliasRequest::Remove { address },
    }
}

fn domain(command: DomainCommand) -> DomainRequest {
    match command {
        DomainCommand::Add { domain } => DomainRequest::Add { domain },
        DomainCommand::List { .. } => DomainRequest::List,
        DomainCommand::Show { domain, .. } => DomainRequest::Show { domain },
        DomainCommand::Remove { domain } => DomainRequest::Remove { domain },
        DomainCommand::Dkim { domain, command } => {
            let request = match command {
                DkimCommand::Show => DkimRequest::Show,
                DkimCommand::Rotate { now, force } => DkimRequest::Rotate { now, force },
            };
            DomainRequest::Dkim { domain, request }
        }
    }
}

fn tls(command: TlsCommand) -> TlsRequest {
    match command {
        TlsCommand::Show => TlsRequest::Show,
        TlsCommand::NextKey { csr, replace } => TlsRequest::NextKey { csr, replace },
        TlsCommand::Roll { force, .. } => TlsRequest::Roll { force },
        TlsCommand::Renew { new_account } => TlsRequest::Renew { new_account },
    }
}

fn queue(command: QueueCommand) -> QueueRequest {
    match command {
        QueueCommand::List { limit, ended } => QueueRequest::List { after: None, limit, ended },
        QueueCommand::Show { item } => QueueRequest::Show { id: QueueId(item) },
        QueueCommand::Retry { item } => QueueRequest::Retry { id: QueueId(item) },
        QueueCommand::Drop { item } => QueueRequest::Drop { id: QueueId(item) },
    }
}

fn exception(command: ExceptionCommand) -> ExceptionRequest {
    match command {
        ExceptionCommand::Add { who, days, reason } => ExceptionRequest::Add { who, days, reason },
        ExceptionCommand::List => ExceptionRequest::List,
        ExceptionCommand::Remove { who } => ExceptionRequest::Remove { who },
    }
}

fn report(command: ReportCommand) -> ReportRequest {
    match command {
        ReportCommand::Cleartext { days } => ReportRequest::Cleartext { days },
        ReportCommand::Tls { days } => ReportRequest::Tls { days },
        ReportCommand::Dmarc { days } => ReportRequest::Dmarc { days },
        ReportCommand::SendNow => ReportRequest::SendNow,
    }
}

fn parcel(command: ParcelCommand) -> ParcelRequest {
    match command {
        ParcelCommand::List { sender } => ParcelRequest::List { sender },
        ParcelCommand::Show { parcel } => ParcelRequest::Show { id: parcel },
        ParcelCommand::Code { recipient } => ParcelRequest::Code { recipient },
        ParcelCommand::Unlock { parcel } => ParcelRequest::Unlock { id: parcel },
        ParcelCommand::Recall { parcel } => ParcelRequest::Recall { id: parcel },
    }
}

fn pin(command: PinCommand) -> Result<PinRequest, Failure> {
    Ok(match command {
        PinCommand::Add(options) => PinRequest::Add(Box::new(pin::spec(*options)?)),
        PinCommand::List => PinRequest::List,
        PinCommand::Show { pattern } => PinRequest::Show { pattern },
        PinCommand::Remove { pattern } => PinRequest::Remove { pattern },
    })
}
