// SPDX-License-Identifier: GPL-2.0-only

//! The words of the kernel's command line that are for `/init`: `lab.shell`,
//! and `lab.env.NAME=VALUE` for the environment of programs.

use std::fs;

/// Where programs are looked for.
const PATH: &str = "/bin:/usr/bin:/sbin:/usr/sbin";

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// Give a prompt on the console.
    pub shell: bool,
    /// Environment of programs.
    pub env: Vec<(String, String)>,
}

impl CommandLine {
    /// Reads /proc/cmdline.
    pub fn read() -> Result<Self, String> {
        let text =
            fs::read_to_string("/proc/cmdline").map_err(|e| format!("/proc/cmdline: {e}"))?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let mut words = CommandLine::default();
        for word in text.split_whitespace() {
            if word == "lab.shell" {
                words.shell = true;
            } else if let Some((name, value)) = word
                .strip_prefix("lab.env.")
                .and_then(|word| word.split_once('='))
            {
                words.env.push((name.to_owned(), value.to_owned()));
            }
        }
        words
    }

    /// Puts the environment in force for this process and those it starts.
    pub fn export(&self) {
        std::env::set_var("PATH", PATH);
        std::env::set_var("HOME", crate::protocol::CASE_DIR);
        for (name, value) in &self.env {
            std::env::set_var(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_init_are_picked_out() {
        let words = CommandLine::parse("console=ttyS0 lab.shell lab.env.A=b=c lab.env.X quiet\n");
        assert!(words.shell);
        assert_eq!(words.env, [("A".to_owned(), "b=c".to_owned())]);
    }
}
