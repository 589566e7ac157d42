//! The two directions of a TCP connection, apart.

use super::TcpStream;

crate::halves::halves!(TcpStream, std::net::SocketAddr);
