//! The atomics of the protocol: the processor's, or loom's when the protocol is being model-checked.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Tells the processor that this is a spin loop.
pub(crate) fn relax() {
    #[cfg(loom)]
    loom::thread::yield_now();
    #[cfg(not(loom))]
    std::hint::spin_loop();
}

/// Lets another thread that wants this processor have it; does nothing when there is none.
pub(crate) fn give_way() {
    #[cfg(loom)]
    loom::thread::yield_now();
    #[cfg(not(loom))]
    std::thread::yield_now();
}

/// The processor that the calling thread runs on, if it is known.
#[allow(unsafe_code)]
pub(crate) fn processor() -> Option<u32> {
    #[cfg(loom)]
    return None;
    // SAFETY: takes nothing and answers a number, or -1.
    #[cfg(not(loom))]
    u32::try_from(unsafe { libc::sched_getcpu() }).ok()
}

/// Has the calling thread go on on another processor, if it may use one; it may come back later.
#[allow(unsafe_code)]
pub(crate) fn move_away() {
    // SAFETY: plain system calls on the calling thread with live sets of the size that is passed; zeros are an empty set.
    #[cfg(not(loom))]
    unsafe {
        let size = size_of::<libc::cpu_set_t>();
        let mut all = std::mem::zeroed::<libc::cpu_set_t>();
        let here = libc::sched_getcpu();
        if here < 0 || libc::sched_getaffinity(0, size, &mut all) != 0 {
            return;
        }
        let mut others = all;
        if here as usize >= 8 * size || libc::CPU_COUNT(&all) < 2 {
            return;
        }
        libc::CPU_CLR(here as usize, &mut others);
        if libc::sched_setaffinity(0, size, &others) == 0 {
            libc::sched_setaffinity(0, size, &all);
        }
    }
}

/// A sequentially consistent fence.
#[allow(unsafe_code)]
pub(crate) fn full_fence() {
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::SeqCst);
    // A locked instruction on the stack orders all loads and stores as MFENCE does (Intel SDM 3A, 9.2.3.9), at half the cost.
    #[cfg(all(not(loom), target_arch = "x86_64"))]
    // SAFETY: adds nothing to a word of our own stack; the default options make it a compiler fence too.
    unsafe {
        core::arch::asm!("lock or dword ptr [rsp], 0");
    }
    #[cfg(all(not(loom), not(target_arch = "x86_64")))]
    std::sync::atomic::fence(Ordering::SeqCst);
}
