//! Columns for people.

use std::fmt;

/// Writes rows under a header, columns as wide as they need to be, two spaces between them.
pub(crate) fn write<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    header: [&str; N],
    rows: &[[String; N]],
) -> fmt::Result {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    line(f, &header, &widths)?;
    rows.iter().try_for_each(|row| line(f, &row.each_ref().map(String::as_str), &widths))
}

fn line<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    cells: &[&str; N],
    widths: &[usize; N],
) -> fmt::Result {
    let mut text = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        text.push_str(&format!("{cell:<width$}  "));
    }
    writeln!(f, "{}", text.trim_end())
}
