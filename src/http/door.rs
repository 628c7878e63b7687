//! Who is let in: so many connections, and so many from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are kept free for everything but clients: the database, logs, templates.
const RESERVED_FILES: u64 = 128;

/// Let the process open as many files as the system allows it, and say how many connections of clients that is.
pub fn raise_open_files() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit of open files can't be raised");
    }
    let Some(files) = getrlimit(Resource::Nofile).current else { return usize::MAX };
    usize::try_from(files.saturating_sub(RESERVED_FILES).max(1)).unwrap_or(usize::MAX)
}

/// The connections that are open, counted.
pub struct Door {
    most: usize,
    most_per_address: usize,
    trusted: Vec<IpNet>,
    inside: Arc<Mutex<Inside>>,
}

#[derive(Default)]
struct Inside {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A connection that was let in; it counts until it is dropped.
pub struct Admitted {
    inside: Arc<Mutex<Inside>>,
    address: Option<IpAddr>,
}

impl Door {
    /// Let in so many, and so many from one address that isn't a trusted proxy's.
    pub fn new(most: usize, most_per_address: usize, trusted: Vec<IpNet>) -> Self {
        Self { most, most_per_address, trusted, inside: Arc::default() }
    }

    /// Let a peer in, if there is room.
    pub fn admit(&self, peer: IpAddr) -> Option<Admitted> {
        let peer = peer.to_canonical();
        let address = (!self.trusted.iter().any(|network| network.contains(&peer))).then(|| whole(peer));
        let mut inside = lock(&self.inside);
        if inside.all >= self.most {
            return None;
        }
        if let Some(address) = address {
            let count = inside.by_address.entry(address).or_default();
            if *count >= self.most_per_address {
                return None;
            }
            *count += 1;
        }
        inside.all += 1;
        Some(Admitted { inside: Arc::clone(&self.inside), address })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut inside = lock(&self.inside);
        inside.all -= 1;
        let Some(address) = self.address else { return };
        if let Some(count) = inside.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                inside.by_address.remove(&address);
            }
        }
    }
}

fn lock(inside: &Mutex<Inside>) -> MutexGuard<'_, Inside> {
    inside.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What counts as one address: of IPv6 the 64 bits that one customer is given.
fn whole(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door() -> Door {
        Door::new(4, 2, vec!["10.0.0.0/8".parse().unwrap()])
    }

    #[test]
    fn an_address_has_its_share_and_all_have_theirs() {
        let door = door();
        let admit = |peer: &str| door.admit(peer.parse().unwrap());
        let mut inside = vec![admit("192.0.2.1").unwrap(), admit("::ffff:192.0.2.1").unwrap()];
        assert!(admit("192.0.2.1").is_none());
        inside.push(admit("2001:db8::1").unwrap());
        inside.push(admit("2001:db8::2").unwrap());
        assert!(admit("192.0.2.2").is_none(), "all are taken");
        inside.pop();
        inside.push(admit("2001:db8::3").unwrap());
        inside.clear();
        assert!(lock(&door.inside).by_address.is_empty());
        assert!(admit("192.0.2.1").is_some());
    }

    #[test]
    fn a_trusted_proxy_has_the_share_of_all() {
        let door = door();
        let inside: Vec<_> = (0..4).map(|_| door.admit([10, 0, 0, 1].into()).unwrap()).collect();
        assert!(door.admit([10, 0, 0, 1].into()).is_none());
        drop(inside);
    }
}
