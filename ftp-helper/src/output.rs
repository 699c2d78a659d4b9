//! How lists are shown: a table for people, JSON for programs.

use std::{
    io::{self, Write as _, stdout},
    net::{IpAddr, SocketAddr},
};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use ftp_helper_common::address::Endpoint;
use serde::Serialize;

/// The form of a list.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// One JSON array.
    Json,
}

/// A line of a list; its serialised form is the JSON object.
pub trait Row: Serialize {
    /// Heads of the table's columns.
    const HEADER: &'static [&'static str];

    /// The cells of the table.
    fn cells(&self) -> Vec<String>;
}

/// Writes a list to standard output.
pub fn print<R: Row>(rows: &[R], format: Format) -> Result<()> {
    let text = render(rows, format)?;
    match stdout().write_all(text.as_bytes()) {
        // `ftp-helper session list | head` is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("can not write to standard output"),
    }
}

/// A list as text, with a line end.
pub fn render<R: Row>(rows: &[R], format: Format) -> Result<String> {
    let mut text = match format {
        Format::Json => serde_json::to_string_pretty(rows).context("can not write JSON")?,
        Format::Table => table(rows),
    };
    text.push('\n');
    Ok(text)
}

fn table<R: Row>(rows: &[R]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(R::HEADER);
    for row in rows {
        table.add_row(row.cells());
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// `address:port`, or `[address]:port` for IPv6; the address alone while the
/// port is not known.
pub fn endpoint(endpoint: &Endpoint) -> String {
    let address = IpAddr::from(endpoint.address);
    match endpoint.port {
        0 => address.to_string(),
        port => SocketAddr::new(address, port).to_string(),
    }
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

#[cfg(test)]
mod tests {
    use ftp_helper_common::address::Address;

    use super::*;

    #[derive(Serialize)]
    struct Pair {
        name: &'static str,
        count: u32,
    }

    impl Row for Pair {
        const HEADER: &'static [&'static str] = &["NAME", "COUNT"];

        fn cells(&self) -> Vec<String> {
            vec![self.name.to_owned(), self.count.to_string()]
        }
    }

    const PAIRS: &[Pair] = &[
        Pair {
            name: "first",
            count: 1,
        },
        Pair {
            name: "second one",
            count: 20,
        },
    ];

    #[test]
    fn tables_are_aligned_and_have_no_blanks_at_the_end() {
        assert_eq!(
            render(PAIRS, Format::Table).unwrap(),
            "NAME        COUNT\n\
             first       1\n\
             second one  20\n"
        );
    }

    #[test]
    fn an_empty_table_is_its_header() {
        assert_eq!(render::<Pair>(&[], Format::Table).unwrap(), "NAME  COUNT\n");
    }

    #[test]
    fn json_is_an_array_of_objects() {
        let text = render(PAIRS, Format::Json).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            value,
            serde_json::json!([
                {"name": "first", "count": 1},
                {"name": "second one", "count": 20},
            ])
        );
        assert_eq!(render::<Pair>(&[], Format::Json).unwrap(), "[]\n");
    }

    #[test]
    fn endpoints_of_both_families() {
        let v4 = Endpoint::new(Address::from_v4([10, 0, 0, 2]), 21);
        assert_eq!(endpoint(&v4), "10.0.0.2:21");
        let v6: IpAddr = "2001:db8::2".parse().unwrap();
        assert_eq!(endpoint(&Endpoint::new(v6.into(), 21)), "[2001:db8::2]:21");
        assert_eq!(known_endpoint(&v4).as_deref(), Some("10.0.0.2:21"));
        assert_eq!(known_endpoint(&Endpoint::default()), None);
    }
}
