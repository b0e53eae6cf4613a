//! Charge rates by effective date: the built-in ones, with what the file changes from its dates on.

use engine::limits::CHARGE_RATES_MAX;
use engine::{ChargeRate, ChargeRates, Money, ProductRates};

use super::error::ConfigError;
use super::file::{ChargesSection, ProductChargesSection, Scalar};
use super::value::Setting;
use crate::limits::BROKERAGE_CAP_MAX;

/// The rates of every date, in order. What a section leaves out stays as it was before its date; before the first date
/// hold the built-in rates (RISK.md, Charges).
pub(super) fn rates(sections: &[ChargesSection]) -> Result<Vec<ChargeRates>, ConfigError> {
    let mut dated = sections
        .iter()
        .enumerate()
        .map(|(at, section)| {
            let setting = Setting::new(
                format!("charges[{at}].effective_from"),
                section.effective_from.as_str(),
            );
            Ok((setting.date()?, at, section))
        })
        .collect::<Result<Vec<_>, ConfigError>>()?;
    dated.sort_unstable_by_key(|&(date, at, _)| (date, at));
    let mut rates = vec![ChargeRates::built_in()];
    for (effective_from, at, section) in dated {
        let before = *rates.last().expect("the built-in rates are first");
        let of_date = ChargeRates {
            effective_from,
            ..laid_over(&before, section, &format!("charges[{at}]"))?
        };
        match (effective_from == before.effective_from, rates.len()) {
            (false, CHARGE_RATES_MAX..) => {
                let reason = format!("lists more than {} dates", CHARGE_RATES_MAX - 1);
                return Err(ConfigError::setting("charges", reason));
            }
            (false, _) => rates.push(of_date),
            // The beginning of time is the built-in rates' own date.
            (true, 1) => rates = vec![of_date],
            (true, _) => {
                let reason = "is a date that another section has";
                return Err(ConfigError::setting(
                    format!("charges[{at}].effective_from"),
                    reason,
                ));
            }
        }
    }
    Ok(rates)
}

fn laid_over(before: &ChargeRates, section: &ChargesSection, key: &str) -> Result<ChargeRates, ConfigError> {
    let rate = |name: &str, text, before| rate(&format!("{key}.{name}"), text, before);
    Ok(ChargeRates {
        exchange: rate("exchange", &section.exchange, before.exchange)?,
        sebi: rate("sebi", &section.sebi, before.sebi)?,
        gst: rate("gst", &section.gst, before.gst)?,
        mis: product(&before.mis, &section.mis, &format!("{key}.mis"))?,
        cnc: product(&before.cnc, &section.cnc, &format!("{key}.cnc"))?,
        ..*before
    })
}

fn product(
    before: &ProductRates,
    section: &ProductChargesSection,
    key: &str,
) -> Result<ProductRates, ConfigError> {
    let rate = |name: &str, text, before| rate(&format!("{key}.{name}"), text, before);
    let cap = |text: &Scalar| {
        let setting = Setting::new(format!("{key}.brokerage_max"), text.as_str());
        match text.as_str() {
            "off" => Ok(None),
            _ => setting.money(Money::ZERO..=BROKERAGE_CAP_MAX).map(Some),
        }
    };
    let brokerage_max = section.brokerage_max.as_ref().map(cap).transpose()?;
    Ok(ProductRates {
        brokerage: rate("brokerage", &section.brokerage, before.brokerage)?,
        brokerage_max: brokerage_max.unwrap_or(before.brokerage_max),
        stt_buy: rate("stt_buy", &section.stt_buy, before.stt_buy)?,
        stt_sell: rate("stt_sell", &section.stt_sell, before.stt_sell)?,
        stamp_duty_buy: rate("stamp_duty_buy", &section.stamp_duty_buy, before.stamp_duty_buy)?,
    })
}

fn rate(key: &str, text: &Option<Scalar>, before: ChargeRate) -> Result<ChargeRate, ConfigError> {
    let Some(text) = text else { return Ok(before) };
    text.as_str().parse().map_err(|_| {
        let reason = "must be a decimal part of the turnover from 0 to 1, with at most nine decimals";
        Setting::new(key, text.as_str()).invalid(reason)
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::file::File;
    use super::*;

    fn read(text: &str) -> Result<Vec<ChargeRates>, ConfigError> {
        rates(&File::parse(text, Path::new("pinion.toml"))?.charges)
    }

    fn ppb(rate: &str) -> ChargeRate {
        rate.parse().unwrap()
    }

    #[test]
    fn a_date_changes_only_what_it_names() {
        let built_in = ChargeRates::built_in();
        assert_eq!(read("").unwrap(), [built_in]);
        let found = read(
            "[[charges]]\neffective_from = \"2027-04-01\"\nmis.brokerage_max = \"off\"\n\
             [[charges]]\neffective_from = \"2026-10-01\"\nexchange = \"0.0000297\"\n\
             [charges.cnc]\nbrokerage = \"0.001\"\nbrokerage_max = \"25.50\"",
        )
        .unwrap();
        let october = ChargeRates {
            effective_from: 20_727,
            exchange: ppb("0.0000297"),
            cnc: ProductRates {
                brokerage: ppb("0.001"),
                brokerage_max: Some(Money::from_paise(2_550)),
                ..built_in.cnc
            },
            ..built_in
        };
        let april = ChargeRates {
            effective_from: 20_909,
            mis: ProductRates {
                brokerage_max: None,
                ..built_in.mis
            },
            ..october
        };
        assert_eq!(found, [built_in, october, april]);
        let own_beginning = read("[[charges]]\neffective_from = \"1970-01-01\"\ngst = 0").unwrap();
        assert_eq!(
            own_beginning,
            [ChargeRates {
                gst: ppb("0"),
                ..built_in
            }]
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |text: &str, parts: &[&str]| {
            let message = read(text).unwrap_err().to_string();
            for part in parts {
                assert!(message.contains(part), "{message:?} lacks {part:?}");
            }
        };
        let section = |rest: &str| format!("[[charges]]\neffective_from = \"2026-10-01\"\n{rest}\n");
        check("[[charges]]\ngst = 0", &["effective_from"]);
        check(
            "[[charges]]\neffective_from = \"2026-02-29\"",
            &["charges[0].effective_from", "2026-02-29"],
        );
        check(
            &section("gst = \"18%\""),
            &["charges[0].gst", "18%", "nine decimals"],
        );
        check(&section("gst = \"1.1\""), &["charges[0].gst"]);
        check(&section("mis.stt_buy = \"-0.1\""), &["charges[0].mis.stt_buy"]);
        check(
            &section("mis.brokerage_max = \"-1\""),
            &["charges[0].mis.brokerage_max"],
        );
        check(&section("stamp = 0"), &["unknown field `stamp`"]);
        check(
            &(section("gst = 0") + &section("gst = 1")),
            &["charges[1].effective_from"],
        );
        let many: String = (0..CHARGE_RATES_MAX)
            .map(|year| format!("[[charges]]\neffective_from = \"{}-10-01\"\n", 2_000 + year))
            .collect();
        check(&many, &["more than 63 dates"]);
    }
}
