//! Sealing and opening of records: every suite, three sizes, in place and from one place to another.

use criterion::{criterion_group, criterion_main, BenchmarkId, Criterion, Throughput};
use merlon_bench::{Link, Step, BACKEND, SIZES, SUITES};
use std::time::Duration;

fn records(c: &mut Criterion) {
    for step in Step::ALL {
        let mut group = c.benchmark_group(format!("{BACKEND}/{}", step.name()));
        for (name, suite) in SUITES {
            for size in SIZES {
                group.throughput(Throughput::Bytes(size as u64));
                let mut link = Link::new(step, suite, size);
                group.bench_function(BenchmarkId::new(name, size), |b| {
                    b.iter_custom(|records| link.run(records))
                });
            }
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800));
    targets = records
}
criterion_main!(benches);
