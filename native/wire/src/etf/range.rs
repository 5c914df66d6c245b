//! Elixir's `%Range{}`: a few bytes that stand for as many numbers as one likes. Whoever enumerates one that came from
//! outside goes on for ever, so that its size has a budget. A map is a range if it has a range's keys, others or none
//! beside them: that is what `%Range{}` matches.

/// What the `__struct__` of a range is.
pub const RANGE_MODULE: &[u8] = b"Elixir.Range";

/// A scalar that a map's key or value can be, as far as it matters here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    Struct,
    RangeModule,
    First,
    Last,
    Step,
    Integer(i64),
    /// An integer of more than 64 bits.
    Huge,
    Other,
}

impl Seen {
    /// An atom.
    #[inline(always)]
    pub fn name(name: &[u8]) -> Seen {
        match name {
            b"__struct__" => Seen::Struct,
            RANGE_MODULE => Seen::RangeModule,
            b"first" => Seen::First,
            b"last" => Seen::Last,
            b"step" => Seen::Step,
            _ => Seen::Other,
        }
    }
}

/// An integer, or `None` for a huge one.
type Bound = Option<i64>;

/// What was seen of a map.
#[derive(Clone, Copy)]
pub struct Map {
    key: Seen,
    is_range: bool,
    first: Option<Bound>,
    last: Option<Bound>,
    step: Option<Bound>,
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
    #[inline]
    pub fn key(&mut self, key: Seen) {
        self.key = key;
    }

    /// The value of the last key.
    #[inline]
    pub fn value(&mut self, value: Seen) {
        let place = match self.key {
            Seen::Struct if value == Seen::RangeModule => {
                self.is_range = true;
                return;
            }
            Seen::First => &mut self.first,
            Seen::Last => &mut self.last,
            Seen::Step => &mut self.step,
            _ => return,
        };
        *place = match value {
            Seen::Integer(n) => Some(Some(n)),
            // As good as no end: Elixir compares without asking what it is, and every number is below an atom.
            _ => Some(None),
        };
    }

    /// How many numbers the range has, if it is one; more than can be counted if one of its numbers is huge or none. Without a
    /// step it is one of an Elixir before 1.12, which counts in either direction.
    pub fn range(&self) -> Option<u64> {
        let (true, Some(first), Some(last)) = (self.is_range, self.first, self.last) else {
            return None;
        };
        let (Some(first), Some(last), Some(step)) = (first, last, self.step.unwrap_or(Some(0)))
        else {
            return Some(u64::MAX);
        };
        let empty = (step > 0 && first > last) || (step < 0 && first < last);
        if empty {
            return Some(0);
        }
        let steps = first.abs_diff(last) / step.unsigned_abs().max(1);
        Some(steps.saturating_add(1))
    }
}

/// An integer of `len` bytes whose lowest eight are `magnitude`, little end first.
pub fn integer(negative: bool, magnitude: [u8; 8], len: u64) -> Seen {
    let n = i64::try_from(u64::from_le_bytes(magnitude)).ok();
    match n.filter(|_| len <= 8) {
        Some(n) if negative => Seen::Integer(-n),
        Some(n) => Seen::Integer(n),
        None => Seen::Huge,
    }
}
