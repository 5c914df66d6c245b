use zeroize::Zeroize;

/// A value that is wiped when dropped, and that nothing prints, copies or compares by accident.
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes charge of `value`. Copies made before are the caller's to wipe.
    pub fn new(value: T) -> Secret<T> {
        Secret(value)
    }

    /// The value, for as long as it is needed.
    pub fn expose(&self) -> &T {
        &self.0
    }

    /// The value, to be filled in its place.
    pub fn expose_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    struct Witness(Rc<Cell<bool>>);

    impl Zeroize for Witness {
        fn zeroize(&mut self) {
            self.0.set(true);
        }
    }

    #[test]
    fn a_dropped_secret_does_not_stay_in_memory() {
        let wiped = Rc::new(Cell::new(false));
        let secret = Secret::new(Witness(wiped.clone()));
        assert!(!secret.expose().0.get());
        drop(secret);
        assert!(wiped.get());
    }
}
