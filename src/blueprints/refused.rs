//! [`Refused`]: why a blueprint isn't taken, and where in the file that is.

use std::fmt;

use crate::error::{ApiError, sentence};

/// Why a blueprint isn't taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The line, from 1.
    pub line: usize,
    /// A sentence.
    pub sentence: String,
}

impl Refused {
    /// Refused for this, there.
    pub fn at(line: usize, sentence: impl Into<String>) -> Self {
        Self { line, sentence: sentence.into() }
    }

    /// What the API says against it, in the words of a file.
    pub fn by(line: usize, error: &ApiError) -> Self {
        let said = match error {
            ApiError::Validation(errors) => sentence(errors),
            ApiError::Parse(said) | ApiError::NotFound(said) | ApiError::MethodNotAllowed(said) => {
                said.clone()
            }
            ApiError::PermissionDenied => "the user may not do this".to_owned(),
            ApiError::Internal(cause) => crate::error::redacted(cause),
            other => other.to_string(),
        };
        Self::at(line, said)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.sentence)
    }
}

impl std::error::Error for Refused {}
