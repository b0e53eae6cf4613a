//! The instrument list: a CSV file, or the built-in list of liquid NSE equities, into engine definitions.
//!
//! Columns: `symbol`, `exchange`, `tick_size` (rupees), `lot_size` and `freeze_quantity` (shares), `price_band`
//! (half-width as a share of the reference price), `reference_price` (rupees, the previous close), `mis_allowed`
//! (`true` or `false`; optional, default true), `banned` and `derivatives` (optional, default false: the session of an
//! instrument with derivatives ends earlier). Ticks, bands and caps of the built-in list are VENUE.md's; its reference
//! prices are where paper trading starts, not quotes of any day.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use engine::{InstrumentDefinition, Price, Quantity, Ratio, Symbol, Text};

use crate::limits::INSTRUMENT_FILE_BYTES_MAX;

const BUILT_IN: &str = include_str!("instruments/nse.csv");

/// Why a list was refused. A line is counted from 1, the header's.
#[derive(Debug, thiserror::Error)]
pub enum InstrumentsError {
    #[error("cannot read the instrument file {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the instrument file {} is larger than {limit} bytes", path.display())]
    TooLarge { path: PathBuf, limit: u64 },
    #[error("{}, line {line}: {reason}", path.display())]
    Row {
        path: PathBuf,
        line: u64,
        reason: String,
    },
    #[error("the instrument file {} lists {listed} instruments but engine.capacity.instruments is {capacity}", path.display())]
    TooMany {
        path: PathBuf,
        listed: usize,
        capacity: u32,
    },
    #[error("the instrument file {} lists no instrument", path.display())]
    Empty { path: PathBuf },
}

/// The list of `file`, or the built-in one, in file order. `capacity` is the engine's.
pub fn load(file: Option<&Path>, capacity: u32) -> Result<Vec<InstrumentDefinition>, InstrumentsError> {
    let Some(path) = file else {
        return parse(BUILT_IN, Path::new("(built-in)"), capacity);
    };
    let failed = |source| InstrumentsError::Read {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(INSTRUMENT_FILE_BYTES_MAX + 1).read_to_string(&mut text))
        .map_err(failed)?;
    if text.len() as u64 > INSTRUMENT_FILE_BYTES_MAX {
        return Err(InstrumentsError::TooLarge {
            path: path.to_owned(),
            limit: INSTRUMENT_FILE_BYTES_MAX,
        });
    }
    parse(&text, path, capacity)
}

/// One row as it is written.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    symbol: String,
    exchange: String,
    tick_size: String,
    lot_size: String,
    freeze_quantity: String,
    price_band: String,
    reference_price: String,
    #[serde(default)]
    mis_allowed: Option<String>,
    #[serde(default)]
    banned: Option<String>,
    #[serde(default)]
    derivatives: Option<String>,
}

fn parse(text: &str, path: &Path, capacity: u32) -> Result<Vec<InstrumentDefinition>, InstrumentsError> {
    let bad_row = |line: u64, reason: String| InstrumentsError::Row {
        path: path.to_owned(),
        line,
        reason,
    };
    let csv_error = |error: csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        let reason = match error.kind() {
            csv::ErrorKind::Deserialize { err, .. } => err.to_string(),
            csv::ErrorKind::UnequalLengths {
                expected_len, len, ..
            } => {
                format!("has {len} fields where the header has {expected_len}")
            }
            _ => error.to_string(),
        };
        bad_row(line, reason)
    };
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .from_reader(text.as_bytes());
    let header = reader.headers().map_err(csv_error)?.clone();
    let mut seen = BTreeSet::new();
    let mut instruments = Vec::new();
    for record in reader.records() {
        let record = record.map_err(csv_error)?;
        let line = record.position().map_or(1, csv::Position::line);
        let row: Row = record.deserialize(Some(&header)).map_err(csv_error)?;
        let instrument = row.definition().map_err(|reason| bad_row(line, reason))?;
        if !seen.insert((row.symbol.clone(), row.exchange.clone())) {
            return Err(bad_row(
                line,
                format!("lists {} of {} twice", row.symbol, row.exchange),
            ));
        }
        instruments.push(instrument);
    }
    if instruments.is_empty() {
        return Err(InstrumentsError::Empty {
            path: path.to_owned(),
        });
    }
    if instruments.len() > capacity as usize {
        return Err(InstrumentsError::TooMany {
            path: path.to_owned(),
            listed: instruments.len(),
            capacity,
        });
    }
    Ok(instruments)
}

impl Row {
    /// The error completes "line N: …".
    fn definition(&self) -> Result<InstrumentDefinition, String> {
        let symbol = Symbol::parse(&self.symbol).ok_or_else(|| {
            invalid(
                "symbol",
                &self.symbol,
                "must be 1 to 20 characters of A-Z, 0-9, &, _ and -",
            )
        })?;
        let uppercase =
            !self.exchange.is_empty() && self.exchange.bytes().all(|byte| byte.is_ascii_uppercase());
        let exchange = Text::new(&self.exchange)
            .filter(|_| uppercase)
            .ok_or_else(|| invalid("exchange", &self.exchange, "must be 1 to 10 capital letters"))?;
        let lot_size = shares("lot_size", &self.lot_size)?;
        let freeze_quantity = shares("freeze_quantity", &self.freeze_quantity)?;
        if freeze_quantity < lot_size {
            return Err(invalid(
                "freeze_quantity",
                &self.freeze_quantity,
                "must be at least the lot size",
            ));
        }
        let tick_size = price("tick_size", &self.tick_size)?;
        let reference_price = price("reference_price", &self.reference_price)?;
        if !reference_price.paise().is_multiple_of(tick_size.paise()) {
            return Err(invalid(
                "reference_price",
                &self.reference_price,
                "must be a multiple of the tick size",
            ));
        }
        let definition = InstrumentDefinition {
            symbol,
            exchange,
            tick_size,
            lot_size,
            freeze_quantity,
            reference_price,
            price_band: self.price_band()?,
            mis_allowed: switch("mis_allowed", self.mis_allowed.as_deref(), true)?,
            banned: switch("banned", self.banned.as_deref(), false)?,
            derivatives: switch("derivatives", self.derivatives.as_deref(), false)?,
        };
        if band_ticks(&definition) > i128::from(engine::limits::LADDER_TICKS_MAX) {
            return Err(invalid(
                "price_band",
                &self.price_band,
                "spans more ticks than a book can hold",
            ));
        }
        Ok(definition)
    }

    fn price_band(&self) -> Result<Ratio, String> {
        self.price_band
            .parse::<Ratio>()
            .ok()
            .filter(|band| *band > Ratio::ZERO && *band < Ratio::ONE)
            .ok_or_else(|| invalid("price_band", &self.price_band, "must be above 0 and below 1"))
    }
}

fn switch(column: &str, text: Option<&str>, default: bool) -> Result<bool, String> {
    match text {
        None | Some("") => Ok(default),
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(other) => Err(invalid(column, other, "must be true or false")),
    }
}

fn invalid(column: &str, value: &str, reason: &str) -> String {
    format!("{column} {reason}, not \"{value}\"")
}

fn price(column: &str, text: &str) -> Result<Price, String> {
    text.parse().map_err(|_| {
        invalid(
            column,
            text,
            "must be an amount in rupees above 0 with at most two decimals",
        )
    })
}

fn shares(column: &str, text: &str) -> Result<Quantity, String> {
    text.parse()
        .ok()
        .and_then(Quantity::new)
        .filter(|quantity| !quantity.is_zero())
        .ok_or_else(|| invalid(column, text, "must be a whole number of shares from 1"))
}

/// Ticks from the low to the high end of the band, rounded up.
fn band_ticks(definition: &InstrumentDefinition) -> i128 {
    let half_width = definition.price_band.of(definition.reference_price.money());
    let tick = i128::from(definition.tick_size.paise()) * i128::from(Ratio::ONE.ppm());
    (2 * half_width + tick - 1) / tick + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str =
        "symbol,exchange,tick_size,lot_size,freeze_quantity,price_band,reference_price,mis_allowed\n";

    fn built_in() -> Vec<InstrumentDefinition> {
        load(None, 1_024).unwrap()
    }

    /// VENUE.md, Ticks.
    fn tick_of(reference: Price) -> &'static str {
        match reference.paise() {
            0..25_000 => "0.01",
            25_000..=100_000 => "0.05",
            100_001..=500_000 => "0.10",
            500_001..=1_000_000 => "0.50",
            1_000_001..=2_000_000 => "1.00",
            _ => "5.00",
        }
    }

    #[test]
    fn the_built_in_list_follows_the_venue() {
        let list = built_in();
        assert_eq!(list.len(), 50);
        for instrument in &list {
            let symbol = instrument.symbol;
            assert_eq!(instrument.exchange.as_str(), "NSE", "{symbol}");
            assert_eq!(
                instrument.tick_size.to_string(),
                tick_of(instrument.reference_price),
                "{symbol}"
            );
            assert_eq!(instrument.lot_size.shares(), 1, "{symbol}");
            assert_eq!(instrument.freeze_quantity.shares(), 100_000, "{symbol}");
        }
    }

    #[test]
    fn the_built_in_list_holds_the_dashboards_samples() {
        let list = built_in();
        let find = |symbol: &str| list.iter().find(|i| i.symbol.as_str() == symbol).unwrap();
        for (symbol, price) in [
            ("RELIANCE", "2450.00"),
            ("TCS", "3500.00"),
            ("INFY", "1500.00"),
            ("SBIN", "800.00"),
            ("HDFCBANK", "1600.00"),
            ("ITC", "450.00"),
            ("AXISBANK", "1000.00"),
        ] {
            assert_eq!(find(symbol).reference_price.to_string(), price, "{symbol}");
        }
        for sample in ["2450.00", "2430.00", "2491.00"] {
            let paise = sample.parse::<Price>().unwrap().paise();
            assert!(
                paise.is_multiple_of(find("RELIANCE").tick_size.paise()),
                "{sample}"
            );
        }
    }

    #[test]
    fn a_users_file_replaces_the_list() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.csv");
        std::fs::write(
            &path,
            format!("{HEADER}# ours\nABC,BSE,0.05,5,500,0.2,100.05,false\n"),
        )
        .unwrap();
        let list = load(Some(&path), 10).unwrap();
        assert_eq!(list.len(), 1);
        let row = list.first().unwrap();
        assert_eq!(
            (row.symbol.as_str(), row.exchange.as_str(), row.mis_allowed),
            ("ABC", "BSE", false)
        );
        assert_eq!((row.tick_size.paise(), row.reference_price.paise()), (5, 10_005));
        assert_eq!(
            (row.lot_size.shares(), row.price_band),
            (5, Ratio::from_ppm(200_000))
        );
    }

    #[test]
    fn every_bad_row_is_named_with_its_line() {
        let good = "ABC,NSE,0.05,1,100,0.1,100.00,true\n";
        let check = |row: &str, part: &str| {
            let error = parse(&format!("{HEADER}{good}{row}\n"), Path::new("own.csv"), 10).unwrap_err();
            let message = error.to_string();
            assert!(message.starts_with("own.csv, line 3: "), "{message}");
            assert!(message.contains(part), "{message:?} lacks {part:?}");
        };
        check("abc,NSE,0.05,1,100,0.1,100,true", "symbol must");
        check("A<B,NSE,0.05,1,100,0.1,100,true", "symbol must");
        check("XYZ,nse,0.05,1,100,0.1,100,true", "exchange must");
        check("XYZ,,0.05,1,100,0.1,100,true", "exchange must");
        check("XYZ,NSE,0,1,100,0.1,100,true", "tick_size must");
        check("XYZ,NSE,0.001,1,100,0.1,100,true", "tick_size must");
        check("XYZ,NSE,0.05,0,100,0.1,100,true", "lot_size must");
        check("XYZ,NSE,0.05,1,4294967295,0.1,100,true", "freeze_quantity must");
        check("XYZ,NSE,0.05,50,10,0.1,100,true", "at least the lot size");
        check("XYZ,NSE,0.05,1,100,0,100,true", "price_band must");
        check("XYZ,NSE,0.05,1,100,1,100,true", "price_band must");
        check("XYZ,NSE,0.01,1,100,0.5,4000000,true", "more ticks");
        check("XYZ,NSE,0.05,1,100,0.1,-5,true", "reference_price must");
        check("XYZ,NSE,0.05,1,100,0.1,100.01,true", "multiple of the tick");
        check("XYZ,NSE,0.05,1,100,0.1,100,maybe", "mis_allowed must");
        check("ABC,NSE,0.05,1,100,0.1,100,true", "twice");
        check("XYZ,NSE,0.05", "3 fields");
    }

    #[test]
    fn a_bad_list_is_refused() {
        let refused = |text: &str, capacity| {
            parse(text, Path::new("own.csv"), capacity)
                .unwrap_err()
                .to_string()
        };
        assert!(refused("", 10).contains("lists no instrument"));
        assert!(refused(HEADER, 10).contains("lists no instrument"));
        assert!(refused("symbol,exchange\nABC,NSE\n", 10).contains("missing field `tick_size`"));
        let unknown = format!("colour,{HEADER}red,ABC,NSE,0.05,1,100,0.1,100,true\n");
        assert!(refused(&unknown, 10).contains("unknown field `colour`"));
        assert!(refused(BUILT_IN, 49).contains("lists 50 instruments"));
        let absent = load(Some(Path::new("/nonexistent.csv")), 10).unwrap_err();
        assert!(matches!(absent, InstrumentsError::Read { .. }));
    }
}
