//! persistence-writer
