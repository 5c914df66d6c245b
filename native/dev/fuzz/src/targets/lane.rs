//! Lanes: what comes out is what a simple-minded parser gives, wherever a record was put, and no claim makes more room
//! than what is promised.
//!
//! Input: limit (4 bytes), then records: lane and manner (1 byte), length (2 bytes), content. A length beyond what is
//! left takes the rest, repeated up to that length.

use merlon_wire::frame::{Sink, FIRST_STEP};
use merlon_wire::lane::{first, head, Lanes, Part, AT_ONCE, HEAD, STEP};
use merlon_wire::Error;

use super::{outcome, Target};

pub const TARGET: Target = Target {
    name: "lane",
    corpus,
    run,
};

const LANES: usize = 4;
/// Bit of the first byte: the content goes where the lanes say, if they say where.
const IN_PLACE: u8 = 0x80;
/// Bit of the first byte: it is a full record, repeated to that size.
const FULL: u8 = 0x40;
/// Bit of the first byte: the frame ends with it.
const LAST: u8 = 0x20;
/// What a frame may be shorter than its head says.
const SLACK: usize = 1 << 16;

fn corpus() -> Vec<Vec<u8>> {
    let limits: [u32; 3] = [40_000, 1 << 24, u32::MAX];
    let frames: [&[usize]; 4] = [
        &[1, 2, 3, 100],
        &[STEP - HEAD, STEP, STEP + 1],
        &[3 * STEP, 2 * STEP + 5, 30_000],
        &[40_000, 40_001],
    ];
    let pair = |limit: u32| frames.map(|lens| [&limit.to_be_bytes()[..], &records(lens)].concat());
    limits.into_iter().flat_map(pair).collect()
}

/// Frames of these lengths, on one lane each, a record of each in turn.
fn records(lens: &[usize]) -> Vec<u8> {
    let mut queues: Vec<Vec<Vec<u8>>> = lens.iter().map(|len| contents(*len)).collect();
    let mut stream = vec![];
    while queues.iter().any(|queue| !queue.is_empty()) {
        for (lane, queue) in queues.iter_mut().enumerate().filter(|(_, q)| !q.is_empty()) {
            let content = queue.remove(0);
            let full = content.len() == STEP;
            let bit = |set: bool, bit: u8| if set { bit } else { 0 };
            stream.push(lane as u8 | IN_PLACE | bit(full, FULL) | bit(queue.is_empty(), LAST));
            let shown = if full { 1 } else { content.len() };
            stream.extend_from_slice(&(shown as u16).to_be_bytes());
            stream.extend_from_slice(&content[..shown]);
        }
    }
    stream
}

fn contents(len: usize) -> Vec<Vec<u8>> {
    let odd = first(len, STEP - HEAD);
    let mut contents = vec![[&head(len)[..], &vec![len as u8; odd]].concat()];
    contents.extend(vec![len as u8; len - odd].chunks(STEP).map(<[u8]>::to_vec));
    contents
}

/// The next record: lane, whether in place, which part, content.
fn next(stream: &mut &[u8]) -> Option<(usize, bool, Part, Vec<u8>)> {
    let (&[how, high, low], rest) = stream.split_first_chunk::<3>()?;
    let len = usize::from(u16::from_be_bytes([high, low])).min(STEP);
    let (content, rest) = rest.split_at(len.min(rest.len()));
    *stream = rest;
    let whole = if how & FULL > 0 { STEP } else { content.len() };
    let content = content.iter().copied().cycle().take(whole).collect();
    let part = if how & LAST > 0 {
        Part::Last
    } else {
        Part::Some
    };
    Some((usize::from(how & 0x07), how & IN_PLACE > 0, part, content))
}

#[derive(Default)]
struct Kept {
    got: Vec<Vec<u8>>,
    /// Bytes of all records so far.
    arrived: usize,
    placed: usize,
}

impl Sink for Kept {
    type Big = Vec<u8>;

    fn big(&mut self, len: usize) -> Result<Vec<u8>, Error> {
        assert!(
            len <= FIRST_STEP.max(AT_ONCE + 1),
            "a claim allocated {len}"
        );
        Ok(vec![0; len])
    }

    fn grow(&mut self, big: &mut Vec<u8>, len: usize) -> Result<(), Error> {
        assert!(len > big.len(), "no growth");
        assert!(self.arrived >= big.len() / 2, "more room for nothing");
        if len > 1 << 26 {
            return Err(Error::NoMemory { len });
        }
        big.resize(len, 0);
        Ok(())
    }

    fn bytes<'a>(&'a mut self, big: &'a mut Vec<u8>) -> &'a mut [u8] {
        big
    }

    fn big_done(&mut self, mut big: Vec<u8>, len: usize) {
        assert!(len <= big.len());
        big.truncate(len);
        self.got.push(big);
    }

    fn small(&mut self, _: &[u8]) {
        panic!("a lane has big frames only");
    }

    fn tick(&mut self) {
        panic!("a lane has no ticks");
    }
}

fn run(input: &[u8]) -> u64 {
    let Some((limit, mut stream)) = input.split_first_chunk::<4>() else {
        return 0;
    };
    let max = u32::from_be_bytes(*limit) as usize;
    let (mut lanes, mut kept) = (Lanes::<Vec<u8>, LANES>::new(max), Kept::default());
    let mut simple = Simple::new(max);
    let mut ended = None;
    while let Some((lane, in_place, part, content)) = next(&mut stream) {
        kept.arrived += content.len();
        let expected = simple.push(lane, part, &content);
        let result = take(&mut lanes, lane, (in_place, part), &content, &mut kept);
        if let Err(Error::NoMemory { .. }) = result {
            return 1; // where the sink gives up, which is not the lanes' doing
        }
        assert_eq!(result.is_ok(), expected, "{result:?}");
        if let Err(error) = result {
            ended = Some(error);
            break;
        }
    }
    assert!(kept.got == simple.done, "other frames");
    match ended {
        Some(error) => assert_eq!(
            lanes.push(0, Part::Some, &head(1), &mut kept),
            Err(error),
            "an error is final"
        ),
        None => assert_eq!(lanes.is_idle(), simple.is_idle()),
    }
    outcome((
        kept.got.len().min(9),
        kept.placed.min(5),
        lanes.is_idle(),
        ended.map(|error| error.code()),
    ))
}

/// As the carrier does: opens the record where it likely belongs, and puts it elsewhere when the guess was wrong.
fn take(
    lanes: &mut Lanes<Vec<u8>, LANES>,
    lane: usize,
    (in_place, part): (bool, Part),
    content: &[u8],
    kept: &mut Kept,
) -> Result<(), Error> {
    if in_place {
        if let Some((likely, place)) = lanes.place(content.len() + 1, kept) {
            assert_eq!(place.len(), content.len() + 1);
            place[..content.len()].copy_from_slice(content);
            place[content.len()] = 0xE0;
            if likely == lane && !content.is_empty() {
                kept.placed += 1;
                return lanes.placed(content.len(), part, kept);
            }
            place.fill(0xFF);
        }
    }
    lanes.push(lane, part, content, kept)
}

/// Collects what each lane brings, and cuts when it is enough.
struct Simple {
    max: usize,
    lanes: [Vec<u8>; LANES],
    done: Vec<Vec<u8>>,
}

impl Simple {
    fn new(max: usize) -> Simple {
        Simple {
            max,
            lanes: Default::default(),
            done: vec![],
        }
    }

    fn is_idle(&self) -> bool {
        self.lanes.iter().all(Vec::is_empty)
    }

    /// False: that was against the rules.
    fn push(&mut self, lane: usize, part: Part, content: &[u8]) -> bool {
        if content.is_empty() && part == Part::Some {
            return true;
        }
        let Some(have) = self.lanes.get_mut(lane) else {
            return false;
        };
        if have.is_empty() && content.len() < HEAD {
            return false;
        }
        have.extend_from_slice(content);
        let (head, frame) = have.split_at(HEAD);
        let len = head.iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
        if len == 0 || len > (self.max + SLACK) as u64 || frame.len() as u64 > len {
            return false;
        }
        if part == Part::Last {
            let short = len > (frame.len() + SLACK) as u64;
            if short || frame.is_empty() || frame.len() > self.max {
                return false;
            }
            self.done.push(frame.to_vec());
            have.clear();
        }
        true
    }
}
