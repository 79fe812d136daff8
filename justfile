# Names for what xtask does.
test:
    cargo xtask test
tidy:
    cargo xtask tidy
demo:
    cargo run --release -- demo
ci:
    .ci/run
