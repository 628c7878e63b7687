//! [`Trust`]: TLS to servers, and whose certificates count there.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll};
use std::{fs, io};

use anyhow::Context;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::client::{AsyncTokioStream, Certificate, TlsParameters};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, DEFAULT_VERSIONS, RootCertStore};

use super::bounded::Bounded;
use crate::config::MailSettings;

/// The certificates that count: those of the public authorities, and those of the settings; cheap to clone.
#[derive(Clone)]
pub struct Trust {
    config: Arc<ClientConfig>,
    /// Those of the settings, for lettre, which makes a configuration of its own.
    more: Option<Certificate>,
}

impl Trust {
    /// As the settings say.
    ///
    /// # Errors
    /// The file with certificates can't be read or used.
    pub fn read(settings: &MailSettings) -> anyhow::Result<Self> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let mut more = None;
        if let Some(file) = &settings.root_cert {
            let wrong = "AUTHENTIK_STAGES__EMAIL_ROOT_CERT: must be a file with certificates in PEM";
            let pem = fs::read(file).context(wrong)?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                roots.add(certificate.context(wrong)?).context(wrong)?;
            }
            more = Some(Certificate::from_pem(&pem).context(wrong)?);
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(DEFAULT_VERSIONS)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { config: Arc::new(config), more })
    }

    /// A connection to `host`, with TLS from here on.
    ///
    /// # Errors
    /// There is no TLS, or the certificate doesn't count.
    pub async fn secure(&self, host: &str, stream: Bounded) -> io::Result<Secured> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await.map(Secured)
    }

    /// For lettre's STARTTLS with `host`.
    ///
    /// # Errors
    /// The certificates of the settings can't be used.
    pub fn for_starttls(&self, host: &str) -> Result<TlsParameters, Error> {
        let builder = TlsParameters::builder(host.to_owned());
        match &self.more {
            Some(more) => builder.add_root_certificate(more.clone()).build_rustls(),
            None => builder.build_rustls(),
        }
    }
}

/// A connection with TLS.
#[derive(Debug)]
pub struct Secured(TlsStream<Bounded>);

impl AsyncTokioStream for Secured {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().0.peer_addr()
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(task, buffer)
    }
}

impl AsyncWrite for Secured {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Task<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(task, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(task)
    }
}
