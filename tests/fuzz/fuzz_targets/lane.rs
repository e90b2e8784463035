//! The host's half of a lane against a peer that a fuzzer plays. Its calls come from the op table.
#![no_main]

use hostcall::ops::Op;
use hostcall::region::{LaneState, Region, CHUNK};
use hostcall::ring::{mock, Producer, DEPTH};
use hostcall::wire::Message;
use hostcall_tests::generator::{self, Choices};
use hostcall_tests::half::{region, Half};
use libfuzzer_sys::fuzz_target;
use std::sync::atomic::Ordering;
use std::sync::LazyLock;

/// The fuzzer's bytes; zeros when they are used up.
struct Bytes<'b>(&'b [u8]);

impl<'b> Bytes<'b> {
    fn byte(&mut self) -> u8 {
        self.some(1).first().copied().unwrap_or(0)
    }
    fn some(&mut self, len: usize) -> &'b [u8] {
        let (some, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        some
    }
}

impl Choices for Bytes<'_> {
    fn word(&mut self) -> u64 {
        let len = usize::from(self.byte() % 9);
        self.some(len)
            .iter()
            .fold(0, |word, byte| word << 8 | u64::from(*byte))
    }
    fn path(&mut self) -> Vec<u8> {
        let len = usize::from(self.byte());
        self.some(len).to_vec()
    }
    fn bytes(&mut self) -> Vec<u8> {
        self.path()
    }
}

/// Made once: pages of shared memory cost more than all else.
static REGION: LazyLock<Region> = LazyLock::new(region);

fuzz_target!(|data: &[u8]| {
    let mut input = Bytes(data);
    let region = &*REGION;
    region.wipe(0);
    let (Some(page), Some(arena)) = (region.page(0), region.arena(0)) else {
        return;
    };
    let (mut half, mut end, mut calls) = (Half::new(region, 0), Half::end(), Producer::default());
    page.set_state(LaneState::Served);
    while !input.0.is_empty() {
        match input.byte() % 8 {
            0..=3 => {
                let op = Op::ALL[usize::from(input.byte()) % Op::ALL.len()];
                let Some(chunk) = arena.part(calls.slot() * CHUNK, CHUNK) else {
                    return;
                };
                let message = generator::call(op, &mut input, chunk);
                let flags = u32::from(input.byte() % 4);
                calls.publish(&page.calls.0, Message { flags, ..message });
            }
            4 | 5 => {
                let (slot, field) = (usize::from(input.byte()) % DEPTH, usize::from(input.byte()));
                mock::corrupt(&page.calls.0, slot, field, input.word());
            }
            6 => {
                let at = input.word() as usize % arena.len();
                let bytes = input.path();
                let _ = arena
                    .part(at, bytes.len().min(arena.len() - at))
                    .and_then(|part| part.copy_in(&bytes[..part.len()]));
            }
            _ => page.state.0.store(input.word() as u32, Ordering::Relaxed),
        }
        if input.byte() % 2 == 0 {
            if half.serve(region, &mut end) {
                return;
            }
            page.set_state(LaneState::Served);
        }
    }
});
