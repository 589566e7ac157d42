//! Descriptors that are no sockets of ours: any that the event queue takes, and the ends of pipes.

use mio::event::Source;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// A descriptor with the conditions that it is registered for.
pub(crate) struct FdSource<T> {
    pub(crate) inner: T,
    pub(crate) interest: crate::io::driver::interest::Interest,
}

impl<T: AsRawFd> FdSource<T> {
    fn interests(&self) -> Interest {
        let wanted = [
            (self.interest.is_readable(), Interest::READABLE),
            (self.interest.is_writable(), Interest::WRITABLE),
            #[cfg(target_os = "linux")]
            (self.interest.is_priority(), Interest::PRIORITY),
        ];
        let mut wanted = wanted.into_iter().filter_map(|(is_wanted, interest)| is_wanted.then_some(interest));
        // Errors are told of whatever was asked for; something must be.
        let first = wanted.next().unwrap_or(Interest::READABLE);
        wanted.fold(first, |all, one| all | one)
    }
}

impl<T: AsRawFd> Source for FdSource<T> {
    fn register(&mut self, registry: &Registry, token: Token, _: Interest) -> io::Result<()> {
        SourceFd(&self.inner.as_raw_fd()).register(registry, token, self.interests())
    }

    fn reregister(&mut self, registry: &Registry, token: Token, _: Interest) -> io::Result<()> {
        SourceFd(&self.inner.as_raw_fd()).reregister(registry, token, self.interests())
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        SourceFd(&self.inner.as_raw_fd()).deregister(registry)
    }
}

impl<T: fmt::Debug> fmt::Debug for FdSource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// Opens a descriptor of a process, which is readable from the end of the process on.
pub(crate) fn pidfd(process: u32) -> io::Result<OwnedFd> {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Pid, PidfdFlags, pidfd_open};
        let process = i32::try_from(process).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
        // A descriptor of a process never blocks; the flag is newer than the call.
        Ok(pidfd_open(process, PidfdFlags::empty())?)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = process;
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Who the process at the other end is, as the kernel saw it when the connection was made: process, user, group.
#[cfg(target_os = "linux")]
pub(crate) fn peer_cred(socket: &impl std::os::fd::AsFd) -> io::Result<(Option<i32>, u32, u32)> {
    let credentials = rustix::net::sockopt::socket_peercred(socket)?;
    let process = credentials.pid.as_raw_nonzero().get();
    Ok((Some(process), credentials.uid.as_raw(), credentials.gid.as_raw()))
}
