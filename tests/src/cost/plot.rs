//! Bars for a table.

use anyhow::{Result, anyhow};
use plotters::prelude::{
    BLACK, Color as _, DrawingArea, IntoDrawingArea as _, IntoFont as _, IntoTextStyle as _,
    PathElement, RGBColor, Rectangle, SVGBackend, TextStyle, WHITE,
};
use plotters::{
    coord::Shift,
    element::Text,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{
    NET,
    document::number,
    report::{Outcome, Row, Table},
    statistics::Spread,
};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Pixels.
const WIDTH: i32 = 960;
const MARGIN: i32 = 16;
const TITLE: i32 = 56;
const LABEL: i32 = 380;
const VALUE: i32 = 170;
const BAR: i32 = 13;
const GAP: i32 = 10;
const FONT: &str = "sans-serif";

/// Colours that are told apart also without seeing red or green; the first is that of
/// the anchor.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0x77, 0x77, 0x77),
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xf0, 0xe4, 0x42),
];

/// A bar for each value: its length is the median, the line over its end goes from
/// one quartile to the other. `None` for a table without any.
pub fn bars(table: &Table) -> Result<Option<String>> {
    let subjects: Vec<&str> = measured(table);
    let largest = table
        .rows
        .iter()
        .flat_map(|row| values(row, &subjects))
        .map(|(_, value)| value.third_quartile)
        .fold(0.0, f64::max);
    if largest <= 0.0 {
        return Ok(None);
    }
    let bars: usize = table
        .rows
        .iter()
        .map(|row| values(row, &subjects).count())
        .sum();
    let height = TITLE
        + i32::try_from(bars)? * BAR
        + i32::try_from(table.rows.len())? * GAP
        + i32::try_from(subjects.len().div_ceil(4))? * 18
        + MARGIN;
    let mut text = String::new();
    {
        let size = (WIDTH.cast_unsigned(), height.cast_unsigned());
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        draw(&area, table, &subjects, largest).map_err(|error| anyhow!("no plot: {error}"))?;
    }
    Ok(Some(text))
}

/// Who has a value at all. A difference is in the other bars already.
fn measured(table: &Table) -> Vec<&str> {
    let subjects = table.subjects().into_iter();
    subjects
        .filter(|subject| *subject != NET && table.has_value(subject))
        .collect()
}

fn values<'a>(row: &'a Row, subjects: &'a [&'a str]) -> impl Iterator<Item = (usize, &'a Spread)> {
    let all = subjects.iter().enumerate();
    all.filter_map(|(index, subject)| {
        let value = row.outcome(subject).and_then(Outcome::value)?;
        Some((index, value))
    })
}

type Drawn = Result<(), plotters::drawing::DrawingAreaErrorKind<std::io::Error>>;

fn draw(area: &Area<'_>, table: &Table, subjects: &[&str], largest: f64) -> Drawn {
    area.fill(&WHITE)?;
    let style = |size: i32| (FONT, size).into_font().color(&BLACK);
    let text = |text: &str, at: (i32, i32), style: TextStyle<'_>| {
        area.draw(&Text::new(text.to_owned(), at, style))
    };
    let title = format!("{} ({})", table.title, table.unit);
    text(&title, (MARGIN, MARGIN), style(18))?;

    let mut top = TITLE - 14;
    for (index, subject) in subjects.iter().enumerate() {
        let column = i32::try_from(index % 4).unwrap_or_default();
        let at = (MARGIN + column * 230, top);
        area.draw(&Rectangle::new(
            [at, (at.0 + 12, at.1 + 12)],
            colour(index).filled(),
        ))?;
        text(subject, (at.0 + 18, at.1), style(13))?;
        if index % 4 == 3 || index + 1 == subjects.len() {
            top += 18;
        }
    }
    top += GAP;

    let right = Pos::new(HPos::Right, VPos::Top);
    for row in &table.rows {
        let mut is_first = true;
        for (index, value) in values(row, subjects) {
            if is_first {
                let style = style(13).pos(right);
                text(&row.what.replace('`', ""), (LABEL - 8, top), style)?;
                is_first = false;
            }
            bar(area, table, top, colour(index), value, largest)?;
            top += BAR;
        }
        top += GAP;
    }
    area.present()
}

fn bar(
    area: &Area<'_>,
    table: &Table,
    top: i32,
    colour: RGBColor,
    value: &Spread,
    largest: f64,
) -> Drawn {
    let at = |value: f64| LABEL + length(value, largest);
    let end = at(value.median);
    area.draw(&Rectangle::new(
        [(LABEL, top), (end, top + BAR - 2)],
        colour.filled(),
    ))?;
    let middle = top + BAR / 2 - 1;
    let (first, third) = (at(value.first_quartile), at(value.third_quartile));
    if third > first {
        area.draw(&PathElement::new(
            [(first, middle), (third, middle)],
            BLACK.stroke_width(1),
        ))?;
    }
    let label = number(value.median, table.digits);
    let style = (FONT, 12).into_text_style(area);
    area.draw(&Text::new(label, (third.max(end) + 6, top - 1), style))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a number of pixels, bounded on both sides"
)]
fn length(value: f64, largest: f64) -> i32 {
    let room = WIDTH - LABEL - VALUE + MARGIN;
    (value / largest * f64::from(room)).clamp(0.0, f64::from(room)) as i32
}

fn colour(index: usize) -> RGBColor {
    COLOURS[index % COLOURS.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{sample::report, sections};

    #[test]
    fn a_plot_has_a_bar_for_every_value() {
        let report = report();
        let section = report.section(sections::SESSIONS).unwrap();
        let text = bars(&section.tables[0]).unwrap().unwrap();
        assert!(text.starts_with("<svg "), "{text}");
        // Background, three subjects in the legend, five values.
        assert_eq!(text.matches("<rect ").count(), 1 + 3 + 5, "{text}");
        assert!(
            text.contains("2500") && text.contains("nf_nat_ftp"),
            "{text}"
        );
        // Who has no value at all has no colour.
        assert!(!text.contains("conntrackd"), "{text}");
    }

    #[test]
    fn nothing_to_plot_is_no_plot() {
        let mut table = report().sections[0].tables[0].clone();
        table.rows.clear();
        assert_eq!(bars(&table).unwrap(), None);
    }
}
