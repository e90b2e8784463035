//! `[[ … ]]`: no word is split, patterns and regular expressions stand on the right.

use crate::dosh::builtins::test::{binary, unary};
use crate::dosh::expand::pattern;
use crate::dosh::regex;
use crate::dosh::shell::{Run, Shell};
use crate::dosh::syntax::tree::{Bytes, Condition, Word};
use std::collections::BTreeMap;

impl Shell {
    /// 0, 1, or 2 if it makes no sense.
    pub fn test_condition(&mut self, condition: &Condition) -> Run<i32> {
        Ok(match condition {
            Condition::Not(inner) => match self.test_condition(inner)? {
                0 => 1,
                1 => 0,
                status => status,
            },
            Condition::And(left, right) => match self.test_condition(left)? {
                0 => self.test_condition(right)?,
                status => status,
            },
            Condition::Or(left, right) => match self.test_condition(left)? {
                1 => self.test_condition(right)?,
                status => status,
            },
            Condition::Unary(op, word) => {
                let operand = self.text(word)?;
                let result = unary(self, op, &operand);
                self.verdict(result)
            }
            Condition::Binary(left, op, right) => {
                let left = self.text(left)?;
                self.compare(&left, op, right)?
            }
        })
    }

    fn compare(&mut self, left: &[u8], op: &[u8], right: &Word) -> Run<i32> {
        Ok(match op {
            b"=" | b"==" | b"!=" => {
                let pattern = self.pattern(right)?;
                i32::from(pattern::matches(&pattern, left) == (op == b"!="))
            }
            b"=~" => {
                let regex = self.regex(right)?;
                self.match_regex(left, &regex)?
            }
            b"-eq" | b"-ne" | b"-lt" | b"-le" | b"-gt" | b"-ge" => {
                let right = self.text(right)?;
                let (left, right) = (
                    self.arithmetic_text(left, 0)?,
                    self.arithmetic_text(&right, 0)?,
                );
                let (left, right) = (left.to_string(), right.to_string());
                let result = binary(left.as_bytes(), op, right.as_bytes());
                self.verdict(result)
            }
            _ => {
                let right = self.text(right)?;
                let result = binary(left, op, &right);
                self.verdict(result)
            }
        })
    }

    fn verdict(&mut self, result: Result<bool, String>) -> i32 {
        match result {
            Ok(true) => 0,
            Ok(false) => 1,
            Err(why) => {
                self.complain(why);
                2
            }
        }
    }

    /// Matches, and leaves the groups in `BASH_REMATCH`.
    fn match_regex(&mut self, text: &[u8], regex: &[u8]) -> Run<i32> {
        let groups = match regex::find(regex, text) {
            Ok(Some(groups)) => groups,
            Ok(None) => return Ok(1),
            Err(()) => return Ok(2),
        };
        let all: BTreeMap<i64, Bytes> = (0i64..).zip(groups).collect();
        let result = self.variables.set_array(b"BASH_REMATCH", all);
        self.assigned(b"BASH_REMATCH", result)?;
        Ok(0)
    }
}
