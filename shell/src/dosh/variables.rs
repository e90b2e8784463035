//! Variables: values, attributes, scopes of functions, and the environment that programs get (XCU 2.5.3).

use super::ifs::Ifs;
use super::syntax::token::is_name;
use super::syntax::tree::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::ffi::CString;
use std::hash::{BuildHasherDefault, Hasher};
use std::os::unix::ffi::OsStringExt;
use std::rc::Rc;

#[derive(Clone, Debug)]
pub enum Value {
    Text(Bytes),
    Array(BTreeMap<i64, Bytes>),
}

#[derive(Clone, Debug, Default)]
pub struct Variable {
    /// Nothing if it has attributes only.
    pub value: Option<Value>,
    pub exported: bool,
    pub readonly: bool,
    /// Assigned in front of a command, for its time.
    pub passed: bool,
    /// A function's own, or one that was unset: what the shell makes up for the name is not seen.
    pub plain: bool,
    /// Unset, and kept for that only.
    gone: bool,
}

/// The variable may not be changed.
#[derive(Debug)]
pub struct ReadOnly(pub Bytes);

/// Whose end brings back what was hidden.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Of `local` variables.
    Function,
    /// Of assignments in front of a command.
    Command,
}

#[derive(Clone)]
struct Frame {
    scope: Scope,
    hidden: Vec<(Bytes, Option<Variable>)>,
}

impl Frame {
    fn hides(&self, name: &[u8]) -> bool {
        self.hidden.iter().any(|(hidden, _)| hidden == name)
    }
}

#[derive(Clone, Default)]
pub struct Variables {
    table: HashMap<Bytes, Variable, BuildHasherDefault<NameHasher>>,
    frames: Vec<Frame>,
    /// Inherited strings that are no variables.
    foreign: Vec<CString>,
    ifs: Rc<Ifs>,
    /// Counts the changes of `PATH`.
    pub path_changes: u32,
}

impl Variables {
    pub fn from_environment() -> Variables {
        let mut variables = Variables::default();
        for (name, value) in std::env::vars_os() {
            let (name, value) = (name.into_vec(), value.into_vec());
            if is_name(&name) {
                let variable = Variable {
                    value: Some(Value::Text(value)),
                    exported: true,
                    ..Variable::default()
                };
                variables.table.insert(name, variable);
            } else {
                let entry = [&name[..], b"=", &value].concat();
                variables.foreign.extend(CString::new(entry));
            }
        }
        // IFS is not inherited: a program shall not be made to split its words differently.
        variables.table.remove(&b"IFS"[..]);
        // The program's path, for the program only.
        variables.table.remove(&b"_"[..]);
        variables.put(b"IFS", b" \t\n".to_vec());
        variables
    }

    pub fn lookup(&self, name: &[u8]) -> Option<&Variable> {
        self.table.get(name).filter(|variable| !variable.gone)
    }

    /// Whether what the shell makes up for a name is not seen.
    pub fn hides_made_up(&self, name: &[u8]) -> bool {
        let known = self.table.get(name);
        known.is_some_and(|known| known.plain || known.value.is_some())
    }

    /// The value: of an array, its element 0.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        match self.table.get(name)?.value.as_ref()? {
            Value::Text(text) => Some(text),
            Value::Array(array) => array.get(&0).map(|text| &text[..]),
        }
    }

    pub fn ifs(&self) -> Rc<Ifs> {
        Rc::clone(&self.ifs)
    }

    /// Whether it may be changed.
    ///
    /// # Errors
    /// The variable is read-only.
    pub fn check(&self, name: &[u8]) -> Result<(), ReadOnly> {
        match self.lookup(name) {
            Some(variable) if variable.readonly => Err(ReadOnly(name.to_vec())),
            _ => Ok(()),
        }
    }

    /// The variable, which exists from then on, if it may be changed.
    fn writable(&mut self, name: &[u8]) -> Result<&mut Variable, ReadOnly> {
        if !self.table.contains_key(name) {
            self.table.insert(name.to_vec(), Variable::default());
        }
        match self.table.get_mut(name) {
            Some(variable) if !variable.readonly => {
                variable.gone = false;
                Ok(variable)
            }
            _ => Err(ReadOnly(name.to_vec())),
        }
    }

    /// Assigns.
    ///
    /// # Errors
    /// The variable is read-only.
    pub fn set(&mut self, name: &[u8], text: Bytes) -> Result<(), ReadOnly> {
        let variable = self.writable(name)?;
        match &mut variable.value {
            Some(Value::Array(array)) => drop(array.insert(0, text)),
            value => *value = Some(Value::Text(text)),
        }
        self.changed(name);
        Ok(())
    }

    /// Assigns what the shell itself keeps up to date, be it read-only or not.
    pub fn put(&mut self, name: &[u8], text: Bytes) {
        self.attributes(name).value = Some(Value::Text(text));
        self.changed(name);
    }

    /// Assigns all elements.
    ///
    /// # Errors
    /// The variable is read-only.
    pub fn set_array(&mut self, name: &[u8], array: BTreeMap<i64, Bytes>) -> Result<(), ReadOnly> {
        self.writable(name)?.value = Some(Value::Array(array));
        Ok(())
    }

    /// Assigns one element.
    ///
    /// # Errors
    /// The variable is read-only.
    pub fn set_element(&mut self, name: &[u8], index: i64, text: Bytes) -> Result<(), ReadOnly> {
        let variable = self.writable(name)?;
        let mut array = match variable.value.take() {
            Some(Value::Array(array)) => array,
            Some(Value::Text(text)) => BTreeMap::from([(0, text)]),
            None => BTreeMap::new(),
        };
        array.insert(index, text);
        variable.value = Some(Value::Array(array));
        Ok(())
    }

    /// All elements with their indices; a text is element 0.
    pub fn elements(&self, name: &[u8]) -> Vec<(i64, &[u8])> {
        match self
            .table
            .get(name)
            .and_then(|variable| variable.value.as_ref())
        {
            Some(Value::Array(array)) => array.iter().map(|(at, text)| (*at, &text[..])).collect(),
            Some(Value::Text(text)) => vec![(0, text)],
            None => Vec::new(),
        }
    }

    /// Removes a variable.
    ///
    /// # Errors
    /// It is read-only.
    pub fn unset(&mut self, name: &[u8]) -> Result<(), ReadOnly> {
        if self
            .table
            .get(name)
            .is_some_and(|variable| variable.readonly)
        {
            return Err(ReadOnly(name.to_vec()));
        }
        self.table.remove(name);
        self.changed(name);
        Ok(())
    }

    /// Removes one element.
    ///
    /// # Errors
    /// The variable is read-only.
    pub fn unset_element(&mut self, name: &[u8], index: i64) -> Result<(), ReadOnly> {
        if let Some(Value::Array(array)) = &mut self.writable(name)?.value {
            array.remove(&index);
        }
        Ok(())
    }

    /// The variable's attributes, to be changed.
    pub fn attributes(&mut self, name: &[u8]) -> &mut Variable {
        let variable = self.table.entry(name.to_vec()).or_default();
        variable.gone = false;
        variable
    }

    /// Has a name that was just unset stand for a variable like any other from now on. That of a function is there still.
    pub fn make_plain(&mut self, name: &[u8]) {
        let of_function = |frame: &Frame| frame.scope == Scope::Function && frame.hides(name);
        let local = self.frames.iter().any(of_function);
        let variable = self.attributes(name);
        (variable.plain, variable.gone) = (true, !local);
    }

    /// Has the shell make up again what a name stands for, whatever was unset or assigned.
    pub fn make_up(&mut self, name: &[u8]) {
        match self.table.get_mut(name) {
            Some(variable) if variable.readonly => {}
            Some(variable) if variable.exported => {
                (variable.plain, variable.value) = (false, None);
            }
            _ => drop(self.table.remove(name)),
        }
    }

    /// Opens a scope.
    pub fn push_frame(&mut self, scope: Scope) {
        self.frames.push(Frame {
            scope,
            hidden: Vec::new(),
        });
    }

    /// Closes a scope: what it has hidden is there again.
    pub fn pop_frame(&mut self) {
        let hidden = self.frames.pop().map(|frame| frame.hidden);
        for (name, saved) in hidden.unwrap_or_default().into_iter().rev() {
            match saved {
                Some(variable) => drop(self.table.insert(name.clone(), variable)),
                None => drop(self.table.remove(&name)),
            }
            self.changed(&name);
        }
    }

    /// Hides a variable until the scope closes. It is left as it is, for the scope to change.
    pub fn hide(&mut self, name: &[u8]) {
        let saved = self.table.get(name).cloned();
        if let Some(frame) = self.frames.last_mut() {
            if !frame.hides(name) {
                frame.hidden.push((name.to_vec(), saved));
            }
        }
    }

    /// Hides a variable until the function ends, whatever commands are around this one; false if it was hidden already.
    pub fn make_local(&mut self, name: &[u8]) -> bool {
        let of_function = |frame: &Frame| frame.scope == Scope::Function;
        let Some(at) = self.frames.iter().rposition(of_function) else {
            return false;
        };
        let mut saved = self.table.get(name).cloned();
        for frame in self.frames[at + 1..].iter_mut().rev() {
            if let Some(entry) = frame.hidden.iter().position(|(hidden, _)| hidden == name) {
                saved = frame.hidden.remove(entry).1;
            }
        }
        let new = !self.frames[at].hides(name);
        if new {
            self.frames[at].hidden.push((name.to_vec(), saved));
        }
        new
    }

    fn changed(&mut self, name: &[u8]) {
        match name {
            b"IFS" => self.ifs = Rc::new(Ifs::new(self.get(b"IFS"))),
            b"PATH" => self.path_changes += 1,
            _ => {}
        }
    }

    /// All variables by name.
    pub fn sorted(&self) -> Vec<(&Bytes, &Variable)> {
        let known = self.table.iter().filter(|(_, variable)| !variable.gone);
        let mut all: Vec<_> = known.collect();
        all.sort_by_key(|(name, _)| *name);
        all
    }

    /// `name=value` of everything exported.
    pub fn environment(&self) -> Vec<CString> {
        let mut strings = self.foreign.clone();
        for (name, variable) in &self.table {
            if let (true, Some(Value::Text(text))) = (variable.exported, &variable.value) {
                strings.extend(CString::new([&name[..], b"=", text].concat()));
            }
        }
        strings
    }
}

/// FNV-1a: names are short, and nobody gains from names that collide in their own shell.
#[derive(Clone)]
struct NameHasher(u64);

impl Default for NameHasher {
    fn default() -> NameHasher {
        NameHasher(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
