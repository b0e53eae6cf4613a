//! What the tables must hold: by this it is noticed that somebody emptied them.
//!
//! Rows never leave the tables, so the first and the newest row of each table must always be there. The newest alone
//! would not do: whatever is written after the tables were emptied would be there again.

use serde::{Deserialize, Serialize};

use super::table::{TABLES, TABLES_LEN, Table, TableId};

/// The first and the newest keys of every table whose key is made of numbers. The other tables (`strategies`,
/// `positions`) are referred to by orders and trades, or (`daily_stats`) have a row a day.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Held {
    ends: [Option<Ends>; TABLES_LEN],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Ends {
    first: [u64; 2],
    newest: [u64; 2],
}

impl Held {
    /// A row of a table whose key is made of numbers, one or two.
    pub(crate) fn add(&mut self, table: TableId, key: [u64; 2]) {
        let ends = self.ends[table as usize].get_or_insert(Ends {
            first: key,
            newest: key,
        });
        ends.first = ends.first.min(key);
        ends.newest = ends.newest.max(key);
    }

    /// The tables with the keys of rows that must be there. A table with keys of one number has the second number 0.
    fn keys(&self) -> impl Iterator<Item = (&'static Table, [u64; 2])> {
        let of = |(table, ends): (&'static Table, &Option<Ends>)| {
            let ends = *ends;
            let keys = ends.into_iter().flat_map(|ends| [ends.first, ends.newest]);
            keys.map(move |key| (table, key))
        };
        TABLES.iter().zip(&self.ends).flat_map(of)
    }

    /// Whether there is anything to ask for.
    pub(crate) fn is_empty(&self) -> bool {
        self.ends.iter().all(Option::is_none)
    }

    /// The numbers that [`Held::sql`] asks for.
    pub(crate) fn parameters(&self) -> Vec<i64> {
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.keys()
            .flat_map(|(table, key)| key.into_iter().take(table.key.len()).map(signed))
            .collect()
    }

    /// A query of one truth: whether all these rows are there, as rows or as dead letters. `name_of` gives a table's
    /// name in the database, `parameter` its way to write the parameter of a number (from 1) that is a 64-bit integer.
    pub(crate) fn sql(
        &self,
        name_of: impl Fn(&Table) -> String,
        dead_letters: &str,
        parameter: impl Fn(usize) -> String,
    ) -> String {
        let mut number = 0;
        let mut there = Vec::new();
        for (table, _) in self.keys() {
            let mut equal = Vec::new();
            let mut key = Vec::new();
            for column in table.key {
                number += 1;
                let parameter = parameter(number);
                equal.push(format!("{column} = {parameter}"));
                key.push(format!("'{column}=' || {parameter}"));
            }
            there.push(format!(
                "(EXISTS (SELECT 1 FROM {} WHERE {}) OR EXISTS
                    (SELECT 1 FROM {dead_letters} WHERE table_name = '{}' AND row_key = {}))",
                name_of(table),
                equal.join(" AND "),
                table.name,
                key.join(" || ' ' || "),
            ));
        }
        format!("SELECT {}", there.join(" AND "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_what_was_added_are_asked_for() {
        let mut held = Held::default();
        assert!(held.is_empty());
        for id in [7, 3, 9] {
            held.add(TableId::Orders, [id, 0]);
        }
        held.add(TableId::Alerts, [5, 2]);
        held.add(TableId::Alerts, [5, 1]);
        assert!(!held.is_empty());
        assert_eq!(held.parameters(), [3, 9, 5, 1, 5, 2]);
        let sql = held.sql(
            |table| table.name.to_owned(),
            "letters",
            |number| format!("?{number}"),
        );
        assert!(
            sql.starts_with("SELECT (EXISTS (SELECT 1 FROM orders WHERE id = ?1)"),
            "{sql}"
        );
        assert!(sql.contains("row_key = 'id=' || ?2"), "{sql}");
        assert!(
            sql.ends_with("row_key = 'seq=' || ?5 || ' ' || 'ordinal=' || ?6))"),
            "{sql}"
        );
    }
}
