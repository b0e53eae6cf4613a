//! Raw requests parsed into what the routes need: path segments, query, caller.

use core::str::FromStr;

use engine::{AccountId, Seq, Timestamp};
use percent_encoding::percent_decode_str;
use read_model::ReadModel;

use super::answer::Answer;
use crate::auth::Role;
use crate::wire::parse_iso8601;

/// Whole numbers beyond are not exact in every JSON reader (2^53 - 1), so none is asked for.
const JSON_INTEGER_MAX: usize = 9_007_199_254_740_991;

/// The path and query of a request target, decoded.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) segments: Vec<String>,
    pub(super) query: Query,
}

impl Target {
    /// `None` where the target is not an absolute path of valid percent-encoded UTF-8.
    pub(super) fn parse(target: &str) -> Option<Target> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let segments = path
            .strip_prefix('/')?
            .split('/')
            .map(decode)
            .collect::<Option<Vec<String>>>()?;
        Some(Target {
            segments,
            query: Query::parse(query)?,
        })
    }
}

/// The parameters of a query.
#[derive(Clone, Debug, Default)]
pub(super) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    fn parse(text: &str) -> Option<Query> {
        let pairs = text
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Some((
                    decode(&name.replace('+', " "))?,
                    decode(&value.replace('+', " "))?,
                ))
            })
            .collect::<Option<Vec<_>>>()?;
        Some(Query { pairs })
    }

    /// A parameter that is given more than once: which of them counts would be a guess.
    pub(super) fn repeated(&self) -> Option<&str> {
        let mut names = self.pairs.iter().map(|(name, _)| name.as_str()).enumerate();
        names.find_map(|(at, name)| {
            self.pairs[..at]
                .iter()
                .any(|(earlier, _)| earlier == name)
                .then_some(name)
        })
    }

    /// `None` also for an empty value.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.text(name), Some("1" | "true" | "yes"))
    }

    /// A parameter of a type that parses itself; `expected` completes the sentence "NAME must be …".
    pub(super) fn parsed<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, Answer> {
        self.text(name)
            .map(|text| text.parse().map_err(|_| invalid(name, expected)))
            .transpose()
    }

    /// A count from 1, cut to `max`.
    pub(super) fn count(&self, name: &str, default: usize, max: usize) -> Result<usize, Answer> {
        let expected = "a whole number from 1";
        match self.parsed::<usize>(name, expected)? {
            None => Ok(default.min(max)),
            Some(count) if (1..=JSON_INTEGER_MAX).contains(&count) => Ok(count.min(max)),
            Some(_) => Err(invalid(name, expected)),
        }
    }

    /// A whole number that is exact in every JSON reader; `expected` as for [`Query::parsed`].
    pub(super) fn integer(&self, name: &str, expected: &str) -> Result<Option<i64>, Answer> {
        let number = self.parsed::<i64>(name, expected)?;
        match number.is_none_or(|number| number.unsigned_abs() <= JSON_INTEGER_MAX as u64) {
            true => Ok(number),
            false => Err(invalid(name, expected)),
        }
    }

    /// Where a page begins.
    pub(super) fn cursor(&self) -> Result<Option<i64>, Answer> {
        self.integer("cursor", "the next_cursor of a previous page")
    }

    /// An instant in ISO 8601, or a date, which means its start in India; where `end_of_day` is set, its end.
    pub(super) fn instant(&self, name: &str, end_of_day: bool) -> Result<Option<Timestamp>, Answer> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let expected = "an ISO 8601 instant or a date (YYYY-MM-DD)";
        let date = text.len() == 10;
        // The `+` of a zone is a space after query decoding.
        let instant = if date {
            parse_iso8601(&format!("{text}T00:00:00+05:30"))
        } else {
            parse_iso8601(text).or_else(|| parse_iso8601(&text.replace(' ', "+")))
        };
        let instant = instant.ok_or_else(|| invalid(name, expected))?;
        Ok(Some(if date && end_of_day {
            Timestamp::start_of_trading_day(instant.trading_day().saturating_add(1))
        } else {
            instant
        }))
    }
}

fn decode(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(String::from)
}

pub(super) fn invalid(name: &str, expected: &str) -> Answer {
    Answer::error(400, format_args!("Invalid parameter: {name} must be {expected}"))
}

/// Who asks, as the gateway vouches for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Caller {
    pub(super) account: AccountId,
    pub(super) name: String,
    pub(super) role: Role,
    /// The last position of the journal that the caller was told about.
    pub(super) min_seq: Seq,
}

impl Caller {
    /// From the request's headers, looked up by lower-case name. `None` where the gateway vouches for nobody.
    pub(super) fn parse<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Option<Caller> {
        Some(Caller {
            account: AccountId::new(header("x-pinion-account")?.parse().ok()?),
            name: String::from(header("x-pinion-account-name").unwrap_or("")),
            role: header("x-pinion-role")?.parse().ok()?,
            min_seq: Seq::new(header("x-pinion-min-seq").unwrap_or("0").parse().ok()?),
        })
    }

    /// Whether the caller may see what belongs to `account`.
    pub(super) fn may_see(&self, account: AccountId) -> bool {
        self.role == Role::Admin || account == self.account
    }

    /// The account of `?account=`, the caller's own by default; `None` for all (`*`, admins only).
    pub(super) fn scope(&self, query: &Query, model: &ReadModel) -> Result<Option<AccountId>, Answer> {
        match query.text("account") {
            None => Ok(Some(self.account)),
            Some(name) if name == self.name => Ok(Some(self.account)),
            Some(_) if self.role != Role::Admin => {
                Err(Answer::error(403, "Only an admin may see another account"))
            }
            Some("*") => Ok(None),
            Some(name) => match model.account_by_name(name) {
                Some(account) => Ok(Some(account)),
                None => Err(Answer::error(404, "Account not found")),
            },
        }
    }

    /// [`Caller::scope`] for routes about exactly one account.
    pub(super) fn one_account(&self, query: &Query, model: &ReadModel) -> Result<AccountId, Answer> {
        self.scope(query, model)?
            .ok_or_else(|| Answer::error(400, "This route is about one account: name it"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_decoded_once() {
        let target = Target::parse("/api/oms/depth/M%26M?levels=3&x=a+b%2B&levels=9&empty=").unwrap();
        assert_eq!(target.segments, ["api", "oms", "depth", "M&M"]);
        assert_eq!(target.query.text("levels"), Some("3"));
        assert_eq!(target.query.repeated(), Some("levels"));
        assert_eq!(Query::parse("a=1&b=1&c").unwrap().repeated(), None);
        assert_eq!(target.query.text("x"), Some("a b+"));
        assert_eq!(target.query.text("empty"), None);
        assert!(Target::parse("/a%ff").is_none());
        assert!(Target::parse("*").is_none());
        assert!(Target::parse("/a?b=%c3%28").is_none());
    }

    #[test]
    fn whole_numbers_are_those_of_every_json_reader() {
        let cursor = |query: &str| {
            let found = Query::parse(query).unwrap().cursor();
            found.map_err(|answer| answer.status)
        };
        assert_eq!(cursor("cursor=9007199254740991"), Ok(Some(9_007_199_254_740_991)));
        assert_eq!(
            cursor("cursor=-9007199254740991"),
            Ok(Some(-9_007_199_254_740_991))
        );
        assert_eq!(cursor("cursor="), Ok(None));
        for beyond in [
            "9007199254740992",
            "-9007199254740992",
            "-9223372036854775808",
            "1e3",
            "x",
        ] {
            assert_eq!(cursor(&format!("cursor={beyond}")), Err(400), "{beyond}");
        }
    }

    #[test]
    fn a_date_is_a_day_in_india() {
        let instant = |query: &str, end: bool| {
            let query = Query::parse(query).unwrap();
            query
                .instant("t", end)
                .map(|t| t.map(Timestamp::nanos))
                .map_err(|answer| answer.status)
        };
        let start = instant("t=2026-08-04T18:30:00Z", false);
        assert!(matches!(start, Ok(Some(_))));
        assert_eq!(instant("t=2026-08-05", false), start);
        assert_eq!(instant("t=2026-08-04", true), start);
        assert_eq!(instant("t=2026-08-05T00:00:00+05:30", false), start);
        assert_eq!(instant("t=2026-08-05T00:00:00%2B05:30", false), start);
        assert_eq!(instant("", false), Ok(None));
        assert_eq!(instant("t=yesterday", false), Err(400));
        assert_eq!(instant("t=2026-02-30", false), Err(400));
    }

    #[test]
    fn nobody_is_assumed() {
        let caller = |headers: &'static [(&'static str, &'static str)]| {
            Caller::parse(|name| {
                headers
                    .iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| *value)
            })
        };
        assert!(caller(&[("x-pinion-account", "3"), ("x-pinion-role", "trader")]).is_some());
        assert!(caller(&[("x-pinion-role", "admin")]).is_none());
        assert!(caller(&[("x-pinion-account", "3")]).is_none());
        assert!(caller(&[("x-pinion-account", "3"), ("x-pinion-role", "root")]).is_none());
        assert!(
            caller(&[
                ("x-pinion-account", "3"),
                ("x-pinion-role", "admin"),
                ("x-pinion-min-seq", "-1")
            ])
            .is_none()
        );
    }
}
