//! The journal: what makes every decision of the engine durable, and what everything else is folded from.

pub mod journal;
pub mod limits;
pub mod record;
