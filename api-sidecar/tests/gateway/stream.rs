//! The stream of pushed messages: resuming it, and market data for quick and slow readers.

use engine::{AccountId, Event, InstrumentId, OrderId, Price, Side, TopOfBook, Trade, TradeId};
use serde_json::json;

use super::support::{DESK, Fixture, MAIN, Setup, fill};
use super::ws::Socket;

/// The account of `viewer-key`.
const WATCH: AccountId = AccountId::new(2);

/// Order numbers of fills up to and including `last`, in the order heard, and the last cursor.
fn fills_until(socket: &mut Socket, last: u64) -> (Vec<u64>, String) {
    let mut heard = Vec::new();
    loop {
        let message = socket.hear();
        assert_eq!(message["type"], "order:filled", "{message}");
        let order = message["data"]["order_id"].as_u64().unwrap();
        heard.push(order);
        if order == last {
            return (heard, message["cursor"].as_str().unwrap().to_owned());
        }
    }
}

fn inject(fixture: &Fixture, events: Vec<Event>) {
    fixture.inject.send(events).unwrap();
}

/// Waits until the gateway has taken everything injected so far, as a client who sees none of it.
fn settle(fixture: &Fixture) {
    let mut socket = Socket::with_key(fixture, "viewer-key");
    inject(fixture, vec![fill(WATCH, 999_999)]);
    while socket.hear()["data"]["order_id"] != json!(999_999) {}
}

#[test]
fn a_client_that_comes_again_hears_what_it_missed_once_and_in_order() {
    let fixture = Fixture::start(Setup::default());
    let mut socket = Socket::with_key(&fixture, "trader-key");
    inject(&fixture, vec![fill(DESK, 1), fill(MAIN, 2), fill(DESK, 3)]);
    let (heard, cursor) = fills_until(&mut socket, 3);
    assert_eq!(heard, [1, 3]);
    drop(socket);

    // More than fits into the queue of one client, in commands of several messages.
    for first in (10..6_000).step_by(3) {
        inject(
            &fixture,
            vec![fill(DESK, first), fill(MAIN, first + 1), fill(DESK, first + 2)],
        );
    }
    settle(&fixture);
    let mut socket = Socket::resume(&fixture, &cursor);
    inject(&fixture, vec![fill(DESK, 7_000)]);
    let (heard, cursor) = fills_until(&mut socket, 7_000);
    let missed = (10..6_000).step_by(3).flat_map(|first| [first, first + 2]);
    assert_eq!(heard, missed.chain([7_000]).collect::<Vec<_>>());
    inject(&fixture, vec![fill(DESK, 7_001)]);
    assert_eq!(fills_until(&mut socket, 7_001).0, [7_001]);

    // From between two messages of one command, and with the colon encoded.
    let (seq, index) = cursor.split_once(':').unwrap();
    assert_eq!(index, "0");
    let mut socket = Socket::resume(&fixture, &format!("{}%3A9", seq.parse::<u64>().unwrap() - 1));
    assert_eq!(fills_until(&mut socket, 7_001).0, [7_000, 7_001]);
}

#[test]
fn who_was_away_too_long_is_told_to_read_anew() {
    let fixture = Fixture::start(Setup::default());
    inject(&fixture, vec![fill(DESK, 1)]);
    settle(&fixture);
    for cursor in ["", "x", "1", "99999999:0", "-1:0"] {
        let mut socket = Socket::resume(&fixture, cursor);
        let resync = socket.hear();
        assert_eq!(resync["type"], "resync", "{cursor}");
        inject(&fixture, vec![fill(DESK, 5)]);
        let (heard, _) = fills_until(&mut socket, 5);
        assert_eq!(heard, [5], "{cursor}");
        // What it was told with the resync is a cursor to resume from.
        let mut again = Socket::resume(&fixture, resync["cursor"].as_str().unwrap());
        assert_eq!(fills_until(&mut again, 5).0, [5], "{cursor}");
    }
}

fn top(instrument: u32, bid_quantity: u64) -> Event {
    Event::TopOfBook(TopOfBook {
        instrument: InstrumentId::new(instrument),
        bid: Price::from_paise(80_000),
        ask: None,
        bid_quantity,
        ask_quantity: 0,
    })
}

fn trade(instrument: u32, trade: u64) -> Event {
    Event::Trade(Trade {
        trade: TradeId::new(trade),
        instrument: InstrumentId::new(instrument),
        price: Price::from_paise_clamped(80_005),
        quantity: engine::Quantity::clamped(7),
        maker: OrderId::new(1),
        taker: OrderId::new(2),
        taker_side: Side::Sell,
    })
}

#[test]
fn channels_tell_their_state_and_then_what_changes() {
    let fixture = Fixture::start(Setup::default());
    inject(&fixture, vec![top(1, 5)]);
    settle(&fixture);
    let mut socket = Socket::with_key(&fixture, "viewer-key");
    socket.say(r#"{"type":"subscribe","channels":["l1:SBIN","trades:SBIN","l1:NOSUCH","l9:SBIN"]}"#);
    assert_eq!(
        socket.hear(),
        json!({"type": "channels", "channels": ["l1:SBIN", "trades:SBIN"], "refused": ["l1:NOSUCH", "l9:SBIN"]})
    );
    let state = socket.hear();
    assert_eq!([&state["type"], &state["channel"]], ["l1", "l1:SBIN"]);
    assert_eq!(state["data"]["bid"].to_string(), "800.00");
    assert_eq!(
        [&state["data"]["bid_quantity"], &state["data"]["ask"]],
        [&json!(5), &json!(null)]
    );
    inject(&fixture, vec![top(0, 1), trade(0, 1), trade(1, 2), top(1, 6)]);
    let heard = socket.hear();
    assert_eq!(heard["channel"], "trades:SBIN");
    assert_eq!(
        [
            &heard["data"]["trade_id"],
            &heard["data"]["taker_side"],
            &heard["data"]["skipped"]
        ],
        [&json!(2), &json!("SELL"), &json!(0)]
    );
    assert_eq!(socket.hear()["data"]["bid_quantity"], 6);
    socket.say(r#"{"type":"unsubscribe","channels":["trades:SBIN"]}"#);
    assert_eq!(socket.hear()["channels"], json!(["l1:SBIN"]));
    inject(&fixture, vec![trade(1, 3), top(1, 7)]);
    assert_eq!(socket.hear()["data"]["bid_quantity"], 7);
}

#[test]
fn market_data_is_conflated_for_who_reads_slowly() {
    const TOPS: u64 = 80_000;
    let fixture = Fixture::start(Setup::default());
    let mut socket = Socket::with_key(&fixture, "trader-key");
    socket.say(r#"{"type":"subscribe","channels":["l1:SBIN","trades:SBIN"]}"#);
    socket.hear();
    for first in (1..=TOPS).step_by(100) {
        let events = (first..first + 100).flat_map(|number| [top(1, number), trade(1, number)]);
        inject(&fixture, events.collect());
    }
    settle(&fixture);
    let (mut told, mut seen, mut last) = (0, 0, (0, 0));
    while last != (TOPS, TOPS) {
        let message = socket.hear();
        match message["type"].as_str() {
            Some("l1") => {
                let number = message["data"]["bid_quantity"].as_u64().unwrap();
                assert!(number > last.0, "{number} after {}", last.0);
                last.0 = number;
                told += 1;
            }
            Some("trade") => {
                let number = message["data"]["trade_id"].as_u64().unwrap();
                seen += 1 + message["data"]["skipped"].as_u64().unwrap();
                assert_eq!(seen, number, "skipped trades are counted");
                last.1 = number;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(told < TOPS, "nothing was conflated");
}
