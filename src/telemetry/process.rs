//! What the system says of this process, where it says so in `/proc`.

use std::fs;

/// Memory and files of this process.
pub(super) struct Process {
    /// Bytes of memory that it has.
    pub resident: Option<f64>,
    /// Files and connections that it has open.
    pub open_files: Option<f64>,
    /// How many it may open.
    pub max_files: Option<f64>,
}

impl Process {
    /// As it is now.
    pub fn now() -> Self {
        let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        let (status, limits) = (read("status"), read("limits"));
        let files = fs::read_dir("/proc/self/fd").ok();
        Self {
            resident: number(&status, "VmRSS:").map(|kibibytes| kibibytes * 1024.0),
            open_files: files.map(|files| count(files.count())),
            max_files: number(&limits, "Max open files"),
        }
    }
}

/// The first number of the line that begins so.
fn number(text: &str, begin: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(begin))?.split_whitespace().next()?.parse().ok()
}

/// A small count as Prometheus has all numbers.
pub(super) fn count(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_by_their_begin() {
        assert_eq!(number("VmPeak: 9 kB\nVmRSS:\t  12 kB\n", "VmRSS:"), Some(12.0));
        assert_eq!(
            number("Max open files            1024     4096     files\n", "Max open files"),
            Some(1024.0)
        );
        assert_eq!(number("Max open files            unlimited\n", "Max open files"), None);
    }
}
