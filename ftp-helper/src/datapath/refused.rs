//! A program that the verifier did not accept.

use std::{error::Error, fmt, io};

/// The verifier did not accept a program.
#[derive(Debug)]
pub struct Refused {
    program: &'static str,
    error: io::Error,
    /// What the verifier said, line by line.
    pub log: String,
}

impl Refused {
    pub(super) fn new(program: &'static str, error: io::Error, log: String) -> Self {
        Self {
            program,
            error,
            log,
        }
    }

    /// The complaint itself: behind it come statistics only.
    fn complaint(&self) -> &str {
        self.log
            .lines()
            .rev()
            .map(str::trim)
            .find(|line| {
                !line.is_empty()
                    && ![
                        "processed ",
                        "verification time",
                        "stack depth",
                        "verifier log",
                    ]
                    .iter()
                    .any(|noise| line.starts_with(noise))
            })
            .unwrap_or("it did not say why")
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the kernel refused program {} ({}), its verifier says `{}`: report this with the \
             output of `--log-level debug`",
            self.program,
            self.error,
            self.complaint()
        )
    }
}

impl Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_complaint_is_found_behind_the_statistics() {
        let refused = Refused {
            program: "ftp_helper_egress",
            error: io::Error::from_raw_os_error(libc::EACCES),
            log: "0: R1=ctx()\nR2 !read_ok\nverification time 3 usec\nprocessed 1 insns\n"
                .to_owned(),
        };
        assert_eq!(refused.complaint(), "R2 !read_ok");
        assert!(!refused.to_string().contains('\n'));
    }
}
