/// Which exchange went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Becoming somebody: a login, a token, credentials.
    Login,
    /// Reading the secret.
    Read,
}

impl Step {
    /// Its stable name.
    pub fn code(self) -> &'static str {
        match self {
            Step::Login => "login",
            Step::Read => "read",
        }
    }
}

/// Why there is no secret. Holds nothing of what a server has said but its status, and nothing secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    // Misuse: the settings.
    /// An option that must be there is not.
    Missing {
        /// Its name.
        name: &'static str,
    },
    /// Not `https://HOST[:PORT][/PATH]`.
    BadUrl {
        /// The option that it came from.
        name: &'static str,
    },
    /// `http://` to another machine: whoever is on the way would read the secret.
    Plaintext {
        /// The option that it came from.
        name: &'static str,
    },

    // Local: this machine.
    /// A file that can't be read or used.
    File {
        /// Where it is.
        path: String,
        /// Why: a stable word.
        why: &'static str,
    },
    /// A variable of the environment that is not set.
    NoVariable {
        /// Its name.
        name: String,
    },
    /// None of the places where AWS credentials may be has any.
    NoCredentials,
    /// A service account's file that is none, or whose key can't be used.
    BadKey {
        /// Where it is.
        path: String,
    },

    // The network.
    /// The host's name has no address.
    HostNotFound,
    /// No connection.
    Connect {
        /// Why: a stable word.
        why: &'static str,
    },
    /// No TLS.
    Tls {
        /// Why: a stable word.
        why: &'static str,
    },
    /// Not in time.
    Timeout,

    // Peer: the server.
    /// What came is no HTTP.
    NotHttp,
    /// More than is ever taken.
    TooLarge,
    /// It sends us elsewhere, and we do not go.
    Redirected,
    /// It refuses.
    Status {
        /// In which exchange.
        step: Step,
        /// HTTP's number.
        status: u16,
        /// The store's own word, if it is one that we know.
        reason: Option<&'static str>,
    },
    /// An answer that is not what it should be.
    Malformed {
        /// In which exchange.
        step: Step,
    },
    /// The secret has no such field, or it is no text.
    NoField {
        /// Which.
        name: String,
    },
    /// The value has another checksum than the store says.
    Checksum,
}

impl Error {
    /// Its stable name.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Missing { .. } => "missing_option",
            Error::BadUrl { .. } => "bad_url",
            Error::Plaintext { .. } => "plaintext",
            Error::File { .. } => "file",
            Error::NoVariable { .. } => "no_variable",
            Error::NoCredentials => "no_credentials",
            Error::BadKey { .. } => "bad_key",
            Error::HostNotFound => "host_not_found",
            Error::Connect { .. } => "connect",
            Error::Tls { .. } => "tls",
            Error::Timeout => "timeout",
            Error::NotHttp => "not_http",
            Error::TooLarge => "too_large",
            Error::Redirected => "redirected",
            Error::Status { .. } => "status",
            Error::Malformed { .. } => "malformed",
            Error::NoField { .. } => "no_field",
            Error::Checksum => "store_checksum",
        }
    }
}
