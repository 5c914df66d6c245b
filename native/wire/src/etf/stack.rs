//! A stack whose lowest entries are in place: most terms are nested little, and memory takes longer than they do.

pub struct Stack<T, const FEW: usize> {
    few: [T; FEW],
    many: Vec<T>,
    len: usize,
}

impl<T: Copy, const FEW: usize> Stack<T, FEW> {
    /// An empty one.
    #[inline]
    pub fn new(blank: T) -> Self {
        let (few, many) = ([blank; FEW], Vec::new());
        Stack { few, many, len: 0 }
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub fn push(&mut self, entry: T) {
        match self.few.get_mut(self.len) {
            Some(place) => *place = entry,
            None => self.many.push(entry),
        }
        self.len += 1;
    }

    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        self.len = self.len.checked_sub(1)?;
        match self.few.get(self.len) {
            Some(entry) => Some(*entry),
            None => self.many.pop(),
        }
    }

    #[inline]
    pub fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        match at.checked_sub(FEW) {
            None if at < self.len => self.few.get_mut(at),
            None => None,
            Some(at) => self.many.get_mut(at),
        }
    }

    #[inline]
    pub fn last_mut(&mut self) -> Option<&mut T> {
        self.get_mut(self.len.checked_sub(1)?)
    }
}
