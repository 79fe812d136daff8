use super::{Roster, Worker};
use maestria_kernel::{
    agent::{Agent, Role, Vendor},
    id::{AgentName, TaskId},
    outcome::{Outcome, Verdict},
    port::{Agents, Boxed, Control, Observer, ReviewJob, TaskJob},
    review::Opinion,
};
use std::sync::{Arc, Mutex};

/// A worker that only notes what it is told.
struct Noting {
    name: AgentName,
    told: Mutex<Vec<Control>>,
}

impl Noting {
    fn new(name: &str) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            told: Mutex::default(),
        })
    }
}

impl Worker for Noting {
    fn name(&self) -> &AgentName {
        &self.name
    }

    fn probe(&self) -> Boxed<'_, Agent> {
        Box::pin(async {
            Agent {
                name: self.name.clone(),
                vendor: Vendor::Claude,
                roles: vec![Role::Editor],
                transport: "none".to_owned(),
                version: None,
                unusable: None,
                scripted: false,
            }
        })
    }

    fn perform<'a>(&'a self, _: TaskJob, _: &'a dyn Observer) -> Boxed<'a, Outcome> {
        Box::pin(async { Outcome::bare(Verdict::Completed, self.name.as_str()) })
    }

    fn review<'a>(&'a self, _: ReviewJob, _: &'a dyn Observer) -> Boxed<'a, Opinion> {
        Box::pin(async {
            Opinion {
                verdict: None,
                text: self.name.to_string(),
                findings: Vec::new(),
            }
        })
    }

    fn control(&self, _: TaskId, control: Control) -> Boxed<'_, ()> {
        Box::pin(async move {
            self.told.lock().unwrap().push(control);
        })
    }
}

fn names(agents: &[Agent]) -> Vec<&str> {
    agents.iter().map(|a| a.name.as_str()).collect()
}

#[tokio::test]
async fn probes_in_the_asked_order_and_leaves_out_who_is_not_configured() {
    let roster = Roster::new(vec![Noting::new("a"), Noting::new("b"), Noting::new("a")]);
    assert_eq!(names(&roster.probe(&[]).await), ["a", "b"]);
    let only: Vec<AgentName> = ["b", "zzz", "a"].map(AgentName::from).to_vec();
    assert_eq!(names(&roster.probe(&only).await), ["b", "a"]);
}

#[tokio::test]
async fn control_reaches_every_worker() {
    let (a, b) = (Noting::new("a"), Noting::new("b"));
    let roster = Roster::new(vec![a.clone(), b.clone()]);
    roster.control(TaskId::new(uuid::Uuid::nil()), Control::Freeze).await;
    assert_eq!(*a.told.lock().unwrap(), [Control::Freeze]);
    assert_eq!(*b.told.lock().unwrap(), [Control::Freeze]);
}
