//! TLS: a certificate and its key from two files, read anew when either of them changes. Connections that are open keep
//! what they were made with.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{DEFAULT_VERSIONS, ServerConfig};

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// The protocols that are spoken over TLS, in the order of our preference.
const PROTOCOLS: [&[u8]; 2] = [HTTP2, b"http/1.1"];
/// How clients ask for HTTP/2.
pub const HTTP2: &[u8] = b"h2";

/// The server's side of TLS; cheap to clone.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    identity: Arc<Identity>,
}

/// Who the server is, and where that stands.
#[derive(Debug)]
struct Identity {
    provider: Arc<CryptoProvider>,
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
}

/// What differs once a file is another one.
type Stamp = Option<[(u64, u64, i64, i64, u64); 2]>;

impl Tls {
    /// TLS 1.2 and 1.3 with this certificate, and those of its authorities behind it, and its key: both PEM.
    ///
    /// # Errors
    /// The file that can't be read or used.
    pub fn new(certificate: PathBuf, key: PathBuf) -> anyhow::Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let current = RwLock::new(Arc::new(read(&certificate, &key, &provider)?));
        let identity = Arc::new(Identity { provider: Arc::clone(&provider), certificate, key, current });
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(DEFAULT_VERSIONS)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&identity) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Self { config: Arc::new(config), identity })
    }

    /// What takes connections.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&self.config).into()
    }

    /// Read the files anew when they change, for as long as this is polled. What can't be used is told, and what was there
    /// before stays.
    pub async fn watch(self) {
        let mut known = self.identity.stamp();
        loop {
            tokio::time::sleep(INTERVAL).await;
            let identity = Arc::clone(&self.identity);
            let looked = tokio::task::spawn_blocking(move || identity.refresh(known)).await;
            known = looked.unwrap_or(known);
        }
    }
}

impl Identity {
    /// Read the files, unless they are the known ones; and say which ones are known now.
    fn refresh(&self, known: Stamp) -> Stamp {
        // Before they are read: what is written meanwhile is seen the next time.
        let found = self.stamp();
        if found == known {
            return known;
        }
        match read(&self.certificate, &self.key, &self.provider) {
            Ok(read) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(read);
                tracing::info!("there is a new certificate");
            }
            Err(error) => tracing::warn!(error = %format!("{error:#}"), "the certificate stays what it was"),
        }
        found
    }

    fn stamp(&self) -> Stamp {
        let stamp = |path: &Path| {
            let found = fs::metadata(path).ok()?;
            Some((found.dev(), found.ino(), found.mtime(), found.mtime_nsec(), found.size()))
        };
        Some([stamp(&self.certificate)?, stamp(&self.key)?])
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// A key that doesn't fit the certificate is an error, too: somebody is still replacing them.
fn read(certificate: &Path, key: &Path, provider: &CryptoProvider) -> anyhow::Result<CertifiedKey> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .with_context(|| format!("no certificate can be read from {}", certificate.display()))?;
    let private = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("no private key can be read from {}", key.display()))?;
    CertifiedKey::from_der(chain, private, provider)
        .with_context(|| format!("{} and {} can't be used together", certificate.display(), key.display()))
}
