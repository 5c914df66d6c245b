//! `merlon_bench STEP SUITE SIZE RECORDS`: one step, many times, for a counter of instructions around it.
//! `run.sh` calls it and does the sums.

use merlon_bench::{Link, Step, SUITES};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if run(&words).is_none() {
        eprintln!("usage: merlon_bench seal|pack|open|open_copy|open_to aes128|aes256|chacha20 SIZE RECORDS");
        std::process::exit(2);
    }
}

fn run(words: &[&str]) -> Option<()> {
    let [step, suite, size, records] = words else {
        return None;
    };
    let step = Step::ALL.into_iter().find(|s| s.name() == *step)?;
    let (_, suite) = SUITES.into_iter().find(|(name, _)| name == suite)?;
    let size = size.parse().ok().filter(|n| (4..=16_384).contains(n))?;
    Link::new(step, suite, size).run(records.parse().ok()?);
    Some(())
}
