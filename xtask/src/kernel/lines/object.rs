// SPDX-License-Identifier: GPL-2.0-only

//! Functions in the object files of a kernel build.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use object::{Architecture, Object, ObjectSection, ObjectSymbol, RelocationTarget, SymbolKind};
use walkdir::WalkDir;

use crate::error::{AtPath, Error, Result};

/// Bytes by which a function can be smaller than the way to the next one.
pub const ALIGNMENT: u64 = 64;

/// Folders of the object folder whose objects are no part of the kernel proper.
const OTHERS: [&str; 6] = ["boot", "realmode", "vdso", "scripts", "tools", "usr"];

/// An object that has a function of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The object, below the object folder.
    pub object: PathBuf,
    /// The function's size in bytes.
    pub size: u64,
}

/// The objects of a kernel build that were compiled, by the names of their functions.
pub fn objects_by_function(obj: &Path) -> Result<BTreeMap<String, Vec<Found>>> {
    let is_part = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() == 0 || !(name.starts_with('.') || OTHERS.contains(&name.as_ref()))
    };
    let mut all: BTreeMap<String, Vec<Found>> = BTreeMap::new();
    for entry in WalkDir::new(obj).into_iter().filter_entry(is_part) {
        let entry = entry.map_err(|err| Error::lab("looking for object files", err.to_string()))?;
        let path = entry.path();
        let is_object = path.extension().is_some_and(|end| end == "o");
        let below = path.strip_prefix(obj).unwrap_or(path);
        // At the top are those that were linked of others.
        if !is_object || entry.depth() < 2 {
            continue;
        }
        for (name, size) in functions(path)? {
            all.entry(name).or_default().push(Found {
                object: below.to_path_buf(),
                size,
            });
        }
    }
    Ok(all)
}

/// The sizes of a kernel's functions, by their names.
pub fn sizes_of_functions(vmlinux: &Path) -> Result<BTreeMap<String, Vec<u64>>> {
    let mut all: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (name, size) in functions(vmlinux)? {
        all.entry(name).or_default().push(size);
    }
    Ok(all)
}

/// The functions of an ELF file with their sizes; none of a file that is something else.
fn functions(path: &Path) -> Result<Vec<(String, u64)>> {
    let bytes = std::fs::read(path).at("reading", path)?;
    let Ok(file) = object::File::parse(bytes.as_slice()) else {
        return Ok(Vec::new());
    };
    let function = |symbol: object::Symbol<'_, '_>| {
        let is_function = symbol.kind() == SymbolKind::Text && symbol.is_definition();
        let name = symbol
            .name()
            .ok()
            .filter(|_| is_function && symbol.size() > 0)?;
        Some((name.to_string(), symbol.size()))
    };
    Ok(file.symbols().filter_map(function).collect())
}

/// A function's code before it is linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    bytes: Vec<u8>,
    /// Bytes of an instruction, where all have the same.
    width: Option<usize>,
    /// What stands in the places that a linker fills in, by their offsets: without it all calls look alike.
    links: BTreeMap<u64, String>,
}

/// arm64's BRK, whatever its number.
const BRK: u32 = 0xd420_0000;
const BRK_MASK: u32 = 0xffe0_001f;

impl Code {
    /// Whether there is a trap of BUG or WARN at an offset. On arm64 clang forgets its line, since it comes out
    /// of assembly that goes through another section: it would be told by that of the code before it. The
    /// kernel says that line itself.
    pub fn is_trap(&self, offset: u64) -> bool {
        let at = |width: usize| {
            let number = usize::try_from(offset).ok()? / width;
            let word: [u8; 4] = self.bytes.chunks(width).nth(number)?.try_into().ok()?;
            Some(u32::from_le_bytes(word) & BRK_MASK == BRK)
        };
        self.width.and_then(at).unwrap_or(false)
    }

    /// Whether this function and another one are the same at an offset. With line tables clang may order
    /// instructions of arm64 another way, for the sake of the unwinding information that comes with them:
    /// they have to be the same ones there, and the same one at the place.
    pub fn has_the_place_of(&self, other: &Code, offset: u64) -> bool {
        if self == other {
            return true;
        }
        let Some(width) = self.width.filter(|_| self.bytes.len() == other.bytes.len()) else {
            return false;
        };
        let sorted = |code: &Code| {
            let mut all: Vec<Vec<u8>> = code.bytes.chunks(width).map(<[u8]>::to_vec).collect();
            all.sort_unstable();
            all
        };
        let at = |code: &Code| {
            let number = usize::try_from(offset).ok()? / width;
            code.bytes.chunks(width).nth(number).map(<[u8]>::to_vec)
        };
        let link = |code: &Code| {
            code.links
                .get(&(offset / width as u64 * width as u64))
                .cloned()
        };
        let is_same = at(self).is_some() && at(self) == at(other) && link(self) == link(other);
        is_same && sorted(self) == sorted(other)
    }
}

/// The code of a function of an object that is not linked.
pub fn code_of(object: &Path, function: &str, size: u64) -> Option<Code> {
    let bytes = std::fs::read(object).ok()?;
    let file = object::File::parse(bytes.as_slice()).ok()?;
    let mut symbols = file.symbols();
    let symbol = symbols.find(|symbol| symbol.name() == Ok(function) && symbol.size() == size)?;
    let section = file.section_by_index(symbol.section_index()?).ok()?;
    let start = symbol.address();
    let data = section.data_range(section.address() + start, size).ok()??;
    let links = section.relocations().filter_map(|(at, link)| {
        let at = at.checked_sub(start).filter(|at| *at < size)?;
        let target = match link.target() {
            RelocationTarget::Symbol(index) => file.symbol_by_index(index).ok()?.name().ok()?,
            _ => "",
        };
        Some((at, format!("{target}+{:#x}", link.addend())))
    });
    Some(Code {
        bytes: data.to_vec(),
        links: links.collect(),
        width: (file.architecture() == Architecture::Aarch64).then_some(4),
    })
}

/// The address of a function in a file that was linked.
pub fn start_of(linked: &Path, function: &str, size: u64) -> Option<u64> {
    let bytes = std::fs::read(linked).ok()?;
    let file = object::File::parse(bytes.as_slice()).ok()?;
    let mut symbols = file.symbols();
    let symbol = symbols.find(|symbol| symbol.name() == Ok(function) && symbol.size() == size)?;
    Some(symbol.address())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_may_change_places_but_not_the_one_that_is_told() {
        let code = |text: &[u8], width| Code {
            bytes: text.to_vec(),
            width,
            links: BTreeMap::new(),
        };
        let original = code(b"aaaabbbbcccc", Some(4));
        let moved = code(b"bbbbaaaacccc", Some(4));
        assert!(original.has_the_place_of(&original, 0));
        assert!(original.has_the_place_of(&moved, 8) && original.has_the_place_of(&moved, 11));
        assert!(!original.has_the_place_of(&moved, 4) && !original.has_the_place_of(&moved, 12));
        assert!(!original.has_the_place_of(&code(b"aaaabbbbccccdddd", Some(4)), 0));
        assert!(!original.has_the_place_of(&code(b"aaaaddddcccc", Some(4)), 0));
        assert!(!code(b"ab", None).has_the_place_of(&code(b"ba", None), 0));
        let mut elsewhere = moved.clone();
        elsewhere.links.insert(8, "other+0x0".into());
        assert!(!original.has_the_place_of(&elsewhere, 8));
        let trap = code(b"aaaa\x00\x00\x21\xd4", Some(4));
        assert!(trap.is_trap(4) && !trap.is_trap(0) && !trap.is_trap(8));
        assert!(!code(b"\x00\x00\x21\xd4", None).is_trap(0));
    }
}
