//! A DNS server on loopback that answers from a table, written as a zone file would be:
//!
//! ```text
//! lab.test TXT v=spf1 ip4:192.0.2.7 -all
//! mx.lab.test A 192.0.2.7
//! 7.2.0.192.in-addr.arpa PTR mx.lab.test
//! lab.test MX mx.lab.test
//! broken.test SERVFAIL
//! slow.test SILENT
//! ```
//! SERVFAIL and SILENT hold for the name and everything below. A name that is not there, and has nothing below
//! it, does not exist.

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, MX, PTR, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record};
use std::net::SocketAddr;
use tokio::net::UdpSocket;

enum Entry {
    Data(RData),
    Servfail,
    Silent,
}

/// Serves a table until the test ends.
pub(crate) async fn serve(table: &str) -> SocketAddr {
    let lines = table.lines().map(str::trim);
    let zone: Vec<(String, Entry)> =
        lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(entry).collect();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 1500];
        loop {
            let (length, peer) = socket.recv_from(&mut buffer).await.unwrap();
            let query = Message::from_vec(&buffer[..length]).unwrap();
            if let Some(answer) = answer(&zone, &query) {
                socket.send_to(&answer.to_vec().unwrap(), peer).await.unwrap();
            }
        }
    });
    address
}

fn entry(line: &str) -> (String, Entry) {
    let mut words = line.splitn(3, char::is_whitespace);
    let (owner, kind) = (words.next().unwrap(), words.next().unwrap());
    let rest = words.next().unwrap_or_default().trim();
    let name = || Name::from_ascii(format!("{rest}.")).unwrap();
    let entry = match kind {
        "A" => Entry::Data(RData::A(A(rest.parse().unwrap()))),
        "AAAA" => Entry::Data(RData::AAAA(AAAA(rest.parse().unwrap()))),
        "PTR" => Entry::Data(RData::PTR(PTR(name()))),
        "MX" => Entry::Data(RData::MX(MX::new(10, name()))),
        "TXT" => {
            // One string holds at most 255 octets.
            let strings = rest.as_bytes().chunks(250);
            let strings = strings.map(|part| String::from_utf8(part.to_vec()).unwrap());
            Entry::Data(RData::TXT(TXT::new(strings.collect())))
        }
        "SERVFAIL" => Entry::Servfail,
        "SILENT" => Entry::Silent,
        other => panic!("{other} in {line:?}"),
    };
    (owner.to_ascii_lowercase(), entry)
}

/// `None`: no answer at all.
fn answer(zone: &[(String, Entry)], query: &Message) -> Option<Message> {
    let question = query.queries[0].clone();
    let name = question.name().to_ascii().to_ascii_lowercase();
    let name = name.trim_end_matches('.');
    let below = |name: &str, top: &str| {
        name.strip_suffix(top).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
    answer.add_query(question.clone());
    answer.metadata.response_code = ResponseCode::NXDomain;
    for (owner, entry) in zone {
        match entry {
            Entry::Silent if below(name, owner) => return None,
            Entry::Servfail if below(name, owner) => {
                answer.metadata.response_code = ResponseCode::ServFail;
                return Some(answer);
            }
            Entry::Data(data) if below(owner, name) => {
                answer.metadata.response_code = ResponseCode::NoError;
                if owner == name && data.record_type() == question.query_type() {
                    answer.add_answer(Record::from_rdata(
                        question.name().clone(),
                        60,
                        data.clone(),
                    ));
                }
            }
            _ => {}
        }
    }
    Some(answer)
}
