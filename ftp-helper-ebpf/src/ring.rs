//! Walks over the rewrites of a session.
//!
//! The walk is [`Rewrites::ask`] with `bpf_loop`: the verifier looks at one step
//! of it, where it would follow every path through eight.

use core::ffi::c_void;

use ftp_helper_common::rewrite::{Question, REWRITES, Rewrites};

use crate::repeat::repeat;

#[repr(C)]
struct Walk {
    rewrites: *mut Rewrites,
    position: u32,
    question: u32,
    answer: u32,
    found: u32,
}

/// See [`Rewrites::ask`].
#[inline(never)]
pub(crate) fn ask(rewrites: &mut Rewrites, question: Question, position: u32) -> u32 {
    let mut walk = Walk {
        rewrites,
        position: rewrites.begin(question, position),
        question: question as u32,
        answer: 0,
        found: 0,
    };
    repeat(REWRITES as u32, step, &mut walk);
    let answer = (walk.found == 1).then_some(walk.answer);
    rewrites.finish(question, walk.position, answer)
}

#[inline(always)]
fn question_of(number: u32) -> Question {
    match number {
        0 => Question::ToWire,
        1 => Question::Acknowledgment,
        2 => Question::LeftEdge,
        _ => Question::RightEdge,
    }
}

unsafe extern "C" fn step(age: u32, context: *mut c_void) -> i64 {
    // SAFETY: the context is the `Walk` of `ask`, its rewrites a map value.
    let (walk, rewrites) = unsafe {
        let walk = context.cast::<Walk>();
        (&mut *walk, &*(*walk).rewrites)
    };
    let Some(rewrite) = rewrites.rewrite(age) else {
        return 1;
    };
    if let Some(answer) = rewrite.answer(question_of(walk.question), walk.position) {
        walk.answer = answer;
        walk.found = 1;
        return 1;
    }
    0
}
