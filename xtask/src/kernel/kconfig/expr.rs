// SPDX-License-Identifier: GPL-2.0-only

//! Conditions of Kconfig: which parts of one do not hold. What cannot be known
//! here, as the result of a compiler test, is taken to hold. Pure.

use super::Values;

/// The parts, joined by `&&`, of a condition that do not hold.
pub fn unmet(condition: &str, values: &Values<'_>) -> Vec<String> {
    let parts = match split(condition, "||").len() {
        1 => split(condition, "&&"),
        _ => vec![condition.trim()],
    };
    parts
        .into_iter()
        .filter(|part| !holds(part, values))
        // A pair of brackets around several: each of them by itself.
        .flat_map(|part| match inner(part) {
            Some(inner) if split(inner, "||").len() == 1 => unmet(inner, values),
            _ => vec![part.split_whitespace().collect::<Vec<_>>().join(" ")],
        })
        .collect()
}

fn holds(condition: &str, values: &Values<'_>) -> bool {
    let condition = condition.trim();
    let any = split(condition, "||");
    if any.len() > 1 {
        return any.iter().any(|part| holds(part, values));
    }
    let all = split(condition, "&&");
    if all.len() > 1 {
        return all.iter().all(|part| holds(part, values));
    }
    if let Some(inner) = inner(condition) {
        return holds(inner, values);
    }
    if let Some((left, right)) = condition.split_once("!=") {
        return value(left, values) != value(right, values);
    }
    if condition.contains(['<', '>']) || condition.contains("$(") {
        return true;
    }
    if let Some((left, right)) = condition.split_once('=') {
        return value(left, values) == value(right, values);
    }
    if let Some(rest) = condition.strip_prefix('!') {
        return !holds(rest, values);
    }
    matches!(value(condition, values), "y" | "m")
}

/// A symbol's value, or a constant's.
fn value<'a>(word: &'a str, values: &Values<'a>) -> &'a str {
    let word = word.trim();
    let plain = word.trim_matches('"');
    if plain != word || ["y", "m", "n"].contains(&plain) {
        return plain;
    }
    values.get(plain).copied().unwrap_or("n").trim_matches('"')
}

/// What is in one pair of brackets around all of it.
fn inner(condition: &str) -> Option<&str> {
    let inside = condition.trim().strip_prefix('(')?.strip_suffix(')')?;
    let mut depth = 0i32;
    let closes_early = inside.chars().any(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth < 0
    });
    (!closes_early).then_some(inside)
}

/// The parts between an operator outside of brackets.
fn split<'a>(condition: &'a str, operator: &str) -> Vec<&'a str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0i32, 0);
    for (at, c) in condition.char_indices() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        if depth == 0 && at >= start && condition[at..].starts_with(operator) {
            parts.push(condition[start..at].trim());
            start = at + operator.len();
        }
    }
    parts.push(condition[start..].trim());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(condition: &str) -> String {
        let values = [("A", "y"), ("M", "m"), ("S", "\"x\""), ("N", "8")];
        unmet(condition, &values.into_iter().collect()).join(" | ")
    }

    #[test]
    fn parts_that_do_not_hold_are_named() {
        assert_eq!(found("A && M"), "");
        assert_eq!(found("A && B && !A"), "B | !A");
        assert_eq!(found("(A && B) && (B || C)"), "B | (B || C)");
        assert_eq!(found("B || A"), "");
        assert_eq!(found("A || B && C"), "");
        assert_eq!(found("B || A && C"), "B || A && C");
        assert_eq!(found("!(A || B) && A"), "!(A || B)");
        assert_eq!(found("A=y && A!=n && B=n && S=\"x\""), "");
        assert_eq!(found("A=n && S=\"y\""), "A=n | S=\"y\"");
        assert_eq!(found("(A)  &&  (((B)))"), "B");
    }

    #[test]
    fn what_cannot_be_known_holds() {
        assert_eq!(found("$(cc-option,-x) && CLANG_VERSION >= 1 && B"), "B");
    }

    #[test]
    fn what_makes_no_sense_does_no_harm() {
        for text in [
            "", "(", ")", "&&", "||", "!", "A &&", "((A)", "A) && (B", "=", "!=",
        ] {
            found(text);
        }
    }
}
