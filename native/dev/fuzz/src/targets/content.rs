//! What lies behind the AEAD: records of any inner plaintext, sealed well by a forger, mean what a plain reading
//! of RFC 8446 says they mean. Input: suite, then inner plaintexts (length in 2 bytes each).

#[path = "../../../../record/tests/forge/mod.rs"]
#[allow(dead_code)] // shared with the tests of merlon_record, which use all of it
mod forge;

use forge::Forge;
use merlon_record::{MAX_CIPHERTEXT, MAX_PLAINTEXT, TAG};

use super::record::{event, receiver, secret, suite_of, Event, SUITES};
use super::{outcome, Target};

pub const TARGET: Target = Target {
    name: "content",
    corpus,
    run,
};

fn corpus() -> Vec<Vec<u8>> {
    let every: [&[u8]; 10] = [
        b"data\x17",
        b"\x17\0\0\0",
        b"control\xf0",
        b"lane\xe7",
        b"\x04\0\0\x06ticket\x04\0\0\x03\x16",
        b"two\x16",
        b"\x18\0\0\x01\x00\x16",
        b"\x04\0\0\x00\x18\0\0\x01\x01\x16",
        b"\x17",
        b"\x01\0\x15",
    ];
    let long = [&[5; MAX_PLAINTEXT][..], &[23]].concat();
    let ticket = [&[4, 0, 0x3f, 0xfc][..], &[6; 9000], &[22]].concat();
    let rest = [&[6; 7380][..], &[22]].concat();
    let scripts: [&[&[u8]]; 10] = [
        &every,
        &every[..3],
        &every[3..],
        &[&b"\x17"[..]; 33],
        &[&[&b"\x18\0\0\x01\x01\x16"[..]; 32][..], &[b"x\x17"]].concat(),
        &[&b"\x04\0\0\x00\x16\0"[..]; 32],
        &[&long, b"\0\0"],
        &[&ticket, &rest, b"x\x17"],
        &[b"\x02\x28\x15"],
        &[b"", b"\x17"],
    ];
    let inputs = (0..)
        .zip(scripts)
        .map(|(number, script)| [vec![number % SUITES.len() as u8], bytes_of(script)].concat());
    inputs.collect()
}

fn bytes_of(script: &[&[u8]]) -> Vec<u8> {
    let with_length = |inner: &&[u8]| [&(inner.len() as u16).to_be_bytes()[..], inner].concat();
    script.iter().flat_map(with_length).collect()
}

fn run(input: &[u8]) -> u64 {
    let Some((suite, mut script)) = input.split_first() else {
        return 0;
    };
    let suite = suite_of(*suite);
    let mut forge = Forge::new(suite, &secret(suite));
    let [mut rx, mut apart] = [receiver(suite), receiver(suite)];
    let (mut model, mut trace) = (Model::default(), vec![]);
    while let Some((len, rest)) = script.split_first_chunk::<2>() {
        let len = usize::from(u16::from_be_bytes(*len));
        let (inner, later) = rest.split_at(len.min(rest.len()).min(MAX_CIPHERTEXT - TAG));
        script = later;
        let expected = model.read(inner);
        let mut record = forge.inner(inner);
        let mut place = vec![0; apart.peek(&record).unwrap_or_default()];
        let elsewhere = apart.open_to(&mut record.clone(), &mut place);
        let found = rx.open(&mut record);
        assert_eq!(elsewhere, found, "the place makes a difference");
        let found = found.map(|opened| event(&opened.expect("a whole record").content));
        let found = found.map_err(|error| error.code());
        assert_eq!(found, expected);
        trace.push(found.map_or_else(outcome, |event| outcome(std::mem::discriminant(&event))));
        match expected {
            Ok(Event::KeyUpdate(_)) => forge.update(),
            Ok(Event::Close) | Err(_) => break,
            Ok(_) => {}
        }
    }
    trace.dedup();
    trace.truncate(6);
    outcome(trace)
}

/// RFC 8446 5.1, 5.4, 4.6 and 6, and Merlon's budget, read as plainly as can be.
#[derive(Default)]
struct Model {
    ticket: Vec<u8>,
    idle: usize,
}

type Reading = Result<Event, &'static str>;

impl Model {
    fn read(&mut self, inner: &[u8]) -> Reading {
        let mut content = inner.to_vec();
        if content.len() > MAX_PLAINTEXT + 1 {
            return Err("record_overflow");
        }
        while content.last() == Some(&0) {
            content.pop();
        }
        let kind = content.pop().ok_or("no_content_type")?;
        if kind != 22 && !self.ticket.is_empty() {
            return Err("broken_handshake");
        }
        let weight = if kind == 22 { 0 } else { content.len() };
        let event = match (kind, &content[..]) {
            (21, [_, 0]) => Event::Close,
            (21, [_, _]) => return Err("peer_alert"),
            (21, _) => return Err("bad_alert"),
            (22, []) => return Err("broken_handshake"),
            (22, _) => self.read_handshake(&content)?,
            (23, _) => Event::Data(content),
            (lane @ 0xE0..=0xEF, _) => Event::Lane(lane - 0xE0, content),
            (0xF0, _) => Event::Control(content),
            _ => return Err("unexpected_type"),
        };
        self.idle = if weight == 0 { self.idle + 1 } else { 0 };
        if self.idle > 32 {
            return Err("too_many_idle_records");
        }
        Ok(event)
    }

    fn read_handshake(&mut self, content: &[u8]) -> Reading {
        self.ticket.extend_from_slice(content);
        while let Some(kind) = self.ticket.first().copied() {
            match (kind, self.ticket.get(1..4)) {
                (4, Some(len)) => {
                    let len = len.iter().fold(0, |n, b| n * 256 + usize::from(*b));
                    if len + 4 > MAX_PLAINTEXT {
                        return Err("handshake_too_long");
                    }
                    if self.ticket.len() < len + 4 {
                        return Ok(Event::Ticket);
                    }
                    self.ticket.drain(..len + 4);
                }
                (4, None) => return Ok(Event::Ticket),
                (24, _) => return read_key_update(&std::mem::take(&mut self.ticket)),
                _ => return Err("unexpected_handshake"),
            }
        }
        Ok(Event::Ticket)
    }
}

/// The message that must be the last of its record, and whole in it.
fn read_key_update(message: &[u8]) -> Reading {
    match message {
        [24, 0, 0, 1, 0] => Ok(Event::KeyUpdate(false)),
        [24, 0, 0, 1, 1] => Ok(Event::KeyUpdate(true)),
        [24, a, b, c, body @ ..] => {
            let len = [a, b, c].iter().fold(0, |n, b| n * 256 + usize::from(**b));
            match body.len() {
                _ if len + 4 > MAX_PLAINTEXT => Err("handshake_too_long"),
                found if found == len => Err("bad_key_update"),
                _ => Err("misplaced_key_update"),
            }
        }
        _ => Err("misplaced_key_update"),
    }
}
