//! One connection: the socket, and behind separate locks the handshake, the sending half and the
//! receiving half, so that the two directions never wait for each other.

use crate::plain::Length;
use crate::recv::{Received, Turn};
use crate::select::{Handle, Ready};
use crate::window::Window;
use crate::{link, recv, term::Fault};
use merlon_pki::Peer;
use merlon_record::{Buffer, Rx, Tx};
use merlon_secret::{KeyId, Root, Secret};
use merlon_sock::Sock;
use merlon_tls::{Binding, Claimed, Handshake, Join, Stranger};
use merlon_wire::control;
use merlon_wire::fragment::Router;
use merlon_wire::frame::Reader;
use merlon_wire::lane::Lanes;
use rustler::{Env, LocalPid, Monitor, OwnedBinary, Resource, ResourceArc};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Largest packet of the dist handshake, in bytes: a name is at most 1020.
pub const MAX_HANDSHAKE_FRAME: usize = 65_536;

/// Lanes of a link, each way.
pub const LANES: usize = merlon_record::LANES as usize;

/// A connection of the carrier.
pub struct Conn {
    pub handle: Handle,
    /// The other end. getpeername(2) forgets it when the peer resets the connection.
    pub peer: SocketAddr,
    pub shake: Mutex<Shake>,
    pub tx: Mutex<TxSide>,
    pub rx: Mutex<RxSide>,
    /// What the handshake established, once it has.
    pub session: OnceLock<Session>,
    /// A KeyUpdate is due before our next data (RFC 8446 4.6.3).
    pub rekey: AtomicU8,
    /// The peer has ended its stream.
    pub gone: AtomicBool,
    pub counters: Counters,
    owner: Mutex<Option<Monitor>>,
}

/// What stays known of the handshake.
pub struct Session {
    /// IANA names.
    pub suite: &'static str,
    pub group: &'static str,
    /// Of the certificate that this node showed.
    pub own_sha256: [u8; 32],
    pub kind: Kind,
    pub proved: Mutex<Proved>,
}

/// Which carrier the peer has.
pub enum Kind {
    Merlon {
        /// The cookie of dist_util's own challenge.
        cookie: Secret<String>,
        /// What later proofs are bound to.
        binding: Binding,
    },
    /// OTP's `inet_tls`.
    Foreign(Stranger),
}

impl Session {
    /// Nothing of the kind goes to a peer of another carrier.
    pub fn binding(&self) -> Option<&Binding> {
        match &self.kind {
            Kind::Merlon { binding, .. } => Some(binding),
            Kind::Foreign(_) => None,
        }
    }
}

/// What the peer has proved so far.
pub struct Proved {
    /// By the last chain that was accepted.
    pub peer: Peer,
    /// The secrets that it holds, in the order of their proofs.
    pub keys: Vec<KeyId>,
}

/// A handshake and the bytes it has not read or written yet.
#[derive(Default)]
pub struct Shake {
    pub stage: Stage,
    pub input: Vec<u8>,
    pub output: Vec<u8>,
    /// The own name.
    pub own: Vec<u8>,
    /// What stands for this node in the pair cookie: see `shake::label`.
    pub own_label: Vec<u8>,
    /// Of the own certificate.
    pub own_sha256: [u8; 32],
    pub cluster: String,
    /// The secrets that were offered, until it is known which one was used.
    pub roots: Vec<Root>,
    /// Whether a peer of another carrier will do.
    pub foreign: bool,
}

/// Where a handshake stands. Every step takes the stage out, so a failed one cannot go on.
#[derive(Default)]
pub enum Stage {
    #[default]
    None,
    Running(Handshake),
    Claimed(Box<Claimed>),
    /// No link: see join.rs.
    Join(Box<Join>),
}

/// The sending half; `None` before the handshake is done.
#[derive(Default)]
pub struct TxSide {
    pub half: Option<Tx>,
    /// In place of a half: no TLS at all.
    pub plain: Option<Length>,
    /// The peer knows no lanes.
    pub foreign: bool,
    /// Long messages on their way out.
    pub router: Router<LANES>,
    /// Sealed bytes that the socket has not taken, from `sent` on.
    pub pending: Buffer,
    pub sent: usize,
}

/// The receiving half; `None` before the handshake is done.
pub struct RxSide {
    pub half: Option<Rx>,
    /// In place of a half: no TLS at all.
    pub plain: Option<Length>,
    pub frames: Incoming,
    pub window: Window,
    /// Bytes that the last call has read.
    pub read: usize,
    /// Bytes read since the reader has been told that there are no more for now.
    pub unsaid: usize,
    /// What has been read for the next call of its reader.
    pub ahead: Option<Received>,
    /// By this node: then nothing more is read for anybody.
    pub closed: bool,
    /// While its reader looks again by itself.
    pub turn: Option<Turn>,
    /// Whole frames that arrived behind the one that was asked for.
    pub queue: VecDeque<OwnedBinary>,
    /// The end of the stream, seen behind frames that were to be taken first.
    pub end: Option<Fault>,
}

/// Frames on their way in.
pub struct Incoming {
    pub reader: Reader<OwnedBinary>,
    pub lanes: Lanes<OwnedBinary, LANES>,
    /// What the other carrier says, beside all frames.
    pub control: control::Stream,
}

impl Incoming {
    /// True when no frame has begun that has not ended.
    pub fn is_between(&self) -> bool {
        self.reader.is_between_frames() && self.lanes.is_idle() && self.control.is_between()
    }
}

/// Frames and bytes of frames, both ways: messages on lanes by their fragments out, whole in.
#[derive(Default)]
pub struct Counters {
    pub frames_in: AtomicU64,
    pub frames_out: AtomicU64,
    pub bytes_in: AtomicU64,
    pub bytes_out: AtomicU64,
    /// Messages of the other carrier, and those of them whose kind is not known.
    pub controls_in: AtomicU64,
    pub controls_unknown: AtomicU64,
}

impl Counters {
    /// Adds to a counter that one process writes and others read.
    pub fn add(counter: &AtomicU64, n: usize) {
        counter.fetch_add(n as u64, Ordering::Relaxed);
    }
}

impl Conn {
    /// A connection around a socket, with nothing known of the peer yet.
    pub fn new(sock: Sock, peer: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            handle: Handle::new(sock)?,
            peer,
            shake: Mutex::default(),
            tx: Mutex::default(),
            rx: Mutex::new(RxSide {
                half: None,
                plain: None,
                frames: Incoming {
                    reader: Reader::new(MAX_HANDSHAKE_FRAME, recv::BIG_FRAME),
                    lanes: Lanes::new(MAX_HANDSHAKE_FRAME),
                    control: control::Stream::default(),
                },
                window: Window::default(),
                read: 0,
                unsaid: 0,
                ahead: None,
                closed: false,
                turn: None,
                queue: VecDeque::new(),
                end: None,
            }),
            session: OnceLock::new(),
            rekey: AtomicU8::new(0),
            gone: AtomicBool::new(false),
            counters: Counters::default(),
            owner: Mutex::default(),
        })
    }

    /// Asks for a message to the calling process when the socket is ready.
    pub fn await_ready(&self, env: Env, ready: Ready) -> Result<(), Fault> {
        Ok(self.handle.select(env, ready, &env.pid())?)
    }

    /// Closes the connection, with close_notify where that can go out at once and there is anybody to hear it.
    pub fn close(&self, env: Env) {
        link::say_goodbye(self);
        self.handle.close(env);
        // Somebody may hold the connection for long after this.
        let mut rx = self.rx.lock().unwrap_or_else(PoisonError::into_inner);
        rx.turn = None;
        rx.ahead = None;
        rx.closed = true;
    }
}

/// Makes `pid` the owner of the connection: it is closed when that process dies.
pub fn set_owner(conn: &ResourceArc<Conn>, env: Env, pid: &LocalPid) {
    let Ok(mut owner) = conn.owner.lock() else {
        return conn.close(env);
    };
    if let Some(old) = owner.take() {
        conn.demonitor(Some(env), &old);
    }
    *owner = conn.monitor(Some(env), pid);
    if owner.is_none() {
        drop(owner);
        conn.close(env); // it is dead already
    }
}

#[rustler::resource_impl]
impl Resource for Conn {
    const IMPLEMENTS_DESTRUCTOR: bool = true;
    const IMPLEMENTS_DOWN: bool = true;

    fn destructor(self, env: Env<'_>) {
        self.close(env);
    }

    fn down<'a>(&'a self, env: Env<'a>, _: LocalPid, monitor: Monitor) {
        let ours = self.owner.lock().map(|owner| *owner == Some(monitor));
        if ours.unwrap_or(true) {
            self.close(env);
        }
    }
}

/// Locks, or says that a panic has left the value unusable: such a link is over.
pub fn lock<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>, Fault> {
    mutex.lock().map_err(|_| Fault::Poisoned)
}
