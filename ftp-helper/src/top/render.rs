//! The screen.

use ftp_helper_common::reason::{Class, Reason};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Borders, Cell, Paragraph, Row, Table},
};

use super::{
    sample,
    state::{Order, Rate, State},
};
use crate::clock;

/// Below this height only the sessions are shown.
const LOW: u16 = 14;

/// Below this width the boxes stand below each other, without those of the tables.
const NARROW: u16 = 70;

/// Below this width only the ends of the sessions are shown.
const TINY: u16 = 50;

/// Draws everything that there is room for.
pub fn draw(frame: &mut Frame<'_>, state: &State) {
    let area = frame.area();
    let boxes = if area.height < LOW { 0 } else { 7 };
    let [head, middle, list, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(boxes),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(title(state), head);
    if boxes > 0 {
        draw_boxes(frame, middle, state);
    }
    draw_sessions(frame, list, state);
    frame.render_widget(keys(state.order()), foot);
}

fn title(state: &State) -> Paragraph<'static> {
    if let Some(fault) = &state.fault {
        let style = Style::new().fg(Color::Red);
        return Paragraph::new(Line::styled(fault.clone(), style));
    }
    let agent = match state.current().agent {
        Some(true) => Span::raw("the agent runs"),
        Some(false) => Span::styled(
            "no agent runs; the programs go on",
            Style::new().fg(Color::Yellow),
        ),
        None => Span::raw("agent not seen"),
    };
    let sessions = state.current().sessions.len();
    Paragraph::new(Line::from(vec![
        Span::styled("ftp-helper", Style::new().add_modifier(Modifier::BOLD)),
        Span::raw(format!("  sessions: {sessions}  ")),
        agent,
    ]))
}

fn draw_boxes(frame: &mut Frame<'_>, area: Rect, state: &State) {
    if area.width < NARROW {
        let [left, right] = Layout::horizontal([Constraint::Fill(1); 2]).areas(area);
        frame.render_widget(funnel(state), left);
        frame.render_widget(troubles(state), right);
        return;
    }
    let [left, middle, right] = Layout::horizontal([
        Constraint::Length(32),
        Constraint::Fill(1),
        Constraint::Length(32),
    ])
    .areas(area);
    frame.render_widget(funnel(state), left);
    frame.render_widget(troubles(state), middle);
    frame.render_widget(tables(&state.current().tables), right);
}

/// From what was announced to what came: the difference is what is missing.
fn funnel(state: &State) -> Table<'static> {
    let rows = [
        ("created", Reason::ExpectationCreated, Style::new()),
        ("matched", Reason::ExpectationMatched, Style::new()),
        ("replaced", Reason::ExpectationReplaced, Style::new()),
        ("torn down", Reason::ExpectationTornDown, Style::new()),
        (
            "expired",
            Reason::ExpectationExpired,
            Style::new().fg(Color::Yellow),
        ),
    ];
    let rows = rows.map(|(word, reason, style)| {
        let rate = state.rate(reason);
        let style = if rate.total > 0 { style } else { Style::new() };
        counted(word, &rate).style(style)
    });
    boxed("data connections", rows)
}

fn troubles(state: &State) -> Table<'static> {
    let troubles = state.troubles().into_iter();
    let rows = troubles.map(|rate| {
        let colour = match rate.reason.class() {
            Class::Refusal => Color::Yellow,
            Class::Drop | Class::Fault => Color::Red,
            Class::Work => Color::Reset,
        };
        counted(rate.reason.word(), &rate).style(Style::new().fg(colour))
    });
    boxed("refusals and faults", rows)
}

fn counted(word: &'static str, rate: &Rate) -> Row<'static> {
    Row::new([
        Cell::new(word),
        Cell::new(Line::from(rate.total.to_string()).right_aligned()),
        Cell::new(Line::from(format!("{:.1}/s", rate.per_second)).right_aligned()),
    ])
}

fn boxed(name: &'static str, rows: impl IntoIterator<Item = Row<'static>>) -> Table<'static> {
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(8),
        Constraint::Length(8),
    ];
    Table::new(rows, widths).block(Block::new().borders(Borders::ALL).title(name))
}

/// Nine tenths full is a warning.
fn tables(tables: &[sample::Table]) -> Table<'static> {
    let rows = tables.iter().map(|table| {
        let percent = (table.entries * 100).checked_div(table.capacity);
        let percent = percent.unwrap_or_default();
        let style = match percent {
            0..90 => Style::new(),
            90..100 => Style::new().fg(Color::Yellow),
            _ => Style::new().fg(Color::Red),
        };
        Row::new([
            Cell::new(table.name),
            Cell::new(Line::from(table.entries.to_string()).right_aligned()),
            Cell::new(Line::from(format!("{percent}%")).right_aligned()),
        ])
        .style(style)
    });
    boxed("tables", rows)
}

fn draw_sessions(frame: &mut Frame<'_>, area: Rect, state: &State) {
    // Where there is no room, the ends and the state are what matters.
    let columns = match area.width {
        0..TINY => 2,
        TINY..NARROW => 4,
        _ => 8,
    };
    let heads = [
        "CLIENT", "SERVER", "STATE", "IDLE", "IFACE", "HELPED", "REFUSED", "AGE",
    ];
    let header =
        Row::new(heads.into_iter().take(columns)).style(Style::new().add_modifier(Modifier::BOLD));
    // More than fit are not drawn.
    let shown = state.sessions().iter().take(usize::from(area.height));
    let rows = shown.map(|row| {
        let style = if row.refused > 0 {
            Style::new().fg(Color::Yellow)
        } else {
            Style::new()
        };
        let cells = [
            row.client.clone(),
            row.server.clone(),
            row.state.word().to_owned(),
            clock::to_words(row.idle),
            row.interface.clone(),
            row.helped.to_string(),
            row.refused.to_string(),
            clock::to_words(row.age),
        ];
        Row::new(cells.into_iter().take(columns)).style(style)
    });
    let widths = [
        Constraint::Fill(3),
        Constraint::Fill(3),
        Constraint::Length(10),
        Constraint::Length(7),
        Constraint::Length(8),
        Constraint::Length(7),
        Constraint::Length(7),
        Constraint::Length(7),
    ];
    let widths = widths.into_iter().take(columns);
    frame.render_widget(Table::new(rows, widths).header(header), area);
}

fn keys(order: Order) -> Line<'static> {
    let mut spans = vec![Span::raw("q quit  j/k scroll  sort by ")];
    for (key, of, word) in Order::KEYS {
        let style = if of == order {
            Style::new().add_modifier(Modifier::REVERSED)
        } else {
            Style::new()
        };
        spans.push(Span::styled(format!("{key} {word}"), style));
        spans.push(Span::raw("  "));
    }
    Line::from(spans)
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};

    use super::{super::state::tests::state, *};

    fn terminal(width: u16, height: u16, state: &State) -> Terminal<TestBackend> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, state)).unwrap();
        terminal
    }

    fn drawn(width: u16, height: u16, state: &State) -> String {
        terminal(width, height, state).backend().to_string()
    }

    #[test]
    fn a_usual_terminal() {
        insta::assert_snapshot!(drawn(110, 16, &state()));
    }

    #[test]
    fn a_narrow_one() {
        insta::assert_snapshot!(drawn(60, 16, &state()));
    }

    #[test]
    fn what_can_not_be_read_is_said() {
        let mut state = state();
        state.update(Err("the maps are gone".to_owned()));
        assert!(drawn(80, 24, &state).contains("the maps are gone"));
    }

    #[test]
    fn no_size_is_too_small() {
        for width in [0, 1, 2, 10, 29, 31, 60, 69, 70, 200] {
            for height in [0, 1, 2, 3, 5, 13, 14, 15, 50] {
                terminal(width, height, &state());
                terminal(width, height, &State::default());
            }
        }
    }
}
