// SPDX-License-Identifier: GPL-2.0-only

//! The architectures of the lab: every fact about them that the host side needs.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An architecture the lab builds for and boots.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Arch {
    /// 64-bit PC.
    #[serde(rename = "x86_64")]
    X86_64,
    /// 64-bit Arm.
    #[serde(rename = "arm64")]
    Arm64,
}

impl Arch {
    /// All of them, in the order in which they are built and reported.
    pub const ALL: [Arch; 2] = [Arch::X86_64, Arch::Arm64];

    /// Name used in flags, files and folders.
    pub fn name(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::Arm64 => "arm64",
        }
    }

    /// The architecture this process runs on, if the lab knows it.
    pub fn host() -> Option<Arch> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Arch::X86_64),
            "aarch64" => Some(Arch::Arm64),
            _ => None,
        }
    }

    /// `ARCH=` of the kernel's makefiles.
    pub fn kbuild_name(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86",
            Arch::Arm64 => "arm64",
        }
    }

    /// The make target of the image that QEMU boots: `vmlinux` by PVH, `Image` by the arm64 boot protocol.
    pub fn kernel_target(self) -> &'static str {
        match self {
            Arch::X86_64 => "vmlinux",
            Arch::Arm64 => "Image",
        }
    }

    /// Where the build leaves that image, inside the object folder.
    pub fn kernel_image(self) -> &'static str {
        match self {
            Arch::X86_64 => "vmlinux",
            Arch::Arm64 => "arch/arm64/boot/Image",
        }
    }

    /// QEMU's system emulator.
    pub fn qemu(self) -> &'static str {
        match self {
            Arch::X86_64 => "qemu-system-x86_64",
            Arch::Arm64 => "qemu-system-aarch64",
        }
    }

    /// The kernel's name for the serial console of the lab's machine.
    pub fn console(self) -> &'static str {
        match self {
            Arch::X86_64 => "ttyS0",
            Arch::Arm64 => "ttyAMA0",
        }
    }

    /// Rust's target triple of guest programs.
    pub fn rust_target(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64-unknown-linux-gnu",
            Arch::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// The C toolchain's triple.
    pub fn gnu_triple(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64-linux-gnu",
            Arch::Arm64 => "aarch64-linux-gnu",
        }
    }

    /// A program of gcc or binutils for the architecture: Debian has these names for the machine's own one too.
    pub fn gnu_program(self, name: &str) -> String {
        format!("{}-{name}", self.gnu_triple())
    }

    /// Debian's name for the architecture.
    pub fn debian(self) -> &'static str {
        match self {
            Arch::X86_64 => "amd64",
            Arch::Arm64 => "arm64",
        }
    }

    /// `e_machine` of its ELF files.
    pub fn elf_machine(self) -> u16 {
        match self {
            Arch::X86_64 => object::elf::EM_X86_64,
            Arch::Arm64 => object::elf::EM_AARCH64,
        }
    }

    /// Path of glibc's dynamic linker in the guest.
    pub fn dynamic_linker(self) -> &'static str {
        match self {
            Arch::X86_64 => "/lib64/ld-linux-x86-64.so.2",
            Arch::Arm64 => "/lib/ld-linux-aarch64.so.1",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Arch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "x86_64" | "x86-64" | "amd64" => Ok(Arch::X86_64),
            "arm64" | "aarch64" => Ok(Arch::Arm64),
            other => Err(format!(
                "unknown architecture \"{other}\"; known: x86_64, arm64, all"
            )),
        }
    }
}
