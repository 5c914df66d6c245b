//! What it takes to learn that a socket can be read: 16 bytes come from the other end of a loopback connection, and are
//! read. `read` is told nothing, `level` waits with epoll in the same thread (as OTP does for a busy port), `oneshot` also
//! asks for each event, `thread` leaves the waiting to a second thread (as OTP 25 to 27 do for a NIF's socket).

use criterion::{criterion_group, criterion_main, Criterion};
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use std::io::{ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const LEN: usize = 16;

struct Pair {
    far: TcpStream,
    near: TcpStream,
}

impl Pair {
    fn new() -> Pair {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let far = TcpStream::connect(listener.local_addr().expect("bound")).expect("a connection");
        let (near, _) = listener.accept().expect("a connection");
        far.set_nodelay(true).expect("a socket");
        near.set_nonblocking(true).expect("a socket");
        Pair { far, near }
    }

    fn write(&self) {
        (&self.far).write_all(&[7; LEN]).expect("room");
    }

    /// As the data path does it: once for the bytes, once for the answer that there are no more.
    fn read(&self) {
        let mut place = [0; 64];
        let read = loop {
            match (&self.near).read(&mut place) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::hint::spin_loop(),
                read => break read,
            }
        };
        assert_eq!(read.expect("bytes"), LEN);
        let none = (&self.near).read(&mut place).expect_err("no bytes");
        assert_eq!(none.kind(), ErrorKind::WouldBlock);
    }
}

struct Poll(OwnedFd);

impl Poll {
    fn new(pair: &Pair, flags: EventFlags) -> Poll {
        let set = epoll::create(CreateFlags::CLOEXEC).expect("epoll");
        epoll::add(&set, &pair.near, EventData::new_u64(0), flags).expect("a socket");
        Poll(set)
    }

    fn again(&self, pair: &Pair, flags: EventFlags) {
        epoll::modify(&self.0, &pair.near, EventData::new_u64(0), flags).expect("a socket");
    }

    fn wait(&self) {
        let mut place = [MaybeUninit::<Event>::uninit()];
        let (events, _) = epoll::wait(&self.0, &mut place, None).expect("an event");
        assert_eq!(events.len(), 1);
    }
}

/// A thread that polls for this one, which asks anew each time and sleeps until it is told.
fn by_thread(b: &mut criterion::Bencher<'_>) {
    let oneshot = EventFlags::IN | EventFlags::ONESHOT;
    let pair = Pair::new();
    let poll = Poll::new(&pair, oneshot);
    let asker = poll.0.try_clone().expect("a descriptor");
    let (told, over) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let me = thread::current();
    let poller = thread::spawn({
        let (told, over) = (told.clone(), over.clone());
        move || {
            while !over.load(Ordering::Acquire) {
                poll.wait();
                told.store(true, Ordering::Release);
                me.unpark();
            }
        }
    });
    let trip = || {
        pair.write();
        while !told.swap(false, Ordering::AcqRel) {
            thread::park();
        }
        pair.read();
        epoll::modify(&asker, &pair.near, EventData::new_u64(0), oneshot).expect("a socket");
    };
    b.iter(trip);
    over.store(true, Ordering::Release);
    pair.write();
    poller.join().expect("the poller");
}

fn select(c: &mut Criterion) {
    let mut group = c.benchmark_group("select");
    group.bench_function("read", |b| {
        let pair = Pair::new();
        b.iter(|| {
            pair.write();
            pair.read();
        })
    });
    group.bench_function("level", |b| {
        let pair = Pair::new();
        let poll = Poll::new(&pair, EventFlags::IN);
        b.iter(|| {
            pair.write();
            poll.wait();
            pair.read();
        })
    });
    group.bench_function("oneshot", |b| {
        let pair = Pair::new();
        let flags = EventFlags::IN | EventFlags::ONESHOT;
        let poll = Poll::new(&pair, flags);
        b.iter(|| {
            pair.write();
            poll.wait();
            pair.read();
            poll.again(&pair, flags);
        })
    });
    group.bench_function("thread", by_thread);
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    targets = select
}
criterion_main!(benches);
