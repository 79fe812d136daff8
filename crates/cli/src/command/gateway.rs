//! `maestria gateway`: serves models to others until it is told to stop.

use super::{Context, Done, Failure};
use crate::exit::Exit;
use clap::Args as ClapArgs;
use maestria_server::gateway::Listening;
use std::{net::SocketAddr, sync::Arc};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, ClapArgs)]
pub(crate) struct Gateway {
    /// Where to listen, instead of `listen` of [gateway]; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

pub(super) async fn execute(context: &Context, args: Gateway) -> Done {
    let config = context.config()?;
    if config.providers.is_empty() {
        return Err(Failure::user(
            "no model provider is configured, so the gateway has nobody to ask",
            "add a [providers.NAME] table; `maestria config init` writes a file with an example",
        ));
    }
    let on_alert = Arc::new(|alert: &maestria_server::gateway::Alert| {
        eprintln!("alert: {alert}; `maestria budget` shows it");
    });
    let gateway = Listening::open(&config, args.listen, on_alert).await?;
    for (account, cost) in &gateway.absorbed {
        eprintln!(
            "note: a gateway died with {cost} of {} held; that counts as spent",
            account.scope
        );
    }
    let who = match config.gateway.auth.as_str() {
        "keys" => "clients need a key: `maestria keys create`",
        "token" => "clients need the token in the file gateway.token beside the database",
        _ => "anybody on this machine may ask: `auth` of [gateway] is \"none\"",
    };
    eprintln!("{who}");
    println!("http://{}", gateway.address()?);
    let mut terminate = signal(SignalKind::terminate())?;
    gateway
        .run(async move {
            tokio::select! {
                // An error means that no signal can be heard; the other one is left.
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        })
        .await;
    Ok(Exit::Ok)
}
