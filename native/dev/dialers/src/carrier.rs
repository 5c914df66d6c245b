//! What both carriers have in common: files, one TCP connection, the name packet and its answer.

use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

/// Whatever went wrong, to be printed.
pub type Fault = Box<dyn Error + Send + Sync>;

/// A peer that says nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// One node that dials.
pub trait Dialer: Send + Sync {
    /// Its full name.
    fn name(&self) -> &str;

    /// A secured channel over this connection.
    ///
    /// # Errors
    /// Why there is none.
    fn secure<'a>(&'a self, stream: &'a TcpStream) -> Result<Box<dyn Channel + 'a>, Fault>;
}

/// Messages over one connection.
pub trait Channel {
    /// Sends bytes.
    ///
    /// # Errors
    /// Why they can't be sent.
    fn send(&mut self, bytes: &[u8]) -> Result<(), Fault>;

    /// Appends what comes next; no bytes are the end.
    ///
    /// # Errors
    /// Why nothing comes.
    fn receive(&mut self, bytes: &mut Vec<u8>) -> Result<(), Fault>;
}

/// Of one node of a merlon dir.
pub struct Files {
    /// Its full name.
    pub name: String,
    /// Its certificate chain (PEM).
    pub cert: String,
    /// Its key (PEM).
    pub key: String,
    /// The cluster's CA (PEM).
    pub ca: String,
}

impl Files {
    /// All nodes that are named `dialer...`.
    ///
    /// # Errors
    /// A file can't be read, or there is no such node.
    pub fn all(dir: &str) -> Result<Vec<Files>, Fault> {
        let dir = Path::new(dir);
        let ca = fs::read_to_string(dir.join("trust/ca.pem"))?;
        let mut all = Vec::new();
        for entry in fs::read_dir(dir.join("nodes"))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("dialer") {
                let read = |file| fs::read_to_string(entry.path().join(file));
                let (cert, key, ca) = (read("cert.pem")?, read("key.pem")?, ca.clone());
                all.push(Files {
                    name,
                    cert,
                    key,
                    ca,
                });
            }
        }
        match all.is_empty() {
            true => Err("the dir has no nodes that are named dialer...".into()),
            false => Ok(all),
        }
    }
}

/// From connect(2) until the node has accepted the name.
///
/// # Errors
/// Where it ended before.
pub fn dial(dialer: &dyn Dialer, address: SocketAddr, flags: u64) -> Result<(), Fault> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut channel = dialer.secure(&stream)?;
    channel.send(&name_packet(dialer.name(), flags))?;
    let mut answer = Vec::new();
    while answer.len() < STATUS.len() {
        let before = answer.len();
        channel.receive(&mut answer)?;
        if answer.len() == before {
            return Err("the peer hung up".into());
        }
    }
    match answer.starts_with(STATUS) {
        true => Ok(()),
        false => Err(format!("the peer answered {:?}", answer.escape_ascii().to_string()).into()),
    }
}

/// The node lets the name in (erl_dist_protocol, send_status).
const STATUS: &[u8] = b"\0\0\0\x03sok";

/// The first packet of the dist handshake of OTP 23 and later, in a frame.
fn name_packet(name: &str, flags: u64) -> Vec<u8> {
    const CREATION: u32 = 4711;
    let mut packet = vec![b'N'];
    packet.extend_from_slice(&flags.to_be_bytes());
    packet.extend_from_slice(&CREATION.to_be_bytes());
    packet.extend_from_slice(&(name.len() as u16).to_be_bytes());
    packet.extend_from_slice(name.as_bytes());
    [&(packet.len() as u32).to_be_bytes(), packet.as_slice()].concat()
}

/// What there is on the connection, at the end of `bytes`; how much it was.
///
/// # Errors
/// What read(2) says.
pub fn read(mut stream: &TcpStream, bytes: &mut Vec<u8>) -> Result<usize, Fault> {
    let mut buffer = [0; 16384];
    let n = stream.read(&mut buffer)?;
    bytes.extend_from_slice(&buffer[..n]);
    Ok(n)
}

/// All of it.
///
/// # Errors
/// What write(2) says.
pub fn write(mut stream: &TcpStream, bytes: &[u8]) -> Result<(), Fault> {
    Ok(stream.write_all(bytes)?)
}
