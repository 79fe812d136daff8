use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::scene::{TIERS, alive_with, eventually, lives, unique_sleep};

/// The `supervise` example, which cargo builds beside the tests.
fn supervise() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples")
        .join("supervise");
    assert!(program.exists(), "cargo builds examples with the tests: {program:?}");
    program
}

fn start(tier: maestria_sandbox::Tier, script: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut product = Command::new(supervise())
        .args([&tier.to_string(), "/bin/sh", "-c", script])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(product.stdout.take().unwrap());
    (product, output)
}

#[tokio::test]
async fn sigkill_of_the_product_leaves_nothing() {
    for tier in TIERS {
        for _ in 0..10 {
            let sleep = unique_sleep();
            let script =
                format!("trap '' INT TERM HUP; (setsid env -i sleep {sleep} &) ; sleep {sleep} & echo ready; wait");
            let (mut product, mut output) = start(tier, &script);
            let mut lines = String::new();
            while !lines.contains("ready") {
                assert!(output.read_line(&mut lines).unwrap() > 0, "product talks: {lines}");
            }
            let keeper = lines.split(' ').nth(1).unwrap().parse().unwrap();
            eventually("both sleep", || alive_with(&format!("sleep\0{sleep}")).len() >= 2).await;
            product.kill().unwrap();
            product.wait().unwrap();
            eventually("everything is gone", || alive_with(&sleep).is_empty() && !lives(keeper)).await;
        }
    }
}

#[tokio::test]
async fn sigkill_at_any_moment_of_a_start_leaves_nothing() {
    for tier in TIERS {
        for round in 0..40_u32 {
            let sleep = unique_sleep();
            let (mut product, _output) = start(tier, &format!("sleep {sleep} & exec sleep {sleep}"));
            // A different moment each round, from before the fork to after the exec.
            tokio::time::sleep(std::time::Duration::from_micros(u64::from(round) * 250)).await;
            product.kill().unwrap();
            product.wait().unwrap();
            eventually("everything is gone", || alive_with(&sleep).is_empty()).await;
        }
    }
}
