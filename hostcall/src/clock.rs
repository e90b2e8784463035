//! Clocks: the processors' counter, how fast it is, and the system's own.

use std::time::Duration;

/// A clock that costs no system call: the processor's counter.
#[allow(unsafe_code)]
pub fn ticks() -> u64 {
    #[cfg(all(test, not(loom)))]
    if let Some(now) = pretended::read() {
        return now;
    }
    #[cfg(all(target_arch = "x86_64", not(loom)))]
    // SAFETY: RDTSC has no preconditions.
    return unsafe { core::arch::x86_64::_rdtsc() };
    #[cfg(all(target_arch = "aarch64", not(loom)))]
    {
        let count: u64;
        // SAFETY: reads the virtual counter, which user mode may do on Linux.
        unsafe { core::arch::asm!("mrs {}, cntvct_el0", out(reg) count, options(nomem, nostack)) };
        return count;
    }
    #[cfg(loom)]
    0
}

/// CLOCK_MONOTONIC, which all processes of a system can compare.
pub fn monotonic() -> Duration {
    read(libc::CLOCK_MONOTONIC)
}

/// The same as of the kernel's last tick, for less.
pub fn coarse() -> Duration {
    read(libc::CLOCK_MONOTONIC_COARSE)
}

#[allow(unsafe_code)]
fn read(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: a live timespec.
    unsafe { libc::clock_gettime(clock, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// What waiting has to know of the host's processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Rate of [`ticks`].
    pub ticks_per_us: u32,
    /// Processors of the host. With one, the peer cannot run while we spin.
    pub processors: u32,
}

impl Clock {
    /// Measures this machine; takes about a millisecond.
    pub fn measure() -> Clock {
        let (start, clock) = (ticks(), std::time::Instant::now());
        while clock.elapsed() < Duration::from_millis(1) {
            std::hint::spin_loop();
        }
        let rate = (ticks() - start) / clock.elapsed().as_micros().max(1) as u64;
        Clock {
            ticks_per_us: rate.clamp(1, 100_000) as u32,
            processors: std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
        }
    }
}

/// A clock of the calling thread's own, by which a test says how long things take, whatever else the machine does.
#[cfg(all(test, not(loom)))]
pub(crate) mod pretended {
    use super::Clock;
    use std::cell::Cell;

    /// Ticks that a look at the clock takes.
    const LOOK: u64 = 50;

    thread_local! {
        static NOW: Cell<Option<u64>> = const { Cell::new(None) };
    }

    /// Begins to pretend, on a machine with two processors.
    pub(crate) fn begin() -> Clock {
        NOW.set(Some(1 << 40));
        Clock {
            ticks_per_us: 1000,
            processors: 2,
        }
    }

    /// Lets ticks pass.
    pub(crate) fn pass(ticks: u64) {
        NOW.set(NOW.get().map(|now| now + ticks));
    }

    pub(super) fn read() -> Option<u64> {
        pass(LOOK);
        NOW.get()
    }
}
