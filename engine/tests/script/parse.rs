//! Scenario files to steps.

use engine::{
    AccountDefinition, AccountId, AccountName, Actor, ByClass, CancelAll, CancelOrder, ClientOrderId,
    ClosePosition, Command, Edit, EditConditions, Heartbeat, InstrumentDefinition, InstrumentId, KillScope,
    KillSwitch, LimitFields, MarketPrice, ModifyOrder, Money, NewOrder, OrderId, OrderRef, OrderType,
    PositionId, Price, Product, Quantity, Ratio, Rearm, RiskLimits, SelfTrade, Seq, Sequenced,
    SessionCalendar, SetLimits, Side, StrategyId, Symbol, Text, TimeInForce, Timestamp, Timetable,
    TradingState, Trailing,
};

use super::{Names, Scenario, Shown, Step};

const SECOND: u64 = 1_000_000_000;
/// 2026-11-20 09:15 in India.
const START: u64 = 1_795_146_300 * SECOND;
/// Between two commands.
const PAUSE: u64 = SECOND;

/// The scenario of a file.
///
/// # Panics
/// With the line's number and text where it is not in the language.
pub fn parse_file(text: &str) -> Scenario {
    let mut parser = Parser::default();
    let mut heading = String::new();
    for (raw, line) in text.lines().zip(1_usize..) {
        parser.line = line;
        let content = raw.split('#').next().unwrap_or_default().trim_end();
        if content.trim().is_empty() {
            continue;
        }
        if content.starts_with(' ') {
            parser.content(&heading, content.trim());
        } else {
            parser.finish_block();
            parser.heading(content);
            content.clone_into(&mut heading);
        }
    }
    parser.finish_block();
    Scenario {
        room: parser.room.unwrap_or(1_024),
        names: parser.names,
        shown: parser.shown,
        steps: parser.steps,
    }
}

#[derive(Default)]
struct Parser {
    line: usize,
    seq: u64,
    time: u64,
    room: Option<u32>,
    names: Names,
    shown: Shown,
    steps: Vec<Step>,
    building: bool,
    /// The next command comes at the time of the last.
    at_once: bool,
}

impl Parser {
    fn heading(&mut self, heading: &str) {
        let line = self.line;
        if heading != "setup" {
            self.default_setup();
        }
        match heading {
            "setup" | "commands" => {}
            "book before" => self.building = true,
            "events" => self.steps.push(Step::Events {
                line,
                expected: Vec::new(),
            }),
            "book after" => self.steps.push(Step::Book {
                line,
                expected: Vec::new(),
            }),
            "statistics" => self.steps.push(Step::Statistics {
                line,
                expected: Vec::new(),
            }),
            other => self.fail(&format!("unknown heading `{other}`")),
        }
    }

    fn finish_block(&mut self) {
        if std::mem::take(&mut self.building) {
            let line = self.line;
            self.steps.push(Step::AllRest { line });
        }
    }

    fn content(&mut self, heading: &str, content: &str) {
        match heading {
            "setup" => self.setup(content),
            "book before" | "commands" => self.command(content),
            "events" | "book after" | "statistics" => {
                let words: Vec<_> = content.split_whitespace().collect();
                match self.steps.last_mut() {
                    Some(
                        Step::Events { expected, .. }
                        | Step::Book { expected, .. }
                        | Step::Statistics { expected, .. },
                    ) => expected.push(words.join(" ")),
                    _ => self.fail("an expectation without its heading"),
                }
            }
            _ => self.fail("a line without a heading"),
        }
    }

    /// One instrument, three accounts, where the file names none.
    fn default_setup(&mut self) {
        if self.names.instruments.is_empty() {
            self.setup("instrument ACME");
        }
        if self.names.accounts.is_empty() {
            for name in ["alice", "bob", "carol"] {
                self.setup(&format!("account {name}"));
            }
        }
    }

    fn setup(&mut self, content: &str) {
        let mut words = Words::new(content);
        match words.next() {
            "instrument" => self.define_instrument(words),
            "account" => self.define_account(words),
            "session" => self.set_session(words),
            "room" => self.room = words.next().parse().ok(),
            "show" => match words.next() {
                "positions" => self.shown.positions = true,
                "accounts" => self.shown.accounts = true,
                "alerts" => self.shown.alerts = true,
                other => self.fail(&format!("cannot show `{other}`")),
            },
            other => self.fail(&format!("unknown setup `{other}`")),
        }
    }

    fn define_instrument(&mut self, mut words: Words<'_>) {
        let symbol = self.read(Symbol::parse(words.next()), "a symbol");
        let mut definition = InstrumentDefinition {
            symbol,
            exchange: Text::cut("NSE"),
            tick_size: self.price("0.05"),
            lot_size: self.shares("1"),
            freeze_quantity: self.shares("100000"),
            reference_price: self.price("100.00"),
            price_band: Ratio::from_ppm(100_000),
            mis_allowed: true,
            banned: false,
            derivatives: false,
        };
        while let Some(word) = words.peek() {
            words.next();
            match word {
                "tick" => definition.tick_size = self.price(words.next()),
                "lot" => definition.lot_size = self.shares(words.next()),
                "freeze" => definition.freeze_quantity = self.shares(words.next()),
                "reference" => definition.reference_price = self.price(words.next()),
                "band" => definition.price_band = self.read(words.next().parse().ok(), "a ratio"),
                "no-mis" => definition.mis_allowed = false,
                "banned" => definition.banned = true,
                "derivatives" => definition.derivatives = true,
                other => self.fail(&format!("unknown attribute `{other}`")),
            }
        }
        if !self.names.instruments.contains(&symbol) {
            self.names.instruments.push(symbol);
        }
        self.push(Command::DefineInstrument(Box::new(definition)));
    }

    fn define_account(&mut self, mut words: Words<'_>) {
        let name = AccountName::cut(words.next());
        let mut definition = AccountDefinition {
            name,
            opening_balance: Money::from_paise(10_000_000),
            limits: RiskLimits::unlimited_paper(),
            profile: Text::cut("test"),
            venue: false,
        };
        while let Some(word) = words.peek() {
            words.next();
            match word {
                "venue" => definition.venue = true,
                "balance" => definition.opening_balance = self.read(words.next().parse().ok(), "an amount"),
                "profile" => definition.limits = self.read(RiskLimits::by_name(words.next()), "a profile"),
                other => self.limit(&mut definition.limits, other, &mut words),
            }
        }
        self.names.accounts.push(name);
        self.push(Command::DefineAccount(Box::new(definition)));
    }

    fn limit(&self, limits: &mut RiskLimits, name: &str, words: &mut Words<'_>) {
        let value = words.next();
        let number = || self.read(value.parse::<u32>().ok(), "a number");
        let ratio = || self.read(value.parse::<Ratio>().ok(), "a ratio");
        let amount = || self.read(value.parse::<Money>().ok(), "an amount");
        match name {
            "self_trade" => {
                let mut all = SelfTrade::ALL.into_iter();
                limits.self_trade = self.read(all.find(|policy| policy.as_str() == value), "a policy");
            }
            "flatten_on_kill" => limits.flatten_on_kill = value == "yes",
            "modifications_max" => limits.modifications_max = Some(number()),
            "orders_per_second_max" => limits.orders_per_second_max = Some(number()),
            "daily_orders_max" => limits.daily_orders_max = Some(number()),
            "positions_max" => limits.positions_max = Some(number()),
            "symbol_position_max" => limits.symbol_position_max = Some(number()),
            "gross_exposure_max" => {
                limits.gross_exposure_max = Some(self.read(value.parse().ok(), "a ratio"))
            }
            "net_exposure_max" => limits.net_exposure_max = Some(ratio()),
            "duplicate_burst_max" => limits.duplicate_burst_max = Some(number()),
            "repeated_executions_max" => limits.repeated_executions_max = Some(number()),
            "order_to_trade_alert" => limits.order_to_trade_alert = Some(number()),
            "reference_age_ms_max" => limits.reference_age_ms_max = Some(number()),
            "balance_check" => limits.balance_check = value == "yes",
            "stop_loss_required" => limits.stop_loss_required = value == "yes",
            "risk_per_trade_max" => limits.risk_per_trade_max = Some(ratio()),
            "daily_loss_max" => limits.daily_loss_max = Some(ratio()),
            "risk_reward_min" => limits.risk_reward_min = Some(ratio()),
            "price_sanity_max" => limits.price_sanity_max = Some(ratio()),
            "order_quantity_max" => limits.order_quantity_max = Some(number()),
            "orders_per_position_max" => limits.orders_per_position_max = Some(number()),
            "order_value_max" => limits.order_value_max = Some(amount()),
            "open_order_value_max" => limits.open_order_value_max = Some(amount()),
            other => self.fail(&format!("unknown limit `{other}`")),
        }
    }

    fn command(&mut self, content: &str) {
        let mut words = Words::new(content);
        match words.peek() {
            Some("wait") => {
                words.next();
                let seconds = self.read(words.next().parse::<u64>().ok(), "seconds");
                self.time = self.now() + seconds * SECOND;
                let until = Timestamp::from_nanos(self.time);
                self.steps.push(Step::Wait { until });
                return;
            }
            Some("until") => {
                words.next();
                self.until(words);
                return;
            }
            Some("session") => {
                words.next();
                self.set_session(words);
                return;
            }
            Some("at") => {
                self.at_once = true;
                return;
            }
            Some("last") => {
                words.next();
                let price = self.price(words.next());
                let instrument = self.instrument(&mut words);
                self.push(Command::MarketPrice(MarketPrice { instrument, price }));
                return;
            }
            Some("instrument") => {
                words.next();
                self.define_instrument(words);
                return;
            }
            _ => {}
        }
        let actor = self.actor(words.next());
        let command = match words.next() {
            "buy" => Command::NewOrder(self.new_order(actor.account, Side::Buy, words)),
            "sell" => Command::NewOrder(self.new_order(actor.account, Side::Sell, words)),
            "modify" => Command::ModifyOrder(self.modify(actor, words)),
            "cancel" => Command::CancelOrder(CancelOrder {
                actor,
                order: self.order_ref(&mut words),
            }),
            "cancel-all" => Command::CancelAll(self.cancel_all(actor, words)),
            "close" => Command::ClosePosition(ClosePosition {
                actor,
                position: PositionId::new(self.read(words.next().parse().ok(), "a position")),
                quantity: words.peek().map(|text| self.shares(text)),
            }),
            "edit" => Command::EditConditions(self.edit(actor, words)),
            "kill" => Command::KillSwitch(self.kill(actor, words)),
            "rearm" => Command::Rearm(Rearm {
                actor,
                deactivated_by: Text::cut("test"),
            }),
            "heartbeat" => Command::Heartbeat(Heartbeat {
                account: actor.account,
                timeout_ms: self.read(words.next().parse().ok(), "milliseconds"),
            }),
            "limits" => Command::SetLimits(Box::new(self.set_limits(actor, words))),
            other => self.fail(&format!("unknown command `{other}`")),
        };
        self.push(command);
    }

    /// `+2 09:15`: that time in India, so many days on; without days, today.
    fn until(&mut self, mut words: Words<'_>) {
        let mut day = Timestamp::from_nanos(self.now()).trading_day();
        if let Some(days) = words.peek().and_then(|word| word.strip_prefix('+')) {
            day += self.read(days.parse::<u32>().ok(), "days");
            words.next();
        }
        let second = self.second_of_day(words.next());
        let until = Timestamp::in_trading_day(day, second);
        assert!(
            until.nanos() > self.now(),
            "line {}: that time is over",
            self.line
        );
        self.time = until.nanos();
        self.steps.push(Step::Wait { until });
    }

    /// `nse`: the venue's hours with its square-offs. `square-off 15:20 15:10`: around the clock, with the times of
    /// instruments without and with derivatives. `holiday +3`: so many days from now.
    fn set_session(&mut self, mut words: Words<'_>) {
        let today = Timestamp::from_nanos(self.now()).trading_day();
        let mut calendar = SessionCalendar::default();
        let cash = Timetable {
            pre_open: self.second_of_day("09:00"),
            continuous: self.second_of_day("09:15"),
            closing: self.second_of_day("15:30"),
            closed: self.second_of_day("15:30"),
        };
        let derivatives = Timetable {
            closing: self.second_of_day("15:15"),
            ..cash
        };
        while let Some(word) = words.peek() {
            words.next();
            match word {
                "nse" => calendar.timetables = Some(ByClass { cash, derivatives }),
                "square-off" => {
                    calendar.square_off.cash = Some(self.second_of_day(words.next()));
                    calendar.square_off.derivatives = Some(self.second_of_day(words.next()));
                }
                "holiday" => {
                    let days = words
                        .next()
                        .strip_prefix('+')
                        .and_then(|days| days.parse::<u32>().ok());
                    calendar.holidays.push(today + self.read(days, "days"));
                }
                other => self.fail(&format!("unknown session `{other}`")),
            }
        }
        self.push(Command::SetSession(Box::new(calendar)));
    }

    /// `HH:MM` or `HH:MM:SS`.
    fn second_of_day(&self, text: &str) -> u32 {
        let parts: Option<Vec<u32>> = text.split(':').map(|part| part.parse().ok()).collect();
        match self.read(parts, "a time of the day")[..] {
            [hours, minutes] => hours * 3_600 + minutes * 60,
            [hours, minutes, seconds] => hours * 3_600 + minutes * 60 + seconds,
            _ => self.fail("expected a time of the day"),
        }
    }

    fn new_order(&self, account: AccountId, side: Side, mut words: Words<'_>) -> NewOrder {
        let quantity = self.shares(words.next());
        let order_type = match words.next() {
            "market" => OrderType::Market,
            "@" => OrderType::Limit(self.price(words.next())),
            other => self.fail(&format!("`{other}` is neither `market` nor `@`")),
        };
        let mut order = NewOrder {
            account,
            strategy: StrategyId::new(1),
            instrument: InstrumentId::new(0),
            side,
            product: Product::Mis,
            order_type,
            time_in_force: TimeInForce::Day,
            quantity,
            post_only: false,
            disclosed: None,
            minimum: None,
            stop_loss: None,
            take_profit: None,
            client_order_id: ClientOrderId::EMPTY,
            metadata: None,
        };
        while let Some(word) = words.peek() {
            words.next();
            match word {
                "ioc" => order.time_in_force = TimeInForce::Ioc,
                "fok" => order.time_in_force = TimeInForce::Fok,
                "gtd" => {
                    let seconds = self.read(words.next().parse::<u64>().ok(), "seconds");
                    let until = self.now() + PAUSE + seconds * SECOND;
                    order.time_in_force = TimeInForce::Gtd(Timestamp::from_nanos(until));
                }
                "cnc" => order.product = Product::Cnc,
                "post-only" => order.post_only = true,
                "show" => order.disclosed = Some(self.shares(words.next())),
                "min" => order.minimum = Some(self.shares(words.next())),
                "trigger" => {
                    let trigger = self.price(words.next());
                    order.order_type = match order.order_type {
                        OrderType::Limit(limit) => OrderType::Stop { limit, trigger },
                        _ => OrderType::StopMarket { trigger },
                    }
                }
                "stop" => order.stop_loss = Some(self.price(words.next())),
                "target" => order.take_profit = Some(self.price(words.next())),
                "id" => order.client_order_id = ClientOrderId::cut(words.next()),
                "strategy" => order.strategy = self.strategy(words.next()),
                "in" => order.instrument = self.named_instrument(words.next()),
                other => self.fail(&format!("unknown attribute `{other}`")),
            }
        }
        order
    }

    fn modify(&self, actor: Actor, mut words: Words<'_>) -> ModifyOrder {
        let order = self.order_ref(&mut words);
        let mut modify = ModifyOrder {
            actor,
            order,
            quantity: None,
            price: None,
            trigger: None,
        };
        while let Some(word) = words.peek() {
            words.next();
            match word {
                "trigger" => modify.trigger = Some(self.price(words.next())),
                "to" => modify.quantity = Some(self.shares(words.next())),
                "@" => modify.price = Some(self.price(words.next())),
                other => self.fail(&format!("unknown change `{other}`")),
            }
        }
        modify
    }

    /// `edit 2 stop 99.00 target none trail 1.00` or `trail-share 0.01`.
    fn edit(&self, actor: Actor, mut words: Words<'_>) -> EditConditions {
        let mut edit = EditConditions {
            actor,
            position: PositionId::new(self.read(words.next().parse().ok(), "a position")),
            stop_loss: Edit::Keep,
            take_profit: Edit::Keep,
            trailing: Edit::Keep,
        };
        let price = |text: &str| match text {
            "none" => Edit::Remove,
            text => Edit::Set(self.price(text)),
        };
        while let Some(word) = words.peek() {
            words.next();
            match word {
                "stop" => edit.stop_loss = price(words.next()),
                "target" => edit.take_profit = price(words.next()),
                "trail" => {
                    edit.trailing = match price(words.next()) {
                        Edit::Set(distance) => Edit::Set(Trailing::Distance(distance)),
                        _ => Edit::Remove,
                    }
                }
                "trail-share" => {
                    let share = self.read(words.next().parse().ok(), "a ratio");
                    edit.trailing = Edit::Set(Trailing::Percent(share));
                }
                other => self.fail(&format!("unknown condition `{other}`")),
            }
        }
        edit
    }

    fn order_ref(&self, words: &mut Words<'_>) -> OrderRef {
        match words.next() {
            "id" => OrderRef::Client(ClientOrderId::cut(words.next())),
            number => OrderRef::Id(OrderId::new(self.read(number.parse().ok(), "an order"))),
        }
    }

    fn cancel_all(&self, actor: Actor, mut words: Words<'_>) -> CancelAll {
        let mut command = CancelAll {
            actor,
            account: Some(actor.account),
            strategy: None,
            instrument: None,
            side: None,
        };
        while let Some(word) = words.peek() {
            words.next();
            match word {
                "everyone" => command.account = None,
                "of" => command.account = Some(self.account(words.next())),
                "strategy" => command.strategy = Some(self.strategy(words.next())),
                "in" => command.instrument = Some(self.named_instrument(words.next())),
                "buy" => command.side = Some(Side::Buy),
                "sell" => command.side = Some(Side::Sell),
                other => self.fail(&format!("unknown filter `{other}`")),
            }
        }
        command
    }

    fn kill(&self, actor: Actor, mut words: Words<'_>) -> KillSwitch {
        let mut kill = KillSwitch {
            actor,
            scope: match words.next() {
                "engine" => KillScope::Engine,
                name => KillScope::Account(self.account(name)),
            },
            state: TradingState::Reducing,
            flatten: None,
            reason: Text::cut("test"),
            triggered_by: Text::cut("test"),
        };
        while let Some(word) = words.peek() {
            words.next();
            match (word, kill.scope) {
                ("halt", _) => kill.state = TradingState::Halted,
                ("flatten", _) => kill.flatten = Some(true),
                ("strategy", KillScope::Account(account)) => {
                    kill.scope = KillScope::Strategy(account, self.strategy(words.next()));
                }
                (other, _) => self.fail(&format!("unknown kill `{other}`")),
            }
        }
        kill
    }

    fn set_limits(&self, actor: Actor, mut words: Words<'_>) -> SetLimits {
        let account = self.account(words.next());
        let mut limits = RiskLimits::unlimited_paper();
        let mut strategy = None;
        if words.peek() == Some("strategy") {
            words.next();
            strategy = Some(self.strategy(words.next()));
            limits = RiskLimits::NONE;
        }
        while let Some(word) = words.peek() {
            words.next();
            match word {
                "profile" => limits = self.read(RiskLimits::by_name(words.next()), "a profile"),
                other => self.limit(&mut limits, other, &mut words),
            }
        }
        SetLimits {
            actor,
            account,
            strategy,
            fields: match strategy {
                Some(_) => LimitFields::OF_STRATEGIES,
                None => LimitFields::ALL,
            },
            limits,
        }
    }

    /// `admin` acts for the first account with every authority.
    fn actor(&self, name: &str) -> Actor {
        if name == "admin" {
            return Actor {
                account: AccountId::new(0),
                admin: true,
            };
        }
        Actor {
            account: self.account(name),
            admin: false,
        }
    }

    fn account(&self, name: &str) -> AccountId {
        let index = self
            .names
            .accounts
            .iter()
            .position(|known| known.as_str() == name);
        AccountId::new(self.read(index, &format!("an account, as `{name}` should be")) as u32)
    }

    fn instrument(&self, words: &mut Words<'_>) -> InstrumentId {
        match words.peek() {
            Some("in") => {
                words.next();
                self.named_instrument(words.next())
            }
            _ => InstrumentId::new(0),
        }
    }

    fn named_instrument(&self, name: &str) -> InstrumentId {
        let index = self
            .names
            .instruments
            .iter()
            .position(|known| known.as_str() == name);
        InstrumentId::new(self.read(index, &format!("an instrument, as `{name}` should be")) as u32)
    }

    fn strategy(&self, text: &str) -> StrategyId {
        StrategyId::new(self.read(text.parse().ok(), "a strategy"))
    }

    fn price(&self, text: &str) -> Price {
        self.read(text.parse().ok(), &format!("a price, as `{text}` should be"))
    }

    fn shares(&self, text: &str) -> Quantity {
        let shares = text.parse::<u32>().ok().and_then(Quantity::new);
        self.read(shares, &format!("a quantity, as `{text}` should be"))
    }

    fn now(&self) -> u64 {
        self.time.max(START)
    }

    fn push(&mut self, command: Command) {
        self.seq += 1;
        let pause = if std::mem::take(&mut self.at_once) {
            0
        } else {
            PAUSE
        };
        self.time = self.now() + pause;
        self.steps.push(Step::Do {
            line: self.line,
            command: Sequenced {
                seq: Seq::new(self.seq),
                time: Timestamp::from_nanos(self.time),
                command,
            },
        });
    }

    fn read<T>(&self, value: Option<T>, what: &str) -> T {
        value.unwrap_or_else(|| self.fail(&format!("expected {what}")))
    }

    fn fail(&self, why: &str) -> ! {
        panic!("line {}: {why}", self.line)
    }
}

/// The words of a line; past the end they are empty.
struct Words<'a>(std::iter::Peekable<std::str::SplitWhitespace<'a>>);

impl<'a> Words<'a> {
    fn new(line: &'a str) -> Words<'a> {
        Words(line.split_whitespace().peekable())
    }

    fn next(&mut self) -> &'a str {
        self.0.next().unwrap_or_default()
    }

    fn peek(&mut self) -> Option<&'a str> {
        self.0.peek().copied()
    }
}
