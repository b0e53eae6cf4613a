//! Rows as every database must show them.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use engine::{Command, Sequenced};
use persistence_writer::projector::{Column, Fold, Kind, TABLES, Table};

/// A value that can be compared whatever database it comes from.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Cell {
    Null,
    Text(String),
    /// JSON and lists: the order of keys and the spaces do not count.
    Json(serde_json::Value),
}

impl Cell {
    pub(crate) fn new(kind: Kind, text: Option<String>) -> Cell {
        match (kind, text) {
            (_, None) => Cell::Null,
            (Kind::Json | Kind::Ids | Kind::Texts, Some(text)) => {
                Cell::Json(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
            }
            (_, Some(text)) => Cell::Text(text),
        }
    }
}

/// The rows of every table, each as its cells in the order of the columns.
pub(crate) type Dump = BTreeMap<&'static str, Vec<Vec<Cell>>>;

/// What the tables must hold after the commands.
pub(crate) fn expected<C: Borrow<Sequenced<Command>>>(commands: impl IntoIterator<Item = C>) -> Dump {
    let mut fold = Fold::new(0);
    for command in commands {
        fold.apply(command.borrow());
    }
    let batch = fold.take_batch();
    let mut dump: Dump = TABLES.iter().map(|table| (table.name, Vec::new())).collect();
    for (table, rows) in batch.tables() {
        let cells = |(column, value): (&Column, _)| Cell::new(column.kind, column.kind.text(value));
        let rows = rows
            .iter()
            .map(|row| table.columns.iter().zip(row.iter()).map(cells).collect());
        dump.insert(table.name, sorted(table, rows.collect()));
    }
    dump
}

/// In the order of their keys, as text.
pub(crate) fn sorted(table: &Table, mut rows: Vec<Vec<Cell>>) -> Vec<Vec<Cell>> {
    let places: Vec<usize> = table
        .key
        .iter()
        .map(|key| {
            table
                .columns
                .iter()
                .position(|column| column.name == *key)
                .unwrap()
        })
        .collect();
    rows.sort_by_key(|row| {
        places
            .iter()
            .map(|&place| format!("{:?}", row[place]))
            .collect::<Vec<_>>()
    });
    rows
}

/// Says which row differs, not only that one does.
pub(crate) fn assert_same(found: &Dump, expected: &Dump, context: &str) {
    for table in &TABLES {
        let (found, expected) = (&found[table.name], &expected[table.name]);
        for (found, expected) in found.iter().zip(expected) {
            for (column, (found, expected)) in table.columns.iter().zip(found.iter().zip(expected)) {
                assert_eq!(
                    found, expected,
                    "{context}: {}.{} of {expected:?}",
                    table.name, column.name
                );
            }
        }
        assert_eq!(found.len(), expected.len(), "{context}: rows of {}", table.name);
    }
}
