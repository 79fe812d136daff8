use super::{Catalogue, DEFAULT, Price};
use crate::wire::Counts;
use maestria_kernel::Cost;

#[test]
fn the_built_in_catalogue_is_read() {
    let all = Catalogue::read(include_str!("../models.toml")).unwrap();
    assert!(all.all().len() > 15);
    assert_eq!(Price::of("claude").input, Cost(15_000_000));
    assert_eq!(Catalogue::built_in().model("never-heard-of-it"), DEFAULT);
    assert!(
        Price::of("gpt-4o-mini").input < Price::of("gpt-4o").input,
        "the longest prefix wins"
    );
    assert_eq!(Price::of("openai/gpt-4o-mini"), Price::of("gpt-4o-mini-2024-07-18"));
    for (prefix, model) in all.all() {
        let price = model.price;
        assert!(price.cached <= price.input && price.input <= price.written, "{prefix}");
        assert!(model.output <= model.context, "{prefix}");
        let q = model.quality;
        assert!(
            [q.plan, q.edit, q.review, q.chat]
                .iter()
                .all(|q| (0.0..=1.0).contains(q)),
            "{prefix}"
        );
    }
}

#[test]
fn a_persons_own_file_is_laid_over_it() {
    let own = Catalogue::read("[[model]]\nprefix = \"gpt-4o-mini\"\ninput = 1\ncached = 0.5\noutput = 2\n").unwrap();
    let both = Catalogue::built_in().under(own);
    assert_eq!(both.model("gpt-4o-mini").price.input, Cost(1_000_000));
    assert_eq!(both.model("gpt-4o").price, Price::of("gpt-4o"));
    for (text, what) in [
        ("[[model]]\nprefix = \"a\"\ninput = -1\ncached = 0\noutput = 0\n", "`a`"),
        ("[[model]]\nprefx = \"a\"\n", "line 2"),
    ] {
        let error = Catalogue::read(text).unwrap_err();
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn cached_and_written_tokens_have_their_own_prices() {
    let price = Price {
        input: Cost(10_000_000),
        cached: Cost(1_000_000),
        written: Cost(12_000_000),
        output: Cost(20_000_000),
    };
    let counts = Counts {
        input: 1000,
        cached: 400,
        written: 100,
        output: 100,
        reasoning: 50,
    };
    assert_eq!(price.cost(&counts), Cost(5000 + 400 + 1200 + 2000));
    assert!(price.cost(&counts) <= price.worst(1000, 100));
}
