//! The scanner itself: a loop over terms with a stack of what is still open. `RANGES`: whether maps are looked at for ranges, which
//! few terms have and which takes as long as all the rest of a small term.

use super::atoms::{is_atom, Atoms, Spelling};
use super::range::{integer, Map, Seen, RANGE_MODULE};
use super::source::Source;
use super::stack::Stack;
use super::{within, Budget, Counts, Kind, Limit, Refusal};

mod tag {
    pub const NEW_FLOAT: u8 = 70;
    pub const BIT_BINARY: u8 = 77;
    pub const NEW_PID: u8 = 88;
    pub const NEW_PORT: u8 = 89;
    pub const NEWER_REFERENCE: u8 = 90;
    pub const SMALL_INTEGER: u8 = 97;
    pub const INTEGER: u8 = 98;
    pub const FLOAT: u8 = 99;
    pub const ATOM: u8 = 100;
    pub const REFERENCE: u8 = 101;
    pub const PORT: u8 = 102;
    pub const PID: u8 = 103;
    pub const SMALL_TUPLE: u8 = 104;
    pub const LARGE_TUPLE: u8 = 105;
    pub const NIL: u8 = 106;
    pub const STRING: u8 = 107;
    pub const LIST: u8 = 108;
    pub const BINARY: u8 = 109;
    pub const SMALL_BIG: u8 = 110;
    pub const LARGE_BIG: u8 = 111;
    pub const NEW_FUN: u8 = 112;
    pub const EXPORT: u8 = 113;
    pub const NEW_REFERENCE: u8 = 114;
    pub const SMALL_ATOM: u8 = 115;
    pub const MAP: u8 = 116;
    pub const ATOM_UTF8: u8 = 118;
    pub const SMALL_ATOM_UTF8: u8 = 119;
    pub const V4_PORT: u8 = 120;
    pub const LOCAL: u8 = 121;
}

/// Words of a reference at most, since OTP 24.
const MAX_REF_WORDS: u64 = 5;

/// A container with terms still to come.
#[derive(Clone, Copy)]
struct Open {
    left: u64,
    is_map: bool,
}

pub struct Scanner<'a, S, A, const RANGES: bool> {
    source: &'a mut S,
    budget: &'a Budget,
    atoms: &'a mut A,
    open: Stack<Open, 8>,
    maps: Stack<Map, 2>,
    counts: Counts,
    may_have_ranges: bool,
}

impl<'a, S: Source, A: Atoms, const RANGES: bool> Scanner<'a, S, A, RANGES> {
    pub fn new(source: &'a mut S, budget: &'a Budget, atoms: &'a mut A) -> Self {
        let nothing = Open {
            left: 0,
            is_map: false,
        };
        Scanner {
            source,
            budget,
            atoms,
            open: Stack::new(nothing),
            maps: Stack::new(Map::new()),
            counts: Counts::default(),
            may_have_ranges: false,
        }
    }

    /// One term, with all that is in it; and whether something in it may be a range.
    pub fn run(mut self) -> Result<(Counts, bool), Refusal> {
        self.count(1)?;
        let tag = self.source.byte()?;
        self.element(tag)?;
        while let Some(open) = self.open.last_mut() {
            match (open.left.checked_sub(1), open.is_map) {
                (None, _) => self.close()?,
                (Some(_), false) => self.elements()?,
                (Some(left), true) => {
                    open.left = left;
                    if left % 2 == 1 {
                        self.key()?;
                    } else {
                        self.value()?;
                    }
                }
            }
        }
        Ok((self.counts, self.may_have_ranges))
    }

    /// The elements of what is no map, or none that counts, until one is a container too. What data has most of is looked at here.
    fn elements(&mut self) -> Result<(), Refusal> {
        let Some(open) = self.open.last_mut() else {
            return Ok(());
        };
        while open.left > 0 {
            open.left -= 1;
            match self.source.byte()? {
                tag::SMALL_INTEGER => self.source.skip(1)?,
                tag::INTEGER => self.source.skip(4)?,
                tag::NIL => {}
                other => return self.element(other),
            }
        }
        Ok(())
    }

    /// Not inlined: the loop above is the faster for being short.
    #[inline(never)]
    fn element(&mut self, tag: u8) -> Result<(), Refusal> {
        self.tagged(tag).map(|_| ())
    }

    #[inline(always)]
    fn close(&mut self) -> Result<(), Refusal> {
        if self.open.pop().is_some_and(|open| open.is_map) {
            let range = self.maps.pop().and_then(|map| map.range()).unwrap_or(0);
            self.counts.range = self.counts.range.max(range);
            within(Limit::Range, range, self.budget.range)?;
        }
        Ok(())
    }

    #[inline(always)]
    fn key(&mut self) -> Result<(), Refusal> {
        let depth = self.maps.len();
        let key = self.term()?.unwrap_or(Seen::Other);
        let map = depth.checked_sub(1).and_then(|at| self.maps.get_mut(at));
        map.into_iter().for_each(|map| map.key(key));
        Ok(())
    }

    #[inline(always)]
    fn value(&mut self) -> Result<(), Refusal> {
        let depth = self.maps.len();
        let value = self.term()?.unwrap_or(Seen::Other);
        let map = depth.checked_sub(1).and_then(|at| self.maps.get_mut(at));
        map.into_iter().for_each(|map| map.value(value));
        Ok(())
    }

    /// A term that is whole, or the beginning of a container (`None`): its elements are terms of their own.
    #[inline]
    fn term(&mut self) -> Result<Option<Seen>, Refusal> {
        let tag = self.source.byte()?;
        self.tagged(tag)
    }

    #[inline(always)]
    fn tagged(&mut self, tag: u8) -> Result<Option<Seen>, Refusal> {
        match tag {
            tag::SMALL_INTEGER | tag::INTEGER => {
                return self.small(tag).map(|n| Some(Seen::Integer(n)));
            }
            tag::SMALL_ATOM_UTF8 | tag::ATOM_UTF8 | tag::SMALL_ATOM | tag::ATOM => {
                return self.atom(tag).map(Some);
            }
            tag::SMALL_BIG | tag::LARGE_BIG => return self.big(tag).map(Some),
            tag::NIL => {}
            tag::BINARY => self.binary()?,
            tag::SMALL_TUPLE | tag::LARGE_TUPLE | tag::LIST | tag::MAP => {
                return self.container(tag)
            }
            tag::STRING => self.string()?,
            tag::NEW_FLOAT => self.float()?,
            tag::FLOAT => self.source.skip(31)?,
            tag::BIT_BINARY => self.bits()?,
            tag::NEW_FUN => return self.fun(),
            _ => self.identifier(tag)?,
        }
        Ok(Some(Seen::Other))
    }

    #[inline(always)]
    fn count(&mut self, terms: u64) -> Result<(), Refusal> {
        self.counts.terms += terms;
        within(Limit::Terms, self.counts.terms, self.budget.terms)
    }

    #[inline(always)]
    fn small(&mut self, tag: u8) -> Result<i64, Refusal> {
        Ok(match tag {
            tag::SMALL_INTEGER => self.source.byte()?.into(),
            tag::INTEGER => i32::from_be_bytes(self.source.array()?).into(),
            _ => return Err(self.bad_tag(tag)),
        })
    }

    #[inline(always)]
    fn atom(&mut self, tag: u8) -> Result<Seen, Refusal> {
        let (len, spelling) = match tag {
            tag::SMALL_ATOM_UTF8 => (self.source.byte()?.into(), Spelling::Utf8),
            tag::ATOM_UTF8 => (self.source.u16()?, Spelling::Utf8),
            tag::SMALL_ATOM => (self.source.byte()?.into(), Spelling::Latin1),
            tag::ATOM => (self.source.u16()?, Spelling::Latin1),
            _ => return Err(self.bad_tag(tag)),
        };
        let (atoms, at) = (&mut *self.atoms, self.source.at() + u64::from(len));
        let may_have_ranges = &mut self.may_have_ranges;
        self.source.name(len, |name| {
            if !is_atom(name, spelling) {
                return Err(Refusal::Atom { at });
            }
            atoms.see(name, spelling)?;
            *may_have_ranges |= name == RANGE_MODULE;
            Ok(if RANGES {
                Seen::name(name)
            } else {
                Seen::Other
            })
        })?
    }

    fn big(&mut self, tag: u8) -> Result<Seen, Refusal> {
        let len = match tag {
            tag::SMALL_BIG => self.source.byte()?.into(),
            _ => self.source.u32()?,
        };
        let negative = self.source.byte()? != 0;
        self.counts.bignum = self.counts.bignum.max(len);
        within(Limit::Bignum, len, self.budget.bignum)?;
        let mut magnitude = [0; 8];
        for place in magnitude.iter_mut().take(len.min(8) as usize) {
            *place = self.source.byte()?;
        }
        self.source.skip(len.saturating_sub(8))?;
        Ok(integer(negative, magnitude, len))
    }

    #[inline(always)]
    fn float(&mut self) -> Result<(), Refusal> {
        let float = f64::from_be_bytes(self.source.array()?);
        match float.is_finite() {
            true => Ok(()),
            false => Err(self.bad_value()),
        }
    }

    #[inline(always)]
    fn binary(&mut self) -> Result<(), Refusal> {
        let len = self.source.u32()?;
        self.bytes(len)
    }

    fn bits(&mut self) -> Result<(), Refusal> {
        let (len, bits) = (self.source.u32()?, self.source.byte()?);
        if bits > 8 || (bits == 0) != (len == 0) {
            return Err(self.bad_value());
        }
        self.bytes(len)
    }

    #[inline(always)]
    fn bytes(&mut self, len: u64) -> Result<(), Refusal> {
        self.counts.binary = self.counts.binary.max(len);
        within(Limit::Binary, len, self.budget.binary)?;
        self.source.skip(len)
    }

    #[inline(always)]
    fn string(&mut self) -> Result<(), Refusal> {
        let len = self.source.u16()?.into();
        self.count(len)?;
        self.source.skip(len)
    }

    #[inline(always)]
    fn container(&mut self, tag: u8) -> Result<Option<Seen>, Refusal> {
        let terms = match tag {
            tag::SMALL_TUPLE => self.source.byte()?.into(),
            tag::LARGE_TUPLE => self.source.u32()?,
            tag::LIST => self.source.u32()? + 1,
            _ => self.source.u32()? * 2,
        };
        self.open(terms, RANGES && tag == tag::MAP)
    }

    /// Every term has a byte at least: more of them than bytes is a lie that needs no stack. They are counted here, all at
    /// once.
    #[inline(always)]
    fn open(&mut self, terms: u64, is_map: bool) -> Result<Option<Seen>, Refusal> {
        if terms > self.source.left() {
            return Err(Refusal::Cut {
                at: self.source.at(),
            });
        }
        self.count(terms)?;
        if terms == 0 {
            return Ok(Some(Seen::Other));
        }
        let depth = self.open.len() as u64 + 1;
        self.counts.depth = self.counts.depth.max(depth);
        within(Limit::Depth, depth, self.budget.depth)?;
        self.open.push(Open {
            left: terms,
            is_map,
        });
        if is_map {
            self.maps.push(Map::new());
        }
        Ok(None)
    }

    /// Size, arity, unique value, index, number of free variables, module, old index, old unique value, pid; then the
    /// variables, which are terms.
    fn fun(&mut self) -> Result<Option<Seen>, Refusal> {
        self.allowed(Kind::Funs)?;
        self.source.skip(4 + 1 + 16 + 4)?;
        let variables = self.source.u32()?;
        self.inner_atom()?;
        for _ in 0..2 {
            let tag = self.source.byte()?;
            self.small(tag)?;
        }
        match self.source.byte()? {
            pid @ (tag::PID | tag::NEW_PID) => self.pid(pid)?,
            other => return Err(self.bad_tag(other)),
        }
        self.open(variables, false)
    }

    fn identifier(&mut self, tag: u8) -> Result<(), Refusal> {
        match tag {
            tag::PID | tag::NEW_PID => self.allowed(Kind::Pids).and_then(|()| self.pid(tag)),
            tag::PORT | tag::NEW_PORT | tag::V4_PORT => self.port(tag),
            tag::REFERENCE | tag::NEW_REFERENCE | tag::NEWER_REFERENCE => self.reference(tag),
            tag::EXPORT => self.export(),
            tag::LOCAL => Err(Refusal::Local),
            _ => Err(self.bad_tag(tag)),
        }
    }

    /// Node, id, serial, creation.
    fn pid(&mut self, tag: u8) -> Result<(), Refusal> {
        self.inner_atom()?;
        self.source.skip(if tag == tag::PID { 9 } else { 12 })
    }

    /// Node, id, creation.
    fn port(&mut self, tag: u8) -> Result<(), Refusal> {
        self.allowed(Kind::Ports)?;
        self.inner_atom()?;
        self.source.skip(match tag {
            tag::PORT => 5,
            tag::NEW_PORT => 8,
            _ => 12,
        })
    }

    /// Node, creation, words.
    fn reference(&mut self, tag: u8) -> Result<(), Refusal> {
        self.allowed(Kind::Refs)?;
        let words = match tag {
            tag::REFERENCE => 1,
            _ => u64::from(self.source.u16()?),
        };
        if !(1..=MAX_REF_WORDS).contains(&words) {
            return Err(self.bad_value());
        }
        self.inner_atom()?;
        let creation = if tag == tag::NEWER_REFERENCE { 4 } else { 1 };
        self.source.skip(creation + 4 * words)
    }

    /// Module, function, arity.
    fn export(&mut self) -> Result<(), Refusal> {
        self.allowed(Kind::Exports)?;
        self.inner_atom()?;
        self.inner_atom()?;
        let tag = self.source.byte()?;
        match self.small(tag)? {
            0..=255 => Ok(()),
            _ => Err(self.bad_value()),
        }
    }

    fn inner_atom(&mut self) -> Result<(), Refusal> {
        let tag = self.source.byte()?;
        self.atom(tag).map(|_| ())
    }

    fn allowed(&self, kind: Kind) -> Result<(), Refusal> {
        if self.budget.allow & kind.bit() == 0 && !knockout::out!("term_kind") {
            return Err(Refusal::NotAllowed(kind));
        }
        Ok(())
    }

    fn bad_tag(&self, tag: u8) -> Refusal {
        Refusal::Tag {
            tag,
            at: self.source.at() - 1,
        }
    }

    fn bad_value(&self) -> Refusal {
        Refusal::Value {
            at: self.source.at(),
        }
    }
}
