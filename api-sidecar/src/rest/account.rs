//! `/account` and `/stats/today`.

use engine::{AccountView, Percent};
use read_model::ReadModel;

use super::answer::Answer;
use super::request::{Caller, Query};
use crate::wire::{Object, net_pnl};

/// The account's money; with `?account=*` every account's, as a list.
pub(super) fn account(caller: &Caller, query: &Query, model: &ReadModel) -> Result<Answer, Answer> {
    match caller.scope(query, model)? {
        Some(account) => {
            let view = model
                .engine()
                .account(account)
                .ok_or_else(|| Answer::error(404, "Account not found"))?;
            Ok(Answer::object(|body| account_fields(body, &view)))
        }
        None => Ok(Answer::object(|body| {
            let mut count = 0_usize;
            body.array("accounts", |list| {
                for view in model.engine().accounts().filter(|view| !view.venue) {
                    count += 1;
                    list.object(|row| account_fields(row, &view));
                }
            });
            body.number("count", count);
        })),
    }
}

fn account_fields(body: &mut Object<'_>, view: &AccountView<'_>) {
    body.string("account", view.name.as_str())
        .string("profile", view.profile.as_str())
        .number("balance", view.balance)
        .number("current_value", view.current_value())
        .number("peak", view.peak)
        .number("available", view.available)
        .number("position_margin", view.position_margin)
        .number("order_margin", view.order_margin)
        .number("realized_pnl", net_pnl(view.realised, view.charges))
        .number("unrealized_pnl", view.unrealised)
        .number("total_pnl", view.total_pnl())
        .number("charges", view.charges)
        .number("drawdown", view.drawdown())
        .number("position_count", view.open_positions)
        .number("open_order_count", view.open_orders)
        .string("trading_state", view.state.as_str());
}

/// What the account did today (CONTRACT.md section 2); `realized_pnl` is of the positions closed today, net of charges.
pub(super) fn stats_today(caller: &Caller, query: &Query, model: &ReadModel) -> Result<Answer, Answer> {
    let account = caller.one_account(query, model)?;
    let day = model.history().counters(account);
    let open = model.history().positions().open_count(Some(account));
    Ok(Answer::object(|body| {
        body.number("order_count", day.orders)
            .number("trade_count", day.trades)
            .number("realized_pnl", day.realised_of_closed)
            .number("position_count", open)
            .number("filled_orders", day.filled)
            .number("cancelled_orders", day.cancelled)
            .number("rejected_orders", day.rejected)
            .number("bought_value", day.bought)
            .number("sold_value", day.sold)
            .number("charges", day.charges)
            .number("closed_positions", day.closed)
            .number("winning_positions", day.closed_with_profit)
            .number(
                "order_to_trade_ratio",
                Percent::hundredths(i128::from(day.orders), i128::from(day.trades)),
            );
    }))
}
