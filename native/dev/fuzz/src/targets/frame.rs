//! Frames: any split gives what a simple-minded parser gives, and no byte is held beyond the promised bounds.
//!
//! Input: limit (3 bytes), big from (2 bytes), five piece sizes (2 bytes each), then the stream.

use merlon_wire::frame::{head, Reader, Sink, FIRST_STEP, MAX_SMALL};
use merlon_wire::Error;

use super::{outcome, Target};

pub const TARGET: Target = Target {
    name: "frame",
    corpus,
    run,
};

const SETTINGS: usize = 15;

fn corpus() -> Vec<Vec<u8>> {
    let settings = [
        [0, 0x40, 0, 0, 64, 0, 1, 0, 2, 0, 3, 0, 100, 1, 0],
        [2, 0, 0, 0x10, 0, 0xff, 0xff, 0, 7, 0x20, 0, 0, 3, 0, 200],
        [
            0xff, 0xff, 0xff, 0, 0, 0x10, 0, 0x10, 0, 0x10, 0, 0x10, 0, 0x10, 0,
        ],
    ];
    let streams: [&[usize]; 4] = [
        &[0, 1, 3, 0, 63, 64, 65],
        &[5000, 4095, 4096, 0],
        &[40_000, 2],
        &[0; 40],
    ];
    let pair = |s: &[u8; SETTINGS]| streams.map(|lens| [&s[..], &stream(lens)].concat());
    settings.iter().flat_map(pair).collect()
}

fn stream(lens: &[usize]) -> Vec<u8> {
    let frame = |len: &usize| {
        let head = head(*len).expect("a length that fits");
        [&head[..], &vec![*len as u8; *len]].concat()
    };
    lens.iter().flat_map(frame).collect()
}

struct Counting {
    big_from: usize,
    got: Vec<Vec<u8>>,
    /// Bytes of the big buffer that is being filled.
    big: usize,
}

impl Sink for Counting {
    type Big = Vec<u8>;

    fn big(&mut self, len: usize) -> Result<Vec<u8>, Error> {
        assert!(len <= FIRST_STEP, "a claim allocated {len}");
        self.big = len;
        Ok(vec![0; len])
    }

    fn grow(&mut self, big: &mut Vec<u8>, len: usize) -> Result<(), Error> {
        assert!(len > big.len());
        self.big = len;
        big.resize(len, 0);
        Ok(())
    }

    fn bytes<'a>(&'a mut self, big: &'a mut Vec<u8>) -> &'a mut [u8] {
        big
    }

    fn big_done(&mut self, big: Vec<u8>, len: usize) {
        assert!(len == big.len() && len >= self.big_from);
        self.big = 0;
        self.got.push(big);
    }

    fn small(&mut self, frame: &[u8]) {
        assert!(!frame.is_empty() && frame.len() < self.big_from);
        self.got.push(frame.to_vec());
    }

    fn tick(&mut self) {
        self.got.push(vec![]);
    }
}

fn run(input: &[u8]) -> u64 {
    let Some((settings, stream)) = input.split_at_checked(SETTINGS) else {
        return 0;
    };
    let number = |bytes: &[u8]| bytes.iter().fold(0, |n, b| n << 8 | usize::from(*b));
    let (max, big_from) = (number(&settings[..3]), number(&settings[3..5]));
    let steps: Vec<usize> = settings[5..].chunks(2).map(|s| number(s).max(1)).collect();

    let mut reader = Reader::new(max, big_from);
    let mut sink = Counting {
        big_from,
        got: vec![],
        big: 0,
    };
    let (mut result, mut rest, mut arrived) = (Ok(()), stream, 0);
    for step in steps.iter().cycle() {
        if rest.is_empty() || result.is_err() {
            break;
        }
        let (now, later) = rest.split_at((*step).min(rest.len()));
        result = reader.push(now, &mut sink);
        arrived += now.len();
        assert!(
            reader.held() <= big_from.min(MAX_SMALL),
            "held {}",
            reader.held()
        );
        assert!(
            sink.big <= FIRST_STEP.min(max) || arrived > FIRST_STEP,
            "a buffer of {}",
            sink.big
        );
        rest = later;
    }
    let (frames, expected) = simple_minded(stream, max);
    assert!(sink.got == frames, "other frames");
    match expected {
        Some(between) => assert_eq!((result, reader.is_between_frames()), (Ok(()), between)),
        None => {
            assert!(matches!(result, Err(Error::FrameTooLong { .. })));
            assert_eq!(reader.push(b"more", &mut sink), result, "an error is final");
        }
    }
    outcome((
        sink.got.len().min(20),
        sink.big > 0,
        result.is_err(),
        reader.is_between_frames(),
    ))
}

/// All whole frames, and whether the stream ends between two; no answer when a frame is too long.
fn simple_minded(mut stream: &[u8], max: usize) -> (Vec<Vec<u8>>, Option<bool>) {
    let mut frames = vec![];
    while let Some((head, rest)) = stream.split_first_chunk::<4>() {
        let len = u32::from_be_bytes(*head) as usize;
        if len > max {
            return (frames, None);
        }
        let Some((frame, rest)) = rest.split_at_checked(len) else {
            break;
        };
        frames.push(frame.to_vec());
        stream = rest;
    }
    (frames, Some(stream.is_empty()))
}
