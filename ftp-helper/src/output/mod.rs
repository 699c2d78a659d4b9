//! How lists and single things are shown: tables for people, and JSON and YAML in
//! a stable envelope for programs.
//!
//! * [`envelope`]: what is around the items, and the version of it all.
//! * [`layout`]: tables, and the facts of a single thing.
//! * [`colour`]: which lines deserve one, and whether there may be any.

pub mod colour;
pub mod envelope;
pub mod layout;

use std::{
    io::{self, Write as _, stdout},
    net::{IpAddr, Ipv4Addr, SocketAddrV6},
};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use ftp_helper_common::address::Endpoint;
use serde::Serialize;

pub use self::{
    colour::Tone,
    envelope::SCHEMA_VERSION,
    layout::{Fact, Section},
};

/// The form of what is shown.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// Columns for people
    #[default]
    Table,
    /// The same with more columns
    Wide,
    /// One JSON document
    Json,
    /// One JSON object a line
    Jsonl,
    /// One YAML document
    Yaml,
}

impl Format {
    /// True for the forms that people read.
    pub const fn is_for_people(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

/// A line of a list; its serialised form is the item.
pub trait Row: Serialize {
    /// The word for the list, in the plural.
    const KIND: &'static str;

    /// Heads of the table's columns.
    const HEADER: &'static [&'static str];

    /// Heads of the columns that only the wide table has, behind the others.
    const WIDE: &'static [&'static str] = &[];

    /// The cells of the table.
    fn cells(&self) -> Vec<String>;

    /// The further cells of the wide table.
    fn wide_cells(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether the line deserves attention.
    fn tone(&self) -> Tone {
        Tone::Plain
    }
}

/// A single thing; its serialised form is the item.
pub trait Object: Serialize {
    /// The word for it, in the singular.
    const KIND: &'static str;

    /// What people read.
    fn sections(&self, wide: bool) -> Vec<Section>;
}

/// Writes a list to standard output.
pub fn print<R: Row>(rows: &[R], format: Format) -> Result<()> {
    let text = render_with(rows, format, colour::on_stdout())?;
    write(&text)
}

/// Writes the number of items of a list to standard output.
pub fn print_count<R: Row>(count: usize, format: Format) -> Result<()> {
    write(&envelope::count::<R>(count, format)?)
}

/// Writes a single thing to standard output.
pub fn print_object<O: Object>(object: &O, format: Format) -> Result<()> {
    let text = render_object_with(object, format, colour::on_stdout())?;
    write(&text)
}

/// A list as text, with a line end and without colours.
pub fn render<R: Row>(rows: &[R], format: Format) -> Result<String> {
    render_with(rows, format, false)
}

/// A single thing as text, with a line end and without colours.
pub fn render_object<O: Object>(object: &O, format: Format) -> Result<String> {
    render_object_with(object, format, false)
}

/// A list as text, with a line end.
pub fn render_with<R: Row>(rows: &[R], format: Format, coloured: bool) -> Result<String> {
    match format {
        Format::Table | Format::Wide => {
            let grid = layout::Grid::of(rows, format == Format::Wide);
            Ok(grid.render(coloured))
        }
        _ => envelope::list(rows, format),
    }
}

fn render_object_with<O: Object>(object: &O, format: Format, coloured: bool) -> Result<String> {
    match format {
        Format::Table | Format::Wide => {
            let sections = object.sections(format == Format::Wide);
            Ok(layout::sections(&sections, coloured))
        }
        _ => envelope::object(object, format),
    }
}

/// Writes text to standard output. That nobody reads on is no failure:
/// `ftp-helper session list | head`.
pub fn write(text: &str) -> Result<()> {
    write_on(text).map(drop)
}

/// The same; false when nobody reads on, so that more of it is of no use.
pub fn write_on(text: &str) -> Result<bool> {
    let mut stdout = stdout().lock();
    let written = stdout.write_all(text.as_bytes());
    match written.and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("can not write to standard output"),
    }
}

/// `address:port`, or `[address]:port` for IPv6; the address alone while the
/// port is not known.
pub fn endpoint(endpoint: &Endpoint) -> String {
    match (IpAddr::from(endpoint.address), endpoint.port) {
        (IpAddr::V4(address), port) => v4(address, port),
        (IpAddr::V6(address), 0) => address.to_string(),
        (IpAddr::V6(address), port) => SocketAddrV6::new(address, port, 0, 0).to_string(),
    }
}

/// What `Display` makes of it, in a fifth of the time: a busy agent does little else.
fn v4(address: Ipv4Addr, port: u16) -> String {
    let mut digits = itoa::Buffer::new();
    let mut text = String::with_capacity("255.255.255.255:65535".len());
    for (at, octet) in address.octets().into_iter().enumerate() {
        if at > 0 {
            text.push('.');
        }
        text.push_str(digits.format(octet));
    }
    if port > 0 {
        text.push(':');
        text.push_str(digits.format(port));
    }
    text
}

/// The same, or nothing for an endpoint that is not known.
pub fn known_endpoint(value: &Endpoint) -> Option<String> {
    let unknown = value.address.is_unspecified() && value.port == 0;
    (!unknown).then(|| endpoint(value))
}

/// A cell for something that may be missing.
pub fn or_dash(value: Option<&str>) -> String {
    value.unwrap_or("-").to_owned()
}

/// A cell for words that may be none.
pub fn list_or_dash(words: &[impl AsRef<str>]) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    if words.is_empty() {
        "-".to_owned()
    } else {
        words.join(",")
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddrV4;

    use ftp_helper_common::address::Address;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn endpoints_of_both_families() {
        let v4 = Endpoint::new(Address::from_v4([10, 0, 0, 2]), 21);
        assert_eq!(endpoint(&v4), "10.0.0.2:21");
        let v6: IpAddr = "2001:db8::2".parse().unwrap();
        assert_eq!(endpoint(&Endpoint::new(v6.into(), 21)), "[2001:db8::2]:21");
        assert_eq!(known_endpoint(&v4).as_deref(), Some("10.0.0.2:21"));
        assert_eq!(known_endpoint(&Endpoint::default()), None);
    }

    proptest! {
        #[test]
        fn endpoints_look_as_everywhere(address: [u8; 4], port: u16) {
            let shown = endpoint(&Endpoint::new(Address::from_v4(address), port));
            prop_assert_eq!(shown, match port {
                0 => Ipv4Addr::from(address).to_string(),
                _ => SocketAddrV4::new(address.into(), port).to_string(),
            });
        }
    }

    #[test]
    fn words_of_a_cell() {
        assert_eq!(list_or_dash(&["a", "b"]), "a,b");
        assert_eq!(list_or_dash(&[""; 0]), "-");
        assert_eq!(or_dash(None), "-");
    }
}
