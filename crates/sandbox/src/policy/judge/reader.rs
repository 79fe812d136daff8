//! In a place where nothing may be changed, only programs that are known to read may run.

use super::{Call, Finding, Judge, Level, Target, harmless_sink, matching};
use crate::policy::rules::named;

impl Judge<'_> {
    pub(super) fn reads(&self, program: &str, call: &Call<'_>) -> Finding {
        let git = || {
            let words = matching::plain(call.words, super::git::VALUES);
            self.rules
                .read_only
                .git
                .iter()
                .any(|wanted| matching::phrase(wanted, &words))
        };
        let listed = named(&self.rules.read_only.programs, program) || (program == "git" && git());
        let begins = |word: &super::Word, options: &[&str]| options.iter().any(|option| word.head.starts_with(option));
        let writing: &[&str] = match program {
            "find" => &["-exec", "-ok", "-delete", "-fprint", "-fls"],
            "sort" => &["-o", "--o", "--compress"],
            "git" => &["--output", "-O", "--open-files"],
            "tree" => &["-o"],
            "uniq" | "xxd" => &[],
            _ => &[],
        };
        let writes = call
            .argv
            .redirects
            .iter()
            .any(|target| matches!(target, Target::To(word) if !word.text.as_deref().is_some_and(harmless_sink)));
        let option = call
            .words
            .iter()
            .skip(1)
            .any(|word| begins(word, writing) || (word.many && !writing.is_empty()));
        if listed && !writes && !option {
            return Finding::allow();
        }
        self.found(
            Level::Block,
            "mode.read_only",
            format!("this worker may only read, and {program} may change files"),
        )
    }
}
