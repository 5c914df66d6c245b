use merlon_secret::Secret;
use ring::rand::SecureRandom;

use crate::json::Json;
use crate::{Error, Step};

/// How a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Asks with a body.
    Post,
    /// What the metadata server of EC2 wants for a token.
    Put,
}

/// One request. Its URL has been checked; its headers may be secret.
pub struct Request {
    /// How.
    pub method: Method,
    /// Where.
    pub url: String,
    /// Names in lower case.
    pub headers: Vec<(&'static str, Secret<String>)>,
    /// Empty for none.
    pub body: Secret<Vec<u8>>,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: Method, url: String) -> Request {
        Request {
            method,
            url,
            headers: Vec::new(),
            body: Secret::new(Vec::new()),
        }
    }

    /// With one header more.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Request {
        self.headers.push((name, Secret::new(value.into())));
        self
    }

    /// With this body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Request {
        self.body = Secret::new(body.into());
        self
    }
}

/// The answer, if it is no redirection and not too long.
pub struct Response {
    /// HTTP's number.
    pub status: u16,
    /// May be secret.
    pub body: Secret<Vec<u8>>,
}

impl Response {
    /// What a good answer says.
    pub(crate) fn json(&self, step: Step) -> Result<Json, Error> {
        match self.status {
            200 => Json::parse(self.body.expose(), step),
            status => Err(Error::Status {
                step,
                status,
                reason: None,
            }),
        }
    }
}

/// The world around a [`crate::Store`].
pub trait Outside {
    /// The answer to one request.
    fn send(&mut self, request: &Request) -> Result<Response, Error>;
    /// What is in a file; a secret one has to be kept from others.
    fn file(&mut self, path: &str, secret: bool) -> Result<Secret<Vec<u8>>, Error>;
    /// A variable of the environment, if it is set and not empty.
    fn variable(&mut self, name: &str) -> Option<Secret<String>>;
    /// Seconds since 1970.
    fn now(&self) -> u64;
    /// The system's generator.
    fn random(&self) -> &dyn SecureRandom;
}
