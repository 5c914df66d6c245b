//! Two receivers of one stream: one opens in place, the other to another place. They must never differ.
#![allow(dead_code)] // each test file uses its part of this

use merlon_record::{Error, Opened, Rx, RxLimits, Suite};

pub struct Twin {
    pub in_place: Rx,
    pub apart: Rx,
}

impl Twin {
    pub fn new(suite: Suite, secret: &[u8], limits: RxLimits) -> Twin {
        let rx = || Rx::new(suite, secret, limits).unwrap();
        Twin {
            in_place: rx(),
            apart: rx(),
        }
    }

    /// What both make of the first record of `buf`.
    pub fn open<'a>(&mut self, buf: &'a mut [u8]) -> Result<Option<Opened<'a>>, Error> {
        let room = self.apart.peek(buf).unwrap_or_default();
        let mut dest = vec![0xAA; room + 3];
        let apart = self.apart.open_to(&mut buf.to_vec(), &mut dest);
        let in_place = self.in_place.open(buf);
        assert_eq!(apart, in_place);
        let (place, behind) = dest.split_at(room);
        let holds = |byte| place.iter().all(|b| *b == byte);
        match in_place {
            Ok(None) => assert!(holds(0xAA), "written before it is whole"),
            Err(Error::BadRecordMac) => assert!(holds(0), "not authentic, but left"),
            _ => {}
        }
        assert_eq!(behind, [0xAA; 3], "written beyond its room");
        in_place
    }

    pub fn records(&self) -> u64 {
        assert_eq!(self.in_place.records(), self.apart.records());
        self.apart.records()
    }

    pub fn key_updates(&self) -> u64 {
        assert_eq!(self.in_place.key_updates(), self.apart.key_updates());
        self.apart.key_updates()
    }

    pub fn end_of_stream(&self, leftover: usize) -> Result<(), Error> {
        let end = self.in_place.end_of_stream(leftover);
        assert_eq!(end, self.apart.end_of_stream(leftover));
        end
    }
}
