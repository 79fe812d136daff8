# Names for what xtask does.
test:
    cargo xtask test
tidy:
    cargo xtask tidy
demo:
    cargo run --release -- demo
ci:
    .ci/run
ui:
    cargo xtask ui
e2e:
    cargo xtask e2e
contract:
    cargo xtask contract
chaos:
    cargo xtask chaos
bench name:
    cargo xtask bench {{name}}
