//! The names of attributes: OpenTelemetry's semantic conventions 1.41.0, of which those for generative AI are still in
//! development, and our own below `maestria.`. A rename there is a change here and nowhere else.

/// What the names below mean.
pub(super) const SCHEMA: &str = "https://opentelemetry.io/schemas/1.41.0";

pub(super) mod gen_ai {
    pub(crate) const OPERATION: &str = "gen_ai.operation.name";
    pub(crate) const PROVIDER: &str = "gen_ai.provider.name";
    pub(crate) const REQUEST_MODEL: &str = "gen_ai.request.model";
    pub(crate) const RESPONSE_MODEL: &str = "gen_ai.response.model";
    pub(crate) const RESPONSE_ID: &str = "gen_ai.response.id";
    pub(crate) const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
    /// In seconds.
    pub(crate) const FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
    pub(crate) const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
    pub(crate) const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
    pub(crate) const CACHE_READ_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
    pub(crate) const CACHE_WRITTEN_TOKENS: &str = "gen_ai.usage.cache_creation.input_tokens";
    pub(crate) const REASONING_TOKENS: &str = "gen_ai.usage.reasoning.output_tokens";
    pub(crate) const CONVERSATION: &str = "gen_ai.conversation.id";
    pub(crate) const AGENT_NAME: &str = "gen_ai.agent.name";
    pub(crate) const TOOL_NAME: &str = "gen_ai.tool.name";
    pub(crate) const WORKFLOW_NAME: &str = "gen_ai.workflow.name";
    /// Only where contents are asked for.
    pub(crate) const TOOL_ARGUMENTS: &str = "gen_ai.tool.call.arguments";
    /// Only where contents are asked for.
    pub(crate) const TOOL_RESULT: &str = "gen_ai.tool.call.result";

    /// Values of [`OPERATION`].
    pub(crate) const CHAT: &str = "chat";
    pub(crate) const INVOKE_WORKFLOW: &str = "invoke_workflow";
    pub(crate) const INVOKE_AGENT: &str = "invoke_agent";
    pub(crate) const EXECUTE_TOOL: &str = "execute_tool";
}

pub(super) const ERROR_TYPE: &str = "error.type";
pub(super) const HTTP_METHOD: &str = "http.request.method";
pub(super) const HTTP_ROUTE: &str = "http.route";
pub(super) const HTTP_STATUS: &str = "http.response.status_code";
pub(super) const SERVICE_NAME: &str = "service.name";
pub(super) const SERVICE_VERSION: &str = "service.version";

pub(super) mod maestria {
    pub(crate) const RUN: &str = "maestria.run.id";
    pub(crate) const RUN_STATE: &str = "maestria.run.state";
    /// The how manieth time the run was begun again, from 1.
    pub(crate) const REOPENED: &str = "maestria.run.reopened";
    pub(crate) const PROJECT: &str = "maestria.project";
    pub(crate) const TASK: &str = "maestria.task.id";
    pub(crate) const TASK_KEY: &str = "maestria.task.key";
    pub(crate) const TASK_KIND: &str = "maestria.task.kind";
    pub(crate) const TASK_STATE: &str = "maestria.task.state";
    pub(crate) const ATTEMPT: &str = "maestria.attempt";
    pub(crate) const ATTEMPTS: &str = "maestria.attempts";
    pub(crate) const VERDICT: &str = "maestria.verdict";
    pub(crate) const REVIEW_TRIGGER: &str = "maestria.review.trigger";
    pub(crate) const REVIEW_ROUND: &str = "maestria.review.round";
    pub(crate) const REVIEW_INDEPENDENT: &str = "maestria.review.independent";
    pub(crate) const FINDINGS: &str = "maestria.findings";
    pub(crate) const CHECKS_PASSED: &str = "maestria.checks.passed";
    pub(crate) const DECISION: &str = "maestria.decision.id";
    pub(crate) const DECISION_ABOUT: &str = "maestria.decision.about";
    pub(crate) const DECISION_CHOICE: &str = "maestria.decision.choice";
    /// What a worker has violated: a policy's rule, or a limit.
    pub(crate) const RULE: &str = "maestria.rule";
    /// Which budget was short, with the amounts.
    pub(crate) const BUDGET: &str = "maestria.budget";
    /// In dollars.
    pub(crate) const COST: &str = "maestria.cost";
    pub(crate) const ROUTE_REASON: &str = "maestria.route.reason";
    pub(crate) const CLIENT: &str = "maestria.client";
    pub(crate) const CACHE: &str = "maestria.cache";
    pub(crate) const RETRIES: &str = "maestria.retries";
    pub(crate) const WAITED: &str = "maestria.rate_limit.wait";
    pub(crate) const SCRIPTED: &str = "maestria.scripted";
    /// Only where contents are asked for.
    pub(crate) const TEXT: &str = "maestria.text";
}
