//! A man in the middle between a resolver and a real Knot, who changes answers as he likes.

use hickory_resolver::proto::dnssec::crypto::Ed25519SigningKey;
use hickory_resolver::proto::dnssec::rdata::{DNSKEY, DNSSECRData, RRSIG, SigInput};
use hickory_resolver::proto::dnssec::{Algorithm, DigestType, SigningKey, TBS};
use hickory_resolver::proto::op::{Edns, Message, Query};
use hickory_resolver::proto::rr::{DNSClass, Name, RData, Record, RecordType, SerialNumber};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

/// The real server, as the forger asks it.
#[derive(Clone, Copy)]
pub(crate) struct Knot(SocketAddr);

/// What becomes of an answer.
pub(crate) type Tamper = dyn Fn(&Query, Message, Knot) -> Message + Send + Sync;

impl Knot {
    /// An answer with its signatures.
    pub(crate) fn ask(self, name: &str, kind: RecordType) -> Message {
        let mut question = Message::query();
        question.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        question.edns.get_or_insert_with(Edns::new).set_dnssec_ok(true);
        Message::from_vec(&self.pass(&question.to_vec().unwrap())).unwrap()
    }

    /// Over TCP, so that nothing is cut off.
    fn pass(self, question: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.0).unwrap();
        stream.write_all(&framed(question)).unwrap();
        read(&mut stream).unwrap()
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut framed = u16::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    framed
}

fn read(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message)?;
    Ok(message)
}

/// A port that is free both for UDP and TCP: the first may be taken for the second already.
fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
            return (udp, tcp);
        }
    }
}

/// Puts a forger before a server; he works until the test's process ends.
pub(crate) fn forge(
    server: SocketAddr,
    tamper: impl Fn(&Query, Message, Knot) -> Message + Send + Sync + 'static,
) -> SocketAddr {
    let tamper: Arc<Tamper> = Arc::new(tamper);
    let (udp, tcp) = sockets();
    let address = udp.local_addr().unwrap();
    let knot = Knot(server);
    let over_udp = Arc::clone(&tamper);
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        // An error means that the peer is gone; another may come.
        while let Ok((length, peer)) = udp.recv_from(&mut buffer) {
            let reply = answer(&buffer[..length], knot, &*over_udp);
            let mut wire = reply.to_vec().unwrap();
            if wire.len() > 1232 {
                wire = reply.truncate().to_vec().unwrap();
            }
            let _ = udp.send_to(&wire, peer);
        }
    });
    thread::spawn(move || {
        for mut stream in tcp.incoming().flatten() {
            let tamper = Arc::clone(&tamper);
            thread::spawn(move || {
                while let Ok(question) = read(&mut stream) {
                    let reply = answer(&question, knot, &*tamper);
                    if stream.write_all(&framed(&reply.to_vec().unwrap())).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn answer(question: &[u8], knot: Knot, tamper: &Tamper) -> Message {
    let reply = Message::from_vec(&knot.pass(question)).unwrap();
    let query = reply.queries[0].clone();
    tamper(&query, reply, knot)
}

/// A key of the forger's own.
pub(crate) struct Forgery {
    key: Ed25519SigningKey,
    /// Its public half.
    pub(crate) dnskey: DNSKEY,
}

impl Forgery {
    pub(crate) fn new() -> Self {
        let pkcs8 = Ed25519SigningKey::generate_pkcs8().unwrap();
        let key = Ed25519SigningKey::from_pkcs8(&pkcs8).unwrap();
        let dnskey = DNSKEY::with_flags(257, key.to_public_key().unwrap());
        Self { key, dnskey }
    }

    /// A DS record in zone-file form, at one name for the key as if it were another's.
    pub(crate) fn ds(&self, at: &str, as_of: &str) -> String {
        let name = Name::from_ascii(as_of).unwrap();
        let digest = self.dnskey.to_digest(&name, DigestType::SHA256).unwrap();
        let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{at} DS {} 15 2 {digest}\n", self.dnskey.calculate_key_tag().unwrap())
    }

    /// Records with a signature that claims to be that zone's.
    pub(crate) fn signed(&self, signer: &str, records: Vec<Record>) -> Vec<Record> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as u32;
        let owner = records[0].name.clone();
        let input = SigInput {
            type_covered: records[0].record_type(),
            algorithm: Algorithm::ED25519,
            num_labels: owner.num_labels(),
            original_ttl: records[0].ttl,
            sig_expiration: SerialNumber::new(now + 3600),
            sig_inception: SerialNumber::new(now - 3600),
            key_tag: self.dnskey.calculate_key_tag().unwrap(),
            signer_name: Name::from_ascii(signer).unwrap(),
        };
        let tbs = TBS::from_input(&owner, DNSClass::IN, &input, records.iter()).unwrap();
        let rrsig = RRSIG::from_sig(input, self.key.sign(&tbs).unwrap());
        let rrsig =
            Record::from_rdata(owner, records[0].ttl, RData::DNSSEC(DNSSECRData::RRSIG(rrsig)));
        records.into_iter().chain([rrsig]).collect()
    }
}
