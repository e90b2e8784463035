//! Functions (XCU 2.9.5).

use crate::dosh::shell::{Flow, Run, Shell};
use crate::dosh::syntax::tree::{Bytes, Function};
use crate::dosh::variables::Scope;
use std::rc::Rc;

impl Shell {
    /// Calls a function with the fields behind its name.
    pub fn call(&mut self, function: &Rc<Function>, mut fields: Vec<Bytes>) -> Run {
        self.trace(&fields)?;
        fields.remove(0);
        let arguments = std::mem::replace(&mut self.arguments, fields);
        let loops = std::mem::take(&mut self.loops);
        let outer_loops = std::mem::take(&mut self.outer_loops);
        self.depth += 1;
        self.variables.push_frame(Scope::Function);
        let (line, last) = (self.line, self.last_argument.clone());
        let result = self.command(&function.body, &Rc::from(&b""[..]), false);
        (self.line, self.last_argument) = (line, last);
        self.variables.pop_frame();
        self.depth -= 1;
        (self.loops, self.outer_loops) = (loops, outer_loops);
        self.arguments = arguments;
        match result {
            Err(Flow::Return(status)) => {
                self.status = status;
                Ok(())
            }
            result => result,
        }
    }
}
