//! The two directions of a Unix-domain connection, apart.

use super::{SocketAddr, UnixStream};

crate::halves::halves!(UnixStream, SocketAddr);
