//! The two handshake messages that may follow a handshake: KeyUpdate and NewSessionTicket (RFC 8446 4.6).

use std::mem;

use crate::{Error, MAX_PLAINTEXT};

const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;
const HEAD: usize = 4;

/// A KeyUpdate message.
pub(crate) fn key_update(request: bool) -> [u8; 5] {
    [KEY_UPDATE, 0, 0, 1, u8::from(request)]
}

/// What a record of handshake messages amounted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handled {
    /// Tickets, or a part of one.
    Ticket,
    /// A KeyUpdate, perhaps after tickets.
    KeyUpdate { requested: bool },
}

/// Puts handshake messages together. Holds at most one unfinished ticket of 16 KiB.
pub(crate) struct Messages {
    tickets: bool,
    unfinished: Vec<u8>,
}

impl Messages {
    pub(crate) fn new(tickets: bool) -> Messages {
        Messages {
            tickets,
            unfinished: Vec::new(),
        }
    }

    /// True between two records that share one message.
    pub(crate) fn is_unfinished(&self) -> bool {
        !self.unfinished.is_empty()
    }

    /// Takes the plaintext of one handshake record.
    pub(crate) fn push(&mut self, fragment: &[u8]) -> Result<Handled, Error> {
        if fragment.is_empty() {
            return Err(Error::BrokenHandshake); // RFC 8446 5.1
        }
        let mut all = mem::take(&mut self.unfinished);
        all.extend_from_slice(fragment);
        let mut rest = all.as_slice();
        let mut handled = Handled::Ticket;
        while let Some(message) = self.first_message(rest)? {
            if message.kind == KEY_UPDATE {
                handled = parse_key_update(&message)?;
            }
            rest = message.tail;
        }
        self.unfinished = rest.to_vec();
        Ok(handled)
    }

    /// Splits the first whole message off; `None` when it is not whole yet and may become so.
    fn first_message<'a>(&self, bytes: &'a [u8]) -> Result<Option<Message<'a>>, Error> {
        let Some(&kind) = bytes.first() else {
            return Ok(None);
        };
        if kind != KEY_UPDATE && !(kind == NEW_SESSION_TICKET && self.tickets) {
            return Err(Error::UnexpectedHandshake(kind));
        }
        let whole = split_message(bytes)?;
        if whole.is_none() && kind == KEY_UPDATE {
            return Err(Error::MisplacedKeyUpdate);
        }
        Ok(whole)
    }
}

/// One whole message, and what follows it.
struct Message<'a> {
    kind: u8,
    body: &'a [u8],
    tail: &'a [u8],
}

fn split_message(bytes: &[u8]) -> Result<Option<Message<'_>>, Error> {
    let Some((&[kind, a, b, c], rest)) = bytes.split_first_chunk::<HEAD>() else {
        return Ok(None);
    };
    let len = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
    if len > MAX_PLAINTEXT - HEAD {
        return Err(Error::HandshakeTooLong { len });
    }
    let parts = rest.split_at_checked(len);
    Ok(parts.map(|(body, tail)| Message { kind, body, tail }))
}

fn parse_key_update(message: &Message<'_>) -> Result<Handled, Error> {
    if !message.tail.is_empty() {
        return Err(Error::MisplacedKeyUpdate);
    }
    match message.body {
        [0] => Ok(Handled::KeyUpdate { requested: false }),
        [1] => Ok(Handled::KeyUpdate { requested: true }),
        _ => Err(Error::BadKeyUpdate),
    }
}
