//! Letting connections in, within bounds.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

use mio::net::{TcpListener, TcpStream};

use super::answer::{Answer, ResponseShape, write_response};
use crate::limits::{CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX};

/// Counts connections, in all and per address.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    total: usize,
    by_address: HashMap<IpAddr, u32>,
    /// Refused since they were last asked for.
    refused: Refused,
}

/// Who was told that there were too many connections.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    /// There were too many in all.
    anyone: bool,
    /// There were too many of these: at most as many as can have all of their own places.
    addresses: Vec<IpAddr>,
}

impl Refused {
    /// Whether a place of this address would have helped.
    pub(crate) fn want_place_of(&self, address: IpAddr) -> bool {
        self.anyone || self.addresses.contains(&address)
    }
}

impl Admission {
    /// Counts one in; `false` where it would be too many.
    pub(crate) fn enter(&mut self, address: IpAddr) -> bool {
        if self.total >= CONNECTIONS_MAX {
            self.refused.anyone = true;
            return false;
        }
        let count = self.by_address.entry(address).or_insert(0);
        if *count >= CONNECTIONS_PER_ADDRESS_MAX {
            if !self.refused.addresses.contains(&address) {
                self.refused.addresses.push(address);
            }
            return false;
        }
        *count += 1;
        self.total += 1;
        true
    }

    /// Who was refused since this was last asked.
    pub(crate) fn take_refused(&mut self) -> Refused {
        std::mem::take(&mut self.refused)
    }

    pub(crate) fn leave(&mut self, address: IpAddr) {
        self.total = self.total.saturating_sub(1);
        if let Some(count) = self.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

/// What one try to accept gave.
#[derive(Debug)]
pub(crate) enum Accepted {
    Connection(TcpStream, SocketAddr),
    /// Nobody waits.
    Nobody,
    /// This one was lost before we took it; there may be others.
    Lost,
    /// The process has no descriptors or memory for it now.
    Exhausted(io::Error),
}

pub(crate) fn accept(listener: &TcpListener) -> Accepted {
    match listener.accept() {
        Ok((stream, address)) => {
            // An answer is one write: waiting to merge it with the next would only delay it.
            let _ = stream.set_nodelay(true);
            Accepted::Connection(stream, address)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Accepted::Nobody,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::Interrupted
            ) =>
        {
            Accepted::Lost
        }
        Err(error) => Accepted::Exhausted(error),
    }
}

/// One too many: it is told so, if its socket takes that at once, and dropped.
pub(crate) fn turn_away(mut stream: TcpStream, date: &str) {
    let answer = Answer::busy("Too many connections");
    let mut bytes = Vec::new();
    write_response(
        &mut bytes,
        &ResponseShape::closing(),
        date,
        answer.status,
        None,
        &answer.body,
    );
    let _ = stream.write(&bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_every_place() {
        let mut admission = Admission::default();
        let (first, second) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        for _ in 0..CONNECTIONS_PER_ADDRESS_MAX {
            assert!(admission.enter(first));
        }
        assert!(!admission.enter(first));
        assert!(admission.enter(second));
        let refused = admission.take_refused();
        assert!(refused.want_place_of(first) && !refused.want_place_of(second));
        assert!(!admission.take_refused().want_place_of(first));
        admission.leave(first);
        assert!(admission.enter(first));
        admission.leave(second);
        assert_eq!(admission.by_address.len(), 1);
        let mut entered = CONNECTIONS_PER_ADDRESS_MAX as usize;
        for host in 0..u16::MAX {
            let [high, low] = host.to_be_bytes();
            entered += usize::from(admission.enter(IpAddr::from([10, 1, high, low])));
        }
        assert_eq!(entered, CONNECTIONS_MAX);
        assert!(admission.take_refused().want_place_of(second));
    }
}
