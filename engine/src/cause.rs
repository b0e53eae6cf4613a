//! Why the engine placed an order by itself.

/// What set off an exit that nobody sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum Cause {
    /// A request to close the position, or a part of it.
    Close = 0,
    /// A kill switch that also closes positions.
    Flatten = 1,
    /// The time of day at which intraday positions are closed.
    SquareOff = 2,
}

impl Cause {
    /// As clients and tables see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Cause::Close => "close",
            Cause::Flatten => "flatten",
            Cause::SquareOff => "square_off",
        }
    }
}
