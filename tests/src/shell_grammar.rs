//! Scripts made up from the shell's grammar: every one ends, and says what it does.

use crate::random::Random;

const NAMES: &[&str] = &["a", "b", "c", "d"];
const PATTERNS: &[&str] = &[
    "*",
    "?",
    "a*",
    "*b",
    "[ab]*",
    "x?y",
    "'*'",
    "[!a]",
    "$a",
    "\"$b\"",
    "",
    "*:*",
    "[[:digit:]]",
];
const TEXTS: &[&str] = &[
    "a", "b", "ab", "x:y", "1", "23", "'p q'", "\"r  s\"", "''", "\\ ", "*.x", "\\*", "-n", "q[",
    ":", "a=b", "~x",
];

/// A script in the making.
pub struct Script<'r> {
    random: &'r mut Random,
    depth: usize,
    /// Loops around, and whether a function is.
    loops: usize,
    function: bool,
    /// The command that calls the function: none within one, so that it ends.
    call: &'static str,
    counters: usize,
}

impl<'r> Script<'r> {
    /// A whole script of the random numbers.
    pub fn generate(random: &'r mut Random) -> String {
        let strict = random.chance(5);
        let mut script = Script {
            random,
            depth: 4,
            loops: 0,
            function: false,
            call: "f",
            counters: 0,
        };
        let mut text =
            String::from("set -- p 'q r' ''; a=1 b='x y' c=a:b:; >1.x; >2.x\nf() { :; }\n");
        if strict {
            text.push_str("set -e\n");
        }
        for _ in 0..6 {
            text.push_str(&script.statement());
            text.push_str("\necho \"[$?]\" \"$a|$b|$c|$d|$#\"\n");
        }
        text
    }

    fn name(&mut self) -> &'static str {
        self.random.one_of(NAMES)
    }

    fn deeper<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> T {
        self.depth -= 1;
        let made = make(self);
        self.depth += 1;
        made
    }

    fn list(&mut self) -> String {
        let count = 1 + self.random.below(3);
        let statements: Vec<String> = (0..count).map(|_| self.statement()).collect();
        statements.join("\n")
    }

    fn statement(&mut self) -> String {
        if self.depth == 0 {
            return self.simple();
        }
        self.deeper(|script| match script.random.below(18) {
            0 => format!(
                "if {}; then {}\nelse {}\nfi",
                script.condition(),
                script.list(),
                script.list()
            ),
            1 => script.case(),
            2 => script.over_words(),
            3 => script.bounded(),
            4 => format!("{{ {}\n}}", script.list()),
            5 => format!("( {}\n)", script.outside(Script::list)),
            6 => format!("{{ {}\n}} | cat", script.outside(Script::list)),
            7 => format!("{} && {}", script.condition(), script.simple()),
            8 => format!("{} || {}", script.condition(), script.simple()),
            9 => format!("! {}", script.simple()),
            10 => script.define(),
            11 => {
                script.counters += 1;
                let file = format!("out{}", script.counters);
                format!("{{ {}\n}} > {file}; cat {file}", script.list())
            }
            12 => format!("cat <<E\n{}\nE", script.document()),
            13 => format!(
                "printf '%s\\n' {} | while read -r {} d; do {}\ndone",
                script.words(),
                script.name(),
                script.outside(Script::simple)
            ),
            14 => format!("eval {}", quoted(&script.simple())),
            _ => script.simple(),
        })
    }

    /// Where loops and functions around cannot be left.
    fn outside<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> T {
        let around = (self.loops, self.function);
        (self.loops, self.function) = (0, false);
        let made = make(self);
        (self.loops, self.function) = around;
        made
    }

    fn simple(&mut self) -> String {
        let call = self.call;
        match self.random.below(14) {
            0..=2 => format!("{}={}", self.name(), self.word()),
            3..=5 => format!("printf '<%s>' {}; echo", self.words()),
            6 => format!("set -- {}", self.words()),
            7 => format!("{call} {}", self.words()),
            8 => format!(
                "IFS={}",
                self.random.one_of(&["' '", ":", "", "' :'", "xy"])
            ),
            9 => "unset IFS".to_owned(),
            10 if self.loops > 0 => self.random.one_of(&["break", "continue"]).to_owned(),
            10 if self.function => format!("return {}", self.random.below(4)),
            11 => format!("{}={} {call} {}", self.name(), self.word(), self.word()),
            12 => format!(": $(( {} ))", self.expression(2)),
            13 if self.random.chance(3) => format!("unset {}", self.name()),
            _ => format!("echo {}", self.words()),
        }
    }

    fn condition(&mut self) -> String {
        match self.random.below(6) {
            0 => "true".to_owned(),
            1 => "false".to_owned(),
            2 => format!(
                "[ \"{}\" = {} ]",
                self.random.one_of(&["$a", "${b-}", "x"]),
                "\"$c\""
            ),
            3 => format!("[ $(( {} )) -gt 1 ]", self.expression(2)),
            4 => format!("test -n \"${}\"", self.name()),
            _ => format!("{{ {}; }}", self.simple()),
        }
    }

    fn case(&mut self) -> String {
        let (word, first, second) = (self.word(), self.pattern(), self.pattern());
        let second = if second.is_empty() { "''" } else { second };
        let first = if first.is_empty() { "''" } else { first };
        format!(
            "case {word} in {first} | z) {}\n;; ({second}) {}\nesac",
            self.list(),
            self.list()
        )
    }

    fn pattern(&mut self) -> &'static str {
        self.random.one_of(PATTERNS)
    }

    fn over_words(&mut self) -> String {
        let (name, words) = (self.name(), self.words());
        self.loops += 1;
        let body = self.list();
        self.loops -= 1;
        format!("for {name} in {words}; do {body}\ndone")
    }

    fn bounded(&mut self) -> String {
        self.counters += 1;
        let counter = format!("n{}", self.counters);
        self.loops += 1;
        let body = self.list();
        self.loops -= 1;
        format!(
            "{counter}=0; while [ ${counter} != 3 ]; do {counter}=$(({counter}+1)); {body}\ndone"
        )
    }

    fn define(&mut self) -> String {
        let around = (self.loops, self.function, self.call);
        (self.loops, self.function, self.call) = (0, true, "echo");
        let (word, body) = (self.word(), self.list());
        (self.loops, self.function, self.call) = around;
        format!("f() {{ local d={word}; {body}\n}}")
    }

    fn words(&mut self) -> String {
        let count = self.random.below(4);
        let words: Vec<String> = (0..count).map(|_| self.word()).collect();
        words.join(" ")
    }

    fn word(&mut self) -> String {
        let count = 1 + self.random.below(2);
        (0..count).map(|_| self.piece()).collect()
    }

    fn piece(&mut self) -> String {
        let name = self.name();
        match self.random.below(16) {
            0..=4 => self.random.one_of(TEXTS).to_owned(),
            5 => format!("${{{name}}}"),
            6 => format!("\"${name}\""),
            7 => self
                .random
                .one_of(&["$*", "\"$@\"", "\"$*\"", "$@", "$#", "\"${1-}\""])
                .to_owned(),
            8 => format!(
                "${{{name}{}{}}}",
                self.random.one_of(&[":-", "-", ":+", "+"]),
                self.operand()
            ),
            9 => format!(
                "\"${{{name}{}{}}}\"",
                self.random.one_of(&[":-", "+"]),
                self.random.one_of(&["x", "a  b", "$a"])
            ),
            10 => format!(
                "${{{name}{}{}}}",
                self.random.one_of(&["#", "##", "%", "%%"]),
                self.pattern()
            ),
            11 => format!("$(( {} ))", self.expression(2)),
            12 if self.depth > 0 => {
                let inner = self.deeper(|script| script.outside(Script::simple));
                format!("$({inner})")
            }
            13 if self.depth > 0 => {
                let inner = self.deeper(|script| script.outside(Script::simple));
                format!("\"$({inner})\"")
            }
            14 => format!("${{#{name}}}"),
            _ => format!(
                "\"{}${{{name}}}\"",
                self.random.one_of(&["", "t ", "\\$", "'"])
            ),
        }
    }

    fn operand(&mut self) -> &'static str {
        self.random
            .one_of(&["", "z", "a b", "'c  d'", "\"$a $b\"", "$b", "*.x"])
    }

    fn expression(&mut self, depth: usize) -> String {
        if depth == 0 || self.random.chance(3) {
            return self
                .random
                .one_of(&["1", "7", "0", "n", "m", "-3", "010"])
                .to_owned();
        }
        let (left, right) = (self.expression(depth - 1), self.expression(depth - 1));
        let op = self
            .random
            .one_of(&["+", "-", "*", "<", "==", "&&", "||", "|", "<<1+", ">=", "^"]);
        match self.random.below(4) {
            0 => format!("({left} {op} {right})"),
            1 => format!("{left} ? {right} : n"),
            2 => format!("!{left} {op} {right}"),
            _ => format!("{left} {op} {right}"),
        }
    }

    fn document(&mut self) -> String {
        let name = self.name();
        let line = self
            .random
            .one_of(&["text", "\\$x \\\\ \"q\" 'r'", "*", "a\\"]);
        format!(
            "${name} {line} ${{{name}:-u v}} $(( {} ))",
            self.expression(1)
        )
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
