//! `cbdc completions`: completions for a shell.

use clap::Args;
use clap_complete::Shell;

use crate::output::Output;

/// Print completions for a shell
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc completions bash  then: source <(cbdc completions bash)
  cbdc completions zsh")]
pub struct Completions {
    shell: Shell,
}

impl Completions {
    /// Prints the completions of the whole command line.
    pub fn run(self, mut command_line: clap::Command, output: &Output) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command_line, "cbdc", &mut script);
        output.line(String::from_utf8(script)?.trim_end());
        Ok(())
    }
}
