//! What of this machine works, what does not, and what to do about it.

use crate::{
    app::{self, App, Options},
    config::{Config, Sources},
};
use maestria_api::meta::{DoctorLine, Level};
use maestria_kernel::At;
use std::path::Path;

fn line(level: Level, what: &str, detail: impl Into<String>, fix: Option<&str>) -> DoctorLine {
    DoctorLine {
        level,
        what: what.to_owned(),
        detail: detail.into(),
        fix: fix.map(str::to_owned),
    }
}

/// Looks at everything a run needs.
pub async fn doctor(sources: &Sources) -> Vec<DoctorLine> {
    let mut lines = vec![git().await];
    let config = match Config::load(sources) {
        Ok(config) => {
            lines.push(line(
                Level::Ok,
                "configuration",
                sources.path().display().to_string(),
                None,
            ));
            config
        }
        Err(error) => {
            lines.push(line(
                Level::Fail,
                "configuration",
                error.to_string(),
                Some("mend what is named"),
            ));
            return lines;
        }
    };
    lines.push(disk(&config.workspaces));
    lines.push(clock(app::now()));
    lines.extend(sandbox().await);
    match App::open(config, Options::default()).await {
        Ok(app) => {
            lines.push(line(
                Level::Ok,
                "database",
                app.config.store.display().to_string(),
                None,
            ));
            lines.extend(agents(&app).await);
        }
        Err(error) => lines.push(line(Level::Fail, "database", error.to_string(), None)),
    }
    lines
}

async fn git() -> DoctorLine {
    let mut command = tokio::process::Command::new("git");
    command.arg("--version").stdin(std::process::Stdio::null());
    match command.output().await {
        Ok(output) if output.status.success() => judge_git(String::from_utf8_lossy(&output.stdout).trim()),
        Ok(_) | Err(_) => line(
            Level::Fail,
            "git",
            "not found",
            Some("install git (Debian: apt install git)"),
        ),
    }
}

/// Changes are merged by `git merge-tree --write-tree`, which is there since 2.38.
fn judge_git(version: &str) -> DoctorLine {
    let numbers = version
        .split_whitespace()
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    let mut parts = numbers
        .unwrap_or_default()
        .split('.')
        .map_while(|part| part.parse::<u32>().ok());
    match (parts.next(), parts.next()) {
        (Some(major), Some(minor)) if (major, minor) < (2, 38) => line(
            Level::Fail,
            "git",
            format!("{version} is too old to merge without a worktree"),
            Some("install git 2.38 or newer"),
        ),
        _ => line(Level::Ok, "git", version, None),
    }
}

fn disk(folder: &Path) -> DoctorLine {
    let exists = folder.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(exists) {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize) >> 20;
            let detail = format!("{free} MiB free at {}", exists.display());
            match free {
                0..200 => line(
                    Level::Fail,
                    "disk",
                    detail,
                    Some("free some space: every task has a worktree"),
                ),
                200..2000 => line(Level::Warn, "disk", detail, Some("large repositories need more")),
                _ => line(Level::Ok, "disk", detail, None),
            }
        }
        Err(error) => line(Level::Warn, "disk", error.to_string(), None),
    }
}

/// Ids sort by time and decisions expire, so a clock that is far off is worth a word.
fn clock(now: At) -> DoctorLine {
    // 2026-01-01; no machine that runs this lives before it.
    if now.0 < 1_767_225_600_000 {
        line(
            Level::Warn,
            "clock",
            "the clock stands before 2026",
            Some("set it: ids and expiries follow it"),
        )
    } else {
        line(Level::Ok, "clock", "plausible", None)
    }
}

/// Every ability of the sandbox, found by trying it.
async fn sandbox() -> Vec<DoctorLine> {
    let Ok(abilities) = tokio::task::spawn_blocking(maestria_sandbox::probe).await else {
        return Vec::new();
    };
    let told = |(name, ability): (&'static str, &maestria_sandbox::Ability)| {
        let level = if ability.works { Level::Ok } else { Level::Warn };
        let fix = if ability.works {
            None
        } else {
            ability.fix.map(str::to_owned)
        };
        DoctorLine {
            level,
            what: name.to_owned(),
            detail: ability.finding.clone(),
            fix,
        }
    };
    let mut lines: Vec<DoctorLine> = abilities.each().into_iter().map(told).collect();
    lines.push(walls().await);
    lines
}

/// Whether workers are walled in here: a worker that does nothing is started and looked at.
async fn walls() -> DoctorLine {
    let fix = "`maestria sandbox doctor` shows every layer";
    match maestria_sandbox::standing().await {
        Ok(standing) if standing.missing.is_empty() => line(Level::Ok, "sandbox", "all layers were proved", None),
        Ok(standing) => {
            let detail = format!("{} missing; workers that need them are not started", standing.missing);
            line(Level::Warn, "sandbox", detail, Some(fix))
        }
        Err(error) => line(Level::Warn, "sandbox", error.to_string(), Some(fix)),
    }
}

/// Where the program of a configured agent lies: ` at /usr/bin/codex`.
fn place(app: &App, agent: &str) -> String {
    let Some(program) = app.config.agents.get(agent).and_then(|table| table.command.first()) else {
        return String::new();
    };
    let search = std::env::var_os("PATH").unwrap_or_default();
    let found = match program.contains('/') {
        true => Some(program.into()),
        false => std::env::split_paths(&search)
            .map(|folder| folder.join(program))
            .find(|path| path.is_file()),
    };
    found.map_or_else(String::new, |path: std::path::PathBuf| {
        format!(" at {}", path.display())
    })
}

async fn agents(app: &App) -> Vec<DoctorLine> {
    let agents = app.engine.ports().agents.probe(&[]).await;
    let mut lines: Vec<DoctorLine> = agents
        .iter()
        .map(|agent| {
            let version = agent.version.clone().unwrap_or_default();
            match &agent.unusable {
                None => {
                    let detail = format!("{} {version}{}", agent.transport, place(app, agent.name.as_str()));
                    line(Level::Ok, agent.name.as_str(), detail.trim_end(), None)
                }
                Some(why) => line(Level::Warn, agent.name.as_str(), why.clone(), None),
            }
        })
        .collect();
    let tier = maestria_kernel::agent::Tier::of(&agents);
    let level = if tier == maestria_kernel::agent::Tier::Nobody {
        Level::Warn
    } else {
        Level::Ok
    };
    let fix = (level == Level::Warn)
        .then_some("install and log in to a coding agent, or configure a model provider (`maestria config init`); `maestria demo` needs neither");
    lines.push(line(level, "fallback tier", tier.to_string(), fix));
    lines
}

#[cfg(test)]
mod tests {
    use super::{Level, judge_git};

    #[test]
    fn old_git_is_refused() {
        for (version, level) in [
            ("git version 2.47.3", Level::Ok),
            ("git version 2.38.0", Level::Ok),
            ("git version 3.0.1 (Apple Git-145)", Level::Ok),
            ("git version 2.37.9", Level::Fail),
            ("git version 1.9", Level::Fail),
            ("git version next", Level::Ok),
        ] {
            assert_eq!(judge_git(version).level, level, "{version}");
        }
    }
}
