//! What a route answers.

use core::fmt;
use std::borrow::Cow;

use crate::wire::{NOT_FOUND, Object};

/// A whole answer: status, headers beyond the usual ones, body.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, Cow<'static, str>)>,
    pub(super) body: Vec<u8>,
}

const JSON: &str = "application/json";

impl Answer {
    /// 200 with one JSON object.
    pub(super) fn object(fill: impl FnOnce(&mut Object<'_>)) -> Answer {
        Answer::json(200, fill)
    }

    pub(super) fn json(status: u16, fill: impl FnOnce(&mut Object<'_>)) -> Answer {
        let mut body = Vec::with_capacity(1_024);
        fill(&mut Object::begin(&mut body));
        Answer::of_bytes(status, JSON, body)
    }

    /// `{"error": …}`; `sentence` must not be empty, for the page shows nothing else.
    pub(super) fn error(status: u16, sentence: impl fmt::Display) -> Answer {
        Answer::json(status, |body| {
            body.text("error", sentence);
        })
    }

    /// The unknown path of CONTRACT.md section 2.
    pub(super) fn not_found() -> Answer {
        Answer::of_bytes(404, JSON, NOT_FOUND.to_vec())
    }

    pub(super) fn of_bytes(status: u16, content_type: &'static str, body: Vec<u8>) -> Answer {
        Answer {
            status,
            content_type,
            headers: Vec::new(),
            body,
        }
    }

    pub(super) fn with_header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Answer {
        self.headers.push((name, value.into()));
        self
    }
}

/// Adds a string, or `null`.
pub(super) fn optional_text(row: &mut Object<'_>, key: &str, value: Option<impl fmt::Display>) {
    match value {
        Some(value) => row.text(key, value),
        None => row.null(key),
    };
}
