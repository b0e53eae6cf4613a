//! Names of accounts and instruments, kept at hand: every row carries them.

use engine::{AccountId, Engine, InstrumentId};

use super::table::Value;

#[derive(Debug, Default)]
pub(crate) struct Names {
    accounts: Vec<Account>,
    instruments: Vec<Instrument>,
}

#[derive(Debug)]
struct Account {
    name: String,
    venue: bool,
}

#[derive(Debug)]
struct Instrument {
    symbol: String,
    exchange: String,
}

impl Names {
    /// After an instrument was defined, for the first time or again.
    pub(crate) fn learn_instrument(&mut self, id: InstrumentId, engine: &Engine) {
        let Some(view) = engine.instrument(id) else { return };
        let instrument = Instrument {
            symbol: view.definition.symbol.as_str().to_owned(),
            exchange: view.definition.exchange.as_str().to_owned(),
        };
        place(&mut self.instruments, id.get(), instrument);
    }

    /// After an account was defined, for the first time or again.
    pub(crate) fn learn_account(&mut self, id: AccountId, engine: &Engine) {
        let Some(view) = engine.account(id) else { return };
        let account = Account {
            name: view.name.as_str().to_owned(),
            venue: view.venue,
        };
        place(&mut self.accounts, id.get(), account);
    }

    pub(crate) fn is_venue(&self, id: AccountId) -> bool {
        at(&self.accounts, id.get()).is_some_and(|account| account.venue)
    }

    /// NULL for an account that was never defined.
    pub(crate) fn account(&self, id: AccountId) -> Value {
        Value::optional(at(&self.accounts, id.get()), |account| Value::text(&account.name))
    }

    pub(crate) fn symbol(&self, id: InstrumentId) -> Value {
        Value::optional(at(&self.instruments, id.get()), |of| Value::text(&of.symbol))
    }

    pub(crate) fn exchange(&self, id: InstrumentId) -> Value {
        Value::optional(at(&self.instruments, id.get()), |of| Value::text(&of.exchange))
    }

    pub(crate) fn symbol_text(&self, id: InstrumentId) -> &str {
        at(&self.instruments, id.get()).map_or("", |of| &of.symbol)
    }

    /// Accounts of people, not of the simulated market.
    pub(crate) fn traders(&self) -> impl Iterator<Item = AccountId> {
        (0..)
            .zip(&self.accounts)
            .filter(|(_, account)| !account.venue)
            .map(|(id, _)| AccountId::new(id))
    }
}

fn at<T>(all: &[T], id: u32) -> Option<&T> {
    all.get(usize::try_from(id).ok()?)
}

/// Ids are dense and defined in order, so a new one comes right after the last.
fn place<T>(all: &mut Vec<T>, id: u32, new: T) {
    match usize::try_from(id).ok().and_then(|id| all.get_mut(id)) {
        Some(old) => *old = new,
        None => all.push(new),
    }
}
