//! Lines that are right, nearly right, and wrong.

mod commands;
mod damage;
mod numbers;
mod replies;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ftp_helper_common::grammar::{Kind, Role};
use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    strategy::{BoxedStrategy, Union},
};

use super::{
    case::{Before, Case, Cuts, Place},
    corpus::Entry,
};
use damage::damaged;

/// Most lines of a case. A segment may bring four rewrites before it is cut.
const LINES: usize = 7;

/// What comes behind a damaged line, where it may do harm.
const FOLLOWERS: &[&[u8]] = &[b"", b"", b"NOOP\r\n", b"200 ok\r\n"];

/// Cases made of generated lines of a role.
pub fn generated(role: Role) -> BoxedStrategy<Case> {
    let places = Place::TRANSLATED
        .into_iter()
        .filter(move |place| place.role == role);
    let cases = places.map(|place| {
        let flow = place.flow(None, None);
        let (own, other) = if place.direction == ftp_helper_common::session::Direction::Egress {
            (flow.inside.ip(), flow.outside.ip())
        } else {
            (flow.peer.ip(), flow.seen_peer.ip())
        };
        let line = match role {
            Role::Client => commands::line(addresses(own, other)).boxed(),
            Role::Server => replies::lines(&addresses(own, other)).boxed(),
        };
        let stream = vec(line, 1..LINES).prop_map(|lines| lines.concat());
        case(place, stream.boxed())
    });
    Union::new(cases).boxed()
}

/// Cases made of lines of the corpus, with some bytes changed; who speaks has the
/// address that is announced.
pub fn damaged_corpus(entries: &[Entry]) -> BoxedStrategy<Case> {
    let cases = entries.iter().flat_map(|entry| {
        let places = Place::TRANSLATED.into_iter();
        let places = places.filter(|place| place.role == entry.role);
        places.map(|place| {
            let bytes = entry.bytes.clone();
            let own = own(entry, place);
            let stream = damaged(Just(bytes), 1..4);
            let follower = select(FOLLOWERS);
            let stream = (stream, follower).prop_map(|(line, follower)| [&line, follower].concat());
            case(place, stream.boxed())
                .prop_map(move |case| Case { own, ..case })
                .boxed()
        })
    });
    Union::new(cases).boxed()
}

/// The address that an entry announces, if the place has one of that family.
pub fn own(entry: &Entry, place: Place) -> Option<IpAddr> {
    entry
        .announced()
        .filter(|address| address.is_ipv6() == place.is_v6)
}

fn case(place: Place, stream: BoxedStrategy<Vec<u8>>) -> BoxedStrategy<Case> {
    let stream = prop_oneof![
        2 => stream.clone(),
        1 => damaged(stream, 1..4),
    ];
    let outside = prop::option::weighted(0.4, outside(place.is_v6));
    let place = prop_oneof![
        9 => Just(place),
        1 => Just(Place { is_plain: true, ..place }),
    ];
    (place, outside, before(), stream, cuts())
        .prop_map(|(place, outside, before, stream, cuts)| Case {
            place,
            own: None,
            outside,
            before,
            stream,
            cuts,
        })
        .boxed()
}

/// Addresses to be written into rewrites: numbers of every length, and zeros in
/// every place.
fn outside(is_v6: bool) -> BoxedStrategy<IpAddr> {
    let octet = prop_oneof![any::<u8>(), select(&[0, 9, 10, 99, 100, 255][..])];
    let group = prop_oneof![
        3 => Just(0),
        2 => any::<u16>(),
        1 => select(&[1, 0xf, 0x10, 0xff, 0x100, 0xfff, 0x1000, 0xffff][..]),
    ];
    if is_v6 {
        prop::array::uniform8(group)
            .prop_map(|groups| {
                let address = Ipv6Addr::from(groups);
                let is_none = address.is_unspecified() || address.to_ipv4_mapped().is_some();
                let fallback = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
                IpAddr::V6(if is_none { fallback } else { address })
            })
            .boxed()
    } else {
        (1..=255_u8, octet.clone(), octet.clone(), octet)
            .prop_map(|(a, b, c, d)| Ipv4Addr::new(a, b, c, d).into())
            .boxed()
    }
}

fn before() -> impl Strategy<Value = Before> {
    let asked = prop_oneof![
        12 => Just(Kind::PASV),
        4 => Just(Kind::EPSV),
        1 => Just(Kind::OTHER),
        2 => Just(Kind::AUTH),
    ];
    let bits = (prop::bool::weighted(0.9), prop::bool::weighted(0.1));
    (bits, asked).prop_map(|((greeted, epsv_all), asked)| Before {
        greeted,
        epsv_all,
        asked,
    })
}

fn cuts() -> impl Strategy<Value = Cuts> {
    prop_oneof![
        3 => Just(Cuts::Lines),
        2 => Just(Cuts::None),
        4 => (0..1000usize).prop_map(Cuts::At),
        2 => (1..12usize).prop_map(Cuts::Every),
    ]
}

/// Addresses that are announced: mostly who speaks, under both its names.
fn addresses(own: IpAddr, known_as: IpAddr) -> BoxedStrategy<IpAddr> {
    prop_oneof![
        12 => Just(own),
        3 => Just(known_as),
        1 => select(vec![
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V4(Ipv4Addr::BROADCAST),
            IpAddr::V4(Ipv4Addr::new(192, 0, 2, 99)),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 1, 0, 0, 99)),
        ]),
        1 => any::<IpAddr>(),
    ]
    .boxed()
}

/// Usually `right`, else something else.
fn mostly<T: std::fmt::Debug + 'static>(
    right: impl Strategy<Value = T> + 'static,
    wrong: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<T> {
    prop_oneof![19 => right, 1 => wrong].boxed()
}

/// One of some texts.
fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    select(texts).prop_map(str::to_owned)
}

/// The end of a line.
fn line_end() -> BoxedStrategy<String> {
    mostly(
        one_of(&["\r\n", "\r\n", "\n"]),
        one_of(&[
            "\r\r\n", "\r\0\r\n", "\r", "\n\r", "\0\n", " \r \n", "", "\n\n",
        ]),
    )
}
