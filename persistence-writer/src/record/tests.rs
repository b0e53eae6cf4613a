use engine::{
    AccountDefinition, AccountId, Actor, AdjustCash, ByClass, CancelAll, CancelOrder, Capacity, ChargeRate,
    ChargeRates, ClosePosition, Command, Edit, EditConditions, Heartbeat, InstrumentDefinition, InstrumentId,
    KillScope, KillSwitch, LimitFields, MarketPrice, ModifyOrder, Money, NewOrder, NoticeKind, OrderId,
    OrderRef, OrderType, PositionId, Price, Product, ProductRates, Quantity, Ratio, Rearm, RiskLimits,
    SelfTrade, Seq, Sequenced, SessionCalendar, SetLimits, Side, StrategyDefinition, StrategyId, Text,
    TimeInForce, Timestamp, Timetable, TradingState, Trailing,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::limits_layout::LIMITS_BYTES;
use super::*;

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

fn command() -> impl Strategy<Value = Command> {
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

fn encoded(time: Timestamp, command: &Command) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(time, command, &mut bytes);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn every_command_survives_the_round_trip(command in command(), seq: u64, nanos: u64) {
        let time = Timestamp::from_nanos(nanos);
        let bytes = encoded(time, &command);
        prop_assert!(bytes.len() <= crate::limits::PAYLOAD_BYTES_MAX);
        let expected = Sequenced { seq: Seq::new(seq), time, command };
        prop_assert_eq!(decode(Seq::new(seq), &bytes), Ok(expected));
    }

    #[test]
    fn every_proper_prefix_is_truncated(command in command(), cut: prop::sample::Index) {
        let bytes = encoded(Timestamp::ZERO, &command);
        let prefix = &bytes[..cut.index(bytes.len())];
        prop_assert!(decode(Seq::new(1), prefix).is_err());
    }

    /// Whatever decodes is exactly what would have been written, so no two records mean the same command.
    #[test]
    fn decoding_is_total_and_canonical(kind in 1_u8..=17, mut bytes in vec(any::<u8>(), 0..200)) {
        bytes.splice(0..0, [kind, LAYOUT_VERSION]);
        if let Ok(found) = decode(Seq::new(1), &bytes) {
            prop_assert_eq!(encoded(found.time, &found.command), bytes);
        }
    }

    #[test]
    fn a_changed_byte_never_decodes_to_the_same_command(command in command(), at: prop::sample::Index, flip in 1_u8..) {
        let bytes = encoded(Timestamp::ZERO, &command);
        let original = decode(Seq::new(1), &bytes).unwrap();
        let mut changed = bytes;
        let at = at.index(changed.len());
        changed[at] ^= flip;
        prop_assert_ne!(decode(Seq::new(1), &changed), Ok(original));
    }
}

#[test]
fn fixed_parts_have_their_documented_sizes() {
    for (command, _) in golden() {
        let kind = Kind::of(&command);
        let tail: usize = match &command {
            Command::NewOrder(order) => {
                order.client_order_id.as_str().len() + order.metadata.as_ref().map_or(0, |text| text.len())
            }
            Command::ModifyOrder(ModifyOrder { order, .. })
            | Command::CancelOrder(CancelOrder { order, .. }) => match order {
                OrderRef::Client(id) => id.as_str().len(),
                OrderRef::Id(_) => 0,
            },
            Command::KillSwitch(kill) => kill.reason.as_str().len() + kill.triggered_by.as_str().len(),
            Command::Rearm(rearm) => rearm.deactivated_by.as_str().len(),
            Command::DefineInstrument(definition) => {
                definition.symbol.as_str().len() + definition.exchange.as_str().len()
            }
            Command::DefineAccount(definition) => {
                definition.name.as_str().len() + definition.profile.as_str().len()
            }
            Command::DefineStrategy(definition) => definition.name.as_str().len(),
            Command::AdjustCash(cash) => cash.reason.as_str().len(),
            Command::Notice(notice) => notice.reason.as_str().len(),
            Command::SetSession(calendar) => calendar.holidays.len() * size_of::<u32>(),
            _ => 0,
        };
        let bytes = encoded(Timestamp::ZERO, &command);
        assert_eq!(bytes.len(), PREFIX_BYTES + kind.fixed_bytes() + tail, "{kind:?}");
    }
    let mut limits = Vec::new();
    put_limits(&mut Encoder(&mut limits), &RiskLimits::dashboard());
    assert_eq!(limits.len(), LIMITS_BYTES);
}

#[test]
fn kinds_and_codes_are_one_table() {
    for kind in Kind::ALL {
        assert_eq!(Kind::from_code(kind.code()), Some(kind));
    }
    assert_eq!(Kind::from_code(0), None);
    assert_eq!(Kind::from_code(22), None);
    let covered: Vec<Kind> = golden().iter().map(|(command, _)| Kind::of(command)).collect();
    for kind in Kind::ALL {
        assert!(covered.contains(&kind), "{kind:?} has no golden record");
    }
}

#[test]
fn unknown_kinds_and_versions_are_named() {
    let mut bytes = encoded(Timestamp::ZERO, &Command::Tick);
    bytes[1] = 2;
    let error = decode(Seq::new(1), &bytes).unwrap_err();
    assert_eq!(
        error,
        RecordError::UnknownVersion {
            kind: Kind::Tick,
            version: 2
        }
    );
    bytes[0] = 99;
    assert_eq!(decode(Seq::new(1), &bytes), Err(RecordError::UnknownKind(99)));
    assert_eq!(decode(Seq::new(1), &[]), Err(RecordError::Truncated));
    let mut long = encoded(Timestamp::ZERO, &Command::Tick);
    long.push(0);
    assert_eq!(decode(Seq::new(1), &long), Err(RecordError::TrailingBytes(1)));
}

/// The format of version 1, byte for byte. A failure here means that old journals can no longer be read: add a new
/// layout version instead of changing these.
#[test]
fn golden_bytes_of_version_1() {
    let time = Timestamp::from_nanos(0x0102_0304_0506_0708);
    for (command, expected) in golden() {
        let expected: String = expected.split_whitespace().collect();
        let bytes = encoded(time, &command);
        let found: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, expected, "{:?}", Kind::of(&command));
        assert_eq!(
            decode(Seq::new(1), &bytes).map(|record| record.command),
            Ok(command)
        );
    }
}

fn golden() -> Vec<(Command, &'static str)> {
    let actor = Actor {
        account: AccountId::new(3),
        admin: true,
    };
    let shares = |shares: u32| Quantity::new(shares).unwrap();
    let paise = |paise: u32| Price::from_paise(paise).unwrap();
    vec![
        (
            Command::NewOrder(NewOrder {
                account: AccountId::new(1),
                strategy: StrategyId::new(2),
                instrument: InstrumentId::new(3),
                side: Side::Sell,
                product: Product::Cnc,
                order_type: OrderType::Stop {
                    limit: paise(245_005),
                    trigger: paise(245_000),
                },
                time_in_force: TimeInForce::Gtd(Timestamp::from_nanos(9)),
                quantity: shares(10),
                post_only: true,
                disclosed: Some(shares(5)),
                minimum: None,
                stop_loss: Some(paise(246_000)),
                take_profit: None,
                client_order_id: Text::cut("c-1"),
                metadata: Some("{}".into()),
            }),
            "01 01 0807060504030201
             01000000 02000000 03000000 0a000000 0dbd0300 08bd0300 05000000 ffffffff f0c00300 00000000 0900000000000000
             01 01 02 03 03 03 0200  632d31 7b7d",
        ),
        (
            Command::ModifyOrder(ModifyOrder {
                actor,
                order: OrderRef::Id(OrderId::new(77)),
                quantity: None,
                price: Some(paise(1)),
                trigger: Some(paise(2)),
            }),
            "02 01 0807060504030201  03000000 01 00 4d00000000000000 00 ffffffff 01000000 02000000",
        ),
        (
            Command::CancelOrder(CancelOrder {
                actor,
                order: OrderRef::Client(Text::cut("x")),
            }),
            "03 01 0807060504030201  03000000 01 01 0000000000000000 01  78",
        ),
        (
            Command::CancelAll(CancelAll {
                actor,
                account: Some(AccountId::new(0)),
                strategy: None,
                instrument: Some(InstrumentId::new(7)),
                side: Some(Side::Sell),
            }),
            "04 01 0807060504030201  03000000 01 05 00000000 00000000 07000000 02",
        ),
        (
            Command::ClosePosition(ClosePosition {
                actor,
                position: PositionId::new(4),
                quantity: Some(shares(0)),
            }),
            "05 01 0807060504030201  03000000 01 04000000 00000000",
        ),
        (
            Command::EditConditions(EditConditions {
                actor,
                position: PositionId::new(4),
                stop_loss: Edit::Set(paise(3)),
                take_profit: Edit::Remove,
                trailing: Edit::Set(Trailing::Percent(Ratio::from_ppm(10_000))),
            }),
            "14 01 0807060504030201  03000000 01 04000000 02 03000000 01 00000000 03 10270000",
        ),
        (
            Command::MarketPrice(MarketPrice {
                instrument: InstrumentId::new(5),
                price: paise(0xffff_ffff),
            }),
            "06 01 0807060504030201  05000000 ffffffff",
        ),
        (Command::Tick, "07 01 0807060504030201"),
        (
            Command::KillSwitch(KillSwitch {
                actor,
                scope: KillScope::Strategy(AccountId::new(1), StrategyId::new(2)),
                state: TradingState::Halted,
                flatten: Some(false),
                reason: Text::cut("why"),
                triggered_by: Text::cut("me"),
            }),
            "08 01 0807060504030201  03000000 01 02 01000000 02000000 02 01 03 02  776879 6d65",
        ),
        (
            Command::Rearm(Rearm {
                actor,
                deactivated_by: Text::cut("me"),
            }),
            "09 01 0807060504030201  03000000 01 02  6d65",
        ),
        (
            Command::AdjustCash(AdjustCash {
                actor,
                account: AccountId::new(1),
                amount: Money::from_paise(-2),
                reason: Text::cut("fee"),
            }),
            "0a 01 0807060504030201  03000000 01 01000000 feffffffffffffff 03  666565",
        ),
        (
            Command::DefineInstrument(Box::new(InstrumentDefinition {
                symbol: Text::cut("ITC"),
                exchange: Text::cut("NSE"),
                tick_size: paise(5),
                lot_size: shares(1),
                freeze_quantity: shares(100_000),
                reference_price: paise(45_000),
                price_band: Ratio::from_ppm(100_000),
                mis_allowed: true,
                banned: false,
                derivatives: false,
            })),
            "0b 01 0807060504030201  05000000 01000000 a0860100 c8af0000 a0860100 01 00 00 03 03  495443 4e5345",
        ),
        (
            Command::DefineAccount(Box::new(AccountDefinition {
                name: Text::cut("main"),
                opening_balance: Money::from_paise(10_000_000),
                limits: RiskLimits::dashboard(),
                profile: Text::cut("dashboard"),
                venue: false,
            })),
            "0c 01 0807060504030201  8096980000000000
             fbff7100 05000000 05000000 204e0000 60ea0000 80841e00 a0860100 10270000 03000000 f0490200 50c30000
             80f0fa0200000000 80b2e60e00000000 0a000000 88130000 19000000
             00000000 00000000 00000000 03000000 14000000 32000000 00000000 00
             00 04 09  6d61696e 64617368626f617264",
        ),
        (
            Command::DefineStrategy(Box::new(StrategyDefinition {
                account: AccountId::new(1),
                strategy: StrategyId::new(2),
                name: Text::cut("Mean ₹"),
                limits: RiskLimits::NONE,
            })),
            "0d 01 0807060504030201  01000000 02000000 08
             00000000 01000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
             0000000000000000 0000000000000000 00000000 00000000 00000000
             00000000 00000000 00000000 00000000 00000000 00000000 00000000 00
             4d65616e20e282b9",
        ),
        (
            Command::SetLimits(Box::new(SetLimits {
                actor,
                account: AccountId::new(2),
                strategy: Some(StrategyId::new(7)),
                fields: LimitFields::named("positions_max").unwrap(),
                limits: RiskLimits::unlimited_paper(),
            })),
            "0e 01 0807060504030201  03000000 01 02000000 01 07000000 04000000
             00000000 05000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
             0000000000000000 0000000000000000 00000000 00000000 00000000
             00000000 00000000 00000000 00000000 00000000 00000000 00000000 00",
        ),
        (
            Command::HashCheck(0x1122_3344_5566_7788),
            "0f 01 0807060504030201  8877665544332211",
        ),
        (
            Command::SetCapacity(Capacity {
                accounts: 1,
                instruments: 2,
                orders: 3,
                positions: 4,
                client_order_ids: 5,
            }),
            "10 01 0807060504030201  01000000 02000000 03000000 04000000 05000000",
        ),
        (
            Command::DefineCharges(Box::new(ChargeRates {
                effective_from: 20_000,
                ..ChargeRates::built_in()
            })),
            "11 01 0807060504030201  204e0000 ec770000 e8030000 0095ba0a
             e0930400 00000000 90d00300 30750000 d007000000000000
             00000000 40420f00 40420f00 f0490200 0000000000000080",
        ),
        (
            Command::SetSession(Box::new(SessionCalendar {
                timetables: None,
                square_off: ByClass {
                    cash: None,
                    derivatives: Some(9),
                },
                holidays: std::vec![1, 0x0102_0304],
            })),
            "12 01 0807060504030201  04
             00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
             00000000 09000000 0200  01000000 04030201",
        ),
        (
            Command::Heartbeat(Heartbeat {
                account: AccountId::new(1),
                timeout_ms: 5_000,
            }),
            "13 01 0807060504030201  01000000 88130000",
        ),
        (
            Command::Notice(Box::new(Notice {
                kind: NoticeKind::DiskLow,
                reason: Text::cut("full"),
            })),
            "15 01 0807060504030201  02 04 66756c6c",
        ),
    ]
}
