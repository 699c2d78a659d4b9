//! Whole conversations through the host model: for random streams, segmentations,
//! losses, reorderings and retransmissions with SACK blocks, what is delivered is what
//! was sent, with exactly the intended rewrites. The same is tried with the loaded
//! programs elsewhere; here there are many more of them.
//!
//! `PROPTEST_CASES` and `PROPTEST_RNG_SEED` choose more and others.

use ftp_helper_model::{stream::random::Random, targets::conversation::converse};
use proptest::{collection::vec, prelude::*, sample::select};

/// What texts are strung together from.
const PIECES: &[&[u8]] = &[
    b"PORT ",
    b"port ",
    b"EPRT |1|",
    b"EPRT |2|",
    b"EPRT !1!",
    b"227 ",
    b"227-",
    b"229 (|||",
    b"211-",
    b"211 ",
    b"10,0,0,2,178,110",
    b"192,168,100,200,178,110",
    b"10,10,10,10,4,0",
    b"10,0,0,2,0,21",
    b"10,0,0,2,256,1",
    b"10.0.0.2|45678|",
    b"10.0.0.2!45678!",
    b"fd00::2|45678|",
    b"2001:db8:100:200:300:400:500:600|1024|",
    b"1,2,3",
    b"(",
    b").",
    b" ",
    b"\t",
    b"\r\n",
    b"\n",
    b"\r",
    b"\xff\xf4\xff\xf2",
    b"GET / HTTP/1.1",
    b"AUTH TLS",
    b"REIN",
    b"NOOP",
    b"x",
];

fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        10 => select(PIECES).prop_map(<[u8]>::to_vec),
        1 => vec(any::<u8>(), 1..4),
        // Lines that are right.
        4 => (select(&["10,0,0,2", "192,168,100,200", "10,10,10,10"][..]), any::<[u8; 2]>(), any::<bool>())
            .prop_map(|(address, [high, low], is_reply)| {
                let (before, behind) = if is_reply { ("227 =", "") } else { ("PORT ", " ") };
                format!("{before}{address},{high},{low}{behind}\r\n").into_bytes()
            }),
        4 => (select(&["1|10.0.0.2", "2|fd00::2", "2|2001:db8:100:200:300:400:500:600"][..]), any::<u16>())
            .prop_map(|(address, port)| format!("EPRT |{address}|{port}|\r\n").into_bytes()),
    ];
    vec(piece, 1..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_delivered_is_what_was_said(choices in vec(any::<u8>(), 0..600)) {
        converse(&mut Random::from_bytes(&choices), b"").map_err(TestCaseError::fail)?;
    }

    #[test]
    fn any_text_is_delivered(text in text(), choices in vec(any::<u8>(), 0..600)) {
        converse(&mut Random::from_bytes(&choices), &text).map_err(TestCaseError::fail)?;
    }
}

/// More announcements than the ring remembers, on every kind of network.
#[test]
fn many_announcements_are_delivered() {
    for seed in 0..300 {
        let text = "PORT 10,0,0,2,178,110\r\nNOOP\r\n".repeat(30);
        if let Err(error) = converse(&mut Random::new(seed), text.as_bytes()) {
            panic!("seed {seed}: {error}");
        }
    }
}
