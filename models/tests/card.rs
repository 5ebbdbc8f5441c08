//! Model cards: complete, sourced, found by name and never guessed.

use isocost_models::card::{Card, Mode};

#[test]
fn every_card_is_complete_and_sourced() {
    let cards = Card::all().unwrap();
    assert_eq!(cards.len(), 15);
    for card in cards {
        let name = &card.hub_id;
        let released = card.released.as_ref().unwrap().value.clone();
        assert!(released.parse::<jiff::civil::Date>().is_ok(), "{name}: {released}");
        let billions = card.parameters.as_ref().unwrap().value / 1e9;
        assert!((0.4..9.0).contains(&billions), "{name}: {billions}");
        assert!(card.licence.is_some() && card.base_model.is_some() && card.architecture.is_some(), "{name}");
        let mode = if card.thinking.is_some() { Mode::Thinking } else { Mode::Direct };
        assert!(card.sampling(mode).is_some_and(|sampling| !sampling.source.is_empty()), "{name}");
        if let Some(thinking) = &card.thinking {
            let close = thinking.close.as_str();
            assert!(
                card.forced_answers.iter().all(|answer| answer.text.matches(close).count() == 1),
                "{name}"
            );
            assert!(card.forced_answers.iter().any(|answer| answer.name == "s1"), "{name}");
            assert!(thinking.empty_block.contains(close), "{name}");
        }
    }
}

#[test]
fn a_card_is_found_by_any_usual_name_and_never_guessed() {
    for name in ["Qwen/Qwen3-0.6B", "qwen3-0.6b", "/models/Qwen3-0.6B/"] {
        assert_eq!(Card::for_model(name).unwrap().hub_id, "Qwen/Qwen3-0.6B");
    }
    let unknown = Card::for_model("Qwen3-0.7B").unwrap_err().to_string();
    assert!(unknown.contains("Qwen3-0.7B") && unknown.contains("Qwen/Qwen3-8B"), "{unknown}");
    assert!(Card::for_model("").is_err());
    let misspelt = Card::parse("mine", "hub_id = 'a'\nlicense = 'b'").unwrap_err().to_string();
    assert!(
        misspelt.contains("mine, line 2") && misspelt.contains("license") && !misspelt.contains('\n'),
        "{misspelt}"
    );
}
