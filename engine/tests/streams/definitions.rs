//! Instruments, accounts and charge rates: what a stream begins with, and how it is defined anew.

use engine::{
    AccountDefinition, AccountName, ChargeRate, ChargeRates, Command, InstrumentDefinition, Money,
    ProductRates, Ratio, RiskLimits, SelfTrade, Symbol, Text, Timestamp,
};

use super::{Random, START, order_price, price, shares};

/// Accounts of the streams: a dashboard trader, two makers, an unlimited one, two of the venue.
pub(super) const ACCOUNTS: u32 = 6;
const VENUES: std::ops::Range<u32> = 4..6;

pub(super) fn definitions() -> Vec<Command> {
    let mut commands = vec![
        Command::DefineInstrument(Box::new(instrument(0, 10_000, 100_000))),
        Command::DefineInstrument(Box::new(instrument(1, 245_000, 200_000))),
        Command::DefineInstrument(Box::new(instrument(2, 40_000, 50_000))),
    ];
    let policies = [
        SelfTrade::CancelResting,
        SelfTrade::Decrement,
        SelfTrade::CancelIncoming,
        SelfTrade::CancelBoth,
        SelfTrade::Off,
        SelfTrade::CancelResting,
    ];
    for (index, self_trade) in (0..ACCOUNTS).zip(policies) {
        let base = match index {
            0 => RiskLimits::dashboard(),
            1 | 2 => RiskLimits::maker(),
            _ => RiskLimits::unlimited_paper(),
        };
        commands.push(Command::DefineAccount(Box::new(account(
            index,
            RiskLimits { self_trade, ..base },
        ))));
    }
    commands
}

fn instrument(index: u32, reference: u32, band_ppm: u32) -> InstrumentDefinition {
    InstrumentDefinition {
        symbol: Symbol::cut(["ALPHA", "BETA", "GAMMA"][index as usize]),
        exchange: Text::cut("NSE"),
        tick_size: price([5, 10, 5][index as usize]),
        lot_size: shares([1, 1, 10][index as usize]),
        freeze_quantity: shares([500, 100_000, 100_000][index as usize]),
        reference_price: price(reference),
        price_band: Ratio::from_ppm(band_ppm),
        mis_allowed: index != 2,
        banned: false,
        derivatives: index == 1,
    }
}

pub(super) fn account(index: u32, limits: RiskLimits) -> AccountDefinition {
    AccountDefinition {
        name: AccountName::cut(&format!("account-{index}")),
        opening_balance: Money::from_paise([10_000_000, 500_000_000, 100_000_000][index.min(2) as usize]),
        limits,
        profile: Text::cut("test"),
        venue: VENUES.contains(&index),
    }
}

/// The same instruments with another band and reference price, on the same grid.
pub(super) fn redefinition(random: &mut Random) -> InstrumentDefinition {
    let index = random.below(3);
    let reference = order_price(random, index) / 10 * 10;
    InstrumentDefinition {
        banned: random.percent(6),
        ..instrument(index, reference, random.of(&[5_000, 20_000, 100_000, 200_000]))
    }
}

/// Rates from a day around the first ones of a stream, which are sometimes those already in force.
pub(super) fn charge_rates(random: &mut Random) -> ChargeRates {
    let built_in = ChargeRates::built_in();
    let product = |random: &mut Random| ProductRates {
        brokerage: rate(random, 600_000),
        brokerage_max: random
            .percent(80)
            .then(|| Money::from_paise(i64::from(random.below(2_500)) - 100)),
        stt_buy: rate(random, 2_000_000),
        stt_sell: rate(random, 2_000_000),
        stamp_duty_buy: rate(random, 300_000),
    };
    let first_day = Timestamp::from_nanos(START).trading_day();
    ChargeRates {
        effective_from: (first_day + random.below(20)).saturating_sub(4),
        mis: product(random),
        cnc: product(random),
        exchange: rate(random, 80_000),
        sebi: random.of(&[built_in.sebi, ChargeRate::ZERO]),
        gst: rate(random, 280_000_000),
    }
}

fn rate(random: &mut Random, ppb_max: u32) -> ChargeRate {
    ChargeRate::from_ppb(random.below(ppb_max)).expect("a part of the whole")
}
