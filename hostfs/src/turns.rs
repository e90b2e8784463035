//! Whose turn it is to read the guest kernel's requests.
//!
//! The kernel wakes the threads that wait for requests in turn, so a program that asks for one thing after the other would
//! meet another thread each time, whose processor and caches know nothing of it. So few threads read, and those that have
//! nothing to do wait here: one thread serves such a program, and stays awake while it does. Before a thread sleeps while it
//! serves (in a host call that takes long, for a lock), it has another one read in its place, so that requests are read
//! whatever the others wait for.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Turns for which one more thread reads after one has slept: waking one for each request costs more than having it wait
/// with the kernel.
const LATELY: u32 = 64;

/// The turns of the threads of one mount.
#[derive(Debug)]
pub struct Turns {
    state: Mutex<State>,
    called: Condvar,
}

#[derive(Debug)]
struct State {
    /// Threads that read, or have been called to.
    reading: usize,
    /// Threads that are to read while nobody sleeps.
    usual: usize,
    /// Threads that wait here.
    resting: usize,
    /// Of these, those that have been called and have not come yet.
    called: usize,
    /// Turns for which one more than usual is to read.
    lately: u32,
    /// A thread has ended, so that the others are to read the end as well.
    over: bool,
}

thread_local! {
    /// The turns that this thread takes part in.
    static MEMBER: RefCell<Option<Member>> = const { RefCell::new(None) };
    /// Whether it serves a request, and nobody has been called in its place.
    static SERVES: Cell<bool> = const { Cell::new(false) };
}

/// A thread's part in the turns. It ends with the thread, which ends when there is nothing more to read.
#[derive(Debug)]
struct Member(Arc<Turns>);

impl Drop for Member {
    fn drop(&mut self) {
        self.0.state().over = true;
        self.0.called.notify_all();
    }
}

/// A request being served; dropped after the reply.
#[derive(Debug)]
pub struct Turn<'t> {
    turns: &'t Turns,
    rests: bool,
}

impl Turn<'_> {
    /// The thread has more to do of what it has read.
    pub fn without_rest(mut self) -> Self {
        self.rests = false;
        self
    }
}

impl Turns {
    /// For a machine with so many processors. A thread that serves keeps two of them busy, its own and the shadow's.
    pub fn new(processors: usize) -> Arc<Turns> {
        Arc::new(Turns {
            state: Mutex::new(State {
                reading: 0,
                usual: (processors / 2).max(1),
                resting: 0,
                called: 0,
                lately: 0,
                over: false,
            }),
            called: Condvar::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The calling thread has read a request.
    pub fn begin(self: &Arc<Turns>) -> Turn<'_> {
        let is_new = MEMBER.with_borrow_mut(|member| {
            let is_new = member.is_none();
            member.get_or_insert_with(|| Member(self.clone()));
            is_new
        });
        if is_new {
            hostcall::client::before_sleeping(Some(about_to_sleep));
        } else {
            let mut state = self.state();
            state.reading -= 1;
            state.lately = state.lately.saturating_sub(1);
        }
        SERVES.set(true);
        Turn {
            turns: self,
            rests: true,
        }
    }

    /// Has another thread read if nobody does at this moment: whoever serves may sleep where it cannot say so, in memory
    /// reclaim or in a file of `/proc`. To be called now and then, so that no such sleep stops the mount for long.
    pub fn look(&self) {
        if self.state().reading == 0 {
            self.call();
        }
    }

    /// Has another thread read, if nobody does.
    fn call(&self) {
        let mut state = self.state();
        state.lately = LATELY;
        if state.reading == 0 && state.resting > state.called {
            state.called += 1;
            state.reading += 1;
            drop(state);
            self.called.notify_one();
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        SERVES.set(false);
        let mut state = self.turns.state();
        if !self.rests || state.over || state.reading < state.usual + usize::from(state.lately > 0)
        {
            state.reading += 1;
            return;
        }
        state.resting += 1;
        while state.called == 0 && !state.over {
            let waited = self.turns.called.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        state.resting -= 1;
        match state.called {
            0 => state.reading += 1,
            // Counted by whoever called.
            _ => state.called -= 1,
        }
    }
}

/// To be called before the calling thread may sleep: if it serves a request, another thread reads meanwhile.
pub fn about_to_sleep() {
    if SERVES.replace(false) {
        MEMBER.with_borrow(|member| {
            if let Some(Member(turns)) = member {
                turns.call();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    /// Requests, read by one thread at a time as the kernel hands them out.
    type Requests = Arc<Mutex<mpsc::Receiver<Request>>>;
    type Request = Box<dyn FnOnce() + Send>;

    fn serve(turns: Arc<Turns>, requests: Requests) -> std::thread::JoinHandle<usize> {
        std::thread::spawn(move || {
            let mut served = 0;
            loop {
                let request = requests.lock().unwrap().recv();
                let Ok(request) = request else { return served };
                let _turn = turns.begin();
                request();
                served += 1;
            }
        })
    }

    type Threads = Vec<std::thread::JoinHandle<usize>>;

    fn start(threads: usize) -> (mpsc::Sender<Request>, Threads, Arc<Turns>) {
        let (send, receive) = mpsc::channel();
        let (turns, requests) = (Turns::new(2), Arc::new(Mutex::new(receive)));
        let threads = (0..threads).map(|_| serve(turns.clone(), requests.clone()));
        (send, threads.collect(), turns)
    }

    fn ask(send: &mpsc::Sender<Request>, request: impl FnOnce() + Send + 'static) {
        let (tell, told) = mpsc::channel();
        send.send(Box::new(move || {
            request();
            tell.send(()).unwrap();
        }))
        .unwrap();
        told.recv_timeout(Duration::from_secs(20))
            .expect("somebody serves");
    }

    #[test]
    fn one_thread_serves_what_comes_one_by_one_and_all_end() {
        let (send, threads, _) = start(4);
        let servers = Arc::new(Mutex::new(Vec::new()));
        for _ in 0..1000 {
            let servers = servers.clone();
            let note = move || servers.lock().unwrap().push(std::thread::current().id());
            ask(&send, note);
        }
        drop(send);
        let served = threads.into_iter().map(|thread| thread.join().unwrap());
        assert_eq!(served.sum::<usize>(), 1000);
        let servers = servers.lock().unwrap();
        let changes = servers.windows(2).filter(|pair| pair[0] != pair[1]).count();
        // Each thread reads once before it knows of the others, and one that is held up is replaced.
        assert!(changes < 200, "{changes} changes of thread");
    }

    #[test]
    fn whoever_sleeps_is_replaced() {
        replaced(|_| about_to_sleep());
    }

    #[test]
    fn whoever_sleeps_unannounced_is_replaced_at_the_next_look() {
        replaced(|turns| {
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(20));
                turns.look();
            });
        });
    }

    fn replaced(before_sleeping: impl FnOnce(Arc<Turns>) + Send + 'static) {
        let (send, threads, turns) = start(3);
        for _ in 0..100 {
            ask(&send, || {});
        }
        let (wake, sleeps) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let sleeps = Mutex::new(sleeps);
        send.send(Box::new(move || {
            before_sleeping(turns);
            sleeps.lock().unwrap().recv().unwrap();
            tell.send(()).unwrap();
        }))
        .unwrap();
        for _ in 0..100 {
            ask(&send, || {});
        }
        wake.send(()).unwrap();
        told.recv_timeout(Duration::from_secs(20)).unwrap();
        drop(send);
        let served = threads.into_iter().map(|thread| thread.join().unwrap());
        assert_eq!(served.sum::<usize>(), 201);
    }
}
