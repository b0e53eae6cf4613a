//! Clients that trade as fast as they are answered, and remember every answer, until the server is gone.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::Random;
use crate::support::http::Client;

const ORDERS: &str = "/api/oms/orders";

/// An order as its sender knows it.
#[derive(Clone, Debug)]
pub struct Sent {
    pub client_order_id: String,
    pub body: Value,
    /// The first answer; `None` where the connection ended before one came.
    pub answer: Option<Acknowledged>,
    /// A cancellation of it was acknowledged.
    pub cancelled: bool,
    /// A cancellation or modification of it may have happened.
    pub touched: bool,
    /// The last quantity and price that were acknowledged.
    pub quantity: u64,
    pub price: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Acknowledged {
    pub http_status: u16,
    pub order_id: u64,
    pub status: String,
}

impl Acknowledged {
    pub fn of(http_status: u16, body: &Value) -> Acknowledged {
        let order_id = body["order_id"].as_u64();
        let status = match http_status {
            201 => body["status"].as_str().unwrap_or_default(),
            _ => "REJECTED",
        };
        Acknowledged {
            http_status,
            order_id: order_id.unwrap_or_else(|| panic!("{http_status} without an order id: {body}")),
            status: status.to_owned(),
        }
    }
}

/// Symbols with their reference price and tick, in paise.
const SYMBOLS: [(&str, u64, u64); 4] = [
    ("RELIANCE", 245_000, 10),
    ("SBIN", 80_000, 5),
    ("ITC", 45_000, 5),
    ("TCS", 350_000, 10),
];

fn rupees(paise: u64) -> String {
    format!("{}.{:02}", paise / 100, paise % 100)
}

/// One trader on one kept-alive connection.
pub struct Trader {
    client: Client,
    random: Random,
    prefix: String,
    pub sent: Vec<Sent>,
}

impl Trader {
    /// `prefix` begins every `client_order_id`.
    pub fn new(address: SocketAddr, key: &str, seed: u64, prefix: String) -> Trader {
        Trader {
            client: Client::new(address).with_key(key),
            random: Random::new(seed),
            prefix,
            sent: Vec::new(),
        }
    }

    /// Trades until the connection breaks. Counts the orders that were acknowledged.
    pub fn run(mut self, acknowledged: &AtomicUsize) -> Vec<Sent> {
        loop {
            let step = match self.random.below(10) {
                0..7 => self.place(acknowledged),
                7..9 => self.cancel(),
                _ => self.modify(),
            };
            if step.is_err() {
                return self.sent;
            }
        }
    }

    fn place(&mut self, acknowledged: &AtomicUsize) -> std::io::Result<()> {
        let (symbol, reference, tick) = self.random.of(&SYMBOLS);
        let side = self.random.of(&["BUY", "SELL"]);
        let quantity = 1 + self.random.below(20);
        let client_order_id = format!("{}-{}", self.prefix, self.sent.len());
        let market = self.random.below(8) == 0;
        let price = reference - 40 * tick + self.random.below(81) * tick;
        let mut body = json!({
            "symbol": symbol, "side": side, "quantity": quantity, "client_order_id": client_order_id,
            "metadata": {"n": self.sent.len()}
        });
        if market {
            body["order_type"] = json!("MARKET");
        } else {
            body["price"] = json!(rupees(price));
        }
        if self.random.below(6) == 0 {
            body["validity"] = json!("IOC");
        }
        self.sent.push(Sent {
            client_order_id,
            body: body.clone(),
            answer: None,
            cancelled: false,
            touched: false,
            quantity,
            price: (!market).then(|| rupees(price)),
        });
        let answer = self
            .client
            .try_send("POST", ORDERS, body.to_string().as_bytes())?;
        let last = self.sent.last_mut().expect("just pushed");
        last.answer = Some(Acknowledged::of(answer.status, &answer.json()));
        acknowledged.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// An order that was open when it was last heard of.
    fn pick(&mut self) -> Option<usize> {
        let at = usize::try_from(self.random.below(self.sent.len().max(1) as u64)).ok()?;
        let order = self.sent.get(at)?;
        let open = order
            .answer
            .as_ref()
            .is_some_and(|answer| answer.status == "OPEN");
        (open && !order.cancelled).then_some(at)
    }

    fn order_id(&self, at: usize) -> u64 {
        self.sent[at]
            .answer
            .as_ref()
            .expect("picked orders have one")
            .order_id
    }

    fn cancel(&mut self) -> std::io::Result<()> {
        let Some(at) = self.pick() else { return Ok(()) };
        let path = format!("{ORDERS}/{}", self.order_id(at));
        self.sent[at].touched = true;
        let answer = self.client.try_send("DELETE", &path, b"")?;
        assert!([200, 409].contains(&answer.status), "{answer:?}");
        self.sent[at].cancelled = answer.status == 200;
        Ok(())
    }

    fn modify(&mut self) -> std::io::Result<()> {
        let Some(at) = self.pick().filter(|&at| self.sent[at].price.is_some()) else {
            return Ok(());
        };
        let path = format!("{ORDERS}/{}", self.order_id(at));
        let quantity = 21 + self.random.below(10);
        self.sent[at].touched = true;
        let body = json!({"quantity": quantity});
        let answer = self.client.try_send("PUT", &path, body.to_string().as_bytes())?;
        assert!([200, 400, 409].contains(&answer.status), "{answer:?}");
        if answer.status == 200 {
            self.sent[at].quantity = quantity;
            // Nothing is in flight about it any more.
            self.sent[at].touched = false;
        }
        Ok(())
    }
}
