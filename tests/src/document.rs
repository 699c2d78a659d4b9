//! Parts of documents that a command writes.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

/// What is between two lines of a document.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// The line in front of it.
    pub begin: &'static str,
    /// The line behind it.
    pub end: &'static str,
}

impl Part {
    /// The part of the document.
    pub fn of<'a>(&self, document: &'a str) -> Result<&'a str> {
        Ok(self.split(document)?[1])
    }

    /// The document with another text there.
    pub fn replace(&self, document: &str, text: &str) -> Result<String> {
        let Self { begin, end } = self;
        let [before, _, behind] = self.split(document)?;
        Ok(format!("{before}{begin}\n{text}{end}{behind}"))
    }

    /// Writes another text there into docs/security.md, which has all of these parts.
    pub fn write(&self, text: &str) -> Result<()> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/security.md");
        let document = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let document = self.replace(&document, text)?;
        fs::write(&path, document).with_context(|| format!("{} not written", path.display()))
    }

    fn split<'a>(&self, document: &'a str) -> Result<[&'a str; 3]> {
        let at = |text: &'a str, line: &str| {
            text.split_once(line)
                .with_context(|| format!("no {line} in the document"))
        };
        let (before, rest) = at(document, self.begin)?;
        let (part, behind) = at(rest, self.end)?;
        Ok([before, part, behind])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_text_takes_the_place() {
        let part = Part {
            begin: "<!-- it -->",
            end: "<!-- end of it -->",
        };
        let document = "a\n<!-- it -->\nold\n<!-- end of it -->\nb\n";
        assert_eq!(part.of(document).unwrap(), "\nold\n");
        let new = part.replace(document, "new\n").unwrap();
        assert_eq!(new, "a\n<!-- it -->\nnew\n<!-- end of it -->\nb\n");
        assert!(part.replace("nothing", "new").is_err());
    }
}
