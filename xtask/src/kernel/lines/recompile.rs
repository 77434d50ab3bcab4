// SPDX-License-Identifier: GPL-2.0-only

//! The commands that made an object of a kernel, as make has written them down, given once more: to another
//! file, with line tables.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{AtPath, Error, Kind, Result};
use crate::exec::tool;
use crate::kernel::toolchain::{find_program, in_build_environment};

/// Compilers, and what each is told to make line tables.
const COMPILERS: [(&str, &str); 3] = [
    ("clang", "-gline-tables-only"),
    ("gcc", "-g1"),
    (RUSTC, "-Cdebuginfo=line-tables-only"),
];
/// The one that is told of its output in another way.
const RUSTC: &str = "rustc";

/// A command: its words.
pub type Words = Vec<String>;

/// The commands that made an object, if they are a compiler's and plain.
pub fn commands_of(obj: &Path, object: &Path) -> Result<Option<Vec<Words>>> {
    let name = object.file_name().unwrap_or_default().to_string_lossy();
    let path = obj.join(object).with_file_name(format!(".{name}.cmd"));
    // What was not made by a rule of its own has no such file.
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&path).at("reading", &path)?;
    let first = text.lines().next().unwrap_or_default();
    Ok(first.split_once(" := ").and_then(|(_, words)| split(words)))
}

/// The commands of a line that make has saved; None if it does more than call one after the other.
fn split(line: &str) -> Option<Vec<Words>> {
    let words = shlex::split(&line.replace("$(pound)", "#").replace("$$", "$"))?;
    // kbuild glues some to what stands before or behind them.
    let words: Vec<String> = words
        .iter()
        .flat_map(|word| word.split_inclusive(';').map(str::trim))
        .flat_map(|word| match word.strip_suffix(';') {
            Some(word) => vec![word, ";"],
            None => vec![word],
        })
        .filter(|word| !word.is_empty())
        .map(String::from)
        .collect();
    let is_shell = |word: &String| {
        matches!(
            word.as_str(),
            "&&" | "||" | "|" | ">" | "<" | "if" | "{" | "("
        )
    };
    if words.iter().any(is_shell) {
        return None;
    }
    let commands: Vec<Words> = words
        .split(|word| word == ";")
        .filter(|words| !words.is_empty())
        .map(<[String]>::to_vec)
        .collect();
    compiler(commands.first()?)?;
    Some(commands)
}

/// Which compiler a command calls, and what that is told to make line tables.
fn compiler(words: &Words) -> Option<(&'static str, &'static str)> {
    let program = program(words)?;
    let is_called = |(name, _): &(&str, &str)| program.contains(name);
    COMPILERS.into_iter().find(is_called)
}

/// The program of a command, behind its environment.
fn program(words: &Words) -> Option<&str> {
    let program = words.iter().find(|word| !is_setting(word))?;
    Path::new(program).file_name()?.to_str()
}

/// Whether a word in front of a command sets a variable.
fn is_setting(word: &str) -> bool {
    let name = word.split_once('=').map(|(name, _)| name);
    name.is_some_and(|name| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
    })
}

/// The same command, that makes `out` of what made `object`, and nothing else.
fn redirect(words: &Words, object: &str, out: &str) -> Words {
    let compiler = compiler(words);
    let mut all = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--out-dir" {
            words.next();
        } else if word.starts_with("--emit=") || word.starts_with("-Wp,-MMD") {
            // Other files of the build.
        } else if word == object {
            all.push(out.to_string());
        } else {
            all.push(word.clone());
        }
    }
    if compiler.is_some_and(|(name, _)| name == RUSTC) {
        all.push(format!("--emit=obj={out}"));
    }
    all.extend(compiler.map(|(_, lines)| lines.to_string()));
    all
}

/// Compiles an object again, to `out`.
pub fn compile(obj: &Path, object: &Path, commands: &[Words], out: &Path) -> Result<()> {
    let doing = format!("compiling {} with line tables", object.display());
    let out = out.display().to_string();
    for command in commands {
        let words = redirect(command, &object.display().to_string(), &out);
        let set = words.iter().take_while(|word| is_setting(word)).count();
        let (settings, words) = words.split_at(set);
        let [program, args @ ..] = words else {
            continue;
        };
        // A program of the build is named from the object folder on, the others are looked for.
        let program = match program.contains('/') {
            true => obj.join(program),
            false => find_program(program).unwrap_or_else(|| PathBuf::from(program)),
        };
        let mut tool = in_build_environment(tool(&doing, program))
            .args(args.iter().cloned())
            .dir(obj)
            .failure(Kind::Build)
            // As kbuild has it: the kernel uses features that are not stable.
            .env("RUSTC_BOOTSTRAP", "1");
        for (name, value) in settings.iter().filter_map(|word| word.split_once('=')) {
            tool = tool.env(name, value);
        }
        tool.read_bytes()?;
    }
    Ok(())
}

/// Gives the functions of an object addresses of their own. What it uses of others stays open.
pub fn link(obj: &Path, llvm: &str, object: &Path, out: &Path) -> Result<()> {
    // Written whole: what is there is believed later.
    let scratch: PathBuf = out.with_extension("part");
    tool(
        format!("linking {}", object.display()),
        format!("ld.lld-{llvm}"),
    )
    .args([
        "--unresolved-symbols=ignore-all",
        "--noinhibit-exec",
        "--entry=0",
        "-o",
    ])
    .arg(&scratch)
    .arg(object)
    .dir(obj)
    .failure(Kind::Build)
    .read_bytes()?;
    std::fs::rename(&scratch, out).at("moving in", out)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    symbol: Vec<Symbol>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Symbol {
    file_name: String,
    function_name: String,
    line: u64,
}

/// File, line and function at an address.
pub type Place = (String, u64, String);

/// The places at addresses of a linked file, for each address innermost first.
pub fn symbolize(llvm: &str, linked: &Path, addresses: &[u64]) -> Result<Vec<Vec<Place>>> {
    let doing = format!("looking up {addresses:x?} in {}", linked.display());
    let text = tool(&doing, format!("llvm-symbolizer-{llvm}"))
        .args(["--output-style=JSON", "--demangle"])
        .arg(format!("--obj={}", linked.display()))
        .args(addresses.iter().map(|address| format!("{address:#x}")))
        .read()?;
    let answers: Vec<Answer> =
        serde_json::from_str(&text).map_err(|err| Error::lab(doing, format!("{err}: {text}")))?;
    let places = |answer: Answer| {
        let symbols = answer.symbol.into_iter();
        symbols
            .map(|symbol| (symbol.file_name, symbol.line, symbol.function_name))
            .collect()
    };
    Ok(answers.into_iter().map(places).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Words {
        text.split(' ').map(String::from).collect()
    }

    #[test]
    fn a_compiler_and_what_follows_it_is_given_again() {
        let line = r#"clang-19 -Wp,-MMD,kernel/.fork.o.d -DN='"fork"' -DP=$(pound) -c -o kernel/fork.o /s/fork.c   ; ./tools/objtool/objtool --uaccess   kernel/fork.o"#;
        let commands = split(line).unwrap();
        let again: Vec<Words> = commands
            .iter()
            .map(|one| redirect(one, "kernel/fork.o", "/k/x.o"))
            .collect();
        assert_eq!(
            again,
            [
                words("clang-19 -DN=\"fork\" -DP=# -c -o /k/x.o /s/fork.c -gline-tables-only"),
                words("./tools/objtool/objtool --uaccess /k/x.o"),
            ]
        );
    }

    #[test]
    fn gcc_has_another_word_for_line_tables() {
        let line =
            "x86_64-linux-gnu-gcc -Wp,-MMD,kernel/.fork.o.d -O2 -c -o kernel/fork.o /s/fork.c";
        let commands = split(line).unwrap();
        assert_eq!(
            redirect(&commands[0], "kernel/fork.o", "/k/x.o"),
            words("x86_64-linux-gnu-gcc -O2 -c -o /k/x.o /s/fork.c -g1")
        );
    }

    #[test]
    fn rust_is_told_where_its_one_object_goes() {
        let line = "OBJTREE=/o /usr/bin/rustc -Zx --emit=dep-info=rust/.kernel.o.d --emit=obj=rust/kernel.o --emit=metadata=rust/libkernel.rmeta --out-dir rust --crate-name kernel /s/lib.rs";
        let commands = split(line).unwrap();
        assert_eq!(
            redirect(&commands[0], "rust/kernel.o", "/k/x.o"),
            words("OBJTREE=/o /usr/bin/rustc -Zx --crate-name kernel /s/lib.rs --emit=obj=/k/x.o -Cdebuginfo=line-tables-only")
        );
        assert!(is_setting("OBJTREE=/o") && !is_setting("-DX=1") && !is_setting("rustc"));
    }

    #[test]
    fn what_is_more_than_a_compiler_is_left_alone() {
        let glued = split("rustc a.rs ;llvm-objcopy-19 a.o; strip a.o").unwrap();
        assert_eq!(glued.len(), 3, "{glued:?}");
        for line in [
            "ld.lld-19 -r -o vmlinux.o a.o",
            "clang-19 -c a.c && strip a.o",
            "",
            "clang-19 'a",
            "echo x > a.o",
        ] {
            assert_eq!(split(line), None, "{line}");
        }
    }
}
