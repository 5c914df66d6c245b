//! Non-blocking TCP sockets for the carrier: listen, accept, connect, read, write, options.
//!
//! No NIF and no TLS here, and no waiting either: a call that cannot go on returns
//! `ErrorKind::WouldBlock` and whoever owns the event loop arms a select.
#![deny(unsafe_code)]

// Here, as no crate that needs a system is compiled before this one.
#[cfg(windows)]
compile_error!(
    "merlon does not run on Windows: the Erlang VM cannot wait for its sockets in a NIF (enif_select); use WSL 2"
);

mod inherit;
mod options;

pub use inherit::inherit_nothing;
pub use options::{Opt, OptName};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};

/// A non-blocking, close-on-exec TCP socket: a listener, a connection or one being connected.
pub struct Sock(Socket);

impl Sock {
    /// Listens on `addr` (port 0 asks the system for one) with `opts` set before bind.
    ///
    /// # Errors
    /// What socket(2), setsockopt(2), bind(2) and listen(2) say, `AddrInUse` above all.
    pub fn listen(addr: SocketAddr, backlog: i32, opts: &[Opt]) -> io::Result<Self> {
        let socket = Self::open(addr)?;
        socket.0.set_reuse_address(true)?;
        if addr.is_ipv6() {
            socket.0.set_only_v6(true)?;
        }
        socket.set_all(opts)?;
        socket.0.bind(&SockAddr::from(addr))?;
        socket.0.listen(backlog)?;
        Ok(socket)
    }

    /// Takes one connection from the listener's queue. Its small writes go out at once (nodelay).
    ///
    /// # Errors
    /// `WouldBlock` when the queue is empty, else what accept4(2) says (EMFILE, ECONNABORTED ..).
    /// What goes wrong with the connection alone is `ConnectionAborted`: BSD says EINVAL when an
    /// option is set on one that was reset already, and that is not the listener's trouble.
    pub fn accept(&self) -> io::Result<(Self, SocketAddr)> {
        let (socket, addr) = self.0.accept()?;
        Self::accepted(socket, &addr).map_err(|_| io::ErrorKind::ConnectionAborted.into())
    }

    fn accepted(socket: Socket, addr: &SockAddr) -> io::Result<(Self, SocketAddr)> {
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        Ok((Self(socket), as_inet(addr)?))
    }

    /// Starts to connect to `addr`, from `source` when given. The socket becomes writable when
    /// the attempt has ended; [`Sock::connected`] then tells how.
    ///
    /// # Errors
    /// What socket(2), bind(2) and connect(2) say at once.
    pub fn connect(addr: SocketAddr, source: Option<IpAddr>, opts: &[Opt]) -> io::Result<Self> {
        let socket = Self::open(addr)?;
        socket.set_all(opts)?;
        if let Some(ip) = source {
            socket.0.bind(&SockAddr::from(SocketAddr::new(ip, 0)))?;
        }
        match socket.0.connect(&SockAddr::from(addr)) {
            Ok(()) => Ok(socket),
            Err(error) if in_progress(&error) => Ok(socket),
            Err(error) => Err(error),
        }
    }

    /// How a connection attempt ended.
    ///
    /// # Errors
    /// `WouldBlock` while it is under way, else its error (SO_ERROR).
    pub fn connected(&self) -> io::Result<()> {
        if let Some(error) = self.0.take_error()? {
            return Err(error);
        }
        match self.0.peer_addr() {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            Err(error) => Err(error),
        }
    }

    /// Reads into `buf`; 0 is the end of the stream.
    ///
    /// # Errors
    /// `WouldBlock`, else what recv(2) says.
    pub fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        retry(|| (&self.0).read(buf))
    }

    /// Writes from `buf` as much as the send buffer takes.
    ///
    /// # Errors
    /// `WouldBlock`, else what send(2) says. The VM ignores SIGPIPE.
    pub fn write(&self, buf: &[u8]) -> io::Result<usize> {
        retry(|| (&self.0).write(buf))
    }

    /// The local address.
    ///
    /// # Errors
    /// What getsockname(2) says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        as_inet(&self.0.local_addr()?)
    }

    /// Ends both directions now; the descriptor stays open until the value is dropped.
    pub fn shutdown(&self) {
        // Already reset by the peer is as good as shut down.
        let _ = self.0.shutdown(Shutdown::Both);
    }

    /// Sets one option.
    ///
    /// # Errors
    /// What setsockopt(2) says.
    pub fn set(&self, opt: Opt) -> io::Result<()> {
        options::set(&self.0, opt)
    }

    /// Reads one option.
    ///
    /// # Errors
    /// What getsockopt(2) says.
    pub fn get(&self, name: OptName) -> io::Result<Opt> {
        options::get(&self.0, name)
    }

    /// The descriptor, for an event loop only: whoever closes it breaks this value.
    pub fn raw(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    fn open(addr: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }

    fn set_all(&self, opts: &[Opt]) -> io::Result<()> {
        opts.iter().try_for_each(|opt| self.set(*opt))
    }
}

fn as_inet(addr: &SockAddr) -> io::Result<SocketAddr> {
    addr.as_socket()
        .ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))
}

#[cfg(unix)]
fn in_progress(error: &io::Error) -> bool {
    // EINPROGRESS has no ErrorKind of its own on stable Rust.
    const EINPROGRESS: i32 = if cfg!(target_os = "linux") { 115 } else { 36 };
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(EINPROGRESS)
}

fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::time::{Duration, Instant};

    fn listener() -> (Sock, SocketAddr) {
        let sock = Sock::listen((Ipv4Addr::LOCALHOST, 0).into(), 5, &[Opt::NoDelay(true)]).unwrap();
        let addr = sock.local_addr().unwrap();
        (sock, addr)
    }

    fn wait<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            match call() {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock && Instant::now() < end => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                result => return result,
            }
        }
    }

    fn pair() -> (Sock, Sock) {
        let (listener, addr) = listener();
        let client = Sock::connect(addr, None, &[]).unwrap();
        let (server, _) = wait(|| listener.accept()).unwrap();
        wait(|| client.connected()).unwrap();
        (client, server)
    }

    #[test]
    fn an_idle_listener_does_not_block() {
        let (listener, _) = listener();
        assert_eq!(
            listener.accept().err().unwrap().kind(),
            io::ErrorKind::WouldBlock
        );
    }

    #[test]
    fn bytes_cross_and_an_end_is_seen() {
        let (client, server) = pair();
        let mut buf = [0; 8];
        assert_eq!(
            server.read(&mut buf).err().unwrap().kind(),
            io::ErrorKind::WouldBlock
        );
        assert_eq!(client.write(b"merlon").unwrap(), 6);
        assert_eq!(wait(|| server.read(&mut buf)).unwrap(), 6);
        assert_eq!(&buf[..6], b"merlon");
        client.shutdown();
        assert_eq!(wait(|| server.read(&mut buf)).unwrap(), 0);
    }

    #[test]
    fn a_full_send_buffer_does_not_block() {
        let (client, _server) = pair();
        let chunk = vec![0; 1 << 20];
        let end = loop {
            if let Err(error) = client.write(&chunk) {
                break error;
            }
        };
        assert_eq!(end.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_closed_port_refuses_the_connection() {
        let (listener, addr) = listener();
        drop(listener);
        let result = Sock::connect(addr, None, &[]).and_then(|sock| wait(|| sock.connected()));
        assert_eq!(
            result.err().unwrap().kind(),
            io::ErrorKind::ConnectionRefused
        );
    }

    #[test]
    fn a_port_in_use_is_refused() {
        let (_listener, addr) = listener();
        let error = Sock::listen(addr, 5, &[]).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn options_read_back_as_set() {
        let (client, _server) = pair();
        for opt in [
            Opt::NoDelay(true),
            Opt::NoDelay(false),
            Opt::KeepAlive(true),
        ] {
            client.set(opt).unwrap();
            assert_eq!(client.get(opt.name()).unwrap(), opt);
        }
        client.set(Opt::SendBuffer(65536)).unwrap();
        assert!(
            matches!(client.get(OptName::SendBuffer).unwrap(), Opt::SendBuffer(n) if n >= 65536)
        );
    }
}
