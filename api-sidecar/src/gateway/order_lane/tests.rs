use super::*;
use engine::{InstrumentId, Money, PositionView, Product, Quantity, Side, StrategyId};

fn directory() -> Directory {
    let mut directory = Directory::default();
    directory.add_instrument(InstrumentId::new(0), Text::cut("SBIN"), Text::cut("NSE"));
    directory.add_instrument(InstrumentId::new(1), Text::cut("TCS"), Text::cut("NSE"));
    directory.add_account(AccountId::new(0), AccountName::cut("main"));
    directory.add_account(AccountId::new(1), AccountName::cut("other"));
    let position = |id, instrument, product, quantity| PositionView {
        position: PositionId::new(id),
        account: AccountId::new(1),
        strategy: StrategyId::new(1),
        instrument: InstrumentId::new(instrument),
        product,
        quantity,
        cost: Money::ZERO,
        realised: Money::ZERO,
        charges: Money::ZERO,
        unrealised: Money::ZERO,
        trailing: None,
        trailing_stop: None,
        trailing_from: None,
        stop_loss: None,
        take_profit: None,
        settled: 0,
        closing: 0,
    };
    directory.add_position(&position(5, 0, Product::Mis, -3));
    directory.add_position(&position(6, 1, Product::Mis, 1));
    directory.add_position(&position(7, 1, Product::Cnc, 1));
    directory.add_position(&position(8, 1, Product::Mis, 0));
    directory
}

fn who(role: Role) -> Principal {
    let (account, name) = if role == Role::Admin {
        (0, "main")
    } else {
        (1, "other")
    };
    Principal {
        account: AccountId::new(account),
        name: AccountName::cut(name),
        role,
    }
}

fn run(route: OrderRoute, json: &str, role: Role) -> Result<Input, (u16, String)> {
    decode(route, json.as_bytes(), None, &who(role), &directory())
        .map(|decoded| decoded.input)
        .map_err(|answer| (answer.status, String::from_utf8(answer.body).unwrap()))
}

fn refused(route: OrderRoute, json: &str, role: Role, status: u16, part: &str) {
    match run(route, json, role) {
        Err((found, body)) => {
            assert_eq!(found, status, "{json}: {body}");
            assert!(body.contains(part), "{json}: {body}");
        }
        Ok(input) => panic!("{json}: {input:?}"),
    }
}

#[test]
fn authority_is_checked_before_anything_is_sent() {
    use OrderRoute::*;
    for route in [
        Place,
        Modify(OrderName::Path(1)),
        Cancel(OrderName::Path(1)),
        CancelAll,
        ClosePosition(1),
        ClosePositionBySymbol,
        KillSwitch,
        Rearm,
    ] {
        refused(route, "{}", Role::Viewer, 403, "read only");
    }
    refused(Validate, "{}", Role::Viewer, 400, "symbol is required");
    refused(KillSwitch, r#"{"scope":"engine"}"#, Role::Trader, 403, "admin");
    refused(KillSwitch, r#"{"state":"halted"}"#, Role::Trader, 403, "admin");
    refused(KillSwitch, r#"{"account":"main"}"#, Role::Trader, 403, "admin");
    refused(CancelAll, r#"{"account":"*"}"#, Role::Trader, 403, "admin");
    refused(CancelAll, r#"{"account":"nobody"}"#, Role::Admin, 404, "Account");
}

#[test]
fn a_position_is_found_by_its_symbol() {
    let closes = |json: &str, role: Role, id: u32, quantity: Option<u32>| match run(
        OrderRoute::ClosePositionBySymbol,
        json,
        role,
    ) {
        Ok(Input::Command(Command::ClosePosition(close))) => {
            assert_eq!(close.position, PositionId::new(id), "{json}");
            assert_eq!(close.quantity.map(Quantity::shares), quantity, "{json}");
        }
        other => panic!("{json}: {other:?}"),
    };
    closes(r#"{"symbol":"SBIN"}"#, Role::Trader, 5, None);
    closes(
        r#"{"symbol":"TCS","product":"CNC","quantity":1}"#,
        Role::Trader,
        7,
        Some(1),
    );
    closes(r#"{"symbol":"SBIN","account":"other"}"#, Role::Admin, 5, None);
    let by_symbol = OrderRoute::ClosePositionBySymbol;
    refused(
        by_symbol,
        r#"{"symbol":"TCS"}"#,
        Role::Trader,
        409,
        "name strategy_id and product",
    );
    refused(
        by_symbol,
        r#"{"symbol":"SBIN"}"#,
        Role::Admin,
        404,
        "No open position in SBIN",
    );
    refused(
        by_symbol,
        r#"{"symbol":"XYZ"}"#,
        Role::Trader,
        404,
        "Symbol not found",
    );
    refused(by_symbol, "{}", Role::Trader, 400, "symbol is required");
    refused(
        OrderRoute::ClosePosition(1 << 40),
        "",
        Role::Trader,
        404,
        "Position not found",
    );
}

#[test]
fn the_kill_switch_has_defaults_and_clean_text() {
    let kill = |json: &str, role: Role| match run(OrderRoute::KillSwitch, json, role) {
        Ok(Input::Command(Command::KillSwitch(kill))) => kill,
        other => panic!("{json}: {other:?}"),
    };
    let plain = kill("", Role::Admin);
    assert_eq!(
        (plain.scope, plain.state, plain.flatten),
        (KillScope::Engine, TradingState::Reducing, None)
    );
    assert_eq!(
        (plain.reason.as_str(), plain.triggered_by.as_str()),
        ("Manual kill switch", "main")
    );
    let trader = kill(r#"{"reason":"<b>enough</b>","flatten":true}"#, Role::Trader);
    assert_eq!(trader.scope, KillScope::Account(AccountId::new(1)));
    assert_eq!(
        (trader.reason.as_str(), trader.flatten),
        ("benough/b", Some(true))
    );
    let named = kill(r#"{"account":"other","state":"HALTED"}"#, Role::Admin);
    assert_eq!(
        (named.scope, named.state),
        (KillScope::Account(AccountId::new(1)), TradingState::Halted)
    );
    let strategy = kill(r#"{"scope":"strategy","strategy_id":4}"#, Role::Trader);
    assert_eq!(
        strategy.scope,
        KillScope::Strategy(AccountId::new(1), StrategyId::new(4))
    );
    // Who names less than everything means no more than that.
    for (account, json, role) in [
        (0, r#"{"strategy_id":4}"#, Role::Admin),
        (1, r#"{"strategy_id":4}"#, Role::Trader),
        (1, r#"{"strategy_id":4,"account":"other"}"#, Role::Admin),
    ] {
        let expected = KillScope::Strategy(AccountId::new(account), StrategyId::new(4));
        assert_eq!(kill(json, role).scope, expected, "{json}");
    }
    let engine = kill(r#"{"scope":"engine","strategy_id":4}"#, Role::Admin);
    assert_eq!(engine.scope, KillScope::Engine);
    let long = kill(&format!(r#"{{"reason":"{}"}}"#, "x".repeat(300)), Role::Admin);
    assert_eq!(long.reason.as_str().len(), 100);
}

#[test]
fn commands_carry_what_was_asked() {
    match run(
        OrderRoute::Modify(OrderName::Path(9)),
        r#"{"quantity":5,"price":0}"#,
        Role::Trader,
    ) {
        Ok(Input::Command(Command::ModifyOrder(modify))) => {
            assert_eq!(modify.order, OrderRef::Id(OrderId::new(9)));
            assert_eq!(
                (modify.quantity, modify.price),
                (Some(Quantity::clamped(5)), None)
            );
            assert!(!modify.actor.admin);
        }
        other => panic!("{other:?}"),
    }
    match run(
        OrderRoute::CancelAll,
        r#"{"symbol":"TCS","side":"sell","account":"*"}"#,
        Role::Admin,
    ) {
        Ok(Input::Command(Command::CancelAll(cancel))) => {
            assert_eq!(
                (cancel.account, cancel.instrument),
                (None, Some(InstrumentId::new(1)))
            );
            assert_eq!(cancel.side, Some(Side::Sell));
        }
        other => panic!("{other:?}"),
    }
    refused(
        OrderRoute::Modify(OrderName::Path(9)),
        r#"{"quantity":-5}"#,
        Role::Trader,
        400,
        "Quantity must be positive",
    );
    refused(
        OrderRoute::Modify(OrderName::Path(9)),
        "",
        Role::Trader,
        400,
        "JSON object",
    );
    let named = cancel(r#"{"client_order_id":"a"}"#, OrderName::Body, &who(Role::Trader)).unwrap();
    assert!(matches!(named.action, Action::Cancel { order: None }));
    assert_eq!(
        cancel("{}", OrderName::Body, &who(Role::Trader))
            .unwrap_err()
            .status,
        400
    );
}

#[test]
fn limits_change_by_the_names_that_reads_show() {
    let put = |limits: &str| format!(r#"{{"account":"other","limits":{limits}}}"#);
    let json = put(
        r#"{"positions_max":3,"daily_loss_max":0.03,"order_value_max":250000.50,"price_sanity_max":null,
            "stop_loss_required":false,"self_trade":"decrement","mis_leverage":2.0,"risk_reward_min":2.5}"#,
    );
    let Ok(Input::Command(Command::SetLimits(set))) = run(OrderRoute::SetLimits, &json, Role::Admin) else {
        panic!("{json}");
    };
    assert_eq!(set.account, AccountId::new(1));
    let names: Vec<&str> = set.fields.names().collect();
    assert_eq!(
        names,
        [
            "mis_leverage",
            "positions_max",
            "daily_loss_max",
            "stop_loss_required",
            "risk_reward_min",
            "price_sanity_max",
            "order_value_max",
            "self_trade"
        ]
    );
    let limits = &set.limits;
    assert_eq!((limits.positions_max, limits.mis_leverage), (Some(3), 2));
    assert_eq!(limits.daily_loss_max.map(|ratio| ratio.ppm()), Some(30_000));
    assert_eq!(limits.order_value_max.map(Money::paise), Some(25_000_050));
    assert_eq!(
        (limits.price_sanity_max, limits.stop_loss_required),
        (None, false)
    );
    assert_eq!(limits.self_trade, engine::SelfTrade::Decrement);

    let wrong =
        |limits: &str, part: &str| refused(OrderRoute::SetLimits, &put(limits), Role::Admin, 400, part);
    wrong("{}", "at least one limit");
    wrong("[]", "not valid JSON");
    wrong(r#"{"max_positions":3}"#, "'max_positions' is not a limit");
    wrong(r#"{"positions_max":0}"#, "positions_max must be at least 1");
    wrong(r#"{"positions_max":2.5}"#, "positions_max must be a whole number");
    wrong(r#"{"positions_max":"3"}"#, "positions_max must be a number");
    wrong(r#"{"positions_max":-3}"#, "positions_max must be a number");
    wrong(r#"{"daily_loss_max":1.1}"#, "at most 1.0");
    wrong(r#"{"daily_loss_max":0}"#, "above 0");
    wrong(
        r#"{"daily_loss_max":0.0000001}"#,
        "daily_loss_max must be a number",
    );
    wrong(r#"{"order_value_max":0.001}"#, "order_value_max must be a number");
    wrong(r#"{"order_quantity_max":4294967295}"#, "out of range");
    wrong(r#"{"stop_loss_required":null}"#, "must be true or false");
    wrong(r#"{"mis_leverage":0}"#, "from 1 to 100");
    wrong(r#"{"mis_leverage":null}"#, "from 1 to 100");
    wrong(r#"{"self_trade":"none"}"#, "'NONE' is not a valid SelfTrade");
    refused(
        OrderRoute::SetLimits,
        r#"{"strategy_id":0,"limits":{"positions_max":3}}"#,
        Role::Admin,
        400,
        "strategy_id",
    );
    let of_account = r#"{"strategy_id":2,"limits":{"positions_max":3,"drawdown_max":0.1}}"#;
    let part = "drawdown_max is a limit of the whole account, not of a strategy";
    refused(OrderRoute::SetLimits, of_account, Role::Admin, 400, part);
    let of_strategy = r#"{"strategy_id":2,"limits":{"positions_max":3,"order_value_max":null}}"#;
    let Ok(Input::Command(Command::SetLimits(set))) = run(OrderRoute::SetLimits, of_strategy, Role::Admin)
    else {
        panic!("{of_strategy}");
    };
    assert_eq!(set.strategy, Some(engine::StrategyId::new(2)));
    let names: Vec<&str> = set.fields.names().collect();
    assert_eq!(names, ["positions_max", "order_value_max"]);
    for role in [Role::Viewer, Role::Trader] {
        refused(
            OrderRoute::SetLimits,
            r#"{"limits":{"positions_max":3}}"#,
            role,
            403,
            "error",
        );
        refused(
            OrderRoute::AdjustCash,
            r#"{"amount":1,"reason":"x"}"#,
            role,
            403,
            "error",
        );
    }
}

#[test]
fn cash_is_an_exact_amount_with_a_reason() {
    let json = r#"{"account":"other","amount":-1250.05,"reason":"data <fee>"}"#;
    let Ok(Input::Command(Command::AdjustCash(cash))) = run(OrderRoute::AdjustCash, json, Role::Admin) else {
        panic!("{json}");
    };
    assert_eq!((cash.account, cash.amount.paise()), (AccountId::new(1), -125_005));
    assert_eq!((cash.reason.as_str(), cash.actor.admin), ("data fee", true));
    let wrong = |json: &str, status: u16, part: &str| {
        refused(OrderRoute::AdjustCash, json, Role::Admin, status, part)
    };
    wrong(r#"{"reason":"x"}"#, 400, "amount must be");
    wrong(r#"{"amount":0,"reason":"x"}"#, 400, "amount must be");
    wrong(r#"{"amount":0.001,"reason":"x"}"#, 400, "amount must be");
    wrong(r#"{"amount":1e13,"reason":"x"}"#, 400, "amount must be");
    wrong(r#"{"amount":true,"reason":"x"}"#, 400, "amount must be");
    wrong(r#"{"amount":1}"#, 400, "reason is required");
    wrong(
        r#"{"amount":1,"reason":"x","account":"nobody"}"#,
        404,
        "Account not found",
    );
}
