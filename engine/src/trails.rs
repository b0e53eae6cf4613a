//! Trailing stops without a scan: those that share their extreme price are a group.
//!
//! A long's extreme is the highest last price since its stop was set, so no two groups of an instrument have the same
//! extreme and none is below the last price. A rise that passes the lowest extremes makes one group of theirs, small ones
//! into larger ones; those whose extreme lies above the rise need no work. Each group shows the market one trigger, that
//! of its smallest distance. Shorts are the mirror image; percentages have groups of their own, because what is the
//! smallest distance must not depend on the extreme.

use crate::arena::NIL;
use crate::terms::Trailing;
use crate::triggers::{Direction, Key, Owner, Trees, Triggers};
use crate::units::Price;

/// Trailing stops whose extreme is the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    extreme: Price,
    /// Tree of its members, the nearest to firing first.
    members: u32,
    count: u32,
    /// The trigger that stands for it among the instrument's; [`NIL`] while it is being merged.
    leader: u32,
    /// Its node in the tree of groups.
    node: u32,
}

/// What distances are measured in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Measure {
    Paise,
    Share,
}

/// An instrument's trees of groups, by the direction of the stop and the measure of its distance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trails {
    rising: [u32; 2],
    falling: [u32; 2],
}

impl Trails {
    pub(crate) const EMPTY: Trails = Trails {
        rising: [NIL; 2],
        falling: [NIL; 2],
    };

    const fn root(&self, direction: Direction, measure: Measure) -> u32 {
        let [paise, share] = match direction {
            Direction::Rise => self.rising,
            Direction::Fall => self.falling,
        };
        match measure {
            Measure::Paise => paise,
            Measure::Share => share,
        }
    }

    const fn set_root(&mut self, direction: Direction, measure: Measure, root: u32) {
        let [paise, share] = match direction {
            Direction::Rise => &mut self.rising,
            Direction::Fall => &mut self.falling,
        };
        match measure {
            Measure::Paise => *paise = root,
            Measure::Share => *share = root,
        }
    }
}

const ALL: [(Direction, Measure); 4] = [
    (Direction::Fall, Measure::Paise),
    (Direction::Fall, Measure::Share),
    (Direction::Rise, Measure::Paise),
    (Direction::Rise, Measure::Share),
];

impl Trailing {
    const fn measure(self) -> Measure {
        match self {
            Trailing::Distance(_) => Measure::Paise,
            Trailing::Percent(_) => Measure::Share,
        }
    }

    /// Its place among stops at one price: after those that do not trail, which have 0, by distance; shares after those.
    fn rank(self) -> u64 {
        match self {
            Trailing::Distance(distance) => u64::from(distance.paise()),
            Trailing::Percent(share) => (1 << 32) | u64::from(share.ppm()),
        }
    }

    /// The stop price at an extreme: that far below it for a stop that a fall reaches, that far above for the other. A
    /// share is rounded down to the paisa, toward triggering earlier, but never to nothing.
    pub(crate) fn stop_at(self, extreme: Price, direction: Direction) -> Price {
        let distance = match self {
            Trailing::Distance(distance) => i64::from(distance.paise()),
            Trailing::Percent(share) => share.of_floor(extreme.money()).paise().max(1),
        };
        let extreme = i64::from(extreme.paise());
        Price::from_paise_clamped(match direction {
            Direction::Fall => extreme.saturating_sub(distance),
            Direction::Rise => extreme.saturating_add(distance),
        })
    }
}

/// A trailing stop as its group sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trail {
    pub(crate) position: u32,
    pub(crate) direction: Direction,
    pub(crate) trailing: Trailing,
    pub(crate) sequence: u64,
}

impl Triggers {
    /// Adds a trailing stop with an extreme; returns its node.
    pub(crate) fn add_trail(&mut self, to: &mut Trees, trail: Trail, extreme: Price) -> u32 {
        let (direction, measure) = (trail.direction, trail.trailing.measure());
        let along = direction.opposite().along(extreme.paise());
        let group = match self.group_at(to.trails.root(direction, measure), along) {
            Some(group) => group,
            None => self.new_group(to, direction, measure, extreme),
        };
        let key = Key::new(0, trail.trailing.rank(), trail.sequence);
        let node = self.new_node(Owner::Trailing(trail.position), direction, key);
        self.nodes.at_mut(node).group = group;
        self.nodes.at_mut(node).trailing = Some(trail.trailing);
        self.join(group, node);
        self.lead(to, group, direction);
        node
    }

    /// The extreme of a trailing stop that is in a group.
    pub(crate) fn extreme_of(&self, member: u32) -> Price {
        self.groups.at(self.nodes.at(member).group).extreme
    }

    /// Takes a trailing stop out of its group. `fired`: its trigger went to the queue as the group's leader.
    pub(crate) fn remove_trail(&mut self, from: &mut Trees, member: u32, fired: bool) {
        let (group, direction) = (self.nodes.at(member).group, self.nodes.at(member).direction);
        if fired {
            self.groups.at_mut(group).leader = NIL;
        }
        self.leave(group, member);
        let measure = self
            .nodes
            .at(member)
            .trailing
            .map_or(Measure::Paise, Trailing::measure);
        self.nodes.remove(member);
        if self.groups.at(group).count == 0 {
            self.drop_group(from, direction, measure, group);
        } else {
            self.lead(from, group, direction);
        }
    }

    /// One step of moving extremes along to a print; `false` where no extreme is behind it.
    pub(crate) fn ratchet(&mut self, trees: &mut Trees, print: Price) -> bool {
        ALL.into_iter()
            .any(|(direction, measure)| self.ratchet_one(trees, direction, measure, print))
    }

    fn ratchet_one(
        &mut self,
        trees: &mut Trees,
        direction: Direction,
        measure: Measure,
        print: Price,
    ) -> bool {
        let root = trees.trails.root(direction, measure);
        let reached = direction.opposite().along(print.paise());
        let Some(node) = self.first(root) else {
            return false;
        };
        let key = self.nodes.at(node).key;
        if key.along >= reached {
            return false;
        }
        let group = self.nodes.at(node).group;
        let next = self
            .after(root, key)
            .filter(|&next| self.nodes.at(next).key.along <= reached);
        match next {
            Some(next) => {
                let other = self.nodes.at(next).group;
                self.merge_some(trees, (direction, measure), group, other);
            }
            None => {
                let root = self.erase(root, key);
                self.nodes.at_mut(node).key = Key::new(reached, 0, key.sequence());
                let (left, right) = (NIL, NIL);
                let moved = self.nodes.at_mut(node);
                (moved.left, moved.right) = (left, right);
                let root = self.insert(root, node);
                trees.trails.set_root(direction, measure, root);
                self.groups.at_mut(group).extreme = print;
                self.lead(trees, group, direction);
            }
        }
        true
    }

    /// Moves a few members of the smaller group to the larger one; the last takes its group with it.
    fn merge_some(&mut self, trees: &mut Trees, (direction, measure): (Direction, Measure), a: u32, b: u32) {
        let (small, large) = if self.groups.at(a).count <= self.groups.at(b).count {
            (a, b)
        } else {
            (b, a)
        };
        for group in [small, large] {
            self.unlead(trees, group, direction);
        }
        for _ in 0..MERGED_PER_STEP {
            let Some(member) = self.first(self.groups.at(small).members) else {
                break;
            };
            self.leave(small, member);
            let moved = self.nodes.at_mut(member);
            (moved.left, moved.right) = (NIL, NIL);
            moved.group = large;
            self.join(large, member);
        }
        if self.groups.at(small).count == 0 {
            self.drop_group(trees, direction, measure, small);
            self.lead(trees, large, direction);
        }
    }

    /// The price that the next rise (or fall) must pass for an extreme to move.
    pub(crate) fn nearest_extreme(&self, trees: &Trees, direction: Direction) -> Option<Price> {
        let of = |measure| self.first(trees.trails.root(direction, measure));
        let nodes = [of(Measure::Paise), of(Measure::Share)];
        let along = nodes
            .into_iter()
            .flatten()
            .map(|node| self.nodes.at(node).key.along)
            .min()?;
        Price::from_paise(direction.opposite().along(along))
    }

    fn group_at(&self, root: u32, along: u32) -> Option<u32> {
        let node = self.after(root, Key::new(along.checked_sub(1)?, u64::MAX, u64::MAX))?;
        let found = self.nodes.at(node);
        (found.key.along == along).then_some(found.group)
    }

    fn new_group(
        &mut self,
        trees: &mut Trees,
        direction: Direction,
        measure: Measure,
        extreme: Price,
    ) -> u32 {
        let group = self.groups.insert(Group {
            extreme,
            members: NIL,
            count: 0,
            leader: NIL,
            node: NIL,
        });
        let along = direction.opposite().along(extreme.paise());
        let node = self.new_node(Owner::Group, direction, Key::new(along, 0, u64::from(group)));
        self.nodes.at_mut(node).group = group;
        self.groups.at_mut(group).node = node;
        let root = self.insert(trees.trails.root(direction, measure), node);
        trees.trails.set_root(direction, measure, root);
        group
    }

    fn drop_group(&mut self, trees: &mut Trees, direction: Direction, measure: Measure, group: u32) {
        self.unlead(trees, group, direction);
        let node = self.groups.at(group).node;
        let key = self.nodes.at(node).key;
        let root = self.erase(trees.trails.root(direction, measure), key);
        trees.trails.set_root(direction, measure, root);
        self.nodes.remove(node);
        self.groups.remove(group);
    }

    fn join(&mut self, group: u32, member: u32) {
        let members = self.insert(self.groups.at(group).members, member);
        let of = self.groups.at_mut(group);
        of.members = members;
        of.count = of.count.saturating_add(1);
    }

    fn leave(&mut self, group: u32, member: u32) {
        let key = self.nodes.at(member).key;
        let members = self.erase(self.groups.at(group).members, key);
        let of = self.groups.at_mut(group);
        of.members = members;
        of.count = of.count.saturating_sub(1);
    }

    /// Shows the market the trigger of the group's first member.
    fn lead(&mut self, trees: &mut Trees, group: u32, direction: Direction) {
        self.unlead(trees, group, direction);
        let of = *self.groups.at(group);
        let Some(first) = self.first(of.members) else {
            return;
        };
        let member = *self.nodes.at(first);
        let Some(trailing) = member.trailing else { return };
        let stop = trailing.stop_at(of.extreme, direction);
        let key = Key::new(
            direction.along(stop.paise()),
            trailing.rank(),
            member.key.sequence(),
        );
        let leader = self.new_node(member.owner, direction, key);
        let root = self.insert(trees.root(direction), leader);
        trees.set_root(direction, root);
        self.groups.at_mut(group).leader = leader;
    }

    fn unlead(&mut self, trees: &mut Trees, group: u32, direction: Direction) {
        let leader = core::mem::replace(&mut self.groups.at_mut(group).leader, NIL);
        if leader != NIL {
            let key = self.nodes.at(leader).key;
            let root = self.erase(trees.root(direction), key);
            trees.set_root(direction, root);
            self.nodes.remove(leader);
        }
    }
}

/// Members that one step of a merge moves.
const MERGED_PER_STEP: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::slot_of;
    use std::vec::Vec;

    fn price(paise: u32) -> Price {
        Price::from_paise(paise).unwrap()
    }

    /// Trailing stops of longs: those of a row share their extreme, their distances fall from that of the first.
    struct Bench {
        triggers: Triggers,
        trees: Trees,
        nodes: Vec<u32>,
    }

    impl Bench {
        fn new(rows: &[(u32, u32)]) -> Bench {
            let mut bench = Bench {
                triggers: Triggers::new(0, 1_000),
                trees: Trees::EMPTY,
                nodes: Vec::new(),
            };
            for &(extreme, count) in rows {
                for distance in (1..=count).rev() {
                    let trail = Trail {
                        position: slot_of(bench.nodes.len()),
                        direction: Direction::Fall,
                        trailing: Trailing::Distance(price(distance)),
                        sequence: bench.triggers.take_sequence(),
                    };
                    let node = bench.triggers.add_trail(&mut bench.trees, trail, price(extreme));
                    bench.nodes.push(node);
                }
            }
            bench
        }

        /// Follows a rise; how many steps that took.
        fn follow(&mut self, paise: u32) -> usize {
            let steps = 0..100;
            steps
                .take_while(|_| self.triggers.ratchet(&mut self.trees, price(paise)))
                .count()
        }

        /// Groups, the extreme that a rise must pass, and the stop that a fall reaches first.
        fn shows(&self) -> (u32, Option<u32>, Option<u32>) {
            assert_eq!(self.triggers.audit(&self.trees), Ok(()));
            let extreme = self.triggers.nearest_extreme(&self.trees, Direction::Fall);
            let stop = self.triggers.nearest(&self.trees, Direction::Fall);
            (
                self.triggers.groups.len(),
                extreme.map(Price::paise),
                stop.map(Price::paise),
            )
        }
    }

    #[test]
    fn stops_that_share_their_extreme_are_one_group() {
        let mut bench = Bench::new(&[(100, 10), (101, 10), (102, 10)]);
        assert_eq!(bench.shows(), (3, Some(100), Some(101)));
        assert_eq!(bench.follow(100), 0, "it is the extreme of the first");
        assert_eq!(bench.follow(101), 1, "the first join the second");
        assert_eq!(bench.shows(), (2, Some(101), Some(101)));
        assert_eq!(bench.follow(103), 2, "those join the third, and all of them move");
        assert_eq!(bench.shows(), (1, Some(103), Some(102)));
        let extremes = bench.nodes.iter().map(|&node| bench.triggers.extreme_of(node));
        assert!(extremes.into_iter().all(|extreme| extreme == price(103)));
    }

    #[test]
    fn the_smaller_group_moves() {
        // Where the larger one is behind, it follows in a step of its own.
        for (rows, steps) in [([(100, 1), (101, 200)], 1), ([(100, 200), (101, 1)], 2)] {
            let mut bench = Bench::new(&rows);
            assert_eq!(bench.follow(101), steps, "{rows:?}");
            assert_eq!(bench.shows(), (1, Some(101), Some(100)), "{rows:?}");
        }
        let mut bench = Bench::new(&[(100, 129), (101, 130)]);
        assert_eq!(bench.follow(101), 3, "64 a step");
        assert_eq!(bench.shows(), (1, Some(101), Some(100)));
    }

    #[test]
    fn a_group_goes_with_its_last_member() {
        let mut bench = Bench::new(&[(100, 3), (105, 2)]);
        let nodes = core::mem::take(&mut bench.nodes);
        let mut seen = Vec::new();
        for node in nodes {
            bench.triggers.remove_trail(&mut bench.trees, node, false);
            seen.push(bench.shows());
        }
        let expected = [
            (2, Some(100), Some(104)),
            (2, Some(100), Some(104)),
            (1, Some(105), Some(104)),
            (1, Some(105), Some(104)),
            (0, None, None),
        ];
        assert_eq!(seen, expected);
        assert_eq!(bench.triggers.len(), 0, "no node is left");
    }
}
