//! A session that ends with its owner.
#![allow(unsafe_code)]

use crate::client::Client;
use std::ops::Deref;

/// A client that ends its session when it is dropped: the host closes its files and gives back its locks. A plain
/// [`Client`] lives as long as its process.
pub struct Owned(Client);

impl From<Client> for Owned {
    fn from(client: Client) -> Owned {
        Owned(client)
    }
}

impl Deref for Owned {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.0
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the client is owned, so no other thread uses it, and it is gone after this.
        unsafe { self.0.abandon() }
    }
}

impl std::fmt::Debug for Owned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Owned")
    }
}
