//! The two directions of a TCP connection, apart.

use crate::TcpStream;

crate::halves::halves!(TcpStream, std::net::SocketAddr);
