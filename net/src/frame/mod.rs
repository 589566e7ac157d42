//! Cutting a byte stream into frames. Every codec has a mandatory maximum, so that no peer decides how much memory it costs.

mod codec;
mod framed;

pub use codec::{CodecError, Decode, Encode, LengthDelimited, Lines};
pub use framed::Framed;
