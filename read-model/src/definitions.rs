//! What the journal last defined: the configuration as it was last applied.

use std::collections::BTreeMap;

use engine::{
    AccountDefinition, AccountId, ChargeRates, Command, InstrumentDefinition, StrategyDefinition, StrategyId,
};
use serde::{Deserialize, Serialize};

/// The last definition of every instrument, account and strategy, and of the charge rates of every date. The engine's own values may differ: limits and
/// balances change at run time.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Definitions {
    /// By symbol and exchange.
    pub instruments: BTreeMap<(String, String), InstrumentDefinition>,
    pub accounts: BTreeMap<String, AccountDefinition>,
    pub strategies: BTreeMap<(AccountId, StrategyId), StrategyDefinition>,
    /// By the first trading day that they hold for.
    pub charges: BTreeMap<u32, ChargeRates>,
}

impl Definitions {
    /// Notes a definition; ignores every other command.
    pub fn observe(&mut self, command: &Command) {
        match command {
            Command::DefineInstrument(definition) => {
                let key = (
                    definition.symbol.as_str().to_owned(),
                    definition.exchange.as_str().to_owned(),
                );
                self.instruments.insert(key, (**definition).clone());
            }
            Command::DefineAccount(definition) => {
                self.accounts
                    .insert(definition.name.as_str().to_owned(), (**definition).clone());
            }
            Command::DefineStrategy(definition) => {
                let key = (definition.account, definition.strategy);
                self.strategies.insert(key, (**definition).clone());
            }
            Command::DefineCharges(rates) => {
                self.charges.insert(rates.effective_from, **rates);
            }
            _ => {}
        }
    }
}
