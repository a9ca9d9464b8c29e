//! `cbdc completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// Print completions for a shell
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc completions bash  then: source <(cbdc completions bash)
  cbdc completions zsh")]
pub struct Completions {
    shell: Shell,
}

impl Completions {
    pub fn run(self) -> anyhow::Result<()> {
        clap_complete::generate(
            self.shell,
            &mut crate::arguments::Arguments::command(),
            "cbdc",
            &mut std::io::stdout(),
        );
        Ok(())
    }
}
