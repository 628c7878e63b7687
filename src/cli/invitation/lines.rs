//! The lines of a file, one after the other, however many there are.

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader, Read};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::Format;
use crate::resources::invitation::import::{Line, is_reserved};
use crate::views::MAX_BODY;

/// Bytes that a line may have: no invitation may have more.
const LONGEST: u64 = MAX_BODY as u64;

/// A line, or its number and what is wrong with it.
pub type Found = Result<Line, (u64, String)>;

/// The lines of a file.
pub enum Lines<R> {
    /// Of CSV.
    Csv(Box<Csv<R>>),
    /// Of JSON Lines.
    Json(JsonLines<R>),
}

/// Lines of comma-separated values. One that stands behind empty lines has the number of the first of these.
pub struct Csv<R> {
    reader: csv::Reader<R>,
    columns: Vec<String>,
}

/// Lines with a JSON object each.
pub struct JsonLines<R> {
    reader: BufReader<R>,
    number: u64,
}

impl<R: Read> Lines<R> {
    /// Those of a reader, the header of a CSV file read.
    ///
    /// # Errors
    /// The header can't be read, or has a column that no file may set.
    pub fn of(reader: R, format: Format) -> anyhow::Result<Self> {
        if format == Format::Jsonl {
            return Ok(Self::Json(JsonLines { reader: BufReader::new(reader), number: 0 }));
        }
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(reader);
        let header = reader.headers().context("line 1: no header")?;
        let columns: Vec<String> = header.iter().map(str::to_owned).collect();
        let mut seen = HashSet::new();
        for column in &columns {
            ensure!(!column.is_empty(), "line 1: a column has no name");
            ensure!(seen.insert(column), "line 1: there are two columns {column}");
            if is_reserved(column) {
                bail!("line 1: the column {column} can't be set by a file");
            }
        }
        Ok(Self::Csv(Box::new(Csv { reader, columns })))
    }

    /// The next one.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn next(&mut self) -> anyhow::Result<Option<Found>> {
        match self {
            Self::Csv(csv) => csv.next(),
            Self::Json(lines) => lines.next(),
        }
    }
}

impl<R: Read> Csv<R> {
    fn next(&mut self) -> anyhow::Result<Option<Found>> {
        let mut record = csv::StringRecord::new();
        let number = self.reader.position().line();
        match self.reader.read_record(&mut record) {
            Ok(false) => return Ok(None),
            Ok(true) => {}
            Err(error) => {
                let number = error.position().map_or(number, csv::Position::line);
                let sentence = match error.kind() {
                    csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                        format!("{len} values under {expected_len} columns")
                    }
                    csv::ErrorKind::Utf8 { .. } => "not UTF-8".to_owned(),
                    _ => return Err(error.into()),
                };
                return Ok(Some(Err((number, sentence))));
            }
        }
        let number = record.position().map_or(number, csv::Position::line);
        let mut values = BTreeMap::new();
        for (column, text) in self.columns.iter().zip(record.iter()).filter(|(_, text)| !text.is_empty()) {
            let value = match column.as_str() {
                "fixed_data" => match drf::json::parse(text.as_bytes()) {
                    Ok(value) => value,
                    Err(_) => return Ok(Some(Err((number, "fixed_data: not JSON".to_owned())))),
                },
                _ => Value::String(text.to_owned()),
            };
            values.insert(column.clone(), value);
        }
        Ok(Some(Ok(Line { number, values })))
    }
}

impl<R: Read> JsonLines<R> {
    fn next(&mut self) -> anyhow::Result<Option<Found>> {
        let mut text = Vec::new();
        loop {
            text.clear();
            self.number += 1;
            if (&mut self.reader).take(LONGEST).read_until(b'\n', &mut text)? == 0 {
                return Ok(None);
            }
            if text.len() as u64 == LONGEST {
                bail!("line {}: longer than {LONGEST} bytes", self.number);
            }
            if !text.trim_ascii().is_empty() {
                break;
            }
        }
        let refused = |sentence: &str| Ok(Some(Err((self.number, sentence.to_owned()))));
        let Ok(Value::Object(map)) = drf::json::parse(text.trim_ascii()) else {
            return refused("not a JSON object");
        };
        if let Some(key) = map.keys().find(|key| is_reserved(key)) {
            return refused(&format!("{key} can't be set by a file"));
        }
        Ok(Some(Ok(Line { number: self.number, values: map.into_iter().collect() })))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn all(text: &str, format: Format) -> Vec<Result<(u64, Value), (u64, String)>> {
        let mut lines = Lines::of(text.as_bytes(), format).unwrap();
        let mut found = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            found.push(line.map(|line| (line.number, json!(line.values))));
        }
        found
    }

    #[test]
    fn lines_of_csv_have_their_numbers() {
        let text = "\u{feff}name,email,fixed_data\na,\"x, y\",\n\nb,\"two\nlines\",\"{\"\"a\"\":1}\"\nc,d\n e , ,{\nf,,\n";
        let found = all(text, Format::Csv);
        assert_eq!(
            found,
            [
                Ok((2, json!({ "name": "a", "email": "x, y" }))),
                Ok((3, json!({ "name": "b", "email": "two\nlines", "fixed_data": { "a": 1 } }))),
                Err((6, "2 values under 3 columns".to_owned())),
                Err((7, "fixed_data: not JSON".to_owned())),
                Ok((8, json!({ "name": "f" }))),
            ]
        );
        for header in ["name,name", "name,pk", "name,flow", "name,"] {
            assert!(Lines::of(header.as_bytes(), Format::Csv).is_err(), "{header}");
        }
    }

    #[test]
    fn lines_of_json_have_their_numbers() {
        let found = all("{\"name\": \"a\", \"n\": 1}\n\n[1]\n{\"pk\": 1}\n{\"name\":", Format::Jsonl);
        assert_eq!(
            found,
            [
                Ok((1, json!({ "n": 1, "name": "a" }))),
                Err((3, "not a JSON object".to_owned())),
                Err((4, "pk can't be set by a file".to_owned())),
                Err((5, "not a JSON object".to_owned())),
            ]
        );
    }
}
