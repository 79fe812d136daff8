//! What is looked for in added lines. The first rule that fits a line speaks for it.

use maestria_kernel::finding::Severity::{self, Blocking, Info, Warning};

/// One thing to look for.
pub(super) struct Rule {
    /// How much it matters.
    pub(super) severity: Severity,
    /// A regular expression.
    pub(super) pattern: &'static str,
    /// The file name extensions that it is for; none: all.
    pub(super) files: &'static [&'static str],
    /// What is wrong and what would mend it.
    pub(super) message: &'static str,
}

const fn rule(
    severity: Severity,
    files: &'static [&'static str],
    pattern: &'static str,
    message: &'static str,
) -> Rule {
    Rule {
        severity,
        pattern,
        files,
        message,
    }
}

const PYTHON: &[&str] = &["py"];
const SCRIPT: &[&str] = &["js", "jsx", "ts", "tsx", "mjs", "cjs", "svelte", "vue"];
const C: &[&str] = &["c", "h", "cc", "cpp", "hpp"];
const SHELL: &[&str] = &["sh", "bash", "yml", "yaml", "Dockerfile", "mk"];

/// In this order.
pub(super) const RULES: &[Rule] = &[
    // Secrets, by the shapes their issuers publish.
    rule(
        Blocking,
        &[],
        r"-----BEGIN (RSA |EC |DSA |OPENSSH |PGP )?PRIVATE KEY",
        "a private key; take it out, and replace the key: it is known now",
    ),
    rule(
        Blocking,
        &[],
        r"\b(AKIA|ASIA)[0-9A-Z]{16}\b",
        "an AWS access key; take it out and revoke it",
    ),
    rule(
        Blocking,
        &[],
        r"\bgh[pousr]_[A-Za-z0-9]{36,}\b|\bgithub_pat_[A-Za-z0-9_]{40,}",
        "a GitHub token; take it out and revoke it",
    ),
    rule(
        Blocking,
        &[],
        r"\bglpat-[A-Za-z0-9_-]{20,}",
        "a GitLab token; take it out and revoke it",
    ),
    rule(
        Blocking,
        &[],
        r"\bsk-ant-[A-Za-z0-9_-]{24,}|\bsk-(proj-)?[A-Za-z0-9]{32,}",
        "a key of a model provider; take it out and revoke it",
    ),
    rule(
        Blocking,
        &[],
        r"\bAIza[0-9A-Za-z_-]{35}\b",
        "a Google API key; take it out and revoke it",
    ),
    rule(
        Blocking,
        &[],
        r"\bxox[abprs]-[A-Za-z0-9-]{20,}",
        "a Slack token; take it out and revoke it",
    ),
    rule(
        Blocking,
        &[],
        r"\bnpm_[A-Za-z0-9]{36}\b",
        "an npm token; take it out and revoke it",
    ),
    rule(
        Blocking,
        &[],
        r"\b(sk|rk)_live_[A-Za-z0-9]{20,}",
        "a live Stripe key; take it out and revoke it",
    ),
    rule(
        Warning,
        &[],
        r#"(?i)\b(password|passwd|secret|api_?key|auth_?token)\b["']?\s*[:=]\s*["'][^"'\s${}<>]{12,}["']"#,
        "this looks like a secret; read it from the environment instead",
    ),
    // Dangerous calls.
    rule(
        Warning,
        PYTHON,
        r"\bshell\s*=\s*True\b|\bos\.(system|popen)\(",
        "a shell gets a string; give an argument list to subprocess instead",
    ),
    rule(
        Warning,
        PYTHON,
        r"\b(pickle|marshal)\.loads?\(|\byaml\.load\((?:[^)]*)$|\byaml\.load\([^)]*\)",
        "reading this executes what is in it; use a safe loader",
    ),
    rule(
        Warning,
        PYTHON,
        r"(^|[^.\w])(eval|exec)\(",
        "text is executed as code; parse it instead",
    ),
    rule(
        Warning,
        PYTHON,
        r"\bverify\s*=\s*False\b|_create_unverified_context",
        "certificates are not checked",
    ),
    rule(
        Warning,
        SCRIPT,
        r"(^|[^.\w])eval\(|\bnew Function\(",
        "text is executed as code; parse it instead",
    ),
    rule(
        Warning,
        SCRIPT,
        r"\.innerHTML\s*=|dangerouslySetInnerHTML|\{@html ",
        "text becomes markup; escape it, or set textContent",
    ),
    rule(
        Warning,
        SCRIPT,
        r"\bexecSync?\(\s*[`'\x22]|rejectUnauthorized\s*:\s*false",
        "a shell gets a string, or certificates are not checked",
    ),
    rule(
        Warning,
        &["go"],
        r"InsecureSkipVerify:\s*true",
        "certificates are not checked",
    ),
    rule(
        Warning,
        &["rs"],
        r"danger_accept_invalid_(certs|hostnames)\(true\)",
        "certificates are not checked",
    ),
    rule(
        Warning,
        &["rs"],
        r"\bunsafe\s*(\{|fn|impl)",
        "unsafe code; say why it is sound, or do without",
    ),
    rule(
        Warning,
        C,
        r"\b(gets|strcpy|strcat|sprintf)\(",
        "writes without a bound; use the function that takes a length",
    ),
    rule(
        Warning,
        C,
        r"\bsystem\(|\bpopen\(",
        "a shell gets a string; use exec with an argument list",
    ),
    rule(
        Warning,
        SHELL,
        r"\b(curl|wget)\b[^|]*\|\s*(sudo\s+)?(ba|z|da)?sh\b",
        "what a server sends is executed unseen; fetch, check, then run",
    ),
    rule(Warning, SHELL, r"\bchmod\s+(-R\s+)?0?777\b", "everybody may write here"),
    rule(
        Warning,
        &[],
        r#"(?i)\b(execute|query|raw)\(\s*(f["']|["'][^"']*["']\s*(\+|%|\.format))"#,
        "SQL is built from strings; use parameters",
    ),
    // What may make it slow.
    rule(
        Info,
        PYTHON,
        r"\btime\.sleep\(",
        "the thread stands still here; is there an event to wait for?",
    ),
    rule(
        Info,
        SCRIPT,
        r"\b(readFileSync|writeFileSync|execSync)\(",
        "this holds everything else up while it runs",
    ),
    rule(
        Info,
        &["rs"],
        r"\bthread::sleep\(",
        "the thread stands still here; is there an event to wait for?",
    ),
    rule(
        Info,
        &[],
        r"(?i)\bselect\s+\*\s+from\b",
        "all columns are read; name the ones that are needed",
    ),
];
