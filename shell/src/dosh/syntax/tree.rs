//! What a script means: the form that the parser leaves and that everything else reads.
//!
//! A word is parsed once, down to its expansions, so that a loop's turn parses nothing.

use std::cell::OnceCell;
use std::rc::Rc;

/// Text of the shell: bytes, in no encoding.
pub type Bytes = Vec<u8>;

/// Commands one after another.
#[derive(Debug, Default)]
pub struct List(pub Vec<Item>);

impl List {
    /// The list of one command, which is written so.
    pub fn of(kind: Kind, line: u32, text: Rc<[u8]>) -> List {
        let command = Command {
            kind,
            redirects: Vec::new(),
            line,
        };
        let first = Pipeline {
            negated: false,
            timed: None,
            stages: vec![command],
            text: Rc::clone(&text),
        };
        let and_or = AndOr {
            first,
            rest: Vec::new(),
            text,
        };
        List(vec![Item {
            and_or,
            background: false,
        }])
    }
}

/// One entry of a list.
#[derive(Debug)]
pub struct Item {
    pub and_or: AndOr,
    /// Ended by `&`.
    pub background: bool,
}

/// Pipelines joined by `&&` and `||`.
#[derive(Debug)]
pub struct AndOr {
    pub first: Pipeline,
    pub rest: Vec<(Connector, Pipeline)>,
    /// As it was written: the name of the job.
    pub text: Rc<[u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connector {
    And,
    Or,
}

/// How `time` writes what has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// In minutes and seconds.
    Minutes,
    /// As `time -p` of POSIX, which programs read.
    Seconds,
}

/// Commands joined by pipes.
#[derive(Debug)]
pub struct Pipeline {
    pub negated: bool,
    /// Introduced by `time`.
    pub timed: Option<Times>,
    pub stages: Vec<Command>,
    /// As it was written: the name of the job.
    pub text: Rc<[u8]>,
}

/// A command with its redirections, in the order in which they are done.
#[derive(Debug)]
pub struct Command {
    pub kind: Kind,
    pub redirects: Vec<Redirect>,
    pub line: u32,
}

#[derive(Debug)]
pub enum Kind {
    Simple(Simple),
    Group(List),
    Subshell(List),
    If {
        arms: Vec<(List, List)>,
        otherwise: Option<List>,
    },
    Loop {
        until: bool,
        condition: List,
        body: List,
    },
    /// Without words: over the positional parameters.
    For {
        name: Bytes,
        words: Option<Vec<Word>>,
        body: List,
    },
    /// `for ((first; condition; step))`.
    Count {
        first: Option<Arithmetic>,
        condition: Option<Arithmetic>,
        step: Option<Arithmetic>,
        body: List,
    },
    Case {
        word: Word,
        arms: Vec<Arm>,
    },
    Function(Rc<Function>),
    Arithmetic(Arithmetic),
    Condition(Condition),
    /// A line that begins with `@`: what says nothing of it runs on the host.
    OnHost(List),
}

#[derive(Debug, Default)]
pub struct Simple {
    pub assignments: Vec<Assignment>,
    pub words: Vec<Word>,
}

#[derive(Debug)]
pub struct Function {
    pub name: Bytes,
    pub body: Command,
    /// The definition as it was written, to its last token.
    pub text: Bytes,
    /// The here-documents that begin in that token's line, each with its delimiter.
    pub behind: Vec<Rc<OnceCell<Bytes>>>,
}

impl Function {
    /// The definition, in all its lines but for the last newline.
    pub fn written(&self) -> Bytes {
        let mut text = self.text.clone();
        for document in self.behind.iter().filter_map(|document| document.get()) {
            text.push(b'\n');
            text.extend_from_slice(document);
        }
        text
    }
}

/// One arm of `case`.
#[derive(Debug)]
pub struct Arm {
    pub patterns: Vec<Word>,
    pub body: List,
    pub then: Then,
}

/// What follows an arm of `case`: `;;`, `;&` or `;;&`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Leave,
    FallThrough,
    TestNext,
}

#[derive(Debug)]
pub struct Assignment {
    pub name: Bytes,
    pub index: Option<Arithmetic>,
    /// `+=`.
    pub append: bool,
    pub value: Assigned,
}

#[derive(Debug)]
pub enum Assigned {
    Scalar(Word),
    /// Elements, with their subscripts if given.
    Array(Vec<(Option<Arithmetic>, Word)>),
}

/// `[[ … ]]`.
#[derive(Debug)]
pub enum Condition {
    Not(Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    Unary(Bytes, Word),
    Binary(Word, Bytes, Word),
}

#[derive(Debug)]
pub struct Redirect {
    pub fd: i32,
    pub target: Target,
}

#[derive(Debug)]
pub enum Target {
    File(Mode, Word),
    /// `<&` and `>&`: another descriptor, or `-` to close.
    Duplicate(Word),
    /// `&>` and `&>>`: standard output and standard error.
    Both(Mode, Word),
    /// The body follows the command's line, and is known when that has been read.
    Here(Rc<OnceCell<Word>>),
    HereString(Word),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Read,
    Write,
    Append,
    ReadWrite,
    /// `>|`: even under `set -C`.
    Clobber,
}

/// A word before expansion.
#[derive(Debug)]
pub enum Word {
    /// Text that means itself: nothing is left to expand, to split, or to match.
    Plain(Bytes),
    Parts(Box<[Part]>),
    /// `name=value` after `export` and its like: not split.
    Declares(Box<Assignment>),
}

#[derive(Debug)]
pub enum Part {
    /// Unquoted text: its `*?[` match.
    Literal(Bytes),
    /// Quoted text.
    Quoted(Bytes),
    /// What stands in double quotes.
    Double(Box<[Part]>),
    /// `~` or `~user`.
    Tilde(Bytes),
    Parameter(Box<Parameter>),
    Command(Rc<List>),
    Arithmetic(Box<Arithmetic>),
    /// `<(list)`, or `>(list)` if it reads.
    Process {
        reads: bool,
        list: Rc<List>,
    },
    /// A part that brace expansion has put into several words.
    Shared(Rc<Part>),
}

#[derive(Debug)]
pub struct Parameter {
    pub name: Name,
    pub index: Option<Index>,
    /// `${!name}`: the parameter that the value names.
    pub indirect: bool,
    pub action: Action,
}

#[derive(Debug)]
pub enum Name {
    Variable(Bytes),
    Positional(usize),
    /// One of `@*#?-$!`.
    Special(u8),
}

/// A subscript.
#[derive(Debug)]
pub enum Index {
    /// `[@]`.
    At,
    /// `[*]`.
    Star,
    Number(Arithmetic),
}

/// What a parameter expansion does with the value.
#[derive(Debug)]
pub enum Action {
    Value,
    Length,
    /// `${!name[@]}`.
    Indices,
    /// `-=?+`, with `:` also for an empty value.
    Instead {
        kind: Instead,
        empty: bool,
        word: Word,
    },
    Remove {
        suffix: bool,
        longest: bool,
        pattern: Word,
    },
    Replace {
        which: Which,
        pattern: Word,
        with: Word,
    },
    Slice {
        offset: Arithmetic,
        length: Option<Arithmetic>,
    },
    /// `^`, `^^`, `,` and `,,`.
    Case {
        upper: bool,
        all: bool,
        pattern: Option<Word>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instead {
    Default,
    Assign,
    Error,
    Alternative,
}

/// Which matches `${x/pattern/with}` replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    First,
    All,
    Prefix,
    Suffix,
}

/// An arithmetic expression.
#[derive(Debug)]
pub enum Arithmetic {
    /// Nothing to expand: parsed.
    Parsed(Expr),
    /// The text is expanded each time before it is parsed.
    Text(Word),
}

#[derive(Clone, Debug)]
pub enum Expr {
    Number(i64),
    Variable(Bytes),
    Element(Bytes, Box<Expr>),
    Unary(Unary, Box<Expr>),
    Binary(Binary, Box<Expr>, Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Choice(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `=` and, with an operator, `+=` and its like. The first is a variable or an element.
    Assign(Box<Expr>, Option<Binary>, Box<Expr>),
    /// `++` and `--`: what is added, and whether before the value is taken.
    Step(Box<Expr>, i64, bool),
    Comma(Box<Expr>, Box<Expr>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unary {
    Plus,
    Minus,
    Not,
    Complement,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    Power,
    Multiply,
    Divide,
    Remainder,
    Add,
    Subtract,
    ShiftLeft,
    ShiftRight,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Equal,
    NotEqual,
    BitAnd,
    BitXor,
    BitOr,
}
