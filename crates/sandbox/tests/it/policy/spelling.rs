//! The same word in the many spellings that a shell knows.

use super::dice::Dice;
use std::fmt::Write as _;

/// Few names, so that one part of a script meets the variables of another.
const NAMES: [&str; 5] = ["a", "b", "c", "v", "IT"];

/// Spells words, and collects the commands that a spelling needs before it.
#[derive(Debug)]
pub(crate) struct Speller {
    pub(crate) dice: Dice,
    pub(crate) before: Vec<String>,
    functions: usize,
}

impl Speller {
    pub(crate) const fn new(dice: Dice) -> Self {
        Self {
            dice,
            before: Vec::new(),
            functions: 0,
        }
    }

    pub(crate) fn name(&mut self) -> &'static str {
        self.dice.pick::<&str>(&NAMES)
    }

    /// A function's name that nothing else has: one that calls itself would never end.
    pub(crate) fn function(&mut self) -> String {
        self.functions += 1;
        format!("f{}", self.functions)
    }

    pub(crate) fn words(&mut self, words: &[&str]) -> String {
        let spelled: Vec<String> = words.iter().map(|word| self.word(word)).collect();
        spelled.join(" ")
    }

    /// A word, mostly in one of the simple ways.
    pub(crate) fn word(&mut self, word: &str) -> String {
        match self.dice.below(10) {
            0..=3 if is_plain(word) => word.to_owned(),
            0..=7 => self.quoted(word),
            _ => self.computed(word),
        }
    }

    /// A word in quotes of some kind.
    pub(crate) fn quoted(&mut self, word: &str) -> String {
        match self.dice.below(6) {
            0 | 1 => single(word),
            2 => double(word),
            3 => self.ansi(word),
            4 => self.escaped(word),
            _ => {
                let middle = self.dice.below(word.chars().count() + 1);
                let at = word.char_indices().nth(middle).map_or(word.len(), |(at, _)| at);
                let (head, tail) = word.split_at(at);
                let head = if is_plain(head) { head.to_owned() } else { double(head) };
                head + &single(tail)
            }
        }
    }

    fn ansi(&mut self, word: &str) -> String {
        let mut text = "$'".to_owned();
        for c in word.chars() {
            let code = u32::from(c);
            match self.dice.below(6) {
                0 => write!(text, "\\x{code:02x}").unwrap(),
                1 => write!(text, "\\{code:03o}").unwrap(),
                2 => write!(text, "\\u{code:04x}").unwrap(),
                3 if self.dice.once_in(4) && code < 256 => write!(text, "\\{:03o}", code + 256).unwrap(),
                3 if self.dice.once_in(4) => write!(text, "\\x{{{code:x}}}").unwrap(),
                _ if c == '\'' || c == '\\' => write!(text, "\\{c}").unwrap(),
                _ => text.push(c),
            }
        }
        if self.dice.once_in(8) {
            text.push_str(self.dice.pick::<&str>(&["\\0z", "\\x00", "\\000z"]));
        }
        text + "'"
    }

    fn escaped(&mut self, word: &str) -> String {
        if word.is_empty() || word.contains('\n') {
            return single(word);
        }
        let mut text = String::new();
        for c in word.chars() {
            if !is_plain(c.encode_utf8(&mut [0; 4])) || self.dice.once_in(4) {
                text.push('\\');
            } else if self.dice.once_in(12) {
                text.push_str("\\\n");
            }
            text.push(c);
        }
        text
    }

    /// A word that comes out of an expansion.
    fn computed(&mut self, word: &str) -> String {
        let given = self.quoted(word);
        let name = self.name();
        match self.dice.below(10) {
            0 => format!("\"$(printf %s {given})\""),
            1 if is_plain(word) => format!("$(echo {given})"),
            2 if is_plain(word) => format!("`echo {word}`"),
            3 => format!("${{nope:-{given}}}"),
            4 => format!("\"${{nope-{}}}\"", double(word).trim_matches('"')),
            5 => {
                self.before.push(format!("{name}=x"));
                format!("${{{name}:+{given}}}")
            }
            6 => self.cut(word),
            8 => self.printed(word),
            7 => self.special(word),
            _ => {
                let assigned = self.assigned(name, word);
                self.before.push(assigned);
                (*self
                    .dice
                    .pick(&["$NAME", "\"$NAME\"", "${NAME}", "\"${NAME}\"", "${NAME:-x}"]))
                .replace("NAME", name)
            }
        }
    }

    /// What `printf` and `echo` make of escapes, widths and repeated formats.
    fn printed(&mut self, word: &str) -> String {
        let coded: String = word.chars().fold(String::new(), |mut coded, c| {
            let code = u32::from(c);
            write!(coded, "{}{code:03o}", if code < 128 { "\\" } else { "" }).unwrap();
            coded
        });
        let at = word.char_indices().nth(1).map_or(word.len(), |(at, _)| at);
        let (head, tail) = (self.quoted(&word[..at]), self.quoted(&word[at..]));
        let longer = self.quoted(&format!("{word}ZZ"));
        match self.dice.below(8) {
            0 => format!("\"$(printf '{coded}')\""),
            1 => format!("\"$(printf %b '{coded}')\""),
            2 => format!("\"$(echo -e '{}')\"", coded.replace('\\', "\\0")),
            3 => format!("\"$(printf %s {head} {tail})\""),
            4 => format!("\"$(printf '%.{}s' {longer})\"", word.chars().count()),
            5 => format!("\"$(printf '%s%s' {head} {tail})\""),
            6 => format!("\"$(echo -n {})\"", self.quoted(word)),
            _ => format!("\"$(printf '%s\\n' {}; :)\"", self.quoted(word)),
        }
    }

    /// Expansions that take something away or put something in.
    fn cut(&mut self, word: &str) -> String {
        let name = self.name();
        let given = self.quoted(&format!("{word}ZZ"));
        let (whole, cut) = match self.dice.below(5) {
            0 => (given, format!("${{{name}%ZZ}}")),
            1 => (given, format!("${{{name}/ZZ/}}")),
            2 => (given, format!("${{{name}:0:{}}}", word.chars().count())),
            3 if word.chars().all(|c| !c.is_ascii_uppercase()) => {
                let upper = word.to_ascii_uppercase();
                (self.quoted(&upper), format!("${{{name},,}}"))
            }
            _ => (self.quoted(&format!("ZZ{word}")), format!("${{{name}#ZZ}}")),
        };
        self.before.push(format!("{name}={whole}"));
        format!("\"{cut}\"")
    }

    /// Arrays, references, arguments, the last word.
    fn special(&mut self, word: &str) -> String {
        let name = self.name();
        let given = self.quoted(word);
        let (before, text) = match self.dice.below(13) {
            8 => (format!("OLDPWD={given}"), "~-".to_owned()),
            9 => (format!("PWD={given}"), "~+".to_owned()),
            10 => (format!("HOME={given}"), "~".to_owned()),
            11 => (
                format!("coproc {name} {{ printf '%s\\n' {given}; }}; read -r b <&\"${{{name}[0]}}\""),
                "\"$b\"".to_owned(),
            ),
            0 => (format!("{name}=({given} z)"), format!("\"${{{name}[0]}}\"")),
            1 => (format!("{name}=(z {given})"), format!("\"${{{name}[@]:1}}\"")),
            2 => (format!("{name}={given}; ref={name}"), "\"${!ref}\"".to_owned()),
            3 => (format!("set -- {given} z"), "\"$1\"".to_owned()),
            4 => (format!("set -- z {given}; shift"), "\"$@\"".to_owned()),
            5 => (format!(": {given}"), "\"$_\"".to_owned()),
            6 => (
                format!("declare -n {name}=target; target={given}"),
                format!("\"${name}\""),
            ),
            7 => (
                format!("declare -A {name}=([k]={given})"),
                format!("\"${{{name}[k]}}\""),
            ),
            _ => (
                format!("{name}={given}; [[ ${name} =~ ^.*$ ]]"),
                "\"$BASH_REMATCH\"".to_owned(),
            ),
        };
        self.before.push(before);
        text
    }

    /// Commands after which a variable holds the word.
    pub(crate) fn assigned(&mut self, name: &str, word: &str) -> String {
        let given = self.quoted(word);
        let at = word.char_indices().nth(1).map_or(word.len(), |(at, _)| at);
        let (head, tail) = (self.quoted(&word[..at]), self.quoted(&word[at..]));
        let function = self.function();
        match self.dice.below(36) {
            0 => format!("{name}={head}; {name}+={tail}"),
            1 => format!("printf -v {name} %s {given}"),
            2 => format!("read -r {name} <<< {given}"),
            3 => format!("declare {name}={given}"),
            4 => format!("export {name}={given}"),
            5 => format!(": ${{{name}:={given}}}"),
            6 => format!("unset {name}; : ${{{name}:={given}}}"),
            7 => format!("for {name} in z {given}; do :; done"),
            8 => format!("mapfile -t {name} <<< {given}"),
            9 => format!("{name}=z; {name}={given}"),
            10 => format!("{name}={given}; ({name}=z)"),
            11 => format!("{name}={given}; {name}=z :"),
            12 => format!("{name}=z; if true; then {name}={given}; fi"),
            13 => format!("{name}={given}; if false; then {name}=z; fi"),
            14 => format!("{function}() {{ {name}={given}; }}; {name}=z; {function}"),
            15 => format!("{function}() {{ local {name}=z; }}; {name}={given}; {function}"),
            16 => format!("{name}=z; eval {}", self.quoted(&format!("{name}={}", single(word)))),
            17 => format!("{name}={given}; {name}=z | cat"),
            18 => format!("{name}=z\n{{ {name}={given}; }}"),
            19 => format!("{name}=z; while {name}={given}; do break; done"),
            20 => format!("{name}=z; case x in x) {name}={given};; esac"),
            21 => format!("other={given}; {name}=$other"),
            22 => format!("{name}=z; true && {name}={given}"),
            23 => format!("{name}={given}; false && {name}=z"),
            24 => format!("{name}=z; read -r {name} < <(printf '%s\\n' {given})"),
            25 => format!("{name}=$(printf %s {given})"),
            26 => format!("{name}=$(cat <<< {given})"),
            27 => format!(
                "{name}=z; . /dev/stdin <<< {}",
                self.quoted(&format!("{name}={}", single(word)))
            ),
            28 if word.chars().all(|c| !c.is_ascii_uppercase()) => {
                let upper = self.quoted(&word.to_ascii_uppercase());
                format!("declare -l {name}; {name}={upper}")
            }
            29 => format!("{name}=z; {function}() {{ {name}=$1; }}; {function} {given}"),
            30 => format!("{name}=z; {function}() {{ local -n r=$1; r={given}; }}; {function} {name}"),
            31 => format!(
                "{name}=z; trap {} DEBUG; :; trap - DEBUG",
                self.quoted(&format!("{name}={}", single(word)))
            ),
            32 => format!("{name}[0]={given}"),
            33 => format!("{name}=z; printf -v '{name}[0]' %s {given}"),
            _ => format!("{name}={given}"),
        }
    }
}

/// Whether a word means itself without any quotes.
pub(crate) fn is_plain(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:".contains(c);
    !word.is_empty() && word.chars().all(plain)
}

pub(crate) fn single(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

pub(crate) fn double(word: &str) -> String {
    let mut text = "\"".to_owned();
    for c in word.chars() {
        if "\\\"$`".contains(c) {
            text.push('\\');
        }
        text.push(c);
    }
    text + "\""
}
