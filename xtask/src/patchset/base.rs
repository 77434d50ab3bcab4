// SPDX-License-Identifier: GPL-2.0-only

//! The version of the source that a series was made for, its file `base`, beside those of the sources that kernels
//! have: patches are not rewritten for another one behind the back of whoever uses them.

use std::path::Path;

use crate::config::LabConfig;
use crate::error::{Error, Result};
use crate::kernel::source::{self, version};
use crate::layout::{read_text, read_written, Layout};
use crate::patchset::origin::Origin;
use crate::plan::{series_of, Plan};

/// The file, in the series' folder.
pub const BASE: &str = "base";

/// Refuses to take patches from a tree of another source than that of the series, where a kernel has the latter: their
/// hunks would lie where they do in the former. One that the series was carried to is that of the series to come.
pub fn refuse_other(layout: &Layout, doing: &str, origin: &Origin) -> Result<()> {
    let of_tree = origin.version().filter(|found| version::is_known(found));
    let (Some(of_tree), None) = (of_tree, origin.base()) else {
        return Ok(());
    };
    let dir = layout.root().join(origin.series());
    let base = read_written(&dir.join(BASE))?;
    let base = base.trim();
    if base == of_tree {
        return Ok(());
    }
    // A package that was updated is the same kernel's all the same.
    let kernels = kernels_of(layout, &dir, base);
    let Some((kernel, _)) = kernels.first() else {
        return Ok(());
    };
    let hint = format!(
        "`cargo xtask patchset apply --kernel {kernel} --to DIR` makes a tree of that one; git am puts in what was done here"
    );
    Err(Error::usage(
        doing,
        format!(
            "the tree is of {of_tree}, and {} says that the series was made for {base}",
            layout.show(&dir.join(BASE))
        ),
    )
    .hint(hint))
}

/// Refuses to carry a series to a kernel's source, of this version, if it is also that of a kernel whose source it was
/// made for: that one would lose it.
pub fn refuse_shared(onto: &Plan, version: &str) -> Result<()> {
    let (layout, dir) = (&onto.layout, onto.series()?);
    let path = dir.join(BASE);
    if !path.is_file() {
        return Ok(());
    }
    let base = read_written(&path)?;
    let base = base.trim();
    let kernels = kernels_of(layout, dir, base);
    let onto = &onto.kernel;
    let other = kernels
        .iter()
        .find(|(_, source)| *source != onto.source_name);
    let Some((other, _)) = other.filter(|_| base != version) else {
        return Ok(());
    };
    let (name, shown) = (&onto.name, layout.show(dir));
    Err(Error::usage(
        format!("carrying the series to kernel \"{name}\""),
        format!(
            "{shown} is the series of kernel \"{other}\" too, whose source is the {base} that it was made for: \
             it would become one for {version}"
        ),
    )
    .hint(format!(
        "give it a series of its own in lab.toml, as series = \"kernel-patches/{name}\"; then \
         `cargo xtask patchset rebase --from {other} --onto {name} --to DIR`"
    )))
}

/// Kernels with this series whose source is of this version, as it was fetched last, each with its source's name.
fn kernels_of(layout: &Layout, series: &Path, version: &str) -> Vec<(String, String)> {
    // Without lab.toml none is known; whether it is sound is no matter of the series.
    let text = read_text(&layout.config());
    let Ok(config) = text.and_then(|text| LabConfig::parse("lab.toml", &text)) else {
        return Vec::new();
    };
    let of_this = config.kernel.into_iter().filter(|(_, kernel)| {
        series_of(layout, kernel).as_deref() == Some(series)
            && source::last_version(layout, &kernel.source).as_deref() == Some(version)
    });
    of_this
        .map(|(name, kernel)| (name, kernel.source))
        .collect()
}
