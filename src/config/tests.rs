use super::*;

/// Two cores, ids 0 and 1.
fn two_cores() -> Machine {
    Machine { cores: vec![0, 1] }
}

fn load(toml: &str, variables: &[(&str, &str)], args: ServeArgs) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pinion.toml");
    std::fs::write(&path, toml).unwrap();
    let args = ServeArgs {
        config: Some(path),
        ..args
    };
    Config::load(&args, &variables.iter().copied().collect(), &two_cores())
}

#[test]
fn the_page_can_be_a_folder_or_another_application() {
    let dashboard = |toml: &str| loaded(toml, &[]).dashboard;
    assert_eq!(dashboard(""), Dashboard::BuiltIn);
    for (text, address) in [
        ("http://127.0.0.1:8051", "127.0.0.1:8051"),
        ("http://localhost:8051/", "127.0.0.1:8051"),
        ("http://[::1]:8051", "[::1]:8051"),
    ] {
        let toml = format!("[dashboard]\nupstream = \"{text}\"");
        assert_eq!(dashboard(&toml), Dashboard::Upstream(address.parse().unwrap()));
    }
    let folder = tempfile::tempdir().unwrap();
    let toml = format!("[dashboard]\nassets_dir = \"{}\"", folder.path().display());
    assert_eq!(dashboard(&toml), Dashboard::Folder(folder.path().to_owned()));
}

fn loaded(toml: &str, variables: &[(&str, &str)]) -> Config {
    load(toml, variables, ServeArgs::default()).unwrap()
}

fn main_limits(config: &Config) -> &RiskLimits {
    &config.account(MAIN_ACCOUNT).unwrap().limits
}

#[test]
fn without_anything_it_is_paper_trading_on_loopback() {
    let config = Config::load(&ServeArgs::default(), &Environment::default(), &two_cores()).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8050");
    assert_eq!(config.server.data_dir, PathBuf::from("data"));
    assert_eq!(
        (config.server.ack, config.server.wait),
        (Ack::Durable, Wait::Yield)
    );
    let divided = Placement {
        engine: Some(1),
        gateway: Some(0),
        followers: Some(1),
    };
    assert_eq!(config.server.placement, divided);
    assert_eq!(config.market, Market::Sim { seed: 42 });
    assert_eq!(config.capacity, Capacity::default());
    assert_eq!(config.segment_bytes, 64 * 1024 * 1024);
    assert_eq!(config.log_level, LogLevel::Info);
    assert_eq!(config.loopback_account.unwrap().as_str(), "main");
    assert_eq!(config.accounts.len(), 1);
    let main = config.account("main").unwrap();
    assert_eq!(
        (main.balance.to_string().as_str(), main.profile.as_str()),
        ("100000.00", "dashboard")
    );
    assert_eq!((main.role, &main.limits), (Role::Admin, &RiskLimits::dashboard()));
}

#[test]
fn four_cores_busy_spin() {
    let machine = Machine {
        cores: vec![0, 1, 2, 3],
    };
    let config = Config::load(&ServeArgs::default(), &Environment::default(), &machine).unwrap();
    assert_eq!(config.server.wait, Wait::BusySpin);
}

#[test]
fn flags_override_environment_overrides_file() {
    let toml = "[server]\nlisten = \"127.0.0.2:1000\"\nack = \"memory\"\ndata_dir = \"from-file\"";
    let file = loaded(toml, &[]);
    assert_eq!(file.server.listen.to_string(), "127.0.0.2:1000");
    assert_eq!(
        (file.server.ack, file.server.data_dir),
        (Ack::Memory, PathBuf::from("from-file"))
    );

    let variables = [("DASHBOARD_HOST", "localhost"), ("DASHBOARD_PORT", "2000")];
    assert_eq!(
        loaded(toml, &variables).server.listen.to_string(),
        "127.0.0.1:2000"
    );
    assert_eq!(
        loaded(toml, &variables[1..]).server.listen.to_string(),
        "127.0.0.2:2000"
    );

    let args = ServeArgs {
        listen: Some("localhost:0".to_owned()),
        ack: Some("durable".to_owned()),
        data_dir: Some(PathBuf::from("from-flag")),
        market: Some("none".to_owned()),
        wait: Some("park".to_owned()),
        engine_core: Some("1".to_owned()),
        gateway_core: None,
        config: None,
    };
    let flags = load(toml, &variables, args).unwrap();
    assert_eq!(flags.server.listen.to_string(), "127.0.0.1:0");
    assert_eq!((flags.server.ack, flags.server.wait), (Ack::Durable, Wait::Park));
    assert_eq!(
        (flags.server.data_dir, flags.server.placement),
        (
            PathBuf::from("from-flag"),
            Placement {
                engine: Some(1),
                ..Placement::default()
            }
        )
    );
    assert_eq!(flags.market, Market::None);
}

#[test]
fn the_example_of_the_documentation_loads() {
    let hash = KeyHash::of(b"k");
    let config = loaded(
        &format!(
            r#"
            [auth]
            loopback_account = "main"
            [[accounts]]
            name = "counter"
            balance = "10000000.00"
            profile = "maker"
            role = "trader"
            api_key_hashes = ["{hash}"]
            [[accounts]]
            name = "main"
            balance = "250000.50"
            "#
        ),
        &[],
    );
    let names: Vec<&str> = config
        .accounts
        .iter()
        .map(|account| account.name.as_str())
        .collect();
    assert_eq!(names, ["main", "counter"]);
    let counter = config.account("counter").unwrap();
    assert_eq!((counter.role, &counter.key_hashes), (Role::Trader, &vec![hash]));
    assert_eq!(counter.limits, RiskLimits::maker());
    let main = config.account("main").unwrap();
    assert_eq!((main.balance.paise(), main.role), (25_000_050, Role::Admin));
    assert!(config.access().unwrap().has_keys());
}

#[test]
fn the_environment_sets_the_dashboards_limits() {
    let variables = [
        ("MAX_RISK_PER_TRADE", "0.03"),
        ("MAX_DAILY_LOSS", "0.2"),
        ("MAX_DRAWDOWN", "0.5"),
        ("MAX_POSITIONS", "10"),
        ("MIN_RISK_REWARD", "1"),
        ("MAX_QUANTITY_PER_ORDER", "500"),
        ("MAX_ORDER_TO_POSITION_RATIO", "4"),
        ("PRICE_SANITY_PCT", "0.025"),
        ("MAX_POSITION_LOSS_PCT", "0.01"),
        ("MIS_LEVERAGE", "4"),
        ("REQUIRE_STOP_LOSS", "False"),
        ("ACCOUNT_BALANCE", "5e5"),
        ("LOG_LEVEL", "WARNING"),
        (
            "DATABASE_URL",
            "postgresql://postgres:secret@localhost:5432/xcoin_dev",
        ),
    ];
    let toml = "[[accounts]]\nname = \"other\"\n[[accounts]]\nname = \"big\"\nprofile = \"maker\"";
    let config = loaded(toml, &variables);
    let expected = RiskLimits {
        risk_per_trade_max: Some(engine::Ratio::from_ppm(30_000)),
        daily_loss_max: Some(engine::Ratio::from_ppm(200_000)),
        drawdown_max: Some(engine::Ratio::from_ppm(500_000)),
        positions_max: Some(10),
        risk_reward_min: Some(engine::Ratio::ONE),
        order_quantity_max: Some(500),
        orders_per_position_max: Some(4),
        price_sanity_max: Some(engine::Ratio::from_ppm(25_000)),
        position_loss_max: Some(engine::Ratio::from_ppm(10_000)),
        mis_leverage: 4,
        stop_loss_required: false,
        ..RiskLimits::dashboard()
    };
    assert_eq!(main_limits(&config), &expected);
    assert_eq!(config.account("other").unwrap().limits, expected);
    assert_eq!(config.account("big").unwrap().limits, RiskLimits::maker());
    assert_eq!(config.account("main").unwrap().balance.paise(), 50_000_000);
    assert_eq!(config.account("other").unwrap().balance.paise(), 10_000_000);
    assert_eq!(config.log_level, LogLevel::Warn);
    assert!(
        config
            .database_url
            .as_ref()
            .unwrap()
            .as_str()
            .ends_with("/xcoin_dev")
    );
    assert!(!format!("{config:?}").contains("secret"));
}

#[test]
fn the_old_systems_sample_environment_is_understood() {
    let config = loaded(
        "",
        &[
            ("DB_MIN_CONNECTIONS", "5"),
            ("MAX_POSITION_SIZE", "1000"),
            ("APP_MODE", "development"),
            ("DEBUG", "true"),
            ("LOG_LEVEL", "INFO"),
            ("MAX_DAILY_LOSS", "0.06"),
            ("TELEGRAM_BOT_TOKEN", ""),
            ("MAX_POSITIONS", ""),
        ],
    );
    assert_eq!(main_limits(&config), &RiskLimits::dashboard());
    assert_eq!(
        (config.log_level, config.mode),
        (LogLevel::Info, AppMode::Development)
    );
    assert_eq!(loaded("", &[("DEBUG", "true")]).log_level, LogLevel::Debug);
}

#[test]
fn profiles_build_on_each_other() {
    let toml = r#"
        [profiles.dashboard]
        positions_max = 7
        [profiles.scalper]
        base = "maker"
        orders_per_second_max = 50
        price_sanity_max = "off"
        self_trade = "decrement"
        [profiles.careful]
        risk_per_trade_max = "0.5"
        [[accounts]]
        name = "s"
        profile = "scalper"
        [accounts.limits]
        flatten_on_kill = true
        order_value_max = "123.45"
        [[accounts]]
        name = "c"
        profile = "careful"
        [[accounts]]
        name = "main"
        [accounts.limits]
        positions_max = 3
        modifications_max = 9
    "#;
    let config = loaded(toml, &[("MIN_RISK_REWARD", "3")]);
    let s = config.account("s").unwrap();
    let expected = RiskLimits {
        orders_per_second_max: Some(50),
        price_sanity_max: None,
        self_trade: engine::SelfTrade::Decrement,
        flatten_on_kill: true,
        order_value_max: Some(Money::from_paise(12_345)),
        ..RiskLimits::maker()
    };
    assert_eq!((s.profile.as_str(), &s.limits), ("scalper", &expected));
    let c = &config.account("c").unwrap().limits;
    assert_eq!(
        (c.positions_max, c.risk_reward_min),
        (Some(7), Some(engine::Ratio::from_ppm(3_000_000)))
    );
    assert_eq!(c.risk_per_trade_max, Some(engine::Ratio::from_ppm(500_000)));
    assert_eq!(main_limits(&config).positions_max, Some(3));
    // The environment overrides what the file says of `main` too.
    let config = loaded(toml, &[("MAX_POSITIONS", "9")]);
    assert_eq!(main_limits(&config).positions_max, Some(9));
    assert_eq!(main_limits(&config).modifications_max, Some(9));
    assert_eq!(config.account("c").unwrap().limits.positions_max, Some(9));
}

#[test]
fn every_limit_can_be_set_by_its_field_name() {
    // A field that `set` forgets would be refused as "is not a limit".
    let debug = format!("{:?}", RiskLimits::dashboard());
    let body = debug.trim_start_matches("RiskLimits {").trim_end_matches('}');
    let mut names = 0;
    for field in body.split(", ") {
        let (name, value) = field.split_once(": ").unwrap();
        let name = name.trim();
        let text = value.trim().trim_start_matches("Some(").trim_end_matches(')');
        let text = match (name, text) {
            ("self_trade", _) => "cancel-both",
            (_, "None") => "1",
            _ => text,
        };
        let toml = format!("[profiles.own]\n{name} = \"{text}\"");
        if let Err(error) = load(&toml, &[], ServeArgs::default()) {
            panic!("{name}: {error}");
        }
        names += 1;
    }
    assert_eq!(names, 26);
}

/// File, environment, what the message must hold.
type BadValue<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);

#[test]
fn strategies_have_names_and_limits_of_their_own() {
    let toml = "[[accounts]]\nname = \"desk\"\n\
        [accounts.strategies.12]\norder_quantity_max = 5\nstop_loss_required = true\n\
        [accounts.strategies.2]\nname = \"Pairs\"\nrisk_reward_min = \"off\"\n\
        [accounts.strategies.1]\npositions_max = 1";
    let config = loaded(toml, &[]);
    assert_eq!(config.account("main").unwrap().strategies, []);
    let strategies = &config.account("desk").unwrap().strategies;
    let names: Vec<_> = strategies
        .iter()
        .map(|of| (of.strategy.get(), of.name.as_str()))
        .collect();
    assert_eq!(names, [(1, "Manual Trading"), (2, "Pairs"), (12, "Strategy 12")]);
    let expected = RiskLimits {
        order_quantity_max: Some(5),
        stop_loss_required: true,
        ..RiskLimits::NONE
    };
    assert_eq!(strategies[2].limits, expected);
    assert_eq!(strategies[1].limits, RiskLimits::NONE);
}

#[test]
fn a_bad_value_is_named_in_one_sentence() {
    let rows: &[BadValue<'_>] = &[
        (
            "[[accounts]]\nname = \"a\"\n[accounts.strategies.2]\nmis_leverage = 2",
            &[],
            &["accounts.a.strategies.2.mis_leverage", "of the whole account"],
        ),
        (
            "[[accounts]]\nname = \"a\"\n[accounts.strategies.two]\npositions_max = 2",
            &[],
            &["accounts.a.strategies.two", "whole number"],
        ),
        (
            "[[accounts]]\nname = \"a\"\n[accounts.strategies.2]\npositions = 2",
            &[],
            &["accounts.a.strategies.2.positions is not a limit"],
        ),
        (
            "[[accounts]]\nname = \"a\"\n[accounts.strategies.2]\n[accounts.strategies.02]",
            &[],
            &["names strategy 2 twice"],
        ),
        (
            "",
            &[("MAX_POSITIONS", "11")],
            &["MAX_POSITIONS must be a whole number from 1 to 10", "\"11\""],
        ),
        ("", &[("MAX_POSITIONS", "five")], &["MAX_POSITIONS", "\"five\""]),
        ("", &[("MAX_POSITIONS", "off")], &["MAX_POSITIONS"]),
        (
            "",
            &[("MAX_RISK_PER_TRADE", "0.11")],
            &["MAX_RISK_PER_TRADE", "above 0 and at most 0.1"],
        ),
        ("", &[("MAX_RISK_PER_TRADE", "0")], &["MAX_RISK_PER_TRADE"]),
        (
            "",
            &[("MAX_RISK_PER_TRADE", "0.0200001")],
            &["MAX_RISK_PER_TRADE", "six decimals"],
        ),
        (
            "",
            &[("MAX_DAILY_LOSS", "0.21")],
            &["MAX_DAILY_LOSS", "at most 0.2"],
        ),
        (
            "",
            &[("MIN_RISK_REWARD", "0.99")],
            &["MIN_RISK_REWARD", "at least 1.0"],
        ),
        ("", &[("MAX_DRAWDOWN", "15")], &["MAX_DRAWDOWN", "at most 1.0"]),
        (
            "",
            &[("MAX_QUANTITY_PER_ORDER", "0")],
            &["MAX_QUANTITY_PER_ORDER"],
        ),
        ("", &[("MIS_LEVERAGE", "0")], &["MIS_LEVERAGE"]),
        (
            "",
            &[("REQUIRE_STOP_LOSS", "maybe")],
            &["REQUIRE_STOP_LOSS must be true or false"],
        ),
        ("", &[("ACCOUNT_BALANCE", "1e99")], &["ACCOUNT_BALANCE"]),
        ("", &[("ACCOUNT_BALANCE", "-1")], &["ACCOUNT_BALANCE"]),
        ("", &[("DASHBOARD_PORT", "65536")], &["DASHBOARD_PORT"]),
        ("", &[("DASHBOARD_HOST", "example.org")], &["DASHBOARD_HOST"]),
        ("", &[("DASHBOARD_HOST", "0.0.0.0")], &["0.0.0.0:8050", "API key"]),
        ("", &[("LOG_LEVEL", "loud")], &["LOG_LEVEL"]),
        ("", &[("DEBUG", "perhaps")], &["DEBUG"]),
        ("", &[("APP_MODE", "party")], &["APP_MODE"]),
        ("", &[("DATABASE_URL", "mysql://u:pw@h/d")], &["DATABASE_URL"]),
        ("", &[("DB_MAX_CONNECTIONS", "many")], &["DB_MAX_CONNECTIONS"]),
        ("[server]\nlisten = \"8050\"", &[], &["server.listen", "\"8050\""]),
        ("[server]\nlisten = \"[::]:1\"", &[], &["[::]:1", "API key"]),
        (
            "[server]\nack = \"maybe\"",
            &[],
            &["server.ack must be durable or memory"],
        ),
        (
            "[server]\nwait = \"nap\"",
            &[],
            &["server.wait must be busy-spin, yield or park"],
        ),
        (
            "[server]\nengine_core = 2",
            &[],
            &["server.engine_core", "(0, 1)"],
        ),
        (
            "[server]\nallowed_origins = [\"http://a/b\"]",
            &[],
            &["server.allowed_origins"],
        ),
        (
            "[market]\nmode = \"real\"",
            &[],
            &["market.mode must be none or sim"],
        ),
        ("[market]\nseed = -1", &[], &["market.seed"]),
        ("[engine.capacity]\norders = 0", &[], &["engine.capacity.orders"]),
        ("[journal]\nsegment_mib = 0", &[], &["journal.segment_mib"]),
        ("[journal]\nsegment_mib = 2048", &[], &["journal.segment_mib"]),
        (
            "[engine.capacity]\naccounts = 3",
            &[],
            &["engine.capacity.accounts"],
        ),
        (
            "[auth]\nloopback_account = \"nobody\"",
            &[],
            &["auth.loopback_account", "\"nobody\""],
        ),
        (
            "[profiles.dashboard]\npositions_max = 11",
            &[],
            &["profiles.dashboard.positions_max"],
        ),
        (
            "[profiles.dashboard]\nrisk_per_trade_max = \"off\"",
            &[],
            &["profiles.dashboard.risk_per_trade_max"],
        ),
        (
            "[profiles.dashboard]\nbase = \"maker\"",
            &[],
            &["profiles.dashboard.base"],
        ),
        (
            "[profiles.own]\nbase = \"nothing\"",
            &[],
            &["profiles.own.base", "\"nothing\""],
        ),
        (
            "[profiles.own]\nspeed = 3",
            &[],
            &["profiles.own.speed is not a limit; they are balance_check, mis_leverage,"],
        ),
        ("[profiles.\"a b\"]\npositions_max = 3", &[], &["\"a b\""]),
        ("[[accounts]]\nname = \"a b\"", &[], &["accounts.name", "\"a b\""]),
        (
            "[[accounts]]\nname = \"sim-maker\"",
            &[],
            &["accounts.name", "paper market"],
        ),
        (
            "[[accounts]]\nname = \"a\"\n[[accounts]]\nname = \"a\"",
            &[],
            &["accounts.name", "twice"],
        ),
        (
            "[[accounts]]\nname = \"a\"\nprofile = \"b\"",
            &[],
            &["accounts.a.profile", "dashboard, maker"],
        ),
        (
            "[[accounts]]\nname = \"a\"\nrole = \"boss\"",
            &[],
            &["accounts.a.role", "viewer, trader or admin"],
        ),
        (
            "[[accounts]]\nname = \"a\"\nbalance = \"1.005\"",
            &[],
            &["accounts.a.balance"],
        ),
        (
            "[[accounts]]\nname = \"a\"\nlimits.positions_max = 11",
            &[],
            &["accounts.a.limits.positions_max"],
        ),
        (
            "[[accounts]]\nname = \"a\"\napi_key_hashes = [\"pinion_secret\"]",
            &[],
            &["accounts.a.api_key_hashes"],
        ),
    ];
    for (toml, variables, parts) in rows {
        let message = match load(toml, variables, ServeArgs::default()) {
            Ok(_) => panic!("accepted: {toml} {variables:?}"),
            Err(error) => error.to_string(),
        };
        for part in *parts {
            assert!(message.contains(part), "{message:?} lacks {part:?}");
        }
        assert!(!message.contains('\n'), "{message:?}");
        for secret in ["pw", "pinion_secret"] {
            assert!(!message.contains(secret), "{message:?}");
        }
    }
}

#[test]
fn a_bad_flag_is_named() {
    let check = |args: ServeArgs, part: &str| {
        let message = load("", &[], args).unwrap_err().to_string();
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    };
    let text = |text: &str| Some(text.to_owned());
    let args = ServeArgs::default;
    check(
        ServeArgs {
            ack: text("later"),
            ..args()
        },
        "--ack must be",
    );
    check(
        ServeArgs {
            wait: text("spin"),
            ..args()
        },
        "--wait must be",
    );
    check(
        ServeArgs {
            market: text("live"),
            ..args()
        },
        "--market must be",
    );
    check(
        ServeArgs {
            listen: text("127.0.0.1"),
            ..args()
        },
        "--listen must be",
    );
    check(
        ServeArgs {
            engine_core: text("9"),
            ..args()
        },
        "--engine-core must be",
    );
    check(
        ServeArgs {
            gateway_core: text("last"),
            ..args()
        },
        "--gateway-core must be",
    );
    check(
        ServeArgs {
            listen: text("0.0.0.0:0"),
            ..args()
        },
        "API key",
    );
}

#[test]
fn an_open_listener_needs_a_key() {
    let hash = KeyHash::of(b"k");
    let toml = format!("[[accounts]]\nname = \"main\"\napi_key_hashes = [\"{hash}\"]");
    assert_eq!(
        loaded(&toml, &[("DASHBOARD_HOST", "0.0.0.0")])
            .server
            .listen
            .to_string(),
        "0.0.0.0:8050"
    );
    let twice = format!("{toml}\n[[accounts]]\nname = \"b\"\napi_key_hashes = [\"{hash}\"]");
    let message = load(&twice, &[], ServeArgs::default()).unwrap_err().to_string();
    assert!(message.contains("accounts.b.api_key_hashes"), "{message}");
}

#[test]
fn loopback_trust_can_be_turned_off() {
    assert_eq!(
        loaded("[auth]\nloopback_account = \"\"", &[]).loopback_account,
        None
    );
}

/// What `deploy/` ships must load, and its environment must say what the defaults are.
#[test]
fn the_deployed_examples_load() {
    let variables: Vec<(&str, &str)> = include_str!("../../deploy/pinion.env")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split_once('=').unwrap())
        .collect();
    let config = loaded(include_str!("../../deploy/pinion.toml"), &variables);
    assert_eq!(main_limits(&config), &RiskLimits::dashboard());
    assert_eq!(
        config.account("scalper").unwrap().limits.order_quantity_max,
        Some(500)
    );
    assert_eq!(
        (config.loopback_account, config.mode),
        (None, AppMode::Production)
    );
    let bare = Config::load(&ServeArgs::default(), &Environment::default(), &two_cores()).unwrap();
    let mut expected = bare.server;
    expected.allowed_origins = vec!["https://pinion.example.org".to_owned()];
    assert_eq!(config.server, expected);
}
