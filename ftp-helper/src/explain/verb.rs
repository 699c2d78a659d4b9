//! Commands that are shown by their name. Whatever else stands at the start of a
//! line may be something that should not be there, as a password.

/// RFC 959, 775, 1639, 2228, 2389, 2428, 2640, 3659, 7151, and a few that
/// everybody uses.
const KNOWN: &[&str] = &[
    // RFC 959
    "ABOR", "ACCT", "ALLO", "APPE", "CDUP", "CWD", "DELE", "HELP", "LIST", "MKD", "MODE", "NLST",
    "NOOP", "PASS", "PASV", "PORT", "PWD", "QUIT", "REIN", "REST", "RETR", "RMD", "RNFR", "RNTO",
    "SITE", "SMNT", "STAT", "STOR", "STOU", "STRU", "SYST", "TYPE", "USER", // RFC 775
    "XCUP", "XCWD", "XMKD", "XPWD", "XRMD", // RFC 1639
    "LPRT", "LPSV", // RFC 2228
    "ADAT", "AUTH", "CCC", "CONF", "ENC", "MIC", "PBSZ", "PROT",
    // RFC 2389, 2428, 2640, 3659, 7151
    "FEAT", "OPTS", "EPRT", "EPSV", "LANG", "MDTM", "MLSD", "MLST", "SIZE", "HOST",
    // Not in any RFC
    "CLNT", "MFMT", "XCRC", "XMD5", "HASH",
];

/// Commands that open a data connection.
const TRANSFERS: &[&str] = &["APPE", "LIST", "MLSD", "NLST", "RETR", "STOR", "STOU"];

/// The name of a verb as the programs keep it, if it is one of FTP.
pub(super) fn name(verb: u32) -> Option<&'static str> {
    let known = |name: &&&str| number(name) == verb;
    KNOWN.iter().find(known).copied()
}

/// True for a command that opens a data connection.
pub(super) fn is_transfer(verb: u32) -> bool {
    TRANSFERS.iter().any(|name| number(name) == verb)
}

fn number(name: &str) -> u32 {
    name.bytes()
        .fold(0, |value, letter| (value << 8) | u32::from(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_has_a_name() {
        assert_eq!(name(u32::from_be_bytes(*b"PASS")), Some("PASS"));
        assert_eq!(name(u32::from_be_bytes(*b"\0CWD")), Some("CWD"));
        for secret in [*b"HUNT", *b"abcd", [0; 4]] {
            assert_eq!(name(u32::from_be_bytes(secret)), None);
        }
        assert!(is_transfer(u32::from_be_bytes(*b"RETR")));
        assert!(!is_transfer(u32::from_be_bytes(*b"SIZE")));
    }

    #[test]
    fn every_transfer_is_a_known_command() {
        assert!(TRANSFERS.iter().all(|name| KNOWN.contains(name)));
    }
}
