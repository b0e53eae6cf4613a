//! Any command, for round trips.

use engine::{
    AccountDefinition, AccountId, Actor, AdjustCash, ByClass, CancelAll, CancelOrder, Capacity, ChargeRate,
    ChargeRates, ClosePosition, Command, Edit, EditConditions, Heartbeat, InstrumentDefinition, InstrumentId,
    KillScope, KillSwitch, LimitFields, MarketPrice, ModifyOrder, Money, NewOrder, Notice, NoticeKind,
    OrderId, OrderRef, OrderType, PositionId, Price, Product, ProductRates, Quantity, Ratio, Rearm,
    RiskLimits, SelfTrade, SessionCalendar, SetLimits, Side, StrategyDefinition, StrategyId, Text,
    TimeInForce, Timestamp, Timetable, TradingState, Trailing,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn text<const N: usize>() -> impl Strategy<Value = Text<N>> {
    vec(any::<char>(), 0..=N).prop_map(|chars| Text::cut(&chars.into_iter().collect::<String>()))
}

fn price() -> impl Strategy<Value = Price> {
    (1..=u32::MAX).prop_map(|paise| Price::from_paise(paise).unwrap())
}

fn quantity() -> impl Strategy<Value = Quantity> {
    (0..=engine::limits::QUANTITY_MAX).prop_map(|shares| Quantity::new(shares).unwrap())
}

fn ratio() -> impl Strategy<Value = Ratio> {
    any::<u32>().prop_map(Ratio::from_ppm)
}

fn money() -> impl Strategy<Value = Money> {
    any::<i64>().prop_map(Money::from_paise)
}

fn account() -> impl Strategy<Value = AccountId> {
    any::<u32>().prop_map(AccountId::new)
}

fn strategy() -> impl Strategy<Value = StrategyId> {
    any::<u32>().prop_map(StrategyId::new)
}

fn instrument() -> impl Strategy<Value = InstrumentId> {
    any::<u32>().prop_map(InstrumentId::new)
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Buy), Just(Side::Sell)]
}

fn actor() -> impl Strategy<Value = Actor> {
    (account(), any::<bool>()).prop_map(|(account, admin)| Actor { account, admin })
}

fn order_ref() -> impl Strategy<Value = OrderRef> {
    prop_oneof![
        any::<u64>().prop_map(|id| OrderRef::Id(OrderId::new(id))),
        text().prop_map(OrderRef::Client),
    ]
}

fn limits() -> impl Strategy<Value = RiskLimits> {
    let switches = (
        any::<[bool; 3]>(),
        any::<u32>(),
        proptest::sample::select(&SelfTrade::ALL[..]),
    );
    let numbers = proptest::array::uniform11(option::of(any::<u32>()));
    let ratios = proptest::array::uniform8(option::of(ratio()));
    let amounts = [option::of(money()), option::of(money())];
    (switches, numbers, ratios, amounts).prop_map(
        |(([balance_check, stop_loss_required, flatten_on_kill], mis_leverage, self_trade), n, r, m)| {
            RiskLimits {
                balance_check,
                mis_leverage,
                positions_max: n[0],
                risk_per_trade_max: r[0],
                daily_loss_max: r[1],
                stop_loss_required,
                risk_reward_min: r[2],
                price_sanity_max: r[3],
                order_quantity_max: n[1],
                orders_per_position_max: n[2],
                drawdown_max: r[4],
                position_loss_max: r[5],
                order_value_max: m[0],
                open_order_value_max: m[1],
                orders_per_second_max: n[3],
                daily_orders_max: n[4],
                modifications_max: n[5],
                symbol_position_max: n[6],
                gross_exposure_max: r[6],
                net_exposure_max: r[7],
                duplicate_burst_max: n[7],
                repeated_executions_max: n[8],
                order_to_trade_alert: n[9],
                reference_age_ms_max: n[10],
                self_trade,
                flatten_on_kill,
            }
        },
    )
}

fn edit<T: Copy + std::fmt::Debug + 'static>(
    value: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Edit<T>> {
    prop_oneof![Just(Edit::Keep), Just(Edit::Remove), value.prop_map(Edit::Set)]
}

fn new_order() -> impl Strategy<Value = Command> {
    let order_type = prop_oneof![
        Just(OrderType::Market),
        price().prop_map(OrderType::Limit),
        (price(), price()).prop_map(|(limit, trigger)| OrderType::Stop { limit, trigger }),
        price().prop_map(|trigger| OrderType::StopMarket { trigger }),
    ];
    let time_in_force = prop_oneof![
        Just(TimeInForce::Day),
        Just(TimeInForce::Ioc),
        Just(TimeInForce::Fok),
        any::<u64>().prop_map(|nanos| TimeInForce::Gtd(Timestamp::from_nanos(nanos))),
    ];
    let product = prop_oneof![Just(Product::Mis), Just(Product::Cnc)];
    let metadata = option::of(vec(any::<char>(), 0..engine::limits::METADATA_LEN_MAX / 4));
    (
        (account(), strategy(), instrument(), side(), product),
        (order_type, time_in_force, quantity(), any::<bool>()),
        (
            option::of(quantity()),
            option::of(quantity()),
            option::of(price()),
            option::of(price()),
        ),
        (text(), metadata),
    )
        .prop_map(|(ids, terms, optional, texts)| {
            Command::NewOrder(NewOrder {
                account: ids.0,
                strategy: ids.1,
                instrument: ids.2,
                side: ids.3,
                product: ids.4,
                order_type: terms.0,
                time_in_force: terms.1,
                quantity: terms.2,
                post_only: terms.3,
                disclosed: optional.0,
                minimum: optional.1,
                stop_loss: optional.2,
                take_profit: optional.3,
                client_order_id: texts.0,
                metadata: texts.1.map(|chars| chars.into_iter().collect::<String>().into()),
            })
        })
}

fn control() -> impl Strategy<Value = Command> {
    let scope = prop_oneof![
        Just(KillScope::Engine),
        account().prop_map(KillScope::Account),
        (account(), strategy()).prop_map(|(account, strategy)| KillScope::Strategy(account, strategy)),
    ];
    let state = prop_oneof![
        Just(TradingState::Normal),
        Just(TradingState::Reducing),
        Just(TradingState::Halted)
    ];
    prop_oneof![
        (actor(), scope, state, option::of(any::<bool>()), text(), text()).prop_map(
            |(actor, scope, state, flatten, reason, triggered_by)| Command::KillSwitch(KillSwitch {
                actor,
                scope,
                state,
                flatten,
                reason,
                triggered_by
            })
        ),
        (actor(), text()).prop_map(|(actor, deactivated_by)| Command::Rearm(Rearm {
            actor,
            deactivated_by
        })),
        (actor(), account(), money(), text()).prop_map(|(actor, account, amount, reason)| {
            Command::AdjustCash(AdjustCash {
                actor,
                account,
                amount,
                reason,
            })
        }),
        any::<u64>().prop_map(Command::HashCheck),
        any::<[u32; 5]>().prop_map(|n| Command::SetCapacity(Capacity {
            accounts: n[0],
            instruments: n[1],
            orders: n[2],
            positions: n[3],
            client_order_ids: n[4],
        })),
        Just(Command::Tick),
        (instrument(), price())
            .prop_map(|(instrument, price)| Command::MarketPrice(MarketPrice { instrument, price })),
        (
            actor(),
            account(),
            option::of(strategy()),
            0..=LimitFields::ALL.bits(),
            limits()
        )
            .prop_map(
                |(actor, account, strategy, bits, limits)| Command::SetLimits(Box::new(SetLimits {
                    actor,
                    account,
                    strategy,
                    fields: LimitFields::from_bits(bits).unwrap(),
                    limits
                }))
            ),
    ]
}

fn definition() -> impl Strategy<Value = Command> {
    let prices = (price(), quantity(), quantity(), price(), ratio(), any::<bool>());
    prop_oneof![
        (text(), text(), prices).prop_map(|(symbol, exchange, p)| {
            Command::DefineInstrument(Box::new(InstrumentDefinition {
                symbol,
                exchange,
                tick_size: p.0,
                lot_size: p.1,
                freeze_quantity: p.2,
                reference_price: p.3,
                price_band: p.4,
                mis_allowed: p.5,
                banned: !p.5,
                derivatives: p.5,
            }))
        }),
        (text(), money(), limits(), text(), any::<bool>()).prop_map(
            |(name, opening_balance, limits, profile, venue)| {
                Command::DefineAccount(Box::new(AccountDefinition {
                    name,
                    opening_balance,
                    limits,
                    profile,
                    venue,
                }))
            }
        ),
        charge_rates(),
        (account(), strategy(), text(), limits()).prop_map(|(account, strategy, name, limits)| {
            Command::DefineStrategy(Box::new(StrategyDefinition {
                account,
                strategy,
                name,
                limits,
            }))
        }),
    ]
}

fn charge_rates() -> impl Strategy<Value = Command> {
    let rate = || (0..=ChargeRate::ONE.ppb()).prop_map(|ppb| ChargeRate::from_ppb(ppb).unwrap());
    let cap = (0..i64::MAX).prop_map(Money::from_paise);
    let product =
        (proptest::array::uniform4(rate()), option::of(cap)).prop_map(|(r, brokerage_max)| ProductRates {
            brokerage: r[0],
            brokerage_max,
            stt_buy: r[1],
            stt_sell: r[2],
            stamp_duty_buy: r[3],
        });
    (
        any::<u32>(),
        proptest::array::uniform3(rate()),
        product.clone(),
        product,
    )
        .prop_map(|(effective_from, r, mis, cnc)| {
            Command::DefineCharges(Box::new(ChargeRates {
                effective_from,
                mis,
                cnc,
                exchange: r[0],
                sebi: r[1],
                gst: r[2],
            }))
        })
}

fn timetable() -> impl Strategy<Value = Timetable> {
    any::<[u32; 4]>().prop_map(|[pre_open, continuous, closing, closed]| Timetable {
        pre_open,
        continuous,
        closing,
        closed,
    })
}

fn by_class<T: std::fmt::Debug>(of: impl Strategy<Value = T> + Clone) -> impl Strategy<Value = ByClass<T>> {
    (of.clone(), of).prop_map(|(cash, derivatives)| ByClass { cash, derivatives })
}

fn session() -> impl Strategy<Value = Command> {
    let holidays = vec(any::<u32>(), 0..=engine::limits::HOLIDAYS_MAX);
    let timetables = option::of(by_class(timetable().boxed()));
    prop_oneof![
        (timetables, by_class(option::of(any::<u32>()).boxed()), holidays).prop_map(
            |(timetables, square_off, holidays)| Command::SetSession(Box::new(SessionCalendar {
                timetables,
                square_off,
                holidays,
            }))
        ),
        (account(), any::<u32>())
            .prop_map(|(account, timeout_ms)| Command::Heartbeat(Heartbeat { account, timeout_ms })),
        (proptest::sample::select(&NoticeKind::ALL[..]), text())
            .prop_map(|(kind, reason)| Command::Notice(Box::new(Notice { kind, reason }))),
    ]
}

pub(super) fn command() -> impl Strategy<Value = Command> {
    let cancel_all = (
        actor(),
        option::of(account()),
        option::of(strategy()),
        option::of(instrument()),
        option::of(side()),
    );
    let trailing = prop_oneof![
        price().prop_map(Trailing::Distance),
        any::<u32>().prop_map(|ppm| Trailing::Percent(Ratio::from_ppm(ppm))),
    ];
    prop_oneof![
        4 => new_order(),
        1 => (actor(), order_ref(), option::of(quantity()), option::of(price()), option::of(price())).prop_map(
            |(actor, order, quantity, price, trigger)| {
                Command::ModifyOrder(ModifyOrder { actor, order, quantity, price, trigger })
            }
        ),
        1 => (actor(), any::<u32>(), edit(price()), edit(price()), edit(trailing)).prop_map(
            |(actor, position, stop_loss, take_profit, trailing)| {
                let position = PositionId::new(position);
                Command::EditConditions(EditConditions { actor, position, stop_loss, take_profit, trailing })
            }
        ),
        1 => (actor(), order_ref()).prop_map(|(actor, order)| Command::CancelOrder(CancelOrder { actor, order })),
        1 => cancel_all.prop_map(|(actor, account, strategy, instrument, side)| Command::CancelAll(CancelAll {
            actor,
            account,
            strategy,
            instrument,
            side,
        })),
        1 => (actor(), any::<u32>(), option::of(quantity())).prop_map(|(actor, position, quantity)| {
            Command::ClosePosition(ClosePosition { actor, position: PositionId::new(position), quantity })
        }),
        4 => control(),
        3 => definition(),
        2 => session(),
    ]
}
