// SPDX-License-Identifier: GPL-2.0-only

//! A project with a tiny kernel source, one patch and a few files of the overlay.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use xtask::config::LabConfig;
use xtask::event::{Silent, Sink};
use xtask::exec::which;
use xtask::flags::Target;
use xtask::host::Host;
use xtask::kernel::source::Fetched;
use xtask::kernel::tree::{overlay_files, State};
use xtask::layout::Layout;
use xtask::patchset::cover::Cover;
use xtask::patchset::export;
use xtask::patchset::git;
use xtask::patchset::overlay::Division;
use xtask::patchset::refresh;
use xtask::patchset::series::Series;
use xtask::plan::Plan;
use xtask::suite::ALL_TOOLS;

pub const PATCH: &str = "From: A <a@b.invalid>\nSubject: x\n\nWhy.\n---\n\
                     --- a/kernel/fork.c\n+++ b/kernel/fork.c\n@@ -1,2 +1,3 @@\n one\n+restart\n two\n";

/// A project with a tiny kernel source, one patch and one overlay file.
pub struct Project {
    dir: tempfile::TempDir,
    pub layout: Layout,
    pub source: Fetched,
}

/// A machine that has nothing to say.
pub fn host() -> Host {
    Host {
        arch: None,
        cpus: 1,
        free_mib: None,
        distribution: String::new(),
        apt: false,
        rustc_override: None,
        cargo: PathBuf::from("cargo"),
        kvm: false,
    }
}

/// The plan of a plain kernel with these origins, as `lab.toml` has them, in a folder.
pub fn plan_of(root: &Path, origins: &[String]) -> Plan {
    let text = format!(
        "default-kernel = \"k\"\ndefault-machine = \"m\"\n[toolchain]\nllvm = \"19\"\nbindgen = \"0.72.1\"\n\
         [source.s]\norigin = [{}]\n[kernel.k]\nsource = \"s\"\nseries = false\nconfig = [\"base\"]\n\
         [machine.m]\ncpus = 1\nmemory-mib = 512\ncpu = {{ x86_64 = \"max\", arm64 = \"max\" }}\n",
        origins.join(", ")
    );
    let config = LabConfig::parse("lab.toml", &text).unwrap();
    Plan::new(&Layout::new(root), &config, &Target::default(), &host()).unwrap()
}

/// Whether programs are there; where they were set up for the tests they have to be.
pub fn there(programs: &[&str]) -> bool {
    let missing = programs.iter().find(|name| which(name).is_none());
    if let Some(name) = missing {
        let set_up = std::env::var_os(ALL_TOOLS).is_some();
        assert!(!set_up, "{name} was set up and is not there");
        eprintln!("skipped: no {name} here");
    }
    missing.is_none()
}

impl Project {
    /// `None` where the machine lacks the tools that the tree is made with.
    pub fn new() -> Option<Project> {
        there(&["patch", "tar"]).then(Project::made)
    }

    /// The same where trees are git's.
    pub fn with_git() -> Option<Project> {
        there(&["patch", "tar", "git"]).then(Project::made)
    }

    fn made() -> Project {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(&root.join("linux/Makefile"), "all:\n");
        write(&root.join("linux/kernel/fork.c"), "one\ntwo\n");
        write(&root.join("linux/kernel/exit.c"), "exit\n");
        // What the kernel's own rules ignore is part of the source all the same.
        write(&root.join("linux/.gitignore"), "*.mod\n");
        write(&root.join("linux/kernel/x.mod"), "x\n");
        let tarball = root.join("linux.tar");
        pack(root, &tarball);
        write(&root.join("kernel-patches/series"), "100-fork.patch\n");
        write(&root.join("kernel-patches/base"), "1.0\n");
        write(&root.join("kernel-patches/100-fork.patch"), PATCH);
        for name in [
            "Kconfig",
            "Makefile",
            "src/cr_main.rs",
            "src/lib.rs",
            "abstractions/mm.rs",
            "kernels/1.0/abstractions/variant.rs",
        ] {
            write(&root.join("rust-syscall").join(name), name);
        }
        let source = Fetched {
            name: "1.0".into(),
            origin: "linux 1.0".into(),
            version: "1.0".into(),
            sha256: "abc".into(),
            tarball,
            in_place: false,
        };
        Project {
            layout: Layout::new(root),
            source,
            dir,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn tree(&self, name: &str) -> PathBuf {
        self.layout.tree("1.0").join(name)
    }

    /// Brings the tree up to date.
    pub fn sync(&self) -> xtask::error::Result<()> {
        let state = State::open(&self.layout, &self.source.name, &self.source, &Silent)?;
        state.sync_series(&self.layout, &Series::read(&self.layout.series())?)?;
        state.sync_overlay(&overlay_files(&self.layout, "1.0")?)
    }
}

/// Packs the folder `linux` of a project.
pub fn pack(root: &Path, tarball: &Path) {
    let tar = xtask::exec::tool("packing", "tar").arg("-C").arg(root);
    tar.arg("-cf").arg(tarball).arg("linux").read().unwrap();
}

pub fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Every file below a folder: its content, and whether it can be run.
pub fn files(dir: &Path) -> BTreeMap<String, (Vec<u8>, bool)> {
    let mut files = BTreeMap::new();
    for entry in walkdir::WalkDir::new(dir) {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(dir).unwrap();
        if entry.file_type().is_file() && !path.starts_with(".git") {
            let runs = entry.metadata().unwrap().permissions().mode() & 0o100 != 0;
            let content = fs::read(entry.path()).unwrap();
            files.insert(path.display().to_string(), (content, runs));
        }
    }
    files
}

pub fn age(path: &Path) -> SystemTime {
    let old = SystemTime::now() - Duration::from_secs(3600);
    fs::File::options()
        .append(true)
        .open(path)
        .unwrap()
        .set_modified(old)
        .unwrap();
    fs::metadata(path).unwrap().modified().unwrap()
}

impl Project {
    pub fn contents<T>(&self, named: bool, act: impl FnOnce(&git::Contents<'_>) -> T) -> T {
        let dir = self.layout.series();
        act(&git::Contents {
            source: &self.source,
            overlay: &overlay_files(&self.layout, "1.0").unwrap(),
            division: &Division::read(&dir, &dir).unwrap(),
            series: &Series::read(&dir).unwrap(),
            layout: &self.layout,
            named,
            base: None,
        })
    }

    /// Makes a git tree of it; its last commit.
    pub fn git(&self, to: &str, upto: Option<&str>) -> xtask::error::Result<String> {
        self.contents(true, |contents| {
            git::apply(contents, &self.path(to), upto, &Silent)
        })
    }

    /// Writes it as mails, from the cover letter in `cover`.
    pub fn export(&self, to: &str, version: u32) -> xtask::error::Result<Vec<PathBuf>> {
        self.export_telling(to, version, &Silent)
    }

    /// The same, heard by whoever wants to.
    pub fn export_telling(
        &self,
        to: &str,
        version: u32,
        sink: &dyn Sink,
    ) -> xtask::error::Result<Vec<PathBuf>> {
        let cover = Cover::read(&self.path("cover"))?;
        let scratch = tempfile::tempdir().unwrap();
        self.contents(false, |contents| {
            export::export(
                contents,
                &cover,
                version,
                &self.path(to),
                scratch.path(),
                sink,
            )
        })
    }

    /// What git says about a tree.
    pub fn ask(&self, tree: &str, args: &[&str]) -> String {
        let git = xtask::exec::tool("asking git", "git").args(args);
        git.dir(self.path(tree)).read().unwrap()
    }
}

/// Whether a refresh had nothing to do, whatever it noted.
pub fn writes_nothing(said: &str) -> bool {
    let sum = said.lines().last();
    sum.is_some_and(|sum| sum.starts_with("0 to write, 0 to remove, "))
}

pub const DIVISION: &str = "[[commit]]\nsubject = 'rust: mm'\nmessage = 'Why.'\nfiles = ['rust/']\n\
                        [[commit]]\nsubject = 'checkpoint: all'\nmessage = 'Why.'\nfiles = ['kernel/checkpoint/']\n";
pub const SECOND: &str =
    "From: B <b@b.invalid>\nSubject: y\n\nWhy.\n\nSigned-off-by: B <b@b.invalid>\n---\n\
                      --- a/kernel/exit.c\n+++ b/kernel/exit.c\n@@ -1 +1,2 @@\n exit\n+restart\n";

/// A project with a git tree of it in `tree`, to be worked on.
pub struct Worked(pub Project);

impl Worked {
    pub fn new() -> Option<Worked> {
        let project = Project::with_git()?;
        write(&project.path("kernel-patches/overlay.toml"), DIVISION);
        write(
            &project.path("kernel-patches/series"),
            "# order\n100-fork.patch\n200-exit.patch\n",
        );
        write(&project.path("kernel-patches/200-exit.patch"), SECOND);
        project.git("tree", None).unwrap();
        Some(Worked(project))
    }

    /// Runs git in the tree as a user does.
    pub fn git(&self, args: &[&str]) {
        self.git_in("tree", args);
    }

    /// The same in another one.
    pub fn git_in(&self, tree: &str, args: &[&str]) {
        let user = ["-c", "user.name=C", "-c", "user.email=c@c.invalid"];
        let git = xtask::exec::tool("using git", "git").args(user).args(args);
        // Neither a hook's environment nor the user's own settings are part of a test.
        let editor = git
            .env_remove_all("GIT_")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_SEQUENCE_EDITOR", "sed -i '1{h;d};2{G}'")
            .env("GIT_EDITOR", "true");
        editor.dir(self.0.path(tree)).read().unwrap();
    }

    pub fn edit(&self, path: &str, text: &str) {
        write(&self.0.path("tree").join(path), text);
        self.git(&["add", "-A"]);
    }

    pub fn refresh(&self) -> xtask::error::Result<String> {
        self.refresh_from("tree")
    }

    /// The same from another tree.
    pub fn refresh_from(&self, tree: &str) -> xtask::error::Result<String> {
        let (layout, dir) = (&self.0.layout, self.0.path(tree));
        refresh::finish(layout, &dir)?;
        let changes = refresh::compare(layout, &dir)?;
        refresh::write(layout, &dir, &changes)?;
        Ok(changes.to_string())
    }

    /// Asserts that what the project makes of its series now is what the tree has.
    pub fn same_tree(&self) {
        self.0.git("again", None).unwrap();
        let tree = ["rev-parse", "HEAD^{tree}"];
        assert_eq!(self.0.ask("again", &tree), self.0.ask("tree", &tree));
    }

    /// Asserts that a refresh has nothing to do.
    pub fn is_refreshed(&self) {
        let said = self.refresh().unwrap();
        assert!(writes_nothing(&said), "{said}");
    }

    /// Why a refresh is refused.
    pub fn refused(&self) -> String {
        self.refresh().unwrap_err().to_string()
    }

    /// Makes the tree again of what the project has by now, up to a patch or with all.
    pub fn remake(&self, upto: Option<&str>) {
        fs::remove_dir_all(self.0.path("tree")).unwrap();
        self.0.git("tree", upto).unwrap();
    }

    /// Commits a patch that needs no other, of this subject.
    pub fn commit_make(&self, subject: &str) {
        self.edit("Makefile", "all:\n\ttrue\n");
        self.git(&["commit", "-q", "-m", &format!("{subject}\n\nWhy.")]);
    }

    pub fn text(&self, path: &str) -> String {
        fs::read_to_string(self.0.path(path)).unwrap()
    }
}
