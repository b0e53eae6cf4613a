//! Round trips of any command, damage, and the bytes of version 1.

mod strategies;

use engine::{
    AccountDefinition, AccountId, Actor, AdjustCash, ByClass, CancelAll, CancelOrder, Capacity, ChargeRates,
    ClosePosition, Command, Edit, EditConditions, Heartbeat, InstrumentDefinition, InstrumentId, KillScope,
    KillSwitch, LimitFields, MarketPrice, ModifyOrder, Money, NewOrder, NoticeKind, OrderId, OrderRef,
    OrderType, PositionId, Price, Product, Quantity, Ratio, Rearm, RiskLimits, Seq, Sequenced,
    SessionCalendar, SetLimits, Side, StrategyDefinition, StrategyId, Text, TimeInForce, Timestamp,
    TradingState, Trailing,
};
use proptest::collection::vec;
use proptest::prelude::*;

use super::limits_layout::LIMITS_BYTES;
use super::*;
use strategies::command;

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
