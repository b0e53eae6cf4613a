//! Rejections are data: a stable code, the numbers behind it, and a sentence for a person.

use core::fmt;

use crate::session::SessionPhase;
use crate::terms::OrderStatus;
use crate::units::{Money, Price, Quantity, Ratio};

/// Why an order was refused. Codes are append-only: 100s are Layer A of RISK.md, 200s Layer B, 300s the order book,
/// 400s capacity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, serde::Serialize, serde::Deserialize)]
#[repr(u16)]
pub enum RejectCode {
    /// `observed` needed, `limit` available.
    InsufficientBalance = 101,
    /// A market order needs a last traded price.
    NoLastPrice = 102,
    PositionLimit = 103,
    /// `basis` is the balance, `ratio` the limit in parts per million.
    RiskPerTrade = 104,
    /// As [`RejectCode::RiskPerTrade`].
    DailyLossLimit = 105,
    StopLossMissing = 106,
    /// `observed` is the stop, `limit` the entry price.
    StopLossNotBelowEntry = 107,
    StopLossNotAboveEntry = 108,
    /// `observed` is the reward and `basis` the risk, both per share in paise.
    RiskRewardRatio = 109,
    RiskZero = 110,
    /// `observed` is the price, `basis` the last traded price.
    PriceSanity = 111,
    QuantityBelowOne = 112,
    QuantityAboveLimit = 113,
    /// `observed` active orders, `basis` open positions, `limit` orders per position.
    OrderToPositionRatio = 114,
    CircuitBreaker = 115,

    UnknownInstrument = 201,
    /// Nobody may open a position in it.
    Banned = 214,
    /// `basis` is the balance, `ratio` the limit as a multiple of it.
    GrossExposure = 215,
    NetExposure = 216,
    /// `observed` identical orders within a second, `limit` allowed.
    DuplicateBurst = 217,
    /// `observed` fills of the strategy and side within a minute.
    RepeatedExecution = 218,
    /// `observed` is the phase (0 closed, 1 pre-open, 2 continuous, 3 closing), `limit` the one that is needed.
    Session = 219,
    /// Intraday positions have been squared off: no new ones today.
    IntradayEnded = 220,
    /// `observed` is the age of the last price and `limit` the most allowed, in milliseconds; `basis` is the last
    /// price, 0 without one.
    StaleProtection = 221,
    /// As [`RejectCode::StaleProtection`].
    StaleReference = 222,
    MisNotAllowed = 202,
    /// `observed` is the price, `limit` the tick.
    TickSize = 203,
    LotSize = 204,
    /// `observed` is the price, `limit` the low and `basis` the high end of the band.
    PriceBand = 205,
    OrderValue = 206,
    FreezeQuantity = 207,
    OpenOrderValue = 208,
    SymbolPosition = 209,
    Holdings = 210,
    OrderRate = 211,
    DailyOrders = 212,
    ModifyCap = 213,

    PostOnlyWouldCross = 301,
    FillOrKill = 302,
    MinimumQuantity = 303,
    DisclosedQuantity = 304,
    GoodTillInPast = 305,
    /// A combination of attributes that contradict each other (post-only with IOC, …).
    Incompatible = 306,
    /// `observed` is the trigger price of a stop order that enters, `limit` the last traded price, which is past it.
    TriggerCrossed = 307,
    /// A trigger price for an order that is not (or no longer) waiting for one.
    NotPending = 308,
    /// `observed` is a position's stop-loss, `limit` its take-profit, which is on the wrong side of it.
    StopBeyondTarget = 309,
    /// A trailing stop's percentage that is not between 0 and 100.
    TrailingShare = 310,

    OrderCapacity = 401,
    PositionCapacity = 402,
    UnknownAccount = 403,
    ClientOrderIdReused = 404,
    /// `limit` ids are remembered today, of the account or of all.
    ClientOrderIdCapacity = 405,
}

impl RejectCode {
    /// The check's name, as clients see it in `failed_check`.
    pub const fn check(self) -> &'static str {
        use RejectCode::*;
        match self {
            InsufficientBalance | NoLastPrice => "balance_check",
            PositionLimit => "position_limit",
            RiskPerTrade => "risk_per_trade",
            DailyLossLimit => "daily_loss_limit",
            StopLossMissing | StopLossNotBelowEntry | StopLossNotAboveEntry => "stop_loss_required",
            RiskRewardRatio | RiskZero => "risk_reward_ratio",
            PriceSanity => "price_sanity",
            QuantityBelowOne | QuantityAboveLimit => "quantity_limits",
            OrderToPositionRatio => "order_to_position_ratio",
            CircuitBreaker => "circuit_breaker",
            UnknownInstrument => "unknown_symbol",
            MisNotAllowed | Banned => "restricted",
            Session | IntradayEnded => "session",
            StaleProtection => "market_protection",
            StaleReference => "stale_reference",
            GrossExposure => "gross_exposure",
            NetExposure => "net_exposure",
            DuplicateBurst => "duplicate_burst",
            RepeatedExecution => "repeated_execution",
            TickSize => "tick_size",
            LotSize => "lot_size",
            PriceBand => "price_band",
            OrderValue => "order_value",
            FreezeQuantity => "freeze_quantity",
            OpenOrderValue => "open_order_value",
            SymbolPosition => "symbol_position",
            Holdings => "holdings",
            OrderRate => "order_rate",
            DailyOrders => "daily_orders",
            ModifyCap => "modify_cap",
            PostOnlyWouldCross => "post_only",
            FillOrKill => "fill_or_kill",
            MinimumQuantity => "min_quantity",
            DisclosedQuantity => "disclosed_quantity",
            GoodTillInPast => "good_till",
            Incompatible => "order_attributes",
            TriggerCrossed | NotPending => "trigger_price",
            StopBeyondTarget | TrailingShare => "position_conditions",
            OrderCapacity | PositionCapacity | ClientOrderIdCapacity | UnknownAccount => "capacity",
            ClientOrderIdReused => "duplicate_client_id",
        }
    }

    pub const fn code(self) -> u16 {
        #[expect(clippy::as_conversions, reason = "the discriminant of a repr(u16) enum")]
        let code = self as u16;
        code
    }
}

/// A refused order. What `observed`, `limit`, `basis` and `ratio` hold is written at each code; money and prices are
/// in paise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Rejection {
    pub code: RejectCode,
    pub observed: i64,
    pub limit: i64,
    pub basis: i64,
    pub ratio: Ratio,
}

impl Rejection {
    pub const fn new(code: RejectCode, observed: i64, limit: i64) -> Rejection {
        Rejection {
            code,
            observed,
            limit,
            basis: 0,
            ratio: Ratio::ZERO,
        }
    }

    pub const fn bare(code: RejectCode) -> Rejection {
        Rejection::new(code, 0, 0)
    }

    /// How far inside the limit the observed value is: never positive where the check failed, never negative where it
    /// passed, 0 where the rule has no number.
    pub fn headroom(&self) -> i64 {
        use RejectCode::*;
        match self.code {
            // Minima: what is there falls short of what is needed.
            RiskRewardRatio | QuantityBelowOne => self.observed.saturating_sub(self.limit),
            PriceSanity => self
                .limit
                .saturating_sub(self.observed.saturating_sub(self.basis).saturating_abs()),
            OrderToPositionRatio => self
                .limit
                .saturating_mul(self.basis.max(1))
                .saturating_sub(self.observed),
            StopLossNotBelowEntry => self.limit.saturating_sub(self.observed),
            StopLossNotAboveEntry => self.observed.saturating_sub(self.limit),
            // Inside two bounds: the nearer one counts.
            PriceBand => {
                let (above, below) = (
                    self.observed.saturating_sub(self.limit),
                    self.basis.saturating_sub(self.observed),
                );
                above.min(below)
            }
            DisclosedQuantity => self
                .observed
                .saturating_sub(1)
                .min(self.limit.saturating_sub(self.observed)),
            Session | TickSize | LotSize | PostOnlyWouldCross | TriggerCrossed | StopBeyondTarget => 0,
            _ => self.limit.saturating_sub(self.observed),
        }
    }
}

impl fmt::Display for Rejection {
    /// The sentence for a person; the texts of the existing dashboard's checks are those of CONTRACT.md section 4.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use RejectCode::*;
        let (observed, limit, basis) = (self.observed, self.limit, self.basis);
        let observed_money = Rupees(Money::from_paise(observed));
        let limit_money = Rupees(Money::from_paise(limit));
        match self.code {
            InsufficientBalance => {
                write!(
                    f,
                    "Insufficient balance: Required {observed_money}, Available {limit_money}"
                )
            }
            NoLastPrice => f.write_str("Cannot validate balance for market orders without LTP"),
            PositionLimit => write!(f, "Position limit reached: {observed}/{limit} open positions"),
            RiskPerTrade | DailyLossLimit => {
                let what = if self.code == RiskPerTrade {
                    "Risk per trade exceeds limit"
                } else {
                    "Daily loss limit exceeded"
                };
                let share = Percent::of(observed, basis);
                write!(
                    f,
                    "{what}: {observed_money} ({share}%) > {limit_money} ({}%)",
                    LimitPercent(self.ratio)
                )
            }
            StopLossMissing => f.write_str("Stop-loss is required for all orders"),
            StopLossNotBelowEntry => write!(
                f,
                "Invalid stop-loss: Buy order stop-loss (₹{}) must be < entry (₹{})",
                Trimmed(observed),
                Trimmed(limit)
            ),
            StopLossNotAboveEntry => write!(
                f,
                "Invalid stop-loss: Sell order stop-loss (₹{}) must be > entry (₹{})",
                Trimmed(observed),
                Trimmed(limit)
            ),
            RiskRewardRatio => {
                let ratio = Percent::hundredths(i128::from(observed), i128::from(basis));
                write!(
                    f,
                    "Risk-reward ratio too low: {ratio}:1 < {}:1 required",
                    TrimmedRatio(self.ratio)
                )
            }
            RiskZero => f.write_str("Risk cannot be zero (stop-loss = entry price)"),
            PriceSanity => {
                let share = Percent::of(observed.saturating_sub(basis).saturating_abs(), basis);
                write!(
                    f,
                    "Price too far from LTP: ₹{} is {share}% from ₹{} (max {}%)",
                    Trimmed(observed),
                    Trimmed(basis),
                    LimitPercent(self.ratio)
                )
            }
            QuantityBelowOne => write!(f, "Quantity below minimum: {observed} < 1"),
            QuantityAboveLimit => write!(f, "Quantity exceeds maximum: {observed} > {limit} allowed"),
            OrderToPositionRatio => {
                write!(
                    f,
                    "Too many pending orders: {observed} orders for {basis} positions (max {limit}:1 ratio)"
                )
            }
            CircuitBreaker => {
                f.write_str("Trading is blocked: Kill switch is active. Manual intervention required.")
            }
            UnknownInstrument => f.write_str("Unknown symbol"),
            Banned => f.write_str("Symbol is banned from opening positions"),
            Session => f.write_str(match SessionPhase::from_code(observed) {
                SessionPhase::PreOpen => {
                    "The market is in its pre-open phase: orders are accepted once continuous trading begins"
                }
                SessionPhase::Closing => {
                    "The market is in its closing auction: orders are accepted in continuous trading only"
                }
                SessionPhase::Closed | SessionPhase::Continuous => "The market is closed",
            }),
            IntradayEnded => {
                f.write_str("Intraday (MIS) positions have been squared off: no new ones are opened today")
            }
            StaleProtection | StaleReference if basis == 0 => {
                f.write_str("There is no last traded price yet")
            }
            StaleProtection | StaleReference => write!(
                f,
                "Last price ₹{} is {observed} ms old: more than {limit} ms",
                Trimmed(basis)
            ),
            GrossExposure | NetExposure => {
                let what = if self.code == GrossExposure {
                    "Gross"
                } else {
                    "Net"
                };
                write!(
                    f,
                    "{what} exposure exceeds limit: {observed_money} > {limit_money}"
                )
            }
            DuplicateBurst => write!(
                f,
                "Too many identical orders within a second: {observed} > {limit}"
            ),
            RepeatedExecution => write!(
                f,
                "Too many executions of this strategy within a minute: {observed} > {limit}. Manual re-arm required."
            ),
            MisNotAllowed => f.write_str("Symbol is not eligible for MIS"),
            TickSize => write!(
                f,
                "Price ₹{} is not a multiple of the tick size ₹{}",
                Trimmed(observed),
                Paise(limit)
            ),
            LotSize => write!(f, "Quantity {observed} is not a multiple of the lot size {limit}"),
            PriceBand => write!(
                f,
                "Price ₹{} is outside the price band ₹{} to ₹{}",
                Trimmed(observed),
                Trimmed(limit),
                Trimmed(basis)
            ),
            OrderValue => write!(f, "Order value exceeds limit: {observed_money} > {limit_money}"),
            FreezeQuantity => write!(
                f,
                "Quantity exceeds the exchange's freeze quantity: {observed} > {limit}"
            ),
            OpenOrderValue => write!(
                f,
                "Value of open orders exceeds limit: {observed_money} > {limit_money}"
            ),
            SymbolPosition => write!(f, "Position would exceed the limit: {observed} > {limit} shares"),
            Holdings => write!(f, "CNC sell exceeds holdings: {observed} > {limit} shares"),
            OrderRate => write!(f, "Order rate exceeded: more than {limit} orders per second"),
            DailyOrders => write!(f, "Too many orders today: {observed} > {limit}"),
            ModifyCap => write!(f, "Too many modifications of this order: {observed} > {limit}"),
            PostOnlyWouldCross => write!(f, "Post-only order would trade at once at ₹{}", Trimmed(limit)),
            FillOrKill => write!(f, "Fill-or-kill: only {limit} of {observed} can trade at once"),
            MinimumQuantity => write!(
                f,
                "Minimum quantity: only {limit} of {observed} can trade at once"
            ),
            DisclosedQuantity => write!(
                f,
                "Disclosed quantity {observed} must be from 1 to the order's quantity {limit}"
            ),
            GoodTillInPast => f.write_str("good_till must be in the future"),
            Incompatible => f.write_str("These order attributes contradict each other"),
            TriggerCrossed => write!(
                f,
                "Trigger price ₹{} is already crossed by the last traded price ₹{}",
                Trimmed(observed),
                Trimmed(limit)
            ),
            NotPending => f.write_str("The order is not waiting for a trigger price"),
            StopBeyondTarget => write!(
                f,
                "Stop-loss ₹{} must be on the losing side of take-profit ₹{}",
                Trimmed(observed),
                Trimmed(limit)
            ),
            TrailingShare => f.write_str("A trailing stop's percentage must be above 0 and below 100"),
            OrderCapacity => write!(f, "The engine holds its maximum of {limit} open orders"),
            PositionCapacity => write!(f, "The engine holds its maximum of {limit} positions"),
            ClientOrderIdCapacity => write!(
                f,
                "The engine remembers its maximum of {limit} client_order_ids today: send the order without one"
            ),
            UnknownAccount => f.write_str("Unknown account"),
            ClientOrderIdReused => f.write_str("client_order_id was already used with a different order"),
        }
    }
}

/// Why a command about an existing order or position was refused. Nothing changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// No such order (or not this account's).
    UnknownOrder,
    /// The order is finished in this state.
    OrderFinished(OrderStatus),
    /// A modify to less than what has been filled.
    BelowFilled(Quantity),
    /// A modify that failed a check; the order stays as it was.
    Rejected(Rejection),
    UnknownPosition,
    /// The position is flat.
    PositionClosed,
    /// Closing more than is open.
    AboveOpenQuantity(Quantity),
    /// The actor may not do this.
    NotAuthorised,
    UnknownAccount,
    UnknownInstrument,
    /// A definition that the engine cannot hold; the text says why.
    InvalidDefinition(&'static str),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::UnknownOrder => f.write_str("Order not found"),
            Refusal::OrderFinished(status) => write!(f, "Order is already {status}"),
            Refusal::BelowFilled(filled) => write!(f, "Quantity is below the filled quantity {filled}"),
            Refusal::Rejected(rejection) => fmt::Display::fmt(rejection, f),
            Refusal::UnknownPosition => f.write_str("Position not found"),
            Refusal::PositionClosed => f.write_str("Position is closed"),
            Refusal::AboveOpenQuantity(open) => write!(f, "Quantity is above the open quantity {open}"),
            Refusal::NotAuthorised => f.write_str("Not authorised"),
            Refusal::UnknownAccount => f.write_str("Account not found"),
            Refusal::UnknownInstrument => f.write_str("Instrument not found"),
            Refusal::InvalidDefinition(why) => f.write_str(why),
        }
    }
}

/// `₹4,900,000.00`, grouped by thousands as the existing dashboard's texts are.
#[derive(Clone, Copy, Debug)]
pub struct Rupees(pub Money);

impl fmt::Display for Rupees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.paise().unsigned_abs();
        f.write_str(if self.0.is_negative() { "-₹" } else { "₹" })?;
        let rupees = magnitude.wrapping_div(100);
        // Groups of three digits, least significant first; 10^18 rupees need seven.
        let mut groups = [0_u64; 7];
        let (mut rest, mut count) = (rupees, 0_usize);
        for group in &mut groups {
            *group = rest.wrapping_rem(1_000);
            rest = rest.wrapping_div(1_000);
            count = count.saturating_add(1);
            if rest == 0 {
                break;
            }
        }
        for (place, group) in groups.iter().take(count).rev().enumerate() {
            if place == 0 {
                write!(f, "{group}")?
            } else {
                write!(f, ",{group:03}")?
            }
        }
        write!(f, ".{:02}", magnitude.wrapping_rem(100))
    }
}

/// A percentage with two decimals, rounded half up.
#[derive(Clone, Copy, Debug)]
pub struct Percent(i128);

impl Percent {
    /// `part / whole` in percent; 0 where `whole` is 0.
    pub fn of(part: i64, whole: i64) -> Percent {
        Percent::hundredths(i128::from(part).saturating_mul(100), i128::from(whole))
    }

    /// `numerator / denominator` with two decimals.
    pub fn hundredths(numerator: i128, denominator: i128) -> Percent {
        let scaled = numerator.saturating_mul(200).saturating_add(denominator);
        Percent(
            scaled
                .checked_div_euclid(denominator.saturating_mul(2))
                .unwrap_or(0),
        )
    }

    /// In hundredths: 205 is 2.05.
    pub const fn scaled(self) -> i128 {
        self.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Money::from_wide(self.0), f)
    }
}

/// A limit in percent with at least one decimal: 2 % prints `2.0`.
struct LimitPercent(Ratio);

impl fmt::Display for LimitPercent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Ratio::from_ppm(self.0.ppm().saturating_mul(100)), f)
    }
}

/// A ratio without needless decimals: `2`, `2.5`.
struct TrimmedRatio(Ratio);

impl fmt::Display for TrimmedRatio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.ppm().checked_rem(1_000_000) == Some(0) {
            write!(f, "{}", self.0.ppm().wrapping_div(1_000_000))
        } else {
            fmt::Display::fmt(&self.0, f)
        }
    }
}

/// A price in paise without needless decimals: `2450`, `2450.05`.
struct Trimmed(i64);

impl fmt::Display for Trimmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.checked_rem(100) == Some(0) {
            write!(f, "{}", self.0.wrapping_div(100))
        } else {
            Paise(self.0).fmt(f)
        }
    }
}

/// A price in paise with two decimals.
struct Paise(i64);

impl fmt::Display for Paise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Price::from_paise_clamped(self.0), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sentences of CONTRACT.md section 4, to the letter.
    #[test]
    fn sentences_are_those_of_the_contract() {
        let check = |rejection: Rejection, expected: &str| assert_eq!(std::format!("{rejection}"), expected);
        use RejectCode::*;
        check(
            Rejection::new(InsufficientBalance, 490_000_000, 10_000_000),
            "Insufficient balance: Required ₹4,900,000.00, Available ₹100,000.00",
        );
        check(
            Rejection::new(PositionLimit, 5, 5),
            "Position limit reached: 5/5 open positions",
        );
        check(
            Rejection {
                basis: 10_000_000,
                ratio: Ratio::from_ppm(20_000),
                ..Rejection::new(RiskPerTrade, 205_000, 200_000)
            },
            "Risk per trade exceeds limit: ₹2,050.00 (2.05%) > ₹2,000.00 (2.0%)",
        );
        check(
            Rejection {
                basis: 10_000_000,
                ratio: Ratio::from_ppm(60_000),
                ..Rejection::new(DailyLossLimit, 700_000, 600_000)
            },
            "Daily loss limit exceeded: ₹7,000.00 (7.00%) > ₹6,000.00 (6.0%)",
        );
        check(
            Rejection::new(StopLossNotBelowEntry, 246_000, 245_000),
            "Invalid stop-loss: Buy order stop-loss (₹2460) must be < entry (₹2450)",
        );
        check(
            Rejection {
                basis: 100,
                ratio: Ratio::from_ppm(2_000_000),
                ..Rejection::new(RiskRewardRatio, 150, 0)
            },
            "Risk-reward ratio too low: 1.50:1 < 2:1 required",
        );
        check(
            Rejection::new(QuantityAboveLimit, 10_001, 10_000),
            "Quantity exceeds maximum: 10001 > 10000 allowed",
        );
        check(
            Rejection {
                basis: 0,
                ..Rejection::new(OrderToPositionRatio, 3, 3)
            },
            "Too many pending orders: 3 orders for 0 positions (max 3:1 ratio)",
        );
    }
}
