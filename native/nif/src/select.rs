//! The raw corner: a resource type with a `stop` callback, which rustler does not offer, so that
//! a descriptor known to the VM's poll set is closed only when the VM says so (erl_nif(3),
//! enif_select). All `unsafe` of the workspace is in this file.
//!
//! One [`Handle`] owns one socket. READ and WRITE may be selected by two different processes.
//! `close(2)` happens in `stop` alone, behind a lock that every system call on the socket shares,
//! so a descriptor number is never used after it was given back to the system.
#![allow(unsafe_code)]

use merlon_sock::Sock;
use rustler::sys::{
    c_char, c_int, c_void, enif_alloc_resource, enif_open_resource_type_x, enif_release_resource,
    enif_select, ErlNifEnv, ErlNifEvent, ErlNifResourceDtor, ErlNifResourceFlags,
    ErlNifResourceStop, ErlNifResourceType, ErlNifResourceTypeInit, ERL_NIF_SELECT_READ,
    ERL_NIF_SELECT_STOP, ERL_NIF_SELECT_WRITE,
};
use rustler::types::atom;
use rustler::{Encoder, Env, LocalPid};
use std::io;
use std::os::fd::RawFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

/// What a process wants to be told of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// `{select, _, undefined, ready_input}`
    Input,
    /// `{select, _, undefined, ready_output}`
    Output,
}

struct Inner {
    raw: RawFd,
    /// True once closing has begun. Held while the poll set is changed, never in `stop`.
    closing: Mutex<bool>,
    /// Shared by system calls (none of which can block), exclusive in `stop`.
    sock: RwLock<Option<Sock>>,
}

/// An owned reference to a socket that the VM can poll.
pub struct Handle(NonNull<Inner>);

// SAFETY: Inner is Sync (its fields are locks around Send values) and the resource's reference
// count is atomic, so a Handle may move to and be used from any scheduler.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

static TYPE: AtomicPtr<ErlNifResourceType> = AtomicPtr::new(ptr::null_mut());

/// Opens the resource type; called from the NIF library's load callback only.
pub fn open_type(env: Env) -> bool {
    let init = ErlNifResourceTypeInit {
        dtor: on_destroy as *const ErlNifResourceDtor,
        stop: on_stop as *const ErlNifResourceStop,
        down: ptr::null(),
        members: 2,
        dyncall: ptr::null(),
    };
    // SAFETY: called from load; the name is NUL-terminated and `init` outlives the call.
    let opened = unsafe {
        enif_open_resource_type_x(
            env.as_c_arg(),
            c"merlon_socket".as_ptr().cast::<c_char>(),
            &init,
            ErlNifResourceFlags::ERL_NIF_RT_CREATE,
            ptr::null_mut(),
        )
    };
    TYPE.store(opened.cast_mut(), Ordering::Release);
    !opened.is_null()
}

impl Handle {
    /// Takes the socket over.
    pub fn new(sock: Sock) -> io::Result<Self> {
        const { assert!(align_of::<Inner>() <= 8) };
        let kind = TYPE.load(Ordering::Acquire);
        // SAFETY: the type was opened in load (checked below); the size is Inner's.
        let memory = unsafe {
            if kind.is_null() {
                ptr::null_mut()
            } else {
                enif_alloc_resource(kind, size_of::<Inner>()).cast::<Inner>()
            }
        };
        let memory = NonNull::new(memory).ok_or(io::ErrorKind::OutOfMemory)?;
        let inner = Inner {
            raw: sock.raw(),
            closing: Mutex::new(false),
            sock: RwLock::new(Some(sock)),
        };
        // SAFETY: fresh memory of Inner's size, aligned to 8 bytes as all resources are.
        unsafe { memory.as_ptr().write(inner) };
        Ok(Self(memory))
    }

    /// Runs `call` on the socket, or fails with `NotConnected` after it was closed.
    pub fn with<T>(&self, call: impl FnOnce(&Sock) -> io::Result<T>) -> io::Result<T> {
        let guard = self.inner().sock.read();
        match &*guard.unwrap_or_else(PoisonError::into_inner) {
            Some(sock) => call(sock),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Asks for one message to `pid` when the socket is ready.
    pub fn select(&self, env: Env, ready: Ready, pid: &LocalPid) -> io::Result<()> {
        let mode = match ready {
            Ready::Input => ERL_NIF_SELECT_READ,
            Ready::Output => ERL_NIF_SELECT_WRITE,
        };
        let closing = self.inner().closing.lock();
        if *closing.unwrap_or_else(PoisonError::into_inner) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let reference = atom::undefined().encode(env).as_c_arg();
        // SAFETY: the descriptor is open, since `closing` is held and false; obj is our resource.
        let result = unsafe {
            enif_select(
                env.as_c_arg(),
                self.inner().raw,
                mode,
                self.0.as_ptr().cast::<c_void>(),
                pid.as_c_arg(),
                reference,
            )
        };
        if result < 0 {
            Err(io::Error::other("enif_select"))
        } else {
            Ok(())
        }
    }

    /// Ends the connection now and gives the descriptor back as soon as the VM allows. Idempotent.
    pub fn close(&self, env: Env) {
        let closing = self.inner().closing.lock();
        let mut closing = closing.unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *closing, true) {
            return;
        }
        let _ = self.with(|sock| {
            sock.shutdown();
            Ok(())
        });
        let reference = atom::undefined().encode(env).as_c_arg();
        // SAFETY: the descriptor is still open: only `stop`, which this call asks for, closes it.
        unsafe {
            enif_select(
                env.as_c_arg(),
                self.inner().raw,
                ERL_NIF_SELECT_STOP,
                self.0.as_ptr().cast::<c_void>(),
                ptr::null(),
                reference,
            )
        };
    }

    fn inner(&self) -> &Inner {
        // SAFETY: this Handle holds a reference, so the resource is alive and initialised.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: gives back the one reference that `new` got from enif_alloc_resource.
        unsafe { enif_release_resource(self.0.as_ptr().cast::<c_void>()) };
    }
}

/// The descriptor is out of the poll set and no scheduler polls it: close it.
unsafe extern "C" fn on_stop(_: *mut ErlNifEnv, obj: *mut c_void, _: ErlNifEvent, _: c_int) {
    // SAFETY: the VM passes the resource that was given to enif_select.
    let inner = unsafe { &*obj.cast::<Inner>() };
    let sock = inner.sock.write();
    drop(sock.unwrap_or_else(PoisonError::into_inner).take());
}

/// Nobody refers to the resource any more, the poll set included.
unsafe extern "C" fn on_destroy(_: *mut ErlNifEnv, obj: *mut c_void) {
    // SAFETY: the VM calls this once, last; `new` initialised the memory.
    unsafe { ptr::drop_in_place(obj.cast::<Inner>()) };
}
