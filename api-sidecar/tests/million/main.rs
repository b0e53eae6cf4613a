//! Histories of a long day: a million rows, as CSV and as lines of JSON, in bounded memory and beside new orders. In a process of
//! its own: it measures what the process holds.
#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "a test panics where its own data is wrong; the floor is used in part"
)]

#[path = "../rest/floor.rs"]
mod floor;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use engine::{Command, NewOrder};
use serde_json::Value;

use floor::{COUNTER_TRADER, Floor, sell};

/// Rows, of which the test may be told another number.
fn rows() -> u64 {
    std::env::var("HISTORY_ROWS").map_or(1_000_000, |text| text.parse().unwrap())
}

/// Rows read between two orders that arrive: by progress and not by time, so that a slow machine does not hold more of them.
const ROWS_PER_ORDER: u64 = 200;

/// Most that reading a history may add to what the process has resident: batches of the readers, the text on its way,
/// and what the orders that arrive meanwhile take (some 500 bytes each).
const ABOVE_BEFORE_KIB_MAX: u64 = 48 * 1024;

/// `VmRSS` of this process.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse().unwrap()
}

/// Gives each line of a chunked answer's body to `take`, without ever holding more than one.
fn lines(socket: &std::path::Path, path: &str, accept: &str, mut take: impl FnMut(u64, &str)) -> u64 {
    let mut stream = UnixStream::connect(socket).unwrap();
    let identity = COUNTER_TRADER.fields();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: pinion\r\n{identity}Accept: {accept}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
    }
    assert!(
        head.starts_with("HTTP/1.1 200") && head.contains("Transfer-Encoding: chunked"),
        "{head}"
    );
    assert!(head.contains(accept), "{head}");
    let (mut chunk, mut rest, mut count) = (Vec::new(), Vec::new(), 0);
    loop {
        let mut size = String::new();
        reader.read_line(&mut size).unwrap();
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        chunk.resize(size + 2, 0);
        std::io::Read::read_exact(&mut reader, &mut chunk).unwrap();
        rest.extend_from_slice(&chunk[..size]);
        let mut taken = 0;
        while let Some(at) = rest[taken..].iter().position(|&byte| byte == b'\n') {
            let line = std::str::from_utf8(&rest[taken..taken + at]).unwrap();
            take(count, line.trim_end_matches('\r'));
            count += 1;
            taken += at + 1;
        }
        rest.drain(..taken);
        if size == 0 {
            assert!(rest.is_empty());
            return count;
        }
    }
}

#[test]
fn a_million_rows_are_read_whole_in_bounded_memory_while_orders_arrive() {
    let rows = rows();
    let mut floor = Floor::open();
    // Refused for their size, so that each is a row at once.
    let order = || NewOrder {
        quantity: engine::Quantity::new(200_000).unwrap(),
        ..sell(1, "2450.00")
    };
    for _ in 0..rows {
        floor.apply(Command::NewOrder(order()));
    }
    let before = resident_kib();
    let (highest, read) = (AtomicU64::new(0), AtomicU64::new(0));
    let done = AtomicBool::new(false);
    let socket = floor.socket.clone();
    std::thread::scope(|scope| {
        let arriving = scope.spawn(|| {
            let mut more = 0;
            while !done.load(Ordering::Acquire) {
                if read.load(Ordering::Acquire) >= more * ROWS_PER_ORDER {
                    floor.apply(Command::NewOrder(order()));
                    more += 1;
                }
                highest.fetch_max(resident_kib(), Ordering::AcqRel);
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            more
        });
        let readers: Vec<_> = ["text/csv", "application/x-ndjson"]
            .into_iter()
            .map(|accept| {
                let (socket, read) = (&socket, &read);
                scope.spawn(move || {
                    let mut next = None;
                    let count = lines(socket, "/api/oms/orders", accept, |at, line| {
                        read.fetch_add(1, Ordering::AcqRel);
                        let id: u64 = match accept {
                            "text/csv" if at == 0 => {
                                assert!(line.starts_with("id,client_order_id,"), "{line}");
                                return;
                            }
                            "text/csv" => line.split(',').next().unwrap().parse().unwrap(),
                            // Every row is an object of its own; a look into some of them is enough.
                            _ if at % 1_000 == 0 => {
                                let row: Value = serde_json::from_str(line).unwrap();
                                assert_eq!(row["status"], "REJECTED");
                                row["id"].as_u64().unwrap()
                            }
                            _ => {
                                let rest = line.strip_prefix("{\"id\":").unwrap();
                                rest.split(',').next().unwrap().parse().unwrap()
                            }
                        };
                        // Newest first, each once, none left out, whatever arrives meanwhile.
                        assert_eq!(id, next.unwrap_or(id));
                        next = Some(id - 1);
                    });
                    assert_eq!(next, Some(0), "{accept}: down to the first");
                    count
                })
            })
            .collect();
        for reader in readers {
            assert!(reader.join().unwrap() >= rows);
        }
        done.store(true, Ordering::Release);
        assert!(arriving.join().unwrap() > 0);
    });
    let above = highest.load(Ordering::Acquire).saturating_sub(before);
    assert!(above <= ABOVE_BEFORE_KIB_MAX, "{above} KiB");
}
