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

    /// Its place among stops at one price: after those that do not trail, by distance.
    fn rank(self) -> u64 {
        match self {
            Trailing::Distance(distance) => (1 << 32) | u64::from(distance.paise()),
            Trailing::Percent(share) => (2 << 32) | u64::from(share.ppm()),
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

    fn price(paise: u32) -> Price {
        Price::from_paise(paise).unwrap()
    }

    /// Ten trailing stops of longs at each of 1.00, 1.01 and 1.02.
    fn thirty() -> (Triggers, Trees) {
        let (mut triggers, mut trees) = (Triggers::new(0, 30), Trees::EMPTY);
        for position in 0..30 {
            let trail = Trail {
                position,
                direction: Direction::Fall,
                trailing: Trailing::Distance(price(position % 10 + 1)),
                sequence: triggers.take_sequence(),
            };
            triggers.add_trail(&mut trees, trail, price(100 + position / 10));
        }
        (triggers, trees)
    }

    /// Follows a rise; how many steps that took.
    fn follow(triggers: &mut Triggers, trees: &mut Trees, paise: u32) -> usize {
        (0..100)
            .take_while(|_| triggers.ratchet(trees, price(paise)))
            .count()
    }

    #[test]
    fn stops_that_share_their_extreme_are_one_group() {
        let (mut triggers, mut trees) = thirty();
        assert_eq!(triggers.groups.len(), 3);
        assert_eq!(follow(&mut triggers, &mut trees, 100), 0, "it is their extreme");
        assert_eq!(
            triggers.nearest_extreme(&trees, Direction::Fall),
            Some(price(100))
        );
        assert_eq!(
            follow(&mut triggers, &mut trees, 101),
            1,
            "the first join the second"
        );
        assert_eq!(triggers.groups.len(), 2);
        assert_eq!(
            triggers.nearest_extreme(&trees, Direction::Fall),
            Some(price(101))
        );
        assert_eq!(
            follow(&mut triggers, &mut trees, 103),
            2,
            "those join the third, and all of them move"
        );
        assert_eq!(triggers.groups.len(), 1);
        assert_eq!(
            triggers.nearest_extreme(&trees, Direction::Fall),
            Some(price(103))
        );
        assert_eq!(
            triggers.nearest(&trees, Direction::Fall),
            Some(price(102)),
            "a paisa below"
        );
        assert_eq!(triggers.audit(&trees), Ok(()));
    }
}
