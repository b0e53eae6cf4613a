//! How many relayed requests go on at once: in all, of each kind, and for one address. What is full says so at once,
//! and remembers that somebody was refused: then those whose client takes nothing have to make room.

use std::collections::HashMap;
use std::net::IpAddr;

use super::super::answer::Answer;
use super::RelayKind;
use crate::limits::{
    DOWNLOADS_MAX, RELAYS_MAX, RELAYS_OF_APPLICATION_MAX, RELAYS_PER_ADDRESS_MAX, UPLOADS_MAX,
};

/// The relayed requests that go on.
#[derive(Debug, Default)]
pub(crate) struct RelaySlots {
    total: usize,
    downloads: usize,
    uploads: usize,
    /// Those that the application behind us answers, uploads included.
    of_application: usize,
    by_address: HashMap<IpAddr, usize>,
    refused: bool,
}

impl RelaySlots {
    /// Counts one in. `Err` is the answer where there are too many.
    pub(crate) fn begin(&mut self, kind: RelayKind, address: IpAddr) -> Result<(), Answer> {
        let of_address = self.by_address.get(&address).copied().unwrap_or(0);
        let full = if self.total >= RELAYS_MAX || of_address >= RELAYS_PER_ADDRESS_MAX {
            Some("Too many reads at once")
        } else {
            match kind {
                RelayKind::Download if self.downloads >= DOWNLOADS_MAX => Some("Too many downloads at once"),
                RelayKind::Upload if self.uploads >= UPLOADS_MAX => Some("Too many uploads at once"),
                RelayKind::Upload | RelayKind::Page if self.of_application >= RELAYS_OF_APPLICATION_MAX => {
                    Some("Too many requests for the application behind this page at once")
                }
                _ => None,
            }
        };
        if let Some(full) = full {
            self.refused = true;
            return Err(Answer::busy(full));
        }
        self.total += 1;
        *self.by_address.entry(address).or_insert(0) += 1;
        self.change(kind, |count| *count += 1);
        Ok(())
    }

    /// One is over.
    pub(crate) fn end(&mut self, kind: RelayKind, address: IpAddr) {
        self.total -= 1;
        if let Some(count) = self.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
        self.change(kind, |count| *count -= 1);
    }

    fn change(&mut self, kind: RelayKind, change: impl Fn(&mut usize)) {
        match kind {
            RelayKind::Read => {}
            RelayKind::Download => change(&mut self.downloads),
            RelayKind::Page => change(&mut self.of_application),
            RelayKind::Upload => {
                change(&mut self.of_application);
                change(&mut self.uploads);
            }
        }
    }

    /// Whether somebody was refused since this was last asked.
    pub(crate) fn take_refused(&mut self) -> bool {
        std::mem::take(&mut self.refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn address(host: usize) -> IpAddr {
        IpAddr::from([127, 0, 1, u8::try_from(host).unwrap()])
    }

    /// How many of a kind one may begin, each for an address of its own.
    fn room(slots: &mut RelaySlots, kind: RelayKind) -> usize {
        (0..RELAYS_MAX + 1)
            .take_while(|&host| slots.begin(kind, address(host)).is_ok())
            .count()
    }

    #[test]
    fn one_address_or_kind_leaves_room_for_others() {
        let mut slots = RelaySlots::default();
        for _ in 0..RELAYS_PER_ADDRESS_MAX {
            assert_eq!(slots.begin(RelayKind::Read, HERE), Ok(()));
        }
        assert!(!slots.take_refused());
        assert!(slots.begin(RelayKind::Read, HERE).is_err());
        assert!(slots.take_refused() && !slots.take_refused());
        assert_eq!(
            room(&mut slots, RelayKind::Read),
            RELAYS_MAX - RELAYS_PER_ADDRESS_MAX
        );
        for (kind, most) in [
            (RelayKind::Read, RELAYS_MAX),
            (RelayKind::Download, DOWNLOADS_MAX),
            (RelayKind::Page, RELAYS_OF_APPLICATION_MAX),
            (RelayKind::Upload, UPLOADS_MAX),
        ] {
            let mut slots = RelaySlots::default();
            assert_eq!(room(&mut slots, kind), most, "{kind:?}");
            let reads = room(&mut slots, RelayKind::Read);
            assert_eq!(reads, RELAYS_MAX - most, "{kind:?}");
        }
    }

    #[test]
    fn what_is_over_makes_room() {
        let mut slots = RelaySlots::default();
        for kind in [
            RelayKind::Read,
            RelayKind::Download,
            RelayKind::Page,
            RelayKind::Upload,
        ] {
            for _ in 0..3 * RELAYS_MAX {
                assert_eq!(slots.begin(kind, HERE), Ok(()));
                slots.end(kind, HERE);
            }
        }
        assert!(slots.by_address.is_empty());
        assert_eq!(
            (slots.total, slots.downloads, slots.uploads, slots.of_application),
            (0, 0, 0, 0)
        );
    }
}
