# Names for what xtask does.
test:
    cargo xtask test
tidy:
    cargo xtask tidy
demo:
    cargo run --release -- demo
ci:
    .ci/run
contract:
    cargo xtask contract
chaos:
    cargo xtask chaos
bench name:
    cargo xtask bench {{name}}
