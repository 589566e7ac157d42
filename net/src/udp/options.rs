//! The options of a UDP socket, multicast among them.

use super::UdpSocket;
use std::io::{Error, Result};
use std::net::{Ipv4Addr, Ipv6Addr};

macro_rules! options {
    ($($(#[$attribute:meta])* $set:ident($value:ty), $get:ident, $os_set:ident, $os_get:ident;)*) => {
        impl UdpSocket {$(
            $(#[$attribute])*
            ///
            /// # Errors
            /// What the system says; `Unsupported` in a simulation.
            pub fn $set(&self, value: $value) -> Result<()> {
                self.socket.options()?.$os_set(value)
            }

            #[doc = concat!("Returns what [`", stringify!($set), "`](Self::", stringify!($set), ") sets.")]
            ///
            /// # Errors
            /// What the system says; `Unsupported` in a simulation.
            pub fn $get(&self) -> Result<$value> {
                self.socket.options()?.$os_get()
            }
        )*}
    };
}

options! {
    /// Sets whether broadcasts may be sent. Default: false.
    set_broadcast(bool), broadcast, set_broadcast, broadcast;
    /// Sets the type of service of IPv4 packets.
    set_tos_v4(u32), tos_v4, set_tos_v4, tos_v4;
    /// Sets how many bytes the system keeps of what was not sent; it may take another number.
    set_send_buffer_size(usize), send_buffer_size, set_send_buffer_size, send_buffer_size;
    /// Sets how many bytes the system keeps of what was not received; it may take another number.
    set_recv_buffer_size(usize), recv_buffer_size, set_recv_buffer_size, recv_buffer_size;
    /// Sets whether what this socket sends to an IPv4 group comes back to this machine. Default: true.
    set_multicast_loop_v4(bool), multicast_loop_v4, set_multicast_loop_v4, multicast_loop_v4;
    /// Sets whether what this socket sends to an IPv6 group comes back to this machine. Default: true.
    set_multicast_loop_v6(bool), multicast_loop_v6, set_multicast_loop_v6, multicast_loop_v6;
    /// Sets how many hops a packet to an IPv4 group may take. Default: 1.
    set_multicast_ttl_v4(u32), multicast_ttl_v4, set_multicast_ttl_v4, multicast_ttl_v4;
    /// Sets how many hops a packet to an IPv6 group may take. Default: 1.
    set_multicast_hops_v6(u32), multicast_hops_v6, set_multicast_hops_v6, multicast_hops_v6;
    /// Sets the interface that packets to IPv6 groups leave by, by its number.
    set_multicast_if_v6(u32), multicast_if_v6, set_multicast_if_v6, multicast_if_v6;
}

#[cfg(target_os = "linux")]
options! {
    /// Sets the traffic class of IPv6 packets.
    set_tclass_v6(u32), tclass_v6, set_tclass_v6, tclass_v6;
}

impl UdpSocket {
    /// Sets how many hops a packet may take.
    ///
    /// # Errors
    /// What the system says.
    pub fn set_ttl(&self, hops: u32) -> Result<()> {
        self.socket.set_ttl(hops)
    }

    /// Returns how many hops a packet may take.
    ///
    /// # Errors
    /// What the system says; `Unsupported` in a simulation.
    pub fn ttl(&self) -> Result<u32> {
        self.socket.options()?.ttl_v4()
    }

    /// Sets the interface that packets to IPv4 groups leave by, by its address.
    ///
    /// # Errors
    /// What the system says; `Unsupported` in a simulation.
    pub fn set_multicast_if_v4(&self, interface: Ipv4Addr) -> Result<()> {
        self.socket.options()?.set_multicast_if_v4(&interface)
    }

    /// Joins an IPv4 multicast group on an interface, which is named by its address.
    ///
    /// # Errors
    /// What the system says; `Unsupported` in a simulation.
    pub fn join_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> Result<()> {
        self.socket.options()?.join_multicast_v4(&group, &interface)
    }

    /// Leaves an IPv4 multicast group.
    ///
    /// # Errors
    /// What the system says; `Unsupported` in a simulation.
    pub fn leave_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> Result<()> {
        self.socket.options()?.leave_multicast_v4(&group, &interface)
    }

    /// Joins an IPv6 multicast group on an interface, which is named by its number; zero lets the system choose.
    ///
    /// # Errors
    /// What the system says; `Unsupported` in a simulation.
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> Result<()> {
        self.socket.options()?.join_multicast_v6(group, interface)
    }

    /// Leaves an IPv6 multicast group.
    ///
    /// # Errors
    /// What the system says; `Unsupported` in a simulation.
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> Result<()> {
        self.socket.options()?.leave_multicast_v6(group, interface)
    }

    /// Uses one network device alone, or any again.
    ///
    /// # Errors
    /// What the system says; this may need a privilege.
    #[cfg(target_os = "linux")]
    pub fn bind_device(&self, device: Option<&[u8]>) -> Result<()> {
        self.socket.options()?.bind_device(device)
    }

    /// Takes the error that happened since the last look, such as that no socket listens where it was sent to.
    ///
    /// # Errors
    /// What the system says; `Unsupported` in a simulation.
    pub fn take_error(&self) -> Result<Option<Error>> {
        self.socket.options()?.take_error()
    }
}
