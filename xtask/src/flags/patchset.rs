// SPDX-License-Identifier: GPL-2.0-only

//! Flags of `cargo xtask patchset`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::flags::ArchSet;

/// `cargo xtask patchset ...`
#[derive(Debug, Subcommand)]
pub enum Patchset {
    /// Check that the series applies cleanly and keeps its rules, and that each prefix of it builds
    #[command(
        after_help = "examples:\n  cargo xtask patchset check\n  cargo xtask patchset check --build --arch arm64   (goes on where it was cut)"
    )]
    Check(Check),
    /// Apply the series and the overlay to the lab's tree, or make a git tree of them
    #[command(
        after_help = "examples:\n  cargo xtask patchset apply --to ~/linux\n  cargo xtask patchset apply --to ~/linux --upto 200"
    )]
    Apply(Apply),
    /// Begin a patch in a git tree of the series: an empty commit with the header of a patch
    #[command(
        after_help = "example:\n  cargo xtask patchset apply --to ~/linux\n  cargo xtask patchset new --in ~/linux \"mm: let mremap be called from inside the kernel\"\n  (edit there, git commit --amend --all, and say why)\n  cargo xtask patchset refresh --from ~/linux"
    )]
    New(New),
    /// Take a git tree's commits back as patches, and its files of the overlay
    #[command(
        after_help = "example:\n  cargo xtask patchset apply --to ~/linux\n  (edit and commit there, rebase, reorder)\n  cargo xtask patchset refresh --from ~/linux"
    )]
    Refresh(Refresh),
    /// Carry a series to another kernel's source: a git tree in which `git am` puts it on that
    #[command(
        after_help = "example:\n  cargo xtask patchset rebase --onto next --to ~/linux-next\n  (merge what does not fit, git add, git am --continue)\n  cargo xtask patchset refresh --from ~/linux-next   (writes the series of `next`)"
    )]
    Rebase(Rebase),
    /// Write the series as mails, overlay and cover letter included
    #[command(
        after_help = "example:\n  cargo xtask patchset export --out /tmp/v2 --version 2\n  git send-email --dry-run /tmp/v2/*.patch"
    )]
    Export(Export),
}

/// `patchset check`
#[derive(Debug, Clone, Default, Args)]
pub struct Check {
    /// Which kernel's source.
    #[command(flatten)]
    pub source: SourceFlags,
    /// Build every prefix of the series too, with its options off and on
    #[arg(long)]
    pub build: bool,
    /// x86_64, arm64 or all
    #[arg(long, value_name = "ARCH", default_value = "all", requires = "build")]
    pub arch: ArchSet,
}

/// `patchset export`
#[derive(Debug, Clone, Args)]
pub struct Export {
    /// Which kernel's source.
    #[command(flatten)]
    pub source: SourceFlags,
    /// Where the mails go, a folder that does not exist or is empty
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Which version of the series it is
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub version: u32,
    /// The cover letter: a subject, an empty line, the text (default: kernel-patches/cover-letter)
    #[arg(long, value_name = "FILE")]
    pub cover: Option<PathBuf>,
}

/// `patchset new`
#[derive(Debug, Clone, Args)]
pub struct New {
    /// The tree, made by `patchset apply --to`
    #[arg(long = "in", value_name = "DIR")]
    pub tree: PathBuf,
    /// The subsystem, a colon, what the patch does
    #[arg(value_name = "SUBJECT")]
    pub subject: String,
}

/// `patchset refresh`
#[derive(Debug, Clone, Args)]
pub struct Refresh {
    /// The tree, made by `patchset apply --to`
    #[arg(long, value_name = "DIR")]
    pub from: PathBuf,
    /// Show what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Give up a refresh that was cut and cannot be finished: what it has written stays
    #[arg(long, conflicts_with = "dry_run")]
    pub abort: bool,
}

/// `patchset apply`
#[derive(Debug, Clone, Default, Args)]
pub struct Apply {
    /// Which kernel's source.
    #[command(flatten)]
    pub source: SourceFlags,
    /// Make a git tree there: the source, the overlay's commits, one commit a patch
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// Stop after this patch, by its number or name
    #[arg(long, value_name = "PATCH", requires = "to")]
    pub upto: Option<String>,
}

/// `patchset rebase`
#[derive(Debug, Clone, Args)]
pub struct Rebase {
    /// The kernel whose series it is (default: that of --onto if it has patches, else the default-kernel)
    #[arg(long, value_name = "NAME")]
    pub from: Option<String>,
    /// The kernel whose source it goes to, and whose series it becomes
    #[arg(long, value_name = "NAME")]
    pub onto: String,
    /// Where the tree is made, a folder that does not exist or is empty
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
}

/// Which kernel's source.
#[derive(Debug, Clone, Default, Args)]
pub struct SourceFlags {
    /// A kernel of lab.toml (default: its default-kernel)
    #[arg(long, value_name = "NAME")]
    pub kernel: Option<String>,
}
