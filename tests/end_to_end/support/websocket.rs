//! A WebSocket client of `/ws/oms`. An admin hears of every account; what a test waits for is about its own.

use std::net::{SocketAddr, TcpStream};

use serde_json::Value;
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

use super::PATIENCE;

#[derive(Debug)]
pub struct Socket {
    socket: WebSocket<TcpStream>,
    account: String,
}

impl Socket {
    /// Connects with these headers, which make it that account's, and hears the greeting.
    pub fn connect(address: SocketAddr, account: &str, headers: &[(&str, &str)]) -> Socket {
        Socket::connect_at(address, "/ws/oms", account, headers)
    }

    /// As [`Socket::connect`], at a path with a query.
    pub fn connect_at(address: SocketAddr, path: &str, account: &str, headers: &[(&str, &str)]) -> Socket {
        let mut socket = Socket::open_at(address, path, headers).unwrap_or_else(|error| panic!("{error}"));
        socket.account = account.to_owned();
        let greeting = socket.next();
        assert_eq!(
            greeting.to_string(),
            r#"{"type":"connection","status":"connected","message":"Connected to OMS WebSocket"}"#
        );
        socket
    }

    /// The opening handshake alone; fails where the server refuses it.
    pub fn open(address: SocketAddr, headers: &[(&str, &str)]) -> Result<Socket, String> {
        Socket::open_at(address, "/ws/oms", headers)
    }

    fn open_at(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Result<Socket, String> {
        let stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let url = format!("ws://localhost:{}{path}", address.port());
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            let name: tungstenite::http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let (socket, _) = tungstenite::client(request, stream).map_err(|error| error.to_string())?;
        Ok(Socket {
            socket,
            account: String::new(),
        })
    }

    pub fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).unwrap();
    }

    /// The next message that is not a control frame. `None` where the server closed.
    pub fn hear(&mut self) -> Option<Value> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
                Ok(Message::Close(_)) | Err(tungstenite::Error::ConnectionClosed) => return None,
                Ok(_) => {}
                Err(tungstenite::Error::Io(error))
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) =>
                {
                    panic!("no message within {PATIENCE:?}");
                }
                Err(_) => return None,
            }
        }
    }

    #[track_caller]
    pub fn next(&mut self) -> Value {
        self.hear().expect("the server closed the WebSocket")
    }

    /// Everything up to the first message of that type that is about no other account.
    #[track_caller]
    pub fn until(&mut self, kind: &str) -> Vec<Value> {
        let mut heard = Vec::new();
        loop {
            let message = self.next();
            let account = message["data"]["account"].as_str();
            let done = message["type"] == kind && account.is_none_or(|account| account == self.account);
            heard.push(message);
            if done {
                return heard;
            }
        }
    }

    /// The `data` of the next message of that type.
    #[track_caller]
    pub fn data_of(&mut self, kind: &str) -> Value {
        self.until(kind).pop().expect("it ends with one")["data"].take()
    }

    /// Everything said before the answer to a ping sent now.
    #[track_caller]
    pub fn drain(&mut self) -> Vec<Value> {
        self.say(r#"{"type":"ping"}"#);
        let mut heard = self.until("pong");
        let pong = heard.pop();
        assert_eq!(
            pong.map(|pong| pong.to_string()).as_deref(),
            Some(r#"{"type":"pong"}"#)
        );
        heard
    }
}
