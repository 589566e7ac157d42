//! Many datagrams to a call of the system: `sendmmsg`, `recvmmsg`, and the segments that the kernel cuts (GSO) and joins (GRO).

use super::UdpSocket;
use crate::io::driver::RecvMeta;
use nix::cmsg_space;
use nix::sys::socket::sockopt::{UdpGroSegment, UdpGsoSegment};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, getsockopt, recvmmsg, sendmsg,
    setsockopt,
};
use rustix::net::addr::SocketAddrArg;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;

/// Datagrams of one call. What a call costs beside its datagrams is spread over enough of them, and the headers are a few KiB.
const BATCH_MAX: usize = 32;

/// Segments of one call: what every kernel that has GSO takes.
const SEGMENTS_MAX: usize = 64;

/// The largest datagram, and the most that the segments of one call may have together.
const DATAGRAM_MAX: usize = 65_507;

/// Sends datagrams in one call, each to its address or else to the connected one; returns how many were sent.
pub(crate) fn send_many<'a>(
    socket: &UdpSocket,
    datagrams: impl Iterator<Item = (&'a [u8], Option<SocketAddr>)>,
) -> io::Result<usize> {
    let mut slices = [[IoSlice::new(&[])]; BATCH_MAX];
    let unused = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).as_any();
    let mut addresses: [_; BATCH_MAX] = std::array::from_fn(|_| (false, unused.clone()));
    let mut count = 0;
    for ((bytes, address), (slice, place)) in datagrams.zip(slices.iter_mut().zip(&mut addresses)) {
        *slice = [IoSlice::new(bytes)];
        if let Some(address) = address {
            *place = (true, address.as_any());
        }
        count += 1;
    }
    let mut controls: [SendAncillaryBuffer<'_, '_, '_>; BATCH_MAX] = std::array::from_fn(|_| Default::default());
    let mut parts = slices.iter().zip(&addresses).zip(&mut controls);
    let mut headers: [_; BATCH_MAX] = std::array::from_fn(|_| {
        let ((slice, (is_addressed, address)), control) = parts.next().expect("invariant: as many as headers");
        if *is_addressed { MMsgHdr::new_with_addr(address, slice, control) } else { MMsgHdr::new(slice, control) }
    });
    Ok(sendmmsg(socket, &mut headers[..count], SendFlags::empty())?)
}

/// Receives into several buffers in one call; returns how many were filled.
pub(crate) fn recv_many(socket: &UdpSocket, buffers: &mut [&mut [u8]], received: &mut [RecvMeta]) -> io::Result<usize> {
    let len = buffers.len().min(received.len()).min(BATCH_MAX);
    // Made anew for each call: the system writes into them how long what it has written is, and nix does not set that back.
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(len, Some(cmsg_space!(i32)));
    let mut buffers = buffers.iter_mut();
    let mut slices: [_; BATCH_MAX] =
        std::array::from_fn(|_| [IoSliceMut::new(buffers.next().map_or(&mut [], |buffer| buffer))]);
    let results = recvmmsg(socket.as_raw_fd(), &mut headers, &mut slices[..len], MsgFlags::empty(), None)?;
    let mut count = 0;
    for (message, place) in results.zip(received) {
        let coalesced = message.cmsgs().ok().into_iter().flatten().find_map(|control| match control {
            ControlMessageOwned::UdpGroSegments(size) => usize::try_from(size).ok(),
            _ => None,
        });
        let addr = message.address.as_ref().and_then(address_of).ok_or_else(no_sender)?;
        *place = RecvMeta {
            addr,
            len: message.bytes,
            stride: coalesced.unwrap_or(message.bytes),
            is_truncated: message.flags.contains(MsgFlags::MSG_TRUNC),
        };
        count += 1;
    }
    Ok(count)
}

fn no_sender() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a datagram without a sender")
}

fn address_of(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|address| SocketAddr::V4((*address).into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| SocketAddr::V6((*address).into())))
}

/// Sends datagrams of `segment_size` bytes, the last one perhaps shorter, that lie one after the other. Returns how many bytes were
/// sent, in one call; where the kernel or the network device cannot cut, in a batch.
pub(crate) fn send_segments(
    socket: &UdpSocket,
    bytes: &[u8],
    segment_size: usize,
    address: Option<SocketAddr>,
) -> io::Result<usize> {
    let segments = (DATAGRAM_MAX / segment_size).clamp(1, SEGMENTS_MAX);
    let together = &bytes[..bytes.len().min(segments.saturating_mul(segment_size))];
    // A kernel that does not know the control message ignores it, and sends one large datagram.
    let is_cut = segment_size < together.len() && getsockopt(socket, UdpGsoSegment).is_ok();
    let size = u16::try_from(segment_size).ok().filter(|_| is_cut);
    if let Some(size) = size {
        let to = address.map(SockaddrStorage::from);
        let control = [ControlMessage::UdpGsoSegments(&size)];
        match sendmsg(socket.as_raw_fd(), &[IoSlice::new(together)], &control, MsgFlags::empty(), to.as_ref()) {
            // The device cannot, or a segment with its headers is more than the device takes at once.
            Err(nix::Error::EIO | nix::Error::EINVAL | nix::Error::EMSGSIZE) => {}
            sent => return Ok(sent?),
        }
    }
    let sent = send_many(socket, bytes.chunks(segment_size).map(|segment| (segment, address)))?;
    Ok(bytes.len().min(sent * segment_size))
}

/// Has the kernel join datagrams of one sender and size that arrive together, or not any more.
pub(crate) fn set_gro(socket: &UdpSocket, on: bool) -> io::Result<()> {
    Ok(setsockopt(socket, UdpGroSegment, &on)?)
}

/// Whether the kernel joins datagrams.
pub(crate) fn gro(socket: &UdpSocket) -> io::Result<bool> {
    Ok(getsockopt(socket, UdpGroSegment)?)
}
