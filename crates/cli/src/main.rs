//! The `medallion` command.

use std::process::ExitCode;

/// Arrow and Polars allocate and free large buffers from many threads, which this allocator does far better.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    medallion::main()
}
