//! The accepting side up to the ClientHello, whose ALPN protocols (RFC 7301) say what kind of peer it is.
//!
//! The port for links and the port for the names of a host answer strangers alike: which of the two it is shows only once the
//! peer has proven who it is.

use std::sync::Arc;

use merlon_pki::{NodeName, UnixTime};
use rustls::server::Acceptor;
use rustls::{Connection, NoKeyLog, ServerConfig};

use crate::config::{Local, ALPN};
use crate::error::{Error, Failure};
use crate::handshake::{feed, plaintext_alert, refused, After, Link, Stage, Step, Tls};
use crate::input::Input;
use crate::join::{Join, JoinServer, JOIN_ALPN};
use crate::names::{self, NAMES_ALPN};
use crate::preamble::AwaitHello;

/// What a port is for.
pub(crate) enum Serves {
    Links {
        own: NodeName,
        joins: Option<Arc<JoinServer>>,
        /// Whether who names no ALPN protocol is an `inet_tls` node.
        foreign: bool,
    },
    Names,
}

/// A server that waits for the ClientHello.
pub(crate) struct Listen {
    link: Link,
    acceptor: Acceptor,
    serves: Serves,
    now: UnixTime,
}

/// What a ClientHello has led to.
enum Kind {
    Link,
    Foreign,
    Join,
    Names,
    Refuse,
}

impl Listen {
    pub(crate) fn new(local: &Arc<Local>, serves: Serves, now: UnixTime) -> Self {
        Self {
            link: Link::new(local, None, now),
            acceptor: Acceptor::default(),
            serves,
            now,
        }
    }

    pub(crate) fn let_foreign_in(&mut self) {
        if let Serves::Links { foreign, .. } = &mut self.serves {
            *foreign = true;
        }
    }

    pub(crate) fn step(
        mut self: Box<Self>,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Step, Failure> {
        let silent = out.len();
        let read = match input.paid_record(&mut self.link.budget) {
            Ok(Some(record)) => self.read(record, out),
            Ok(None) => return Ok(Step::Wait(Stage::Listen(self))),
            Err(error) => Err(error),
        };
        match read {
            Ok(None) => Ok(Step::Next(Stage::Listen(self))),
            Ok(Some((kind, conn))) => Ok(self.accepted(kind, conn)),
            Err(error) => {
                if out.len() == silent {
                    plaintext_alert(&error, out);
                }
                Err(self.link.failure(error))
            }
        }
    }

    fn accepted(self, kind: Kind, conn: Connection) -> Step {
        let link = self.link;
        let after = match (kind, self.serves) {
            (Kind::Join, _) => return Step::Join(Box::new(Join::accepted(conn, link.budget))),
            (Kind::Names, _) => {
                return Step::Join(Box::new(names::accepted(conn, link.verifier, link.budget)))
            }
            (Kind::Foreign, _) => After::AcceptForeign,
            (Kind::Link, Serves::Links { own, .. }) => After::Accept(AwaitHello::new(own)),
            (Kind::Link | Kind::Refuse, _) => After::Refuse,
        };
        Step::Next(Stage::Tls(Tls::new(link, conn, after)))
    }

    fn read(
        &mut self,
        record: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<(Kind, Connection)>, Error> {
        feed(record, |bytes| self.acceptor.read_tls(bytes))?;
        let accepted = match self.acceptor.accept() {
            Ok(None) => return Ok(None),
            Ok(Some(accepted)) => accepted,
            Err((e, mut alert)) => return Err(refused(e, alert.write_all(out))),
        };
        let hello = accepted.client_hello();
        let offered: Vec<&[u8]> = hello.alpn().map(Iterator::collect).unwrap_or_default();
        let kind = self.kind(&offered)?;
        let config = Arc::new(self.config(&kind)?);
        match accepted.into_connection(config) {
            Ok(conn) => Ok(Some((kind, conn.into()))),
            Err((e, mut alert)) => Err(refused(e, alert.write_all(out))),
        }
    }

    /// Of several protocols the same one is taken whatever the port is for.
    fn kind(&self, offered: &[&[u8]]) -> Result<Kind, Error> {
        let joins = matches!(&self.serves, Serves::Links { joins: Some(_), .. });
        match &self.serves {
            Serves::Links { foreign: true, .. } if offered.is_empty() => Ok(Kind::Foreign),
            _ if offered.is_empty() => Err(Error::NoAlpn),
            _ if offered.contains(&ALPN) => Ok(Kind::Link),
            _ if joins && offered.contains(&JOIN_ALPN) => Ok(Kind::Join),
            Serves::Names if offered.contains(&NAMES_ALPN) => Ok(Kind::Names),
            _ if offered.contains(&NAMES_ALPN) && !knockout::out!("names_alike") => {
                Ok(Kind::Refuse)
            }
            _ => Err(Error::WrongAlpn),
        }
    }

    fn config(&mut self, kind: &Kind) -> Result<ServerConfig, Error> {
        if matches!(kind, Kind::Foreign) {
            self.link.let_foreign_in(None, self.now);
        }
        let link = &self.link;
        let (verifier, capture) = (link.verifier.clone(), link.capture.clone());
        match (kind, &self.serves) {
            (Kind::Foreign, _) => link.local.foreign_server(verifier, capture),
            (
                Kind::Join,
                Serves::Links {
                    joins: Some(joins), ..
                },
            ) => joins.config(self.now),
            (Kind::Names, _) => Ok(with_no_capture(names_server(link)?)),
            (Kind::Refuse, _) => names_server(link),
            _ => link.local.server(verifier, capture),
        }
    }
}

fn names_server(link: &Link) -> Result<ServerConfig, Error> {
    let mut config = link
        .local
        .server(link.verifier.clone(), link.capture.clone())?;
    config.alpn_protocols = vec![NAMES_ALPN.to_vec()];
    Ok(config)
}

/// No link follows: nobody is to have its secrets.
fn with_no_capture(mut config: ServerConfig) -> ServerConfig {
    config.key_log = Arc::new(NoKeyLog {});
    config
}
