//! Urgent data (RFC 9293 section 3.8.5), which a client uses to be heard during a
//! transfer: the receiver can tell where in the stream it was.

use std::{
    io::{self, Read as _},
    mem::size_of,
    net::TcpStream,
    os::fd::AsRawFd as _,
};

use anyhow::{Context as _, Result, ensure};

/// `SIOCATMARK` of asm-generic/sockios.h.
const AT_MARK: libc::c_ulong = 0x8905;

/// Sends `bytes`, the last of which is urgent, in one segment together with what
/// is [`corked`](cork) before them.
pub fn send(stream: &TcpStream, bytes: &[u8]) -> Result<()> {
    // SAFETY: pointer and length are those of the slice.
    let sent = unsafe {
        libc::send(
            stream.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            libc::MSG_OOB,
        )
    };
    ensure!(
        usize::try_from(sent) == Ok(bytes.len()),
        "urgent data not sent: {}",
        io::Error::last_os_error()
    );
    Ok(())
}

/// Lets writes wait for more to fill a segment, or no longer. Urgent data goes at
/// once, with what waits.
pub fn cork(stream: &TcpStream, on: bool) -> Result<()> {
    set(stream, libc::IPPROTO_TCP, libc::TCP_CORK, on).context("TCP_CORK")
}

/// Leaves urgent data where it is in the stream, as FTP servers want it.
pub fn keep_inline(stream: &TcpStream) -> Result<()> {
    set(stream, libc::SOL_SOCKET, libc::SO_OOBINLINE, true).context("SO_OOBINLINE")
}

fn set(stream: &TcpStream, level: libc::c_int, option: libc::c_int, on: bool) -> Result<()> {
    let value = libc::c_int::from(on);
    let length = libc::socklen_t::try_from(size_of::<libc::c_int>())?;
    // SAFETY: the option's value is the integer.
    let set = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            length,
        )
    };
    ensure!(set == 0, io::Error::last_os_error());
    Ok(())
}

/// Whether the next byte to read is the urgent one.
fn is_at_mark(stream: &TcpStream) -> Result<bool> {
    let mut answer: libc::c_int = 0;
    // SAFETY: the request's argument is the integer.
    let asked = unsafe { libc::ioctl(stream.as_raw_fd(), AT_MARK, &raw mut answer) };
    ensure!(asked == 0, "SIOCATMARK: {}", io::Error::last_os_error());
    Ok(answer != 0)
}

/// Reads `len` bytes one by one; tells the positions of the urgent ones among them.
/// Nothing may have been read ahead from the stream.
pub fn read(mut stream: &TcpStream, len: usize) -> Result<(Vec<u8>, Vec<usize>)> {
    let (mut bytes, mut marks) = (Vec::new(), Vec::new());
    while bytes.len() < len {
        let mut byte = [0];
        // The mark is known at the latest when the byte has come.
        let waiting = stream.peek(&mut byte);
        if is_at_mark(stream)? {
            marks.push(bytes.len());
        }
        let count = waiting
            .and_then(|_| stream.read(&mut byte))
            .with_context(|| format!("after {:?}", String::from_utf8_lossy(&bytes)))?;
        ensure!(count == 1, "the end after {bytes:?}");
        bytes.push(byte[0]);
    }
    Ok((bytes, marks))
}
