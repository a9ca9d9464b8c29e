//! A key exchange that costs nothing and hides nothing: nobody listens in a simulation.
//!
//! A run makes hundreds of connections, and the exchange of their keys would take a good part of its time. All else of
//! a handshake, certificates, signatures and ciphers, is that of production.

use rustls::NamedGroup;
use rustls::crypto::{ActiveKeyExchange, CryptoProvider, GetRandomFailed, SharedSecret, SupportedKxGroup};

/// Puts it in force in this process, before any connection is made.
pub fn install() {
    let provider = CryptoProvider { kx_groups: vec![&Open], ..rustls::crypto::ring::default_provider() };
    // An error says that it is in force already.
    drop(provider.install_default());
}

/// The group: it passes for X25519, as a share has the same size.
#[derive(Debug)]
struct Open;

impl SupportedKxGroup for Open {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, rustls::Error> {
        let mut share = [0; 32];
        rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, &mut share).map_err(|_| GetRandomFailed)?;
        Ok(Box::new(Exchange { share }))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

struct Exchange {
    share: [u8; 32],
}

impl ActiveKeyExchange for Exchange {
    /// The hash of both shares, in an order that both sides find.
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, rustls::Error> {
        let own: &[u8] = &self.share;
        let (first, second) = if own < peer { (own, peer) } else { (peer, own) };
        let mut hasher = blake3::Hasher::new();
        hasher.update(first).update(second);
        Ok(SharedSecret::from(&hasher.finalize().as_bytes()[..]))
    }

    fn pub_key(&self) -> &[u8] {
        &self.share
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}
