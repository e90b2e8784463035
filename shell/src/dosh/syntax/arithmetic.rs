//! Arithmetic expressions: those of C, over 64-bit integers (XCU 2.6.4).

use super::quoting::digits;
use super::token::{is_name_byte, is_name_start};
use super::tree::{Binary, Expr, Unary};

/// Deeper nesting is refused, so that no text can exhaust the stack.
const DEEPEST: usize = 200;

/// Binary operators with how tightly they bind. Longest first.
const BINARIES: &[(&[u8], Binary, u8)] = &[
    (b"**", Binary::Power, 11),
    (b"<<", Binary::ShiftLeft, 8),
    (b">>", Binary::ShiftRight, 8),
    (b"<=", Binary::LessEqual, 7),
    (b">=", Binary::GreaterEqual, 7),
    (b"==", Binary::Equal, 6),
    (b"!=", Binary::NotEqual, 6),
    (b"*", Binary::Multiply, 10),
    (b"/", Binary::Divide, 10),
    (b"%", Binary::Remainder, 10),
    (b"+", Binary::Add, 9),
    (b"-", Binary::Subtract, 9),
    (b"<", Binary::Less, 7),
    (b">", Binary::Greater, 7),
    (b"&", Binary::BitAnd, 5),
    (b"^", Binary::BitXor, 4),
    (b"|", Binary::BitOr, 3),
];
const AND: u8 = 2;
const OR: u8 = 1;

/// Parses the text of an expression. Empty text is 0.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &[u8]) -> Result<Expr, String> {
    let mut parser = Parser {
        rest: text,
        depth: 0,
    };
    if text.trim_ascii().is_empty() {
        return Ok(Expr::Number(0));
    }
    let expr = parser.comma()?;
    parser.blanks();
    match parser.rest.is_empty() {
        true => Ok(expr),
        false => Err(parser.error("syntax error in expression")),
    }
}

struct Parser<'t> {
    rest: &'t [u8],
    depth: usize,
}

impl Parser<'_> {
    fn error(&self, what: &str) -> String {
        format!("{what} near `{}'", String::from_utf8_lossy(self.rest))
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    fn eat(&mut self, text: &[u8]) -> bool {
        self.blanks();
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn comma(&mut self) -> Result<Expr, String> {
        let mut expr = self.assign()?;
        while self.eat(b",") {
            expr = Expr::Comma(Box::new(expr), Box::new(self.assign()?));
        }
        Ok(expr)
    }

    fn assign(&mut self) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("expression is nested too deeply".to_owned());
        }
        let target = self.choice()?;
        let expr = match self.assigns() {
            Some(op) if matches!(target, Expr::Variable(_) | Expr::Element(..)) => {
                Expr::Assign(Box::new(target), op, Box::new(self.assign()?))
            }
            Some(_) => return Err(self.error("attempted assignment to non-variable")),
            None => target,
        };
        self.depth -= 1;
        Ok(expr)
    }

    /// Takes an assignment operator; answers the operator it holds.
    fn assigns(&mut self) -> Option<Option<Binary>> {
        self.blanks();
        if self.rest.starts_with(b"=") && !self.rest.starts_with(b"==") {
            self.rest = &self.rest[1..];
            return Some(None);
        }
        let compound = |(text, op, bind): &(&[u8], Binary, u8)| {
            let compares = matches!(bind, 6 | 7) || *op == Binary::Power;
            let rest = self.rest.strip_prefix(*text)?.strip_prefix(b"=")?;
            (!compares).then_some((*op, rest))
        };
        let (op, rest) = BINARIES.iter().find_map(compound)?;
        self.rest = rest;
        Some(Some(op))
    }

    fn choice(&mut self) -> Result<Expr, String> {
        let condition = self.binary(OR)?;
        if !self.eat(b"?") {
            return Ok(condition);
        }
        let yes = self.comma()?;
        if !self.eat(b":") {
            return Err(self.error("`:' expected for conditional expression"));
        }
        let no = self.assign()?;
        Ok(Expr::Choice(condition.into(), yes.into(), no.into()))
    }

    fn binary(&mut self, least: u8) -> Result<Expr, String> {
        let mut left = self.unary()?;
        loop {
            self.blanks();
            if least <= AND && self.rest.starts_with(b"&&") {
                self.rest = &self.rest[2..];
                left = Expr::And(Box::new(left), Box::new(self.binary(AND + 1)?));
            } else if least <= OR && self.rest.starts_with(b"||") {
                self.rest = &self.rest[2..];
                left = Expr::Or(Box::new(left), Box::new(self.binary(OR + 1)?));
            } else {
                let rest = self.rest;
                let logical = rest.starts_with(b"&&") || rest.starts_with(b"||");
                let found = BINARIES.iter().find(|(text, ..)| rest.starts_with(text));
                let Some((text, op, bind)) = found.filter(|(.., bind)| *bind >= least && !logical)
                else {
                    return Ok(left);
                };
                let after = &rest[text.len()..];
                let compares = matches!(bind, 6 | 7);
                if after.starts_with(b"=") && !compares && *op != Binary::Power {
                    return Ok(left);
                }
                self.rest = after;
                let right = match op {
                    Binary::Power => self.binary(*bind)?,
                    _ => self.binary(bind + 1)?,
                };
                left = Expr::Binary(*op, Box::new(left), Box::new(right));
            }
        }
    }

    fn unary(&mut self) -> Result<Expr, String> {
        self.blanks();
        for (text, step) in [(b"++", 1), (b"--", -1)] {
            if self.rest.starts_with(text)
                && self.rest[2..]
                    .trim_ascii_start()
                    .first()
                    .is_some_and(|b| is_name_start(*b))
            {
                self.rest = &self.rest[2..];
                let target = self.postfix()?;
                return Ok(Expr::Step(Box::new(target), step, true));
            }
        }
        let op = match self.rest.first() {
            Some(b'-') => Unary::Minus,
            Some(b'+') => Unary::Plus,
            Some(b'!') => Unary::Not,
            Some(b'~') => Unary::Complement,
            _ => return self.postfix(),
        };
        self.rest = &self.rest[1..];
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("expression is nested too deeply".to_owned());
        }
        let operand = self.unary()?;
        self.depth -= 1;
        Ok(Expr::Unary(op, Box::new(operand)))
    }

    fn postfix(&mut self) -> Result<Expr, String> {
        self.blanks();
        // In parentheses it is a value: `(a)++` adds what has a sign.
        let named = self.rest.first().is_some_and(|byte| *byte != b'(');
        let operand = self.operand()?;
        if named && matches!(operand, Expr::Variable(_) | Expr::Element(..)) {
            if self.eat(b"++") {
                return Ok(Expr::Step(Box::new(operand), 1, false));
            }
            if self.eat(b"--") {
                return Ok(Expr::Step(Box::new(operand), -1, false));
            }
        }
        Ok(operand)
    }

    fn operand(&mut self) -> Result<Expr, String> {
        self.blanks();
        match self.rest.first() {
            Some(b'(') => {
                self.rest = &self.rest[1..];
                let expr = self.comma()?;
                match self.eat(b")") {
                    true => Ok(expr),
                    false => Err(self.error("missing `)'")),
                }
            }
            Some(byte) if byte.is_ascii_digit() => self.number(),
            Some(byte) if is_name_start(*byte) => {
                let end = self.rest.iter().position(|byte| !is_name_byte(*byte));
                let (name, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
                self.rest = rest;
                if self.rest.first() != Some(&b'[') {
                    return Ok(Expr::Variable(name.to_vec()));
                }
                self.rest = &self.rest[1..];
                let index = self.comma()?;
                match self.eat(b"]") {
                    true => Ok(Expr::Element(name.to_vec(), Box::new(index))),
                    false => Err(self.error("bad array subscript")),
                }
            }
            _ => Err(self.error("syntax error: operand expected")),
        }
    }

    fn number(&mut self) -> Result<Expr, String> {
        let end = self
            .rest
            .iter()
            .position(|byte| !is_name_byte(*byte) && !matches!(byte, b'#' | b'@'));
        let (text, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let number = number(text).ok_or_else(|| self.error("invalid number"))?;
        self.rest = rest;
        Ok(Expr::Number(number))
    }
}

/// A constant of arithmetic: decimal, octal, hexadecimal, or `base#digits`. It wraps around as C's does.
pub fn number(text: &[u8]) -> Option<i64> {
    let in_base = |text: &[u8], base: u32| -> Option<i64> {
        let mut number = 0i64;
        for byte in text {
            let digit = digit(*byte, base)?;
            number = number
                .wrapping_mul(i64::from(base))
                .wrapping_add(i64::from(digit));
        }
        (!text.is_empty()).then_some(number)
    };
    if let Some(at) = text.iter().position(|byte| *byte == b'#') {
        let mut base_text = &text[..at];
        let base = digits(&mut base_text, 10, 3)?;
        let valid = base_text.is_empty() && (2..=64).contains(&base);
        return valid.then(|| in_base(&text[at + 1..], base)).flatten();
    }
    match text {
        [b'0', b'x' | b'X', hex @ ..] => in_base(hex, 16),
        [b'0', octal @ ..] if !octal.is_empty() => in_base(octal, 8),
        decimal => in_base(decimal, 10),
    }
}

fn digit(byte: u8, base: u32) -> Option<u32> {
    let value = match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'z' => byte - b'a' + 10,
        b'A'..=b'Z' if base <= 36 => byte - b'A' + 10,
        b'A'..=b'Z' => byte - b'A' + 36,
        b'@' => 62,
        b'_' => 63,
        _ => return None,
    };
    (u32::from(value) < base).then_some(u32::from(value))
}

/// A value that is a plain decimal number.
pub fn decimal(text: &[u8]) -> Option<i64> {
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1, digits),
        digits => (1, digits),
    };
    if digits.is_empty() || digits.len() > 18 || (digits[0] == b'0' && digits.len() > 1) {
        return None;
    }
    let mut number = 0i64;
    for byte in digits {
        number = number * 10 + i64::from(byte.is_ascii_digit().then(|| byte - b'0')?);
    }
    Some(sign * number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        format!("{:?}", parse(text.as_bytes()))
    }

    #[test]
    fn operators_bind_as_in_c() {
        assert_eq!(shown("1+2*3"), shown("1+(2*3)"));
        assert_eq!(shown("1-2-3"), shown("(1-2)-3"));
        assert_eq!(shown("2**3**2"), shown("2**(3**2)"));
        assert_eq!(shown("a=b=1"), shown("a=(b=1)"));
        assert_eq!(shown("1<<2+3"), shown("1<<(2+3)"));
        assert_eq!(shown("1||0&&0"), shown("1||(0&&0)"));
    }

    #[test]
    fn constants_have_bases() {
        assert_eq!(number(b"0x1F"), Some(31));
        assert_eq!(number(b"017"), Some(15));
        assert_eq!(number(b"2#101"), Some(5));
        assert_eq!(number(b"64#_"), Some(63));
        assert_eq!(number(b"08"), None);
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for text in ["1+", "(1", "1 2", "1=2", "a?1", "+"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        assert!(parse("(".repeat(100_000).as_bytes()).is_err());
        assert!(parse("-".repeat(100_000).as_bytes()).is_err());
    }
}
