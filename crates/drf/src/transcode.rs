//! JSON from text to text, a value at a time: what it says is checked and printed anew, and never held as a tree, which
//! takes up to a hundred times the room.

use std::fmt;
use std::io::Write;

use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Where the text goes, and what was noticed on its way.
#[derive(Debug, Default)]
pub(crate) struct Printer {
    text: Vec<u8>,
    /// Whether the text is kept at all.
    keeps: bool,
    /// Whether a string or a key holds a NUL, which `jsonb` can't store.
    pub(crate) holds_nul: bool,
    /// How much longer the text becomes in `jsonb`, which writes every digit of a number out.
    written_out: usize,
}

impl Printer {
    /// One that keeps what it prints.
    pub(crate) fn keeping() -> Self {
        Self { keeps: true, ..Self::default() }
    }

    /// One that only looks.
    pub(crate) fn looking() -> Self {
        Self::default()
    }

    /// What was printed: without blanks, numbers and strings as orjson prints them.
    pub(crate) fn into_text(self) -> String {
        String::from_utf8(self.text).unwrap_or_default()
    }

    /// Bytes of what was printed, once it is `jsonb` and printed by PostgreSQL.
    pub(crate) fn length_in_jsonb(&self) -> usize {
        self.text.len() + self.written_out
    }

    fn raw<E: Error>(&mut self, bytes: &[u8]) -> Result<(), E> {
        if self.keeps { self.text.write_all(bytes).map_err(E::custom) } else { Ok(()) }
    }

    fn value<E: Error>(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), E> {
        if self.keeps { serde_json::to_writer(&mut self.text, value).map_err(E::custom) } else { Ok(()) }
    }

    fn string<E: Error>(&mut self, text: &str) -> Result<(), E> {
        self.holds_nul |= text.contains('\0');
        self.value(text)
    }

    /// The items of an array.
    pub(crate) fn items<'de, A: SeqAccess<'de>>(&mut self, mut items: A) -> Result<(), A::Error> {
        self.raw(b"[")?;
        let mut first = true;
        while items.next_element_seed(Item { printer: self, first })?.is_some() {
            first = false;
        }
        self.raw(b"]")
    }

    /// The entries of an object.
    pub(crate) fn entries<'de, A: MapAccess<'de>>(&mut self, mut entries: A) -> Result<(), A::Error> {
        self.raw(b"{")?;
        let mut first = true;
        while entries.next_key_seed(Item { printer: self, first })?.is_some() {
            self.raw(b":")?;
            entries.next_value_seed(Item { printer: self, first: true })?;
            first = false;
        }
        self.raw(b"}")
    }
}

/// One value, with a comma before it unless it's the first.
struct Item<'a> {
    printer: &'a mut Printer,
    first: bool,
}

impl<'de> DeserializeSeed<'de> for Item<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if !self.first {
            self.printer.raw(b",")?;
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Item<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.printer.raw(b"null")
    }

    fn visit_bool<E: Error>(self, boolean: bool) -> Result<(), E> {
        self.printer.value(&boolean)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.printer.value(&number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.printer.value(&number)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        let before = self.printer.text.len();
        self.printer.value(&number)?;
        // Printed with an exponent where it has many digits: at most 324.
        let printed = self.printer.text.get(before..).unwrap_or_default();
        let exponent = printed.rsplit(|byte| *byte == b'e').next().filter(|_| printed.contains(&b'e'));
        let exponent = exponent.and_then(|digits| str::from_utf8(digits).ok()?.parse::<i32>().ok());
        self.printer.written_out += exponent.map_or(0, |digits| digits.unsigned_abs() as usize);
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.printer.string(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<(), A::Error> {
        self.printer.items(items)
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<(), A::Error> {
        self.printer.entries(entries)
    }
}

/// A JSON object as it is stored, as answers print it.
pub(crate) struct Object;

impl<'de> DeserializeSeed<'de> for Object {
    type Value = String;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object {
    type Value = String;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<String, A::Error> {
        let mut printer = Printer::keeping();
        printer.entries(entries)?;
        Ok(printer.into_text())
    }
}
