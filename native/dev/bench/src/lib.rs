//! The steps of the record layer as the data path takes them, for `cargo bench` and for counting instructions.

use merlon_record::{Buffer, Content, ContentType, Error, Limits, Opened, Rx, RxLimits};
use merlon_record::{Suite, Tx, MAX_PLAINTEXT};
use std::time::{Duration, Instant};

/// The library behind the record layer.
pub const BACKEND: &str = if cfg!(feature = "aws-lc") {
    "aws-lc"
} else {
    "ring"
};

/// The suites, by their short names.
pub const SUITES: [(&str, Suite); 3] = [
    ("aes128", Suite::Aes128Gcm),
    ("aes256", Suite::Aes256Gcm),
    ("chacha20", Suite::ChaCha20Poly1305),
];

/// Bytes of content in a record.
pub const SIZES: [usize; 3] = [64, 1024, MAX_PLAINTEXT];

/// Bytes that the data path seals or reads at once.
const BATCH: usize = 256 * 1024;

/// What plaintext comes from and goes to, one slice after the other: a frame of 1 MiB.
const FRAME: usize = 1024 * 1024;

/// What is done with each record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Sealed from one slice of the frame.
    Seal,
    /// Put together from two slices, then sealed in place.
    Pack,
    /// Opened in place.
    Open,
    /// Opened in place, then copied to the frame.
    OpenCopy,
    /// Opened to its place in the frame.
    OpenTo,
}

impl Step {
    /// All of them.
    pub const ALL: [Step; 5] = [
        Step::Seal,
        Step::Pack,
        Step::Open,
        Step::OpenCopy,
        Step::OpenTo,
    ];

    /// Its name in reports and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Step::Seal => "seal",
            Step::Pack => "pack",
            Step::Open => "open",
            Step::OpenCopy => "open_copy",
            Step::OpenTo => "open_to",
        }
    }
}

/// A link between two halves in one place, for one kind of step.
pub struct Link {
    step: Step,
    tx: Tx,
    rx: Rx,
    sealed: Buffer,
    frame: Vec<u8>,
    at: usize,
    size: usize,
}

impl Link {
    /// A link whose records carry `size` bytes.
    pub fn new(step: Step, suite: Suite, size: usize) -> Link {
        let secret = vec![7; suite.hash_len()];
        Link {
            step,
            tx: Tx::new(suite, &secret, Limits::default()).expect("a secret that fits"),
            rx: Rx::new(suite, &secret, RxLimits::default()).expect("a secret that fits"),
            sealed: Buffer::new(),
            frame: (0..FRAME + MAX_PLAINTEXT + 1).map(|i| i as u8).collect(),
            at: 0,
            size,
        }
    }

    /// Does the step with `records` records; the time that it took, without what prepares it.
    pub fn run(&mut self, records: u64) -> Duration {
        let batch = (BATCH / self.size) as u64;
        let mut left = records;
        let mut spent = Duration::ZERO;
        while left > 0 {
            spent += self.batch(left.min(batch));
            left -= left.min(batch);
        }
        spent
    }

    fn batch(&mut self, records: u64) -> Duration {
        self.sealed.clear();
        let start = Instant::now();
        (0..records).for_each(|_| self.seal());
        if matches!(self.step, Step::Seal | Step::Pack) {
            return start.elapsed();
        }
        let start = Instant::now();
        self.open();
        start.elapsed()
    }

    fn seal(&mut self) {
        let kind = ContentType::ApplicationData;
        let content = &self.frame[self.at..self.at + self.size];
        if self.step == Step::Pack {
            let (left, right) = content.split_at(4);
            let mut packer = self.tx.packer(kind, &mut self.sealed);
            packer.push(left).expect("packed");
            packer.push(right).expect("packed");
            packer.finish().expect("packed");
        } else {
            let sealed = self.tx.seal(kind, content, &mut self.sealed);
            sealed.expect("sealed");
        }
        self.at = (self.at + self.size) % FRAME;
    }

    fn open(&mut self) {
        let mut wire = &mut self.sealed[..];
        while !wire.is_empty() {
            let place = &mut self.frame[self.at..self.at + self.size + 1];
            let consumed = match self.step {
                Step::OpenTo => whole(self.rx.open_to(wire, place)).consumed,
                _ => {
                    let record = whole(self.rx.open(wire));
                    if let (Step::OpenCopy, Content::Data(data)) = (self.step, record.content) {
                        place[..data.len()].copy_from_slice(data);
                    }
                    record.consumed
                }
            };
            self.at = (self.at + self.size) % FRAME;
            wire = &mut wire[consumed..];
        }
    }
}

fn whole(opened: Result<Option<Opened<'_>>, Error>) -> Opened<'_> {
    opened.expect("authentic").expect("whole")
}
