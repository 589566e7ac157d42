//! Tasks.

pub mod coop;

/// The owned right to a task's output.
#[derive(Debug)]
pub struct JoinHandle<T> {
    output: Option<T>,
}

/// Why a task gave no output.
#[derive(Debug)]
pub struct JoinError {
    _private: (),
}

impl<T> std::future::Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        std::task::Poll::Pending
    }
}
