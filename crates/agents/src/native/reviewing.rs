//! How a native agent judges a change.

use super::{
    tools::{Bench, offered},
    turns::Partner,
};
use crate::outcome::report::replace;
use maestria_kernel::{
    finding::Finding,
    port::ReviewJob,
    review::{MOST_WORDS, Opinion, ReviewVerdict},
};
use serde::Deserialize;
use std::path::Path;

/// JSON Schema of a verdict.
pub(super) const SCHEMA: &str = include_str!("../../../../schemas/review.json");

#[derive(Deserialize)]
struct Answer {
    verdict: ReviewVerdict,
    #[serde(default)]
    text: String,
    #[serde(default)]
    findings: Vec<Finding>,
}

pub(super) async fn judge(partner: &Partner<'_>, bench: &mut Bench<'_>, job: &ReviewJob) -> Opinion {
    let prompt = prompt(job);
    keep(&job.artefacts, "prompt.md", &prompt);
    keep(&job.artefacts, "diff.patch", &job.diff);
    let answer = match partner.converse(bench, &offered(true), prompt.clone()).await {
        Ok(answer) => answer,
        Err(stopped) => return none(stopped.reason),
    };
    keep(&job.artefacts, "answer.txt", &answer);
    let opinion = match parse(&answer) {
        Some(opinion) => opinion,
        None => again(partner, bench, &prompt, &answer).await,
    };
    if let Err(error) = replace(&job.artefacts, "verdict.json", &opinion) {
        tracing::warn!(%error, "a review's verdict could not be kept");
    }
    opinion
}

/// A second chance for an answer that cannot be read: only its form is asked for again.
async fn again(partner: &Partner<'_>, bench: &Bench<'_>, prompt: &str, answer: &str) -> Opinion {
    let Ok(schema) = serde_json::from_str(SCHEMA) else {
        return none("the review's schema is damaged".to_owned());
    };
    let prompt = format!("{prompt}\n\nYour judgement was:\n{answer}\n\nGive it as JSON of the schema.");
    match partner.ask_json(bench, prompt, schema).await {
        Ok(text) => parse(&text).unwrap_or_else(|| none("the answer is no verdict".to_owned())),
        Err(stopped) => none(stopped.reason),
    }
}

fn none(text: String) -> Opinion {
    Opinion {
        verdict: None,
        text,
        findings: Vec::new(),
    }
}

fn prompt(job: &ReviewJob) -> String {
    let report = if job.report.is_empty() { "(none)" } else { &job.report };
    format!(
        "{}\n\nThe author's report:\n{report}\n\nThe change (it is checked out where your tools look):\n```diff\n{}\n```",
        job.purpose, job.diff
    )
}

/// Reads a verdict from an answer: the JSON object in it, whatever stands around.
fn parse(answer: &str) -> Option<Opinion> {
    let (start, end) = (answer.find('{')?, answer.rfind('}')?);
    let parsed: Answer = serde_json::from_str(answer.get(start..=end)?).ok()?;
    let words: Vec<&str> = parsed.text.split_whitespace().collect();
    let text = if words.len() > MOST_WORDS {
        format!("{} …", words[..MOST_WORDS].join(" "))
    } else {
        parsed.text
    };
    Some(Opinion {
        verdict: Some(parsed.verdict),
        text,
        findings: parsed.findings,
    })
}

fn keep(folder: &Path, name: &str, text: &str) {
    let text = maestria_secrets::funnel().clean(text).into_owned();
    let kept = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(folder.join(name), text));
    if let Err(error) = kept {
        tracing::warn!(%error, name, "an artefact of a review could not be kept");
    }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use maestria_kernel::review::ReviewVerdict;

    #[test]
    fn verdicts_are_found_in_prose_and_cut() {
        let answer = "Here:\n```json\n{\"verdict\":\"request_changes\",\"text\":\"mend it\",\"findings\":[{\"severity\":\"blocking\",\"file\":\"a\",\"line\":3,\"message\":\"m\"}]}\n```";
        let opinion = parse(answer).unwrap();
        assert_eq!(opinion.verdict, Some(ReviewVerdict::RequestChanges));
        assert_eq!(opinion.findings[0].to_string(), "blocking: a:3: m");
        let long = format!("{{\"verdict\":\"approve\",\"text\":\"{}\"}}", "w ".repeat(500));
        assert!(parse(&long).unwrap().text.split_whitespace().count() <= 201);
        assert!(parse("looks good").is_none());
        assert!(parse("{\"verdict\":\"maybe\"}").is_none());
    }
}
