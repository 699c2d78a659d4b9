//! TLS on a control connection.

use std::{fs, net::TcpStream, path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{PrivateKeyDer, ServerName},
};

/// Whom the certificate is for.
const NAME: &str = "ftp.example.net";

/// The client's end of an encrypted connection.
pub(super) type ClientStream = StreamOwned<ClientConnection, TcpStream>;
/// The server's end.
pub(super) type ServerStream = StreamOwned<ServerConnection, TcpStream>;

/// Makes a certificate, which clients find in a file.
pub(super) fn server(certificate: &Path) -> Result<Arc<ServerConfig>> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([NAME.to_owned()])?;
    let key = PrivateKeyDer::try_from(signing_key.serialize_der())
        .ok()
        .context("no key")?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .context("no TLS for the server")?;
    fs::write(certificate, cert.der())
        .with_context(|| format!("{} not written", certificate.display()))?;
    Ok(Arc::new(config))
}

/// Trusts the certificate in the file and no other.
pub(super) fn client(certificate: &Path) -> Result<Arc<ClientConfig>> {
    let bytes = fs::read(certificate)
        .with_context(|| format!("no certificate {}", certificate.display()))?;
    let mut roots = RootCertStore::empty();
    roots.add(bytes.into()).context("no such certificate")?;
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Encrypts from here on.
pub(super) fn connect(stream: TcpStream, config: &Arc<ClientConfig>) -> Result<ClientStream> {
    let name = ServerName::try_from(NAME).context("no name")?;
    let session = ClientConnection::new(Arc::clone(config), name).context("no TLS")?;
    Ok(StreamOwned::new(session, stream))
}

/// The same on the other side.
pub(super) fn accept(stream: TcpStream, config: &Arc<ServerConfig>) -> Result<ServerStream> {
    let session = ServerConnection::new(Arc::clone(config)).context("no TLS")?;
    Ok(StreamOwned::new(session, stream))
}
