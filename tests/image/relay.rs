//! Lets the machine reach the lab's DNS: its network sees this computer's 127.0.0.1 as 10.0.2.2, and no other
//! loopback address.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;
use wardpost_tests::Result;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest DNS message over UDP (RFC 6891 §6.2.5 leaves room to choose).
const LONGEST: usize = 4096;

/// Passes questions on to `server` for as long as this program runs; gives the port on 127.0.0.1.
pub(crate) fn dns(server: SocketAddr) -> Result<u16> {
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let here = tcp.local_addr()?;
    let udp = UdpSocket::bind(here)?;
    std::thread::spawn(move || {
        for stream in tcp.incoming().flatten() {
            std::thread::spawn(move || both_ways(stream, server));
        }
    });
    std::thread::spawn(move || {
        let mut question = [0; LONGEST];
        while let Ok((length, who)) = udp.recv_from(&mut question) {
            let (question, udp) = (question[..length].to_vec(), udp.try_clone());
            std::thread::spawn(move || -> io::Result<()> {
                let answer = ask(server, &question)?;
                udp?.send_to(&answer, who).map(drop)
            });
        }
    });
    Ok(here.port())
}

fn ask(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(server)?;
    socket.send(question)?;
    let mut answer = vec![0; LONGEST];
    let length = socket.recv(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}

fn both_ways(near: TcpStream, server: SocketAddr) -> io::Result<()> {
    let far = TcpStream::connect_timeout(&server, PATIENCE)?;
    let (mut near_read, mut far_write) = (near.try_clone()?, far.try_clone()?);
    std::thread::spawn(move || io::copy(&mut near_read, &mut far_write));
    let (mut far, mut near) = (far, near);
    io::copy(&mut far, &mut near).map(drop)
}
