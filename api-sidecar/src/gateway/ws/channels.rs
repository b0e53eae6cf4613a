//! Market data channels: `l1:SYMBOL`, `depth:SYMBOL` (5 levels), `depth:SYMBOL:20` and `trades:SYMBOL`.

use core::fmt;

use engine::{InstrumentId, Symbol, Text};

use super::super::directory::Directory;
use crate::limits::WS_CHANNELS_MAX;

/// What of an instrument a channel tells.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Feed {
    /// Best bid and ask.
    TopOfBook,
    Depth5,
    Depth20,
    Trades,
}

impl Feed {
    /// The `type` of its messages.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Feed::TopOfBook => "l1",
            Feed::Depth5 | Feed::Depth20 => "depth",
            Feed::Trades => "trade",
        }
    }

    /// Price levels of each side, of a depth feed.
    pub(crate) const fn levels(self) -> Option<usize> {
        match self {
            Feed::Depth5 => Some(5),
            Feed::Depth20 => Some(20),
            Feed::TopOfBook | Feed::Trades => None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Channel {
    pub(crate) feed: Feed,
    pub(crate) instrument: InstrumentId,
}

impl Channel {
    /// `None` for an unknown feed or symbol (of NSE).
    pub(crate) fn parse(text: &str, directory: &Directory) -> Option<Channel> {
        let (feed, rest) = text.split_once(':')?;
        let (symbol, feed) = match (feed, rest.split_once(':')) {
            ("l1", None) => (rest, Feed::TopOfBook),
            ("trades", None) => (rest, Feed::Trades),
            ("depth", None) => (rest, Feed::Depth5),
            ("depth", Some((symbol, "5"))) => (symbol, Feed::Depth5),
            ("depth", Some((symbol, "20"))) => (symbol, Feed::Depth20),
            _ => return None,
        };
        let instrument = directory.instrument(Symbol::parse(symbol)?, Text::cut("NSE"))?;
        Some(Channel { feed, instrument })
    }

    /// As a client names it.
    pub(crate) fn name(self, directory: &Directory) -> impl fmt::Display + use<> {
        ChannelName(self.feed, directory.symbol(self.instrument))
    }
}

struct ChannelName(Feed, Symbol);

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let symbol = self.1.as_str();
        match self.0 {
            Feed::TopOfBook => write!(f, "l1:{symbol}"),
            Feed::Depth5 => write!(f, "depth:{symbol}"),
            Feed::Depth20 => write!(f, "depth:{symbol}:20"),
            Feed::Trades => write!(f, "trades:{symbol}"),
        }
    }
}

/// What one session listens to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subscriptions {
    held: Vec<Subscription>,
    /// How many of them wait for room.
    waiting: usize,
}

#[derive(Clone, Copy, Debug)]
struct Subscription {
    channel: Channel,
    /// News that the client was too slow to take: the state as it then is follows when there is room.
    waits: bool,
    /// Of a trades channel: how many trades that is.
    skipped: u64,
}

impl Subscriptions {
    /// `false` where there are too many already.
    pub(crate) fn add(&mut self, channel: Channel) -> bool {
        if self.find(channel).is_some() {
            return true;
        }
        if self.held.len() >= WS_CHANNELS_MAX {
            return false;
        }
        self.held.push(Subscription {
            channel,
            waits: false,
            skipped: 0,
        });
        true
    }

    pub(crate) fn remove(&mut self, channel: Channel) {
        if let Some(at) = self.find(channel) {
            let gone = self.held.swap_remove(at);
            self.waiting -= usize::from(gone.waits);
        }
    }

    pub(crate) fn channels(&self) -> impl Iterator<Item = Channel> {
        self.held.iter().map(|held| held.channel)
    }

    fn find(&self, channel: Channel) -> Option<usize> {
        self.held.iter().position(|held| held.channel == channel)
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting > 0
    }

    /// Notes news that cannot be sent now.
    pub(crate) fn postpone(&mut self, channel: Channel) {
        let Some(at) = self.find(channel) else { return };
        if let Some(held) = self.held.get_mut(at) {
            self.waiting += usize::from(!held.waits);
            held.waits = true;
            held.skipped += 1;
        }
    }

    /// A channel with postponed news, and how many there were; it counts as told now.
    pub(crate) fn take_waiting(&mut self) -> Option<(Channel, u64)> {
        if self.waiting == 0 {
            return None;
        }
        let held = self.held.iter_mut().find(|held| held.waits)?;
        self.waiting -= 1;
        held.waits = false;
        Some((held.channel, std::mem::take(&mut held.skipped)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> Directory {
        let mut directory = Directory::default();
        directory.add_instrument(InstrumentId::new(3), Text::cut("M&M"), Text::cut("NSE"));
        directory
    }

    #[test]
    fn channels_are_named_as_they_are_understood() {
        let directory = directory();
        for (text, name) in [
            ("l1:M&M", Some("l1:M&M")),
            ("trades:M&M", Some("trades:M&M")),
            ("depth:M&M", Some("depth:M&M")),
            ("depth:M&M:5", Some("depth:M&M")),
            ("depth:M&M:20", Some("depth:M&M:20")),
            ("depth:M&M:10", None),
            ("l1:M&M:5", None),
            ("l1:NOSUCH", None),
            ("l2:M&M", None),
            ("l1", None),
            ("", None),
        ] {
            let found = Channel::parse(text, &directory).map(|channel| channel.name(&directory).to_string());
            assert_eq!(found.as_deref(), name, "{text}");
        }
    }

    #[test]
    fn postponed_news_are_told_once() {
        let channel = |feed| Channel {
            feed,
            instrument: InstrumentId::new(3),
        };
        let mut held = Subscriptions::default();
        assert!(held.add(channel(Feed::Trades)) && held.add(channel(Feed::Trades)));
        assert!(held.add(channel(Feed::TopOfBook)));
        assert_eq!(held.channels().count(), 2);
        held.postpone(channel(Feed::Depth5));
        assert!(!held.is_waiting());
        held.postpone(channel(Feed::Trades));
        held.postpone(channel(Feed::Trades));
        held.postpone(channel(Feed::TopOfBook));
        assert_eq!(held.take_waiting(), Some((channel(Feed::Trades), 2)));
        held.remove(channel(Feed::TopOfBook));
        assert_eq!(held.take_waiting(), None);
        assert!(!held.is_waiting());
    }
}
