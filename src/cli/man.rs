//! `ak-stages man`: manual pages, one a command.

use std::fs;
use std::path::Path;

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::Cli;

/// Write them into a directory, which is made if it isn't there: `ak-stages.1`, `ak-stages-serve.1`, …
///
/// # Errors
/// The directory can't be written to.
pub fn run(directory: &Path) -> anyhow::Result<()> {
    let written = || -> std::io::Result<()> {
        fs::create_dir_all(directory)?;
        pages(named()).iter().try_for_each(|(name, page)| fs::write(directory.join(name), page))
    };
    written().with_context(|| format!("cannot write to {}", directory.display()))
}

/// The command line, with the whole name of each command in its usage.
fn named() -> Command {
    let mut command = Cli::command();
    command.build();
    command
}

/// Pages of a command and of those below it, by the names of their files.
fn pages(command: Command) -> Vec<(String, Vec<u8>)> {
    let mut page = Vec::new();
    let below: Vec<_> = command.get_subcommands().filter(|sub| sub.get_name() != "help").cloned().collect();
    let man = Man::new(command).source(concat!("ak-stages ", env!("CARGO_PKG_VERSION")));
    let name = man.get_filename();
    // A vector takes any number of bytes.
    man.render(&mut page).ok();
    let mut all = vec![(name, page)];
    all.extend(below.into_iter().flat_map(pages));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_that_tells_its_options() {
        let pages = pages(named());
        let page = |name: &str| {
            let (_, page) = pages.iter().find(|(found, _)| found == name).unwrap();
            String::from_utf8(page.clone()).unwrap()
        };
        assert!(page("ak-stages.1").contains(r"ak\-stages\-serve(1)"));
        let import = page("ak-stages-invitation-import.1");
        assert!(
            import.contains(r"\-\-dry\-run") && import.contains("ak\\-stages invitation import"),
            "{import}"
        );
    }
}
