//! Control messages, alone and as a stream in records of any size: what is taken is written back the same, and no more
//! waits than may. Input: where to cut, then the stream.

use merlon_wire::control::{Certificate, KeyProof, Message, Stream, MAX_MESSAGE, MAX_WAITING};
use merlon_wire::frame;

use super::{outcome, Target};

pub const TARGET: Target = Target {
    name: "control",
    corpus,
    run,
};

fn corpus() -> Vec<Vec<u8>> {
    let leaf = [0x30; 700];
    let shown = Message::Certificate(Certificate {
        scheme: 0x0403,
        chain: vec![&leaf, b"ca"],
        signature: &[7; 71],
    });
    let proof = |id| KeyProof {
        key_id: [id; 8],
        tag: [id; 32],
    };
    let proved = Message::Keys((0..16).map(proof).collect());
    let messages = [shown, proved, Message::Ask].map(|m| m.encode().expect("a valid message"));
    let [shown, proved, ask] = messages.each_ref().map(|m| framed(m));
    vec![
        [&[200][..], &shown].concat(),
        [&[3][..], &proved, &ask].concat(),
        [&[255][..], &ask, &proved, &shown, &framed(b"\x09new")].concat(),
        [&[40][..], &framed(b"").repeat(40)].concat(),
        [&[1][..], &frame::head(MAX_MESSAGE + 1).expect("a head")].concat(),
    ]
}

fn framed(message: &[u8]) -> Vec<u8> {
    let head = frame::head(message.len()).expect("a head");
    [&head[..], message].concat()
}

fn run(input: &[u8]) -> u64 {
    let Some((cut, bytes)) = input.split_first() else {
        return 0;
    };
    let mut stream = Stream::default();
    assert!(stream.push(bytes).is_err(), "before the link is up");
    stream.open();
    let mut trace = vec![];
    for part in bytes.chunks(usize::from(*cut) + 1) {
        let pushed = stream.push(part);
        let messages = stream.take();
        assert!(messages.len() <= MAX_WAITING);
        trace.extend(messages.iter().map(|message| read(message)));
        if let Err(error) = pushed {
            trace.push(error.code());
            break;
        }
    }
    trace.dedup();
    trace.truncate(6);
    outcome(trace)
}

fn read(bytes: &[u8]) -> &'static str {
    assert!(bytes.len() <= MAX_MESSAGE);
    let message = match Message::decode(bytes) {
        Ok(Message::Unknown(_)) => return "unknown",
        Ok(message) => message,
        Err(error) => return error.code(),
    };
    assert_eq!(message.encode().as_deref(), Ok(bytes), "one meaning, two messages");
    match message {
        Message::Certificate(_) => "certificate",
        Message::Keys(_) => "keys",
        Message::Ask | Message::Unknown(_) => "ask",
    }
}
