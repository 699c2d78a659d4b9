//! Single requests to the kernel over netlink, as far as aya does not make them.

use std::{io, os::fd::AsRawFd as _};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

/// `sizeof(struct nlmsghdr)`
const HEADER: usize = 16;
/// `NLM_F_REQUEST | NLM_F_ACK`
const CONFIRMED: u16 = 1 | 4;
/// `NLMSG_ERROR`, which is also how a request is confirmed.
const ERROR: u16 = 2;

/// Makes a request and waits for the first part of the answer; there is one at
/// least. What the kernel refuses is an error.
pub(super) fn request(
    protocol: SockProtocol,
    kind: u16,
    flags: u16,
    body: &[u8],
) -> io::Result<()> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        protocol,
    )?;
    let length = u32::try_from(HEADER + body.len()).map_err(io::Error::other)?;
    let message = [
        &length.to_ne_bytes()[..],
        &kind.to_ne_bytes(),
        &(CONFIRMED | flags).to_ne_bytes(),
        // Sequence number and sender.
        &[0; 8],
        body,
    ]
    .concat();
    send(socket.as_raw_fd(), &message, MsgFlags::empty())?;
    let mut answer = [0; 4096];
    let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    verdict(&answer[..length])
}

fn verdict(answer: &[u8]) -> io::Result<()> {
    let cut_off = || io::Error::other("an answer of the kernel's is cut off");
    let [_, _, _, _, kind @ ..] = answer else {
        return Err(cut_off());
    };
    let kind: [u8; 2] = kind
        .get(..2)
        .and_then(|kind| kind.try_into().ok())
        .ok_or_else(cut_off)?;
    if u16::from_ne_bytes(kind) != ERROR {
        return Ok(());
    }
    let code = answer
        .get(HEADER..HEADER + 4)
        .and_then(|code| code.try_into().ok());
    match code.map(i32::from_ne_bytes).ok_or_else(cut_off)? {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(-code)),
    }
}

/// An attribute: length, type, value, and padding to a multiple of four.
pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_but_tell_their_own_length() {
        assert_eq!(
            attribute(7, b"abcde"),
            [9, 0, 7, 0, b'a', b'b', b'c', b'd', b'e', 0, 0, 0]
        );
        assert_eq!(attribute(1, &[]), [4, 0, 1, 0]);
    }

    #[test]
    fn refusals_confirmations_and_answers() {
        let message = |kind: u16, code: i32| {
            [
                &20_u32.to_ne_bytes()[..],
                &kind.to_ne_bytes(),
                &[0; 10],
                &code.to_ne_bytes(),
            ]
            .concat()
        };
        let refused = verdict(&message(ERROR, -libc::ENOENT)).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ENOENT));
        verdict(&message(ERROR, 0)).unwrap();
        verdict(&message(36, -libc::ENOENT)).unwrap();
        let refusal = message(ERROR, -1);
        for length in 0..refusal.len() {
            assert!(verdict(&refusal[..length]).is_err(), "{length}");
        }
    }
}
