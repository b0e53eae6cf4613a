//! Who listens to which market data, and what of it the gateway holds.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use engine::{AccountId, Timestamp, TopOfBook, Trade};

use super::directory::Directory;
use super::figures::Interest;
use super::ws::channels::{Channel, Feed};
use super::ws::cursor::Cursor;
use crate::wire::{Iso8601, Object};

#[derive(Debug, Default)]
pub(crate) struct MarketData {
    /// Connections by channel, and sessions by account.
    listeners: HashMap<Channel, BTreeSet<usize>>,
    accounts: HashMap<AccountId, usize>,
    /// The last depth of each channel that somebody listens to.
    depths: HashMap<Channel, Bytes>,
    interest: Option<Arc<Interest>>,
    generation: u32,
}

impl MarketData {
    pub(crate) fn new(interest: Option<Arc<Interest>>) -> MarketData {
        MarketData {
            interest,
            ..MarketData::default()
        }
    }

    fn next_generation(&mut self) -> u32 {
        self.generation = self.generation.wrapping_add(1).max(1);
        self.generation
    }

    pub(crate) fn join(&mut self, channel: Channel, connection: usize) {
        let listeners = self.listeners.entry(channel).or_default();
        let first = listeners.is_empty();
        listeners.insert(connection);
        if first {
            let generation = self.next_generation();
            self.depths.remove(&channel);
            if let Some(interest) = &self.interest {
                interest.set_channel(channel, generation);
            }
        }
    }

    pub(crate) fn leave(&mut self, channel: Channel, connection: usize) {
        let Some(listeners) = self.listeners.get_mut(&channel) else {
            return;
        };
        listeners.remove(&connection);
        if listeners.is_empty() {
            self.listeners.remove(&channel);
            self.depths.remove(&channel);
            if let Some(interest) = &self.interest {
                interest.set_channel(channel, 0);
            }
        }
    }

    /// A session of this account began.
    pub(crate) fn enter(&mut self, account: AccountId) {
        let sessions = self.accounts.entry(account).or_default();
        *sessions += 1;
        if *sessions == 1 {
            let generation = self.next_generation();
            if let Some(interest) = &self.interest {
                interest.set_account(account, generation);
            }
        }
    }

    /// A session of this account ended.
    pub(crate) fn exit(&mut self, account: AccountId) {
        let Some(sessions) = self.accounts.get_mut(&account) else {
            return;
        };
        *sessions -= 1;
        if *sessions == 0 {
            self.accounts.remove(&account);
            if let Some(interest) = &self.interest {
                interest.set_account(account, 0);
            }
        }
    }

    pub(crate) fn listeners(&self, channel: Channel) -> Option<&BTreeSet<usize>> {
        self.listeners.get(&channel)
    }

    /// Keeps a depth while somebody listens to it.
    pub(crate) fn keep_depth(&mut self, channel: Channel, json: Bytes) {
        if self.listeners.contains_key(&channel) {
            self.depths.insert(channel, json);
        }
    }

    /// Writes a channel's present state as a message over what `out` held. `false` where none is known yet.
    /// `skipped`: trades since the last one that the client was told of, this one not counted.
    pub(crate) fn encode(
        &self,
        out: &mut Vec<u8>,
        channel: Channel,
        cursor: Cursor,
        directory: &Directory,
        skipped: u64,
    ) -> bool {
        out.clear();
        let mut message = Object::begin(out);
        message
            .string("type", channel.feed.as_str())
            .text("cursor", cursor)
            .text("channel", channel.name(directory));
        match channel.feed {
            Feed::TopOfBook => match directory.top_of_book(channel.instrument) {
                Some((top, time)) => message.object("data", |data| top_fields(data, top, *time, directory)),
                None => return false,
            },
            Feed::Trades => match directory.last_trade(channel.instrument) {
                Some((trade, time)) => message.object("data", |data| {
                    trade_fields(data, trade, *time, directory);
                    data.number("skipped", skipped);
                }),
                None => return false,
            },
            Feed::Depth5 | Feed::Depth20 => match self.depths.get(&channel) {
                Some(json) => message.raw("data", json),
                None => return false,
            },
        };
        true
    }
}

fn top_fields(data: &mut Object<'_>, top: &TopOfBook, time: Timestamp, directory: &Directory) {
    data.string("symbol", directory.symbol(top.instrument).as_str())
        .optional_number("bid", top.bid)
        .number("bid_quantity", top.bid_quantity)
        .optional_number("ask", top.ask)
        .number("ask_quantity", top.ask_quantity)
        .text("timestamp", Iso8601(time));
}

fn trade_fields(data: &mut Object<'_>, trade: &Trade, time: Timestamp, directory: &Directory) {
    data.string("symbol", directory.symbol(trade.instrument).as_str())
        .number("trade_id", trade.trade)
        .number("price", trade.price)
        .number("quantity", trade.quantity)
        .string("taker_side", trade.taker_side.as_str())
        .text("timestamp", Iso8601(time));
}
