//! The runtime that a command runs on.

use std::num::NonZeroUsize;

use tokio::runtime::{Builder, Runtime};

/// Room for a body of 1024 nested levels in the recursion of parser and printer, unoptimised builds included.
const STACK_SIZE: usize = 8 * 1024 * 1024;

/// A runtime with [`worker_threads`].
///
/// # Errors
/// The system gives no threads.
pub(super) fn new() -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(worker_threads())
        .enable_all()
        .thread_stack_size(STACK_SIZE)
        .build()
}

/// Half of the machine: PostgreSQL takes the other, and where both have all of it they push each other off the cores
/// (docs/PERFORMANCE.md). tokio's own variable sets another number.
fn worker_threads() -> usize {
    let named = std::env::var("TOKIO_WORKER_THREADS").ok().and_then(|number| number.parse().ok());
    let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    named.filter(|number| *number > 0).unwrap_or_else(|| cores().div_ceil(2))
}
