//! How much a request may take to read rows and to print its answer. What has no end, such as a page of a hundred rows of a
//! megabyte, is stopped on its way and not when it is there.

use std::cell::Cell;

use sqlx::Row;
use sqlx::postgres::PgRow;
use tokio::task::futures::TaskLocalFuture;

use crate::error::TooMuch;

/// What the buffers of a connection may keep, about.
const LARGE: usize = 512 * 1024;

tokio::task_local! {
    static LEFT: Cell<usize>;
}

/// Do work that may take so many bytes.
pub fn limited<F: Future>(bytes: usize, work: F) -> TaskLocalFuture<Cell<usize>, F> {
    LEFT.scope(Cell::new(bytes), work)
}

/// What the work may still take. Without limit outside of a request.
pub fn left() -> usize {
    LEFT.try_with(Cell::get).unwrap_or(usize::MAX)
}

/// Whether the work has taken so much of these bytes that the connection it used is better not kept.
pub fn was_large(bytes: usize) -> bool {
    bytes.saturating_sub(left()) > LARGE
}

/// Take so much.
///
/// # Errors
/// It isn't there any more.
pub fn spend(bytes: usize) -> Result<(), TooMuch> {
    let left = left().checked_sub(bytes).ok_or(TooMuch)?;
    LEFT.try_with(|cell| cell.set(left)).ok();
    Ok(())
}

/// Take what a row takes.
pub(super) fn count(row: PgRow) -> sqlx::Result<PgRow> {
    let column = |index| row.try_get_raw(index).ok().and_then(|value| Some(value.as_bytes().ok()?.len()));
    let bytes = (0..row.len()).filter_map(column).sum();
    spend(bytes).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_spent_is_gone_and_outside_there_is_no_limit() {
        assert!(spend(usize::MAX).is_ok());
        limited(10, async {
            assert!(spend(6).is_ok());
            assert!(spend(5).is_err());
            assert!(spend(4).is_ok());
            assert_eq!(left(), 0);
        })
        .await;
        assert_eq!(left(), usize::MAX);
    }
}
