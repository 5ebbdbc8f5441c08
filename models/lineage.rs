//! Where a model comes from, as far as its folder and its card say.
//!
//! A folder made by this repository's training program holds `training.json`, which knows the recipe and what was
//! spent; any other model has what its card says. Claims about distillation and training compute rest on this.

use std::path::Path;

use isocost_harness::model_facts::{Kind, Lineage};
use serde::Deserialize;

use crate::card::Card;

/// The part of `training.json` that tells where a model comes from.
#[derive(Deserialize)]
struct Trained {
    recipe: Recipe,
    training_flop: f64,
}

#[derive(Deserialize)]
struct Recipe {
    data: Data,
    start_from: Option<String>,
}

#[derive(Deserialize)]
struct Data {
    /// Share of documents without a thought.
    direct: f64,
    /// Sampled trajectories to learn from, named after the model that made them.
    file: Option<String>,
    keep: Option<String>,
}

/// Of the model in `folder`.
pub(crate) fn lineage(folder: &Path, card: &Card) -> Lineage {
    let trained = std::fs::read_to_string(folder.join("training.json")).ok();
    match trained.and_then(|text| serde_json::from_str::<Trained>(&text).ok()) {
        Some(trained) => of_training(&trained),
        None => of_card(card),
    }
}

fn of_training(trained: &Trained) -> Lineage {
    let Recipe { data, start_from } = &trained.recipe;
    let kind = match (&data.file, data.keep.as_deref()) {
        _ if data.direct >= 1.0 => Kind::Direct,
        (Some(_), Some("shortest")) => Kind::Concise,
        (Some(_), _) => Kind::Distilled,
        (None, _) => Kind::Reasoning,
    };
    Lineage {
        kind: Some(kind),
        teacher: data.file.as_deref().and_then(stem),
        base: start_from.as_deref().and_then(stem),
        training_flop: Some(trained.training_flop),
        released: None,
    }
}

/// Of a model whose files are not here.
pub(crate) fn of_card(card: &Card) -> Lineage {
    let value = |fact: &Option<crate::card::Fact<String>>| fact.as_ref().map(|fact| fact.value.clone());
    let kind = match (&card.thinking, &card.teacher) {
        (None, _) => Kind::Direct,
        (Some(_), Some(_)) => Kind::Distilled,
        (Some(_), None) => Kind::Reasoning,
    };
    Lineage {
        kind: Some(kind),
        teacher: value(&card.teacher),
        base: value(&card.base_model),
        training_flop: None,
        released: value(&card.released),
    }
}

fn stem(path: &str) -> Option<String> {
    Some(Path::new(path).file_stem()?.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_bundled(name: &str) -> Lineage {
        let folder = crate::bundled::folder(&format!("bundled:{name}")).unwrap();
        lineage(&folder, &Card::from_file(folder.join("card.toml")).unwrap())
    }

    #[test]
    fn the_bundled_models_say_what_they_are_and_whom_they_learnt_from() {
        let kind = |name: &str| of_bundled(name).kind;
        assert_eq!((kind("reason-l"), kind("direct-m")), (Some(Kind::Reasoning), Some(Kind::Direct)));
        let (student, concise) = (of_bundled("distill-s"), of_bundled("concise-m"));
        assert_eq!((student.kind, student.teacher.as_deref()), (Some(Kind::Distilled), Some("reason-l")));
        assert_eq!((concise.kind, concise.base.as_deref()), (Some(Kind::Concise), Some("reason-m")));
        assert!(student.training_flop.is_some_and(|flop| flop > 1e9));
    }

    #[test]
    fn a_published_model_says_it_in_its_card() {
        let of = |name: &str| of_card(&Card::for_model(name).unwrap());
        let student = of("deepseek-r1-distill-qwen-1.5b");
        assert!(
            student.kind == Some(Kind::Distilled) && student.teacher.is_some() && student.released.is_some()
        );
        assert_eq!(of("qwen2.5-1.5b-instruct").kind, Some(Kind::Direct));
    }
}
