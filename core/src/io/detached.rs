//! Threads for calls of the operating system that may never return, such as reading from a terminal.

use std::io;

/// Starts a thread that nothing waits for: not the end of a runtime, and not the end of the program.
///
/// The blocking pool is for what returns sooner or later; its threads are few, and the end of a runtime waits for them.
///
/// # Errors
/// If the operating system gives no thread; `Unsupported` in a simulation, where nothing happens on other threads.
pub fn spawn_detached(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    if crate::sim::env::HostNet::current().is_some() {
        return super::driver::raw_socket::not_simulated("threads");
    }
    #[expect(clippy::disallowed_methods, reason = "a thread that belongs to no runtime")]
    std::thread::Builder::new().name(name.to_owned()).spawn(body).map(drop)
}
