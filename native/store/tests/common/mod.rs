//! A world of written exchanges: what is asked is compared, what is answered was written down.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used)]

use merlon_secret::Secret;
use merlon_store::{Error, Options, Outside, Request, Response, Source};
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::{HashMap, VecDeque};

/// What has been asked, as text.
pub struct Asked {
    pub line: String,
    pub headers: HashMap<&'static str, String>,
    pub body: String,
}

#[derive(Default)]
pub struct Script {
    pub now: u64,
    pub files: HashMap<&'static str, String>,
    pub variables: HashMap<&'static str, &'static str>,
    pub answers: VecDeque<Result<(u16, String), Error>>,
    pub asked: Vec<Asked>,
    random: Option<SystemRandom>,
}

impl Script {
    pub fn at(now: u64) -> Script {
        let random = Some(SystemRandom::new());
        Script {
            now,
            random,
            ..Script::default()
        }
    }

    pub fn answer(&mut self, status: u16, body: &str) -> &mut Script {
        self.answers.push_back(Ok((status, body.to_string())));
        self
    }

    pub fn fail(&mut self, error: Error) -> &mut Script {
        self.answers.push_back(Err(error));
        self
    }

    /// Method and address of each request.
    pub fn lines(&self) -> Vec<&str> {
        self.asked.iter().map(|asked| asked.line.as_str()).collect()
    }
}

impl Outside for Script {
    fn send(&mut self, request: &Request) -> Result<Response, Error> {
        self.asked.push(Asked {
            line: format!("{:?} {}", request.method, request.url),
            headers: request
                .headers
                .iter()
                .map(|(name, value)| (*name, value.expose().clone()))
                .collect(),
            body: String::from_utf8(request.body.expose().clone()).unwrap(),
        });
        let (status, body) = self
            .answers
            .pop_front()
            .expect("nobody expects this request")?;
        Ok(Response {
            status,
            body: Secret::new(body.into_bytes()),
        })
    }

    fn file(&mut self, path: &str, _secret: bool) -> Result<Secret<Vec<u8>>, Error> {
        match self.files.get(path) {
            Some(text) => Ok(Secret::new(text.clone().into_bytes())),
            None => Err(Error::File {
                path: path.to_string(),
                why: "enoent",
            }),
        }
    }

    fn variable(&mut self, name: &str) -> Option<Secret<String>> {
        self.variables
            .get(name)
            .map(|value| Secret::new(value.to_string()))
    }

    fn now(&self) -> u64 {
        self.now
    }

    fn random(&self) -> &dyn SecureRandom {
        self.random.as_ref().unwrap()
    }
}

pub fn options(texts: &[(&str, &str)]) -> Options {
    let mut options = Options::default();
    for (name, text) in texts {
        options.set(
            name.to_string(),
            Source::Value(Secret::new(text.to_string())),
        );
    }
    options
}

pub fn text(secret: &Secret<Vec<u8>>) -> &str {
    std::str::from_utf8(secret.expose()).unwrap()
}
