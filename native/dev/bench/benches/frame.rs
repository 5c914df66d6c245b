//! Frames cut out of a stream that comes in the plaintexts of full records.

use criterion::{criterion_group, criterion_main, BenchmarkId, Criterion, Throughput};
use merlon_wire::frame::{self, Reader, Sink};
use merlon_wire::Error;
use std::time::Duration;

/// As in the data path: frames from this many bytes on get a buffer of their own.
const BIG: usize = 4096;
const RECORD: usize = 16_384;
const STREAM: usize = 4 << 20;

/// Counts frames; big ones are put together in a buffer that is used again, so that no allocator is measured.
#[derive(Default)]
struct Count {
    frames: usize,
    spare: Vec<u8>,
}

impl Sink for Count {
    type Big = Vec<u8>;

    fn big(&mut self, len: usize) -> Result<Vec<u8>, Error> {
        let mut big = std::mem::take(&mut self.spare);
        self.grow(&mut big, len)?;
        Ok(big)
    }

    fn grow(&mut self, big: &mut Vec<u8>, len: usize) -> Result<(), Error> {
        big.resize(len, 0);
        Ok(())
    }

    fn bytes<'a>(&'a mut self, big: &'a mut Vec<u8>) -> &'a mut [u8] {
        big
    }

    fn big_done(&mut self, big: Vec<u8>, _len: usize) {
        self.spare = big;
        self.frames += 1;
    }

    fn small(&mut self, frame: &[u8]) {
        std::hint::black_box(frame);
        self.frames += 1;
    }

    fn tick(&mut self) {
        self.frames += 1;
    }
}

fn stream(len: usize) -> (Vec<u8>, usize) {
    let head = frame::head(len).expect("a length that fits");
    let one = [&head[..], &vec![7; len]].concat();
    let frames = STREAM.div_ceil(one.len());
    (one.repeat(frames), frames)
}

fn frames(c: &mut Criterion) {
    let mut group = c.benchmark_group("frame");
    for len in [64, 1024, 16_384, 1 << 20] {
        let (bytes, frames) = stream(len);
        let mut sink = Count::default();
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(len), |b| {
            b.iter(|| {
                let mut reader = Reader::new(1 << 27, BIG);
                sink.frames = 0;
                for record in bytes.chunks(RECORD) {
                    reader.push(record, &mut sink).expect("frames");
                }
                assert_eq!(sink.frames, frames);
            })
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    targets = frames
}
criterion_main!(benches);
