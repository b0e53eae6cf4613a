//! What the risk pass executes, by check, for `scripts/risk_instructions.sh` to count under callgrind: a thousand orders that
//! pass go through `Engine::check`, which is the pass of `apply` without its effects, under limits of which one is on.
//!
//! `cargo run --release --package engine --example risk_pass -- balance_check`

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    reason = "not part of the engine"
)]

use std::hint::black_box;

use engine::{
    AccountDefinition, AccountId, Capacity, ClientOrderId, Command, Engine, EventBuffer,
    InstrumentDefinition, InstrumentId, MarketPrice, Money, NewOrder, OrderType, Price, Product, Quantity,
    Ratio, RiskLimits, Seq, Sequenced, Side, StrategyId, Symbol, Text, TimeInForce, Timestamp,
};

/// Orders that are checked.
const ORDERS: u32 = 1_000;
const MID: u32 = 32_768;

/// The paths by name: the limits in force, and whether the orders carry a stop-loss and a target, which the short way does
/// not know, so that the checks are gone through one by one.
fn path(name: &str) -> Option<(RiskLimits, bool)> {
    let wide = Some(Ratio::from_ppm(4_000_000));
    let rupees = |rupees: i64| Some(Money::from_paise(rupees * 100));
    let only = |limits: RiskLimits| Some((limits, true));
    match name {
        "short_way" => Some((RiskLimits::maker(), false)),
        "maker" => Some((RiskLimits::maker(), true)),
        "dashboard" => Some((roomy(RiskLimits::dashboard()), true)),
        "always_on" => only(RiskLimits::NONE),
        "balance_check" => only(RiskLimits {
            balance_check: true,
            mis_leverage: 5,
            ..RiskLimits::NONE
        }),
        "position_limit" => only(RiskLimits {
            positions_max: Some(5),
            ..RiskLimits::NONE
        }),
        "risk_per_trade" => only(RiskLimits {
            risk_per_trade_max: wide,
            ..RiskLimits::NONE
        }),
        "daily_loss_limit" => only(RiskLimits {
            daily_loss_max: wide,
            ..RiskLimits::NONE
        }),
        "stop_loss_required" => only(RiskLimits {
            stop_loss_required: true,
            ..RiskLimits::NONE
        }),
        "risk_reward_ratio" => only(RiskLimits {
            risk_reward_min: Some(Ratio::ONE),
            ..RiskLimits::NONE
        }),
        "price_sanity" => only(RiskLimits {
            price_sanity_max: wide,
            ..RiskLimits::NONE
        }),
        "quantity_limits" => only(RiskLimits {
            order_quantity_max: Some(10_000),
            ..RiskLimits::NONE
        }),
        "order_to_position_ratio" => only(RiskLimits {
            orders_per_position_max: Some(3_000),
            ..RiskLimits::NONE
        }),
        "order_value" => only(RiskLimits {
            order_value_max: rupees(500_000),
            ..RiskLimits::NONE
        }),
        "open_order_value" => only(RiskLimits {
            open_order_value_max: rupees(50_000_000),
            ..RiskLimits::NONE
        }),
        "gross_exposure" => only(RiskLimits {
            gross_exposure_max: wide,
            ..RiskLimits::NONE
        }),
        "net_exposure" => only(RiskLimits {
            net_exposure_max: wide,
            ..RiskLimits::NONE
        }),
        "symbol_position" => only(RiskLimits {
            symbol_position_max: Some(1_000_000),
            ..RiskLimits::NONE
        }),
        "order_rate" => only(RiskLimits {
            orders_per_second_max: Some(20_000),
            ..RiskLimits::NONE
        }),
        "daily_orders" => only(RiskLimits {
            daily_orders_max: Some(5_000),
            ..RiskLimits::NONE
        }),
        "duplicate_burst" => only(RiskLimits {
            duplicate_burst_max: Some(3),
            ..RiskLimits::NONE
        }),
        "repeated_execution" => only(RiskLimits {
            repeated_executions_max: Some(20),
            ..RiskLimits::NONE
        }),
        "stale_reference" => only(RiskLimits {
            reference_age_ms_max: Some(60_000),
            ..RiskLimits::NONE
        }),
        _ => None,
    }
}

/// With room for the orders of this program.
fn roomy(limits: RiskLimits) -> RiskLimits {
    RiskLimits {
        orders_per_position_max: Some(3_000),
        ..limits
    }
}

fn main() {
    let name = std::env::args().nth(1).unwrap_or_default();
    let Some((limits, conditions)) = path(&name) else {
        eprintln!("no path is called {name:?}");
        std::process::exit(2);
    };
    let engine = engine(limits);
    let orders: Vec<NewOrder> = (0..ORDERS).map(|n| order(n, conditions)).collect();
    let now = engine.time();
    for order in &orders {
        let verdict = engine.check(order, now);
        assert!(verdict.rejection.is_none(), "{name}: {verdict:?}");
    }
    pass(&engine, &orders, now);
}

#[inline(never)]
fn pass(engine: &Engine, orders: &[NewOrder], now: Timestamp) {
    for order in orders {
        black_box(engine.check(black_box(order), now));
    }
}

fn price(paise: u32) -> Price {
    Price::from_paise(paise).expect("a positive price")
}

/// Two accounts that have traded with each other: the first is long, and has an entry resting.
fn engine(limits: RiskLimits) -> Engine {
    let mut engine = Engine::new(Capacity {
        accounts: 2,
        instruments: 1,
        orders: 64,
        positions: 16,
        client_order_ids: 16,
    });
    let account = |name: &str, limits: RiskLimits| {
        Command::DefineAccount(Box::new(AccountDefinition {
            name: Text::cut(name),
            opening_balance: Money::from_paise(100_000_000),
            limits,
            profile: Text::cut("measured"),
            venue: false,
        }))
    };
    let instrument = Command::DefineInstrument(Box::new(InstrumentDefinition {
        symbol: Symbol::cut("BENCH"),
        exchange: Text::cut("NSE"),
        tick_size: price(1),
        lot_size: Quantity::clamped(1),
        freeze_quantity: Quantity::clamped(100_000),
        reference_price: price(MID),
        price_band: Ratio::from_ppm(200_000),
        mis_allowed: true,
        banned: false,
        derivatives: false,
    }));
    let bid = |account: u32, side, at| {
        Command::NewOrder(NewOrder {
            account: AccountId::new(account),
            side,
            order_type: OrderType::Limit(price(at)),
            ..order(0, true)
        })
    };
    let commands = [
        instrument,
        account("measured", limits),
        account("other", RiskLimits::NONE),
        Command::MarketPrice(MarketPrice {
            instrument: InstrumentId::new(0),
            price: price(MID),
        }),
        bid(1, Side::Sell, MID),
        bid(0, Side::Buy, MID),
        bid(0, Side::Buy, MID - 100),
    ];
    let mut events = EventBuffer::new();
    for (command, seq) in commands.into_iter().zip(1_u64..) {
        events.clear();
        let _ = engine.apply(
            &Sequenced {
                seq: Seq::new(seq),
                time: Timestamp::from_nanos(1_795_146_300_000_000_000 + seq * 1_000_000),
                command,
            },
            &mut events,
        );
    }
    engine
}

/// An entry near the last price, with more reward than risk where it has conditions.
fn order(n: u32, conditions: bool) -> NewOrder {
    let at = MID - 1 - n % 200;
    NewOrder {
        account: AccountId::new(0),
        strategy: StrategyId::new(1),
        instrument: InstrumentId::new(0),
        side: Side::Buy,
        product: Product::Mis,
        order_type: OrderType::Limit(price(at)),
        time_in_force: TimeInForce::Day,
        quantity: Quantity::clamped(1 + i64::from(n % 10)),
        post_only: false,
        disclosed: None,
        minimum: None,
        stop_loss: conditions.then(|| price(at - 100)),
        take_profit: conditions.then(|| price(at + 300)),
        client_order_id: ClientOrderId::EMPTY,
        metadata: None,
    }
}
