use super::{CONTENT_SECURITY_POLICY, files, find};
use std::{collections::BTreeSet, path::Path};

#[test]
fn pages_are_the_index_and_files_are_themselves() {
    for page in ["", "/", "/runs", "/runs/run_265da7", "/decisions"] {
        assert_eq!(find(page).map(|f| f.path), Some("/index.html"), "{page}");
    }
    assert_eq!(find("/app.js").map(|f| f.path), Some("/app.js"));
    for nothing in ["/app.map", "/../Cargo.toml", "/runs/x.js", "/.git"] {
        assert_eq!(find(nothing), None, "{nothing}");
    }
}

#[test]
fn every_built_file_is_embedded_and_every_etag_is_its_own() {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist");
    let built: BTreeSet<String> = std::fs::read_dir(dist)
        .expect("dist is committed")
        .map(|entry| format!("/{}", entry.expect("an entry").file_name().to_string_lossy()))
        .collect();
    let embedded: BTreeSet<String> = files().iter().map(|f| f.path.to_owned()).collect();
    assert_eq!(built, embedded);
    let etags: BTreeSet<&str> = files().iter().map(|f| f.etag.as_str()).collect();
    assert_eq!(etags.len(), files().len());
}

/// The page must load under its own policy.
#[test]
fn the_page_has_nothing_inline_and_nothing_from_elsewhere() {
    let index = find("/").expect("the index is embedded");
    let text = std::str::from_utf8(index.bytes).expect("it is text");
    assert!(
        text.contains(r#"src="/app.js""#) && text.contains(r#"href="/app.css""#),
        "{text}"
    );
    for inline in ["<style", " style=", " onload=", "://"] {
        assert!(!text.contains(inline), "{inline}: {text}");
    }
    let inline_scripts = text.matches("<script").count() - text.matches(r#"src="/"#).count();
    assert_eq!(inline_scripts, 0, "{text}");
    assert!(!CONTENT_SECURITY_POLICY.contains("unsafe"));
}
