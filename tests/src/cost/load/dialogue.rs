//! Lines of a control connection.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream},
};

use anyhow::{Context as _, Result, ensure};

use super::prepare;

/// One end of a control connection.
#[derive(Debug)]
pub(super) struct Dialogue {
    stream: BufReader<TcpStream>,
    line: String,
}

impl Dialogue {
    pub(super) fn new(stream: TcpStream) -> Result<Self> {
        prepare(&stream)?;
        Ok(Self {
            stream: BufReader::new(stream),
            line: String::new(),
        })
    }

    /// The connection.
    pub(super) fn stream(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    /// Sends a line in one segment.
    pub(super) fn say(&mut self, line: &str) -> Result<()> {
        let text = format!("{line}\r\n");
        let stream = self.stream.get_mut();
        stream
            .write_all(text.as_bytes())
            .with_context(|| format!("{line:?} not sent"))
    }

    /// The next line, without its end; `None` at the end of the connection.
    pub(super) fn hear(&mut self) -> Result<Option<&str>> {
        self.line.clear();
        let count = self.stream.read_line(&mut self.line).context("no line")?;
        Ok((count > 0).then(|| self.line.trim_end()))
    }

    /// A reply with this code, which is one line.
    pub(super) fn expect(&mut self, code: &str) -> Result<&str> {
        let line = self
            .hear()
            .with_context(|| format!("{code} awaited"))?
            .with_context(|| format!("{code} awaited, the connection ended"))?;
        ensure!(line.starts_with(code), "{code} awaited, received {line:?}");
        Ok(line)
    }

    /// Sends a command and reads the reply.
    pub(super) fn ask(&mut self, command: &str, code: &str) -> Result<&str> {
        self.say(command)?;
        self.expect(code)
            .with_context(|| format!("in answer to {command:?}"))
    }
}

/// The six numbers of `PORT` and 227.
pub(super) fn numbers(address: Ipv4Addr, port: u16) -> String {
    let [a, b, c, d] = address.octets();
    let [high, low] = port.to_be_bytes();
    format!("{a},{b},{c},{d},{high},{low}")
}

/// The endpoint in a text with six numbers.
pub(super) fn endpoint(text: &str) -> Result<SocketAddr> {
    let wrong = || format!("no six numbers in {text:?}");
    let begin = text
        .find(|it: char| it.is_ascii_digit())
        .with_context(wrong)?;
    let numbers = text[begin..]
        .split(|it: char| !it.is_ascii_digit())
        .take(6)
        .map(str::parse::<u8>)
        .collect::<Result<Vec<_>, _>>()
        .with_context(wrong)?;
    let [a, b, c, d, high, low]: [u8; 6] = numbers.try_into().ok().with_context(wrong)?;
    let address = Ipv4Addr::new(a, b, c, d);
    let port = u16::from_be_bytes([high, low]);
    Ok(SocketAddrV4::new(address, port).into())
}

/// The IPv4 address of an endpoint.
pub(super) fn v4(address: SocketAddr) -> Result<Ipv4Addr> {
    match address.ip() {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(address) => address
            .to_ipv4_mapped()
            .with_context(|| format!("{address} is not of IPv4")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_numbers_there_and_back() {
        let address = Ipv4Addr::new(10, 0, 0, 2);
        let text = numbers(address, 50_069);
        assert_eq!(text, "10,0,0,2,195,149");
        for around in ["PORT 1", "227 Entering Passive Mode (1"] {
            let verb = around.trim_end_matches('1');
            let rest = verb.trim_start_matches("227 ");
            let line = format!("{rest}{text}).");
            assert_eq!(endpoint(&line).unwrap(), (address, 50_069).into());
        }
        for wrong in ["PORT 1,2,3,4,5", "PORT 1,2,3,4,5,256", "PORT"] {
            assert!(endpoint(wrong).is_err(), "{wrong}");
        }
    }
}
