//! Generated scripts beside bash: where a program got words that need a person, the policy asked, or blocked.

use super::{
    dice,
    grammar::{Grammar, RUNNERS},
    oracle::{self, Ran},
    times::Times,
};
use maestria_sandbox::{
    Tier,
    policy::{CommandPolicy, Level, Verdict},
};
use std::{collections::HashMap, fmt, time::Instant};

/// Scripts that one sandbox runs, one after the other.
const BATCH: usize = 250;
/// Batches at a time: scripts wait more than they work.
const LANES: usize = 8;

/// What came of the scripts.
#[derive(Debug, Default)]
struct Tally {
    scripts: usize,
    /// Started something that the policy blocks, or asks about: and the script was blocked, or asked about.
    caught: usize,
    /// The same, and it was let through.
    lax: Vec<String>,
    /// Started nothing of the kind, though it would in other circumstances or only mentions it.
    harmless: usize,
    /// Of those, what was not let through.
    stopped: usize,
    times: Times,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} scripts: {} caught, {} let through; {} did nothing in bash ({} stopped all the same)",
            self.scripts,
            self.caught,
            self.lax.len(),
            self.harmless,
            self.stopped,
        )
    }
}

/// The verdicts on words that programs got.
#[derive(Default)]
struct OnWords(HashMap<Vec<String>, Level>);

impl OnWords {
    fn worst(&mut self, ran: &Ran) -> Level {
        // A runner's inner program is seen by itself; alone, a shell under it would seem to lack its script.
        let programs = ran.iter().filter(|words| !RUNNERS.contains(&words[0].as_str()));
        let levels = programs.map(|words| {
            *self.0.entry(words.clone()).or_insert_with(|| {
                let quoted: Vec<String> = words.iter().map(|word| super::spelling::single(word)).collect();
                CommandPolicy::built_in().judge(&quoted.join(" ")).level
            })
        });
        levels.max().unwrap_or(Level::Allow)
    }
}

fn lets_through(level: Level) -> bool {
    level <= Level::Monitor
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_bash_runs_gets_past_the_policy() {
    if Tier::best() != Tier::Namespace {
        eprintln!("SKIPPED: no namespaces here, so scripts by chance have no sandbox to run in");
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "CI must be able to make namespaces"
        );
        return;
    }
    let scripts: usize = dice::from_environment("MAESTRIA_POLICY_SCRIPTS").unwrap_or(1_500);
    let seed: u64 = dice::from_environment("MAESTRIA_POLICY_SEED").unwrap_or(1);
    let batches = scripts.div_ceil(BATCH);
    let lanes: Vec<_> = (0..LANES)
        .map(|lane| tokio::spawn(run_lane(seed, (lane..batches).step_by(LANES).collect())))
        .collect();
    let mut whole = Tally::default();
    for lane in lanes {
        let tally = lane.await.unwrap();
        whole.scripts += tally.scripts;
        whole.caught += tally.caught;
        whole.harmless += tally.harmless;
        whole.stopped += tally.stopped;
        whole.lax.extend(tally.lax);
        whole.times.extend(tally.times);
    }
    println!("{whole}\ndecisions: {}", whole.times.told());
    assert!(
        whole.caught * 4 > whole.scripts,
        "too few of the scripts do anything: {whole}"
    );
    assert!(whole.lax.is_empty(), "{whole}\n{}", whole.lax.join("\n"));
}

async fn run_lane(seed: u64, batches: Vec<usize>) -> Tally {
    let (mut tally, mut on_words) = (Tally::default(), OnWords::default());
    for batch in batches {
        let numbers = (batch * BATCH) as u64..((batch + 1) * BATCH) as u64;
        let seeds: Vec<u64> = numbers.map(|number| (seed << 32) + number).collect();
        let scripts: Vec<String> = seeds.iter().map(|seed| Grammar::new(*seed).script()).collect();
        let ran = oracle::run(&scripts).await;
        for ((seed, script), ran) in seeds.iter().zip(&scripts).zip(&ran) {
            let begun = Instant::now();
            let verdict = CommandPolicy::built_in().judge(script);
            tally.times.add(begun.elapsed());
            let worst = on_words.worst(ran);
            tally.count(*seed, script, &verdict, worst, ran);
        }
    }
    tally
}

impl Tally {
    fn count(&mut self, seed: u64, script: &str, verdict: &Verdict, worst: Level, ran: &Ran) {
        self.scripts += 1;
        match (lets_through(worst), lets_through(verdict.level)) {
            (false, false) => self.caught += 1,
            (false, true) => self.lax.push(format!(
                "---- seed {seed}: {} although {} ran: {ran:?}\n{script}",
                verdict.level.word(),
                worst.word()
            )),
            (true, let_through) => {
                self.harmless += 1;
                self.stopped += usize::from(!let_through);
            }
        }
    }
}
