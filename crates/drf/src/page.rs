//! Page arithmetic and the list envelope.

use serde::Serialize;
use serde_json::{Map, Value};

use super::params::Query;
use super::python;

/// What the query asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// Rows a page; at least 1.
    pub size: i64,
    /// Which page; `None` where the parameter is no number, so that no page fits.
    pub number: Option<PageNumber>,
}

/// A page by number, or the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageNumber {
    /// From 1.
    Number(i128),
    /// `?page=last`
    Last,
}

/// Page sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSizes {
    /// Where the query names none.
    pub default: i64,
    /// The most that a query gets.
    pub max: i64,
}

impl PageSizes {
    /// No more than `most` for a query that names a size, if there is such a limit.
    #[must_use]
    pub fn at_most(self, most: Option<i64>) -> Self {
        Self { max: most.map_or(self.max, |most| most.min(self.max)), ..self }
    }
}

impl PageRequest {
    /// A page size that is no positive number counts as none.
    pub fn read(query: &Query, sizes: PageSizes) -> Self {
        let size = query.last("page_size").and_then(python::int).filter(|size| *size > 0);
        let size = size.map_or(sizes.default, |size| i64::try_from(size).unwrap_or(i64::MAX).min(sizes.max));
        let number = match query.last("page").unwrap_or_default() {
            "" => Some(PageNumber::Number(1)),
            "last" => Some(PageNumber::Last),
            text => python::int(text).map(PageNumber::Number),
        };
        Self { size: size.max(1), number }
    }

    /// Where the page stands among `count` rows; `None` for a page that isn't there. Page 1 always is.
    pub fn locate(self, count: i64) -> Option<Page> {
        let total_pages = (count + self.size - 1).div_euclid(self.size).max(1);
        let current = match self.number? {
            PageNumber::Last => total_pages,
            PageNumber::Number(number) => {
                i64::try_from(number).ok().filter(|n| (1..=total_pages).contains(n))?
            }
        };
        Some(Page { size: self.size, count, current, total_pages })
    }
}

/// A page that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Rows a page.
    pub size: i64,
    count: i64,
    current: i64,
    total_pages: i64,
}

impl Page {
    /// Rows before this page.
    pub fn offset(&self) -> i64 {
        (self.current - 1) * self.size
    }

    /// Rows of all pages.
    pub fn count(&self) -> i64 {
        self.count
    }

    /// Rows on this page.
    pub fn rows(&self) -> i64 {
        self.size.min(self.count - self.offset())
    }

    /// Rows behind this page.
    pub fn behind(&self) -> i64 {
        self.count - self.offset() - self.rows()
    }

    /// The list answer. `autocomplete` describes the search grammar of the few lists that have one.
    pub fn envelope<T: Serialize>(&self, results: Vec<T>, autocomplete: Map<String, Value>) -> Envelope<T> {
        let last = self.current == self.total_pages;
        Envelope {
            pagination: Pagination {
                next: if last { 0 } else { self.current + 1 },
                previous: self.current - 1,
                count: self.count,
                current: self.current,
                total_pages: self.total_pages,
                start_index: if self.count == 0 { 0 } else { self.offset() + 1 },
                end_index: if last { self.count } else { self.offset() + self.size },
            },
            results,
            autocomplete,
        }
    }
}

/// A list answer.
#[derive(Debug, Serialize)]
pub struct Envelope<T> {
    pagination: Pagination,
    results: Vec<T>,
    autocomplete: Map<String, Value>,
}

/// Page numbers, 0 where there is none: never `null`, never a URL.
#[derive(Debug, Serialize)]
struct Pagination {
    next: i64,
    previous: i64,
    count: i64,
    current: i64,
    total_pages: i64,
    start_index: i64,
    end_index: i64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Walking from page 1 by `next` sees every row once.
        #[test]
        fn pages_cover_all_rows(count in 0_i64..1000, size in 1_i64..120) {
            let (mut number, mut seen) = (1, 0);
            while number != 0 {
                let request = PageRequest { size, number: Some(PageNumber::Number(number.into())) };
                let page = request.locate(count).expect("a page that the previous one named");
                prop_assert_eq!(page.offset(), seen);
                let pagination = page.envelope::<()>(vec![], Map::new()).pagination;
                seen = pagination.end_index;
                number = pagination.next;
            }
            prop_assert_eq!(seen, count);
        }
    }
}
