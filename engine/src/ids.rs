//! Identifiers. Accounts, strategies and instruments are dense indices; orders and trades are counted.

use core::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
        )]
        pub struct $name($inner);

        impl $name {
            pub const fn new(value: $inner) -> $name {
                $name(value)
            }

            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

id!(
    /// Position of a command in the journal, from 1. Zero means "before the first command".
    Seq(u64)
);
id!(
    /// An order, from 1, never used again. Ids grow but may have gaps. Always below 2^53 (a JSON integer).
    OrderId(u64)
);
id!(
    /// A trade, from 1, without gaps.
    TradeId(u64)
);
id!(
    /// A position key (account, instrument, strategy, product), from 1 in order of first use; kept when it reopens.
    PositionId(u32)
);
id!(
    /// Dense index of an account, in order of definition, from 0.
    AccountId(u32)
);
id!(
    /// Dense index of an instrument, in order of definition, from 0.
    InstrumentId(u32)
);
id!(
    /// A strategy as its owner numbers it; 1 is "Manual Trading" and exists for every account.
    StrategyId(u32)
);
