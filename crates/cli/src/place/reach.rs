//! Which server is meant, and the token it is shown.

use crate::{command::Failure, exit::Exit};
use clap::Args;
use maestria_api::client::{Access, Client};
use maestria_server::{Config, Sources, http::own_token};
use std::path::{Path, PathBuf};

const SERVER: &str = "MAESTRIA_SERVER";
const TOKEN: &str = "MAESTRIA_TOKEN";

/// How a server is reached.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "A server elsewhere")]
pub(crate) struct Reach {
    /// Ask the server at this address instead of this machine (also: MAESTRIA_SERVER).
    #[arg(long, global = true, value_name = "URL")]
    server: Option<String>,
    /// Its token (also: MAESTRIA_TOKEN); that of this machine's own server is known.
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificates (PEM) of who signed the server's, instead of those that this system trusts.
    #[arg(long, global = true, value_name = "FILE")]
    server_ca: Option<PathBuf>,
    /// Speak http to another machine, because the way there is safe.
    #[arg(long, global = true)]
    allow_plain_http: bool,
}

impl Reach {
    /// The server that is meant, if one is.
    pub(crate) fn server(&self, sources: &Sources) -> Option<String> {
        let named = self.server.as_deref().or_else(|| sources.var(SERVER));
        named.map(|server| server.trim_end_matches('/').to_owned())
    }

    /// What to do to ask this machine.
    pub(crate) fn how_to_stay(&self) -> &'static str {
        match self.server {
            Some(_) => "leave `--server` out to do it on this machine",
            None => "MAESTRIA_SERVER is set; `MAESTRIA_SERVER= maestria …` does it on this machine",
        }
    }

    /// A client of that server; `None` when this machine is meant.
    pub(crate) fn client(&self, sources: &Sources) -> Result<Option<Client>, Failure> {
        let Some(server) = self.server(sources) else {
            return self.is_complete().map(|()| None);
        };
        // The address is looked at before the token: nothing is read for one that is wrong.
        let mut access = Access {
            server,
            token: String::new(),
            authority: self.server_ca.clone(),
            allow_plain: self.allow_plain_http,
        };
        access.check()?;
        access.token = self.token(&access.server, sources)?;
        maestria_secrets::know(TOKEN, &access.token);
        Ok(Some(Client::new(&access)?))
    }

    fn is_complete(&self) -> Result<(), Failure> {
        let given = [
            ("--token-file", self.token_file.is_some()),
            ("--server-ca", self.server_ca.is_some()),
            ("--allow-plain-http", self.allow_plain_http),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((name, _)) => Err(Failure {
                exit: Exit::Usage,
                ..Failure::user(
                    format!("`{name}` says how a server is reached, and none is named"),
                    "`--server URL` or MAESTRIA_SERVER names it",
                )
            }),
            None => Ok(()),
        }
    }

    fn token(&self, server: &str, sources: &Sources) -> Result<String, Failure> {
        if let Some(path) = &self.token_file {
            return read(path);
        }
        if let Some(token) = sources.var(TOKEN) {
            return Ok(token.trim().to_owned());
        }
        // A configuration that cannot be read has nothing to do with a server elsewhere.
        let own = Config::load(sources).ok().and_then(|config| own_token(&config, server));
        own.ok_or_else(|| Failure {
            exit: Exit::Access,
            ..Failure::user(
                format!("there is no token for {server}"),
                "`--token-file FILE` or MAESTRIA_TOKEN gives it; on the server's machine, \
                 `maestria token issue --name NAME --role operator` makes one",
            )
        })
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    let wrong = |why: String| {
        let what = format!("the token file {} cannot be used: {why}", path.display());
        Failure::user(
            what,
            "it holds the token and nothing else, as `maestria token show` prints it",
        )
    };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    match text.trim() {
        "" => Err(wrong("it is empty".to_owned())),
        token => Ok(token.to_owned()),
    }
}
