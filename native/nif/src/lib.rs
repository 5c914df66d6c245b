//! `merlon_nif`: what the Erlang VM loads. Each function decodes its arguments, makes one call
//! into a core crate, and encodes the answer. Nothing here waits.

// The entry points are documented where Erlang sees them, in merlon_nif.erl.
#![allow(missing_docs)]
#![deny(unsafe_code)]

mod conn;
mod cookie;
mod crl;
mod csr;
mod etf;
mod fetch;
mod foreign;
mod frames;
mod identity;
mod join;
mod kdf;
mod keyring;
mod link;
mod live;
mod mint;
mod names;
mod pki;
mod plain;
mod recv;
mod roots;
mod rotate;
mod secret;
mod select;
mod send;
mod shake;
mod socket;
mod term;
mod window;

fn load(env: rustler::Env, _: rustler::Term) -> bool {
    select::open_type(env)
}

rustler::init!("merlon_nif", load = load);
