//! The results that everyone's book has to give over the streams of seed 42.

use super::checksum::{Outcome, Touch};
use super::workload::Name;

/// One row of the table. Trades and their quantity include the prefill's.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    pub workload: Name,
    pub commands: usize,
    pub seed: u64,
    pub stream_checksum: u64,
    pub max_order_id: u32,
    pub trades: u64,
    pub traded_quantity: u64,
    pub trade_checksum: u64,
    pub l1_checksum: u64,
    pub book_checksum: u64,
    /// The final best bid and ask.
    pub touch: (Touch, Touch),
    /// Of the records' bytes.
    pub sha256: &'static str,
}

impl Expected {
    /// What differs, in words; empty where everything agrees.
    pub fn mismatches(&self, outcome: &Outcome) -> Vec<String> {
        [
            ("trades", outcome.trades, self.trades),
            ("traded_qty", outcome.traded_quantity, self.traded_quantity),
            ("trade_checksum", outcome.trade_checksum(), self.trade_checksum),
            ("l1_checksum", outcome.l1_checksum(), self.l1_checksum),
            ("book_checksum", outcome.book_checksum(), self.book_checksum),
        ]
        .into_iter()
        .filter(|(_, found, expected)| found != expected)
        .map(|(name, found, expected)| format!("{name} is {found:016x} and should be {expected:016x}"))
        .collect()
    }
}

/// The row of a stream, where the table has one.
pub fn row(workload: Name, commands: usize, seed: u64) -> Option<&'static Expected> {
    ROWS.iter()
        .find(|row| row.workload == workload && row.commands == commands && row.seed == seed)
}

pub const ROWS: &[Expected] = &[
    Expected {
        workload: Name::A,
        commands: 1_000,
        seed: 42,
        stream_checksum: 0x7db3_5f1b_b8ac_0a94,
        max_order_id: 1_115,
        trades: 133,
        traded_quantity: 1_160,
        trade_checksum: 0x0510_c28f_07a4_5303,
        l1_checksum: 0x0126_457e_96d9_56b4,
        book_checksum: 0x1ce1_33db_3f62_1d9a,
        touch: ((32_768, 159), (32_769, 678)),
        sha256: "e1cf9663b9dd01cea6c7cf9cba0bd58d3042862a564e9675371d11e471d54e2e",
    },
    Expected {
        workload: Name::B,
        commands: 1_000,
        seed: 42,
        stream_checksum: 0x9b65_4bde_cb8c_1267,
        max_order_id: 1_554,
        trades: 199,
        traded_quantity: 5_069,
        trade_checksum: 0xc5d5_e35c_91dc_4722,
        l1_checksum: 0x1ff3_3ec1_9e3e_6ab7,
        book_checksum: 0xc7a7_cbc9_f7ac_d275,
        touch: ((32_774, 155), (32_775, 98)),
        sha256: "6a5537b1ee07286c035e9da0cb93e74b5d7a38273131f0e031cc82c1838a6340",
    },
    Expected {
        workload: Name::A,
        commands: 100_000,
        seed: 42,
        stream_checksum: 0x7873_deb0_af6e_d846,
        max_order_id: 14_190,
        trades: 7_121,
        traded_quantity: 60_652,
        trade_checksum: 0x6e75_9a1b_9d82_89ea,
        l1_checksum: 0x9505_eb8d_a5dc_b8b1,
        book_checksum: 0xeb5b_d462_bd3d_1add,
        touch: ((32_767, 151), (32_768, 40)),
        sha256: "497803a525ef386e1045b8b39242ec2f62ac571ebd59d02d53b8d0ec2836c315",
    },
    Expected {
        workload: Name::B,
        commands: 100_000,
        seed: 42,
        stream_checksum: 0x01c0_61b1_52d0_782d,
        max_order_id: 60_346,
        trades: 18_311,
        traded_quantity: 472_412,
        trade_checksum: 0x216d_0941_7243_551c,
        l1_checksum: 0x5731_61f9_a91e_1cc9,
        book_checksum: 0x27ab_6e93_d167_64b0,
        touch: ((32_774, 62), (32_776, 348)),
        sha256: "f38dbc7f1783057775d871683c9830848683defe21f54c6127f87f1ce9dc9e6e",
    },
    Expected {
        workload: Name::A,
        commands: 1_000_000,
        seed: 42,
        stream_checksum: 0xb94e_4df3_de4e_363b,
        max_order_id: 134_186,
        trades: 71_110,
        traded_quantity: 618_360,
        trade_checksum: 0x3a1f_0c5a_a6be_b5b6,
        l1_checksum: 0x27ac_7ad5_95bb_fa53,
        book_checksum: 0xdfb6_cd01_3d5a_f035,
        touch: ((32_780, 119), (32_781, 11)),
        sha256: "9badf3b8708046cb3c2eb71086e994f76ffbe597acf922b63bb146fb34f6f2eb",
    },
    Expected {
        workload: Name::B,
        commands: 1_000_000,
        seed: 42,
        stream_checksum: 0x0027_631d_70b8_8346,
        max_order_id: 592_272,
        trades: 178_029,
        traded_quantity: 4_584_705,
        trade_checksum: 0x9456_3650_4033_a911,
        l1_checksum: 0x5497_a64b_856f_9ac1,
        book_checksum: 0x6308_3e62_d97f_1ecd,
        touch: ((32_757, 1_132), (32_759, 6)),
        sha256: "0c62aaebee696234da12a978d6d5aaabb12d7c7373a146c67ec0aca7b8069383",
    },
];

/// What the engine decides over workload D: the own first results. A change of decisions that is meant changes them.
#[derive(Clone, Copy, Debug)]
pub struct Decided {
    pub commands: usize,
    pub seed: u64,
    pub trades: u64,
    pub trade_checksum: u64,
    pub l1_checksum: u64,
    pub book_checksum: u64,
    /// New orders of clients.
    pub accepted: u64,
    pub rejected: u64,
}

/// What is known of a stream of workload D.
pub fn decided(commands: usize, seed: u64) -> Option<&'static Decided> {
    DECIDED
        .iter()
        .find(|row| row.commands == commands && row.seed == seed)
}

impl Decided {
    /// What differs, in words.
    pub fn mismatches(&self, outcome: &Outcome, accepted: u64, rejected: u64) -> Vec<String> {
        [
            ("trades", outcome.trades, self.trades),
            ("trade_checksum", outcome.trade_checksum(), self.trade_checksum),
            ("l1_checksum", outcome.l1_checksum(), self.l1_checksum),
            ("book_checksum", outcome.book_checksum(), self.book_checksum),
            ("accepted", accepted, self.accepted),
            ("rejected", rejected, self.rejected),
        ]
        .into_iter()
        .filter(|(_, found, expected)| found != expected)
        .map(|(name, found, expected)| {
            format!("{name} is {found:x} and should be {expected:x} (hexadecimal)")
        })
        .collect()
    }
}

pub const DECIDED: &[Decided] = &[
    Decided {
        commands: 100_000,
        seed: 42,
        trades: 13_005,
        trade_checksum: 0xe3cf_25db_ce60_2b82,
        l1_checksum: 0x0791_785c_af27_cf1b,
        book_checksum: 0x4fa4_4f60_2856_13fe,
        accepted: 43_837,
        rejected: 16_509,
    },
    Decided {
        commands: 1_000_000,
        seed: 42,
        trades: 124_950,
        trade_checksum: 0x57ea_1b80_e886_3e26,
        l1_checksum: 0x8f49_6c2e_861f_8c32,
        book_checksum: 0xafd4_ba2c_69a6_6aee,
        accepted: 420_638,
        rejected: 171_634,
    },
];
