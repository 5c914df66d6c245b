//! As many nodes as a merlon dir has identities, dialling one node again and again up to the begin of the dist handshake.
//!
//! ```text
//! merlon_dialers CARRIER IP:PORT TARGET DIR CLUSTER FLAGS IN-FLIGHT SECONDS    (the cookie: standard input)
//! ```
//! CARRIER is `merlon` or `inet_tls`, DIR a merlon dir; its nodes `dialer...@HOST` are the ones that dial. FLAGS are those of
//! the distribution. Prints one line: `connected refused seconds p50 p90 p99`, the last three in microseconds from connect(2)
//! until the node has answered the name packet with `sok`.

mod carrier;
mod inet_tls;
mod merlon;

use std::io::Read;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use carrier::{Dialer, Fault, Files};

/// What the command line says.
struct Options {
    carrier: String,
    address: SocketAddr,
    target: String,
    dir: String,
    cluster: String,
    flags: u64,
    in_flight: usize,
    time: Duration,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match options(&arguments).and_then(|options| run(&options)) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(fault) => {
            eprintln!("merlon_dialers: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn options(arguments: &[String]) -> Result<Options, Fault> {
    let [carrier, address, target, dir, cluster, flags, in_flight, seconds] = arguments else {
        return Err(
            "usage: merlon_dialers merlon|inet_tls IP:PORT TARGET DIR CLUSTER FLAGS IN-FLIGHT SECONDS"
                .into(),
        );
    };
    Ok(Options {
        carrier: carrier.clone(),
        address: address.parse()?,
        target: target.clone(),
        dir: dir.clone(),
        cluster: cluster.clone(),
        flags: flags.parse()?,
        in_flight: in_flight.parse()?,
        time: Duration::from_secs_f64(seconds.parse()?),
    })
}

fn run(options: &Options) -> Result<String, Fault> {
    let mut cookie = String::new();
    std::io::stdin().read_to_string(&mut cookie)?;
    let dialers = dialers(options, cookie.trim_end())?;
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    let end = start + options.time;
    let workers: Vec<Tally> = thread::scope(|scope| {
        let work = || dial_until(end, options, &dialers, &next);
        let started: Vec<_> = (0..options.in_flight).map(|_| scope.spawn(work)).collect();
        let joined = started.into_iter().map(|worker| worker.join());
        joined.map(Result::unwrap_or_default).collect()
    });
    Ok(report(workers, start.elapsed()))
}

fn dialers(options: &Options, cookie: &str) -> Result<Vec<Box<dyn Dialer>>, Fault> {
    let files = Files::all(&options.dir)?;
    let dialers = files.into_iter().map(|files| -> Result<_, Fault> {
        let target = &options.target;
        Ok(match options.carrier.as_str() {
            "merlon" => merlon::dialer(files, &options.cluster, target, cookie)?,
            "inet_tls" => inet_tls::dialer(files, target)?,
            other => return Err(format!("{other} is no carrier").into()),
        })
    });
    dialers.collect()
}

/// What one worker has found.
#[derive(Default)]
struct Tally {
    micros: Vec<u64>,
    refused: u64,
}

fn dial_until(
    end: Instant,
    options: &Options,
    dialers: &[Box<dyn Dialer>],
    next: &AtomicUsize,
) -> Tally {
    let mut tally = Tally::default();
    while Instant::now() < end {
        let turn = next.fetch_add(1, Ordering::Relaxed) % dialers.len();
        let start = Instant::now();
        match carrier::dial(dialers[turn].as_ref(), options.address, options.flags) {
            Ok(()) => tally.micros.push(start.elapsed().as_micros() as u64),
            Err(fault) => {
                if tally.refused == 0 {
                    eprintln!("merlon_dialers: {fault}");
                }
                tally.refused += 1;
            }
        }
    }
    tally
}

fn report(workers: Vec<Tally>, took: Duration) -> String {
    let refused: u64 = workers.iter().map(|tally| tally.refused).sum();
    let mut micros: Vec<u64> = workers.into_iter().flat_map(|tally| tally.micros).collect();
    micros.sort_unstable();
    let of = |percent: usize| {
        let rank = (micros.len() * percent).div_ceil(100).max(1);
        micros.get(rank - 1).copied().unwrap_or(0)
    };
    let seconds = took.as_secs_f64();
    let (p50, p90, p99) = (of(50), of(90), of(99));
    format!("{} {refused} {seconds:.3} {p50} {p90} {p99}", micros.len())
}
