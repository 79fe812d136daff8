//! The gateway of this process: native agents call it directly, workers over loopback with a key of their own for each
//! task. It opens with the first call, and closes with the product.

use super::{Owner, absorb, alerts::Alerts, books, setup};
use crate::{
    app::{AppError, Options, now},
    config::Config,
};
use maestria_agents::cli::{Access, Switchboard};
use maestria_engine::Engine;
use maestria_gateway::{Auth, Bounds, Gateway, LaneStatus, Outside, PassFor, Rate, Rules, Server, Service};
use maestria_kernel::{
    model::{Caller, ModelError, ModelReply, ModelRequest},
    port::{Boxed, Models},
};
use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::{
    sync::{Mutex, OnceCell, oneshot},
    task::JoinHandle,
};

/// See the module.
pub struct InHouse {
    config: Config,
    options: Options,
    locks: PathBuf,
    alerts: Arc<Alerts>,
    desk: OnceCell<Desk>,
    counter: OnceCell<Counter>,
}

/// The books are open.
struct Desk {
    service: Arc<Service>,
    gateway: Gateway,
    owner: Mutex<Option<Owner>>,
}

/// Workers are served.
struct Counter {
    url: String,
    serving: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

impl fmt::Debug for InHouse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InHouse")
            .field("open", &self.desk.initialized())
            .finish_non_exhaustive()
    }
}

impl InHouse {
    /// A gateway as it is configured. Nothing is opened yet.
    pub fn new(config: &Config, options: &Options) -> Self {
        let data = config.store.parent().unwrap_or(Path::new("."));
        Self {
            locks: data.join("locks"),
            config: config.clone(),
            options: options.clone(),
            alerts: Arc::default(),
            desk: OnceCell::new(),
            counter: OnceCell::new(),
        }
    }

    /// Says in whose logs alerts are to be found.
    pub fn alert_to(&self, engine: &Arc<Engine>) {
        self.alerts.tell_to(Arc::downgrade(engine));
    }

    async fn desk(&self) -> Result<&Desk, AppError> {
        self.desk.get_or_try_init(|| self.open_desk()).await
    }

    async fn open_desk(&self) -> Result<Desk, AppError> {
        let ledger = books(&self.config).await?;
        let owner = Owner::lock(&self.locks)?;
        for (account, cost) in absorb(&*ledger, &owner).await? {
            tracing::warn!(account = account.scope, %cost, "a process died with this held; that counts as spent");
        }
        let table = &self.config.gateway;
        let rules = Rules {
            auth: Auth::Passes,
            budget: table.budget.clone(),
            // A worker is limited by its budget; a rate would only make it slow.
            rate: Rate::default(),
            on_loss: table.on_loss,
            cache: table.cache.clone(),
            batch_wait: table.batch_wait,
        };
        let alerts = Arc::clone(&self.alerts);
        let outside = Outside {
            ledger,
            owner: owner.name.clone(),
            on_alert: Arc::new(move |alert| alerts.tell(alert)),
            now: Arc::new(now),
        };
        let service = Service::new(setup(&self.config, &self.options)?, rules, outside);
        let service = Arc::new(service.map_err(|e| AppError::Config(e.to_string()))?);
        Ok(Desk {
            gateway: Gateway::of(service.clone()),
            service,
            owner: Mutex::new(Some(owner)),
        })
    }

    async fn counter(&self) -> Result<(&Desk, &Counter), AppError> {
        let desk = self.desk().await?;
        let counter = self.counter.get_or_try_init(|| open_counter(desk)).await?;
        Ok((desk, counter))
    }

    async fn let_in(&self, caller: Caller, stand_in: Option<String>) -> Result<Access, AppError> {
        let (desk, counter) = self.counter().await?;
        let agent = caller.agent.as_ref().map(ToString::to_string).unwrap_or_default();
        let pass = PassFor {
            client: format!("worker-{agent}"),
            caller,
            stand_in,
        };
        let issued = desk.service.issue(pass).map_err(|e| AppError::Config(e.to_string()));
        let (issued, heard) = issued?;
        let key = issued.key.clone();
        Ok(Access::gateway(counter.url.clone(), key, heard, move || drop(issued)))
    }

    /// How the providers' keys fare; nothing before the first call.
    pub fn lanes(&self) -> Vec<LaneStatus> {
        self.desk.get().map(|desk| desk.service.lanes()).unwrap_or_default()
    }

    /// Ends what is under way, gives back what is leased, and waits until all is in the books.
    pub async fn close(&self) {
        if let Some(counter) = self.counter.get()
            && let Some((stop, serving)) = counter.serving.lock().await.take()
        {
            drop(stop);
            if let Err(error) = serving.await {
                tracing::error!(%error, "the gateway did not end as it should");
            }
        }
        if let Some(desk) = self.desk.get() {
            desk.service.close().await;
            self.alerts.close().await;
            if let Some(owner) = desk.owner.lock().await.take() {
                owner.release();
            }
        }
    }
}

async fn open_counter(desk: &Desk) -> Result<Counter, AppError> {
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = Server::bind(anywhere, desk.service.clone(), Bounds::default()).await;
    let server = server.map_err(|e| AppError::Config(e.to_string()))?;
    let address = server.address().map_err(|e| AppError::Config(e.to_string()))?;
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.run(async move {
        // Stopped as well when the sender is dropped.
        let _ = stopped.await;
    }));
    Ok(Counter {
        url: format!("http://{address}"),
        serving: Mutex::new(Some((stop, serving))),
    })
}

impl Models for InHouse {
    fn call<'a>(
        &'a self,
        request: ModelRequest,
        on_text: &'a (dyn Fn(&str) + Send + Sync),
    ) -> Boxed<'a, Result<ModelReply, ModelError>> {
        Box::pin(async move {
            let desk = self.desk().await.map_err(|error| ModelError::Unavailable {
                provider: "the gateway".to_owned(),
                detail: error.to_string(),
            })?;
            desk.gateway.call(request, on_text).await
        })
    }
}

impl Switchboard for InHouse {
    fn open(&self, caller: Caller, stand_in: Option<String>) -> Boxed<'_, Result<Access, String>> {
        Box::pin(async move { self.let_in(caller, stand_in).await.map_err(|e| e.to_string()) })
    }
}
