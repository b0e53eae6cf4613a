//! The outcome of one check.

use crate::rejection::{RejectCode, Rejection};

/// What a check found. The numbers are there whether it passed or not; where only the verdict is used they cost
/// nothing, because checks are inlined and what is not used is not computed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Check {
    /// Switched off, or an exit that the check does not concern, or nothing to compare with.
    NotApplicable(RejectCode),
    Measured {
        failed: bool,
        rejection: Rejection,
    },
}

impl Check {
    #[inline(always)]
    pub(super) fn of(failed: bool, rejection: Rejection) -> Check {
        Check::Measured { failed, rejection }
    }

    pub(super) fn code(&self) -> RejectCode {
        match self {
            Check::NotApplicable(code) => *code,
            Check::Measured { rejection, .. } => rejection.code,
        }
    }

    #[inline(always)]
    pub(super) fn verdict(self) -> Result<(), Rejection> {
        match self {
            Check::Measured {
                failed: true,
                rejection,
            } => Err(rejection),
            _ => Ok(()),
        }
    }
}
