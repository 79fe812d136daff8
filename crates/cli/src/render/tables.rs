//! Lists: runs, agents, the doctor's findings.

use super::{Paint, clean, fit, span};
use maestria_api::meta::{DoctorLine, Level};
use maestria_kernel::{At, agent::Agent, port::RunRow};
use std::fmt::Write as _;

/// All runs, a line each.
pub(crate) fn runs(rows: &[RunRow], now: At, paint: Paint) -> String {
    if rows.is_empty() {
        return "no runs yet; `maestria demo` shows one, `maestria run \"…\"` starts yours".to_owned();
    }
    let mut out = String::new();
    for row in rows {
        let age = span(now.since(row.created_at));
        let asks = if row.decisions > 0 {
            paint.warn(&format!(" {} decisions wait", row.decisions))
        } else {
            String::new()
        };
        let script = if row.scripted { " [scripted]" } else { "" };
        let work = if row.work == "pending" {
            String::new()
        } else {
            format!(" {}", row.work)
        };
        let _ = writeln!(
            out,
            "{}  {:<10} {:>3} %  {:>7} ago  {:>8}  {}{script}{work}{asks}",
            row.id.short(),
            row.state,
            row.percent,
            age,
            row.usage.cost,
            fit(&clean(&row.text), 60)
        );
    }
    out.trim_end().to_owned()
}

/// Agents with what they can do and why not.
pub(crate) fn agents(agents: &[Agent], paint: Paint) -> String {
    let mut out = String::new();
    for agent in agents {
        let state = match &agent.unusable {
            None => paint.good("ready"),
            Some(why) => paint.warn(&format!("not usable: {}", clean(why))),
        };
        let version = agent
            .version
            .as_deref()
            .map(|v| format!(" {}", clean(v)))
            .unwrap_or_default();
        let script = if agent.scripted { " [scripted]" } else { "" };
        let _ = writeln!(out, "{:<20} {}{version}{script}  {state}", agent.name, agent.transport);
    }
    if agents.is_empty() {
        out.push_str("no agent is configured; see `maestria config init`");
    }
    out.trim_end().to_owned()
}

/// The doctor's findings, each with what to do.
pub(crate) fn doctor(lines: &[DoctorLine], paint: Paint) -> String {
    let mut out = String::new();
    for line in lines {
        let level = match line.level {
            Level::Ok => paint.good("ok  "),
            Level::Warn => paint.warn("warn"),
            Level::Fail => paint.bad("fail"),
        };
        let _ = writeln!(out, "{level}  {:<22} {}", clean(&line.what), clean(&line.detail));
        if let Some(fix) = &line.fix {
            let _ = writeln!(out, "      {:<22} {}", "", paint.dim(&format!("→ {}", clean(fix))));
        }
    }
    out.trim_end().to_owned()
}
