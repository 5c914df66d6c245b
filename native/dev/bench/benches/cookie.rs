//! The search for a cookie of OTP's generator, by what the processor is allowed, and the check that tells one.

use criterion::{criterion_group, criterion_main, Criterion, Throughput};
use merlon_secret::cookie::{cookie_of, seed_of, Capture, Simd};
use std::hint::black_box;
use std::time::Duration;

const SEEDS: u64 = 1 << 20;

fn search(c: &mut Criterion) {
    let mut group = c.benchmark_group("cookie/search");
    let capture = Capture {
        challenge: 4_294_967_295,
        digest: [7; 16],
    };
    group.throughput(Throughput::Elements(SEEDS));
    for (name, simd) in [
        ("best", Simd::Best),
        ("avx2", Simd::Avx2),
        ("portable", Simd::Portable),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| black_box(&capture).search(0..SEEDS, simd))
        });
    }
    group.finish();
}

fn check(c: &mut Criterion) {
    let mut group = c.benchmark_group("cookie/seed_of");
    let hit = cookie_of(515_646_815);
    let miss = b"QWERTYUIOPASDFGHJKLZ";
    group.bench_function("otp", |b| b.iter(|| seed_of(black_box(hit.expose()))));
    group.bench_function("random", |b| b.iter(|| seed_of(black_box(miss))));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    targets = search, check
}
criterion_main!(benches);
