//! `cargo run --release -p merlon_fuzz -- TARGET [--seconds 60] [--seed N]`
//!
//! Feeds mutations of valid inputs to one target for a bounded time. A finding is a panic (a broken promise of the
//! target is one too) or an input that takes too long: its bytes are printed as hex, and the exit code is 1.
//! `--input HEX` runs that one input again. The same seed gives the same inputs in the same order.

mod driver;
mod mutate;
mod rng;
mod targets;

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use targets::{Target, TARGETS};

struct Options {
    target: &'static Target,
    seconds: u64,
    seed: u64,
    input: Option<Vec<u8>>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match parse(&arguments) {
        Ok(options) => run(&options),
        Err(problem) => {
            let names: Vec<&str> = TARGETS.iter().map(|t| t.name).collect();
            eprintln!(
                "{problem}\nusage: merlon_fuzz TARGET [--seconds N] [--seed N] [--input HEX]"
            );
            eprintln!("targets: {}", names.join(", "));
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> ExitCode {
    let name = options.target.name;
    if let Some(input) = &options.input {
        println!("{name}: outcome {:#x}", (options.target.run)(input));
        return ExitCode::SUCCESS;
    }
    println!("{name}: seed {}, {} s", options.seed, options.seconds);
    match driver::hunt(
        options.target,
        options.seed,
        Duration::from_secs(options.seconds),
    ) {
        Ok(report) => {
            println!(
                "{name}: no finding in {} inputs, {} outcomes",
                report.inputs, report.outcomes
            );
            ExitCode::SUCCESS
        }
        Err(finding) => {
            println!(
                "{name}: FINDING at input {}: {}",
                finding.number, finding.what
            );
            println!(
                "again: merlon_fuzz {name} --input {}",
                driver::hex(&finding.input)
            );
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Result<Options, String> {
    let (name, mut rest) = arguments.split_first().ok_or("no target")?;
    let target = TARGETS.iter().find(|t| t.name == name);
    let target = target.ok_or_else(|| format!("no target {name}"))?;
    let mut options = Options {
        target,
        seconds: 60,
        seed: seed_of_now(),
        input: None,
    };
    while let [flag, value, later @ ..] = rest {
        match flag.as_str() {
            "--seconds" => options.seconds = number(flag, value)?,
            "--seed" => options.seed = number(flag, value)?,
            "--input" => options.input = Some(driver::unhex(value).ok_or("--input is not hex")?),
            _ => return Err(format!("no option {flag}")),
        }
        rest = later;
    }
    match rest {
        [] => Ok(options),
        [alone, ..] => Err(format!("{alone} needs a value")),
    }
}

fn number(flag: &str, value: &str) -> Result<u64, String> {
    value
        .parse()
        .map_err(|_| format!("{flag} {value} is not a number"))
}

fn seed_of_now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(1, |d| d.as_nanos() as u64)
}
