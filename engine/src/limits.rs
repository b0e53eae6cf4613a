//! Every bound of the engine, with its reason. Nothing in the engine grows past these.

use crate::units::Money;

/// Events that one [`crate::Engine::apply`] or `resume` call may emit. A caller that keeps this many slots free in
/// each output ring can never overflow one.
pub const EVENTS_PER_CALL: usize = 4_096;

/// Events that the smallest indivisible step (one trade with both fills, marks and alerts) may emit. A call stops
/// taking new steps when fewer slots than this remain.
pub const EVENTS_PER_STEP: usize = 64;

/// Triggers that one call may take out of their trees: collecting them emits nothing, so the buffer does not bound it.
pub const TRIGGERS_PER_CALL: u32 = 4_096;

/// Largest quantity of an order, in shares: keeps `price × quantity` below 2^63 paise for every representable price.
pub const QUANTITY_MAX: u32 = 0x7fff_ffff;

/// Largest absolute quantity of a position, in shares. With prices below 2^32 paise its cost stays below 2^62 paise.
pub const POSITION_QUANTITY_MAX: i64 = 1_000_000_000;

/// No entry may be worth more, whatever its profile says: ₹10 crore (VENUE.md, caps).
pub const ORDER_VALUE_CAP: Money = Money::from_paise(10_000_000_000);

/// Widest price domain of one book, in ticks. The level index of a book is an array over it.
pub const LADDER_TICKS_MAX: u32 = 131_072;

/// Accounts that an engine can be built for; an account index must fit in the tombstone of a finished order.
pub const ACCOUNTS_MAX: u32 = 1 << 24;

/// Instruments that an engine can be built for: NSE lists some 10,000 securities with their derivatives beside them.
pub const INSTRUMENTS_MAX: u32 = 1 << 16;

/// Orders that may be open at once in one engine.
pub const OPEN_ORDERS_MAX: u32 = 1 << 26;

/// This part of the orders that an engine can hold is kept for exits: entries, venue accounts' included, are refused
/// before it, so that a full book never blocks getting out.
pub const EXIT_RESERVE_DIVISOR: u32 = 16;

/// And this part of them for the exits that the engine places by itself: closes, conditions, square-off and flatten. So
/// nobody's many small exits block those of others.
pub const OWN_EXIT_RESERVE_DIVISOR: u32 = 32;

/// Position keys that an engine can be built for.
pub const POSITION_KEYS_MAX: u32 = 1 << 26;

/// `client_order_id`s a day that an engine can be built for.
pub const CLIENT_ORDER_IDS_MAX: u32 = 1 << 26;

/// This part of a day's `client_order_id`s is out of reach of any single account.
pub const OTHER_ACCOUNTS_DIVISOR: u32 = 4;

/// Strategies that may be outside the normal state at once, over all accounts.
pub const STRATEGY_STATES_MAX: usize = 1_024;

/// And those of one account: nobody keeps the strategies of others from being stopped.
pub const STRATEGY_STATES_OF_ACCOUNT_MAX: usize = 64;

/// Strategies that may have limits of their own, over all accounts: they are searched for each order of an account that
/// has any.
pub const STRATEGY_LIMITS_MAX: usize = 1_024;

/// Accounts × instruments that an engine can be built for: the index of positions has an entry for each 64 of them.
pub const ACCOUNT_INSTRUMENTS_MAX: u64 = 1 << 34;

/// Entities of one kind whose digests may wait to be brought up to date: asking for the state hash takes this many
/// digests at most, every 65,536 commands.
pub const STALE_DIGESTS_MAX: usize = 4_096;

/// Entities of one kind that one call may note for the state hash beyond those: a trade of two venue accounts emits one
/// event and notes two orders, and an instrument that brings its holders up to date notes each of them.
pub const NOTES_PER_CALL_MAX: usize = 3 * EVENTS_PER_CALL;

/// Marks that are kept as extremes of one instrument: distinct prices of one swing. Beyond, everyone who holds the
/// instrument is brought up to date at once.
pub const EXTREMES_MAX: usize = 512;

/// Effective dates of charge rates that an engine keeps: rates change a few times a year.
pub const CHARGE_RATES_MAX: usize = 64;

/// Symbols are 1 to 20 characters of `[A-Z0-9&_-]` (CONTRACT.md section 1: they are pasted into HTML unescaped).
pub const SYMBOL_LEN_MAX: usize = 20;

/// Longest `client_order_id`, in bytes (CONTRACT.md section 0).
pub const CLIENT_ORDER_ID_LEN_MAX: usize = 64;

/// Holidays that a calendar may list: more than ten years of them.
pub const HOLIDAYS_MAX: usize = 512;

/// How far ahead the next session is looked for, in days; a calendar without one for so long has none.
pub const CALENDAR_DAYS_MAX: u32 = 366;

/// Shortest time that a heartbeat may be waited for, in milliseconds: a beat is a durable command.
pub const HEARTBEAT_MS_MIN: u32 = 100;

/// Longest time that a heartbeat may be waited for: an hour. A longer silence is no sign of life.
pub const HEARTBEAT_MS_MAX: u32 = 3_600_000;

/// Longest free-text metadata of an order, in bytes of JSON.
pub const METADATA_LEN_MAX: usize = 2_048;

const _: () = assert!(EVENTS_PER_STEP * 2 < EVENTS_PER_CALL);
const _: () = assert!(POSITION_QUANTITY_MAX < (1 << 30));
