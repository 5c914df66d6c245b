//! A new root in the place of an old one: statements by which a CA tells the nodes of its cluster, stage by stage.
//!
//! No node believes another one about whom to trust, only a root that it trusts already. The old root's key vouches for
//! every statement, and the new one's as well: neither goes or comes without both.

use rcgen::SigningKey;
use rustls_pki_types::pem::PemObject;
use x509_cert::der::pem::{encode_string, LineEnding};

use crate::{
    issue::Key,
    name::cluster_uri,
    pin::check_self_signed,
    signed::check_bytes,
    x509::{certs_in, hex, sha256, Cert},
    Anchors, Der, Error, Part, UnixTime,
};

/// Goes before a statement, so that nothing else that is signed with a CA's key is taken for one.
const CONTEXT: &[u8] = b"merlon ca rotation statement 1\0";
const HEADER: &str = "merlon ca rotation 1";
/// Bytes of a statement; its certificate is the most of it.
const STATEMENT_MAX: usize = 16_384;
const SIGNATURE_MAX: usize = 1024;
const DAY: u64 = 86_400;

/// What nodes are told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Trust both roots.
    Trust,
    /// Stand on a certificate of the new one.
    Issue,
    /// Trust the old one no more.
    Finish,
    /// A rollback: stand on a certificate of the old one again.
    Back,
    /// Trust the new one no more.
    Undo,
}

const STAGES: [(Stage, &str); 5] = [
    (Stage::Trust, "trust"),
    (Stage::Issue, "issue"),
    (Stage::Finish, "finish"),
    (Stage::Back, "back"),
    (Stage::Undo, "undo"),
];

impl Stage {
    /// Its word in a statement.
    pub fn word(self) -> &'static str {
        let found = STAGES.iter().find(|(stage, _)| *stage == self);
        found.map_or("", |(_, word)| word)
    }

    /// The stage of that word.
    pub fn of_word(word: &str) -> Option<Self> {
        let found = STAGES.iter().find(|(_, known)| *known == word);
        found.map(|(stage, _)| *stage)
    }
}

/// What a statement says. Roots are named by the SHA-256 of their certificates, in hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Whose nodes are told.
    pub cluster: String,
    /// Later statements about an old root have higher ones.
    pub sequence: u64,
    /// What they are told.
    pub stage: Stage,
    /// The root that goes.
    pub old: String,
    /// The root that comes.
    pub new: String,
    /// Its certificate, PEM.
    pub new_pem: String,
}

/// A root's certificate and key, PEM.
#[derive(Clone, Copy)]
pub struct Root<'a> {
    /// Certificate.
    pub cert_pem: &'a str,
    /// Key.
    pub key_pem: &'a str,
}

/// Makes a statement. [`Error::KeyMismatch`], [`Error::Malformed`], [`Error::NoCertificate`], [`Error::Crypto`].
pub fn state_rotation(
    cluster: &str,
    sequence: u64,
    stage: Stage,
    old: Root<'_>,
    new: Root<'_>,
) -> Result<String, Error> {
    let (old_der, new_der) = (first(old.cert_pem)?, first(new.cert_pem)?);
    let pem = encode_string("CERTIFICATE", LineEnding::LF, &new_der).map_err(|_| Error::Crypto)?;
    let body = format!(
        "{HEADER}\ncluster {cluster}\nsequence {sequence}\nstage {}\nold {}\nnew {}\n{pem}",
        stage.word(),
        fingerprint(&old_der),
        fingerprint(&new_der),
    );
    let by_old = signature(&body, &old_der, old.key_pem)?;
    let by_new = signature(&body, &new_der, new.key_pem)?;
    Ok(format!("{body}by-old {by_old}\nby-new {by_new}\n"))
}

/// Judges a statement that somebody has sent, by the root that it says is the old one and that must be trusted here, in
/// `trust` (PEM texts). `known` is the highest sequence number that was taken of that root before; 0 if none was.
///
/// [`Error::Malformed`], [`Error::WrongCluster`], [`Error::OldStatement`] (one that is known, or that came before it),
/// [`Error::UnknownIssuer`] (the old root is not trusted here), [`Error::BadSignature`] of either root,
/// [`Error::AnchorNotValid`], and what makes the new root's certificate no good.
pub fn check_rotation<S: AsRef<str>>(
    text: &str,
    trust: &[S],
    cluster: &str,
    known: u64,
    now: UnixTime,
) -> Result<Statement, Error> {
    let (signed, statement) = Signed::read(text)?;
    if statement.cluster != cluster && !knockout::out!("rotation_cluster") {
        return Err(Error::WrongCluster {
            expected: cluster.to_owned(),
            found: statement.cluster,
        });
    }
    let old = trusted(&statement.old, trust)?;
    // That it goes is its last word, which counts when it has run out, too: nobody is introduced by that.
    let goes = statement.stage == Stage::Finish && trusted(&statement.new, trust).is_ok();
    if !goes {
        check_time(&old, now)?;
    }
    if !knockout::out!("rotation_old_key") {
        signed.check(&signed.by_old, &old)?;
    }
    if statement.sequence <= known && !knockout::out!("rotation_sequence") {
        return Err(Error::OldStatement);
    }
    let new = first(&statement.new_pem)?;
    check_new(&statement, (&old, &new), now)?;
    if !knockout::out!("rotation_new_key") {
        signed.check(&signed.by_new, &new)?;
    }
    // Numbers are times: one far ahead would leave none for what is to come.
    if statement.sequence > now.saturating_add(DAY) {
        return Err(Error::Malformed(Part::Statement));
    }
    Ok(statement)
}

/// The same PEM text without the certificate of that SHA-256 (hex), and whether it was there.
pub fn without_root(pem: &str, root: &str) -> Result<(String, bool), Error> {
    let ders = certs_in(pem)?;
    let kept: Vec<_> = ders.iter().filter(|der| fingerprint(der) != root).collect();
    let encoded: Result<Vec<String>, _> = kept
        .iter()
        .map(|der| encode_string("CERTIFICATE", LineEnding::LF, der))
        .collect();
    let texts = encoded.map_err(|_| Error::Malformed(Part::Pem))?;
    Ok((texts.concat(), kept.len() < ders.len()))
}

impl Statement {
    /// What a statement says, whoever has said it. [`Error::Malformed`].
    pub fn read(text: &str) -> Result<Self, Error> {
        Signed::read(text).map(|(_, statement)| statement)
    }

    fn of_body(body: &str) -> Option<Self> {
        let mut lines = body.splitn(7, '\n');
        let mut line = |name: &str| lines.next()?.strip_prefix(name);
        line(HEADER).filter(|rest| rest.is_empty())?;
        let cluster = line("cluster ")?.to_owned();
        let digits = line("sequence ")?;
        let sequence: u64 = digits.parse().ok()?;
        let stage = Stage::of_word(line("stage ")?)?;
        let (old, new) = (line("old ")?.to_owned(), line("new ")?.to_owned());
        let new_pem = line("")?.to_owned();
        let canonical = sequence.to_string() == digits && old != new;
        canonical.then_some(Self {
            cluster,
            sequence,
            stage,
            old,
            new,
            new_pem,
        })
    }
}

/// What was signed, and the signatures.
struct Signed<'a> {
    body: &'a str,
    by_old: Vec<u8>,
    by_new: Vec<u8>,
}

impl<'a> Signed<'a> {
    fn read(text: &'a str) -> Result<(Self, Statement), Error> {
        let parsed = Some(text).filter(|text| text.len() <= STATEMENT_MAX);
        let parsed = parsed.and_then(|text| {
            let (body, signatures) = text.split_once("by-old ")?;
            let (by_old, rest) = signatures.split_once("\nby-new ")?;
            let by_new = rest.strip_suffix('\n')?;
            let signed = Self {
                body,
                by_old: unhex(by_old)?,
                by_new: unhex(by_new)?,
            };
            Some((signed, Statement::of_body(body)?))
        });
        parsed.ok_or(Error::Malformed(Part::Statement))
    }

    fn check(&self, signature: &[u8], root: &Der<'_>) -> Result<(), Error> {
        let cert = Cert::read(root)?;
        let key = &cert.raw.tbs_certificate.subject_public_key_info;
        check_bytes(&said(self.body), key, signature).map_err(|_| Error::BadSignature)
    }
}

fn said(body: &str) -> Vec<u8> {
    [CONTEXT, body.as_bytes()].concat()
}

fn signature(body: &str, der: &Der<'_>, key_pem: &str) -> Result<String, Error> {
    let key = Key::from_pem(key_pem, &Cert::read(der)?)?;
    let signature = key.0.sign(&said(body)).map_err(|_| Error::Crypto)?;
    Ok(hex(&signature))
}

fn trusted<S: AsRef<str>>(root: &str, trust: &[S]) -> Result<Der<'static>, Error> {
    for pem in trust {
        for der in certs_in(pem.as_ref())? {
            if fingerprint(&der) == root {
                return Ok(der);
            }
        }
    }
    Err(Error::UnknownIssuer)
}

/// It is the one that is named, a root by itself, a CA that is accepted, of that cluster and no other.
fn check_new(
    statement: &Statement,
    (old, der): (&Der<'_>, &Der<'_>),
    now: UnixTime,
) -> Result<(), Error> {
    if knockout::out!("rotation_root") {
        return Ok(());
    }
    if certs_in(&statement.new_pem)?.len() != 1 || fingerprint(der) != statement.new {
        return Err(Error::Malformed(Part::Statement));
    }
    // Who only goes may have run out.
    match statement.stage {
        Stage::Undo => Anchors::one(der).map(|_| ())?,
        _ => check_time(der, now)?,
    }
    let cert = Cert::read(der)?;
    // The old root goes by its certificate: its key must not stay in another.
    if cert.public_key() == Cert::read(old)?.public_key() {
        return Err(Error::Malformed(Part::Statement));
    }
    check_self_signed(&cert, der).map_err(|_| Error::BadSignature)?;
    let wanted = cluster_uri(&statement.cluster);
    let uris: Vec<&str> = cert.uris().collect();
    match uris.iter().find(|uri| **uri != wanted) {
        Some(found) => Err(Error::WrongCluster {
            expected: statement.cluster.clone(),
            found: (*found).to_owned(),
        }),
        None if uris.is_empty() => Err(Error::NoIdentity),
        None => Ok(()),
    }
}

fn check_time(der: &Der<'_>, now: UnixTime) -> Result<(), Error> {
    let anchors = Anchors::one(der)?;
    match anchors.0.iter().find(|anchor| !anchor.is_valid(now)) {
        Some(anchor) => Err(Error::AnchorNotValid {
            not_before: anchor.not_before,
            not_after: anchor.not_after,
            now,
        }),
        None => Ok(()),
    }
}

fn first(pem: &str) -> Result<Der<'static>, Error> {
    Der::from_pem_slice(pem.as_bytes()).map_err(|_| Error::NoCertificate)
}

fn fingerprint(der: &Der<'_>) -> String {
    hex(&sha256(der))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    if bytes.len() > 2 * SIGNATURE_MAX || !bytes.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = bytes.chunks_exact(2).map(|pair| match pair {
        [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
        _ => None,
    });
    pairs.collect()
}
