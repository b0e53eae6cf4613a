//! The yardstick: one mio thread that answers so many bytes with so many others, and does nothing else.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use super::{GatewayBenchError, failed};

const LISTENER: Token = Token(0);
const CLIENT: Token = Token(1);
const STOP_CHECK: Duration = Duration::from_millis(100);

/// A running echo for one connection; dropping it ends it.
#[derive(Debug)]
pub(super) struct Echo {
    pub(super) address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Echo {
    pub(super) fn start(request_len: usize, answer_len: usize) -> Result<Echo, GatewayBenchError> {
        let listener =
            TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).map_err(failed("echo's port"))?;
        let address = listener.local_addr().map_err(failed("echo's port"))?;
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new()
            .name("echo".to_owned())
            .spawn({
                let stop = Arc::clone(&stop);
                move || serve(listener, request_len, &vec![b'.'; answer_len], &stop)
            })
            .map_err(failed("echo's thread"))?;
        Ok(Echo {
            address,
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(Ok(Err(error))) = self.thread.take().map(JoinHandle::join) {
            eprintln!("pinion: the echo failed: {error}");
        }
    }
}

fn serve(mut listener: TcpListener, request_len: usize, answer: &[u8], stop: &AtomicBool) -> io::Result<()> {
    let mut poll = Poll::new()?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(16);
    let mut client: Option<TcpStream> = None;
    let mut buffer = vec![0; 64 * 1024];
    let mut received = 0;
    while !stop.load(Ordering::Acquire) {
        match poll.poll(&mut events, Some(STOP_CHECK)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in events.iter() {
            if event.token() == LISTENER {
                let (mut stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                poll.registry()
                    .register(&mut stream, CLIENT, Interest::READABLE)?;
                client = Some(stream);
                continue;
            }
            let Some(stream) = &mut client else { continue };
            loop {
                match stream.read(&mut buffer) {
                    Ok(0) => return Ok(()),
                    Ok(count) => received += count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
                while received >= request_len {
                    received -= request_len;
                    // An answer is far smaller than an empty socket buffer.
                    stream.write_all(answer)?;
                }
            }
        }
    }
    Ok(())
}
