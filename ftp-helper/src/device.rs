//! Network devices of this network namespace.

use std::{
    collections::HashMap,
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    errno::Errno,
    net::if_::{if_indextoname, if_nameindex, if_nametoindex},
};

/// Names of devices that were asked for before: the kernel tells one at the price of a
/// socket. For as long as one look at many entries takes, because devices are renamed.
#[derive(Debug, Default)]
pub struct Names(HashMap<u32, String>);

impl Names {
    /// [`Device::name_of`].
    pub fn of(&mut self, index: u32) -> &str {
        self.0
            .entry(index)
            .or_insert_with(|| Device::name_of(index))
    }
}

/// A network device.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Its index, the key of the maps.
    pub index: u32,
}

impl Device {
    /// The device of this name.
    pub fn find(name: &str) -> Result<Self> {
        match if_nametoindex(name) {
            Ok(index) => Ok(Self {
                name: name.to_owned(),
                index,
            }),
            Err(Errno::ENODEV | Errno::EINVAL) => {
                bail!("there is no interface {name}: choose one that `ip link` shows")
            }
            Err(error) => Err(error).with_context(|| format!("can not look up interface {name}")),
        }
    }

    /// Every device that is there.
    pub fn all() -> Result<Vec<Self>> {
        let found = if_nameindex().context("can not list the interfaces")?;
        let devices = found.iter().map(|found| Self {
            name: found.name().to_string_lossy().into_owned(),
            index: found.index(),
        });
        Ok(devices.collect())
    }

    /// The name of a device for lists; a device that is gone goes by its index.
    pub fn name_of(index: u32) -> String {
        // nix 0.31 takes a missing device for one with an empty name.
        if_indextoname(index)
            .ok()
            .filter(|name| !name.is_empty())
            .map_or_else(
                || format!("if{index}"),
                |name| name.to_string_lossy().into_owned(),
            )
    }

    /// The device of the same index with the name that it has now, if there is one.
    pub fn now(&self) -> Option<Self> {
        Self::exists(self.index).then(|| Self {
            name: Self::name_of(self.index),
            index: self.index,
        })
    }

    /// True when there is a device of this index.
    pub fn exists(index: u32) -> bool {
        if_indextoname(index).is_ok_and(|name| !name.is_empty())
    }

    /// Bytes of the link header in front of the packets that TC sees.
    ///
    /// Follows the kernel's own `dev_is_mac_header_xmit()`: devices of its list
    /// carry bare IP packets. Of the others only Ethernet framing is understood.
    pub fn link_header(&self) -> Result<u16> {
        /// Kinds of device that TC shows without a link header.
        const BARE: &[u16] = &[
            libc::ARPHRD_PPP,
            libc::ARPHRD_TUNNEL,
            libc::ARPHRD_TUNNEL6,
            libc::ARPHRD_SIT,
            libc::ARPHRD_IPGRE,
            ARPHRD_RAWIP,
            ARPHRD_IP6GRE,
            libc::ARPHRD_VOID,
            libc::ARPHRD_NONE,
        ];
        const ARPHRD_RAWIP: u16 = 519;
        const ARPHRD_IP6GRE: u16 = 823;
        const ETHERNET_HEADER: u16 = 14;

        match self.hardware_type()? {
            libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Ok(ETHERNET_HEADER),
            kind if BARE.contains(&kind) => Ok(0),
            kind => bail!(
                "interface {} has link type {kind}, which is not supported: choose an Ethernet, \
                 PPP or tunnel interface",
                self.name
            ),
        }
    }

    /// The `ARPHRD_` number. Asked with an ioctl, because /sys shows the network
    /// namespace that it was mounted in, which need not be ours.
    fn hardware_type(&self) -> Result<u16> {
        let context = || format!("can not read the link type of interface {}", self.name);

        // SAFETY: socket() takes no pointers.
        let socket =
            unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
        if socket < 0 {
            return Err(io::Error::last_os_error()).with_context(context);
        }
        // SAFETY: the descriptor was just made and nobody else has it.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };

        // SAFETY: an ifreq of zeros is valid: a name, and a union of plain data.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        if self.name.len() >= request.ifr_name.len() {
            bail!("interface name {} is too long", self.name);
        }
        for (to, from) in request.ifr_name.iter_mut().zip(self.name.bytes()) {
            *to = from.cast_signed();
        }
        // SAFETY: SIOCGIFHWADDR reads the name and writes the address of an ifreq,
        // which lives across the call.
        let result =
            unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFHWADDR, &raw mut request) };
        if result < 0 {
            return Err(io::Error::last_os_error()).with_context(context);
        }
        // SAFETY: the successful ioctl filled in this member of the union.
        Ok(unsafe { request.ifr_ifru.ifru_hwaddr.sa_family })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_device_has_an_ethernet_header() {
        let lo = Device::find("lo").unwrap();
        assert_eq!(lo.link_header().unwrap(), 14);
        assert_eq!(Device::name_of(lo.index), "lo");
        assert!(Device::all().unwrap().contains(&lo));
    }

    #[test]
    fn names_are_remembered() {
        let lo = Device::find("lo").unwrap();
        let mut names = Names::default();
        assert_eq!(names.of(lo.index), "lo");
        assert_eq!(names.of(lo.index), "lo");
        assert_eq!(names.of(0x7fff_fffe), "if2147483646");
        assert_eq!(names.0.len(), 2);
    }

    #[test]
    fn a_missing_device_is_named() {
        let error = Device::find("missing0").unwrap_err().to_string();
        assert!(error.contains("no interface missing0"), "{error}");
        assert_eq!(Device::name_of(0x7fff_fffe), "if2147483646");
    }
}
