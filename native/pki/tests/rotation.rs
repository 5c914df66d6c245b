//! A node trusts a new root on the word of the old one, and of nobody else.
#![allow(clippy::unwrap_used)]

mod common;

use common::{ca, CLUSTER, DAY, NOW};
use merlon_pki::{
    check_rotation, new_ca, state_rotation, vouch, without_root, Alg, Error, Issued, Part, Root,
    Stage, Statement,
};

fn root(issued: &Issued) -> Root<'_> {
    Root {
        cert_pem: &issued.cert_pem,
        key_pem: &issued.key_pem,
    }
}

fn say(sequence: u64, stage: Stage, old: &Issued, new: &Issued) -> String {
    state_rotation(CLUSTER, sequence, stage, root(old), root(new)).unwrap()
}

fn judge(text: &str, trust: &Issued, known: u64) -> Result<Stage, Error> {
    check_rotation(text, &[&trust.cert_pem], CLUSTER, known, NOW).map(|said| said.stage)
}

/// One statement with a body of another.
fn forged(text: &str, change: impl Fn(&str) -> String) -> String {
    let (body, signatures) = text.split_once("by-old ").unwrap();
    format!("{}by-old {signatures}", change(body))
}

/// The signature of one root exchanged.
fn with_signature(text: &str, name: &str, signature: &str) -> String {
    let lines = text.lines().map(|line| match line.strip_prefix(name) {
        Some(_) => format!("{name}{signature}\n"),
        None => format!("{line}\n"),
    });
    lines.collect()
}

fn signature_of<'a>(text: &'a str, name: &str) -> &'a str {
    let mut found = text.lines().filter_map(|line| line.strip_prefix(name));
    found.next().unwrap()
}

const STAGES: [Stage; 5] = [
    Stage::Trust,
    Stage::Issue,
    Stage::Finish,
    Stage::Back,
    Stage::Undo,
];

#[test]
fn the_old_root_introduces_the_new_one_whatever_their_keys() {
    for alg in [Alg::P256, Alg::P384, Alg::Ed25519] {
        let (old, new) = (ca(), new_ca(CLUSTER, alg, NOW, 10).unwrap());
        for (old, new) in [(&old, &new), (&new, &old)] {
            for stage in STAGES {
                let text = say(7, stage, old, new);
                assert_eq!(judge(&text, old, 6), Ok(stage));
                let said = Statement::read(&text).unwrap();
                assert_eq!((said.sequence, said.cluster.as_str()), (7, CLUSTER));
                assert_eq!(common::der(&said.new_pem), common::der(&new.cert_pem));
                assert_eq!(Stage::of_word(stage.word()), Some(stage));
            }
        }
    }
}

#[test]
fn refuses_a_statement_that_the_old_root_has_not_signed() {
    let (old, new, other) = (ca(), ca(), ca());
    let text = say(1, Stage::Trust, &old, &new);
    let bad = Err(Error::BadSignature);
    // By somebody else, by the new root, by nobody, over something else.
    let by_other = state_rotation(CLUSTER, 1, Stage::Trust, root(&other), root(&new)).unwrap();
    for signature in [
        signature_of(&by_other, "by-old "),
        signature_of(&text, "by-new "),
        "",
    ] {
        assert_eq!(
            judge(&with_signature(&text, "by-old ", signature), &old, 0),
            bad
        );
    }
    // What a CA's key signs for another purpose is no statement.
    let body = text.split_once("by-old ").unwrap().0;
    let vouched = vouch(&old.key_pem, body).unwrap();
    let hex: String = vouched.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(judge(&with_signature(&text, "by-old ", &hex), &old, 0), bad);
}

#[test]
fn refuses_a_statement_that_was_changed() {
    let (old, new, other) = (ca(), ca(), ca());
    let text = say(1, Stage::Trust, &old, &new);
    let bad = Err(Error::BadSignature);
    let later = forged(&text, |body| body.replace("sequence 1\n", "sequence 2\n"));
    assert_eq!(judge(&later, &old, 1), bad);
    let sooner = forged(&text, |body| body.replace("stage trust", "stage finish"));
    assert_eq!(judge(&sooner, &old, 0), bad);
    let undone = forged(&text, |body| body.replace("stage trust", "stage undo"));
    assert_eq!(judge(&undone, &old, 0), bad);
    // Another root under the signatures.
    let foreign = say(1, Stage::Trust, &other, &other_root(&other));
    let swapped = format!(
        "{}by-old {}",
        foreign.split_once("by-old ").unwrap().0,
        text.split_once("by-old ").unwrap().1
    );
    assert_eq!(judge(&swapped, &old, 0), Err(Error::UnknownIssuer));
}

fn other_root(_: &Issued) -> Issued {
    ca()
}

#[test]
fn refuses_a_new_root_that_has_not_signed() {
    let (old, new, other) = (ca(), ca(), ca());
    for stage in STAGES {
        let text = say(1, stage, &old, &new);
        let by_other = signature_of(&say(1, Stage::Trust, &other, &new), "by-old ").to_owned();
        for signature in ["", by_other.as_str()] {
            let without = with_signature(&text, "by-new ", signature);
            assert_eq!(
                judge(&without, &old, 0),
                Err(Error::BadSignature),
                "{stage:?}"
            );
        }
    }
}

#[test]
fn refuses_what_is_known_or_came_before_it() {
    let (old, new) = (ca(), ca());
    let text = say(5, Stage::Trust, &old, &new);
    assert_eq!(judge(&text, &old, 4), Ok(Stage::Trust));
    assert_eq!(judge(&text, &old, 5), Err(Error::OldStatement));
    assert_eq!(judge(&text, &old, 6), Err(Error::OldStatement));
    let zero = say(0, Stage::Trust, &old, &new);
    assert_eq!(judge(&zero, &old, 0), Err(Error::OldStatement));
}

#[test]
fn refuses_a_statement_of_a_root_that_is_not_trusted_any_more() {
    let (old, new) = (ca(), ca());
    let text = say(1, Stage::Trust, &old, &new);
    assert_eq!(judge(&text, &new, 0), Err(Error::UnknownIssuer));
    let late = check_rotation(&text, &[&old.cert_pem], CLUSTER, 0, NOW + 3651 * DAY);
    assert!(matches!(late, Err(Error::AnchorNotValid { .. })));
}

#[test]
fn a_new_root_that_has_run_out_can_be_taken_back_and_nothing_else() {
    let (old, new) = (ca(), new_ca(CLUSTER, Alg::P256, NOW, 10).unwrap());
    for stage in STAGES {
        let text = say(1, stage, &old, &new);
        let said = check_rotation(&text, &[&old.cert_pem], CLUSTER, 0, NOW + 11 * DAY);
        match stage {
            Stage::Undo => assert_eq!(said.unwrap().stage, Stage::Undo),
            _ => assert!(matches!(said, Err(Error::AnchorNotValid { .. }))),
        }
    }
}

/// Stragglers may keep a rotation from its end until the old root has run out.
#[test]
fn a_root_that_has_run_out_goes_and_introduces_nobody() {
    let (old, new) = (new_ca(CLUSTER, Alg::P256, NOW, 10).unwrap(), ca());
    let both = [old.cert_pem.as_str(), new.cert_pem.as_str()];
    let late = NOW + 11 * DAY;
    let judge = |stage, trust: &[&str]| {
        let text = say(7, stage, &old, &new);
        check_rotation(&text, trust, CLUSTER, 0, late).map(|said| said.stage)
    };
    assert_eq!(judge(Stage::Finish, &both), Ok(Stage::Finish));
    for stage in [Stage::Trust, Stage::Issue, Stage::Back, Stage::Undo] {
        let verdict = judge(stage, &both);
        assert!(
            matches!(verdict, Err(Error::AnchorNotValid { .. })),
            "{stage:?}"
        );
    }
    let verdict = judge(Stage::Finish, &both[..1]);
    assert!(matches!(verdict, Err(Error::AnchorNotValid { .. })));
}

#[test]
fn refuses_a_statement_for_another_cluster() {
    let (old, new) = (ca(), ca());
    let staging = new_ca("staging", Alg::P256, NOW, 10).unwrap();
    for new in [&new, &staging] {
        let text = state_rotation("staging", 1, Stage::Trust, root(&old), root(new)).unwrap();
        assert!(matches!(
            judge(&text, &old, 0),
            Err(Error::WrongCluster { found, .. }) if found == "staging"
        ));
    }
}

#[test]
fn refuses_a_new_root_that_is_none_of_this_cluster() {
    let old = ca();
    let wrong = |new: &Issued| judge(&say(1, Stage::Trust, &old, new), &old, 0);
    let staging = new_ca("staging", Alg::P256, NOW, 10).unwrap();
    assert!(matches!(wrong(&staging), Err(Error::WrongCluster { .. })));
    let leaf = common::leaf(&old, common::node("a@b"));
    assert_eq!(wrong(&leaf), Err(Error::NotCa));
    let late = new_ca(CLUSTER, Alg::P256, NOW - 20 * DAY, 10).unwrap();
    assert!(matches!(wrong(&late), Err(Error::AnchorNotValid { .. })));
    // Two certificates, of which one is named.
    let (new, more) = (ca(), ca());
    let text = say(1, Stage::Undo, &old, &new);
    let two = forged(&text, |body| format!("{body}{}", more.cert_pem));
    assert_ne!(judge(&two, &old, 0), Ok(Stage::Undo));
}

/// Numbers are times.
#[test]
fn refuses_a_number_that_leaves_none_for_what_is_to_come() {
    let (old, new) = (ca(), ca());
    let judged = |number| judge(&say(number, Stage::Trust, &old, &new), &old, 0);
    assert_eq!(judged(NOW + DAY), Ok(Stage::Trust));
    for number in [NOW + DAY + 1, u64::MAX] {
        assert_eq!(judged(number), Err(Error::Malformed(Part::Statement)));
    }
}

/// The old root goes by its certificate, so its key must not stay in another.
#[test]
fn refuses_a_new_root_with_the_key_of_the_old_one() {
    let old = ca();
    let text = say(1, Stage::Trust, &old, &old);
    assert_eq!(
        judge(&text, &old, 0),
        Err(Error::Malformed(Part::Statement))
    );
}

#[test]
fn refuses_what_is_no_statement() {
    let (old, new) = (ca(), ca());
    let text = say(1, Stage::Trust, &old, &new);
    let malformed = Err(Error::Malformed(Part::Statement));
    let long = format!("{text}{}", " ".repeat(20_000));
    let changed = [
        ("merlon ca rotation 1", "merlon ca rotation 2"),
        ("sequence 1\n", "sequence 01\n"),
        ("sequence 1\n", "sequence -1\n"),
        ("sequence 1\n", "sequence 18446744073709551616\n"),
        ("stage trust", "stage burn"),
        ("old ", "older "),
        ("by-new ", "by-nobody "),
    ];
    for bad in changed.map(|(from, to)| text.replace(from, to)) {
        assert_eq!(judge(&bad, &old, 0), malformed, "{bad}");
    }
    for bad in ["", "merlon ca rotation 1\n", long.as_str(), text.trim_end()] {
        assert_eq!(judge(bad, &old, 0), malformed);
    }
    let odd = with_signature(&text, "by-old ", "abc");
    assert_eq!(judge(&odd, &old, 0), malformed);
    for cut in 0..text.len() {
        assert!(text
            .get(..cut)
            .is_none_or(|part| judge(part, &old, 0).is_err()));
    }
}

#[test]
fn a_root_and_its_key_belong_together() {
    let (old, new) = (ca(), ca());
    let mixed = Root {
        cert_pem: &old.cert_pem,
        key_pem: &new.key_pem,
    };
    let said = state_rotation(CLUSTER, 1, Stage::Trust, mixed, root(&new));
    assert_eq!(said, Err(Error::KeyMismatch));
}

#[test]
fn one_certificate_is_taken_out_of_a_text() {
    let (old, new) = (ca(), ca());
    let both = format!("words\n{}{}", old.cert_pem, new.cert_pem);
    let id = merlon_pki::inspect_pem(&old.cert_pem).unwrap().remove(0);
    let old_id = id.sha256;
    let (rest, was_there) = without_root(&both, &old_id).unwrap();
    assert!(was_there);
    assert_eq!(common::der(&rest), common::der(&new.cert_pem));
    assert_eq!(without_root(&rest, &old_id), Ok((rest.clone(), false)));
    assert_eq!(
        without_root(&old.cert_pem, &old_id),
        Ok((String::new(), true))
    );
}
