//! Arithmetic expansion: expressions are evaluated (XCU 2.6.4).

use crate::dosh::shell::{Run, Shell};
use crate::dosh::stack;
use crate::dosh::syntax::arithmetic::{self, decimal};
use crate::dosh::syntax::tree::{Arithmetic, Binary, Expr, Unary};

/// A variable whose value is an expression can name another; no deeper than this.
const DEEPEST: u32 = 1024;

impl Shell {
    pub fn arithmetic(&mut self, arithmetic: &Arithmetic) -> Run<i64> {
        match arithmetic {
            Arithmetic::Parsed(expr) => self.evaluate(expr, 0),
            Arithmetic::Text(word) => {
                let text = self.text(word)?;
                self.arithmetic_text(&text, 0)
            }
        }
    }

    /// Evaluates the text of an expression.
    pub fn arithmetic_text(&mut self, text: &[u8], depth: u32) -> Run<i64> {
        match arithmetic::parse(text) {
            Ok(expr) => self.evaluate(&expr, depth),
            Err(why) => {
                let text = String::from_utf8_lossy(text);
                Err(self.fail(format_args!("{}: {why}", text.trim())))
            }
        }
    }

    fn evaluate(&mut self, expr: &Expr, depth: u32) -> Run<i64> {
        Ok(match expr {
            Expr::Number(number) => *number,
            Expr::Variable(_) | Expr::Element(..) => self.operand(expr, depth)?,
            Expr::Unary(op, operand) => {
                let value = self.evaluate(operand, depth)?;
                match op {
                    Unary::Plus => value,
                    Unary::Minus => value.wrapping_neg(),
                    Unary::Not => i64::from(value == 0),
                    Unary::Complement => !value,
                }
            }
            Expr::Binary(op, left, right) => {
                let left = self.evaluate(left, depth)?;
                let right = self.evaluate(right, depth)?;
                self.compute(*op, left, right)?
            }
            Expr::And(left, right) => {
                i64::from(self.evaluate(left, depth)? != 0 && self.evaluate(right, depth)? != 0)
            }
            Expr::Or(left, right) => {
                i64::from(self.evaluate(left, depth)? != 0 || self.evaluate(right, depth)? != 0)
            }
            Expr::Choice(condition, yes, no) => match self.evaluate(condition, depth)? {
                0 => self.evaluate(no, depth)?,
                _ => self.evaluate(yes, depth)?,
            },
            Expr::Assign(target, op, value) => {
                let mut value = self.evaluate(value, depth)?;
                if let Some(op) = op {
                    let old = self.operand(target, depth)?;
                    value = self.compute(*op, old, value)?;
                }
                self.store(target, value, depth)?;
                value
            }
            Expr::Step(target, step, before) => {
                let old = self.operand(target, depth)?;
                let new = old.wrapping_add(*step);
                self.store(target, new, depth)?;
                match before {
                    true => new,
                    false => old,
                }
            }
            Expr::Comma(left, right) => {
                self.evaluate(left, depth)?;
                self.evaluate(right, depth)?
            }
        })
    }

    /// The value of a variable or an element: a number, or an expression again.
    fn operand(&mut self, target: &Expr, depth: u32) -> Run<i64> {
        let (name, text) = match target {
            Expr::Element(name, index) => {
                let index = self.evaluate(index, depth)?;
                let elements = self.variables.elements(name);
                let found = elements.iter().find(|(at, _)| *at == index);
                (name, found.map(|(_, text)| text.to_vec()))
            }
            Expr::Variable(name) => {
                if let Some(number) = self.variables.get(name).and_then(decimal) {
                    return Ok(number);
                }
                (name, self.variable(name))
            }
            other => return self.evaluate(other, depth),
        };
        let Some(text) = text else {
            if self.options.nounset() {
                let name = String::from_utf8_lossy(name).into_owned();
                return Err(self.fail(format_args!("{name}: unbound variable")));
            }
            return Ok(0);
        };
        if depth >= DEEPEST || stack::is_low() {
            return Err(self.fail("expression recursion level exceeded"));
        }
        self.arithmetic_text(&text, depth + 1)
    }

    fn store(&mut self, target: &Expr, value: i64, depth: u32) -> Run {
        let text = value.to_string().into_bytes();
        match target {
            Expr::Variable(name) => self.assign(name, text),
            Expr::Element(name, index) => {
                let index = self.evaluate(index, depth)?;
                self.assign_element(name, index, text)
            }
            _ => Ok(()),
        }
    }

    fn compute(&mut self, op: Binary, left: i64, right: i64) -> Run<i64> {
        Ok(match op {
            Binary::Power if right < 0 => return Err(self.fail("exponent less than 0")),
            Binary::Power => power(left, right),
            Binary::Multiply => left.wrapping_mul(right),
            Binary::Divide | Binary::Remainder if right == 0 => {
                return Err(self.fail("division by 0"))
            }
            Binary::Divide => left.wrapping_div(right),
            Binary::Remainder => left.wrapping_rem(right),
            Binary::Add => left.wrapping_add(right),
            Binary::Subtract => left.wrapping_sub(right),
            Binary::ShiftLeft => left.wrapping_shl(right as u32),
            Binary::ShiftRight => left.wrapping_shr(right as u32),
            Binary::Less => i64::from(left < right),
            Binary::LessEqual => i64::from(left <= right),
            Binary::Greater => i64::from(left > right),
            Binary::GreaterEqual => i64::from(left >= right),
            Binary::Equal => i64::from(left == right),
            Binary::NotEqual => i64::from(left != right),
            Binary::BitAnd => left & right,
            Binary::BitXor => left ^ right,
            Binary::BitOr => left | right,
        })
    }
}

fn power(base: i64, exponent: i64) -> i64 {
    let (mut result, mut base, mut exponent) = (1i64, base, exponent);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result.wrapping_mul(base);
        }
        base = base.wrapping_mul(base);
        exponent >>= 1;
    }
    result
}
