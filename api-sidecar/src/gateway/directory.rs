//! What the gateway knows of the engine's world: names for ids, and which positions are open.

use std::collections::HashMap;

use engine::{
    AccountId, AccountName, AlertKind, Engine, Event, InstrumentId, KillCause, KillScope, Money,
    PositionChanged, PositionId, PositionView, Product, Seq, Side, StrategyId, Symbol, Text, Timestamp,
    TopOfBook, Trade, TradingState, TradingStateChanged,
};

use read_model::limits::ALERTS_KEPT;
use read_model::{AlertRecord, ReadModel};

use super::replies::Action;
use crate::wire::{alert_safe, average_price, drawdown_reason, loss_reason};

/// Seeded from an engine at start and kept up to date from its events.
///
/// Events name instruments and accounts by id only, so those that are defined while the gateway runs stay nameless
/// until the next start; their orders are still answered.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    instruments: HashMap<(Symbol, Text<10>), InstrumentId>,
    symbols: HashMap<InstrumentId, Symbol>,
    accounts: HashMap<AccountName, AccountId>,
    names: HashMap<AccountId, AccountName>,
    positions: HashMap<PositionId, Position>,
    /// The last command that the engine had applied at the start.
    seq: Seq,
    tops: HashMap<InstrumentId, (TopOfBook, Timestamp)>,
    trades: HashMap<InstrumentId, (Trade, Timestamp)>,
    /// The scopes that are outside the normal state.
    kills: Vec<Kill>,
    /// The alert of a failed journal, while the kill switch that followed is on.
    journal_error: Option<AlertRecord>,
}

/// A scope that is outside the normal state, and why.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kill {
    scope: KillScope,
    pub(crate) state: TradingState,
    pub(crate) reason: Text<100>,
}

/// A position key with what is open of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Position {
    pub(crate) account: AccountId,
    pub(crate) strategy: StrategyId,
    pub(crate) instrument: InstrumentId,
    pub(crate) product: Product,
    pub(crate) quantity: i64,
    pub(crate) cost: Money,
}

impl Position {
    pub(crate) fn average_price(&self) -> Option<Money> {
        average_price(self.cost, self.quantity)
    }
}

impl Directory {
    pub fn from_engine(engine: &Engine) -> Directory {
        let mut directory = Directory {
            seq: engine.last_seq(),
            ..Directory::default()
        };
        let now = engine.time();
        for view in engine.instruments() {
            directory.add_instrument(view.instrument, view.definition.symbol, view.definition.exchange);
            let top = top_of_book(engine, view.instrument);
            directory.tops.insert(view.instrument, (top, now));
        }
        for view in engine.accounts() {
            directory.add_account(view.account, view.name);
        }
        // A venue account's positions exist for the engine alone.
        for view in engine.positions().filter(|view| engine.is_trader(view.account)) {
            directory.add_position(&view);
        }
        directory
    }

    /// Adds what only the history tells: why which kill switch is on, and whether it is for a failed journal.
    #[must_use]
    pub fn with_history(mut self, model: &ReadModel) -> Directory {
        let active = model.history().active_kills();
        self.kills = active
            .iter()
            .map(|kill| Kill {
                scope: kill.scope,
                state: kill.state,
                reason: kill_reason(kill.cause, kill.reason),
            })
            .collect();
        let engine_wide = active.iter().find(|kill| kill.scope == KillScope::Engine);
        self.journal_error = engine_wide.and_then(|kill| {
            let alerts = model.history().last_alerts(None, ALERTS_KEPT);
            let of_journal = |record: &&&AlertRecord| {
                record.subject.alert.kind == AlertKind::JournalError && record.raised >= kill.triggered
            };
            alerts
                .iter()
                .rev()
                .find(of_journal)
                .map(|record| (*record).clone())
        });
        self
    }

    pub fn add_instrument(&mut self, instrument: InstrumentId, symbol: Symbol, exchange: Text<10>) {
        self.instruments.insert((symbol, exchange), instrument);
        self.symbols.insert(instrument, symbol);
    }

    pub fn add_account(&mut self, account: AccountId, name: AccountName) {
        self.accounts.insert(name, account);
        self.names.insert(account, name);
    }

    pub fn add_position(&mut self, view: &PositionView) {
        self.positions.insert(
            view.position,
            Position {
                account: view.account,
                strategy: view.strategy,
                instrument: view.instrument,
                product: view.product,
                quantity: view.quantity,
                cost: view.cost,
            },
        );
    }

    /// `action` is what was asked, where the event's command came from a client of this gateway.
    pub(crate) fn absorb(&mut self, event: &Event, time: Timestamp, action: Option<&Action>) {
        match event {
            Event::TopOfBook(top) => drop(self.tops.insert(top.instrument, (*top, time))),
            Event::Trade(trade) => drop(self.trades.insert(trade.instrument, (*trade, time))),
            Event::PositionChanged(changed) => self.change_position(changed),
            Event::TradingStateChanged(changed) => self.change_state(changed, action),
            _ => {}
        }
    }

    fn change_state(&mut self, changed: &TradingStateChanged, action: Option<&Action>) {
        self.kills.retain(|kill| kill.scope != changed.scope);
        if changed.state != TradingState::Normal {
            let said = match action {
                Some(Action::Kill { reason, .. }) => *reason,
                _ => Text::EMPTY,
            };
            self.kills.push(Kill {
                scope: changed.scope,
                state: changed.state,
                reason: kill_reason(changed.cause, said),
            });
        } else if changed.scope == KillScope::Engine {
            self.journal_error = None;
        }
    }

    /// The kill switch of a scope, where it is on.
    pub(crate) fn kill(&self, scope: KillScope) -> Option<&Kill> {
        self.kills.iter().find(|kill| kill.scope == scope)
    }

    /// What everyone who connects is told first, until a person lets trading go on.
    pub(crate) fn journal_error(&self) -> Option<&AlertRecord> {
        self.journal_error.as_ref()
    }

    fn change_position(&mut self, changed: &PositionChanged) {
        self.positions.insert(
            changed.position,
            Position {
                account: changed.account,
                strategy: changed.strategy,
                instrument: changed.instrument,
                product: changed.product,
                quantity: i64::from(changed.quantity),
                cost: changed.cost,
            },
        );
    }

    pub(crate) fn seq(&self) -> Seq {
        self.seq
    }

    pub(crate) fn top_of_book(&self, instrument: InstrumentId) -> Option<&(TopOfBook, Timestamp)> {
        self.tops.get(&instrument)
    }

    /// The last trade since the start.
    pub(crate) fn last_trade(&self, instrument: InstrumentId) -> Option<&(Trade, Timestamp)> {
        self.trades.get(&instrument)
    }

    pub(crate) fn instrument(&self, symbol: Symbol, exchange: Text<10>) -> Option<InstrumentId> {
        self.instruments.get(&(symbol, exchange)).copied()
    }

    /// Empty for an instrument that was defined after the start.
    pub(crate) fn symbol(&self, instrument: InstrumentId) -> Symbol {
        self.symbols.get(&instrument).copied().unwrap_or_default()
    }

    pub(crate) fn account(&self, name: &AccountName) -> Option<AccountId> {
        self.accounts.get(name).copied()
    }

    /// Empty for an account that was defined after the start.
    pub(crate) fn account_name(&self, account: AccountId) -> AccountName {
        self.names.get(&account).copied().unwrap_or_default()
    }

    pub(crate) fn position(&self, position: PositionId) -> Option<&Position> {
        self.positions.get(&position)
    }

    /// The open positions of an account in an instrument.
    pub(crate) fn open_positions(
        &self,
        account: AccountId,
        instrument: InstrumentId,
    ) -> impl Iterator<Item = (PositionId, &Position)> {
        self.positions
            .iter()
            .filter(move |(_, position)| {
                position.account == account && position.instrument == instrument && position.quantity != 0
            })
            .map(|(&id, position)| (id, position))
    }
}

/// `said` is the reason of a kill by command.
fn kill_reason(cause: KillCause, said: Text<100>) -> Text<100> {
    match cause {
        KillCause::DailyLoss { loss, balance } => Text::cut(&loss_reason(loss, balance).to_string()),
        KillCause::Drawdown { drawdown, peak } => Text::cut(&drawdown_reason(drawdown, peak).to_string()),
        KillCause::Manual | KillCause::Rearmed => Text::cut(&alert_safe(said.as_str())),
    }
}

fn top_of_book(engine: &Engine, instrument: InstrumentId) -> TopOfBook {
    let best = |side| engine.depth(instrument, side, 1).first().copied();
    let (bid, ask) = (best(Side::Buy), best(Side::Sell));
    TopOfBook {
        instrument,
        bid: bid.map(|level| level.price),
        ask: ask.map(|level| level.price),
        bid_quantity: bid.map_or(0, |level| level.quantity),
        ask_quantity: ask.map_or(0, |level| level.quantity),
    }
}
