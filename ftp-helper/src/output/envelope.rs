//! JSON and YAML: the items, and what is around them.
//!
//! A list is `{"schema_version": 1, "kind": "sessions", "items": [...]}`, a single
//! thing `{"schema_version": 1, "kind": "session", "item": {...}}`, a number
//! `{"schema_version": 1, "kind": "sessions", "count": 3}`. With one object a line
//! each item carries `schema_version` and `kind` itself, so that a line can be
//! understood without those before it.

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::{Format, Object, Row};

/// Version of the fields of all items. Fields are added without a new version;
/// one that goes away, or gets another meaning, makes one.
pub const SCHEMA_VERSION: u32 = 1;

#[derive(Serialize)]
struct List<'a, R> {
    schema_version: u32,
    kind: &'static str,
    items: &'a [R],
}

#[derive(Serialize)]
struct Single<'a, O> {
    schema_version: u32,
    kind: &'static str,
    item: &'a O,
}

#[derive(Serialize)]
struct Counted {
    schema_version: u32,
    kind: &'static str,
    count: usize,
}

#[derive(Serialize)]
struct Line<'a, T> {
    schema_version: u32,
    kind: &'a str,
    #[serde(flatten)]
    item: &'a T,
}

/// A list for programs.
pub(super) fn list<R: Row>(rows: &[R], format: Format) -> Result<String> {
    if format == Format::Jsonl {
        return rows.iter().map(|row| line(R::KIND, row)).collect();
    }
    let list = List {
        schema_version: SCHEMA_VERSION,
        kind: R::KIND,
        items: rows,
    };
    document(&list, format)
}

/// A single thing for programs.
pub(super) fn object<O: Object>(object: &O, format: Format) -> Result<String> {
    if format == Format::Jsonl {
        return line(O::KIND, object);
    }
    let single = Single {
        schema_version: SCHEMA_VERSION,
        kind: O::KIND,
        item: object,
    };
    document(&single, format)
}

/// The length of a list, for people the number alone.
pub(super) fn count<R: Row>(count: usize, format: Format) -> Result<String> {
    if format.is_for_people() {
        return Ok(format!("{count}\n"));
    }
    let counted = Counted {
        schema_version: SCHEMA_VERSION,
        kind: R::KIND,
        count,
    };
    if format == Format::Jsonl {
        return one_line(&counted);
    }
    document(&counted, format)
}

/// An item on a line of its own, with the line end.
pub fn line<T: Serialize>(kind: &str, item: &T) -> Result<String> {
    one_line(&Line {
        schema_version: SCHEMA_VERSION,
        kind,
        item,
    })
}

fn one_line<T: Serialize>(value: &T) -> Result<String> {
    let mut text = serde_json::to_string(value).context("can not write JSON")?;
    text.push('\n');
    Ok(text)
}

fn document<T: Serialize>(value: &T, format: Format) -> Result<String> {
    let mut text = match format {
        Format::Yaml => serde_saphyr::to_string(value).context("can not write YAML")?,
        _ => serde_json::to_string_pretty(value).context("can not write JSON")?,
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::output::{
        Section,
        layout::tests::{PAIRS, Pair},
        render, render_object,
    };

    fn wanted() -> Value {
        json!({
            "schema_version": 1,
            "kind": "pairs",
            "items": [{"name": "first", "count": 1}, {"name": "second one", "count": 20}],
        })
    }

    #[test]
    fn a_list_says_what_it_is() {
        let text = render(PAIRS, Format::Json).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), wanted());
        assert!(text.ends_with("}\n"));
        // The version comes first, for people who look at the beginning only.
        assert!(text.starts_with("{\n  \"schema_version\": 1,\n  \"kind\": \"pairs\""));
    }

    #[test]
    fn yaml_is_the_same_document() {
        let text = render(PAIRS, Format::Yaml).unwrap();
        assert_eq!(serde_saphyr::from_str::<Value>(&text).unwrap(), wanted());
        assert!(
            text.starts_with("schema_version: 1\nkind: pairs\nitems:\n"),
            "{text}"
        );
    }

    #[test]
    fn yaml_keeps_texts_texts() {
        #[derive(Serialize)]
        struct Texts(Vec<&'static str>);
        impl Object for Texts {
            const KIND: &'static str = "texts";
            fn sections(&self, _: bool) -> Vec<Section> {
                Vec::new()
            }
        }
        let texts = Texts(vec![
            "10.0.0.2:21",
            "[2001:db8::2]:21",
            "2001:db8::2",
            "::",
            "227",
            "no",
            "1e3",
            "0x10",
            "12:30",
            "null",
            "~",
            "",
            "|||5000|",
            "(1,2,3)",
            "- a: b # c",
            "a\tb\u{1b}",
            "true",
            " x ",
        ]);
        let text = render_object(&texts, Format::Yaml).unwrap();
        let value: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(value["item"], json!(texts.0), "{text}");
    }

    #[test]
    fn every_line_says_what_it_is() {
        let text = render(PAIRS, Format::Jsonl).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(
            lines,
            [
                json!({"schema_version": 1, "kind": "pairs", "name": "first", "count": 1}),
                json!({"schema_version": 1, "kind": "pairs", "name": "second one", "count": 20}),
            ]
        );
        assert_eq!(render::<Pair>(&[], Format::Jsonl).unwrap(), "");
    }

    #[test]
    fn a_number_of_items() {
        assert_eq!(count::<Pair>(3, Format::Table).unwrap(), "3\n");
        assert_eq!(
            count::<Pair>(3, Format::Jsonl).unwrap(),
            "{\"schema_version\":1,\"kind\":\"pairs\",\"count\":3}\n"
        );
        let text = count::<Pair>(3, Format::Json).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            value,
            json!({"schema_version": 1, "kind": "pairs", "count": 3})
        );
    }
}
