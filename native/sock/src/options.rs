//! The socket options that `net_kernel:setopts/2` and `inet_dist_*_options` may name.

use socket2::Socket;
use std::io;
use std::time::Duration;

/// An option and its value. The names are those of Erlang's `inet:setopts/2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opt {
    /// `{keepalive, boolean()}`
    KeepAlive(bool),
    /// `{linger, {boolean(), Seconds}}`; `None` is off.
    Linger(Option<u16>),
    /// `{nodelay, boolean()}`
    NoDelay(bool),
    /// `{recbuf, Bytes}`
    ReceiveBuffer(u32),
    /// `{sndbuf, Bytes}`
    SendBuffer(u32),
    /// `{tos, 0..255}`, IPv4 only
    TypeOfService(u8),
}

/// The name of an [`Opt`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum OptName {
    KeepAlive,
    Linger,
    NoDelay,
    ReceiveBuffer,
    SendBuffer,
    TypeOfService,
}

impl Opt {
    /// This option's name.
    pub fn name(self) -> OptName {
        match self {
            Opt::KeepAlive(_) => OptName::KeepAlive,
            Opt::Linger(_) => OptName::Linger,
            Opt::NoDelay(_) => OptName::NoDelay,
            Opt::ReceiveBuffer(_) => OptName::ReceiveBuffer,
            Opt::SendBuffer(_) => OptName::SendBuffer,
            Opt::TypeOfService(_) => OptName::TypeOfService,
        }
    }
}

pub(crate) fn set(socket: &Socket, opt: Opt) -> io::Result<()> {
    match opt {
        Opt::KeepAlive(on) => socket.set_keepalive(on),
        Opt::Linger(time) => {
            socket.set_linger(time.map(|seconds| Duration::from_secs(seconds.into())))
        }
        Opt::NoDelay(on) => socket.set_tcp_nodelay(on),
        Opt::ReceiveBuffer(size) => socket.set_recv_buffer_size(size as usize),
        Opt::SendBuffer(size) => socket.set_send_buffer_size(size as usize),
        Opt::TypeOfService(tos) => socket.set_tos_v4(tos.into()),
    }
}

pub(crate) fn get(socket: &Socket, name: OptName) -> io::Result<Opt> {
    Ok(match name {
        OptName::KeepAlive => Opt::KeepAlive(socket.keepalive()?),
        OptName::Linger => {
            let time = socket.linger()?;
            Opt::Linger(time.map(|time| u16::try_from(time.as_secs()).unwrap_or(u16::MAX)))
        }
        OptName::NoDelay => Opt::NoDelay(socket.tcp_nodelay()?),
        OptName::ReceiveBuffer => Opt::ReceiveBuffer(clamp(socket.recv_buffer_size()?)),
        OptName::SendBuffer => Opt::SendBuffer(clamp(socket.send_buffer_size()?)),
        OptName::TypeOfService => {
            Opt::TypeOfService(u8::try_from(socket.tos_v4()?).unwrap_or(u8::MAX))
        }
    })
}

fn clamp(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}
