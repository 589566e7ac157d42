//! stub
#![allow(missing_docs)]
use std::sync::Arc;
use std::time::Duration;
#[derive(Debug)]
pub(crate) struct IoHandle(Arc<mio::Waker>);
impl IoHandle {
    pub fn unpark(&self) {
        let _ = self.0.wake();
    }
    pub fn len(&self) -> usize {
        0
    }
}
#[derive(Debug)]
pub(crate) struct Driver(mio::Poll, mio::Events);
impl Driver {
    pub fn new() -> std::io::Result<(Driver, IoHandle)> {
        let p = mio::Poll::new()?;
        let w = mio::Waker::new(p.registry(), mio::Token(0))?;
        Ok((Driver(p, mio::Events::with_capacity(16)), IoHandle(Arc::new(w))))
    }
    pub fn turn(&mut self, _: &IoHandle, t: Option<Duration>) -> std::io::Result<usize> {
        self.0.poll(&mut self.1, t)?;
        Ok(0)
    }
}
