//! Where OpenSSL and OTP judge otherwise, and why we stay with our verdict. Written for OpenSSL 3.0 and OTP 25.

/// Judge, how the cases' names begin (and, behind a `*`, end), whether the judge accepts what we refuse, the reason.
pub const DIFFERENCES: &[(&str, &str, bool, &str)] = &[
    // OpenSSL: who a peer is.
    ("openssl", "identity-", true, "knows nothing of SPIFFE: which name a chain must have is its caller's business"),
    // OpenSSL: limits of ours.
    ("openssl", "chain-of-", true, "its limits are wider; a stranger's chain is judged here before he has proven anything"),
    ("openssl", "eku-missing-as-", true, "without the extension all purposes are allowed (RFC 5280, 4.2.1.12); ours must name TLS"),
    ("openssl", "eku-server-gated-as-server", true, "counts Netscape's and Microsoft's old purposes as serverAuth"),
    ("openssl", "key-usage-4-only", true, "a TLS 1.2 client may also agree on keys; TLS 1.3 only signs (RFC 8446, 4.4.2.2)"),
    ("openssl", "leaf-is-ca", true, "lets a CA's certificate stand as a TLS peer's own"),
    ("openssl", "key-rsa-2040", true, "level 2 counts 112 bits of security, which it gives 2040 bits too"),
    ("openssl", "key-ed448", true, "has Ed448; ring has not"),
    ("openssl", "key-x25519", true, "does not ask whether the leaf's key can sign; the handshake would fail"),
    ("openssl", "critical-policy-mappings-", true, "knows policy mappings; no policies are judged here, so critical ones are refused"),
    ("openssl", "crl-delta", true, "takes the list for a complete one unless asked for delta lists; we read none"),
    // OpenSSL: encodings that are not DER.
    ("openssl", "basic-boolean-1-", true, "takes any byte but 0 for TRUE, as BER does; DER has 0xFF alone (X.690, 11.1)"),
    ("openssl", "basic-trailing-bytes-", true, "passes over bytes behind the extension's value"),
    ("openssl", "encoding-trailing-byte-", true, "passes over bytes behind the certificate in a PEM block"),
    ("openssl", "encoding-length-in-three-bytes-", true, "takes longer lengths than needed, as BER does (X.690, 10.1)"),
    ("openssl", "serial-of-22-bytes-", true, "takes serial numbers of any length; 20 bytes are the most (RFC 5280, 4.1.2.2)"),
    ("openssl", "version-v", true, "takes versions that do not exist, and v1, which can say nothing of usage"),
    ("openssl", "names-ip-mask-with-holes-by-", true, "applies masks bit by bit; a mask is a prefix (RFC 4632, 3.1)"),
    // OpenSSL: stricter than RFC 5280 needs.
    ("openssl", "good-no-key-usage-ca", false, "-x509_strict wants key usage of every CA; RFC 5280, 4.2.1.3 of who issues, so we let it be"),
    ("openssl", "good-clock-last-second", false, "takes the last second as over; it is included (RFC 5280, 4.1.2.5)"),
    // OTP: pkix_path_validation/3 judges the path alone.
    ("otp", "identity-", true, "names are the caller's: ssl checks host names, SPIFFE nobody"),
    ("otp", "eku-", true, "extended key usage is checked by ssl, of the leaf"),
    ("otp", "key-usage-", true, "the leaf's key usage is checked by nobody"),
    ("otp", "leaf-is-ca", true, "lets a CA's certificate stand as a peer's own"),
    ("otp", "chain-ca-shown-as-leaf", true, "lets a CA's certificate stand as a peer's own"),
    ("otp", "crl-", true, "takes no lists here: ssl has crl_check, off by default"),
    ("otp", "clock-second-before", true, "takes no clock but the system's, by which the certificate is valid now"),
    ("otp", "good-clock-last-second", false, "takes no clock but the system's, by which the certificate has expired"),
    ("otp", "chain-of-", true, "no limit of bytes, and of length 10, for ssl"),
    ("otp", "root-", true, "does not judge the trust anchor's certificate (RFC 5280, 6.1.1 d)"),
    ("otp", "pathlen-root-", true, "does not judge the trust anchor's certificate (RFC 5280, 6.1.1 d)"),
    ("otp", "names-dns-case-excluded-by-ca1", true, "compares DNS names of constraints by case"),
    ("otp", "names-dns-all-excluded-by-ca1", true, "takes an empty DNS constraint for none; it covers all names"),
    ("otp", "names-*-by-root", true, "does not judge the trust anchor's certificate (RFC 5280, 6.1.1 d)"),
    ("otp", "critical-*-root", true, "does not judge the trust anchor's certificate (RFC 5280, 6.1.1 d)"),
    ("otp", "issuer-eku-", true, "does not look at an issuer's extended key usage"),
    ("otp", "good-names-ip", false, "raises an exception on constraints of IP addresses"),
    ("otp", "good-eku-critical", false, "leaves extended key usage to the caller, as an unknown extension"),
    // OTP: the caller sorts the chain (ssl does).
    ("otp", "good-order-upside-down", false, "takes the chain in order; ssl sorts it before"),
    ("otp", "good-unrelated-certificate-shown", false, "takes the chain as it is; ssl leaves out what is not in the path"),
    // OTP: algorithms and keys.
    ("otp", "algorithm-", true, "verifies Ed25519 by the issuer's key, whatever the certificate says its algorithm is"),
    ("otp", "key-", true, "does not judge the leaf's own key: that is left to the handshake"),
    // OTP: reading.
    ("otp", "basic-boolean-1-", true, "takes any byte but 0 for TRUE, as BER does"),
    ("otp", "basic-trailing-bytes-", true, "passes over bytes behind the extension's value"),
    ("otp", "encoding-", true, "reads more than DER: bytes behind, long lengths, an empty list of extensions"),
    ("otp", "time-utc-hour-24-", true, "reads the digits of a time without their ranges"),
    ("otp", "serial-", true, "takes serial numbers of any length, none too"),
    ("otp", "version-v", true, "does not look at the version"),
    ("otp", "twice-", true, "takes extensions that come twice; none may (RFC 5280, 4.2)"),
];
