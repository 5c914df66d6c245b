//! Revocation lists: of several CAs, and such as must not be believed.

use super::{build::*, Suite};

pub fn cases(s: &mut Suite) {
    let both = |leaf: &[u8], mid: &[u8]| {
        vec![
            List::of("ca1", 3, leaf).der(),
            List::of("root", 1, mid).der(),
        ]
    };
    s.good("good-crl-of-both-cas", 1, |c| c.crls = both(&[8], &[8]));
    s.good("good-crl-empty-lists", 1, |c| c.crls = both(&[], &[]));
    s.good("good-crl-of-another-ca-beside", 1, |c| {
        c.crls = both(&[8], &[8]);
        c.crls.push(List::of("elsewhere", 7, &[9]).der());
    });
    s.bad("crl-leaf-revoked", "revoked", 1, |c| {
        c.crls = both(&[8, 9], &[])
    });
    s.bad("crl-leaf-revoked-other-order", "revoked", 1, |c| {
        c.crls = both(&[8, 9], &[]).into_iter().rev().collect();
    });
    s.bad("crl-ca-revoked", "revoked", 1, |c| c.crls = both(&[], &[3]));
    s.bad("crl-both-revoked", "revoked", 1, |c| {
        c.crls = both(&[9], &[3])
    });
    s.bad("crl-out-of-date", "crl_expired", 0, |c| {
        let list = List {
            to: "210101000000Z",
            ..List::of("root", 1, &[])
        };
        c.crls = vec![list.der()];
    });
    s.bad("crl-forged", "bad_crl", 0, |c| {
        c.crls = vec![List {
            key_id: 1,
            ..List::of("root", 7, &[])
        }
        .der()];
    });
    s.bad("crl-signer-may-not", "bad_crl", 1, |c| {
        c.at("ca1").set(KEY_USAGE, true, key_usage(&[5]));
        c.crls = both(&[], &[]);
    });
    s.bad("crl-root-may-not", "bad_crl", 0, |c| {
        c.root.set(KEY_USAGE, true, key_usage(&[5]));
        c.crls = vec![List::of("root", 1, &[]).der()];
    });
    let unread = |name: &str, exts: Ext, s: &mut Suite| {
        s.bad(name, "malformed_crl", 0, |c| {
            let mut list = List::of("root", 1, &[]);
            list.exts.push(exts);
            c.crls = vec![list.der()];
        });
    };
    unread(
        "crl-unknown-critical",
        ext("1.3.6.1.4.1.1.2", true, vec![5, 0]),
        s,
    );
    unread("crl-delta", ext("2.5.29.27", true, tlv(2, &[1])), s);
    unread(
        "crl-indirect",
        ext("2.5.29.28", true, seq(&[tlv(0x84, &[0xff])])),
        s,
    );
    unread(
        "crl-some-reasons-only",
        ext("2.5.29.28", true, seq(&[tlv(0x83, &[1, 0x40])])),
        s,
    );
    s.bad("crl-entry-unknown-critical", "malformed_crl", 0, |c| {
        let mut list = List::of("root", 1, &[8]);
        list.entry_exts = vec![ext("1.3.6.1.4.1.1.2", true, vec![5, 0])];
        c.crls = vec![list.der()];
    });
}
