//! Settings under /proc/sys, those of this network namespace where they are of
//! one.

use std::{fs, io, str::FromStr};

use anyhow::{Context as _, Result};

/// The value of a setting with a dotted name; `None` when the kernel has none of
/// that name. The name of a device may hold dots: it is written with slashes
/// around it, like `net.ipv4.conf/eth0.5/forwarding`.
pub fn text(name: &str) -> Result<Option<String>> {
    let path = path(name);
    match fs::read_to_string(format!("/proc/sys/{path}")) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("can not read /proc/sys/{path}")),
    }
}

fn path(name: &str) -> String {
    match name.split_once('/') {
        None => name.replace('.', "/"),
        Some((front, rest)) => format!("{}/{rest}", front.replace('.', "/")),
    }
}

/// The name in the form that `sysctl -w` understands: with slashes only where a
/// device's name has dots.
pub fn typed(name: &str) -> String {
    let rest = name.split_once('/').map_or("", |(_, rest)| rest);
    if rest.contains('.') {
        path(name)
    } else {
        name.replace('/', ".")
    }
}

/// The value of a setting that is one number.
pub fn number<T: FromStr>(name: &str) -> Result<Option<T>> {
    let Some(text) = text(name)? else {
        return Ok(None);
    };
    let number = text
        .parse()
        .ok()
        .with_context(|| format!("{name} is `{text}`, not a number"))?;
    Ok(Some(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_for_commands() {
        for (name, command) in [
            ("net.ipv4.ip_forward", "net.ipv4.ip_forward"),
            (
                "net.ipv4.conf/wan0/rp_filter",
                "net.ipv4.conf.wan0.rp_filter",
            ),
            (
                "net.ipv4.conf/eth0.5/rp_filter",
                "net/ipv4/conf/eth0.5/rp_filter",
            ),
        ] {
            assert_eq!(typed(name), command);
        }
    }

    #[test]
    fn settings_with_and_without_a_device() {
        let all: Option<u8> = number("net.ipv4.conf/all/rp_filter").unwrap();
        assert!(all.is_some_and(|value| value <= 2));
        assert_eq!(
            text("net.ipv4.conf.all.rp_filter").unwrap(),
            all.map(|v| v.to_string())
        );
        assert_eq!(text("net.ipv4.there_is_none").unwrap(), None);
        assert!(number::<u8>("kernel.ostype").is_err());
    }
}
