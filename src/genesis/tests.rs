use super::*;
use crate::cli::ServeArgs;
use crate::config::{Environment, Machine};
use engine::{AccountView, AdjustCash, Capacity, Event, EventBuffer, Money, Seq, Sequenced, Timestamp, Work};

fn config(toml: &str) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pinion.toml");
    std::fs::write(&path, toml).unwrap();
    let args = ServeArgs {
        config: Some(path),
        ..ServeArgs::default()
    };
    Config::load(&args, &Environment::default(), &Machine { cores: vec![0] }).unwrap()
}

fn instruments() -> Vec<InstrumentDefinition> {
    crate::instruments::load(None, 1_024).unwrap()
}

/// A journal's definitions and the engine that folded them.
struct World {
    engine: Engine,
    applied: Definitions,
    events: EventBuffer,
}

impl World {
    fn new() -> World {
        let capacity = Capacity {
            accounts: 16,
            instruments: 64,
            orders: 64,
            positions: 64,
            client_order_ids: 64,
        };
        World {
            engine: Engine::new(capacity),
            applied: Definitions::default(),
            events: EventBuffer::new(),
        }
    }

    fn plan(&self, toml: &str) -> Genesis {
        Genesis::plan(
            &config(toml),
            &instruments(),
            &Held::by(&self.engine),
            &self.applied,
        )
        .unwrap()
    }

    fn apply(&mut self, command: &Command) {
        self.applied.observe(command);
        let sequenced = Sequenced {
            seq: Seq::new(self.engine.last_seq().get() + 1),
            time: Timestamp::from_nanos(1),
            command: command.clone(),
        };
        self.events.clear();
        assert_eq!(self.engine.apply(&sequenced, &mut self.events), Work::Done);
        let refused = self
            .events
            .iter()
            .find(|event| matches!(event, Event::Refused(_)));
        assert_eq!(refused, None, "{command:?}");
    }

    fn start(&mut self, toml: &str) -> Genesis {
        let genesis = self.plan(toml);
        for command in &genesis.commands {
            self.apply(command);
        }
        genesis
    }

    /// What an operator does at run time.
    fn set_limits(&mut self, name: &str, change: impl FnOnce(&mut RiskLimits)) {
        let view = self.account(name);
        let (account, mut limits) = (view.account, view.limits.clone());
        change(&mut limits);
        let actor = Actor { account, admin: true };
        self.apply(&Command::SetLimits(Box::new(SetLimits {
            actor,
            account,
            strategy: None,
            fields: LimitFields::ALL,
            limits,
        })));
    }

    fn has(&self, name: &str) -> bool {
        self.engine
            .accounts()
            .any(|account| account.name.as_str() == name)
    }

    fn account(&self, name: &str) -> AccountView<'_> {
        self.engine
            .accounts()
            .find(|account| account.name.as_str() == name)
            .unwrap()
    }

    fn limits(&self, name: &str) -> &RiskLimits {
        self.account(name).limits
    }
}

const MAIN_SEVEN: &str = "[[accounts]]\nname = \"main\"\nlimits.positions_max = 7";

#[test]
fn a_first_start_defines_everything_once() {
    let mut world = World::new();
    let genesis = world.start("[[accounts]]\nname = \"counter\"\nprofile = \"maker\"\nbalance = \"5\"");
    let defined: Vec<String> = genesis
        .commands
        .iter()
        .skip(2 + 50)
        .map(|command| match command {
            Command::DefineAccount(account) => format!("{} venue={}", account.name, account.venue),
            Command::DefineStrategy(strategy) => {
                format!("{} {} {}", strategy.account, strategy.strategy, strategy.name)
            }
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        defined,
        [
            "main venue=false",
            "0 1 Manual Trading",
            "counter venue=false",
            "1 1 Manual Trading",
            "sim-maker venue=true",
            "sim-taker venue=true",
        ]
    );
    assert!(
        genesis.commands[2..=51]
            .iter()
            .all(|command| matches!(command, Command::DefineInstrument(_)))
    );
    assert_eq!(world.limits("counter"), &RiskLimits::maker());
    assert!(genesis.notices.is_empty());
}

#[test]
fn a_restart_with_the_same_file_says_nothing() {
    let mut world = World::new();
    world.start(MAIN_SEVEN);
    assert_eq!(world.plan(MAIN_SEVEN), Genesis::default());
}

#[test]
fn without_the_paper_market_there_are_no_venue_accounts() {
    let mut world = World::new();
    world.start("[market]\nmode = \"none\"");
    assert!(!world.has("sim-maker"));
    // Turned on later, they are defined then.
    assert_eq!(world.start("").commands.len(), 2);
    assert!(world.has("sim-taker"));
}

#[test]
fn a_limit_tightened_at_run_time_survives_a_restart() {
    let mut world = World::new();
    world.start("");
    world.set_limits("main", |limits| limits.positions_max = Some(2));
    assert_eq!(world.start(""), Genesis::default());
    assert_eq!(world.limits("main").positions_max, Some(2));
    // Another limit changed in the file: only that one is applied.
    world.start("[[accounts]]\nname = \"main\"\nlimits.modifications_max = 3");
    assert_eq!(world.limits("main").positions_max, Some(2));
    assert_eq!(world.limits("main").modifications_max, Some(3));
}

#[test]
fn the_file_cannot_loosen_what_was_tightened_at_run_time() {
    let mut world = World::new();
    world.start("");
    world.set_limits("main", |limits| limits.positions_max = Some(2));
    let genesis = world.start(MAIN_SEVEN);
    assert_eq!(world.limits("main").positions_max, Some(2));
    let notices: Vec<String> = genesis.notices.iter().map(Notice::to_string).collect();
    assert_eq!(notices.len(), 1);
    assert!(
        notices[0].contains("positions_max of account main"),
        "{notices:?}"
    );
    // Said once: the file is recorded as applied.
    assert_eq!(world.start(MAIN_SEVEN), Genesis::default());
}

#[test]
fn a_limit_changed_in_the_file_is_applied() {
    let mut world = World::new();
    world.start("");
    let genesis = world.start(MAIN_SEVEN);
    assert_eq!(genesis.commands.len(), 2);
    assert!(matches!(genesis.commands[0], Command::DefineAccount(_)));
    assert!(matches!(genesis.commands[1], Command::SetLimits(_)));
    assert_eq!(world.limits("main").positions_max, Some(7));
    world.start("");
    assert_eq!(world.limits("main").positions_max, Some(5));
}

#[test]
fn a_changed_balance_is_recorded_and_never_applied() {
    let mut world = World::new();
    world.start("");
    let toml = "[[accounts]]\nname = \"main\"\nbalance = \"7\"";
    let genesis = world.start(toml);
    assert_eq!(genesis.commands.len(), 1);
    assert!(matches!(&genesis.commands[0], Command::DefineAccount(_)));
    let account = AccountName::cut("main");
    assert_eq!(genesis.notices, [Notice::BalanceKept { account }]);
    assert_eq!(world.account("main").balance.to_string(), "100000.00");
    assert_eq!(world.start(toml), Genesis::default());
}

#[test]
fn a_changed_instrument_is_defined_again() {
    let mut world = World::new();
    world.start("");
    let mut list = instruments();
    list[3].price_band = engine::Ratio::from_ppm(200_000);
    list.truncate(10);
    let genesis = Genesis::plan(&config(""), &list, &Held::by(&world.engine), &world.applied).unwrap();
    assert_eq!(
        genesis.commands,
        [Command::DefineInstrument(Box::new(list[3].clone()))]
    );
}

#[test]
fn a_definition_that_the_engine_refused_is_tried_again() {
    let mut world = World::new();
    world.start("");
    // The journal holds the definitions, this engine refused them all.
    world.engine = World::new().engine;
    let commands = world.plan("").commands;
    assert_eq!(commands.len(), 1 + 50 + 4);
    let commands = &commands[1 + 50..];
    assert!(matches!(&commands[0], Command::DefineAccount(account) if account.name.as_str() == "main"));
}

#[test]
fn what_leaves_the_file_still_counts_against_the_capacity() {
    let mut world = World::new();
    let six = "[engine.capacity]\naccounts = 6\n";
    world.start(&format!(
        "{six}[[accounts]]\nname = \"a\"\n[[accounts]]\nname = \"b\""
    ));
    let toml = format!("{six}[[accounts]]\nname = \"c\"\n[[accounts]]\nname = \"d\"");
    let error = Genesis::plan(
        &config(&toml),
        &instruments(),
        &Held::by(&world.engine),
        &world.applied,
    )
    .unwrap_err();
    assert_eq!(
        error,
        GenesisError::Capacity {
            what: "accounts",
            capacity: 6,
            needed: 7
        }
    );
}

#[test]
fn other_commands_are_not_configuration() {
    let mut applied = Definitions::default();
    applied.observe(&Command::Tick);
    applied.observe(&Command::AdjustCash(AdjustCash {
        actor: Actor {
            account: AccountId::new(0),
            admin: true,
        },
        reason: Text::EMPTY,
        account: AccountId::new(0),
        amount: Money::from_paise(1),
    }));
    assert!(applied.accounts.is_empty() && applied.instruments.is_empty() && applied.strategies.is_empty());
}

#[test]
fn charge_rates_are_journaled_once_and_a_later_date_ahead() {
    let of = |genesis: &Genesis| -> Vec<ChargeRates> {
        let rates = genesis.commands.iter().filter_map(|command| match command {
            Command::DefineCharges(rates) => Some(**rates),
            _ => None,
        });
        rates.collect()
    };
    let mut world = World::new();
    assert_eq!(of(&world.start("")), [ChargeRates::built_in()]);
    assert_eq!(of(&world.start("")), []);
    let later = "[[charges]]\neffective_from = \"2026-10-01\"\nexchange = \"0.00002\"";
    let added = of(&world.start(later));
    assert_eq!((added.len(), added[0].effective_from), (1, 20_727));
    assert_eq!(
        *world.engine.charge_rates(),
        ChargeRates::built_in(),
        "not before its date"
    );
    assert_eq!(of(&world.start(later)), []);
    assert_eq!(of(&world.start("")), [], "what leaves the file stays");
    let corrected = of(&world.start(&later.replace("0.00002", "0.00003")));
    assert_eq!(corrected[0].exchange.ppb(), 30_000);
}

const SECOND_STRATEGY: &str = "[[accounts]]\nname = \"main\"\n[accounts.strategies.2]\nname = \"Pairs\"\n";

/// What strategy 2 of `main` has of its own, and what its orders face.
fn quantity_of_strategy(world: &World) -> Option<(Option<u32>, Option<u32>)> {
    let mut all = world.engine.strategy_limits();
    let of = all.next().map(|of| {
        assert_eq!(
            (of.account, of.strategy),
            (world.account("main").account, StrategyId::new(2))
        );
        (of.own.order_quantity_max, of.in_force.order_quantity_max)
    });
    assert!(all.next().is_none());
    of
}

fn set_strategy_quantity(world: &mut World, quantity: Option<u32>) {
    let account = world.account("main").account;
    world.apply(&Command::SetLimits(Box::new(SetLimits {
        actor: Actor { account, admin: true },
        account,
        strategy: Some(StrategyId::new(2)),
        fields: LimitFields::named("order_quantity_max").unwrap(),
        limits: RiskLimits {
            order_quantity_max: quantity,
            ..RiskLimits::NONE
        },
    })));
}

#[test]
fn a_strategys_limits_follow_the_file_and_are_never_loosened_by_a_restart() {
    let quantity = |shares: &str| format!("{SECOND_STRATEGY}order_quantity_max = {shares}");
    let mut world = World::new();
    world.start(&quantity("500"));
    assert_eq!(quantity_of_strategy(&world), Some((Some(500), Some(500))));
    assert_eq!(
        world.start(&quantity("500")),
        Genesis::default(),
        "nothing changed"
    );
    // Nobody touched it: the file is followed both ways, and past the account's limit the account's holds.
    world.start(&quantity("800"));
    assert_eq!(quantity_of_strategy(&world), Some((Some(800), Some(800))));
    world.start(&quantity("20000"));
    assert_eq!(quantity_of_strategy(&world), Some((Some(20_000), Some(10_000))));
    // Tightened at run time: a new file may only go further.
    set_strategy_quantity(&mut world, Some(50));
    let genesis = world.start(&quantity("400"));
    let kept = Notice::LimitKept {
        account: Text::cut("main"),
        strategy: Some(StrategyId::new(2)),
        limit: "order_quantity_max",
    };
    assert_eq!(
        kept.to_string(),
        "the file's new order_quantity_max of account main, strategy 2, is not applied: it was tightened at run time"
    );
    assert_eq!(genesis.notices, std::slice::from_ref(&kept));
    assert_eq!(quantity_of_strategy(&world), Some((Some(50), Some(50))));
    assert_eq!(
        world.start(SECOND_STRATEGY).notices,
        [kept],
        "off is looser still"
    );
    assert_eq!(quantity_of_strategy(&world), Some((Some(50), Some(50))));
    world.start(&quantity("20"));
    assert_eq!(quantity_of_strategy(&world), Some((Some(20), Some(20))));
    // Lifted at run time, and the file as it was: it stays lifted.
    set_strategy_quantity(&mut world, None);
    assert_eq!(world.start(&quantity("20")), Genesis::default());
    assert_eq!(quantity_of_strategy(&world), None);
}
