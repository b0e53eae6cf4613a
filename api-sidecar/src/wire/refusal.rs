//! Refusals of commands about existing things: their HTTP status and JSON body.

use engine::{OrderStatus, Refusal, RejectCode, Rejection};

use super::json::Object;
use super::rejection::rejection_fields;

/// What a client wanted to do to an order, as the contract's sentences name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OrderAction {
    Cancel,
    Modify,
}

impl OrderAction {
    const fn verb(self) -> &'static str {
        match self {
            OrderAction::Cancel => "cancel",
            OrderAction::Modify => "modify",
        }
    }
}

/// The status code of a rejected order: 429 where only the rate was too high, 409 where its `client_order_id` stands
/// for another order, else 400.
pub(crate) const fn rejection_status(rejection: &Rejection) -> u16 {
    match rejection.code {
        RejectCode::OrderRate => 429,
        RejectCode::ClientOrderIdReused => 409,
        _ => 400,
    }
}

/// Writes the JSON body of a refusal and gives its HTTP status: 404 unknown, 409 wrong state, 403 authority, 400 for
/// a failed check. `order` is the id that the client named, if it named one.
pub fn refusal_answer(out: &mut Vec<u8>, refusal: &Refusal, action: OrderAction, order: Option<u64>) -> u16 {
    let mut body = Object::begin(out);
    match refusal {
        Refusal::UnknownOrder => {
            match order {
                Some(order) => body.text("error", format_args!("Order {order} not found")),
                None => body.string("error", "Order not found"),
            };
            404
        }
        Refusal::OrderFinished(status) => {
            finished(&mut body, action, *status);
            409
        }
        Refusal::Rejected(rejection) => {
            body.string("error", "Order rejected");
            rejection_fields(&mut body, rejection);
            rejection_status(rejection)
        }
        Refusal::UnknownPosition | Refusal::UnknownAccount | Refusal::UnknownInstrument => {
            body.text("error", refusal);
            404
        }
        Refusal::BelowFilled(_) | Refusal::PositionClosed | Refusal::AboveOpenQuantity(_) => {
            body.text("error", refusal);
            409
        }
        Refusal::NotAuthorised => {
            body.text("error", refusal);
            403
        }
        Refusal::InvalidDefinition(_) => {
            body.text("error", refusal);
            400
        }
    }
}

fn finished(body: &mut Object<'_>, action: OrderAction, status: OrderStatus) {
    body.text(
        "error",
        format_args!("Cannot {} order in status {status}", action.verb()),
    )
    .string("status", status.as_str());
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Quantity;

    #[test]
    fn every_refusal_has_a_status_and_an_error() {
        let check = |refusal: Refusal, status: u16, body: &str| {
            let mut out = Vec::new();
            assert_eq!(
                refusal_answer(&mut out, &refusal, OrderAction::Cancel, Some(7)),
                status
            );
            assert_eq!(String::from_utf8(out).unwrap(), body);
        };
        check(Refusal::UnknownOrder, 404, r#"{"error":"Order 7 not found"}"#);
        check(
            Refusal::OrderFinished(OrderStatus::Filled),
            409,
            r#"{"error":"Cannot cancel order in status FILLED","status":"FILLED"}"#,
        );
        check(
            Refusal::Rejected(Rejection::bare(RejectCode::CircuitBreaker)),
            400,
            r#"{"error":"Order rejected","reason":"Trading is blocked: Kill switch is active. Manual intervention required.","failed_check":"circuit_breaker","code":115,"limit":null,"observed":null,"headroom":null}"#,
        );
        check(Refusal::UnknownPosition, 404, r#"{"error":"Position not found"}"#);
        check(
            Refusal::BelowFilled(Quantity::clamped(5)),
            409,
            r#"{"error":"Quantity is below the filled quantity 5"}"#,
        );
        check(Refusal::NotAuthorised, 403, r#"{"error":"Not authorised"}"#);
    }
}
