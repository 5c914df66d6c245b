/// Lanes of a link.
pub const LANES: u8 = 8;

const FIRST_LANE: u8 = 0xE0;
const FIRST_LAST: u8 = FIRST_LANE + LANES;

/// The inner content types that Merlon sends and takes (RFC 8446 5.1, plus some of our own).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// Alerts.
    Alert,
    /// Post-handshake messages: KeyUpdate, NewSessionTicket.
    Handshake,
    /// The stream's bytes.
    ApplicationData,
    /// Bytes of a stream beside it. Only ever inside ALPN `merlon/1`.
    Lane(Lane),
    /// The same, and the message on that lane ends with this record.
    LastOnLane(Lane),
    /// A message of one carrier to the other, outside all streams. Only ever inside ALPN `merlon/1`.
    Control,
}

impl ContentType {
    /// The byte that stands for it on the wire.
    pub(crate) const fn code(self) -> u8 {
        match self {
            ContentType::Alert => 21,
            ContentType::Handshake => 22,
            ContentType::ApplicationData => 23,
            ContentType::Lane(Lane(number)) => FIRST_LANE + number,
            ContentType::LastOnLane(Lane(number)) => FIRST_LAST + number,
            ContentType::Control => 0xF0,
        }
    }

    /// Whether no other implementation of TLS knows it.
    pub(crate) fn is_ours(self) -> bool {
        self.code() >= FIRST_LANE && !knockout::out!("foreign_types")
    }

    pub(crate) fn of_code(code: u8) -> Option<ContentType> {
        match code {
            21 => Some(ContentType::Alert),
            22 => Some(ContentType::Handshake),
            23 => Some(ContentType::ApplicationData),
            0xF0 => Some(ContentType::Control),
            FIRST_LAST.. => Lane::new(code - FIRST_LAST).map(ContentType::LastOnLane),
            FIRST_LANE.. => Lane::new(code - FIRST_LANE).map(ContentType::Lane),
            _ => None,
        }
    }
}

/// One of the [`LANES`] streams beside the main one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lane(u8);

impl Lane {
    /// The lane of this number; `None` from [`LANES`] on.
    pub const fn new(number: u8) -> Option<Lane> {
        if number < LANES {
            Some(Lane(number))
        } else {
            None
        }
    }

    /// Below [`LANES`].
    pub const fn number(self) -> u8 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_code_of_its_own() {
        let known: Vec<u8> = (0..=255)
            .filter(|code| ContentType::of_code(*code).is_some())
            .collect();
        let lanes: Vec<u8> = (0xE0..0xF0).collect();
        assert_eq!(known, [&[21, 22, 23], &lanes[..], &[0xF0]].concat());
        for code in known {
            assert_eq!(
                ContentType::of_code(code).map(ContentType::code),
                Some(code)
            );
        }
        assert_eq!(Lane::new(LANES), None);
        assert_eq!(Lane::new(7).map(Lane::number), Some(7));
    }
}
