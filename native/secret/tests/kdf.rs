//! What keeps keys from being weak, and callers from taking the machine down.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use merlon_secret::{
    calibrate, Algorithm, Argon2Kind, Argon2Params, Error, Goal, Hash, Params, Phc, ScryptParams,
    DEFAULT,
};

const GIB: u64 = 1 << 20;

fn argon2(memory: u32, passes: u32, lanes: u32) -> Params {
    let (kind, v0x10) = (Argon2Kind::Id, false);
    Params::Argon2(Argon2Params {
        kind,
        v0x10,
        memory,
        passes,
        lanes,
    })
}

fn scrypt(log_n: u32, r: u32, p: u32) -> Params {
    Params::Scrypt(ScryptParams { log_n, r, p })
}

fn pbkdf2(hash: Hash, iterations: u32) -> Params {
    Params::Pbkdf2 { hash, iterations }
}

#[test]
fn owasps_minimum_is_strong_enough_and_less_is_not() {
    let weak = Err(Error::Weak { name: "costs" });
    for (good, bad) in [
        (argon2(47104, 1, 1), argon2(47103, 1, 1)),
        (argon2(19456, 2, 1), argon2(19455, 2, 1)),
        (argon2(7168, 5, 1), argon2(7168, 4, 1)),
        (scrypt(17, 8, 1), scrypt(16, 8, 1)),
        (scrypt(14, 8, 5), scrypt(14, 7, 5)),
        (pbkdf2(Hash::Sha256, 600_000), pbkdf2(Hash::Sha256, 599_999)),
        (pbkdf2(Hash::Sha512, 210_000), pbkdf2(Hash::Sha512, 209_999)),
    ] {
        assert_eq!(good.floor(16, 16), Ok(()), "{good:?}");
        assert_eq!(bad.floor(16, 16), weak, "{bad:?}");
    }
    assert_eq!(DEFAULT.floor(15, 16), Err(Error::Weak { name: "salt" }));
    assert_eq!(DEFAULT.floor(16, 15), Err(Error::Weak { name: "length" }));
}

/// Turns red with `MERLON_KNOCKOUT=kdf_floor`.
#[test]
fn knockout_kdf_floor_a_password_is_not_hashed_weakly() {
    let hashed = Phc::new(argon2(64, 1, 1), b"p", [1; 16], GIB).err();
    assert_eq!(hashed, Some(Error::Weak { name: "costs" }));
    for kind in [Argon2Kind::I, Argon2Kind::D] {
        let params = Params::Argon2(Argon2Params {
            kind,
            v0x10: false,
            memory: 65536,
            passes: 3,
            lanes: 1,
        });
        let hashed = Phc::new(params, b"p", [1; 16], GIB).err();
        assert_eq!(hashed, Some(Error::VerifyOnly));
    }
}

/// Turns red with `MERLON_KNOCKOUT=kdf_ceiling`: each then takes a little more than the ceiling, and no harm is done.
#[test]
fn knockout_kdf_ceiling_memory_over_the_ceiling_is_refused() {
    let mut out = [0; 32];
    for (params, kib) in [(argon2(1024, 1, 1), 1024), (scrypt(10, 8, 1), 1027)] {
        let ceiling = kib - 1;
        let derived = params.derive(b"p", &[1; 16], ceiling, &mut out);
        assert_eq!(derived, Err(Error::Memory { kib, ceiling }));
        assert_eq!(params.derive(b"p", &[1; 16], kib, &mut out), Ok(()));
    }
}

/// None of these is ever allocated: the machine that runs the tests would not survive the first.
#[test]
fn hostile_phc_strings_are_refused_before_anything_is_allocated() {
    let salt_and_tag = "$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for costs in [
        "$argon2id$v=19$m=4294967295,t=1,p=1",
        "$argon2id$v=19$m=4294967295,t=4294967295,p=4294967295",
        "$argon2id$v=19$m=65536,t=4294967295,p=1",
        "$argon2id$v=19$m=65536,t=1,p=4294967295",
        "$argon2id$v=19$m=7,t=1,p=1",
        "$argon2d$v=16$m=2097152,t=1,p=1",
        "$scrypt$ln=31,r=8,p=1",
        "$scrypt$ln=4294967295,r=8,p=1",
        "$scrypt$ln=20,r=4294967295,p=1",
        "$scrypt$ln=14,r=8,p=4294967295",
        "$scrypt$ln=20,r=8,p=64",
        "$pbkdf2-sha256$i=4294967295",
        "$pbkdf2-sha512$4294967295",
    ] {
        let phc = Phc::parse(&format!("{costs}{salt_and_tag}")).unwrap();
        let refused = phc.check(b"p", GIB).unwrap_err();
        let limit = matches!(
            refused,
            Error::Range { .. } | Error::Work { .. } | Error::Memory { .. }
        );
        assert!(limit, "{costs}: {refused:?}");
    }
}

#[test]
fn what_is_not_a_phc_string_is_not_taken_for_one() {
    let tag = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let long = "A".repeat(400);
    for text in [
        "",
        "$",
        "password",
        "$argon2id$v=19$m=65536,t=3,p=1$c29tZXNhbHQ",
        "$2b$12$abcdefghijklmnopqrstuv",
        &format!("$argon2id$v=20$m=65536,t=3,p=1$c29tZXNhbHQ${tag}"),
        &format!("$argon2x$v=19$m=65536,t=3,p=1$c29tZXNhbHQ${tag}"),
        &format!("$argon2id$v=19$m=65536,t=3$c29tZXNhbHQ${tag}"),
        &format!("$argon2id$v=19$t=3,m=65536,p=1$c29tZXNhbHQ${tag}"),
        &format!("$argon2id$v=19$m=65536,t=3,p=1,data=AA$c29tZXNhbHQ${tag}"),
        &format!("$argon2id$v=19$m=+65536,t=3,p=1$c29tZXNhbHQ${tag}"),
        &format!("$argon2id$v=19$m=065536,t=3,p=1$c29tZXNhbHQ${tag}"),
        &format!("$argon2id$v=19$m=4294967296,t=3,p=1$c29tZXNhbHQ${tag}"),
        &format!("$argon2id$v=19$m=65536,t=3,p=1$c29t ZXNhbHQ${tag}"),
        &format!("$argon2id$v=19$m=65536,t=3,p=1$c29tZXNhbHQ${tag}$"),
        &format!("$argon2id$v=19$m=65536,t=3,p=1$c29tZXNhbHQ${tag}="),
        &format!("$argon2id$v=19$m=65536,t=3,p=1${long}${tag}"),
        &format!("$argon2id$v=19$m=65536,t=3,p=1$c29tZXNhbHQ${long}"),
        "$argon2id$v=19$m=65536,t=3,p=1$c29tZXNhbHQ$AAAA",
        "$argon2id$v=19$m=65536,t=3,p=1$c29tZXNhbHQ$",
        &format!("$pbkdf2-sha256$i=600000,l=31$c29tZXNhbHQ${tag}"),
        &format!("$pbkdf2-sha256$i=0$c29tZXNhbHQ${tag}"),
    ] {
        let refused = Phc::parse(text).err();
        let said = matches!(refused, Some(Error::NotPhc | Error::UnknownPhc));
        assert!(said, "{text}: {refused:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_string_makes_the_parser_panic(text in "(\\$(argon2id|scrypt|pbkdf2-sha256))?(\\$[a-z]{1,2}=[0-9]{0,12}(,[a-z]=[0-9]{0,12}){0,3}){0,3}\\$?.{0,80}") {
        let _ = Phc::parse(&text);
    }
}

/// Turns red with `MERLON_KNOCKOUT=kdf_verify`.
#[test]
fn knockout_kdf_verify_another_password_or_a_changed_hash_is_refused() {
    let made = Phc::new(argon2(7168, 5, 1), b"correct horse", [7; 16], GIB).unwrap();
    let text = made.to_string();
    let read = Phc::parse(&text).unwrap();
    assert_eq!(read.to_string(), text);
    assert_eq!(read.check(b"correct horse", GIB), Ok(()));
    for wrong in [&b"correct horsE"[..], b"", b"correct horse "] {
        assert_eq!(read.check(wrong, GIB), Err(Error::WrongPassword));
    }
    let costs = text.replace("t=5", "t=6");
    let changed = Phc::parse(&costs).unwrap();
    assert_eq!(
        changed.check(b"correct horse", GIB),
        Err(Error::WrongPassword)
    );
}

#[test]
fn strings_of_every_function_come_out_as_they_are_read() {
    for text in [
        "$argon2d$v=19$m=64,t=2,p=2$c29tZXNhbHQ$MDEyMzQ1Njc4OWFiY2RlZg",
        "$argon2i$v=16$m=64,t=2,p=2$c29tZXNhbHQ$MDEyMzQ1Njc4OWFiY2RlZg",
        "$scrypt$ln=10,r=8,p=1$c29tZXNhbHQ$MDEyMzQ1Njc4OWFiY2RlZg",
        "$pbkdf2-sha512$i=1000,l=16$c29tZXNhbHQ$MDEyMzQ1Njc4OWFiY2RlZg",
    ] {
        assert_eq!(Phc::parse(text).unwrap().to_string(), text);
    }
    let passlib = "$pbkdf2-sha256$29000$c29tZXNhbHQ$MDEyMzQ1Njc4OWFiY2RlZg";
    let read = Phc::parse(passlib).unwrap();
    assert_eq!(*read.params(), pbkdf2(Hash::Sha256, 29000));
}

#[test]
fn what_is_weaker_than_today_is_to_be_hashed_anew() {
    let wanted = argon2(65536, 3, 1);
    let long = "MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY";
    let needs = |costs: &str| {
        let phc = Phc::parse(&format!("{costs}${long}")).unwrap();
        phc.needs_rehash(&wanted)
    };
    assert!(!needs("$argon2id$v=19$m=65536,t=3,p=1"));
    assert!(!needs("$argon2id$v=19$m=131072,t=4,p=4"));
    assert!(needs("$argon2id$v=19$m=65535,t=3,p=1"));
    assert!(needs("$argon2id$v=19$m=65536,t=2,p=1"));
    assert!(needs("$argon2id$v=16$m=65536,t=3,p=1"));
    assert!(needs("$argon2i$v=19$m=65536,t=3,p=1"));
    assert!(needs("$scrypt$ln=17,r=8,p=1"));
    let short = "$argon2id$v=19$m=65536,t=3,p=1$c29tZXNhbHQ$MDEyMzQ1Njc4OWFiY2RlZg";
    assert!(Phc::parse(short).unwrap().needs_rehash(&wanted));
}

/// A machine that does 1 KiB of memory or one iteration in 1 µs.
fn machine(params: &Params) -> Result<u64, Error> {
    let work = match params {
        Params::Argon2(p) => u64::from(p.memory) * u64::from(p.passes),
        Params::Scrypt(s) => params.memory() * 2 * u64::from(s.p),
        Params::Pbkdf2 { iterations, .. } => u64::from(*iterations),
    };
    Ok(work * 1000)
}

#[test]
fn calibration_uses_the_time_that_there_is_and_no_more() {
    let id = Algorithm::Argon2(Argon2Kind::Id);
    for algorithm in [id, Algorithm::Scrypt, Algorithm::Pbkdf2(Hash::Sha256)] {
        for budget in [700_000_000, 1_000_000_000, 3_000_000_000] {
            let (memory, lanes) = (1 << 17, 1);
            let goal = Goal {
                algorithm,
                budget,
                memory,
                lanes,
            };
            let params = calibrate(&goal, machine).unwrap();
            let took = machine(&params).unwrap();
            assert!(took <= budget && took >= budget / 2, "{params:?} {took}");
            assert!(params.memory() <= memory);
            assert_eq!(params.floor(16, 32), Ok(()));
        }
    }
}

#[test]
fn calibration_never_gives_less_than_the_floor() {
    let id = Algorithm::Argon2(Argon2Kind::Id);
    for algorithm in [id, Algorithm::Scrypt, Algorithm::Pbkdf2(Hash::Sha512)] {
        let (budget, memory, lanes) = (10_000_000, 1 << 17, 1);
        let goal = Goal {
            algorithm,
            budget,
            memory,
            lanes,
        };
        match calibrate(&goal, machine) {
            Err(Error::Budget { needed }) => assert!(needed > budget),
            other => panic!("{other:?}"),
        }
    }
}
