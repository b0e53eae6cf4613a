//! Readers that download the whole history of orders again and again, beside the lanes that are measured.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use super::{GatewayBenchError, PATIENCE, failed};

const REQUEST: &[u8] =
    b"GET /api/oms/orders HTTP/1.1\r\nHost: localhost\r\nAccept: text/csv\r\nConnection: close\r\n\r\n";

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
    /// Where one failed, or a reader never saw a whole one.
    pub(super) fn end(self) -> Result<Downloaded, GatewayBenchError> {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = Downloaded::default();
        for reader in self.readers {
            let one = reader.join().expect("a reader does not panic")?;
            sum.count += one.count;
            sum.bytes += one.bytes;
        }
        Ok(sum)
    }
}

fn download_until(address: SocketAddr, stop: &AtomicBool) -> Result<Downloaded, GatewayBenchError> {
    let mut sum = Downloaded::default();
    let mut buffer = vec![0; 64 * 1024];
    while sum.count == 0 || !stop.load(Ordering::Relaxed) {
        let mut stream = TcpStream::connect(address).map_err(failed("connect"))?;
        stream
            .set_read_timeout(Some(PATIENCE))
            .map_err(failed("connect"))?;
        stream.write_all(REQUEST).map_err(failed("ask for a download"))?;
        let mut first = true;
        loop {
            let read = stream.read(&mut buffer).map_err(failed("download"))?;
            if read == 0 {
                break;
            }
            if std::mem::take(&mut first) && !buffer.starts_with(b"HTTP/1.1 200 ") {
                let head = String::from_utf8_lossy(&buffer[..read.min(80)]).into_owned();
                return Err(GatewayBenchError::WrongResult(format!("a download: {head}")));
            }
            sum.bytes += u64::try_from(read).unwrap_or(0);
        }
        sum.count += 1;
    }
    Ok(sum)
}
