//! Where the work is: on this machine, or at a server. Verbs ask a [`Place`] and do not know which it is.

mod feed;
mod going;
mod machine;
mod reach;
mod runs;

pub(crate) use feed::{Feed, News};
pub(crate) use going::{Going, Heard};
pub(crate) use reach::Reach;

use crate::command::{Failure, demo};
use maestria_api::client::Client;
use maestria_server::{App, Config, Options, Sources};
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Where the work is.
pub(crate) enum Place {
    /// In this machine's store, driven by this process.
    Here(Here),
    /// At a server, which drives it.
    There(Client),
}

/// This machine. The product is opened when something asks for it: not every verb needs the store.
pub(crate) struct Here {
    sources: Sources,
    options: Options,
    app: OnceCell<Arc<App>>,
}

impl Here {
    pub(crate) fn new(sources: Sources, options: Options) -> Self {
        Self {
            sources,
            options,
            app: OnceCell::new(),
        }
    }

    /// The same, with the product open already.
    pub(crate) fn opened(sources: Sources, app: Arc<App>) -> Self {
        Self {
            app: OnceCell::new_with(Some(app)),
            ..Self::new(sources, Options::default())
        }
    }

    pub(crate) fn config(&self) -> Result<Config, Failure> {
        read_config(&self.sources)
    }

    pub(crate) async fn app(&self) -> Result<&Arc<App>, Failure> {
        let open = || async { open(self.config()?, self.options.clone()).await.map(Arc::new) };
        self.app.get_or_try_init(open).await
    }

    /// Ends what was opened.
    pub(crate) async fn close(&self) {
        if let Some(app) = self.app.get() {
            app.close().await;
        }
    }
}

impl Place {
    /// Ends what was opened.
    pub(crate) async fn close(&self) {
        if let Self::Here(here) = self {
            here.close().await;
        }
    }
}

pub(crate) fn read_config(sources: &Sources) -> Result<Config, Failure> {
    Config::load(sources).map_err(|e| Failure::user(e.to_string(), "`maestria config check` lists all mistakes"))
}

/// Opens the product.
pub(crate) async fn open(config: Config, options: Options) -> Result<App, Failure> {
    // The demo's agents are always there for runs that name them, so that a killed demo can be resumed.
    let options = Options {
        scripted: demo::providers(),
        ..options
    };
    Ok(App::open(config, options).await?)
}
