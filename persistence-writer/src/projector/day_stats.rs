//! Rows of `daily_stats`: one per account and trading day (IST).

use std::collections::{BTreeMap, BTreeSet};

use engine::{AccountId, AccountView, InstrumentId, Money, Percent, Timestamp};
use read_model::DayCounters;
use serde::{Deserialize, Serialize};

use super::names::Names;
use super::order_rows::hundredths;
use super::table::{Row, Value};

/// What the read model does not count of an account's day.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Day {
    positions_max: u32,
    instruments: BTreeSet<InstrumentId>,
    drawdown_max: Money,
    /// When the account last did something: the row must not depend on when it is written.
    peak: Money,
    killed: bool,
    begun: Timestamp,
    updated: Timestamp,
}

impl Day {
    fn new(open_positions: u32, now: Timestamp) -> Day {
        Day {
            positions_max: open_positions,
            instruments: BTreeSet::new(),
            drawdown_max: Money::ZERO,
            peak: Money::ZERO,
            killed: false,
            begun: now,
            updated: now,
        }
    }
}

/// The accounts that did something today.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Days {
    of: BTreeMap<AccountId, Day>,
}

impl Days {
    pub(crate) fn clear(&mut self) {
        self.of.clear();
    }

    /// The account did something, and has this many open positions and this peak of its value now.
    pub(crate) fn touch(&mut self, account: AccountId, open_positions: u32, peak: Money, now: Timestamp) {
        let day = self
            .of
            .entry(account)
            .or_insert_with(|| Day::new(open_positions, now));
        day.positions_max = day.positions_max.max(open_positions);
        day.peak = peak;
        day.updated = now;
    }

    pub(crate) fn traded(&mut self, account: AccountId, instrument: InstrumentId) {
        if let Some(day) = self.of.get_mut(&account) {
            day.instruments.insert(instrument);
        }
    }

    pub(crate) fn killed(&mut self, account: AccountId) {
        if let Some(day) = self.of.get_mut(&account) {
            day.killed = true;
        }
    }

    pub(crate) fn drawn_down(&mut self, account: AccountId, drawdown: Money) {
        if let Some(day) = self.of.get_mut(&account) {
            day.drawdown_max = day.drawdown_max.max(drawdown);
        }
    }

    /// `None` where the account did nothing on that day.
    pub(crate) fn row(
        &self,
        account: &AccountView<'_>,
        counters: &DayCounters,
        date: u32,
        names: &Names,
        seq: u64,
    ) -> Option<Row> {
        let day = self.of.get(&account.account)?;
        let losing = counters.closed.saturating_sub(counters.closed_with_profit);
        let share = |part: u64, whole: u64| {
            hundredths(Percent::hundredths(i128::from(part) * 100, i128::from(whole)))
        };
        let per_trade = (counters.trades > 0).then(|| {
            hundredths(Percent::hundredths(
                counters.orders.into(),
                counters.trades.into(),
            ))
        });
        let mut symbols: Vec<String> = day
            .instruments
            .iter()
            .map(|&id| names.symbol_text(id).to_owned())
            .collect();
        symbols.sort_unstable();
        Some(vec![
            names.account(account.account),
            Value::Date(date),
            Value::id(counters.orders),
            Value::id(counters.trades),
            Value::id(counters.filled),
            Value::id(counters.cancelled),
            Value::id(counters.rejected),
            Value::money(account.realised),
            Value::money(account.charges),
            Value::money(account.realised.saturating_sub(account.charges)),
            Value::money(counters.realised_of_closed),
            Value::id(counters.closed_with_profit),
            Value::id(losing),
            share(counters.closed_with_profit, counters.closed),
            Value::id(day.positions_max),
            Value::Texts(symbols.into_iter().map(Into::into).collect()),
            Value::money(day.drawdown_max),
            Value::money(day.peak),
            per_trade.unwrap_or(Value::Null),
            Value::Bool(day.killed),
            Value::Time(day.begun),
            Value::Time(day.updated),
            Value::id(seq),
        ])
    }
}
