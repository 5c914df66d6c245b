//! What the kernel takes for a loopback connection: 64 KiB written by one end and read by the other, in one thread.

use criterion::{criterion_group, criterion_main, Criterion, Throughput};
use merlon_sock::Sock;
use std::io::{self, ErrorKind};
use std::net::Ipv4Addr;
use std::time::Duration;

const LEN: usize = 64 * 1024;

/// Does it until it would not block.
fn wait<T>(mut call: impl FnMut() -> io::Result<T>) -> T {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::hint::spin_loop(),
            result => return result.expect("a loopback connection"),
        }
    }
}

fn pair() -> (Sock, Sock) {
    let listener = wait(|| Sock::listen((Ipv4Addr::LOCALHOST, 0).into(), 1, &[]));
    let address = wait(|| listener.local_addr());
    let client = wait(|| Sock::connect(address, None, &[]));
    let (server, _) = wait(|| listener.accept());
    wait(|| client.connected());
    (client, server)
}

fn sock(c: &mut Criterion) {
    let (client, server) = pair();
    let (bytes, mut place) = (vec![7; LEN], vec![0; LEN]);
    let mut group = c.benchmark_group("sock");
    group.throughput(Throughput::Bytes(LEN as u64));
    group.bench_function("write and read 64 KiB", |b| {
        b.iter(|| {
            let mut sent = 0;
            let mut received = 0;
            while received < LEN {
                if sent < LEN {
                    sent += wait(|| client.write(&bytes[sent..]));
                }
                received += wait(|| server.read(&mut place[received..]));
            }
        })
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    targets = sock
}
criterion_main!(benches);
