use argon2::{Algorithm, Argon2, AssociatedData, Block, Params, ParamsBuilder, Version};

use crate::memory::blocks;
use crate::Error;

/// Which of the three functions of RFC 9106.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argon2Kind {
    /// Argon2d: memory is read where the password says. Only to check what others have made.
    D,
    /// Argon2i: only to check what others have made.
    I,
    /// Argon2id: the one that the RFC requires.
    Id,
}

/// Costs of Argon2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Params {
    /// Which function.
    pub kind: Argon2Kind,
    /// Of before version 1.3 (0x13). Only to check what others have made.
    pub v0x10: bool,
    /// KiB.
    pub memory: u32,
    /// Times that the memory is gone over.
    pub passes: u32,
    /// Parts of the memory that could be filled at once. They are filled one after the other here.
    pub lanes: u32,
}

/// Inputs that the RFC has besides password and salt.
#[derive(Clone, Copy, Debug, Default)]
pub struct Argon2Extra<'a> {
    /// A key.
    pub secret: &'a [u8],
    /// 32 bytes at most.
    pub data: &'a [u8],
}

/// Fills `out` by Argon2 (RFC 9106). The memory is wiped afterwards. Costs are the caller's to check.
///
/// # Errors
/// [`Error::OutOfMemory`] when the memory can't be had, [`Error::Range`] for what the RFC does not allow.
pub fn argon2(
    params: &Argon2Params,
    password: &[u8],
    salt: &[u8],
    extra: Argon2Extra,
    out: &mut [u8],
) -> Result<(), Error> {
    let costs = costs(params, extra.data).map_err(refused)?;
    let mut memory = blocks(costs.block_count(), Block::new())?;
    let (kind, version) = (kind(params.kind), version(params));
    let context = match extra.secret {
        [] => Argon2::new(kind, version, costs),
        secret => Argon2::new_with_secret(secret, kind, version, costs).map_err(refused)?,
    };
    let memory = memory.expose_mut().as_mut_slice();
    context
        .hash_password_into_with_memory(password, salt, out, memory)
        .map_err(refused)
}

fn costs(params: &Argon2Params, data: &[u8]) -> argon2::Result<Params> {
    ParamsBuilder::new()
        .m_cost(params.memory)
        .t_cost(params.passes)
        .p_cost(params.lanes)
        .data(AssociatedData::new(data)?)
        .build()
}

fn kind(kind: Argon2Kind) -> Algorithm {
    match kind {
        Argon2Kind::D => Algorithm::Argon2d,
        Argon2Kind::I => Algorithm::Argon2i,
        Argon2Kind::Id => Algorithm::Argon2id,
    }
}

fn version(params: &Argon2Params) -> Version {
    match params.v0x10 {
        true => Version::V0x10,
        false => Version::V0x13,
    }
}

/// What the RFC does not allow.
fn refused(error: argon2::Error) -> Error {
    use argon2::Error as Bad;
    let (name, min, max) = match error {
        Bad::AdTooLong => ("data", 0, Params::MAX_DATA_LEN as u64),
        Bad::MemoryTooLittle => ("memory", 8, u64::from(u32::MAX)),
        Bad::OutputTooLong | Bad::OutputTooShort => ("length", 4, u64::from(u32::MAX)),
        Bad::SaltTooLong | Bad::SaltTooShort => ("salt", 8, u64::from(u32::MAX)),
        Bad::ThreadsTooFew | Bad::ThreadsTooMany => ("lanes", 1, u64::from(Params::MAX_P_COST)),
        Bad::TimeTooSmall => ("passes", 1, u64::from(u32::MAX)),
        _ => ("password", 0, u64::from(u32::MAX)),
    };
    Error::Range { name, min, max }
}
