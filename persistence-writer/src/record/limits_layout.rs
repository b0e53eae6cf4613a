//! The layout of an account's limits: 101 bytes. An absent limit is a clear bit of the first field and zeros in its
//! own; a switch is a bit alone.

use engine::RiskLimits;

use super::RecordError;
use super::codes::{self_trade, self_trade_code};
use super::fields::{Decoder, Encoder, Put};

#[cfg(test)]
pub(super) const LIMITS_BYTES: usize = 101;

const BALANCE_CHECK: u32 = 1;
const STOP_LOSS_REQUIRED: u32 = 1 << 1;
const FLATTEN_ON_KILL: u32 = 1 << 2;
const POSITIONS: u32 = 1 << 3;
const RISK_PER_TRADE: u32 = 1 << 4;
const DAILY_LOSS: u32 = 1 << 5;
const RISK_REWARD: u32 = 1 << 6;
const PRICE_SANITY: u32 = 1 << 7;
const ORDER_QUANTITY: u32 = 1 << 8;
const ORDERS_PER_POSITION: u32 = 1 << 9;
const DRAWDOWN: u32 = 1 << 10;
const POSITION_LOSS: u32 = 1 << 11;
const ORDER_VALUE: u32 = 1 << 12;
const OPEN_ORDER_VALUE: u32 = 1 << 13;
const ORDERS_PER_SECOND: u32 = 1 << 14;
const DAILY_ORDERS: u32 = 1 << 15;
const MODIFICATIONS: u32 = 1 << 16;
const SYMBOL_POSITION: u32 = 1 << 17;
const GROSS_EXPOSURE: u32 = 1 << 18;
const NET_EXPOSURE: u32 = 1 << 19;
const DUPLICATE_BURST: u32 = 1 << 20;
const REPEATED_EXECUTIONS: u32 = 1 << 21;
const ORDER_TO_TRADE: u32 = 1 << 22;
const REFERENCE_AGE: u32 = 1 << 23;
const ALL_BITS: u32 = (1 << 24) - 1;

pub(super) fn put_limits(e: &mut Encoder<'_>, limits: &RiskLimits) {
    let RiskLimits {
        balance_check,
        mis_leverage,
        positions_max,
        risk_per_trade_max,
        daily_loss_max,
        stop_loss_required,
        risk_reward_min,
        price_sanity_max,
        order_quantity_max,
        orders_per_position_max,
        drawdown_max,
        position_loss_max,
        order_value_max,
        open_order_value_max,
        orders_per_second_max,
        daily_orders_max,
        modifications_max,
        symbol_position_max,
        gross_exposure_max,
        net_exposure_max,
        duplicate_burst_max,
        repeated_executions_max,
        reference_age_ms_max,
        order_to_trade_alert,
        self_trade,
        flatten_on_kill,
    } = limits;
    let bits = [
        (BALANCE_CHECK, *balance_check),
        (STOP_LOSS_REQUIRED, *stop_loss_required),
        (FLATTEN_ON_KILL, *flatten_on_kill),
        (POSITIONS, positions_max.is_some()),
        (RISK_PER_TRADE, risk_per_trade_max.is_some()),
        (DAILY_LOSS, daily_loss_max.is_some()),
        (RISK_REWARD, risk_reward_min.is_some()),
        (PRICE_SANITY, price_sanity_max.is_some()),
        (ORDER_QUANTITY, order_quantity_max.is_some()),
        (ORDERS_PER_POSITION, orders_per_position_max.is_some()),
        (DRAWDOWN, drawdown_max.is_some()),
        (POSITION_LOSS, position_loss_max.is_some()),
        (ORDER_VALUE, order_value_max.is_some()),
        (OPEN_ORDER_VALUE, open_order_value_max.is_some()),
        (ORDERS_PER_SECOND, orders_per_second_max.is_some()),
        (DAILY_ORDERS, daily_orders_max.is_some()),
        (MODIFICATIONS, modifications_max.is_some()),
        (SYMBOL_POSITION, symbol_position_max.is_some()),
        (GROSS_EXPOSURE, gross_exposure_max.is_some()),
        (NET_EXPOSURE, net_exposure_max.is_some()),
        (DUPLICATE_BURST, duplicate_burst_max.is_some()),
        (REPEATED_EXECUTIONS, repeated_executions_max.is_some()),
        (ORDER_TO_TRADE, order_to_trade_alert.is_some()),
        (REFERENCE_AGE, reference_age_ms_max.is_some()),
    ];
    e.u32(
        bits.iter()
            .filter(|(_, set)| *set)
            .fold(0, |all, (bit, _)| all | bit),
    );
    e.u32(*mis_leverage);
    e.u32(positions_max.unwrap_or(0));
    e.ratio(risk_per_trade_max.unwrap_or_default());
    e.ratio(daily_loss_max.unwrap_or_default());
    e.ratio(risk_reward_min.unwrap_or_default());
    e.ratio(price_sanity_max.unwrap_or_default());
    e.u32(order_quantity_max.unwrap_or(0));
    e.u32(orders_per_position_max.unwrap_or(0));
    e.ratio(drawdown_max.unwrap_or_default());
    e.ratio(position_loss_max.unwrap_or_default());
    e.money(order_value_max.unwrap_or_default());
    e.money(open_order_value_max.unwrap_or_default());
    e.u32(orders_per_second_max.unwrap_or(0));
    e.u32(daily_orders_max.unwrap_or(0));
    e.u32(modifications_max.unwrap_or(0));
    e.u32(symbol_position_max.unwrap_or(0));
    e.ratio(gross_exposure_max.unwrap_or_default());
    e.ratio(net_exposure_max.unwrap_or_default());
    e.u32(duplicate_burst_max.unwrap_or(0));
    e.u32(repeated_executions_max.unwrap_or(0));
    e.u32(order_to_trade_alert.unwrap_or(0));
    e.u32(reference_age_ms_max.unwrap_or(0));
    e.u8(self_trade_code(*self_trade));
}

pub(super) fn take_limits(d: &mut Decoder<'_>) -> Result<RiskLimits, RecordError> {
    let bits = d.u32()?;
    if bits & !ALL_BITS != 0 {
        return Err(RecordError::OutOfRange { field: "limits" });
    }
    let set = Present(bits);
    Ok(RiskLimits {
        balance_check: set.has(BALANCE_CHECK),
        stop_loss_required: set.has(STOP_LOSS_REQUIRED),
        flatten_on_kill: set.has(FLATTEN_ON_KILL),
        mis_leverage: d.u32()?,
        positions_max: set.value(POSITIONS, d.u32()?, "positions_max")?,
        risk_per_trade_max: set.value(RISK_PER_TRADE, d.ratio()?, "risk_per_trade_max")?,
        daily_loss_max: set.value(DAILY_LOSS, d.ratio()?, "daily_loss_max")?,
        risk_reward_min: set.value(RISK_REWARD, d.ratio()?, "risk_reward_min")?,
        price_sanity_max: set.value(PRICE_SANITY, d.ratio()?, "price_sanity_max")?,
        order_quantity_max: set.value(ORDER_QUANTITY, d.u32()?, "order_quantity_max")?,
        orders_per_position_max: set.value(ORDERS_PER_POSITION, d.u32()?, "orders_per_position_max")?,
        drawdown_max: set.value(DRAWDOWN, d.ratio()?, "drawdown_max")?,
        position_loss_max: set.value(POSITION_LOSS, d.ratio()?, "position_loss_max")?,
        order_value_max: set.value(ORDER_VALUE, d.money()?, "order_value_max")?,
        open_order_value_max: set.value(OPEN_ORDER_VALUE, d.money()?, "open_order_value_max")?,
        orders_per_second_max: set.value(ORDERS_PER_SECOND, d.u32()?, "orders_per_second_max")?,
        daily_orders_max: set.value(DAILY_ORDERS, d.u32()?, "daily_orders_max")?,
        modifications_max: set.value(MODIFICATIONS, d.u32()?, "modifications_max")?,
        symbol_position_max: set.value(SYMBOL_POSITION, d.u32()?, "symbol_position_max")?,
        gross_exposure_max: set.value(GROSS_EXPOSURE, d.ratio()?, "gross_exposure_max")?,
        net_exposure_max: set.value(NET_EXPOSURE, d.ratio()?, "net_exposure_max")?,
        duplicate_burst_max: set.value(DUPLICATE_BURST, d.u32()?, "duplicate_burst_max")?,
        repeated_executions_max: set.value(REPEATED_EXECUTIONS, d.u32()?, "repeated_executions_max")?,
        order_to_trade_alert: set.value(ORDER_TO_TRADE, d.u32()?, "order_to_trade_alert")?,
        reference_age_ms_max: set.value(REFERENCE_AGE, d.u32()?, "reference_age_ms_max")?,
        self_trade: self_trade(d.u8()?)?,
    })
}

/// Which limits are present.
struct Present(u32);

impl Present {
    fn has(&self, bit: u32) -> bool {
        self.0 & bit != 0
    }

    fn value<T: PartialEq + Default>(
        &self,
        bit: u32,
        value: T,
        field: &'static str,
    ) -> Result<Option<T>, RecordError> {
        match (self.has(bit), value) {
            (true, value) => Ok(Some(value)),
            (false, value) if value == T::default() => Ok(None),
            (false, _) => Err(RecordError::NotCanonical { field }),
        }
    }
}
