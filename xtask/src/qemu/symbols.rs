// SPDX-License-Identifier: GPL-2.0-only

//! Names of a kernel's addresses, out of its vmlinux.

use std::path::Path;

use object::{Object, ObjectSymbol, SymbolKind};

/// Functions by address.
#[derive(Debug, Default)]
pub struct Symbols {
    /// Sorted.
    functions: Vec<(u64, String)>,
    /// Where the kernel's code begins and ends.
    text: (u64, u64),
}

impl Symbols {
    /// Those of a vmlinux; none if it is not there or cannot be read.
    pub fn read(vmlinux: &Path) -> Symbols {
        let bytes = std::fs::read(vmlinux).unwrap_or_default();
        let Ok(file) = object::File::parse(bytes.as_slice()) else {
            return Symbols::default();
        };
        let mut symbols = Symbols::default();
        for symbol in file.symbols() {
            let Ok(name) = symbol.name() else {
                continue;
            };
            match name {
                "_text" | "_stext" if symbols.text.0 == 0 => symbols.text.0 = symbol.address(),
                "_etext" => symbols.text.1 = symbol.address(),
                _ => {}
            }
            // Assembly has labels without a kind.
            let is_code = matches!(
                symbol.kind(),
                SymbolKind::Text | SymbolKind::Unknown | SymbolKind::Label
            );
            if is_code && !name.is_empty() && !name.starts_with('$') && !name.starts_with(".L") {
                symbols.functions.push((symbol.address(), name.to_string()));
            }
        }
        symbols.functions.sort();
        symbols
    }

    /// `do_idle+0x1c`, Rust's names demangled; `None` outside of the kernel's code.
    pub fn name(&self, address: u64) -> Option<String> {
        if !(self.text.0..self.text.1).contains(&address) {
            return None;
        }
        let at = self
            .functions
            .partition_point(|(start, _)| *start <= address);
        let (start, name) = self.functions.get(at.checked_sub(1)?)?;
        let name = rustc_demangle::demangle(name);
        Some(format!("{name:#}+{:#x}", address - start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_get_the_name_of_the_function_before_them() {
        let symbols = Symbols {
            functions: vec![(0x100, "start".into()), (0x180, "_RNvC1a4idle".into())],
            text: (0x100, 0x200),
        };
        assert_eq!(symbols.name(0x104).as_deref(), Some("start+0x4"));
        assert_eq!(symbols.name(0x1ff).as_deref(), Some("a::idle+0x7f"));
        assert_eq!((symbols.name(0xff), symbols.name(0x200)), (None, None));
    }

    #[test]
    fn a_file_that_is_no_kernel_has_no_names() {
        assert_eq!(Symbols::read(Path::new("/nowhere")).name(1), None);
        assert_eq!(Symbols::read(Path::new("/dev/null")).name(1), None);
    }
}
