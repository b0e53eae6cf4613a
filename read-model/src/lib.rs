//! read-model
