//! The files that a run leaves.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};

use super::{
    document::{PLOTS, document, plot_name},
    plot,
    report::{Report, SCHEMA},
};

/// The document, in the directory of documents.
pub const DOCUMENT: &str = "benchmarks.md";
/// The numbers that it was made from.
pub const LATEST: &str = "benchmarks/latest.json";
/// The numbers that it compares them with.
pub const BEFORE: &str = "benchmarks/before.json";

/// Reads numbers that were kept.
pub fn read(path: &Path) -> Result<Report> {
    let text =
        fs::read_to_string(path).with_context(|| format!("can not read {}", path.display()))?;
    let report: Report = serde_json::from_str(&text)
        .with_context(|| format!("{} is no report of a benchmark", path.display()))?;
    ensure!(
        report.schema_version == SCHEMA,
        "{} has schema {}, this program knows {SCHEMA}: measure again",
        path.display(),
        report.schema_version
    );
    Ok(report)
}

/// Keeps numbers.
pub fn write(path: &Path, report: &Report) -> Result<()> {
    let text = serde_json::to_string_pretty(report).context("no JSON")?;
    put(path, &(text + "\n"))
}

/// Writes document, plots and numbers below the directory of documents.
pub fn write_all(documents: &Path, report: &Report, before: Option<&Report>) -> Result<()> {
    let plots = documents.join(PLOTS);
    fs::create_dir_all(&plots).with_context(|| format!("can not make {}", plots.display()))?;
    write(&documents.join(LATEST), report)?;
    if let Some(before) = before {
        write(&documents.join(BEFORE), before)?;
    }
    // Those of tables that are no more.
    for entry in fs::read_dir(&plots)?.flatten() {
        if entry.path().extension().is_some_and(|it| it == "svg") {
            fs::remove_file(entry.path())?;
        }
    }
    for section in &report.sections {
        for table in &section.tables {
            if let Some(text) = plot::bars(table)? {
                put(&plots.join(plot_name(section, table)), &text)?;
            }
        }
    }
    put(&documents.join(DOCUMENT), &document(report, before))
}

fn put(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("can not write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::sample;

    #[test]
    fn a_run_leaves_document_plots_and_numbers() {
        let directory = std::env::temp_dir().join(format!("documents-{}", std::process::id()));
        fs::create_dir_all(directory.join(PLOTS)).unwrap();
        let old = directory.join(PLOTS).join("of-a-table-that-is-no-more.svg");
        fs::write(&old, "<svg/>").unwrap();
        let (report, mut before) = (sample::report(), sample::report());
        before.seconds = 1.25;
        let written = write_all(&directory, &report, Some(&before));
        let (latest, earlier) = (read(&directory.join(LATEST)), read(&directory.join(BEFORE)));
        let text = fs::read_to_string(directory.join(DOCUMENT));
        let mut plots: Vec<_> = fs::read_dir(directory.join(PLOTS))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| Path::new(name).extension() == Some("svg".as_ref()))
            .collect();
        plots.sort();
        fs::remove_dir_all(&directory).unwrap();

        written.unwrap();
        assert_eq!((latest.unwrap(), earlier.unwrap()), (report, before));
        assert!(text.unwrap().starts_with("# Benchmarks\n"));
        let wanted = [
            "scale-packets.svg",
            "sessions-files.svg",
            "sessions-sessions.svg",
            "tax-packets.svg",
            "traffic-requests.svg",
        ];
        assert_eq!(plots, wanted);
    }

    #[test]
    fn numbers_of_another_schema_are_refused() {
        let path = std::env::temp_dir().join(format!("schema-{}.json", std::process::id()));
        let mut other = sample::report();
        other.schema_version = SCHEMA + 1;
        write(&path, &other).unwrap();
        let error = read(&path);
        fs::remove_file(&path).unwrap();
        let error = format!("{:#}", error.unwrap_err());
        assert!(error.contains("measure again"), "{error}");
    }
}
