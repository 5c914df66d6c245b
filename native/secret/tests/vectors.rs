//! Published test vectors of every function that makes keys.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::type_complexity)]

use merlon_secret::{
    argon2, hkdf, pbkdf2, scrypt, Argon2Extra, Argon2Kind, Argon2Params, Hash, ScryptParams,
};

fn hex(s: &str) -> Vec<u8> {
    let digits: Vec<u8> = s.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |p: &[u8]| u8::from_str_radix(std::str::from_utf8(p).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// Those of RFC 5869 are beside the code.
#[test]
fn hkdf_with_sha384_and_sha512_is_that_of_wycheproof() {
    let vectors: &[(Hash, &str, &str, &str, &str)] = &[
        (Hash::Sha384, "c360e16084cfd13cb44b0dc02d8665de", "685ac7df93701d6c78babd847861bb3c", "e0ddfaaaa7afb53f59a007a205c7149b5b5a72be", "00aa140387a3d43aae915c35b306533179019bab"),
        (Hash::Sha384, "0cbd136d66d15a4ffefde1303b430821", "2614d80275b08a1cf90bae0eb607d4d5", "ee991de21aeb6baa6a5f683dbb755e6f80db1c1d", "e618b91d9f3d10c007958d025841a3347947eb41b23ec35a3d7927aad74f293c50405a56911d8158e74f"),
        (Hash::Sha384, "7a00817689a3d79001825a864c69c120", "08bc01c053a6406c7c4a667c9b9b3894", "967ccd75395be6e96a67759f070487c9e2107791", "bd02e16b6024f2c3b752d1c1d3047583697731915fbbb34418f479b0c9bf84a86bd8e715eca198da8f9b39b25a1229c311853f862340cdefe46ddf41dcf256d9"),
        (Hash::Sha512, "c360e16084cfd13cb44b0dc02d8665de", "685ac7df93701d6c78babd847861bb3c", "e0ddfaaaa7afb53f59a007a205c7149b5b5a72be", "17408c6f8dd7eb8423758ce39a91b59020f7debe"),
        (Hash::Sha512, "0cbd136d66d15a4ffefde1303b430821", "2614d80275b08a1cf90bae0eb607d4d5", "ee991de21aeb6baa6a5f683dbb755e6f80db1c1d", "e51c3bfe5f4e9b4fb0d3c3a67bb33a20c288800e03707621cf143e8581d422dfec3fe658ba8fa2e35c2c"),
        (Hash::Sha512, "7a00817689a3d79001825a864c69c120", "08bc01c053a6406c7c4a667c9b9b3894", "967ccd75395be6e96a67759f070487c9e2107791", "aed987bcc5ed33c4feec7b28aa9fe1c16b1181e00ff42c63cf692ec19242f6d4628604b3382db0806d5e61518f83fc651e6f3bd0a9d1322926a76869b98b75d6"),
    ];
    for (hash, ikm, salt, info, okm) in vectors {
        let mut out = vec![0; okm.len() / 2];
        hkdf(*hash, &hex(salt), &hex(ikm), &[&hex(info)], &mut out).unwrap();
        assert_eq!(out, hex(okm));
    }
}

/// The inputs of RFC 6070 with SHA-2 as they go round, and RFC 7914 section 11.
#[test]
fn pbkdf2_is_that_of_rfc_6070_with_sha2_and_of_rfc_7914() {
    let vectors: &[(Hash, &[u8], &[u8], u32, &str)] = &[
        (Hash::Sha256, b"password", b"salt", 1, "120fb6cffcf8b32c43e7225256c4f837a86548c92ccc35480805987cb70be17b"),
        (Hash::Sha256, b"password", b"salt", 2, "ae4d0c95af6b46d32d0adff928f06dd02a303f8ef3c251dfd6e2d85a95474c43"),
        (Hash::Sha256, b"password", b"salt", 4096, "c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a"),
        (Hash::Sha256, b"passwordPASSWORDpassword", b"saltSALTsaltSALTsaltSALTsaltSALTsalt", 4096, "348c89dbcbd32b2f32d814b8116e84cf2b17347ebc1800181c4e2a1fb8dd53e1c635518c7dac47e9"),
        (Hash::Sha256, b"pass\0word", b"sa\0lt", 4096, "89b69d0516f829893c696226650a8687"),
        (Hash::Sha512, b"password", b"salt", 1, "867f70cf1ade02cff3752599a3a53dc4af34c7a669815ae5d513554e1c8cf252c02d470a285a0501bad999bfe943c08f050235d7d68b1da55e63f73b60a57fce"),
        (Hash::Sha512, b"password", b"salt", 2, "e1d9c16aa681708a45f5c7c4e215ceb66e011a2e9f0040713f18aefdb866d53cf76cab2868a39b9f7840edce4fef5a82be67335c77a6068e04112754f27ccf4e"),
        (Hash::Sha512, b"password", b"salt", 4096, "d197b1b33db0143e018b12f3d1d1479e6cdebdcc97c5c0f87f6902e072f457b5143f30602641b3d55cd335988cb36b84376060ecd532e039b742a239434af2d5"),
        (Hash::Sha512, b"passwordPASSWORDpassword", b"saltSALTsaltSALTsaltSALTsaltSALTsalt", 4096, "8c0511f4c6e597c6ac6315d8f0362e225f3c501495ba23b868c005174dc4ee71115b59f9e60cd9532fa33e0f75aefe30225c583a186cd82bd4daea9724a3d3b8"),
        (Hash::Sha512, b"pass\0word", b"sa\0lt", 4096, "9d9e9c4cd21fe4be24d5b8244c759665"),
        (Hash::Sha256, b"passwd", b"salt", 1, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783"),
        (Hash::Sha256, b"Password", b"NaCl", 80000, "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56a1d425a1225833549adb841b51c9b3176a272bdebba1d078478f62b397f33c8d"),
    ];
    for (hash, password, salt, iterations, key) in vectors {
        let mut out = vec![0; key.len() / 2];
        pbkdf2(*hash, *iterations, password, salt, &mut out).unwrap();
        assert_eq!(out, hex(key));
    }
}

/// RFC 7914 section 12, its last one (1 GiB) aside.
#[test]
fn scrypt_is_that_of_rfc_7914() {
    let vectors: &[(&[u8], &[u8], [u32; 3], &str)] = &[
        (b"", b"", [4, 1, 1], "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906"),
        (b"password", b"NaCl", [10, 8, 16], "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"),
        (b"pleaseletmein", b"SodiumChloride", [14, 8, 1], "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"),
    ];
    for (password, salt, [log_n, r, p], key) in vectors {
        let (log_n, r, p) = (*log_n, *r, *p);
        let mut out = vec![0; 64];
        scrypt(&ScryptParams { log_n, r, p }, password, salt, &mut out).unwrap();
        assert_eq!(out, hex(key));
    }
}

/// RFC 9106 section 5, and the same of before version 1.3 as in the reference implementation.
#[test]
fn argon2_is_that_of_rfc_9106() {
    use Argon2Kind::{Id, D, I};
    let vectors = [
        (
            D,
            false,
            "512b391b6f1162975371d30919734294f868e3be3984f3c1a13a4db9fabe4acb",
        ),
        (
            I,
            false,
            "c814d9d1dc7f37aa13f0d77f2494bda1c8de6b016dd388d29952a4c4672b6ce8",
        ),
        (
            Id,
            false,
            "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659",
        ),
        (
            D,
            true,
            "96a9d4e5a1734092c85e29f410a45914a5dd1f5cbf08b2670da68a0285abf32b",
        ),
        (
            I,
            true,
            "87aeedd6517ab830cd9765cd8231abb2e647a5dee08f7c05e02fcb763335d0fd",
        ),
        (
            Id,
            true,
            "b64615f07789b66b645b67ee9ed3b377ae350b6bfcbb0fc95141ea8f322613c0",
        ),
    ];
    let extra = Argon2Extra {
        secret: &[3; 8],
        data: &[4; 12],
    };
    for (kind, v0x10, tag) in vectors {
        let params = Argon2Params {
            kind,
            v0x10,
            memory: 32,
            passes: 3,
            lanes: 4,
        };
        let mut out = [0; 32];
        argon2(&params, &[1; 32], &[2; 16], extra, &mut out).unwrap();
        assert_eq!(out.to_vec(), hex(tag));
    }
}
