//! The `[session]` section: the venue's hours, when intraday positions are squared off, and the days without trading.

use std::io::Read as _;
use std::path::Path;

use api_sidecar::wire::parse_iso8601;
use engine::{ByClass, SessionCalendar, Timetable};

use super::error::ConfigError;
use super::file::{Scalar, SessionSection};
use super::value::Setting;
use crate::limits::CONFIG_FILE_BYTES_MAX;

/// NSE's hours and the usual square-offs before its close (VENUE.md, Sessions).
const PRE_OPEN: &str = "09:00";
const CONTINUOUS: &str = "09:15";
const CLOSING: &str = "15:30";
const CLOSING_DERIVATIVES: &str = "15:15";
const CLOSED: &str = "15:30";
const SQUARE_OFF: &str = "15:20";
const SQUARE_OFF_DERIVATIVES: &str = "15:10";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    AroundTheClock,
    Nse,
}

pub(super) fn session(section: &SessionSection) -> Result<SessionCalendar, ConfigError> {
    let mode = match &section.mode {
        Some(text) => Setting::new("session.mode", text.as_str())
            .one_of(&[("24h", Mode::AroundTheClock), ("nse", Mode::Nse)])?,
        None => Mode::AroundTheClock,
    };
    if mode == Mode::AroundTheClock {
        refuse_without_hours(section)?;
    }
    let calendar = SessionCalendar {
        timetables: match mode {
            Mode::AroundTheClock => None,
            Mode::Nse => Some(timetables(section)?),
        },
        square_off: ByClass {
            cash: square_off("square_off", &section.square_off, mode, SQUARE_OFF)?,
            derivatives: square_off(
                "square_off_derivatives",
                &section.square_off_derivatives,
                mode,
                SQUARE_OFF_DERIVATIVES,
            )?,
        },
        holidays: match &section.calendar {
            Some(path) => holidays(path)?,
            None => Vec::new(),
        },
    };
    calendar
        .check()
        .map_err(|why| ConfigError::setting("session", format!("cannot be used: {why}")))?;
    Ok(calendar)
}

/// Hours mean nothing where trading never ends.
fn refuse_without_hours(section: &SessionSection) -> Result<(), ConfigError> {
    let needless = [
        ("pre_open", section.pre_open.is_some()),
        ("continuous", section.continuous.is_some()),
        ("closing", section.closing.is_some()),
        ("closing_derivatives", section.closing_derivatives.is_some()),
        ("closed", section.closed.is_some()),
        ("calendar", section.calendar.is_some()),
    ];
    match needless.into_iter().find(|(_, is_there)| *is_there) {
        Some((name, _)) => Err(ConfigError::setting(
            format!("session.{name}"),
            "needs session.mode = \"nse\"",
        )),
        None => Ok(()),
    }
}

fn timetables(section: &SessionSection) -> Result<ByClass<Timetable>, ConfigError> {
    let cash = Timetable {
        pre_open: time("pre_open", &section.pre_open, PRE_OPEN)?,
        continuous: time("continuous", &section.continuous, CONTINUOUS)?,
        closing: time("closing", &section.closing, CLOSING)?,
        closed: time("closed", &section.closed, CLOSED)?,
    };
    let closing = time(
        "closing_derivatives",
        &section.closing_derivatives,
        CLOSING_DERIVATIVES,
    )?;
    let derivatives = Timetable { closing, ..cash };
    Ok(ByClass { cash, derivatives })
}

/// `off`, or a time; by default the usual one in `nse` and none around the clock.
fn square_off(
    name: &str,
    text: &Option<Scalar>,
    mode: Mode,
    default: &str,
) -> Result<Option<u32>, ConfigError> {
    match text {
        None if mode == Mode::AroundTheClock => Ok(None),
        Some(text) if text.as_str() == "off" => Ok(None),
        text => time(name, text, default).map(Some),
    }
}

/// `HH:MM` or `HH:MM:SS` in India, in seconds since midnight.
fn time(name: &str, text: &Option<Scalar>, default: &str) -> Result<u32, ConfigError> {
    let text = text.as_ref().map_or(default, Scalar::as_str);
    let setting = Setting::new(format!("session.{name}"), text);
    second_of_day(text).ok_or_else(|| setting.invalid("must be a time of the day in India, as 15:20"))
}

fn second_of_day(text: &str) -> Option<u32> {
    let mut parts = text.split(':').map(|part| {
        let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u32>().ok().filter(|_| digits)
    });
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().map_or(Some(0), |second| second)?;
    let fits = hour < 24 && minute < 60 && second < 60 && parts.next().is_none();
    fits.then_some(hour * 3_600 + minute * 60 + second)
}

/// One date a line; blank lines and what follows a `#` are left out.
fn holidays(path: &Path) -> Result<Vec<u32>, ConfigError> {
    let failed = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(CONFIG_FILE_BYTES_MAX).read_to_string(&mut text))
        .map_err(failed)?;
    let mut days = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let date = line.split('#').next().unwrap_or_default().trim();
        if date.is_empty() {
            continue;
        }
        days.push(day_of(date).ok_or_else(|| ConfigError::File {
            path: path.to_owned(),
            line: number,
            message: format!("a holiday is a date, as 2026-01-26, not \"{date}\""),
        })?);
    }
    days.sort_unstable();
    days.dedup();
    Ok(days)
}

/// The trading day of `YYYY-MM-DD`.
fn day_of(date: &str) -> Option<u32> {
    let noon = parse_iso8601(&format!("{date}T12:00:00+05:30"))?;
    (date.len() == 10).then(|| noon.trading_day())
}

#[cfg(test)]
mod tests {
    use super::super::file::File;
    use super::*;

    fn session_of(toml: &str) -> Result<SessionCalendar, ConfigError> {
        let file = File::parse(&format!("[session]\n{toml}"), Path::new("pinion.toml"))?;
        session(&file.session)
    }

    const HOUR: u32 = 3_600;

    #[test]
    fn around_the_clock_is_the_default_and_squares_off_only_when_told() {
        assert_eq!(session_of("").unwrap(), SessionCalendar::default());
        let calendar = session_of("square_off = \"15:20\"").unwrap();
        assert_eq!(calendar.timetables, None);
        assert_eq!(calendar.square_off.cash, Some(15 * HOUR + 20 * 60));
        assert_eq!(calendar.square_off.derivatives, None);
    }

    #[test]
    fn nse_has_its_hours_and_the_files_days_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("holidays.txt");
        std::fs::write(&path, "# 2026\n2026-11-24  # a festival\n\n2026-01-26\n").unwrap();
        let toml = format!(
            "mode = \"nse\"\ncalendar = \"{}\"\nsquare_off_derivatives = \"off\"\nclosing_derivatives = \"15:14:30\"",
            path.display()
        );
        let calendar = session_of(&toml).unwrap();
        let timetables = calendar.timetables.unwrap();
        assert_eq!(timetables.cash.continuous, 9 * HOUR + 15 * 60);
        assert_eq!(timetables.cash.closing, timetables.cash.closed);
        assert_eq!(timetables.derivatives.closing, 15 * HOUR + 14 * 60 + 30);
        assert_eq!(calendar.square_off.cash, Some(15 * HOUR + 20 * 60));
        assert_eq!(calendar.square_off.derivatives, None);
        // Days since 1970.
        assert_eq!(calendar.holidays, [20_479, 20_781]);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let check = |toml: &str, part: &str| {
            let message = session_of(toml).unwrap_err().to_string();
            assert!(message.contains(part), "{message:?} lacks {part:?}");
        };
        check("mode = \"nyse\"", "session.mode must be 24h or nse");
        check("closed = \"15:30\"", "session.closed needs session.mode");
        check("square_off = \"25:00\"", "session.square_off must be a time");
        check("square_off = \"9:5\"", "session.square_off must be a time");
        check(
            "mode = \"nse\"\nsquare_off = \"15:45\"",
            "during continuous trading",
        );
        check("mode = \"nse\"\npre_open = \"10:00\"", "in order");
        check("mode = \"nse\"\ncalendar = \"/nonexistent\"", "/nonexistent");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("holidays.txt");
        std::fs::write(&path, "2026-11-24\nDiwali\n").unwrap();
        let toml = format!("mode = \"nse\"\ncalendar = \"{}\"", path.display());
        check(&toml, "holidays.txt, line 2");
    }
}
