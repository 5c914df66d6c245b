//! Seconds since 1970 and the two ways in which AWS writes them.

const DAY: u64 = 86_400;

/// `20150830T123600Z`.
pub(crate) fn basic(now: u64) -> String {
    let (year, month, day) = civil(now / DAY);
    let (hour, minute, second) = (now % DAY / 3600, now % 3600 / 60, now % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// The seconds of `2015-08-30T12:36:00Z`, fractions cut off.
pub(crate) fn extended(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let sound =
        year >= 1970 && (1..=12).contains(&month) && (1..=31).contains(&day) && text.ends_with('Z');
    sound.then(|| days(year, month, day) * DAY + hour * 3600 + minute * 60 + second)
}

/// Days since 1970 of a date of the Gregorian calendar: years begin in March, so that the leap day ends them.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468
}

fn civil(days_since_1970: u64) -> (u64, u64, u64) {
    // The year by guess, then right: at most one too many.
    let mut year = 1970 + days_since_1970 / 365;
    while days(year, 1, 1) > days_since_1970 {
        year -= 1;
    }
    let month = (1..=12)
        .rev()
        .find(|month| days(year, *month, 1) <= days_since_1970)
        .unwrap_or(1);
    (year, month, days_since_1970 - days(year, month, 1) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read() {
        assert_eq!(basic(1_440_938_160), "20150830T123600Z");
        assert_eq!(extended("2015-08-30T12:36:00Z"), Some(1_440_938_160));
        assert_eq!(extended("2015-08-30T12:36:00.123Z"), Some(1_440_938_160));
        assert_eq!(basic(0), "19700101T000000Z");
        assert_eq!(basic(951_782_400), "20000229T000000Z");
        assert_eq!(basic(4_107_542_399), "21000228T235959Z");
        assert_eq!(basic(4_107_542_400), "21000301T000000Z");
        assert_eq!(extended("yesterday"), None);
        assert_eq!(extended("2015-13-30T12:36:00Z"), None);
    }

    #[test]
    fn every_day_comes_back() {
        for day in 0..60_000 {
            let (year, month, date) = civil(day);
            assert_eq!(days(year, month, date), day);
        }
    }
}
