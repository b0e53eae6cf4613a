//! The codes of the closed vocabularies. They are part of the format: a code is never changed or used again.

use engine::{NoticeKind, Product, SelfTrade, Side, TradingState};

use super::RecordError;

/// One table for both directions.
macro_rules! codes {
    ($type:ty, $field:literal, $encode:ident, $decode:ident, { $($code:literal => $variant:path,)+ }) => {
        pub(super) fn $encode(value: $type) -> u8 {
            match value {
                $($variant => $code,)+
            }
        }

        pub(super) fn $decode(code: u8) -> Result<$type, RecordError> {
            match code {
                $($code => Ok($variant),)+
                code => Err(RecordError::UnknownCode { field: $field, code }),
            }
        }
    };
}

codes!(Side, "side", side_code, side, {
    0 => Side::Buy,
    1 => Side::Sell,
});

codes!(Product, "product", product_code, product, {
    0 => Product::Mis,
    1 => Product::Cnc,
});

codes!(SelfTrade, "self_trade", self_trade_code, self_trade, {
    0 => SelfTrade::CancelResting,
    1 => SelfTrade::CancelIncoming,
    2 => SelfTrade::CancelBoth,
    3 => SelfTrade::Decrement,
    4 => SelfTrade::Off,
});

codes!(TradingState, "state", trading_state_code, trading_state, {
    0 => TradingState::Normal,
    1 => TradingState::Reducing,
    2 => TradingState::Halted,
});

codes!(NoticeKind, "kind", notice_code, notice, {
    0 => NoticeKind::DatabaseBehind,
    1 => NoticeKind::StateDivergence,
    2 => NoticeKind::DiskLow,
    3 => NoticeKind::DeadLetter,
    4 => NoticeKind::TableConflict,
});
