//! Dates as IMAP writes them (RFC 9051 §9: `date`, `date-time`).

use crate::cursor::{Cursor, Fault};
use jiff::{Timestamp, civil, tz::Offset};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A calendar day, as the SEARCH keys take it. Days order as on a calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(civil::Date);

impl Date {
    /// The day in UTC on which a moment (seconds since 1970) lies; the nearest day that can be
    /// written when it lies beyond all of them.
    pub fn of_unix(seconds: i64) -> Self {
        Self(civil_of(seconds).date())
    }

    /// ABNF: `date = date-text / DQUOTE date-text DQUOTE`,
    /// `date-text = date-day "-" date-month "-" date-year`.
    pub(crate) fn read(c: &mut Cursor<'_>) -> Result<Self, Fault> {
        let quoted = c.eat(b'"');
        let day = c.digits(1, 2)?;
        let (month, year) = month_and_year(c)?;
        if quoted {
            c.expect(b'"')?;
        }
        civil_date(year, month, day).map(Self)
    }
}

/// A moment as APPEND and INTERNALDATE write it, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DateTime(i64);

impl DateTime {
    /// The moment of so many seconds since 1970.
    pub fn from_unix(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Seconds since 1970.
    pub fn unix(self) -> i64 {
        self.0
    }

    /// ABNF: `date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE`,
    /// `date-day-fixed = (SP DIGIT) / 2DIGIT`, `zone = ("+" / "-") 4DIGIT`.
    pub(crate) fn read(c: &mut Cursor<'_>) -> Result<Self, Fault> {
        c.expect(b'"')?;
        let day = if c.eat(b' ') { c.digits(1, 1)? } else { c.digits(1, 2)? };
        let (month, year) = month_and_year(c)?;
        c.space()?;
        let hour = c.digits(2, 2)?;
        c.expect(b':')?;
        let minute = c.digits(2, 2)?;
        c.expect(b':')?;
        // A leap second has no number of its own on a Unix clock.
        let second = c.digits(2, 2)?.min(59);
        c.space()?;
        let offset = zone(c)?;
        c.expect(b'"')?;
        let fault = Fault::Expected("a time that exists");
        let time =
            civil::Time::new(hour as i8, minute as i8, second as i8, 0).map_err(|_| fault)?;
        let moment = civil_date(year, month, day)?.to_datetime(time);
        let moment = offset.to_timestamp(moment).map_err(|_| fault)?;
        Ok(Self(moment.as_second()))
    }

    /// Appends the moment in UTC: `"01-Jan-2026 08:00:00 +0000"`, quotes included.
    pub fn write(self, out: &mut Vec<u8>) {
        let at = civil_of(self.0);
        let month = MONTHS[usize::from(at.month().unsigned_abs() - 1).min(11)];
        let text = format!(
            "\"{:02}-{month}-{:04} {:02}:{:02}:{:02} +0000\"",
            at.day(),
            at.year().max(0),
            at.hour(),
            at.minute(),
            at.second()
        );
        out.extend_from_slice(text.as_bytes());
    }
}

fn civil_of(seconds: i64) -> civil::DateTime {
    let last = if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Offset::UTC.to_datetime(Timestamp::from_second(seconds).unwrap_or(last))
}

fn month_and_year(c: &mut Cursor<'_>) -> Result<(u32, u32), Fault> {
    c.expect(b'-')?;
    let name = c.take(3)?;
    let month = MONTHS.iter().position(|m| m.as_bytes().eq_ignore_ascii_case(name));
    let month = month.ok_or(Fault::Expected("a month"))? as u32 + 1;
    c.expect(b'-')?;
    Ok((month, c.digits(4, 4)?))
}

fn zone(c: &mut Cursor<'_>) -> Result<Offset, Fault> {
    let west = match c.take(1)? {
        b"+" => false,
        b"-" => true,
        _ => return Err(Fault::Expected("a zone")),
    };
    let (hours, minutes) = (c.digits(2, 2)? as i32, c.digits(2, 2)? as i32);
    let seconds = (hours * 60 + minutes) * 60;
    let seconds = if west { -seconds } else { seconds };
    Offset::from_seconds(seconds).map_err(|_| Fault::Expected("a zone"))
}

fn civil_date(year: u32, month: u32, day: u32) -> Result<civil::Date, Fault> {
    civil::Date::new(year as i16, month as i8, day as i8)
        .map_err(|_| Fault::Expected("a day that exists"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn moment(text: &str) -> Result<i64, Fault> {
        let mut c = Cursor::new(text.as_bytes(), false);
        DateTime::read(&mut c).map(DateTime::unix)
    }

    #[test]
    fn moments_count_from_1970_in_utc() {
        assert_eq!(moment("\" 1-Jan-1970 00:00:00 +0000\""), Ok(0));
        assert_eq!(moment("\"01-jan-1970 01:00:00 +0100\""), Ok(0));
        assert_eq!(moment("\"17-Jul-1996 02:44:25 -0700\""), Ok(837_596_665));
        for bad in ["\"31-Feb-2024 00:00:00 +0000\"", "\"1-Foo-2024 00:00:00 +0000\"", "\"\""] {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn days_are_read_with_and_without_quotes() {
        let day = |text: &str| Date::read(&mut Cursor::new(text.as_bytes(), false));
        assert_eq!(day("1-Feb-1994"), day("\"01-FEB-1994\""));
        assert!(day("1-Feb-1994").unwrap() < day("2-Feb-1994").unwrap());
        assert_eq!(day("1-Jan-1970").unwrap(), Date::of_unix(86_399));
        assert_ne!(day("1-Jan-1970").unwrap(), Date::of_unix(86_400));
        assert!(day("30-Feb-2026").is_err());
    }

    proptest! {
        #[test]
        fn moments_come_back(seconds in 0_i64..253_402_300_799) {
            let mut out = Vec::new();
            DateTime::from_unix(seconds).write(&mut out);
            let mut c = Cursor::new(&out, false);
            prop_assert_eq!(DateTime::read(&mut c).map(DateTime::unix), Ok(seconds));
        }

        #[test]
        fn any_number_can_be_written(seconds in any::<i64>()) {
            DateTime::from_unix(seconds).write(&mut Vec::new());
            let _ = Date::of_unix(seconds);
        }
    }
}
