//! Certificates, and the files that a pod gets for its ServiceAccount.

use std::{
    fs::{self, Permissions},
    net::IpAddr,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivateKeyDer},
};

use crate::lab::FILES;

/// Where the kubelet mounts them.
const MOUNTED: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What admits to the API.
#[derive(Debug)]
pub(super) struct Access {
    authority: String,
    certificate: Vec<u8>,
    key: Vec<u8>,
    token: String,
}

impl Access {
    /// For a server at this address.
    pub(super) fn new(address: IpAddr) -> Result<Self> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let own = CertificateParams::new([address.to_string()])?;
        let certificate = own.signed_by(&key, &authority)?;
        Ok(Self {
            authority: authority.pem(),
            certificate: certificate.der().to_vec(),
            key: key.serialize_der(),
            token: "a-token-of-a-service-account".to_owned(),
        })
    }

    /// What a request has to bring.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// The server's side of a connection.
    pub(super) fn acceptor(&self) -> Result<TlsAcceptor> {
        let certificates = vec![self.certificate.clone().into()];
        let key = PrivateKeyDer::try_from(self.key.clone())
            .ok()
            .context("no key")?;
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(certificates, key)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Names and contents of the files, and their directory.
    pub(super) fn files(&self) -> (&'static str, Vec<(String, String)>) {
        let files = [
            ("ca.crt", self.authority.as_str()),
            ("namespace", "ftp-helper"),
            ("token", self.token.as_str()),
        ];
        let files = files.map(|(name, content)| (name.to_owned(), content.to_owned()));
        (MOUNTED, files.into())
    }

    /// Writes the files as the kubelet does for a container that runs as root: nobody
    /// else can read the token.
    pub(super) fn mount(&self) -> Result<()> {
        // Below the directory that only the lab sees.
        let place = fs::canonicalize("/var/run")?;
        ensure!(place == Path::new(FILES), "/var/run is not {FILES}");
        let (directory, files) = self.files();
        let directory = Path::new(directory);
        fs::create_dir_all(directory)?;
        for (name, content) in files {
            let path = directory.join(name);
            fs::write(&path, content)?;
            fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        }
        Ok(())
    }
}
