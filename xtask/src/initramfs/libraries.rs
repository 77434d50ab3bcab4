// SPDX-License-Identifier: GPL-2.0-only

//! The shared libraries a program needs: followed through its ELF headers, so
//! that it works for every architecture and runs nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use object::elf::{FileHeader64, DT_NEEDED, DT_RPATH, DT_RUNPATH};
use object::read::elf::{Dyn, ElfFile64, FileHeader, ProgramHeader};
use object::Endianness;

use crate::arch::Arch;
use crate::error::{AtPath, Error, Result};

/// A library to be put into the guest.
#[derive(Debug, Clone, PartialEq)]
pub struct Library {
    /// Where it is on the host.
    pub from: PathBuf,
    /// Where it goes in the guest.
    pub to: String,
}

/// What an ELF file says about what it needs.
#[derive(Debug, Default, PartialEq)]
struct Needs {
    interpreter: Option<String>,
    libraries: Vec<String>,
    /// Its own search folders, `$ORIGIN` still in them.
    search: Vec<String>,
}

/// Everything that a program needs, the dynamic linker included; empty for a static program and for what is no program.
pub fn closure(arch: Arch, program: &Path) -> Result<Vec<Library>> {
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut pending = vec![program.to_path_buf()];
    let mut linker = None;
    while let Some(file) = pending.pop() {
        let Some(needs) = read_needs(arch, &file)? else {
            continue;
        };
        if let Some(interpreter) = needs.interpreter.filter(|_| linker.is_none()) {
            let name = Path::new(&interpreter)
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let from =
                locate(arch, &name, &[], &file).or_else(|| Some(PathBuf::from(&interpreter)));
            let from = from
                .filter(|path| path.is_file())
                .ok_or_else(|| missing(arch, program, &file, &interpreter))?;
            linker = Some(Library {
                from,
                to: interpreter,
            });
        }
        for name in needs.libraries {
            if found.contains_key(&name) {
                continue;
            }
            let from = locate(arch, &name, &needs.search, &file)
                .ok_or_else(|| missing(arch, program, &file, &name))?;
            found.insert(name, from.clone());
            pending.push(from);
        }
    }
    let folder = format!("usr/lib/{}", arch.gnu_triple());
    let linker_name = linker
        .as_ref()
        .and_then(|library| Path::new(&library.to).file_name())
        .map(|name| name.to_owned());
    let libraries = found
        .into_iter()
        .filter(|(name, _)| Some(name.as_ref()) != linker_name.as_deref())
        .map(|(name, from)| Library {
            from,
            to: format!("{folder}/{name}"),
        });
    Ok(libraries.chain(linker.clone()).collect())
}

/// What an ELF file needs; `None` for a file that is not ELF (a script, data).
fn read_needs(arch: Arch, path: &Path) -> Result<Option<Needs>> {
    let bytes = std::fs::read(path).at("reading", path)?;
    if !bytes.starts_with(b"\x7fELF") {
        return Ok(None);
    }
    let wrong =
        |found: String| Error::usage(format!("putting {} into the guest", path.display()), found);
    let elf = ElfFile64::<Endianness>::parse(&*bytes)
        .map_err(|err| wrong(format!("a damaged ELF file: {err}")))?;
    let endian = elf.endian();
    let header: &FileHeader64<Endianness> = elf.elf_header();
    let machine = header.e_machine(endian);
    if machine != arch.elf_machine() {
        return Err(wrong(format!(
            "it is not a program for {arch} (ELF machine {machine}, expected {})",
            arch.elf_machine()
        )));
    }
    let needs = needs_of(&elf).map_err(|err| wrong(err.to_string()))?;
    Ok(Some(needs))
}

/// Reads interpreter and dynamic section.
fn needs_of(elf: &ElfFile64<'_, Endianness>) -> object::Result<Needs> {
    let endian = elf.endian();
    let mut needs = Needs::default();
    for segment in elf.elf_program_headers() {
        if let Some(name) = segment.interpreter(endian, elf.data())? {
            needs.interpreter = Some(String::from_utf8_lossy(name).into_owned());
        }
        let Some(entries) = segment.dynamic(endian, elf.data())? else {
            continue;
        };
        let strings = dynamic_strings(elf, entries);
        for entry in entries {
            let text = || {
                let bytes = entry.string(endian, strings)?;
                Ok::<_, object::Error>(String::from_utf8_lossy(bytes).into_owned())
            };
            match entry.tag32(endian) {
                Some(DT_NEEDED) => needs.libraries.push(text()?),
                Some(DT_RPATH | DT_RUNPATH) => {
                    needs.search.extend(text()?.split(':').map(str::to_string))
                }
                _ => {}
            }
        }
    }
    Ok(needs)
}

/// The string table that a dynamic section's entries index.
fn dynamic_strings<'data>(
    elf: &ElfFile64<'data, Endianness>,
    entries: &[object::elf::Dyn64<Endianness>],
) -> object::StringTable<'data> {
    let endian = elf.endian();
    let value = |tag| {
        entries
            .iter()
            .find(|entry| entry.tag32(endian) == Some(tag))
            .map(|entry| entry.d_val(endian))
    };
    let (address, size) = (
        value(object::elf::DT_STRTAB).unwrap_or(0),
        value(object::elf::DT_STRSZ).unwrap_or(0),
    );
    for segment in elf.elf_program_headers() {
        if let Ok(Some(data)) = segment.data_range(endian, elf.data(), address, size) {
            return object::StringTable::new(data, 0, data.len() as u64);
        }
    }
    object::StringTable::default()
}

/// Where a library is on the host: the file's own search folders, then those of the architecture.
fn locate(arch: Arch, name: &str, search: &[String], file: &Path) -> Option<PathBuf> {
    let origin = file
        .parent()
        .unwrap_or(Path::new("."))
        .display()
        .to_string();
    let triple = arch.gnu_triple();
    let own = search.iter().map(|dir| {
        dir.replace("${ORIGIN}", &origin)
            .replace("$ORIGIN", &origin)
    });
    let native = Arch::host() == Some(arch);
    let everywhere = [
        format!("/usr/lib/{triple}"),
        format!("/lib/{triple}"),
        format!("/usr/{triple}/lib"),
    ];
    let plain = ["/usr/lib64", "/lib64", "/usr/lib", "/lib"].map(str::to_string);
    own.chain([origin.clone()])
        .chain(everywhere)
        .chain(plain.into_iter().filter(|_| native))
        .map(|dir| Path::new(&dir).join(name))
        .find(|path| path.is_file())
}

fn missing(arch: Arch, program: &Path, file: &Path, name: &str) -> Error {
    let whose = if file == program {
        "it".to_string()
    } else {
        file.display().to_string()
    };
    Error::usage(
        format!("putting {} into the guest", program.display()),
        format!("{whose} needs {name}, which is nowhere on this machine for {arch}"),
    )
    .hint("put the library beside the program, or link the program static")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_need_nothing_and_damaged_programs_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (script, damaged) = (dir.path().join("s"), dir.path().join("d"));
        std::fs::write(&script, "#!/bin/sh\n").unwrap();
        std::fs::write(&damaged, b"\x7fELF\x02\x01").unwrap();
        assert_eq!(closure(Arch::X86_64, &script).unwrap(), []);
        assert!(closure(Arch::X86_64, &damaged)
            .unwrap_err()
            .to_string()
            .contains("a damaged ELF file"));
    }

    #[test]
    fn a_dynamic_program_of_this_machine_brings_its_libraries() {
        let (Some(arch), shell) = (Arch::host(), std::fs::canonicalize("/bin/sh").unwrap()) else {
            return;
        };
        let found = closure(arch, &shell).unwrap();
        if found.is_empty() {
            return; // a static shell
        }
        assert!(found
            .iter()
            .any(|library| library.to.ends_with("libc.so.6") || library.to.contains("musl")));
        let other = Arch::ALL.into_iter().find(|other| *other != arch).unwrap();
        assert!(closure(other, &shell)
            .unwrap_err()
            .to_string()
            .contains("not a program for"));
    }
}
