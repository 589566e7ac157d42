//! Cutting a stream of bytes into frames, and datagrams into messages.
//!
//! A [`Decoder`] finds frames, an [`Encoder`] writes them; [`Framed`], [`FramedRead`] and [`FramedWrite`] put them on a
//! stream, [`UdpFramed`] on a UDP socket. All are a [`Stream`](futures_core::Stream), a
//! [`Sink`](futures_sink::Sink), or both. Every codec of this module has a mandatory maximum, so that no peer decides
//! how much memory it costs.

mod delimiter;
mod error;
mod framed;
mod halves;
mod length;
mod lines;
mod state;
mod traits;
mod udp;

pub use delimiter::{AnyDelimiterCodec, BytesCodec};
pub use error::CodecError;
pub use framed::{Framed, FramedParts};
pub use halves::{FramedRead, FramedWrite};
pub use length::{LengthDelimitedBuilder, LengthDelimitedCodec};
pub use lines::LinesCodec;
pub use traits::{Decoder, Encoder};
pub use udp::UdpFramed;

#[cfg(test)]
mod tests;
