// SPDX-License-Identifier: GPL-2.0-only

//! Results as KTAP (Documentation/dev-tools/ktap.rst): one line for each
//! program that `/init` started and that has ended.

/// A running KTAP report.
#[derive(Debug, Default)]
pub struct Ktap {
    count: u32,
}

impl Ktap {
    /// The lines for one more result; `why` makes it a failure.
    pub fn result(&mut self, name: &str, why: Option<&str>) -> String {
        let head = if self.count == 0 {
            "KTAP version 1\n"
        } else {
            ""
        };
        self.count += 1;
        // `#` would start a directive.
        let name = name.replace(['#', '\n'], "_");
        match why {
            None => format!("{head}ok {} {name}\n", self.count),
            Some(why) => format!(
                "{head}not ok {} {name}\n# {}\n",
                self.count,
                why.replace('\n', " ")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_results() {
        let mut ktap = Ktap::default();
        assert_eq!(ktap.result("tree", None), "KTAP version 1\nok 1 tree\n");
        assert_eq!(
            ktap.result("a#b", Some("exit 1")),
            "not ok 2 a_b\n# exit 1\n"
        );
    }
}
