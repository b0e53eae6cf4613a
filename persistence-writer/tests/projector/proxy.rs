//! A TCP proxy in front of a database that fails exactly when told: at a `COMMIT`.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What happens at the next `COMMIT`; once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// The connection is cut before the server hears of it.
    CutBefore,
    /// The server commits, and the connection is cut before the client hears of it.
    CutAfter,
    /// Nothing travels for a while, then everything goes on.
    Stall(Duration),
    /// Nothing travels on this connection any more, and nobody is told.
    HalfOpen,
    /// From now on every packet of this connection takes so long.
    Slow(Duration),
}

const BUFFER: usize = 16 * 1024;
const COMMIT: &[u8] = b"COMMIT\0";

pub(crate) struct Proxy {
    pub(crate) port: u16,
    fault: Arc<Mutex<Option<Fault>>>,
    stop: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    listener: Option<JoinHandle<()>>,
}

impl Proxy {
    pub(crate) fn before(target: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (fault, stop, streams) = (Arc::default(), Arc::new(AtomicBool::new(false)), Arc::default());
        let thread = std::thread::spawn({
            let (fault, stop, streams) = (Arc::clone(&fault), Arc::clone(&stop), Arc::clone(&streams));
            move || accept(&listener, target, &fault, &stop, &streams)
        });
        Proxy {
            port,
            fault,
            stop,
            streams,
            listener: Some(thread),
        }
    }

    pub(crate) fn arm(&self, fault: Fault) {
        *self.fault.lock().unwrap() = Some(fault);
    }

    /// Whether the fault that was armed last has happened.
    pub(crate) fn has_happened(&self) -> bool {
        self.fault.lock().unwrap().is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the listener.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

fn accept(
    listener: &TcpListener,
    target: u16,
    fault: &Arc<Mutex<Option<Fault>>>,
    stop: &AtomicBool,
    streams: &Mutex<Vec<TcpStream>>,
) {
    let mut pumps = Vec::new();
    while let Ok((client, _)) = listener.accept() {
        if stop.load(Ordering::Acquire) {
            break;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else {
            continue;
        };
        let link = Arc::new(Link::default());
        for stream in [&client, &server] {
            stream.set_nodelay(true).unwrap();
            streams.lock().unwrap().push(stream.try_clone().unwrap());
        }
        let (back, forth) = (
            (server.try_clone().unwrap(), client.try_clone().unwrap()),
            (client, server),
        );
        pumps.push(std::thread::spawn({
            let (link, fault) = (Arc::clone(&link), Arc::clone(fault));
            move || requests(forth.0, forth.1, &link, &fault)
        }));
        pumps.push(std::thread::spawn(move || answers(back.0, back.1, &link)));
    }
    for pump in pumps {
        let _ = pump.join();
    }
}

/// What the two directions of a connection know of each other.
#[derive(Default)]
struct Link {
    swallow_answers: AtomicBool,
    cut_at_answer: AtomicBool,
    delay: Mutex<Duration>,
}

fn requests(mut client: TcpStream, mut server: TcpStream, link: &Link, fault: &Mutex<Option<Fault>>) {
    let mut buffer = [0; BUFFER];
    let mut half_open = false;
    while let Ok(read @ 1..) = client.read(&mut buffer) {
        let packet = &buffer[..read];
        if packet.windows(COMMIT.len()).any(|window| window == COMMIT) {
            match fault.lock().unwrap().take() {
                None => {}
                Some(Fault::CutBefore) => break,
                Some(Fault::CutAfter) => link.cut_at_answer.store(true, Ordering::Release),
                Some(Fault::Stall(time)) => std::thread::sleep(time),
                Some(Fault::HalfOpen) => {
                    half_open = true;
                    link.swallow_answers.store(true, Ordering::Release);
                }
                Some(Fault::Slow(time)) => *link.delay.lock().unwrap() = time,
            }
        }
        std::thread::sleep(*link.delay.lock().unwrap());
        if !half_open && server.write_all(packet).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}

fn answers(mut server: TcpStream, mut client: TcpStream, link: &Link) {
    let mut buffer = [0; BUFFER];
    while let Ok(read @ 1..) = server.read(&mut buffer) {
        if link.cut_at_answer.load(Ordering::Acquire) {
            break;
        }
        std::thread::sleep(*link.delay.lock().unwrap());
        if !link.swallow_answers.load(Ordering::Acquire) && client.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}
