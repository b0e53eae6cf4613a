//! The gateway: all sockets of port 8050 on one thread (DESIGN.md section 6).
//!
//! ```text
//!  accept ─> frame (head, body; hard limits) ─> route ─┬─ order lane ─> decode ─> ring to the engine
//!                                                     ├─ /ws/oms ────> WebSocket session (order entry, events)
//!                                                     └─ the rest ───> relay to the REST handlers' private socket
//!  engine's output ring ─> held until released ─> answers by token, events to every session that may see them
//! ```
//!
//! Invariants: bytes of a client never reach the REST handlers' server as they came; answers of a connection leave in
//! the order of its requests; nothing that a client does makes anything here grow past [`crate::limits`]; the engine's
//! output is always drained up to the released position.

mod accept;
mod administration;
mod answer;
mod buffers;
mod connection;
mod core;
mod deadlines;
mod directory;
mod doorbell;
mod event_loop;
mod fields;
mod figures;
mod head;
mod heartbeat;
mod http;
mod market_data;
mod notices;
mod order_body;
mod order_lane;
mod outbound;
mod relay;
mod replies;
mod router;
mod serve_http;
mod serve_ws;
pub mod ws;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use engine::lane::{Outbound, Request};
use mio::net::TcpListener;
use mio::{Interest, Poll, Token};
use read_model::SharedReadModel;
use rtrb::{Consumer, Producer};
use scheduling::SharedCore;

pub use self::directory::Directory;
pub use self::doorbell::Doorbell;
pub use self::figures::FigurePublisher;
pub use self::notices::Notices;
pub(crate) use self::order_body::{OrderError, parse_object, parse_order};

use self::core::Core;
use self::event_loop::{EventLoop, LISTENER, WAKER};
use self::figures::{Figure, Interest as FigureInterest};
use self::outbound::Decisions;
use crate::auth::{AuthError, AuthTable};
use crate::latency::Latency;
use crate::limits::FIGURES_RING;

/// When an answer may leave the process. The position itself is [`Lanes::released`]; this only says what answers claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AckMode {
    /// After the journal holds its command: answers carry `"durable": true`.
    Durable,
    /// At once: `"durable": false`.
    Memory,
}

#[derive(Clone, Debug)]
pub struct Settings {
    /// Port 0 picks a free one.
    pub listen: SocketAddr,
    pub ack: AckMode,
    /// The private Unix socket of the REST handlers.
    pub rest_socket: PathBuf,
    /// Pages of other sites that may call us, as `scheme://host[:port]`.
    pub allowed_origins: Vec<String>,
    pub auth: AuthTable,
    /// Another web application, which gets every path that is not Pinion's.
    pub upstream: Option<SocketAddr>,
}

/// The gateway's ends of the rings.
#[derive(Debug)]
pub struct Lanes {
    pub requests: Producer<Request>,
    /// The engine's, who may sleep there and is woken for each request.
    pub engine_core: SharedCore,
    pub outbound: Consumer<Outbound>,
    /// Answers to commands up to this sequence number may leave the process: the journal's durable position, or
    /// `u64::MAX` where nothing waits for the journal. Ring the [`Doorbell`] after each advance.
    pub released: Arc<AtomicU64>,
}

#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot set up polling: {0}")]
    Poll(io::Error),
    #[error(
        "listening on {0}, which other hosts can reach, needs an API key: make one with pinion keys new, or listen on 127.0.0.1"
    )]
    OpenToAll(SocketAddr),
    #[error(transparent)]
    Auth(#[from] AuthError),
}

/// A bound gateway; clients that connect wait until [`Gateway::run`].
#[derive(Debug)]
pub struct Gateway {
    poll: Poll,
    listener: TcpListener,
    address: SocketAddr,
    doorbell: Doorbell,
    settings: Settings,
    durability: Durability,
    notices: Notices,
    figures: Option<(Consumer<Figure>, Arc<FigureInterest>)>,
    latency: Arc<Latency>,
    apart: bool,
}

impl Gateway {
    /// # Errors
    /// Where the address cannot be bound, or would be open to other hosts without any key configured.
    pub fn bind(settings: Settings) -> Result<Gateway, GatewayError> {
        let address = settings.listen;
        if !address.ip().is_loopback() && !settings.auth.has_keys() {
            return Err(GatewayError::OpenToAll(address));
        }
        let poll = Poll::new().map_err(GatewayError::Poll)?;
        let doorbell = Doorbell::new(poll.registry(), WAKER).map_err(GatewayError::Poll)?;
        let listen = |source| GatewayError::Listen { address, source };
        let mut listener = TcpListener::bind(address).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)
            .map_err(GatewayError::Poll)?;
        Ok(Gateway {
            notices: Notices::new(doorbell.clone()),
            poll,
            listener,
            address,
            doorbell,
            settings,
            durability: Durability::default(),
            figures: None,
            latency: Arc::default(),
            apart: false,
        })
    }

    /// While `disk_low` is set, orders and modifications that could add to a position are refused with 503 and nothing of
    /// them is sequenced; exits, cancels, closes and kills still pass, because the journal keeps a reserve for them.
    #[must_use]
    pub fn with_disk_low(mut self, disk_low: Arc<AtomicBool>) -> Gateway {
        self.durability.disk_low = disk_low;
        self
    }

    /// Tells whether the engine thread is certain never to run on the core of the thread that will call [`Gateway::run`].
    #[must_use]
    pub fn apart_from_engine(mut self, apart: bool) -> Gateway {
        self.apart = apart;
        self
    }

    /// `nudge` is called when a request is on its way to the engine whose answer waits for the journal, and when a read
    /// is on its way, so that whoever writes the journal is awake by then. It must not block.
    #[must_use]
    pub fn with_nudge(mut self, nudge: impl Fn() + Send + 'static) -> Gateway {
        self.durability.nudge = Box::new(nudge);
        self
    }

    /// Depths and P&L for those who listen to them, out of `model`. Without a publisher these channels stay silent.
    pub fn publisher(&mut self, model: Arc<SharedReadModel>) -> FigurePublisher {
        let (figures, ring) = rtrb::RingBuffer::new(FIGURES_RING);
        let (publisher, interest) = FigurePublisher::new(model, figures, self.doorbell());
        self.figures = Some((ring, interest));
        publisher
    }

    /// The address that clients reach, with the port that was picked.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What is recorded of each request's way; its clock is the one whose stamps the engine thread returns.
    pub fn latency(&self) -> Arc<Latency> {
        Arc::clone(&self.latency)
    }

    pub fn doorbell(&self) -> Doorbell {
        self.doorbell.clone()
    }

    /// Where other threads raise alerts. Those that come before [`Gateway::run`] wait for it.
    pub fn notices(&self) -> Notices {
        self.notices.clone()
    }

    /// Serves until `stop` is set and what is in flight is answered (or [`crate::limits::STOP_TIME_MAX`] has passed),
    /// on the calling thread, which should carry the name `gateway`. Ring the doorbell after setting `stop`. The
    /// engine and the writer must outlive this call, or answers in flight are lost.
    ///
    /// # Errors
    /// Where an account that has access does not exist in `directory`, or the poll itself fails.
    pub fn run(self, lanes: Lanes, directory: Directory, stop: &AtomicBool) -> Result<(), GatewayError> {
        let authenticator = self.settings.auth.resolve(|name| directory.account(name))?;
        let registry = self.poll.registry().try_clone().map_err(GatewayError::Poll)?;
        let (figures, interest) = self.figures.unzip();
        let core = Core::new(
            Settings {
                listen: self.address,
                ..self.settings
            },
            authenticator,
            directory,
            (lanes.requests, lanes.engine_core),
            self.durability,
            interest,
            self.latency,
            registry,
        );
        let decisions = Decisions::new(lanes.outbound, lanes.released, self.apart);
        EventLoop::new(
            self.poll,
            self.listener,
            self.doorbell,
            core,
            decisions,
            figures,
            self.notices,
        )
        .run(stop)
        .map_err(GatewayError::Poll)
    }
}

/// What the gateway has to do with whoever makes decisions durable.
struct Durability {
    /// New orders are refused while it is set.
    disk_low: Arc<AtomicBool>,
    /// Called when a request is on its way to the engine.
    nudge: Box<dyn Fn() + Send>,
}

impl Default for Durability {
    fn default() -> Durability {
        Durability {
            disk_low: Arc::default(),
            nudge: Box::new(|| ()),
        }
    }
}

impl std::fmt::Debug for Durability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Durability")
            .field("disk_low", &self.disk_low)
            .finish_non_exhaustive()
    }
}

/// Poll tokens of a connection: its socket, and the private socket of its relayed request.
fn connection_tokens(index: usize) -> (Token, Token) {
    let first = FIRST_CONNECTION_TOKEN + 2 * index;
    (Token(first), Token(first + 1))
}

const FIRST_CONNECTION_TOKEN: usize = 2;
