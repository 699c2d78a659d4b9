//! The commands that matter to a helper besides `PORT` and `EPRT`, and Telnet
//! commands in front of them.

use super::harness::{Event, Reader, check};
use crate::grammar::{Kind, LineParser, Role};

#[test]
fn each_verb_has_its_kind_in_any_case() {
    check(
        Role::Client,
        &[
            ("PASV", b"PASV\r\n", "PASV"),
            ("pasv", b"pasv\r\n", "PASV"),
            ("PASV and LF", b"PASV\n", "PASV"),
            ("PASV and a blank", b"PASV \r\n", "PASV"),
            ("LPRT", b"LPRT 4,4,10,0,0,2,2,178,110\r\n", "LPRT"),
            ("LPSV", b"LPSV\r\n", "LPRT"),
            ("AUTH", b"AUTH TLS\r\n", "AUTH"),
            ("auth", b"auth ssl\n", "AUTH"),
            ("CCC", b"CCC\r\n", "CCC"),
            ("ccc", b"ccc\n", "CCC"),
            ("REIN", b"REIN\r\n", "REIN"),
            ("HOST", b"HOST ftp.example.com\r\n", "REIN"),
            ("ABOR", b"ABOR\r\n", "other"),
            ("USER", b"USER anonymous\r\n", "login"),
            ("FEAT", b"FEAT\r\n", "login"),
            ("SYST", b"syst\n", "login"),
            ("OPTS", b"OPTS UTF8 ON\r\n", "login"),
            ("CLNT", b"CLNT x 1.0\r\n", "login"),
            ("PASS", b"PASS USER\r\n", "other"),
            ("EHLO", b"EHLO mail.example.com\r\n", "other"),
            ("empty line", b"\r\n", "other"),
            ("bare LF", b"\n", "other"),
            ("only blanks", b"  \t \r\n", "other"),
        ],
    );
}

#[test]
fn a_verb_that_only_looks_alike_is_another_command() {
    check(
        Role::Client,
        &[
            ("PASV and more", b"PASVX\r\n", "other"),
            ("PAS", b"PAS\r\n", "other"),
            ("a point behind", b"PASV.\r\n", "other"),
            ("XCCC", b"XCCC\r\n", "other"),
            ("CC", b"CC\r\n", "other"),
            ("AUTHTLS", b"AUTHTLS\r\n", "other"),
            ("five letters that end alike", b"XPASV\r\n", "other"),
            ("eight letters that end alike", b"XXXXPASV\r\n", "other"),
            ("an argument", b"HELP PASV\r\n", "other"),
            ("in a path", b"MKD EPSV\r\n", "other"),
            ("CR NUL inside", b"RETR a\r\0PASV\r\n", "other"),
        ],
    );
}

#[test]
fn epsv_all_is_told_from_epsv() {
    check(
        Role::Client,
        &[
            ("alone", b"EPSV\r\n", "EPSV"),
            ("alone, LF", b"EPSV\n", "EPSV"),
            ("lower case", b"epsv\r\n", "EPSV"),
            ("family 1", b"EPSV 1\r\n", "EPSV"),
            ("family 2", b"EPSV 2\n", "EPSV"),
            ("ALL", b"EPSV ALL\r\n", "EPSV ALL"),
            ("ALL, LF", b"EPSV ALL\n", "EPSV ALL"),
            ("all", b"epsv all\r\n", "EPSV ALL"),
            ("aLl", b"ePsV aLl\r\n", "EPSV ALL"),
            ("blanks", b"EPSV \t ALL\r\n", "EPSV ALL"),
            ("trailing blank", b"EPSV ALL \r\n", "EPSV ALL"),
            ("ALLX", b"EPSV ALLX\r\n", "EPSV"),
            ("ALLL", b"EPSV ALLL\r\n", "EPSV"),
            ("AL", b"EPSV AL\r\n", "EPSV"),
            ("A L L", b"EPSV A L L\r\n", "EPSV"),
            ("ALL behind a family", b"EPSV 1 ALL\r\n", "EPSV"),
            ("XALL", b"EPSV XALL\r\n", "EPSV"),
            ("AXL", b"EPSV AXL\r\n", "EPSV"),
            ("ALX", b"EPSV ALX\r\n", "EPSV"),
            ("a CR in front of ALL", b"EPSV\rALL\r\n", "EPSV"),
            ("EPSVALL", b"EPSVALL\r\n", "other"),
        ],
    );
}

/// RFC 854: IAC is 255, IP 244, DM 242, WILL to DONT 251 to 254.
#[test]
fn telnet_commands_before_a_verb_are_not_part_of_the_line() {
    const ACCEPTED: &str = "PORT 10.0.0.2:45678 <10,0,0,2,178,110>";
    check(
        Role::Client,
        &[
            ("IAC IP", b"\xff\xf4PORT 10,0,0,2,178,110\r\n", ACCEPTED),
            (
                "IAC IP, IAC DM as before ABOR",
                b"\xff\xf4\xff\xf2PORT 10,0,0,2,178,110\r\n",
                ACCEPTED,
            ),
            (
                "IAC WILL x",
                b"\xff\xfb\x01PORT 10,0,0,2,178,110\r\n",
                ACCEPTED,
            ),
            (
                "IAC WONT x whose option is a letter",
                b"\xff\xfcPPORT 10,0,0,2,178,110\r\n",
                ACCEPTED,
            ),
            (
                "IAC DO x",
                b"\xff\xfd\x18PORT 10,0,0,2,178,110\r\n",
                ACCEPTED,
            ),
            (
                "IAC DONT IAC",
                b"\xff\xfe\xffPORT 10,0,0,2,178,110\r\n",
                ACCEPTED,
            ),
            (
                "blanks on both sides",
                b" \xff\xf4 PORT 10,0,0,2,178,110\r\n",
                ACCEPTED,
            ),
            ("ABOR", b"\xff\xf4\xff\xf2ABOR\r\n", "other"),
            ("IAC DM, PASV", b"\xff\xf2PASV\r\n", "PASV"),
            (
                "IAC IAC is a byte of data",
                b"\xff\xffPORT 10,0,0,2,178,110\r\n",
                "other",
            ),
            (
                "a byte of data that is no Telnet command",
                b"\xf4PORT 10,0,0,2,178,110\r\n",
                "other",
            ),
            (
                "inside the verb",
                b"PO\xff\xf4RT 10,0,0,2,178,110\r\n",
                "other",
            ),
        ],
    );
}

#[test]
fn a_line_may_end_inside_a_telnet_command() {
    for line in [b"\xff\n".as_slice(), b"\xff\xfb\n", b"\xff\xf4\n"] {
        let mut stream = line.to_vec();
        stream.extend_from_slice(b"PASV\r\n");
        assert_eq!(
            super::harness::outcomes(Role::Client, &stream),
            ["other", "PASV"],
            "{line:?}"
        );
    }
}

#[test]
fn each_kind_has_its_word() {
    let words: std::vec::Vec<_> = (0..=15).map(|number| Kind(number).word()).collect();
    assert_eq!(
        words,
        [
            "other", "PORT", "EPRT", "227", "229", "PASV", "EPSV", "EPSV ALL", "LPRT", "AUTH",
            "CCC", "REIN", "reply", "login", "HTTP", "other",
        ]
    );
}

#[test]
fn methods_of_http_are_no_commands() {
    for line in [
        b"GET / HTTP/1.1\r\n".as_slice(),
        b"POST /a HTTP/1.0\r\n",
        b"HEAD / HTTP/1.1\n",
        b"put / HTTP/1.1\r\n",
    ] {
        let outcomes = super::harness::outcomes(Role::Client, line);
        assert_eq!(outcomes, ["HTTP"], "{line:?}");
    }
    // A page may choose the method, but not the field that follows.
    let request = b"USER / HTTP/1.1\r\nHost: ftp.example.net\r\nOrigin: null\r\n";
    let outcomes = super::harness::outcomes(Role::Client, request);
    assert_eq!(outcomes, ["login", "HTTP", "other"]);
    for line in [
        b"GETX\r\n".as_slice(),
        b"POSTS\r\n",
        b"HEA D\r\n",
        b"HOSTS: a\r\n",
    ] {
        let outcomes = super::harness::outcomes(Role::Client, line);
        assert_eq!(outcomes, ["other"], "{line:?}");
    }
}

/// What starts with the bytes of TLS, TURN or HTTP/2 is no line, also when the stream was
/// taken on in its middle.
#[test]
fn what_is_no_text_is_no_command() {
    for start in [
        b"\x16\x03\x01\x02\0".as_slice(),
        b"\0\x03\x01\0",
        b"\0\0\x12\x04",
        b"\x05\x01",
    ] {
        let line = [start, b" and\r\nPORT 10,0,0,2,4,1\r\n"].concat();
        let outcomes = super::harness::outcomes(Role::Client, &line);
        assert_eq!(outcomes[0], "HTTP", "{start:?}");
        let mut reader = Reader::with(Role::Client, LineParser::unsynchronised());
        reader.push_all(&line);
        let Some(Event::Line(first)) = reader.events.first() else {
            panic!("{:?}", reader.events)
        };
        assert_eq!(first.kind, Kind::HTTP, "{start:?}");
    }
    for line in [
        b"\tNOOP\r\n".as_slice(),
        b"\r\n",
        b"\n",
        b"\xe4\r\n",
        b"RETR a\x01b\r\n",
    ] {
        let outcomes = super::harness::outcomes(Role::Client, line);
        assert_eq!(outcomes, ["other"], "{line:?}");
    }
}
