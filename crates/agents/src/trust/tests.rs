use super::{Book, Content, Sight, Tree, brought, note, text};
use crate::worktree::Git;
use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

struct Repository {
    _folder: tempfile::TempDir,
    top: PathBuf,
    book: PathBuf,
}

impl Repository {
    async fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let top = root.join("app");
        std::fs::create_dir(&top).unwrap();
        let git = Git::bare(&top);
        git.text(&["init", "-q", "--template="]).await.unwrap();
        let this = Self {
            _folder: folder,
            top,
            book: root.join("data/trust.json"),
        };
        for (file, text) in files {
            this.write(file, text);
        }
        git.text(&["add", "--all"]).await.unwrap();
        git.text(&["commit", "-qm", "begin", "--allow-empty"]).await.unwrap();
        this
    }

    fn write(&self, file: &str, text: &str) {
        let place = self.top.join(file);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, text).unwrap();
    }

    async fn names(&self, tree: Tree<'_>) -> Vec<String> {
        let brought = brought(&self.top, tree).await.unwrap();
        brought.iter().map(|thing| thing.path.display().to_string()).collect()
    }

    async fn trust(&self) {
        let brought = brought(&self.top, Tree::Persons(&[])).await.unwrap();
        Book::update(&self.book, |book| book.trust(&self.top, &brought, 1)).unwrap();
    }

    async fn sight(&self) -> Sight {
        Sight::of(Some(&self.book), &self.top.join("."), &self.top)
            .await
            .unwrap()
    }

    async fn hidden(&self) -> Vec<String> {
        let strip = |path: &PathBuf| path.strip_prefix(&self.top).unwrap().display().to_string();
        self.sight().await.hidden.iter().map(strip).collect()
    }
}

const FILES: &[(&str, &str)] = &[
    (".claude/settings.json", "{}"),
    (".claude/hooks/run.sh", "echo"),
    (".env", "A=1"),
    (".env.example", "A="),
    ("deep/down/.mcp.json", "{}"),
    ("src/claude/x.rs", "fn x() {}"),
    ("AGENTS.md", "be kind"),
];

#[tokio::test]
async fn what_a_repository_brings_is_found_at_any_depth() {
    let repository = Repository::with(FILES).await;
    let all = [".claude", ".env", "deep/down/.mcp.json"];
    assert_eq!(repository.names(Tree::Workers).await, all);
    assert_eq!(repository.names(Tree::Persons(&[])).await, all);
}

#[tokio::test]
async fn ignored_files_are_a_matter_of_whose_tree_it_is() {
    let repository = Repository::with(&[(".gitignore", ".gemini\n.env.local\n.envrc\nnode_modules\n")]).await;
    for file in [
        ".gemini/settings.json",
        ".env.local",
        ".envrc",
        "node_modules/a/.env",
        "new/.env",
    ] {
        repository.write(file, "x");
    }
    // A worktree holds what ignored files were taken along, and what an earlier attempt has left behind.
    let workers = repository.names(Tree::Workers).await;
    assert_eq!(workers, [".env.local", ".envrc", ".gemini"]);
    // From a person's tree only these are taken along.
    let taken = [".env.local".to_owned(), ".missing".to_owned()];
    assert_eq!(
        repository.names(Tree::Persons(&taken)).await,
        [".env.local", "new/.env"]
    );
}

#[tokio::test]
async fn what_is_trusted_is_the_files_as_they_were() {
    let repository = Repository::with(FILES).await;
    assert_eq!(repository.hidden().await, [".claude", ".env", "deep/down/.mcp.json"]);
    assert!(!repository.sight().await.trusted);
    repository.trust().await;
    assert_eq!(
        repository.sight().await,
        Sight {
            hidden: Vec::new(),
            trusted: true
        }
    );

    repository.write(".env", "A=2");
    repository.write(".claude/hooks/more.sh", "echo new");
    assert_eq!(repository.hidden().await, [".claude", ".env"]);
    repository.write(".env", "A=1");
    std::fs::remove_file(repository.top.join(".claude/hooks/more.sh")).unwrap();
    assert!(repository.sight().await.trusted, "as it was again");
    // Less than what is trusted is trusted.
    std::fs::remove_file(repository.top.join(".claude/hooks/run.sh")).unwrap();
    assert!(repository.sight().await.trusted);

    Book::update(&repository.book, |book| assert!(book.forget(&repository.top))).unwrap();
    assert_eq!(repository.hidden().await.len(), 3);
}

#[tokio::test]
async fn trust_in_one_repository_is_none_in_another() {
    let (one, other) = (Repository::with(FILES).await, Repository::with(FILES).await);
    one.trust().await;
    let sight = Sight::of(Some(&one.book), &other.top, &other.top).await.unwrap();
    assert_eq!(sight.hidden.len(), 3);
}

#[tokio::test]
async fn a_link_is_trusted_with_what_it_leads_to() {
    let repository = Repository::with(&[("conf/mcp.json", "{}"), ("conf/other.json", "{}"), (".agents/x", "x")]).await;
    symlink("conf/mcp.json", repository.top.join(".mcp.json")).unwrap();
    symlink(".agents", repository.top.join(".claude")).unwrap();
    assert_eq!(repository.hidden().await, [".agents", ".claude", ".mcp.json"]);
    repository.trust().await;
    assert_eq!(repository.hidden().await, [""; 0]);
    repository.write("conf/mcp.json", "{\"mcpServers\": {}}");
    assert_eq!(repository.hidden().await, [".mcp.json"], "what it leads to has changed");
    repository.write("conf/mcp.json", "{}");
    std::fs::remove_file(repository.top.join(".mcp.json")).unwrap();
    symlink("conf/other.json", repository.top.join(".mcp.json")).unwrap();
    assert_eq!(repository.hidden().await, [".mcp.json"], "what it says has changed");
    repository.write(".agents/x", "y");
    assert_eq!(repository.hidden().await, [".agents", ".mcp.json"]);
}

#[tokio::test]
async fn a_link_to_something_else_is_never_trusted_and_says_what_to_do() {
    let repository = Repository::with(&[("conf/settings.json", "{}")]).await;
    let outside = repository.top.with_file_name("secret");
    std::fs::write(&outside, "the person's own").unwrap();
    for (to, why) in [
        ("conf", "put the folder in its place"),
        ("../secret", "put what it leads to in its place"),
        ("nowhere", "take it out"),
        (".claude", "take it out"),
    ] {
        symlink(to, repository.top.join(".claude")).unwrap();
        repository.trust().await;
        assert_eq!(repository.hidden().await, [".claude"]);
        let found = brought(&repository.top, Tree::Workers).await.unwrap();
        let content = found[0].files.get(Path::new(".claude")).unwrap();
        assert!(
            matches!(content, Content::Unknown(said) if said.contains("link") && said.contains(why)),
            "{content:?}"
        );
        let shown = text(&repository.top, Path::new(".claude"), 100).unwrap();
        assert_eq!(shown, format!("a link to {to}\n"));
        std::fs::remove_file(repository.top.join(".claude")).unwrap();
    }
}

#[tokio::test]
async fn a_book_that_cannot_be_read_hides_everything_and_is_left_alone() {
    let repository = Repository::with(FILES).await;
    repository.trust().await;
    for text in ["", "{\"repositories\": 3}", "{\"repositoris\": {}}"] {
        std::fs::write(&repository.book, text).unwrap();
        let error = Sight::of(Some(&repository.book), &repository.top, &repository.top)
            .await
            .unwrap_err();
        assert!(error.contains("trust.json") && error.contains("mend"), "{error}");
        assert!(Book::update(&repository.book, |book| book.forget(&repository.top)).is_err());
        assert_eq!(std::fs::read_to_string(&repository.book).unwrap(), text);
        let note = note(Some(&repository.book), &repository.top, &repository.top, &[]).await;
        assert!(note.is_some_and(|note| note.contains("trust.json")));
    }
}

#[tokio::test]
async fn more_than_can_be_hidden_is_an_error() {
    let repository = Repository::with(&[]).await;
    for number in 0..=100 {
        repository.write(&format!("d{number}/keep"), "x");
        repository.write(&format!("d{number}/.env"), "x");
    }
    Git::bare(&repository.top).text(&["add", "--all"]).await.unwrap();
    let error = Sight::of(None, &repository.top, &repository.top).await.unwrap_err();
    assert!(error.contains("101") && error.contains("100"), "{error}");
}

#[tokio::test]
async fn a_run_begins_with_a_word_about_it() {
    let told =
        async |repository: &Repository| note(Some(&repository.book), &repository.top, &repository.top, &[]).await;
    assert_eq!(told(&Repository::with(&[("AGENTS.md", "be kind")]).await).await, None);
    let repository = Repository::with(FILES).await;
    let words = told(&repository).await.unwrap();
    assert!(
        words.contains(".claude, .env, deep/down/.mcp.json") && words.contains("maestria trust"),
        "{words}"
    );
    repository.trust().await;
    let words = told(&repository).await.unwrap();
    assert!(words.contains("you trust them"), "{words}");
}
