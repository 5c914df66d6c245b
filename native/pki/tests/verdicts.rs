//! More than 200 bad chains and some 60 good ones, each with the expected verdict, put before this crate, `openssl verify`
//! and OTP's `public_key`. Where the others differ, the table [`DIFFERENCES`] says why; a difference that it does not
//! explain fails the test, and so does an explanation that nothing needs.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]
#![allow(missing_docs)]

#[path = "verdicts/build.rs"]
mod build;
#[path = "verdicts/differences.rs"]
mod differences;
#[path = "verdicts/leaves.rs"]
mod leaves;
#[path = "verdicts/lists.rs"]
mod lists;
#[path = "verdicts/paths.rs"]
mod paths;

use build::{Chain, CLUSTER, NOW};
use differences::DIFFERENCES;
use merlon_pki::{Anchors, Crls, Der, Usage, Verifier};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

/// One chain and what is to be said of it.
struct Case {
    name: String,
    /// The error's code; none for a good one.
    expected: Option<&'static str>,
    usage: Usage,
    roots: Vec<Vec<u8>>,
    chain: Vec<Vec<u8>>,
    crls: Vec<Vec<u8>>,
}

#[derive(Default)]
pub struct Suite(Vec<Case>);

impl Suite {
    pub fn good(&mut self, name: &str, between: usize, change: impl FnOnce(&mut Chain)) {
        self.case(name, None, between, change);
    }

    pub fn bad(
        &mut self,
        name: &str,
        code: &'static str,
        between: usize,
        change: impl FnOnce(&mut Chain),
    ) {
        self.case(name, Some(code), between, change);
    }

    pub fn case(
        &mut self,
        name: &str,
        expected: Option<&'static str>,
        between: usize,
        change: impl FnOnce(&mut Chain),
    ) {
        let mut made = Chain::new(between);
        change(&mut made);
        let mut roots = vec![made.root.der()];
        let mut chain: Vec<_> = [&made.leaf]
            .into_iter()
            .chain(&made.mids)
            .map(|s| s.der())
            .collect();
        (made.trusted)(&mut roots);
        (made.shown)(&mut chain);
        self.0.push(Case {
            name: name.to_owned(),
            expected,
            usage: made.usage,
            roots,
            chain,
            crls: made.crls,
        });
    }

    fn all() -> Vec<Case> {
        let mut suite = Self::default();
        paths::cases(&mut suite);
        lists::cases(&mut suite);
        leaves::cases(&mut suite);
        suite.0
    }
}

fn pem(label: &str, ders: &[Vec<u8>]) -> String {
    let one = |der: &Vec<u8>| {
        x509_cert::der::pem::encode_string(label, x509_cert::der::pem::LineEnding::LF, der).unwrap()
    };
    ders.iter().map(one).collect()
}

impl Case {
    /// The error's code, none if it is accepted.
    fn ours(&self) -> Option<&'static str> {
        let crls: Vec<_> = self
            .crls
            .iter()
            .map(|der| pem("X509 CRL", std::slice::from_ref(der)))
            .collect();
        let judge = || {
            let anchors = Anchors::from_pems(&[pem("CERTIFICATE", &self.roots)])?;
            let verifier = Verifier::new(anchors, Crls::from_pems(&crls)?, CLUSTER)?;
            let chain: Vec<_> = self.chain.iter().map(|der| Der::from(&der[..])).collect();
            verifier.verify(&chain, self.usage, NOW)
        };
        judge().err().map(|error| error.code())
    }

    fn write(&self, dir: &Path) {
        let folder = dir.join(&self.name);
        std::fs::create_dir_all(&folder).unwrap();
        let put = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
        put("roots.pem", pem("CERTIFICATE", &self.roots));
        put("chain.pem", pem("CERTIFICATE", &self.chain));
        put("leaf.pem", pem("CERTIFICATE", &self.chain[..1]));
        put("others.pem", pem("CERTIFICATE", &self.chain[1..]));
        if !self.crls.is_empty() {
            put("crls.pem", pem("X509 CRL", &self.crls));
        }
    }

    fn openssl(&self, dir: &Path) -> bool {
        let time = NOW.to_string();
        let purpose = format!("ssl{}", self.usage);
        let mut verify = Command::new("openssl");
        verify.current_dir(dir.join(&self.name));
        verify.args([
            "verify",
            "-x509_strict",
            "-auth_level",
            "2",
            "-no-CApath",
            "-no-CAstore",
        ]);
        verify.args([
            "-purpose",
            &purpose,
            "-attime",
            &time,
            "-CAfile",
            "roots.pem",
        ]);
        if self.chain.len() > 1 {
            verify.args(["-untrusted", "others.pem"]);
        }
        if !self.crls.is_empty() {
            verify.args(["-crl_check_all", "-CRLfile", "crls.pem"]);
        }
        verify.arg("leaf.pem").output().unwrap().status.success()
    }
}

/// What OTP says of each.
fn otp(dir: &Path) -> BTreeMap<String, String> {
    let script = dir.with_extension("escript");
    std::fs::write(&script, include_str!("verdicts/otp.escript")).unwrap();
    let output = Command::new("escript")
        .args([script.as_path(), dir])
        .output();
    std::fs::remove_file(&script).unwrap();
    let output = output.unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let said = String::from_utf8(output.stdout).unwrap();
    let line = |line: &str| {
        line.split_once(' ')
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
    };
    said.lines().filter_map(line).collect()
}

fn is_about(about: &str, name: &str) -> bool {
    let (begin, end) = about.split_once('*').unwrap_or((about, ""));
    name.starts_with(begin) && name.ends_with(end)
}

struct Dir(PathBuf);

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn every_chain_gets_the_expected_verdict() {
    let cases = Suite::all();
    let names: BTreeSet<_> = cases.iter().map(|case| &case.name).collect();
    assert_eq!(names.len(), cases.len(), "two cases of one name");
    let good = cases.iter().filter(|case| case.expected.is_none()).count();
    println!("{good} good chains, {} bad ones", cases.len() - good);
    assert!(good >= 40 && cases.len() - good >= 200);
    let wrong: Vec<_> = cases
        .iter()
        .filter(|case| case.ours() != case.expected)
        .map(|case| format!("{}: {:?}, not {:?}", case.name, case.ours(), case.expected))
        .collect();
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn where_openssl_and_otp_differ_is_explained() {
    let cases = Suite::all();
    let dir = Dir(std::env::temp_dir().join(format!("merlon-verdicts-{}", std::process::id())));
    cases.iter().for_each(|case| case.write(&dir.0));
    let otp = otp(&dir.0);
    let (mut needed, mut unexplained, mut table) = (BTreeSet::new(), vec![], vec![]);
    for case in &cases {
        let ours = case.ours().is_none();
        let others = [
            ("openssl", case.openssl(&dir.0)),
            ("otp", otp[&case.name] == "ok"),
        ];
        for (judge, theirs) in others.into_iter().filter(|(_, theirs)| *theirs != ours) {
            let why = DIFFERENCES.iter().position(|(who, about, accepts, _)| {
                *who == judge && is_about(about, &case.name) && *accepts == theirs
            });
            let verb = if theirs { "accepts" } else { "refuses" };
            match why {
                Some(index) => {
                    needed.insert(index);
                    table.push(format!(
                        "{:42} {judge} {verb}: {}",
                        case.name, DIFFERENCES[index].3
                    ));
                }
                None => unexplained.push(format!(
                    "{judge} {verb} {} ({})",
                    case.name, otp[&case.name]
                )),
            }
        }
    }
    println!("{}", table.join("\n"));
    println!("{} chains, {} differences", cases.len(), table.len());
    assert!(
        unexplained.is_empty(),
        "{}:\n{}",
        unexplained.len(),
        unexplained.join("\n")
    );
    // Others of their versions differ less.
    let version = Command::new("openssl")
        .arg("version")
        .output()
        .unwrap()
        .stdout;
    if version.starts_with(b"OpenSSL 3.0") {
        let stale: Vec<_> = (0..DIFFERENCES.len())
            .filter(|i| !needed.contains(i))
            .collect();
        assert!(
            stale.is_empty(),
            "explanations that nothing needs: {stale:?}"
        );
    }
}
