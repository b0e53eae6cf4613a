//! REST reads and static pages: `tiny_http` on a private Unix socket behind the gateway.
//!
//! Only requests that the gateway has parsed, checked and written anew arrive here, one per connection; who asks is in
//! their `X-Pinion-*` headers. Answers come from the read model. Nothing here writes anything: whatever changes state
//! is on the order lane. A POST here is a question with a body.

mod account;
mod alerts;
mod answer;
mod assets;
mod charges;
mod download;
mod earlier;
mod earlier_rows;
mod explain;
mod health;
mod latency;
pub mod limits;
mod market;
mod orders;
mod own_page;
mod positions;
mod reconcile;
mod request;
mod risk;
mod routes;
mod server;
mod trades;

pub use earlier::{EarlierPage, EarlierProbe, EarlierQuery, EarlierRow, History};
pub use health::{ProcessHealth, TablesHealth};
pub use reconcile::{ReconcileDifference, ReconcileProbe, Reconciliation};
pub use server::{HealthProbe, RestError, RestServer, RestSettings, serve};
