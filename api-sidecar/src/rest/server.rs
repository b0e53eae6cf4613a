//! Threads and the listener.

use core::fmt;
use std::borrow::Cow;
use std::fs::{self, Permissions};
use std::io::{self, Cursor, Read};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle, Scope};

use flate2::Compression;
use flate2::read::GzEncoder;
use read_model::SharedReadModel;
use tiny_http::{Header, Request, Response, Server, StatusCode};

use super::answer::Answer;
use super::earlier::EarlierProbe;
use super::health::ProcessHealth;
use super::limits::{GZIP_BYTES_MIN, LISTENER_RETRY, SENT_AT_ONCE_MAX, THREADS_MAX};
use super::reconcile::ReconcileProbe;
use super::routes::{Context, Reply, answer};
use crate::latency::Latency;
use crate::limits::BODY_BYTES_MAX;

/// Asks the composition root how the process is; called for each `GET /health`.
pub type HealthProbe = Box<dyn Fn() -> ProcessHealth + Send + Sync>;

/// What a REST server needs besides its socket and its model.
pub struct RestSettings {
    /// Threads that answer, 1 to 64.
    pub threads: usize,
    pub health: HealthProbe,
    /// Answers `/reconcile`; `None` where there are no tables to compare.
    pub reconcile: Option<ReconcileProbe>,
    /// Answers histories of earlier days; `None` where there are no tables.
    pub earlier: Option<EarlierProbe>,
    /// What the gateway records.
    pub latency: Arc<Latency>,
    /// A folder of the trader's own page, served at `/` in place of ours.
    pub assets_dir: Option<PathBuf>,
}

impl fmt::Debug for RestSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestSettings")
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    #[error("REST socket {path} cannot be opened: {source}")]
    Bind { path: PathBuf, source: io::Error },
    #[error("REST socket path {path} is in use by something that is not a socket")]
    NotASocket { path: PathBuf },
    #[error("REST needs 1 to {THREADS_MAX} threads, not {0}")]
    Threads(usize),
    #[error("REST thread cannot be started: {0}")]
    Spawn(io::Error),
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct RestServer {
    shared: Arc<Shared>,
    supervisor: Option<JoinHandle<()>>,
}

/// Opens the socket (mode 0600; one left over from an earlier run is removed) and answers on `threads` threads named
/// `rest-N` until [`RestServer::stop`]. The socket's directory must be private: it is created just before its mode is
/// set.
///
/// # Errors
/// Where the socket cannot be opened or the supervising thread cannot be started.
pub fn serve(
    socket: &Path,
    model: Arc<SharedReadModel>,
    settings: RestSettings,
) -> Result<RestServer, RestError> {
    if !(1..=THREADS_MAX).contains(&settings.threads) {
        return Err(RestError::Threads(settings.threads));
    }
    let listener = open(socket)?;
    let shared = Arc::new(Shared {
        socket: socket.to_owned(),
        model,
        settings,
        state: Mutex::new(State::default()),
    });
    let supervisor = thread::Builder::new()
        .name(String::from("rest"))
        .spawn({
            let shared = Arc::clone(&shared);
            move || shared.supervise(listener)
        })
        .map_err(RestError::Spawn)?;
    Ok(RestServer {
        shared,
        supervisor: Some(supervisor),
    })
}

impl RestServer {
    /// Answers what has arrived, then ends every thread and removes the socket.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for RestServer {
    fn drop(&mut self) {
        self.shared.stop();
        if let Some(supervisor) = self.supervisor.take()
            && supervisor.join().is_err()
        {
            tracing::error!("a REST thread panicked");
        }
    }
}

fn open(socket: &Path) -> Result<UnixListener, RestError> {
    let failed = |source| RestError::Bind {
        path: socket.to_owned(),
        source,
    };
    match fs::symlink_metadata(socket) {
        Ok(left_over) if left_over.file_type().is_socket() => fs::remove_file(socket).map_err(failed)?,
        Ok(_) => {
            return Err(RestError::NotASocket {
                path: socket.to_owned(),
            });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let listener = UnixListener::bind(socket).map_err(failed)?;
    fs::set_permissions(socket, Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// What the threads share.
#[derive(Debug)]
struct Shared {
    socket: PathBuf,
    model: Arc<SharedReadModel>,
    settings: RestSettings,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    stopping: bool,
    /// The server that the threads wait on, so that they can be woken.
    server: Option<Arc<Server>>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("stopping", &self.stopping)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Runs servers one after another: `tiny_http` gives its listener up for good at the first error of `accept`, such
    /// as a lack of descriptors, and then a new one has to be opened.
    fn supervise(&self, listener: UnixListener) {
        let mut listener = Some(listener);
        while !self.state().stopping {
            let opened = match listener.take() {
                Some(listener) => Ok(listener),
                None => {
                    thread::sleep(LISTENER_RETRY);
                    open(&self.socket)
                }
            };
            match opened {
                Ok(listener) => self.run_server(listener),
                Err(error) => tracing::error!(%error, "the REST listener cannot be opened again"),
            }
        }
    }

    /// Answers on one listener until it fails or [`Shared::stop`] is called. The socket file is gone afterwards.
    fn run_server(&self, listener: UnixListener) {
        let server = match Server::from_listener(listener, None) {
            Ok(server) => Arc::new(server),
            Err(error) => {
                tracing::error!(%error, "the REST server cannot be started");
                return;
            }
        };
        {
            let mut state = self.state();
            if state.stopping {
                return;
            }
            state.server = Some(Arc::clone(&server));
        }
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for number in 1..=self.settings.threads {
                let (server, over) = (&server, &over);
                let started = thread::Builder::new()
                    .name(format!("rest-{number}"))
                    .spawn_scoped(scope, move || self.answer_requests(server, over, scope));
                if let Err(error) = started {
                    tracing::error!(%error, "a REST thread cannot be started");
                }
            }
        });
        self.state().server = None;
    }

    fn answer_requests<'scope>(&self, server: &Server, over: &AtomicBool, scope: &'scope Scope<'scope, '_>) {
        let context = Context {
            model: &self.model,
            process: &*self.settings.health,
            reconcile: self.settings.reconcile.as_ref(),
            earlier: self.settings.earlier.as_ref(),
            latency: &self.settings.latency,
            assets_dir: self.settings.assets_dir.as_deref(),
        };
        loop {
            match server.recv() {
                Ok(request) => respond(&context, request, scope),
                Err(error) => {
                    if !over.swap(true, Ordering::AcqRel) && !self.state().stopping {
                        tracing::error!(%error, "the REST listener failed and is opened again");
                        self.wake_all(server);
                    }
                    return;
                }
            }
        }
    }

    fn stop(&self) {
        let mut state = self.state();
        state.stopping = true;
        if let Some(server) = &state.server {
            self.wake_all(server);
        }
    }

    /// Each thread takes one of these after the requests that are already queued, and ends.
    fn wake_all(&self, server: &Server) {
        for _ in 0..self.settings.threads {
            server.unblock();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while it holds the state")
    }
}

fn respond<'scope>(context: &Context<'_>, mut request: Request, scope: &'scope Scope<'scope, '_>) {
    let mut body = Vec::new();
    // The gateway has bounded it; what it cuts off is no JSON, which is answered as such.
    let bounded = request.as_reader().take(BODY_BYTES_MAX as u64);
    if let Err(error) = { bounded }.read_to_end(&mut body) {
        tracing::debug!(%error, "a request's body did not arrive");
        return;
    }
    let header = |name: &str| {
        request
            .headers()
            .iter()
            .find(|header| header.field.as_str().as_str().eq_ignore_ascii_case(name))
            .map(|header| header.value.as_str())
    };
    let gzip = header("accept-encoding").is_some_and(accepts_gzip);
    let answer = answer(context, request.method().as_str(), request.url(), header, &body);
    match answer {
        Reply::Whole(answer) => {
            let response = response(answer, gzip);
            if response
                .data_length()
                .is_some_and(|length| length <= SENT_AT_ONCE_MAX)
            {
                send(request, response);
            } else {
                send_apart(scope, move || send(request, response));
            }
        }
        Reply::Download(download) => send_apart(scope, move || {
            let about = (download.content_type(), download.disposition());
            if gzip {
                let body = GzEncoder::new(download, Compression::fast());
                send(request, streamed(about, body, &[("Content-Encoding", "gzip")]));
            } else {
                send(request, streamed(about, download, &[]));
            }
        }),
    }
}

fn send<R: Read>(request: Request, response: Response<R>) {
    if let Err(error) = request.respond(response) {
        // The gateway went away before it had the answer: its client hung up.
        tracing::debug!(%error, "a REST answer was not taken");
    }
}

/// On a thread of its own, which ends when the client has all or is given up: the threads that answer must never wait for
/// one. The gateway bounds how many there are.
fn send_apart<'scope>(scope: &'scope Scope<'scope, '_>, send: impl FnOnce() + Send + 'scope) {
    let started = thread::Builder::new()
        .name(String::from("rest-send"))
        .spawn_scoped(scope, send);
    if let Err(error) = started {
        // The request is dropped, which its client is told as a failure of the read service.
        tracing::error!(%error, "a thread for a REST answer cannot be started");
    }
}

/// Whether an `Accept-Encoding` field names gzip and does not weigh it with 0 (RFC 9110 section 12.5.3).
fn accepts_gzip(field: &str) -> bool {
    field.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let refused = parts.any(|part| {
            let weight = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
            weight.is_some_and(|weight| weight.bytes().all(|byte| matches!(byte, b'0' | b'.')))
        });
        named && !refused
    })
}

/// With a Content-Length.
fn response(answer: Answer, gzip: bool) -> Response<Cursor<Vec<u8>>> {
    let mut headers = answer.headers;
    let mut body = answer.body;
    let compressible = !matches!(
        answer.content_type,
        "image/png" | "image/jpeg" | "image/webp" | "font/woff2"
    );
    if compressible && body.len() >= GZIP_BYTES_MIN {
        headers.push(("Vary", "Accept-Encoding".into()));
        if gzip && let Some(smaller) = compress(&body) {
            headers.push(("Content-Encoding", "gzip".into()));
            body = smaller;
        }
    }
    let response = Response::from_data(body)
        .with_status_code(answer.status)
        .with_chunked_threshold(usize::MAX);
    with_headers(response, answer.content_type, headers)
}

/// `None` where it does not get smaller.
fn compress(body: &[u8]) -> Option<Vec<u8>> {
    let mut smaller = Vec::new();
    GzEncoder::new(body, Compression::fast())
        .read_to_end(&mut smaller)
        .ok()
        .filter(|&length| length < body.len())?;
    Some(smaller)
}

/// In chunks, because nobody knows yet how long it will be.
fn streamed<R: Read>(
    (content_type, disposition): (&'static str, &'static str),
    body: R,
    further: &[(&'static str, &'static str)],
) -> Response<R> {
    let response = Response::new(StatusCode(200), Vec::new(), body, None, None);
    let mut headers = vec![
        ("Content-Disposition", disposition.into()),
        ("Vary", "Accept, Accept-Encoding".into()),
    ];
    headers.extend(further.iter().map(|&(name, value)| (name, value.into())));
    with_headers(response, content_type, headers)
}

fn with_headers<R: Read>(
    mut response: Response<R>,
    content_type: &'static str,
    headers: Vec<(&'static str, Cow<'static, str>)>,
) -> Response<R> {
    let usual = [
        ("Content-Type", content_type),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Server", "pinion"),
    ];
    let usual = usual.map(|(name, value)| (name, value.into()));
    for (name, value) in usual.into_iter().chain(headers) {
        if let Ok(header) = Header::from_bytes(name, value.as_bytes()) {
            response.add_header(header);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream;
    use std::time::{Duration, Instant};

    use engine::Capacity;
    use read_model::ReadModel;
    use socket2::SockRef;

    use super::*;

    fn health_status(socket: &Path) -> Option<String> {
        let mut stream = UnixStream::connect(socket).ok()?;
        stream
            .write_all(b"GET /api/oms/health HTTP/1.1\r\nHost: pinion\r\nConnection: close\r\n\r\n")
            .ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        text.lines().next().map(str::to_owned)
    }

    #[test]
    fn gzip_is_for_who_accepts_it() {
        for (field, accepted) in [
            ("gzip", true),
            ("gzip, deflate, br", true),
            ("deflate, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000", false),
            ("identity", false),
            ("x-gzip", false),
            ("", false),
        ] {
            assert_eq!(accepts_gzip(field), accepted, "{field:?}");
        }
        let text = "{\"price\":2450.00}".repeat(200);
        let mut again = String::new();
        let smaller = compress(text.as_bytes()).unwrap();
        flate2::read::GzDecoder::new(&smaller[..])
            .read_to_string(&mut again)
            .unwrap();
        assert_eq!(again, text);
    }

    #[test]
    fn a_listener_that_fails_is_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("rest.sock");
        let capacity = Capacity {
            accounts: 1,
            instruments: 1,
            orders: 16,
            positions: 16,
            client_order_ids: 1_024,
        };
        let shared = Shared {
            socket: socket.clone(),
            model: Arc::new(SharedReadModel::new(ReadModel::new(capacity))),
            settings: RestSettings {
                threads: 2,
                health: Box::new(|| ProcessHealth {
                    database: true,
                    order_manager: true,
                    written: 0,
                    durable: 0,
                    tables: None,
                }),
                reconcile: None,
                earlier: None,
                latency: Arc::default(),
                assets_dir: None,
            },
            state: Mutex::new(State::default()),
        };
        let listener = open(&socket).unwrap();
        let saboteur = listener.try_clone().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| shared.supervise(listener));
            let answered = Some(String::from("HTTP/1.1 200 OK"));
            assert_eq!(health_status(&socket), answered);

            SockRef::from(&saboteur).shutdown(Shutdown::Both).unwrap();
            let deadline = Instant::now() + Duration::from_secs(20);
            while health_status(&socket) != answered && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(10));
            }
            let again = health_status(&socket);
            shared.stop();
            assert_eq!(again, answered);
        });
    }
}
