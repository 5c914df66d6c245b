//! JSON whose texts are wiped.

use merlon_secret::Secret;
use serde_json::Value;
use zeroize::Zeroize;

use crate::{Error, Step};

/// A parsed answer, wiped when dropped.
pub(crate) struct Json(Value);

impl Json {
    /// Deeper than 128 levels, or longer than the bytes that were read, nothing can be.
    pub fn parse(bytes: &[u8], step: Step) -> Result<Json, Error> {
        serde_json::from_slice(bytes)
            .map(Json)
            .map_err(|_| Error::Malformed { step })
    }

    /// The value at the end of these names.
    fn at(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(&self.0, |value, name| value.get(name))
    }

    /// The text there.
    pub fn text(&self, path: &[&str]) -> Option<&str> {
        self.at(path)?.as_str()
    }

    /// The whole number there, be it written as a number or as text.
    pub fn number(&self, path: &[&str]) -> Option<u64> {
        let value = self.at(path)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    }
}

impl Drop for Json {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(values) => values.iter_mut().for_each(wipe),
        Value::Object(fields) => fields.values_mut().for_each(wipe),
        _ => (),
    }
}

/// An object of texts.
pub(crate) fn object(fields: &[(&str, &str)]) -> Secret<String> {
    let quoted = |text: &str| Value::from(text).to_string();
    let pairs: Vec<String> = fields
        .iter()
        .map(|(name, text)| format!("{}:{}", quoted(name), quoted(text)))
        .collect();
    Secret::new(format!("{{{}}}", pairs.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_and_misses_are_no_values() {
        let json = Json::parse(br#"{"a":{"b":"c","n":3,"t":"7"}}"#, Step::Read).unwrap();
        assert_eq!(json.text(&["a", "b"]), Some("c"));
        assert_eq!(json.number(&["a", "n"]), Some(3));
        assert_eq!(json.number(&["a", "t"]), Some(7));
        assert_eq!(json.text(&["a", "n"]), None);
        assert_eq!(json.text(&["x", "b"]), None);
        assert_eq!(json.text(&["a", "b", "c"]), None);
    }

    #[test]
    fn garbage_and_depth_are_refused() {
        let refused = |bytes: &[u8]| Json::parse(bytes, Step::Login).err();
        let malformed = Some(Error::Malformed { step: Step::Login });
        assert_eq!(refused(b"<html>"), malformed);
        assert_eq!(refused(b""), malformed);
        assert_eq!(refused("[".repeat(1_000_000).as_bytes()), malformed);
    }

    #[test]
    fn objects_escape_their_texts() {
        assert_eq!(object(&[("a", "b\"\\\n")]).expose(), r#"{"a":"b\"\\\n"}"#);
    }
}
