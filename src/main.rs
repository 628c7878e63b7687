//! The program `ak-stages`.

use std::process::ExitCode;

use clap::Parser;
use tikv_jemallocator::Jemalloc;

/// It gives memory back to the system once it is free, by a thread of its own, so without another request. The system's own
/// allocator keeps what a burst of large bodies took.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Room for a body of 1024 nested levels in the recursion of parser and printer, unoptimised builds included.
const STACK_SIZE: usize = 8 * 1024 * 1024;

fn main() -> ExitCode {
    let cli = ak_stages::cli::Cli::parse();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK_SIZE).build();
    // The main thread's stack is the system's, so the work is done on one of the runtime's.
    let done = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(async { tokio::spawn(cli.run()).await? }));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ak-stages: {error:#}");
            ExitCode::FAILURE
        }
    }
}
