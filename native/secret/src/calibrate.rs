use crate::params::pbkdf2_floor;
use crate::{Algorithm, Argon2Kind, Argon2Params, Error, Params, ScryptParams};

/// What is wanted of parameters.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    /// The function.
    pub algorithm: Algorithm,
    /// What it may take, in nanoseconds.
    pub budget: u64,
    /// What it may take, in KiB.
    pub memory: u64,
    /// Lanes of Argon2.
    pub lanes: u32,
}

/// Each try costs about the budget.
const TRIES: usize = 6;
/// Big enough to be measured, small enough to be over soon.
const FIRST_ITERATIONS: u64 = 50_000;
/// No bigger than the hard limit on work of `Params::derive`.
const MOST: u64 = 1 << 25;

/// The strongest parameters that stay within the goal: as much memory as it allows, then as many passes as there is
/// time for (RFC 9106 section 4). `measure` says how many nanoseconds these parameters take.
///
/// # Errors
/// [`Error::Budget`] when the time does not suffice for the floor, [`Error::VerifyOnly`] as [`Params::floor`], and
/// whatever `measure` gives.
pub fn calibrate(
    goal: &Goal,
    mut measure: impl FnMut(&Params) -> Result<u64, Error>,
) -> Result<Params, Error> {
    let found = match goal.algorithm {
        Algorithm::Argon2(Argon2Kind::Id) => argon2(goal, &mut measure)?,
        Algorithm::Argon2(_) => return Err(Error::VerifyOnly),
        Algorithm::Scrypt => scrypt(goal, &mut measure)?,
        Algorithm::Pbkdf2(hash) => tune(goal.budget, FIRST_ITERATIONS, MOST, |iterations| {
            let iterations = narrow(iterations);
            measured(Params::Pbkdf2 { hash, iterations }, &mut measure)
        })?,
    };
    if found.time <= goal.budget && found.params.strong() {
        return Ok(found.params);
    }
    let floor = cheapest(&found.params, goal, &mut measure)?;
    match floor.time <= goal.budget {
        true => Ok(floor.params),
        false => Err(Error::Budget { needed: floor.time }),
    }
}

struct Found {
    params: Params,
    time: u64,
}

type Measure<'a> = &'a mut dyn FnMut(&Params) -> Result<u64, Error>;

fn measured(params: Params, measure: Measure) -> Result<Found, Error> {
    let time = measure(&params)?.max(1);
    Ok(Found { params, time })
}

fn argon2(goal: &Goal, measure: Measure) -> Result<Found, Error> {
    let at = |memory: u64, passes: u64| {
        Params::Argon2(Argon2Params {
            kind: Argon2Kind::Id,
            v0x10: false,
            memory: narrow(memory.max(8 * u64::from(goal.lanes))),
            passes: narrow(passes),
            lanes: goal.lanes,
        })
    };
    let most = goal.memory.max(8 * u64::from(goal.lanes));
    let found = tune(goal.budget, most, most, |memory| {
        measured(at(memory, 1), measure)
    })?;
    let (memory, passes) = (found.params.memory(), goal.budget / found.time);
    if passes < 2 {
        return Ok(found);
    }
    let limit = MOST / memory.max(1);
    tune(goal.budget, passes.min(limit), limit, |passes| {
        measured(at(memory, passes), measure)
    })
}

/// N is a power of two: the biggest one that fits, then p for what time is left.
fn scrypt(goal: &Goal, measure: Measure) -> Result<Found, Error> {
    let at = |log_n: u32, p: u64| {
        let p = narrow(p);
        Params::Scrypt(ScryptParams { log_n, r: 8, p })
    };
    let fits = |log_n: &u32| at(*log_n, 1).memory() <= goal.memory;
    let mut log_n = (1..=24).rev().find(fits).unwrap_or(1);
    let mut found = measured(at(log_n, 1), measure)?;
    while found.time > goal.budget && log_n > 10 {
        log_n -= 1;
        found = measured(at(log_n, 1), measure)?;
    }
    match goal.budget / found.time {
        0 | 1 => Ok(found),
        p => tune(goal.budget, p.min(64), 64, |p| {
            measured(at(log_n, p), measure)
        }),
    }
}

/// Looks for the biggest value that takes no more than the budget, where time grows with the value.
fn tune(
    budget: u64,
    first: u64,
    most: u64,
    mut at: impl FnMut(u64) -> Result<Found, Error>,
) -> Result<Found, Error> {
    let mut value = first;
    let mut best: Option<Found> = None;
    for _ in 0..TRIES {
        let found = at(value)?;
        let time = found.time;
        let longer = best
            .as_ref()
            .is_none_or(|b| b.time > budget || b.time < time);
        if best.is_none() || (time <= budget && longer) {
            best = Some(found);
        }
        let scaled = u128::from(value) * u128::from(budget) / u128::from(time);
        let next = u64::try_from(scaled).unwrap_or(most).clamp(1, most);
        if next == value || (time <= budget && time >= budget - budget / 10) {
            break;
        }
        value = next;
    }
    best.map_or_else(|| at(1), Ok)
}

/// The cheapest of the floor.
fn cheapest(params: &Params, goal: &Goal, measure: Measure) -> Result<Found, Error> {
    let (log_n, r, p) = (14, 8, 5);
    let floor = match params {
        Params::Argon2(costs) => Params::Argon2(Argon2Params {
            memory: 19456,
            passes: 2,
            ..*costs
        }),
        Params::Scrypt(_) => Params::Scrypt(ScryptParams { log_n, r, p }),
        Params::Pbkdf2 { hash, .. } => Params::Pbkdf2 {
            hash: *hash,
            iterations: pbkdf2_floor(*hash),
        },
    };
    let (kib, ceiling) = (floor.memory(), goal.memory);
    match kib > ceiling {
        true if !matches!(floor, Params::Pbkdf2 { .. }) => Err(Error::Memory { kib, ceiling }),
        _ => measured(floor, measure),
    }
}

fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
