//! The pages on https://127.0.0.1:8443 with one message waiting, to look at in a browser:
//! `cargo run -p wardpost-portal --example pages`. Everything is in memory and gone afterwards.

use std::error::Error;
use std::sync::Arc;
use wardpost_directory::{Directory, NewAccount, Options};
use wardpost_keys::KdfCost;
use wardpost_mail::{Address, Domain, Secret};
use wardpost_mailbox::Mailboxes;
use wardpost_message::render::Attachment;
use wardpost_message::reply::{self, Answer};
use wardpost_net::{Limits, Listeners, ServerTls, Shutdown};
use wardpost_parcel::{Credential, NewParcel, Parcels};
use wardpost_portal::{Portal, Settings};
use wardpost_store::Store;
use wardpost_web::{Redirects, Shell, Site};

const HTML: &str = "From: \"Dana Lee, MD\" <dana@clinic.test>\r\nSubject: Before your visit on Tuesday\r\n\
    Date: Sun, 22 Nov 2026 10:10:00 -0500\r\nMessage-ID: <18@clinic.test>\r\n\
    Content-Type: text/html; charset=utf-8\r\n\r\n<h2>Before your visit</h2><p>Please bring:</p><ul>\
    <li>your <b>insurance card</b></li><li>a list of your medicines</li></ul>\
    <table border=1><tr><th>Day<th>Time<tr><td>Tuesday<td>10:30</table>\
    <p><a href=\"https://example.test/map\">How to find us</a>\
    <img src=\"https://tracker.test/pixel.gif\"></p>\r\n";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let domain = Domain::parse("clinic.test")?;
    let hostname = Domain::parse("mail.clinic.test")?;
    let store = Store::in_memory();
    let directory = Directory::open_with(store.clone(), &domain, Options::for_tests()).await?;
    directory.initialise().await?;
    let dana = Address::parse("dana@clinic.test")?;
    let name = "Dana Lee, MD".to_owned();
    let password = Secret::new("correct battery of staples".to_owned());
    let account = NewAccount { address: dana.clone(), name, password, administrator: false };
    let sender = directory.add_account(account).await?;
    let options =
        wardpost_parcel::Options { kdf_cost: KdfCost::Test, ..wardpost_parcel::Options::default() };
    let parcels = Parcels::open(store.clone(), options);
    let mailboxes = Mailboxes::new(store);

    let recipient = Address::parse("lee@example.test")?;
    let plain = plain_mail(&dana, &recipient);
    for message in [plain.as_slice(), HTML.as_bytes()] {
        let new = NewParcel { sender, recipient: &recipient, message, expires: None };
        let (created, _) = parcels.create(new).await?;
        println!("https://127.0.0.1:8443/p/{}", created.link_token.expose());
        if let Credential::NewCode(code) = created.credential {
            println!("{}", code.expose());
        }
    }

    let certificates = tempfile::tempdir()?;
    let tls = ServerTls::self_signed(certificates.path(), &hostname)?;
    let settings = Settings {
        url: "https://127.0.0.1:8443".to_owned(),
        practice: "Elm Street Practice".to_owned(),
        phone: Some("+1 555 0100".to_owned()),
        hostname,
        max_answer: 25 << 20,
        mta_sts: None,
    };
    let shell = Shell::new(&settings.practice, settings.phone.as_deref());
    let redirects = Redirects::To(settings.url.clone());
    let portal = Portal::new(settings, directory, mailboxes, parcels, &tls);
    let site = Site::builder(shell, redirects).pages(portal.router(), Portal::page_name);
    let site = site.build(&tls)?;
    let listeners = Listeners::bind("https", &["127.0.0.1:8443".parse()?])?;
    let shutdown = Shutdown::new();
    let limits = Limits { total: 64, per_ip: 64 };
    let going = shutdown.clone();
    listeners
        .run(
            limits,
            shutdown,
            |_| Vec::new(),
            move |accepted| Arc::clone(&site).serve_https(accepted, going.clone()),
        )
        .await;
    Ok(())
}

fn plain_mail(from: &Address, to: &Address) -> Vec<u8> {
    let file = |name: &str, mime: &str, octets: usize| Attachment {
        name: name.to_owned(),
        mime: mime.to_owned(),
        bytes: vec![b'x'; octets],
    };
    reply::build(&Answer {
        from_name: Some("Dana Lee, MD"),
        from,
        reply_to: None,
        to,
        subject: "Your results",
        message_id: "<17@clinic.test>",
        original: None,
        text: "Dear Lee,\n\nyour results are in, and everything is as it should be. You find them \
               attached.\n\nPlease go on taking the tablets as before, and come back in March.\n\n\
               Kind regards,\nDana Lee",
        attachments: &[
            file("results-2026-11-20.pdf", "application/pdf", 182_000),
            file(
                "a-picture-with-a-rather-long-name-from-the-laboratory.jpg",
                "image/jpeg",
                2_400_000,
            ),
        ],
        now: 1_795_342_200,
    })
}
