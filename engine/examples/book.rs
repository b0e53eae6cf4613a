//! The order book alone: bring your own ids, get executions, ask for the touch and for depth.
//!
//! Run with `cargo run -p engine --example book`.

#![allow(clippy::expect_used, reason = "an example may stop at a wrong constant")]

use engine::book::{Book, BookRefusal, BookSettings, Execution};
use engine::{Price, Quantity, Side, TimeInForce};

fn main() {
    let rupees = |text: &str| text.parse::<Price>().expect("a price");
    let shares = |count: u32| Quantity::new(count).expect("below the maximum");
    let settings = BookSettings {
        min_price: rupees("2205.00"),
        max_price: rupees("2695.00"),
        tick: rupees("0.05"),
        max_orders: 10_000,
        max_order_id: 100_000,
    };
    let mut book = Book::new(&settings).expect("at most 131,072 ticks");

    // Three sellers wait. Ids are the caller's own and may be used again once an order is gone.
    for (id, price, quantity) in [(1, "2450.10", 30), (2, "2450.05", 10), (3, "2450.10", 50)] {
        let rested = book.new_order(
            id,
            Side::Sell,
            rupees(price),
            shares(quantity),
            TimeInForce::Day,
            |_| (),
        );
        assert!(rested.is_ok());
    }
    assert_eq!(book.best(Side::Sell), Some((rupees("2450.05"), 10)));
    assert_eq!(book.depth_at(Side::Sell, rupees("2450.10")), (80, 2));

    // A buyer takes the best price first, then the older order at the next one, each at the maker's price.
    let mut trades = Vec::new();
    let report = |execution: Execution| trades.push(execution);
    let outcome = book.new_order(
        4,
        Side::Buy,
        rupees("2450.10"),
        shares(45),
        TimeInForce::Day,
        report,
    );
    assert_eq!(outcome.map(|outcome| outcome.resting), Ok(Quantity::ZERO));
    for trade in &trades {
        println!(
            "{} bought {} from {} at {}",
            trade.taker, trade.quantity, trade.maker, trade.price
        );
    }
    assert_eq!(
        trades.iter().map(|trade| trade.maker).collect::<Vec<_>>(),
        [2, 1, 3]
    );

    // Shrinking keeps the place in the queue; a finished order is refused, never acknowledged.
    assert!(book.modify(3, rupees("2450.10"), shares(20), |_| ()).is_ok());
    assert_eq!(book.cancel(1), Err(BookRefusal::UnknownOrder));
    assert_eq!(book.cancel(3), Ok(shares(20)));
    assert!(book.is_empty());
    println!("the book is empty again");
}
