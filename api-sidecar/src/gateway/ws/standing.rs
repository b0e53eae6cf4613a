//! The alert that everyone who connects is told first: the journal failed in an earlier run, and trading is stopped.
//! It was raised before anybody could be connected.

use engine::Symbol;
use read_model::{AlertRecord, AlertSubject};

use super::cursor::Cursor;
use super::events::Push;
use crate::wire::{AlertContext, Object, alert_fields, alert_safe};

/// As a `risk:alert`. It moves nobody's place in the stream: `cursor` is where the client is.
pub(crate) fn standing_alert(out: &mut Vec<u8>, record: &AlertRecord, cursor: Cursor) {
    let AlertSubject {
        alert,
        reason,
        author,
        ..
    } = &record.subject;
    let context = AlertContext {
        symbol: Symbol::EMPTY,
        quantity: 0,
        average_price: None,
        reason: &alert_safe(reason),
        author: &alert_safe(author),
    };
    Object::begin(out)
        .string("type", Push::RiskAlert.as_str())
        .text("cursor", cursor)
        .object("data", |data| alert_fields(data, alert, &context, record.raised));
}
