//! The text tables of `_cat`: columns chosen by `h`, rows sorted by `s`, sizes in the unit of `bytes`, or all of it as JSON.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use crate::error::{ApiError, Result};
use crate::http::{Request, Response};
use crate::mapping::simple_match;

/// One column a table can show.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Other names `h` and `s` take.
    pub aliases: &'static [&'static str],
    /// What `help` says of it.
    pub about: &'static str,
    /// Numbers stand at the right.
    pub right: bool,
    /// Shown when `h` does not choose.
    pub shown: bool,
}

/// One cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Text.
    Text(String),
    /// A count.
    Number(u64),
    /// A size, written in the unit asked for.
    Bytes(u64),
    /// A share of a hundred, written with one digit and `%`.
    Percent(f64),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

/// How a table is to be written: read from the query before any work is done.
#[derive(Debug)]
pub struct View {
    columns: Option<Vec<String>>,
    sort: Vec<String>,
    header: bool,
    help: bool,
    unit: Option<Unit>,
    json: bool,
}

/// A unit of sizes: its name and how many bytes it is.
#[derive(Debug, Clone, Copy)]
struct Unit(u64);

const UNITS: [(&str, u64); 6] =
    [("b", 1), ("kb", 1 << 10), ("mb", 1 << 20), ("gb", 1 << 30), ("tb", 1 << 40), ("pb", 1 << 50)];

impl View {
    /// Reads `h`, `s`, `v`, `help`, `bytes`, `time` and the format.
    ///
    /// # Errors
    /// 400 for texts that are not understood.
    pub fn read(request: &mut Request) -> Result<Self> {
        let params = &mut request.params;
        let columns = params.list("h");
        let sort = params.list("s").unwrap_or_default();
        let header = params.bool("v", false)?;
        let help = params.bool("help", false)?;
        let unit = match params.get("bytes") {
            None => None,
            Some(text) => match UNITS.iter().find(|(name, _)| *name == text) {
                Some((_, bytes)) => Some(Unit(*bytes)),
                None => {
                    return Err(ApiError::illegal_argument(format!(
                        "unsupported value [{text}] for parameter [bytes], allowed are [b, kb, mb, gb, tb, pb]"
                    )));
                }
            },
        };
        // No column of ours is a time span.
        params.one_of("time", &["nanos", "micros", "ms", "s", "m", "h", "d"])?;
        let json = request.wants_json()?;
        Ok(Self { columns, sort, header, help, unit, json })
    }

    /// The answer of `help`, which describes the columns, if that is what is wanted.
    pub fn help(&self, columns: &[Column]) -> Option<Response> {
        if !self.help {
            return None;
        }
        let rows: Vec<[String; 3]> = columns
            .iter()
            .map(|column| [column.name.to_owned(), column.aliases.join(","), column.about.to_owned()])
            .collect();
        let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
        let (name, aliases, about) = (width(0), width(1), width(2));
        let lines: Vec<String> = rows
            .iter()
            .map(|row| format!("{:name$} | {:aliases$} | {:about$}\n", row[0], row[1], row[2]))
            .collect();
        Some(Response::text(lines.concat()))
    }

    /// The table with `rows`, whose cells stand in the order of `columns`.
    ///
    /// # Errors
    /// 400 for a sort key that is no column.
    pub fn render(&self, columns: &[Column], mut rows: Vec<Vec<Cell>>) -> Result<Response> {
        self.sort(columns, &mut rows)?;
        let chosen = self.chosen(columns);
        let texts: Vec<Vec<String>> = rows
            .iter()
            .map(|row| {
                chosen
                    .iter()
                    .map(|(at, _)| row.get(*at).map(|cell| self.text(cell)).unwrap_or_default())
                    .collect()
            })
            .collect();
        if self.json {
            let rows = texts.into_iter().map(|row| {
                let members: Map<String, Value> =
                    chosen.iter().zip(row).map(|((_, name), text)| (name.clone(), text.into())).collect();
                Value::Object(members)
            });
            return Ok(Response::ok(rows.collect()));
        }
        let width = |at: usize| {
            let header = if self.header { chosen[at].1.chars().count() } else { 0 };
            texts.iter().map(|row| row[at].chars().count()).max().unwrap_or(0).max(header)
        };
        let widths: Vec<usize> = (0..chosen.len()).map(width).collect();
        let mut out = String::new();
        let mut line = |row: Vec<&str>, is_header: bool| {
            for (at, text) in row.iter().enumerate() {
                let pad = " ".repeat(widths[at].saturating_sub(text.chars().count()));
                let right = columns[chosen[at].0].right && !is_header;
                if at > 0 {
                    out.push(' ');
                }
                if right {
                    out.push_str(&pad);
                }
                out.push_str(text);
                if !right && at + 1 < row.len() {
                    out.push_str(&pad);
                }
            }
            out.push('\n');
        };
        if self.header {
            line(chosen.iter().map(|(_, name)| name.as_str()).collect(), true);
        }
        for row in &texts {
            line(row.iter().map(String::as_str).collect(), false);
        }
        Ok(Response::text(out))
    }

    /// Columns to show, each under the name it was asked for. Names that are none are left out, as in Elasticsearch.
    fn chosen(&self, columns: &[Column]) -> Vec<(usize, String)> {
        let Some(names) = &self.columns else {
            return columns
                .iter()
                .enumerate()
                .filter(|(_, column)| column.shown)
                .map(|(at, column)| (at, column.name.to_owned()))
                .collect();
        };
        let mut chosen: Vec<(usize, String)> = Vec::new();
        for name in names {
            for (at, column) in columns.iter().enumerate() {
                let shown_as = if column.name == name || column.aliases.contains(&name.as_str()) {
                    name.clone()
                } else if simple_match(name, column.name) {
                    column.name.to_owned()
                } else {
                    continue;
                };
                if !chosen.iter().any(|(other, _)| *other == at) {
                    chosen.push((at, shown_as));
                }
            }
        }
        chosen
    }

    fn sort(&self, columns: &[Column], rows: &mut [Vec<Cell>]) -> Result<()> {
        let mut keys = Vec::new();
        for key in &self.sort {
            let (name, descending) = match key.rsplit_once(':') {
                Some((name, "desc")) => (name, true),
                Some((name, "asc")) => (name, false),
                _ => (key.as_str(), false),
            };
            let at = columns
                .iter()
                .position(|column| column.name == name || column.aliases.contains(&name))
                .ok_or_else(|| {
                    ApiError::illegal_argument(format!("Unable to sort by unknown sort key `{key}`"))
                })?;
            keys.push((at, descending));
        }
        rows.sort_by(|a, b| {
            keys.iter().fold(Ordering::Equal, |order, (at, descending)| {
                order.then_with(|| {
                    let order = compare(&a[*at], &b[*at]);
                    if *descending { order.reverse() } else { order }
                })
            })
        });
        Ok(())
    }

    fn text(&self, cell: &Cell) -> String {
        match cell {
            Cell::Text(text) => text.clone(),
            Cell::Number(number) => number.to_string(),
            Cell::Percent(share) => format!("{share:.1}%"),
            Cell::Bytes(bytes) => match self.unit {
                Some(Unit(unit)) => (bytes / unit).to_string(),
                None => human_bytes(*bytes),
            },
        }
    }
}

fn compare(a: &Cell, b: &Cell) -> Ordering {
    match (a, b) {
        (Cell::Number(a) | Cell::Bytes(a), Cell::Number(b) | Cell::Bytes(b)) => a.cmp(b),
        (Cell::Percent(a), Cell::Percent(b)) => a.total_cmp(b),
        (Cell::Text(a), Cell::Text(b)) => a.cmp(b),
        // Columns have one kind of cell; an absent value (text) stands first.
        (Cell::Text(_), _) => Ordering::Less,
        (_, Cell::Text(_)) => Ordering::Greater,
        _ => Ordering::Equal,
    }
}

/// `5.4kb`: one digit after the point, cut and not rounded, and none where it is 0.
pub fn human_bytes(bytes: u64) -> String {
    let (name, unit) = UNITS.iter().rev().find(|(_, unit)| bytes >= *unit).unwrap_or(&UNITS[0]);
    let (whole, tenth) = (bytes / unit, bytes % unit * 10 / unit);
    if tenth == 0 { format!("{whole}{name}") } else { format!("{whole}.{tenth}{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [
        Column { name: "index", aliases: &["i", "idx"], about: "index name", right: false, shown: true },
        Column { name: "docs.count", aliases: &["dc"], about: "available docs", right: true, shown: true },
        Column { name: "store.size", aliases: &["ss"], about: "store size", right: true, shown: false },
    ];

    fn view() -> View {
        View { columns: None, sort: Vec::new(), header: false, help: false, unit: None, json: false }
    }

    fn rows() -> Vec<Vec<Cell>> {
        vec![
            vec!["bb".into(), 5_u64.into(), Cell::Bytes(5599)],
            vec!["a".into(), 10_u64.into(), Cell::Bytes(227)],
        ]
    }

    fn text(view: &View) -> String {
        view.render(&COLUMNS, rows()).unwrap().into_text()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn columns_rows_and_widths() {
        assert_eq!(text(&view()), "bb  5\na  10\n");
        assert_eq!(
            text(&View { header: true, ..view() }),
            "index docs.count\nbb             5\na             10\n"
        );
        let chosen = View { columns: Some(names(&["ss", "nope", "i"])), header: true, ..view() };
        assert_eq!(text(&chosen), "ss    i\n5.4kb bb\n 227b a\n");
        assert_eq!(text(&View { columns: Some(names(&["*o*s*"])), ..view() }), " 5 5.4kb\n10  227b\n");
        assert_eq!(text(&View { columns: Some(names(&["nope"])), ..view() }), "\n\n");
        let bytes = View { columns: Some(names(&["ss"])), unit: Some(Unit(1024)), json: true, ..view() };
        assert_eq!(text(&bytes), r#"[{"ss":"5"},{"ss":"0"}]"#);
    }

    #[test]
    fn sorts_by_values() {
        assert_eq!(text(&View { sort: names(&["index"]), ..view() }), "a  10\nbb  5\n");
        assert_eq!(text(&View { sort: names(&["dc:desc"]), ..view() }), "a  10\nbb  5\n");
        assert_eq!(text(&View { sort: names(&["docs.count:asc"]), ..view() }), "bb  5\na  10\n");
        let error = View { sort: names(&["index:foo"]), ..view() }.render(&COLUMNS, rows()).unwrap_err();
        assert_eq!(error.reason, "Unable to sort by unknown sort key `index:foo`");
    }

    #[test]
    fn help_describes_columns() {
        let text = View { help: true, ..view() }.help(&COLUMNS[..2]).unwrap().into_text();
        assert_eq!(text, "index      | i,idx | index name    \ndocs.count | dc    | available docs\n");
    }

    #[test]
    fn sizes_are_cut_not_rounded() {
        let sizes = [
            (0, "0b"),
            (1023, "1023b"),
            (1024, "1kb"),
            (5599, "5.4kb"),
            (1_048_575, "1023.9kb"),
            (123_456_789, "117.7mb"),
        ];
        for (bytes, text) in sizes {
            assert_eq!(human_bytes(bytes), text);
        }
    }
}
