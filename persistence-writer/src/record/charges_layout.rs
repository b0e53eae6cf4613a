//! Charge rates: the first trading day and the shared rates, then each product's.

use engine::{ChargeRate, ChargeRates, Money, ProductRates};

use super::RecordError;
use super::fields::{Decoder, Encoder, Put};

/// No cap; caps are never negative.
const NO_CAP: Money = Money::from_paise(i64::MIN);

pub(super) fn put_charge_rates(e: &mut Encoder<'_>, rates: &ChargeRates) {
    let ChargeRates {
        effective_from,
        mis,
        cnc,
        exchange,
        sebi,
        gst,
    } = rates;
    e.u32(*effective_from);
    for rate in [exchange, sebi, gst] {
        e.u32(rate.ppb());
    }
    put_product(e, mis);
    put_product(e, cnc);
}

fn put_product(e: &mut Encoder<'_>, rates: &ProductRates) {
    let ProductRates {
        brokerage,
        brokerage_max,
        stt_buy,
        stt_sell,
        stamp_duty_buy,
    } = rates;
    for rate in [brokerage, stt_buy, stt_sell, stamp_duty_buy] {
        e.u32(rate.ppb());
    }
    e.money(brokerage_max.unwrap_or(NO_CAP));
}

pub(super) fn take_charge_rates(d: &mut Decoder<'_>) -> Result<ChargeRates, RecordError> {
    Ok(ChargeRates {
        effective_from: d.u32()?,
        exchange: take_rate(d)?,
        sebi: take_rate(d)?,
        gst: take_rate(d)?,
        mis: take_product(d)?,
        cnc: take_product(d)?,
    })
}

fn take_product(d: &mut Decoder<'_>) -> Result<ProductRates, RecordError> {
    Ok(ProductRates {
        brokerage: take_rate(d)?,
        stt_buy: take_rate(d)?,
        stt_sell: take_rate(d)?,
        stamp_duty_buy: take_rate(d)?,
        brokerage_max: Some(d.money()?).filter(|&cap| cap != NO_CAP),
    })
}

fn take_rate(d: &mut Decoder<'_>) -> Result<ChargeRate, RecordError> {
    ChargeRate::from_ppb(d.u32()?).ok_or(RecordError::OutOfRange { field: "charge rate" })
}
