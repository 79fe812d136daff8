//! Whose certificates are believed.

use super::{ClientError, address::Address};
use hyper_rustls::ConfigBuilderExt as _;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use std::{path::Path, sync::Arc};

/// How TLS is spoken with a server.
pub(super) fn terms(address: &Address, authority: Option<&Path>) -> Result<ClientConfig, ClientError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::Authorities(error.to_string()))?;
    let builder = match authority {
        Some(path) => builder.with_root_certificates(read(path)?),
        // Those of the system are many, and reading them takes a while.
        None if address.is_secure() => builder
            .with_native_roots()
            .map_err(|error| ClientError::Authorities(error.to_string()))?,
        None => builder.with_root_certificates(RootCertStore::empty()),
    };
    Ok(builder.with_no_client_auth())
}

fn read(path: &Path) -> Result<RootCertStore, ClientError> {
    let wrong = |why: String| ClientError::Authority {
        path: path.to_owned(),
        why,
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))? {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("there is no certificate in it".to_owned()));
    }
    Ok(roots)
}
