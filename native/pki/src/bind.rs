//! Which node names a certificate may be used with.
//!
//! A pattern is text in which `*` stands for one or more of `A-Z a-z 0-9 _ -` and `#` for one or more hexadecimal digits.
//! Each further `#` raises the minimum by one: `####` is four or more. Words such as `db`, `fe` or `ad` are hexadecimal too,
//! so a pattern should ask for as many digits as its tool writes.

use crate::{Claimed, Error, Identity, NodeName};

/// Names that command-line tools give themselves (the part before the `@`), with as many digits as they write. Tools that
/// ask for a dynamic name (`erl -remsh` and `erl_call -R` since OTP 23, `iex --sname undefined --remsh`, relx since OTP 23)
/// need no pattern.
pub const DEFAULT_CLI: &[&str] = &[
    // elixir-lang/elixir lib/mix/lib/mix/tasks/release.init.ex: rem-$(rand)-$RELEASE_NODE, rpc-$(rand)-$RELEASE_NODE;
    // rand is `od -x` of 2 bytes: 4 digits. (Windows: !RANDOM!, 0 to 32767, of which 1 in 33 has fewer than 4.)
    "rem-####-*",
    "rpc-####-*",
    // erlware/relx priv/templates/extended_bin: remsh$(relx_gen_id)-$NAME, and for nodetool maint$(relx_gen_id)-$NAME;
    // relx_gen_id is `od -t x -N 4`: 8 digits
    "remsh########-*",
    "maint########-*",
    // erlware/relx priv/templates/nodetool: append_node_suffix(TargetName, "_maint_"), then the OS pid, hardly one of
    // a single digit: the node and the script were started before
    "*_maint_##",
    // rabbitmq deps/rabbitmq_cli lib/rabbitmq/cli/core/distribution.ex: rabbitmqcli-#{1..1024}-#{rabbit@host}
    "rabbitmqcli-#-*",
    // `rabbitmqctl help` of RabbitMQ 3.10.8, seen in use
    "rabbit_ctl_#",
    // processone/ejabberd ejabberdctl.template, uid(), 2016 to 2024 (since then it asks for a dynamic name):
    // ${uuid%%-*}-ctl-$NODE, and the same for debug, top, ping; the first group of a UUID has 8 digits
    "########-ctl-*",
    "########-debug-*",
    "########-top-*",
    "########-ping",
    // of which Debian's 23.01 takes 3, seen in use: few enough that the node has to be called so
    "###-ctl-ejabberd",
    "###-debug-ejabberd",
    "###-top-ejabberd",
    // before 2016 that template had ctl-$NODE, ctl-${RAND}-$NODE with RAND from 0 to 100, ejabberdctl-{1..100}
    "ctl-ejabberd",
    "ctl-#-ejabberd",
    "ejabberdctl-#",
];

/// Names derived from a node's own: RabbitMQ boots as `rabbit_prelaunch_OSPID` first.
pub const DEFAULT_DERIVED: &[&str] = &["{name}_prelaunch_*"];

/// Fewer literal characters in a row than these would cover ordinary nodes: more are asked for when `*` is the only
/// wildcard. This catches slips; an operator who writes `node-#` means it.
const RUN_MIN: usize = 4;
const RUN_MIN_WIDE: usize = 6;

/// Which names, beyond a node's own, an identity may take. `Default` has [`DEFAULT_CLI`] and [`DEFAULT_DERIVED`].
#[derive(Clone, Debug)]
pub struct BindRules {
    cli: Vec<Pattern>,
    derived: Vec<Pattern>,
    protected: Vec<NodeName>,
}

impl BindRules {
    /// Rules from patterns for tools' names and for derived names. A derived one starts with `{name}`, the node's own,
    /// and a separator.
    ///
    /// [`Error::BadPattern`] for a pattern that could cover ordinary nodes: one with a wildcard must hold a `-` or `_` and
    /// 4 literal characters in a row, 6 if it has no `#`.
    pub fn new<S: AsRef<str>>(cli: &[S], derived: &[S]) -> Result<Self, Error> {
        Ok(Self {
            cli: cli
                .iter()
                .map(|p| Pattern::tool(p.as_ref()))
                .collect::<Result<_, _>>()?,
            derived: derived
                .iter()
                .map(|p| Pattern::derived(p.as_ref()))
                .collect::<Result<_, _>>()?,
            protected: Vec::new(),
        })
    }

    /// Adds a node whose name, and names derived from it, no tool may ever take: the caller's own.
    #[must_use]
    pub fn protect(mut self, node: NodeName) -> Self {
        self.protected.push(node);
        self
    }

    fn is_derived(&self, node: &NodeName, other: &NodeName) -> bool {
        let suffix = other.name().strip_prefix(node.name());
        node.host() == other.host()
            && suffix.is_some_and(|s| self.derived.iter().any(|p| p.matches(s)))
    }

    fn is_tool(&self, node: &NodeName) -> bool {
        let protected = self
            .protected
            .iter()
            .any(|p| p == node || self.is_derived(p, node));
        let named = || self.cli.iter().any(|p| p.matches(node.name()));
        !protected && (is_given_by_otp(node.name()) || named())
    }
}

/// The form of the name that OTP gives a node which asks for one (net_kernel: 64 random bits in base 36); with it the
/// tool goes on to other nodes. 13 digits begin with 1, 2 or 3; of 12 digits all are possible; fewer are one in 140,
/// and would cover names like `CASSANDRA01`: those tools have to try again.
fn is_given_by_otp(name: &str) -> bool {
    let fits = match name.len() {
        12 => true,
        13 => name.starts_with(['1', '2', '3']),
        _ => false,
    };
    fits && name
        .bytes()
        .all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
}

impl Default for BindRules {
    fn default() -> Self {
        // The constants are checked by a test; were one bad, no derived or tool name at all is the safe reading.
        Self::new(DEFAULT_CLI, DEFAULT_DERIVED).unwrap_or(Self {
            cli: Vec::new(),
            derived: Vec::new(),
            protected: Vec::new(),
        })
    }
}

/// Accepting side: may a peer with this certificate call itself that? [`Error::WrongName`] if not.
///
/// A node's certificate is for exactly that node and names derived from it on the same host; a tool's for a dynamic name
/// or a tool's name, both on its host.
pub fn binds(identity: &Identity, claimed: &Claimed, rules: &BindRules) -> Result<(), Error> {
    if let Identity::Hosts { .. } = identity {
        return Err(Error::NoIdentity); // good for another carrier only
    }
    let bound = match (identity.node_name(), claimed) {
        (Some(own), Claimed::Static(node)) => own == *node || rules.is_derived(&own, node),
        (Some(_), Claimed::Dynamic { .. }) => false,
        (None, Claimed::Static(node)) => node.host() == identity.host() && rules.is_tool(node),
        (None, Claimed::Dynamic { host }) => host == identity.host(),
    };
    decide(bound, identity, claimed)
}

/// Dialling side: is the peer with this certificate the node that was dialled? A node's certificate must be exactly that
/// node's; a tool's must be of that host, and the dialled name a tool's (brokers dial their tools). [`Error::WrongName`]
/// if not.
pub fn is_dialled(identity: &Identity, target: &NodeName, rules: &BindRules) -> Result<(), Error> {
    let claimed = Claimed::Static(target.clone());
    match identity.node_name() {
        Some(own) => decide(own == *target, identity, &claimed),
        None => binds(identity, &claimed, rules),
    }
}

fn decide(bound: bool, identity: &Identity, claimed: &Claimed) -> Result<(), Error> {
    if bound || knockout::out!("node_name") {
        return Ok(());
    }
    Err(Error::WrongName {
        certified: identity.uri()?,
        claimed: claimed.to_string(),
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Literal(char),
    Word,
    Hex,
}

impl Token {
    fn accepts(self, c: char) -> bool {
        match self {
            Self::Literal(l) => l == c,
            Self::Word => c.is_ascii_alphanumeric() || is_separator(c),
            Self::Hex => c.is_ascii_hexdigit(),
        }
    }

    fn literal(self) -> Option<char> {
        match self {
            Self::Literal(c) => Some(c),
            Self::Word | Self::Hex => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern(Vec<Token>);

impl Pattern {
    fn tool(text: &str) -> Result<Self, Error> {
        let pattern = Self::parse(text)?;
        let exact = !pattern.0.is_empty() && pattern.0.iter().all(|t| t.literal().is_some());
        if exact || pattern.is_narrow() {
            Ok(pattern)
        } else {
            Err(bad(text))
        }
    }

    /// What follows `{name}`.
    fn derived(text: &str) -> Result<Self, Error> {
        let rest = text.strip_prefix("{name}").ok_or_else(|| bad(text))?;
        let pattern = Self::parse(rest).map_err(|_| bad(text))?;
        let apart = rest.starts_with(is_separator);
        if apart && pattern.is_narrow() {
            Ok(pattern)
        } else {
            Err(bad(text))
        }
    }

    fn parse(text: &str) -> Result<Self, Error> {
        let token = |c| match c {
            '*' => Ok(Token::Word),
            '#' => Ok(Token::Hex),
            c if Token::Word.accepts(c) => Ok(Token::Literal(c)),
            _ => Err(bad(text)),
        };
        text.chars().map(token).collect::<Result<_, _>>().map(Self)
    }

    fn is_narrow(&self) -> bool {
        let min = if self.0.contains(&Token::Hex) {
            RUN_MIN
        } else {
            RUN_MIN_WIDE
        };
        let mut runs = self.0.split(|t| t.literal().is_none());
        let apart = self.0.iter().filter_map(|t| t.literal()).any(is_separator);
        apart && runs.any(|run| run.len() >= min)
    }

    /// Whether the whole text matches, in time proportional to text times pattern whatever a peer sends.
    fn matches(&self, text: &str) -> bool {
        let mut states = vec![0usize];
        for c in text.chars() {
            let mut next = Vec::with_capacity(self.0.len());
            for state in states {
                if let Some(token) = self.0.get(state).filter(|t| t.accepts(c)) {
                    if token.literal().is_none() {
                        next.push(state);
                    }
                    next.push(state.saturating_add(1));
                }
            }
            next.dedup(); // sorted: states are visited in order, each yields itself or its successor
            states = next;
        }
        states.contains(&self.0.len())
    }
}

fn is_separator(c: char) -> bool {
    matches!(c, '-' | '_')
}

fn bad(pattern: &str) -> Error {
    Error::BadPattern {
        pattern: pattern.to_owned(),
    }
}
