//! The program `ak-stages`.

use std::num::NonZeroUsize;
use std::process::ExitCode;

use clap::Parser;
use tikv_jemallocator::Jemalloc;

/// It gives memory back to the system once it is free, by a thread of its own, so without another request. The system's own
/// allocator keeps what a burst of large bodies took.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Room for a body of 1024 nested levels in the recursion of parser and printer, unoptimised builds included.
const STACK_SIZE: usize = 8 * 1024 * 1024;

/// Half of the machine: PostgreSQL takes the other, and where both have all of it they push each other off the cores
/// (docs/PERFORMANCE.md). tokio's own variable sets another number.
fn worker_threads() -> usize {
    let named = std::env::var("TOKIO_WORKER_THREADS").ok().and_then(|number| number.parse().ok());
    let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    named.filter(|number| *number > 0).unwrap_or_else(|| cores().div_ceil(2))
}

fn main() -> ExitCode {
    let cli = ak_stages::cli::Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(worker_threads())
        .enable_all()
        .thread_stack_size(STACK_SIZE)
        .build();
    // The main thread's stack is the system's, so the work is done on one of the runtime's.
    let done = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(async { tokio::spawn(cli.run()).await? }));
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("ak-stages: {error:#}");
            ExitCode::FAILURE
        }
    }
}
