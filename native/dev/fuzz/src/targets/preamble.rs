//! Preamble messages: at most one decoder takes an input, and what it takes is written back the same.

use merlon_wire::preamble::{ClientProof, Hello, ServerProof, MAX_KEYS, MAX_MESSAGE, MAX_NAME};

use super::{outcome, Target};

pub const TARGET: Target = Target {
    name: "preamble",
    corpus,
    run,
};

fn corpus() -> Vec<Vec<u8>> {
    let names = [&b"a@h"[..], b"@host", &[b'x'; MAX_NAME]];
    let mut corpus = vec![encoded(|out| ClientProof { tag: [9; 32] }.encode(out))];
    for (name, keys) in names.into_iter().zip([1, 3, MAX_KEYS as u8]) {
        let key_ids = (0..keys).map(|i| [i; 8]).collect();
        corpus.push(encoded(|out| {
            Hello {
                name: name.to_vec(),
                key_ids,
            }
            .encode(out)
        }));
        let proof = ServerProof {
            name: name.to_vec(),
            key_id: [keys; 8],
            tag: [1; 32],
        };
        corpus.push(encoded(|out| proof.encode(out)));
    }
    corpus
}

fn encoded<E: std::fmt::Debug>(encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Vec<u8> {
    let mut out = vec![];
    encode(&mut out).expect("a valid message");
    out
}

fn run(input: &[u8]) -> u64 {
    let hello = Hello::decode(input);
    let server = ServerProof::decode(input);
    let client = ClientProof::decode(input);
    let mut written = vec![];
    if let Ok(hello) = &hello {
        assert!(hello.name.len() <= MAX_NAME && hello.key_ids.len() <= MAX_KEYS);
        written.push(encoded(|out| hello.encode(out)));
    }
    if let Ok(server) = &server {
        written.push(encoded(|out| server.encode(out)));
    }
    if let Ok(client) = &client {
        written.push(encoded(|out| client.encode(out)));
    }
    assert!(written.len() <= 1, "one message, two meanings");
    assert!(
        written.iter().all(|again| again == input),
        "one meaning, two messages"
    );
    assert!(written.is_empty() || input.len() <= MAX_MESSAGE);
    let code = |error: Option<merlon_wire::Error>| error.map(|e| e.code());
    outcome((code(hello.err()), code(server.err()), code(client.err())))
}
