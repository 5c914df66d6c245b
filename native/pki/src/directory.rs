//! What is served beside links. The name service of a host: who may keep it, who may stand in it under which name, and who
//! is told. The status page: who may see it.

use crate::{binds, is_dialled, BindRules, Claimed, Error, Identity, NodeName};

/// Whether one with that certificate may keep the names of a host: a node, since any user of the host may be given a
/// tool's. [`Error::NotANode`].
pub fn may_keep(keeper: &Identity) -> Result<(), Error> {
    match keeper {
        Identity::Cli { .. } if !knockout::out!("names_keeper") => Err(Error::NotANode),
        _ => Ok(()),
    }
}

/// Whether one with that certificate may see a node's status page: a tool, which is a person's. [`Error::NotATool`].
pub fn may_view(viewer: &Identity) -> Result<(), Error> {
    match viewer {
        Identity::Cli { .. } => Ok(()),
        _ if knockout::out!("status_tool") => Ok(()),
        _ => Err(Error::NotATool),
    }
}

/// Whether one with that certificate may say where `name` listens: only of itself. [`Error::WrongName`].
pub fn may_register(owner: &Identity, name: &NodeName, rules: &BindRules) -> Result<(), Error> {
    if knockout::out!("names_register") {
        return Ok(());
    }
    binds(owner, &Claimed::Static(name.clone()), rules)
}

/// Whether `asker` may be told where `owner` listens as `name`: of what it could link to. Nobody links to a name
/// that its owner's certificate does not prove to those who dial it, and nodes dial tools, but tools do not.
pub fn may_learn(asker: &Identity, owner: &Identity, name: &NodeName, rules: &BindRules) -> bool {
    let both_tools = matches!((asker, owner), (Identity::Cli { .. }, Identity::Cli { .. }));
    knockout::out!("names_learn") || (!both_tools && is_dialled(owner, name, rules).is_ok())
}
