use zeroize::Zeroize;

use crate::{Error, Secret};

/// `len` times `zero`, wiped when dropped. A refusal of the allocator is an error and not an abort.
pub(crate) fn blocks<T: Clone + Zeroize>(len: usize, zero: T) -> Result<Secret<Vec<T>>, Error> {
    let mut blocks = Vec::new();
    if blocks.try_reserve_exact(len).is_err() {
        let kib = (len as u64).saturating_mul(size_of::<T>() as u64) / 1024;
        return Err(Error::OutOfMemory { kib });
    }
    blocks.resize(len, zero);
    Ok(Secret::new(blocks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allocation_that_the_system_refuses_is_an_error_and_not_an_abort() {
        let len = isize::MAX as usize / 1024;
        let refused = blocks(len, [0u64; 128]).err();
        assert_eq!(refused, Some(Error::OutOfMemory { kib: len as u64 }));
        assert!(blocks(usize::MAX, [0u64; 128]).is_err(), "overflow");
    }
}
