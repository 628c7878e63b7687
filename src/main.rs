//! The program `ak-stages`.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// It gives memory back to the system once it is free, by a thread of its own, so without another request. The system's own
/// allocator keeps what a burst of large bodies took.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    ak_stages::cli::main()
}
