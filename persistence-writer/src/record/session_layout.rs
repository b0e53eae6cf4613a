//! The layout of a calendar: which parts there are, the times of both classes of instruments in seconds since midnight
//! in India, and the holidays as a tail of days.

use engine::{ByClass, SessionCalendar, Timetable};

use super::RecordError;
use super::fields::{Decoder, Encoder, Put};

const TIMETABLES: u8 = 1;
const SQUARE_OFF_CASH: u8 = 2;
const SQUARE_OFF_DERIVATIVES: u8 = 4;
const ALL_BITS: u8 = 7;

/// What stands where the calendar has no timetables.
const NONE: Timetable = Timetable {
    pre_open: 0,
    continuous: 0,
    closing: 0,
    closed: 0,
};

pub(super) fn put_session(e: &mut Encoder<'_>, calendar: &SessionCalendar) {
    let SessionCalendar {
        timetables,
        square_off,
        holidays,
    } = calendar;
    let bits = u8::from(timetables.is_some()) * TIMETABLES
        + u8::from(square_off.cash.is_some()) * SQUARE_OFF_CASH
        + u8::from(square_off.derivatives.is_some()) * SQUARE_OFF_DERIVATIVES;
    e.u8(bits);
    let none = ByClass {
        cash: NONE,
        derivatives: NONE,
    };
    let timetables = timetables.unwrap_or(none);
    put_timetable(e, &timetables.cash);
    put_timetable(e, &timetables.derivatives);
    e.u32(square_off.cash.unwrap_or(0));
    e.u32(square_off.derivatives.unwrap_or(0));
    e.u16(u16::try_from(holidays.len()).expect("HOLIDAYS_MAX fits in 16 bits"));
    for day in holidays {
        e.u32(*day);
    }
}

pub(super) fn take_session(d: &mut Decoder<'_>) -> Result<SessionCalendar, RecordError> {
    let bits = d.u8()?;
    if bits & !ALL_BITS != 0 {
        return Err(RecordError::UnknownCode {
            field: "calendar",
            code: bits,
        });
    }
    let timetables = ByClass {
        cash: take_timetable(d)?,
        derivatives: take_timetable(d)?,
    };
    let timetables = match (bits & TIMETABLES != 0, timetables) {
        (true, timetables) => Some(timetables),
        (
            false,
            ByClass {
                cash: NONE,
                derivatives: NONE,
            },
        ) => None,
        (false, _) => return Err(RecordError::NotCanonical { field: "timetables" }),
    };
    let square_off = ByClass {
        cash: square_off(bits & SQUARE_OFF_CASH != 0, d.u32()?)?,
        derivatives: square_off(bits & SQUARE_OFF_DERIVATIVES != 0, d.u32()?)?,
    };
    let count = d.u16()?;
    let holidays = (0..count).map(|_| d.u32()).collect::<Result<_, _>>()?;
    Ok(SessionCalendar {
        timetables,
        square_off,
        holidays,
    })
}

fn square_off(is_there: bool, second: u32) -> Result<Option<u32>, RecordError> {
    match (is_there, second) {
        (true, second) => Ok(Some(second)),
        (false, 0) => Ok(None),
        (false, _) => Err(RecordError::NotCanonical { field: "square_off" }),
    }
}

fn put_timetable(e: &mut Encoder<'_>, timetable: &Timetable) {
    let Timetable {
        pre_open,
        continuous,
        closing,
        closed,
    } = *timetable;
    e.u32(pre_open);
    e.u32(continuous);
    e.u32(closing);
    e.u32(closed);
}

fn take_timetable(d: &mut Decoder<'_>) -> Result<Timetable, RecordError> {
    Ok(Timetable {
        pre_open: d.u32()?,
        continuous: d.u32()?,
        closing: d.u32()?,
        closed: d.u32()?,
    })
}
