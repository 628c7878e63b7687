//! Standard output: what a person or a script asked for. Logs go to standard error.

use std::io::{ErrorKind, Write};

/// Print `text`.
///
/// # Errors
/// Standard output can't be written to. A reader that had enough and left, as in `ak-stages openapi | head`, is none.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}
