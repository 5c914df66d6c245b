use merlon_secret::Secret;

use crate::{Error, Outside};

/// Where a value comes from.
pub enum Source {
    /// It is said.
    Value(Secret<String>),
    /// The text of a file, without white space around it; read each time.
    File(String),
    /// A variable of the environment.
    Variable(String),
}

impl Source {
    /// The value as it is now.
    pub fn read(&self, outside: &mut dyn Outside) -> Result<Secret<String>, Error> {
        match self {
            Source::Value(value) => Ok(Secret::new(value.expose().clone())),
            Source::File(path) => text(outside, path, true),
            Source::Variable(name) => outside
                .variable(name)
                .ok_or_else(|| Error::NoVariable { name: name.clone() }),
        }
    }
}

/// The text of a file, without white space around it.
pub(crate) fn text(
    outside: &mut dyn Outside,
    path: &str,
    secret: bool,
) -> Result<Secret<String>, Error> {
    let bytes = outside.file(path, secret)?;
    match std::str::from_utf8(bytes.expose()).map(str::trim) {
        Ok("") => Err(file(path, "empty")),
        Ok(text) => Ok(Secret::new(text.to_string())),
        Err(_) => Err(file(path, "not_text")),
    }
}

fn file(path: &str, why: &'static str) -> Error {
    Error::File {
        path: path.to_string(),
        why,
    }
}

/// The options of a store, by name. What is taken is gone.
#[derive(Default)]
pub struct Options(Vec<(String, Source)>);

impl Options {
    /// With one more.
    pub fn set(&mut self, name: String, source: Source) {
        self.0.push((name, source));
    }

    /// A value from wherever it is.
    pub fn source(&mut self, name: &'static str) -> Option<Source> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(at).1)
    }

    /// One that has to be there.
    pub fn need(&mut self, name: &'static str) -> Result<Source, Error> {
        self.source(name).ok_or(Error::Missing { name })
    }

    /// A text that is said.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        match self.source(name)? {
            Source::Value(value) => Some(value.expose().clone()),
            _ => None,
        }
    }

    /// One that has to be there.
    pub fn need_text(&mut self, name: &'static str) -> Result<String, Error> {
        self.text(name).ok_or(Error::Missing { name })
    }
}
