//! The line editor: reedline, with the shell's keys.

use super::beyond::Beyond;
use super::completer::Completer;
use super::desk::Shared;
use super::highlighter::Highlighter;
use super::history::History;
use super::keys::Keys;
use super::plain::{self, Typed};
use super::prompt::Prompt;
use super::validator::Validator;
use super::{terminal, wake};
use crate::dosh::shell::Shell;
use nu_ansi_term::{Color, Style};
use reedline::{
    default_emacs_keybindings, default_vi_insert_keybindings, default_vi_normal_keybindings,
    default_vi_visual_keybindings, ColumnarMenu, CwdAwareHinter, EditCommand, EditMode, Emacs,
    KeyCode, KeyModifiers, Keybindings, MenuBuilder, Prompt as _, PromptEditMode, Reedline,
    ReedlineEvent, ReedlineMenu, Signal, Vi,
};
use std::time::Duration;

/// The key that says that a line is the host's, and says no more.
const TO_HOST: &str = "to host";

/// What a line for the host begins with.
const HOST: &str = "@ ";

/// The editor is woken. By itself it looks so often, which ends what it reads of a terminal that is gone.
const LOOK: Duration = Duration::from_secs(10);

/// What Tab opens.
const MENU: &str = "completion";

pub struct Editor {
    editor: Option<Reedline>,
    desk: Shared,
    beyond: Beyond,
    /// The keys that it has are vi's, and insert text; nothing if they may be in another state.
    vi: Option<bool>,
}

/// How reading has ended.
pub enum Read {
    Line(String),
    Interrupted,
    End,
    /// A signal has come. What was typed is there when reading goes on.
    Broken,
    /// The terminal cannot be read.
    Failed,
}

impl Editor {
    pub fn new(history: &History, desk: Shared) -> Editor {
        let editor = Reedline::create()
            .with_history(Box::new(history.clone()))
            .with_history_exclusion_prefix(Some(" ".to_owned()))
            .with_completer(Box::new(Completer::new(desk.clone())))
            .with_quick_completions(true)
            .with_partial_completions(true)
            .with_break_signal(wake::breaks())
            .with_poll_interval(LOOK);
        Editor {
            editor: Some(editor),
            desk,
            beyond: Beyond::default(),
            vi: None,
        }
    }

    /// What was typed before. `begins`: no key of the line has come to the editor.
    pub fn typed(&self, begins: bool) -> Typed {
        if !begins {
            return Typed::Nothing;
        }
        match self.beyond.line() {
            Some(line) => Typed::Line(line),
            None if self.beyond.is_empty() => plain::typed(),
            None => Typed::Nothing,
        }
    }

    /// Has the next line begin with this.
    pub fn insert(&mut self, text: String) {
        if let Some(editor) = &mut self.editor {
            editor.run_edit_commands(&[EditCommand::InsertString(text)]);
        }
    }

    /// Reads a line. `transient`: what stays of the prompt behind it.
    pub fn read(&mut self, shell: &mut Shell, prompt: &Prompt, transient: Prompt) -> Read {
        let Some(editor) = self.editor.take() else {
            return Read::Failed;
        };
        let colours = prompt.colours;
        let highlighter = Highlighter::new(self.desk.clone(), colours);
        let hint = Style::new().fg(Color::DarkGray);
        let mut editor = editor
            .with_ansi_colors(colours)
            .with_highlighter(Box::new(highlighter))
            .clear_menus()
            .with_menu(menu(prompt))
            .with_validator(Box::new(Validator::new(&shell.aliases)))
            .with_transient_prompt(Box::new(transient))
            .with_cwd(shell.variables.get(b"PWD").map(lossy))
            .use_bracketed_paste(crate::dosh::sys::is_terminal(1));
        // Without colours a hint could not be told from what was typed.
        editor = match colours {
            true => editor.with_hinter(Box::new(CwdAwareHinter::default().with_style(hint))),
            false => editor.disable_hints(),
        };
        let vi = shell.options.is_on(b"vi") == Some(true);
        if self.vi.replace(vi) != Some(vi) {
            editor = editor.with_edit_mode(match vi {
                true => self::vi(self.beyond.clone(), self.desk.clone()),
                false => emacs(self.beyond.clone(), self.desk.clone()),
            });
        }
        let watches = shell.traps.action(wake::WORKED).is_none();
        let read = loop {
            let read = wake::while_reading(watches, || {
                terminal::take_newlines()?;
                self.beyond.begin();
                if !self.beyond.is_empty() {
                    wake::wake();
                }
                editor.read_line(prompt)
            });
            if let Ok(Signal::Success(_) | Signal::CtrlC | Signal::CtrlD) = read {
                self.beyond.fill();
            }
            break match read {
                Ok(Signal::Success(line)) => {
                    self.desk.learn(&line);
                    Read::Line(line)
                }
                Ok(Signal::CtrlC) => {
                    self.vi = None;
                    Read::Interrupted
                }
                Ok(Signal::CtrlD) => Read::End,
                Ok(Signal::HostCommand(_)) => {
                    turn_to_host(&mut editor);
                    continue;
                }
                Ok(_) => Read::Broken,
                Err(_) => Read::Failed,
            };
        };
        self.editor = Some(editor);
        read
    }
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// Makes the line one for the host, or one that is not.
fn turn_to_host(editor: &mut Reedline) {
    let at = editor.current_insertion_point();
    let go = |position| EditCommand::MoveToPosition {
        position,
        select: false,
    };
    let line = editor.current_buffer_contents();
    let commands = match line.strip_prefix(HOST) {
        Some(_) => {
            let mut commands = vec![go(0)];
            commands.extend(HOST.chars().map(|_| EditCommand::Delete));
            commands.push(go(at.saturating_sub(HOST.len())));
            commands
        }
        None => vec![
            go(0),
            EditCommand::InsertString(HOST.to_owned()),
            go(at + HOST.len()),
        ],
    };
    editor.run_edit_commands(&commands);
}

/// The list of what a word could become. The prompt's mark stays before the line.
fn menu(prompt: &Prompt) -> ReedlineMenu {
    let mark = prompt.render_prompt_indicator(PromptEditMode::Default);
    let menu = ColumnarMenu::default()
        .with_name(MENU)
        .with_marker(&mark)
        .with_text_style(Style::new())
        .with_selected_text_style(Style::new().reverse());
    ReedlineMenu::EngineCompleter(Box::new(menu))
}

/// The shell's own keys.
fn bind(keys: &mut Keybindings) {
    let to_host = ReedlineEvent::ExecuteHostCommand(TO_HOST.to_owned());
    keys.add_binding(KeyModifiers::ALT, KeyCode::Char('h'), to_host);
    let complete = ReedlineEvent::UntilFound(vec![
        ReedlineEvent::Menu(MENU.to_owned()),
        ReedlineEvent::MenuNext,
    ]);
    let back = ReedlineEvent::MenuPrevious;
    keys.add_binding(KeyModifiers::NONE, KeyCode::Tab, complete);
    keys.add_binding(KeyModifiers::SHIFT, KeyCode::BackTab, back);
}

fn emacs(beyond: Beyond, desk: Shared) -> Box<dyn EditMode> {
    let mut keys = default_emacs_keybindings();
    bind(&mut keys);
    Box::new(Keys::of(Emacs::new(keys), beyond, desk))
}

fn vi(beyond: Beyond, desk: Shared) -> Box<dyn EditMode> {
    let mut keys = [
        default_vi_insert_keybindings(),
        default_vi_normal_keybindings(),
        default_vi_visual_keybindings(),
    ];
    keys.iter_mut().for_each(bind);
    // Escape and Enter in one piece.
    keys[0].add_binding(KeyModifiers::ALT, KeyCode::Enter, ReedlineEvent::Enter);
    let [insert, normal, visual] = keys;
    Box::new(Keys::of(Vi::new(insert, normal, visual), beyond, desk))
}
