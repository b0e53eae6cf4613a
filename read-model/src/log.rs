//! A bounded, append-only record of things that happened, readable newest first for one account or for all.

use std::collections::{BTreeMap, VecDeque};

use engine::AccountId;

/// Entries are numbered from 1 in order of arrival; numbers are never used again, so they serve as paging cursors.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Log<T> {
    entries: VecDeque<(AccountId, T)>,
    of_account: BTreeMap<AccountId, VecDeque<u64>>,
    /// Number of the first entry still kept.
    first: u64,
    capacity: usize,
}

impl<T> Log<T> {
    pub(crate) fn new(capacity: usize) -> Log<T> {
        Log {
            entries: VecDeque::new(),
            of_account: BTreeMap::new(),
            first: 1,
            capacity,
        }
    }

    /// Returns the entry's number, and the entry that was forgotten for it with its own.
    pub(crate) fn push(&mut self, account: AccountId, entry: T) -> (u64, Option<(u64, T)>) {
        let forgotten = if self.entries.len() >= self.capacity {
            self.forget_oldest()
        } else {
            None
        };
        let number = self.next_number();
        self.of_account.entry(account).or_default().push_back(number);
        self.entries.push_back((account, entry));
        (number, forgotten)
    }

    pub(crate) fn clear(&mut self) {
        self.first = self.next_number();
        self.entries.clear();
        self.of_account.clear();
    }

    /// Entries numbered below `before`, newest first, with their numbers. `None` for the account means all.
    pub(crate) fn newest_first(
        &self,
        account: Option<AccountId>,
        before: Option<u64>,
    ) -> Box<dyn Iterator<Item = (u64, &T)> + '_> {
        let before = before.unwrap_or(u64::MAX).min(self.next_number());
        match account {
            None => Box::new(
                (self.first..before)
                    .rev()
                    .filter_map(|number| Some((number, self.entry(number)?))),
            ),
            Some(account) => {
                let numbers = self.of_account.get(&account);
                Box::new(numbers.into_iter().flat_map(move |numbers| {
                    let end = numbers.partition_point(|&number| number < before);
                    numbers
                        .range(..end)
                        .rev()
                        .filter_map(|&number| Some((number, self.entry(number)?)))
                }))
            }
        }
    }

    /// The oldest entry, where the log is full: those before it may have been forgotten for others.
    pub(crate) fn kept_from(&self) -> Option<(u64, &T)> {
        let full = self.entries.len() >= self.capacity;
        let oldest = self.entries.front().filter(|_| full)?;
        Some((self.first, &oldest.1))
    }

    /// The first number whose entry is not `below`: entries must be ordered by what that asks.
    pub(crate) fn partition_point(&self, below: impl Fn(&T) -> bool) -> u64 {
        let index = self.entries.partition_point(|(_, entry)| below(entry));
        self.first
            .saturating_add(u64::try_from(index).unwrap_or(u64::MAX))
    }

    pub(crate) fn entry(&self, number: u64) -> Option<&T> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.entries.get(index).map(|(_, entry)| entry)
    }

    fn next_number(&self) -> u64 {
        self.first
            .saturating_add(u64::try_from(self.entries.len()).unwrap_or(u64::MAX))
    }

    fn forget_oldest(&mut self) -> Option<(u64, T)> {
        let (account, entry) = self.entries.pop_front()?;
        if let Some(numbers) = self.of_account.get_mut(&account) {
            numbers.pop_front();
        }
        let number = self.first;
        self.first = self.first.saturating_add(1);
        Some((number, entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: AccountId = AccountId::new(0);
    const B: AccountId = AccountId::new(1);

    fn pages(log: &Log<char>, account: Option<AccountId>, before: Option<u64>) -> Vec<(u64, char)> {
        log.newest_first(account, before)
            .map(|(number, &entry)| (number, entry))
            .collect()
    }

    #[test]
    fn newest_first_per_account_with_a_stable_cursor() {
        let mut log = Log::new(3);
        for (account, entry) in [(A, 'a'), (B, 'b'), (A, 'c')] {
            log.push(account, entry);
        }
        assert_eq!(pages(&log, None, None), [(3, 'c'), (2, 'b'), (1, 'a')]);
        assert_eq!(pages(&log, Some(A), None), [(3, 'c'), (1, 'a')]);
        assert_eq!(pages(&log, Some(A), Some(3)), [(1, 'a')]);

        log.push(B, 'd');
        assert_eq!(pages(&log, Some(A), None), [(3, 'c')], "the oldest was forgotten");
        assert_eq!(pages(&log, None, Some(4)), [(3, 'c'), (2, 'b')]);

        assert_eq!(log.kept_from(), Some((2, &'b')));
        assert_eq!(log.partition_point(|&entry| entry < 'c'), 3);
        assert_eq!(log.partition_point(|&entry| entry < 'z'), 5);

        log.clear();
        assert_eq!(log.kept_from(), None);
        log.push(A, 'e');
        assert_eq!(
            pages(&log, None, None),
            [(5, 'e')],
            "numbers are never used again"
        );
    }
}
