// SPDX-License-Identifier: GPL-2.0-only

//! Source, series and overlay made into trees, and back: the tree that the lab
//! builds, and git trees to work in.

mod both_sides;
mod download;
mod git_tree;
mod lab_tree;
mod laid_overlay;
mod local_source;
mod messages;
mod odd_patches;
mod own_series;
mod project;
mod rebase;
mod refresh;
mod two_trees;
