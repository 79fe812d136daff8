//! The machine that the work is on: its agents, configuration, models, money and audit trail.

use super::Place;
use crate::command::Failure;
use maestria_api::{
    audit::{AuditLine, Checked},
    client::AuditQuery,
    meta::{DoctorLine, Settings},
    money::{AdviceTable, Budgets, Models, RouteWish, Routed},
};
use maestria_kernel::{
    At, RunId,
    agent::Agent,
    ledger::{UsageBy, UsageLine, UsageOf},
};
use maestria_server::{
    audit::{self, Wanted},
    configured_agents, doctor, gateway,
};
use std::io::Read as _;

/// Read of the audit trail at once.
const PIECE: usize = 64 << 10;

impl Place {
    /// The configured agents, each with how it is started.
    pub(crate) async fn agents(&self) -> Result<Vec<(String, String)>, Failure> {
        match self {
            Self::Here(here) => Ok(configured_agents(&here.config()?)),
            Self::There(client) => {
                let agents = client.agents().await?.into_iter();
                Ok(agents.map(|agent| (agent.name, agent.how)).collect())
            }
        }
    }

    /// The agents, each started and asked what it is.
    pub(crate) async fn probe(&self) -> Result<Vec<Agent>, Failure> {
        match self {
            Self::Here(here) => Ok(here.app().await?.engine.ports().agents.probe(&[]).await),
            Self::There(client) => Ok(client.probe_agents().await?),
        }
    }

    /// What works and what does not.
    pub(crate) async fn doctor(&self) -> Result<Vec<DoctorLine>, Failure> {
        match self {
            Self::Here(here) => Ok(doctor(&here.sources).await),
            Self::There(client) => Ok(client.doctor().await?),
        }
    }

    /// The configuration in force.
    pub(crate) async fn settings(&self) -> Result<Settings, Failure> {
        match self {
            Self::Here(here) => Ok(here.config()?.settings(&here.sources.path())),
            Self::There(client) => Ok(client.config().await?),
        }
    }

    /// What was used since a moment.
    pub(crate) async fn usage(&self, by: UsageBy, since: At, run: Option<RunId>) -> Result<Vec<UsageLine>, Failure> {
        let run = run.map(|run| run.to_string());
        match self {
            Self::Here(here) => {
                let books = gateway::books(&here.config()?).await?;
                Ok(books.usage(by, UsageOf { since, run }).await?)
            }
            Self::There(client) => Ok(client.usage(by, since, run.as_deref()).await?.items),
        }
    }

    /// What calls since a moment would have cost on other models that did as well.
    pub(crate) async fn advice(&self, since: At) -> Result<AdviceTable, Failure> {
        match self {
            Self::Here(here) => {
                let config = here.config()?;
                let books = gateway::books(&config).await?;
                Ok(gateway::advice(&config, &*books, since).await?)
            }
            Self::There(client) => Ok(client.advice(since).await?),
        }
    }

    /// Limits in force, and what is spent.
    pub(crate) async fn budgets(&self) -> Result<Budgets, Failure> {
        match self {
            Self::Here(here) => {
                let config = here.config()?;
                let books = gateway::books(&config).await?;
                Ok(gateway::budgets(&config, &*books).await?)
            }
            Self::There(client) => Ok(client.budgets().await?),
        }
    }

    /// The models there are.
    pub(crate) async fn models(&self) -> Result<Models, Failure> {
        match self {
            Self::Here(here) => Ok(gateway::models(&here.config()?)?),
            Self::There(client) => Ok(client.models().await?),
        }
    }

    /// Which model would answer; nobody is called.
    pub(crate) async fn route(&self, wish: RouteWish) -> Result<Routed, Failure> {
        match self {
            Self::Here(here) => gateway::route(&here.config()?, wish)
                .map_err(|lost| Failure::user(lost.to_string(), "`maestria models` lists what is configured")),
            Self::There(client) => Ok(client.route(&wish).await?),
        }
    }

    /// The newest entries of the audit trail, oldest first.
    pub(crate) async fn audited(&self, most: u32) -> Result<Vec<AuditLine>, Failure> {
        match self {
            Self::Here(here) => {
                let trail = audit::trail(&here.config()?.store);
                let (mut lines, _) = audit::newest(&trail, &Wanted::default(), u64::MAX, most as usize)?;
                lines.reverse();
                Ok(lines)
            }
            Self::There(client) => {
                let query = AuditQuery {
                    most,
                    ..AuditQuery::default()
                };
                let mut lines = client.audit(&query).await?;
                lines.reverse();
                Ok(lines)
            }
        }
    }

    /// Tells the audit trail as it stands, piece by piece, for as long as more is wanted.
    pub(crate) async fn export_trail(&self, mut tell: impl FnMut(&[u8]) -> bool) -> Result<(), Failure> {
        match self {
            Self::Here(here) => {
                let Some(mut trail) = audit::trail(&here.config()?.store).export()? else {
                    return Ok(());
                };
                let mut piece = vec![0; PIECE];
                loop {
                    let read = trail.read(&mut piece)?;
                    if read == 0 || !tell(&piece[..read]) {
                        return Ok(());
                    }
                }
            }
            Self::There(client) => {
                let mut trail = client.export_audit().await?;
                while let Some(piece) = trail.next().await? {
                    if !tell(&piece) {
                        break;
                    }
                }
                Ok(())
            }
        }
    }

    /// Whether the audit trail is as it was written.
    pub(crate) async fn check_trail(&self) -> Result<Checked, Failure> {
        match self {
            Self::Here(here) => Ok(audit::check(&audit::trail(&here.config()?.store))),
            Self::There(client) => Ok(client.verify_audit().await?),
        }
    }
}
