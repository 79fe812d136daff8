use super::{Gallery, Shown, graph, tag};
use crate::host::Standing;
use maestria_api::run::{Action, RunView};
use maestria_kernel::{
    Command, Run, RunId, decide,
    progress::progress,
    request::Request,
    workflow::{Limits, Stage, Workflow},
};
use serde_json::Value;
use uuid::Uuid;

const IDLE: Standing = Standing {
    driven: false,
    queued: false,
};
const QUEUED: Standing = Standing {
    driven: false,
    queued: true,
};
const DRIVEN: Standing = Standing {
    driven: true,
    queued: false,
};

fn take(run: &mut Run, command: &Command) {
    for event in decide(run, command, crate::now()).unwrap() {
        run.apply(&event, crate::now());
    }
}

fn submitted() -> Run {
    let mut run = Run::blank(RunId::new(Uuid::from_u128(7)));
    let request = Request {
        text: "Add a flag".to_owned(),
        target: "/src/app".to_owned(),
        workspace: "/sessions/1".to_owned(),
        workflow: Workflow {
            name: "develop".to_owned(),
            description: String::new(),
            stages: vec![Stage::Plan, Stage::Edit],
            reviews_existing: false,
            limits: Limits::default(),
        },
        agents: Vec::new(),
        budget: None,
        shares: Vec::new(),
        by: "test".to_owned(),
    };
    take(
        &mut run,
        &Command::Submit {
            request: Box::new(request),
        },
    );
    run
}

fn aborted() -> Run {
    let mut run = submitted();
    let by = "test".to_owned();
    take(
        &mut run,
        &Command::Abort {
            by,
            because: String::new(),
        },
    );
    assert!(run.state.is_finished());
    run
}

#[test]
fn the_whole_answer_is_what_the_documented_type_is() {
    let run = aborted();
    let shown = Shown::new(&run);
    let (_, body) = shown.whole(&run, 42, DRIVEN).unwrap();
    let line = shown.line(DRIVEN);
    let view = RunView {
        progress: progress(&run, crate::now()),
        graph: graph::lay_out(&run),
        estimate: None,
        number: 42,
        driven: true,
        actions: line.actions.clone(),
        line,
        run,
    };
    let told: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(told, serde_json::to_value(&view).unwrap());
}

#[test]
fn the_same_answer_has_the_same_tag_and_another_another() {
    let run = aborted();
    let shown = Shown::new(&run);
    let whole = |number, standing| shown.whole(&run, number, standing).unwrap();
    let first = whole(42, IDLE);
    assert_eq!(first, whole(42, IDLE));
    let others = [whole(43, IDLE), whole(42, DRIVEN)];
    for (tag, body) in &others {
        assert!(*tag != first.0 && *body != first.1, "{tag}");
    }
    assert_eq!(whole(42, IDLE), first, "also after another one");
    assert_ne!(tag(&(1, 2)), tag(&(2, 1)));
}

#[test]
fn a_run_that_waits_for_a_place_is_told_so_and_is_not_taken_up_by_hand() {
    let shown = Shown::new(&submitted());
    let line = shown.line(QUEUED);
    assert_eq!((line.row.state.as_str(), line.driven), ("queued", false));
    assert!(
        !line.actions.contains(&Action::Resume) && line.actions.contains(&Action::Abort),
        "{line:?}"
    );
    let left = shown.line(IDLE);
    assert_eq!(left.row.state, "planning");
    assert!(left.actions.contains(&Action::Resume), "nobody drives it");
    assert!(!shown.line(DRIVEN).actions.contains(&Action::Resume));
    assert_eq!(Shown::new(&aborted()).line(QUEUED).row.state, "aborted");
}

#[test]
fn what_is_kept_is_shown_until_the_run_moves() {
    use crate::stream::{rows::Rows, view::Views};
    use maestria_engine::row;
    use maestria_kernel::port::{Batch, Store as _, Stored};
    use maestria_store::MemoryStore;
    use std::sync::Arc;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let log = MemoryStore::new();
        let rows = Arc::new(Rows::new(Arc::new(log.clone())));
        let views = Views::new(Arc::new(log.clone()), rows);
        let gallery = Gallery::default();
        let mut run = Run::blank(RunId::new(Uuid::from_u128(7)));
        let mut add = async |command: Command| {
            let (after, mut events) = (run.seq, Vec::new());
            for event in decide(&run, &command, crate::now()).unwrap() {
                let at = crate::now();
                run.apply(&event, at);
                events.push(Stored {
                    seq: run.seq,
                    at,
                    event,
                });
            }
            let batch = Batch {
                after,
                events,
                row: Some(row(&run)),
                ..Batch::default()
            };
            log.commit(run.id, batch).await.unwrap();
            run.id
        };
        let request = submitted().request.as_deref().unwrap().clone();
        let id = add(Command::Submit {
            request: Box::new(request),
        })
        .await;
        let show = async || gallery.run(&views.get(id).await.unwrap().unwrap());
        let first = show().await;
        assert!(Arc::ptr_eq(&first, &show().await));
        add(Command::Abort {
            by: "test".to_owned(),
            because: String::new(),
        })
        .await;
        assert_eq!(show().await.line(IDLE).row.state, "aborted");
    });
}
