//! `wcgi completions` and `wcgi man`: the command line, for shells and for `man`. Both go to stdout.

use anyhow::Context as _;
use clap::CommandFactory as _;

use crate::arguments::{Arguments, Completions};
use crate::report::data;

pub(crate) fn completions(arguments: &Completions) -> anyhow::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "wcgi", &mut text);
    data(&String::from_utf8_lossy(&text))
}

/// One page: the program, and then its commands.
pub(crate) fn man() -> anyhow::Result<()> {
    let mut command = Arguments::command();
    command.build();
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut text).context("cannot write the page")?;
    for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
        text.extend(format!(".SH \"WCGI {}\"\n", command.get_name().to_uppercase()).bytes());
        let page = clap_mangen::Man::new(command.clone());
        page.render_description_section(&mut text).context("cannot write the page")?;
        page.render_options_section(&mut text).context("cannot write the page")?;
    }
    data(&String::from_utf8_lossy(&text))
}
