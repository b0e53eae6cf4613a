//! The table.

use engine::RejectCode;

/// `setup`, `passes` and `fails` are in the language of the scenarios; of the last two the last line is judged.
pub struct Row {
    pub code: RejectCode,
    pub setup: &'static str,
    pub passes: &'static str,
    pub fails: &'static str,
    pub sentence: &'static str,
}

/// Every row.
pub fn rows() -> impl Iterator<Item = Row> {
    layer_a()
        .into_iter()
        .chain(layer_b())
        .chain(book_and_capacity())
        .chain(strategies())
}

/// Twenty-nine entries, which leave room for one: of the thirty-two orders that the engine holds a sixteenth is kept for
/// exits.
pub fn full() -> String {
    "bob buy 1 @ 99.00\n".repeat(29)
}

fn layer_a() -> Vec<Row> {
    use RejectCode::*;
    let row = |code, setup, passes, fails, sentence| Row {
        code,
        setup,
        passes,
        fails,
        sentence,
    };
    vec![
        row(
            InsufficientBalance,
            "account alice balance_check yes balance 1000.00",
            "alice buy 50 @ 100.00",
            "alice buy 50 @ 100.05",
            "Insufficient balance: Required ₹1,000.50, Available ₹1,000.00",
        ),
        row(
            InsufficientBalance,
            "account alice balance_check yes balance 1000.00",
            "alice buy 5 @ 100.00 cnc\n alice buy 25 @ 100.00",
            "alice buy 5 @ 100.00 cnc\n alice buy 26 @ 100.00",
            "Insufficient balance: Required ₹520.00, Available ₹500.00",
        ),
        row(
            NoLastPrice,
            "",
            "last 100.00\n alice buy 1 market",
            "alice buy 1 market",
            "Cannot validate balance for market orders without LTP",
        ),
        row(
            PositionLimit,
            "instrument ACME\n instrument BETA\n instrument GAMMA\n account alice positions_max 2",
            "alice buy 1 @ 99.00 in ACME\n alice buy 1 @ 99.00 in BETA",
            "alice buy 1 @ 99.00 in ACME\n alice buy 1 @ 99.00 in BETA\n alice buy 1 @ 99.00 in GAMMA",
            "Position limit reached: 2/2 open positions",
        ),
        row(
            RiskPerTrade,
            "account alice risk_per_trade_max 0.02 balance 1000.00",
            "alice buy 20 @ 100.00 stop 99.00",
            "alice buy 20 @ 100.00 stop 98.95",
            "Risk per trade exceeds limit: ₹21.00 (2.10%) > ₹20.00 (2.0%)",
        ),
        row(
            RiskPerTrade,
            "account alice risk_per_trade_max 0.02 balance 1000.00",
            "alice buy 20 @ 100.00 stop 99.00\n alice modify 1 to 40",
            "alice buy 20 @ 100.00 stop 99.00\n alice modify 1 to 41",
            "Risk per trade exceeds limit: ₹21.00 (2.10%) > ₹20.00 (2.0%)",
        ),
        row(
            // 100 bought at 100.00 cost ₹4.22; 55 paise a share and they come to ₹59.22, which is 6 % of ₹987.00.
            DailyLossLimit,
            "account alice daily_loss_max 0.06 balance 987.00\n account bob",
            "bob sell 100 @ 100.00\n alice buy 100 @ 100.00\n last 99.45\n alice buy 1 @ 99.00",
            "bob sell 100 @ 100.00\n alice buy 100 @ 100.00\n last 99.44\n alice buy 1 @ 99.00",
            "Daily loss limit exceeded: ₹60.22 (6.10%) > ₹59.22 (6.0%)",
        ),
        row(
            StopLossMissing,
            "account alice stop_loss_required yes",
            "alice buy 1 @ 100.00 stop 99.00",
            "alice buy 1 @ 100.00",
            "Stop-loss is required for all orders",
        ),
        row(
            StopLossNotBelowEntry,
            "account alice stop_loss_required yes",
            "alice buy 1 @ 100.00 stop 99.95",
            "alice buy 1 @ 100.00 stop 100.00",
            "Invalid stop-loss: Buy order stop-loss (₹100) must be < entry (₹100)",
        ),
        row(
            StopLossNotAboveEntry,
            "account alice stop_loss_required yes",
            "alice sell 1 @ 100.00 stop 100.05",
            "alice sell 1 @ 100.00 stop 100.00",
            "Invalid stop-loss: Sell order stop-loss (₹100) must be > entry (₹100)",
        ),
        row(
            RiskRewardRatio,
            "account alice risk_reward_min 2",
            "alice buy 1 @ 100.00 stop 99.00 target 102.00",
            "alice buy 1 @ 100.00 stop 99.00 target 101.95",
            "Risk-reward ratio too low: 1.95:1 < 2:1 required",
        ),
        row(
            RiskZero,
            "account alice risk_reward_min 2",
            "alice buy 1 @ 100.00 stop 99.95 target 101.00",
            "alice buy 1 @ 100.00 stop 100.00 target 101.00",
            "Risk cannot be zero (stop-loss = entry price)",
        ),
        row(
            PriceSanity,
            "account alice price_sanity_max 0.05",
            "last 100.00\n alice buy 1 @ 105.00",
            "last 100.00\n alice buy 1 @ 105.05",
            "Price too far from LTP: ₹105.05 is 5.05% from ₹100 (max 5.0%)",
        ),
        row(
            PriceSanity,
            "account alice price_sanity_max 0.05",
            "last 100.00\n alice buy 1 @ 95.00",
            "last 100.00\n alice buy 1 @ 94.95",
            "Price too far from LTP: ₹94.95 is 5.05% from ₹100 (max 5.0%)",
        ),
        row(
            QuantityBelowOne,
            "",
            "alice buy 1 @ 100.00",
            "alice buy 0 @ 100.00",
            "Quantity below minimum: 0 < 1",
        ),
        row(
            QuantityAboveLimit,
            "account alice order_quantity_max 10000",
            "alice buy 10000 @ 100.00",
            "alice buy 10001 @ 100.00",
            "Quantity exceeds maximum: 10001 > 10000 allowed",
        ),
        row(
            // An increase counts for itself.
            QuantityAboveLimit,
            "account alice order_quantity_max 10",
            "alice buy 10 @ 100.00\n alice modify 1 to 20",
            "alice buy 10 @ 100.00\n alice modify 1 to 21",
            "Quantity exceeds maximum: 11 > 10 allowed",
        ),
        row(
            // At another price all that is open counts.
            QuantityAboveLimit,
            "account alice order_quantity_max 10",
            "alice buy 9 @ 100.00\n alice modify 1 to 10 @ 100.05",
            "alice buy 9 @ 100.00\n alice modify 1 to 11 @ 100.05",
            "Quantity exceeds maximum: 11 > 10 allowed",
        ),
        row(
            OrderToPositionRatio,
            "account alice orders_per_position_max 2",
            "alice buy 1 @ 99.00\n alice buy 1 @ 99.00",
            "alice buy 1 @ 99.00\n alice buy 1 @ 99.00\n alice buy 1 @ 99.00",
            "Too many pending orders: 2 orders for 0 positions (max 2:1 ratio)",
        ),
        row(
            CircuitBreaker,
            "",
            "bob sell 9 @ 100.00\n alice buy 9 @ 100.00\n alice kill alice\n alice sell 9 @ 100.00",
            "bob sell 9 @ 100.00\n alice buy 9 @ 100.00\n alice kill alice\n alice sell 10 @ 100.00",
            "Trading is blocked: Kill switch is active. Manual intervention required.",
        ),
        row(
            CircuitBreaker,
            "",
            "bob sell 9 @ 100.00\n alice buy 9 @ 100.00\n admin kill engine\n alice sell 9 @ 100.00",
            "bob sell 9 @ 100.00\n alice buy 9 @ 100.00\n admin kill engine halt\n alice sell 9 @ 100.00",
            "Trading is blocked: Kill switch is active. Manual intervention required.",
        ),
    ]
}

fn layer_b() -> Vec<Row> {
    use RejectCode::*;
    let row = |code, setup, passes, fails, sentence| Row {
        code,
        setup,
        passes,
        fails,
        sentence,
    };
    vec![
        row(
            Banned,
            "",
            "bob sell 9 @ 100.00\n alice buy 9 @ 100.00\n instrument ACME banned\n alice sell 9 @ 100.00",
            "bob sell 9 @ 100.00\n alice buy 9 @ 100.00\n instrument ACME banned\n alice sell 10 @ 100.00",
            "Symbol is banned from opening positions",
        ),
        row(
            MisNotAllowed,
            "instrument ACME no-mis",
            "alice buy 1 @ 100.00 cnc",
            "alice buy 1 @ 100.00",
            "Symbol is not eligible for MIS",
        ),
        row(
            Session,
            "session nse",
            "until 15:29:58\n alice buy 1 @ 100.00",
            "until 15:29:59\n alice buy 1 @ 100.00",
            "The market is closed",
        ),
        row(
            Session,
            "session nse\n instrument ACME derivatives",
            "until 15:14:58\n alice buy 1 @ 100.00",
            "until 15:14:59\n alice buy 1 @ 100.00",
            "The market is in its closing auction: orders are accepted in continuous trading only",
        ),
        row(
            Session,
            "session nse",
            "until +3 09:14:59\n alice buy 1 @ 100.00",
            "until +3 09:14:58\n alice buy 1 @ 100.00",
            "The market is in its pre-open phase: orders are accepted once continuous trading begins",
        ),
        row(
            Session,
            "session nse holiday +3",
            "until +4 12:00\n alice buy 1 @ 100.00",
            "until +3 12:00\n alice buy 1 @ 100.00",
            "The market is closed",
        ),
        row(
            // An exit faces the session too.
            Session,
            "session nse",
            "bob sell 1 @ 100.00\n alice buy 1 @ 100.00\n until 15:29:58\n alice sell 1 @ 100.00",
            "bob sell 1 @ 100.00\n alice buy 1 @ 100.00\n until 15:29:59\n alice sell 1 @ 100.00",
            "The market is closed",
        ),
        row(
            // The engine's own closes as well.
            Session,
            "session nse",
            "bob sell 1 @ 100.00\n alice buy 1 @ 100.00\n until 15:29:58\n alice close 2",
            "bob sell 1 @ 100.00\n alice buy 1 @ 100.00\n until 15:29:59\n alice close 2",
            "The market is closed",
        ),
        row(
            IntradayEnded,
            "session square-off 15:20 15:10",
            "until 15:19:58\n alice buy 1 @ 100.00",
            "until 15:19:59\n alice buy 1 @ 100.00",
            "Intraday (MIS) positions have been squared off: no new ones are opened today",
        ),
        row(
            // Delivery goes on, and the next day is another one.
            IntradayEnded,
            "session square-off 15:20 15:10",
            "until +1 00:00\n alice buy 1 @ 100.00",
            "until 15:20\n alice buy 1 @ 100.00 cnc\n alice buy 1 @ 100.00",
            "Intraday (MIS) positions have been squared off: no new ones are opened today",
        ),
        row(
            StaleProtection,
            "account alice reference_age_ms_max 1000",
            "last 100.00\n alice buy 1 market",
            "last 100.00\n admin limits alice reference_age_ms_max 1999\n alice buy 1 market",
            "Last price ₹100 is 2000 ms old: more than 1999 ms",
        ),
        row(
            StaleReference,
            "account alice reference_age_ms_max 1000",
            "last 100.00\n alice buy 1 @ 100.00",
            "last 100.00\n admin limits alice reference_age_ms_max 1999\n alice buy 1 @ 100.00",
            "Last price ₹100 is 2000 ms old: more than 1999 ms",
        ),
        row(
            StaleReference,
            "account alice reference_age_ms_max 1000",
            "last 100.00\n alice buy 1 @ 100.00",
            "alice buy 1 @ 100.00",
            "There is no last traded price yet",
        ),
        row(
            TickSize,
            "",
            "alice buy 1 @ 100.05",
            "alice buy 1 @ 100.04",
            "Price ₹100.04 is not a multiple of the tick size ₹0.05",
        ),
        row(
            LotSize,
            "instrument ACME lot 10",
            "alice buy 20 @ 100.00",
            "alice buy 21 @ 100.00",
            "Quantity 21 is not a multiple of the lot size 10",
        ),
        row(
            PriceBand,
            "",
            "alice buy 1 @ 110.00",
            "alice buy 1 @ 110.05",
            "Price ₹110.05 is outside the price band ₹90 to ₹110",
        ),
        row(
            PriceBand,
            "",
            "alice sell 1 @ 90.00",
            "alice sell 1 @ 89.95",
            "Price ₹89.95 is outside the price band ₹90 to ₹110",
        ),
        row(
            OrderValue,
            "account alice order_value_max 1000.00",
            "alice buy 10 @ 100.00",
            "alice buy 10 @ 100.05",
            "Order value exceeds limit: ₹1,000.50 > ₹1,000.00",
        ),
        row(
            OrderValue,
            "account alice order_value_max 1000.00",
            "alice buy 10 @ 100.00\n alice modify 1 to 20",
            "alice buy 10 @ 100.00\n alice modify 1 to 21",
            "Order value exceeds limit: ₹1,100.00 > ₹1,000.00",
        ),
        row(
            OrderValue,
            "account alice order_value_max 1000.00",
            "alice buy 9 @ 100.00\n alice modify 1 to 10 @ 100.00",
            "alice buy 9 @ 100.00\n alice modify 1 to 10 @ 100.05",
            "Order value exceeds limit: ₹1,000.50 > ₹1,000.00",
        ),
        row(
            // The exchange's cap of ₹10 crore, whatever the profile says.
            OrderValue,
            "instrument ACME freeze 2000000",
            "alice buy 1000000 @ 100.00",
            "alice buy 1000001 @ 100.00",
            "Order value exceeds limit: ₹100,000,100.00 > ₹100,000,000.00",
        ),
        row(
            // It holds for the whole of an order, what is filled included.
            OrderValue,
            "instrument ACME freeze 2000000",
            "bob sell 1 @ 100.00\n alice buy 2 @ 100.00\n alice modify 2 to 1000000",
            "bob sell 1 @ 100.00\n alice buy 2 @ 100.00\n alice modify 2 to 1000001",
            "Order value exceeds limit: ₹100,000,100.00 > ₹100,000,000.00",
        ),
        row(
            FreezeQuantity,
            "instrument ACME freeze 500",
            "alice buy 500 @ 100.00",
            "alice buy 501 @ 100.00",
            "Quantity exceeds the exchange's freeze quantity: 501 > 500",
        ),
        row(
            FreezeQuantity,
            "instrument ACME freeze 500",
            "bob sell 1 @ 100.00\n alice buy 2 @ 100.00\n alice modify 2 to 500",
            "bob sell 1 @ 100.00\n alice buy 2 @ 100.00\n alice modify 2 to 501",
            "Quantity exceeds the exchange's freeze quantity: 501 > 500",
        ),
        row(
            OpenOrderValue,
            "account alice open_order_value_max 1000.00",
            "alice buy 5 @ 100.00\n alice buy 5 @ 100.00",
            "alice buy 5 @ 100.00\n alice buy 5 @ 100.05",
            "Value of open orders exceeds limit: ₹1,000.25 > ₹1,000.00",
        ),
        row(
            GrossExposure,
            "account alice gross_exposure_max 0.5 balance 2000.00\n account bob",
            "bob sell 4 @ 100.00\n alice buy 4 @ 100.00\n alice buy 2 @ 100.00\n alice sell 8 @ 100.00",
            "bob sell 4 @ 100.00\n alice buy 4 @ 100.00\n alice buy 2 @ 100.00\n alice sell 9 @ 100.00",
            "Gross exposure exceeds limit: ₹1,100.00 > ₹1,000.00",
        ),
        row(
            NetExposure,
            "account alice net_exposure_max 0.5 balance 2000.00\n account bob",
            "bob buy 4 @ 100.00\n alice sell 4 @ 100.00\n alice sell 6 @ 100.00",
            "bob buy 4 @ 100.00\n alice sell 4 @ 100.00\n alice sell 7 @ 100.00",
            "Net exposure exceeds limit: ₹1,100.00 > ₹1,000.00",
        ),
        row(
            SymbolPosition,
            "account alice symbol_position_max 100",
            "alice buy 60 @ 100.00\n alice buy 40 @ 100.00",
            "alice buy 60 @ 100.00\n alice buy 41 @ 100.00",
            "Position would exceed the limit: 101 > 100 shares",
        ),
        row(
            // What a position's exact cost can represent, whatever the profile says.
            SymbolPosition,
            "instrument ACME tick 0.01 reference 0.05 freeze 2000000000",
            "alice buy 1000000000 @ 0.05",
            "alice buy 1000000001 @ 0.05",
            "Position would exceed the limit: 1000000001 > 1000000000 shares",
        ),
        row(
            Holdings,
            "",
            "bob sell 9 @ 100.00\n alice buy 9 @ 100.00 cnc\n alice sell 9 @ 100.00 cnc",
            "bob sell 9 @ 100.00\n alice buy 9 @ 100.00 cnc\n alice sell 10 @ 100.00 cnc",
            "CNC sell exceeds holdings: 10 > 9 shares",
        ),
        row(
            OrderRate,
            "account alice orders_per_second_max 2",
            "alice buy 1 @ 99.00\n at once\n alice buy 1 @ 99.00",
            "alice buy 1 @ 99.00\n at once\n alice buy 1 @ 99.00\n at once\n alice buy 1 @ 99.00",
            "Order rate exceeded: more than 2 orders per second",
        ),
        row(
            DailyOrders,
            "account alice daily_orders_max 2",
            "alice buy 1 @ 99.00\n alice buy 1 @ 99.00",
            "alice buy 1 @ 99.00\n alice buy 1 @ 99.00\n alice buy 1 @ 99.00",
            "Too many orders today: 3 > 2",
        ),
        row(
            DuplicateBurst,
            "account alice duplicate_burst_max 2",
            "alice buy 1 @ 99.00\n alice buy 1 @ 99.00",
            "alice buy 1 @ 99.00\n at once\n alice buy 1 @ 99.00",
            "Too many identical orders within a second: 2 > 1",
        ),
        row(
            RepeatedExecution,
            "account alice repeated_executions_max 1\n account bob",
            "bob sell 9 @ 100.00\n alice buy 1 @ 100.00\n alice buy 1 @ 100.00",
            "bob sell 9 @ 100.00\n alice buy 1 @ 100.00\n alice buy 1 @ 100.00\n alice buy 1 @ 100.00",
            "Too many executions of this strategy within a minute: 2 > 1. Manual re-arm required.",
        ),
        row(
            ModifyCap,
            "account alice modifications_max 1",
            "alice buy 1 @ 99.00\n alice modify 1 @ 99.05",
            "alice buy 1 @ 99.00\n alice modify 1 @ 99.05\n alice modify 1 @ 99.10",
            "Too many modifications of this order: 2 > 1",
        ),
    ]
}

fn book_and_capacity() -> Vec<Row> {
    use RejectCode::*;
    let row = |code, setup, passes, fails, sentence| Row {
        code,
        setup,
        passes,
        fails,
        sentence,
    };
    vec![
        row(
            PostOnlyWouldCross,
            "",
            "bob sell 9 @ 100.05\n alice buy 1 @ 100.00 post-only",
            "bob sell 9 @ 100.05\n alice buy 1 @ 100.05 post-only",
            "Post-only order would trade at once at ₹100.05",
        ),
        row(
            FillOrKill,
            "",
            "bob sell 9 @ 100.00\n alice buy 9 @ 100.00 fok",
            "bob sell 9 @ 100.00\n alice buy 10 @ 100.00 fok",
            "Fill-or-kill: only 9 of 10 can trade at once",
        ),
        row(
            MinimumQuantity,
            "",
            "bob sell 9 @ 100.00\n alice buy 20 @ 100.00 min 9",
            "bob sell 9 @ 100.00\n alice buy 20 @ 100.00 min 10",
            "Minimum quantity: only 9 of 10 can trade at once",
        ),
        row(
            DisclosedQuantity,
            "",
            "alice buy 10 @ 100.00 show 10",
            "alice buy 10 @ 100.00 show 11",
            "Disclosed quantity 11 must be from 1 to the order's quantity 10",
        ),
        row(
            DisclosedQuantity,
            "",
            "alice buy 10 @ 100.00 show 1",
            "alice buy 10 @ 100.00 show 0",
            "Disclosed quantity 0 must be from 1 to the order's quantity 10",
        ),
        row(
            GoodTillInPast,
            "",
            "alice buy 10 @ 100.00 gtd 1",
            "alice buy 10 @ 100.00 gtd 0",
            "good_till must be in the future",
        ),
        row(
            Incompatible,
            "",
            "alice buy 10 @ 100.00 ioc",
            "alice buy 10 @ 100.00 ioc post-only",
            "These order attributes contradict each other",
        ),
        row(
            TriggerCrossed,
            "",
            "last 100.00\n alice buy 10 @ 101.00 trigger 100.05",
            "last 100.00\n alice buy 10 @ 101.00 trigger 100.00",
            "Trigger price ₹100 is already crossed by the last traded price ₹100",
        ),
        row(
            TriggerCrossed,
            "",
            "last 100.00\n alice sell 10 market trigger 99.95",
            "last 100.00\n alice sell 10 market trigger 100.00",
            "Trigger price ₹100 is already crossed by the last traded price ₹100",
        ),
        row(
            TickSize,
            "",
            "last 99.00\n alice buy 10 @ 101.00 trigger 100.05",
            "last 99.00\n alice buy 10 @ 101.00 trigger 100.03",
            "Price ₹100.03 is not a multiple of the tick size ₹0.05",
        ),
        row(
            PriceBand,
            "",
            "last 99.00\n alice buy 10 @ 101.00 trigger 110.00",
            "last 99.00\n alice buy 10 @ 101.00 trigger 110.05",
            "Price ₹110.05 is outside the price band ₹90 to ₹110",
        ),
        row(
            Incompatible,
            "",
            "last 99.00\n alice buy 10 @ 101.00 trigger 100.00 ioc",
            "last 99.00\n alice buy 10 @ 101.00 trigger 100.00 fok",
            "These order attributes contradict each other",
        ),
        row(
            NoLastPrice,
            "",
            "last 99.00\n alice buy 10 market trigger 100.00",
            "alice buy 10 market trigger 100.00",
            "Cannot validate balance for market orders without LTP",
        ),
        row(
            NotPending,
            "",
            "last 99.00\n alice buy 10 @ 98.00 trigger 100.00\n alice modify 1 trigger 100.05",
            "last 99.00\n alice buy 10 @ 98.00\n alice modify 1 trigger 100.05",
            "The order is not waiting for a trigger price",
        ),
        row(
            StopBeyondTarget,
            "",
            "bob sell 5 @ 100.00\n alice buy 5 @ 100.00\n alice edit 2 stop 99.00 target 99.05",
            "bob sell 5 @ 100.00\n alice buy 5 @ 100.00\n alice edit 2 stop 99.00 target 99.00",
            "Stop-loss ₹99 must be on the losing side of take-profit ₹99",
        ),
        row(
            TrailingShare,
            "",
            "bob sell 5 @ 100.00\n alice buy 5 @ 100.00\n alice edit 2 trail-share 0.999999",
            "bob sell 5 @ 100.00\n alice buy 5 @ 100.00\n alice edit 2 trail-share 1",
            "A trailing stop's percentage must be above 0 and below 100",
        ),
        row(
            OrderCapacity,
            "",
            "FULL\n alice buy 1 @ 99.00",
            "FULL\n alice buy 1 @ 99.00\n alice buy 1 @ 99.00",
            "The engine holds its maximum of 30 open orders",
        ),
        row(
            OrderCapacity,
            "",
            "carol sell 9 @ 100.00\n alice buy 9 @ 100.00\n FULL\n alice buy 1 @ 99.00
             alice sell 1 @ 109.00",
            "carol sell 9 @ 100.00\n alice buy 9 @ 100.00\n FULL\n alice buy 1 @ 99.00
             alice sell 1 @ 109.00\n alice sell 1 @ 109.00",
            "The engine holds its maximum of 31 open orders",
        ),
        row(
            OrderCapacity,
            "",
            "carol sell 9 @ 100.00\n alice buy 9 @ 100.00\n FULL\n alice buy 1 @ 99.00
             alice sell 1 @ 109.00\n last 105.00\n alice close 2 1",
            "carol sell 9 @ 100.00\n alice buy 9 @ 100.00\n FULL\n alice buy 1 @ 99.00
             alice sell 1 @ 109.00\n last 105.00\n alice close 2 1\n alice close 2",
            "The engine holds its maximum of 32 open orders",
        ),
        row(
            PositionCapacity,
            "",
            "bob buy 1 @ 99.00\n bob buy 1 @ 99.00 strategy 2\n bob buy 1 @ 99.00 strategy 3
             bob buy 1 @ 99.00 strategy 4\n bob buy 1 @ 99.00 strategy 5\n alice buy 1 @ 99.00
             alice buy 1 @ 98.00",
            "bob buy 1 @ 99.00\n bob buy 1 @ 99.00 strategy 2\n bob buy 1 @ 99.00 strategy 3
             bob buy 1 @ 99.00 strategy 4\n bob buy 1 @ 99.00 strategy 5\n alice buy 1 @ 99.00
             alice buy 1 @ 98.00 cnc",
            "The engine holds its maximum of 6 positions",
        ),
        row(
            ClientOrderIdReused,
            "",
            "alice buy 1 @ 99.00 id first\n alice buy 1 @ 99.00 id first",
            "alice buy 1 @ 99.00 id first\n alice buy 2 @ 99.00 id first",
            "client_order_id was already used with a different order",
        ),
        // A quarter of the four is for other accounts.
        row(
            ClientOrderIdCapacity,
            "",
            "alice buy 1 @ 99.00 id a\n alice buy 1 @ 99.00 id b\n alice buy 1 @ 99.00 id c",
            "alice buy 1 @ 99.00 id a\n alice buy 1 @ 99.00 id b\n alice buy 1 @ 99.00 id c
             alice buy 1 @ 99.00 id d",
            "The engine remembers its maximum of 3 client_order_ids today: send the order without one",
        ),
    ]
}

/// Limits of strategy 2 on the account of alice; strategy 1, and the other side of each boundary, pass.
fn strategies() -> Vec<Row> {
    use RejectCode::*;
    let row = |code, setup, passes, fails, sentence| Row {
        code,
        setup,
        passes,
        fails,
        sentence,
    };
    vec![
        row(
            QuantityAboveLimit,
            "account alice order_quantity_max 10",
            "admin limits alice strategy 2 order_quantity_max 5\n alice buy 5 @ 99.00 strategy 2\n alice buy 10 @ 99.00",
            "admin limits alice strategy 2 order_quantity_max 5\n alice buy 6 @ 99.00 strategy 2",
            "Quantity exceeds maximum: 6 > 5 allowed",
        ),
        row(
            // Looser than the account's, so that the account's holds.
            QuantityAboveLimit,
            "account alice order_quantity_max 10",
            "admin limits alice strategy 2 order_quantity_max 20\n alice buy 10 @ 99.00 strategy 2",
            "admin limits alice strategy 2 order_quantity_max 20\n alice buy 11 @ 99.00 strategy 2",
            "Quantity exceeds maximum: 11 > 10 allowed",
        ),
        row(
            // A new limit of the account is followed.
            QuantityAboveLimit,
            "account alice order_quantity_max 10",
            "admin limits alice strategy 2 order_quantity_max 20\n admin limits alice order_quantity_max 4
             alice buy 4 @ 99.00 strategy 2",
            "admin limits alice strategy 2 order_quantity_max 20\n admin limits alice order_quantity_max 4
             alice buy 5 @ 99.00 strategy 2",
            "Quantity exceeds maximum: 5 > 4 allowed",
        ),
        row(
            StopLossMissing,
            "",
            "admin limits alice strategy 2 stop_loss_required yes\n alice buy 1 @ 100.00 strategy 3",
            "admin limits alice strategy 2 stop_loss_required yes\n alice buy 1 @ 100.00 strategy 2",
            "Stop-loss is required for all orders",
        ),
        row(
            // The account's positions count.
            PositionLimit,
            "instrument ACME\n instrument BETA\n account alice positions_max 3",
            "admin limits alice strategy 2 positions_max 1\n alice buy 1 @ 99.00 in ACME
             alice buy 1 @ 99.00 in BETA",
            "admin limits alice strategy 2 positions_max 1\n alice buy 1 @ 99.00 in ACME
             alice buy 1 @ 99.00 in BETA strategy 2",
            "Position limit reached: 1/1 open positions",
        ),
        row(
            // Its own bucket: orders of others do not empty it.
            OrderRate,
            "",
            "admin limits alice strategy 2 orders_per_second_max 2\n at once\n alice buy 1 @ 99.00\n at once\n alice buy 1 @ 99.00
             at once
             alice buy 1 @ 99.00 strategy 2\n at once\n alice buy 1 @ 99.00 strategy 2",
            "admin limits alice strategy 2 orders_per_second_max 2\n at once\n alice buy 1 @ 99.00 strategy 2
             at once
             alice buy 1 @ 99.00 strategy 2\n at once\n alice buy 1 @ 99.00 strategy 2",
            "Order rate exceeded: more than 2 orders per second",
        ),
        row(
            // The account's bucket empties first.
            OrderRate,
            "account alice orders_per_second_max 3",
            "admin limits alice strategy 2 orders_per_second_max 2\n at once\n alice buy 1 @ 99.00\n at once\n alice buy 1 @ 99.00
             at once
             alice buy 1 @ 99.00 strategy 2",
            "admin limits alice strategy 2 orders_per_second_max 2\n at once\n alice buy 1 @ 99.00\n at once\n alice buy 1 @ 99.00
             at once
             alice buy 1 @ 99.00\n at once\n alice buy 1 @ 99.00 strategy 2",
            "Order rate exceeded: more than 3 orders per second",
        ),
        row(
            ModifyCap,
            "account alice modifications_max 2",
            "admin limits alice strategy 2 modifications_max 1\n alice buy 5 @ 99.00 strategy 2\n alice modify 1 @ 99.05",
            "admin limits alice strategy 2 modifications_max 1\n alice buy 5 @ 99.00 strategy 2\n alice modify 1 @ 99.05
             alice modify 1 @ 99.10",
            "Too many modifications of this order: 2 > 1",
        ),
        row(
            RepeatedExecution,
            "",
            "admin limits alice strategy 2 repeated_executions_max 1\n bob sell 9 @ 100.00
             alice buy 1 @ 100.00 strategy 2\n alice buy 1 @ 100.00\n alice buy 1 @ 100.00
             alice buy 1 @ 100.00 strategy 2",
            "admin limits alice strategy 2 repeated_executions_max 1\n bob sell 9 @ 100.00
             alice buy 1 @ 100.00 strategy 2\n alice buy 1 @ 100.00 strategy 2\n alice buy 1 @ 100.00 strategy 2",
            "Too many executions of this strategy within a minute: 2 > 1. Manual re-arm required.",
        ),
        row(
            DuplicateBurst,
            "",
            "admin limits alice strategy 2 duplicate_burst_max 2\n alice buy 1 @ 99.00\n at once\n alice buy 1 @ 99.00",
            "admin limits alice strategy 2 duplicate_burst_max 2\n alice buy 1 @ 99.00\n at once\n alice buy 1 @ 99.00 strategy 2",
            "Too many identical orders within a second: 2 > 1",
        ),
        row(
            SymbolPosition,
            "",
            "admin limits alice strategy 2 symbol_position_max 5\n alice buy 3 @ 99.00 strategy 2
             alice buy 9 @ 99.00\n alice buy 2 @ 98.00 strategy 2",
            "admin limits alice strategy 2 symbol_position_max 5\n alice buy 3 @ 99.00 strategy 2
             alice buy 3 @ 98.00 strategy 2",
            "Position would exceed the limit: 6 > 5 shares",
        ),
    ]
}
