use crate::policy::{CommandPolicy, Level};

fn verdict(text: &str) -> (Level, String) {
    let verdict = CommandPolicy::built_in().judge(text);
    (verdict.level, verdict.reason)
}

/// Each would take the grammar years.
#[test]
fn what_the_grammar_tries_in_vain_takes_no_time() {
    let nested = |open: &str, inner: &str, close: &str| [open.repeat(30), inner.to_owned(), close.repeat(30)].concat();
    let texts = [
        nested("(", "a; b", ")"),
        nested("( ", "a; b", " )"),
        nested("(", "a; b", ""),
        format!("for {}a; b{}; ; )); do c; done", "((", ")".repeat(2)),
        format!("for (({}a; b{}; ; )); do c; done", "(".repeat(30), ")".repeat(30)),
        nested("case x in a) ", "b; ", "esac; "),
        nested("case x in a) ", "b", " esac"),
        nested("case x in a) ", "b", ""),
        nested("case x in a) echo esac; ", "b; ", "esac; "),
        format!("[[ a =~ {}", "(".repeat(40)),
        "]=]=||((]=|]=]=]= do (( do ]=]=((]=((|]=((]= do ((((| do ((|]=]=(( do ]=| do ]=|]=| do ((((((]=]=(((( do | do ((|((|(((("
            .to_owned(),
    ];
    for text in texts {
        let (_, reason) = verdict(&text);
        assert_ne!(reason, "it took too long to read", "{text}");
        assert_ne!(reason, "too many commands are still being read", "{text}");
    }
}

#[test]
fn what_is_read_stays_what_it_is() {
    let cases = [
        ("((a); b); ls", Level::Allow),
        ("( (a; ( (rm -rf x); b) ) )", Level::Block),
        ("(( (1 + 2) * 3 )); ls", Level::Allow),
        ("for ((i = 0; i < (3); i++)); do rm -rf x; done", Level::Block),
        ("for ((i = 0; i < 3; i++)) { ls; }", Level::Allow),
        ("[[ ( ( a == b ) && c ) ]] && ls", Level::Allow),
        ("case x in a) ls;; b) rm -rf x; esac", Level::Block),
        ("case x in a) ls;; b) (rm -rf x) esac", Level::Block),
        ("case x in a) case y in b) rm -rf x\n\nesac\nesac", Level::Block),
        ("case x in a) case y in b) ls;; esac esac", Level::Allow),
        ("case x in a) ls & esac", Level::Allow),
        ("case x in\nesac", Level::Allow),
        ("case x in a) ls;;\n\nesac", Level::Allow),
        ("case x in a) if b; then ls; fi esac", Level::Allow),
        ("case esac in a) ls; esac", Level::Allow),
        ("echo esac; echo in esac", Level::Allow),
    ];
    for (text, level) in cases {
        assert_eq!(verdict(text).0, level, "{text}");
    }
}
