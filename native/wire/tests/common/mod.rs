//! A sink that keeps what it gets.

use merlon_wire::frame::Sink;
use merlon_wire::Error;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    Small(Vec<u8>),
    Big(Vec<u8>),
    Tick,
}

/// Keeps what it gets, and counts what it is made to allocate.
#[derive(Default)]
pub struct Kept {
    pub got: Vec<Got>,
    pub allocated: usize,
    pub grown: usize,
    pub out_of_memory: bool,
    pub short: bool,
}

impl Sink for Kept {
    type Big = Vec<u8>;

    fn big(&mut self, len: usize) -> Result<Vec<u8>, Error> {
        if self.out_of_memory {
            return Err(Error::NoMemory { len });
        }
        self.allocated = len;
        Ok(vec![0; len])
    }

    fn grow(&mut self, big: &mut Vec<u8>, len: usize) -> Result<(), Error> {
        assert!(len > big.len(), "growth that does not grow");
        big.resize(len, 0);
        self.allocated = len;
        self.grown += 1;
        Ok(())
    }

    fn bytes<'a>(&'a mut self, big: &'a mut Vec<u8>) -> &'a mut [u8] {
        if self.short {
            return &mut [];
        }
        big
    }

    fn big_done(&mut self, mut big: Vec<u8>, len: usize) {
        assert!(
            len <= big.len() && big.len() <= len + 70_001,
            "a buffer beyond its frame"
        );
        big.truncate(len);
        self.got.push(Got::Big(big));
    }

    fn small(&mut self, frame: &[u8]) {
        self.got.push(Got::Small(frame.to_vec()));
    }

    fn tick(&mut self) {
        self.got.push(Got::Tick);
    }
}
