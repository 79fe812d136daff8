//! Scripts by chance: commands that matter or only look like it, in everything that a shell runs commands from.

use super::{
    dice::Dice,
    spelling::{Speller, is_plain, single},
};

/// Commands; what they are worth the policy says itself, of the words that the programs got.
const COMMANDS: &[&[&str]] = &[
    &["rm", "-rf", "x"],
    &["rm", "-r", "-f", "x y"],
    &["rm", "x", "--force", "--recursive"],
    &["rm", "-fR", "--", "x"],
    &["dd", "if=x", "of=y"],
    &["mkfs.ext4", "x"],
    &["wipefs", "-a", "x"],
    &["git", "push"],
    &["git", "-C", "x", "push", "--force"],
    &["git", "reset", "--hard"],
    &["git", "clean", "-fdx"],
    &["npm", "publish"],
    &["timeout", "-s", "KILL", "5", "rm", "-rf", "x"],
    &["nice", "-n", "5", "git", "push"],
    &["find", ".", "-maxdepth", "0", "-exec", "rm", "-rf", "{}", "+"],
    &["xargs", "-n", "1", "rm", "-rf"],
    &["env", "-u", "HOME", "A=1", "dd", "of=y"],
    &["sh", "-c", "rm -rf x"],
    &["bash", "-c", "\"$@\"", "z", "rm", "-rf", "x"],
    &["rm", "x"],
    &["rm", "-r", "x"],
    &["rm", "--", "-rf"],
    &["git", "status"],
    &["git", "commit", "-m", "rm -rf /"],
    &["ls", "-rf", "rm"],
    &["cp", "-rf", "x", "y"],
    &["grep", "-rf", "rm -rf x"],
    &["npm", "test"],
];

/// Programs of [`COMMANDS`] and of what runs them here, which are only recorded.
pub(crate) const STUBS: &[&str] = &["rm", "dd", "mkfs.ext4", "wipefs", "git", "npm", "ls", "cp", "grep"];

/// Programs that run the rest of their words.
pub(crate) const RUNNERS: &[&str] = &["sudo", "doas", "busybox"];

/// What comes before a command's words, or has a place for them.
const PREFIXES: &[&str] = &[
    "env §",
    "env -i PATH=\"$PATH\" A=1 §",
    "env -u HOME -- §",
    "nohup §",
    "timeout 5 §",
    "timeout -s KILL 5 §",
    "nice -n 5 §",
    "setsid -w §",
    "stdbuf -o0 §",
    "command §",
    "command -p -- §",
    "(exec §)",
    "(exec -a ls §)",
    "time §",
    "! §",
    "sudo §",
    "sudo -u bob §",
    "doas §",
    "busybox §",
    "find . -maxdepth 0 -exec § \\;",
    "find . -maxdepth 0 -exec § {} +",
    "find . -maxdepth 0 -execdir env § ';'",
    "xargs § < /dev/null",
    "echo y | xargs §",
    "echo y | xargs -n 1 §",
    "echo y | xargs -I{} § {}",
    "xargs § <<< z",
    "set -- §\n\"$@\"",
    "set -- §\n$*",
    "set -- z §\nshift\n$1 \"${@:2}\"",
    "a=(§)\n\"${a[@]}\"",
    "a=(§); ${a[*]}",
    "a=(§)\n${a[0]} \"${a[@]:1}\"",
    "a=(); a+=(§); \"${a[@]}\"",
    "F() { \"$@\"; }; F §",
    "F() { $*; }\nF §",
    "F() { eval \"$*\"; }; F §",
    "F() { shift; command \"$@\"; }; F z §",
    "function F { local c=(\"$@\"); \"${c[@]}\"; }; F §",
    "F() { G \"$@\"; }; G() { \"$@\"; }; F §",
    "eval §",
    "eval -- §",
    "builtin eval §",
    "sh -c '\"$@\"' sh §",
    "sh -c '$0 \"$@\"' §",
    "bash -c 'eval \"$*\"' z §",
    "A=1 B=2 §",
    "> out §",
    "2>&1 § < /dev/null",
    "§ | cat",
    "echo | §",
    "coproc §\nwait",
    "§ &\nwait",
    "../bin/env §",
];

/// What runs a script that stands in it as it is.
const AROUND: &[&str] = &[
    "(§)",
    "{\n§\n}",
    "if true; then\n§\nfi",
    "if\n§\nthen :; fi",
    "if false; then :; else\n§\nfi",
    "if false; then :; elif\n§\nthen :; fi",
    "while\n§\nfalse; do :; done",
    "until\n§\ntrue; do :; done",
    "for i in 1; do\n§\ndone",
    "for i\ndo :; done\n§",
    "for ((i = 0; i < 1; i++)); do\n§\ndone",
    "for ((i = 0; i < 1; i++)) {\n§\n}",
    "case rm in ls) ;; r*)\n§\n;; esac",
    "case x in x) : ;& y)\n§\nesac",
    "case \"$(\n§\n)\" in *) ;; esac",
    "F() {\n§\n}; F",
    "F() (\n§\n)\nF",
    "function F {\n§\n}\nF z",
    "F() if true; then\n§\nfi; F",
    "F() {\n§\n}\ntrap F EXIT",
    "F() {\n§\n}; G() { \"$1\"; }; G F",
    "F() {\n§\n}; a=F; $a",
    "F() {\n§\n}; export -f F; bash -c F",
    "{\n§\n} | cat",
    "echo z | {\n§\n}",
    "{\n§\n} > /dev/null 2>&1",
    "true && {\n§\n}",
    "false || {\n§\n}",
    "! {\n§\n}",
    "time {\n§\n}",
    "{\n§\n} &\nwait",
    "coproc {\n§\n}\nwait",
    "coproc N {\n§\n}\nwait",
    ": $(\n§\n)",
    ": \"z $(\n§\n) z\"",
    "a=$(\n§\n)",
    "local=z a=$(\n§\n) true",
    "a=(1 $(\n§\n))",
    "a[$(\n§\n)0]=1",
    ": ${nope:-$(\n§\n)}",
    ": \"${nope:=$(\n§\n)}\"",
    "a=z; : ${a/z/$(\n§\n)}",
    ": ${nope-\"$(\n§\n)\"}",
    "cat <(\n§\n)",
    "cat < <(\n§\n)",
    "echo z > >(\n§\n)",
    "exec 3< <(\n§\n); wait",
    "cat <<< \"$(\n§\n)\"",
    "[[ -z $(\n§\n) ]]",
    "[ -z \"$(\n§\n)\" ]",
    "[[ z == \"$(\n§\n)\" || -n z ]]",
    ": $(( 1 + $(\n§\n) 0 ))",
    "(( 1 + $(\n§\n) 0 ))",
    "let \"1 + $(\n§\n) 0\"",
    ": $[ $(\n§\n) 1 ]",
    "sh <<'X'\n§\nX",
    "sh <<\\X\n§\nX",
    "bash -s <<\"X\" z\n§\nX",
    "cat <<'X' | sh\n§\nX",
    ". /dev/stdin <<'X'\n§\nX",
    "eval \"$(cat <<'X'\n§\nX\n)\"",
    "bash -c \"$(cat <<'X'\n§\nX\n)\"",
    "while read -r l; do eval \"$l\"; done <<'X'\n§\nX",
    "read -d '' -r c <<'X'\n§\nX\neval \"$c\"",
    "cat > s.sh <<'X'\n§\nX\nsh s.sh",
    "tee s.sh <<'X' > out\n§\nX\n. ./s.sh",
    "mkdir d; cat > d/s.sh <<'X'\n§\nX\ncd d; sh s.sh",
    "cat <<'X'\n§\nX",
    ": <<'X'\n§\nX",
    "F() {\n§\n}; unset -f F; F",
    "sh -c \"$(declare -f F)\"\n§",
    "ls() {\n§\n}; ls",
    "true || {\n§\n}",
    "case x in y)\n§\n;; esac",
    "exit\n§",
    "cat <<X\nz $(\n§\n) z\nX",
    "cat <<-X\n\t$(\n§\n)\n\tX",
    "> \"$(\n§\n)out\" :",
    "select a in z; do break; done <<< 1\n§",
    "command_not_found_handle() {\nunset -f command_not_found_handle\n§\n}\nno-such-program",
    "set -e\n§",
    "set -o pipefail\n§",
    "cd .\n§",
    "exec 2>&1\n§",
    "shopt -s extglob\n§",
    "IFS=,\n§",
    "IFS=\n§",
];

/// What runs a script that it is given as one word.
const GIVEN: &[&str] = &[
    "eval §",
    "eval : \\; §",
    "eval \"$(printf %s §)\"",
    "command eval §",
    "builtin eval §",
    "sh -c §",
    "sh -ec § z",
    "bash -c §",
    "bash --norc -c §",
    "bash -xc §",
    "bash -o pipefail -c §",
    "env bash -c §",
    "env A=1 sh -c §",
    "env -S \"sh -c\" §",
    "nohup sh -c §",
    "timeout 5 sh -c §",
    "sudo sh -c §",
    "busybox sh -c §",
    "(exec sh -c §)",
    "find . -maxdepth 0 -exec sh -c § \\;",
    "find . -maxdepth 0 -exec sh -c § sh {} +",
    "xargs sh -c § < /dev/null",
    "echo z | xargs -I{} sh -c §",
    "echo § | xargs -0 -n 1 sh -c",
    "sh <<< §",
    "bash -s z <<< §",
    "bash /dev/stdin <<< §",
    "echo § | sh",
    "printf '%s\\n' § | bash",
    "printf %s § | sh -s z",
    "printf %s § | cat | sh",
    "printf %s § | tee copy | sh",
    "echo § > s.sh; sh s.sh",
    "echo § > s.sh\n. ./s.sh",
    "echo § > s.sh && bash ./s.sh",
    "echo § >> s.sh; source ./s.sh",
    "printf '%s\\n' § | tee s.sh > /dev/null; sh ./s.sh",
    "cat <<< § > s.sh; sh < s.sh",
    "echo § > s.sh; cat s.sh | sh",
    "echo § > s.sh; eval \"$(cat s.sh)\"",
    "echo § > s.sh; eval \"$(< s.sh)\"",
    "echo § > s.sh; BASH_ENV=s.sh bash -c :",
    "echo § > s.sh; bash --rcfile s.sh -i -c : 2>&1",
    "echo § > s.sh; mv s.sh t.sh; sh t.sh",
    "echo § > s.sh; ln s.sh t.sh; sh t.sh",
    "echo § > s.sh; echo : >> s.sh; sh s.sh",
    "echo : > s.sh; echo § >> s.sh; . ./s.sh",
    "printf '%s ' eval > s.sh; echo \\'§\\' >> s.sh; sh s.sh",
    "for i in 1 2; do test -f s.sh && sh s.sh; echo § > s.sh; done",
    "F() { sh s.sh; }; echo § > s.sh; F",
    "F() { echo § > s.sh; }; F; sh s.sh",
    "mkdir d; echo § > d/s.sh; cd d; sh s.sh",
    "mkdir d; cd d; echo § > s.sh; cd ..; . d/s.sh",
    "exec 4>&1 > s.sh; echo §; exec >&4; sh s.sh",
    "exec 3> s.sh; echo § >&3; sh s.sh",
    "{ echo §; } > s.sh; sh s.sh",
    "(echo §) > s.sh; sh s.sh",
    "if true; then echo §; fi > s.sh; sh s.sh",
    "F() { echo §; }; F > s.sh; sh s.sh",
    "F() { echo §; }; F | sh",
    "echo § | cat > s.sh; sh s.sh",
    "echo § | tee -a s.sh; sh -e s.sh",
    "echo § > s.sh; chmod +x s.sh; ./s.sh",
    "echo § > ls; chmod +x ls; PATH=.:$PATH; ls",
    "f=s.sh; echo § > $f; sh $f",
    "echo § > s.sh; sh \"$PWD/s.sh\"",
    "echo § > s.sh; sh ./d/../s.sh; sh $(echo s.sh)",
    "echo § > s.sh; sh s.*",
    "echo § > s.sh; cat s.sh s.sh | sh",
    "echo § >| s.sh; sh s.sh",
    "echo § &> s.sh; sh s.sh",
    "echo § >&2 2> s.sh; sh s.sh",
    "> s.sh echo §; sh s.sh",
    "cat <<< § 1<> s.sh; sh s.sh",
    "printf %s § > s.sh; env -i PATH=\"$PATH\" bash --norc -- s.sh",
    "env sh <<< §",
    "echo § | sudo sh",
    "echo § | env A=1 bash",
    "echo § | (sh)",
    "echo § | { sh; }",
    "echo § | if true; then sh; fi",
    "echo § | while true; do sh; break; done",
    "F() { sh; }; echo § | F",
    "F() { eval \"$(cat)\"; }; F <<< §",
    "{ sh; } <<< §",
    "exec <<< §; sh",
    "sh 3<<< § <&3",
    "sh /dev/fd/3 3<<< §",
    ". /dev/fd/3 3<<< §",
    "bash -c '. /dev/stdin' <<< §",
    "bash -c 'eval \"$(cat)\"' <<< §",
    "coproc sh; echo § >&${COPROC[1]}; exec {COPROC[1]}>&-; wait",
    "xargs -I{} sh -c {} <<< §",
    "echo § | xargs -0 sh -c",
    "select c in §; do eval \"$c\"; break; done <<< 1",
    "[[ § =~ .* ]]; eval \"$BASH_REMATCH\"",
    "b=c; c=§; eval \"${!b}\"",
    "eval \"${nope:-\"$(echo §)\"}\"",
    "env 'BASH_FUNC_ls%%=() { '§'\n}' bash -c ls",
    "ls() { eval \"$1\"; }; ls §",
    "command_not_found_handle() { eval \"$1\"; }; §",
    "echo -n § | sh",
    "echo -e § | sh",
    "printf %b § | sh",
    "printf '%s\\n' : § | sh",
    "printf '%s;' : § | sh",
    "declare -r c=§; eval \"$c\"",
    "trap 'eval \"$c\"' EXIT; c=§",
    "F() { trap \"$1\" RETURN; }; F §",
    "eval \"F() { \"§\"\n}\"; F",
    "sh <(echo §)",
    "source <(echo §)",
    ". /dev/stdin <<< §",
    ". /dev/stdin < <(printf '%s\\n' §)",
    "trap § EXIT",
    "trap -- § 0",
    "trap § DEBUG; :",
    "trap § ERR; false",
    "trap § USR1; kill -USR1 $$",
    "c=§; eval \"$c\"",
    "c=§; sh -c \"$c\"",
    "c=§; eval \"$(echo \"$c\")\"",
    "c=§; bash <<< \"$c\"",
    "c=§; export c; bash -c 'eval \"$c\"'",
    "c=§ bash -c 'eval \"$c\"'",
    "c=§ sh -c '$c'",
    "c=§; $c",
    "c=(§); eval \"${c[@]}\"",
    "set -- §; eval \"$1\"",
    "set -- §; eval \"$@\"",
    "F() { eval \"$1\"; }; F §",
    "F() { sh -c \"$*\"; }; F §",
    "F() { local c=$1; eval \"$c\"; }; F §",
    "read -r c <<< §; eval \"$c\"",
    "mapfile -t c <<< §; eval \"${c[0]}\"",
    "mapfile c <<< §; eval \"${c[@]}\"",
    "while read -r c; do eval \"$c\"; done <<< §",
    "echo § | while read -r c; do sh -c \"$c\"; done",
    "echo § | { read -r c; eval \"$c\"; }",
    "mapfile -c 1 -C § <<< z",
    "for c in : §; do eval \"$c\"; done",
    "for c in §; do sh -c \"$c\"; done",
    "printf -v c %s §; eval \"$c\"",
    "PS4=z§; set -x; :",
    "c=z§; : \"${c@P}\"",
    "shopt -s expand_aliases; alias zz=§\nzz",
    "alias zz=§; shopt -s expand_aliases; eval zz",
    "compgen -C § -- z",
    "PROMPT_COMMAND=§ bash -i < /dev/null",
    "echo § | bash -i",
    "fc -s; §",
    "hash -p § ls; ls",
];

/// Places that expand a text as if it stood between double quotes, or as arithmetic.
const EXPANDED: &[&str] = &[
    "c=z§; : \"${c@P}\"",
    "PS4=§; set -x; :",
    "compgen -W §",
    "n='a['§']'; : $((n))",
    "n='a['§']'; (( n ))",
    "n='a['§']'; let n",
    "let 'a['§']=1'",
    "declare -i n; n='a['§']'",
    "[[ 'a['§']' -eq 0 ]]",
    "test -v 'a['§']'",
    "[[ -v 'a['§']' ]]",
    "printf -v 'a['§']' z",
    "read 'a['§']' <<< z",
    "unset 'a['§']'",
    "declare 'a['§']=1'",
    "n='a['§']'; : ${HOME:n}",
    "n='a['§']'; c=(1); : ${c[n]}",
    "n='a['§']'; : ${!n}",
    "n='a['§']'; [[ n -eq 0 ]]",
    "n='a['§']'; for ((; n; )); do break; done",
    "eval : §",
    "bash -c ': '\"§\"",
];

/// Text that only mentions a command.
const MENTIONS: &[&str] = &[
    "echo §",
    "printf '%s\\n' §",
    ": §",
    "c=§",
    "[[ z == § ]]",
    "case z in §) ;; esac",
    "git commit -m §",
    "grep § x",
    "cat <<< §",
    "echo § > notes",
    "false && eval §",
    "F() { eval \"$1\"; }; : F §",
    "c=§; echo \"$c\"",
];

/// Makes scripts.
pub(crate) struct Grammar {
    speller: Speller,
}

impl Grammar {
    pub(crate) const fn new(seed: u64) -> Self {
        Self {
            speller: Speller::new(Dice::new(seed)),
        }
    }

    /// A script of one to three parts.
    pub(crate) fn script(&mut self) -> String {
        // Short ones mostly: a question about one part would hide what the policy misses in another.
        let parts = *self.speller.dice.pick(&[1, 1, 1, 1, 2, 3]);
        let deepest = *self.speller.dice.pick(&[1, 1, 1, 2, 2, 3]);
        let parts: Vec<String> = (0..parts).map(|_| self.part(deepest)).collect();
        let text = parts.join("\n");
        if text.len() > 4_000 { self.command() } else { text }
    }

    /// A part, with the commands before it that its words need.
    fn part(&mut self, depth: usize) -> String {
        let outer = std::mem::take(&mut self.speller.before);
        let text = match self.speller.dice.below(10) {
            _ if depth == 0 => self.command(),
            0 | 1 => self.command(),
            2 => self.prefixed(),
            3 => self.mention(depth),
            4 => self.expanded(depth),
            5..=7 => self.around(depth),
            _ => self.given(depth),
        };
        let mut lines = std::mem::replace(&mut self.speller.before, outer);
        lines.push(text);
        lines.join(if self.speller.dice.once_in(2) { "\n" } else { "; " })
    }

    fn command(&mut self) -> String {
        let command = *self.speller.dice.pick(COMMANDS);
        match self.speller.dice.below(12) {
            0 if command.iter().all(|word| is_plain(word)) => format!("{{{}}}", command.join(",")),
            1 if command.iter().all(|word| is_plain(word)) => {
                let name = self.speller.name();
                let whole = self.speller.quoted(&command.join(" "));
                format!("{name}={whole}; ${name}")
            }
            2 if command.iter().all(|word| is_plain(word)) => {
                let whole = command.join(":");
                format!("IFS=:; c={whole}; $c; unset IFS")
            }
            3 if command.iter().all(|word| is_plain(word)) => command.join("${IFS}"),
            4 => self.prefixed(),
            5 => self.as_function(command),
            6 if command.iter().all(|word| is_plain(word)) => self.split_up(command),
            _ => self.speller.words(command),
        }
    }

    /// The words of a command out of one text, in ways that change what splits it.
    fn split_up(&mut self, command: &[&str]) -> String {
        let (text, name) = (command.join(":"), self.speller.name());
        let parting = self.speller.assigned("IFS", ":");
        match self.speller.dice.below(7) {
            0 => format!("{parting}; {name}={text}; ${name}"),
            1 => format!("{name}={text}; {parting}; ${name}; unset IFS"),
            2 => format!("{name}={text}; ${{{name}//:/ }}"),
            3 => format!("IFS=: read -ra {name} <<< {text}; \"${{{name}[@]}}\""),
            4 => format!("IFS=: read -r a b c <<< {text}; $a $b \"$c\""),
            5 => format!("{{{{{}}},{{y,z}}}}", command.join(",")),
            _ => {
                let (head, tail) = command.split_at(1);
                format!("{} {{{},}}", head.concat(), tail.join(","))
            }
        }
    }

    /// A function with some of the words, called with the others.
    fn as_function(&mut self, command: &[&str]) -> String {
        let function = self.speller.function();
        let (head, tail) = command.split_at(1 + self.speller.dice.below(command.len()));
        let (head, tail) = (self.speller.words(head), self.speller.words(tail));
        let rest = *self
            .speller
            .dice
            .pick(&["\"$@\"", "$*", "$1 $2 $3", "\"$1\" \"${@:2}\""]);
        format!("{function}() {{ {head} {rest}; }}; {function} {tail}")
    }

    fn prefixed(&mut self) -> String {
        let command = *self.speller.dice.pick(COMMANDS);
        let words = self.speller.words(command);
        let prefix = *self.speller.dice.pick(PREFIXES);
        self.fill(prefix, &words)
    }

    fn mention(&mut self, depth: usize) -> String {
        let inner = self.part(depth - 1);
        let word = self.speller.quoted(&inner);
        let mention = *self.speller.dice.pick(MENTIONS);
        self.fill(mention, &word)
    }

    fn around(&mut self, depth: usize) -> String {
        let inner = self.part(depth - 1);
        let around = *self.speller.dice.pick(AROUND);
        if self.speller.dice.once_in(12) {
            let inner = inner.replace('\\', r"\\").replace('`', r"\`");
            return format!(": `{inner}`");
        }
        self.fill(around, &inner)
    }

    fn given(&mut self, depth: usize) -> String {
        let inner = self.part(depth - 1);
        let word = self.speller.word(&inner);
        let given = *self.speller.dice.pick(GIVEN);
        self.fill(given, &word)
    }

    fn expanded(&mut self, depth: usize) -> String {
        let inner = format!("$({}\n)", self.part(depth - 1));
        let word = if self.speller.dice.once_in(2) {
            single(&inner)
        } else {
            self.speller.quoted(&inner)
        };
        let expanded = *self.speller.dice.pick(EXPANDED);
        self.fill(expanded, &word)
    }

    /// Fills a form; functions in it get names of their own.
    fn fill(&mut self, form: &str, with: &str) -> String {
        let (first, second) = (self.speller.function(), self.speller.function());
        let ends = self.speller.function();
        let tokens = form
            .split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .map(|token| {
                let end = token
                    .trim_end_matches(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .len();
                let (word, rest) = token.split_at(end);
                match word {
                    "F" => first.clone() + rest,
                    "G" => second.clone() + rest,
                    // A here-document's end must be none of an inner one.
                    "X" => format!("X{ends}{rest}"),
                    _ => token.to_owned(),
                }
            });
        let form: String = tokens.collect();
        form.replacen('§', with, 1)
    }
}
