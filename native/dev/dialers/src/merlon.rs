//! A merlon node that dials: the very handshake of `merlon_tls`.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use merlon_pki::{Anchors, BindRules, Claimed, Crls, NodeName, Verifier};
use merlon_record::{Buffer, Content, ContentType, Limits, Rx, Tx};
use merlon_secret::Root;
use merlon_tls::{suites_by_cpu, Established, Handshake, Local, LocalConfig, Progress};
use zeroize::Zeroizing;

use crate::carrier::{read, write, Channel, Dialer, Fault, Files};

/// One that dials `target`, with the VM's cookie as its secret.
///
/// # Errors
/// Its files are no good.
pub fn dialer(
    files: Files,
    cluster: &str,
    target: &str,
    cookie: &str,
) -> Result<Box<dyn Dialer>, Fault> {
    let anchors = Anchors::from_pems(&[&files.ca])?;
    let local = Local::new(LocalConfig {
        cert_chain_pem: files.cert,
        key_pem: Zeroizing::new(files.key),
        verifier: Verifier::new(anchors, Crls::none(), cluster)?,
        bind: BindRules::default(),
        suites: suites_by_cpu(),
        limits: Limits::default(),
    })?;
    Ok(Box::new(Node {
        own: Claimed::parse(files.name.as_bytes())?,
        name: files.name,
        target: NodeName::parse(target)?,
        root: Root::from_vm_cookie(cookie.as_bytes(), cluster)?,
        local: Arc::new(local),
    }))
}

struct Node {
    name: String,
    own: Claimed,
    target: NodeName,
    root: Root,
    local: Arc<Local>,
}

impl Dialer for Node {
    fn name(&self) -> &str {
        &self.name
    }

    fn secure<'a>(&'a self, stream: &'a TcpStream) -> Result<Box<dyn Channel + 'a>, Fault> {
        let (mut input, mut output) = (Vec::new(), Vec::new());
        let mut handshake = self.begin()?;
        loop {
            handshake = match handshake.advance(&mut input, &mut output)? {
                Progress::More(handshake) => handshake,
                Progress::Done(established) => {
                    return Ok(Box::new(Link::new(*established, stream, (input, output))))
                }
                Progress::Claim(_) | Progress::Join(_) | Progress::Foreign(_) => {
                    return Err("not as a client".into())
                }
            };
            write(stream, &output)?;
            output.clear();
            if read(stream, &mut input)? == 0 {
                return Err(handshake.closed().into());
            }
        }
    }
}

impl Node {
    fn begin(&self) -> Result<Handshake, Fault> {
        let target = self.target.to_string();
        let key = self.root.pair_key(self.name.as_bytes(), target.as_bytes());
        let keys = vec![(self.root.key_id(), key)];
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let dialled = Handshake::dial(&self.local, &self.own, &self.target, keys, now);
        Ok(dialled?)
    }
}

struct Link<'a> {
    tx: Tx,
    rx: Rx,
    stream: &'a TcpStream,
    input: Vec<u8>,
    /// The proof, which goes out with the first packet (native/nif/src/link.rs).
    unsent: Vec<u8>,
}

impl<'a> Link<'a> {
    fn new(
        established: Established,
        stream: &'a TcpStream,
        (input, unsent): (Vec<u8>, Vec<u8>),
    ) -> Self {
        let (tx, rx, ..) = established.into_parts();
        Self {
            tx,
            rx,
            stream,
            input,
            unsent,
        }
    }

    /// The next record, if it is whole.
    fn open(&mut self, bytes: &mut Vec<u8>) -> Result<bool, Fault> {
        let Some(opened) = self.rx.open(&mut self.input)? else {
            return Ok(false);
        };
        if let Content::Data(data) = &opened.content {
            bytes.extend_from_slice(data);
        }
        let consumed = opened.consumed;
        self.input.drain(..consumed);
        Ok(true)
    }
}

impl Channel for Link<'_> {
    fn send(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let mut out = Buffer::from(std::mem::take(&mut self.unsent));
        self.tx
            .seal(ContentType::ApplicationData, bytes, &mut out)?;
        write(self.stream, &out)
    }

    fn receive(&mut self, bytes: &mut Vec<u8>) -> Result<(), Fault> {
        while !self.open(bytes)? {
            if read(self.stream, &mut self.input)? == 0 {
                break;
            }
        }
        Ok(())
    }
}
