use super::{ED25519, Issuer, PREFIX, STANDARD, URL_SAFE_NO_PAD, UnparsedPublicKey, public_key};
use base64::Engine as _;
use maestria_api::meta::Role;
use maestria_kernel::At;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

const NOW: At = At(1_700_000_000_000);

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

fn issuer() -> Issuer {
    Issuer {
        key: UnparsedPublicKey::new(&ED25519, pair().public_key().as_ref().to_vec()),
        name: "https://id.example".to_owned(),
        audience: "maestria".to_owned(),
    }
}

fn claims() -> Value {
    let now = NOW.0 / 1000;
    json!({
        "iss": "https://id.example", "aud": "maestria", "sub": "anna", "jti": "7", "role": "operator",
        "nbf": now - 10, "exp": now + 60, "email": "anna@example",
    })
}

fn signed(header: &Value, claims: &Value, pair: &Ed25519KeyPair) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let seal = pair.sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(seal.as_ref()))
}

#[test]
fn who_is_named_by_the_issuer_comes_in_with_the_role_it_says() {
    let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": "1"});
    let read = issuer().read(&signed(&header, &claims(), &pair()), NOW).unwrap();
    assert_eq!((read.name.as_str(), read.role), ("anna", Role::Operator));
    assert_eq!(read.id, "https://id.example:7");
    let mut several = claims();
    several["aud"] = json!(["other", "maestria"]);
    assert!(issuer().read(&signed(&header, &several, &pair()), NOW).is_some());
}

#[test]
fn whatever_else_is_said_lets_nobody_in() {
    let header = json!({"alg": "EdDSA"});
    let now = NOW.0 / 1000;
    let mut bad = Vec::new();
    for (claim, value) in [
        ("iss", json!("https://evil.example")),
        ("aud", json!("other")),
        ("aud", json!([])),
        ("aud", json!(["Maestria"])),
        ("sub", json!("")),
        ("jti", json!("")),
        ("role", json!("root")),
        ("nbf", json!(now + 1)),
        ("exp", json!(now)),
        ("exp", json!(now + 400 * 86_400)),
        ("exp", json!(i64::MAX)),
        ("exp", json!("soon")),
    ] {
        let mut claims = claims();
        claims[claim] = value;
        bad.push(signed(&header, &claims, &pair()));
    }
    for missing in ["iss", "aud", "sub", "jti", "role", "nbf", "exp"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(missing);
        bad.push(signed(&header, &claims, &pair()));
    }
    for header in [
        json!({"alg": "none"}),
        json!({"alg": "HS256"}),
        json!({"alg": "eddsa"}),
        json!({"alg": "EdDSA", "crit": ["b64"], "b64": false}),
        json!({}),
    ] {
        bad.push(signed(&header, &claims(), &pair()));
    }
    let other = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap();
    bad.push(signed(&header, &claims(), &other));
    let good = signed(&header, &claims(), &pair());
    bad.push(good.rsplit_once('.').unwrap().0.to_owned() + ".");
    bad.push(good.replace('.', ""));
    bad.push(format!("{good}.{good}"));
    bad.push("x".repeat(10_000));
    for given in bad {
        assert!(issuer().read(&given, NOW).is_none(), "{given}");
    }
}

#[test]
fn a_key_is_read_from_its_pem_and_from_nothing_else() {
    let key = [&PREFIX[..], &[9; 32]].concat();
    let pem = |bytes: &[u8], what: &str| {
        format!(
            "-----BEGIN {what}-----\n{}\n-----END {what}-----\n",
            STANDARD.encode(bytes)
        )
    };
    assert_eq!(public_key(&pem(&key, "PUBLIC KEY")), Some(vec![9; 32]));
    for bad in [
        pem(&key, "PRIVATE KEY"),
        pem(&key[..43], "PUBLIC KEY"),
        pem(&[&key[..], &[0]].concat(), "PUBLIC KEY"),
        pem(&[0; 44], "PUBLIC KEY"),
        "-----BEGIN PUBLIC KEY-----".to_owned(),
        String::new(),
    ] {
        assert_eq!(public_key(&bad), None, "{bad}");
    }
}
