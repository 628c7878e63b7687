//! `ak-stages completions`: what a shell completes.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::Cli;
use super::stdout::print;

/// Print the script that teaches a shell this command line.
///
/// # Errors
/// Standard output can't be written to.
pub fn run(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "ak-stages", &mut script);
    print(&String::from_utf8(script)?)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_has_a_script_with_every_command() {
        let commands: Vec<_> =
            Cli::command().get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            generate(*shell, &mut Cli::command(), "ak-stages", &mut script);
            let script = String::from_utf8(script).unwrap();
            for command in &commands {
                assert!(script.contains(command.as_str()), "{shell}: {command}");
            }
        }
    }
}
