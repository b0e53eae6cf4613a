//! Things to look at before a command ends: each at most once, the lowest slot first.

use alloc::vec::Vec;

use crate::arena::index;

/// Slots that wait their turn. Whoever adds one makes sure that it is not there yet.
#[derive(Debug, Clone)]
pub(crate) struct Agenda {
    /// Descending where `sorted`, so that the lowest is taken off the end.
    slots: Vec<u32>,
    sorted: bool,
}

impl Agenda {
    pub(crate) fn new(capacity: u32) -> Agenda {
        Agenda {
            slots: Vec::with_capacity(index(capacity)),
            sorted: true,
        }
    }

    #[inline]
    pub(crate) fn add(&mut self, slot: u32) {
        self.slots.push(slot);
        // A trade adds two: they are put in order at once.
        match self.slots.as_mut_slice() {
            [first, second] if *first < slot => (*first, *second) = (slot, *first),
            [.., before, _] => self.sorted &= *before > slot,
            _ => {}
        }
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Takes the lowest slot.
    #[inline]
    pub(crate) fn take_first(&mut self) -> Option<u32> {
        if !self.sorted {
            self.slots.sort_unstable_by(|a, b| b.cmp(a));
            self.sorted = true;
        }
        self.slots.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_comes_first_whenever_it_was_added() {
        let mut agenda = Agenda::new(4);
        for slot in [5, 9, 2] {
            agenda.add(slot);
        }
        assert_eq!(agenda.take_first(), Some(2));
        agenda.add(1);
        agenda.add(7);
        let rest: [Option<u32>; 5] = core::array::from_fn(|_| agenda.take_first());
        assert_eq!(rest, [Some(1), Some(5), Some(7), Some(9), None]);
    }
}
