//! Readers that download the whole history of orders again and again, beside the lanes that are measured.
//!
//! The gateway serves two downloads at a time (DESIGN.md section 6): whoever finds both taken is told so by 503, and comes
//! back a little later.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{GatewayBenchError, PATIENCE, failed};

const REQUEST: &[u8] =
    b"GET /api/oms/orders HTTP/1.1\r\nHost: localhost\r\nAccept: text/csv\r\nConnection: close\r\n\r\n";

/// When a reader comes back that found no place.
const BACK_AFTER: Duration = Duration::from_millis(20);

/// What was downloaded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Downloaded {
    /// Whole downloads, headers and all rows.
    pub(super) count: u64,
    pub(super) bytes: u64,
}

/// Threads that download until they are told to end.
#[derive(Debug)]
pub(super) struct Downloads {
    stop: Arc<AtomicBool>,
    readers: Vec<JoinHandle<Result<Downloaded, GatewayBenchError>>>,
}

impl Downloads {
    pub(super) fn start(address: SocketAddr, readers: u32) -> Downloads {
        let stop = Arc::new(AtomicBool::new(false));
        let reader = |_| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || download_until(address, &stop))
        };
        let readers = (0..readers).map(reader).collect();
        Downloads { stop, readers }
    }

    /// Ends after the downloads under way.
    ///
    /// # Errors
    /// Where one failed, or there was none.
    pub(super) fn end(self) -> Result<Downloaded, GatewayBenchError> {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = Downloaded::default();
        for reader in self.readers {
            let one = reader.join().expect("a reader does not panic")?;
            sum.count += one.count;
            sum.bytes += one.bytes;
        }
        match sum.count {
            0 => Err(GatewayBenchError::WrongResult(
                "nobody downloaded anything".to_owned(),
            )),
            _ => Ok(sum),
        }
    }
}

fn download_until(address: SocketAddr, stop: &AtomicBool) -> Result<Downloaded, GatewayBenchError> {
    let mut sum = Downloaded::default();
    let mut buffer = vec![0; 64 * 1024];
    while !stop.load(Ordering::Relaxed) {
        let mut stream = TcpStream::connect(address).map_err(failed("connect"))?;
        stream
            .set_read_timeout(Some(PATIENCE))
            .map_err(failed("connect"))?;
        stream.write_all(REQUEST).map_err(failed("ask for a download"))?;
        let first = stream.read(&mut buffer).map_err(failed("download"))?;
        let head = &buffer[..first];
        if head.starts_with(b"HTTP/1.1 503 ") {
            thread::sleep(BACK_AFTER);
            continue;
        }
        if !head.starts_with(b"HTTP/1.1 200 ") {
            let head = String::from_utf8_lossy(&head[..first.min(80)]).into_owned();
            return Err(GatewayBenchError::WrongResult(format!("a download: {head}")));
        }
        let mut read = first;
        while read > 0 {
            sum.bytes += u64::try_from(read).unwrap_or(0);
            read = stream.read(&mut buffer).map_err(failed("download"))?;
        }
        sum.count += 1;
    }
    Ok(sum)
}
