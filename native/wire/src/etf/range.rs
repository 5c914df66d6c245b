//! Elixir's `%Range{}`: a few bytes that stand for as many numbers as one likes. Whoever enumerates one that came from
//! outside goes on for ever, so that its size has a budget. A map is a range if it has a range's keys, others or none
//! beside them: that is what `%Range{}` matches.

/// A scalar that a map's key or value can be, as far as it matters here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    Struct,
    RangeModule,
    First,
    Last,
    Step,
    Integer(i128),
    Other,
}

impl Seen {
    /// An atom.
    pub fn name(name: &[u8]) -> Seen {
        match name {
            b"__struct__" => Seen::Struct,
            b"Elixir.Range" => Seen::RangeModule,
            b"first" => Seen::First,
            b"last" => Seen::Last,
            b"step" => Seen::Step,
            _ => Seen::Other,
        }
    }
}

/// What was seen of a map.
#[derive(Clone, Copy)]
pub struct Map {
    key: Seen,
    is_range: bool,
    first: Option<i128>,
    last: Option<i128>,
    step: Option<i128>,
}

impl Map {
    pub fn new() -> Map {
        Map {
            key: Seen::Other,
            is_range: false,
            first: None,
            last: None,
            step: None,
        }
    }

    /// The next value's key.
    pub fn key(&mut self, key: Seen) {
        self.key = key;
    }

    /// The value of the last key.
    pub fn value(&mut self, value: Seen) {
        match (self.key, value) {
            (Seen::Struct, Seen::RangeModule) => self.is_range = true,
            (Seen::First, Seen::Integer(n)) => self.first = Some(n),
            (Seen::Last, Seen::Integer(n)) => self.last = Some(n),
            (Seen::Step, Seen::Integer(n)) => self.step = Some(n),
            _ => {}
        }
    }

    /// How many numbers the range has, if it is one. Without a step it is one of an Elixir before 1.12, which counts
    /// in either direction.
    pub fn range(&self) -> Option<u64> {
        let (true, Some(first), Some(last)) = (self.is_range, self.first, self.last) else {
            return None;
        };
        let step = self.step.unwrap_or(if first <= last { 1 } else { -1 });
        let empty = (step > 0 && first > last) || (step < 0 && first < last);
        if empty {
            return Some(0);
        }
        let steps = first.abs_diff(last) / step.unsigned_abs().max(1);
        Some(u64::try_from(steps).unwrap_or(u64::MAX).saturating_add(1))
    }
}

/// An integer of `magnitude` (little end first), or the outermost one of its sign.
pub fn integer(negative: bool, magnitude: [u8; 16], len: u64) -> i128 {
    let n = i128::try_from(u128::from_le_bytes(magnitude)).ok();
    match (n.filter(|_| len <= 16), negative) {
        (Some(n), false) => n,
        (Some(n), true) => -n,
        (None, false) => i128::MAX,
        (None, true) => i128::MIN,
    }
}
