//! Multipath TCP.

/// Option kinds.
const END: u8 = 0;
const NOP: u8 = 1;
const MULTIPATH: u8 = 30;

/// Makes the options of Multipath TCP among these no operation; true when there were any.
pub(super) fn remove(options: &mut [u8]) -> bool {
    let mut found = false;
    let mut rest = options;
    loop {
        let len = match *rest {
            [NOP, ..] => 1,
            [END, ..] | [] => return found,
            [_, len, ..] if len >= 2 && usize::from(len) <= rest.len() => len.into(),
            [..] => return found,
        };
        let (option, behind) = rest.split_at_mut(len);
        if option[0] == MULTIPATH {
            option.fill(NOP);
            found = true;
        }
        rest = behind;
    }
}
