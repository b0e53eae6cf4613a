//! Where a PostgreSQL is and how it is reached, from a URL as `libpq` reads them.

use std::path::PathBuf;
use std::sync::Arc;

use postgres::config::{Host, SslMode};
use postgres::{Client, Config, NoTls};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::super::limits::{CONNECT_TIME, DEAD_PEER_TIME, IDLE_TRANSACTION_TIME, LOCK_TIME, STATEMENT_TIME};
use super::super::store::StoreError;
use super::unavailable;

/// What the server's lists call the projector.
pub(super) const APPLICATION_NAME: &str = "pinion-projector";

/// How the server's certificate is looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Trust {
    /// Encryption without proof of who answers (`sslmode=prefer` and `require`, as with libpq).
    Anyone,
    /// Signed by this authority, whatever the name (`verify-ca`, or `require` with a CA file).
    Authority(PathBuf),
    /// Signed by this authority for the host's name (`verify-full`).
    Name(PathBuf),
}

/// A parsed `DATABASE_URL`. Its `Debug` shows no credential.
#[derive(Clone)]
pub struct PostgresSettings {
    config: Config,
    trust: Trust,
}

/// Why a URL is not one of PostgreSQL. Never repeats the URL.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UrlError {
    #[error("is not a PostgreSQL URL: {0}")]
    Malformed(String),
    #[error("has the unknown sslmode {0:?} (disable, prefer, require, verify-ca, verify-full)")]
    SslMode(String),
    #[error("needs sslrootcert=FILE, the certificates to trust, for sslmode={0}")]
    NoRootCertificate(String),
}

impl PostgresSettings {
    /// Reads `postgresql://user:password@host:port/database?sslmode=…&sslrootcert=…`.
    pub fn parse(url: &str) -> Result<PostgresSettings, UrlError> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut rest = Vec::new();
        let (mut mode, mut root) = ("prefer".to_owned(), None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = value.to_owned(),
                Some(("sslrootcert", value)) => root = Some(PathBuf::from(percent_decoded(value)?)),
                _ => rest.push(pair),
            }
        }
        let plain = if rest.is_empty() {
            base.to_owned()
        } else {
            format!("{base}?{}", rest.join("&"))
        };
        let mut config: Config = plain
            .parse()
            .map_err(|error: postgres::Error| UrlError::Malformed(reason(&error)))?;
        let needs_root = || UrlError::NoRootCertificate(mode.clone());
        let (ssl, trust) = match (mode.as_str(), root) {
            ("disable", _) => (SslMode::Disable, Trust::Anyone),
            ("allow" | "prefer", _) => (SslMode::Prefer, Trust::Anyone),
            ("require", None) => (SslMode::Require, Trust::Anyone),
            ("require", Some(root)) => (SslMode::Require, Trust::Authority(root)),
            ("verify-ca", root) => (SslMode::Require, Trust::Authority(root.ok_or_else(needs_root)?)),
            ("verify-full", root) => (SslMode::Require, Trust::Name(root.ok_or_else(needs_root)?)),
            _ => return Err(UrlError::SslMode(mode)),
        };
        config.ssl_mode(ssl);
        bound(&mut config);
        Ok(PostgresSettings { config, trust })
    }

    /// The same server and role, another database.
    pub fn with_database(&self, name: &str) -> PostgresSettings {
        let mut settings = self.clone();
        settings.config.dbname(name);
        settings
    }

    /// Runs statements on a connection of their own.
    pub fn execute(&self, sql: &str) -> Result<(), StoreError> {
        self.connect()?.batch_execute(sql).map_err(unavailable)
    }

    pub(super) fn connect(&self) -> Result<Client, StoreError> {
        let local = |host: &Host| matches!(host, Host::Unix(_));
        let connected =
            if self.config.get_ssl_mode() == SslMode::Disable || self.config.get_hosts().iter().all(local) {
                self.config.connect(NoTls)
            } else {
                self.config.connect(MakeRustlsConnect::new(self.tls()?))
            };
        connected.map_err(|error| StoreError::Unavailable(format!("cannot connect: {}", reason(&error))))
    }

    fn tls(&self) -> Result<ClientConfig, StoreError> {
        let unusable = |error: &dyn std::fmt::Display| StoreError::Unavailable(format!("TLS: {error}"));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?;
        let verifier: Arc<dyn ServerCertVerifier> = match &self.trust {
            Trust::Anyone => Arc::new(Lenient {
                authority: None,
                provider,
            }),
            Trust::Authority(path) | Trust::Name(path) => {
                let roots = roots(path).map_err(|error| unusable(&format!("{}: {error}", path.display())))?;
                let verifier =
                    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                        .build()
                        .map_err(|error| unusable(&error))?;
                match &self.trust {
                    Trust::Name(_) => verifier,
                    _ => Arc::new(Lenient {
                        authority: Some(verifier),
                        provider,
                    }),
                }
            }
        };
        Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth())
    }
}

/// Everything has an end: connecting, a dead peer, a statement, a lock.
fn bound(config: &mut Config) {
    let millis = |time: std::time::Duration| time.as_millis();
    let options = format!(
        "{} -c statement_timeout={} -c lock_timeout={} -c idle_in_transaction_session_timeout={} \
         -c synchronous_commit=on -c timezone=UTC -c client_min_messages=warning",
        config.get_options().unwrap_or_default(),
        millis(STATEMENT_TIME),
        millis(LOCK_TIME),
        millis(IDLE_TRANSACTION_TIME),
    );
    config
        .options(options.trim_start())
        .application_name(APPLICATION_NAME)
        .connect_timeout(CONNECT_TIME)
        .tcp_user_timeout(DEAD_PEER_TIME)
        .keepalives(true)
        .keepalives_idle(DEAD_PEER_TIME / 2)
        .keepalives_interval(DEAD_PEER_TIME / 6)
        .keepalives_retries(3);
}

fn roots(path: &std::path::Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())? {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        Err("holds no certificate".to_owned())
    } else {
        Ok(roots)
    }
}

/// An error with its causes; the drivers' own sentences hide them.
pub(super) fn reason(error: &postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return format!("{} ({})", said.message(), said.code().code());
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn percent_decoded(text: &str) -> Result<String, UrlError> {
    let malformed = || UrlError::Malformed("a bad percent escape".to_owned());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let digits = digits.ok_or_else(malformed)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| malformed())?);
        rest = rest.get(2..).unwrap_or_default();
    }
    String::from_utf8(bytes).map_err(|_| malformed())
}

/// Asks less of a certificate than the web does: with an authority everything but the name, without one nothing.
#[derive(Debug)]
struct Lenient {
    authority: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(authority) = &self.authority else {
            return Ok(ServerCertVerified::assertion());
        };
        let verified =
            authority.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

impl std::fmt::Debug for PostgresSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresSettings")
            .field("hosts", &self.config.get_hosts())
            .field("database", &self.config.get_dbname())
            .field("trust", &self.trust)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_libpq_reads_them() {
        let check = |url: &str, expected: Result<(SslMode, Trust), &str>| {
            let parsed = PostgresSettings::parse(url)
                .map(|settings| (settings.config.get_ssl_mode(), settings.trust))
                .map_err(|error| error.to_string());
            match (parsed, expected) {
                (Ok(parsed), Ok(expected)) => assert_eq!(parsed, expected, "{url}"),
                (Err(error), Err(word)) => assert!(error.contains(word), "{url}: {error}"),
                (parsed, expected) => panic!("{url}: {parsed:?} for {expected:?}"),
            }
        };
        let ca = || PathBuf::from("/etc/my ca.pem");
        let base = "postgresql://user:secret@db.example:5433/xcoin";
        check(base, Ok((SslMode::Prefer, Trust::Anyone)));
        check(
            &format!("{base}?sslmode=disable"),
            Ok((SslMode::Disable, Trust::Anyone)),
        );
        check(
            &format!("{base}?sslmode=require&connect_timeout=3"),
            Ok((SslMode::Require, Trust::Anyone)),
        );
        let with_ca = |mode| format!("{base}?sslrootcert=/etc/my%20ca.pem&sslmode={mode}");
        check(
            &with_ca("require"),
            Ok((SslMode::Require, Trust::Authority(ca()))),
        );
        check(&with_ca("verify-full"), Ok((SslMode::Require, Trust::Name(ca()))));
        check(&format!("{base}?sslmode=verify-full"), Err("needs sslrootcert"));
        check(&format!("{base}?sslmode=maybe"), Err("unknown sslmode"));
        check("postgresql://user@host:port/x", Err("is not a PostgreSQL URL"));
    }

    #[test]
    fn every_wait_of_a_connection_ends() {
        let url = "postgresql://user@db.example/xcoin?connect_timeout=0&options=-c%20search_path%3Dold";
        let config = PostgresSettings::parse(url).unwrap().config;
        assert_eq!(config.get_connect_timeout(), Some(&CONNECT_TIME));
        assert_eq!(config.get_tcp_user_timeout(), Some(&DEAD_PEER_TIME));
        assert!(config.get_keepalives() && config.get_keepalives_idle() < DEAD_PEER_TIME);
        let options = config.get_options().unwrap();
        assert!(
            options.starts_with("-c search_path=old -c statement_timeout=30000 "),
            "{options}"
        );
    }

    #[test]
    fn no_credential_is_shown() {
        let settings = PostgresSettings::parse("postgresql://user:secret@db.example/xcoin").unwrap();
        let shown = format!("{settings:?}");
        assert!(
            shown.contains("db.example") && !shown.contains("secret"),
            "{shown}"
        );
    }
}
